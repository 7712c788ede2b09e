"""The paper's experiments on any sharp movie: sweeps, tables, figures, a report.

``study`` loads on first use, so the worker processes, which only compute, load no matplotlib.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_xfusion.lab.study.plan import StudyPlan, preset, read_plan

if TYPE_CHECKING:
    from napari_xfusion.lab.study.study import Studied, run_study, settle_plan

__all__ = ["Studied", "StudyPlan", "preset", "read_plan", "run_study", "settle_plan"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(f"{__name__}.study"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
