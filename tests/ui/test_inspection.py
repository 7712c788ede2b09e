"""The Inspect panel in a real window: every kind of layer, exactly placed, lazily made, nothing left."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from napari.layers._layer_actions import _duplicate_layer
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDockWidget

from napari_xfusion.core.doctor import log_file
from napari_xfusion.core.inspect.ratio import divided
from napari_xfusion.core.networks import cards
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.recordings import as_stack
from napari_xfusion.core.run import fuse
from napari_xfusion.core.sequence import FusedSequence
from napari_xfusion.core.types import Metadata
from napari_xfusion.ui.inspection import InspectPanel, lazy, recipes
from napari_xfusion.ui.inspection.comparing import ComparingBox
from napari_xfusion.ui.inspection.lazy import LazySequence
from napari_xfusion.ui.inspection.plots_dock import PlotsDock
from napari_xfusion.ui.inspection.sequences import method_problem
from napari_xfusion.ui.plugin.commands import compare, divide_frames
from napari_xfusion.ui.shared import compat
from napari_xfusion.ui.shared.compare import link_contrast
from napari_xfusion.ui.shared.layers import sequence_pair
from napari_xfusion.ui.shared.provenance import METADATA, provenance_of
from tests.ui.leaks import wait_for_thread
from tests.ui.samples import PLAN, add_sample, computed, press, sample, wait, write_small_network
from tests.ui.sequences import Pace

pytestmark = pytest.mark.drawn(False)
METHODS = ("bicubic", "flow", "bayesian", "bayesian-paper")


@pytest.fixture
def layers(viewer):
    return add_sample(viewer)


def open_panel(viewer) -> InspectPanel:
    _, panel = viewer.window.add_plugin_dock_widget("napari-xfusion", "Inspect")
    return panel


def in_progress(layer, done) -> None:
    """The layer of a run that has made the frames in ``done``."""
    known = layer.metadata[METADATA]
    layer.metadata = {**layer.metadata, METADATA: replace(known, shown=layer.data, done=done)}


def drained(panel, qtbot) -> None:
    """Wait until all that the panel's thread was asked for is made and delivered."""
    delivered = []
    panel._background.ask(lambda: None, delivered.append, delivered.append)
    wait(qtbot, lambda: bool(delivered))


def edges(layer) -> np.ndarray:
    """Outer edges of the sequence in the world: (begin, end) of y and x in micrometres, by pixel edges."""
    count = np.array(layer.data.shape[-2:])
    begin = np.asarray(layer.data_to_world((0, -0.5, -0.5)))[1:]
    end = np.asarray(layer.data_to_world((0, *(count - 0.5))))[1:]
    return np.array([begin, end])


def shown(viewer, layer, qtbot) -> np.ndarray:
    """What is on screen of a layer, when it has come."""
    layer.visible = True
    wait(qtbot, lambda: np.isfinite(np.asarray(layer.data[viewer.dims.current_step[0]])).any())
    return np.asarray(layer.data[viewer.dims.current_step[0]])


