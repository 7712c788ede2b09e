"""The methods table of README is the catalogue: every method, and nothing else."""

import re

from napari_xfusion.core.catalogue import DEFAULT_METHOD, METHODS
from tests.docs.blocks import ROOT


def table() -> dict[str, list[str]]:
    """Method name to the other cells of its row."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.search(r"^\| method \|.*\n\|.*\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert rows is not None
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[1].strip().split("\n")]
    return {name.strip("`"): rest for name, *rest in cells}


def test_every_method_has_its_row():
    assert set(table()) == set(METHODS)


def test_a_row_says_whether_weights_are_needed():
    for name, (_, weights) in table().items():
        assert (weights == "none") == (METHODS[name].model is None), name


def test_the_default_is_named():
    assert "the default" in table()[DEFAULT_METHOD][0]
