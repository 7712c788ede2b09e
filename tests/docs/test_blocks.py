"""Every code block of README and the site runs, in order, in a folder with sequences of the names used there."""

import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from napari_xfusion.cli import main
from napari_xfusion.core.networks.build import edvr_stf
from napari_xfusion.lab.study import preset, read_plan
from tests.cameras import write_cine
from tests.core.networks.test_engine import SIZES, lively
from tests.docs.blocks import PAGES, Block, blocks
from tests.sequences import moving_discs, two_cameras

RUNNABLE = [page for page in PAGES if any(b.language in ("bash", "python") for b in blocks(page))]
SLOW = {"tutorial.md", "tutorial-rig.md", "scale.md"}
"""Their commands are also run by tests of the window and of the command line."""
IN_THIS_PROCESS = [
    pytest.param(page, id=page.name, marks=[pytest.mark.slow] if page.name in SLOW else [])
    for page in RUNNABLE
]
IN_A_SHELL = [
    pytest.param(page, id=page.name, marks=[] if page.name == "trouble.md" else pytest.mark.slow)
    for page in RUNNABLE
]
"""Each command is a process that loads torch: one page shows with every commit that the way works."""
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
@pytest.mark.parametrize("page", IN_THIS_PROCESS)
def test_the_blocks_of_a_page_run(page, sequences, environment, tmp_path, monkeypatch, capsys):
    """In this process, where all that a command imports is there already."""
    folder = shutil.copytree(sequences, tmp_path / "sequences")
    monkeypatch.chdir(folder)

    def run(block):
        if block.language == "bash" and (commands := own_commands(block.code)):
            for command in commands:
                assert main(command) == 0, f"{block.where}: {capsys.readouterr().err}"
        elif block.language == "python":
            exec(compile(block.code, block.where, "exec"), {"__name__": "__main__"})  # noqa: S102 - our own
        else:
            return run_apart(block, folder)
        return capsys.readouterr().out

    run_page(page, folder, run)


@pytest.mark.early
@pytest.mark.parametrize("page", IN_A_SHELL)
def test_the_blocks_of_a_page_run_in_a_shell(page, sequences, environment, tmp_path):
    """By the command that was installed, as readers of the page run them."""
    folder = shutil.copytree(sequences, tmp_path / "sequences")
    run_page(page, folder, lambda block: run_apart(block, folder))


def run_page(page: Path, folder: Path, run: Callable[[Block], str]) -> None:
    """Run the blocks of a page in order; ``run`` returns what a block printed."""
    said = ""
    for block in blocks(page):
        if block.reason is not None:
            continue
        if block.language in ("bash", "python"):
            said = run(block)
        elif block.title == "it says":
            assert matches(block.code, said), f"{block.where}: what it says is\n{said}"
        elif block.language == "json":
            (folder / block.title).write_text(block.code)


def own_commands(code: str) -> list[list[str]]:
    """The arguments of each command where all commands of a block are napari-xfusion; else none."""
    lines = code.replace("\\\n", " ").splitlines()
    words = [found for line in lines if (found := shlex.split(line, comments=True))]
    return [rest for _, *rest in words] if all(name == "napari-xfusion" for name, *_ in words) else []


def run_apart(block: Block, folder: Path) -> str:
    """Run a block in a process of its own; what it printed."""
    command = ["bash", "-euo", "pipefail", "-c"] if block.language == "bash" else [sys.executable, "-c"]
    done = subprocess.run(
        [*command, block.code], cwd=folder, capture_output=True, text=True, timeout=1200, check=False
    )
    assert done.returncode == 0, f"{block.where}:\n{block.code}\n{done.stdout}\n{done.stderr}"
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