def test_every_kind_of_layer_lies_where_its_sequences_do_and_shows_what_the_core_computes(
    viewer, layers, qtbot
):
    panel = open_panel(viewer)
    for tip in (
        *(f"Add a layer: {name}, each frame divided" for name in ("LR", "HR", "fused", "truth")),
        "Add a layer: the same two sequences fused by bicubic.",
        "Add a layer: the fused sequence minus bicubic",
        "Add a layer: the fused sequence binned to LR",
        "Add a layer: the standard deviation",
    ):
        press(panel, qtbot, tip)
    made = [layer for layer in viewer.layers if layer not in layers.values()]
    assert len(made) == 8
    truth = edges(layers["truth"])
    for layer in made:
        assert np.abs(edges(layer) - truth).max() < 0.01, layer.name
        assert isinstance(layer.data, LazySequence)
        assert layer.data.shape[0] == 51
        assert layer.scale[0] == pytest.approx(layers["lr"].scale[0])
        assert layer.units == layers["lr"].units
        known = provenance_of(layer)
        assert known.origins
        assert {origin.name for origin in known.origins} <= {x.name for x in layers.values()}
        assert np.isfinite(layer.contrast_limits).all()

    # Those of numbers have a colour bar and a unit.
    baseline, *numbers = sorted(made, key=lambda layer: layer.metadata[METADATA].role != "baseline")
    assert [layer.name.rpartition("(")[2].partition(" · ")[0] for layer in numbers] == [
        *["ratio)"] * 4,
        "HR grey values)",
        "grey units)",
        "HR grey values)",
    ]
    if hasattr(baseline, "colorbar"):  # since napari 0.9
        wait(qtbot, lambda: all(layer.colorbar.visible for layer in numbers))
        assert not baseline.colorbar.visible
        assert {layer.colorbar.position for layer in numbers} == {"bottom_left"}  # not on the name

    # None is added twice.
    baseline.visible = False
    press(panel, qtbot, "Add a layer: the same two sequences fused by bicubic.")
    assert sum("by bicubic" in layer.name for layer in viewer.layers) == 1

    # What they show is what the core computes.
    press(panel, qtbot, "Add a layer: the fused sequence minus flow")
    by_name = {layer.name: layer for layer in viewer.layers}
    for layer in viewer.layers:
        layer.visible = False
    lr, hr, truth = sample()
    fused = {frame.index: frame.image for frame in fuse(PLAN, lr, hr, targets=[5, 23])}
    flow = {f.index: f.image for f in fuse(Plan(method="flow"), lr, hr, targets=[5, 23])}
    std = {f.index: f.std for f in fuse(Plan(method="bayesian"), lr, hr, targets=[5, 23])}
    for t in (5, 23):
        viewer.dims.set_current_step(0, t)
        ratio = shown(viewer, by_name["truth, frame-divided (ratio) · melt"], qtbot)
        np.testing.assert_allclose(ratio, truth.frame(t).astype(float) / truth.frame(t - 1), rtol=1e-6)
        np.testing.assert_allclose(
            shown(viewer, by_name["fused − flow (HR grey values) · melt"], qtbot),
            fused[t] - flow[t],
            atol=1e-2,
        )
        np.testing.assert_allclose(
            shown(viewer, by_name["std of the Bayesian method (HR grey values) · melt"], qtbot),
            std[t],
            rtol=1e-5,
        )
    # HR is divided by its previous frame and shown at LR times: HR frames are at 0, 10, ..., 50.
    viewer.dims.set_current_step(0, 34)
    image = shown(viewer, by_name["HR, frame-divided (ratio) · melt"], qtbot)
    np.testing.assert_allclose(image, divided(hr).frame(3), rtol=1e-6)
    # A frame that is black throughout is a frame.
    layers["fused"].data[40] = 0
    viewer.dims.set_current_step(0, 40)
    assert np.isfinite(shown(viewer, by_name["fused − flow (HR grey values) · melt"], qtbot)).all()


def test_only_what_is_seen_is_made_a_slow_sequence_never_stops_the_window_and_an_error_is_told_once(
    viewer, layers, qtbot, monkeypatch
):
    panel = open_panel(viewer)
    press(panel, qtbot, "Add a layer: the same two sequences fused by bicubic.")
    sequence = next(iter(panel._recipes._sequences.values()))
    drained(panel, qtbot)
    viewer.dims.set_current_step(0, 40)
    wait(qtbot, lambda: sequence.known(40) is not None)
    drained(panel, qtbot)
    assert [t for t in range(51) if sequence.known(t) is not None] == [5, 40]

    # What was scrubbed over is skipped.
    layer = viewer.layers["by bicubic · melt"]
    gate, asked = threading.Event(), []
    inner = layer.data.stack

    def slow(t):
        asked.append(t)
        assert gate.wait(1200)
        return inner.frame(t)

    layer.data.stack = inner.derive(slow, inner.shape, inner.dtype)
    viewer.dims.set_current_step(0, 10)
    wait(qtbot, lambda: asked == [10])
    for t in range(11, 31):
        viewer.dims.set_current_step(0, t)
    assert np.isnan(np.asarray(layer.data[30])).all()
    gate.set()
    wait(qtbot, lambda: np.isfinite(np.asarray(layer.data[30])).all())
    assert asked == [10, 30]

    # A duplicate shows the same.
    layer.data.stack = inner
    viewer.layers.selection.active = layer
    _duplicate_layer(viewer.layers)
    copy = viewer.layers[layer.name + " copy"]
    viewer.dims.set_current_step(0, 45)
    np.testing.assert_array_equal(shown(viewer, copy, qtbot), shown(viewer, layer, qtbot))
    viewer.layers.remove(copy)

    # After an error the layer stays blank.
    told, asked = [], []
    monkeypatch.setattr("napari_xfusion.ui.inspection.panel.show_error", told.append)

    def fail(t):
        asked.append(t)
        raise RuntimeError(f"no frame {t}")

    layer.data.stack = inner.derive(fail, inner.shape, inner.dtype)
    for t in (11, 12, 13):
        viewer.dims.set_current_step(0, t)
        wait(qtbot, lambda t=t: t in asked)
        drained(panel, qtbot)
    assert told == [f"Unexpected RuntimeError, see the log {log_file()}"]
    assert np.isnan(np.asarray(layer.data[13])).all()


