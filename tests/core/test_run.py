"""The walk from two stacks into sinks: any order, any sink, stopped and resumed, the same sequence."""

import threading
from itertools import islice

import numpy as np
import pytest
import tifffile

from napari_xfusion.core.plan import FLAWS, MISFITS, make_plan
from napari_xfusion.core.recordings import open_stack
from napari_xfusion.core.results import MemorySink, open_sink, record
from napari_xfusion.core.results.record import RunRecord
from napari_xfusion.core.run import Run, fuse, fuse_files, versions
from napari_xfusion.core.types import Region
from napari_xfusion.errors import InputError, OutputError, PairingError
from tests.core.rig.shots import shot as recorded
from tests.sequences import moving_discs, two_cameras

NAMES = ["fused.tif", "fused.ome.tif", "fused.zarr"]
STOP = threading.Event()


@pytest.fixture
def sequences():
    lr, hr, times = two_cameras((moving_discs(10) * 50000).astype(np.uint16))
    return make_plan(method="flow", hr_times=times), lr.astype(np.uint16), hr


def bytes_of(path):
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return [file.read_bytes() for file in files]


def walk(run, sink, order=iter, count=None):
    with sink:
        run.begin(sink)
        made = [frame.index for frame in islice(run.frames(STOP, order), count)]
        if run.finished:
            run.commit()
    return made


@pytest.mark.parametrize("name", NAMES)
def test_the_order_changes_no_byte(sequences, tmp_path, name):
    (tmp_path / "plain").mkdir()
    fuse_files(*sequences, tmp_path / "plain" / name)
    made = walk(Run(*sequences), open_sink(tmp_path / name), order=lambda missing: missing[::-1])
    assert made == [*range(10)][::-1]
    assert bytes_of(tmp_path / name) == bytes_of(tmp_path / "plain" / name)


def test_frames_that_are_ready_come_first_and_are_not_fused_again(sequences, tmp_path):
    fuse_files(*sequences, tmp_path / "plain.tif")
    asked, ready = [], list(fuse(*sequences, targets=[6, 2]))
    run = Run(*sequences)
    with open_sink(tmp_path / "fused.tif") as sink:
        run.begin(sink)
        made = [
            frame.index for frame in run.frames(STOP, lambda missing: asked.extend(missing) or missing, ready)
        ]
        run.commit()
    assert made == [6, 2, *asked]
    assert asked == [0, 1, 3, 4, 5, 7, 8, 9]
    assert bytes_of(tmp_path / "fused.tif") == bytes_of(tmp_path / "plain.tif")


def test_targets_are_pulled_as_they_are_begun(sequences):
    asked = []
    run = Run(*sequences)
    with MemorySink() as sink:
        run.begin(sink)
        for number, _ in enumerate(run.frames(STOP, lambda missing: (asked.append(t) or t for t in missing))):
            assert asked == [*range(number + 1)]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_kept_is_read_back_while_it_is_written_after_a_stop_and_when_finished(
    sequences, tmp_path, name
):
    expected = [frame.image for frame in fuse(*sequences)]
    sink = open_sink(tmp_path / name)

    def same(index):
        np.testing.assert_array_equal(sink.read(index), np.rint(expected[index]).astype(np.uint16))

    run = Run(*sequences)
    with sink:
        run.begin(sink)
        for frame in islice(run.frames(STOP, lambda missing: missing[::-1]), 4):
            same(frame.index)
            with pytest.raises(OutputError, match="frame 0 is not fused yet"):
                sink.read(0)
    same(9)  # closed
    again = open_sink(tmp_path / name)
    run = Run(*sequences)
    with again:
        run.begin(again)
        sink = again
        assert run.resumed == 4
        same(9)  # resumed by another run
        for _ in run.frames(STOP):
            pass
        run.commit()
        same(3)  # under its final name
    same(3)
    late = open_sink(tmp_path / name)
    with late:
        run.begin(late)
        sink = late
        assert late.finished
        same(5)  # finished by an earlier run


def test_memory_resumes_in_the_same_array(sequences):
    sink = MemorySink()
    assert walk(Run(*sequences), sink, count=3) == [0, 1, 2]
    data = sink.data
    run = Run(*sequences)
    assert walk(run, sink) == [*range(3, 10)]
    assert sink.data is data
    assert run.resumed == 3
    assert sink.record["frames_resumed"] == 3
    np.testing.assert_array_equal(sink.read(4), data[4])


@pytest.mark.parametrize("name", NAMES)
def test_another_version_of_the_package_resumes(sequences, tmp_path, monkeypatch, name):
    walk(Run(*sequences), open_sink(tmp_path / name), count=3)
    monkeypatch.setattr(record, "__version__", "99.0")
    assert fuse_files(*sequences, tmp_path / name).resumed == 3
    assert RunRecord.load(tmp_path / name).napari_xfusion == "99.0"
    assert fuse_files(*sequences, tmp_path / name).resumed == 10


