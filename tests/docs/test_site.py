"""The site builds strictly, with its notebooks executed, and needs nothing from elsewhere when it is read."""

import html
import re
import subprocess
import sys

import pytest

import napari_xfusion
from napari_xfusion.cli.commands import app, models
from tests.docs.blocks import ROOT

pytest.importorskip("mkdocs")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder


@pytest.mark.early
def test_the_site_is_whole(site):
    """One build for all: it executes the notebooks."""
    pages = {
        path.relative_to(site).as_posix(): path.read_text(encoding="utf-8") for path in site.rglob("*.html")
    }
    for name, page in pages.items():
        assert not foreign(page), name
        assert "arithmatex" not in page, f"{name}: a formula that is not MathML"
        for formula in re.findall(r"<math.*?</math>", page, re.DOTALL):
            assert "&amp;" not in formula, f"{name}: TeX that was not understood: {formula}"
    for path in site.rglob("*.css"):
        assert not re.findall(r"url\(\s*[\"']?(?:https?:)?//", path.read_text(encoding="utf-8")), path
    for name in ("fuse", "attention"):
        assert pages[f"notebooks/{name}/index.html"].count("data:image/png") >= 1, name
    reference = pages["reference/python/index.html"]
    for name in set(napari_xfusion.__all__) - {"__version__"}:
        assert re.search(rf'id="napari_xfusion\.[\w.]+\.{name}"', reference), name
    commands = html.unescape(pages["reference/commands/index.html"])
    for prefix, group in (("", app), ("models ", models)):
        for command in group.registered_commands:
            assert f"Usage: napari-xfusion {prefix}{command.name or command.callback.__name__} " in commands


def foreign(page: str) -> list[str]:
    """What a browser would fetch from another place to show ``page``; links to follow do not count."""
    tags = re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*>", page)
    return [t for t in tags if re.search(r"(?:src|href)=[\"']?(?:https?:)?//", t) and "canonical" not in t]
