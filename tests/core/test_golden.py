"""Results of every method do not change unless they are meant to: see tests/golden/record.py.

Measured on two processors and with the instruction sets of older ones: bicubic, interpolation, bayesian and
bayesian-paper give the same bytes on all of them, networks the same to 4e-7 of the range of grey values, and what
follows OpenCV's optical flow to 3e-4 in single pixels and 2e-5 in the root mean square: its iterations amplify what is
rounded otherwise. So values are compared everywhere, and bytes where a small computation with the same libraries
gives the bytes that it gave where the pins were recorded. OpenCV 4.10 to 4.14 compute the same optical flow as each
other, but not as OpenCV 5: single pixels differ by up to 1.8 % of the range and the root mean square by up to 0.1 %,
while the mean PSNR, AAD and SSIM of the sample are the same (AAD to 0.001).
"""

import json

import cv2
import numpy as np
import pytest

from tests.golden.cases import CASES, METHODS, fingerprint, fuse_case, hashes, reduced
from tests.golden.record import PINS, VALUES

TOLERANCE = 1e-6
"""Of the range of grey values."""
OTHER_PLATFORM = (2e-3, 1e-4)
"""The same of methods that follow OpenCV's optical flow, on a platform other than that of the pins: of single pixels,
and of the root mean square."""
OTHER_OPENCV = (0.025, 0.002)
"""With another major version of OpenCV than that of the pins."""
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
    single, mean = TOLERANCE, TOLERANCE
    if method in FOLLOW_FLOW and not same_platform:
        single, mean = OTHER_PLATFORM if same_opencv else OTHER_OPENCV
    found, expected = reduced(fused.computed), values[key]
    away = np.abs(found - expected) / np.ptp(expected)
    assert away.max() <= single
    assert np.sqrt(np.mean(away**2)) <= mean
    if not same_platform:
        pytest.skip("the values agree; the bytes were recorded on a platform that rounds otherwise")
    assert hashes(fused) == pins["sha256"][key]


def test_every_pin_belongs_to_a_case(pins, values):
    assert set(pins["sha256"]) == set(values) == {f"{case}, {method}" for case in CASES for method in METHODS}
