"""The metadata of a result as RO-Crate: what was made of which files by what."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_xfusion.core.results.record import record_path
from napari_xfusion.core.trust.result import Result


def crate_path(page: Path) -> Path:
    """Where the metadata of the result of a report are."""
    return page.with_name(f"{page.stem}-ro-crate-metadata.json")


def crate_of(result: Result, page: Path) -> dict[str, Any]:
    """The metadata of the result as a Process Run Crate (RO-Crate 1.1); ``page`` is a report about it."""
    record, path = result.record, Path(result.path)
    inputs = [_file(Path(each.source), each.sha256) for each in record.inputs.values()]
    made = [_file(path), _file(record_path(path))] if result.saved else [_unsaved(path.name)]
    parts = [*inputs, *(made if result.saved else ()), _file(page)]
    software = "https://pypi.org/project/napari-xfusion/" + record.napari_xfusion
    process = "https://w3id.org/ro/wfrun/process/0.5"
    graph: list[Mapping[str, Any]] = [
        {
            "@id": "ro-crate-metadata.json",
            "@type": "CreativeWork",
            "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
            "about": {"@id": "./"},
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "name": path.name,
            "description": f"{len(record.frames)} frames fused by {record.plan.method} from two cameras",
            "datePublished": record.finished,
            "license": "not stated",
            "conformsTo": {"@id": process},
            "hasPart": [{"@id": each["@id"]} for each in parts],
            "mentions": {"@id": "#run"},
        },
        {"@id": process, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"},
        {
            "@id": "#run",
            "@type": "CreateAction",
            "name": f"Fusion by {record.plan.method}",
            "endTime": record.finished,
            "instrument": {"@id": software},
            "object": [{"@id": each["@id"]} for each in inputs],
            "result": [{"@id": made[0]["@id"]}],
        },
        {
            "@id": software,
            "@type": "SoftwareApplication",
            "name": "napari-xfusion",
            "url": software,
            "softwareVersion": record.napari_xfusion,
        },
        *parts,
        *(() if result.saved else made),
    ]
    return {"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": graph}


def _unsaved(name: str) -> dict[str, Any]:
    return {"@id": "#result", "@type": "CreativeWork", "name": name}


def _file(path: Path, sha256: str | None = None) -> dict[str, Any]:
    absolute = path if path.is_absolute() else path.resolve()
    facts = {"@id": absolute.as_uri(), "@type": "File", "name": path.name}
    return facts | ({} if sha256 is None else {"sha256": sha256})
