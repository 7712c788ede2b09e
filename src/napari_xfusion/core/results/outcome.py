"""What became of a run into a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_xfusion.errors import XFusionWarning


@dataclass(frozen=True)
class Outcome:
    """What became of a run."""

    output: Path
    frames: int
    """Frames that are done."""
    total: int
    """Frames of the whole result."""
    resumed: int
    """Of the done ones, those that an earlier run had made."""
    seconds: float
    notes: tuple[XFusionWarning, ...]
    """What was odd about the sequences."""

    @property
    def finished(self) -> bool:
        """False when the run was stopped; the same call resumes it."""
        return self.frames == self.total
