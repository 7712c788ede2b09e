"""Train EDVR-STF and EDVR side by side for some minutes of a GPU, on the same batches.

    python benchmarks/gpu/train.py -o OUT --minutes 5 [--init WEIGHTS_FOLDER] [--crop 128] [--rate 3e-4]

A run is one *leg*: the learning rate rises over its first 3 %, then falls to zero along a cosine, by the
clock. The next leg starts from the averaged weights that this one leaves, so nothing but the models
(16-bit, 6 MB each) and one line of facts has to be kept between two borrowed GPUs. Samples are drawn by
the other cores meanwhile (`ring.py`). Writes NAME.safetensors for each network, and train.json.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from ring import HIGH, LEVELS, LOW, Curriculum, Drawing, Rings
from torch import Tensor, nn

from napari_xfusion.core.networks import deform
from napari_xfusion.core.networks.build import initialise
from napari_xfusion.core.networks.cards import INPUTS, Card, Sizes, Trained, Variant, read_header
from napari_xfusion.core.networks.engine import find_device
from napari_xfusion.core.networks.network import Network
from napari_xfusion.core.networks.weights import AnyNetwork, build, load_model, save_model
from napari_xfusion.lab.scenes.sample import FARTHEST, SEPARATIONS
from napari_xfusion.lab.train.batches import ahead
from napari_xfusion.lab.train.card import stored
from napari_xfusion.lab.train.held_out import HeldOut, open_held_out
from napari_xfusion.lab.train.loop import LARGEST_GRADIENT
from napari_xfusion.lab.train.plan import TrainPlan
from napari_xfusion.lab.train.pool import fill_pool
from napari_xfusion.lab.train.state import BETAS, decay_after
from napari_xfusion.lab.train.task import TASKS, log_error

MEDIUM = Sizes(channels=64, extract=5, reconstruct=10, groups=8)
NAMES: dict[Variant, str] = {"edvr-stf": "edvr-stf-medium", "edvr": "edvr-medium"}
WARM_UP = 0.03
"""Share of a leg in which the learning rate rises."""
ROW = 100
"""Iterations from one look at the losses to the next."""


@dataclass(frozen=True)
class Leg:
    """What one run does."""

    minutes: float
    crop: int
    batch: int
    rate: float
    longest: tuple[float, float]
    """LR frames between the two HR frames of a sample, at most: at the start, and from the middle on."""
    every: tuple[int, ...]
    """Each network takes one of so many batches."""
    seed: int
    scores: float
    """The attention scores of the networks of earlier legs are multiplied by it at the start."""

    def learning_rate(self, share: float) -> float:
        """At a ``share`` of the leg's time."""
        if share < WARM_UP:
            return self.rate * max(share, 0.001) / WARM_UP
        return self.rate * (1 + math.cos(math.pi * min(1.0, (share - WARM_UP) / (1 - WARM_UP)))) / 2


class Learner:
    """A network, its averaged weights and its optimiser."""

    def __init__(self, variant: Variant, network: AnyNetwork, device: torch.device) -> None:
        self.variant, self.network, self.device = variant, network.to(device).train(), device
        if device.type == "cuda":
            self.network.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.parameters = list(self.network.parameters())
        self.rate = torch.zeros((), device=device)
        on_gpu = device.type == "cuda"
        self.optimizer = torch.optim.Adam(
            self.parameters, self.rate if on_gpu else 0.0, betas=BETAS, fused=True, capturable=on_gpu
        )
        self._replay: Callable[[], None] | None = None
        self.iteration, self.good = 0, copy.deepcopy(self.average.state_dict())
        self.sums, self._since = torch.zeros(2, device=device), 0

    def step(self, batch: dict[str, Tensor], rate: float) -> None:
        """One iteration at a learning rate."""
        if self.device.type == "cuda":
            self.rate.fill_(rate)
        else:
            self.optimizer.param_groups[0]["lr"] = rate
        if self._replay is None:
            self._iterate(batch)
        else:
            for name, tensor in batch.items():
                self._static[name].copy_(tensor)
            self._replay()
        self._since += 1
        self.iteration += 1
        decay = decay_after(self.iteration)
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), self.parameters, 1 - decay)

    def _iterate(self, batch: dict[str, Tensor]) -> None:
        names = ("lr", "hr") if "hr-" in INPUTS[self.variant] else ("lr",)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            image = self.network(**{name: batch[name].clamp(0, 1) for name in names}).image
        loss = log_error(image.float(), batch["truth"].clamp(0, 1))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, LARGEST_GRADIENT)
        self.optimizer.step()
        self.sums += torch.stack([loss.detach(), norm.detach()])

    def capture(self, batch: dict[str, Tensor]) -> str:
        """Make an iteration one CUDA graph where that is right and faster; says what came of it.

        torchvision's deformable convolution ignores the stream that a graph is captured on, so a graph takes
        the one in plain torch. The learning rate is zero meanwhile: no weight changes.
        """
        eager = self._seconds(lambda: self._iterate(batch))
        self._static = {name: tensor.clone() for name, tensor in batch.items()}
        graph, side = torch.cuda.CUDAGraph(), torch.cuda.Stream()
        try:
            with mock.patch.object(deform, "_torchvision_kernel", lambda _: None):
                side.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(side):
                    for _ in range(3):
                        self._iterate(self._static)
                torch.cuda.current_stream().wait_stream(side)
                with torch.cuda.graph(graph):
                    self._iterate(self._static)
        except RuntimeError as error:
            torch.cuda.synchronize()
            return f"eager, {1000 * eager:.0f} ms; no graph: {str(error)[:200]}"
        expected, found = (self._loss_of(way) for way in (lambda: self._iterate(batch), graph.replay))
        replay = self._seconds(graph.replay)
        said = f"eager {1000 * eager:.0f} ms, loss {expected:.4f}; "
        said += f"graph {1000 * replay:.0f} ms, loss {found:.4f}"
        if replay < eager and abs(found - expected) < 0.01:
            self._replay = graph.replay
            return f"graph ({said})"
        return f"eager ({said})"

    def _loss_of(self, iterate: Callable[[], None]) -> float:
        self.sums.zero_()
        iterate()
        loss = float(self.sums[0])
        self.sums.zero_()
        return loss

    @staticmethod
    def _seconds(iterate: Callable[[], None], count: int = 5) -> float:
        """Of one iteration, after two to warm up."""
        for k in range(count + 2):
            if k == 2:
                torch.cuda.synchronize()
                began = time.perf_counter()
            iterate()
        torch.cuda.synchronize()
        return (time.perf_counter() - began) / count

    def look(self) -> tuple[float, float]:
        """Mean loss and gradient norm; goes back to the last good weights where they are no numbers."""
        loss, norm = (self.sums / max(self._since, 1)).tolist()
        self.sums.zero_()
        self._since = 0
        if math.isfinite(loss + norm):
            self.good = copy.deepcopy(self.average.state_dict())
            return loss, norm
        self.network.load_state_dict(self.good)
        self.average.load_state_dict(self.good)
        for state in self.optimizer.state.values():
            for name in ("exp_avg", "exp_avg_sq"):
                state[name].zero_()
        return loss, norm


