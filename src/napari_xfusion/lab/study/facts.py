"""The content of a report as plain values: results.json, and the input of the page."""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from napari_xfusion._version import __version__
from napari_xfusion.core.run import versions
from napari_xfusion.core.work import PACKAGES
from napari_xfusion.lab.study.results import SETTINGS, Results, SequenceResults
from napari_xfusion.lab.study.statements import counts, statements
from napari_xfusion.lab.study.times import machine

CAPTIONS = {
    "panels": "Both cameras and results around the middle of an interval between two HR frames. The HR row "
    "is the truth: the HR camera recorded only its first and last frame. Frames much taller than wide are "
    "cropped to their middle.",
    "divided": "The same, each frame divided by the previous one: static parts are grey.",
    "methods": "The region where the two HR frames differ most, farthest in time from both; PSNR of the "
    "complete frame.",
    "lr_psnr": "PSNR against LR noise. Unseen frames; boxes are quartiles with the median, whiskers the 5th "
    "and 95th percentile.",
    "hr_step": "PSNR against the HR step, without noise. Boxes as above.",
    "separation": "PSNR against the separation of the three LR frames. Methods without weights use a single "
    "LR frame, so the separation has no effect on them. Boxes as above.",
    "clusters": "PSNR of bayesian-paper against its number of clusters: median and quartiles of targets half "
    "way between two HR frames, at a distance of one separation from both.",
    "attention": "Attention to each HR frame, divided by that at the previous HR frame's own time: "
    "scores as in the paper or, where scores are negative, weights; below, as histograms over the time since "
    "the previous HR frame (dark: many frames).",
    "times": "Seconds per frame computed from its input frames alone, in memory: median and quartiles.",
}
"""The caption of every figure, in the order of the page."""


def gather(results: Results) -> dict[str, Any]:
    """Collect the facts of a study; numbers that are not finite are None."""
    facts = {
        "napari_xfusion": __version__,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": results.command,
        "machine": machine("cpu"),
        "versions": versions((*PACKAGES, "scikit-image", "matplotlib")),
        "weights": results.weights,
        "plan": results.plan.model_dump(mode="json"),
        "sequences": [_sequence_facts(sequence) for sequence in results.each()],
        "notes": list(map(str, results.notes)),
    }
    clean: dict[str, Any] = _finite(facts)
    return clean


def _sequence_facts(results: SequenceResults) -> dict[str, Any]:
    found = statements(results)
    return {
        "name": results.sequence.name,
        "source": results.sequence.recording.path.name,
        "sha256": results.sequence.sha256,
        "frames": results.sequence.frames,
        "size": list(results.sequence.size),
        "base": {"name": results.base, "said": str(results.condition)},
        "best": results.best(),
        "summary": {name: results.summary(name) for name in results.series},
        "sweeps": {
            setting: {
                "axis": axis,
                "labels": list(results.sweep(setting)),
                "medians": {
                    name: [results.median(name, condition=c) for c in results.sweep(setting).values()]
                    for name in results.series
                },
            }
            for setting, axis in SETTINGS.items()
            if results.sweep(setting)
        },
        "times": {time.series: asdict(time) for time in results.times},
        "statements": [asdict(statement) for statement in found],
        "counts": dict(counts(found)),
        "notes": list(map(str, results.notes)),
    }


def _finite(value: Any) -> Any:
    """Replace numbers that JSON cannot represent by None."""
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
