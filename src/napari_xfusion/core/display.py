"""What a window needs of display and driver: the kind of session, an OpenGL context, and what to do where it fails.

OpenGL is tried in another process with a time limit: a driver that crashes or hangs is a finding, not the end.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

SECONDS = 60.0
"""After which a driver that does not answer is taken for one that hangs."""
LOWEST = (2, 1)
"""OpenGL version that napari's canvas (vispy) needs."""
SOFTWARE = ("llvmpipe", "softpipe", "swrast", "software")
"""In the names of renderers that compute on the processor."""
LIBRARIES = "libegl1 libgl1 libgl1-mesa-dri libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1"
"""What Qt needs on Debian and Ubuntu."""
_CONTAINER_FILES = ("/.dockerenv", "/run/.containerenv")
_CONTAINER_VARIABLES = (
    "container",
    "APPTAINER_CONTAINER",
    "SINGULARITY_CONTAINER",
    "KUBERNETES_SERVICE_HOST",
)
_PROBE = """
import ctypes, importlib, json, sys
gui = importlib.import_module(sys.argv[1] + ".QtGui")
app = gui.QGuiApplication(["doctor"])
surface, context = gui.QOffscreenSurface(), gui.QOpenGLContext()
surface.create()
if not context.create() or not context.makeCurrent(surface):
    sys.exit("no OpenGL context can be created")
read = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_uint)(int(context.getProcAddress(b"glGetString")))
names = {"vendor": 0x1F00, "renderer": 0x1F01, "version": 0x1F02}
print(json.dumps({name: (read(code) or b"").decode("utf-8", "replace") for name, code in names.items()}))
"""


class Session(NamedTuple):
    """A way to reach the display of a machine, and what to do where windows fail on it."""

    name: str
    advice: str


NO_DISPLAY = Session(
    "no display",
    "The command line needs none. For the window, log in on a desktop, by VNC or X2Go, or with ssh -X; for pictures "
    'without a screen, use xvfb-run -a -s "-screen 0 1600x1000x24" napari.',
)
X_FORWARDING = Session(
    "X forwarding",
    "OpenGL over ssh -X is slow and often too old (indirect GLX). Use VNC, X2Go or a browser desktop of the institute; "
    "else try LIBGL_ALWAYS_INDIRECT=0 LIBGL_ALWAYS_SOFTWARE=1 napari.",
)
VNC = Session(
    "VNC",
    "A VNC server has no GPU of its own. It renders on the processor, or on the GPU with VirtualGL: vglrun napari.",
)
RDP = Session(
    "RDP",
    "Remote Desktop may provide no OpenGL beyond 1.1. Start napari on the machine itself before you connect, use VNC "
    "instead, or on Linux LIBGL_ALWAYS_SOFTWARE=1 napari.",
)
WAYLAND = Session(
    "Wayland",
    "Where the window stays empty or does not open, use X11 through XWayland: QT_QPA_PLATFORM=xcb napari.",
)
CONTAINER = Session(
    "container",
    f"Install {LIBRARIES} in the image, pass the display (-e DISPLAY -v /tmp/.X11-unix:/tmp/.X11-unix) and the GPU "
    "(--device /dev/dri, or --gpus all with NVIDIA_DRIVER_CAPABILITIES=all; apptainer: --nv).",
)
X11 = Session("X11", f"Install what Qt needs, on Debian and Ubuntu: sudo apt install {LIBRARIES}.")
DESKTOP = Session("desktop", "Update the driver of the graphics card, then restart the machine.")


def sessions(environ: Mapping[str, str], system: str, root: Path = Path("/")) -> list[Session]:
    """The kinds of session by the variables ``environ`` and the files below ``root``; see ``platform.system``."""
    display, found = environ.get("DISPLAY", ""), list[Session]()
    if environ.get("SESSIONNAME", "").startswith("RDP") or "XRDP_SESSION" in environ:
        found.append(RDP)
    if "VNCDESKTOP" in environ:
        found.append(VNC)
    if "SSH_CONNECTION" in environ and re.match(r"(localhost|127\.0\.0\.1|\[?::1\]?):\d{2,}", display):
        found.append(X_FORWARDING)
    if environ.get("WAYLAND_DISPLAY"):
        found.append(WAYLAND)
    if any((root / x[1:]).exists() for x in _CONTAINER_FILES) or any(
        x in environ for x in _CONTAINER_VARIABLES
    ):
        found.append(CONTAINER)
    if system != "Linux":
        return found or [DESKTOP]
    if not display and not environ.get("WAYLAND_DISPLAY"):
        return [NO_DISPLAY, *found]
    return found if set(found) - {CONTAINER} else [*found, X11]


class OpenGL(NamedTuple):
    """What came of an attempt to create an OpenGL context."""

    facts: dict[str, str]
    """``vendor``, ``renderer`` and ``version``, as the driver says; empty where there is no context."""
    problem: str = ""
    """Why the window will not work."""

    @property
    def is_software(self) -> bool:
        """Whether the processor renders."""
        return any(x in self.facts.get("renderer", "").lower() for x in SOFTWARE)


def try_opengl(binding: str, *, seconds: float = SECONDS, probe: str = _PROBE) -> OpenGL:
    """Create an OpenGL context with a Qt ``binding``, such as PyQt6, on an offscreen surface; in another process."""
    command = [sys.executable, "-c", probe, binding]
    try:
        done = subprocess.run(  # noqa: S603 - this Python
            command, capture_output=True, timeout=seconds, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return OpenGL({}, f"the driver does not answer ({seconds:g} s)")
    except OSError as error:
        return OpenGL({}, f"it cannot be tried: {error}")
    lines = [x for x in done.stderr.decode("utf-8", "replace").splitlines() if x.strip()]
    if done.returncode < 0:
        return OpenGL(
            {}, " ".join([f"Qt or the driver crashed (signal {-done.returncode})", *lines[:1]])[:300]
        )
    try:
        facts = {str(k): str(v) for k, v in json.loads(done.stdout).items()}
    except (ValueError, AttributeError):
        return OpenGL({}, (lines or [f"it ended with exit code {done.returncode}"])[-1][:300])
    return OpenGL(facts, _too_old(facts.get("version", "")))


def _too_old(version: str) -> str:
    number = re.search(r"(\d+)\.(\d+)", version)
    if number is None or (int(number[1]), int(number[2])) >= LOWEST:
        return ""
    return f"OpenGL {number[0]} is too old, napari needs {LOWEST[0]}.{LOWEST[1]}"


def examine_display(binding: str | None) -> tuple[dict[str, Any], list[str]]:
    """Session and OpenGL as facts, and sentences on what to do; ``binding`` None where there is no Qt."""
    found = sessions(os.environ, platform.system())
    facts: dict[str, Any] = {"session": ", ".join(x.name for x in found), "opengl": None}
    if NO_DISPLAY in found and "QT_QPA_PLATFORM" not in os.environ:
        return facts, [f"{x.name}: {x.advice}" for x in found]
    if binding is None:
        return facts, []
    opengl = try_opengl(binding)
    facts["opengl"] = opengl.facts or None
    if opengl.problem:
        return facts, [f"OpenGL: {opengl.problem}.", *(f"{x.name}: {x.advice}" for x in found)]
    if opengl.is_software:
        slow = "The processor renders, not a GPU: the window works, but large recordings are drawn slowly."
        return facts, [
            f"OpenGL: {slow}",
            *(f"{x.name}: {x.advice}" for x in found if x in (VNC, X_FORWARDING)),
        ]
    return facts, []
