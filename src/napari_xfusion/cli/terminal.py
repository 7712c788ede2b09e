"""What the person at the terminal sees: progress, notes, tables, the log, and how to stop."""

from __future__ import annotations

import json
import logging
import shlex
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import typer
from tqdm import tqdm

from napari_xfusion.cli.words import in_options
from napari_xfusion.errors import XFusionWarning

log = logging.getLogger("napari_xfusion")


class Begun(Protocol):
    """Knows whether the work itself has begun."""

    @property
    def begun(self) -> bool:
        """Whether sequences and output are open, or samples and checkpoint."""
        ...


class Progress:
    """A bar on stderr that appears with the first frame; call it with the frames done and of all."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._bar: tqdm[Any] | None = None

    @property
    def begun(self) -> bool:
        """Whether the work itself has begun: sequences and output are open."""
        return self._bar is not None

    def __call__(self, done: int, total: int) -> None:
        """Show ``done`` of ``total``."""
        if self._bar is None:
            self._bar = tqdm(total=total, unit=f" {self._unit}", initial=done, mininterval=0.2)
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


@contextmanager
def stop_on_signal(progress: Begun) -> Iterator[threading.Event]:
    """A token that Ctrl-C and SIGTERM set, so that a run ends after the frame at work.

    Before the first frame, and when asked twice, the run ends at once.
    """
    stop = threading.Event()

    def ask(*_: object) -> None:
        if stop.is_set() or not progress.begun:
            raise KeyboardInterrupt
        stop.set()

    before = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    except KeyboardInterrupt:
        tell("stopped")
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def report(as_json: bool, facts: dict[str, Any], text: str) -> None:
    """Print the one result of a command, as JSON or as text."""
    typer.echo(json.dumps(facts, allow_nan=False) if as_json else text)


def tell(line: str) -> None:
    """A line on stderr."""
    typer.echo(f"napari-xfusion: {line}", err=True)


def say_notes(notes: Iterable[object]) -> None:
    """What was odd about the sequences, on stderr."""
    for note in notes:
        tell(f"note: {in_options(note) if isinstance(note, XFusionWarning) else note}")


def command_line() -> str:
    """The command as it was typed."""
    return shlex.join(["napari-xfusion", *sys.argv[1:]])


def short(value: Any) -> str:
    """A value of any kind in one line."""
    if isinstance(value, dict):
        return ", ".join(f"{k} {short(v)}" for k, v in value.items())
    return "none" if value is None else str(value)


def metrics_table(summary: dict[str, Any]) -> str:
    """Means of PSNR, AAD and SSIM, one line for all and one for the unseen frames."""
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
