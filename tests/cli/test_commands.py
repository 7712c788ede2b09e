"""The command line on real files, from a sequence to numbers, in the process of the test."""

import csv
import json

import numpy as np
import pytest
import tifffile

from napari_xfusion import __version__
from napari_xfusion.cli import main
from napari_xfusion.core.networks import cards
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.results.record import RunRecord
from napari_xfusion.lab import demo
from tests.sequences import moving_discs

METHODS = ["bicubic", "interpolation", "flow", "bayesian", "bayesian-paper"]


@pytest.fixture
def run(capsys):
    """Run a command; returns exit code, stdout and the lines of stderr that are not progress."""

    def call(*arguments):
        code = main([str(a) for a in arguments])
        told = capsys.readouterr()
        lines = [
            line for line in told.err.replace("\r", "\n").splitlines() if line.startswith("napari-xfusion")
        ]
        return code, told.out, lines

    return call


def write_sequence(path, sequence, **options):
    tifffile.imwrite(path, sequence, photometric="minisblack", metadata={"axes": "TYX"}, **options)
    return path


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """A virtual experiment on disk: movie.tif, lr.tif, hr.tif, truth.tif; HR every 5th frame and the last."""
    folder = tmp_path_factory.mktemp("experiment")
    sequence = (moving_discs(13) * 3000 + 500).astype(np.uint16)
    write_sequence(folder / "movie.tif", sequence)
    assert main(["simulate", str(folder / "movie.tif"), "-o", str(folder), "--hr-step", "5"]) == 0
    return folder


def test_simulate_has_an_option_for_each_disturbance(experiment, tmp_path, run):
    options = (
        "--lr-flicker 0.1 --hr-dead 3 --lr-stamp --lr-black 3,5 --lr-shift -0.5,0.25 --hr-late 1 --hr-gamma 2"
    )
    code, out, _ = run(
        "simulate", experiment / "movie.tif", "-o", tmp_path, "--hr-step", 5, "--json", *options.split()
    )
    assert code == 0
    assert json.loads(out)["disturbances"] == {
        "lr": {"flicker": 0.1, "stamp": True, "black": [3, 5]},
        "hr": {"dead": 3, "gamma": 2.0},
        "lr_shift": [-0.5, 0.25],
        "hr_late": 1.0,
    }


@pytest.mark.parametrize(
    ("options", "told"),
    [
        pytest.param(["--lr-flicker", "-1"], "--lr-flicker: expected greater than or equal to 0", id="range"),
        pytest.param(["--hr-black", "1,x"], "--hr-black: expected a valid integer", id="no number"),
        pytest.param(["--lr-shift", "1"], "--lr-shift", id="one of two numbers"),
        pytest.param(["--lr-black", "99"], "--lr-black: expected frame numbers from 0 to 12", id="no frame"),
        pytest.param(["--hr-late", "99"], "--hr-late: no HR frame", id="no HR frame"),
    ],
)
def test_impossible_disturbances_name_their_option(options, told, experiment, tmp_path, capsys):
    assert main(["simulate", str(experiment / "movie.tif"), "-o", str(tmp_path), "--hr-step", "5", *options])
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("method", METHODS)
def test_from_sequences_to_numbers(method, experiment, tmp_path, run):
    output = tmp_path / "fused.tif"
    code, out, _ = run(
        "fuse", experiment / "lr.tif", experiment / "hr.tif", "-o", output, "--method", method, "--json"
    )
    assert code == 0
    facts = json.loads(out)
    assert (facts["frames"], facts["finished"], facts["method"]) == (13, True, method)
    fused = tifffile.imread(output)
    assert fused.shape == (13, 48, 64)
    assert fused.dtype == np.uint16
    code, out, _ = run("evaluate", experiment / "truth.tif", output, "--json", "--csv", tmp_path / "m.csv")
    assert code == 0
    numbers = json.loads(out)
    assert (numbers["all"]["frames"], numbers["unseen"]["frames"]) == (13, 9)
    assert numbers["unseen"]["psnr"]["mean"] > 18
    with (tmp_path / "m.csv").open() as file:
        assert [r["frame"] for r in csv.DictReader(file) if r["seen"] == "1"] == ["0", "5", "10", "12"]


def test_the_record_tells_how_the_result_was_made(experiment, tmp_path, run):
    output = tmp_path / "fused.tif"
    assert run("fuse", experiment / "lr.tif", experiment / "hr.tif", "-o", output)[0] == 0
    record = json.loads((tmp_path / "fused.tif.json").read_text())
    assert record["napari_xfusion"] == __version__
    assert record["plan"]["hr_times"] == [0, 5, 10, 12]
    fast, (sharp,) = record["rig"]["fast"], record["rig"]["sharp"]
    assert (fast["shape"], sharp["shape"]) == ([13, 12, 16], [4, 48, 64])
    assert set(record["inputs"]) == {"lr", "hr"}
    assert (record["inputs"]["lr"]["source"], len(record["inputs"]["lr"]["sha256"])) == (fast["source"], 64)
    assert sharp["clock"]["times_ps"] == [fast["clock"]["times_ps"][t] for t in (0, 5, 10, 12)]
    assert len(record["frames"]) == 13
    assert [f["frame"] for f in record["frames"] if f["seen"]] == [0, 5, 10, 12]
    assert record["frames_resumed"] == 0
    assert record["rig"]["correlation"] > 0.99


