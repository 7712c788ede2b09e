"""What this machine has: for ``napari-xfusion doctor`` and for reports of trouble."""

from __future__ import annotations

import logging
import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import platformdirs
import psutil

from napari_xfusion._version import __version__
from napari_xfusion.core.display import examine_display
from napari_xfusion.core.quantities import byte_count

NEEDED = (
    "numpy",
    "scipy",
    "scikit-image",
    "tifffile",
    "imagecodecs",
    "zarr",
    "opencv-python-headless",
    "torch",
)
BINDINGS = ("PyQt6", "PySide6")


def log_file() -> Path:
    """The log of the command line and of the panels; shown with every unexpected error."""
    return Path(platformdirs.user_log_dir("napari-xfusion", appauthor=False)) / "napari-xfusion.log"


class _Log(RotatingFileHandler):
    """A log that ends where it cannot be written."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Nothing: a run does not depend on its log."""


def start_log() -> None:
    """Log to ``log_file``, if it can be written."""
    log = logging.getLogger("napari_xfusion")
    if log.handlers:
        return
    log.setLevel(logging.INFO)
    try:
        log_file().parent.mkdir(parents=True, exist_ok=True)
        handler: logging.Handler = _Log(log_file(), maxBytes=1_000_000, backupCount=2, encoding="utf-8")
    except OSError:
        handler = logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)


def examine() -> dict[str, Any]:
    """Versions, devices, free space and what napari needs.

    ``problems`` lists what prevents a run, ``advice`` what to do for a window.
    """
    window = examine_window()
    display, advice = examine_display(window["binding"])
    packages = {name: _version(name) for name in NEEDED}
    problems = [f"{name} is missing: pip install {name}" for name, found in packages.items() if found is None]
    return {
        "napari_xfusion": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "memory_free_gb": round(psutil.virtual_memory().available / 1e9, 1),
        "disk_free_gb": round(shutil.disk_usage(Path.cwd()).free / 1e9, 1),
        "packages": packages,
        "device": devices() if packages["torch"] else {},
        "window": window | display,
        "log_file": str(log_file()),
        "problems": problems,
        "advice": advice,
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def devices_in_words() -> str:
    """Processor, GPU and free memory in a line. Asks torch only where it is loaded already."""
    free = psutil.virtual_memory().available
    words = [f"{os.cpu_count()} processor cores, {byte_count(free)} of memory free"]
    if "torch" in sys.modules:
        there = devices()
        if cuda := there["cuda"]:
            words.append(f"{cuda['name']}, {cuda['free_gb']} of {cuda['total_gb']} GB free")
        else:
            words.append("an Apple GPU" if there["mps"] else "no GPU")
    elif any(Path("/proc/driver/nvidia/gpus").glob("*")):
        words.append("an NVIDIA GPU")
    return "; ".join(words)


def devices() -> dict[str, Any]:
    """The devices beside the processor that torch can use; imports it."""
    import torch  # noqa: PLC0415 - it takes seconds, and only this command needs it here

    devices: dict[str, Any] = {"cuda": None, "mps": torch.backends.mps.is_available()}
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        devices["cuda"] = {
            "name": torch.cuda.get_device_name(),
            "free_gb": round(free / 1e9, 1),
            "total_gb": round(total / 1e9, 1),
        }
    return devices


def examine_window() -> dict[str, Any]:
    """What a window needs: napari, a Qt binding, a screen."""
    binding = next((name for name in BINDINGS if find_spec(name)), None)
    screen = platform.system() != "Linux" or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    return {
        "napari": _version("napari"),
        "binding": binding,
        "qt": binding and f"{binding} {_version(binding)}",
        "screen": screen,
    }
