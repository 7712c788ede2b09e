"""HDF5 and NeXus files through open_stack, compared with what h5py reads."""

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from napari_xfusion.core.clock import Clock
from napari_xfusion.core.recordings import open_stack
from napari_xfusion.core.recordings.hdf5 import open_frames_of_key
from napari_xfusion.core.recordings.readers import Options
from napari_xfusion.errors import AmbiguousFileError, DamagedFileError, InputError

h5py = pytest.importorskip("h5py", reason="h5py (extra hdf5) is not installed")

REAL = Path(__file__).parents[4] / "shared" / "data" / "cameras"
SEQUENCE = np.random.default_rng(5).integers(1, 4000, (6, 20, 31)).astype("u2")
NXDATA = {"NX_class": "NXdata", "signal": "data", "axes": ["t", "y", "x"]}


def frames(path, **options):
    stack = open_stack(path, **options)
    return np.stack([stack.frame(i) for i in range(len(stack))])


def write(path: Path, data: dict, attributes: dict | None = None, **options) -> Path:
    """A file with datasets by their paths, and the attributes of objects by theirs."""
    with h5py.File(path, "w") as file:
        for name, values in data.items():
            if isinstance(values, h5py.SoftLink | h5py.ExternalLink):
                file[name] = values
            else:
                file.create_dataset(name, data=values, **(options if np.ndim(values) > 2 else {}))
        for name, given in (attributes or {}).items():
            file.require_group(name) if name not in file else None
            file[name].attrs.update(given)
    return path


REAL_FILES = {
    "dxchange_reader.h5": ("/exchange/data", None),
    "dxchange_lena.h5": ("/exchange/data", None),
    "httomo_flat_field.h5": ("/1-NoProcessPlugin-tomo/data", None),
    "k11-18014/k11-18014-imaging.h5": ("/entry/detector/detector", None),
    "k11-18014.nxs": ("/entry/imaging/data", "/entry/instrument/imaging/image_key"),
    "k11-18014.nxs::/entry/instrument/imaging/data": (
        "/entry/instrument/imaging/data",
        "/entry/instrument/imaging/image_key",
    ),
}


