"""What is told, and with which exit code, when something is wrong."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import typer

from napari_xfusion.cli import main
from napari_xfusion.cli.commands import app
from tests.sequences import moving_discs, two_cameras

LR, HR, TIMES = two_cameras((moving_discs(9, (32, 48)) * 4000).astype(np.uint16), 4)
LR = LR.astype(np.uint16)


def write(path, sequence, **options):
    options = {"photometric": "minisblack", "metadata": {"axes": "TYX"}} | options
    tifffile.imwrite(path, sequence, **options)
    return str(path)


@pytest.fixture
def sequences(tmp_path):
    return write(tmp_path / "lr.tif", LR), write(tmp_path / "hr.tif", HR)


def told(capsys):
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return [line for line in captured.err.splitlines() if line]


@pytest.mark.parametrize(
    ("lr", "hr", "options", "said"),
    [
        pytest.param(LR, HR, [], "--hr-step", id="HR times not known"),
        pytest.param(LR, HR, ["--hr-step", "5"], "HR frame 2 at LR frame 10", id="HR times outside"),
        pytest.param(LR, HR, ["--hr-times", "0,4"], "3 times", id="a time missing"),
        pytest.param(LR, HR, ["--hr-times", "0,x,8"], "numbers such as", id="times that are no numbers"),
        pytest.param(LR, HR[:1], ["--hr-step", "4"], "at least 2 HR", id="one HR frame"),
        pytest.param(HR, LR[:3], ["--hr-step", "1"], "swapped", id="swapped"),
        pytest.param(LR, HR[:, :, :40], ["--hr-step", "4"], "one scale", id="ratios differ"),
        pytest.param(LR, HR, ["--hr-step", "4", "--frames", "3:99"], "0:9", id="frames outside"),
        pytest.param(LR, np.stack([HR] * 3, -1), ["--hr-step", "4"], "RGB|colour", id="RGB"),
        pytest.param(LR, HR > 100, ["--hr-step", "4"], "grey", id="bool"),
        pytest.param(LR, HR, ["--hr-step", "4", "--model", "missing"], "model", id="no weights"),
        pytest.param(
            LR, HR, ["--hr-step", "4", "--method", "bicubic", "--std", "std.tif"], "bayesian", id="no std"
        ),
        pytest.param(
            LR, HR, ["--hr-step", "4", "--grey", "none"], "--grey match", id="values outside 0 to 1"
        ),
    ],
)
def test_sequences_that_do_not_fit_are_told_in_one_line(lr, hr, options, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    photometric = {"photometric": "rgb"} if hr.ndim == 4 else {}
    a, b = write(tmp_path / "lr.tif", lr), write(tmp_path / "hr.tif", hr, **photometric)
    capsys.readouterr()
    assert main(["fuse", a, b, "-o", "fused.tif", *options]) == 1
    lines = told(capsys)
    assert len(lines) == 1
    assert re.search(said, lines[0])
    assert re.search(r"\. [A-Z].*[.!?] \(log: ", lines[0]), "what is wrong and what to do, as sentences"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hr.tif", "lr.tif"]


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([], id="no output"),
        pytest.param(["-o", "x.tif", "--method", "magic"], id="unknown method"),
        pytest.param(["-o", "x.tif", "--hr-step", "0"], id="step 0"),
        pytest.param(["-o", "x.tif", "--hr-step", "many"], id="step that is no number"),
        pytest.param(["-o", "x.tif", "--frames", "5"], id="frames without colon"),
        pytest.param(["-o", "x.tif", "--frames", "5:5"], id="frames that hold none"),
        pytest.param(["-o", "x.tif", "--hr-step", "4", "--hr-times", "0,4,8"], id="both step and times"),
        pytest.param(["-o", "x.tif", "--separation", "0"], id="separation 0"),
        pytest.param(["-o", "x.tif", "--hr-start", "2"], id="start without step"),
        pytest.param(["-o", "x.tif", "--tile", "\u00b2"], id="tile that is no number"),
        pytest.param(["-o", "x.tif", "--method", "flow", "--model", "edvr-medium"], id="model not taken"),
        pytest.param(["-o", "x.tif", "--unheard-of"], id="unknown option"),
    ],
)
def test_wrong_usage_exits_2(arguments, sequences, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["fuse", *sequences, *arguments]) == 2
    assert re.search("Error: .", told(capsys)[-1])
    assert not (tmp_path / "x.tif").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("nowhere/fused.tif", "folder", id="no such folder"),
        pytest.param("fused.avi", ".tif", id="unknown ending"),
        pytest.param("other.tif", "--overwrite", id="a file that is there"),
    ],
)
def test_outputs_that_cannot_be(name, said, sequences, tmp_path, capsys):
    capsys.readouterr()
    (tmp_path / "other.tif").write_text("somebody else's")
    assert main(["fuse", *sequences, "-o", str(tmp_path / name), "--hr-step", "4"]) == 1
    assert said in told(capsys)[-1]
    assert (tmp_path / "other.tif").read_text() == "somebody else's"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        pytest.param("fuse lr.tif hr.tif -o lr.tif --overwrite", "an input", id="sequence"),
        pytest.param("fuse lr.tif hr.tif -o f.tif --attention hr.tif", "an input", id="scores"),
        pytest.param(
            "fuse lr.tif hr.tif -o f.tif --attention f.tif.json",
            "the record",
            id="scores, record",
        ),
        pytest.param("evaluate hr.tif hr.tif --csv hr.tif", "an input", id="numbers"),
        pytest.param("evaluate hr.tif hr.tif --csv nowhere/m.csv", "folder", id="no folder"),
    ],
)
def test_no_output_takes_the_place_of_anything_else(command, said, sequences, tmp_path, monkeypatch, capsys):
    """Told before anything is computed."""
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    capsys.readouterr()
    settings = ["--hr-step", "4", *(["--method", "bicubic"] if "fuse" in command else [])]
    assert main([*command.split(), *settings]) == 1
    (line,) = told(capsys)
    assert said in line
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("output", [["-o", "~/fused.tif"], ["--output=~/fused.tif"]], ids=["word", "after ="])
def test_a_tilde_is_the_home_folder_whatever_the_shell_made_of_it(output, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    write(tmp_path / "lr.tif", LR)
    write(tmp_path / "hr.tif", HR)
    settings = ["--hr-step", "4", "--method", "bicubic"]
    assert main(["fuse", "~/lr.tif", "~/hr.tif", *output, *settings]) == 0
    assert (tmp_path / "fused.tif").is_file()


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
def test_without_stdout_and_stderr_it_fuses_all_the_same(sequences, tmp_path):
    """As a service may start it; the bar has nowhere to go."""
    output = tmp_path / "fused.tif"
    words = [
        "-m",
        "napari_xfusion",
        "fuse",
        *sequences,
        "-o",
        str(output),
        "--hr-step",
        "4",
        "--method",
        "bicubic",
    ]
    closed = ["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', sys.executable, *words]
    assert subprocess.run(closed, check=False).returncode == 0
    assert output.is_file()


def test_evaluating_a_sequence_without_record_says_that_unseen_is_unknown(sequences, capsys):
    assert main(["evaluate", sequences[1], sequences[1], "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["unseen"] is None
    assert "--hr-times" in captured.err


def test_debug_shows_where_an_error_comes_from(sequences, capsys):
    assert main(["fuse", *sequences, "-o", "x.tif", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_the_log_that_errors_name_holds_the_trace(sequences, tmp_path):
    """In a process of its own, with a home of its own."""
    home = os.environ | {"HOME": str(tmp_path)}
    command = [sys.executable, "-m", "napari_xfusion", "fuse", *sequences, "-o", str(tmp_path / "x.tif")]
    done = subprocess.run(command, capture_output=True, text=True, env=home, check=False)
    assert done.returncode == 1
    log = done.stderr.split("log: ")[1].split(")")[0]
    assert "Traceback" in Path(log).read_text()


@pytest.mark.parametrize(
    "arguments", [["fuse", "", "", "-o", "o.tif"], ["check", "", "hr.tif"], ["demo", "-o", ""]]
)
def test_an_empty_argument_is_no_folder(arguments, capsys):
    assert main(arguments) == 2
    assert told(capsys) == [
        "napari-xfusion: error: an argument is empty. Was a variable of the shell not set?"
    ]


@pytest.mark.parametrize("command", ["fuse", "check"])
def test_the_file_of_hr_times_is_never_replaced(command, sequences, tmp_path, capsys):
    times = tmp_path / "times.csv"
    times.write_text("0\n4\n8\n")
    options = ["--hr-times", str(times), "--attention", str(times), "--overwrite"]
    assert main([command, *sequences, *options, "-o", str(tmp_path / "o.tif")]) == 1
    assert "an input" in told(capsys)[-1]
    assert times.read_text() == "0\n4\n8\n"


def test_hr_times_that_do_not_increase_are_named(sequences, capsys):
    assert main(["check", *sequences, "--hr-times", "0,8,4"]) == 2
    assert "--hr-times must increase from frame to frame, found 0, 8, 4" in " ".join(told(capsys))


def test_an_error_is_json_where_that_is_asked_for(sequences, capsys):
    assert main(["fuse", *sequences, "--hr-times", "0,4", "-o", "o.tif", "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["ok"] is False
    assert (printed["error"]["kind"], printed["error"]["setting"]) == ("PairingError", "hr_times")


def options_with_values():
    """Command and option, of all that take a value; of each command the last one is tried with every commit."""
    root = typer.main.get_command(app)
    groups = [([], root), *(([name], root.commands[name]) for name in ("models", "rig"))]
    for words, group in groups:
        for name, command in group.commands.items():
            params = getattr(command, "params", ()) if not hasattr(command, "commands") else ()
            options = [p for p in params if p.param_type_name == "option" and not (p.is_flag or p.multiple)]
            for param in options:
                marks = [] if param is options[-1] else pytest.mark.slow
                yield pytest.param([*words, name], param.opts, id=f"{name} {param.opts[0]}", marks=marks)


@pytest.mark.parametrize(("command", "names"), list(options_with_values()))
def test_an_option_given_twice_is_refused(command, names, capsys):
    arguments = [*command, names[0], "1", names[-1], "2"]
    assert main(arguments) == 2
    said = " ".join(capsys.readouterr().err.replace("\u2502", " ").split())
    assert f"{'/'.join(names)} is given 2 times. Give it once." in said


def test_a_flag_given_twice_is_no_mistake(sequences, capsys):
    assert main(["check", *sequences, "--hr-step", "4", "--method", "bicubic", "--json", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"]
