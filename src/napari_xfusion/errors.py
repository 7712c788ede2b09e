"""What the person at the beamline is told when something does not fit.

Every error says where, what was expected, what was found and what to do about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class XFusionError(Exception):
    """An error with a remedy; the command line prints it as one line and exits with 1.

    ``where`` is a file, a stack or a setting, and may name the frame; ``do`` is the remedy.
    """

    def __init__(self, where: object, *, expected: str, found: str, do: str) -> None:
        super().__init__(where, expected, found, do)
        self.where, self.expected, self.found, self.do = str(where), expected, found, do

    def __str__(self) -> str:
        text = f"{self.where}: expected {self.expected}, found {self.found}; {self.do}"
        return " ".join(text.split())


class InputError(XFusionError):
    """A file, folder or array is not the stack it should be."""


class PairingError(XFusionError):
    """The two stacks do not fit together in size, time or grey scale."""


class OutputError(XFusionError):
    """The result cannot be written, or something else stands in its place."""


class ModelError(XFusionError):
    """A model's weights are missing, damaged or of another kind."""


class DeviceError(XFusionError):
    """The asked device is missing or has too little memory."""


class TrainingError(XFusionError):
    """A training cannot go on."""


@contextmanager
def writing(
    where: object,
    *,
    expected: str = "a place to write",
    do: str = "choose another",
    also: tuple[type[Exception], ...] = (),
    found: Callable[[str], str] = str,
) -> Iterator[None]:
    """Turn what the system, and a library in ``also``, says against writing to ``where`` into an OutputError.

    ``found`` makes of its words what the error says.
    """
    kinds: tuple[type[Exception], ...] = (OSError, *also)
    try:
        yield
    except kinds as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(where, expected=expected, found=found(reason), do=do) from error
