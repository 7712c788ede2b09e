"""The rig file: saved, loaded, damaged, and of other cameras."""

import json

import pytest

from napari_xfusion.core.calibration import Calibration, CameraFacts, ClockFit, Residuals
from napari_xfusion.core.mapping import Mapping
from napari_xfusion.errors import InputError, PairingError


@pytest.fixture
def made():
    """An example with every field."""
    return Calibration(
        lr=CameraFacts(source="lr.tif", shape=(25, 40), pixel_size=3.82, camera="HPV-X2"),
        hr=CameraFacts(source="hr.tif", shape=(80, 128), pixel_size=1.31),
        mapping=Mapping(
            linear=((3, 0), (0, -3)), shift=(4, 120), radial=(1e-3, 0), centre=(40, 64), reach=75
        ),
        clock=ClockFit(
            offset_ns=-3.5,
            uncertainty_ns=2,
            lr_interval_ns=1000,
            hr_interval_ns=14000,
            exposure_ns=300,
            source="content",
        ),
        blur=((0, 0, 0), (0, 1, 0), (0, 0, 0)),
        residuals=Residuals(count=80, rms=0.05, largest=0.1, left_out=0.06),
        way="grid",
    )


def test_a_calibration_is_saved_and_loaded(made, tmp_path):
    made.save(tmp_path / "rig.json")
    assert Calibration.load(tmp_path / "rig.json") == made
    assert json.loads((tmp_path / "rig.json").read_text())["schema"] == 1
    assert made.overlap == pytest.approx(75 / 80 * 120 / 128, abs=0.03)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: text[: len(text) // 2], id="truncated"),
        pytest.param(lambda _: "[" * 100_000, id="nested"),
        pytest.param(lambda text: text.replace('"schema": 1', '"schema": 2'), id="another schema"),
        pytest.param(lambda text: text.replace("-3.0", "0.0"), id="singular"),
        pytest.param(lambda text: text.replace('"grid"', '"guess"'), id="unknown way"),
        pytest.param(lambda text: text.replace("14000.0", "-1"), id="negative interval"),
    ],
)
def test_a_damaged_rig_file_is_one_error(made, tmp_path, change):
    path = tmp_path / "rig.json"
    made.save(path)
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match="schema 1") as error:
        Calibration.load(path)
    assert error.value.hint


def test_other_sizes_do_not_fit(made):
    made.check_fits((25, 40), (80, 128))
    with pytest.raises(PairingError, match="LR 25x40 and HR 64x64") as error:
        made.check_fits((25, 40), (64, 64))
    assert "80x128" in error.value.expected
