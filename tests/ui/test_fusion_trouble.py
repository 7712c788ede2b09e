"""What can go wrong is said in the panel, in words and before it runs; nothing hangs, nothing is lost."""

from itertools import cycle

import numpy as np
import pytest
import tifffile
import torch

from napari_xfusion.core.check import check
from napari_xfusion.core.networks.weights import save_model
from napari_xfusion.core.plan import FLAWS, make_plan
from napari_xfusion.core.run import fuse_files
from napari_xfusion.ui.shared.layers import derived_layer
from napari_xfusion.ui.shared.words import in_window_words
from tests.core.networks.test_engine import Limited, loaded
from tests.core.rig.test_misfit import cameras
from tests.sequences import moving_discs, two_cameras
from tests.ui.samples import wait
from tests.ui.sequences import Pace, ended, fused_layer, open_panel, settled

pytestmark = pytest.mark.drawn(False)
resource = pytest.importorskip("resource", reason="needs POSIX")
LR, HR, TIMES = two_cameras((moving_discs(12, (32, 48)) * 20000).astype(np.uint16), step=4)
LR = LR.astype(np.uint16)
COMMON = {"contrast_limits": (0, 20000), "rgb": False}


@pytest.fixture
def panel_on(make_napari_viewer, plugin, qtbot):
    """A panel on two arrays; asked again, the same panel with others in their place."""
    opened = []

    def make(lr, hr, times=TIMES):
        viewer = opened[0] if opened else make_napari_viewer(show=False)
        viewer.layers.clear()
        for name, sequence in (("LR", lr), ("HR", hr)):
            if sequence is not None:
                viewer.add_image(
                    sequence, name=name, **(COMMON if sequence.shape[-1] != 3 else {"rgb": True})
                )
        if not opened:
            opened.extend((viewer, open_panel(viewer, qtbot)))
        panel = opened[1]
        if lr is not None and hr is not None:
            panel.data.lr.choose(viewer.layers["LR"])
            panel.data.hr.choose(viewer.layers["HR"])
        panel.method.method.setCurrentText("flow")
        panel.alignment.pairing["hr_times"].value = ", ".join(f"{t:g}" for t in times or ())
        settled(panel, qtbot)
        return panel

    return make


def refused(panel):
    """Why the panel does not run: shown once, beside the buttons, which are off."""
    run, preview = panel.run_box.run, panel.run_box.preview
    assert not run.isEnabled()
    assert not preview.isEnabled()
    assert all(panel._problem in button.toolTip() for button in (run, preview))
    assert panel.run_box.status.text()
    assert panel.run_box.status.text() not in panel.check.words
    return panel._problem


COLOUR = np.zeros((6, 8, 12, 3), np.uint8)
REFUSED = {
    "nothing open": (None, None, None, "no image sequence is open"),
    "one sequence": (LR, None, None, "only one sequence is open, LR"),
    "another field of view": (LR, HR[:, :20], TIMES, "one scale for both axes"),
    "swapped": (HR, LR, None, "swapped"),
    "no times": (LR, HR, None, "Give HR step (and HR start), or HR times."),
    "a time too few": (LR, HR, TIMES[:-1], "HR times: expected 4 times"),
    "a time behind the sequence": (LR, HR, (0, 4, 8, 40), "inside the LR sequence"),
    "one HR frame": (LR, HR[:1], (0,), "at least 2 HR frames"),
    "one LR frame": (LR[:1], HR, TIMES, "inside the LR sequence"),
    "RGB": (COLOUR, HR, TIMES, "found colour"),
    "a mask": (LR > 5, HR, TIMES, "grey values"),
    "four axes": (LR[None].repeat(2, 0), HR, TIMES, "one axis besides Y and X"),
    "an axis after time": (LR[:, None], HR, TIMES, "third axis from the end"),
    "RGB alone is not selected": (COLOUR, None, None, "found colour"),
}
"""LR, HR, HR times, and what the panel says."""


