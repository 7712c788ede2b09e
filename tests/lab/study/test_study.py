"""A whole study on a small sequence: table, figures, report; and sequences that are odd."""

import csv
import json
import math
import os
import threading
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from napari_xfusion.cli import main
from napari_xfusion.errors import InputError, ModelError, OutputError
from napari_xfusion.lab.study import run_study
from tests.lab.study.conftest import COMMAND, FRAMES, SIZE, small_plan, study, write_sequence
from tests.sequences import moving_discs

CONDITIONS = ["base", "noisy", "often", "ends", "apart"]
SERIES = ["bicubic", "interpolation", "bayesian-paper", "tiny"]


def test_one_row_per_frame_condition_and_method(small):
    assert small.done.finished
    assert small.done.cells == small.done.total == len(CONDITIONS) * len(SERIES) + 4
    swept = [r for r in small.rows if r["clusters"] is not None]
    keys = [(r["condition"], r["series"], r["frame"]) for r in small.rows if r["clusters"] is None]
    assert keys == [(c, s, f) for c in CONDITIONS for s in SERIES for f in range(FRAMES)]
    assert len(swept) == 4 * FRAMES
    assert {(r["clusters"], r["separation"], r["hr_step"]) for r in swept} == {
        (f, s, 2 * s) for f in (0.05, 0.3) for s in (1, 2)
    }
    base = [r for r in small.rows if r["condition"] == "base" and r["series"] == "tiny"]
    assert [r["since_hr"] for r in base] == [0, 1, 2, 3] * 3 + [0]
    assert [r["frame"] for r in base if r["seen"]] == [0, 4, 8, 12]
    assert all(r["attention_hr-"] is not None for r in base)