def test_a_run_is_repeated_from_its_record(experiment, tmp_path, run):
    sequences = experiment / "lr.tif", experiment / "hr.tif"
    options = "--method", "bayesian", "--frames", "2:9", "--grey", "percentile"
    assert run("fuse", *sequences, "-o", tmp_path / "fused.tif", *options)[0] == 0
    code, out, _ = run("fuse", "--from", tmp_path / "fused.tif", "-o", tmp_path / "again.tif", "--json")
    assert code == 0
    assert json.loads(out)["method"] == "bayesian"
    assert (tmp_path / "again.tif").read_bytes() == (tmp_path / "fused.tif").read_bytes()
    given = "fuse", *sequences, "--from", tmp_path / "fused.tif.json", "-o", tmp_path / "given.tif"
    assert run(*given)[0] == 0
    assert (tmp_path / "given.tif").read_bytes() == (tmp_path / "fused.tif").read_bytes()


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        pytest.param(["--from", "fused.tif", "--hr-step", "5"], 2, "--hr-step", id="a setting"),
        pytest.param(["--from", "fused.tif", "--method", "lite"], 2, "--method", id="the default"),
        pytest.param(["--from", "none.tif"], 1, "the record of a run", id="no record"),
        pytest.param(["hr.tif", "--from", "fused.tif"], 1, "not the LR recording", id="another recording"),
        pytest.param([], 2, "--from RECORD", id="neither recordings nor a record"),
        pytest.param(["lr.tif"], 2, "--from RECORD", id="one recording"),
    ],
)
def test_a_run_that_cannot_be_repeated_is_told(experiment, monkeypatch, capsys, options, code, said):
    monkeypatch.chdir(experiment)
    assert main(["fuse", "lr.tif", "hr.tif", "-o", "fused.tif", "--method", "bicubic"]) == 0
    capsys.readouterr()
    assert main(["fuse", *options, "-o", "again.tif"]) == code
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (experiment / "again.tif").exists()


def test_flats_and_darks_of_each_camera_are_applied_and_recorded(experiment, tmp_path, run):
    """HR divided by an even flat is HR in other units; a flat of another size is refused."""
    flat = write_sequence(tmp_path / "flat.tif", np.full((2, 48, 64), 2000, np.uint16))
    command = ["fuse", experiment / "lr.tif", experiment / "hr.tif", "--method", "interpolation"]
    code, _, _ = run(*command, "--hr-flat", flat, "-o", tmp_path / "a.tif")
    assert code == 0
    plain = tifffile.imread(experiment / "hr.tif")[0]
    np.testing.assert_allclose(tifffile.imread(tmp_path / "a.tif")[0], plain / 2000, rtol=1e-3)
    assert list(RunRecord.load(tmp_path / "a.tif").inputs["hr"].fields) == [str(flat)]
    code, _, err = run(*command, "--lr-flat", flat, "-o", tmp_path / "b.tif")
    assert code == 1
    assert "a flat of 12 x 16" in " ".join(err)
    assert run(*command, "--lr-normalise", "x", "-o", tmp_path / "b.tif")[0] == 2


def test_a_finished_result_is_left_alone_and_another_plan_is_refused(experiment, tmp_path, run):
    sequences = experiment / "lr.tif", experiment / "hr.tif", "-o", tmp_path / "fused.tif"
    assert run("fuse", *sequences)[0] == 0
    before = (tmp_path / "fused.tif").stat().st_mtime_ns
    code, out, _ = run("fuse", *sequences)
    assert code == 0
    assert "nothing to do" in out
    code, _, lines = run("fuse", *sequences, "--method", "bicubic")
    assert code == 1
    assert "--overwrite" in lines[0]
    assert (tmp_path / "fused.tif").stat().st_mtime_ns == before
    assert run("fuse", *sequences, "--method", "bicubic", "--overwrite")[0] == 0


def test_equal_plans_give_equal_bytes(experiment, tmp_path, run):
    for name in ("a", "b"):
        assert (
            run("fuse", experiment / "lr.tif", experiment / "hr.tif", "-o", tmp_path / f"{name}.tif")[0] == 0
        )
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_a_range_of_frames_is_evaluated_at_its_place(experiment, tmp_path, run):
    output = tmp_path / "part.tif"
    sequences = experiment / "lr.tif", experiment / "hr.tif", "-o", output
    assert run("fuse", *sequences, "--frames", "3:8")[0] == 0
    code, out, _ = run("evaluate", experiment / "truth.tif", output, "--json")
    assert code == 0
    assert json.loads(out)["all"]["frames"] == 5
    assert json.loads(out)["unseen"]["frames"] == 4