class Turned:
    """Batches on the device, all samples of one turned and mirrored alike."""

    def __init__(self, rings: Rings, leg: Leg, device: torch.device) -> None:
        self.rings, self.leg, self.device = rings, leg, device

    def __call__(self, k: int) -> dict[str, Tensor]:
        """Batch ``k``: lr (B, 3, 1, h, w), hr (B, 2, 1, H, W), truth (B, 1, H, W), float32."""
        rng = np.random.default_rng([self.leg.seed, 1, k])
        turn = rng.random(3) < 0.5
        found = {}
        for name, numbers in self.rings.batch(rng, self.leg.batch).items():
            tensor = torch.from_numpy(numbers.view(np.int16))
            tensor = tensor.pin_memory() if self.device.type == "cuda" else tensor
            # int16 of a uint16 wraps round: undone by the remainder
            grey = (tensor.to(self.device, non_blocking=True).float() % (LEVELS + 1)) * (
                (HIGH - LOW) / LEVELS
            ) + LOW
            grey = grey.flip([-2 + axis for axis in range(2) if turn[axis]])
            grey = grey.transpose(-1, -2) if turn[2] else grey
            found[name] = grey[:, :, None].contiguous() if name != "truth" else grey.contiguous()
        return found


def run_leg(leg: Leg, learners: Sequence[Learner], rings: Rings) -> Iterator[dict[str, Any]]:
    """Train until the leg's time is over; yields a row of facts now and then."""
    make = Turned(rings, leg, learners[0].device)
    if learners[0].device.type == "cuda":
        first = make(0)  # no thread may use the GPU while a graph is captured
        yield {"form": {learner.variant: learner.capture(first) for learner in learners}}
    began = time.monotonic()
    for k, batch in enumerate(ahead(make, range(1, 10**9), threads=2), 1):
        share = (time.monotonic() - began) / (60 * leg.minutes)
        for learner, every in zip(learners, leg.every, strict=True):
            if k % every == 0:
                learner.step(batch, leg.learning_rate(share))
        if k % ROW == 0 or share >= 1:
            looks = {learner.variant: learner.look() for learner in learners}
            seconds = time.monotonic() - began
            yield {
                "iteration": k,
                "seconds": round(seconds, 1),
                "drawn": rings.drawn,
                "loss, gradient": looks,
            }
        if share >= 1:
            return


@torch.no_grad()
def multiply_scores(network: AnyNetwork, factor: float) -> None:
    """Multiply the temporal attention's scores, products of two convolutions of the same features.

    Scores that stay near zero let every frame pass alike, however right their order is; a larger factor lets
    the same order decide.
    """
    if isinstance(network, Network):
        for layer in (network.fusion.temporal_attn1, network.fusion.temporal_attn2):
            for parameter in layer.parameters():
                parameter.mul_(math.sqrt(factor))


