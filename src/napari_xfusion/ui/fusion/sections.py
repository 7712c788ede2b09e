"""The sections of the Fusion panel side by side with what they lead to: the next button, and fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QPushButton

from napari_xfusion.ui.fusion.guide import Situation, recording_rows, steps
from napari_xfusion.ui.fusion.trust import trust_lines
from napari_xfusion.ui.shared.steps import mark_next
from napari_xfusion.ui.shared.widgets import bring_into_view, tab_stops, tab_through

if TYPE_CHECKING:
    from napari_xfusion.ui.fusion.panel import FusionPanel

PREVIEWED, INSPECTED = "previewed", "inspected"
"""Steps that a user may leave out."""
UNCERTAIN = "uncertain pixels"
"""What the Inspect panel calls the content for which intervals are calibrated."""


class Sections:
    """Shows what each section says, and marks the next button."""

    def __init__(self, panel: FusionPanel) -> None:
        self._panel = panel
        self.all = (panel.data, panel.alignment, panel.check, panel.fuse, panel.judge)
        self.taken: set[str] = set()
        """Of the steps that a user may leave out, those that were taken with the settings of now."""
        self.next: QPushButton | None = None
        """The button that is marked as the next."""
        for group in (panel.method, panel.output):
            panel.fuse.rows.addRow(group)

    def begin(self) -> None:
        """Set the Tab order, and open the first section."""
        tab_through(*(field for section in self.all for field in tab_stops(section)))
        self._panel.data.expand(animate=False)

    def show(self, now: Situation) -> None:
        """Show the state of each step, and which button is the next; a new one is scrolled to."""
        self._panel.data.table.show_rows(recording_rows(now), ("LR", "HR"))
        if not now.checking:  # else the lines would come and go with every change
            self._panel.judge.trust.show_lines(trust_lines(now))
        for section, step in zip(self.all, steps(now), strict=True):
            section.show_step(step)
        order = self._buttons(now)
        wanted = (button for button, is_next in order.items() if is_next and button.isEnabled())
        chosen = None if now.running or now.scoring else next(wanted, None)
        mark_next(order, chosen)
        if now.checking:
            return
        if chosen is not None and chosen is not self.next:
            bring_into_view(chosen)
        self.next = chosen

    def look_at(self, setting: str) -> None:
        """Open the section of a setting's field, and put the cursor there."""
        panel = self._panel
        boxes = (panel.alignment, panel.data, panel.output, panel.method)
        field = next((found for box in boxes if (found := box.field(setting)) is not None), None)
        if field is not None:
            bring_into_view(field)
            field.setFocus()

    def answer(self, about: str) -> None:
        """Lead to what a line about the trust in the result asks for."""
        panel = self._panel
        if about == "error":
            panel.judge.score.click()
        elif about == "method" and panel.judge.found is not None:
            panel.method.choose_method(panel.judge.found.choice.method)
            bring_into_view(panel.method)
        elif about in ("pairing", "network"):
            section = panel.alignment if about == "pairing" else panel.check
            section.expand(animate=False)
            bring_into_view(section)
        elif about == "sources":
            panel.inspect().show_plots().compute_sources()
        elif about == "interval":
            panel.inspect().show_named(UNCERTAIN)

    def _buttons(self, now: Situation) -> dict[QPushButton, bool]:
        """The buttons that lead from the recordings to an exported result, in order: whether each is wanted now."""
        panel, done = self._panel, now.ready and now.finished
        in_file = now.request is not None and now.request.output is not None
        return {
            panel.data.open: now.sequences is None,
            panel.data.again: now.foreign,
            panel.check.search: now.findings.step_doubtful and "hr-interval" in now.findings.codes,
            panel.check.mend: bool(now.findings.mends),
            panel.run_box.preview: now.ready and not done and PREVIEWED not in self.taken,
            panel.run_box.run: now.ready and not done,
            panel.judge.score: done and now.score is None and not panel.judge.failed,
            panel.judge.inspect: done and INSPECTED not in self.taken,
            panel.export.save_sequence: done and not in_file and not panel.export.saved,
        }
