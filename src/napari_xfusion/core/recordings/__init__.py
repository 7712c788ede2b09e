"""Readers: recordings as stacks, read a frame at a time; what is incomplete is refused."""

from napari_xfusion.core.recordings.open import Recording, as_stack, find_recording, open_frames, open_stack

__all__ = ["Recording", "as_stack", "find_recording", "open_frames", "open_stack"]
