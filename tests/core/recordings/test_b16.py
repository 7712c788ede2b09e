"""PCO .b16: one frame per file, a folder of them as a sequence."""

import numpy as np
import pytest

from napari_xfusion.core.recordings import open_stack
from napari_xfusion.errors import InputError
from tests.cameras import SHARED, write_b16

FRAMES = np.random.default_rng(2).integers(0, 60_000, (4, 5, 7)).astype(np.uint16)


@pytest.mark.parametrize("header", [28, 1024])
def test_one_file_is_one_frame_and_a_folder_is_a_sequence(tmp_path, header):
    for i, frame in enumerate(FRAMES):
        write_b16(tmp_path / f"shot_{i + 9}.b16", frame, header=header)
    np.testing.assert_array_equal(open_stack(tmp_path / "shot_9.b16").frame(0), FRAMES[0])
    stack = open_stack(tmp_path)  # 9 before 10
    np.testing.assert_array_equal([stack.frame(i) for i in range(4)], FRAMES)


def test_colour_is_refused(tmp_path):
    with pytest.raises(InputError, match="one in colour"):
        open_stack(write_b16(tmp_path / "a.b16", FRAMES[0], colour=1))


@pytest.mark.parametrize("size", [3, 20, 1000, 1024 + 69, 1024 + 71])
def test_a_file_of_another_size_than_it_declares_is_refused(tmp_path, size):
    path = write_b16(tmp_path / "a.b16", FRAMES[0])
    path.write_bytes(path.read_bytes().ljust(size, b"\0")[:size])
    with pytest.raises(InputError, match=r"a\.b16"):
        open_stack(path)


@pytest.mark.skipif(not SHARED.exists(), reason="the camera files beside the checkout are absent")
def test_the_image_of_a_camera():
    stack = open_stack(SHARED / "pco_dotmatrix.b16")
    frame = stack.frame(0).astype(float)
    assert stack.shape == (1, 520, 688)
    assert (frame.min(), frame.max()) == (37, 58)
    dot, between = frame[185:205, 192:212], frame[185:205, 222:242]
    assert dot.mean() < between.mean() - 2
