"""Files in formats that cannot be read: their names, and the shortest way to a file that can."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from napari_xfusion.core.recordings.readers import MAGIC, PNG_MAGIC
from napari_xfusion.core.recordings.source import FileBytes


class Foreign(NamedTuple):
    """A format that has no reader."""

    what: str
    """With an article, for messages."""
    hint: str
    """How to make a file that can be read."""


_TIFF = "export the sequence as TIFF"
_FRAMES = (
    "convert the frames to TIFF or PNG; in ImageJ: File > Import > Image Sequence, then File > Save As > Tiff"
)
_DATA = "save the data set of frames as TIFF or Zarr, with tifffile.imwrite for instance"
_PHOTRON = Foreign("part of a Photron recording", "open its .mraw file itself")
_CINE = Foreign("a Phantom cine", "open the .cine file itself")
_JPEG = Foreign("a JPEG image", _FRAMES)
_HDF5 = Foreign("an HDF5 file", "give the file itself instead of its folder")
_RAW = Foreign(
    "raw pixels without a header",
    "describe it in a .toml file of its name, see the page Cameras, or in ImageJ use File > Import > Raw",
)

_SHORTCUT = Foreign("a shortcut of Windows instead of the file", "give the file that it leads to")
_STARTS: tuple[tuple[bytes, Foreign], ...] = (
    (
        b"version https://git-lfs",
        Foreign("a git-lfs pointer instead of the file", "get the file with git lfs pull"),
    ),
    (
        b"/annex/objects/",
        Foreign("a git-annex pointer instead of the file", "get the file with git annex get"),
    ),
    (b"../.git/annex", Foreign("a git-annex pointer instead of the file", "get the file with git annex get")),
    (b"CI\x2c\0", _CINE),
    (b"\xed\xfe\0\0", Foreign("a NorPix or StreamPix sequence (seq)", "export it from StreamPix as TIFF")),
    (b"#Camera Information Header", _PHOTRON),
    (b"LUCAM-RECORDER", Foreign("an SER movie", _TIFF)),
    (b"SIMPLE  =", Foreign("a FITS file", "open it in ImageJ and save it as TIFF")),
    (b"\x89HDF", _HDF5),
    (b"CDF\x01", Foreign("a NetCDF file", _DATA)),
    (b"CDF\x02", Foreign("a NetCDF file", _DATA)),
    (b"\x93NUMPY", Foreign("a NumPy file", "load it with numpy.load and save it with tifffile.imwrite")),
    (b"MATLAB 5.0", Foreign("a MATLAB file", _DATA)),
    (b"MATLAB 7.3", Foreign("a MATLAB file", _DATA)),
    (b"RIFF", Foreign("a WebP image or another RIFF file", _FRAMES)),
    (b"8BPS", Foreign("a Photoshop file", _FRAMES)),
    (b"L\0\0\0\1\x14\2\0", _SHORTCUT),
    (b"[InternetShortcut]", _SHORTCUT),
    (b"PK\3\4", Foreign("a ZIP file", "unpack it")),
    (b"\x1f\x8b", Foreign("a gzip file", "unpack it")),
    (b"BZh", Foreign("a bzip2 file", "unpack it")),
    (b"7z\xbc\xaf", Foreign("a 7z file", "unpack it")),
    (b"(\xb5/\xfd", Foreign("a zstd file", "unpack it")),
    (b"Rar!", Foreign("a RAR file", "unpack it")),
    (b"\xff\xd8\xff", _JPEG),
    (b"BM", Foreign("a BMP image", _FRAMES)),
    (b"GIF8", Foreign("a GIF image", _FRAMES)),
    (b"P5", Foreign("a PGM image", _FRAMES)),
    (b"P2", Foreign("a PGM image", _FRAMES)),
    (b"P6", Foreign("a PPM image", _FRAMES)),
    (b"\0\0\0\x0cjP  ", Foreign("a JPEG 2000 image", _FRAMES)),
    (b"\xff\x4f\xff\x51", Foreign("a JPEG 2000 image", _FRAMES)),
    (b"\xff\x0a", Foreign("a JPEG XL image", _FRAMES)),
    (b"\0\0\0\x0cJXL ", Foreign("a JPEG XL image", _FRAMES)),
    (b"v/1\x01", Foreign("an OpenEXR image", _FRAMES)),
    (b"ZISRAWFILE", Foreign("a Zeiss CZI file", "open it in Fiji with Bio-Formats and save it as TIFF")),
    (
        b"\xda\xce\xbe\x0a",
        Foreign("a Nikon ND2 file", "open it in Fiji with Bio-Formats and save it as TIFF"),
    ),
    (b"%PDF", Foreign("a PDF file", _TIFF)),
    (b"<!DOCTYPE", Foreign("a web page instead of the file", "download it again; a login may be needed")),
    (b"<!doctype", Foreign("a web page instead of the file", "download it again; a login may be needed")),
    (b"<html", Foreign("a web page instead of the file", "download it again; a login may be needed")),
)
_ENDINGS: dict[str, Foreign] = {
    ".mraw": _PHOTRON,
    ".cih": _PHOTRON,
    ".cihx": _PHOTRON,
    ".cine": Foreign(
        "a file that is named like a Phantom cine, but does not begin like one", "copy it again"
    ),
    ".b16": Foreign(
        "a file that is named like a PCO b16 image, but does not begin like one", "copy it again"
    ),
    ".seq": Foreign("a NorPix or StreamPix sequence (seq)", "export it from StreamPix as TIFF"),
    ".raw": _RAW,
    ".dat": _RAW,
    ".bin": _RAW,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".edf": Foreign("an ESRF EDF file", "convert it with fabio or ImageJ to TIFF"),
    ".spe": Foreign("a Princeton Instruments SPE file", _TIFF),
    ".his": Foreign("a Hamamatsu HIS file", _TIFF),
    ".im7": Foreign("a LaVision image", "export it from DaVis as TIFF"),
    ".mrc": Foreign("an MRC file", _TIFF),
    ".lif": Foreign("a Leica LIF file", "open it in Fiji with Bio-Formats and save it as TIFF"),
    ".dcm": Foreign("a DICOM file", "open it in ImageJ and save it as TIFF"),
    ".xml": Foreign("an XML file", "give the file or the folder of the frames"),
    ".json": Foreign("a JSON file", "give the file or the folder of the frames"),
    ".txt": Foreign("a text file", "give the file or the folder of the frames"),
    ".csv": Foreign("a table", "give the file or the folder of the frames"),
}
_UNKNOWN = Foreign("another kind of file", _TIFF)


def first_bytes(path: Path) -> bytes:
    """Return the first ``MAGIC`` bytes of a file, fewer of a shorter one; raises InputError where it is no file."""
    file = FileBytes(path)
    return file.read(0, min(MAGIC, file.size))


def recognise(path: Path, magic: bytes) -> Foreign:
    """Return the format of a file by its first bytes, and by its name where these are of no known kind."""
    if not magic:
        return Foreign("an empty file", "copy or export it again from the original")
    if magic.startswith(PNG_MAGIC):
        return Foreign("a single PNG image", "give the folder of the frames")
    if magic[4:8] == b"ftyp":
        return Foreign("a HEIC or AVIF image", _FRAMES)
    known = next((kind for start, kind in _STARTS if magic.lstrip(b"\xef\xbb\xbf").startswith(start)), None)
    return known or _ENDINGS.get(path.suffix.lower(), _UNKNOWN)


def describe_files(files: Sequence[Path]) -> Foreign | None:
    """Return what a folder without readable frames contains, by the most frequent ending; None of an empty one.

    "3 .bmp files, a BMP image" and how to convert them. A Photron recording and the like precede their notes.
    """
    endings = Counter(x.suffix.lower() for x in files if x.name[0] != ".")
    if not endings:
        return None
    named = ", ".join(f"{n} {x or 'unnamed'} file{'s' if n > 1 else ''}" for x, n in endings.most_common(3))
    notes = (".txt", ".xml", ".json", ".csv", ".md", ".log", ".db")
    best = max(endings, key=lambda x: (x not in notes, endings[x]))
    example = min(x for x in files if x.suffix.lower() == best and x.name[0] != ".")
    kind = recognise(example, first_bytes(example))
    return Foreign(named if kind == _UNKNOWN else f"{named} ({example.name} is {kind.what})", kind.hint)
