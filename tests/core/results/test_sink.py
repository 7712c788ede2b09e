"""Sinks keep what they are given, resume, and refuse to destroy what somebody else made."""

import itertools
import json
import os
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_xfusion.core.results.sink import MemorySink, open_sink
from napari_xfusion.core.results.spec import OutputSpec, stored
from napari_xfusion.errors import OutputError, OutputExistsError

SPEC = OutputSpec((4, 5, 7), (6, 5), np.dtype("uint16"), "ab" * 32, 0.65, 0.1, (0.0, 20.0))
IMAGES = {t: np.arange(30, dtype=np.float32).reshape(6, 5) + 100 * t for t in SPEC.frames}
NAMES = ["fused.tif", "fused.ome.tiff", "fused.ome.zarr", "fused.nxs"]
DTYPES = ["uint8", "uint16", "uint32", "int8", "int16", "int32", "float16", "float32", "float64"]


def read(path):
    """The sequence by the library everybody uses, with the sides of 1 that tifffile drops left out."""
    if path.name.endswith(".zarr"):
        return zarr.open(path, mode="r")["0"][:]
    if path.name.endswith(".nxs"):
        with h5py.File(path, "r") as file:
            return file["entry/data/data"][()]
    return tifffile.imread(path)


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def fill(sink, targets, notes=None):
    for t in targets:
        sink.put(t, IMAGES[t], notes or {"seconds": t / 8})


def write(path, spec=SPEC, overwrite=False):
    with open_sink(path, overwrite) as sink:
        done = sink.begin(spec)
        fill(sink, [t for t in spec.frames if t not in done])
        sink.commit({"plan": "p"})
    return done


@pytest.fixture(params=NAMES)
def path(request, tmp_path):
    return tmp_path / request.param


def test_a_sequence_goes_round(path):
    write(path)
    assert np.array_equal(read(path), np.stack(list(IMAGES.values())))
    assert read(path).dtype == SPEC.dtype


def test_only_result_and_record_are_left(path):
    write(path)
    assert names(path.parent) == [path.name, path.name + ".json"]


def test_the_record_holds_identity_and_notes_in_file_order(path):
    write(path)
    record = json.loads(path.with_name(path.name + ".json").read_text())
    frames = [{"frame": t, "done": True, "seconds": t / 8} for t in SPEC.frames]
    assert record == {"plan": "p", "identity": SPEC.identity, "frames": frames}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_every_sort_of_number_goes_round(tmp_path, name, dtype):
    spec = replace(SPEC, dtype=np.dtype(dtype))
    images = {t: np.round(IMAGES[t] % 127) - (10 if dtype[0] != "u" else 0) for t in SPEC.frames}
    with open_sink(tmp_path / name) as sink:
        sink.begin(spec)
        for t, image in images.items():
            sink.put(t, image)
        sink.commit({})
    assert read(tmp_path / name).dtype == dtype
    assert np.array_equal(read(tmp_path / name), np.stack(list(images.values())))


@pytest.mark.parametrize("name", NAMES)
def test_every_size_goes_round(tmp_path, name):
    """Sides and lengths of 1, and of 3 and 4, which others take for colours."""
    for k, (count, H, W) in enumerate(itertools.product((1, 3, 4), (1, 3, 4), (1, 3, 4))):
        spec = replace(SPEC, frames=tuple(range(count)), shape=(H, W))
        sequence = np.arange(count * H * W, dtype=np.float32).reshape(count, H, W)
        path = tmp_path / f"{k}{name}"
        with open_sink(path) as sink:
            sink.begin(spec)
            for t in reversed(spec.frames):
                sink.put(t, sequence[t])
            sink.commit({})
        assert np.array_equal(read(path).reshape(sequence.shape), sequence)


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        pytest.param("uint8", [-1, 0.4, 1.6, 254.6, 255.4, 1e9], [0, 0, 2, 255, 255, 255], id="uint8"),
        pytest.param("int16", [-1e9, -0.6, 32767.4, 40000], [-32768, -1, 32767, 32767], id="int16"),
        pytest.param("uint32", [-5, 5e9], [0, 2**32 - 1], id="uint32"),
        pytest.param("int32", [-3e9, 3e9], [-(2**31), 2**31 - 1], id="int32"),
        pytest.param("uint16", [np.inf, -np.inf, np.nan, 3], [65535, 0, 0, 3], id="not-finite"),
        pytest.param("float16", [1e6, -1e6, 0.5], [65504, -65504, 0.5], id="float16"),
        pytest.param("float64", [0.1, 1e30], np.float32([0.1, 1e30]), id="float64"),
    ],
)
def test_values_are_rounded_and_clipped_never_wrapped(dtype, values, expected):
    result = stored(np.float32([values]), np.dtype(dtype))
    assert result.dtype == dtype
    assert np.array_equal(result[0], np.asarray(expected, dtype))


