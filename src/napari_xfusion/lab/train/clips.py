"""Sources of training samples: kinds of simulated scenes, and sequences by their path (paper, D9 to D11).

A source draws one sample after the other; each depends only on the random generator that is passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from napari_xfusion.core import degrade
from napari_xfusion.core.grey import Affine, fill_invalid, percentile_map
from napari_xfusion.core.recordings import open_stack
from napari_xfusion.core.recordings.readers import READERS, file_endings, find_reader
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import InputError
from napari_xfusion.lab.scenes import KINDS, Clean, Kind, draw_clean
from napari_xfusion.lab.scenes.sample import RANGE, clean_sample, draw_times, with_further

Part = Literal["training", "held-out"]
"""Purpose of a sample. No frame of a sequence is used for both."""
SCENES = "scenes"
"""Name of all kinds of scenes; ``scenes:powder`` is one of them."""
HELD_OUT = 0.2
"""Share of the frames of a sequence, the last ones, that is reserved for validation."""
FEWEST = 15
"""Smallest number of frames of a sequence: its held-out part then has three, the LR frames of one target."""


class Source(Protocol):
    """A source of samples."""

    @property
    def name(self) -> str:
        """Name in tables and messages."""
        ...

    def check(self, crop: int) -> None:
        """Check all data before samples are drawn; raises InputError where they are unsuitable."""
        ...

    def draw(self, rng: np.random.Generator, crop: int, part: Part, further: int = 0) -> Clean:
        """Draw a sample with HR frames of ``crop`` pixels a side, up to ``further`` more than two."""
        ...


def open_sources(data: Sequence[str], *, halve: bool = False) -> tuple[Source, ...]:
    """Open the sources that ``data`` names; samples are drawn from them in turn, the same number from each.

    An entry is ``scenes``, one kind of them such as ``scenes:powder``, a sequence (TIFF stack, folder of frames,
    PNG in colour too, Zarr, movie), or a folder of such sequences, as REDS is published. All sequences together are
    one source; a kind that is named twice is two. ``halve`` halves the size of their frames. Raises InputError where an
    entry is none of these.
    """
    kinds: list[str] = []
    clips: list[Path] = []
    for word in data:
        if word == SCENES:
            kinds += KINDS
        elif word.startswith(f"{SCENES}:"):
            kinds.append(_kind(word))
        else:
            clips += find_clips(Path(word))
    sources: list[Source] = [Scenes(kind, KINDS[kind]) for kind in kinds]
    return (*sources, *([Sequences(tuple(dict.fromkeys(clips)), halve)] if clips else []))


def find_clips(path: Path) -> list[Path]:
    """Return ``path`` itself, or the sequences in it where it is a folder of sequences."""
    if not path.is_dir() or find_reader(path, b"") != READERS["folder"]:
        return [path]
    inside = sorted(x for x in path.iterdir() if not x.name.startswith("."))
    folders = [x for x in inside if x.is_dir()]
    if folders:
        return folders
    sequences = [x for x in inside if x.suffix.lower() in file_endings()]
    return sequences if sequences and len(open_stack(sequences[0])) > 1 else [path]


def _kind(word: str) -> str:
    kind = word.removeprefix(f"{SCENES}:")
    if kind not in KINDS:
        raise InputError(
            word, expected=f"a kind of scene: {', '.join(KINDS)}", found=kind, hint="choose one of them"
        )
    return kind


@dataclass(frozen=True)
class Scenes:
    """Simulated scenes of one kind, a new one for every sample."""

    name: str
    kind: Kind

    def check(self, crop: int) -> None:
        """See ``Source.check``."""

    def draw(self, rng: np.random.Generator, crop: int, part: Part, further: int = 0) -> Clean:  # noqa: ARG002 - seeds separate the parts
        """See ``Source.draw``."""
        return draw_clean(self.kind, rng, crop, further=further)


@dataclass(frozen=True)
class Sequences:
    """Sequences, each on its own grey scale (D4), all equally likely."""

    clips: tuple[Path, ...]
    halve: bool
    name: str = "sequences"

    def check(self, crop: int) -> None:
        """See ``Source.check``; opens every sequence."""
        for clip in self.clips:
            stack = open_clip(clip, self.halve)
            if len(stack) < FEWEST:
                raise InputError(
                    clip,
                    expected=f"a sequence of at least {FEWEST} frames to train on",
                    found=f"{len(stack)}",
                    hint="omit it, or use the complete sequence",
                )
            if min(stack.shape[1:]) < crop:
                size = f"{stack.shape[1]} x {stack.shape[2]}"
                raise InputError(
                    clip,
                    expected=f"frames of at least the crop, {crop} x {crop} pixels",
                    found=size + " after halving" * self.halve,
                    hint="use a smaller {crop}, or omit the sequence",
                )

    def draw(self, rng: np.random.Generator, crop: int, part: Part, further: int = 0) -> Clean:
        """See ``Source.draw``: a sequence, times, a target and a position, all random."""
        stack, affine = _grey_clip(self.clips[rng.integers(len(self.clips))], self.halve)
        frames = part_of(len(stack), part)
        times = draw_times(rng, len(frames) - 1)
        target = int(rng.integers(frames[0] - times[3], frames[-1] - times[4] + 1))
        top, left = (int(rng.integers(side - crop + 1)) for side in stack.shape[1:])
        times = with_further(times, further, (frames[0] - target, frames[-1] - target))
        sequence = np.zeros((len(times), crop, crop), np.float32)
        for image, time in zip(sequence, times, strict=True):
            if np.isfinite(time):
                part_seen = stack.frame(target + int(time))[top : top + crop, left : left + crop]
                image[:] = affine.to_grey(fill_invalid(part_seen)[0])
        return clean_sample(np.clip(sequence, *RANGE), times, recorded=True)


def part_of(count: int, part: Part) -> range:
    """Return the frames of a sequence of ``count`` frames that belong to ``part``: the last ones are held out."""
    first = count - max(3, round(HELD_OUT * count))
    return range(first) if part == "training" else range(first, count)


def open_clip(path: Path, halve: bool) -> Stack:
    """Open a sequence as grey frames, colours as luma; with ``halve``, each pixel is the mean of 2 x 2."""
    stack = open_stack(path, luma=True)
    if not halve:
        return stack
    T, H, W = stack.shape
    down = degrade.binning((H, W), (H // 2, W // 2), (2, 2))
    return stack.derive(
        lambda i: down(stack.frame(i).astype(np.float32)), (T, H // 2, W // 2), np.dtype(np.float32)
    )


@cache
def _grey_clip(path: Path, halve: bool) -> tuple[Stack, Affine]:
    """Return a sequence and its grey scale, opened once in each process."""
    stack = open_clip(path, halve)
    return stack, percentile_map(stack)[0]
