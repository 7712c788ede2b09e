"""Cut files and mutated headers: the whole sequence or an InputError, never another sequence and no other error.

The damage runs in a process of its own with 2 GB of memory and limited processor time, so that a header
cannot make us ask for more, or work without end. Each case of HDF5 has one: its library can crash and loop.
"""

import multiprocessing
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr

from napari_xfusion.core.recordings import open_stack
from napari_xfusion.core.recordings.packed import P10
from napari_xfusion.errors import InputError
from tests.cameras import write_b16, write_cine, write_hpvx, write_ini, write_mraw

resource = pytest.importorskip("resource", reason="memory is bounded with setrlimit")

SEQUENCE = np.random.default_rng(3).integers(0, 60_000, (7, 40, 50)).astype("u2")
SMOOTH = np.sort(SEQUENCE // 500, axis=-1)
_MEMORY = 2 << 30
_SECONDS = 2.0
"""Of processor time in which a damaged sequence is read or refused."""


def tiff(path: Path, data: np.ndarray = SEQUENCE, **options: object) -> Path:
    tifffile.imwrite(path, data, photometric="minisblack", **options)
    return path


def folder(path: Path, suffix: str, frames: np.ndarray = SEQUENCE) -> Path:
    path.mkdir()
    for i, frame in enumerate(frames):
        if suffix == "png":
            (path / f"f_{i}.png").write_bytes(imagecodecs.png_encode(frame))
        else:
            tiff(path / f"f_{i}.tif", frame, metadata=None)
    return path


def photron(path: Path, **options: object) -> Path:
    path.mkdir()
    write_mraw(path / "S1.mraw", SMOOTH, **options)
    return path


def raw(path: Path) -> Path:
    path.mkdir()
    (path / "S1.raw").write_bytes(SMOOTH.tobytes())
    T, H, W = SMOOTH.shape
    (path / "S1.toml").write_text(
        f'width = {W}\nheight = {H}\nframes = {T}\ndtype = "uint16"\nframe_rate = 1e3\n'
    )
    return path


def b16(path: Path) -> Path:
    path.mkdir()
    for i, frame in enumerate(SMOOTH):
        write_b16(path / f"f_{i}.b16", frame)
    return path


def shimadzu(path: Path) -> Path:
    folder(path, "tif", SMOOTH)
    write_ini(path / "shot.ini", [10_000 * i for i in range(len(SMOOTH))])
    return path


def hpvx(path: Path) -> Path:
    path.mkdir()
    write_hpvx(path / "S1.dat", HPVX)
    return path


def hdf5(path: Path, **options: object) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        data = file.create_group("entry/data")
        data.attrs.update({"NX_class": "NXdata", "signal": "data", "axes": ["t", "y", "x"]})
        data.create_dataset("data", data=SMOOTH, **options)
        data["t"] = np.arange(len(SMOOTH)) * 1000
        data["t"].attrs["units"] = "ns"
    return path


def zarr_array(path: Path, version: int) -> Path:
    T, H, W = SMOOTH.shape
    array = zarr.create_array(str(path), shape=(T, H, W), chunks=(1, H, W), dtype="u2", zarr_format=version)
    array[:] = SMOOTH
    return path


def movie(path: Path, container: str, codec: str) -> Path:
    av = pytest.importorskip("av")
    with av.open(str(path), "w", format=container) as film:
        stream = film.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = SMOOTH.shape[2], SMOOTH.shape[1], "gray"
        for frame in SMOOTH.astype("u1"):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        film.mux(stream.encode(None))
    return path


HPVX = np.random.default_rng(4).integers(0, 1024, (2, 250, 400)).astype("i2")
STAMPED = SMOOTH.copy()
for number, each in enumerate(STAMPED):
    digits = f"{number:08}202402292359{number:02}000000"
    each[0, :14] = [int(digits[k : k + 2], 16) for k in range(0, 28, 2)]
AXES = {"metadata": {"axes": "TYX"}}
CAMERAS = {
    "cine": lambda path: write_cine(path, SMOOTH),
    "cine-8": lambda path: write_cine(path, SMOOTH, "8", annotation=12),
    "cine-p10": lambda path: write_cine(path, SMOOTH, "p10", exposures=[7] * len(SMOOTH)),
    "cine-p12l": lambda path: write_cine(path, SMOOTH, "p12l", version=0, length=808, stamps=None),
    "b16": b16,
    "raw": raw,
    "mraw-cih": lambda path: photron(path, bits=16),
    "mraw-cihx": lambda path: photron(path, bits=12, header=".cihx"),
    "shimadzu": shimadzu,
    "dat": hpvx,
    "pco": lambda path: tiff(path, STAMPED, metadata=None),
}
TEXTS = {"zarr-2": lambda path: zarr_array(path, 2), "zarr-3": lambda path: zarr_array(path, 3)}
MOVIES = {
    "avi": lambda path: movie(path, "avi", "ffv1"),
    "mov": lambda path: movie(path, "mov", "png"),
    "mkv": lambda path: movie(path, "matroska", "ffv1"),
}
HDF5 = {
    "hdf5": hdf5,
    "hdf5-gzip": lambda path: hdf5(path, chunks=(1, 40, 50), compression="gzip", fletcher32=True),
}
"""Not among ``KINDS``: its library crashes and loops on damaged files, which docs/hdf5.md says."""
KINDS = {
    "plain": lambda path: tiff(path, metadata=None),
    "tifffile": lambda path: tiff(path, **AXES),
    "strips": lambda path: tiff(path, rowsperstrip=9, **AXES),
    "imagej": lambda path: tiff(path, imagej=True, **AXES),
    "imagej-one-directory": lambda path: tiff(path, imagej=True, truncate=True, **AXES),
    "bigtiff": lambda path: tiff(path, bigtiff=True, byteorder=">", **AXES),
    "ome": lambda path: tiff(path, ome=True, **AXES),
    "ome-zstd": lambda path: tiff(path, SMOOTH, ome=True, compression="zstd", **AXES),
    "lzw": lambda path: tiff(path, SMOOTH, metadata=None, compression="lzw", predictor=True, rowsperstrip=9),
    "tiles": lambda path: tiff(path, SMOOTH, compression="zlib", tile=(16, 16), **AXES),
    "folder": lambda path: folder(path, "tif"),
    "png-folder": lambda path: folder(path, "png"),
    "jpeg-xl": lambda path: tiff(path, SMOOTH, compression="jpegxl", rowsperstrip=9, **AXES),
    "lerc": lambda path: tiff(path, SMOOTH, compression="lerc", **AXES),
    "lzma": lambda path: tiff(path, SMOOTH, compression="lzma", tile=(16, 16), **AXES),
    **CAMERAS,
    **TEXTS,
    **MOVIES,
}
TRUTHS = {
    **dict.fromkeys(MOVIES, SMOOTH.astype("u1")),
    "cine-8": SMOOTH.astype("u1"),
    "cine-p10": P10[SMOOTH],
    "dat": HPVX,
    "pco": STAMPED,
}
"""What a kind reads; SEQUENCE of the random kinds, SMOOTH of all others."""
RANDOM_KINDS = {
    "plain",
    "tifffile",
    "strips",
    "imagej",
    "imagej-one-directory",
    "bigtiff",
    "ome",
    "folder",
    "png-folder",
}


def outcome(path: Path, truth: np.ndarray) -> str:
    """What became of a damaged sequence: "whole", "told", "pixels" (other values, unsaid), "slow", "memory", or what
    is wrong.
    """
    began = time.process_time()
    found = content(path, truth)
    return "slow" if time.process_time() - began > _SECONDS else found


def content(path: Path, truth: np.ndarray) -> str:
    told = same = 0
    try:
        pair = [*path.glob("S1.*raw"), *path.glob("S1.dat")] if path.is_dir() else []
        stack = open_stack(pair[0] if pair else path)
        codes = {x.code for x in stack.metadata.warnings}
        if "unfinished-frame" in codes:
            told, truth = told + 1, truth[:-1]
        if "planned-frames" in codes:  # which of them are missing is not said
            told, truth = len(truth), truth[: len(stack)]
        if "absent-chunks" in codes:
            told += len(truth)
        elif (stack.shape, stack.dtype) != (truth.shape, truth.dtype):
            return f"silent: {stack.shape} {stack.dtype}"
        for i in range(len(stack)):
            try:
                frame = stack.frame(i)
            except InputError:
                told += 1
                continue
            if (frame.shape, frame.dtype) != (stack.shape[1:], stack.dtype):
                return f"silent frame: {frame.shape} {frame.dtype}"
            same += i < len(truth) and np.array_equal(frame, truth[i])
    except InputError as error:
        return refusal(error, path)
    except BaseException as error:  # whatever else comes out is what this test looks for
        return f"foreign: {error!r}"
    if same + told < len(truth):
        return "pixels"
    return "told" if told else "whole"


def refusal(error: InputError, path: Path) -> str:
    if isinstance(error.__cause__, MemoryError):
        return "memory"
    return "told" if str(path) in str(error) else f"nameless: {error}"


def alone(path: Path, truth: np.ndarray) -> str:
    """``outcome`` in a process of its own; "slow" or "crash" where the processor's limit or a signal ended it."""
    ends, begin = os.pipe()
    child = os.fork()
    if child == 0:
        spent = int(time.process_time()) + 4
        resource.setrlimit(resource.RLIMIT_CPU, (spent, spent))
        os.write(begin, outcome(path, truth).encode())
        os._exit(0)
    os.close(begin)
    with os.fdopen(ends, "rb") as answer:
        found = answer.read().decode()
    _, status = os.waitpid(child, 0)
    if found:
        return found
    return "slow" if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL) else "crash"