@pytest.mark.drawn(True)
def test_a_slow_sequence_in_3d_comes_whole_and_is_made_once(viewer, layers, qtbot, monkeypatch):
    monkeypatch.setattr(lazy, "PATIENCE", 0)  # every frame takes more than the window waits for
    viewer.window.resize(640, 480)  # a volume is drawn in software
    panel = open_panel(viewer)
    press(panel, qtbot, "Add a layer: the same two sequences fused by bicubic.")
    layer, asked = viewer.layers["by bicubic · melt"], []
    inner = layer.data.stack

    def slow(t):
        asked.append(t)
        return inner.frame(t)

    layer.data.stack = inner.derive(slow, inner.shape, inner.dtype)
    viewer.dims.ndisplay = 3
    wait(qtbot, lambda: np.isfinite(np.asarray(layer.data[0:51, :, :])).all())
    drained(panel, qtbot)
    assert asked == list(range(51))
    viewer.dims.ndisplay = 2
    wait(qtbot, lambda: asked[51:] == [5])
    viewer.dims.order = (1, 0, 2)  # t downwards: one row of every frame
    wait(qtbot, lambda: len(asked) == 103)
    drained(panel, qtbot)
    assert asked[52:] == list(range(51))


def test_attention_of_every_input_lies_on_the_network_grid(viewer, layers, qtbot):
    plan = PLAN.model_copy(update={"method": "edvr-stf", "model": write_small_network("edvr-stf")})
    metadata = layers["fused"].metadata
    layers["fused"].metadata = {**metadata, METADATA: replace(metadata[METADATA], plan=plan)}
    panel = open_panel(viewer)
    press(panel, qtbot, "The attention of a network")
    names = ("LR before", "LR", "LR after", "HR before", "HR after")
    maps = [viewer.layers[f"{name} attention (edvr-stf) · melt"] for name in names]
    sequence = FusedSequence(plan, *sample()[:2])
    for layer, role in zip(maps, ("lr-", "lr", "lr+", "hr-", "hr+"), strict=True):
        assert np.abs(edges(layer) - edges(layers["truth"])).max() < 0.01
        assert layer.data.shape == (51, 36, 60)
        assert layer.contrast_limits == [0, 1]
        np.testing.assert_allclose(
            shown(viewer, layer, qtbot), sequence.frame(5).attention[role], rtol=1e-4, atol=1e-6
        )
    scores = sequence.frame(5).scores
    assert panel.scores.text() == (
        f"frame 5: backward {scores['hr-'].raw:.3f}, forward {scores['hr+'].raw:.3f}"
    )


def test_a_run_in_progress_shows_through_as_its_frames_come_in_limits_of_a_frame_that_is_there(
    viewer, layers, qtbot
):
    fused = layers["fused"]
    done = set(range(20)) - {5}
    in_progress(fused, done)
    viewer.dims.set_current_step(0, 45)
    panel = open_panel(viewer)
    press(panel, qtbot, "Add a layer: the fused sequence minus bicubic")
    layer = viewer.layers["fused − bicubic (HR grey values) · melt"]
    viewer.dims.set_current_step(0, 19)
    reach = np.percentile(np.abs(shown(viewer, layer, qtbot)), 99.5)
    low, high = layer.contrast_limits
    assert -low == high == pytest.approx(recipes._rounded_up(reach), rel=1e-5)
    assert reach <= high < 2 * reach
    viewer.dims.set_current_step(0, 5)
    drained(panel, qtbot)
    assert np.isnan(np.asarray(layer.data[5])).all()
    done.add(5)
    fused.refresh(extent=False, thumbnail=False)
    wait(qtbot, lambda: np.isfinite(np.asarray(layer.data[5])).all())


