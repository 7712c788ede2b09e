"""The commands calibrate and rig show, in the process of the test."""

import json

import pytest
import tifffile
from PIL import Image

from napari_xfusion.cli import main
from napari_xfusion.core.calibration import Calibration
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
