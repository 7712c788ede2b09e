"""Files in and out: readers that refuse what is not complete, resumable sinks, the run record."""

from napari_xfusion.core.io.folder import open_frames
from napari_xfusion.core.io.open import as_stack, open_stack
from napari_xfusion.core.io.sink import MemorySink, open_sink
from napari_xfusion.core.io.spec import OutputSpec, Sink

__all__ = ["MemorySink", "OutputSpec", "Sink", "as_stack", "open_frames", "open_sink", "open_stack"]
