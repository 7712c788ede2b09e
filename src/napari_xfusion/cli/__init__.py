"""The command line: arguments become a plan, the plan is run. No logic of its own.

Exit codes: 0 done, 1 an error, in one line, 2 wrong usage, 130 cancelled.
"""

from __future__ import annotations

import os
import sys
import traceback


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    # What starts programs without a terminal may leave these out; a bar or a note there must not end a run.
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - as long as the process
    if arguments is None and words[:1] == ["fuse"]:  # a process of its own
        keep_freed_memory()
    try:
        return _run([_at_home(word) for word in words])
    except KeyboardInterrupt:
        return 130


def keep_freed_memory() -> bool:
    """Let the GNU C library keep large freed buffers for the next ones; return whether it does.

    By default it returns them to the system, which has to clear every page of the next one. A network on the
    CPU asks for the same buffers again and again. The setting holds for the whole process.
    """
    import ctypes  # noqa: PLC0415 - see ``_run``

    trim_threshold, mmap_max = -1, -4  # numbers of glibc's malloc.h
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # macOS, Windows, other C libraries
        return False
    return bool(mallopt(trim_threshold, 2**31 - 1) and mallopt(mmap_max, 0))


def _at_home(word: str) -> str:
    """A word with a leading ``~`` spelled out: no shell does after ``--output=``, that of Windows never."""
    option, is_given, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return f"{option}{is_given}{os.path.expanduser(value)}"  # noqa: PTH111 - a word need not be a path


def _run(arguments: list[str]) -> int:
    # Imported here: the first seconds of a program are when people find that they mistyped, and press Ctrl-C.
    from napari_xfusion._version import __version__  # noqa: PLC0415 - see above
    from napari_xfusion.cli.commands import app  # noqa: PLC0415 - see above
    from napari_xfusion.cli.terminal import log, tell  # noqa: PLC0415 - see above
    from napari_xfusion.cli.words import in_options  # noqa: PLC0415 - see above
    from napari_xfusion.core.doctor import log_file, start_log  # noqa: PLC0415 - see above

    debug = "--debug" in arguments  # anywhere on the line, so that it can be added to what failed
    start_log()
    log.info("napari-xfusion %s %s", __version__, arguments)
    try:
        app(args=[a for a in arguments if a != "--debug"], prog_name="napari-xfusion")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    except Exception as error:  # the person at the beamline gets a line, the log gets the trace
        log.exception("failed")
        if debug:
            traceback.print_exc()
        tell(f"error: {in_options(error)} (log: {log_file()})")
        return 1
    return 0
