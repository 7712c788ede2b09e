"""One output has one writer; who comes second is told who is first."""

import re

import pytest

NAMES = ["fused.tif", "fused.zarr", "fused.nxs"]


@pytest.mark.parametrize("name", NAMES)
def test_of_two_runs_one_wins_and_the_other_is_told_who(writer, tmp_path, name):
    rounds = writer("race", tmp_path / name, 20)
    assert len(rounds) == 20
    for answers in rounds:
        (refused, winner) = sorted(answers)
        assert (refused[0], winner[0]) == ("refused", "won")
        assert re.search(rf"process {winner[1]} on \S+ since 20\d\d-\d\d-\d\dT", refused[2])


def test_the_lock_holds_while_its_file_comes_and_goes(writer, tmp_path):
    """Each short run deletes the lock file at its end; never are two inside."""
    assert writer("take_turns", tmp_path / "fused.tif", 3, 40) == [0, 0, 0]


@pytest.mark.parametrize("name", NAMES)
def test_a_dead_holder_is_taken_over(writer, tmp_path, name):
    found = writer("die_holding", tmp_path / name)
    assert found == {"stale": True, "done": [1]}
