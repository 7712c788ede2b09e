"""What the site makes of the package: its commands as a page, its icon; and of formulas, MathML.

Called by MkDocs (mkdocs.yml).
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import typer
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from typer.testing import CliRunner

ICON = Path(__file__).parents[1] / "src" / "napari_xfusion" / "icon.svg"
COMMANDS = "<!-- the commands -->"
"""In a page, stands for the help of every command."""
FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<tex>.*?)\\[)\]]</(?P=tag)>', re.DOTALL
)


def on_files(files: Files, config: MkDocsConfig, **_: Any) -> Files:
    """Add the icon that napari shows."""
    files.append(File.generated(config, "images/icon.svg", abs_src_path=str(ICON)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the help of every command where a page asks for it."""
    return markdown.replace(COMMANDS, _help_of_all()) if COMMANDS in markdown else markdown


def on_page_content(content: str, **_: Any) -> str:
    """Turn formulas into MathML, which browsers draw without a script."""
    return FORMULA.sub(_mathml, content)


def _mathml(formula: re.Match[str]) -> str:
    display = "block" if formula["tag"] == "div" else "inline"
    return str(convert(html.unescape(formula["tex"]), display=display))


def _help_of_all() -> str:
    """A section for each command, from its own --help."""
    from napari_xfusion.cli.commands import app, models, rig  # noqa: PLC0415 - only one page needs it

    names = [
        *_names(app),
        *(f"models {name}" for name in _names(models)),
        *(f"rig {name}" for name in _names(rig)),
    ]
    runner = CliRunner()
    sections = []
    for name in names:
        said = runner.invoke(
            app, [*name.split(), "--help"], env={"COLUMNS": "100"}, prog_name="napari-xfusion"
        )
        if said.exit_code != 0:
            raise RuntimeError(f"napari-xfusion {name} --help: {said.output}")
        sections.append(f"## {name}\n\n```text\n{said.output.strip()}\n```\n")
    return "\n".join(sections)


def _names(app: typer.Typer) -> list[str]:
    return [str(c.name or c.callback.__name__) for c in app.registered_commands if c.callback]
