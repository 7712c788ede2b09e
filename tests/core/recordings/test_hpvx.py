"""The native .dat of Shimadzu HPV-X2: synthetic, as no file of a camera is public."""

import numpy as np
import pytest

from napari_xfusion.core.recordings import open_stack
from napari_xfusion.errors import InputError
from tests.cameras import write_hpvx

FRAMES = np.random.default_rng(7).integers(0, 1024, (3, 250, 400)).astype(np.int16) << 5


def test_frames_times_and_the_warning(tmp_path):
    stack = open_stack(write_hpvx(tmp_path / "a.dat", FRAMES))
    np.testing.assert_array_equal([stack.frame(i) for i in range(3)], FRAMES)
    assert (stack.clock.source, stack.clock.times_ps[1]) == ("rate", 10_000_000)
    assert stack.metadata.camera.exposure_ns == 300
    assert [x.code for x in stack.metadata.warnings] == ["unverified"]


@pytest.mark.parametrize("cut", [1, 70_000, 590_000])
def test_a_cut_file_is_refused(tmp_path, cut):
    path = write_hpvx(tmp_path / "a.dat", FRAMES)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(InputError, match=r"a\.dat: expected complete frames"):
        open_stack(path)


def test_frames_of_another_size_are_refused(tmp_path):
    with pytest.raises(InputError, match="250 x 400"):
        open_stack(write_hpvx(tmp_path / "a.dat", FRAMES[:, :100]))


def test_another_dat_is_raw_pixels(tmp_path):
    (tmp_path / "a.dat").write_bytes(bytes(99))
    with pytest.raises(InputError, match="raw pixels without a header"):
        open_stack(tmp_path / "a.dat")
