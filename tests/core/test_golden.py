"""Results of every method do not change unless they are meant to: see tests/golden/record.py.

Measured with the instruction sets of older processors: bicubic, interpolation, bayesian and bayesian-paper
give the same bytes on all of them, networks the same to 4e-7 of the range of grey values, and what follows
OpenCV's optical flow to 5e-5. So values are compared everywhere, and bytes where a small computation
with the same libraries gives the bytes that it gave where the pins were recorded. OpenCV 4.10 to 4.14 compute
the same optical flow as each other, but not as OpenCV 5: single pixels differ by up to 1.8 % of the range and the
root mean square by up to 0.1 %, while the mean PSNR, AAD and SSIM of the sample are the same (AAD to 0.001).
"""

import json

import cv2
import numpy as np
import pytest

from tests.golden.cases import CASES, METHODS, fingerprint, fuse_case, hashes, reduced
from tests.golden.record import PINS, VALUES

TOLERANCE = 1e-6
"""Of the range of grey values."""
FLOW_TOLERANCE = 1e-4
"""The same of methods that follow OpenCV's optical flow, on a platform other than that of the pins."""
OTHER_OPENCV_TOLERANCE = 0.025
"""The same with another major version of OpenCV than that of the pins: of single pixels."""
OTHER_OPENCV_RMS = 0.002
"""Of the root mean square difference then."""
FOLLOW_FLOW = ("flow", "lite")


@pytest.fixture(scope="module")
def pins():
    return json.loads(PINS.read_text("utf-8"))


@pytest.fixture(scope="module")
def values():
    with np.load(VALUES) as file:
        return dict(file)


@pytest.fixture(scope="module")
def same_platform(pins):
    return fingerprint() == pins["fingerprint"]


@pytest.fixture(scope="module")
def same_opencv(pins):
    return cv2.__version__.split(".")[0] == pins["opencv"].split(".")[0]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", CASES)
def test_results_are_those_recorded(case, method, pins, values, same_platform, same_opencv, tmp_path):
    key = f"{case}, {method}"
    fused = fuse_case(case, method, tmp_path)
    tolerance = TOLERANCE
    if method in FOLLOW_FLOW and not same_platform:
        tolerance = FLOW_TOLERANCE if same_opencv else OTHER_OPENCV_TOLERANCE
    found, expected = reduced(fused.computed), values[key]
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.ptp(expected))
    if not same_opencv:
        assert np.sqrt(np.mean((found - expected) ** 2)) <= OTHER_OPENCV_RMS * np.ptp(expected)
    if not same_platform:
        pytest.skip("the values agree; the bytes were recorded on a platform that rounds otherwise")
    assert hashes(fused) == pins["sha256"][key]


def test_every_pin_belongs_to_a_case(pins, values):
    assert set(pins["sha256"]) == set(values) == {f"{case}, {method}" for case in CASES for method in METHODS}
