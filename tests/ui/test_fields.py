"""Flats and darks in the Fusion panel: the values of the command line, in layers, findings, record and command."""

import shlex

import numpy as np
import pytest
import tifffile

from napari_xfusion.cli import main
from napari_xfusion.core.recordings import Fields, open_stack
from napari_xfusion.core.types import Region
from napari_xfusion.errors import InputError
from napari_xfusion.ui.fusion.fields_section import OFF, Entered
from napari_xfusion.ui.inspection.sequences import guess, pairing_problem
from napari_xfusion.ui.shared.files_edit import join_paths, split_paths
from napari_xfusion.ui.shared.provenance import provenance_of, stack_of
from tests.ui.sequences import ended, fused_layer, open_panel, open_sequences, settled, write_sequences

pytestmark = pytest.mark.drawn(False)
TEXTS = {
    "nothing": (Entered(), Fields()),
    "files": (
        Entered("/d/before.tif; /d/after 2.tif", "dark.h5::/d", "mean"),
        Fields(("/d/before.tif", "/d/after 2.tif"), ("dark.h5::/d",), "mean"),
    ),
    "own": (Entered("own", " own ;", "0:40, 0:128"), Fields(("own",), ("own",), Region(0, 40, 0, 128))),
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts_are_the_values_of_the_command_line(name):
    entered, fields = TEXTS[name]
    assert entered.fields("LR") == fields
    assert Entered.of(fields).fields("LR") == fields


def test_a_region_that_is_none_and_a_name_with_the_separator(tmp_path):
    with pytest.raises(InputError, match=r"found 0-40"):
        Entered(beam="0-40").fields("HR")
    odd = tmp_path / "a;b.tif"
    odd.touch()
    assert split_paths(str(odd)) == (str(odd),)
    assert split_paths(join_paths(["a", "b c"])) == ("a", "b c")


@pytest.fixture
def files(tmp_path):
    """LR and HR, HR with the shading of a flat and on a dark."""
    _, hr = write_sequences(tmp_path / "melt01", frames=9)
    frames = tifffile.imread(hr).astype(np.float32)
    gain = np.linspace(0.5, 1.5, frames.shape[2], dtype=np.float32)[None, None] * np.ones_like(frames[:1])
    recorded = {"hr": frames * gain + 100, "flat": 20000 * gain + 100, "dark": np.full_like(gain, 100)}
    for name, data in recorded.items():
        tifffile.imwrite(
            tmp_path / "melt01" / f"{name}.tif", data.round().astype("u2"), photometric="minisblack"
        )
    return tmp_path / "melt01"


def entered(panel, files, qtbot):
    panel.alignment.pairing["hr_step"].value = 4
    panel.data.fields.flats["HR"].set_paths([str(files / "flat.tif")])
    panel.data.fields.darks["HR"].set_paths([str(files / "dark.tif")])
    panel.data.fields.beams["HR"].setCurrentText("mean")
    settled(panel, qtbot)


def test_layers_findings_run_record_and_command_use_them(viewer, files, qtbot, tmp_path, capsys):
    open_sequences(viewer, (files / "lr.tif", files / "hr.tif"))
    panel = open_panel(viewer, qtbot)
    panel.method.method.setCurrentText("bicubic")
    entered(panel, files, qtbot)
    fields = Fields((str(files / "flat.tif"),), (str(files / "dark.tif"),), "mean")
    expected = open_stack(files / "hr.tif", fields=fields)
    hr = panel.data.hr.layer()
    np.testing.assert_array_equal(hr.data[8], expected.frame(2))
    assert hr.contrast_limits[1] < 2
    before = panel._request
    panel.data.refresh.click()
    settled(panel, qtbot)
    assert panel.run_box.status.text() == "Read again: no new frames."
    assert panel._request.key == before.key  # an interrupted run can be resumed
    found = panel.data.table.words
    assert "type uint16 float32" in found
    assert "corrected by – flat.tif, dark.tif" in found
    panel.output.destination.setCurrentText("file")
    panel.output.path.setText(str(tmp_path / "window.tif"))
    settled(panel, qtbot)
    panel.run_box.run.click()
    ended(panel, qtbot)
    assert "Done: 9 frames" in panel.run_box.status.text()
    fused = fused_layer(viewer)
    recorded = provenance_of(fused).record
    assert recorded.rig.hr.recording.options.fields == fields
    assert [path for path, _ in recorded.inputs["hr"].fields.items()] == [*fields.flats, *fields.darks]
    panel.export.sequence.choose(fused)
    command = panel.export.command()

    panel.data.fields.restore([Entered(), Entered()])
    settled(panel, qtbot)
    np.testing.assert_array_equal(hr.data[8], tifffile.imread(files / "hr.tif")[2])
    assert panel.export.command() == command  # of the result, not of what the layers show now
    assert "fused with other flats and darks" in pairing_problem(guess(viewer.layers))
    words = shlex.split(command)[1:]
    words[words.index("-o") + 1] = str(tmp_path / "command.tif")
    assert main(words) == 0, capsys.readouterr().err
    assert (tmp_path / "command.tif").read_bytes() == (tmp_path / "window.tif").read_bytes()


def test_what_is_wrong_is_said_and_the_layer_stays(viewer, files, qtbot):
    open_sequences(viewer, (files / "lr.tif", files / "hr.tif"))
    panel = open_panel(viewer, qtbot)
    before = panel.data.hr.layer().data
    for edit, text, reason in (
        (panel.data.fields.flats["HR"].setText, str(files / "gone.tif"), "gone.tif"),
        (panel.data.fields.flats["HR"].setText, str(files / "lr.tif"), "a flat of 128 x 192 pixels"),
        (panel.data.fields.flats["HR"].setText, "own", "contains no flats and darks of its own"),
        (panel.data.fields.beams["HR"].setCurrentText, "0-40", "HR beam"),
    ):
        edit(text)
        settled(panel, qtbot)
        assert reason in panel.run_box.status.text()
        assert not panel.run_box.run.isEnabled()
        assert panel.data.hr.layer().data is before
        panel.data.fields.restore([Entered(), Entered()])
        settled(panel, qtbot)
        assert panel.data.fields.beams["HR"].currentText() == OFF


def test_they_belong_to_a_pair_and_are_there_in_the_next_session(make_napari_viewer, plugin, files, qtbot):
    viewer = make_napari_viewer(show=False)
    open_sequences(viewer, (files / "lr.tif", files / "hr.tif"))
    entered(open_panel(viewer, qtbot), files, qtbot)
    viewer.close()
    viewer = make_napari_viewer(show=False)
    open_sequences(viewer, (files / "lr.tif", files / "hr.tif"))
    panel = open_panel(viewer, qtbot)
    assert panel.data.fields.entered()[1] == Entered(str(files / "flat.tif"), str(files / "dark.tif"), "mean")
    assert stack_of(panel.data.hr.layer()).dtype == np.float32
    viewer.add_image(np.ones((3, 128, 192), "u2"), name="other")
    panel.data.hr.choose(viewer.layers["other"])
    settled(panel, qtbot)
    assert panel.data.fields.entered()[1] == Entered()
