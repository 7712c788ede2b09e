"""The project's own study as a page of the documentation.

    python benchmarks/study_page.py STUDY docs/benchmark-study.md

reads STUDY/results.json, which `napari-xfusion study ... -o STUDY` wrote, and writes the page, with its
pictures in docs/images/study/. No number in the page is typed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from napari_xfusion.lab.study.facts import CAPTIONS
from napari_xfusion.lab.study.report import IMAGES

INTRODUCTION = """\
# The paper's experiments on our recordings

`benchmarks/study_page.py` generates this page from the results of the study below; every number comes from its table.

```bash title="not tested: takes hours"
{commands}
```

**This study uses neither the paper's data nor its weights.** *additive* and *stirring* are simulated radiographs of
the processes that the paper recorded (laser melting and friction stir welding). *tensile* is a real recording: x-ray
projections of a tensile bar, 14 frames of [SerialTrackXR](https://github.com/usnistgov/SerialTrackXR)
(NIST licence). The bundled networks were trained on random draws of such simulated scenes, so the simulated recordings
are easier for them than the real one. Compare trends with the paper, not absolute values. Statements of the paper about
EDVR-STF are tested here with the best network that uses HR, which is `lite`, not the paper's network.
`edvr-small` and `edvr-stf-small` were smaller and less trained than
[the weights that are bundled now](networks.md#bundled-weights).

PSNR is in dB. AAD is the mean absolute difference in 8-bit levels. SSIM uses the 7x7 uniform filter. *Unseen* frames
are those at whose time no HR frame was given.
"""
WIDTH = 1200
"""Pixels of a picture in the page."""
NARROW = 800
"""The same, of images of sequences, which are large as files."""


def page(facts: dict[str, Any]) -> Iterator[str]:
    """The page, a part at a time."""
    commands = ["python benchmarks/paper_movies.py sequences", facts["command"]]
    yield INTRODUCTION.format(commands="\n".join(commands))
    for sequence in facts["sequences"]:
        height, width = sequence["size"]
        yield f"## {sequence['name']}\n"
        yield f"{sequence['frames']} frames of {height}x{width}. Base condition: {sequence['base']['said']}.\n"
        yield table(
            ["method", "PSNR mean", "PSNR median", "AAD", "SSIM", "PSNR, all frames", "s/frame"],
            [
                [
                    name,
                    number(summary["unseen"]["psnr"]["mean"], 2),
                    number(summary["unseen"]["psnr"]["median"], 2),
                    number(summary["unseen"]["aad"]["mean"], 3),
                    number(summary["unseen"]["ssim"]["mean"], 4),
                    number(summary["all"]["psnr"]["mean"], 2),
                    seconds(sequence["times"].get(name)),
                ]
                for name, summary in sequence["summary"].items()
            ],
        )
        for sweep in sequence["sweeps"].values():
            yield f"Median PSNR of unseen frames against {sweep['axis']}:\n"
            rows = [[name, *(number(m, 2) for m in medians)] for name, medians in sweep["medians"].items()]
            yield table(["method", *sweep["labels"]], rows)
        yield table(
            ["statement of the paper", "here", "numbers here", "in the paper"],
            [[s["text"], verdict(s["holds"]), s["found"], s["paper"]] for s in sequence["statements"]],
        )
        for name, caption in CAPTIONS.items():
            yield f"![{caption}](images/study/{sequence['name']}-{name}.png)\n\n*{caption}*\n"
    yield "## How it was made\n"
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    yield f"napari-xfusion {facts['napari_xfusion']}, {facts['made'][:10]}, {facts['machine']}; {versions}.\n"
    sums = {sequence["source"]: sequence["sha256"] for sequence in facts["sequences"]} | facts["weights"]
    yield table(["recording or weights", "sha256"], [[name, f"`{value}`"] for name, value in sums.items()])
    yield "\n".join(f"- {note}" for note in facts["notes"])


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines) + "\n"


def number(value: float | None, digits: int) -> str:
    """A number, or a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def seconds(time: dict[str, Any] | None) -> str:
    """A median time."""
    return "-" if time is None else f"{time['median']:.2g}"


def verdict(holds: bool | None) -> str:
    """In words."""
    return "not tested" if holds is None else "holds" if holds else "does not hold"


def copy_picture(source: Path, target: Path) -> None:
    """A figure at the page's width, images of sequences in grey."""
    with Image.open(source) as picture:
        sequence = source.stem in IMAGES
        small = picture.convert("L" if sequence else "RGB")
        small.thumbnail((NARROW if sequence else WIDTH, 10 * WIDTH))
        small.save(target, optimize=True)


def main() -> None:
    """Write the page and its pictures."""
    study, target = Path(sys.argv[1]), Path(sys.argv[2])
    facts = json.loads((study / "results.json").read_text(encoding="utf-8"))
    pictures = target.parent / "images" / "study"
    pictures.mkdir(parents=True, exist_ok=True)
    lines = list(page(facts))
    for sequence in facts["sequences"]:
        for name in CAPTIONS:
            source = study / sequence["name"] / f"{name}.png"
            if source.is_file():
                copy_picture(source, pictures / f"{sequence['name']}-{name}.png")
            else:
                lines = [line for line in lines if f"{sequence['name']}-{name}.png" not in line]
    target.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
