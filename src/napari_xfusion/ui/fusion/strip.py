"""The timeline of the Fusion panel, which is made when there is a pair to show: pyqtgraph takes time to load."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

if TYPE_CHECKING:
    import napari

    from napari_xfusion.ui.shared.timeline import Timeline
    from napari_xfusion.ui.shared.times import Times

TIP = (
    "Each tick is an LR frame, each bar the exposure of an HR frame; a cross is a frame that is not used, and grey is "
    "far from every HR frame.\nThick: the displayed frame's input frames. Below: what is fused. Click to go to a frame."
)


class Strip(QWidget):
    """A place for the timeline."""

    chosen = Signal(int)
    """The LR frame that the user clicked."""

    def __init__(self, viewer: napari.Viewer, parent: QWidget) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.timeline: Timeline | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)

    def show_times(self, times: Times | None) -> None:
        """Draw the frames; nothing where their times are not known."""
        if times is not None:
            self._made().show_times(times)
        elif self.timeline is not None:
            self.timeline.clear()

    def show_frame(self, frame: int, separation: int) -> None:
        """Mark the displayed LR frame and its input frames."""
        if self.timeline is not None:
            self.timeline.show_frame(frame, separation)

    def show_fused(self, frames: Iterable[int]) -> None:
        """Draw which LR frames are fused."""
        if self.timeline is not None:
            self.timeline.show_fused(frames)

    def _made(self) -> Timeline:
        if self.timeline is None:
            from napari_xfusion.ui.shared.timeline import Timeline  # noqa: PLC0415 - see above

            self.timeline = Timeline(self._viewer, self, TIP, fused=True)
            self.timeline.chosen.connect(self.chosen)
            self.layout().addWidget(self.timeline)
        return self.timeline
