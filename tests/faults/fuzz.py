"""Atheris sessions: files that a fuzzer invents from small complete ones, opened as a user opens them.

``python -m tests.faults.fuzz --seconds 600 --into DIR [PARSER...]`` runs one session after the other and prints for
each the executions, the coverage at begin and end, and what it found; inputs that led to a finding are kept there.
It needs ``pip install atheris``, which is no dependency of the project, and Linux.

A finding is any exception but our InputError, an error that does not name the file, a frame of another shape than the
sequence states, more than two seconds of processor time, more than 2 GB of memory, or the end of the process.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

FRAMES = np.sort(np.random.default_rng(3).integers(0, 1000, (3, 6, 16)).astype("u2"), axis=-1)
_SECONDS, _MEMORY = 2.0, 2 << 30
_HEAD = 256
"""Bytes of a Shimadzu .dat that are fuzzed; its pixels, of a fixed number, are not."""


@dataclass(frozen=True)
class Parser:
    """One file of a recording that the fuzzer writes; the rest of the recording stays as it is."""

    seeds: Callable[[Path], Iterable[Path]]
    """Writes complete files into an empty folder; the first of them, and what lies beside it, is the recording."""
    opened: str = ""
    """Name in the same folder by which the recording is opened; the fuzzed file itself when empty, "." the folder."""
    tail: Callable[[], bytes] = bytes
    """What follows the fuzzed bytes in the file."""
    alone: bool = False
    """Whether a case runs in a process of its own first: its library can crash and loop."""


def _tiffs(folder: Path) -> Iterable[Path]:
    import tifffile

    whole = {"photometric": "minisblack", "metadata": {"axes": "TYX"}}
    plain = {"photometric": "minisblack", "metadata": None}
    for name, frames, options in (
        ("plain", FRAMES, plain),
        ("shaped", FRAMES, whole),
        ("imagej", FRAMES, {**whole, "imagej": True}),
        ("ome", FRAMES, {**whole, "ome": True}),
        ("big", FRAMES, {**plain, "bigtiff": True, "byteorder": ">"}),
        ("lzw", FRAMES, {**plain, "compression": "lzw", "predictor": True, "rowsperstrip": 4}),
        ("zlib", FRAMES, {**plain, "compression": "zlib", "tile": (16, 16)}),
        ("zstd", FRAMES, {**plain, "compression": "zstd"}),
        ("packbits", FRAMES.astype("u1"), {**plain, "compression": "packbits"}),
        ("lerc", FRAMES, {**plain, "compression": "lerc"}),
        ("jpegxl", FRAMES, {**plain, "compression": "jpegxl"}),
        ("jpeg", FRAMES.astype("u1"), {**plain, "compression": "jpeg"}),
        ("float", FRAMES.astype("f4"), {**plain, "compression": "zlib", "predictor": 3}),
    ):
        tifffile.imwrite(folder / f"{name}.tif", frames, **options)
        yield folder / f"{name}.tif"


def _pco(folder: Path) -> Iterable[Path]:
    import tifffile

    frames = FRAMES.copy()
    for number, frame in enumerate(frames):
        digits = f"{number:08}202402292359{number:02}000000"
        frame[0, :14] = [int(digits[k : k + 2], 16) for k in range(0, 28, 2)]
    tifffile.imwrite(folder / "a.tif", frames, photometric="minisblack", metadata=None)
    yield folder / "a.tif"


def _descriptions(folder: Path) -> Iterable[Path]:
    """The texts that ImageJ, OME and tifffile put into the first page; the page around them is ours."""
    import tifffile

    for source in list(_tiffs(folder)):
        with tifffile.TiffFile(source) as tif:
            text = tif.pages[0].description
        source.unlink()
        if text:
            (folder / f"{source.stem}.txt").write_text(text)
            yield folder / f"{source.stem}.txt"


def with_description(text: bytes, path: Path) -> None:
    """Write a plain TIFF of three pages, the first of which has ``text`` as its description."""
    pages = [270, *[None] * (len(FRAMES) - 1)]
    data, size = bytearray(b"II*\0\0\0\0\0"), FRAMES[0].nbytes
    H, W = FRAMES.shape[1:]
    link = 4
    for page, frame in zip(pages, FRAMES, strict=True):
        place = len(data)
        data += frame.tobytes()
        tags = [(256, 3, 1, W), (257, 3, 1, H), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1)]
        if page and len(text) > 3:
            tags.append((270, 2, len(text) + 1, len(data)))
            data += text + b"\0" * (1 + len(text) % 2)
        tags += [(273, 4, 1, place), (277, 3, 1, 1), (278, 3, 1, H), (279, 4, 1, size)]
        data += bytes(len(data) % 2)
        data[link : link + 4] = struct.pack("<I", len(data))
        data += struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *x) for x in tags)
        link = len(data)
        data += bytes(4)
    path.write_bytes(data)


def _cines(folder: Path) -> Iterable[Path]:
    from tests.cameras import write_cine

    stamps = {"exposures": [7] * len(FRAMES)}
    for name, packing, options in (
        ("16", "16", {}),
        ("8", "8", {"annotation": 12, **stamps}),
        ("p10", "p10", stamps),
        ("p12l", "p12l", {"version": 0, "length": 808, "stamps": None}),
    ):
        yield write_cine(folder / f"{name}.cine", FRAMES, packing, **{"length": 1700, **options})


def _photron(header: str) -> Callable[[Path], Iterable[Path]]:
    def write(folder: Path) -> Iterable[Path]:
        from tests.cameras import write_mraw

        for name, bits in (("a", 12), ("b", 16), ("c", 8)):
            yield write_mraw(folder / f"{name}.mraw", FRAMES, bits, header=header).with_suffix(header)

    return write


def _raw(folder: Path) -> Iterable[Path]:
    (folder / "a.raw").write_bytes(FRAMES.tobytes())
    T, H, W = FRAMES.shape
    size = f"width = {W}\nheight = {H}\n"
    more = 'byte_order = "little"\nbottom_up = true\ngap = 0\noffset = 0\nbits = 12\nfirst_ns = -5\nexposure_ns = 3\n'
    for name, text in (
        ("a", f'{size}frames = {T}\ndtype = "uint16"\nframe_rate = 1e3\n'),
        ("b", f'{size}dtype = "uint16"\n{more}'),
        ("c", 'width = 8\nheight = 6\ndtype = "packed12"\npixel_size_um = 1.5\ncamera = "x"\nserial = "7"\n'),
    ):
        (folder / f"{name}.toml").write_text(text)
        yield folder / f"{name}.toml"


def _b16(folder: Path) -> Iterable[Path]:
    from tests.cameras import write_b16

    yield write_b16(folder / "a.b16", FRAMES[0], header=64)


def _hpvx(folder: Path) -> Iterable[Path]:
    from tests.cameras import write_hpvx

    whole = write_hpvx(folder / "a.dat", np.zeros((1, 250, 400), "i2"))
    whole.write_bytes(whole.read_bytes()[: -2 * 250 * 400])
    yield whole


def _exported(folder: Path) -> None:
    import tifffile

    tifffile.imwrite(folder / "shot.tif", FRAMES, photometric="minisblack", metadata=None)


def _ini(folder: Path) -> Iterable[Path]:
    from tests.cameras import write_ini

    _exported(folder)
    yield write_ini(folder / "shot.ini", [10_000 * i for i in range(len(FRAMES))])


def _chd(folder: Path) -> Iterable[Path]:
    whole = next(iter(_cines(folder)))
    _exported(folder)
    (folder / "shot.chd").write_bytes(whole.read_bytes()[: -len(FRAMES) * (8 + 8 + FRAMES[0].nbytes)])
    whole.unlink()
    yield folder / "shot.chd"


def _xml(folder: Path) -> Iterable[Path]:
    _exported(folder)
    times = "".join(f'<Time frame="{i}">12:00:00.000 {i:03}.00 E</Time>' for i in range(len(FRAMES)))
    text = f'<?xml version="1.0"?><chd><TIMEBLOCK><Date>Thu Jan 01 2026</Date>{times}</TIMEBLOCK></chd>'
    (folder / "shot.xml").write_text(text)
    yield folder / "shot.xml"


def _cih_beside(folder: Path) -> Iterable[Path]:
    from tests.cameras import write_mraw

    _exported(folder)
    write_mraw(folder / "shot.mraw", FRAMES, 12).unlink()
    yield folder / "shot.cih"


def _png(folder: Path) -> Iterable[Path]:
    import imagecodecs

    for i, frame in enumerate(FRAMES):
        (folder / f"f{i}.png").write_bytes(imagecodecs.png_encode(frame))
    yield folder / "f0.png"


def _zarr(version: int) -> Callable[[Path], Iterable[Path]]:
    def write(folder: Path) -> Iterable[Path]:
        import zarr

        array = zarr.create_array(
            str(folder), shape=FRAMES.shape, chunks=(1, 6, 16), dtype="u2", zarr_format=version
        )
        array[:] = FRAMES
        yield folder / (".zarray" if version == 2 else "zarr.json")

    return write


def _ome_zarr(folder: Path) -> Iterable[Path]:
    import zarr

    axes = [
        {"name": "t", "type": "time", "unit": "second"},
        *({"name": x, "type": "space", "unit": "micrometer"} for x in "yx"),
    ]
    scale = [{"type": "scale", "scale": [0.1, 2, 2]}]
    levels = [{"path": "0", "coordinateTransformations": scale}]
    ome = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": levels}]}
    group = zarr.create_group(str(folder), zarr_format=3, attributes={"ome": ome})
    group.create_array("0", shape=FRAMES.shape, chunks=(1, 6, 16), dtype="u2")[:] = FRAMES
    yield folder / "zarr.json"


def _movies(folder: Path) -> Iterable[Path]:
    import av

    for name, codec, layout in (
        ("a.mp4", "mpeg4", "yuv420p"),
        ("b.avi", "rawvideo", "gray"),
        ("c.mkv", "ffv1", "gray16le"),
        ("d.mov", "png", "gray"),
    ):
        with av.open(str(folder / name), "w") as container:
            stream = container.add_stream(codec, rate=Fraction(10))
            stream.width, stream.height, stream.pix_fmt = 16, 16, layout
            for frame in np.resize(FRAMES % 200, (3, 16, 16)).astype("u1"):
                picture = av.VideoFrame.from_ndarray(frame, format="gray").reformat(format=layout)
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        yield folder / name


def _hdf5(folder: Path) -> Iterable[Path]:
    import h5py

    for name, options in (
        ("plain", {}),
        ("gzip", {"chunks": (1, 6, 16), "compression": "gzip", "fletcher32": True}),
        ("latest", {"chunks": (1, 6, 16), "maxshape": (None, 6, 16)}),
    ):
        with h5py.File(
            folder / f"{name}.h5", "w", libver="latest" if name == "latest" else "earliest"
        ) as file:
            data = file.create_group("entry/data")
            data.attrs.update({"NX_class": "NXdata", "signal": "data", "axes": ["t", "y", "x"]})
            data.create_dataset("data", data=FRAMES, **options)
            data["t"] = np.arange(len(FRAMES)) * 1000
            data["t"].attrs["units"] = "ns"
        yield folder / f"{name}.h5"


PARSERS = {
    "tiff": Parser(_tiffs),
    "description": Parser(_descriptions),
    "pco": Parser(_pco),
    "cine": Parser(_cines),
    "cih": Parser(_photron(".cih")),
    "cihx": Parser(_photron(".cihx")),
    "raw": Parser(_raw),
    "b16": Parser(_b16),
    "hpvx": Parser(_hpvx, tail=lambda: bytes(2 * 250 * 400)),
    "ini": Parser(_ini, "shot.tif"),
    "chd": Parser(_chd, "shot.tif"),
    "xml": Parser(_xml, "shot.tif"),
    "cih-beside": Parser(_cih_beside, "shot.tif"),
    "png": Parser(_png, "."),
    "zarr-2": Parser(_zarr(2), "."),
    "zarr-3": Parser(_zarr(3), "."),
    "ome-zarr": Parser(_ome_zarr, "."),
    "movie": Parser(_movies),
    "hdf5": Parser(_hdf5, alone=True),
}


class Case:
    """A recording in a scratch folder, one file of which is written anew for every input."""

    def __init__(self, name: str, folder: Path) -> None:
        self.parser, self.name = PARSERS[name], name
        folder.mkdir()
        self.seeds = {x: x.read_bytes() for x in self.parser.seeds(folder)}
        self.file = next(iter(self.seeds))
        for other in [*self.seeds][1:]:
            other.unlink()
        if name == "description":
            self.file = folder / "a.tif"
        self.path = folder / self.parser.opened if self.parser.opened else self.file

    def outcome(self, data: bytes) -> str:
        """What becomes of the recording with ``data``: "whole" and "told" are right, anything else is a finding."""
        if self.name == "description":
            with_description(data, self.file)
        else:
            self.file.write_bytes(data + self.parser.tail())
        began = time.process_time()
        found = self._read()
        seconds = time.process_time() - began
        return f"slow: {seconds:.1f} s, {found}" if seconds > _SECONDS else found

    def _read(self) -> str:
        from napari_xfusion.core.recordings import open_stack
        from napari_xfusion.core.recordings.facts import facts_of, more_of
        from napari_xfusion.errors import InputError

        try:
            stack = open_stack(self.path)
            json.dumps([facts_of(stack), more_of(stack)], allow_nan=True)
            for i in {0, len(stack) // 2, len(stack) - 1}:
                frame = stack.frame(i)
                if (frame.shape, frame.dtype) != (stack.shape[1:], stack.dtype):
                    return f"frame of {frame.shape} {frame.dtype} in {stack.shape} {stack.dtype}"
        except InputError as error:
            if isinstance(error.__cause__, MemoryError):
                return "memory: " + _place(error.__cause__)
            return "told" if self.file.parent.name in str(error) else f"nameless: {str(error)[:60]}"
        except Exception as error:  # whatever else comes out is what is looked for
            return f"{type(error).__name__}: {_place(error)}"
        return "whole"

    def alone(self, data: bytes) -> str:
        """``outcome`` in a process of its own.

        Such a process has none of the threads of this one, and may wait for ever for what one of them holds: it is
        ended and begun again then.
        """
        for _ in range(3):
            found = self._forked(data)
            if found != WAITED:
                break
        return found

    def _forked(self, data: bytes) -> str:
        ends, begin = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(ends)
            spent = int(time.process_time()) + 4
            resource.setrlimit(resource.RLIMIT_CPU, (spent, spent))
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(9)
            os.write(begin, self.outcome(data).encode())
            os._exit(0)
        os.close(begin)
        with os.fdopen(ends, "rb") as answer:
            found = answer.read().decode()
        _, status = os.waitpid(child, 0)
        return found or f"ended by signal {os.WTERMSIG(status)}"


WAITED = f"ended by signal {int(signal.SIGALRM)}"
"""Outcome of a process that was waiting, not computing."""


def _place(error: BaseException) -> str:
    """The innermost line of this package that an error came through, and the innermost of all."""
    steps = traceback.extract_tb(error.__traceback__)
    ours = [x for x in steps if "napari_xfusion" in x.filename] or steps
    return " < ".join(dict.fromkeys(f"{Path(x.filename).name}:{x.lineno}" for x in (steps[-1], ours[-1])))


def session(name: str, into: Path, seconds: int) -> None:
    """One run of libFuzzer, in this process, which it ends."""
    import atheris

    with atheris.instrument_imports(include=["napari_xfusion.core.recordings", "tifffile", "zarr.core"]):
        import tifffile  # noqa: F401
        import zarr  # noqa: F401

        import napari_xfusion.core.recordings as package

        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            importlib.import_module(module.name)
    scratch = Path(tempfile.mkdtemp(prefix="fuzz-"))
    case, corpus = Case(name, scratch / "the-recording"), into / name / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for seed, data in case.seeds.items():
        (corpus / f"seed-{seed.name}").write_bytes(data)
    longest = 2 * max(map(len, case.seeds.values())) + 256
    known = {x.name for x in (into / name).glob("finding-*")}

    def one(data: bytes) -> None:
        found = case.alone(data) if case.parser.alone else "told"
        if found in ("told", "whole") and (not case.parser.alone or found):
            found = case.outcome(data)
        if found not in ("told", "whole"):
            kind = "finding-" + re.sub(r"[^\w.]+", "-", re.sub(r"slow: [\d.]+ s", "slow", found))[:120]
            if kind not in known:
                known.add(kind)
                (into / name / kind).write_bytes(data)
                print(f"FINDING {name} {found}", flush=True)

    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    options = [f"-max_total_time={seconds}", f"-max_len={longest}", "-timeout=30", "-rss_limit_mb=2048"]
    artifacts = f"-artifact_prefix={into / name}/ended-"
    atheris.Setup([sys.argv[0], *options, artifacts, "-print_final_stats=1", str(corpus)], one)
    try:
        atheris.Fuzz()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def sessions(names: list[str], into: Path, seconds: int) -> None:
    """Run sessions in processes of their own, again where one ended early, and print a line for each parser."""
    for name in names:
        (into / name).mkdir(parents=True, exist_ok=True)
        log, end, ended = into / name / "log.txt", time.monotonic() + seconds, 0
        while (left := int(end - time.monotonic())) > 5:
            command = [sys.executable, "-m", "tests.faults.fuzz", "--one", name, "--into", str(into)]
            with log.open("a") as out:
                done = subprocess.run([*command, "--seconds", str(left)], stdout=out, stderr=out, check=False)
            ended += done.returncode != 0
        text = log.read_text(errors="replace")
        runs = sum(int(x) for x in re.findall(r"stat::number_of_executed_units:\s*(\d+)", text))
        cover = [tuple(map(int, x)) for x in re.findall(r"cov: (\d+) ft: (\d+)", text)]
        first, last = (cover[0], max(cover)) if cover else ((0, 0), (0, 0))
        findings = sorted(x.name for x in (into / name).glob("finding-*"))
        print(
            f"{name}: {seconds} s, {runs} executions, branches {first[0]} to {last[0]}, features {first[1]} to "
            f"{last[1]}, ended early {ended}, findings {findings}",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parsers", nargs="*", choices=[*PARSERS, []], help="all when none is given")
    parser.add_argument("--seconds", type=int, default=600, help="for each parser")
    parser.add_argument(
        "--into", type=Path, default=Path("fuzz"), help="folder of corpora, findings and logs"
    )
    parser.add_argument("--one", choices=PARSERS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        session(given.one, given.into.resolve(), given.seconds)
    else:
        sessions(given.parsers or [*PARSERS], given.into.resolve(), given.seconds)
