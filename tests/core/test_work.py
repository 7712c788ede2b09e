"""The work of a run as other processes do it, here in this one: what they see, write and hand back."""

import threading
from dataclasses import replace
from itertools import pairwise

import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from napari_xfusion.core import run as run_module
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.run import fuse_files
from napari_xfusion.core.work import Bench, Report, chunk_after, collect
from napari_xfusion.errors import InputError, OutputError, XFusionWarning
from tests.core.test_run import bytes_of
from tests.faults.command import write_sequences

FRAMES = 12
PLAN = make_plan(method="bicubic", hr_step=4)


class Here:
    """Workers that are this process; ``changed`` is what they get to do, ``after`` is called with each report."""

    def __init__(self, changed=lambda work: work, after=lambda report: report):
        self.changed, self.after = changed, after
        self.begun = []

    def reports(self, work, missing, stop):
        bench = Bench(self.changed(work))
        for begin in range(0, len(missing), 5):
            self.begun += missing[begin : begin + 5]
            yield self.after(bench.fuse(missing[begin : begin + 5], stop))
        bench.close()


@pytest.fixture
def recordings(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    return write_sequences(folder, FRAMES, (16, 24))[:2]


@pytest.fixture
def expected(recordings, tmp_path):
    fuse_files(PLAN, *recordings, tmp_path / "expected.tif")
    return bytes_of(tmp_path / "expected.tif")


def unseen(work):
    """The work as a worker has it that does not see the output."""
    return replace(work, claims={k: replace(claim, signature=b"?") for k, claim in work.claims.items()})


def test_frames_come_back_from_a_worker_that_does_not_see_the_output(recordings, expected, tmp_path):
    reports = []
    workers = Here(unseen, lambda report: reports.append(report) or report)
    fuse_files(PLAN, *recordings, tmp_path / "fused.tif", workers=workers)
    assert bytes_of(tmp_path / "fused.tif") == expected
    assert all(made.pixels and not made.stored for report in reports for made in report.frames)


def test_frames_that_another_machine_wrote_are_compared_and_made_again(recordings, expected, tmp_path):
    output = tmp_path / "fused.tif"

    def elsewhere(report):
        if len(workers.begun) <= FRAMES and 7 in [made.index for made in report.frames]:
            partial = tmp_path / "fused.tif.partial"
            frame = tifffile.imread(tmp_path / "expected.tif")[7].tobytes()
            partial.write_bytes(partial.read_bytes().replace(frame, bytes(len(frame))))
        return replace(report, host="another")

    workers = Here(after=elsewhere)
    fuse_files(PLAN, *recordings, output, workers=workers)
    assert workers.begun == [*range(FRAMES), 7]
    assert bytes_of(output) == expected


def test_frames_that_never_arrive_end_the_run(recordings, tmp_path, monkeypatch):
    monkeypatch.setattr(run_module.FileSink, "lost", lambda *_: [7])
    workers = Here(after=lambda report: replace(report, host="another"))
    with pytest.raises(OutputError, match="another machine") as raised:
        fuse_files(PLAN, *recordings, tmp_path / "fused.tif", workers=workers)
    assert "resume" in raised.value.hint


def test_nothing_is_written_into_the_output_of_another_run(recordings, tmp_path):
    kept = []
    workers = Here(lambda work: kept.append(work) or work)
    fuse_files(PLAN, *recordings, tmp_path / "fused.tif", workers=workers)
    before = bytes_of(tmp_path / "fused.tif")
    report = Bench(kept[0]).fuse([3], threading.Event())
    assert report.frames[0].pixels and not report.frames[0].stored
    assert bytes_of(tmp_path / "fused.tif") == before


def test_a_worker_looks_at_the_recordings(recordings, tmp_path):
    looks = []

    def look(work):
        looks.append(Bench(work).look())
        lr = tmp_path / "in" / "lr.tif"
        data = lr.read_bytes()
        first = tifffile.imread(lr)[0].tobytes()
        lr.write_bytes(data.replace(first, bytes(len(first))))
        looks.append(Bench(work).look())
        lr.unlink()
        looks.append(Bench(work).look())
        lr.write_bytes(data)
        return work

    fuse_files(PLAN, *recordings, tmp_path / "fused.tif", workers=Here(look))
    assert [look.outputs for look in looks] == [True, False, False]
    assert looks[0].problem is None
    assert "other content" in looks[1].problem.problem
    assert isinstance(looks[2].problem, InputError)


def test_what_workers_say_is_in_the_order_of_the_frames():
    first, second = XFusionWarning("memory", "a"), XFusionWarning("precision", "b")
    said = {
        8: Report("b", 1.0, filled={"LR 8": 2}, notes=(second, first), used={"tile": 16}),
        0: Report("a", 1.0, filled={"LR 1": 1}, notes=(first,), used={"tile": 64}),
    }
    assert collect(said) == ({"LR 1": 1, "LR 8": 2}, [first, second], {"tile": 16})


@given(st.sets(st.integers(0, 60), min_size=1), st.integers(1, 20), st.integers(1, 9))
def test_chunks_are_consecutive_frames_and_end_before_hr_frames(targets, size, step):
    missing, times = sorted(targets), frozenset(map(float, range(0, 61, step)))
    chunks = []
    while missing:
        count = chunk_after(missing[: size + 1], size, times)
        chunks.append((missing[:count], missing[count:]))
        missing = missing[count:]
    assert sorted(t for chunk, _ in chunks for t in chunk) == sorted(targets)
    for chunk, rest in chunks:
        assert len(chunk) <= size
        assert all(b == a + 1 for a, b in pairwise(chunk))
        if len(chunk) == size > step and rest and rest[0] == chunk[-1] + 1:
            assert rest[0] in times or not any(t in times for t in range(chunk[size // 2], rest[0] + 1))
