"""What can be wrong with two cameras and their pairing, as frozen values; ``faulty.py`` applies them to frames.

The docstring of a field is also the help text of its option, ``--lr-flicker`` for ``Disturbances.lr.flicker``.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from napari_xfusion.core.value import Value

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Signed = Annotated[float, Field(gt=-1, lt=1)]
Frames = tuple[Count, ...]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Faults(Value):
    """What is wrong with one camera, its illumination or its recording; nothing by default.

    A stored value of 0 is no light, and white is the 99.65 percentile of the undisturbed sequence.
    """

    model_config = ConfigDict(use_attribute_docstrings=True)

    flicker: Share = 0.0
    """each frame is brighter or darker by up to this share, unlike in the other camera"""
    drift: Signed = 0.0
    """the last frame is brighter by this share than the first; frames between them linearly"""
    tilt: Signed = 0.0
    """the right edge is brighter by this share, the left edge darker; linear across the frame"""
    pattern: Share = 0.0
    """standard deviation of the sensitivity of the pixels, the same in every frame"""
    stripes: Share = 0.0
    """standard deviation of the brightness of the rows, another one in every frame"""
    gamma: Annotated[float, Field(gt=0, le=10)] = 1.0
    """exponent of the response; white stays white"""
    round_field: bool = False
    """black outside the largest ellipse in the frame"""
    dead: Count = 0
    """number of pixels that are black in every frame"""
    hot: Count = 0
    """number of pixels that are four times as bright as white in every frame"""
    zingers: Share = 0.0
    """share of the pixels of each frame that are one to four times as bright as white, others in every frame"""
    closed: Count = 0
    """number of the first frames that are dark, because the shutter is closed"""
    black: Frames = ()
    """numbers of dark frames"""
    stuck: Frames = ()
    """numbers of frames that repeat the frame before"""
    dropped: Frames = ()
    """numbers of frames that are missing, so that all later frames come early"""
    stamp: bool = False
    """the first 14 pixels of each frame are a pco time stamp (binary-coded decimal)"""


class Disturbances(Value):
    """What is wrong with two cameras of one event; nothing by default."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    lr: Faults = Faults()
    """LR camera"""
    hr: Faults = Faults()
    """HR camera"""
    beam_flicker: Share = 0.0
    """each LR frame is brighter or darker by up to this share, and so is an HR frame of the same time"""
    lr_shift: tuple[Finite, Finite] = (0.0, 0.0)
    """LR pixels by which the LR image lies too far to the right and too low"""
    lr_turn: Finite = 0.0
    """degrees by which the LR image is turned clockwise about its middle"""
    lr_larger: Annotated[float, Field(gt=-0.5, lt=1)] = 0.0
    """share by which the LR image is enlarged about its middle"""
    lr_blur: Annotated[float, Field(ge=0, le=8)] = 0.0
    """standard deviation in LR pixels of the Gaussian by which the LR image is blurred, in addition to its pixels"""
    hr_late: Finite = 0.0
    """LR frames by which the stated times of the HR frames are too late"""
    hr_exposure: Annotated[int, Field(ge=1)] = 1
    """LR frames over which an HR frame is averaged, around its time"""


UNDISTURBED = Disturbances()