def cut(path: Path, share: float) -> None:
    """Cut a file, or the last file of a folder, to a share of its size."""
    file = max(files(path), key=lambda x: (x.suffix[-3:] == "raw" or x.name[0].isdigit(), x))
    os.truncate(file, int(share * file.stat().st_size))


def files(path: Path) -> list[Path]:
    return [x for x in path.rglob("*") if x.is_file()] if path.is_dir() else [path]


def header_bytes(path: Path) -> np.ndarray:
    """The places of a file's bytes that are no pixels of uncompressed kinds: header, directories, text."""
    size = path.stat().st_size
    heads = {".png": 60, ".b16": 28, ".dat": size - HPVX.nbytes}
    if path.suffix in (*heads, ".cih", ".cihx", ".toml", ".ini", ".json") or path.name == ".zarray":
        return np.arange(heads.get(path.suffix, size))
    start = path.read_bytes()[:4]
    if start[:2] == b"CI":
        return cine_header(path)
    if start == b"\x89HDF":
        return hdf5_header(path)
    places = np.ones(size, dtype=bool)
    if start not in (b"II*\0", b"II+\0", b"MM\0+"):
        return movie_header(path)
    with tifffile.TiffFile(path) as tif:
        for page in tif.pages:
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
                places[offset : offset + count if len(tif.pages) > 1 else None] = False
    return np.flatnonzero(places)


