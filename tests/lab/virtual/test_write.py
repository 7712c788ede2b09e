"""The files of a virtual experiment."""

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from napari_xfusion.core.clock import Clock
from napari_xfusion.core.types import Stack
from napari_xfusion.errors import OutputError, WriteError
from napari_xfusion.lab.virtual.experiment import simulate
from napari_xfusion.lab.virtual.write import write_experiment, write_tiff
from tests.sequences import moving_discs, stack

NAMES = ["experiment.json", "hr.tif", "lr.tif", "truth.tif"]


def movie(frames=9, dtype="uint16", **fields):
    sequence = (moving_discs(frames, (32, 40)) + 0.5) / 2
    scale = np.iinfo(dtype).max if np.dtype(dtype).kind in "ui" else 1
    return stack((sequence * scale).astype(dtype), **fields)


def in_seconds(sequence, interval=2e-5, start=0.0):
    times = tuple(round(1e12 * (start + k * interval)) for k in range(len(sequence)))
    return replace(sequence, clock=Clock(times_ps=times, source="stamps"))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "float32", "float64"])
@pytest.mark.parametrize("frames", [2, 3, 4, 9])
def test_sequences_come_back_as_they_were(tmp_path, dtype, frames):
    """Three frames are three frames, not the colours of one."""
    experiment = simulate(movie(frames, dtype), 1 if frames < 4 else 3)
    write_experiment(experiment, tmp_path / "new" / "folder")
    for name in ("lr", "hr", "truth"):
        sequence = getattr(experiment, name)
        with tifffile.TiffFile(tmp_path / "new" / "folder" / f"{name}.tif") as file:
            assert file.series[0].shape == sequence.shape
            assert file.series[0].axes == "TYX"
            assert file.pages[0].samplesperpixel == 1
            np.testing.assert_array_equal(file.asarray(), [sequence.frame(i) for i in range(len(sequence))])


def test_a_single_hr_frame_stays_a_sequence(tmp_path):
    write_experiment(simulate(movie(), 100, hr_last=False), tmp_path)
    with tifffile.TiffFile(tmp_path / "hr.tif") as file:
        assert file.series[0].shape == (1, 32, 40)


def test_metadata_of_length_and_time(tmp_path):
    sequence = in_seconds(movie(9, pixel_size=2.0), start=1.0)
    write_experiment(simulate(sequence, 4), tmp_path)
    read = {}
    for name in ("lr", "hr", "truth"):
        with tifffile.TiffFile(tmp_path / f"{name}.tif") as file:
            above, below = file.pages[0].tags["XResolution"].value
            read[name] = {**file.imagej_metadata, "pixel": below / above}
    assert [read[name]["pixel"] for name in read] == [8.0, 2.0, 2.0]
    assert {read[name]["unit"] for name in read} == {"um"}
    assert [read[name]["finterval"] for name in read] == pytest.approx([2e-5, 8e-5, 2e-5])
    assert read["hr"]["hr_times"] == "0.0,4.0,8.0"
    assert "hr_times" not in read["lr"] and "hr_times" not in read["truth"]


def test_uneven_hr_frames_have_no_interval(tmp_path):
    write_experiment(simulate(in_seconds(movie(9)), 3), tmp_path)
    with tifffile.TiffFile(tmp_path / "hr.tif") as file:
        assert file.imagej_metadata["hr_times"] == "0.0,3.0,6.0,8.0"
        assert "finterval" not in file.imagej_metadata


def test_dtypes_unknown_to_imagej_carry_the_same(tmp_path):
    sequence = in_seconds(movie(9, "int16", pixel_size=2.0))
    write_experiment(simulate(sequence, 4), tmp_path)
    with tifffile.TiffFile(tmp_path / "hr.tif") as file:
        said, page = file.shaped_metadata[0], file.pages[0]
        assert (said["hr_times"], said["finterval"]) == ("0.0,4.0,8.0", pytest.approx(8e-5))
        assert page.tags["ResolutionUnit"].value == 3
        above, below = page.tags["XResolution"].value
        assert above / below == pytest.approx(5000)  # pixels per cm


