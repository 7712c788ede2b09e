"""Sequences dropped on a real window, opened from code and from the command palette's readers."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari._qt.dialogs.qt_reader_dialog import QtReaderDialog
from napari.settings import get_settings
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent

from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.recordings import open_stack
from napari_xfusion.core.results.record import RunRecord
from napari_xfusion.core.run import fuse_files
from napari_xfusion.core.types import Region
from napari_xfusion.errors import InputError
from napari_xfusion.ui.shared.provenance import provenance_of, sequence_record, stack_of
from tests.sequences import moving_discs, two_cameras
from tests.ui.conftest import PREFERENCES as NEWER
from tests.ui.samples import wait

pytestmark = pytest.mark.drawn(False)
PLUGIN = "napari-xfusion"


def write(path, frames, **metadata):
    """A TIFF stack as a camera's software writes it, in micrometres and seconds where they are given."""
    pixel, settings = metadata.pop("pixel", None), {}
    if pixel:
        settings = {"resolution": (1 / pixel, 1 / pixel)}
        metadata["unit"] = "um"
    whole = (np.asarray(frames) * 60000).astype(np.uint16)
    tifffile.imwrite(path, whole, imagej=True, metadata={"axes": "TYX", **metadata}, **settings)
    return str(path)


@pytest.fixture
def sequences(tmp_path):
    """Paths of lr.tif and hr.tif in a folder ``melt01``; only HR knows how large its pixels are."""
    folder = tmp_path / "melt01"
    folder.mkdir()
    lr, hr, _ = two_cameras(moving_discs(9), step=4)
    return write(folder / "lr.tif", lr, finterval=1e-3), write(folder / "hr.tif", hr, pixel=2.0)


def drop(viewer, *paths):
    """Drop files on the canvas as a file manager does."""
    canvas = viewer.window._qt_viewer
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(path) for path in paths])
    buttons = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(50, 50), Qt.DropAction.CopyAction, mime, *buttons)
    canvas.dragEnterEvent(enter)
    assert enter.isAccepted()
    canvas.dropEvent(QDropEvent(QPointF(50, 50), Qt.DropAction.CopyAction, mime, *buttons, QEvent.Type.Drop))


def prefer(pattern):
    """What a user chose who ticked "remember" in napari's dialog for files with several readers."""
    get_settings().plugins.extension2reader = {pattern: PLUGIN}


@pytest.mark.drawn(True)
@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["LR first", "HR first"])
def test_two_sequences_dropped_become_lr_and_hr_upon_each_other(viewer, sequences, order):
    prefer("*.tif")
    drop(viewer, *(sequences[k] for k in order))
    lr, hr = sorted(viewer.layers, key=lambda layer: layer.data.shape[1])
    assert (lr.name, hr.name) == ("melt01 · LR", "melt01 · HR (times not known)")
    assert [provenance_of(layer).role for layer in (lr, hr)] == ["lr", "hr"]
    assert list(lr.scale) == pytest.approx([1e-3, 8, 8])
    assert list(hr.scale) == pytest.approx([1e-3, 2, 2])
    assert list(lr.translate) == pytest.approx([0, 3, 3])
    if NEWER:  # before, napari leaves the labels of layers out of the sliders
        assert viewer.dims.axis_labels == ("t", "y", "x")
    assert len(np.unique(viewer.screenshot(canvas_only=True, flash=False))) > 20


def test_a_sequence_opened_by_name_of_the_plugin_is_lazy_and_bears_what_the_file_says(viewer, sequences):
    (layer,) = viewer.open(sequences[1], plugin=PLUGIN)
    assert layer.data.chunks[0] == (1, 1, 1)
    assert stack_of(layer).pixel_size == pytest.approx(2.0)
    assert [str(unit) for unit in layer.units] == ["pixel", "micrometer", "micrometer"]
    frames = tifffile.imread(sequences[1])
    assert layer.contrast_limits == pytest.approx(tuple(np.percentile(frames, (0.35, 99.65))))


