"""The run record: what is written is read back, and nothing else is taken for a record."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_xfusion.core.plan import Plan
from napari_xfusion.core.results.record import FORMAT, RunRecord, read_times
from napari_xfusion.core.run import fuse_files
from napari_xfusion.errors import InputError, ModelError
from tests.sequences import moving_discs, stack, two_cameras


@pytest.fixture
def fused(tmp_path):
    lr, hr, times = two_cameras((moving_discs(9) * 1000).astype(np.uint16))
    fuse_files(Plan(method="bicubic", hr_times=times, frames=(2, 7)), lr, hr, tmp_path / "fused.tif")
    return tmp_path / "fused.tif"


@pytest.fixture
def recordings(tmp_path):
    """Paths of LR and HR, and the result of fusing them."""
    lr, hr, times = two_cameras((moving_discs(9) * 1000).astype(np.uint16))
    paths = [tmp_path / "lr.tif", tmp_path / "hr.tif"]
    for path, images in zip(paths, (lr, hr), strict=True):
        tifffile.imwrite(path, images, photometric="minisblack", metadata={"axes": "TYX"})
    plan = Plan(method="flow", hr_times=times, frames=(1, 6), region=(4, 40, 0, 60), dtype="float32")
    fuse_files(plan, *paths, tmp_path / "fused.tif")
    return *paths, tmp_path / "fused.tif"


def test_a_repeated_run_gives_equal_bytes_and_over_its_own_result_there_is_nothing_to_do(
    recordings, tmp_path, monkeypatch
):
    *_, fused = recordings
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    record = RunRecord.load(fused)
    outcome = record.run("again.tif")
    assert (outcome.finished, outcome.frames, outcome.resumed) == (True, 5, 0)
    assert Path("again.tif").read_bytes() == fused.read_bytes()
    assert RunRecord.load("again.tif").identity == record.identity
    assert record.run(fused).resumed == 5


def test_the_record_has_the_time_offset_and_the_repeated_run_adds_it_once(tmp_path):
    lr, hr, times = two_cameras((moving_discs(9) * 1000).astype(np.uint16))
    sequences = stack(lr, interval=1e-6), stack(hr)
    plan = Plan(method="interpolation", hr_times=times, hr_time_offset=-250)
    fuse_files(plan, *sequences, tmp_path / "a.tif")
    record = RunRecord.load(tmp_path / "a.tif")
    assert (record.plan.hr_times, record.plan.hr_time_offset) == (times, -250)
    assert record.hr_times == (0, *(time - 0.25 for time in times[1:]))
    record.run(tmp_path / "b.tif", lr=sequences[0], hr=sequences[1])
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_inputs_that_were_moved_are_named_and_can_be_given(recordings, tmp_path):
    _, hr, fused = recordings
    moved = hr.rename(tmp_path / "moved.tif")
    record = RunRecord.load(fused)
    with pytest.raises(InputError, match=r"hr\.tif.*the HR recording.*does not exist"):
        record.run(tmp_path / "again.tif")
    record.run(tmp_path / "again.tif", hr=moved)
    assert (tmp_path / "again.tif").read_bytes() == fused.read_bytes()


@pytest.mark.parametrize("change", [lambda images: images[:, ::-1], lambda images: images[:-1]])
def test_other_recordings_are_refused(recordings, tmp_path, change):
    lr, _, fused = recordings
    with pytest.raises(InputError, match="not the LR recording"):
        RunRecord.load(fused).run(tmp_path / "again.tif", lr=change(tifffile.imread(lr)))
    assert not (tmp_path / "again.tif").exists()


def test_weights_that_were_replaced_are_refused(recordings, tmp_path):
    record = RunRecord.load(recordings[2]).model_copy(update={"weights": "0" * 64})
    with pytest.raises(ModelError, match="weights"):
        record.run(tmp_path / "again.tif")


def test_a_record_of_another_format_number_is_repeated_with_a_warning(recordings, tmp_path):
    record = RunRecord.load(recordings[2])
    assert record.run(tmp_path / "a.tif").notes == ()
    other = record.model_copy(update={"format": FORMAT + 1})
    assert [note.code for note in other.run(tmp_path / "b.tif").notes] == ["format"]


def change(fused, **values):
    path = fused.with_name("fused.tif.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_record_is_found_by_the_result_and_by_its_own_path(fused):
    record = RunRecord.load(fused)
    assert record == RunRecord.load(f"{fused}.json")
    assert record.plan.frames == (2, 7)
    assert record.plan.device == "cpu"
    assert record.done == {2, 3, 4, 5, 6}
    assert [each.seen for each in record.frames] == [t in record.hr_times for t in range(2, 7)]


def test_what_is_written_is_all_that_a_record_knows(fused):
    values = json.loads(fused.with_name("fused.tif.json").read_text())
    assert values["schema"] == 1
    assert values == RunRecord.load(fused).facts() | {
        "identity": values["identity"],
        "frames": values["frames"],
    }
    assert all(frame["done"] for frame in values["frames"])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param({"schema": 2}, r"schema 2\. .*version", id="a later schema"),
        pytest.param({"schema": None}, r"no schema number\. .*version", id="none"),
        pytest.param({"mood": "fine"}, "mood", id="an unknown field"),
        pytest.param({"hr_times": [0, float("nan")]}, "hr_times", id="times that cannot be"),
        pytest.param({"plan": {"method": "magic"}}, "magic|method", id="a plan that cannot be"),
    ],
)
def test_what_is_no_record_is_told(fused, values, said):
    change(fused, **values)
    with pytest.raises(InputError, match=said):
        RunRecord.load(fused)
    with pytest.raises(InputError, match="hr_step"):
        read_times(fused)


@pytest.mark.parametrize("content", ["", "[1]", '{"layer": {"name": "x"}}', "\xff"])
def test_another_file_is_told(tmp_path, content):
    (tmp_path / "fused.tif.json").write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match="the record of a run"):
        RunRecord.load(tmp_path / "fused.tif")
    with pytest.raises(InputError, match="the record of a run"):
        RunRecord.load(tmp_path / "none.tif")
