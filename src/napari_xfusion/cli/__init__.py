"""The command line: converts arguments to a plan and runs it.

Exit codes: 0 done, 1 error (one line), 2 wrong usage, 130 cancelled.
"""

from __future__ import annotations

import os
import sys
import traceback
from functools import cache
from typing import TYPE_CHECKING

from napari_xfusion.core.allocator import keep_freed_memory

if TYPE_CHECKING:
    from collections.abc import Callable


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    # Without a terminal these streams may be missing; a progress bar or a warning must not end a run there.
    # Their numbers must not go to the next file that is opened: libraries write messages to them.
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - as long as the process
    if arguments is None and words[:1] == ["fuse"]:  # a process of its own
        keep_freed_memory()
    try:
        return _run([_at_home(word) for word in words])
    except KeyboardInterrupt:
        return 130


def _at_home(word: str) -> str:
    """Expand a leading ``~``: no shell does so after ``--output=``, and that of Windows never does."""
    option, is_given, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return f"{option}{is_given}{os.path.expanduser(value)}"  # noqa: PTH111 - a word need not be a path


def _run(arguments: list[str]) -> int:
    # Imported here, so that Ctrl-C also works in the first seconds, when users notice a typing error.
    from napari_xfusion._version import __version__  # noqa: PLC0415 - see above
    from napari_xfusion.cli.terminal import log, optional, report, tell  # noqa: PLC0415 - see above
    from napari_xfusion.cli.words import as_facts, in_options  # noqa: PLC0415 - see above
    from napari_xfusion.core.doctor import log_file, start_log  # noqa: PLC0415 - see above

    debug = "--debug" in arguments  # anywhere on the line, so that it can be appended to a failed command
    start_log()
    log.info("napari-xfusion %s %s", __version__, arguments)
    if "" in arguments:
        tell("error: an argument is empty. Was a variable of the shell not set?")
        return 2
    try:
        _command()(args=[a for a in arguments if a != "--debug"], prog_name="napari-xfusion")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    except Exception as raised:  # the user gets one line, the log gets the traceback
        error = _explained(raised)
        log.exception("failed")
        if debug:
            with optional(sys.stderr):
                traceback.print_exc()
        if "--json" in arguments:
            report(True, {"ok": False, "error": as_facts(error)}, "", saved=True)
        tell(f"error: {in_options(error)} (log: {log_file()})")
        return 1
    return 0


@cache
def _command() -> Callable[..., object]:
    """All commands. Typer looks at every argument of each, for longer than a small command takes."""
    from typer.main import get_command  # noqa: PLC0415 - see ``_run``

    from napari_xfusion.cli.commands import app  # noqa: PLC0415 - see ``_run``

    return get_command(app)


def _explained(error: Exception) -> Exception:
    """The cause of an error without a file, which is a current folder that was removed; else the error."""
    from napari_xfusion.errors import InputError  # noqa: PLC0415 - see ``_run``

    if not isinstance(error, FileNotFoundError) or error.filename is not None:
        return error
    problem = "it does not exist any more"
    return InputError("the current folder", problem=problem, hint="change to another folder with cd")
