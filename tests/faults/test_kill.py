"""A killed run loses no frame, and the final name never holds half a result."""

import pytest

from tests.tables import crossed

NAMES = ["fused.tif", "fused.ome.zarr", "fused.nxs"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kills", [10, pytest.param(100, marks=pytest.mark.soak)])
def test_kill_at_random_moments(writer, tmp_path, name, kills):
    """No frame that was put is done again, at most one per kill was begun in vain; the same bytes."""
    found = writer("kill_at_random", tmp_path / name, kills, 20 + kills)
    assert found["hits"] == kills
    assert found.pop("ended_before_last") > 2 * kills
    assert 0 <= found.pop("begun_in_vain") <= kills
    assert found == {"hits": kills, "halves": 0, "last": 0, "lost": 0, "equal": True, "left": ["", ".json"]}


@pytest.mark.parametrize(("name", "over"), crossed(NAMES, [False, True]))
def test_kill_at_every_file_operation(writer, tmp_path, name, over):
    """From the first lock to the last clean-up: the same command ends well, and leaves result and record."""
    found = writer("kill_everywhere", tmp_path / name, over)
    assert found["bad"] == []
    assert found["moments"] > 10
