"""Sequences of odd sizes, depths, formats and values through the whole command line: read, fuse, write, evaluate.

Warnings are errors here, so no run may divide by zero or overflow on its way.
"""

import json
from itertools import product

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_xfusion.cli import main
from tests.faults.command import record_of
from tests.sequences import binned, moving_discs
from tests.tables import crossed

METHODS = ["bicubic", "interpolation", "flow", "bayesian", "bayesian-paper"]
DTYPES = ["u1", ">u2", "<u2", "<i2", ">i2", "<f4", ">f4", "<f8", ">f8"]
STEP, FRAMES = 4, 9


def save(path, sequence, **options):
    """A TIFF page by page, because a side of 1 would else be taken for samples."""
    with tifffile.TiffWriter(path) as file:
        for frame in sequence:
            file.write(frame, photometric="minisblack", metadata=None, **options)
    return path


def save_whole(path, sequence, **options):
    tifffile.imwrite(path, sequence, photometric="minisblack", metadata={"axes": "TYX"}, **options)
    return path


def fuse(lr, hr, output, method, *options):
    sequences = [str(lr), str(hr), "-o", str(output), "--hr-step", str(STEP)]
    return main(["fuse", *sequences, "--method", method, *options])


def fused(folder, lr, hr, method, *options):
    """The result (T, H, W) for two sequences given as arrays or paths."""
    folder.mkdir(exist_ok=True)
    paths = [
        save(folder / f"{name}.tif", sequence) if isinstance(sequence, np.ndarray) else sequence
        for name, sequence in (("lr", lr), ("hr", hr))
    ]
    assert fuse(*paths, folder / "fused.tif", method, *options) == 0
    return tifffile.memmap(folder / "fused.tif", mode="r").reshape(FRAMES, *np.shape(hr)[-2:])


def cameras(shape=(48, 64), dtype="u2", low=1000.0, high=20000.0, scale=4):
    """LR and HR of a sequence in ``dtype``, HR every 4th frame."""
    sequence = moving_discs(FRAMES, shape) * (high - low) + low
    height, width = (-n % scale for n in shape)
    whole = np.pad(sequence, ((0, 0), (0, height), (0, width)), mode="edge")
    as_dtype = np.rint if np.dtype(dtype).kind in "iu" else np.asarray
    return as_dtype(binned(whole, scale)).astype(dtype), as_dtype(sequence[::STEP]).astype(dtype)


SHAPES = [(1, 1), (1, 40), (40, 1), (3, 5), (17, 31), (33, 64), (40, 37)]


@pytest.mark.parametrize(("method", "shape"), crossed(METHODS, SHAPES))
def test_odd_sizes(method, shape, tmp_path):
    lr, hr = cameras(shape)
    assert fused(tmp_path, lr, hr, method).shape == (FRAMES, *shape)


@pytest.mark.parametrize(("method", "dtype"), crossed(METHODS, DTYPES))
def test_depths_come_out_as_the_hr_camera_gave_them_and_are_evaluated(method, dtype, tmp_path, capsys):
    lr, hr = cameras(dtype=dtype, low=10, high=240)
    sequence = fused(tmp_path, lr, hr, method)
    assert sequence.dtype == np.dtype(dtype).newbyteorder("=")
    assert abs(sequence.astype(float).mean() - hr.astype(float).mean()) < 5
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "fused.tif"), str(tmp_path / "fused.tif"), "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert (numbers["all"]["frames"], numbers["unseen"]["frames"]) == (FRAMES, 6)


@pytest.mark.parametrize(("method", "dtype"), crossed(METHODS, ["u1", "u2", "i2", "i4", "u4", "f4", "f8"]))
def test_a_sequence_as_bright_as_its_dtype_can_hold_never_wraps_around(method, dtype, tmp_path):
    """The discs overshoot at their edges: there the end of the range, not its other end."""
    ends = np.iinfo(dtype) if dtype[0] in "iu" else np.finfo("f4")
    high = float(ends.max) if dtype[0] in "iu" else 1e6
    sequence = np.full((FRAMES, 48, 64), 0.8 * high)
    for t in range(FRAMES):
        sequence[t, 10:30, 10 + 2 * t : 30 + 2 * t] = high
    lr = binned(sequence.astype("f8")).astype("f8")
    hr, low = sequence[::STEP], 0.5 * high
    as_camera = [np.minimum(x, np.nextafter(high, 0) if dtype[1] == "4" else high) for x in (lr, hr)]
    result = fused(tmp_path, *(x.astype(dtype) for x in as_camera), method)
    assert result.dtype == np.dtype(dtype)
    assert (result.astype("f8") > low).all()


def png_folder(folder, sequence):
    folder.mkdir()
    for i, frame in enumerate(sequence):
        Image.fromarray(frame).save(folder / f"frame_{i:04}.png")
    return folder


def tiff_folder(folder, sequence):
    folder.mkdir()
    for i, frame in enumerate(sequence):
        tifffile.imwrite(folder / f"frame_{i:04}.tif", frame, photometric="minisblack")
    return folder


def zarr_array(folder, sequence):
    zarr.save_array(folder, sequence)
    return folder


