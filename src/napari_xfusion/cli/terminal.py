"""Output on the terminal: progress, warnings, tables, the log; and how to stop."""

from __future__ import annotations

import json
import logging
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TextIO

import typer
from tqdm import tqdm

from napari_xfusion.cli.words import in_options
from napari_xfusion.errors import XFusionWarning, reason_of

log = logging.getLogger("napari_xfusion")


class Begun(Protocol):
    """Anything that knows whether the computation has begun."""

    @property
    def begun(self) -> bool:
        """Whether sequences and output, or samples and checkpoint, are open."""
        ...


class Progress:
    """A progress bar on stderr that appears with the first frame; call it with the frames done and the total.

    It is omitted where it cannot be displayed.
    """

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._bar: tqdm[Any] | None = None
        self.begun = False
        """Whether the work itself has begun: sequences and output are open."""

    def __call__(self, done: int, total: int) -> None:
        """Show ``done`` of ``total``."""
        with optional(sys.stderr):
            if not self.begun:
                self.begun = True
                self._bar = tqdm(total=total, unit=f" {self._unit}", initial=done, mininterval=0.2)
            if self._bar is not None:
                self._bar.update(done - self._bar.n)

    def say(self, line: str) -> None:
        """Print a line on stderr above the bar."""
        with optional(sys.stderr):
            tqdm.write(f"napari-xfusion: {line}", file=sys.stderr)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        with optional(sys.stderr):
            if self._bar is not None:
                self._bar.close()


@contextmanager
def optional(stream: TextIO) -> Iterator[None]:
    """Write to ``stream`` what a run does not depend on: where it is full or closed, it is discarded from now on."""
    try:
        yield
    except OSError:
        discard(stream)
    except ValueError:  # what Python raises on a stream that it has closed itself
        if not stream.closed:
            raise


def discard(stream: TextIO) -> None:
    """Send what ``stream`` has not written yet, and all that follows, nowhere."""
    with suppress(OSError, ValueError):  # a stream in memory has no number
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


@contextmanager
def stop_on_signal(progress: Begun) -> Iterator[threading.Event]:
    """Provide a token that Ctrl-C, SIGTERM and SIGHUP set, so that a run ends after the current frame.

    Before the first frame, and at the second signal, the run ends at once.
    """
    stop = threading.Event()

    def ask(*_: object) -> None:
        if stop.is_set() or not progress.begun:
            raise KeyboardInterrupt
        stop.set()

    # A terminal that closes sends SIGHUP, unless nohup makes it ignored.
    asking = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {s: signal.signal(s, ask) for s in asking if signal.getsignal(s) is not signal.SIG_IGN}
    try:
        yield stop
    except KeyboardInterrupt:
        tell("stopped")
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def report(as_json: bool, facts: dict[str, Any] | list[Any], text: str, *, saved: bool = False) -> None:
    """Print the result of a command, as JSON or as text.

    Where it cannot be printed, a command that has ``saved`` its result in files is done; any other exits with 1.
    """
    try:
        typer.echo(json.dumps(facts, allow_nan=False) if as_json else text)
    except OSError as error:
        discard(sys.stdout)
        log.warning("stdout cannot be written: %s", error)
        if not isinstance(error, BrokenPipeError):
            tell(f"the report cannot be printed: {reason_of(error)}")
        if not saved:
            raise typer.Exit(1) from error


def tell(line: str) -> None:
    """Print a line on stderr."""
    with optional(sys.stderr):
        typer.echo(f"napari-xfusion: {line}", err=True)


def say_notes(notes: Iterable[object]) -> None:
    """Print warnings about the sequences on stderr."""
    for note in notes:
        tell(f"note: {in_options(note) if isinstance(note, XFusionWarning) else note}")


def command_line() -> str:
    """Return the command as it was typed."""
    return shlex.join(["napari-xfusion", *sys.argv[1:]])


def short(value: Any) -> str:
    """Format a value of any kind in one line."""
    if isinstance(value, dict):
        return ", ".join(f"{k} {short(v)}" for k, v in value.items())
    return "none" if value is None else str(value)


def metrics_table(summary: dict[str, Any]) -> str:
    """Format the means of PSNR, AAD and SSIM, one line for all and one for the unseen frames."""
    lines = [f"{'':8}{'frames':>8}{'PSNR dB':>10}{'AAD':>8}{'SSIM':>8}   (means)"]
    for name in ("all", "unseen"):
        part = summary[name]
        if part is not None:
            means = (part[k]["mean"] for k in ("psnr", "aad", "ssim"))
            psnr, aad, ssim = (
                "-" if m is None else f"{m:.{d}f}" for m, d in zip(means, (2, 3, 4), strict=True)
            )
            same = f"   {part['identical']} identical to the truth, not in PSNR" if part["identical"] else ""
            lines.append(f"{name:8}{part['frames']:>8}{psnr:>10}{aad:>8}{ssim:>8}{same}")
    return "\n".join(lines)
