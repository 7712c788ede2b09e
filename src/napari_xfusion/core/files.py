"""Files that are there complete or not at all, and the folders they go into."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from napari_xfusion.errors import InputError, OutputError, OutputExistsError, reason_of, writing

if TYPE_CHECKING:
    from pydantic import BaseModel

M = TypeVar("M", bound="BaseModel")


def make_folder(path: Path) -> None:
    """Make the folder ``path``, and those above it, unless it is there; raises OutputError when it cannot."""
    with writing(path, expected="a folder to write into", hint="choose another {output}"):
        path.mkdir(parents=True, exist_ok=True)


PATIENCE, PAUSE = 1.0, 0.05
"""Seconds for which, and between which, replacing is tried again where another program has a file open (Windows)."""
HELPERS = ("partial", "journal", "lock", "json", "replaced-by-xfusion")
"""Endings of the files that stand beside an output, see ``core.results.file_sink``."""
PART = "xfusion-part"
"""Ending of a file that is being written; a name that nobody gives by hand."""


def replace(source: Path, target: Path) -> None:
    """Give the file or folder ``source`` the name ``target``; raises OSError.

    On Windows this is refused for as long as a scanner or a viewer has one of them open: tried again for a second.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            source.replace(target)
        except PermissionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE)
        else:
            return


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside ``path``; what the block writes there takes the place of ``path`` at its end.

    ``path`` stays what it was where the block raises or writes nothing. Errors are those of the system.
    """
    part = path.with_name(f".{path.name}.{PART}")
    part.unlink(missing_ok=True)  # left by a kill; never written into, as it might be a link
    try:
        yield part
        if part.exists():
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            replace(part, path)
    finally:
        with suppress(OSError):  # where nothing can be written, the first error is the cause
            part.unlink(missing_ok=True)


def require_name(path: Path) -> None:
    """Raise OutputError where the file system does not take the names of the files next to an output."""
    longest = path.with_name(f".{path.name}.{max(HELPERS, key=len)}")
    try:
        longest.lstat()
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno != errno.ENAMETOOLONG:
            return
        what = f"the name, or that of a file next to it, cannot be used: {reason_of(error)}"
        raise OutputError(path, setting="output", problem=what, hint="choose a shorter name") from error


def require_apart(inputs: Iterable[str], outputs: Sequence[Path | str]) -> None:
    """Raise OutputError when an output, or a file beside it, would be an input, one in an input, or another output.

    The same file is recognised under any name: links, hard links, and names that differ in case. ``inputs`` that are
    no paths are ignored.
    """
    sources = [path for path in map(Path, inputs) if _identity(path)]
    taken: dict[str, str] = {}
    for output in outputs:
        place = Path(output).resolve()
        beside = [place.with_name(f"{place.name}.{ending}") for ending in HELPERS]
        for path in (place, *beside):
            if (source := _within(path, sources)) is not None:
                raise _overlap(output, f"an input of this run, {source}")
            if (other := taken.get(str(path).casefold())) is not None:
                raise _overlap(output, other)
        taken |= {str(path).casefold(): f"a file beside the output {output}" for path in beside}
        taken[str(beside[HELPERS.index("json")]).casefold()] = "the record of this run"
        taken[str(place).casefold()] = "an output of this run"


def _overlap(output: object, what: str) -> OutputError:
    return OutputError(
        output,
        setting="output",
        problem=f"the output would overwrite {what}",
        hint="choose another name or folder",
    )


def _within(path: Path, sources: Sequence[Path]) -> Path | None:
    """Which of ``sources`` ``path`` is, contains, or lies in; None where none."""
    found = _identity(path)
    above = {_identity(parent) for parent in path.parents}
    for source in sources:
        own = _identity(source)
        parents = {_identity(parent) for parent in source.resolve().parents}
        if own in above or (found is not None and (found == own or found in parents)):
            return source
        if found is not None and source.is_dir():
            files = (Path(folder, name) for folder, _, names in os.walk(source) for name in names)
            if any(_identity(file) == found for file in files):
                return source
    return None


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and number of a file or folder, whatever it is called; None where there is none."""
    try:
        state = path.stat()
    except (OSError, ValueError):
        return None
    return state.st_dev, state.st_ino


def require_free(path: Path, *, overwrite: bool) -> None:
    """Raise OutputExistsError where ``path`` exists and is not to be replaced."""
    if path.exists() and not overwrite:
        raise OutputExistsError(
            path, problem="this file exists", hint="choose another name, or give {overwrite}"
        )


def require_table(path: Path, header: Sequence[str], *, overwrite: bool) -> None:
    """Raise OutputExistsError unless ``path`` is free, or a table whose columns begin with ``header``."""
    if overwrite or not os.path.lexists(path):
        return
    with suppress(OSError), path.open("rb") as file:
        if file.readline(4096).decode("utf-8", "replace").startswith(",".join(header)):
            return
    raise foreign(path, "this is not a table of this program")


def require_unclaimed(folder: Path, plan: str, names: Sequence[str]) -> None:
    """Raise OutputExistsError where a file in ``names`` is in ``folder``, but not the ``plan`` of the work there."""
    if os.path.lexists(folder / plan):
        return
    for name in names:
        if os.path.lexists(folder / name):
            raise OutputExistsError(
                folder / name, problem="a file of other origin has this name", hint="choose another folder"
            )


def foreign(path: object, problem: str) -> OutputExistsError:
    """The error for a file that is not ours and has a name that we would write."""
    return OutputExistsError(
        path,
        setting="output",
        problem=problem,
        hint="move it, choose another name, or use {overwrite} to replace it",
    )


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write(part)`` fill a file beside ``path`` that then takes its place.

    Raises OutputError when it cannot; then ``path`` is what it was.
    """
    hint = "free disk space, or choose another folder; what is complete is saved"
    with writing(path, expected="a place to write with enough space", hint=hint):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            write(part)


def claim(path: Path, plan: M, of: str) -> M:
    """Save a plan, that ``of`` the work in its folder, as ``path`` where there is none; the plan that is there.

    Raises InputError where another file is there, OutputError where it cannot be written.
    """
    if not path.exists():
        content = plan.model_dump_json(indent=1) + "\n"
        write_whole(path, lambda part: part.write_text(content, encoding="utf-8"))
        return plan
    try:
        return type(plan).model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        found, hint = str(error)[:200], "choose another folder"
        raise InputError(path, expected=f"the plan of {of}", found=found, hint=hint) from error


def save_json(value: BaseModel, path: str | os.PathLike[str]) -> None:
    """Write a value as JSON; raises WriteError."""
    text = value.model_dump_json(by_alias=True, indent=1)
    write_whole(Path(path), lambda part: part.write_text(text, encoding="utf-8"))


def load_json(kind: type[M], path: str | os.PathLike[str], *, expected: str, hint: str) -> M:
    """Read a value of ``kind`` from JSON; raises InputError, with the first field that is wrong."""
    from pydantic import ValidationError  # noqa: PLC0415 - takes time

    try:
        return kind.model_validate(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        found = reason_of(error)
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            found = f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"
        raise InputError(path, expected=expected, found=found, hint=hint) from error
