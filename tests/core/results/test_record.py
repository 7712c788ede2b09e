"""The run record: what is written is read back, and nothing else is taken for a record."""

import json

import numpy as np
import pytest

from napari_xfusion.core.plan import Plan
from napari_xfusion.core.results.record import RunRecord, read_times
from napari_xfusion.core.run import fuse_files
from napari_xfusion.errors import InputError
from tests.sequences import moving_discs, two_cameras


@pytest.fixture
def fused(tmp_path):
    lr, hr, times = two_cameras((moving_discs(9) * 1000).astype(np.uint16))
    fuse_files(Plan(method="bicubic", hr_times=times, frames=(2, 7)), lr, hr, tmp_path / "fused.tif")
    return tmp_path / "fused.tif"


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