def offered(panel, content) -> tuple[bool, str]:
    """Whether ``content`` can be selected, and its tooltip."""
    k = panel.content.findData(content)
    return panel.content.model().item(k).isEnabled(), panel.content.itemData(k, Qt.ItemDataRole.ToolTipRole)


def test_pixels_that_are_filled_in_and_sources_of_detail_have_a_layer_each(viewer, layers, qtbot):
    panel = open_panel(viewer)
    for kind in ("lr", "hr"):
        (content,) = [each for each in panel.contents if each.name == f"{kind.upper()}, filled in"]
        assert offered(panel, content)[0]
        panel.show_content(content)
        wait(qtbot, lambda name=content.name: any(name in layer.name for layer in viewer.layers))
        (layer,) = [layer for layer in viewer.layers if content.name in layer.name]
        assert layer.data.shape == layers[kind].data.shape
        np.testing.assert_allclose(edges(layer), edges(layers[kind]))
        drained(panel, qtbot)
        assert np.isnan(np.asarray(layer.data[0])).all()  # a recording in order: what lies below is seen
    for name, colours in (("main source of detail", 7), ("the method's own", 0)):
        (content,) = [each for each in panel.contents if each.name == name]
        panel.show_content(content)
        computed(panel, qtbot)
        layer = viewer.layers[-1]
        image = shown(viewer, layer, qtbot)
        assert image.shape == (144, 240)
        assert np.isfinite(image).all()
        if colours:
            numbers = np.unique(image)
            assert set(numbers) <= set(range(colours))
            assert len(numbers) >= 3
            drawn = layer.colormap.map((numbers + 0.5) / colours)
            assert len(np.unique(drawn.round(3), axis=0)) == len(numbers)


def test_one_layer_shows_what_is_selected_and_can_be_left(viewer, layers, qtbot):
    panel = open_panel(viewer)
    assert not panel.keep.isEnabled()

    def show(name):
        (content,) = [each for each in panel.contents if each.name == name]
        panel.show_content(content)
        computed(panel, qtbot)

    made = []
    for name in ("fused − bicubic", "LR, frame-divided", "standard deviation", "LR consistency", "by flow"):
        show(name)
        made.append(viewer.layers[-1])
    assert len(set(made)) == 1
    assert len(viewer.layers) == len(layers) + 1
    layer = made[0]
    assert (layer.name, layer.colormap.name, layer.data.shape) == ("by flow · melt", "gray", (51, 144, 240))
    assert np.abs(edges(layer) - edges(layers["truth"])).max() < 0.01
    expected = next(fuse(Plan(method="flow"), *sample()[:2], targets=[5])).image
    np.testing.assert_array_equal(shown(viewer, layer, qtbot), expected)
    panel.opacity.setValue(30)
    assert layer.opacity == 0.3
    panel.keep.click()
    assert panel.content.currentText() == "nothing"
    show("fused − flow")
    assert [x.name for x in viewer.layers[-2:]] == ["by flow · melt", "fused − flow (HR grey values) · melt"]
    assert panel.opacity.value() == 100
    viewer.layers.remove(viewer.layers[-1])
    assert panel.content.currentText() == "nothing"
    show("fused − flow")
    panel.content.setCurrentIndex(0)
    assert viewer.layers[-1] is layer


