"""The images in figures: both cameras and every method at a few times of a sequence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from napari_xfusion.core.grey import Affine
from napari_xfusion.core.inspect.ratio import divide, limits_about_one
from napari_xfusion.core.types import Image, Token
from napari_xfusion.lab.study.cells import StoppedError, fused
from napari_xfusion.lab.study.results import SequenceResults

Frames = Mapping[int, NDArray[Any]]
"""Images by frame number, in camera units."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """Images of one sequence in its base condition."""

    moments: list[int]
    """Frame numbers of the panels."""
    lr: Frames
    """(h, w)."""
    truth: Frames
    """(H, W)."""
    fused: Mapping[str, Frames]
    """By series, (H, W)."""
    grey: Affine
    """Grey values shown as black and white."""
    lr_grey: Affine

    @property
    def middle(self) -> int:
        """The frame farthest in time from HR frames."""
        return self.moments[len(self.moments) // 2]

    def rows(self, series: list[str], divided: bool) -> dict[str, tuple[list[Image], tuple[float, float]]]:
        """Return name, images and grey limits of each row of panels: LR, HR, and ``series``.

        With ``divided``, each frame is divided by the previous one (M11), if there is one; otherwise in [0, 1].
        """
        sequences: dict[str, tuple[Frames, Affine]] = {
            "LR": (self.lr, self.lr_grey),
            "HR": (self.truth, self.grey),
        }
        sequences |= {name: (self.fused[name], self.grey) for name in series}
        if not divided:
            return {
                name: ([grey.to_grey(frames[t]) for t in self.moments], (0.0, 1.0))
                for name, (frames, grey) in sequences.items()
            }
        ratios = {
            name: [divide(frames[t], frames[max(t - 1, 0)]) for t in self.moments]
            for name, (frames, _) in sequences.items()
        }
        limits = limits_about_one(ratios["HR"])
        return {name: (images, limits) for name, images in ratios.items()}


def take_pictures(results: SequenceResults, stop: Token, done: Callable[[], None]) -> Pictures:
    """Fuse the frames in the figures, and their previous frames, by every series.

    Raises StoppedError when ``stop`` is set; ``done`` is called after every frame.
    """
    moments = results.moments
    wanted = sorted({max(t - k, 0) for t in moments for k in (0, 1)})
    made: dict[str, dict[int, NDArray[Any]]] = {}
    for name in results.series:
        experiment, sequence = fused(results.cell(name))
        made[name] = {}
        with closing(sequence):
            for t in wanted:
                if stop.is_set():
                    raise StoppedError
                made[name][t] = sequence.frame(t).image
                done()
    return Pictures(
        moments=moments,
        lr={t: experiment.lr.frame(t) for t in wanted},
        truth={t: experiment.truth.frame(t) for t in wanted},
        fused=made,
        grey=experiment.grey,
        lr_grey=sequence.rig.fast.grey,
    )
