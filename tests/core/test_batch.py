"""Many shots: which recordings are a pair, and that each shot is fused once whatever becomes of the others."""

import csv
import threading

import numpy as np
import pyarrow.parquet
import pytest
import tifffile

from napari_xfusion.core.batch import (
    PAGE,
    TABLE,
    THUMBNAILS,
    TYPED,
    Shot,
    find_shots,
    fuse_shots,
    pair_shots,
    require_names,
)
from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.results.record import RunRecord
from napari_xfusion.core.run import fuse
from napari_xfusion.errors import InputError, OutputExistsError
from tests.sequences import moving_discs, two_cameras

SETTINGS = {"method": "interpolation", "hr_step": 4, "device": "cpu"}


def record(folder, name, seed, shape=(32, 40)):
    """Both recordings of a shot as ``name`` with lr or hr in the place of {}."""
    lr, hr, _ = two_cameras(moving_discs(9, shape, seed), 4)
    for camera, frames in (("lr", lr), ("hr", hr)):
        path = folder / name.format(camera)
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, frames, photometric="minisblack")


@pytest.mark.parametrize(
    ("files", "pairs"),
    [
        (["007_lr.tif", "007_hr.tif"], {"007": ("007_lr.tif", "007_hr.tif")}),
        (["lr/a.tif", "hr/a.tif", "lr/b.tif"], {"a": ("lr/a.tif", "hr/a.tif")}),
        (["s1/fast.mraw", "s1/fast.cih", "s1/slow.tif"], {"s1": ("s1/fast.mraw", "s1/slow.tif")}),
        (["LR-2.cine", "HR-2.cine"], {"2": ("LR-2.cine", "HR-2.cine")}),
        (["lr_hr/x_LR.tif", "lr_hr/x_HR.tif"], {"lr_hr_x": ("lr_hr/x_LR.tif", "lr_hr/x_HR.tif")}),
        (["a_lr.zarr/0/lr.tif", "a_hr.tif"], {"a": ("a_lr.zarr", "a_hr.tif")}),
    ],
)
def test_pairs_are_recordings_whose_names_differ_in_the_camera_only(tmp_path, files, pairs):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    shots, _ = find_shots(tmp_path)
    assert {s.name: tuple(p.relative_to(tmp_path).as_posix() for p in (s.lr, s.hr)) for s in shots} == pairs


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ([], "no pair"),
        (["a.tif", "b.tif"], "no pair"),
        (["a_lr.tif", "b_hr.tif"], "2 recordings"),
        (["colour.tif", "hrs.tif"], "0 recordings"),
        (["a_lr.tif", "a_lr.cine", "a_hr.tif"], "a_lr.cine, a_lr.tif"),
    ],
)
def test_a_folder_without_clear_pairs_is_refused(tmp_path, files, found):
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=found):
        find_shots(tmp_path)


def test_patterns_are_paired_in_order_where_their_numbers_are_equal(tmp_path):
    lr, hr = ([tmp_path / f"{name}{i}.tif" for i in (2, 1)] for name in "ab")
    assert [(s.lr.stem, s.hr.stem) for s in pair_shots(lr, hr)] == [("a1", "b1"), ("a2", "b2")]
    with pytest.raises(InputError, match="2 and 1"):
        pair_shots(lr, hr[:1])
    with pytest.raises(InputError, match="0 and 0"):
        pair_shots([], [])


@pytest.mark.parametrize("names", [("a", "A"), ("../a",), ("",), (".a",), ("a b",)])
def test_names_that_are_no_files_of_their_own_are_refused(tmp_path, names):
    with pytest.raises(InputError, match="name for each shot"):
        require_names([Shot(name, tmp_path / "lr", tmp_path / "hr") for name in names])


def rows(folder):
    with (folder / TABLE).open(newline="") as file:
        return {row["shot"]: row for row in csv.DictReader(file)}


