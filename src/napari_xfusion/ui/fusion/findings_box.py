"""The section Check: what was found about the pair, warnings, and buttons that correct a misfit."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QWidget

from napari_xfusion.core.plan import Flaw
from napari_xfusion.ui.fusion.alignment_box import FIND, FINDS
from napari_xfusion.ui.fusion.request import Findings
from napari_xfusion.ui.shared.steps import Fact, Facts, StepSection
from napari_xfusion.ui.shared.widgets import Sentence


class FindingsBox(StepSection):
    """Findings about the pair."""

    mend_asked = Signal(tuple)
    """What is to be corrected."""
    step_asked = Signal()
    """The HR step and start are to be found."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__("Check", parent)
        self._mends: tuple[Flaw, ...] = ()
        self.notes, self.facts, self.mend = Sentence(self), Facts(self), QPushButton(self)
        self.search = QPushButton(FIND, self)
        self.search.setToolTip(FINDS)
        self.notes.setToolTip("What is odd about the recordings; Troubleshooting explains each.")
        self.facts.setToolTip("How the sequences pair, and the cost of a run.")
        self.mend.setToolTip("Fuse the cameras as they fit by what both show.")
        for widget in (self.search, self.mend, self.notes, self.facts):
            self.rows.addRow(widget)
        self.mend.clicked.connect(lambda _: self.mend_asked.emit(self._mends))
        self.search.clicked.connect(lambda _: self.step_asked.emit())
        self.show_findings(Findings())

    def show_findings(self, findings: Findings) -> None:
        """Show ``findings``, and buttons that correct what can be corrected."""
        self._mends = findings.mends
        names = ["placement"] * ("shift" in findings.mends) + ["HR times"] * ("time" in findings.mends)
        self.mend.setText(f"Correct {' and '.join(names)}")
        self.mend.setVisible(bool(findings.mends))
        self.search.setVisible(findings.step_doubtful)
        self.notes.setText("\n".join(findings.notes))
        self.notes.setVisible(bool(findings.notes))
        self.facts.show_rows(Fact(name, (words,)) for name, words in findings.facts)

    @property
    def words(self) -> str:
        """All that the section says, a line each."""
        return "\n".join((self.facts.words, self.notes.text()))
