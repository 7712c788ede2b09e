"""Axes by name, masked values and fill values: the same frames however an array is stored."""

from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_xfusion.core.plan import Plan
from napari_xfusion.core.recordings import as_stack, open_stack
from napari_xfusion.core.rig import make_rig
from napari_xfusion.errors import InputError

T, H, W = 5, 6, 7
SEQUENCE = np.random.default_rng(3).integers(1, 4000, (T, H, W)).astype("u2")
ORDERS = [
    pytest.param(("time", "y", "x"), (0, 1, 2), id="usual"),
    pytest.param(("y", "x", "time"), (1, 2, 0), id="time-last"),
    pytest.param(("x", "y", "t"), (2, 1, 0), id="all-turned"),
    pytest.param(("t", "x", "y"), (0, 2, 1), id="columns-first"),
    pytest.param(("row", "frame", "col"), (1, 0, 2), id="rows-and-columns"),
    pytest.param(("Height", "Width", "Frames"), (1, 2, 0), id="words-in-capitals"),
    pytest.param(("x", "z", "y"), (2, 0, 1), id="slices-in-the-middle"),
    pytest.param(("u", "v", "time"), (1, 2, 0), id="only-time-has-a-name"),
    pytest.param(("a", "b", "c2"), (0, 1, 2), id="unknown-names"),
]


class Named:
    """As an xarray: an array with the names of its axes."""

    def __init__(self, data: np.ndarray, dims: tuple[str, ...]) -> None:
        self.data, self.dims, self.shape, self.dtype = data, dims, data.shape, data.dtype

    def __getitem__(self, index: object) -> np.ndarray:
        return self.data[index]


def zarr_3(path: Path, data: np.ndarray, names: tuple[str, ...]) -> Path:
    zarr.create_array(path, data=data, dimension_names=names, chunks=data.shape)
    return path


def xarray_zarr(path: Path, data: np.ndarray, names: tuple[str, ...]) -> Path:
    array = zarr.create_array(path, data=data, zarr_format=2)
    array.attrs["_ARRAY_DIMENSIONS"] = list(names)
    return path


def ome(path: Path, data: np.ndarray, names: tuple[str, ...]) -> Path:
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.create_array("0", data=data)
    axes = [{"name": x} for x in names]
    group.attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": "0"}]}]
    return path


@pytest.mark.parametrize("store", [zarr_3, xarray_zarr, ome, lambda _path, data, names: Named(data, names)])
@pytest.mark.parametrize(("names", "order"), ORDERS)
def test_axes_are_those_that_their_names_say(tmp_path: Path, store, names, order) -> None:
    stack = as_stack(store(tmp_path / "a.zarr", np.ascontiguousarray(SEQUENCE.transpose(order)), names))
    assert stack.shape == SEQUENCE.shape
    np.testing.assert_array_equal([stack.frame(i) for i in range(T)], SEQUENCE)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        pytest.param(("y", "channel", "x", "time"), "C = 6, T = 2", id="channels-and-time"),
        pytest.param(("y", "energy", "x", "time"), "energy = 6, T = 2", id="an-unknown-axis-and-time"),
        pytest.param(("y", "y", "x", "time"), "y = 5, y = 6, x = 7, time = 2", id="rows-twice"),
        pytest.param(("t", "c", "x", "time"), "t = 5, c = 6, x = 7, time = 2", id="no-rows"),
    ],
)
@pytest.mark.parametrize("store", [zarr_3, ome])
def test_other_axes_are_refused_by_name_and_size(tmp_path: Path, store, names, message) -> None:
    if store is zarr_3 and len(set(names)) < len(names):
        pytest.skip("zarr refuses equal names")
    data = np.zeros((5, 6, 7, 2), "u2")
    with pytest.raises(InputError, match=message):
        open_stack(store(tmp_path / "a.zarr", data, names))