@pytest.mark.skipif(not REAL.is_dir(), reason="the real recordings in ../shared are not there")
@pytest.mark.parametrize("name", REAL_FILES)
def test_real_files_have_the_frames_that_h5py_reads(name):
    dataset, key = REAL_FILES[name]
    with h5py.File(REAL / name.split("::")[0], "r") as file:
        expected = file[dataset][()]
        expected = expected if key is None else expected[file[key][()] == 0]
    stack = open_stack(f"{REAL / name}")
    assert (stack.shape, stack.dtype, stack.metadata.dataset) == (expected.shape, expected.dtype, dataset)
    for i in {0, 1, len(stack) // 2, len(stack) - 1} & {*range(len(stack))}:
        np.testing.assert_array_equal(stack.frame(i), expected[i])


@pytest.mark.skipif(not REAL.is_dir(), reason="the real recordings in ../shared are not there")
def test_a_real_file_of_one_dataset_per_frame_has_its_projections_only():
    name = "20151120_100640_testBL832h5file"
    with h5py.File(REAL / "dxchange_read_stack.h5", "r") as file:
        expected = [file[f"{name}/{name}_0000_{i:04}.tif"][0] for i in range(20)]
    np.testing.assert_array_equal(frames(REAL / "dxchange_read_stack.h5"), expected)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real recordings in ../shared are not there")
def test_a_real_link_whose_file_is_missing_is_named():
    with pytest.raises(
        DamagedFileError, match=r"k11-18014-EtherCAT\.h5::/entry/detector/detector.*not there"
    ):
        open_stack(f"{REAL / 'k11-18014.nxs'}::/entry/EtherCAT/data")


@pytest.mark.parametrize("dtype", ["u1", "i4", "f2", "f4", "f8", ">u2"])
@pytest.mark.parametrize("options", [{}, {"chunks": (1, 20, 31), "compression": "gzip", "shuffle": True}])
def test_any_grey_dataset_is_found_by_itself(tmp_path, dtype, options):
    path = write(tmp_path / "a.h5", {"some/where": SEQUENCE.astype(dtype), "t": [1.0, 2.0]}, **options)
    stack = open_stack(path)
    assert (stack.dtype, stack.source) == (np.dtype(dtype).newbyteorder("="), str(path))
    np.testing.assert_array_equal(frames(path), SEQUENCE.astype(dtype))


OTHER = SEQUENCE[::-1] // 2
CHOICES = {
    "data exchange": ({"exchange/data": SEQUENCE, "exchange/data_white": OTHER, "process/x": OTHER}, {}),
    "signal": ({"a/data": SEQUENCE, "a/other": OTHER, "b": OTHER}, {"a": NXDATA}),
    "usual place": ({"entry/data/data": SEQUENCE, "entry/raw": OTHER}, {}),
    "flats aside": ({"e/frames": SEQUENCE, "e/flats": OTHER, "e/dark_field": OTHER}, {}),
    "same dataset": ({"e/frames": SEQUENCE, "e/link": h5py.SoftLink("/e/frames")}, {}),
    "no image": ({"e/frames": SEQUENCE, "e/sum": np.ones((6, 1, 1)), "e/table": np.ones((3, 4))}, {}),
    "axis of 1": ({"e/frames": SEQUENCE[:, None]}, {}),
    "a loop of links": ({"e/frames": SEQUENCE, "e/up": h5py.SoftLink("/")}, {}),
}


@pytest.mark.parametrize("name", CHOICES)
def test_the_sequence_is_told_from_other_datasets(tmp_path, name):
    data, attributes = CHOICES[name]
    np.testing.assert_array_equal(frames(write(tmp_path / "a.nxs", data, attributes)), SEQUENCE)


def test_several_candidates_are_listed_with_the_remedy(tmp_path):
    path = write(tmp_path / "a.h5", {"e/one": SEQUENCE, "e/two": OTHER[:4]})
    with pytest.raises(AmbiguousFileError, match=r"/e/one \(6, 20, 31\) uint16.*a\.h5::/e/one") as caught:
        open_stack(path)
    assert caught.value.choices[1] == ("/e/two", (4, 20, 31), "uint16")
    np.testing.assert_array_equal(frames(f"{path}::/e/two"), OTHER[:4])
    assert open_stack(f"{path}::e/two").recording.options.data_path == "e/two"


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        pytest.param("/e/three", "found /e with back, gone", id="absent"),
        pytest.param("/e/gone", "link to /nowhere, but there is none", id="soft link"),
        pytest.param("/e/out", r"link to gone\.h5::/x, but this file is not there", id="external link"),
        pytest.param("/e/t", "a dataset of frames", id="not frames"),
        pytest.param("/e/one::/e/none", "found /e with", id="absent times"),
        pytest.param("/e/one::/e/short", "at least 6 times", id="short times"),
        pytest.param(
            "/e/one::/e/back", "increase from frame to frame, found 3 at frame 1, 2", id="backwards"
        ),
        pytest.param("/e/one::/e/volts", "a unit of time", id="no unit of time"),
        pytest.param("/e/one::/e/t::/e", "FILE::DATA::TIMES", id="too many"),
        pytest.param("/mask", "mask", id="no grey"),
    ],
)
def test_what_is_no_sequence_is_refused(tmp_path, inside, message):
    data = {
        "e/one": SEQUENCE,
        "e/two": OTHER,
        "e/t": np.arange(6.0),
        "e/short": [1, 2],
        "e/back": [1, 3, 2, 4, 5, 6],
    }
    links = {"e/gone": h5py.SoftLink("/nowhere"), "e/out": h5py.ExternalLink("gone.h5", "/x")}
    units = {"e/volts": {"units": "V"}}
    path = write(tmp_path / "a.h5", data | links | {"mask": SEQUENCE > 9, "e/volts": np.arange(6)}, units)
    with pytest.raises(InputError, match=message):
        open_stack(f"{path}::{inside}")