def test_hr_frames_are_not_evaluated_as_a_result(experiment, tmp_path, run):
    code, _, err = run("evaluate", experiment / "truth.tif", experiment / "hr.tif")
    assert code == 1
    assert "HR recording" in err[-1]
    short = tmp_path / "short.tif"
    tifffile.imwrite(short, tifffile.imread(experiment / "truth.tif")[:3], photometric="minisblack")
    code, _, err = run("evaluate", experiment / "truth.tif", short)
    assert code == 0
    assert any("frame 0 of the truth" in line for line in err)


@pytest.mark.parametrize("name", ["fused.tif", "fused.ome.tif", "fused.zarr", "fused.nxs"])
def test_every_kind_of_output_is_read_back(name, experiment, tmp_path, run):
    output = tmp_path / name
    assert (
        run("fuse", experiment / "lr.tif", experiment / "hr.tif", "-o", output, "--dtype", "float32")[0] == 0
    )
    code, out, _ = run("evaluate", experiment / "truth.tif", output, "--json")
    assert code == 0
    assert json.loads(out)["unseen"]["frames"] == 9


@pytest.mark.parametrize("method", ["bayesian", "bayesian-paper"])
def test_standard_deviation(method, experiment, tmp_path, run):
    std = tmp_path / "std.tif"
    sequences = experiment / "lr.tif", experiment / "hr.tif", "-o", tmp_path / "fused.tif"
    assert run("fuse", *sequences, "--method", method, "--std", std)[0] == 0
    deviation = tifffile.imread(std)
    assert deviation.dtype == np.float32
    assert deviation.shape == (13, 48, 64)
    assert (deviation >= 0).all()


def test_check_says_how_the_sequences_pair_and_writes_nothing(experiment, tmp_path, run):
    before = sorted(experiment.iterdir())
    code, out, _ = run("check", experiment / "lr.tif", experiment / "hr.tif")
    assert code == 0
    for said in (
        "13 frames of 12x16",
        "4 frames of 48x64",
        "4 x 4",
        "0, 5, 10, 12",
        "9 of them unseen",
        "ready",
    ):
        assert said in out
    code, out, _ = run("check", experiment / "lr.tif", experiment / "hr.tif", "--json")
    found = json.loads(out)
    assert found["ok"]
    assert found["pairing"]["unseen"] == 9
    assert found["estimate"]["output_mb"] == pytest.approx(13 * 48 * 64 * 2 / 1e6, abs=0.1)
    assert sorted(experiment.iterdir()) == before


def test_check_says_what_was_found_and_what_is_wrong(experiment, run):
    code, out, lines = run("check", experiment / "lr.tif", experiment / "hr.tif", "--hr-step", "9")
    assert code == 1
    assert "13 frames of 12x16" in out
    assert "HR frame 2 at LR frame 18" in out
    assert len(lines) == 1


def test_doctor_names_what_is_there(run):
    code, out, _ = run("doctor", "--json")
    assert code == 0
    facts = json.loads(out)
    assert facts["packages"]["numpy"] == np.__version__
    assert facts["problems"] == []


@pytest.fixture
def small_sample(experiment, monkeypatch):
    """The demo takes the virtual experiment for the sample: the sample itself takes a minute."""
    monkeypatch.setattr(demo, "SAMPLE_PLACES", (experiment,))


def test_demo_writes_sequence_picture_and_table(small_sample, experiment, tmp_path, run):
    code, out, _ = run("demo", "-o", tmp_path / "demo")
    assert code == 0
    names = {path.name for path in (tmp_path / "demo").iterdir()}
    assert {"fused.tif", "fused.tif.json", "comparison.png", "table.txt"} <= names
    assert str(tmp_path / "demo" / "fused.tif") in out
    for method in (*METHODS, *(path.stem for path in cards.BUNDLED.glob("*.safetensors"))):
        assert method in out


def test_a_second_demo_replaces_the_first(small_sample, tmp_path, monkeypatch, run):
    monkeypatch.setattr(demo, "demo_plans", lambda: {"bicubic": make_plan(method="bicubic")})
    for method in ("bicubic", "flow"):
        monkeypatch.setattr(demo, "make_plan", lambda method=method: make_plan(method=method))
        assert run("demo", "-o", tmp_path)[0] == 0
        assert json.loads((tmp_path / "fused.tif.json").read_text())["plan"]["method"] == method


@pytest.mark.soak
def test_the_demo_on_the_sample_itself(tmp_path, run):
    """As `make demo` does, with its replacement by another."""
    for _ in range(2):
        assert run("demo", "-o", tmp_path)[0] == 0
    assert tifffile.imread(tmp_path / "fused.tif").shape == (51, 144, 240)


def test_version(run):
    assert run("--version") == (0, f"{__version__}\n", [])


def test_check_reports_what_it_could_open_and_the_problem_as_one_object(experiment, tmp_path, run):
    nothing = tmp_path / "lr.cine"
    nothing.write_bytes(b"CI" + bytes(90))
    code, out, err = run("check", nothing, experiment / "hr.tif", "--json")
    found = json.loads(out)
    assert code == 1
    assert any("cine" in line for line in err)
    assert (found["ok"], found["pairing"], found["notes"]) == (False, {}, [])
    assert "cine" in found["problem"]
    assert (found["found"]["lr"]["frames"], found["found"]["hr"]["frames"]) == (None, 4)
