"""The outcome of a run that writes a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_xfusion.errors import XFusionWarning


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run."""

    output: Path
    frames: int
    """Number of saved frames."""
    total: int
    """Number of frames of the complete result."""
    resumed: int
    """Number of saved frames that an earlier run had computed."""
    seconds: float
    notes: tuple[XFusionWarning, ...]
    """Warnings about the sequences."""
    reached: tuple[float, float] | None = None
    """Coverage of the intervals on HR frames that were left out, and its standard error; None without intervals that
    are calibrated on the recording."""

    @property
    def finished(self) -> bool:
        """False when the run was stopped; the same call resumes it."""
        return self.frames == self.total