def test_folders_zarr_lists_of_frames_and_movies_are_sequences_too(viewer, tmp_path):
    import zarr

    frames = (moving_discs(4) * 200).astype(np.uint8)
    zarr.create_array(str(tmp_path / "sequence.zarr"), data=frames, chunks=(1, *frames.shape[1:]))
    (tmp_path / "sequence").mkdir()
    names = [tmp_path / "sequence" / f"frame_{i}.tif" for i in (8, 9, 10, 11)]
    for name, frame in zip(names, frames, strict=True):
        tifffile.imwrite(name, frame, photometric="minisblack")
    backwards = [str(name) for name in reversed(names)]
    opened = [
        viewer.open(str(tmp_path / "sequence.zarr"), plugin=PLUGIN),
        viewer.open(str(tmp_path / "sequence"), plugin=PLUGIN),
        viewer.open(backwards, plugin=PLUGIN, stack=True),
    ]
    for (layer,) in opened:
        assert np.array_equal(np.asarray(layer.data), frames)
    tifffile.imwrite(tmp_path / "one.tif", np.arange(600, dtype=np.uint16).reshape(20, 30))
    (layer,) = viewer.open(str(tmp_path / "one.tif"), plugin=PLUGIN)
    assert layer.data.shape == (1, 20, 30)
    av = pytest.importorskip("av", reason="PyAV (extra movie) is not installed")
    with av.open(str(tmp_path / "movie.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:], "gray"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        container.mux(stream.encode(None))
    (layer,) = viewer.open(str(tmp_path / "movie.mkv"), plugin=PLUGIN)
    assert np.array_equal(np.asarray(layer.data), frames)


def test_what_is_no_whole_grey_sequence_is_refused_with_the_reason(viewer, sequences, tmp_path):
    """And a photo that is dropped opens as a photo, where the user prefers napari's own reader."""
    photo, text = tmp_path / "photo.tif", tmp_path / "note.tif"
    tifffile.imwrite(photo, np.zeros((60, 80, 3), np.uint8), photometric="rgb")
    text.write_text("no TIFF at all")
    (tmp_path / "empty").mkdir()
    for path, found in (
        (photo, "found RGB"),
        (text, "found another kind of file"),
        (tmp_path / "empty", "the folder holds no TIFF or PNG frame"),
    ):
        with pytest.raises(InputError, match=found):
            viewer.open(str(path), plugin=PLUGIN)
    prefer("*.tif")
    whole = Path(sequences[0]).read_bytes()
    cut = tmp_path / "cut.tif"
    cut.write_bytes(whole[: len(whole) // 2])
    drop(viewer, str(cut))
    assert len(viewer.layers) == 0
    told = notification_manager.records[-1]
    assert told.severity == "error"
    assert "cut.tif" in told.message
    assert "Copy" in told.message
    get_settings().plugins.extension2reader = {"*.tif": "napari"}
    drop(viewer, str(photo))
    assert viewer.layers[0].rgb


@pytest.mark.drawn(True)
def test_what_is_no_grey_sequence_is_left_to_other_readers(viewer, tmp_path, qtbot):
    prefer("*.tif")
    photo = tmp_path / "photo.tif"
    tifffile.imwrite(photo, np.zeros((60, 80, 3), np.uint8), photometric="rgb")

    def take_the_other() -> None:
        dialog = viewer.window._qt_viewer.findChild(QtReaderDialog)
        if dialog is None or not dialog.isVisible():
            QTimer.singleShot(20, take_the_other)
            return
        offered.extend(button.text() for button in dialog.reader_btn_group.buttons())
        dialog.accept()

    offered = []
    QTimer.singleShot(0, take_the_other)
    drop(viewer, str(photo))
    assert offered == ["napari builtins"]
    assert viewer.layers[0].rgb


def test_sequences_of_other_events_stay_single(viewer, sequences, tmp_path):
    other = write(tmp_path / "other.tif", moving_discs(4, (50, 30)))
    for path in (sequences[0], other):
        viewer.open(path, plugin=PLUGIN)
    assert [provenance_of(layer).role for layer in viewer.layers] == ["sequence", "sequence"]


def test_a_fused_sequence_with_its_record_is_the_result_of_its_run(viewer, sequences, tmp_path):
    output = tmp_path / "fused.tif"
    region = Region(4, 20, 8, 30)
    plan = make_plan(method="bicubic", hr_step=4, frames=(2, 7), region=region)
    fuse_files(plan, *sequences, output)
    _, hr, fused = (viewer.open(str(path), plugin=PLUGIN)[0] for path in (*sequences, output))
    known = provenance_of(fused)
    assert (known.role, known.plan.method, known.plan.hr_times) == ("fused", "bicubic", (0, 4, 8))
    assert known.record == RunRecord.load(output)
    assert fused.name == f"{tmp_path.name} · fused (bicubic)"
    assert sequence_record(fused) == known.record
    assert fused.data_to_world((0, 0, 0)) == pytest.approx(hr.data_to_world((2, 4, 8)))
    assert fused.data_to_world((4, 15, 21)) == pytest.approx(hr.data_to_world((6, 19, 29)))
    output.with_name("fused.tif.json").write_text("{}")
    assert provenance_of(viewer.open(str(output), plugin=PLUGIN)[0]).role == "sequence"


def test_the_sample_opens_from_the_menu(viewer):
    from app_model import Application

    app = Application.get_app("test_app")
    app.commands.execute_command(f"napari-xfusion{'.' if NEWER else ':'}two-cameras").result()
    assert [layer.name for layer in viewer.layers] == ["sample · truth", "sample · LR", "sample · HR"]
    assert [layer.visible for layer in viewer.layers] == [False, True, True]
    assert stack_of(viewer.layers[1]).clock.interval == pytest.approx(2e-5)
    assert stack_of(viewer.layers[2]).metadata.hr_times == (0, 10, 20, 30, 40, 50)
    assert open_stack(stack_of(viewer.layers[1]).source).digest() == stack_of(viewer.layers[1]).digest()


def test_the_fusion_panel_shows_hr_at_its_times_once_the_step_is_given(viewer, qtbot, sequences):
    for path in sequences:
        viewer.open(path, plugin=PLUGIN)
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Fusion")
    hr = viewer.layers[1]
    assert hr.name == "melt01 · HR (times not known)"
    panel.alignment.pairing["hr_step"].value = 4
    wait(qtbot, lambda: hr.name == "melt01 · HR")
    assert provenance_of(hr).times == (0, 4, 8)
    assert np.array_equal(np.asarray(hr.data[5]), stack_of(hr).frame(1))
