"""docs/benchmark-study.md has the texts of the code that generates it, so generating it again changes no sentence."""

import re

import pytest
from benchmarks.study_page import INTRODUCTION, verdict

from napari_xfusion.lab.study.facts import CAPTIONS
from napari_xfusion.lab.study.results import SETTINGS
from napari_xfusion.lab.study.statements import STATEMENTS
from tests.docs.blocks import ROOT

PAGE = (ROOT / "docs" / "benchmark-study.md").read_text(encoding="utf-8")
SEQUENCES = re.findall(r"^## (?!How it was made)(.+)$", PAGE, re.MULTILINE)


def test_the_introduction_is_that_of_the_code():
    before, after = INTRODUCTION.split("{commands}")
    assert PAGE.startswith(before)
    assert after in PAGE


def test_every_figure_has_the_caption_of_the_code():
    figures = re.findall(r"^!\[(.+)\]\(images/study/([^-]+)-(\w+)\.png\)\n\n\*(.+)\*$", PAGE, re.MULTILINE)
    assert len(figures) == PAGE.count("![")
    for alt, sequence, name, caption in figures:
        assert sequence in SEQUENCES
        assert (alt, caption) == (CAPTIONS[name], CAPTIONS[name])


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_every_statement_is_that_of_the_code(sequence):
    part = PAGE.split(f"\n## {sequence}\n")[1].split("\n## ")[0]
    rows = re.search(r"^\| statement of the paper \|.*\n\|.*\n((?:\|.*\n)+)", part, re.MULTILINE)
    assert rows is not None
    cells = [row.strip("|").split(" | ") for row in rows[1].strip().split("\n")]
    assert [(row[0].strip(), row[-1].strip()) for row in cells] == [(text, at) for text, at, _ in STATEMENTS]
    assert {row[1] for row in cells} <= {verdict(holds) for holds in (True, False, None)}


def test_reasons_and_axes_are_those_of_the_code():
    code = (ROOT / "src/napari_xfusion/lab/study/statements.py").read_text(encoding="utf-8")
    for reason in set(re.findall(r"\| not tested \| (.+?) \|", PAGE)):
        assert all(part in code for part in re.split(r" of edvr(?=,)", reason)), reason
    assert set(re.findall(r"^Median PSNR of unseen frames against (.+):$", PAGE, re.MULTILINE)) <= set(
        SETTINGS.values()
    )
