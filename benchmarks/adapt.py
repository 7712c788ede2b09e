"""What adapting the default network to a recording brings on frames that nobody has seen.

    python benchmarks/adapt.py [--shots 0 1 2 ...]

Shots of ``benchmarks/score.py`` (a kind of scene each), HR 256x512 pixels, 241 LR frames, an HR frame every 20.
*Aside*: gain and its standard error on the HR frames that were set aside. *True*: PSNR of every seventh unseen target,
before and after, against the truth with HR's noise; *clean*: the gain against the truth without.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from threading import Event
from time import perf_counter

import numpy as np

import score
from napari_xfusion.core.holdout.compare import decibels
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.session import Session, rig_of
from napari_xfusion.lab.adapt import adapt
from score import STEP, Shot, scene_shot

score.HR, score.FRAMES = (256, 512), 241


def true_psnr(shot: Shot, model: str | None) -> tuple[float, float]:
    """Mean PSNR against the truth with the noise of HR, and without."""
    plan = make_plan(hr_step=STEP, model=model)
    rig = rig_of(plan, shot.lr, shot.hr)
    found = []
    with Session(plan, rig) as session:
        for frame in session.frames([t for t in shot.unseen() if t % 7 == 0], Event()):
            image = np.clip(rig.hr.grey.to_grey(frame.image), 0, 1)
            truths = (shot.seen[frame.index], shot.truth[frame.index])
            grey = [np.clip(rig.hr.grey.to_grey(truth), 0, 1) for truth in truths]
            found.append([decibels(float(np.mean((each - image) ** 2))) for each in grey])
    noisy, clean = np.mean(found, axis=0).tolist()
    return noisy, clean


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shots", type=int, nargs="*", default=list(range(9)))
    print("| shot | aside | true | clean | seconds |\n|---|---|---|---|---|")
    for number in parser.parse_args().shots:
        shot = scene_shot(number)
        with tempfile.TemporaryDirectory() as folder:
            began = perf_counter()
            found = adapt(
                make_plan(hr_step=STEP), shot.lr, shot.hr, Path(folder) / "own.safetensors", stop=Event()
            )
            seconds = perf_counter() - began
            assert found is not None
            before, after = true_psnr(shot, None), true_psnr(shot, found.model)
        print(
            f"| {shot.name} | {found.gain:+.2f} ± {found.gain_error or 0:.2f} | {before[0]:.2f} -> {after[0]:.2f} |"
            f" {after[1] - before[1]:+.2f} | {seconds:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
