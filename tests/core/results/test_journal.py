"""The journal survives what a kill or a bad disk does to a text file."""

import itertools

import pytest

from napari_xfusion.core.results.journal import Entry, Journal, read_journal

HEADER = {"spec": {"identity": "a"}, "layout": {}}
ENTRIES = [Entry(7 * k, 1000 + k, {"seconds": 0.5, "scores": {"lr": [1.5, 0.75]}}) for k in range(5)]


@pytest.fixture
def path(tmp_path):
    journal = Journal(tmp_path / "journal")
    journal.header(HEADER)
    for entry in ENTRIES:
        journal.add(entry)
    journal.close()
    return tmp_path / "journal"


def test_what_is_noted_comes_back(path):
    assert read_journal(path) == (HEADER, {e.index: e for e in ENTRIES})


def test_no_journal_is_an_empty_one(tmp_path):
    assert read_journal(tmp_path / "none") == (None, {})


def test_a_torn_tail_costs_at_most_its_own_entry_and_the_next_is_kept(path):
    """Cut at every byte, then appended to: whole lines before the cut and new ones after it are read."""
    whole = path.read_bytes()
    ends = list(itertools.accumulate(len(line) + 1 for line in whole.split(b"\n")[1:]))
    new = Entry(99, 5, {})
    for cut in range(ends[0], len(whole)):
        path.write_bytes(whole[:cut])
        journal = Journal(path)
        journal.add(new)
        journal.close()
        header, entries = read_journal(path)
        kept = [e for e, end in zip(ENTRIES, ends[1:], strict=True) if end <= cut]
        assert header == HEADER
        assert entries == {e.index: e for e in [*kept, new]}


def test_a_damaged_line_is_skipped_and_the_others_stay(path):
    lines = path.read_bytes().split(b"\n")
    lines[3] = lines[3].replace(b"frame", b"frbme")
    path.write_bytes(b"\n".join(lines))
    header, entries = read_journal(path)
    assert header == HEADER
    assert entries == {e.index: e for e in ENTRIES if e != ENTRIES[1]}


@pytest.mark.parametrize("cut", range(0, 20, 3))
def test_a_torn_header_without_frames_is_no_journal(path, cut):
    path.write_bytes(path.read_bytes()[:cut])
    assert read_journal(path) == (None, {})


def test_a_lost_header_with_frames_is_told_from_no_journal(path):
    """So that frames of an unknown run are not thrown away unasked."""
    path.write_bytes(path.read_bytes().replace(b"identity", b"idextity"))
    header, entries = read_journal(path)
    assert header == {}
    assert len(entries) == len(ENTRIES)


def test_bytes_that_are_no_text_are_skipped(path):
    path.write_bytes(path.read_bytes() + b"\n\xff\xfe\x00\n\n00000000 \n")
    assert read_journal(path)[1].keys() == {e.index for e in ENTRIES}
