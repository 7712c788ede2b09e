"""What examining and correcting a pair costs, in order and with every fault at once.

    python benchmarks/pairing.py

A simulated shot of 450 LR frames of 100x256 and an HR frame of 400x1024 every 10, in memory. The faulty pair flickers
in both cameras; LR has a gamma, a tilt, a fixed pattern, hits of the sensor, 20 dead pixels and is shifted by half a
pixel; HR has 200 dead pixels and a black frame; both have time stamps. Prints the least time of pairing, and the median
time of a frame with and without corrections, in turn in one process. Three minutes on two free cores.
"""

from __future__ import annotations

import os
import platform
from threading import Event
from time import perf_counter

import numpy as np

from napari_xfusion import simulate
from napari_xfusion.core.plan import FLAWS, Plan, make_plan
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.rig import Rig
from napari_xfusion.core.session import Session, rig_of
from napari_xfusion.core.types import Stack
from napari_xfusion.lab.scenes import KINDS, make_scene
from napari_xfusion.lab.virtual.disturbances import Disturbances

FRAMES, SHAPE, STEP = 450, (400, 1024), 10
SEED = 50_000
"""A generator takes it first, and training never uses it."""
SLOWED = 4
"""Times by which the scene moves slower than in training samples."""
FAULTS = {
    "in order": Disturbances(),
    "every fault at once": Disturbances.model_validate(
        {
            "lr": {
                "flicker": 0.05,
                "dead": 20,
                "gamma": 1.5,
                "tilt": 0.2,
                "zingers": 0.002,
                "stamp": True,
                "pattern": 0.05,
            },
            "hr": {"flicker": 0.05, "dead": 200, "stamp": True, "black": (3,)},
            "lr_shift": (0.5, 0.0),
        }
    ),
}
METHODS = ("lite", "flow")
TARGETS = (*range(11, 19), *range(21, 29))
REPEATS = 3


def make() -> dict[str, tuple[Stack, Stack]]:
    """LR and HR of both pairs."""
    rng = np.random.default_rng(SEED)
    scene = make_scene(KINDS["stirring"], SHAPE, rng)
    sequence = np.empty((FRAMES, *SHAPE), np.uint16)
    for t, frame in enumerate(sequence):
        image = scene.image((t - FRAMES // 2) / SLOWED) + 0.01 * rng.standard_normal(SHAPE)
        frame[:] = np.clip(np.rint(2600 * image), 0, 4095)
    pairs = {}
    for name, disturbances in FAULTS.items():
        made = simulate(as_stack(sequence, name="scene"), STEP, lr_psnr=40, disturbances=disturbances)
        pairs[name] = in_memory(made.lr), in_memory(made.hr)
    return pairs


def in_memory(stack: Stack) -> Stack:
    """The recording as an array."""
    return as_stack(np.stack([stack.frame(i) for i in range(len(stack))]), name=stack.source)


def times_of(rig: Rig, method: str, *, correct: bool) -> list[float]:
    """Seconds of each frame but the first."""
    plan = plan_of(method, correct=correct)
    with Session(plan, rig) as session:
        frames = session.frames(TARGETS, Event())
        next(frames)
        begin = perf_counter()
        found = []
        for _ in frames:
            now = perf_counter()
            found.append(now - begin)
            begin = now
    return found


def plan_of(method: str, *, correct: bool) -> Plan:
    """The plan of the pair, with all corrections or none."""
    hr_times = (*map(float, range(0, FRAMES - 1, STEP)), FRAMES - 1.0)
    return make_plan(method=method, hr_times=hr_times, correct=FLAWS if correct else ())


def main() -> None:
    """Print one line per pair and method."""
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors")
    for name, pair in make().items():
        seconds = []
        for _ in range(REPEATS):
            unknown = [in_memory(stack) for stack in pair]
            begin = perf_counter()
            rig_of(plan_of("lite", correct=True), *unknown)
            seconds.append(perf_counter() - begin)
        print(f"{name}: paired in {min(seconds):.1f} s", flush=True)
        for method in METHODS:
            rigs = {each: rig_of(plan_of(method, correct=each), *pair) for each in (True, False)}
            found: dict[bool, list[float]] = {each: [] for each in rigs}
            for _ in range(REPEATS):
                for each, rig in rigs.items():
                    found[each] += times_of(rig, method, correct=each)
            on, off = (1000 * float(np.median(found[each])) for each in (True, False))
            print(f"    {method}: {on:.0f} ms a frame, {off:.0f} without corrections", flush=True)


if __name__ == "__main__":
    main()