def begin(
    variant: Variant, init: Path | None, scores: float, seed: int, sizes: Sizes
) -> tuple[AnyNetwork, list[dict[str, Any]]]:
    """The network to go on with, its scores multiplied, and the legs it has behind it."""
    if init is not None and (path := init / f"{NAMES[variant]}.safetensors").is_file():
        network = load_model(path).network.float()
        multiply_scores(network, scores)
        return network, json.loads(read_header(path)[0].training.partition("legs: ")[2])
    network = build(variant, sizes)
    initialise(network, torch.Generator().manual_seed(seed))
    return network, []


def card(variant: Variant, sizes: Sizes, legs: list[dict[str, Any]], held_out: HeldOut, psnr: str) -> Card:
    """What the model says of itself."""
    return Card(
        variant=variant,
        sizes=sizes,
        inputs=INPUTS[variant],
        trained=Trained(
            separations=(SEPARATIONS[0], SEPARATIONS[-1]),
            hr_distances=(SEPARATIONS[0], SEPARATIONS[-1] * FARTHEST),
            noise=(0, round(held_out.noise, 4)),
        ),
        training=f"simulated scenes, log error, Adam, averaged weights; {psnr}; legs: {json.dumps(legs)}",
        provenance="napari-xfusion, benchmarks/gpu/train.py. Licence: BSD-3-Clause, as napari-xfusion.",
    )


def in_memory() -> Path:
    """A folder for the samples, in memory where the system has one."""
    memory = Path("/dev/shm")  # noqa: S108 - the rings' folder in it is made for this process alone
    return Path(tempfile.mkdtemp(prefix="rings-", dir=memory if memory.is_dir() else None))


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--init", type=Path, help="folder with models of an earlier leg")
    parser.add_argument("--scores", type=float, default=1, help="factor of the attention scores at the start")
    parser.add_argument("--variants", nargs="+", default=list(NAMES), choices=list(NAMES))
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--longest", type=float, nargs=2, default=(6, 120))
    parser.add_argument(
        "--every", type=int, nargs="+", default=[1, 2], help="batches per step of each network"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--channels", type=int, default=MEDIUM.channels)
    parser.add_argument("--capacity", type=int, default=4000, help="samples of one process in memory")
    parser.add_argument("--processes", type=int, default=max(1, (os.cpu_count() or 1) - 2))
    parser.add_argument("--held-out", type=int, default=126)
    parser.add_argument("--scratch", type=Path, default=in_memory(), help="folder for the samples")
    parser.add_argument("--device", default="auto")
    asked = parser.parse_args()
    asked.output.mkdir(parents=True, exist_ok=True)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    device = find_device(asked.device)
    sizes = MEDIUM.model_copy(update={"channels": asked.channels})
    leg = Leg(
        asked.minutes,
        asked.crop,
        asked.batch,
        asked.rate,
        tuple(asked.longest),
        tuple(asked.every),
        asked.seed,
        asked.scores,
    )
    curriculum = Curriculum(*leg.longest, 30 * leg.minutes)
    rings = Rings(asked.scratch, asked.processes, Drawing(leg.crop, asked.capacity, leg.seed, curriculum))
    rows = []
    try:
        begun = {v: begin(v, asked.init, leg.scores, leg.seed, sizes) for v in asked.variants}
        learners = [Learner(v, network, device) for v, (network, _) in begun.items()]
        rings.wait_for(8)
        for row in run_leg(leg, learners, rings):
            rows.append(row)
            print(json.dumps(row), flush=True)
        drawn = rings.drawn
    finally:
        rings.close()
    what = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    done = asdict(leg) | {"drawn": drawn, "device": what}
    done["iterations"] = {learner.variant: learner.iteration for learner in learners}
    report: dict[str, Any] = {
        "leg": done,
        "rows": rows[:1] + rows[1 :: max(1, len(rows) // 60)],
        "held out": {},
    }
    for learner in learners:
        legs = [*begun[learner.variant][1], done | {"iterations": learner.iteration}]
        report["held out"][learner.variant] = _save(learner, asked, sizes, legs)
        (asked.output / "train.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    shutil.rmtree(asked.scratch)


def _save(
    learner: Learner, asked: argparse.Namespace, sizes: Sizes, legs: list[dict[str, Any]]
) -> dict[str, Any]:
    """Measure the averaged weights on held-out samples and write the model."""
    plan = TrainPlan(variant=learner.variant, sizes=sizes, held_out=asked.held_out, half=True)
    pool = fill_pool(
        plan.pool("held-out"), asked.scratch / "held-out", processes=asked.processes, stop=threading.Event()
    )
    held_out = open_held_out(pool, TASKS[learner.variant], 16)
    figures = held_out.measure(learner.average.eval(), learner.device)
    found = {"network": figures, **held_out.compared}
    psnr = "; ".join(
        f"{group}: " + ", ".join(f"{name} {of[group]:.2f}" for name, of in found.items()) for group in figures
    )
    text = f"mean PSNR in dB on {asked.held_out} held-out samples: {psnr}"
    print(f"{learner.variant}: {text}", flush=True)
    model = stored(learner.average.cpu(), half=True)
    save_model(
        asked.output / f"{NAMES[learner.variant]}.safetensors",
        model,
        card(learner.variant, sizes, legs, held_out, text),
    )
    return found


if __name__ == "__main__":
    main()
