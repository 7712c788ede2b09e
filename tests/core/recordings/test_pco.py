"""Time stamps in the first pixels of TIFF frames of pco cameras."""

from datetime import datetime, timedelta

import numpy as np
import pytest
import tifffile

from napari_xfusion.core.recordings import open_stack
from napari_xfusion.core.recordings.pco import decode

START = datetime(2024, 2, 29, 23, 59, 59, 999_000)


def stamped_frames(count, step=250, width=20):
    frames = np.random.default_rng(0).integers(100, 4000, (count, 5, width)).astype(np.uint16)
    for i, frame in enumerate(frames):
        moment = START + timedelta(microseconds=step * i)
        digits = f"{7 + i:08}{moment:%Y%m%d%H%M%S%f}"
        frame[0, :14] = [int(digits[k : k + 2], 16) for k in range(0, 28, 2)]
    return frames


def codes(stack):
    return [warning.code for warning in stack.metadata.warnings]


@pytest.mark.parametrize("options", [{}, {"imagej": True}, {"byteorder": ">"}, {"bigtiff": True}])
def test_stamps_give_the_times_across_midnight(tmp_path, options):
    frames = stamped_frames(9)
    tifffile.imwrite(tmp_path / "a.tif", frames, photometric="minisblack", **options)
    stack = open_stack(tmp_path / "a.tif")
    assert stack.clock.source == "stamps"
    assert stack.clock.times_ps == tuple(250 * 10**6 * i for i in range(9))
    assert (stack.metadata.camera.first_number, codes(stack)) == (7, ["stamped-pixels"])
    np.testing.assert_array_equal(stack.frame(8), frames[8])


def test_stamps_of_frames_in_a_folder(tmp_path):
    for i, frame in enumerate(stamped_frames(4)):
        tifffile.imwrite(tmp_path / f"f_{i}.tif", frame, photometric="minisblack", metadata=None)
    stack = open_stack(tmp_path)
    assert stack.clock.times_ps == tuple(250 * 10**6 * i for i in range(4))
    assert codes(stack) == ["stamped-pixels"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda f: f[:, :, 1:], id="shifted"),
        pytest.param(lambda f: f[:, :, :13], id="narrow"),
        pytest.param(lambda f: f.astype(np.int32), id="dtype"),
        pytest.param(
            lambda f: np.where(np.arange(9)[:, None, None] == 5, 9000, f).astype(np.uint16),
            id="one frame without",
        ),
        pytest.param(np.zeros_like, id="zeros"),
        pytest.param(lambda f: f + np.uint16(1), id="no digits"),
    ],
)
def test_other_pixels_are_no_stamps(tmp_path, change):
    tifffile.imwrite(
        tmp_path / "a.tif", change(stamped_frames(9)), photometric="minisblack", metadata={"axes": "TYX"}
    )
    stack = open_stack(tmp_path / "a.tif")
    assert (stack.clock.source, codes(stack)) == ("none", [])


def test_random_pixels_are_no_stamps():
    pixels = np.random.default_rng(3).integers(0, 256, (20_000, 14)).astype(np.uint16)
    assert [decode(x) for x in pixels if decode(x) is not None] == []
