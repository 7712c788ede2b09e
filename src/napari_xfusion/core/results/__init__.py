"""Results: sinks that resume after an interruption, and the run record next to each."""

from napari_xfusion.core.results.sink import MemorySink, open_sink
from napari_xfusion.core.results.spec import OutputSpec, Sink

__all__ = ["MemorySink", "OutputSpec", "Sink", "open_sink"]
