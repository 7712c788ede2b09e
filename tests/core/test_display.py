"""Kinds of sessions, and an OpenGL context that is created, refused, too old, crashes or hangs."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

from napari_xfusion.core.display import (
    CONTAINER,
    DESKTOP,
    NO_DISPLAY,
    RDP,
    VNC,
    WAYLAND,
    X11,
    X_FORWARDING,
    sessions,
    try_opengl,
)
from napari_xfusion.core.doctor import examine_window

SSH = {"SSH_CONNECTION": "10.0.0.1 5 10.0.0.2 22"}


@pytest.mark.parametrize(
    ("environ", "system", "files", "expected"),
    [
        pytest.param({}, "Linux", (), [NO_DISPLAY], id="nothing"),
        pytest.param({"DISPLAY": ""}, "Linux", (), [NO_DISPLAY], id="empty"),
        pytest.param(SSH, "Linux", (), [NO_DISPLAY], id="ssh"),
        pytest.param({"DISPLAY": ":0"}, "Linux", (), [X11], id="x11"),
        pytest.param({"DISPLAY": "localhost:10.0", **SSH}, "Linux", (), [X_FORWARDING], id="x-forwarding"),
        pytest.param({"DISPLAY": "127.0.0.1:11", **SSH}, "Linux", (), [X_FORWARDING], id="x-forwarding-ip"),
        pytest.param({"DISPLAY": ":1", **SSH}, "Linux", (), [X11], id="ssh-into-a-desktop"),
        pytest.param({"DISPLAY": ":1", "VNCDESKTOP": "host:1"}, "Linux", (), [VNC], id="vnc"),
        pytest.param({"DISPLAY": ":10", "XRDP_SESSION": "1"}, "Linux", (), [RDP], id="xrdp"),
        pytest.param({"SESSIONNAME": "RDP-Tcp#3"}, "Windows", (), [RDP], id="rdp"),
        pytest.param({"SESSIONNAME": "Console"}, "Windows", (), [DESKTOP], id="windows"),
        pytest.param({}, "Darwin", (), [DESKTOP], id="macos"),
        pytest.param({"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":0"}, "Linux", (), [WAYLAND], id="wayland"),
        pytest.param({"DISPLAY": ":0"}, "Linux", (".dockerenv",), [CONTAINER, X11], id="docker"),
        pytest.param({}, "Linux", ("run/.containerenv",), [NO_DISPLAY, CONTAINER], id="podman"),
        pytest.param({"APPTAINER_CONTAINER": "a.sif"}, "Linux", (), [NO_DISPLAY, CONTAINER], id="apptainer"),
    ],
)
def test_kinds_of_sessions(tmp_path, environ, system, files, expected):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = sessions(environ, system, tmp_path)
    assert found == expected
    assert all(len(x.advice) > 40 for x in found)


GOOD = {"vendor": "Mesa", "renderer": "llvmpipe (LLVM 15)", "version": "4.5 (Compatibility Profile)"}


@pytest.mark.parametrize(
    ("probe", "facts", "problem"),
    [
        pytest.param(f"print({json.dumps(json.dumps(GOOD))})", GOOD, "", id="good"),
        pytest.param("""print('{"version": "1.1.0"}')""", {"version": "1.1.0"}, "1.1 is too old", id="old"),
        pytest.param("""print('{"version": "2.1 Mesa"}')""", {"version": "2.1 Mesa"}, "", id="old-enough"),
        pytest.param("import sys; sys.exit('no context')", {}, "no context", id="refused"),
        pytest.param("raise ImportError('libEGL.so.1')", {}, "libEGL.so.1", id="library"),
        pytest.param("import sys; sys.exit(3)", {}, "exit code 3", id="ends"),
        pytest.param("print('[1]')", {}, "exit code 0", id="nonsense"),
        pytest.param("import threading; threading.Event().wait()", {}, "does not answer", id="hangs"),
        pytest.param(
            "import os; os.write(2, b'qt.qpa.plugin: xcb'); os.abort()",
            {},
            "signal 6.*xcb",
            id="crashes",
            marks=pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals"),
        ),
    ],
)
def test_what_comes_of_opengl(probe, facts, problem):
    found = try_opengl("PyQt6", probe=probe, seconds=0.5 if "Event" in probe else 60)
    assert found.facts == facts
    assert bool(found.problem) == bool(problem)
    assert re.search(problem, found.problem)
    assert found.is_software == (facts == GOOD)


@pytest.mark.skipif(examine_window()["binding"] is None, reason="needs a Qt binding")
@pytest.mark.skipif(sys.platform == "linux" and not shutil.which("xvfb-run"), reason="needs Xvfb")
def test_a_real_context_names_its_driver():
    """On a screen of its own, as one of the tests may have the offscreen platform."""
    code = (
        "import json; from napari_xfusion.core.display import try_opengl; "
        f"print(json.dumps(try_opengl({examine_window()['binding']!r})))"
    )
    screen = ["xvfb-run", "-a"] if sys.platform == "linux" else []
    environ = {k: v for k, v in os.environ.items() if k != "QT_QPA_PLATFORM"}
    done = subprocess.run([*screen, sys.executable, "-c", code], capture_output=True, env=environ, check=True)
    facts, problem = json.loads(done.stdout)
    assert problem == ""
    assert set(facts) == {"vendor", "renderer", "version"}
    assert all(facts.values())
