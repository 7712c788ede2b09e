"""What is measured of two cameras on a pair, against what they are.

    OMP_NUM_THREADS=1 python benchmarks/figures.py --rigs 14

Random rigs as in end_to_end.py, with an LR camera of 12 bits: 64 units in the dark, 0.2 to 0.8 units per photon, read
noise of 3 to 8 units, a pattern of pixels, rows and columns of 0 to 12 units, every other one with a response that is
no line (light to the power of 1.3). Errors are relative but for those of the pattern, which are in units; then medians
and largest.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from end_to_end import HR, Rig
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.rig import make_rig
from napari_xfusion.core.rig.figures import measure_figures
from napari_xfusion.core.rig.photometry import along

DARK, BRIGHT, SEED = 64.0, 3000.0, 54_000


def measure(number: int) -> dict[str, float]:
    """Return the errors of a rig, and what it has."""
    rng = np.random.default_rng([SEED, number])
    rig = Rig.draw(number, noise=False)
    low, high = float(rig.shot[0].min()), float(rig.shot[0].max())
    light = np.clip((rig.shot[0] - low) / (high - low), 0, 1)
    curved = number % 2 == 1
    light = 0.1 + 0.9 * (light**1.3 if curved else light)
    gain, read = rng.uniform(0.2, 0.8), rng.uniform(3, 8)
    sizes = rng.uniform(0, 12, 3)
    shape = rig.shape
    pattern = sum(
        size * rng.standard_normal(sides)
        for size, sides in zip(sizes, (shape, (shape[0], 1), (1, shape[1])), strict=True)
    )
    clean = BRIGHT * light
    noisy = gain * rng.poisson(clean / gain) + DARK + pattern + read * rng.standard_normal(light.shape)
    lr = np.clip(np.round(noisy), 0, 4095).astype(np.uint16)
    hr = rig.shot[1] + 0.007 * rig.span * rng.standard_normal(rig.shot[1].shape)
    known = rig.known
    plan = make_plan(method="flow", hr_times=rig.times, calibration=known)
    made = make_rig(plan, as_stack(lr, name="LR"), as_stack(hr.astype(np.float32), name="HR"))
    found = measure_figures(made)
    if found.noise is None:
        return {}
    ends = found.noise.darkest, (found.noise.darkest + found.noise.brightest) / 2, found.noise.brightest
    true = [np.sqrt(read**2 + gain * (value - DARK)) for value in ends]
    errors = {
        f"noise {name}": found.noise.at(value) / of - 1
        for name, value, of in zip(("dark", "middle", "bright"), ends, true, strict=True)
    }
    errors["gain"] = found.noise.gain / gain - 1
    named = zip(("pixels", "rows", "columns"), sizes, strict=True)
    errors |= {name: getattr(found.pattern, name) - size for name, size in named}
    at = np.linspace(*np.percentile(light, (2, 98)), 9)
    plain = ((at - 0.1) / 0.9) ** (1 / 1.3 if curved else 1) * (high - low) + low
    units = along(plain, np.array(found.relation.hr), np.array(found.relation.lr))
    errors["relation"] = float(np.abs(units - BRIGHT * at - DARK).max() / BRIGHT)
    errors["called a line"] = float(found.relation.is_line)
    return errors


def main() -> None:
    """Measure, and print a line per rig and a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rigs", type=int, default=14)
    rows = []
    for number in range(parser.parse_args().rigs):
        rows.append(measure(number))
        words = ", ".join(f"{name} {value:+.3f}" for name, value in rows[-1].items())
        sys.stdout.write(f"{number} {words}\n")
        sys.stdout.flush()
    refused, rows = rows.count({}), [row for row in rows if row]
    sys.stdout.write(f"{refused} without noise\n")
    for name in rows[0]:
        values = np.abs([row[name] for row in rows])
        sys.stdout.write(f"| {name} | {np.median(values):.3f} | {values.max():.3f} |\n")
    lines = np.mean([row["called a line"] for row in rows])
    sys.stdout.write(f"{lines:.0%} of the relations are called lines; HR {HR}\n")


if __name__ == "__main__":
    main()
