"""What the default makes one frame of the sample from, step by step: method_picture.py PICTURE.png.

A part of one LR frame with the HR frames around it, what `flow` and the network make of them, the truth, and the error
that is expected and the one that is made.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt

from napari_xfusion.core.methods.flow import FlowStream
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.recordings import open_stack
from napari_xfusion.core.session import Session, rig_of
from napari_xfusion.core.types import Image
from napari_xfusion.lab.demo import sample_sequence

TARGET = 23
"""LR frame of the sample."""
PART = slice(20, 116), slice(96, 208)
"""HR rows and columns that are shown."""
ACROSS = 4


@dataclass(frozen=True)
class Panel:
    """An image (H, W) in grey units and what it is; ``most`` of a map of errors, 0 of an image."""

    title: str
    image: Image
    most: float = 0.0


def panels() -> list[Panel]:
    """What is shown, in rows of ACROSS."""
    lr, hr, truth = (open_stack(sample_sequence(name)) for name in ("lr", "hr", "truth"))
    plan = make_plan(hr_step=10)
    rig = rig_of(plan, lr, hr)
    with Session(plan, rig) as session:
        group = session.reader.group(TARGET)
        made = FlowStream(session.reader).estimate(group)
        [fused] = session.frames([TARGET], Event())
    to_grey = rig.hr.grey.to_grey
    result, true = to_grey(fused.image), to_grey(truth.frame(TARGET))
    std = fused.std / rig.hr.grey.span
    most = float(np.quantile(np.abs(made.image - true)[PART], 0.99))
    before, after = (f"{frame.time:g}" for frame in group.ends)
    pixels = np.kron(group.reference.image, np.ones([round(side) for side in rig.grids.scale], np.float32))
    return [
        Panel(f"LR frame {TARGET}", pixels),
        Panel(f"HR frame before (time {before})", group.ends[0].image),
        Panel(f"HR frame after (time {after})", group.ends[1].image),
        Panel("the one before, warped", made.warped[0]),
        Panel("mean of all HR frames", made.mean),
        Panel("flow", made.image),
        Panel("lite", result),
        Panel("truth", true),
        Panel("what the network changed", np.abs(result - made.image), most),
        Panel("error of flow", np.abs(made.image - true), most),
        Panel("error of lite", np.abs(result - true), most),
        Panel("expected error of lite", std, most),
    ]


def draw(path: Path) -> None:
    """Draw all panels into a PNG."""
    mpl.use("Agg")
    shown = panels()
    rows = -(-len(shown) // ACROSS)
    figure, axes = plt.subplots(rows, ACROSS, figsize=(10, 2.45 * rows), layout="constrained")
    for axis, panel in zip(axes.ravel(), shown, strict=True):
        most, colours = (panel.most, "magma") if panel.most else (1.05, "gray")
        axis.imshow(panel.image[PART], cmap=colours, vmin=0, vmax=most, interpolation="nearest")
        axis.set_title(panel.title, fontsize=9)
        axis.set_axis_off()
    figure.savefig(path, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