def hdf5_header(path: Path) -> np.ndarray:
    """The places of an HDF5 file's bytes that are no pixels."""
    h5py = pytest.importorskip("h5py")
    places = np.ones(path.stat().st_size, dtype=bool)
    with h5py.File(path, "r") as file:
        pixels = file["entry/data/data"].id
        chunked = pixels.get_offset() is None
        chunks = [pixels.get_chunk_info(i) for i in range(pixels.get_num_chunks())] if chunked else []
        blocks = [(x.byte_offset, x.size) for x in chunks] or [(pixels.get_offset(), SMOOTH.nbytes)]
        for offset, count in blocks:
            places[offset : offset + count] = False
    return np.flatnonzero(places)


def movie_header(path: Path) -> np.ndarray:
    """The places of a movie's bytes that are no coded frames."""
    av = pytest.importorskip("av")
    places = np.ones(path.stat().st_size, dtype=bool)
    with av.open(str(path)) as film:
        for packet in film.demux(video=0):
            if packet.pos is not None and packet.size:
                places[packet.pos : packet.pos + packet.size] = False
    return np.flatnonzero(places)


def cine_header(path: Path) -> np.ndarray:
    """The places of a cine's bytes that are no pixels; fields and tables rather than the rest of its SETUP block."""
    data, setup = path.read_bytes(), 84
    length = int.from_bytes(data[setup + 142 : setup + 144], "little")
    size = int.from_bytes(data[64:68], "little")
    frame = size + (12 if data[-size - 12 :][:4] == b"\x0c\0\0\0" else 8)
    start = len(data) - len(SEQUENCE) * frame
    known = [setup + x for x in (140, 141, 142, 143, 737, 739, 768, 808, 896, 1504, 1580, 5732, 10388, 10400)]
    fields = [*range(setup), *(x for x in known if x < setup + length)]
    annotations = [place + k for place in range(start, len(data), frame) for k in range(8)]
    return np.array([*fields, *range(setup + length, start), *annotations])