def test_sequences_that_cannot_be_fused(panel_on):
    for case, (lr, hr, times, said) in REFUSED.items():
        assert said in refused(panel_on(lr, hr, times)), case
    panel = panel_on(LR[0], HR)
    assert "inside the LR sequence" in refused(panel)
    panel._viewer.dims.set_current_step(0, 2)  # the slider moves while a picture is chosen
    # A result larger than memory asks for a file.
    coarse = np.random.default_rng(0).integers(0, 20000, (64, 96), np.uint16)
    sharp = np.broadcast_to(coarse.repeat(4, axis=0).repeat(4, axis=1), (3, 256, 384))
    endless = np.broadcast_to(coarse, (2_000_000, 64, 96))
    panel = panel_on(endless, sharp, (0, 4, 8))
    assert "393 GB of free memory" in refused(panel)
    assert "Write to a file" in refused(panel)


UNPAIRED = {
    "another field of view": (LR, HR[:, :20], "one scale for both axes"),
    "one HR frame": (LR, HR[:1], "at least 2 HR frames"),
    "no times": (LR, LR[:5].repeat(4, 1).repeat(4, 2), "does not hold the times of the HR frames"),
    "more HR frames than LR frames": (LR[:3], HR, "does not hold the times of the HR frames"),
}


def test_two_sequences_that_do_not_pair_are_chosen_and_it_is_said_why(make_napari_viewer, plugin, qtbot):
    viewer, panel = make_napari_viewer(show=False), None
    for (case, (lr, hr, said)), order in zip(UNPAIRED.items(), cycle([1, -1])):
        viewer.layers.clear()
        for name, sequence in (("LR", lr), ("HR", hr))[::order]:
            viewer.add_image(sequence, name=name, **COMMON)
        panel = panel or open_panel(viewer, qtbot)
        settled(panel, qtbot)
        assert (panel.data.lr.currentText(), panel.data.hr.currentText()) == ("LR", "HR"), case
        assert said in refused(panel), case

    # One that fits takes the place of one that does not.
    viewer.layers.clear()
    for name, sequence in (("other", HR[:1]), ("LR", LR)):
        viewer.add_image(sequence, name=name, **COMMON)
    settled(panel, qtbot)
    assert panel.data.hr.currentText() == "other"
    viewer.add_image(HR, name="HR", **COMMON)
    settled(panel, qtbot)
    assert (panel.data.lr.currentText(), panel.data.hr.currentText()) == ("LR", "HR")


def test_layers_that_are_no_input_are_named_or_not_offered(make_napari_viewer, plugin, qtbot):
    viewer = make_napari_viewer(show=False)
    labels = viewer.add_labels(np.zeros((6, 8, 12), np.uint8), name="cells")
    panel = open_panel(viewer, qtbot)
    assert "found a Labels layer" in refused(panel)
    viewer.layers.remove(labels)
    layers = {name: viewer.add_image(x, name=name, **COMMON) for name, x in (("LR", LR), ("HR", HR))}
    roles = ("fused", "difference", "baseline", "attention", "consistency", "std", "sequence")
    for role in roles:  # the last one as a wipe has it
        made = derived_layer(layers["HR"], HR, name=role, role=role)
        viewer.add_image(made.data, **made.options)
    viewer.layers.reverse()
    panel.data.guess()
    settled(panel, qtbot)
    for combo, name in ((panel.data.lr, "LR"), (panel.data.hr, "HR")):
        assert combo.currentText() == name
        assert {combo.itemText(k) for k in range(combo.count())} == {"select a sequence", "LR", "HR"}
    viewer.layers.remove(layers["LR"])
    settled(panel, qtbot)
    assert panel.data.lr.layer() is None
    assert "only one sequence is open, HR" in refused(panel)
    viewer.add_shapes(name="region")
    settled(panel, qtbot)
    assert panel.data.lr.layer() is None