def test_the_inspection_layer_follows_the_selection_and_new_results(viewer, layers, qtbot):
    panel = open_panel(viewer)
    (content,) = [each for each in panel.contents if each.name == "LR consistency"]
    panel.show_content(content)
    drained(panel, qtbot)
    layer, first = viewer.layers[-1], layers["fused"]
    options = {"metadata": dict(first.metadata), "scale": first.scale, "units": first.units}
    second = viewer.add_image(first.data + 500, name="melt · fused (again)", **options)
    assert panel.sequences.fused is second  # a new result of the same recordings

    def about():
        wait(qtbot, lambda: not panel._renewal.isActive())
        drained(panel, qtbot)
        return provenance_of(layer).origins_among(viewer.layers)[-1]

    assert about() is second
    assert shown(viewer, layer, qtbot).mean() > 0.1
    panel.boxes["fused"].choose(first)
    assert about() is first
    assert abs(shown(viewer, layer, qtbot).mean()) < 0.1
    panel.keep.click()
    panel.show_content(next(each for each in panel.contents if each.name == "fused, frame-divided"))
    drained(panel, qtbot)
    panel.show_content(content)  # a layer shows it already
    drained(panel, qtbot)
    assert viewer.layers[-1] is second
    assert panel.content.currentText() == "nothing"
    panel.keep_layer()
    panel.show_content(next(each for each in panel.contents if each.name == "fused, frame-divided"))
    drained(panel, qtbot)
    viewer.layers.remove(first)
    panel.boxes["fused"].choose(None)
    wait(qtbot, lambda: panel.content.currentText() == "nothing")
    assert set(viewer.layers) == {*layers.values(), layer, second} - {first}


def listeners(layer) -> int:
    return len(layer.events.set_data.callbacks)


def test_results_and_previews_are_not_offered_as_recordings_and_the_chosen_result_is_followed(
    viewer, layers, qtbot
):
    other = viewer.add_image(layers["fused"].data, metadata=dict(layers["fused"].metadata), name="other")
    before = listeners(other), listeners(layers["fused"])
    panel = open_panel(viewer)
    press(panel, qtbot, "Add a layer: fused, each frame divided")
    for chosen in ("fused", "fused", "other", "fused", "other"):
        panel.boxes["fused"].choose(other if chosen == "other" else layers["fused"])
    assert (listeners(other), listeners(layers["fused"])) == (before[0] + 1, before[1])
    for layer in (other, layers["fused"]):
        layer.visible = False
        layer.visible = True
    viewer.dims.set_current_step(0, 9)
    panel.boxes["fused"].choose(None)
    assert listeners(other) == before[0]
    viewer.layers.remove(other)
    panel.boxes["fused"].choose(layers["fused"])

    for tip in (
        "Add a layer: the same two sequences fused by bicubic",
        "Add a layer: truth, each frame divided",
    ):
        press(panel, qtbot, tip)
    frame = layers["fused"].data[:1]
    preview = viewer.add_image(frame, metadata=dict(layers["fused"].metadata), name="preview")
    baseline = viewer.layers["by bicubic · melt"]
    names = {key: {box.itemText(i) for i in range(1, box.count())} for key, box in panel.boxes.items()}
    recordings = {layers[key].name for key in ("lr", "hr", "truth")}
    assert names["lr"] == names["hr"] == names["truth"] == recordings
    assert names["fused"] == recordings | {layers["fused"].name, baseline.name}
    viewer.layers.remove(layers["fused"])
    viewer.layers.remove(layers["lr"])
    viewer.add_image(np.zeros((51, 9, 9)), name="something else")
    assert panel.sequences.lr is panel.sequences.fused is None
    assert preview in viewer.layers


def test_a_result_without_a_record_is_by_no_known_method(viewer, layers):
    known = layers["fused"].metadata[METADATA]
    layers["fused"].metadata = {METADATA: replace(known, plan=None)}
    panel = open_panel(viewer)
    assert "frames, method not known." in panel.status.text()
    plan = known.plan.model_copy(update={"separation": 2, "frames": (0, 50), "hr_step": 9.5})
    layers["fused"].metadata = {METADATA: replace(known, plan=plan)}
    panel._show_status()
    assert "fused by interpolation (Separation 2, Frames 0:50, HR step 9.5)." in panel.status.text()
    layers["fused"].metadata = {METADATA: replace(known, plan=plan.model_copy(update={"frames": (0, 51)}))}
    panel._show_status()
    assert "(Separation 2, HR step 9.5)." in panel.status.text()
    layers["fused"].metadata = {METADATA: replace(known, plan=None)}
    for method in METHODS:
        assert not method_problem(panel.sequences, method, ("lr", "hr", "fused"))
    assert panel.sequences.method is None