def test_the_csv_holds_what_the_parquet_file_holds(small):
    with (small.folder / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(small.rows)
    for ours, theirs in zip(rows[::7], small.rows[::7], strict=True):
        assert (ours["series"], int(ours["frame"])) == (theirs["series"], theirs["frame"])
        assert float(ours["psnr"]) == theirs["psnr"]


@pytest.mark.parametrize(
    ("condition", "series", "simulate", "fuse"),
    [
        pytest.param("base", "interpolation", ["4"], [], id="clean"),
        pytest.param("noisy", "bayesian-paper", ["4", "--lr-psnr", "30"], [], id="with noise"),
        pytest.param("ends", "interpolation", ["12"], [], id="first and last HR frame"),
        pytest.param("apart", "tiny", ["4"], ["--separation", "2"], id="a network, two frames apart"),
    ],
)
def test_the_numbers_are_those_of_evaluate(condition, series, simulate, fuse, small, tmp_path, capsys):
    """simulate, fuse and evaluate by hand give the same numbers, frame by frame, and in results.json."""
    method = ["edvr-stf", "--model", str(small.model), "--device", "cpu"] if series == "tiny" else [series]
    sequences, output = [str(tmp_path / "lr.tif"), str(tmp_path / "hr.tif")], str(tmp_path / "fused.tif")
    assert main(["simulate", str(small.movie), "-o", str(tmp_path), "--hr-step", *simulate]) == 0
    assert main(["fuse", *sequences, "-o", output, "--method", *method, *fuse]) == 0
    capsys.readouterr()
    table = tmp_path / "m.csv"
    assert main(["evaluate", str(tmp_path / "truth.tif"), output, "--csv", str(table), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    rows = [r for r in small.rows if (r["condition"], r["series"]) == (condition, series)]
    with table.open() as file:
        by_hand = list(csv.DictReader(file))
    for ours, theirs in zip(rows, by_hand, strict=True):
        assert ours["seen"] == bool(int(theirs["seen"]))
        for name in ("psnr", "aad", "ssim", "ssim_gaussian"):
            # The network may use more threads there, which changes the last bits.
            assert ours[name] == pytest.approx(float(theirs[name]), rel=2e-5), name
    if condition == "base":
        found = small.facts["sequences"][0]["summary"][series]
        for part in ("all", "unseen"):
            assert found[part]["frames"] == summary[part]["frames"]
            for name in ("psnr", "aad", "ssim"):
                assert found[part][name] == pytest.approx(summary[part][name]), (part, name)
        assert f"<td>{summary['unseen']['psnr']['mean']:.2f}</td>" in small.page


def test_every_figure_is_there_as_svg_and_png(small):
    names = {
        "panels",
        "divided",
        "methods",
        "lr_psnr",
        "hr_step",
        "separation",
        "clusters",
        "attention",
        "times",
    }
    folder = small.folder / "discs"
    assert {p.stem for p in folder.glob("*.svg")} == {p.stem for p in folder.glob("*.png")} == names
    for name in names:
        with Image.open(folder / f"{name}.png") as picture:
            shades = np.asarray(picture.convert("L"))
        assert shades.shape[1] >= 1000
        assert shades.std() > 5
    assert (folder / "side-by-side.mp4").stat().st_size > 1000


def test_the_side_by_side_sequence_has_every_frame(small):
    av = pytest.importorskip("av")
    with av.open(str(small.folder / "discs" / "side-by-side.mp4")) as sequence:
        frames = [frame.to_ndarray(format="gray") for frame in sequence.decode(video=0)]
    assert len(frames) == FRAMES
    assert frames[0].shape >= SIZE


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)
        self.links += [v for k, v in attrs if k in ("src", "href", "srcset", "data", "action") and v]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_report_needs_nothing_but_itself(small):
    page = Page()
    page.feed(small.page)
    assert not page.open
    assert all(link.startswith(("data:", "#")) for link in page.links)
    assert "script" not in page.tags
    assert page.tags.count("img") == 9
    style = small.page.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    assert str(small.folder) not in small.page


def test_the_report_says_how_it_was_made_and_escapes_what_people_typed(small):
    for said in (
        "napari-xfusion study &lt;discs&gt; &amp; more",
        small.facts["sequences"][0]["sha256"],
        small.facts["weights"]["tiny"],
        "HR every 4 frames",
    ):
        assert said in small.page
    assert "<discs>" not in small.page


def test_times_are_medians_over_the_runs(small):
    with (small.folder / "times.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["series"] for row in rows] == SERIES
    for row in rows:
        assert row["runs"] == "3"
        assert 0 < float(row["lower"]) <= float(row["median"]) <= float(row["upper"])
        assert "cores" in row["machine"]


@pytest.fixture
def no_figures(monkeypatch):
    """Figures take most of a small study's time; these tests look at its numbers."""
    monkeypatch.setattr("napari_xfusion.lab.study.study.draw_figures", lambda *_: None)


@pytest.fixture(params=["no figures", pytest.param("figures", marks=pytest.mark.slow)])
def perhaps_figures(request):
    """Drawn in the long tests only."""
    if request.param == "no figures":
        request.getfixturevalue("no_figures")


def test_the_same_call_finds_everything_done_and_gives_the_same_bytes(small, perhaps_figures):
    before = (small.folder / "table.csv").read_bytes()
    cells = {p: p.stat().st_mtime_ns for p in (small.folder / "cells").iterdir()}
    figures = {p.name: p.read_bytes() for p in (small.folder / "discs").glob("*.svg")}
    assert study([small.movie], small.folder, small.plan, command=COMMAND).finished
    assert {p: p.stat().st_mtime_ns for p in (small.folder / "cells").iterdir()} == cells
    assert (small.folder / "table.csv").read_bytes() == before
    assert {p.name: p.read_bytes() for p in (small.folder / "discs").glob("*.svg")} == figures


def test_asked_to_stop_it_keeps_what_is_done(small, tmp_path):
    stop = threading.Event()
    stop.set()
    done = run_study([small.movie], tmp_path / "out", small_plan(), stop=stop, jobs=1)
    assert not done.finished
    assert not (tmp_path / "out" / "report.html").exists()
    assert [p.name for p in (tmp_path / "out").iterdir() if p.name.startswith(".")] == []


def odd(name):
    sequence = moving_discs(9, SIZE) * 3000 + 500
    if name == "constant":
        return np.full_like(sequence, 7)
    if name == "nan":
        sequence[2, 5:9, 5:9] = np.nan
        return sequence
    return sequence[:4].astype(np.uint16)


ODD = {
    "constant": ("one grey value throughout", ["noisy"]),
    "nan": ("NaN, infinite", []),
    "short": ("4 frames are too few for condition base", ["base", "noisy", "apart"]),
}
"""What is said of a sequence, and the conditions that are left out of it."""


def test_odd_sequences_are_told_and_what_can_be_done_is_done(tmp_path, perhaps_figures):
    """In one study, where two sequences of one name are told apart."""
    (tmp_path / "again").mkdir()
    movies = [write_sequence(tmp_path / f"{name}.tif", odd(name)) for name in ODD]
    movies.append(write_sequence(tmp_path / "again" / "short.tif", odd("short")))
    series = [{"method": "bicubic"}, {"method": "bayesian-paper"}]
    clusters = {"fractions": [0.3], "separations": [1]}
    done = study(movies, tmp_path / "out", small_plan(series=series, clusters=clusters, runs=1))
    assert done.finished
    assert not any(str(tmp_path) in str(note) for note in done.notes)
    facts = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [sequence["name"] for sequence in facts["sequences"]] == [*ODD, "short-2"]
    with (tmp_path / "out" / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all(not math.isnan(float(row["psnr"])) for row in rows)
    for sequence in facts["sequences"]:
        name = sequence["name"]
        said, left_out = ODD[name.removesuffix("-2")]
        assert any(said in str(note) for note in done.notes), done.notes
        assert said in (tmp_path / "out" / "report.html").read_text()
        assert sequence["summary"]["bicubic"]["unseen"]["frames"] > 0
        done_conditions = {row["condition"] for row in rows if row["movie"] == name} & set(CONDITIONS)
        assert done_conditions == set(CONDITIONS) - set(left_out), name


def test_a_sequence_that_allows_nothing_is_told(tmp_path):
    movie = write_sequence(tmp_path / "two.tif", (moving_discs(2, SIZE) * 3000).astype(np.uint16))
    with pytest.raises(InputError, match="too few"):
        study([movie], tmp_path / "out", small_plan())


def test_a_range_of_frames_of_which_a_damaged_cell_is_computed_again(small, no_figures, tmp_path):
    plan = small_plan(conditions={"base": {"hr_step": 4}}, clusters={}, runs=0, frames=(3, 9))
    table = tmp_path / "out" / "table.csv"
    assert study([small.movie], tmp_path / "out", plan).finished
    with table.open() as file:
        rows = [row for row in csv.DictReader(file) if row["series"] == "interpolation"]
    assert [int(row["frame"]) for row in rows] == list(range(3, 9))
    whole = [r for r in small.rows if (r["condition"], r["series"]) == ("base", "interpolation")]
    assert [float(row["psnr"]) for row in rows] == [r["psnr"] for r in whole[3:9]]
    before = table.read_bytes()
    cell = next((tmp_path / "out" / "cells").iterdir())
    cell.write_bytes(cell.read_bytes()[:-20])
    table.unlink()
    assert study([small.movie], tmp_path / "out", plan).finished
    assert table.read_bytes() == before


def test_a_folder_of_something_else_is_left_alone(small, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match="holds other files"):
        study([small.movie], tmp_path, small_plan())
    with pytest.raises(OutputError, match="with plan"):
        study([small.movie], small.folder, small_plan(seed=3))


def test_a_model_that_is_not_there_is_told_before_anything_is_computed(small, tmp_path):
    plan = small_plan(tmp_path / "none.safetensors")
    with pytest.raises(ModelError, match="none"):
        study([small.movie], tmp_path / "out", plan)
    assert not list((tmp_path / "out" / "cells").iterdir())


@pytest.mark.skipif(os.name != "posix", reason="environment of processes")
def test_the_environment_is_as_it_was(small):
    assert os.environ["OMP_NUM_THREADS"] == "1"  # set by tests/conftest.py, as the study also does
    assert "MKL_NUM_THREADS" not in os.environ
