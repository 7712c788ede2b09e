"""One file per method. A fuser is opened on a pair and gives one frame per target."""

from __future__ import annotations

from importlib import import_module

from napari_xfusion.core.methods.backprojection import backprojection
from napari_xfusion.core.methods.base import Fuser, Stream
from napari_xfusion.core.methods.bayesian import bayesian
from napari_xfusion.core.methods.bayesian_paper import bayesian_paper
from napari_xfusion.core.methods.bicubic import bicubic
from napari_xfusion.core.methods.flow import flow
from napari_xfusion.core.plan import Method, Plan

TRAINING_FREE: dict[Method, Fuser] = {
    "bicubic": bicubic,
    "backprojection": backprojection,
    "flow": flow,
    "bayesian": bayesian,
    "bayesian-paper": bayesian_paper,
}
"""The methods that need no weights."""

__all__ = ["TRAINING_FREE", "Fuser", "Stream", "make_fuser"]


def make_fuser(plan: Plan) -> Fuser:
    """The fuser that ``plan`` asks for; raises XFusionError when its weights or device are not to be had."""
    if plan.method in TRAINING_FREE:
        return TRAINING_FREE[plan.method]
    engine = import_module("napari_xfusion.core.networks.engine")  # torch takes seconds to import
    fuser: Fuser = engine.load_fuser(plan)
    return fuser
