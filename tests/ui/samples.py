"""The sample sequence as layers of a viewer, with a fused sequence made from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
from numpy.typing import NDArray

from napari_xfusion.core.plan import Plan
from napari_xfusion.core.recordings import open_stack
from napari_xfusion.core.run import fuse
from napari_xfusion.lab.demo import sample_sequence
from napari_xfusion.ui.shared.layers import derived_layer, sequence_layer, sequence_pair

PLAN = Plan(method="interpolation")


def sample():
    """LR, HR and truth of the sample, as Stacks."""
    return tuple(open_stack(sample_sequence(name)) for name in ("lr", "hr", "truth"))


@cache
def fused_sample() -> NDArray[np.float32]:
    """The sample fused by PLAN."""
    lr, hr, _ = sample()
    return np.stack([frame.image for frame in fuse(PLAN, lr, hr)])


def add_sample(viewer, *, fused: bool = True):
    """LR, HR, truth and fused layers, by name of their role."""
    lr, hr, truth = sample()
    layers = {}
    for role, made in zip(("lr", "hr"), sequence_pair(lr, hr, title="melt"), strict=True):
        layers[role] = viewer.add_image(made.data, **made.options)
    made = sequence_layer(truth, role="truth", name="melt · truth")
    layers["truth"] = viewer.add_image(made.data, **made.options)
    if fused:
        sequence = fused_sample().copy()
        of = {"origins": (layers["lr"], layers["hr"]), "plan": PLAN}
        made = derived_layer(
            layers["truth"], sequence, name="melt · fused (interpolation)", role="fused", **of
        )
        layers["fused"] = viewer.add_image(made.data, **made.options)
    viewer.dims.set_current_step(0, 5)
    return layers


def write_small_network(variant: str) -> str:
    """A small network with the golden weights in the folder of the user's models; its name."""
    from napari_xfusion.core.networks.cards import INPUTS, Card, Sizes, models_folder
    from napari_xfusion.core.networks.weights import save_model
    from tests.core.networks.conftest import load_golden

    folder = models_folder()
    folder.mkdir(parents=True, exist_ok=True)
    golden = load_golden(variant.replace("-", "_"))
    sizes = Sizes(channels=16, extract=2, reconstruct=3, groups=8)
    card = Card(variant=variant, sizes=sizes, inputs=INPUTS[variant])
    save_model(folder / f"small-{variant}.safetensors", golden.network, card)
    return f"small-{variant}"


def wait(qtbot, true: Callable[[], bool]) -> None:
    """Let the window live until ``true()``; for twenty minutes at most, which no machine needs."""
    qtbot.waitUntil(true, timeout=1_200_000)


@contextmanager
def destroyed(qtbot, widget) -> Iterator[None]:
    """What is done in here destroys the widget, at once or soon.

    ``qtbot.waitSignal`` would disconnect from a signal that is gone, of which PySide6 warns.
    """
    gone = []
    widget.destroyed.connect(lambda *_: gone.append(True))
    yield
    wait(qtbot, lambda: bool(gone))


def computed(panel, qtbot) -> None:
    """Wait until what the Inspect panel was asked for is shown: an answer that is ready waits for the timer's tick."""
    wait(qtbot, lambda: panel.cancel.isHidden() and not panel._background._asked)


def press(panel, qtbot, tip: str) -> None:
    """Show what the Inspect panel explains so in a layer of its own, one for each input of a network."""
    wanted = tip.removeprefix("Add a layer: ")
    found = [each for each in panel.contents if each.tip.lower().startswith(wanted.lower())]
    assert found, tip
    for content in found:
        assert panel.content.model().item(panel.content.findData(content)).isEnabled()
        panel.show_content(content)
        computed(panel, qtbot)
        panel.keep_layer()
