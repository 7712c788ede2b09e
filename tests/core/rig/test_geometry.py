"""Frame sizes to a scale, or to an error."""

import numpy as np
import pytest

from napari_xfusion.core.rig import fit_geometry
from napari_xfusion.errors import PairingError


@pytest.mark.parametrize(
    ("lr", "hr", "scale"),
    [
        pytest.param((100, 256), (400, 1024), (4, 4), id="the paper's 4"),
        pytest.param((100, 256), (200, 512), (2, 2), id="2"),
        pytest.param((100, 256), (300, 768), (3, 3), id="3"),
        pytest.param((100, 200), (292, 584), (2.92, 2.92), id="2.92"),
        pytest.param((100, 256), (401, 1027), (4, 4), id="floor division lost HR pixels"),
        pytest.param((101, 257), (401, 1027), (4, 4), id="ceiling division"),
        pytest.param((5, 7), (5, 7), (1, 1), id="same size"),
        pytest.param((1, 1), (4, 4), (4, 4), id="one LR pixel"),
    ],
)
def test_scale_from_sizes(lr, hr, scale):
    geometry = fit_geometry(lr, hr)
    assert geometry.scale == pytest.approx(scale)
    assert geometry.down(np.ones(hr, np.float32)).shape == lr
    assert geometry.up(np.ones(lr, np.float32)).shape == hr


@pytest.mark.parametrize(
    ("lr", "hr", "said"),
    [
        pytest.param((400, 1024), (100, 256), "swapped", id="swapped"),
        pytest.param((100, 256), (400, 800), "one scale", id="ratios differ"),
        pytest.param((100, 250), (400, 1024), "one scale", id="ratios differ by 2 pixels"),
    ],
)
def test_sizes_that_do_not_fit(lr, hr, said):
    with pytest.raises(PairingError, match=said) as error:
        fit_geometry(lr, hr)
    assert f"{lr[0]}x{lr[1]}" in str(error.value)
    assert f"{hr[0]}x{hr[1]}" in str(error.value)
