"""Recordings that another program is writing: what is complete is shown, Refresh shows the rest, no writer waits."""

import subprocess
import sys

import numpy as np
import pytest
import tifffile

from napari_xfusion.ui.shared.provenance import stack_of
from tests.ui.samples import wait
from tests.ui.sequences import ended, fused_layer, open_panel, settled, write_sequences
from tests.ui.test_menus import run

pytestmark = pytest.mark.drawn(False)
BEGIN = """
import sys, numpy as np
from pathlib import Path
def wait(count):
    print(count, flush=True)
    sys.stdin.readline()
place, frames = Path(sys.argv[1]), np.load(sys.argv[2])
"""
"""The writer goes on when it is told to."""
WRITERS = {
    "lr.h5": """
import h5py
with h5py.File(place, "w", libver="latest") as file:
    shape = frames.shape[1:]
    data = file.create_dataset("entry/data", (0, *shape), "u2", maxshape=(None, *shape), chunks=(1, *shape))
    file.swmr_mode = True
    for count in (9, 12, 13):
        data.resize(count, axis=0)
        if count < 13:
            data[:] = frames[:count]
        data.flush()
        wait(count)
""",
    "lr": """
import tifffile
place.mkdir()
done = 0
for count in (9, 12, 13):
    for k in range(done, count):
        tifffile.imwrite(place / f"f{k:03}.tif", frames[k])
    done = count
    if count == 13:
        last = place / "f012.tif"
        last.write_bytes(last.read_bytes()[:200])
    wait(count)
""",
}


@pytest.mark.parametrize("name", WRITERS)
def test_refresh_shows_what_was_written_since(viewer, qtbot, tmp_path, name):
    if name.endswith(".h5"):
        pytest.importorskip("h5py", reason="h5py (extra hdf5) is not installed")
    lr, hr = write_sequences(tmp_path / "melt01", frames=12, shape=(48, 64))
    frames = tifffile.imread(lr)
    frames = np.concatenate([frames, frames[:1]])
    np.save(tmp_path / "frames.npy", frames)
    place = tmp_path / name
    command = [sys.executable, "-c", BEGIN + WRITERS[name], str(place), str(tmp_path / "frames.npy")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:

        def written(count):
            """The writer has got so far, with all that the window has open."""
            assert writer.stdout.readline().strip() == str(count)

        def go_on():
            writer.stdin.write("\n")
            writer.stdin.flush()

        written(9)
        viewer.open([str(place), str(hr)], plugin="napari-xfusion", stack=False)
        panel = open_panel(viewer, qtbot)
        panel.method.method.setCurrentText("bicubic")
        settled(panel, qtbot)
        layer = panel.data.lr.layer()
        assert (len(layer.data), panel.output.last.value()) == (9, 8)
        go_on()
        written(12)
        panel.data.refresh.click()
        settled(panel, qtbot)
        assert (len(layer.data), len(panel.data.hr.layer().data), panel.output.last.value()) == (12, 12, 11)
        np.testing.assert_array_equal(layer.data[11], frames[11])
        assert "LR +3 frames" in panel.run_box.status.text()
        panel.run_box.run.click()
        ended(panel, qtbot)
        assert len(fused_layer(viewer).data) == 12
        go_on()
        written(13)
        before = stack_of(layer)
        run("refresh")  # the last one is not complete: it does not appear
        assert stack_of(layer) is not before
        assert len(layer.data) == 12
        wait(qtbot, lambda: bool(panel._request and panel._request.sequences[0] is stack_of(layer)))
        settled(panel, qtbot)
        assert ("not complete" in panel.check.words) == (name == "lr")
        go_on()
    assert writer.returncode == 0