def mutate(path: Path, rng: np.random.Generator) -> None:
    """Change one to three bytes of a header: to anything, to an extreme, or by one bit."""
    file = max(files(path), key=lambda x: (x.name == ".zarray", x.suffix[-3:] != "raw", x.name))
    data = bytearray(file.read_bytes())
    places = header_bytes(file)
    for place in rng.choice(places, rng.integers(1, 4)):
        data[place] = rng.choice([rng.integers(256), 0, 255, data[place] ^ (1 << rng.integers(8))])
    file.write_bytes(data)


def cuts(count: int) -> list:
    """Return damages: shares evenly over the file, and a tenth of them in its last hundredth."""
    late = max(2, count // 10)
    shares = [*np.linspace(0, 0.99, count - late), *np.linspace(0.991, 0.9999, late)]
    return [(cut, share) for share in shares]


def mutations(count: int) -> list:
    return [(mutate, np.random.default_rng([11, i])) for i in range(count)]


def damage_all(folder: Path, kinds: list[str], damages: list, answers: multiprocessing.SimpleQueue) -> None:
    """Do all damages to a sequence of each kind in turn, within the memory; answers {kind: {outcome: times}}."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    work = 120 + len(damages) * len(kinds)  # a hundred times what is needed
    resource.setrlimit(resource.RLIMIT_CPU, (work, work))
    found = {}
    for kind in kinds:
        original, path = {**KINDS, **HDF5}[kind](folder / f"original-{kind}"), folder / f"sequence-{kind}"
        truth = TRUTHS.get(kind, SEQUENCE if kind in RANDOM_KINDS else SMOOTH)
        ask = alone if kind in HDF5 else outcome
        found[kind] = Counter({f"undamaged: {outcome(original, truth)}": 1})
        for damage, argument in damages:
            (shutil.copytree if original.is_dir() else shutil.copy)(original, path)
            damage(path, argument)
            found[kind][ask(path, truth)] += 1
            (shutil.rmtree if path.is_dir() else os.unlink)(path)
    answers.put(found)


def in_a_process(folder: Path, damages: list, kinds: Iterable[str] = KINDS) -> dict[str, Counter[str]]:
    context = multiprocessing.get_context("spawn")  # a fork would inherit the memory of the tests
    answers = context.SimpleQueue()
    process = context.Process(target=damage_all, args=(folder, [*kinds], damages, answers))
    process.start()
    process.join()
    try:
        assert process.exitcode == 0, f"exit code {process.exitcode}"
        return answers.get()
    finally:
        process.kill()


def check(found: dict[str, Counter[str]], allowed: set[str]) -> None:
    for kind, outcomes in found.items():
        print(kind, dict(outcomes))  # shown with -s, and when it fails
        # Zarr and movies say their size once, and HDF5 of the older format has no checksum: it can change unseen.
        also = {"silent"} if kind in {**TEXTS, **MOVIES, **HDF5} and "pixels" in allowed else set()
        undamaged = {"undamaged: whole"}
        assert undamaged <= set(outcomes), kind
        assert {x.split(":")[0] for x in set(outcomes) - undamaged} <= allowed | also, kind


@pytest.mark.parametrize(
    "count", [pytest.param(25, id="quick"), pytest.param(200, id="full", marks=pytest.mark.slow)]
)
def test_a_cut_sequence_is_whole_or_told(tmp_path: Path, count: int) -> None:
    """Whole where only bytes behind the last frame are gone, which nothing needs."""
    check(in_a_process(tmp_path, cuts(count)), {"whole", "told"})


@pytest.mark.parametrize(
    "count", [pytest.param(25, id="quick"), pytest.param(1000, id="full", marks=pytest.mark.slow)]
)
def test_a_mutated_header_gives_no_other_sequence(tmp_path: Path, count: int) -> None:
    check(in_a_process(tmp_path, mutations(count)), {"whole", "pixels", "told"})


@pytest.mark.soak
@pytest.mark.parametrize("kind", [*KINDS, *HDF5])
def test_every_format_cut_1000_times_and_mutated_10_000_times(tmp_path: Path, kind: str) -> None:
    """No format of a camera gives other values; TIFF, Zarr, movies and HDF5 can. HDF5's library can crash or loop."""
    for name, damages in (("cuts", cuts(1000)), ("mutations", mutations(10_000))):
        (tmp_path / name).mkdir()
        allowed = {"whole", "told"} | ({"slow", "crash"} if kind in HDF5 else set())
        if name == "mutations" and (kind not in CAMERAS or kind == "pco"):
            allowed |= {"pixels"}
        check(in_a_process(tmp_path / name, damages, [kind]), allowed)


def leftover(path: Path, **options: object) -> Path:
    """Write a sequence frame by frame into ``path`` and keep what is on disk when five of seven are written."""
    draft = path.with_suffix(".draft")

    def frames() -> Iterator[np.ndarray]:
        for i, frame in enumerate(SEQUENCE):
            if i == 5:
                shutil.copy(draft, path)
            yield frame

    shape, dtype = SEQUENCE.shape, SEQUENCE.dtype
    tifffile.imwrite(draft, frames(), shape=shape, dtype=dtype, photometric="minisblack", **options)
    return path


def unfinished(path: Path) -> Path:
    """Append frames as acquisition loops do, and keep what is on disk before the file is closed."""
    with tifffile.TiffWriter(path.with_suffix(".draft")) as writer:
        for frame in SEQUENCE:
            writer.write(frame, contiguous=True, photometric="minisblack")
        writer.filehandle.flush()
        shutil.copy(path.with_suffix(".draft"), path)
    return path


def one_directory_and_three_frames(path: Path) -> Path:
    linked(tiff(path, imagej=True, **AXES), 0, -1)
    os.truncate(path, 4 * SEQUENCE[0].nbytes)
    return path


def patched(path: Path, *changes: tuple[bytes, bytes]) -> Path:
    data = path.read_bytes()
    for old, new in changes:
        assert data.count(old) >= 1
        data = data.replace(old, new.ljust(len(old)))
    path.write_bytes(data)
    return path


def set_tags(path: Path, values: dict[int, object], *, page: int = 0) -> Path:
    with tifffile.TiffFile(path, mode="r+") as tif:
        for code, value in values.items():
            tif.pages[page].tags[code].overwrite(value)
    return path


def linked(path: Path, source: int, target: int) -> Path:
    """Let the directory of page ``source`` name that of page ``target`` as the next; -1 is the end."""
    with tifffile.TiffFile(path) as tif:
        places = [page.offset for page in tif.pages]
        tags = [len(page.tags) for page in tif.pages]
    with path.open("r+b") as file:
        file.seek(places[source] + 2 + 12 * tags[source])
        file.write((places[target] if target >= 0 else 0).to_bytes(4, "little"))
    return path


BOMB = b'<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;">]><OME>&c;</OME>'


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda p: leftover(p, imagej=True), "found", id="imagej-killed"),
        pytest.param(lambda p: leftover(p, **AXES), "found", id="tifffile-killed"),
        pytest.param(
            lambda p: leftover(p, metadata=None, compression="zlib"), "found", id="compressed-killed"
        ),
        pytest.param(unfinished, "found", id="acquisition-killed"),
        pytest.param(
            one_directory_and_three_frames,
            "7 frames as it declares, found bytes for 3",
            id="imagej-one-directory-cut",
        ),
        pytest.param(
            lambda p: linked(tiff(p, metadata=None), 0, -1),
            "it declares, 1, found bytes for 7",
            id="chain-ends-early",
        ),
        pytest.param(
            lambda p: linked(tiff(p, **AXES), 4, -1),
            "7 frames as it declares, found 5",
            id="fewer-than-declared",
        ),
        pytest.param(lambda p: linked(tiff(p, metadata=None), 6, 0), "an end", id="chain-points-back"),
        pytest.param(
            lambda p: set_tags(tiff(p, metadata=None), {273: 5000}, page=3),
            "share bytes",
            id="frames-share-bytes",
        ),
        pytest.param(
            lambda p: set_tags(tiff(p, metadata=None), {257: 20}, page=3),
            "sequence.tif frame 3",
            id="unequal-page",
        ),
        pytest.param(
            lambda p: set_tags(
                tiff(p, SEQUENCE[0], compression="zlib"), {256: 65535, 257: 65535, 278: 65535}
            ),
            "compressed bytes",
            id="deflate-bomb",
        ),
        pytest.param(
            lambda p: set_tags(tiff(p, SEQUENCE[0]), {256: 65535, 257: 65535, 278: 65535}),
            "bytes",
            id="claims-8-gb",
        ),
        pytest.param(lambda p: tiff(p, metadata=None, description=BOMB.decode()), "entities", id="xml-bomb"),
        pytest.param(
            lambda p: patched(tiff(p, ome=True, **AXES), (b'SizeT="7"', b'SizeT="6"')), "6 frames", id="ome-6"
        ),
        pytest.param(
            lambda p: patched(tiff(p, ome=True, **AXES), (b'SizeT="7"', b'SizeT="x"')), "SizeT", id="ome-x"
        ),
        pytest.param(
            lambda p: patched(tiff(p, imagej=True, **AXES), (b"images=7\nframes=7", b"images=5\nframes=5")),
            "5 frames as it declares, found 7",
            id="imagej-5",
        ),
        pytest.param(
            lambda p: patched(tiff(p, **AXES), (b'{"shape": [7,', b'{"shape": [[7')),
            "JSON",
            id="json-damaged",
        ),
        pytest.param(
            lambda p: patched(tiff(p, **AXES), (b'"shape": [7', b'"shape": [-')), "JSON", id="json-hostile"
        ),
    ],
)
def test_leftovers_and_lies_are_told(tmp_path: Path, make: Callable[[Path], Path], message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_stack(make(tmp_path / "sequence.tif"))


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda p: patched(tiff(p, ome=True, **AXES), (b'SizeT="7"', b'SizeT="9"')), id="ome"),
        pytest.param(
            lambda p: patched(tiff(p, imagej=True, **AXES), (b"images=7\nframes=7", b"images=9\nframes=9")),
            id="imagej",
        ),
        pytest.param(lambda p: patched(tiff(p, **AXES), (b'"shape": [7,', b'"shape": [9,')), id="tifffile"),
    ],
)
def test_an_acquisition_that_stopped_early_is_opened_with_a_warning(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    stack = open_stack(make(tmp_path / "sequence.tif"))
    np.testing.assert_array_equal([stack.frame(i) for i in range(7)], SEQUENCE)
    (warning,) = stack.metadata.warnings
    assert (warning.code, len(stack)) == ("planned-frames", 7)
    assert "7 of 9 planned frames" in warning.text


def test_a_cut_sequence_is_told_with_frames_declared_and_found(tmp_path: Path) -> None:
    for options in ({"imagej": True}, {}, {"bigtiff": True}, {"compression": "zlib"}):
        path = tiff(tmp_path / "sequence.tif", **options, **AXES)
        cut(path, 0.7)
        with pytest.raises(
            InputError, match=r"sequence\.tif.*expected 7 frames as it declares, found \d, then"
        ):
            open_stack(path)


def test_a_header_cannot_make_zarr_ask_for_memory(tmp_path: Path) -> None:
    array = zarr.create_array(
        str(tmp_path / "sequence.zarr"), shape=SEQUENCE.shape, dtype="u2", zarr_format=2
    )
    array[:] = SEQUENCE
    header = tmp_path / "sequence.zarr" / ".zarray"
    header.write_text(header.read_text().replace("40,", "400000,").replace("50\n", "500000\n"))
    with pytest.raises(InputError):
        open_stack(tmp_path / "sequence.zarr").frame(0)


def test_a_damaged_frame_of_a_folder_is_named(tmp_path: Path) -> None:
    for suffix in ("tif", "png"):
        path = folder(tmp_path / suffix, suffix)
        os.truncate(path / f"f_3.{suffix}", 700)
        with pytest.raises(InputError, match=rf"f_3\.{suffix}"):
            open_stack(path)


def test_damaged_pixels_of_a_png_are_told_with_the_frame(tmp_path: Path) -> None:
    path = folder(tmp_path / "png", "png")
    data = bytearray((path / "f_3.png").read_bytes())
    data[900] ^= 1
    (path / "f_3.png").write_bytes(data)
    with pytest.raises(InputError, match=r"f_3\.png frame 3"):
        open_stack(path).frame(3)
