"""Readers: recordings as stacks, read a frame at a time; what is incomplete is refused."""

from napari_xfusion.core.recordings.open import as_stack, open_frames, open_stack

__all__ = ["as_stack", "open_frames", "open_stack"]