@given(
    hnp.arrays(np.float32, (2, 3), elements=st.floats(width=32)),
    st.sampled_from(["uint8", "int8", "uint16", "int16", "uint32", "int32"]),
)
def test_whole_numbers_are_the_nearest_in_range(image, dtype):
    """Against Python's own round() and unlimited integers."""
    ends = np.iinfo(dtype)
    result = stored(image, np.dtype(dtype))
    for value, got in zip(image.flat, result.flat, strict=True):
        expected = 0 if np.isnan(value) else round(min(max(float(value), ends.min), ends.max))
        assert int(got) == expected


def test_an_interrupted_run_goes_on_with_its_notes(path):
    with open_sink(path) as sink:
        assert sink.begin(SPEC) == {}
        fill(sink, [5], {"seconds": 2.5, "scores": {"lr": [1.0, 0.5]}})
    assert not path.exists()
    assert path.with_name(path.name + ".lock").exists() is False
    assert write(path) == {5: {"seconds": 2.5, "scores": {"lr": [1.0, 0.5]}}}
    assert np.array_equal(read(path), np.stack(list(IMAGES.values())))


def test_a_resumed_tiff_has_the_bytes_of_an_uninterrupted_one(tmp_path):
    for name in NAMES[:2]:
        write(tmp_path / name)
        for t in SPEC.frames:
            with open_sink(tmp_path / f"resumed-{name}") as sink:
                sink.begin(SPEC)
                fill(sink, [t])
        write(tmp_path / f"resumed-{name}")
        assert (tmp_path / name).read_bytes() == (tmp_path / f"resumed-{name}").read_bytes()


def test_damaged_frames_are_done_again(path):
    with open_sink(path) as sink:
        sink.begin(SPEC)
        fill(sink, SPEC.frames)
    partial = path.with_name(path.name + ".partial")
    if partial.is_dir():
        chunk = partial / "0" / "c" / "1" / "0" / "0"
        chunk.write_bytes(chunk.read_bytes()[:-1])
        (partial / "0" / "c" / "2" / "0" / "0").unlink()
    else:
        content = bytearray(partial.read_bytes())
        start = content.index(stored(IMAGES[5], SPEC.dtype).tobytes())
        content[start] ^= 1
        content[start + SPEC.frame_bytes] ^= 1
        partial.write_bytes(content)
    assert write(path).keys() == {4}
    assert np.array_equal(read(path), np.stack(list(IMAGES.values())))


def test_a_truncated_partial_file_is_started_afresh(tmp_path):
    with open_sink(tmp_path / "fused.tif") as sink:
        sink.begin(SPEC)
        fill(sink, SPEC.frames)
    partial = tmp_path / "fused.tif.partial"
    partial.write_bytes(partial.read_bytes()[:-10])
    assert write(tmp_path / "fused.tif") == {}
    assert np.array_equal(read(tmp_path / "fused.tif"), np.stack(list(IMAGES.values())))


def test_a_partial_folder_without_metadata_is_started_afresh_or_left_alone(tmp_path):
    partial = tmp_path / "fused.zarr.partial"
    partial.mkdir()
    assert write(tmp_path / "fused.zarr") == {}
    (tmp_path / "other.zarr.partial").mkdir()
    (tmp_path / "other.zarr.partial" / "mine.txt").touch()
    with pytest.raises(OutputError, match="not empty"):
        write(tmp_path / "other.zarr", overwrite=True)
    assert (tmp_path / "other.zarr.partial" / "mine.txt").exists()