def test_fields_that_cannot_be(panel_on, tmp_path, qtbot):
    """Times that are no numbers, frames in the wrong order, missing and foreign weights, and outputs."""
    panel = panel_on(LR, HR)
    for text in ("0, four", "a,b"):
        panel.alignment.pairing["hr_times"].value = text
        settled(panel, qtbot)
        assert refused(panel).startswith("HR times: expected numbers such as")
        assert "Errno" not in refused(panel)
    panel.alignment.pairing["hr_times"].value = "0 4 8 11"
    settled(panel, qtbot)
    assert panel.run_box.run.isEnabled()
    assert panel.run_box.status.text() == ""
    panel.alignment.pairing["hr_times"].value = "0,5; 4,5; 8,5; 9,5"
    settled(panel, qtbot)
    assert panel.alignment.values()["hr_times"] == (0.5, 4.5, 8.5, 9.5)

    panel = panel_on(LR, HR)
    panel.method.method.setCurrentText("edvr-stf")
    panel.method.choose_model(str(tmp_path / "gone.safetensors"))
    settled(panel, qtbot)
    assert "gone.safetensors: no model has this name" in refused(panel)
    other = loaded("edvr")
    save_model(tmp_path / "other.safetensors", other.network, other.card)
    panel.method.choose_model(str(tmp_path / "other.safetensors"))
    settled(panel, qtbot)
    assert "this is a model of edvr, not of edvr-stf" in refused(panel)

    panel = panel_on(LR, HR)
    panel.output.first.setValue(9)
    panel.output.last.setValue(4)
    settled(panel, qtbot)
    assert refused(panel).startswith("Frames: the first frame is 9, the last one 4.")
    panel.output.first.setValue(0)
    panel.output.destination.setCurrentText("file")
    for name, said in (
        ("", "no file name"),
        ("fused.png", "a name that ends in .tif"),
        ("nowhere/fused.tif", "folder does not exist"),
    ):
        panel.output.path.setText(str(tmp_path / name) if name else "")
        settled(panel, qtbot)
        assert said in refused(panel)

    # Two names that look the same where the field is narrow are two names.
    panel.output.path.setFixedWidth(30)
    for folder in ("first", "second"):
        output = tmp_path / folder / "fused.tif"
        output.parent.mkdir()
        panel.output.path.setText(str(output))
        settled(panel, qtbot)
        assert panel._request.output == output


def test_another_result_is_kept_unless_it_is_to_be_replaced(panel_on, tmp_path, qtbot):
    output = tmp_path / "fused.tif"
    fuse_files(make_plan(method="bicubic", hr_times=TIMES), LR, HR, output)
    before = output.read_bytes()
    panel = panel_on(LR, HR)
    panel.output.destination.setCurrentText("file")
    panel.output.path.setText(str(output))
    settled(panel, qtbot)
    assert "tick Overwrite" in refused(panel)
    panel.method.method.setCurrentText("bicubic")  # the same run's own
    settled(panel, qtbot)
    assert panel.run_box.run.isEnabled()
    panel.method.method.setCurrentText("flow")
    panel.output.overwrite.setChecked(True)
    settled(panel, qtbot)
    panel.run_box.run.click()
    ended(panel, qtbot)
    assert "Done: 12 frames" in panel.run_box.status.text()
    assert output.read_bytes() != before


@pytest.mark.parametrize("name", ["fused.tif", "fused.zarr"])
def test_a_disk_that_is_full(panel_on, tmp_path, name, qtbot):
    """RLIMIT_FSIZE stands for it: told, what was done is kept, and goes on when there is room."""
    lr, hr, times = two_cameras((moving_discs(60, (32, 48)) * 20000).astype(np.uint16), step=4)
    panel = panel_on(lr, hr, times)
    panel.output.destination.setCurrentText("file")
    panel.output.path.setText(str(tmp_path / name))
    settled(panel, qtbot)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A TIFF is refused at once; of a Zarr only the journal grows, until it may no more.
    resource.setrlimit(resource.RLIMIT_FSIZE, (3500, before[1]))
    try:
        panel.run_box.run.click()
        wait(qtbot, lambda: not panel.runner.busy)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    said = panel.run_box.status.text()
    assert "permission to write, found 'File too large'" in said
    assert ("frames are saved" in said) == (name == "fused.zarr")
    ended(panel, qtbot)
    panel.run_box.run.click()
    ended(panel, qtbot)
    assert "Done: 60 frames" in panel.run_box.status.text()
    (tmp_path / "expected").mkdir()
    fuse_files(make_plan(method="flow", hr_times=times), lr, hr, tmp_path / "expected" / "fused.tif")
    fused = fused_layer(panel._viewer)
    np.testing.assert_array_equal(
        np.asarray(fused.data), tifffile.imread(tmp_path / "expected" / "fused.tif")
    )


