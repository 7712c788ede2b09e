"""Turn the results of `run.sh` into Markdown: `python benchmarks/gpu/tables.py OUT`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree


def rows(head: Sequence[str], body: Sequence[Sequence[object]]) -> Iterator[str]:
    """A Markdown table."""
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in body:
        yield "| " + " | ".join("" if x is None else str(x) for x in row) + " |"


def tests(path: Path) -> Iterator[str]:
    """How many tests passed, and the names of those that did not."""
    suite = ElementTree.parse(path).getroot()[0]  # noqa: S314 - our own file of a moment ago
    counts = {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}
    passed = counts["tests"] - counts["failures"] - counts["errors"] - counts["skipped"]
    yield f"Tests marked gpu: {passed} of {counts['tests']} passed, {counts['skipped']} skipped."
    for case in suite.iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            yield f"- failed: `{case.attrib['name']}`"


def speed(path: Path) -> Iterator[str]:
    """The forms of the full-size network, the bundled networks, and where the time goes."""
    found = json.loads(path.read_text(encoding="utf-8"))
    height, width = found["size"]
    yield f"Full-size `edvr-stf`, {height}x{width}, {found['device']}, torch {found['torch']}:\n"
    head = (
        "precision",
        "deformable convolution",
        "targets at a time",
        "ms/frame",
        "floor",
        "PSNR to float32, dB",
    )
    keys = ("precision", "kernel", "targets", "ms", "floor", "psnr")
    body = [
        [row.get(key, row.get("error") if key == "ms" else None) for key in keys]
        for row in found["full size"]
    ]
    yield from rows(head, body)
    for name, keys in {
        "bundled": ("model", "device", "precision", "ms"),
        "profile": ("kernel", "ms", "calls"),
    }.items():
        if isinstance(found.get(name), list) and found[name]:
            yield f"\n{name}:\n"
            yield from rows(keys, [[row[key] for key in keys] for row in found[name]])


def train(path: Path) -> Iterator[str]:
    """The held-out figures of a leg."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    leg = found["leg"]
    yield f"Training on {leg['device']}: {leg['iterations']} iterations of {leg['batch']} crops of"
    yield f"{leg['crop']} pixels in {leg['minutes']:g} minutes, {leg['drawn']} samples drawn."
    yield "Held out, mean PSNR in dB:\n"
    for variant, methods in found["held out"].items():
        yield from rows(
            (variant, *methods),
            [(g, *(f"{of[g]:.2f}" for of in methods.values())) for g in methods["network"]],
        )
        yield ""


PARTS: dict[str, Callable[[Path], Iterator[str]]] = {
    "tests.xml": tests,
    "speed.json": speed,
    "train.json": train,
}


def main() -> None:
    """See the module."""
    folder = Path(sys.argv[1])
    for name, part in PARTS.items():
        if (folder / name).is_file():
            print("\n".join(part(folder / name)), end="\n\n")


if __name__ == "__main__":
    main()
