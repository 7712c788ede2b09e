"""Every code block of README and the site runs, in order, in a folder with sequences of the names used there."""

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from napari_xfusion.core.networks.build import edvr_stf
from napari_xfusion.lab.study import preset, read_plan
from tests.cameras import write_cine
from tests.core.networks.test_engine import SIZES, lively
from tests.docs.blocks import PAGES, blocks
from tests.sequences import moving_discs, two_cameras

RUNNABLE = [page for page in PAGES if any(b.language in ("bash", "python") for b in blocks(page))]
LANGUAGES = {"bash", "python", "powershell", "json", "text", "toml"}


@pytest.fixture(scope="module")
def sequences(tmp_path_factory):
    """lr.tif and hr.tif, an HR frame every 20, their truth as movie.tif; and published.pth."""
    folder = tmp_path_factory.mktemp("sequences")
    truth = moving_discs(45, (32, 64))
    lr, hr, _ = two_cameras(truth, 20, last=False)
    for name, sequence in (("lr", lr), ("hr", hr), ("movie", truth)):
        grey = (sequence * 4000).astype(np.uint16)
        tifffile.imwrite(folder / f"{name}.tif", grey, imagej=True, metadata={"axes": "TYX"})
    write_cine(folder / "shot.cine", (truth[:5] * 4000).astype(np.uint16))
    network = lively(edvr_stf(**SIZES.model_dump()))
    torch.save({"params": network.state_dict()}, folder / "published.pth")
    return folder


@pytest.fixture
def environment(monkeypatch):
    monkeypatch.setenv("PATH", sysconfig.get_path("scripts"), prepend=":")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.mark.early
@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: page.name)
def test_the_blocks_of_a_page_run(page, sequences, environment, tmp_path):
    folder = shutil.copytree(sequences, tmp_path / "sequences")
    said = ""
    for block in blocks(page):
        if block.reason is not None:
            continue
        where = f"{block.page}:{block.line}"
        if block.language in ("bash", "python"):
            said = run(block.language, block.code, folder, where)
        elif block.title == "it says":
            assert matches(block.code, said), f"{where}: what it says is\n{said}"
        elif block.language == "json":
            (folder / block.title).write_text(block.code)


def run(language: str, code: str, folder: Path, where: str) -> str:
    """Run a block; what it printed."""
    command = ["bash", "-euo", "pipefail", "-c"] if language == "bash" else [sys.executable, "-c"]
    done = subprocess.run(
        [*command, code], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{where}:\n{code}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def matches(shown: str, said: str) -> bool:
    """Whether ``said`` is what a page shows, where a line of dots stands for any lines."""
    pattern = "".join(".*" if line.strip() == "..." else re.escape(line) for line in shown.splitlines(True))
    return re.fullmatch(pattern, said, re.DOTALL) is not None


def test_blocks_that_do_not_run_say_why(request):
    """``-rs`` lists them."""
    left_out = [block for page in PAGES for block in blocks(page) if block.reason is not None]
    assert all(len(block.reason.split()) > 1 for block in left_out)
    pytest.skip("; ".join(f"{b.page}:{b.line} {b.reason}" for b in left_out))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_found_and_has_a_language(page):
    fences = page.read_text(encoding="utf-8").count("```")
    found = blocks(page)
    assert fences == 2 * len(found), f"{page.name} has fences that are no blocks"
    assert not {(b.line, b.language) for b in found if b.language not in LANGUAGES}


def test_the_plan_shown_is_a_plan(tmp_path):
    (shown,) = [b for b in blocks(next(p for p in PAGES if p.name == "study.md")) if b.title == "mine.json"]
    (tmp_path / shown.title).write_text(shown.code)
    plan = read_plan(tmp_path / shown.title)
    assert plan.base in plan.conditions
    assert plan != preset("quick", frames=200)