def test_a_path_inside_another_kind_of_file_is_refused(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0")
    with pytest.raises(InputError, match="no datasets"):
        open_stack(f"{tmp_path / 'a.tif'}::/data")


def test_a_pipe_behind_a_link_is_not_waited_for(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe")
    path = write(tmp_path / "a.h5", {"x": h5py.ExternalLink("pipe", "/x")})
    with pytest.raises(DamagedFileError, match="not a file"):
        open_stack(path)


TIMES = {
    "ns": (np.array([5, 1005, 2005, 3006, 4005, 5005]), "ns", [0, 1_000_000, 2_000_000, 3_001_000]),
    "s": (np.array([0.1, 0.2, 0.3, 0.45, 0.5, 0.6]), "s", [0, 10**11, 2 * 10**11, 35 * 10**10]),
    "epoch": (1_700_000_000 * 10**9 + np.arange(6) * 100, "ns", [0, 10**5, 2 * 10**5, 3 * 10**5]),
}


@pytest.mark.parametrize("name", TIMES)
def test_times_are_exact_by_option_and_as_axis(tmp_path, name):
    values, unit, expected = TIMES[name]
    data = {"a/data": SEQUENCE, "a/t": values, "a/y": np.arange(20) * 0.5, "a/x": np.arange(31) * 0.5}
    units = {"a": NXDATA, "a/t": {"units": unit}, "a/y": {"units": "um"}, "a/x": {"units": "um"}}
    path = write(tmp_path / "a.nxs", data, units)
    for place in (path, f"{path}::/a/data::/a/t", f"{path}::::/a/t", f"{path}::/a/data"):
        stack = open_stack(place)
        assert stack.recording.place == str(place)
        assert stack.clock.source == "stamps"
        np.testing.assert_allclose(stack.clock.since_start[:4], expected, atol=1)
        assert (stack.pixel_size, stack.metadata.warnings) == (0.5, ())


def codes(path) -> list[str]:
    return [x.code for x in open_stack(path).metadata.warnings]


def test_odd_times_are_warned_about(tmp_path):
    epoch = 1.7e9 + np.arange(6) * 1e-6
    units = {"a": NXDATA, "a/epoch": {"units": "s"}, "a/t": {"units": "s"}}
    data = {"a/data": SEQUENCE, "a/t": [0, 1, 1, 2, 3, 4], "a/epoch": np.linspace(1.7e9, 1.7e9 + 5e-5, 6)}
    path = write(tmp_path / "a.nxs", data | {"a/bare": epoch - epoch[0]}, units)
    assert codes(path) == ["times-unused"]
    assert codes(f"{path}::/a/data::/a/epoch") == ["times-resolution"]
    assert codes(f"{path}::/a/data::/a/bare") == ["times-unit"]


def test_projections_are_told_from_flats_and_darks_with_their_times(tmp_path):
    key, times = [1, 2, 0, 0, 3, 0], np.arange(6) * 10
    data = {
        "e/i/data": SEQUENCE,
        "e/i/image_key": key,
        "e/d/data": h5py.SoftLink("/e/i/data"),
        "e/d/t": times,
    }
    path = write(tmp_path / "a.nxs", data, {"e/d": NXDATA, "e/d/t": {"units": "us"}})
    stack = open_stack(path)
    np.testing.assert_array_equal(frames(path), SEQUENCE[[2, 3, 5]])
    assert stack.clock.times_ps == tuple(10**6 * t for t in (20, 30, 50))
    assert codes(path) == ["uneven-numbers", "unused-fields"]
    flats = open_frames_of_key(path, Options(), 1)
    np.testing.assert_array_equal(flats.frame(0), SEQUENCE[0])


def test_a_virtual_dataset_is_read_and_its_missing_file_named(tmp_path):
    for k in range(2):
        write(tmp_path / f"part{k}.h5", {"d": SEQUENCE[3 * k : 3 * k + 3]})
    layout = h5py.VirtualLayout(SEQUENCE.shape, "u2")
    for k in range(2):
        layout[3 * k : 3 * k + 3] = h5py.VirtualSource(f"part{k}.h5", "d", (3, 20, 31))
    with h5py.File(tmp_path / "all.h5", "w") as file:
        file.create_virtual_dataset("d", layout)
    stack = open_stack(tmp_path / "all.h5")
    np.testing.assert_array_equal(frames(tmp_path / "all.h5"), SEQUENCE)
    assert stack.metadata.files == tuple(str(tmp_path / f"part{k}.h5") for k in range(2))
    del stack
    (tmp_path / "part1.h5").unlink()
    with pytest.raises(InputError, match=r"in the file part1\.h5, which is not there"):
        open_stack(tmp_path / "all.h5")


def test_chunks_of_many_frames_and_missing_ones_are_warned_about(tmp_path):
    assert codes(write(tmp_path / "a.h5", {"d": SEQUENCE}, chunks=(6, 1, 31))) == ["chunks"]
    assert codes(write(tmp_path / "b.h5", {"d": SEQUENCE}, chunks=(2, 20, 31))) == []
    with h5py.File(tmp_path / "c.h5", "w") as file:
        dataset = file.create_dataset("d", (9, 20, 31), "u2", chunks=(1, 20, 31))
        dataset[:2], dataset[3:6] = SEQUENCE[:2], SEQUENCE[3:]
    assert codes(tmp_path / "c.h5") == ["planned-frames", "absent-chunks"]
    np.testing.assert_array_equal(frames(tmp_path / "c.h5")[[0, 1, 3, 4, 5]], SEQUENCE[[0, 1, 3, 4, 5]])


def test_a_filter_that_is_missing_is_named(tmp_path, monkeypatch):
    hdf5plugin = pytest.importorskip("hdf5plugin", reason="hdf5plugin (extra hdf5) is not installed")
    path = write(tmp_path / "a.h5", {"d": SEQUENCE}, chunks=(1, 20, 31), **hdf5plugin.Bitshuffle())
    np.testing.assert_array_equal(frames(path), SEQUENCE)
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda _code: False)
    with pytest.raises(InputError, match=r"filter 32008 .*pip install hdf5plugin"):
        open_stack(path)


def test_without_h5py_the_extra_is_named(tmp_path, monkeypatch):
    path = write(tmp_path / "a.h5", {"d": SEQUENCE})
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match=r"napari-xfusion\[hdf5\]"):
        open_stack(path)


