"""What leaves the window is what is in it, and what the command line makes."""

import csv
import json
import shlex
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from napari.layers import Image
from napari.utils._proxies import PublicOnlyProxy
from qtpy.QtWidgets import QApplication, QWidget
from typer.testing import CliRunner

from napari_xfusion.cli.commands import app
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.recordings import Fields, Raw, open_stack
from napari_xfusion.core.results import MemorySink
from napari_xfusion.core.results.record import RunRecord
from napari_xfusion.core.results.sheet import BAR
from napari_xfusion.core.run import Run, fuse_files
from napari_xfusion.core.types import Region
from napari_xfusion.errors import InputError, OutputError
from napari_xfusion.lab.demo import sample_sequence
from napari_xfusion.ui.fusion import export
from napari_xfusion.ui.fusion.export_box import ExportBox
from napari_xfusion.ui.fusion.request import Request
from napari_xfusion.ui.plugin.reader import get_reader
from napari_xfusion.ui.shared.layers import sequence_layer, sequence_pair
from napari_xfusion.ui.shared.provenance import METADATA
from tests.ui.samples import wait

pytestmark = pytest.mark.drawn(False)
PLAN = Plan(method="interpolation", frames=(3, 15))


def sequences():
    return tuple(open_stack(sample_sequence(name)) for name in ("lr", "hr", "truth"))


def fused_layers(plan: Plan = PLAN) -> dict[str, Image]:
    """LR, HR, truth and a result that was made in memory, as the window makes them."""
    lr, hr, truth = sequences()
    made = {
        name: Image(shown.data, **shown.options)
        for name, shown in zip(
            ("lr", "hr", "truth"),
            (*sequence_pair(lr, hr, title="sample"), sequence_layer(truth, role="truth")),
            strict=True,
        )
    }
    run, sink = Run(plan, lr, hr), MemorySink()
    run.begin(sink)
    for _ in run.frames(NeverStop()):
        pass
    run.commit()
    request = Request(plan, (made["lr"], made["hr"]), (lr, hr))
    shown = request.layer(sink.data, plan)
    known = shown.options["metadata"][METADATA]
    shown.options["metadata"][METADATA] = replace(known, record=RunRecord.of(sink.record))
    return made | {"fused": Image(shown.data, **shown.options)}


class NeverStop:
    def is_set(self) -> bool:
        return False


@pytest.fixture(scope="module")
def layers():
    return fused_layers()


@pytest.mark.parametrize("name", ["fused.tif", "fused.ome.tif", "fused.zarr"])
def test_a_result_of_the_window_is_that_of_the_command_line_byte_for_byte(layers, tmp_path, name):
    lr, hr, _ = sequences()
    (tmp_path / "window").mkdir()
    export.save_sequence(layers["fused"], tmp_path / "window" / name)
    fuse_files(PLAN, lr, hr, tmp_path / name)
    mine, theirs = (
        sorted(p.relative_to(base) for p in base.rglob("*") if p.is_file())
        for base in (tmp_path / "window", tmp_path)
    )
    assert mine == [p for p in theirs if p.parts[0] != "window"]
    for path in mine:
        if path.suffix != ".json" or path.name == "zarr.json":
            assert (tmp_path / "window" / path).read_bytes() == (tmp_path / path).read_bytes(), path
    window, command = (
        json.loads((base / f"{name}.json").read_text()) for base in (tmp_path / "window", tmp_path)
    )
    assert window["identity"] == command["identity"]
    assert [f["frame"] for f in window["frames"]] == list(range(3, 15))


def test_a_result_that_was_changed_is_no_longer_that_of_its_run(tmp_path):
    layer = fused_layers()["fused"]
    layer.data = layer.data[2:5].copy()
    export.save_sequence(layer, tmp_path / "part.tif")
    assert "plan" not in json.loads((tmp_path / "part.tif.json").read_text())
    assert len(open_stack(tmp_path / "part.tif")) == 3


