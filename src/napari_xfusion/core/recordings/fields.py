"""Flats and darks of one camera: (I - D) / (F - D), and the beam's intensity in each frame.

Here and not in the rig, because the corrected frames are the recording: whoever opens it again, in another process or
from a run record, has to read the same values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.types import Region, Stack
from napari_xfusion.errors import InputError, XFusionWarning

OWN = "own"
"""In place of a path: the flats or darks in the recording's own file."""
DEAD = 0.01
"""Of the median of F - D: a pixel that responds less to the open beam is dead."""
MOST_DEAD = 0.05
"""Of the pixels: more dead ones are a warning."""


@dataclass(frozen=True)
class Fields:
    """How the frames of a camera are corrected. Floats result; dead pixels become NaN."""

    flats: tuple[str, ...] = ()
    """Recordings of the open beam, or ``own``. Of several, the first was taken before and the last after."""
    darks: tuple[str, ...] = ()
    """Recordings without beam, or ``own``; their mean is subtracted from frames and flats."""
    beam: Region | str | None = None
    """Divide each frame by its mean (``mean``), or by its mean in a region of open beam."""

    def __bool__(self) -> bool:
        return bool(self.flats or self.darks or self.beam)


class Source(NamedTuple):
    """A series of flats or darks and its place in time."""

    position: float | None
    """Frame number of the recording; None where only the order is known."""
    stack: Stack
    name: str = ""
    """For the record, where the path is not enough."""

    @property
    def label(self) -> str:
        """``name``, or the path."""
        return self.name or self.stack.source


Finder = Callable[[str], list[Source]]
"""The series that a path, or ``own``, stands for."""


def corrected(stack: Stack, fields: Fields, flats: Finder, darks: Finder) -> Stack:
    """The frames of ``stack`` by ``fields``, in float32, float64 of 32-bit integers and float64.

    Flats before and after are interpolated linearly in time. Raises InputError where sizes differ or no flat is
    brighter than the dark.
    """
    light = [each for path in fields.flats for each in flats(path)]
    shade = [each for path in fields.darks for each in darks(path)]
    for kind, sources in (("flat", light), ("dark", shade)):
        for source in sources:
            _check_size(kind, source.stack, stack)
    dtype = np.result_type(stack.dtype, np.float32)
    dark = np.mean([_mean(x.stack) for x in shade], axis=0) if shade else np.zeros(stack.shape[1:])
    gains = [_mean(x.stack) - dark for x in light]
    dead = _dead(gains, stack)
    beam = _beam_of(fields, stack)
    field = _between([g.astype(dtype) for g in gains], _positions(light, len(stack)), stack.clock.since_start)
    offset = dark.astype(dtype)

    def read(i: int) -> NDArray[Any]:
        frame: NDArray[Any] = stack.read(i).astype(dtype) - offset
        with np.errstate(divide="ignore", invalid="ignore"):
            frame = frame / field(i) if gains else frame
            frame[dead] = np.nan
            return frame if beam is None else (frame / beam(frame)).astype(dtype)

    used = tuple((x.label, x.stack.digest()) for x in (*light, *shade))
    said = (*stack.metadata.warnings, *_warnings(stack, fields, [*light, *shade], dead))
    files = dict.fromkeys((*stack.metadata.files, *(f for x in (*light, *shade) for f in x.stack.files)))
    return stack.derive(
        read,
        stack.shape,
        dtype,
        metadata=replace(stack.metadata, warnings=said, files=tuple(files), fields=used),
        digest=lambda: _digest(stack, fields, used),
    )


def _check_size(kind: str, field: Stack, stack: Stack) -> None:
    if field.shape[1:] != stack.shape[1:]:
        raise InputError(
            field.source,
            expected=f"a {kind} of {stack.shape[1]} x {stack.shape[2]} pixels, as the frames of {stack.source}",
            found=f"{field.shape[1]} x {field.shape[2]}",
            hint=f"give the {kind} of this camera, taken with the same region of the sensor",
        )
    here, there = (x.metadata.camera.region for x in (stack, field))
    if None not in (here, there) and here != there:
        raise InputError(
            field.source,
            expected=f"a {kind} of the pixels {here} of the sensor, as the frames of {stack.source}",
            found=str(there),
            hint=f"take the {kind} with the same region of the sensor",
        )


