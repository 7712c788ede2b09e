"""``synchronise`` on real files: the clock on stdout and in a rig file, and why there is none."""

import json

import numpy as np
import pytest
import tifffile

from napari_xfusion.cli import main
from napari_xfusion.core.calibration import Calibration
from tests.two_clocks import cameras, static


@pytest.fixture
def run(capsys):
    def call(*arguments):
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def write(folder, **case):
    for name, each in zip(("lr.tif", "hr.tif"), cameras(**case), strict=True):
        frames = np.stack([each.frame(i) for i in range(len(each))])
        tifffile.imwrite(folder / name, frames, photometric="minisblack", metadata={"axes": "TYX"})
    return folder / "lr.tif", folder / "hr.tif"


def test_the_clock_is_printed_and_saved(tmp_path, run):
    lr, hr = write(tmp_path)
    rig = tmp_path / "rig.json"
    code, out, _ = run("synchronise", lr, hr, "--hr-step", 7, "-o", rig, "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["hr_start"], found["hr_step"]) == pytest.approx((10.3, 7), abs=0.05)
    assert found["offset_ns"] is None  # the files know no frame rate
    clock = Calibration.load(rig).clock
    assert clock.offset_ns / clock.lr_interval_ns == pytest.approx(found["offset_frames"])
    code, _, err = run("synchronise", lr, hr, "--hr-step", 7, "-o", rig)
    assert code == 1
    assert "--overwrite" in err
    code, out, _ = run("synchronise", lr, hr, "--hr-step", 7, "--rig", rig, "-o", rig)
    assert code == 0
    assert "--hr-start 10." in out


def test_a_refusal_names_what_to_do_and_writes_nothing(tmp_path, run):
    lr, hr = write(tmp_path, scene=static)
    rig = tmp_path / "rig.json"
    code, _, err = run("synchronise", lr, hr, "--hr-step", 7, "-o", rig)
    assert code == 1
    assert "something moves" in err
    assert not rig.exists()
    code, _, err = run("synchronise", lr, hr)
    assert code == 1
    assert "--hr-step" in err