@pytest.mark.parametrize(
    "plan",
    [
        Plan(method="bicubic", frames=(2, 5)),
        Plan(method="flow", hr_times=(0.0, 10.0, 20.0, 30.0, 40.0, 49.5), frames=(0, 3), separation=2),
        Plan(method="bayesian", hr_step=10, grey="percentile", dtype="float32", frames=(4, 6)),
        Plan(method="interpolation", region=Region(8, 40, 4, 36), frames=(0, 2)),
    ],
    ids=["frames", "times", "step and grey", "region"],
)
def test_the_copied_command_makes_the_same_sequence(layers, tmp_path, plan):
    lr, hr, _ = sequences()
    fuse_files(plan, lr, hr, tmp_path / "window.tif")
    command = export.command_line(
        plan, (Raw(lr.source, Fields()), Raw(hr.source, Fields())), str(tmp_path / "command.tif")
    )
    program, *arguments = shlex.split(command)
    assert program == "napari-xfusion"
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "window.tif").read_bytes() == (tmp_path / "command.tif").read_bytes()


def test_a_sequence_that_is_no_file_has_no_command():
    mine, gone = Raw("mine", Fields()), Raw(Path("gone.tif").resolve(), Fields())
    with pytest.raises(InputError, match=r"mine.*Save the layer"):
        export.command_line(PLAN, (mine, mine), "fused.tif")
    with pytest.raises(InputError, match=r"gone.tif.*does not exist"):
        export.command_line(PLAN, (gone, mine), "fused.tif")


def test_a_result_that_is_opened_again_has_the_command_of_its_run(layers, tmp_path):
    fuse_files(PLAN, *sequences()[:2], tmp_path / "fused.tif")
    ((data, options, _kind),) = get_reader(str(tmp_path / "fused.tif"))(str(tmp_path / "fused.tif"))
    reopened = Image(data, **options)
    plan, sources = export.made_from(reopened, [])
    assert sources == export.made_from(layers["fused"], layers.values())[1]
    arguments = shlex.split(export.command_line(plan, sources, str(tmp_path / "again.tif")))[1:]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert (tmp_path / "again.tif").read_bytes() == (tmp_path / "fused.tif").read_bytes()
    assert export.made_from(layers["fused"], [])[1] == sources  # of which the layers were removed
    reopened.data = np.asarray(reopened.data) + 1
    assert export.made_from(reopened, []) is None


def test_the_numbers_are_those_of_evaluate(layers, tmp_path):
    export.save_numbers(layers["fused"], tmp_path / "numbers.csv", layers["truth"])
    with (tmp_path / "numbers.csv").open() as file:
        rows = list(csv.DictReader(file))
    export.save_sequence(layers["fused"], tmp_path / "fused.tif")
    arguments = [
        "evaluate",
        str(sample_sequence("truth")),
        str(tmp_path / "fused.tif"),
        "--csv",
        str(tmp_path / "e.csv"),
    ]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    with (tmp_path / "e.csv").open() as file:
        expected = list(csv.DictReader(file))
    assert [row["frame"] for row in rows] == [str(i) for i in range(3, 15)]
    for column in ("psnr", "aad", "ssim", "ssim_gaussian"):
        assert [row[column] for row in rows] == [row[column] for row in expected]
    assert [row["seen"] == "True" for row in rows] == [row["seen"] == "1" for row in expected]


def test_without_a_truth_the_record_is_what_is_known(layers, tmp_path):
    export.save_numbers(layers["fused"], tmp_path / "numbers.csv")
    header = (tmp_path / "numbers.csv").read_text().splitlines()[0]
    assert header == "frame,seen,seconds"
    with pytest.raises(InputError, match="not the result of a completed run"):
        export.save_numbers(layers["lr"], tmp_path / "none.csv")


@pytest.mark.parametrize("role", ["hr", "lr", "std", "difference", "consistency", "attention"])
def test_layers_of_other_times_or_values_are_not_compared_with_the_truth(layers, role):
    known = replace(layers["truth"].metadata[METADATA], role=role)
    layer = Image(layers["truth"].data, metadata={METADATA: known})
    assert not export.comparable(layers["truth"], layer)
    assert export.comparable(layers["truth"], layers["fused"])
    assert export.comparable(layers["truth"], Image(np.zeros(layers["truth"].data.shape)))
    assert not export.comparable(layers["truth"], Image(np.zeros(layers["hr"].data.shape[1:] * 2)[:6]))