def _mean(stack: Stack) -> NDArray[np.float64]:
    total = np.zeros(stack.shape[1:], np.float64)
    for i in range(len(stack)):
        total += stack.read(i)
    return total / len(stack)


def _dead(gains: list[NDArray[np.float64]], stack: Stack) -> NDArray[np.bool_]:
    """(H, W) pixels that do not respond to the open beam in one of the flats."""
    dead = np.zeros(stack.shape[1:], bool)
    for gain in gains:
        middle = float(np.nanmedian(gain)) if np.isfinite(gain).any() else 0.0
        if middle <= 0:
            raise InputError(
                stack.source,
                problem="its flat is not brighter than its dark",
                hint="check that flat and dark are not exchanged, and that the beam was on",
            )
        dead |= ~(gain > DEAD * middle)
    return dead


def _positions(sources: list[Source], count: int) -> list[float]:
    """Frame numbers of series in order: those that are known, else from the first to the last frame."""
    known = [x.position for x in sources]
    if len(sources) > 1 and None in known:
        return [float(x) for x in np.linspace(0, count - 1, len(sources))]
    return [x or 0.0 for x in known]


def _between(
    gains: list[NDArray[Any]], positions: list[float], times: NDArray[np.int64]
) -> Callable[[int], NDArray[Any]]:
    """The field at a frame: linear in time between two series, the nearest one before and after all."""
    frames = np.arange(len(times))
    order = sorted(range(len(positions)), key=lambda k: positions[k])
    taken = np.interp([positions[k] for k in order], frames, times.astype(np.float64))

    def field(i: int) -> NDArray[Any]:
        place = float(np.interp(times[i], taken, np.arange(len(taken))))
        left = min(int(place), len(gains) - 1)
        part = gains[0].dtype.type(place - left)
        here: NDArray[Any] = gains[order[left]]
        if part:
            here = (1 - part) * here + part * gains[order[left + 1]]
        return here

    return field


def _beam_of(fields: Fields, stack: Stack) -> Callable[[NDArray[Any]], float] | None:
    """The intensity of the beam in a frame; None where frames are not divided by it."""
    region = fields.beam
    if region is None:
        return None
    if isinstance(region, str):
        return lambda frame: float(np.nanmean(frame))
    height, width = stack.shape[1:]
    if not region.holds_pixels or region.bottom > height or region.right > width:
        raise InputError(
            stack.source,
            expected=f"a region of open beam inside {height} x {width} pixels",
            found=str(region),
            hint="give rows and columns of this camera as A:B,C:D",
        )
    return lambda frame: float(np.nanmean(frame[region.top : region.bottom, region.left : region.right]))


def _warnings(
    stack: Stack, fields: Fields, sources: list[Source], dead: NDArray[np.bool_]
) -> Iterator[XFusionWarning]:
    if stack.metadata.corrected:
        text = f"The file says that {stack.metadata.corrected}; flat and dark are applied again."
        yield XFusionWarning("corrected-twice", text, stack.source)
    yield from _other_corrections(stack, sources)
    if fields.flats and not fields.darks:
        text = "Its flat is used without a dark: the offset of the camera stays in the frames."
        yield XFusionWarning("no-dark", text, stack.source)
    if dead.mean() > MOST_DEAD:
        text = f"{int(dead.sum())} of {dead.size} pixels do not respond to the open beam and are filled in."
        yield XFusionWarning("dead-pixels", text, stack.source)


def _other_corrections(stack: Stack, sources: list[Source]) -> Iterator[XFusionWarning]:
    """A warning about the first flat or dark that the camera corrected otherwise than the frames.

    Where it corrected both alike, its offsets and gains are in I, D and F, and (I - D) / (F - D) is free of them.
    """
    done = stack.metadata.camera.corrected
    for source in sources:
        other = source.stack.metadata.camera.corrected
        if other != done:
            frames, field = (x or "no correction that the file names" for x in (done, other))
            text = f"The camera corrected its frames ({frames}) otherwise than {source.label} ({field})."
            yield XFusionWarning("camera-corrected", text, stack.source)
            return


def _digest(stack: Stack, fields: Fields, used: tuple[tuple[str, str], ...]) -> str:
    """sha256 of the content that decides the values: frames, flats and darks, and how they are used."""
    content = [stack.digest(), len(fields.flats), fields.beam, *(digest for _, digest in used)]
    return hashlib.sha256(repr(content).encode()).hexdigest()