def held() -> set[str]:
    """The files that this process has open; other tests may have left some."""
    ids = h5py.h5f.get_obj_ids(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE)
    return {h5py.h5f.get_name(file).decode() for file in ids}


def test_threads_read_at_once_and_the_file_is_closed_at_the_end(tmp_path):
    path = write(tmp_path / "a.h5", {"d": SEQUENCE}, chunks=(1, 20, 31), compression="gzip")
    stack = open_stack(path)
    numbers = [(i * k) % 6 for k in range(1, 7) for i in range(60)]
    with ThreadPoolExecutor(6) as pool:
        for i, frame in zip(numbers, pool.map(stack.frame, numbers), strict=True):
            np.testing.assert_array_equal(frame, SEQUENCE[i])
    sent = pickle.loads(pickle.dumps(stack))  # noqa: S301 - its own bytes
    assert sent.digest() == stack.digest()
    assert str(path) in held()
    del stack, sent, pool
    assert str(path) not in held()


def test_a_file_that_was_rewritten_is_read_anew_by_old_and_new_stacks(tmp_path):
    """HDF5 keeps what it read of a file as long as anybody in the process has it open."""
    path = write(tmp_path / "a.h5", {"d": SEQUENCE})
    old = open_stack(path)
    digest, content = old.digest(), old.frame(0).copy()
    data = write(tmp_path / "b.h5", {"before": np.arange(5000), "d": OTHER}).read_bytes()
    path.write_bytes(data)
    new = open_stack(path)
    np.testing.assert_array_equal(new.frame(0), OTHER[0])
    np.testing.assert_array_equal(old.frame(0), OTHER[0])
    assert new.digest() != digest
    assert not np.array_equal(content, OTHER[0])


WRITER = """
import sys, h5py, numpy as np
file = h5py.File(sys.argv[1], "w", libver="latest")
data = file.create_dataset("entry/data", (0, 20, 31), "u2", maxshape=(None, 20, 31), chunks=(1, 20, 31))
file.swmr_mode = True
for count in (2, 5, 6):
    data.resize(count, axis=0)
    if count < 6:
        data[:] = np.arange(count)[:, None, None]
    data.flush()
    print(count, flush=True)
    sys.stdin.readline()
file.close()
print("closed", flush=True)
"""