def test_a_finished_result_says_so_and_stays(path):
    write(path)
    before = path.stat().st_mtime_ns
    for overwrite in (False, True):
        with open_sink(path, overwrite) as sink:
            done = sink.begin(SPEC)
            assert sink.finished
            assert done == {t: {"seconds": t / 8} for t in SPEC.frames}
            sink.commit({"plan": "another"})
            with pytest.raises(OutputError, match="finished"):
                sink.put(4, IMAGES[4])
    assert path.stat().st_mtime_ns == before
    assert names(path.parent) == [path.name, path.name + ".json"]


def test_an_old_zarr_comes_back_when_its_replacement_was_killed_half_way(tmp_path):
    """A folder cannot be replaced in one step; between the two the old one stands aside."""
    write(tmp_path / "fused.zarr")
    (tmp_path / "fused.zarr").rename(tmp_path / "fused.zarr.replaced-by-xfusion")
    with open_sink(tmp_path / "fused.zarr") as sink:
        sink.begin(SPEC)
        assert sink.finished
    assert names(tmp_path) == ["fused.zarr", "fused.zarr.json"]


def test_another_result_is_replaced_only_when_asked_and_only_at_the_end(path):
    write(path)
    old = read(path)
    other = replace(SPEC, identity="cd" * 32, frames=(4, 5))
    with pytest.raises(OutputExistsError, match="different settings"):
        write(path, other)
    with open_sink(path, overwrite=True) as sink:
        sink.begin(other)
        fill(sink, [4])
    assert np.array_equal(read(path), old)
    with pytest.raises(OutputExistsError):
        write(path, other)
    assert write(path, other, overwrite=True).keys() == {4}
    assert len(read(path)) == 2
    assert names(path.parent) == [path.name, path.name + ".json"]


def test_the_finished_result_is_recognised_beside_an_unfinished_other_one(path):
    write(path)
    with open_sink(path, overwrite=True) as sink:
        sink.begin(replace(SPEC, identity="cd" * 32))
        fill(sink, [4])
    with open_sink(path) as sink:
        sink.begin(SPEC)
        assert sink.finished
    with open_sink(path, overwrite=True) as sink:
        assert sink.begin(replace(SPEC, identity="cd" * 32)).keys() == {4}


@pytest.mark.parametrize("change", [{"identity": "cd" * 32}, {"dtype": np.dtype("float32")}], ids=str)
def test_an_unfinished_other_run_is_refused_with_its_count(path, change):
    with open_sink(path) as sink:
        sink.begin(SPEC)
        fill(sink, [4, 7])
    with pytest.raises(OutputError, match=r"unfinished run with different settings \(2 frames done\)"):
        write(path, replace(SPEC, **change))
    assert write(path, replace(SPEC, **change), overwrite=True) == {}


def test_a_result_without_record_is_somebody_elses(path):
    write(path)
    path.with_name(path.name + ".json").write_text("[]")
    with pytest.raises(OutputExistsError):
        write(path)
    assert write(path, overwrite=True) == {}


def test_missing_frames_are_named(path):
    for sink in (open_sink(path), MemorySink()):
        with sink:
            sink.begin(SPEC)
            fill(sink, [5])
            with pytest.raises(OutputError, match="2 of 3 frames are missing: 4, 7"):
                sink.commit({})
            fill(sink, [4, 7])
            sink.commit({})


def test_a_run_that_kept_no_frame_leaves_nothing(path):
    with open_sink(path) as sink:
        sink.begin(SPEC)
    assert names(path.parent) == []


def test_a_frame_may_be_put_again(path):
    """The later one counts, also after an interruption."""
    with open_sink(path) as sink:
        sink.begin(SPEC)
        sink.put(4, IMAGES[7])
        fill(sink, [4])
    assert write(path).keys() == {4}
    assert np.array_equal(read(path)[0], IMAGES[4])


@pytest.mark.parametrize(
    ("index", "shape"), [pytest.param(6, (6, 5), id="target"), pytest.param(5, (5, 6), id="shape")]
)
def test_what_was_not_announced_is_refused(path, index, shape):
    for sink in (open_sink(path), MemorySink()):
        with sink:
            sink.begin(SPEC)
            with pytest.raises(OutputError, match=f"frame {index}"):
                sink.put(index, np.zeros(shape, np.float32))


