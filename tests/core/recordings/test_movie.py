"""Movies: every frame is the one that PyAV gives, in any order; what cannot be read is told."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from napari_xfusion.core.clock import Clock
from napari_xfusion.core.recordings import open_stack
from napari_xfusion.errors import DamagedFileError, InputError
from tests.sequences import moving_discs

av = pytest.importorskip("av", reason="PyAV (extra movie) is not installed")

CODECS = {
    "mp4 with frames that refer to later ones": (
        "sequence.mp4",
        "libx264",
        "yuv420p",
        {"g": "12", "bf": "3"},
    ),
    "mov": ("sequence.mov", "mpeg4", "yuv420p", {"g": "5"}),
    "mkv without loss": ("sequence.mkv", "ffv1", "gray", {}),
    "avi": ("sequence.avi", "mjpeg", "yuvj420p", {}),
    "mkv of 16 bits": ("sequence.mkv", "ffv1", "gray16le", {}),
}


def write(path: Path, codec: str, pixels: str, options: dict, frames: int = 40) -> np.ndarray:
    """A sequence of moving discs; returns what was given to the encoder."""
    deep = pixels.startswith("gray16")
    sequence = np.round(moving_discs(frames, (48, 64)) * (60000 if deep else 230)).astype(
        "u2" if deep else "u1"
    )
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        for image in sequence:
            frame = av.VideoFrame.from_ndarray(image, format="gray16le" if deep else "gray")
            container.mux(stream.encode(frame.reformat(format=pixels)))
        container.mux(stream.encode(None))
    return sequence


@pytest.fixture(params=CODECS.values(), ids=CODECS.keys())
def movie(request, tmp_path):
    name, *how = request.param
    return tmp_path / name, write(tmp_path / name, *how), how


def test_frames_are_those_of_pyav_in_any_order(movie):
    path, given, (_, pixels, _) = movie
    stack = open_stack(path)
    with av.open(str(path)) as container:
        form = "gray16le" if stack.dtype == np.uint16 else "gray"
        expected = np.stack([f.to_ndarray(format=form) for f in container.decode(video=0)])
    assert stack.shape == expected.shape == given.shape
    assert stack.dtype == expected.dtype
    order = [0, 1, 2, 39, 38, 20, 21, 22, 5, 30, 30, 13, 12, 11, 0, *range(40)]
    for i in order:
        np.testing.assert_array_equal(stack.frame(i), expected[i])
    if pixels.startswith("gray"):
        np.testing.assert_array_equal(expected, given)
    else:
        assert np.abs(expected.astype(float) - given).mean() < 8


def test_several_threads_may_read(movie):
    path, *_ = movie
    stack = open_stack(path)
    alone = [stack.frame(i) for i in range(40)]
    order = np.random.default_rng(0).permutation(np.repeat(np.arange(40), 3)).tolist()
    with ThreadPoolExecutor(4) as threads:
        for i, frame in zip(order, threads.map(stack.frame, order), strict=True):
            np.testing.assert_array_equal(frame, alone[i])


def test_times_are_frame_numbers_and_content_has_a_digest(tmp_path):
    write(tmp_path / "a.mp4", *CODECS["mov"][1:])
    stack = open_stack(tmp_path / "a.mp4")
    assert stack.clock == Clock.regular(40)
    assert len(stack.digest()) == 64
    with pytest.raises(InputError, match="0 to 39"):
        stack.frame(40)


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_movie_that_is_cut_is_told(movie, share):
    """FFmpeg reads what is left of an AVI or Matroska as a shorter movie, the last frame of it as half grey."""
    path, *_ = movie
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DamagedFileError, match=rf"{path.name}: expected \d+ bytes as it declares"):
        open_stack(path)


def test_a_movie_whose_writer_has_not_finished_is_as_long_as_its_frames(tmp_path):
    """Matroska states no size until it is closed."""
    path = tmp_path / "sequence.mkv"
    given = write(path, *CODECS["mkv without loss"][1:])
    data = path.read_bytes()
    place = data.index(b"\x18S\x80g") + 4
    path.write_bytes(data[:place] + b"\x01" + b"\xff" * 7 + data[place + 8 : len(data) // 2])
    stack = open_stack(path)
    assert 10 < len(stack) < 40
    for i in range(len(stack)):
        np.testing.assert_array_equal(stack.frame(i), given[i])


@pytest.mark.parametrize(
    ("name", "codec", "tag", "offset", "value", "found"),
    [
        ("a.mov", "png", b"stts", 8, b"\xff", "a table larger than any"),
        ("a.avi", "ffv1", b"strf", 12, b"\xff\xff\0\0\xff\xff\0\0", "codec ffv1 without"),
        ("a.avi", "ffv1", b"strf", 12, b"\xe0\x2e\0\0\xe0\x2e\0\0", "(12000, 12000)"),
        ("a.mov", "png", b"stts", 12, b"\x00\x00\x00\x50", "40 of 80 planned frames"),
    ],
)
def test_absurd_numbers_of_a_movie_are_told(tmp_path, name, codec, tag, offset, value, found):
    path = tmp_path / name
    write(path, codec, "gray", {})
    data = bytearray(path.read_bytes())
    place = data.rindex(tag) + offset
    data[place : place + len(value)] = value
    path.write_bytes(data)
    try:
        said = [str(x) for x in open_stack(path).metadata.warnings]
    except DamagedFileError as error:
        said = [str(error)]
    assert [x for x in said if found in x and path.name in x], said


def test_without_pyav_its_extra_is_named(tmp_path, monkeypatch):
    write(tmp_path / "a.mp4", *CODECS["mov"][1:])
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match=r"napari-xfusion\[movie\]"):
        open_stack(tmp_path / "a.mp4")


@pytest.mark.parametrize("start", [b"\0\0\0\x20ftypisom", b"\x1aE\xdf\xa3", b"RIFF\0\0\0\0AVI "])
def test_what_only_begins_like_a_movie_is_told(tmp_path, start):
    path = tmp_path / "sequence"
    path.write_bytes(start + bytes(100))
    with pytest.raises(InputError, match="movie with a video track"):
        open_stack(path)


def test_sound_alone_is_no_sequence(tmp_path):
    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match="video track"):
        open_stack(path)
