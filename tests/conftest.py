"""What every test shares."""

import gc
import os
from itertools import count

import pytest
from hypothesis import settings

# Small tensors on many threads, in several test processes at once, would mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No example of a property has a time limit: it would depend on how busy the machine is.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
# napari keeps settings in memory only; it looks once, when it is imported.
os.environ["NAPARI_CONFIG"] = ""

_HOMES = count()


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory, monkeypatch):
    """No test reads or writes the user's own folders."""
    home = tmp_path_factory.getbasetemp() / f"home-{next(_HOMES)}"  # mktemp would look through all before
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Each worker gets neighbouring tests, which share fixtures, and takes over from others at the end."""
    if config.getoption("dist") != "load":  # by request
        return None
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


def pytest_collection_finish():
    """Modules and the list of tests live as long as the process: no later garbage collection looks at them again.

    Each window of napari makes so many objects that Python would collect dozens of times in each test.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Long tests first, the others in their random order."""
    items.sort(key=lambda item: item.get_closest_marker("early") is None)


def pytest_addoption(parser):
    parser.addoption("--pictures", metavar="FOLDER", help="save the pictures of the documentation there")


@pytest.fixture(scope="module")
def one_thread():
    """Torch on one thread of the processor."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