def test_a_movie_shows_the_layers_side_by_side_at_the_same_time(layers):
    chosen = [layers[name] for name in ("lr", "hr", "fused")]
    frames = list(export.side_by_side([export.pane(layer) for layer in chosen]))
    height, width = layers["hr"].data.shape[1:]
    assert len(frames) == 51
    assert frames[0].shape == (height + 2 * BAR, 3 * width + 2 * export.GAP, 3)
    hr, frame = sequences()[1], frames[14][2 * BAR :]
    low, high = layers["hr"].contrast_limits
    expected = np.clip((hr.frame(1).astype(float) - low) / (high - low), 0, 1) * 255
    middle = frame[:, width + export.GAP : 2 * width + export.GAP, 0]
    assert np.abs(middle - expected).max() <= 2  # a colormap has 256 shades
    coarse = frame[:, :width, 0]
    assert np.array_equal(coarse[::4, ::4].repeat(4, axis=0).repeat(4, axis=1), coarse)


def test_a_movie_has_scale_bars_where_pixel_sizes_are_known(layers):
    unknown = Image(np.zeros((3, 40, 60)), units=("s", "pixel", "pixel"))
    panes = [export.pane(layer) for layer in (layers["lr"], layers["hr"], unknown)]
    assert [pane.pixel for pane in panes] == pytest.approx([8, 2, None])
    turned = Image(np.zeros((3, 4, 5)), units=("s", "mm", "mm"), scale=(1, 0.002, 0.002), rotate=30)
    assert export.pane(turned).pixel == pytest.approx(2)
    plain, drawn = (next(export.side_by_side(panes, scale_bar=bar)) for bar in (False, True))
    changed = np.any(plain != drawn, axis=2)
    width = layers["hr"].data.shape[2]
    for k, is_known in enumerate((True, True, False)):
        part = changed[:, k * (width + export.GAP) : (k + 1) * (width + export.GAP)]
        assert part.any() == is_known


@pytest.fixture
def box(viewer, layers):
    """The export box in a dock of a window with the sample and its result."""
    for layer in fused_layers().values():
        viewer.add_layer(layer)
    parent = QWidget()
    box = ExportBox(viewer, parent)
    viewer.window.add_dock_widget(parent, name="export")
    parent.setMinimumSize(320, 120)
    box.sequence.choose(viewer.layers["sample · fused (interpolation)"])
    return box


def ended(qtbot, box):
    wait(qtbot, lambda: not box._worker.busy)


@pytest.mark.drawn(True)
def test_the_box_saves_sequence_movie_view_and_numbers(box, qtbot, tmp_path):
    box.rate.setValue(7)
    for name, save in (
        ("sequence.tif", box.export_sequence),
        ("movie.mp4", box.export_movie),
        ("view.png", box.export_view),
        ("numbers.csv", box.export_numbers),
    ):
        save(tmp_path / name)
        ended(qtbot, box)
        assert box.status.text() == f"saved {name}"
        assert (tmp_path / name).stat().st_size > 100
    assert "psnr" in (tmp_path / "numbers.csv").read_text()
    with av.open(str(tmp_path / "movie.mp4")) as file:
        assert (file.streams.video[0].frames, file.streams.video[0].average_rate) == (51, 7)
    assert len(np.unique(open_png(tmp_path / "view.png"))) > 20


def open_png(path):
    from PIL import Image as Picture

    with Picture.open(path) as picture:
        return np.asarray(picture)


def test_the_command_follows_the_selection_and_what_cannot_be_done_is_off_with_its_reason(box, viewer):
    result = box.sequence.layer()
    box.copy_command.click()
    assert box.status.text()
    box.sequence.choose(viewer.layers["sample · LR"])
    assert not box.status.text()  # it was about another sequence
    words = shlex.split(QApplication.clipboard().text())
    assert words[:2] == ["napari-xfusion", "fuse"]
    assert words[-4:] == ["--method", "interpolation", "--frames", "3:15"]
    assert not box.copy_command.isEnabled()
    assert "Select a fused sequence" in box.copy_command.toolTip()
    box.sequence.choose(viewer.layers[2])  # the truth itself
    assert not box.save_numbers.isEnabled()
    assert "whose truth is a layer" in box.save_numbers.toolTip()
    # Layers may have other names.
    box.sequence.choose(result)
    for layer in viewer.layers:
        layer.name = f"my {layer.name}"
    assert box.copy_command.isEnabled()
    assert "lr.tif" in box.command()
    assert export.sequence_record(viewer.layers[-1]).plan.method == "interpolation"
    viewer.layers.clear()
    assert not box.save_sequence.isEnabled()