def test_put_before_begin_is_told(path):
    for sink in (open_sink(path), MemorySink()):
        with pytest.raises(OutputError, match=r"begin\(\)"):
            sink.put(4, IMAGES[4])


def test_begin_twice_starts_over(path):
    with open_sink(path) as sink:
        sink.begin(SPEC)
        fill(sink, [4])
        assert sink.begin(SPEC).keys() == {4}
    write(path)


def test_two_sinks_in_one_process_exclude_each_other(path):
    with open_sink(path) as first:
        first.begin(SPEC)
        with pytest.raises(OutputError, match=f"process {os.getpid()} on .* since 20"):
            open_sink(path).begin(SPEC)
        fill(first, SPEC.frames)
        first.commit({})
        with open_sink(path) as second:
            second.begin(SPEC)
            assert second.finished


@pytest.mark.parametrize("name", ["fused", "fused.png", "fused.tif.gz", ".."])
def test_other_endings_are_refused(tmp_path, name):
    with pytest.raises(OutputError, match=r"\.tif, .*\.ome\.zarr"):
        open_sink(tmp_path / name)


def test_a_missing_folder_is_told(path):
    with pytest.raises(OutputError, match="folder"):
        write(path.parent / "none" / path.name)


def test_dots_and_capitals_in_names_are_fine(tmp_path):
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub" / ".." / "Fused.v2.TIF")
    assert names(tmp_path) == ["Fused.v2.TIF", "Fused.v2.TIF.json", "sub"]


def test_a_folder_or_file_of_another_kind_is_never_replaced(path):
    if path.suffix == ".zarr":
        path.write_text("mine")
    else:
        path.mkdir()
    with pytest.raises(OutputError, match="Choose another name"):
        write(path, overwrite=True)
    assert path.exists()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.skipif(
    not Path("/sys/kernel").is_dir(), reason="needs Linux's /sys, where root may not write either"
)
def test_a_folder_that_takes_no_files_is_told(name):
    with pytest.raises(OutputError, match="permission to write"):
        write(Path("/sys/kernel") / name)


def test_memory_resumes_in_the_same_array():
    sink = MemorySink()
    sink.begin(SPEC)
    array = sink.data
    fill(sink, [5])
    sink.close()
    assert sink.begin(SPEC) == {5: {"seconds": 5 / 8}}
    assert sink.data is array
    fill(sink, [4, 7])
    sink.commit({"plan": "p"})
    assert sink.finished
    assert sink.record["frames"][1] == {"frame": 5, "done": True, "seconds": 5 / 8}
    assert np.array_equal(array, np.stack(list(IMAGES.values())))
    assert sink.begin(replace(SPEC, identity="other")) == {}
    assert not sink.finished


def test_memory_that_does_not_suffice_is_told():
    spec = replace(SPEC, frames=tuple(range(10**6)), shape=(10**6, 10**6))
    with pytest.raises(OutputError, match="memory"):
        MemorySink().begin(spec)


def test_zarr_metadata_say_axes_units_and_hr_times(tmp_path):
    write(tmp_path / "fused.zarr")
    group = zarr.open_group(tmp_path / "fused.zarr", mode="r")
    image = group.attrs["ome"]["multiscales"][0]
    assert group.attrs["ome"]["version"] == "0.5"
    assert [a["name"] for a in image["axes"]] == ["t", "y", "x"]
    assert [a["unit"] for a in image["axes"]] == ["second", "micrometer", "micrometer"]
    assert image["datasets"][0]["coordinateTransformations"][0]["scale"] == [0.1, 0.65, 0.65]
    assert group.attrs["napari_xfusion"] == {"hr_times": [0.0, 20.0]}
    assert group["0"].chunks == (1, 6, 5)


def test_units_that_are_not_known_are_not_claimed(tmp_path):
    write(tmp_path / "fused.zarr", replace(SPEC, pixel_size=None, frame_interval=None))
    image = zarr.open_group(tmp_path / "fused.zarr", mode="r").attrs["ome"]["multiscales"][0]
    assert all("unit" not in axis for axis in image["axes"])