def test_a_layer_is_made_anew_of_other_data_in_the_same_layers(viewer, layers, qtbot):
    panel = open_panel(viewer)
    press(panel, qtbot, "Add a layer: the same two sequences fused by flow.")
    lr, hr, _ = sample()
    moved = np.stack([np.roll(lr.frame(t), 1, axis=1) for t in range(len(lr))])
    layers["lr"].data = moved
    press(panel, qtbot, "Add a layer: the same two sequences fused by flow.")
    made = [layer for layer in viewer.layers if "flow" in layer.name]
    assert len(made) == 2
    expected = next(fuse(Plan(method="flow"), as_stack(moved), hr, targets=[5])).image
    np.testing.assert_array_equal(shown(viewer, made[1], qtbot), expected)


def test_sequences_pair_at_the_times_at_which_hr_is_shown(viewer, qtbot):
    lr, hr, _ = sample()
    unknown = replace(hr, metadata=Metadata())
    for made in sequence_pair(lr, unknown, range(0, 51, 10), title="melt"):  # as the Fusion panel was told
        viewer.add_image(made.data, **made.options)
    panel = open_panel(viewer)
    assert panel.status.text().startswith("51 LR and 6 HR frames")
    press(panel, qtbot, "Add a layer: the same two sequences fused by bicubic.")
    assert "by bicubic · melt" in viewer.layers


@pytest.mark.drawn(True)
def test_plots_come_back_after_their_dock_or_the_panel_was_closed(viewer, layers, qtbot):
    def close(widget):
        while not isinstance(widget, QDockWidget):
            widget = widget.parent()
        widget.destroyOnClose()  # what its x does

    def plots():
        docks = viewer.window._qt_window.findChildren(QDockWidget)
        return [dock for dock in docks if dock.isVisible() and dock.findChildren(PlotsDock)]

    panel = open_panel(viewer)
    close(panel.show_plots())
    assert not plots()
    assert len({panel.show_plots(), panel.show_plots()}) == len(plots()) == 1
    close(panel)
    open_panel(viewer).show_plots()
    assert len(plots()) == 1


def test_with_nothing_loaded_every_button_says_why_it_is_off_and_sequences_are_chosen_as_they_come(viewer):
    panel = open_panel(viewer)
    assert panel.contents
    for content in panel.contents:
        enabled, tip = offered(panel, content)
        assert not enabled
        assert "Not available: Select" in tip
    assert panel.status.text() == "Select an LR sequence and an HR sequence first."
    contrast = panel.findChild(ComparingBox).contrast
    for _ in range(2):
        contrast.click()
    assert not contrast.isChecked()
    mask = viewer.add_image(np.zeros((3, 8, 8), bool), name="mask")
    divide_frames(viewer)
    assert "mask: expected grey values" in notification_manager.records[-1].message
    assert list(viewer.layers) == [mask]
    viewer.layers.remove(mask)
    layers = add_sample(viewer)
    assert {name: getattr(panel.sequences, name) for name in layers} == layers
    viewer.layers.remove(layers["fused"])
    assert panel.sequences.fused is None
    assert panel.sequences.lr is layers["lr"]

    # The scale bar is off in 3-D.
    bar = compat.scale_bar(viewer)
    for visible in (True, False):
        bar.visible = visible
        viewer.dims.ndisplay = 3
        assert not bar.visible
        viewer.dims.ndisplay = 2
        assert bar.visible == visible


def test_sequences_that_do_not_fit_and_methods_without_weights_are_told_in_words(
    viewer, layers, tmp_path, monkeypatch
):
    monkeypatch.setattr(cards, "BUNDLED", tmp_path)  # no weights came with the package
    panel = open_panel(viewer)

    def why_not(name):
        (content,) = [each for each in panel.contents if each.name == name]
        enabled, tip = offered(panel, content)
        assert not enabled
        return tip

    assert "No weights of EDVR" in why_not("by EDVR")
    for chosen, said in (
        ({"hr": "lr"}, "in the Fusion panel and run the fusion"),  # HR times are not known
        ({"lr": "truth", "hr": "lr"}, "swapped"),
        ({"fused": "lr"}, "Select its LR and HR"),  # fused from others
    ):
        for box in ("lr", "hr", "fused"):
            panel.boxes[box].choose(layers[chosen.get(box, box)])
        assert said in panel.status.text()
        assert said in why_not("LR consistency")


