"""An input that changes while it is fused is noticed at the end, and the record says so."""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_xfusion.core import run
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.results.record import RunRecord
from napari_xfusion.core.run import fuse_files
from tests.sequences import moving_discs, two_cameras

LR, HR, TIMES = two_cameras((moving_discs(9) * 50000).astype(np.uint16))
PLAN = make_plan(method="bicubic", hr_times=TIMES)


@pytest.fixture
def pair(tmp_path):
    frames = tmp_path / "lr"
    frames.mkdir()
    for k, frame in enumerate(LR.astype(np.uint16)):
        tifffile.imwrite(frames / f"f{k}.tif", frame, photometric="minisblack")
    tifffile.imwrite(tmp_path / "hr.tif", HR, photometric="minisblack")
    return frames, tmp_path / "hr.tif"


def overwrite(path: Path):
    with path.open("r+b") as file:
        file.seek(-100, os.SEEK_END)
        file.write(bytes(range(100)))


def append(path: Path):
    with path.open("ab") as file:
        file.write(b"more")


def swap(path: Path):
    tifffile.imwrite(path.with_name("other"), HR[::-1], photometric="minisblack")
    path.with_name("other").replace(path)


def touch(path: Path):
    os.utime(path, (1, 1))


def rewrite(path: Path):
    path.write_bytes(path.read_bytes())


CHANGES = [
    pytest.param("hr.tif", overwrite, True, id="HR overwritten"),
    pytest.param("hr.tif", append, True, id="HR grows"),
    pytest.param("hr.tif", swap, True, id="HR replaced"),
    pytest.param("hr.tif", Path.unlink, True, id="HR removed"),
    pytest.param("hr.tif", touch, False, id="HR touched"),
    pytest.param("hr.tif", rewrite, False, id="HR written again"),
    pytest.param("lr/f8.tif", overwrite, True, id="an LR frame overwritten"),
    pytest.param("lr/f8.tif", touch, False, id="an LR frame touched"),
]


@pytest.mark.parametrize(("name", "change", "changed"), CHANGES)
def test_a_change_is_noticed_at_the_end(pair, tmp_path, name, change, changed):
    def progress(done, total):
        if done == total:
            change(tmp_path / name)

    outcome = fuse_files(PLAN, *pair, tmp_path / "o.tif", progress=progress)
    assert [note.code for note in outcome.notes] == ["input-changed"] * changed
    assert len(RunRecord.load(tmp_path / "o.tif").warnings) == changed


def test_a_change_before_the_checksums_are_known_is_noticed(pair, tmp_path, monkeypatch):
    def pairing(*recordings):
        rig = rig_of(*recordings)
        overwrite(pair[1])
        return rig

    rig_of = run.rig_of
    monkeypatch.setattr(run, "rig_of", pairing)
    outcome = fuse_files(PLAN, *pair, tmp_path / "o.tif")
    assert [(note.code, note.subject) for note in outcome.notes] == [("input-changed", str(pair[1]))]


def test_a_new_frame_is_noticed(pair, tmp_path):
    def progress(done, total):
        if done == total:
            tifffile.imwrite(pair[0] / "f9.tif", LR[0].astype(np.uint16), photometric="minisblack")

    outcome = fuse_files(PLAN, *pair, tmp_path / "o.tif", progress=progress)
    assert [(note.code, note.subject) for note in outcome.notes] == [("input-changed", str(pair[0]))]


def test_a_result_that_was_finished_before_is_not_warned_about(pair, tmp_path):
    fuse_files(PLAN, *pair, tmp_path / "o.tif")
    assert fuse_files(PLAN, *pair, tmp_path / "o.tif", progress=lambda *_: touch(pair[1])).notes == ()
