"""The readers: one value per file format, from which every other list of formats is derived.

A new format is one module and one row here. The module is imported when a recording in its format is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name

from napari_xfusion.core.recordings.fields import Fields
from napari_xfusion.core.types import Stack

Sniff = Callable[[Path, bytes], bool]
"""Whether a path is in a format, from the path and the file's first ``MAGIC`` bytes (none of a folder)."""
MAGIC = 64
"""Bytes of a file that a reader is shown; fewer where the file is shorter."""
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
B16_MAGIC = b"PCO-"
RAW_ENDINGS = (".raw", ".bin", ".dat")
"""Of files without a mark, which a description makes readable."""
HPVX_PIXELS, HPVX_SPEED = b"\xa0\xa0\x01\xa0", b"\x30\x30\x07\x30"
"""Tags of the blocks of pixels and of the period."""
HPVX_HEADER = 1 << 16
"""Bytes in which these blocks begin."""
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_RECORDINGS = "napari_xfusion.core.recordings."
_ZARR_FILES = (".zarray", ".zgroup", "zarr.json")
_PICTURES = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif")
"""HEIC and AVIF, single images in the container of movies."""
_MOVIE_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free")


@dataclass(frozen=True)
class Options:
    """What a caller can choose about reading. A reader ignores the options that do not concern its format."""

    luma: bool = False
    """Read the luma of colour PNG instead of raising an error."""
    data_path: str | None = None
    """The sequence among those in an HDF5 file; the only one when None."""
    times_path: str | None = None
    """The dataset of its frame times in the same file; what describes the sequence when None."""
    fields: Fields = field(default_factory=Fields)
    """Flats and darks; frames are read as stored where there are none."""


@dataclass(frozen=True)
class Reader:
    """What is true of a file format, known without importing its module."""

    name: str
    """In code and in pickled recordings."""
    what: str
    """What it reads, with an article and without a full stop, for messages and help."""
    function: str
    """``module:name`` of ``function(path: Path, options: Options) -> Stack``."""
    sniff: Sniff
    """Decides by content; must not raise, and must not import what reads the format."""
    endings: tuple[str, ...] = ()
    """Of names in this format, lower case with the dot. They select files in lists, never the reader."""
    beside: tuple[str, ...] = ()
    """Of files that describe one in this format and can be opened instead of it."""
    folder: bool = False
    """Whether it reads folders; it is asked for these only, other readers for files only."""
    inside: bool = False
    """Whether a file can contain several sequences, one of which ``FILE::PATH`` chooses."""

    def open(self, path: Path, options: Options) -> Stack:
        """Open ``path``; raises InputError where it is damaged or contains no sequence of grey frames."""
        stack: Stack = resolve_name(self.function)(path, options)
        return stack


def begins(*magics: bytes) -> Sniff:
    """Return a ``Sniff`` for files that begin with any of ``magics``."""
    return lambda _path, magic: magic.startswith(magics)


def _is_zarr(path: Path, _magic: bytes) -> bool:
    """Whether a folder is a Zarr array or group, or is named like one."""
    return path.suffix == ".zarr" or any((path / name).exists() for name in _ZARR_FILES)


def _is_movie(_path: Path, magic: bytes) -> bool:
    """Whether a file is MP4 or QuickTime (by its first box), Matroska or AVI."""
    if magic[4:8] in _MOVIE_BOXES:
        return magic[4:12] not in _PICTURES
    return magic.startswith(b"\x1aE\xdf\xa3") or (magic.startswith(b"RIFF") and magic[8:12] == b"AVI ")


def _is_photron(path: Path, magic: bytes) -> bool:
    """Whether a file is a Photron header, or is named like the frames of one, which have no mark of their own."""
    return magic.startswith((b"#Camera Information Header", b"<cih>")) or path.suffix.lower() in (
        ".mraw",
        ".cih",
        ".cihx",
    )


def _is_raw(path: Path, _magic: bytes) -> bool:
    """Whether a file is named like raw pixels and a description of them is next to it, or is one."""
    ending = path.suffix.lower()
    return ending == ".toml" or (ending in RAW_ENDINGS and path.with_suffix(".toml").is_file())


def _is_hpvx(path: Path, _magic: bytes) -> bool:
    """Whether a .dat has the tags of a Shimadzu HPV-X; the file begins with no mark."""
    if path.suffix.lower() != ".dat":
        return False
    try:
        with path.open("rb") as file:
            head = file.read(HPVX_HEADER)
    except OSError:
        return False
    return HPVX_PIXELS in head and HPVX_SPEED in head


READERS: dict[str, Reader] = {
    reader.name: reader
    for reader in (
        Reader(
            "tiff",
            "a TIFF stack",
            _RECORDINGS + "tiff:open_tiff",
            begins(*TIFF_MAGIC),
            (".tif", ".tiff"),
        ),
        Reader(
            "zarr", "an OME-Zarr", _RECORDINGS + "zarr_store:open_zarr", _is_zarr, (".zarr",), folder=True
        ),
        Reader(
            "movie",
            "a movie (mp4, mov, mkv, avi)",
            _RECORDINGS + "movie:open_movie",
            _is_movie,
            (".mp4", ".mov", ".mkv", ".avi"),
        ),
        Reader("b16", "a PCO b16 image", _RECORDINGS + "b16:open_b16", begins(B16_MAGIC), (".b16",)),
        Reader("cine", "a Phantom cine", _RECORDINGS + "cine:open_cine", begins(b"CI\x2c\0"), (".cine",)),
        Reader(
            "mraw",
            "a Photron recording (.mraw with .cih or .cihx)",
            _RECORDINGS + "mraw:open_mraw",
            _is_photron,
            (".mraw",),
            beside=(".cih", ".cihx"),
        ),
        Reader(
            "raw",
            "raw pixels with a description (name.raw and name.toml)",
            _RECORDINGS + "raw:open_raw",
            _is_raw,
            (".raw",),
            beside=(".toml",),
        ),
        Reader(
            "hpvx",
            "a Shimadzu HPV-X recording (dat)",
            _RECORDINGS + "hpvx:open_hpvx",
            _is_hpvx,
            (".dat",),
        ),
        Reader(
            "hdf5",
            "an HDF5 or NeXus file",
            _RECORDINGS + "hdf5:open_hdf5",
            begins(b"\x89HDF\r\n\x1a\n"),
            (".h5", ".hdf5", ".nxs", ".nx"),
            inside=True,
        ),
        Reader(
            "folder",
            "a folder of TIFF, PNG or PCO b16 frames",
            _RECORDINGS + "folder:open_folder",
            lambda _path, _magic: True,
            folder=True,
        ),
    )
}
"""By name. The first one whose ``sniff`` is true opens a path; ``folder`` is last, as it takes any folder."""


def find_reader(path: Path, magic: bytes) -> Reader | None:
    """Return the reader of an existing path; ``magic`` is the first ``MAGIC`` bytes of a file, b"" of a folder."""
    folder = path.is_dir()
    return next((x for x in READERS.values() if x.folder == folder and x.sniff(path, magic)), None)


def readable() -> str:
    """What can be opened, for messages and help: "a TIFF stack, an OME-Zarr, ... or a movie"."""
    *others, last = (reader.what for reader in READERS.values())
    return f"{', '.join(others)}, or {last}"


def file_endings() -> tuple[str, ...]:
    """Endings of files, not folders, that can contain a sequence."""
    return tuple(x for reader in READERS.values() if not reader.folder for x in reader.endings)