def test_record_says_how_to_repeat_it(tmp_path):
    experiment = simulate(movie(9), 4, lr_psnr=30, seed=7)
    record = write_experiment(experiment, tmp_path)
    assert json.loads((tmp_path / "experiment.json").read_text()) == record
    assert record["hr_times"] == [0, 4, 8]
    assert record["seed"] == 7
    assert record["lr_psnr"] == pytest.approx(30, abs=0.1)
    again = simulate(movie(9), 4, b0=record["b0"], seed=record["seed"])
    np.testing.assert_array_equal(again.lr.frame(5), tifffile.imread(tmp_path / "lr.tif", key=5))


def test_same_seed_same_bytes(tmp_path):
    for folder in ("a", "b"):
        write_experiment(simulate(movie(), 4, lr_psnr=30), tmp_path / folder)
    for name in NAMES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_progress_counts_every_frame(tmp_path):
    told = []
    write_experiment(simulate(movie(9), 4), tmp_path, progress=lambda done, of: told.append((done, of)))
    assert told == [(i, 21) for i in range(1, 22)]


def test_stopping_leaves_the_folder_as_it_was(tmp_path):
    write_experiment(simulate(movie(), 4), tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in NAMES}

    def stop(done, of):
        if done == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_experiment(simulate(movie(), 2, lr_psnr=20), tmp_path, progress=stop)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_earlier_simulation_is_replaced(tmp_path):
    write_experiment(simulate(movie(), 4), tmp_path)
    write_experiment(simulate(movie(), 2), tmp_path)
    assert tifffile.imread(tmp_path / "hr.tif").shape == (5, 32, 40)
    assert sorted(path.name for path in tmp_path.iterdir()) == NAMES


def test_sequences_of_other_origin_are_not_overwritten(tmp_path):
    (tmp_path / "lr.tif").write_bytes(b"a night at the beamline")
    with pytest.raises(OutputError, match=r"lr\.tif: .*not simulated"):
        write_experiment(simulate(movie(), 4), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["lr.tif"]


def test_the_sequence_itself_is_not_overwritten(tmp_path):
    write_experiment(simulate(movie(), 4), tmp_path)
    sequence = tifffile.imread(tmp_path / "truth.tif")
    with pytest.raises(OutputError, match="overwrite an input"):
        write_experiment(simulate(stack(sequence, str(tmp_path / "truth.tif")), 4), tmp_path)


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="Choose another folder"):
        write_experiment(simulate(movie(), 4), tmp_path / "file" / "folder")


def test_memory_does_not_grow_with_the_sequence(tmp_path):
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 4000, (128, 128)).astype(np.uint16)

    def peak(frames):
        sequence = stack(np.broadcast_to(frame, (frames, 128, 128)))
        sequence = Stack(**{**sequence.__dict__, "digest": lambda: ""})
        experiment = simulate(sequence, 10, lr_psnr=40)
        tracemalloc.start()
        write_experiment(experiment, tmp_path)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    assert peak(300) < peak(70) + 400_000  # a page's entry in the TIFF takes about one kilobyte


def test_four_gigabytes_make_a_bigtiff(tmp_path):
    """Decided before the first byte: the writing is stopped at the first frame."""

    def read(i):
        raise InterruptedError

    sequence = movie()
    for frames, magic in ((15, 42), (17, 43)):
        large = Stack(**{**sequence.__dict__, "shape": (frames, 8192, 16384), "read": read})
        with pytest.raises(InterruptedError):
            write_tiff(large, tmp_path / f"{frames}.tif")
        assert int.from_bytes((tmp_path / f"{frames}.tif").read_bytes()[2:4], "little") == magic


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("content", [b"mine", b"{}", b'{"napari_xfusion": "0.1.0"}'])
def test_files_of_other_origin_stay(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(OutputError, match="not simulated"):
        write_experiment(simulate(movie(), 4), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {name: content}
