"""The side-by-side sequence: its panels, and the GIF for those without PyAV."""

import threading

import numpy as np
import pytest
from PIL import Image

from napari_xfusion.core.results.sheet import BAR
from napari_xfusion.lab.study import side_by_side
from napari_xfusion.lab.study.results import Results
from napari_xfusion.lab.study.side_by_side import GAP, in_panels, write_side_by_side
from napari_xfusion.lab.study.study import open_sequences
from napari_xfusion.lab.study.table import as_columns
from tests.lab.study.conftest import FRAMES


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        pytest.param((40, 50), (40 + BAR, 3 * 50 + 2 * GAP), id="beside each other"),
        pytest.param((20, 50), (3 * (20 + BAR), 50), id="wide ones below each other"),
    ],
)
def test_panels_stand_where_there_is_room(shape, size):
    image = in_panels(
        {name: np.full(shape, level, np.uint8) for name, level in (("a", 10), ("b", 20), ("c", 30))}
    )
    assert image.shape == size
    for level in (10, 20, 30):
        assert (image == level).sum() >= shape[0] * shape[1]


def test_without_pyav_there_is_a_gif(small, tmp_path, monkeypatch):
    from pyarrow import parquet

    monkeypatch.setattr(side_by_side, "find_spec", lambda _: None)
    table = as_columns(parquet.read_table(small.folder / "table.parquet"))
    results = next(Results(table, small.plan, open_sequences([small.movie]), (), (), "").each())
    path = write_side_by_side(results, tmp_path, threading.Event(), lambda: None)
    with Image.open(path) as sequence:
        assert sequence.n_frames == FRAMES
