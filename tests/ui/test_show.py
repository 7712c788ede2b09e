"""The demo's layers lie where and when the sequences were taken."""

import pytest

from napari_xfusion.errors import DeviceError
from napari_xfusion.lab.demo import sample_sequence
from napari_xfusion.ui.plugin import show
from napari_xfusion.ui.shared.layers import LayerData


def corners(layer: LayerData) -> list[tuple[float, float]]:
    """First and last edge of the frame in micrometres, down and across."""
    axes = zip(layer.data.shape[1:], layer.options["scale"][1:], layer.options["translate"][1:], strict=True)
    return [(shift - side / 2, shift + (count - 0.5) * side) for count, side, shift in axes]


def test_sequences_of_both_cameras_cover_the_same_place_and_time():
    lr, hr, truth, fused = show.demo_layers(sample_sequence("truth"))
    assert lr.data.shape[1] * 4 == truth.data.shape[1]
    for mine, theirs in zip(corners(lr), corners(truth), strict=True):
        assert mine == pytest.approx(theirs)
    assert corners(fused) == corners(truth) == corners(hr)
    assert lr.options["scale"][0] == truth.options["scale"][0] == pytest.approx(2e-5)
    assert len({layer.options["units"] for layer in (lr, hr, truth, fused)}) == 1


def test_a_window_without_a_screen_is_told_and_not_crashed(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    with pytest.raises(DeviceError, match=r"napari-xfusion\[gui\]"):
        show.show_demo(sample_sequence("truth"))
