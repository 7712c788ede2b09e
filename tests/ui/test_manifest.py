"""What napari reads of the package: it is valid, all of it can be imported, and none of it costs torch."""

import subprocess
import sys

import npe2.cli
import pytest
from npe2 import PluginManifest
from qtpy.QtWidgets import QLabel
from typer.testing import CliRunner

from napari_xfusion.lab.demo import sample_sequence
from napari_xfusion.ui.shared import compat
from tests.ui.conftest import PREFERENCES

PLUGIN = "napari-xfusion"


@pytest.fixture
def manifest():
    return PluginManifest.from_distribution(PLUGIN)


def test_the_manifest_is_valid():
    done = CliRunner().invoke(npe2.cli.app, ["validate", PLUGIN])
    assert done.exit_code == 0, done.output


def test_everything_named_in_the_manifest_can_be_imported(manifest):
    manifest.validate_imports()


def test_reading_sequences_imports_no_torch():
    code = f"""
import sys
from napari_xfusion.ui.plugin.reader import get_reader
from napari_xfusion.ui.plugin.sample import sample_layers
path = {str(sample_sequence("lr"))!r}
assert len(get_reader(path)(path)) == 1
assert len(sample_layers()) == 3
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"torch", "pyqtgraph", "av"}


def test_preferences_have_the_defaults_of_the_manifest_and_are_kept(plugin_settings, npe2pm, manifest):
    from napari_xfusion.ui.shared.preferences import Preferences, preferences

    npe2pm.register(manifest)
    assert preferences() == Preferences("auto", "auto", 2.0, "blue-orange", "inferno")
    settings = compat.plugin_settings(PLUGIN)
    settings.computing.device = "cpu"
    settings.colours.heat = "magma"
    assert preferences() == Preferences("cpu", "auto", 2.0, "blue-orange", "magma")
    if PREFERENCES:
        assert "device: cpu" in settings.config_path.read_text()
    with pytest.raises(ValueError, match=r"enum|literal"):
        settings.computing.device = "abacus"


def test_preferences_are_read_without_another_search_for_plugins():
    """It parses the manifest of every plugin, while the window waits; napari has searched when it started."""
    code = """
from npe2 import PluginManager, PluginManifest
manager = PluginManager.instance()
manager.discover()
PluginManifest.discover = None
from napari_xfusion.ui.shared.preferences import preferences
assert preferences().heat == "inferno"
assert manager.discover.__self__ is manager
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_a_page_of_preferences_the_manifest_s_defaults_hold():
    compat._defaults.cache_clear()
    settings = compat._defaults(PLUGIN)
    assert settings.computing.model_dump() == {"device": "auto", "precision": "auto", "memory": 2.0}
    assert settings.colours.model_dump() == {"difference": "blue-orange", "heat": "inferno"}
    with pytest.raises(ValueError, match=r"enum|literal"):
        settings.computing.device = "abacus"
    compat._defaults.cache_clear()


def test_every_colour_that_can_be_chosen_is_one_of_naparis(manifest):
    from napari.utils.colormaps import AVAILABLE_COLORMAPS

    choices = manifest.contributions.configurations["colours"].properties
    for name in ("difference", "heat"):
        assert {*choices[name].enum} - {"blue-orange"} <= {*AVAILABLE_COLORMAPS}


@pytest.mark.skipif(not PREFERENCES, reason="this napari has no Preferences page for plugins")
def test_the_preferences_are_a_page_of_naparis_own_dialog(viewer, qtbot):
    from napari._qt.dialogs.preferences_dialog import PreferencesDialog

    dialog = PreferencesDialog(viewer.window._qt_window)
    qtbot.addWidget(dialog)
    pages = [dialog._list.item(row).text() for row in range(dialog._list.count())]
    page = dialog._stack.widget(pages.index(PLUGIN))
    texts = {label.text() for label in page.findChildren(QLabel)}
    assert {"Device", "Precision", "Memory for results (GB)"} <= texts, texts
