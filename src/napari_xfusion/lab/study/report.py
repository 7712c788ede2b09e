"""The page report.html: a single file without scripts and external parts."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image as Picture

from napari_xfusion.core.files import write_whole
from napari_xfusion.lab.study.facts import CAPTIONS, gather
from napari_xfusion.lab.study.results import Results

IMAGES = ("panels", "divided", "methods")
"""Figures made of images, which the page contains as PNG; the others are vector graphics."""


def write_report(results: Results, folder: Path) -> tuple[Path, Path]:
    """Write report.html and results.json, from the numbers of ``results`` and the figures in ``folder``."""
    facts = gather(results)
    page, as_json = folder / "report.html", folder / "results.json"
    content = json.dumps(facts, indent=1, allow_nan=False) + "\n"
    write_whole(as_json, lambda part: part.write_text(content, encoding="utf-8"))
    html = _template().render(
        facts=facts, figures=_figures(facts, folder), plan=results.plan.model_dump_json(indent=1)
    )
    write_whole(page, lambda part: part.write_text(html, encoding="utf-8"))
    return page, as_json


def _template() -> jinja2.Template:
    # Names of sequences and models are file names and may contain any character: everything is escaped.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    environment.filters["duration"] = _duration
    return environment.get_template("report.html.jinja")


def _figures(facts: dict[str, Any], folder: Path) -> dict[str, list[dict[str, str]]]:
    """Return, by sequence, name, caption and data URI of every figure that was drawn."""
    return {
        sequence["name"]: [
            {"name": name, "caption": caption, "uri": _data_uri(folder / sequence["name"], name)}
            for name, caption in CAPTIONS.items()
            if (folder / sequence["name"] / f"{name}.svg").is_file()
        ]
        for sequence in facts["sequences"]
    }


def _data_uri(place: Path, name: str) -> str:
    if name in IMAGES:
        buffer = io.BytesIO()
        with Picture.open(place / f"{name}.png") as picture:
            picture.convert("L").save(buffer, "PNG", optimize=True)
        kind, content = "png", buffer.getvalue()
    else:
        kind, content = "svg+xml", (place / f"{name}.svg").read_bytes()
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _duration(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"