def test_an_output_taken_away_is_not_said_to_be_kept(panel_on, tmp_path, monkeypatch, qtbot):
    pace = Pace(monkeypatch)
    panel = panel_on(LR, HR)
    panel.output.destination.setCurrentText("file")
    panel.output.path.setText(str(tmp_path / "fused.tif"))
    settled(panel, qtbot)
    panel.run_box.run.click()
    pace.allow(2)
    wait(qtbot, lambda: panel.run_box.progress.value() == 2)
    for path in tmp_path.glob("fused.tif.*"):
        path.unlink()
    pace.allow()
    ended(panel, qtbot)
    said = panel.run_box.status.text()
    assert said.startswith("fused.tif: expected space and permission to write")
    assert "kept" not in said


def test_memory_that_runs_out_is_told_and_done_in_smaller_tiles(panel_on, tmp_path, monkeypatch, qtbot):
    """The real engine on a network that runs out of memory above a tile size."""
    from napari_xfusion.core.networks import engine as network

    sequence = np.tile(moving_discs(4, (32, 64)), (1, 1, 18))
    lr, hr, times = two_cameras(sequence, step=3)
    weights = loaded()
    save_model(tmp_path / "mine.safetensors", weights.network, weights.card)
    load, limit = network.load_model, [8 * 280]

    def limited(path):
        whole = load(path)
        error = torch.OutOfMemoryError("CUDA out of memory")
        return whole._replace(network=Limited(whole.network, limit[0], error))

    monkeypatch.setattr(network, "load_model", limited)
    panel = panel_on(lr, hr, times)
    panel.method.method.setCurrentText("edvr-stf")
    panel.method.choose_model(str(tmp_path / "mine.safetensors"))
    panel.method.options["device"].value = "cpu"
    settled(panel, qtbot)
    panel.run_box.run.click()
    ended(panel, qtbot)
    said = panel.run_box.status.text()
    assert "Done: 4 frames" in said
    assert "Memory ran out" in said
    assert fused_layer(panel._viewer).name == "LR · fused (mine)"
    limit[0] = 0  # and where no tile is small enough
    panel.method.options["separation"].value = 2
    settled(panel, qtbot)
    panel.run_box.run.click()
    ended(panel, qtbot)
    assert "smaller model" in panel.run_box.status.text()
    assert panel.run_box.run.isEnabled()


def test_a_device_that_is_missing_is_reported_before_the_run(panel_on, qtbot, tmp_path):
    """In the words of ``check``, with the name of the field."""
    lr, hr, times = two_cameras(np.tile(moving_discs(4, (32, 64)), (1, 1, 2)), step=3)
    missing = "mps" if torch.cuda.is_available() else "cuda"
    panel = panel_on(lr, hr, times)
    panel.method.options["device"].value = missing
    settled(panel, qtbot)
    assert panel.run_box.run.isEnabled()  # the method without a network does not use it
    panel.method.method.setCurrentText("lite")
    settled(panel, qtbot)
    said = refused(panel)
    problem = check(make_plan(method="lite", device=missing, hr_times=tuple(times)), lr, hr).problem
    assert problem.setting == "device"
    assert said == in_window_words(problem)
    panel.method.options["device"].value = "auto"
    settled(panel, qtbot)
    assert panel.run_box.run.isEnabled()


def test_a_misfit_of_the_cameras_is_corrected_by_one_click(panel_on, qtbot):
    lr, hr, times = cameras("advected", 1, shift=(1.0, -1.5))
    panel = panel_on(lr, hr, times.tolist())
    button = panel.check.mend
    assert "LR pixels to the left" in panel.check.words
    assert not button.isHidden()
    assert button.text() == "Correct placement"
    button.click()
    settled(panel, qtbot)
    assert panel.method.options["align"].value
    assert not panel.method.advanced.isHidden()
    assert panel._request.plan.correct == (*FLAWS, "shift", "turn", "scale")
    assert "resampled" in panel.check.words
    assert button.isHidden()
    assert panel.run_box.run.isEnabled()