def test_cancel_adds_no_layer_and_what_is_there_stays(viewer, layers, qtbot):
    panel = open_panel(viewer)
    before = list(viewer.layers)
    gate = threading.Event()

    def slow(_sequences, _frame):
        assert gate.wait(1200)
        return panel._recipes.baseline(panel.sequences, "bicubic")

    panel.add(slow)
    for content in panel.contents[:3]:
        panel.add(content.recipe)
    assert not panel.cancel.isHidden()
    panel.cancel.click()
    gate.set()
    drained(panel, qtbot)
    assert list(viewer.layers) == before
    assert panel.cancel.isHidden()


@pytest.mark.parametrize("moment", ["at once", "in the first content", "after two contents"])
def test_closing_in_the_middle_leaves_nothing(viewer, layers, qtbot, monkeypatch, moment):
    """Of timers and widgets ``nothing_left`` makes sure, the fixture of every window test."""
    pace, count = Pace(monkeypatch, recipes, "frame_division"), len(layers)
    panel = open_panel(viewer)
    for content in panel.contents:
        if not content.reason(panel.sequences):
            panel.add(content.recipe)
    if moment == "in the first content":
        assert pace.begun.wait(1200)
    if moment == "after two contents":
        pace.allow(2)
        wait(qtbot, lambda: viewer.layers[-1].name.startswith("HR, "))
        assert len(viewer.layers) == count + 1
    viewer.close()
    pace.allow()
    wait_for_thread("napari-xfusion")


def test_layers_are_compared_by_one_contrast_in_a_grid_and_in_turn_by_a_key(viewer, layers, qtbot):
    box = open_panel(viewer).findChild(ComparingBox)
    before = {name: list(layer.contrast_limits) for name, layer in layers.items()}
    layers["truth"].gamma = 0.8
    box.contrast.click()
    link_contrast(viewer, True)  # as by the menu
    layers["fused"].contrast_limits = (700, 2000)
    layers["fused"].gamma = 2
    box.contrast.click()
    assert {name: list(layer.contrast_limits) for name, layer in layers.items()} == before
    assert (layers["truth"].gamma, layers["hr"].gamma) == (0.8, 1)
    box.contrast.click()
    layers["fused"].contrast_limits = (700, 2000)
    assert layers["hr"].contrast_limits == layers["truth"].contrast_limits == [700, 2000]
    assert layers["lr"].contrast_limits == before["lr"]
    box.contrast.click()
    layers["fused"].contrast_limits = (800, 2100)
    assert layers["truth"].contrast_limits == before["truth"]

    # Names are shown in the grid, and the box follows that of the window.
    box.grid.click()
    assert compat.grid(viewer).enabled
    wait(qtbot, lambda: all(layer.name_overlay.visible for layer in viewer.layers))
    assert {layer.name_overlay.font_size for layer in viewer.layers} == {8}  # cells are narrow
    box.grid.click()
    assert not compat.grid(viewer).enabled
    wait(qtbot, lambda: not any(layer.name_overlay.visible for layer in viewer.layers))
    compare(viewer)
    assert box.grid.isChecked()
    compat.grid(viewer).enabled = False
    assert not box.grid.isChecked()

    box.left.choose(layers["hr"])
    box.right.choose(layers["truth"])
    layers["lr"].visible = False
    box.blink.click()

    def visible():
        return [name for name, layer in layers.items() if layer.visible]

    assert visible() == ["hr"]
    key = next(each for each in viewer.keymap if str(each) == "B")
    viewer.keymap[key](viewer)
    assert visible() == ["truth"]
    box.wipe.click()
    assert not box.blink.isChecked()
    assert key not in viewer.keymap
    box.wipe.click()
    assert visible() == ["hr", "truth", "fused"]


