"""Real windows for tests, and a guard against what they leave behind: threads, timers, widgets."""

from __future__ import annotations

import gc
import os
import platform
from importlib.metadata import version
from types import SimpleNamespace

import pytest
from packaging.version import Version

from tests.ui.leaks import left_behind, threads

PREFERENCES = Version(version("napari")).release >= (0, 9)
"""Whether this napari has a page of Preferences for a plugin."""

if not PREFERENCES:

    @pytest.fixture
    def plugin_settings(npe2pm):
        """As napari's own fixture of this name, which came with the Preferences page."""
        from napari_xfusion.ui.shared import compat

        compat._defaults.cache_clear()
        yield
        compat._defaults.cache_clear()


def pytest_collection_modifyitems(items):
    """Tests that open windows are skipped, with the reason, where there is no screen."""
    if platform.system() != "Linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return
    skip = pytest.mark.skip(reason="no screen: install Xvfb (make test says how)")
    for item in items:
        if {"make_napari_viewer", "viewer", "qtbot"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def _icons(tmp_path_factory):
    """napari draws its icons once for all windows, into a cache that has to stay where it is."""
    return tmp_path_factory.mktemp("icons")


@pytest.fixture(autouse=True)
def _own_cache(_own_home, _icons, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(_icons))


@pytest.fixture(autouse=True)
def nothing_left(request):
    """A test with a window leaves no thread, no running timer and no top-level widget behind.

    What ends by itself is waited for, however slow the machine is.
    """
    if "make_napari_viewer" not in request.fixturenames:
        yield
        return
    # Modules and caches live as long as the process: later collections need not look at them again.
    gc.collect()
    gc.freeze()
    before = threads()
    yield
    call = getattr(request.node, "rep_call", None)
    if call is None or call.failed:
        return  # its own failure is what has to be read
    left = left_behind(before)
    assert not left, f"left behind: {left}"


@pytest.fixture(autouse=True)
def _layers_go_at_once(request, monkeypatch):
    """napari collects garbage for each layer that goes, for a driver of Windows: a tenth of these tests' time."""
    if platform.system() != "Windows" and "make_napari_viewer" in request.fixturenames:
        monkeypatch.setattr("napari._vispy.canvas.gc", SimpleNamespace(collect=int), raising=False)


@pytest.fixture
def opened_by_close(monkeypatch):
    """``opened_by_close(gate)``: the gate opens when a closing window or panel begins to wait for its thread.

    So the thread is held until then, and the window is closed in the middle of its work on any machine. More arguments
    are those of the gate's ``allow``.
    """
    from napari_xfusion.ui.shared.job import Workbench

    def opened(gate, *permits):
        close = Workbench.close

        def close_with_open_gate(bench, *patience):
            gate.allow(*permits)
            return close(bench, *patience)

        monkeypatch.setattr(Workbench, "close", close_with_open_gate)

    return opened


@pytest.fixture(scope="session")
def _manifests():
    """This plugin's manifest and that of napari's own readers: reading them takes half a second."""
    from npe2 import PluginManifest

    return [PluginManifest.from_distribution(name) for name in ("napari", "napari-xfusion")]


@pytest.fixture
def plugin(plugin_settings, npe2pm, _manifests, monkeypatch):
    """This plugin and napari's own readers, with settings of their own; the Fusion panel soon looks at changes."""
    monkeypatch.setattr("napari_xfusion.ui.fusion.panel.SETTLE", 20)
    for manifest in _manifests:
        npe2pm.register(manifest)


@pytest.fixture(scope="session")
def _drawn_icons(_icons):
    """The icons of both themes: napari drew them when it was imported, into another cache."""
    from napari.resources._icons import build_theme_svgs

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(_icons))
        for theme in ("dark", "light"):
            build_theme_svgs(theme, "builtin")


@pytest.fixture
def viewer(request, make_napari_viewer, plugin, _drawn_icons):
    """A napari window with this plugin; on the screen, unless the test is marked ``drawn(False)``.

    Drawing costs most of a test's time, and most of the plugin does not know the difference.
    """
    marker = request.node.get_closest_marker("drawn")
    if marker is not None and not marker.args[0]:
        return make_napari_viewer(show=False)
    shown = make_napari_viewer(show=True)
    shown.window.resize(1366, 768)
    return shown