def test_frames_that_are_not_there_yet_are_counted_and_black_ones_are_there(box, viewer, qtbot, tmp_path):
    layer = viewer.layers[-1]
    known = layer.metadata[METADATA]
    done = set(range(3, 8))  # as before the run's end
    layer.metadata = {METADATA: replace(known, record=None, done=done)}
    layer.data[5:] = 0
    for _ in range(2):
        box.export_sequence(tmp_path / "sequence.tif")
        ended(qtbot, box)
        assert "7 frames not fused yet are saved as 0" in box.status.text()
    frames = json.loads((tmp_path / "sequence.tif.json").read_text())["frames"]
    assert [each["frame"] for each in frames if each["done"]] == sorted(done)
    assert not box.save_numbers.isEnabled() or box._truth_of(layer) is not None
    layer.data[:] = 0
    for name, made in (
        ("finished.tif", known),
        ("unfinished.tif", replace(known, record=None, done=set(range(3, 15)))),
    ):
        layer.metadata = {METADATA: made}
        box.export_sequence(tmp_path / name)
        ended(qtbot, box)
        assert box.status.text() == f"saved {name}"


def test_what_cannot_be_written_is_told_and_the_box_goes_on(box, qtbot, tmp_path):
    from napari.utils.notifications import notification_manager

    box.export_sequence(tmp_path / "gone" / "sequence.tif")
    ended(qtbot, box)
    assert "folder" in box.status.text()
    assert "folder" in notification_manager.records[-1].message
    assert box.save_sequence.isEnabled()
    # A name that is too long, and a file for a folder.
    (tmp_path / "file").touch()
    box.export_sequence(tmp_path / ("x" * 260 + ".tif"))
    ended(qtbot, box)
    assert "expected a place to write" in box.status.text()
    box.export_movie(tmp_path / "file" / "movie.mp4")
    ended(qtbot, box)
    assert "expected a place to write a movie" in box.status.text()
    (tmp_path / "folder.png").mkdir()
    for name, save, said in (
        ("view.jpg", box.export_view, "expected a name ending with .png"),
        ("gone/view.png", box.export_view, "expected a place to write"),
        ("folder.png", box.export_view, "expected a place to write"),
        ("movie.avi", box.export_movie, "expected a name ending with .mp4"),
    ):
        with pytest.raises(OutputError, match=said):
            save(tmp_path / name)


def test_a_movie_pairs_sequences_by_their_times(layers):
    sequence = np.ones((3, 8, 8), np.uint16)
    look = {"contrast_limits": (0, 1), "name": "x"}
    lr = layers["lr"]
    step = 1000 * lr.scale[0]  # milliseconds
    late = Image(sequence, scale=(step, 1, 1), translate=(3 * step, 0, 0), units=("ms", "um", "um"), **look)
    frames = list(export.side_by_side([export.pane(late), export.pane(lr)]))
    shown = [bool(frame[2 * BAR :, :8].any()) for frame in frames]
    assert shown == [3 <= t < 6 for t in range(51)]  # black where the sequence has no frame
    counted = Image(sequence, **look)
    with pytest.raises(InputError, match=r"pixel and s\. Select sequences of one experiment"):
        next(export.side_by_side([export.pane(counted), export.pane(lr)]))


def test_the_newest_result_is_what_is_saved_also_by_napari_s_proxy(viewer, layers):
    """napari hands plugins a proxy of the viewer, and layers taken from it are proxies too."""
    parent = QWidget()
    box = ExportBox(PublicOnlyProxy(viewer), parent)
    for layer in (made := fused_layers()).values():
        viewer.add_layer(layer)
    assert box.sequence.layer() is made["fused"]


def test_a_movie_of_a_pyramid_shows_its_frames():
    sequence = np.arange(5 * 16 * 16, dtype=np.uint16).reshape(5, 16, 16)
    layer = Image([sequence, sequence[:, ::2, ::2]], multiscale=True, contrast_limits=(0, 1280))
    frames = list(export.side_by_side([export.pane(layer)]))
    assert len(frames) == 5
    assert frames[0].shape == (16 + 2 * BAR, 16, 3)
    assert np.abs(frames[3][2 * BAR :, :, 0] - sequence[3] / 1280 * 255.0).max() <= 2
