"""Files in and out: readers that refuse what is not complete, resumable sinks, the run record."""

from napari_xfusion.core.io.open import as_stack, open_stack

__all__ = ["as_stack", "open_stack"]
