"""Movies as players read them."""

import sys
import threading

import av
import numpy as np
import pytest

from napari_xfusion.core.results.movie_writer import write_movie
from napari_xfusion.errors import OutputError, WriteError


def gradient(frames: int, shape: tuple[int, int]):
    """RGB frames whose brightness rises from left to right and from frame to frame."""
    ramp = np.linspace(0, 200, shape[1])[None, :, None]
    return [np.broadcast_to(ramp + 5 * t, (*shape, 3)).astype(np.uint8) for t in range(frames)]


def read(path):
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        rate = float(stream.average_rate)
        return np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(stream)]), rate


@pytest.mark.parametrize("shape", [(32, 48), (33, 47)], ids=["even", "odd"])
def test_what_is_written_is_read_back(tmp_path, shape):
    frames = gradient(7, shape)
    assert write_movie(frames, tmp_path / "sequence.mp4", rate=12.5)
    sequence, rate = read(tmp_path / "sequence.mp4")
    assert rate == pytest.approx(12.5)
    assert sequence.shape == (7, shape[0] + shape[0] % 2, shape[1] + shape[1] % 2, 3)
    error = sequence[:, : shape[0], : shape[1]].astype(int) - np.stack(frames)
    assert np.abs(error).mean() < 3
    assert [path.name for path in tmp_path.iterdir()] == ["sequence.mp4"]


def test_a_movie_that_is_stopped_leaves_nothing_behind(tmp_path):
    stop = threading.Event()

    def frames():
        yield from gradient(2, (32, 48))
        stop.set()
        yield from gradient(2, (32, 48))

    assert not write_movie(frames(), tmp_path / "sequence.mp4", stop=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_none_is_told(tmp_path):
    with pytest.raises(WriteError, match="Choose another"):
        write_movie(gradient(2, (32, 48)), tmp_path / "gone" / "sequence.mp4")


def test_without_pyav_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(OutputError, match=r"napari-xfusion\[movie\]"):
        write_movie(gradient(2, (32, 48)), tmp_path / "sequence.mp4")
