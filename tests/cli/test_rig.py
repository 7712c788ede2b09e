"""The commands calibrate and rig show, in the process of the test."""

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_xfusion.cli import main
from napari_xfusion.core.calibration import Calibration, CameraFacts
from napari_xfusion.core.mapping import Mapping
from tests.core.rig.shots import shot
from tests.core.rig.targets import error, grid, mapping, pair


@pytest.fixture
def files(tmp_path):
    """A target as both cameras show it."""

    def write(**target):
        paths = [tmp_path / "lr.tif", tmp_path / "hr.tif"]
        for path, stack in zip(paths, pair(grid(**target), mapping()), strict=True):
            tifffile.imwrite(path, stack.frame(0)[None], photometric="minisblack")
        return list(map(str, paths))

    return write


def test_calibrate_writes_a_rig_file_and_a_picture(files, tmp_path, capsys):
    rig, picture = tmp_path / "rig.json", tmp_path / "rig.png"
    command = ["calibrate", *files(), "-o", str(rig), "--picture", str(picture)]
    assert main([*command, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["way"], facts["mirrored"]) == ("grid", True)
    assert error(Calibration.load(rig).mapping, mapping()) < 0.02
    with Image.open(picture) as image:
        assert image.size == (320, 2 * (240 + 22) + 4)
    assert main(command) == 0  # replaces its own files
    capsys.readouterr()
    assert main(["rig", "show", str(rig)]) == 0
    shown = capsys.readouterr().out
    assert "mirrored" in shown
    assert "lr.tif, 96x128 pixels" in shown


CLOCK = {"offset_ns": 5, "uncertainty_ns": 1, "lr_interval_ns": 10, "hr_interval_ns": 90, "source": "content"}


def test_calibrating_again_keeps_the_clock_and_the_blur_of_the_same_cameras_only(files, tmp_path, capsys):
    rig = tmp_path / "rig.json"
    command = ["calibrate", *files(), "-o", str(rig)]
    assert main(command) == 0
    made = Calibration.load(rig)
    clocked = Calibration.model_validate({**made.model_dump(by_alias=True), "clock": CLOCK, "blur": [[1.0]]})
    clocked.save(rig)
    capsys.readouterr()
    assert main(command) == 0
    assert "the clock and the blur" in capsys.readouterr().err
    again = Calibration.load(rig)
    assert (again.clock, again.blur) == (clocked.clock, clocked.blur)
    assert main([*command, "--overwrite"]) == 0
    assert Calibration.load(rig).clock is None
    other = clocked.model_copy(update={"lr": made.lr.model_copy(update={"shape": (96, 120)})})
    other.save(rig)
    capsys.readouterr()
    assert main(command) == 1
    assert "other cameras" in capsys.readouterr().err
    assert Calibration.load(rig) == other


def test_the_cameras_are_measured_on_a_pair(tmp_path, capsys):
    lr, hr = shot(seed=3).cameras()
    for name, frames in (("lr", lr), ("hr", hr)):
        tifffile.imwrite(tmp_path / f"{name}.tif", frames, photometric="minisblack")
    pair, rig = [str(tmp_path / f"{name}.tif") for name in ("lr", "hr")], tmp_path / "rig.json"
    cameras = {n: CameraFacts(source=n, shape=x.shape[1:]) for n, x in (("lr", lr), ("hr", hr))}
    Calibration(**cameras, mapping=Mapping.scaled((4, 4)), way="manual").save(rig)
    command = ["rig", "measure", *pair, "--rig", str(rig), "--hr-step", "10", "-o"]
    assert main([*command, str(rig)]) == 0
    assert "noise" in capsys.readouterr().out
    assert Calibration.load(rig).figures.noise.at(1500) == pytest.approx(30, rel=0.15)
    assert main([*command, pair[0]]) == 1
    (tmp_path / "other.json").write_text("{}")
    assert main([*command, str(tmp_path / "other.json")]) == 1
    capsys.readouterr()
    assert main(["check", *pair, "--rig", str(rig), "--hr-step", "10"]) == 0
    assert "pattern  fixed in LR" in capsys.readouterr().out


def test_flats_and_darks_are_applied_before_calibration(files, tmp_path):
    """A dark that differs from pixel to pixel by more than the target, and an uneven beam."""
    paths, rig, y = files(), tmp_path / "rig.json", np.linspace(0.3, 1, 128)
    fixed = np.random.default_rng(0).integers(0, 20000, (1, 96, 128)).astype(np.uint16)
    seen = tifffile.imread(paths[0])
    images = {"lr.tif": seen * y + fixed, "flat.tif": 20000 * y + fixed, "dark.tif": fixed}
    for name, image in images.items():
        frames = np.broadcast_to(image, (1, 96, 128)).astype(np.uint16)
        tifffile.imwrite(tmp_path / name, frames, photometric="minisblack")
    fields = ["--lr-flat", str(tmp_path / "flat.tif"), "--lr-dark", str(tmp_path / "dark.tif")]
    assert main(["calibrate", *paths, *fields, "-o", str(rig)]) == 0
    assert error(Calibration.load(rig).mapping, mapping()) < 0.02
    assert main(["calibrate", *paths, *fields, "-o", str(tmp_path / "flat.tif"), "--overwrite"]) == 1


def test_nothing_is_written_where_the_mapping_is_not_certain(files, tmp_path, capsys):
    rig, picture = tmp_path / "rig.json", tmp_path / "rig.png"
    assert main(["calibrate", *files(closed=()), "-o", str(rig), "--picture", str(picture)]) == 1
    assert "a few point pairs as --points" in capsys.readouterr().err
    assert not rig.exists()
    assert not picture.exists()


def test_a_file_of_other_origin_is_not_replaced(files, tmp_path, capsys):
    (tmp_path / "rig.json").write_text("{}")
    assert main(["calibrate", *files(), "-o", str(tmp_path / "rig.json")]) == 1
    assert "not a rig file" in capsys.readouterr().err
    assert (tmp_path / "rig.json").read_text() == "{}"
