"""A report says what is known about a result and what is not, in one page that needs nothing else."""

import json
import threading
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.run import fuse_files
from napari_xfusion.core.trust.report import write_report
from napari_xfusion.core.trust.result import Result
from napari_xfusion.core.trust.summary import GOOD, LOOK, UNKNOWN
from napari_xfusion.errors import InputError, OutputExistsError
from tests.sequences import binned, moving_discs

STEP = 6
VOID = {"meta", "img", "line", "polyline", "link", "br"}


class Page(HTMLParser):
    """Tags that are open, texts, and all that a page refers to."""

    def __init__(self, text):
        super().__init__()
        self.open, self.texts, self.refers = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.refers += [value for name, value in attrs if name in {"src", "href"}]
        self.open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag):
        assert tag in VOID or self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def fused(folder, frames, **files):
    """The result of a run on ``frames`` LR frames."""
    truth = moving_discs(frames, (64, 80), seed=4)
    noise = np.random.default_rng(0).normal(0, 0.01, truth[::STEP].shape)
    for name, images in (("<lr>", binned(truth)), ("hr", (truth[::STEP] + noise).astype(np.float32))):
        tifffile.imwrite(folder / f"{name}.tif", images, photometric="minisblack")
    plan = make_plan(hr_step=STEP, correct=(), method="interpolation", frames=(1, frames - 1))
    fuse_files(plan, folder / "<lr>.tif", folder / "hr.tif", folder / "fused.tif", **files)
    return folder / "fused.tif"


def test_a_report_tells_what_is_known(tmp_path):
    path = fused(tmp_path, 25, interval=tmp_path / "interval.tif")
    found = write_report(path, tmp_path / "report.html")
    marks = {line.text.split()[0]: line.mark for line in found.summary}
    assert UNKNOWN not in marks.values()
    page = Page(found.page.read_text(encoding="utf-8"))
    assert page.open == []
    assert all(each.startswith("data:image/png;base64,") for each in page.refers)
    said = " ".join(page.texts)
    assert f"{tmp_path / '<lr>.tif'}" in said
    for part in ("bicubic", "interpolation", "HR frame before, moved", "fuse --from fused.tif.json", "Tang"):
        assert (part in said) == (part != "bicubic")
    crate = json.loads(found.crate.read_text())
    by_id = {each["@id"]: each for each in crate["@graph"]}
    action = by_id["#run"]
    assert [Path(each["@id"]).name for each in action["result"]] == ["fused.tif"]
    assert all(part["@id"] in by_id for part in by_id["./"]["hasPart"])
    assert len(by_id[action["object"][1]["@id"]]["sha256"]) == 64


def test_a_report_tells_what_cannot_be_known(tmp_path):
    path = fused(tmp_path, STEP + 1)
    found = write_report(path, tmp_path / "report.html")
    unknown = [line.text for line in found.summary if line.mark == UNKNOWN]
    assert len(unknown) == 2
    assert "at least 3" in unknown[0]


def test_a_report_of_a_result_in_memory_refers_to_no_file_of_it(tmp_path):
    opened = Result.open(fused(tmp_path, STEP + 1))
    found = write_report(replace(opened, path="shot · fused", saved=False), tmp_path / "report.html")
    assert "fuse --from" not in found.page.read_text(encoding="utf-8")
    graph = json.loads(found.crate.read_text())["@graph"]
    by_id = {each["@id"]: each for each in graph}
    assert by_id["#run"]["result"] == [{"@id": "#result"}]
    assert by_id["#result"]["name"] == "shot · fused"
    files = {each["name"] for each in graph if each["@type"] == "File"}
    assert files == {"<lr>.tif", "hr.tif", "report.html"}


def test_a_report_says_whether_the_network_was_trained_on_such_recordings(tmp_path):
    opened = Result.open(fused(tmp_path, STEP + 1))
    marks = []
    for k, model in enumerate((None, "gone.safetensors")):
        plan = opened.record.plan.model_copy(update={"method": "lite", "model": model})
        result = replace(opened, record=opened.record.model_copy(update={"plan": plan}))
        lines = write_report(result, tmp_path / f"{k}.html").summary
        marks += [line.mark for line in lines if line.about == "network"]
    assert marks[0] in (GOOD, LOOK)
    assert marks[1:] == [UNKNOWN]


def test_a_result_that_was_changed_calls_for_attention(tmp_path):
    path = fused(tmp_path, STEP + 1)
    images = tifffile.imread(path)
    with tifffile.TiffFile(path) as file:
        description = file.pages[0].description
    images[:, 20:44, 20:44] += 0.5
    tifffile.imwrite(path, images, photometric="minisblack", description=description)
    marks = {line.text.split(" ")[0]: line.mark for line in write_report(path, tmp_path / "r.html").summary}
    assert marks["Fused"] == LOOK
    assert marks["No"] == GOOD  # warnings


def test_nothing_of_others_is_overwritten_and_a_stopped_one_writes_nothing(tmp_path):
    path, page = fused(tmp_path, STEP + 1), tmp_path / "mine.html"
    page.write_text("mine")
    with pytest.raises(OutputExistsError):
        write_report(path, page)
    assert page.read_text() == "mine"
    stop = threading.Event()
    stop.set()
    assert write_report(path, tmp_path / "other.html", stop=stop) is None
    assert not (tmp_path / "other.html").exists()
    (tmp_path / "hr.tif").unlink()
    with pytest.raises(InputError):
        write_report(path, tmp_path / "other.html")