def test_a_shot_that_fails_does_not_stop_the_others(tmp_path):
    for number in range(3):
        record(tmp_path / "in", f"{number}_{{}}.tif", number)
    (tmp_path / "in" / "1_hr.tif").write_bytes(b"no TIFF")
    shots, _ = find_shots(tmp_path / "in")
    out = tmp_path / "out"
    results = list(fuse_shots(shots, SETTINGS, out))
    assert [result.status for result in results] == ["fused", "failed", "fused"]
    assert isinstance(results[1].error, InputError)
    table = rows(out)
    assert [table[name]["status"] for name in "012"] == ["fused", "failed", "fused"]
    assert "1_hr.tif" in table["1"]["error"]
    assert sorted(path.name for path in (out / THUMBNAILS).iterdir()) == ["0.png", "2.png"]
    page = (out / PAGE).read_text()
    assert "2 fused, 1 failed" in page
    for shot in (shots[0], shots[2]):
        expected = np.stack([frame.image for frame in fuse(make_plan(**SETTINGS), shot.lr, shot.hr)])
        np.testing.assert_array_equal(tifffile.imread(out / f"{shot.name}.tif"), expected)
    record(tmp_path / "in", "1_{}.tif", 1)
    again = list(fuse_shots(shots, SETTINGS, out))
    assert [(r.status, r.resumed) for r in again] == [("fused", 9), ("fused", 0), ("fused", 9)]


def test_a_stopped_batch_is_resumed(tmp_path):
    for number in range(3):
        record(tmp_path / "in", f"{number}_{{}}.tif", number)
    shots, _ = find_shots(tmp_path / "in")
    stop, out = threading.Event(), tmp_path / "out"

    def progress(done, _total):
        if (out / "0.tif").exists() and done == 4:
            stop.set()

    results = list(fuse_shots(shots, SETTINGS, out, stop=stop, progress=progress))
    assert [(r.status, r.frames) for r in results] == [("fused", 9), ("stopped", 4)]
    assert [row["status"] for row in rows(out).values()] == ["fused", "stopped", "waiting"]
    assert [(r.status, r.resumed) for r in fuse_shots(shots, SETTINGS, out)] == [
        ("fused", 9),
        ("fused", 4),
        ("fused", 0),
    ]


def test_settings_of_a_shot_replace_those_of_the_batch(tmp_path):
    record(tmp_path, "a_{}.tif", 0)
    shot = Shot("a", tmp_path / "a_lr.tif", tmp_path / "a_hr.tif", {"method": "bicubic", "frames": (2, 5)})
    [result] = fuse_shots([shot], SETTINGS, tmp_path / "out")
    assert (result.method, result.frames) == ("bicubic", 3)


def test_a_table_of_other_origin_is_left_alone(tmp_path):
    (tmp_path / TABLE).write_text("mine,2\n")
    with pytest.raises(OutputExistsError):
        list(fuse_shots([Shot("a", tmp_path / "lr", tmp_path / "hr")], SETTINGS, tmp_path))


def test_a_shot_is_judged_once_and_fused_by_the_best_method(tmp_path):
    record(tmp_path, "a_{}.tif", 0)
    shots = [Shot("a", tmp_path / "a_lr.tif", tmp_path / "a_hr.tif")]
    out, settings = tmp_path / "out", SETTINGS | {"method": "best"}
    [first] = fuse_shots(shots, settings, out)
    record_of = RunRecord.load(first.output)
    assert record_of.choice is not None
    assert (first.status, first.method) == ("fused", record_of.choice.method)
    assert first.score == pytest.approx(record_of.choice.expected[first.method])
    assert float(rows(out)["a"]["score_db"]) == pytest.approx(first.score, abs=0.01)
    assert pyarrow.parquet.read_table(out / TYPED).to_pylist()[0]["score_db"] == round(first.score, 2)
    [again] = fuse_shots(shots, settings, out)
    assert (again.method, again.resumed) == (first.method, 9)
    assert again.score == pytest.approx(first.score, abs=0.01)
