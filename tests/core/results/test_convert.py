"""A converted recording opens with the values, times and camera of the original."""

import json

import h5py
import numpy as np
import pytest
import tifffile

from napari_xfusion.core.recordings import open_stack
from napari_xfusion.core.recordings.recorded import KEY, Recorded
from napari_xfusion.core.results.convert import convert
from napari_xfusion.errors import InputError, OutputError
from tests.cameras import ORIGINALS, write_mraw

CINE = ORIGINALS / "dice_phantom_v1610.cine"


class Stop:
    """Set after some frames."""

    def __init__(self, frames):
        self.left = frames

    def is_set(self):
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("name", ["out.tif", "out.ome.tif", "out.zarr", "out.nxs"])
@pytest.mark.parametrize("frames", [None, (1, 4)])
def test_frames_times_and_camera_are_those_of_the_original(tmp_path, name, frames):
    original = open_stack(CINE)
    chosen = range(*(frames or (0, len(original))))
    convert(CINE, tmp_path / name, frames=frames)
    converted = open_stack(tmp_path / name)
    assert converted.dtype == original.dtype
    np.testing.assert_array_equal(
        [converted.frame(i) for i in range(len(converted))], [original.frame(i) for i in chosen]
    )
    assert converted.clock == original.clock.select(tuple(chosen))
    camera = converted.metadata.camera
    assert camera.first_number == original.metadata.camera.first_number + chosen.start
    assert (camera.name, camera.exposure_ns) == ("Phantom v1610", 3_000_048)
    record = json.loads((tmp_path / f"{name}.json").read_text())
    assert (record["first"], record["source"]["sha256"]) == (chosen.start, original.digest())


def test_other_programs_find_camera_and_times_in_nexus(tmp_path):
    convert(CINE, tmp_path / "out.nxs")
    original = open_stack(CINE)
    with h5py.File(tmp_path / "out.nxs") as file:
        entry = file["entry"]
        times, detector = entry["data/t"], entry["instrument/detector"]
        assert times.attrs["units"] == "ps"
        assert tuple(times[()]) == original.clock.times_of(range(6))
        assert (detector["description"][()], detector["count_time"][()]) == (b"Phantom v1610", 3_000_048e-9)
    assert open_stack(tmp_path / "out.nxs").metadata.camera == original.metadata.camera


def test_dtypes_that_only_json_describes(tmp_path):
    frames = np.random.default_rng(1).normal(size=(3, 4, 5)).astype(np.float16)
    tifffile.imwrite(tmp_path / "a.tif", frames, photometric="minisblack", metadata={"axes": "TYX"})
    text = Recorded.of(open_stack(CINE)).text
    tifffile.imwrite(
        tmp_path / "b.tif", frames, photometric="minisblack", metadata={"axes": "TYX", KEY: text}
    )
    assert open_stack(tmp_path / "b.tif").clock.source == "none"  # times of six frames are not those of three
    convert(tmp_path / "a.tif", tmp_path / "c.tif")
    np.testing.assert_array_equal(open_stack(tmp_path / "c.tif").frame(2), frames[2])


def test_an_interrupted_conversion_is_resumed(tmp_path):
    path = write_mraw(tmp_path / "S1.mraw", np.arange(640, dtype=np.uint16).reshape(5, 8, 16), 16)
    stopped = convert(path, tmp_path / "out.tif", stop=Stop(2))
    assert (stopped.frames, stopped.finished) == (2, False)
    assert convert(path, tmp_path / "out.tif").finished
    assert open_stack(tmp_path / "out.tif").clock == open_stack(path).clock


@pytest.mark.parametrize("frames", [(3, 3), (4, 2), (0, 7), (-1, 2)])
def test_frames_outside_the_recording_are_refused(tmp_path, frames):
    with pytest.raises(InputError, match="frames from 0 to 6"):
        convert(CINE, tmp_path / "out.tif", frames=frames)


def test_the_recording_itself_is_never_the_output(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((2, 3, 4), np.uint8), photometric="minisblack")
    with pytest.raises(OutputError, match="read from this file"):
        convert(path, path, overwrite=True)


@pytest.mark.parametrize(
    "text", [None, 7, "", "{}", "[1]", '{"clock": {"times_ps": [3, 2]}}', '{"clock": {"times_ps": ["x"]}}']
)
def test_text_that_is_no_recording_is_left_out(text):
    assert Recorded.read(text) is None


def test_times_and_camera_are_text_of_one_line_of_ascii():
    recorded = Recorded.of(open_stack(CINE))
    assert Recorded.read(recorded.text) == recorded
    assert recorded.text.isascii()
    assert "\n" not in recorded.text
