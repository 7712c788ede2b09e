"""The site builds strictly, its notebooks run, and it needs nothing from elsewhere when it is read."""

import html
import json
import os
import re
import subprocess
import sys

import pytest

import napari_xfusion
from napari_xfusion.cli.commands import app, models, rig
from napari_xfusion.lab import demo
from tests.docs.blocks import ROOT
from tests.small_sample import write_small_sample

pytest.importorskip("mkdocs")
NOTEBOOKS = sorted(path.stem for path in (ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.fixture(
    scope="module",
    params=["notebooks as they are", "notebooks executed"],
)
def site(request, tmp_path_factory):
    """The folder of the site; whether its notebooks were executed."""
    folder, executed = tmp_path_factory.mktemp("site"), request.param == "notebooks executed"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "SITE_EXECUTE": str(executed).lower()}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder, executed


@pytest.mark.slow
def test_the_site_is_whole(site):
    """One build for all; continuous integration builds it with every commit."""
    site, executed = site
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
    for name in NOTEBOOKS:
        drawn = re.findall(r'<img[^>]*src="data:image/png', pages[f"notebooks/{name}/index.html"])
        assert bool(drawn) == executed, name
    reference = pages["reference/python/index.html"]
    for name in set(napari_xfusion.__all__) - {"__version__"}:
        assert re.search(rf'id="napari_xfusion\.[\w.]+\.{name}"', reference), name
    commands = html.unescape(pages["reference/commands/index.html"])
    for prefix, group in (("", app), ("models ", models), ("rig ", rig)):
        for command in group.registered_commands:
            assert f"Usage: napari-xfusion {prefix}{command.name or command.callback.__name__} " in commands


@pytest.mark.early
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_cells_of_a_notebook_run(name, tmp_path, monkeypatch):
    """In this process, on a part of the sample."""
    plt = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.setattr(demo, "SAMPLE_PLACES", (write_small_sample(tmp_path / "sample"),))
    plt.switch_backend("agg")
    notebook = json.loads((ROOT / "docs" / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    names = {"__name__": "__main__"}
    for number, cell in enumerate(cells):
        exec(compile(cell, f"{name}, cell {number}", "exec"), names)  # noqa: S102 - our own
    assert plt.get_fignums()
    plt.close("all")


def foreign(page: str) -> list[str]:
    """What a browser would fetch from another place to show ``page``; links to follow do not count."""
    tags = re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*>", page)
    return [t for t in tags if re.search(r"(?:src|href)=[\"']?(?:https?:)?//", t) and "canonical" not in t]
