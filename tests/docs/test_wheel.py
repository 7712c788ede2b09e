"""What goes into the package: the wheel's files and size, its metadata, and the conda recipe beside it."""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import napari_xfusion
from tests.docs.blocks import ROOT

pytest.importorskip("hatchling")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONDA_NAMES = {
    "dask": "dask-core",
    "napari": "napari-base",
    "opencv-python-headless": "py-opencv",
    "torch": "pytorch",
}
"""Where conda-forge calls a package otherwise than PyPI."""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel and the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def test_the_wheel_holds_the_package_and_nothing_else(built):
    wheel, sdist = built
    assert wheel.stat().st_size <= 20e6
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
        metadata = next(n for n in names if n.endswith("METADATA"))
        said = opened.read(metadata).decode()
    assert {name.split("/")[0] for name in names} == {"napari_xfusion", metadata.split("/")[0]}
    sources = {p.relative_to(ROOT / "src").as_posix() for p in (ROOT / "src").rglob("*") if p.suffix in KINDS}
    rig = (f"rig/{path.name}" for path in (ROOT / "sample_data" / "rig").iterdir())
    added = {f"napari_xfusion/sample_data/{n}" for n in ("lr.tif", "hr.tif", "truth.tif", *rig)}
    assert {name for name in names if name.startswith("napari_xfusion/")} == sources | added
    assert "Framework :: napari" in said
    assert f"Version: {napari_xfusion.__version__}" in said
    with tarfile.open(sdist) as opened:
        inside = {name.split("/", 1)[1] for name in opened.getnames()}
    assert {"tests/test_package.py", "docs/index.md", "sample_data/lr.tif", "LICENSE"} <= inside
    assert not {name for name in inside if name.startswith((".venv", ".ci", "demo/", "site/"))}


KINDS = {".py", ".yaml", ".typed", ".safetensors", ".jinja", ".json", ".svg"}


def test_the_conda_recipe_needs_what_the_package_needs():
    text = (ROOT / "conda" / "recipe.yaml").read_text(encoding="utf-8")
    recipe = yaml.safe_load(text)
    listed = {line.split()[0]: line.split()[1] for line in recipe["requirements"]["run"]}
    needed = {}
    for requirement in map(Requirement, PROJECT["dependencies"]):
        needed[CONDA_NAMES.get(requirement.name, requirement.name)] = str(requirement.specifier)
    assert listed.pop("python") == ">=${{"
    assert listed == needed
    assert recipe["context"]["version"] == napari_xfusion.__version__
    assert recipe["about"]["summary"] == PROJECT["description"]
    assert recipe["about"]["license"] == PROJECT["license"]
    (script,) = recipe["build"]["python"]["entry_points"]
    assert dict([script.split(" = ")]) == PROJECT["scripts"]


def test_the_lowest_versions_that_are_tried_are_the_lower_bounds():
    lines = (ROOT / "tools" / "lowest.txt").read_text(encoding="utf-8").splitlines()
    tried = dict(line.split("==") for line in lines if not line.startswith("#"))
    bounds = {
        requirement.name: requirement.specifier for requirement in map(Requirement, PROJECT["dependencies"])
    }
    assert tried.keys() == bounds.keys()
    for name, bound in bounds.items():
        (lowest,) = (part for part in bound if part.operator == ">=")
        assert tried[name] in SpecifierSet(f"=={lowest.version}.*"), name


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == napari_xfusion.__version__
    assert citation["license"] == PROJECT["license"]
    assert PROJECT["urls"]["Paper"].endswith(citation["preferred-citation"]["doi"])
    assert re.search(re.escape(citation["preferred-citation"]["doi"]), (ROOT / "README.md").read_text())
