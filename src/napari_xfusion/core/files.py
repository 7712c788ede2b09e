"""Files that are there complete or not at all, and the folders they go into."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from napari_xfusion.errors import InputError, writing

if TYPE_CHECKING:
    from pydantic import BaseModel

M = TypeVar("M", bound="BaseModel")


def make_folder(path: Path) -> None:
    """Make the folder ``path``, and those above it, unless it is there; raises OutputError when it cannot."""
    with writing(path, expected="a folder to write into", hint="choose another {output}"):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside ``path``; what the block writes there takes the place of ``path`` at its end.

    ``path`` stays what it was where the block raises or writes nothing. Errors are those of the system.
    """
    part = path.with_name(f".{path.name}.part")  # what a kill leaves is overwritten
    try:
        yield part
        if part.exists():
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            part.replace(path)
    finally:
        with suppress(OSError):  # where nothing can be written, the first error is the cause
            part.unlink(missing_ok=True)


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