@pytest.mark.drawn(True)
def test_wipe_reveals_one_layer_up_to_the_slider(viewer, layers, qtbot):
    box = open_panel(viewer).findChild(ComparingBox)
    box.left.choose(layers["lr"])
    box.right.choose(layers["truth"])
    layers["hr"].visible = False
    callbacks = list(viewer.mouse_drag_callbacks)
    box.wipe.click()
    wipe, edge = viewer.layers[-2:]
    for value, columns in ((0, 0), (500, 30), (1000, 60)):
        box.slider.setValue(value)
        frame = np.asarray(wipe.data[5])
        assert np.isfinite(frame).any(axis=0).sum() == columns
        np.testing.assert_array_equal(frame[:, :columns], np.asarray(layers["lr"].data[5])[:, :columns])
    assert np.abs(edges(wipe) - edges(layers["lr"])).max() < 1e-6
    assert [layer.name for layer in viewer.layers if layer.visible] == [
        layers["truth"].name,
        wipe.name,
        edge.name,
    ]
    QApplication.processEvents()
    picture = viewer.screenshot(canvas_only=True, flash=False)
    assert len(np.unique(picture)) > 20
    box.slider.setValue(500)
    canvas = viewer.window._qt_viewer.canvas
    middle = QPoint(canvas.native.width() // 2, canvas.native.height() // 2)
    centre = list(compat.camera(viewer).center)
    drag(canvas, middle, middle + QPoint(60, 0))
    assert box.slider.value() > 500
    assert list(compat.camera(viewer).center) == centre  # the canvas has not moved
    assert compat.camera(viewer).mouse_pan
    moved = box.slider.value()
    drag(canvas, middle, middle + QPoint(30, 0))  # not near the edge
    assert box.slider.value() == moved
    assert list(compat.camera(viewer).center) != centre
    box.wipe.click()
    assert wipe not in viewer.layers
    assert edge not in viewer.layers
    assert viewer.mouse_drag_callbacks == callbacks
    assert layers["lr"].visible
    assert not layers["hr"].visible

    # It looks as its layer, and ends when it is removed.
    box.left.choose(layers["hr"])
    box.wipe.click()
    layers["hr"].contrast_limits = (700, 2000)
    wipe = viewer.layers[-2]
    assert wipe.contrast_limits == [700, 2000]
    viewer.layers.remove(wipe)
    assert not box.wipe.isChecked()
    assert len(viewer.layers) == len(layers)
    knows_its_columns_however_the_axes_lie(viewer, box)


def knows_its_columns_however_the_axes_lie(viewer, box):
    square = np.ones((16, 16, 16), np.float32)
    box.left.choose(viewer.add_image([square, square[:, ::2, ::2]], multiscale=True, name="square"))
    box.wipe.click()
    box.slider.setValue(250)
    data = viewer.layers[-2].data
    for order in ((0, 1, 2), (1, 0, 2), (2, 0, 1), (0, 2, 1)):
        viewer.dims.order = order
        assert viewer.layers[-2].data is data
        assert np.isfinite(data[5, :, :]).sum() == np.isfinite(data[:, 5, :]).sum() == 4 * 16, order
        assert np.isfinite(data[:, :, 3]).all(), order
        assert np.isnan(data[:, :, 4]).all(), order
        assert np.isfinite(data[5]).sum() == 4 * 16, order


def drag(canvas, start, stop) -> None:
    """With the left mouse button, on the canvas."""
    QTest.mousePress(canvas.native, Qt.MouseButton.LeftButton, pos=start)
    for k in range(1, 4):
        QTest.mouseMove(canvas.native, start + (stop - start) * k / 3)
        QApplication.processEvents()
    QTest.mouseRelease(canvas.native, Qt.MouseButton.LeftButton, pos=stop)
    QApplication.processEvents()


def test_the_commands_of_the_menu(viewer, layers):
    viewer.layers.selection = {layers[role] for role in ("lr", "hr", "truth")}
    divide_frames(viewer)
    made = {layer.name: layer for layer in viewer.layers[-3:]}
    assert set(made) == {f"{name}, frame-divided (ratio) · melt" for name in ("LR", "HR", "truth")}
    hr = made["HR, frame-divided (ratio) · melt"]  # at the times at which HR is shown
    assert hr.data.shape == layers["hr"].data.shape
    np.testing.assert_array_equal(hr.data[25], divided(sample()[1]).frame(2))
    compare(viewer)
    assert compat.grid(viewer).enabled
    compare(viewer)
    assert not compat.grid(viewer).enabled
