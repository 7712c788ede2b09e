"""Commands about single recordings, in the process of the test."""

import json

import numpy as np
import pytest
import tifffile

from napari_xfusion.cli import main
from napari_xfusion.core.recordings import open_stack
from tests.cameras import ORIGINALS, write_mraw

P10 = ORIGINALS / "dice_packed_12bpp.cine"
FRAMES = np.arange(6 * 4 * 16, dtype=np.uint16).reshape(6, 4, 16)


@pytest.fixture
def run(capsys):
    """Run a command; returns exit code, stdout and stderr."""

    def call(*arguments):
        code = main([str(a) for a in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_info_of_a_camera_s_file_as_json(run):
    code, out, err = run("info", P10, "--json")
    facts = json.loads(out)
    (warning,) = facts.pop("warnings")
    assert (code, err) == (0, "")
    assert "linear values of 12 bits" in warning
    times = facts.pop("times")
    assert facts == {
        "format": "cine",
        "frames": 6,
        "height": 128,
        "width": 256,
        "dtype": "uint16",
        "bits": 10,
        "camera": "Phantom v1610",
        "serial": "13509",
        "exposure_ns": 99_000,
        "corrected": "black reference of the session (CSR)",
        "sensor_region": None,
    }
    assert times.pop("jitter_ns") < 1
    assert times == {
        "source": "stamps",
        "first_ns": 606_142_040,
        "last_ns": 656_142_040,
        "median_interval_ns": 10_000_000,
        "irregular": False,
    }


def test_info_of_a_sequence_without_a_camera_has_the_same_keys(run, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", FRAMES, imagej=True, metadata={"axes": "TYX", "finterval": 0.5})
    facts = json.loads(run("info", tmp_path / "a.tif", "--json")[1])
    camera = json.loads(run("info", P10, "--json")[1])
    assert (facts.keys(), facts["times"].keys()) == (camera.keys(), camera["times"].keys())
    assert (facts["format"], facts["camera"], facts["bits"]) == ("tiff", None, None)
    assert (facts["times"]["source"], facts["times"]["last_ns"]) == ("rate", 2_500_000_000)


def test_info_without_times(run, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", FRAMES[:1], photometric="minisblack")
    times = json.loads(run("info", tmp_path / "a.tif", "--json")[1])["times"]
    assert times == {
        "source": "none",
        **dict.fromkeys(["first_ns", "last_ns", "median_interval_ns", "jitter_ns", "irregular"]),
    }


def test_info_of_several_files_continues_after_one_that_cannot_be_opened(run, tmp_path):
    path = write_mraw(tmp_path / "S1.mraw", FRAMES, 16)
    code, out, err = run("info", path, tmp_path / "absent.cine", P10, "--json")
    first, second, third = json.loads(out)
    assert (code, first["format"], third["format"]) == (1, "mraw", "cine")
    assert (second["ok"], second["error"]["kind"]) == (False, "InputError")
    assert "absent.cine" in err


def test_info_as_text(run, tmp_path):
    code, out, _ = run("info", P10, write_mraw(tmp_path / "S1.mraw", FRAMES, 16))
    lines = {line[:20].strip(): line[21:] for line in out.split("\n\n")[0].splitlines()}
    assert code == 0
    assert (lines["camera"], lines["sensor pitch"], lines["white level"]) == (
        "Phantom v1610",
        "28 µm",
        "4064",
    )
    assert out.split("\n\n")[1].startswith(str(tmp_path / "S1.mraw"))


def test_info_agrees_with_what_is_opened(run):
    facts, stack = json.loads(run("info", P10, "--json")[1]), open_stack(P10)
    assert facts["times"]["first_ns"] == round(stack.clock.times_ps[0] / 1000)


def test_convert_some_frames(run, tmp_path):
    code, out, err = run("convert", P10, "-o", tmp_path / "out.ome.tif", "--frames", "2:5", "--json")
    facts = json.loads(out)
    assert (code, facts["frames"], facts["finished"]) == (0, 3, True)
    assert "linear values" in err
    original, converted = open_stack(P10), open_stack(tmp_path / "out.ome.tif")
    np.testing.assert_array_equal(converted.frame(0), original.frame(2))
    assert converted.clock == original.clock.select((2, 3, 4))
