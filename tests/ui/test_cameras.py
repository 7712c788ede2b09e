"""From a Shimadzu folder (LR) and a Phantom .cine (HR) dropped on the window to exported frames."""

from itertools import pairwise

import numpy as np
import pytest
import tifffile

from napari_xfusion.cli import main
from napari_xfusion.core.recordings import open_stack
from napari_xfusion.ui.shared import compat
from napari_xfusion.ui.shared.provenance import provenance_of
from tests.cameras import SECOND, SHARED, write_cine, write_ini
from tests.sequences import binned, moving_discs
from tests.ui.samples import wait
from tests.ui.sequences import ended, fused_layer, open_panel, settled

pytestmark = pytest.mark.drawn(False)
STEP = 4
PERIOD = 10_000
"""Nanoseconds from one LR frame to the next."""


def write_cameras(folder, frames):
    """An export of a Shimadzu, whose times are not quite even, and a .cine of every fourth frame."""
    lr = folder / "TIFF16" / "HPVX"
    lr.mkdir(parents=True)
    for i, frame in enumerate(binned(frames)):
        tifffile.imwrite(
            lr / f"HPVX_{i + 1:03}.tiff", frame.astype("u2"), photometric="minisblack", metadata=None
        )
    write_ini(lr / "HPVX.ini", [i * PERIOD + i % 3 * 10 for i in range(len(frames))])
    trigger, sharp = 1_600_000_000 * SECOND, frames[::STEP].astype("u2")
    stamps = [trigger + (i * STEP * PERIOD + 5000) * SECOND // 10**9 & ~3 for i in range(len(sharp))]
    return lr, write_cine(folder / "shot.cine", sharp, stamps=stamps, trigger=trigger)


@pytest.fixture(params=["synthetic", "a camera's"])
def recordings(request, tmp_path):
    """LR and HR; the second pair has the frames of a real .cine, and LR binned from them."""
    if request.param == "synthetic":
        return write_cameras(tmp_path, moving_discs(13, (64, 96)) * 3000 + 500)
    place = SHARED / "pims_cine_781.cine"
    if not place.exists():
        pytest.skip("the recordings of real cameras are not on this machine")
    hr = open_stack(place)
    frames = np.stack([hr.frame(i)[:64, :96] for i in range(3)]).astype(np.float32)
    between = np.concatenate([np.linspace(a, b, STEP, endpoint=False) for a, b in pairwise(frames)])
    return write_cameras(tmp_path, np.concatenate([between, frames[-1:]]))


def test_times_of_the_stamps_go_from_the_files_to_the_export(recordings, viewer, qtbot, tmp_path):
    # The recordings come first: napari's fixture ends with an error where a skip follows its viewer.
    lr, hr = recordings
    viewer.open([str(lr), str(hr)], plugin="napari-xfusion", stack=False)
    panel = open_panel(viewer, qtbot)
    panel.method.method.setCurrentText("flow")
    settled(panel, qtbot)
    assert "the frame intervals suggest a step of" in panel.run_box.status.text()
    panel.alignment.pairing["hr_step"].value = STEP
    settled(panel, qtbot)
    assert panel.run_box.run.isEnabled(), panel.run_box.status.text()
    assert "interval 10 µs 40 µs" in panel.data.table.words
    panel.alignment.pairing["hr_time_offset"].value = 2_500
    settled(panel, qtbot)

    viewer.dims.set_current_step(0, 5)
    wait(qtbot, lambda: compat.text_overlay(viewer).text.startswith("frame 5"))
    assert compat.text_overlay(viewer).text == "frame 5 · 50.02 µs · HR 1 at 42.51 µs"
    panel.run_box.preview.click()
    wait(qtbot, lambda: any("preview" in layer.name for layer in viewer.layers))
    panel.run_box.run.click()
    ended(panel, qtbot)
    fused = fused_layer(viewer)
    record = provenance_of(fused).record
    assert record.plan.hr_time_offset == 2_500
    times = record.rig.fast.clock.times_ps
    assert [times[i] for i in (1, 2, 3)] == [10_010_000, 20_020_000, 30_000_000]
    panel.export.sequence.choose(fused)
    panel.export.export_sequence(tmp_path / "exported.nxs")
    wait(qtbot, lambda: "saved" in panel.export.status.text())
    exported = open_stack(tmp_path / "exported.nxs")
    assert list(exported.clock.times_ps) == list(times)
    command = [
        "fuse",
        str(lr),
        str(hr),
        "--hr-step",
        "4",
        "--hr-time-offset",
        "2500",
        "--method",
        "flow",
        "-o",
        str(tmp_path / "command.nxs"),
    ]
    assert main(command) == 0
    commands = open_stack(tmp_path / "command.nxs")
    assert list(commands.clock.times_ps) == list(times)
    np.testing.assert_array_equal(exported.frame(5), commands.frame(5))
