"""Any sequence into any of our formats, and back without a loss."""

import json
import threading

import numpy as np
import pytest

from napari_xfusion.core.plan import Plan
from napari_xfusion.core.recordings import open_stack
from napari_xfusion.core.results.record import LayerRecord, RunRecord, SequenceRecord, read_times
from napari_xfusion.core.results.save import save_stack
from napari_xfusion.core.run import fuse_files
from napari_xfusion.core.types import Metadata
from napari_xfusion.errors import OutputError
from tests.sequences import moving_discs, stack, two_cameras

ENDINGS = ("sequence.tif", "sequence.ome.tif", "sequence.zarr")
RECORD = SequenceRecord(layer=LayerRecord(name="sequence", role="sequence"))


def sequence(dtype: str = "uint16", **fields):
    rng = np.random.default_rng(0)
    ends = np.iinfo(dtype) if np.dtype(dtype).kind in "ui" else np.finfo(np.float16)
    values = rng.uniform(float(ends.min), float(ends.max), (5, 9, 13)).astype(dtype)
    return stack(values, **fields), values


@pytest.mark.parametrize("name", ENDINGS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "int32", "float32", "float64"])
def test_every_dtype_comes_back_bit_by_bit(tmp_path, name, dtype):
    taken, values = sequence(dtype)
    assert save_stack(taken, tmp_path / name, RECORD)
    back = open_stack(tmp_path / name)
    assert back.dtype == values.dtype
    assert np.array_equal(np.stack([back.frame(i) for i in range(5)]), values)
    assert back.metadata.hr_times is None


@pytest.mark.parametrize("name", ENDINGS)
def test_time_length_and_hr_times_go_with_it(tmp_path, name):
    taken, _ = sequence(pixel_size=1.5, metadata=Metadata(hr_times=(0.0, 4.0, 8.0, 12.0, 16.0)))
    save_stack(taken, tmp_path / name, RECORD)
    back = open_stack(tmp_path / name)
    assert back.pixel_size == pytest.approx(1.5)
    assert back.metadata.hr_times == (0, 4, 8, 12, 16)


def test_a_sequence_of_no_run_has_a_record_that_is_none_of_a_run(tmp_path):
    save_stack(sequence()[0], tmp_path / "sequence.tif", RECORD)
    record = json.loads((tmp_path / "sequence.tif.json").read_text())
    assert record["layer"] == {"name": "sequence", "role": "sequence", "made_from": []}
    assert len(record["frames"]) == 5
    assert read_times(tmp_path / "sequence.tif") is None


@pytest.mark.parametrize("name", ["fused.tif", "fused.ome.tif"])
def test_a_result_is_saved_as_its_run_would_have(tmp_path, name):
    lr, hr, times = two_cameras((moving_discs(9) * 1000).astype(np.uint16))
    plan = Plan(method="interpolation", hr_times=times, frames=(2, 7))
    fuse_files(plan, lr, hr, tmp_path / name)
    record = json.loads((tmp_path / f"{name}.json").read_text())
    (tmp_path / "again").mkdir()
    save_stack(open_stack(tmp_path / name), tmp_path / "again" / name, RunRecord.load(tmp_path / name))
    assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()
    assert json.loads((tmp_path / "again" / f"{name}.json").read_text()) == record


def test_a_sequence_that_was_stopped_goes_on(tmp_path):
    taken, values = sequence()
    stop = threading.Event()
    reads = []

    def progress(done, _total):
        reads.append(done)
        if done == 2:
            stop.set()

    assert not save_stack(taken, tmp_path / "sequence.tif", RECORD, stop=stop, progress=progress)
    assert not (tmp_path / "sequence.tif").exists()
    assert save_stack(taken, tmp_path / "sequence.tif", RECORD)
    back = open_stack(tmp_path / "sequence.tif")
    assert np.array_equal(np.stack([back.frame(i) for i in range(5)]), values)


def test_a_sequence_is_not_written_over_itself(tmp_path):
    save_stack(sequence()[0], tmp_path / "sequence.tif", RECORD)
    with pytest.raises(OutputError, match="read from this file"):
        save_stack(open_stack(tmp_path / "sequence.tif"), tmp_path / "sequence.tif", RECORD, overwrite=True)
