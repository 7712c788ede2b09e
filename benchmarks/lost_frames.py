"""How often pairing finds where LR lost a frame, and what taking that into account gives.

    python benchmarks/lost_frames.py --shots 100

The shots of benchmarks/misfit.py, without one LR frame between the 10th and the 50th. A finding is right when every HR
time is, to 0.3 LR frames; an HR frame at the time of the lost frame may be at either side of it. Mean PSNR in dB of
`flow` over unseen targets against the noisy truth, without 12 HR pixels at the border. About 8 seconds per shot.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from misfit import STEP, films, mean_psnr, record
from napari_xfusion.core.plan import FLAWS, make_plan
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.rig import make_rig

FIRST, LAST = 10, 50
"""Between which the frame is lost."""
METHOD = "flow"


def main() -> None:
    """Print one line per shot, and the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shots", type=int, default=100)
    found, false, figures = [], 0, []
    for shot in range(parser.parse_args().shots):
        whole = record(films(shot), shot)
        lost = int(np.random.default_rng(shot).integers(FIRST, LAST))
        kept = [i for i in range(len(whole.lr)) if i != lost]
        lr = as_stack(np.stack([whole.lr.frame(i) for i in kept]), name="LR")
        times = np.array(whole.known)
        inside = np.flatnonzero(times < len(lr))
        hr = as_stack(np.stack([whole.hr.frame(k) for k in inside]), name="HR")
        stated, late = times[inside], times[inside] > lost
        plans = {
            name: make_plan(hr_times=tuple(stated.tolist()), correct=correct)
            for name, correct in (("recorded", FLAWS), ("corrected", (*FLAWS, "time")))
        }
        rigs = {name: make_rig(plan, lr, hr) for name, plan in plans.items()}
        seen = rigs["corrected"].hr_times
        either = stated == lost
        good = len(seen) == len(stated) and np.abs(seen - stated + late)[~either].max() < 0.3
        reported = any(warning.code == "retimed" for warning in rigs["corrected"].warnings)
        found.append((reported, good))
        undisturbed = make_rig(make_plan(hr_times=whole.known, correct=(*FLAWS, "time")), whole.lr, whole.hr)
        false += any(warning.code == "retimed" for warning in undisturbed.warnings)
        shown = [t for t in range(STEP // 2, int(stated[-1]), STEP) if t != lost]
        targets = {kept.index(t): t for t in shown}
        figures.append(
            [mean_psnr(whole.truth, rig, METHOD, targets) for rig in rigs.values()]
            + [mean_psnr(whole.truth, undisturbed, METHOD, {t: t for t in shown})]
        )
        sys.stdout.write(f"shot {shot}: lost {lost}, reported {reported}, right {good}, {figures[-1]}\n")
    before, after, without = np.mean(figures, axis=0)
    sys.stdout.write(
        f"reported in {sum(r for r, _ in found)} of {len(found)} shots, all times right in {sum(g for _, g in found)}; "
        f"without a lost frame in {false}. {METHOD}: {before:.2f} -> {after:.2f} ({without:.2f}) dB\n"
    )


if __name__ == "__main__":
    main()