def test_a_growing_file_is_read_while_its_writer_goes_on(tmp_path):
    """The writer is in another process, and is never kept from writing."""
    path = tmp_path / "growing.h5"
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        kept = []
        for step, complete in (("2", 2), ("5", 5), ("6", 5)):
            assert writer.stdout.readline().strip() == step
            kept.append(open_stack(path))
            assert len(kept[-1]) == complete
            assert kept[-1].frame(complete - 1).max() == complete - 1
            writer.stdin.write("\n")
            writer.stdin.flush()
        assert writer.stdout.readline().strip() == "closed"
    assert kept[0].frame(1).max() == 1
    (warning,) = open_stack(path).metadata.warnings
    assert warning.code == "planned-frames"


def test_a_file_open_for_writing_without_swmr_names_the_reason(tmp_path):
    code = (
        "import sys, h5py; f = h5py.File(sys.argv[1], 'w', libver='latest'); f['d'] = [[1, 2]]; f.flush();"
        "print('open', flush=True); sys.stdin.readline()"
    )
    path = tmp_path / "open.h5"
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline().strip() == "open"
        with pytest.raises(InputError, match="SWMR"):
            open_stack(path)
        writer.communicate("\n")
    assert writer.returncode == 0


@pytest.mark.parametrize("length", [0, 7, 40, 100, 2000, -100, -1])
def test_cut_files_are_refused(tmp_path, length):
    data = write(tmp_path / "a.h5", {"entry/data": SEQUENCE}).read_bytes()
    (tmp_path / "b.h5").write_bytes(data[:length])
    with pytest.raises(InputError):
        open_stack(tmp_path / "b.h5")


def chunk_key(path: Path, number: int) -> int:
    """Where a file of format 1.8 describes a chunk of its only chunked dataset: size, filter mask, four offsets."""
    data, at = path.read_bytes(), -1
    while (at := data.index(b"TREE", at + 1)) and data[at + 4] != 1:
        pass
    return at + 24 + number * (8 + 4 * 8 + 8)


@pytest.mark.parametrize("shape", [(1, 20, 31), (2, 20, 31), (1, 10, 31)])
def test_a_damaged_index_of_chunks_gives_no_frames_of_zeros(tmp_path, shape):
    """HDF5 counts and lists the chunk, does not find it, and reads the fill value."""
    path = write(tmp_path / "a.h5", {"d": SEQUENCE}, chunks=shape, compression="gzip")
    last = SEQUENCE.size // np.prod(shape) - 1
    with path.open("r+b") as file:
        file.seek(chunk_key(path, last) + 8 + 24 + 6)
        file.write(b"\xff")
    stack = open_stack(path)
    np.testing.assert_array_equal(stack.frame(0), SEQUENCE[0])
    with pytest.raises(DamagedFileError, match=r"a\.h5::/d frame 5: expected a chunk at \("):
        stack.frame(5)


def test_frames_that_are_stored_as_zeros_are_read(tmp_path):
    path = write(tmp_path / "a.h5", {"d": np.zeros_like(SEQUENCE)}, chunks=(2, 7, 31), compression="gzip")
    assert not frames(path).any()


def test_a_chunk_whose_filters_were_not_applied_must_be_complete(tmp_path):
    """HDF5 would read the compressed bytes, and what follows them in memory, as pixels."""
    path = write(tmp_path / "a.h5", {"d": SEQUENCE}, chunks=(1, 20, 31), compression="gzip")
    with path.open("r+b") as file:
        file.seek(chunk_key(path, 2) + 4)
        file.write(b"\xff")
    with pytest.raises(DamagedFileError, match=r"expected 1240 bytes in the chunk at \(2, 0, 0\), found \d+"):
        open_stack(path)


def test_hr_times_and_attributes_are_told(tmp_path):
    data = {"a/data": SEQUENCE, "a/hr_times": np.arange(6) * 10.0, "a/frame_time": 0.001}
    path = write(tmp_path / "a.h5", data, {"a/data": {"scale_factor": 2.0}})
    stack = open_stack(path)
    assert stack.metadata.hr_times == (0.0, 10.0, 20.0, 30.0, 40.0, 50.0)
    assert stack.clock == Clock.regular(6, 0.001)
    assert codes(path) == ["calibration"]
