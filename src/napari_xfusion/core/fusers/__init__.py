"""One file per method. A fuser is opened on a pair and gives one frame per target."""

from __future__ import annotations

from napari_xfusion.core.fusers.backprojection import backprojection
from napari_xfusion.core.fusers.base import Fuser, Stream
from napari_xfusion.core.fusers.bicubic import bicubic
from napari_xfusion.core.fusers.flow import flow
from napari_xfusion.core.plan import Plan
from napari_xfusion.errors import ModelError

TRAINING_FREE: dict[str, Fuser] = {f.name: f for f in (bicubic, backprojection, flow)}
"""The methods that need no weights."""

__all__ = ["TRAINING_FREE", "Fuser", "Stream", "make_fuser"]


def make_fuser(plan: Plan) -> Fuser:
    """The fuser that ``plan`` asks for; raises ModelError when its weights are not to be had."""
    if plan.method in TRAINING_FREE:
        return TRAINING_FREE[plan.method]
    raise ModelError(
        f"--method {plan.method}",
        expected=f"one of {', '.join(TRAINING_FREE)}",
        found="a network, which is not available yet",
        do="use --method flow",
    )
