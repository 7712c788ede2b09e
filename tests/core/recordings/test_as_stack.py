"""Arrays, paths and what is neither: as_stack and the errors of open_stack."""

import os
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr

from napari_xfusion.core.clock import Clock
from napari_xfusion.core.recordings import as_stack, open_stack
from napari_xfusion.errors import InputError

SEQUENCE = np.random.default_rng(5).integers(0, 200, (6, 20, 31)).astype("u2")


class Lazy:
    """Something like an array that counts what it is asked for."""

    def __init__(self, data: np.ndarray) -> None:
        self.data, self.shape, self.dtype, self.asked = data, data.shape, data.dtype, []

    def __getitem__(self, index: object) -> np.ndarray:
        self.asked.append(index)
        return self.data[index]


def dask_array() -> object:
    return pytest.importorskip("dask.array").from_array(SEQUENCE, chunks=(1, -1, -1))


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: SEQUENCE, id="numpy"),
        pytest.param(lambda: SEQUENCE.astype(">u2"), id="big-endian"),
        pytest.param(lambda: SEQUENCE[:, None], id="singleton-axis"),
        pytest.param(dask_array, id="dask"),
        pytest.param(lambda: zarr.array(SEQUENCE), id="zarr"),
        pytest.param(lambda: Lazy(SEQUENCE), id="array-like"),
    ],
)
def test_arrays(make) -> None:
    stack = as_stack(make(), name="layer LR")
    assert (stack.shape, stack.dtype, stack.source) == (SEQUENCE.shape, np.dtype("u2"), "layer LR")
    np.testing.assert_array_equal([stack.frame(i) for i in range(6)], SEQUENCE)
    assert stack.clock == Clock.regular(6)
    assert type(stack.frame(0)) is np.ndarray
    assert stack.digest() == as_stack(SEQUENCE).digest()
    with pytest.raises(InputError, match="layer LR"):
        stack.frame(6)


def test_only_the_asked_frame_is_read() -> None:
    lazy = Lazy(SEQUENCE)
    as_stack(lazy).frame(4)
    assert lazy.asked == [(4,)]


def test_a_stack_stays_itself_and_a_path_is_opened(tmp_path: Path) -> None:
    stack = as_stack(SEQUENCE)
    assert as_stack(stack) is stack
    tifffile.imwrite(tmp_path / "sequence.tif", SEQUENCE, photometric="minisblack")
    assert as_stack(str(tmp_path / "sequence.tif")).shape == SEQUENCE.shape


def test_an_image_is_one_frame() -> None:
    assert as_stack(SEQUENCE[0]).shape == (1, 20, 31)
    np.testing.assert_array_equal(as_stack(SEQUENCE[0]).frame(0), SEQUENCE[0])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param(SEQUENCE > 5, "mask", id="bool"),
        pytest.param(SEQUENCE * 1j, "magnitude", id="complex"),
        pytest.param(SEQUENCE.astype("u8"), "uint64", id="uint64"),
        pytest.param(SEQUENCE.reshape(3, 2, 20, 31), r"\? = 3, \? = 2", id="four-axes"),
        pytest.param(SEQUENCE[0, 0], "shape", id="one-axis"),
        pytest.param(SEQUENCE[:0], "shape", id="empty"),
        pytest.param([[1, 2]], "list", id="list"),
        pytest.param(None, "NoneType", id="none"),
    ],
)
def test_what_is_no_sequence_is_refused(source: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_stack(source)


def test_an_array_that_fails_is_told_with_its_frame() -> None:
    lazy = Lazy(SEQUENCE)
    stack = as_stack(lazy, name="layer")
    lazy.data = SEQUENCE[:2]
    with pytest.raises(InputError, match=r"layer frame 4.*IndexError"):
        stack.frame(4)
    lazy.data = SEQUENCE[:, :5]
    with pytest.raises(InputError, match="layer frame 4"):
        stack.frame(4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "an empty file", id="empty"),
        pytest.param(b"\xff\xd8\xff\xe0 JFIF", "JPEG", id="jpeg"),
        pytest.param(imagecodecs.png_encode(SEQUENCE[0]), "folder", id="single-png"),
        pytest.param(b"\x89HDF\r\n\x1a\n", "HDF5", id="hdf5"),
        pytest.param(b"hello", "another kind", id="text"),
        pytest.param(b"II*\0", "header", id="magic-only"),
        pytest.param(b"II*\0\0\0\0\0", "at least one page", id="no-page"),
        pytest.param(b"II+\0\x08\0\0\0", "header", id="short-bigtiff"),
    ],
)
def test_other_content_under_the_name_of_a_tiff(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "sequence.tif"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        open_stack(path)


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "sequence_lr.tif").write_bytes(b"II*\0")
    with pytest.raises(InputError, match=r"Did you mean sequence_lr\.tif"):
        open_stack(tmp_path / "sequence_1r.tif")
    for path in (tmp_path / "no" / "where.tif", "", "a\0b", tmp_path / "sequence_lr.tif" / "x", tmp_path):
        with pytest.raises(InputError):
            open_stack(path)
    with pytest.raises(InputError):
        open_stack(None)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "sequence.tif")
    with pytest.raises(InputError, match="a file"):
        open_stack(tmp_path / "sequence.tif")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    (tmp_path / "sequence.tif").write_bytes(b"II*\0")
    (tmp_path / "sequence.tif").chmod(0)
    with pytest.raises(InputError, match="permission"):
        open_stack(tmp_path / "sequence.tif")


def test_the_digest_of_a_derived_sequence_reads_each_frame_once():
    array = Lazy(SEQUENCE)
    sequence = as_stack(array)
    derived = sequence.derive(lambda i: sequence.frame(i)[:8], (6, 8, 31), sequence.dtype)
    assert derived.digest() == derived.digest() == as_stack(SEQUENCE[:, :8]).digest()
    assert array.asked == [(i,) for i in range(6)]
