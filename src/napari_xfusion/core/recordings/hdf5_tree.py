"""What an HDF5 file contains: the datasets that can be sequences, through links, and the links that lead nowhere."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any

from napari_xfusion.core.recordings.names import in_order
from napari_xfusion.core.recordings.source import GREY_DTYPES, damaged
from napari_xfusion.errors import AmbiguousFileError, DamagedFileError, InputError

MOST_OBJECTS = 100_000
"""Links that are followed to find the sequence; a larger file needs its path."""
_MOST_LISTED = 5
_ASIDE = re.compile(r"(flats?|darks?|whites?|bak|drk|background)([_./]|$)", re.IGNORECASE)
"""In names of datasets that are no sequences: fields and backgrounds."""
_USUAL = ("/exchange/data", "/entry/data/data", "/entry1/tomo_entry/data/data", "/entry1/data/data")
"""Where Data Exchange and NeXus put the sequence of a file with several datasets."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A dataset that can be a sequence."""

    dataset: Any
    """Of h5py."""
    paths: list[str] = field(default_factory=list)
    """All its names in the file; links give a dataset several."""

    def __str__(self) -> str:
        return f"{self.paths[0]} {tuple(self.dataset.shape)} {self.dataset.dtype}"


@dataclass(frozen=True)
class Tree:
    """What a file contains."""

    candidates: tuple[Candidate, ...]
    signals: frozenset[str]
    """Paths of the datasets that a group NXdata shows."""
    broken: tuple[str, ...]
    """Links that lead nowhere, each with its target and the reason."""

    def inside(self, group: str) -> Tree:
        """The part of it in ``group``, a path that ends with ``/``."""
        kept = [(x, [p for p in x.paths if p.startswith(group)]) for x in self.candidates]
        return replace(self, candidates=tuple(replace(x, paths=paths) for x, paths in kept if paths))


def look_through(file: Any) -> Tree:
    """Visit every object of an open file once, those in files that it links to as well."""
    candidates: dict[Any, Candidate] = {}
    signals: set[str] = set()
    broken: list[str] = []
    visited, pending, count = {file["/"]}, [(file["/"], "")], 0
    while pending:
        group, place = pending.pop()
        signals |= {f"{place}/{name}" for name in _signal(group)}
        for name in group:
            path, count = f"{place}/{name}", count + 1
            if count > MOST_OBJECTS:
                raise _too_many(file.filename)
            try:
                found = follow(group, name, path)
            except DamagedFileError as error:
                broken.append(f"{path}: {error.problem}")
                continue
            if hasattr(found, "keys"):
                if found not in visited:
                    visited.add(found)
                    pending.append((found, path))
            elif _may_be_sequence(found):
                candidates.setdefault(found, Candidate(found)).paths.append(path)
    for each in candidates.values():
        each.paths.sort(key=lambda x: (x.count("/"), x))
    ordered = sorted(candidates.values(), key=lambda x: x.paths[0])
    return Tree(tuple(ordered), frozenset(signals), tuple(broken))


def follow(group: Any, name: str, path: str) -> Any:
    """The object that ``name`` leads to; raises DamagedFileError that names the target of a link that is broken."""
    link = link_of(group, name)
    target = getattr(link, "path", None)
    outside = getattr(link, "filename", None)
    if outside is not None:
        _require_file(Path(group.file.filename), outside, target, path)
    try:
        return group[name]
    except (KeyError, OSError, RuntimeError, ValueError) as error:
        where = f"{outside}::{target}" if outside is not None else target
        if where is None:
            raise damaged(path, "a group or a dataset", str(error)[:200]) from error
        raise _broken(path, where, "there is none of this name") from error


def link_of(group: Any, name: str) -> Any:
    """The link ``name`` in a group, also where it leads nowhere; None where there is none."""
    try:
        return group.get(name, getlink=True)
    except (KeyError, RuntimeError):  # the latter for a place that HDF5 reserves, such as "."
        return None


def find_path(file: Any, path: str, where: Path) -> Any:
    """The object at ``path`` in an open file; raises InputError with what there is instead."""
    group, walked = file["/"], ""
    for name in filter(None, path.split("/")):
        if not hasattr(group, "keys") or link_of(group, name) is None:
            names = ", ".join(list(group)[:_MOST_LISTED]) if hasattr(group, "keys") else ""
            raise InputError(
                where,
                expected=f"a dataset {path}",
                found=f"{walked or '/'} with {names or 'nothing in it'}",
                hint="correct the path inside the file",
            )
        walked += f"/{name}"
        group = follow(group, name, f"{where}::{walked}")
    return group