@pytest.mark.parametrize("count", [3, None])
def test_another_format_number_does_not(sequences, tmp_path, monkeypatch, count):
    walk(Run(*sequences), open_sink(tmp_path / "fused.tif"), count=count)
    monkeypatch.setattr("napari_xfusion.core.run.FORMAT", record.FORMAT + 1)
    with pytest.raises(OutputError, match="different settings"):
        fuse_files(*sequences, tmp_path / "fused.tif")
    assert fuse_files(*sequences, tmp_path / "fused.tif", overwrite=True).resumed == 0


def test_a_region_of_the_plan_is_that_part_of_the_sequence(sequences, tmp_path):
    plan, lr, hr = sequences
    fuse_files(plan, lr, hr, tmp_path / "whole.tif")
    region = Region(5, 40, 8, 61)
    part = make_plan(**{**plan.model_dump(), "region": region})
    fuse_files(part, lr, hr, tmp_path / "part.tif")
    whole = tifffile.imread(tmp_path / "whole.tif")
    np.testing.assert_array_equal(open_stack(tmp_path / "part.tif").frame(6), whole[6, 5:40, 8:61])
    assert type(part).model_validate_json(part.model_dump_json()) == part


@pytest.mark.parametrize(
    ("region", "said"),
    [
        pytest.param((0, 49, 0, 64), "inside the HR frame", id="below the frame"),
        pytest.param((0, 48, 0, 65), "inside the HR frame", id="right of the frame"),
        pytest.param((4, 4, 0, 8), "holds no pixel", id="empty"),
        pytest.param((-1, 4, 0, 8), "holds no pixel", id="negative"),
    ],
)
def test_a_region_that_cannot_be_is_told(sequences, region, said):
    plan, lr, hr = sequences
    with pytest.raises(PairingError, match=said):
        fuse(make_plan(**{**plan.model_dump(), "region": region}), lr, hr)


def test_a_package_that_no_installer_knows_keeps_no_record_from_being_written():
    assert versions(("numpy", "no-such-package")).items() >= {
        ("numpy", np.__version__),
        ("no-such-package", "unknown"),
    }


@pytest.mark.parametrize(
    ("dtype", "offset"),
    [("uint32", 2_000_000_000), ("int32", -1_500_000_000), ("uint32", 4_294_900_000), ("float64", 1e9)],
)
@pytest.mark.parametrize("name", NAMES)
def test_a_signal_on_a_large_offset_has_all_its_steps(dtype, offset, name, tmp_path):
    lr, hr, times = two_cameras((moving_discs(6) * 3000).round())
    cameras = lr, hr
    plan = make_plan(method="interpolation", hr_times=times)
    plain, moved = tmp_path / f"a.{name}", tmp_path / f"b.{name}"
    for path, zero, kind in ((plain, 0, "float64"), (moved, offset, dtype)):
        fuse_files(plan, *((x.astype(np.float64).round() + zero).astype(kind) for x in cameras), path)
    expected, found = (as_array(path).astype(np.float64) for path in (plain, moved))
    assert np.abs(found - offset - expected).max() <= 0.51
    assert len(np.unique(found)) > 1000


def as_array(path):
    stack = open_stack(path)
    return np.stack([stack.frame(i) for i in range(len(stack))])


@pytest.mark.parametrize("target", [1.5, "1", None, -1, 10])
def test_a_target_that_is_no_frame_number_is_refused(sequences, target):
    with pytest.raises(InputError, match="frame number"):
        list(fuse(*sequences, targets=[target]))
    (frame,) = fuse(*sequences, targets=[np.int64(3)])
    assert type(frame.index) is int


def test_a_run_with_corrected_times_and_a_bad_hr_frame_is_repeated_from_its_record(tmp_path):
    """The plan in the record has a time for every HR frame, as it was stated."""
    lr, hr = recorded(0).cameras()
    hr[3] = 200
    for name, stack_ in (("lr", lr), ("hr", hr[:6])):
        tifffile.imwrite(tmp_path / f"{name}.tif", stack_)
    times = tuple(10.0 * k + 4 for k in range(6))
    plan = make_plan(method="interpolation", hr_times=times, correct=(*FLAWS, *MISFITS), frames=(12, 14))
    fuse_files(plan, tmp_path / "lr.tif", tmp_path / "hr.tif", tmp_path / "a.tif")
    made = RunRecord.load(tmp_path / "a.tif")
    assert made.plan.hr_times == times
    assert made.hr_times == pytest.approx((0, 10, 20, 40, 50), abs=0.3)
    made.run(tmp_path / "b.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), tifffile.imread(tmp_path / "b.tif"))


@pytest.mark.parametrize("method", ["interpolation", "flow", "bayesian"])
def test_hr_frames_are_kept_as_recorded_where_that_is_asked(sequences, method):
    plan, lr, hr = sequences
    plan = plan.model_copy(update={"method": method})
    noisy = (hr + np.random.default_rng(0).integers(0, 2000, hr.shape)).astype(hr.dtype)
    fused, kept = (
        {f.index: f.image for f in fuse(p, lr, noisy)}
        for p in (plan, plan.model_copy(update={"hr_frames": "keep"}))
    )
    for k, time in enumerate(plan.hr_times):
        np.testing.assert_allclose(
            kept[time], noisy[k], atol=0.51
        )  # before rounding to the camera's integers
    for t in set(fused) - set(plan.hr_times):
        np.testing.assert_array_equal(kept[t], fused[t])