FORMATS = {
    "plain.tif": save,
    "lzw.tif": lambda path, sequence: save(path, sequence, compression="lzw", predictor=True),
    "deflate.tif": lambda path, sequence: save(path, sequence, compression="deflate", tile=(16, 16)),
    "imagej.tif": lambda path, sequence: save_whole(path, sequence, imagej=True),
    "sequence.ome.tif": lambda path, sequence: save_whole(path, sequence, ome=True),
    "big.tif": lambda path, sequence: save_whole(path, sequence, bigtiff=True, byteorder=">"),
    "PNGs": png_folder,
    "TIFFs": tiff_folder,
    "sequence.zarr": zarr_array,
}


@pytest.mark.parametrize("name", FORMATS)
def test_the_format_of_the_sequences_does_not_change_the_result(name, tmp_path):
    lr, hr = cameras()
    expected = fused(tmp_path / "expected", lr, hr, "interpolation")
    sides = tmp_path / "lr", tmp_path / "hr"
    for side in sides:
        side.mkdir()
    paths = [FORMATS[name](side / name, sequence) for side, sequence in zip(sides, (lr, hr), strict=True)]
    assert fuse(*paths, tmp_path / "fused.tif", "interpolation") == 0
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "fused.tif"), expected)


BAD_FRAME = 4  # of LR; the second HR frame is of the same moment
REACH = 32


def spoil(what, frame):
    """A copy of ``frame`` (H, W) that is odd in one pixel or as a whole."""
    frame = frame.copy()
    middle = frame.shape[0] // 2, frame.shape[1] // 2
    if what in ("NaN", "+Inf", "-Inf"):
        frame[middle] = {"NaN": np.nan, "+Inf": np.inf, "-Inf": -np.inf}[what]
    elif what == "a column of NaN":
        frame[:, middle[1]] = np.nan
    else:
        frame[:] = {"all NaN": np.nan, "black": 0, "constant": 5000, "saturated": 65535}[what]
    return frame


def far_from_middle(shape, what):
    """Where one bad pixel in the middle (or the middle column) must not be felt."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    across = np.abs(x - shape[1] // 2)
    return (
        across > REACH if what == "a column of NaN" else np.maximum(np.abs(y - shape[0] // 2), across) > REACH
    )


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """The same sequences without a bad pixel, fused by each method."""
    folder = tmp_path_factory.mktemp("clean")
    lr, hr = cameras((96, 128), "f4")
    return lr, hr, {m: np.array(fused(folder / m, lr, hr, m)) for m in METHODS}


BAD_PIXELS = list(product(["LR", "HR"], ["NaN", "+Inf", "-Inf", "a column of NaN"]))


@pytest.mark.parametrize(("method", "bad"), crossed(METHODS, BAD_PIXELS))
def test_bad_pixels_are_said_and_stay_where_they_are(method, bad, clean, tmp_path, capsys):
    (where, what), (lr, hr, expected) = bad, clean
    lr, hr = lr.copy(), hr.copy()
    if where == "LR":
        lr[BAD_FRAME] = spoil(what, lr[BAD_FRAME])
    else:
        hr[1] = spoil(what, hr[1])
    result = fused(tmp_path, lr, hr, method)
    assert np.isfinite(result).all()
    difference = np.abs(result - expected[method]) / np.ptp(hr[0])
    # The literal method of the paper groups pixels by grey value alone: other groups, other values.
    allowed = 0.1 if method == "bayesian-paper" else 0.02
    assert difference[:, far_from_middle(hr.shape[1:], what)].max() < allowed
    count = {"LR": (24, 1), "HR": (96, 1)}[where][what != "a column of NaN"]
    frame = f"LR {BAD_FRAME}" if where == "LR" else "HR 1"
    said = f"frames {frame} ({count})"
    if where == "LR" or method != "bicubic":
        assert said in capsys.readouterr().err
        assert any(said in note for note in record_of(tmp_path / "fused.tif")["warnings"])


BAD_FRAMES = list(product(["LR", "HR"], ["all NaN", "black", "constant", "saturated"]))


@pytest.mark.parametrize(("method", "bad"), crossed(METHODS, BAD_FRAMES))
def test_one_bad_frame_spoils_no_target_that_it_does_not_serve(method, bad, clean, tmp_path, capsys):
    """LR 1 serves targets 0 to 2; the last HR frame serves itself and those since the HR frame before it.

    Methods that use all HR frames within reach have one frame less to average.
    """
    (where, what), (lr, hr, expected) = bad, clean
    lr, hr = lr.copy(), hr.copy()
    if where == "LR":
        lr[1], unserved = spoil(what, lr[1]), slice(3, None)
    else:
        hr[-1], unserved = spoil(what, hr[-1]), slice(0, 4)
    result = fused(tmp_path, lr, hr, method)
    assert np.isfinite(result).all()
    allowed = 0.05 if where == "HR" and method in {"flow", "lite"} else 0.02
    assert (np.abs(result - expected[method])[unserved] / np.ptp(hr[0])).max() < allowed
    if where == "HR":
        said = "HR frames 2 show something else"
        assert said in capsys.readouterr().err
        assert any(said in note for note in record_of(tmp_path / "fused.tif")["warnings"])


@pytest.mark.parametrize(("method", "value"), crossed(METHODS, [0, 7, 255]))
def test_a_constant_sequence_comes_back(method, value, tmp_path):
    lr, hr = np.full((FRAMES, 12, 16), value, "u1"), np.full((3, 48, 64), value, "u1")
    assert (fused(tmp_path, lr, hr, method) == value).all()
