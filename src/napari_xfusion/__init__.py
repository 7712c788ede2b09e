"""Fuse a fast, coarse (LR) and a slow, sharp (HR) x-ray movie into one that is fast and sharp.

The public names load on first use, so importing the package pulls in neither torch nor Qt.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_xfusion._version import __version__

_WHERE = {
    "Plan": "core.plan",
    "RunRecord": "core.results.record",
    "Score": "core.holdout.score",
    "evaluate": "core.inspect.evaluate",
    "fuse": "core.run",
    "fuse_files": "core.run",
    "open_stack": "core.recordings",
    "score_methods": "core.holdout.score",
    "simulate": "lab.virtual.experiment",
}
__all__ = [
    "Plan",
    "RunRecord",
    "Score",
    "__version__",
    "evaluate",
    "fuse",
    "fuse_files",
    "open_stack",
    "score_methods",
    "simulate",
]

if TYPE_CHECKING:
    from napari_xfusion.core.holdout.score import Score, score_methods
    from napari_xfusion.core.inspect.evaluate import evaluate
    from napari_xfusion.core.plan import Plan
    from napari_xfusion.core.recordings import open_stack
    from napari_xfusion.core.results.record import RunRecord
    from napari_xfusion.core.run import fuse, fuse_files
    from napari_xfusion.lab.virtual.experiment import simulate


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
