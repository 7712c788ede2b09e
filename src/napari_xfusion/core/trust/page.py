"""The page of a report: tables, curves and pictures of a result, in one file of HTML."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from napari_xfusion._version import __version__
from napari_xfusion.core.catalogue import METHODS
from napari_xfusion.core.holdout.score import Score
from napari_xfusion.core.results.record import record_path
from napari_xfusion.core.rig import Camera
from napari_xfusion.core.trust.result import Result
from napari_xfusion.core.trust.sources import FINE, SOURCES, Shares, SourceMap
from napari_xfusion.core.trust.summary import Line
from napari_xfusion.core.types import Image

WORST = 3
"""Frames that are shown."""
WIDEST = 480
"""Columns of a picture."""


class Picture(NamedTuple):
    """A picture of a frame."""

    title: str
    png: str
    """Base64."""


class Looked(NamedTuple):
    """A frame that was looked at."""

    number: int
    target: int
    shares: Shares
    off: float
    """Root mean square disagreement with LR, grey units."""


class ShownFrame(NamedTuple):
    """A frame that is shown."""

    target: int
    share: float
    """Part of the detail by the method alone."""
    pictures: list[Picture]


def render(result: Result, looked: Sequence[Looked], score: Score | str, summary: Sequence[Line]) -> str:
    """The page about a result, HTML; ``score`` is the reason where there is none."""
    record, rig = result.record, result.record.rig
    means = {source.name: float(np.mean([x.shares.fine[source.name] for x in looked])) for source in FINE}
    shares = Shares(float(np.mean([each.shares.lr for each in looked])), means)
    worst = sorted(looked, key=lambda each: -each.shares.fine["method"])[:WORST]
    times = [each.target for each in looked]
    cameras = [{"name": name.upper()} for name in rig.cameras]
    values = {
        "name": Path(result.path).name,
        "record_name": record_path(result.path).name,
        "saved": result.saved,
        "suffix": Path(result.path).suffix,
        "record": record,
        "targets": result.targets,
        "shape": result.sequence.shape[1:],
        "method": METHODS[record.plan.method].title,
        "version": __version__,
        "now": datetime.now(UTC).isoformat(timespec="minutes"),
        "summary": summary,
        "cameras": cameras,
        "camera_rows": list(_camera_rows(result)),
        "pairing": list(_pairing(result)),
        "score": score if isinstance(score, Score) else None,
        "no_score": score,
        "shares": shares,
        "fine": FINE,
        "looked": looked,
        "share_curve": curve(times, [100 * each.shares.fine["method"] for each in looked], "%"),
        "lr_curve": curve(times, [100 * each.off for each in looked], "%", level=100 * rig.lr_noise),
        "lr_noise": rig.lr_noise,
        "pictures": [_shown(result, each) for each in worst],
        "versions": [("sha256 of the weights", record.weights or "-"), *sorted(record.versions.items())],
    }
    template = files("napari_xfusion.core.trust").joinpath("report.html.jinja").read_text(encoding="utf-8")
    return Environment(autoescape=True, undefined=StrictUndefined).from_string(template).render(values)


def _camera_rows(result: Result) -> Iterator[tuple[str, list[str]]]:
    record = result.record
    cameras = list(record.rig.cameras.items())

    def row(title: str, of: Any) -> tuple[str, list[str]]:
        return title, [of(name, camera) for name, camera in cameras]

    yield row("file", lambda _n, camera: camera.source)
    yield row("sha256", lambda name, _c: record.inputs[name].sha256 if name in record.inputs else "-")
    yield row("frames", lambda _n, camera: "{} of {}×{}, {}".format(*camera.shape, camera.dtype))
    yield row("pixel size", lambda _n, camera: _or(camera.pixel_size, "{:g} µm"))
    yield row("interval", lambda _n, camera: _or(camera.clock.interval, "{:.6g} s"))
    yield row("left out", lambda _n, camera: _bad(camera))


def _or(value: float | None, form: str) -> str:
    return "not known" if value is None else form.format(value)


def _bad(camera: Camera) -> str:
    health = camera.health
    return f"{len(health.frames)} frames, {len(health.pixels) + len(health.blind)} pixels"


def _pairing(result: Result) -> Iterator[tuple[str, str]]:
    rig, plan = result.record.rig, result.record.plan
    times = rig.hr_times
    yield "scale", "{:.4g} × {:.4g} HR pixels per LR pixel".format(*rig.grids.scale)
    gaps = np.diff(times)
    if len(gaps):
        yield "HR frames", f"{len(times)}, {np.median(gaps):g} LR frames apart (at most {gaps.max():g})"
    yield "correlation", f"{rig.correlation:.4f} of LR and binned HR"
    yield "noise", f"LR {rig.lr_noise:.2%} of the grey scale"
    yield "blur", "LR {:.2f} (down), {:.2f} (across) LR pixels beyond its own".format(*rig.fast.blur)
    known = plan.calibration
    if known is None:
        yield "rig file", "none: both cameras were taken to show the same field"
        return
    yield "rig file", f"made {known.made} from {known.way}"
    if known.residuals is not None:
        rms, largest, left_out = known.residuals.rms, known.residuals.largest, known.residuals.left_out
        text = f"{rms:.3f} HR pixels RMS, {largest:.3f} at most, {left_out:.3f} of points left out"
        yield "residual", f"{text}; {known.residuals.count} points"
    if known.clock is not None:
        clock = known.clock
        start, error = clock.offset_ns / 1e3, clock.uncertainty_ns / 1e3
        yield "clock", f"HR starts {start:.6g} ± {error:.2g} µs after LR, from {clock.source}"


def _shown(result: Result, looked: Looked) -> ShownFrame:
    image = result.sequence.frame(looked.number)
    found = result.sources_of(looked.number)
    grey = np.asarray(result.record.rig.hr.grey.to_grey(image), np.float32)
    lr = result.sources.shown(
        result.record.rig.grids.up(result.reader.lr_frame(looked.target)), result.region
    )
    own = result.sources.shown(found.alone, result.region)
    pictures = [
        Picture("LR, enlarged", _png(_grey(lr))),
        Picture("fused", _png(_grey(grey))),
        Picture("main source of the detail", _png(_coloured(result, found))),
        Picture("the method's own, ±20 % of the grey scale", _png(_grey(0.5 + own / 0.4))),
    ]
    return ShownFrame(looked.target, looked.shares.fine["method"], pictures)


def _coloured(result: Result, found: SourceMap) -> NDArray[np.uint8]:
    palette = np.array([[int(s.colour[i : i + 2], 16) for i in (5, 3, 1)] for s in SOURCES], np.uint8)
    return palette[result.sources.shown_main(found, result.region)]


def _grey(image: Image) -> NDArray[np.uint8]:
    return np.rint(255 * np.clip(np.nan_to_num(image), 0, 1)).astype(np.uint8)


def _png(image: NDArray[np.uint8]) -> str:
    factor = WIDEST / image.shape[1]
    if factor < 1:
        image = np.asarray(
            cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8
        )
    return base64.b64encode(cv2.imencode(".png", image)[1].tobytes()).decode()


def curve(times: Sequence[float], values: Sequence[float], unit: str, level: float | None = None) -> Markup:
    """A curve as SVG with its largest value and the first and last time; a dashed line at ``level``."""
    known = [value for value in values if math.isfinite(value)]
    top = max([*known, level or 0.0]) or 1.0
    first, last = times[0], times[-1]

    def x(time: float) -> float:
        return 60 + 900 * (time - first) / max(last - first, 1)

    def y(value: float) -> float:
        return 110 - 95 * value / top

    points = " ".join(
        f"{x(t):.1f},{y(v):.1f}" for t, v in zip(times, values, strict=True) if math.isfinite(v)
    )
    line = '<line x1="60" x2="960" y1="{0:.1f}" y2="{0:.1f}" stroke="currentColor" {1}/>'
    dashed = "" if level is None else line.format(y(level), 'stroke-dasharray="4 4" opacity=".6"')
    label = '<text x="{:.0f}" y="{:.0f}" text-anchor="{}">{}</text>'
    labels = (
        label.format(54, 20, "end", f"{top:.3g} {unit}")
        + label.format(54, 114, "end", "0")
        + label.format(60, 128, "start", f"LR frame {first:g}")
        + label.format(960, 128, "end", f"{last:g}")
    )
    drawn = f'<polyline points="{points}" fill="none" stroke="#0072B2" stroke-width="2"/>'
    svg = f'<svg viewBox="0 0 980 134" role="img">{line.format(110, "")}{dashed}{drawn}{labels}</svg>'
    return Markup(svg)  # noqa: S704 - numbers only
