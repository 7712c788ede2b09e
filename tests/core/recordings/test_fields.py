"""Flats and darks, against the formula in float64."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_xfusion.core.plan import Plan
from napari_xfusion.core.recordings import Fields, Raw, as_stack, open_stack
from napari_xfusion.core.results.record import RunRecord
from napari_xfusion.core.run import Run, fuse_files
from napari_xfusion.core.types import Region
from napari_xfusion.errors import InputError
from tests.cameras import write_cine, write_mraw
from tests.sequences import moving_discs

T, H, W = 9, 12, 16
RNG = np.random.default_rng(8)
DARK = RNG.integers(90, 110, (4, H, W)).astype("u2")
BEFORE = (2000 + 1000 * RNG.random((5, H, W))).astype("u2")
AFTER = (BEFORE * 0.8).astype("u2")
FRAMES = (500 + 1500 * RNG.random((T, H, W))).astype("u2")


def tif(path: Path, data) -> str:
    tifffile.imwrite(path, data, photometric="minisblack", metadata={"axes": "TYX"})
    return str(path)


@pytest.fixture
def files(tmp_path):
    data = {"raw": FRAMES, "dark": DARK, "before": BEFORE, "after": AFTER}
    return {name: tif(tmp_path / f"{name}.tif", values) for name, values in data.items()}


def read(stack):
    return np.stack([stack.frame(i) for i in range(len(stack))])


def expected(weights, dark=True):
    D = DARK.mean(0) if dark else 0.0
    return np.stack(
        [
            (frame - D) / ((1 - w) * BEFORE.mean(0) + w * AFTER.mean(0) - D)
            for frame, w in zip(FRAMES, weights, strict=True)
        ]
    )


CASES = {
    "one flat": (("before",), ("dark",), np.zeros(T)),
    "before and after": (("before", "after"), ("dark",), np.arange(T) / (T - 1)),
    "no dark": (("before",), (), np.zeros(T)),
}


@pytest.mark.parametrize("name", CASES)
def test_frames_are_those_of_the_formula(files, name):
    flats, darks, weights = CASES[name]
    fields = Fields(tuple(files[x] for x in flats), tuple(files[x] for x in darks))
    stack = open_stack(files["raw"], fields=fields)
    assert stack.dtype == np.float32
    np.testing.assert_allclose(read(stack), expected(weights, bool(darks)), rtol=2e-6)
    assert [x.code for x in stack.metadata.warnings] == ([] if darks else ["no-dark"])
    assert [path for path, _ in stack.metadata.fields] == [*fields.flats, *fields.darks]


def test_a_dark_alone_is_subtracted(files):
    stack = open_stack(files["raw"], fields=Fields(darks=(files["dark"],)))
    np.testing.assert_allclose(read(stack), FRAMES - DARK.mean(0), rtol=1e-6)


@pytest.mark.parametrize("beam", ["mean", Region(2, 8, 0, 5)])
def test_frames_are_divided_by_the_beam(files, beam):
    stack = open_stack(files["raw"], fields=Fields((files["before"],), (files["dark"],), beam))
    frames = expected(np.zeros(T))
    part = frames if beam == "mean" else frames[:, 2:8, 0:5]
    np.testing.assert_allclose(read(stack), frames / part.mean((1, 2), keepdims=True), rtol=1e-5)


def test_dead_pixels_are_not_a_number(files, tmp_path):
    flat = BEFORE.copy()
    flat[:, 3, 4] = DARK[:, 3, 4].mean()
    stack = open_stack(files["raw"], fields=Fields((tif(tmp_path / "f.tif", flat),), (files["dark"],)))
    assert [tuple(map(int, x)) for x in np.argwhere(np.isnan(stack.frame(2)))] == [(3, 4)]
    many = flat * (np.arange(W) > 3)
    stack = open_stack(
        files["raw"], fields=Fields((tif(tmp_path / "g.tif", many.astype("u2")),), (files["dark"],))
    )
    assert "dead-pixels" in [x.code for x in stack.metadata.warnings]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param(
            lambda f: Fields((f["small"],)), r"small\.tif.*a flat of 12 x 16.*found 5 x 16", id="size"
        ),
        pytest.param(lambda f: Fields((f["dark"],), (f["before"],)), "exchanged", id="exchanged"),
        pytest.param(
            lambda _: Fields(beam=Region(0, 13, 0, 2)), "region of open beam inside 12 x 16", id="region"
        ),
        pytest.param(lambda _: Fields(("own",)), "no flats and darks of its own", id="own"),
        pytest.param(lambda _: Fields(("gone.tif",)), "no such file", id="absent"),
    ],
)
def test_fields_that_do_not_fit_are_refused(files, tmp_path, fields, message):
    files["small"] = tif(tmp_path / "small.tif", BEFORE[:, :5])
    with pytest.raises(InputError, match=message):
        open_stack(files["raw"], fields=fields(files))


def test_the_corrected_recording_is_a_value(files):
    fields = Fields((files["before"], files["after"]), (files["dark"],), "mean")
    stack = as_stack(Raw(files["raw"], fields))
    again = pickle.loads(pickle.dumps(stack))  # noqa: S301 - its own bytes
    np.testing.assert_array_equal(read(again), read(stack))
    others = [
        Fields(),
        Fields((files["before"],)),
        Fields((files["before"], files["after"]), (files["dark"],)),
    ]
    digests = {open_stack(files["raw"], fields=x).digest() for x in (*others, fields)}
    assert len(digests) == 4
    assert again.digest() == stack.digest()


def test_own_flats_and_darks_of_nexus_at_their_times(tmp_path):
    """Two flats before, a dark, frames, two flats after: linear between the middles of both series."""
    h5py = pytest.importorskip("h5py", reason="h5py (extra hdf5) is not installed")
    path = tmp_path / "a.nxs"
    with h5py.File(path, "w") as file:
        file["e/data"] = np.concatenate([BEFORE[:2], DARK[:1], FRAMES, AFTER[:2]])
        file["e/image_key"] = [1, 1, 2, *[0] * T, 1, 1]
    stack = open_stack(path, fields=Fields(("own",), ("own",)))
    D = DARK[0]
    for i, w in ((0, 0.0), (4, 0.5), (T - 1, 1.0)):
        field = (1 - w) * BEFORE[:2].mean(0) + w * AFTER[:2].mean(0) - D
        np.testing.assert_allclose(stack.frame(i), (FRAMES[i] - D) / field, rtol=2e-6)
    (warning,) = open_stack(path).metadata.warnings
    assert (warning.code, "4 flats and 1 darks" in warning.text) == ("unused-fields", True)


def test_own_flats_and_darks_of_data_exchange(tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py (extra hdf5) is not installed")
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["exchange/data"], file["exchange/data_white"], file["exchange/data_dark"] = FRAMES, BEFORE, DARK
        file["exchange/flatfield_applied"] = True
    stack = open_stack(path, fields=Fields(("own",), ("own",)))
    np.testing.assert_allclose(read(stack), expected(np.zeros(T)), rtol=2e-6)
    assert [x.code for x in stack.metadata.warnings] == ["corrected-twice"]
    by_path = Fields((f"{path}::/exchange/data_white",), (f"{path}::/exchange/data_dark",))
    np.testing.assert_array_equal(read(open_stack(path, fields=by_path)), read(stack))


def test_a_run_records_the_fields_and_is_repeated_with_them(tmp_path):
    truth = 1000 * moving_discs(9) + 500
    low = truth.reshape(9, truth.shape[1] // 4, 4, truth.shape[2] // 4, 4).mean((2, 4))
    lr, hr = tif(tmp_path / "lr.tif", low.astype("f4")), tif(tmp_path / "hr.tif", truth[::4].astype("f4"))
    flat = tif(tmp_path / "flat.tif", np.full((1, *truth.shape[1:]), 2000, "f4"))
    plan = Plan(method="interpolation", hr_step=4)
    raw = Raw(hr, Fields((flat,)))
    fuse_files(plan, lr, raw, tmp_path / "a.tif")
    record = RunRecord.load(tmp_path / "a.tif")
    assert record.inputs["hr"].fields == {flat: open_stack(flat).digest()}
    record.run(tmp_path / "b.tif")
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()
    np.testing.assert_allclose(tifffile.imread(tmp_path / "a.tif")[0], truth[0] / 2000, rtol=1e-5)
    assert Run(plan, lr, hr).inputs["hr"].sha256 != record.inputs["hr"].sha256


@pytest.mark.parametrize(("session", "codes"), [(1, []), (0, ["camera-corrected"])])
def test_a_dark_that_the_camera_corrected_otherwise_is_reported(tmp_path, session, codes):
    path = write_cine(tmp_path / "a.cine", FRAMES, setup={1504: ("I", 1)})
    dark = write_cine(tmp_path / "dark.cine", DARK, setup={1504: ("I", session)})
    stack = open_stack(path, fields=Fields(darks=(str(dark),)))
    assert [x.code for x in stack.metadata.warnings] == codes


def test_a_dark_of_other_pixels_of_the_sensor_is_refused(tmp_path):
    paths = []
    for left in (320, 328):
        paths += [write_mraw(tmp_path / f"{left}.mraw", FRAMES, 16, header=".cihx")]
        place = f"<segmentPos><sensorXpos>{left}</sensorXpos><sensorYpos>0</sensorYpos></segmentPos></imageDataInfo>"
        text = paths[-1].with_suffix(".cihx").read_bytes()
        paths[-1].with_suffix(".cihx").write_bytes(text.replace(b"</imageDataInfo>", place.encode()))
    with pytest.raises(InputError, match="of the pixels 0:12,320:336 of the sensor"):
        open_stack(paths[0], fields=Fields(darks=(str(paths[1]),)))
