"""Results as NeXus: what h5py and the reader find in them, and the record inside."""

import json
import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest

from napari_xfusion.core.recordings import open_stack
from napari_xfusion.core.results.nexus_sink import ROOM
from napari_xfusion.core.results.sink import open_sink
from napari_xfusion.core.results.spec import OutputSpec
from napari_xfusion.errors import OutputError

TIMES = (4_000, 5_000, 7_003)
SPEC = OutputSpec((4, 5, 7), (6, 5), np.dtype("uint16"), "ab" * 32, 0.65, 0.1, (0.0, 20.0), times_ps=TIMES)
IMAGES = {t: np.arange(30, dtype=np.float32).reshape(6, 5) + 100 * t for t in SPEC.frames}
RECORD = {"plan": {"method": "flow"}, "rig": {"times": "0" * 99}, "finished": "today", "frames_resumed": 1}


def write(path, spec=SPEC, record=RECORD):
    with open_sink(path) as sink:
        sink.begin(spec)
        for t in spec.frames:
            sink.put(t, IMAGES[t])
        sink.commit(record)
    return path


@pytest.mark.parametrize("name", ["a.nxs", "a.h5"])
def test_the_reader_finds_equal_frames_and_times(tmp_path, name):
    stack = open_stack(write(tmp_path / name))
    np.testing.assert_array_equal([stack.frame(i) for i in range(3)], list(IMAGES.values()))
    assert (stack.clock.times_ps, stack.clock.source) == (TIMES, "stamps")
    assert stack.pixel_size == pytest.approx(0.65)
    assert (stack.metadata.hr_times, stack.metadata.warnings) == (SPEC.hr_times, ())


def test_nexus_finds_the_default_plot_with_axes_and_units(tmp_path):
    with h5py.File(write(tmp_path / "a.nxs"), "r") as file:
        data = file[file.attrs["default"]]
        data = data[data.attrs["default"]]
        assert data.attrs["NX_class"] == "NXdata"
        assert [len(data[x]) for x in data.attrs["axes"]] == list(data[data.attrs["signal"]].shape)
        assert [data[x].attrs["units"] for x in data.attrs["axes"]] == ["ps", "um", "um"]
        np.testing.assert_array_equal(data["frame"], SPEC.frames)


def test_without_times_and_pixel_size_none_are_claimed(tmp_path):
    stack = open_stack(write(tmp_path / "a.nxs", replace(SPEC, times_ps=(), pixel_size=None, hr_times=())))
    assert (stack.clock.known, stack.pixel_size, stack.metadata.hr_times) == (False, None, None)


def record_in(path):
    with h5py.File(path, "r") as file:
        return json.loads(file["entry/process/record/data"][()])


def test_the_record_is_inside_without_what_differs_between_equal_runs(tmp_path):
    path = write(tmp_path / "a.nxs")
    assert record_in(path) == {"plan": RECORD["plan"], "rig": RECORD["rig"]}
    other = write(tmp_path / "b.nxs", record=RECORD | {"finished": "tomorrow", "frames_resumed": 0})
    assert path.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("name", ["times_ps", "other"])
def test_a_record_that_is_too_long_is_written_without_times_or_rig(tmp_path, name):
    long = RECORD | {"rig": {"fast": {name: "0" * (ROOM + 1000), "dtype": "uint8"}}}
    rig = {"fast": {"dtype": "uint8"}} if name == "times_ps" else None
    assert record_in(write(tmp_path / "a.nxs", record=long)) == {"plan": RECORD["plan"], "rig": rig}


def test_without_h5py_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(OutputError, match=r"napari-xfusion\[hdf5\]"):
        write(tmp_path / "a.nxs")
    assert list(tmp_path.iterdir()) == []
