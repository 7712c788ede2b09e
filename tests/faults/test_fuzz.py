"""The files that Atheris sessions begin with are complete recordings, and a session would notice what goes wrong."""

from pathlib import Path

import pytest

from napari_xfusion.core import recordings

pytest.importorskip("resource", reason="sessions bound memory with setrlimit")
fuzz = pytest.importorskip("tests.faults.fuzz")


@pytest.mark.parametrize("name", fuzz.PARSERS)
def test_complete_files_are_read_and_halves_are_told(tmp_path: Path, name: str) -> None:
    pytest.importorskip({"movie": "av", "hdf5": "h5py"}.get(name, "numpy"))
    case = fuzz.Case(name, tmp_path / "recording")
    first, *others = case.seeds.values()
    assert case.outcome(first) == "whole"
    assert {case.outcome(x) for x in others} <= {"whole", "told"}
    assert case.outcome(first[: len(first) // 2]) in ("whole", "told")


def test_what_goes_wrong_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = fuzz.Case("b16", tmp_path / "recording")

    def fails(path: Path) -> None:
        raise KeyError(path)

    monkeypatch.setattr(recordings, "open_stack", fails)
    assert case.outcome(b"").startswith("KeyError: test_fuzz.py")
