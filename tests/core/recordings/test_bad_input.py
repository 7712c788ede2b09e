"""What is wrong with a recording: one error or warning that names the file, what is odd in it, and a remedy."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from napari_xfusion.core.recordings import open_stack
from napari_xfusion.errors import InputError
from tests.cameras import SECOND, write_b16, write_cine, write_hpvx, write_ini, write_mraw

FRAMES = np.sort(np.random.default_rng(3).integers(0, 1000, (7, 10, 20)).astype("u2"), axis=-1)
STARTED = 1_600_000_000 * SECOND
TIMES = [10_000 * i for i in range(7)]
AGAIN = "save it again|copy or export it again|copy both files again|export it again from the original"


def cut(path: Path, share: float) -> Path:
    os.truncate(path, int(share * path.stat().st_size))
    return path


def grown(path: Path, size: int) -> Path:
    """A file of zeros that takes no space."""
    os.truncate(path, size)
    return path


def cine(folder: Path, **options: object) -> Path:
    return write_cine(folder / "a.cine", FRAMES, **options)


def cih(folder: Path, **changes: str) -> Path:
    return write_mraw(folder / "a.mraw", FRAMES, 16, **changes)


def of_another_shot(folder: Path, header: str, frames: np.ndarray, bits: int = 16) -> Path:
    path = write_mraw(folder / "a.mraw", FRAMES, 16, header=header)
    other = write_mraw(folder / "other.mraw", frames, bits, header=header)
    shutil.move(other.with_suffix(header), path.with_suffix(header))
    return path


def toml(folder: Path, width: str = "20", frames: str = "7", rate: str = "1e3") -> Path:
    (folder / "a.raw").write_bytes(FRAMES.tobytes())
    text = f'width = {width}\nheight = 10\nframes = {frames}\ndtype = "uint16"\nframe_rate = {rate}\n'
    (folder / "a.toml").write_text(text)
    return folder / "a.raw"


def b16(folder: Path) -> Path:
    for i in range(7):
        write_b16(folder / f"f_{i}.b16", FRAMES[i])
    return folder


def tiffs(folder: Path) -> Path:
    for i in range(7):
        tifffile.imwrite(folder / f"f_{i}.tif", FRAMES[i], photometric="minisblack", metadata=None)
    return folder


def ini(folder: Path, times: list[int] = TIMES, **changes: str) -> Path:
    write_ini(folder / "shot.ini", times, **changes)
    return tiffs(folder)


def patched(folder: Path, name: str, old: bytes, new: bytes) -> Path:
    data = (folder / name).read_bytes()
    assert old in data
    (folder / name).write_bytes(data.replace(old, new))
    return folder


def xml(folder: Path, times: list[str]) -> Path:
    lines = "".join(f'<Time frame="{i}">{x}</Time>' for i, x in enumerate(times))
    (folder / "shot.xml").write_text(f"<chd><TIMEBLOCK>{lines}</TIMEBLOCK></chd>")
    return tiffs(folder)


def clock_times(numbers: range) -> list[str]:
    return [f"12:00:00.000 {i:03}.00 E" for i in numbers]


def chd(folder: Path, frames: np.ndarray = FRAMES, share: float = 1) -> Path:
    whole = write_cine(folder / "whole.cine", frames).read_bytes()
    (folder / "whole.cine").unlink()
    header = whole[: -len(frames) * (frames[0].nbytes + 8)]
    (folder / "shot.chd").write_bytes(header[: int(share * len(header))])
    return tiffs(folder)


def cih_beside(folder: Path, share: float = 1, **changes: str) -> Path:
    write_mraw(folder / "shot.mraw", FRAMES, 16, **changes).unlink()
    cut(folder / "shot.cih", share)
    return tiffs(folder)


def pco(folder: Path, seconds: range) -> Path:
    frames = FRAMES.copy()
    for number, (frame, second) in enumerate(zip(frames, seconds, strict=True)):
        digits = f"{number:08}202402292359{second:02}000000"
        frame[0, :14] = [int(digits[k : k + 2], 16) for k in range(0, 28, 2)]
    tifffile.imwrite(folder / "a.tif", frames, photometric="minisblack", metadata=None)
    return folder / "a.tif"


def hdf5(folder: Path, times: np.ndarray) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "a.h5", "w") as file:
        data = file.create_group("entry/data")
        data.attrs.update({"NX_class": "NXdata", "signal": "data", "axes": ["t", "y", "x"]})
        data["data"], data["t"] = FRAMES, times
        data["t"].attrs["units"] = "ns"
    return folder / "a.h5"


def vast_hdf5(folder: Path) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("d", (10**12, 10, 20), "u2", chunks=(1, 10, 20))
    return folder / "a.h5"


def zarr_array(folder: Path, **changes: object) -> Path:
    path = folder / "a.zarr"
    zarr.create_array(str(path), shape=FRAMES.shape, chunks=(1, 10, 20), dtype="u2")[:] = FRAMES
    header = json.loads((path / "zarr.json").read_text()) | changes
    (path / "zarr.json").write_text(json.dumps(header))
    return path


def chunks(*shape: int) -> dict:
    return {"name": "regular", "configuration": {"chunk_shape": shape}}


BACK = {
    "cine": (lambda p: cine(p, stamps=[STARTED - i * SECOND for i in range(7)]), r"a\.cine.*at -1 s"),
    "cine, all equal": (lambda p: cine(p, stamps=[STARTED] * 7), r"a\.cine.*frame 1 at 0 ns"),
    "ini": (lambda p: ini(p, TIMES[::-1]), r"shot\.ini.*at -10 µs"),
    "xml": (lambda p: xml(p, clock_times(range(9, 2, -1))), r"shot\.xml.*at -1 µs"),
    "pco": (lambda p: pco(p, range(9, 2, -1)), r"a\.tif.*at -1 s"),
    "hdf5": (lambda p: hdf5(p, np.arange(7)[::-1] * 1000), r"a\.h5.*6000 at frame 0, 5000 at frame 1"),
}
UNUSED = {
    "ini of another shot": (lambda p: ini(p, TIMES[:5]), r"shot\.ini.* 5 frames, the recording has 7"),
    "xml of another shot": (
        lambda p: xml(p, clock_times(range(5))),
        r"shot\.xml.* 5 frames, the recording has 7",
    ),
    "chd of another shot": (lambda p: chd(p, FRAMES[:5]), r"shot\.chd.* 5 frames, the recording has 7"),
    "cih of another shot": (
        lambda p: cih_beside(p, TotalFrame="5"),
        r"shot\.cih.* 5 frames, the recording has 7",
    ),
    "ini, period": (lambda p: ini(p, RecSpeed="10 parsecs"), r"shot\.ini.*RecSpeed.*'10 parsecs'"),
    "ini, section": (
        lambda p: patched(ini(p), "shot.ini", b"[REC_INFO]", b"x=[REC_INFO]"),
        r"shot\.ini.*a section \[REC_INFO\]",
    ),
    "ini, a value that continues none": (
        lambda p: patched(ini(p), "shot.ini", b"[REC_INFO]", b"[REC_INFO]\r\nkey\r\n  continued"),
        r"shot\.ini.*an \.ini file of a Shimadzu",
    ),
    "xml, cut": (
        lambda p: (xml(p, clock_times(range(7))), cut(p / "shot.xml", 0.5))[0],
        r"shot\.xml.*complete XML, found",
    ),
    "xml, time": (lambda p: xml(p, [*clock_times(range(6)), "noon"]), r"shot\.xml.*times.*'noon'"),
    "chd, cut": (lambda p: chd(p, share=0.5), r"shot\.chd.*10412 bytes at 84.*a file of \d+ bytes"),
    "cih, cut": (lambda p: cih_beside(p, 0.3), r"shot\.cih.*width, height, frames and bits, found \d"),
    "two of them": (lambda p: (ini(p), write_ini(p / "b.ini", TIMES), p)[-1], r"b\.ini and shot\.ini"),
}
UNKNOWN = {
    "cine": (
        lambda p: cine(p, stamps=None, setup={768: ("I", 0), 10400: ("d", -5.0)}),
        r"a\.cine.*frame rate is -5\.",
    ),
    "cih": (lambda p: cih(p, RecordRatefps="fast"), r"a\.cih.*Record Rate\(fps\) is 'fast'"),
    "dat": (
        lambda p: write_hpvx(p / "a.dat", np.zeros((1, 250, 400), "i2"), period="-4"),
        r"a\.dat.*-4 ns as the period",
    ),
}
REFUSED = {
    "cine, cut": (lambda p: cut(cine(p), 0.9), rf"a\.cine: expected 7 frames as it declares.*{AGAIN}"),
    "cine, width": (
        lambda p: cine(p, bitmap={1: 0}),
        rf"a\.cine: .*one pixel at least, found 10 x 0\..*{AGAIN}",
    ),
    "mraw, cut": (
        lambda p: cut(cih(p), 0.9),
        rf"a\.mraw: expected 2800 bytes: 7 frames.*a\.cih, found.*{AGAIN}",
    ),
    "mraw without header": (
        lambda p: (cih(p).with_suffix(".cih").unlink(), p / "a.mraw")[1],
        r"a\.mraw: expected a\.cih or a\.cihx next to it.*copy the header",
    ),
    "cih without frames": (
        lambda p: (cih(p).unlink(), p / "a.cih")[1],
        r"a\.cih: expected a\.mraw next to it.*copy the frames",
    ),
    **{
        f"{header} of another shot, {name}": (
            lambda p, header=header, frames=frames, bits=bits: of_another_shot(p, header, frames, bits),
            rf"a\.mraw: .*by a\{header}, found 2800 bytes.*a\{header} can be of another recording",
        )
        for header in (".cih", ".cihx")
        for name, frames, bits in (
            ("frames", FRAMES[:5], 16),
            ("size", FRAMES[:, :8], 16),
            ("bits", FRAMES, 12),
        )
    },
    "cih, width": (
        lambda p: cih(p, ImageWidth="0"),
        rf"a\.cih: .*Image Width.* at least 1, found '0'.*{AGAIN}",
    ),
    "cih, frames": (lambda p: cih(p, TotalFrame="9" * 14), rf"a\.mraw: .*{'9' * 14} frames.*{AGAIN}"),
    "cih, a pixel per frame": (
        lambda p: grown(cih(p, TotalFrame="2000000000", ImageWidth="1", ImageHeight="1"), 4 * 10**9),
        rf"a\.cih: expected at most 10000000 frames, found 2000000000\..*{AGAIN}",
    ),
    "raw, cut": (
        lambda p: cut(toml(p), 0.9),
        r"a\.raw: expected 7 frames of 400 bytes by a\.toml.*correct a\.toml",
    ),
    "toml of another shot": (
        lambda p: toml(p, frames="5"),
        r"a\.raw: expected 5 frames.* 7 frames.*correct a\.toml",
    ),
    "toml without frames": (
        lambda p: (toml(p).unlink(), p / "a.toml")[1],
        r"a\.toml: expected a\.raw.*next to it.*copy the frames",
    ),
    "toml, width": (lambda p: toml(p, width="-3"), r"a\.toml: width = -3: .*write width, height"),
    "toml, rate": (lambda p: toml(p, rate="1e-300"), r"a\.toml: frame_rate = 1e-300: .*write width, height"),
    "toml, brackets": (lambda p: toml(p, width="[" * 5000), r"a\.toml: expected TOML.*write width, height"),
    "b16, cut": (
        lambda p: (b16(p), cut(p / "f_1.b16", 0.5), p)[-1],
        rf"f_1\.b16: expected 1424 bytes for 10 x 20 pixels, found 712.*{AGAIN}",
    ),
    "dat, cut": (
        lambda p: cut(write_hpvx(p / "a.dat", np.zeros((1, 250, 400), "i2")), 0.9),
        rf"a\.dat: expected complete frames.*100000 values in \d+ bytes.*{AGAIN}",
    ),
    "hdf5, frames": (vast_hdf5, rf"a\.h5::/d: expected at most 10000000 frames, found 10{{12}}\..*{AGAIN}"),
    "zarr, frames": (
        lambda p: zarr_array(p, shape=[10**9, 10, 20]),
        rf"a\.zarr: expected at most 10000000 frames, found 10{{9}}\..*{AGAIN}",
    ),
    "zarr, chunks": (
        lambda p: zarr_array(p, chunk_grid=chunks(1, 10**9, 10**9)),
        rf"a\.zarr: expected chunks of at most 1073741824 bytes, found chunks of \(1, 10{{9}}.*{AGAIN}",
    ),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_recording_is_refused(tmp_path: Path, make: Callable[[Path], Path], message: str) -> None:
    with pytest.raises(InputError, match=f"(?i){message}"):
        open_stack(make(tmp_path))


@pytest.mark.parametrize(
    ("code", "make", "message"),
    [
        *((("times-unused" if k == "hdf5" else "unsure-times"), *x) for k, x in BACK.items()),
        *(("sidecar", *x) for x in UNUSED.values()),
        *(("unsure-times", *x) for x in UNKNOWN.values()),
    ],
    ids=[*(f"back in time, {k}" for k in BACK), *UNUSED, *(f"no rate, {k}" for k in UNKNOWN)],
)
def test_odd_times_and_sidecars_are_told_once_and_not_used(
    tmp_path: Path, code: str, make: Callable[[Path], Path], message: str
) -> None:
    stack = open_stack(make(tmp_path))
    (said,) = (x for x in stack.metadata.warnings if x.code == code)
    assert stack.clock.source != "stamps"
    assert len(stack) == len(stack.clock)
    assert re.search(f"(?i){message}.*({AGAIN}|remove it|keep the one|correct it|export it as)", str(said)), (
        str(said)
    )
