"""Raw pixels with a description in TOML."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_xfusion.core.recordings import open_stack
from napari_xfusion.core.recordings.raw import RawDescription
from napari_xfusion.errors import InputError
from tests.cameras import packed

FRAMES = np.random.default_rng(6).integers(0, 100, (4, 3, 6))


def write(path, data, **keys):
    values = {"width": 6, "height": 3, "dtype": "uint16", **keys}
    lines = [f"{k} = {str(v).lower() if isinstance(v, bool) else repr(v)}" for k, v in values.items()]
    path.with_suffix(".toml").write_text("\n".join(lines))
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "name", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]
)
@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("ending", [".raw", ".toml"])
def test_every_dtype_by_either_file(tmp_path, name, order, ending):
    dtype = np.dtype(name).newbyteorder("<" if order == "little" else ">")
    path = write(tmp_path / "a.raw", FRAMES.astype(dtype).tobytes(), dtype=name, byte_order=order)
    stack = open_stack(path.with_suffix(ending))
    assert (stack.dtype, stack.recording.reader) == (np.dtype(name), "raw")
    np.testing.assert_array_equal([stack.frame(i) for i in range(4)], FRAMES)


@pytest.mark.parametrize("bits", [10, 12])
def test_packed_pixels(tmp_path, bits):
    data = b"".join(packed(frame, bits) for frame in FRAMES)
    stack = open_stack(write(tmp_path / "a.bin", data, dtype=f"packed{bits}"))
    np.testing.assert_array_equal([stack.frame(i) for i in range(4)], FRAMES)
    assert (stack.dtype, stack.metadata.camera.bits) == (np.uint16, bits)


def test_offset_gap_rows_and_facts(tmp_path):
    data = b"head" + b"".join(frame[::-1].astype("<u2").tobytes() + b"gap" for frame in FRAMES)
    keys = {
        "offset": 4,
        "gap": 3,
        "bottom_up": True,
        "frame_rate": 1000.0,
        "first_ns": -500,
        "exposure_ns": 90,
    }
    for content in (data, data[:-3]):
        stack = open_stack(write(tmp_path / "a.raw", content, **keys, camera="X", frames=4))
        np.testing.assert_array_equal([stack.frame(i) for i in range(4)], FRAMES)
    assert (stack.clock.source, stack.clock.times_ps[:2]) == ("rate", (-500_000, 999_500_000))
    assert (stack.metadata.camera.name, stack.metadata.camera.exposure_ns) == ("X", 90)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"width": 5}, "found 144 bytes, 4.8 frames"),
        ({"frames": 5}, r"expected 5 frames of 36 bytes by a\.toml, found 144 bytes, 4 frames"),
        ({"offset": 200}, "0 frames"),
        ({"width": 0}, "width"),
        ({"dtype": "uint64"}, "dtype"),
        ({"rows": 3}, "rows"),
        ({"frame_rate": -1.0}, "frame_rate"),
        ({"width": 10**30}, "width"),
    ],
)
def test_a_description_that_does_not_fit_is_refused_with_its_field(tmp_path, keys, message):
    with pytest.raises(InputError, match=message):
        open_stack(write(tmp_path / "a.raw", FRAMES.astype("<u2").tobytes(), **keys))


def test_what_is_missing_is_named(tmp_path):
    path = write(tmp_path / "a.raw", b"")
    path.unlink()
    with pytest.raises(InputError, match=r"a\.raw or a\.bin or a\.dat next to it"):
        open_stack(tmp_path / "a.toml")
    (tmp_path / "a.toml").unlink()
    path.write_bytes(bytes(9))
    with pytest.raises(InputError, match=r"Describe it in a \.toml file"):
        open_stack(path)


def test_other_toml_is_refused(tmp_path):
    (tmp_path / "a.raw").write_bytes(bytes(9))
    (tmp_path / "a.toml").write_text("width = [")
    with pytest.raises(InputError, match="TOML"):
        open_stack(tmp_path / "a.raw")


@given(
    size=st.integers(0, 4000),
    offset=st.integers(0, 50),
    gap=st.integers(0, 50),
    frames=st.none() | st.integers(1, 99),
)
def test_frames_never_reach_beyond_the_file(size, offset, gap, frames):
    said = RawDescription(width=6, height=3, dtype="uint16", offset=offset, gap=gap, frames=frames)
    count = said.count(size)
    if count is not None:
        end = offset + count * 36 + (count - 1) * gap
        assert count >= 1
        assert end <= size <= end + gap