def choose(tree: Tree, where: Path) -> list[Candidate]:
    """The sequence of a file: one dataset, or one for each frame, in the order of the numbers in their names.

    Raises AmbiguousFileError where several datasets can be meant, InputError for none.
    """
    sequences = [x for x in tree.candidates if x.dataset.ndim > 2]
    found = sequences or list(tree.candidates)
    if not found:
        raise _no_sequence(tree, where)
    for wanted in (_USUAL[:1], tree.signals, _USUAL):
        named = [x for x in sequences if not {*x.paths}.isdisjoint(wanted)]
        if len(named) == 1:
            return named
    proper = [x for x in found if not _ASIDE.search(x.paths[0])] or found
    if len(proper) == 1 or _are_frames(proper):
        return [proper[k] for k in in_order([x.paths[0] for x in proper], where).places]
    listed = "; ".join(map(str, found[:_MOST_LISTED])) + ("; ..." if found[_MOST_LISTED:] else "")
    error = AmbiguousFileError(
        where,
        problem=f"it contains {len(found)} datasets that can be the sequence: {listed}",
        hint=f"give one of them as {where.name}::{proper[0].paths[0]}",
    )
    error.choices = tuple((x.paths[0], tuple(x.dataset.shape), str(x.dataset.dtype)) for x in found)
    raise error


def _are_frames(found: list[Candidate]) -> bool:
    """Whether datasets are one frame each of one sequence: of the same group, shape and dtype."""
    names = [x.paths[0].rpartition("/") for x in found]
    kinds = {(group, x.dataset.shape, x.dataset.dtype) for (group, *_), x in zip(names, found, strict=True)}
    numbered = all(re.search(r"\d", name) for *_, name in names)
    return numbered and len(kinds) == 1 and prod(found[0].dataset.shape[:-2]) == 1


def _no_sequence(tree: Tree, where: Path) -> InputError:
    if tree.broken:
        listed = "; ".join(tree.broken[:3]) + ("; ..." if tree.broken[3:] else "")
        return DamagedFileError(
            where,
            problem=f"it contains no sequence, and links of it lead nowhere: {listed}",
            hint="copy the linked files to their places",
        )
    return InputError(
        where,
        expected="a dataset of frames (T, H, W)",
        found="none in the file",
        hint="check that it is the file of the camera, or save the frames as one dataset",
    )


def _may_be_sequence(dataset: Any) -> bool:
    """Whether a dataset has numbers on two axes longer than 1 and at most one more."""
    shape, dtype = getattr(dataset, "shape", None) or (), getattr(dataset, "dtype", None)
    if dtype is None or len(shape) < 2 or min(shape[-2:]) < 2 or sum(n != 1 for n in shape[:-2]) > 1:
        return False
    grey = f"{dtype.kind}{dtype.itemsize}" in GREY_DTYPES
    return grey or (dtype.kind in "uif" and len(shape) > 2)


def _signal(group: Any) -> Iterator[str]:
    """Names of the datasets that a group shows, where it is an NXdata."""
    if words(group.attrs.get("NX_class")) == "NXdata":
        yield from filter(None, [words(group.attrs.get("signal"))])


def words(value: object) -> str:
    """An attribute of text, also where it is stored as bytes or an array of one."""
    item = getattr(value, "item", None)
    value = item() if item is not None and getattr(value, "size", 2) == 1 else value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


def linked_file(base: Path, name: str) -> Path | None:
    """The file that a link in the file ``base`` names, looked for as HDF5 does; None where there is none."""
    places = (base.parent / name, Path(name), base.parent / Path(name).name)
    return next((x for x in places if x.exists()), None)


def _require_file(base: Path, name: str, target: str | None, path: str) -> None:
    """Raise DamagedFileError where the file of a link is not there, or is a pipe or the like, which would wait."""
    found = linked_file(base, name)
    if found is None:
        raise _broken(path, f"{name}::{target}", "this file is not there")
    if not stat.S_ISREG(found.stat().st_mode):
        raise _broken(path, f"{name}::{target}", "this is not a file")


def _broken(path: str, target: str, why: str) -> DamagedFileError:
    return DamagedFileError(
        path, problem=f"it is a link to {target}, but {why}", hint="copy the linked file to its place"
    )


def _too_many(where: object) -> InputError:
    return InputError(
        where,
        problem=f"it contains more than {MOST_OBJECTS} objects",
        hint="give the path of the dataset, as FILE::/PATH",
    )
