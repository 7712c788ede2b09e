"""One module per method. A fuser is opened on a rig and gives one frame per target."""

from __future__ import annotations

from napari_xfusion.core.catalogue import METHODS
from napari_xfusion.core.methods.base import Fuser, Stream
from napari_xfusion.core.plan import Plan

__all__ = ["Fuser", "Stream", "make_fuser"]


def make_fuser(plan: Plan) -> Fuser:
    """The fuser that ``plan`` asks for; raises XFusionError when its weights or device are unavailable."""
    fuser: Fuser = METHODS[plan.method].load(plan)
    return fuser
