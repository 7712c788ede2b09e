"""Sequences in HDF5 and NeXus files: any dataset of frames, read while another program may be writing the file."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise, product
from math import ceil, prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.clock import Clock
from napari_xfusion.core.recordings import hdf5_meaning as meaning
from napari_xfusion.core.recordings.array import array_sequence
from napari_xfusion.core.recordings.describe import Axes, Said, arrange
from napari_xfusion.core.recordings.fields import Source
from napari_xfusion.core.recordings.hdf5_tree import (
    choose,
    find_path,
    linked_file,
    look_through,
)
from napari_xfusion.core.recordings.names import planned
from napari_xfusion.core.recordings.readers import Options
from napari_xfusion.core.recordings.source import (
    MOST_DECODED,
    FileBytes,
    check_frames,
    check_grey,
    damaged,
    refusal,
    told,
)
from napari_xfusion.core.types import CameraFacts, Metadata, Stack
from napari_xfusion.errors import DamagedFileError, InputError, XFusionWarning

CACHE = 1 << 26
"""Bytes of decoded chunks in the cache: frames that share chunks are then decoded once."""
SIGNATURE = b"\x89HDF\r\n\x1a\n"
_Part = tuple[slice, slice]
_WRITING, _SWMR = 1, 4
"""Flags of a superblock: a program writes the file, and allows others to read it meanwhile."""


def open_hdf5(path: Path, options: Options) -> Stack:
    """Open a dataset of frames as a Stack; of NXtomo, its projections.

    The dataset is ``options.data_path`` or the only one that can be meant; frame times are in
    ``options.times_path`` or the axis of an NXdata. Frames that are not written yet are left out. The file is read
    without a lock, so that no writer waits. Raises InputError where several datasets can be meant, none
    is a sequence, a link leads nowhere, or h5py or a filter is not installed.
    """
    return open_frames_of_key(path, options, meaning.PROJECTION)


def open_frames_of_key(path: Path, options: Options, key: int) -> Stack:
    """As ``open_hdf5``, for the frames that NXtomo's ``image_key`` marks with ``key``; all where there is none."""
    with told(path, "an HDF5 file with a sequence"):
        places = _find(Hdf5File(path), options)
        stacks = [_stack(place, options, key) for place in places]
        return stacks[0] if len(stacks) == 1 else _joined(stacks)


def own_fields(path: Path, options: Options, key: int) -> list[Source]:
    """The flats (``key`` 1) or darks (2) in the file of a sequence, each series with its place among the frames.

    By ``image_key``, else datasets of Data Exchange next to the sequence. Raises InputError where there are none.
    """
    with told(path, "an HDF5 file with flats and darks"):
        place = _find(Hdf5File(path), options)[0]
        beside = meaning.Beside.of(place.held.file, place.paths, place.dataset)
        keys = meaning.image_key(beside)
        if keys is not None and (keys == key).any():
            return list(_series(open_frames_of_key(path, options, key), keys, key, place.where))
        found = next(filter(None, map(beside.find, meaning.FIELD_NAMES[key])), None)
        if found is None:
            raise InputError(
                place.where,
                expected=f"{meaning.FIELD_WORDS[key]} in the same file",
                found="none",
                hint="give the file of the flat or dark",
            )
        stack = open_hdf5(path, Options(data_path=found.name))
        return [Source(None, stack, f"{path}::{found.name}")]


def _series(fields: Stack, keys: NDArray[np.int64], key: int, where: str) -> Iterator[Source]:
    """Frames that follow each other in the file as one series each, at the frame number of their mean."""
    numbers = np.flatnonzero(keys == key)[: len(fields)]
    taken = np.flatnonzero(keys == meaning.PROJECTION)
    starts = [0, *(np.flatnonzero(np.diff(numbers) > 1) + 1).tolist(), len(numbers)]
    for start, stop in pairwise(starts):
        position = float(np.interp(numbers[start:stop].mean(), taken, np.arange(len(taken))))
        shape = (stop - start, *fields.shape[1:])
        part = fields.derive(partial(_after, fields, start), shape, fields.dtype)
        yield Source(position, part, f"{where}, frames {numbers[start]} to {numbers[stop - 1]}")


def _after(stack: Stack, start: int, i: int) -> NDArray[Any]:
    return stack.read(start + i)