@pytest.mark.parametrize("shape", [(0, 6, 7), (3, 0, 7), (0, 7)])
def test_an_array_without_frames_is_refused(tmp_path: Path, shape) -> None:
    zarr.create_array(tmp_path / "a.zarr", shape=shape, chunks=(1,) * len(shape), dtype="u2")
    with pytest.raises(InputError, match="no frames"):
        open_stack(tmp_path / "a.zarr")


@pytest.mark.parametrize(
    ("fill", "text"),
    [(0, "as zero"), (65535, "as the fill value 65535"), (None, "as zero")],
    ids=["zero", "largest", "none"],
)
def test_chunks_that_are_absent_are_reported_with_their_value(tmp_path: Path, fill, text) -> None:
    array = zarr.create_array(
        tmp_path / "a.zarr",
        shape=SEQUENCE.shape,
        chunks=(1, H, W),
        dtype="u2",
        zarr_format=2,
        fill_value=fill,
    )
    array[:3] = SEQUENCE[:3]
    stack = open_stack(tmp_path / "a.zarr")
    (warning,) = stack.metadata.warnings
    assert text in warning.text
    assert warning.text.startswith("2 chunks")
    assert (stack.frame(4) == (fill or 0)).all()


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"scale_factor": 0.5, "add_offset": 3.0}, "calibration"),
        ({"_FillValue": 65535}, "missing-values"),
        ({"missing_value": -1.0}, "missing-values"),
        ({"_FillValue": float("nan")}, None),
        ({"units": "counts"}, None),
    ],
)
def test_values_that_attributes_explain_are_reported(tmp_path: Path, attributes, code) -> None:
    zarr.create_array(tmp_path / "a.zarr", data=SEQUENCE, attributes=attributes)
    stack = open_stack(tmp_path / "a.zarr")
    assert [x.code for x in stack.metadata.warnings] == ([code] if code else [])


@pytest.mark.parametrize(
    ("dtype", "result"),
    [("u1", "f4"), ("u2", "f4"), ("i2", "f4"), ("u4", "f8"), ("f2", "f2"), ("f4", "f4"), ("f8", "f8")],
)
def test_masked_values_become_nan(dtype: str, result: str) -> None:
    data = np.ma.masked_array(SEQUENCE.astype(dtype))
    data[1, 2, 3] = np.ma.masked
    data[4] = np.ma.masked
    stack = as_stack(data)
    expected = SEQUENCE.astype(dtype).astype(result)
    expected[1, 2, 3] = expected[4] = np.nan
    assert stack.dtype == np.dtype(result)
    np.testing.assert_array_equal([stack.frame(i) for i in range(T)], expected)
    assert type(stack.frame(0)) is np.ndarray


def test_masks_of_dask_arrays_become_nan() -> None:
    dask = pytest.importorskip("dask.array")
    data = np.ma.masked_array(SEQUENCE)
    data[1, 2, 3] = np.ma.masked
    stack = as_stack(dask.from_array(data, chunks=(1, -1, -1), asarray=False))
    assert np.isnan(stack.frame(1)[2, 3])
    assert np.isnan([stack.frame(i) for i in range(T)]).sum() == 1


def test_a_mask_that_masks_nothing_changes_nothing() -> None:
    stack = as_stack(np.ma.masked_array(SEQUENCE, mask=False))
    assert stack.dtype == SEQUENCE.dtype
    np.testing.assert_array_equal(stack.frame(3), SEQUENCE[3])


def test_a_rig_has_the_warnings_of_its_recordings(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hr = np.kron(rng.integers(0, 4000, (2, 8, 8)), np.ones((1, 4, 4))).astype("u2")
    lr = hr.reshape(2, 8, 4, 8, 4).mean((2, 4)).astype("u2")
    zarr.create_array(tmp_path / "hr.zarr", data=hr, attributes={"scale_factor": 2.0})
    rig = make_rig(Plan(hr_times=(0, 1)), as_stack(lr), open_stack(tmp_path / "hr.zarr"))
    assert [x.code for x in rig.warnings] == ["calibration"]
