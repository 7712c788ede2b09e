"""The command line: arguments become a plan, the plan is run. No logic of its own.

Exit codes: 0 done, 1 a told error, 2 wrong usage, 130 cancelled.
"""

from __future__ import annotations

import sys
import traceback

from napari_xfusion import __version__
from napari_xfusion.cli.commands import app
from napari_xfusion.cli.terminal import log, start_log, tell
from napari_xfusion.core.doctor import log_file
from napari_xfusion.errors import XFusionError


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments  # anywhere on the line, so that it can be added to what failed
    start_log()
    log.info("napari-xfusion %s %s", __version__, arguments)
    try:
        app(args=[a for a in arguments if a != "--debug"], prog_name="napari-xfusion")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    except KeyboardInterrupt:
        tell("cancelled")
        return 130
    except Exception as error:  # the person at the beamline gets a line, the log gets the trace
        log.exception("failed")
        if debug:
            traceback.print_exc()
        told = (
            str(error) if isinstance(error, XFusionError) else f"unexpected {type(error).__name__}: {error}"
        )
        tell(f"error: {' '.join(told.split())} (log: {log_file()})")
        return 1
    return 0
