"""Readers: recordings as stacks, read a frame at a time; what is incomplete is refused."""

from napari_xfusion.core.recordings.fields import Fields
from napari_xfusion.core.recordings.open import (
    Raw,
    Recording,
    as_stack,
    find_recording,
    open_frames,
    open_stack,
)

__all__ = ["Fields", "Raw", "Recording", "as_stack", "find_recording", "open_frames", "open_stack"]
