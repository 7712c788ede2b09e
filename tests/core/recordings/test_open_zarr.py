"""Zarr arrays and OME-Zarr groups through open_stack."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_xfusion.core.clock import Clock
from napari_xfusion.core.recordings import open_stack
from napari_xfusion.errors import InputError

SEQUENCE = np.random.default_rng(5).integers(1, 4000, (6, 20, 31)).astype("u2")
SPACE = (
    {"name": "y", "type": "space", "unit": "micrometer"},
    {"name": "x", "type": "space", "unit": "micrometer"},
)
SECONDS = {"name": "t", "type": "time", "unit": "millisecond"}


def write_ome(
    path: Path, data: np.ndarray, axes: list[dict], scale: list[float], version: int, **more
) -> Path:
    group = zarr.open_group(str(path), mode="w", zarr_format=version)
    array = group.create_array("0", shape=data.shape, dtype=data.dtype, chunks=(1, *data.shape[1:]))
    array[:] = data
    change = [{"type": "scale", "scale": scale}]
    scales = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": change}]}]
    group.attrs.update(
        {"multiscales": scales} if version == 2 else {"ome": {"version": "0.5", "multiscales": scales}}
    )
    group.attrs.update(more)
    return path


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f2", "f4", ">u2"])
def test_plain_arrays(tmp_path: Path, version: int, dtype: str) -> None:
    path = tmp_path / "sequence.zarr"
    array = zarr.create_array(
        str(path), shape=SEQUENCE.shape, dtype=dtype, chunks=(2, 20, 31), zarr_format=version
    )
    array[:] = SEQUENCE
    array.attrs["napari_xfusion"] = {"hr_times": [0.0, 3.0]}
    stack = open_stack(path)
    assert stack.dtype == np.dtype(dtype).newbyteorder("=")
    assert stack.metadata.hr_times == (0.0, 3.0)
    np.testing.assert_array_equal([stack.frame(i) for i in range(6)], SEQUENCE.astype(dtype))


@pytest.mark.parametrize("version", [2, 3])
def test_ome_zarr_gives_calibration_too(tmp_path: Path, version: int) -> None:
    path = write_ome(tmp_path / "sequence.zarr", SEQUENCE, [SECONDS, *SPACE], [5.0, 0.7, 0.7], version)
    stack = open_stack(path)
    np.testing.assert_array_equal([stack.frame(i) for i in range(6)], SEQUENCE)
    assert stack.pixel_size == pytest.approx(0.7)
    assert stack.clock == Clock.regular(6, 0.005)
    assert stack.metadata.axes == "TYX"


def test_axes_of_length_one_do_not_count(tmp_path: Path) -> None:
    axes = [SECONDS, {"name": "c", "type": "channel"}, {"name": "z", "type": "space"}, *SPACE]
    path = write_ome(tmp_path / "sequence.zarr", SEQUENCE[:, None, None], axes, [0, 1, 1, 0.7, 0.8], 2)
    stack = open_stack(path)
    np.testing.assert_array_equal(stack.frame(4), SEQUENCE[4])
    assert (stack.shape, stack.pixel_size, stack.clock.known) == (SEQUENCE.shape, None, False)


def refused(path: Path, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_stack(path)


def test_what_is_no_sequence_is_refused(tmp_path: Path) -> None:
    axes = [SECONDS, {"name": "c", "type": "channel"}, *SPACE]
    refused(write_ome(tmp_path / "a.zarr", SEQUENCE.reshape(3, 2, 20, 31), axes, [1] * 4, 2), "T = 3, C = 2")
    zarr.create_array(str(tmp_path / "b.zarr"), shape=(3, 4, 5), dtype=bool)
    refused(tmp_path / "b.zarr", "mask")
    zarr.open_group(str(tmp_path / "c.zarr"), mode="w").create_array("raw", shape=(3, 4, 5), dtype="u2")
    refused(tmp_path / "c.zarr", "raw")
    (tmp_path / "d.zarr").mkdir()
    refused(tmp_path / "d.zarr", "OME-Zarr")
    hostile = {"napari_xfusion": {"hr_times": [1, 0]}}
    refused(write_ome(tmp_path / "e.zarr", SEQUENCE, [SECONDS, *SPACE], [1] * 3, 3, **hostile), "hr_times")


def test_damage_is_told_with_its_frame(tmp_path: Path) -> None:
    path = tmp_path / "sequence.zarr"
    array = zarr.create_array(str(path), shape=SEQUENCE.shape, dtype="u2", chunks=(1, 20, 31), zarr_format=2)
    array[:] = SEQUENCE
    stack = open_stack(path)
    (path / "3.0.0").write_bytes((path / "3.0.0").read_bytes()[:100])
    np.testing.assert_array_equal(stack.frame(2), SEQUENCE[2])
    with pytest.raises(InputError, match="frame 3"):
        stack.frame(3)
    with pytest.raises(InputError, match="frame 3"):
        stack.digest()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"zarr_format": 2}', '{"zarr_format": 9}'])
def test_damaged_headers(tmp_path: Path, text: str) -> None:
    for version, name in ((2, ".zarray"), (3, "zarr.json")):
        path = tmp_path / f"sequence{version}.zarr"
        zarr.create_array(str(path), shape=SEQUENCE.shape, dtype="u2", zarr_format=version)
        (path / name).write_text(text)
        with pytest.raises(InputError):
            open_stack(path)


def test_absent_chunks_are_counted(tmp_path: Path) -> None:
    """Zarr leaves out empty chunks, so this is no error; a copy that stopped looks the same."""
    path = tmp_path / "sequence.zarr"
    array = zarr.create_array(str(path), shape=SEQUENCE.shape, dtype="u2", chunks=(1, 20, 31), zarr_format=2)
    array[:] = SEQUENCE
    assert not open_stack(path).metadata.warnings
    for i in (4, 5):
        (path / f"{i}.0.0").unlink()
    (warning,) = open_stack(path).metadata.warnings
    assert (warning.code, warning.subject) == ("absent-chunks", str(path))
    assert warning.text == "2 chunks are absent and read as zero."


@pytest.mark.parametrize("version", [2, 3])
def test_a_shape_that_leaves_out_chunks_is_told(tmp_path: Path, version: int) -> None:
    """The shape is a number in a text, which nothing else confirms."""
    path = tmp_path / "sequence.zarr"
    array = zarr.create_array(
        str(path), shape=(6, 20, 31), dtype="u2", chunks=(1, 20, 31), zarr_format=version
    )
    array[:] = SEQUENCE
    header = path / ("zarr.json" if version == 3 else ".zarray")
    header.write_text(re.sub(r"\[\s*6,", "[4,", header.read_text(), count=1))
    stack = open_stack(path)
    (warning,) = stack.metadata.warnings
    assert (len(stack), warning.code) == (4, "absent-chunks")
    assert warning.text.startswith("2 chunks are outside of its shape (4, 20, 31)")


def test_chunks_in_shards_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "sequence.zarr"
    options = {"shape": (6, 20, 31), "chunks": (1, 20, 31), "shards": (2, 20, 31)}
    array = zarr.create_array(str(path), dtype="u2", **options)
    array[:4] = SEQUENCE[:4]
    (warning,) = open_stack(path).metadata.warnings
    assert warning.text == "2 chunks are absent and read as zero."


def test_digest_depends_on_frames_not_on_chunks(tmp_path: Path) -> None:
    digests = set()
    for chunks in ((1, 20, 31), (6, 5, 5)):
        array = zarr.create_array(
            str(tmp_path / "sequence.zarr"), shape=SEQUENCE.shape, dtype="u2", chunks=chunks
        )
        array[:] = SEQUENCE
        digests.add(open_stack(tmp_path / "sequence.zarr").digest())
        shutil.rmtree(tmp_path / "sequence.zarr")
    assert len(digests) == 1