class Hdf5File:
    """An HDF5 file open for reading, without a lock; closed when nobody holds it any more.

    HDF5 opens a file once in a process and keeps what it read of it: a file that was rewritten, or has grown, would
    read as before. It is therefore closed when it is opened again and has changed, and those who hold it open it anew
    at their next frame. (H5Drefresh loses chunks where a dataset is open twice, in HDF5 2.0.)
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._known: dict[str, Any] = {}
        now = path.stat()
        for other in list(_HELD):
            other._close_changed((now.st_dev, now.st_ino), (now.st_size, now.st_mtime_ns))
        self._begin()
        _HELD.add(self)

    def read(self, dataset: str, index: Any) -> Any:
        """Values of the dataset at a path in the file; from any thread (HDF5 reads in one at a time)."""
        with self._lock:
            return self._open(dataset)[index]

    def stores(self, dataset: str, place: tuple[int, ...]) -> bool:
        """Whether the index of chunks leads to one that begins at ``place``; reads it."""
        with self._lock:
            try:
                self._open(dataset).id.read_direct_chunk(place)
            except (OSError, RuntimeError, ValueError):
                return False
            return True

    def _open(self, dataset: str) -> Any:
        if not self.file.id.valid:
            self._begin()
        if dataset not in self._known:
            self._known[dataset] = self.file[dataset]
        return self._known[dataset]

    def _begin(self) -> None:
        state = self.path.stat()
        self._state = state.st_size, state.st_mtime_ns
        self._identity = state.st_dev, state.st_ino
        self.growing = _is_swmr(self.path)
        self.file = _open(_h5py(self.path), self.path, swmr=self.growing)
        weakref.finalize(self, self.file.close)

    def _close_changed(self, identity: tuple[int, int], state: tuple[int, int]) -> None:
        with self._lock:
            if self._identity == identity and self._state != state:
                self._known.clear()
                self.file.close()


_HELD: weakref.WeakSet[Hdf5File] = weakref.WeakSet()


@dataclass(frozen=True)
class _Place:
    """A dataset in an open file."""

    held: Hdf5File
    dataset: Any
    paths: list[str]

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.held.path}::{self.paths[0]}"


def _h5py(path: Path) -> Any:
    try:
        import h5py  # noqa: PLC0415 - an extra; most sequences are TIFF
    except ImportError:
        raise InputError(
            path,
            problem="h5py, which reads HDF5, is not installed",
            hint="run pip install 'napari-xfusion[hdf5]', or export the sequence as TIFF",
        ) from None
    return h5py


def _is_swmr(path: Path) -> bool:
    """Whether a program writes the file so that others can read it; InputError where it writes it otherwise."""
    file = FileBytes(path)
    start = next((x for x in (0, 512, 1024, 2048) if _at(file, x, 8) == SIGNATURE), None)
    head = b"" if start is None else _at(file, start + 8, 4)
    flags = head[3] if len(head) == 4 and head[0] == 3 else 0
    if flags & _WRITING and not flags & _SWMR:
        raise InputError(
            path,
            problem="a program is writing it in a way that allows no reading, or ended without closing it",
            hint="wait until it is closed, or write it in SWMR mode; after a crash, run h5clear -s on a copy",
        )
    return bool(flags & _SWMR)


def _at(file: FileBytes, offset: int, count: int) -> bytes:
    return file.read(offset, count) if offset + count <= file.size else b""


def _open(h5py: Any, path: Path, *, swmr: bool) -> Any:
    settings: dict[str, Any] = {"rdcc_nbytes": CACHE, "swmr": swmr}
    try:
        return h5py.File(path, "r", locking=False, **settings)
    except OSError as error:
        if refusal(error) is not None:
            raise
        try:  # in a process that has it open with another setting of locks, only that one is allowed
            return h5py.File(path, "r", **settings)
        except OSError:
            raise DamagedFileError(
                path,
                expected="a complete HDF5 file",
                found=str(error)[:200],
                hint="open it after the program that writes it has closed it, or copy it again from the original",
            ) from error


def _find(held: Hdf5File, options: Options) -> list[_Place]:
    """The dataset that is asked for, or the only one that can be meant, with all its names; or one for each frame."""
    tree, wanted = look_through(held.file), options.data_path
    if wanted is not None:
        dataset, path = find_path(held.file, wanted, held.path), "/" + wanted.strip("/")
        if hasattr(dataset, "shape"):
            same = [p for x in tree.candidates if x.dataset == dataset for p in x.paths]
            return [_Place(held, dataset, [path, *same])]
        tree = tree.inside(path.rstrip("/") + "/")
    return [_Place(held, x.dataset, x.paths) for x in choose(tree, held.path)]


def _joined(stacks: list[Stack]) -> Stack:
    """Datasets of one frame each as one sequence."""
    first = stacks[0]
    shape = (len(stacks), *first.shape[1:])
    group = first.metadata.dataset.rpartition("/")[0]
    metadata = replace(first.metadata, dataset=group or "/")
    clock = Clock.regular(len(stacks))
    return first.derive(lambda i: stacks[i].read(0), shape, first.dtype, metadata=metadata, clock=clock)


def _stack(place: _Place, options: Options, key: int) -> Stack:
    dataset, where = place.dataset, place.where
    shape = tuple(int(n) for n in dataset.shape or ())
    if len(shape) < 2 or min(shape[-2:]) < 1:
        expected, found = "a dataset of frames (T, H, W)", f"shape {shape}"
        raise InputError(where, expected=expected, found=found, hint="give the dataset of the frames")
    beside = meaning.Beside.of(place.held.file, place.paths, dataset)
    axes = arrange(_names(beside), shape, where)
    _check_frames(dataset, axes, shape, where)
    frames, said = _frames_of(place, axes, beside, key)
    whole = array_sequence(
        _Values(place.held, place.paths[0], dataset), axes, Said(axes=axes.sequence), where
    )
    if options.times_path is not None:
        given = find_path(place.held.file, options.times_path, place.held.path)
        times = meaning.given_times(given, frames, f"{place.held.path}::{options.times_path}")
    else:
        times = meaning.own_times(beside, axes.frames or 0, frames, where)
    if not options.fields and key == meaning.PROJECTION:
        said += meaning.unused_fields(beside, where)
    notes = (*said, *times.warnings, *_slow(dataset, axes, where), *meaning.notes(dataset, where))
    clock, recorded = times.clock(frames, meaning.interval(beside)), meaning.recorded(beside, len(frames))
    if recorded is not None and options.times_path is None:
        clock = recorded.clock
    chunks, fill = _stored_chunks(dataset, axes), dataset.fillvalue

    def read(i: int) -> NDArray[Any]:
        frame = whole.read(frames[i])
        for start, part in chunks(frames[i]):
            values = frame[part]
            if values[0, 0] == fill and (values == fill).all():
                _check_stored(place, start, frames[i])
        return frame

    return whole.derive(
        read,
        (len(frames), *whole.shape[1:]),
        whole.dtype,
        source=str(place.held.path),
        clock=clock,
        pixel_size=meaning.pixel_size(beside),
        metadata=Metadata(
            axes=axes.sequence,
            hr_times=meaning.hr_times(beside, where),
            warnings=notes,
            dataset=place.paths[0],
            files=_files_of(dataset, place.held.path),
            corrected=meaning.corrected(beside) or ("" if recorded is None else recorded.corrected),
            camera=CameraFacts() if recorded is None else recorded.camera,
        ),
    )


class _Values:
    """The values of a dataset as an array."""

    def __init__(self, held: Hdf5File, path: str, dataset: Any) -> None:
        self._held, self._path = held, path
        self.shape, self.dtype = dataset.shape, dataset.dtype

    def __getitem__(self, index: Any) -> Any:
        return self._held.read(self._path, index)


def _names(beside: meaning.Beside) -> list[str]:
    ndim = beside.dataset.ndim
    found = (meaning.axis_names(group, ndim) for group in beside.groups)
    return next((names for names in found if names is not None), ["?"] * ndim)


def _check_frames(dataset: Any, axes: Axes, shape: tuple[int, ...], where: str) -> None:
    """Raise InputError for frames without grey, too large ones, and those in a filter that is not installed."""
    dtype = check_grey(dataset.dtype, where)
    if shape[axes.rows] * shape[axes.columns] * dtype.itemsize > MOST_DECODED:
        raise damaged(where, f"frames of at most {MOST_DECODED} bytes", f"shape {shape}")
    if dataset.chunks and prod(dataset.chunks) * dtype.itemsize > MOST_DECODED:
        raise damaged(where, f"chunks of at most {MOST_DECODED} bytes", f"chunks of {dataset.chunks}")
    _check_filters(dataset, where)
    _check_sizes(dataset, where)
    _check_sources(dataset, where)


def _check_filters(dataset: Any, where: str) -> None:
    import h5py  # noqa: PLC0415 - an extra

    created = dataset.id.get_create_plist()
    used = [created.get_filter(i) for i in range(created.get_nfilters())]
    missing = [(code, name) for code, _, _, name in used if not _can_decode(h5py, code)]
    if missing:
        code, name = missing[0]
        title = name.decode("utf-8", "replace") or "unknown"
        raise InputError(
            where,
            problem=f"its values are compressed with the filter {code} ({title[:60]}), which is not installed",
            hint="run pip install hdf5plugin; for a filter it lacks, run h5repack -f GZIP=4 where it is installed",
        )


def _check_sizes(dataset: Any, where: str) -> None:
    """Raise DamagedFileError for a chunk that is not filtered and not complete.

    HDF5 takes such a chunk, and what follows it in memory, for the values.
    """
    if dataset.is_virtual or not dataset.chunks:
        return
    every = (1 << dataset.id.get_create_plist().get_nfilters()) - 1
    size = dataset.dtype.itemsize * prod(dataset.chunks)
    wrong: list[Any] = []

    def look(chunk: Any) -> None:
        if chunk.filter_mask & every == every and chunk.size != size:
            wrong.append(chunk)

    dataset.id.chunk_iter(look)
    if wrong:
        place = tuple(map(int, wrong[0].chunk_offset))
        raise damaged(where, f"{size} bytes in the chunk at {place}", f"{wrong[0].size}")


def _can_decode(h5py: Any, code: int) -> bool:
    if h5py.h5z.filter_avail(code):
        return True
    try:
        import hdf5plugin  # noqa: F401, PLC0415 - registers its filters; 0.3 s for those who need one
    except ImportError:
        return False
    return bool(h5py.h5z.filter_avail(code))


def _check_sources(dataset: Any, where: str) -> None:
    """Raise InputError where frames of a virtual dataset are in a file that is not there: they would read as zero."""
    for name in _virtual_files(dataset):
        if linked_file(Path(dataset.file.filename), name) is None:
            raise InputError(
                where,
                problem=f"its frames are in the file {name}, which is not there",
                hint="copy this file to its place",
            )


def _virtual_files(dataset: Any) -> list[str]:
    """Names of the other files that a virtual dataset is composed of."""
    if not dataset.is_virtual:
        return []
    names = dict.fromkeys(x.file_name for x in dataset.virtual_sources())
    return [x for x in names if x != "." and "%" not in x]


def _files_of(dataset: Any, path: Path) -> tuple[str, ...]:
    """Absolute paths of the other files that the frames are in."""
    inside = Path(dataset.file.filename)
    found = [inside, *(linked_file(inside, x) for x in _virtual_files(dataset))]
    places = dict.fromkeys(str(x.resolve()) for x in found if x is not None)
    return tuple(x for x in places if x != str(path.resolve()))


def _frames_of(
    place: _Place, axes: Axes, beside: meaning.Beside, key: int
) -> tuple[list[int], list[XFusionWarning]]:
    """Numbers of the frames in the dataset that are complete and of this ``image_key``, and what is odd."""
    count = 1 if axes.frames is None else int(place.dataset.shape[axes.frames])
    check_frames(count, place.where)
    complete, said = _complete(place, axes, count)
    keys = meaning.image_key(beside)
    if keys is None:
        frames = list(range(complete))
    else:
        complete = _with_key(place, keys, complete)
        frames = np.flatnonzero(keys[:complete] == key).tolist()
    if not frames:
        what = "frames" if keys is None else f"frames with image_key {key}"
        hint = "wait until frames are written" if place.held.growing else "give the dataset of the frames"
        raise InputError(place.where, expected=what, found=f"none in {count}", hint=hint)
    if key == meaning.PROJECTION:
        said += _gaps(frames, place.where)
    return frames, said


def _with_key(place: _Place, keys: Any, complete: int) -> int:
    if len(keys) < complete and not place.held.growing:
        raise damaged(place.where, f"an image_key for each of {complete} frames", f"{len(keys)}")
    return min(complete, len(keys))


def _gaps(frames: list[int], where: str) -> list[XFusionWarning]:
    """A warning about frames that were left out between projections."""
    left_out = frames[-1] - frames[0] + 1 - len(frames)
    if not left_out:
        return []
    text = f"{left_out} frames between the projections are flats, darks or invalid, and are left out."
    return [XFusionWarning("uneven-numbers", text, where)]


def _complete(place: _Place, axes: Axes, count: int) -> tuple[int, list[XFusionWarning]]:
    """How many frames are written, and warnings about those that are not."""
    dataset, where = place.dataset, place.where
    if dataset.is_virtual or dataset.external:
        return count, []
    if dataset.chunks is None:
        return (0 if dataset.size and not dataset.id.get_storage_size() else count), []
    step = 1 if axes.frames is None else dataset.chunks[axes.frames]
    blocks = ceil(count / step)
    each = prod(ceil(n / c) for n, c in zip(dataset.shape, dataset.chunks, strict=True)) // max(blocks, 1)
    if dataset.id.get_num_chunks() == blocks * each:
        return count, []
    stored = np.zeros(blocks, np.int64)

    def add(chunk: Any) -> None:
        stored[0 if axes.frames is None else chunk.chunk_offset[axes.frames] // step] += 1

    dataset.id.chunk_iter(add)
    full = np.flatnonzero(stored == each)
    last = min(int(full[-1] + 1) * step, count) if len(full) else 0
    said = []
    if last < count and last and not place.held.growing:
        said.append(planned(last, count, where, "are written"))
    absent = int((each - stored[: ceil(last / step)]).sum())
    if absent:
        text = f"{absent} chunks are absent and read as the fill value {dataset.fillvalue}."
        said.append(XFusionWarning("absent-chunks", text, where))
    return last, said


def _stored_chunks(dataset: Any, axes: Axes) -> Callable[[int], Iterator[tuple[tuple[int, ...], _Part]]]:
    """Where the chunks of a frame begin and their part of it, for a dataset that has all its chunks; else none."""
    if dataset.is_virtual or not dataset.chunks:
        return lambda _: iter(())
    starts = [range(0, n, c) for n, c in zip(dataset.shape, dataset.chunks, strict=True)]
    if dataset.id.get_num_chunks() != prod(map(len, starts)):
        return lambda _: iter(())
    rows, columns = (starts[k].step for k in (axes.rows, axes.columns))

    def chunks(i: int) -> Iterator[tuple[tuple[int, ...], _Part]]:
        here = (x[i // x.step :][:1] if k == axes.frames else x for k, x in enumerate(starts))
        for start in product(*here):
            y, x = start[axes.rows], start[axes.columns]
            yield start, (slice(y, y + rows), slice(x, x + columns))

    return chunks


def _check_stored(place: _Place, start: tuple[int, ...], i: int) -> None:
    """Raise DamagedFileError where the index leads to no chunk: HDF5 reads its values as the fill value."""
    if not place.held.stores(place.paths[0], start):
        raise damaged(f"{place.where} frame {i}", f"a chunk at {start}", "none in the index of chunks")


def _slow(dataset: Any, axes: Axes, where: str) -> Iterator[XFusionWarning]:
    """A warning where reading a frame decodes the complete sequence, or more of it than the cache takes."""
    if axes.frames is None or not dataset.chunks:
        return
    count, step = dataset.shape[axes.frames], dataset.chunks[axes.frames]
    frame = dataset.dtype.itemsize * prod(dataset.shape) // max(count, 1)
    if 1 < count <= step or (step > 1 and step * frame > CACHE):
        shape = ["1" if k == axes.frames else str(n) for k, n in enumerate(dataset.shape)]
        text = (
            f"Its chunks of {' x '.join(map(str, dataset.chunks))} contain parts of {min(step, count)} frames, "
            f"all of which are decoded to read one. Rewrite it with h5repack -l CHUNK={'x'.join(shape)}."
        )
        yield XFusionWarning("chunks", text, where)
