"""Real windows for tests, and a guard against what they leave behind: threads, timers, widgets."""

from __future__ import annotations

import gc
import os
import platform
import threading

import pytest

TEMPORARY_THREADS = ("pydev", "TMonitor", "tqdm_monitor", "zarr_io", "asyncio")
"""Threads that libraries keep for the life of the process: debuggers, tqdm, zarr."""


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
    """A test with a window leaves no thread, no running timer and no top-level widget behind."""
    if "make_napari_viewer" not in request.fixturenames:
        yield
        return
    from qtpy.QtCore import QThreadPool
    from qtpy.QtWidgets import QApplication

    before = _threads()
    yield
    if request.node.rep_call.failed:
        return  # its own failure is what has to be read
    QThreadPool.globalInstance().waitForDone(2000)
    application = QApplication.instance()
    for _ in range(3):  # deleteLater needs the event loop, and what it deletes may delete more
        application.sendPostedEvents(None, 52)  # QEvent.DeferredDelete
        application.processEvents()
    gc.collect()
    left = sorted(thread.name for thread in _threads() - before)
    assert not left, f"threads left behind: {left}"
    assert not _timers(), f"timers left running: {_timers()}"
    widgets = [w for w in application.topLevelWidgets() if w.isVisible()]
    assert not widgets, f"windows left open: {widgets}"


@pytest.fixture
def plugin(plugin_settings, npe2pm):
    """This plugin and napari's own readers, with settings of their own."""
    from npe2 import PluginManifest

    for name in ("napari", "napari-xfusion"):
        npe2pm.register(PluginManifest.from_distribution(name))


@pytest.fixture
def viewer(make_napari_viewer, plugin):
    """A visible napari window with this plugin."""
    from napari.resources._icons import build_theme_svgs

    for theme in ("dark", "light"):  # napari did so when it was imported, into another cache
        build_theme_svgs(theme, "builtin")
    shown = make_napari_viewer(show=True)
    shown.window.resize(1366, 768)
    return shown


def _threads() -> set[threading.Thread]:
    """Threads at work, without dask's, which it ends at its next use, and strangers that only passed by."""
    import dask.threaded

    pools = [pool for each in dask.threaded.pools.values() for pool in each.values()]
    kept = {thread for pool in (dask.threaded.default_pool, *pools) if pool for thread in pool._threads}
    return {
        thread
        for thread in set(threading.enumerate()) - kept
        if not isinstance(thread, threading._DummyThread) and not thread.name.startswith(TEMPORARY_THREADS)
    }


def _timers() -> list[str]:
    """Timers that still run, by the object they belong to."""
    from qtpy.QtCore import QTimer

    running = []
    for thing in gc.get_objects():
        if issubclass(type(thing), QTimer):  # isinstance would ask the thing, and some answer by warning
            try:
                if thing.isActive() and not thing.isSingleShot():
                    running.append(repr(thing.parent() or thing))
            except RuntimeError:  # its C++ half is gone, and it with it
                continue
    return running
