"""The Fusion panel: it leads from two recordings to a judged result, checks every change, and starts the work."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QWidget

from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.recordings import Recording
from napari_xfusion.core.rig import Mapping, find_hr_times, place_lr
from napari_xfusion.errors import InputError, XFusionError
from napari_xfusion.ui.fusion.alignment_box import AlignmentBox
from napari_xfusion.ui.fusion.data_box import DataBox, is_input
from napari_xfusion.ui.fusion.findings_box import FindingsBox
from napari_xfusion.ui.fusion.frame_label import frame_words
from napari_xfusion.ui.fusion.guide import Situation
from napari_xfusion.ui.fusion.judge_box import JudgeBox
from napari_xfusion.ui.fusion.live import Previews
from napari_xfusion.ui.fusion.method_box import MethodBox
from napari_xfusion.ui.fusion.output_box import OutputBox
from napari_xfusion.ui.fusion.request import Findings, Request, examine, times_of
from napari_xfusion.ui.fusion.run_box import RunBox
from napari_xfusion.ui.fusion.runner import Runner
from napari_xfusion.ui.fusion.sections import INSPECTED, PREVIEWED, Sections
from napari_xfusion.ui.fusion.settings import load_settings, save_settings
from napari_xfusion.ui.fusion.strip import Strip
from napari_xfusion.ui.shared import compat
from napari_xfusion.ui.shared.job import Outcome, Worker
from napari_xfusion.ui.shared.keys import bind
from napari_xfusion.ui.shared.layers import arrange
from napari_xfusion.ui.shared.place import frame_on_screen, visible_region
from napari_xfusion.ui.shared.read_again import PLUGIN, new_frames, read_again, remember
from napari_xfusion.ui.shared.steps import StepSection
from napari_xfusion.ui.shared.widgets import (
    Follower,
    Panel,
    bring_into_view,
    in_turns,
    listen,
    scale_bar_in_2d,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import napari.viewer
    from napari.layers import Layer

    from napari_xfusion.core.types import Stack

SETTLE = 120
"""Milliseconds without a change before the settings are checked."""
LABELS, MARKS = 200, 50
"""Minimum milliseconds between updates of frame label and timeline, which take longer to draw than a frame."""
PANEL = "fusion"
"""The name of this panel in the settings file."""
CHECKING = "Checking input …"
RIG = "Rig (two cameras)"


class FusionPanel(Panel):
    """Fuse two image sequences of a viewer and follow the run."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._request: Request | None = None
        self._problem = CHECKING
        self._asked: tuple[Stack, ...] = ()
        """LR and HR of the last request."""
        self._looked_at: tuple[Any, ...] = ()
        """The key of the last request."""
        self._anew = False
        """Whether LR and HR are to be read again from their files."""
        self._fresh = True
        """Whether the settings have changed since the last live preview; the end of a run is not a change."""
        self._findings = Findings()
        self.alignment = AlignmentBox(self)
        self.data = DataBox(viewer, self.alignment, self)
        self.check = FindingsBox(self)
        self.fuse = StepSection("Fuse", self)
        self.method = MethodBox(self)
        self.output = OutputBox(viewer, self)
        self.judge = JudgeBox(viewer, self)
        self.export = self.judge.export
        self.strip = Strip(viewer, self)
        self.run_box = RunBox(viewer, self)
        self.runner = Runner(viewer, self)
        self.previews = Previews(viewer, self)
        self._checks = Worker(self, "fusion check", ended=self._on_examined, every=20)
        self._settle = _single_shot(self, SETTLE, self._examine)
        self._view_changed = _single_shot(self, SETTLE, self._ask_live)
        self._redrawn = _single_shot(self, SETTLE, self._on_redrawn)
        self._labelled = _single_shot(self, LABELS, self._label_frame)
        self._marked = _single_shot(self, MARKS, self._mark_frame)
        self._learnt = Follower(self, ("metadata",), self._show_steps)
        self.sections = Sections(self)
        self.lay_out(self.sections.all, self.strip, self.run_box)
        self.sections.begin()
        saved = load_settings(PANEL)
        for box, name in ((self.data, "data"), (self.method, "method"), (self.output, "output")):
            box.restore(saved.get(name) or {})
        self.data.guess()
        self._connect()
        self._examine()
        # napari makes an overlay when it is first shown, and draws it, in 0.1 s.
        overlays = compat.text_overlay(viewer), compat.scale_bar(viewer)
        in_turns(self, *(partial(setattr, x, "visible", True) for x in overlays))

    def choose(self, layers: list[Layer]) -> None:
        """Select LR and HR among ``layers``."""
        self.data.choose(layers)

    def choose_pair(self, lr: Layer, hr: Layer, rig_file: str) -> None:
        """Select LR, HR and their rig file."""
        self.data.choose_pair(lr, hr, rig_file)

    # The request.

    def _changed(self) -> None:
        self._request, self._problem = None, CHECKING
        self._fresh = True
        self._checks.forget()
        self.previews.forget()
        self._show_ready()
        self._settle.start()

    def _on_inserted(self) -> None:
        """Select a new pair if there is none yet."""
        *_, newest = self._viewer.layers
        if is_input(newest) and (self.data.undecided or (self._problem and not self.data.fits)):
            self.data.guess()
            self._settle.start()

    def _examine(self) -> None:
        """Examine the request in the background thread, once the layers show what is to be fused."""
        try:
            files = self.data.to_read(anew=self._anew)
            before, request = self.data.sequences(), None if files else self._ask()
        except XFusionError as error:
            self._found(None, Findings.of_problem(error))
            return
        self._checks.ask(lambda *_: _examined(request) if request is not None else _read(files or (), before))

    def _ask(self) -> Request:
        """The request as set in the panel; raises XFusionError for invalid settings."""
        sequences, layers = self.data.sequences(), self.data.layers()
        self._asked = sequences
        self.output.set_lr(sequences[0])
        data = self.alignment.values()

        def mapping() -> Mapping:
            return place_lr(*sequences, data["calibration"]).without_radial

        plan = make_plan(
            **data,
            **self.method.values(),
            frames=self.output.frames(),
            region=self.output.region_of(layers[0], mapping, sequences[1]),
        )
        output = self.output.target()
        overwrite = output is not None and self.output.overwrite.isChecked()
        return Request(plan, layers, sequences, output, overwrite)

    def _on_examined(self, outcome: Outcome) -> None:
        anew, self._anew = self._anew, False
        if isinstance(outcome.error, XFusionError):
            self._found(None, Findings.of_problem(outcome.error))
        elif outcome.error is not None:
            self._found(None, Findings(problem=outcome.in_words()))
        elif isinstance(outcome.value, list):
            self._show_read(outcome.value, say=anew)
            self._examine()
        else:
            self._found(*outcome.value)

    def _show_read(self, stacks: Sequence[Stack], *, say: bool) -> None:
        """Show LR and HR as they were read again; with ``say``, how many frames are new."""
        if say:
            self.run_box.say(new_frames(self.data.sequences(), stacks))
        self.data.show_read(stacks)

    def _refresh(self) -> None:
        self._anew = True
        self._changed()

    def _on_redrawn(self) -> None:
        """Examine LR and HR again if their layers show other sequences than those that were examined."""
        try:
            now = self.data.sequences()
        except InputError:
            now = None
        if now is None or any(a is not b for a, b in zip(now, self._asked, strict=False)):
            self._changed()

    def _found(self, request: Request | None, findings: Findings) -> None:
        if self._request is None and request is not None and request.key != self._looked_at:
            self._looked_at = request.key
            self.sections.taken.clear()
            if not self.runner.busy:
                self.run_box.forget_end()
        self._request, self._problem, self._findings = request, findings.problem, findings
        self.check.show_findings(findings)
        self.judge.show_request(None if findings.problem else request, findings.rig)
        self._show_times()
        self._show_ready()
        self._save()
        if not self.runner.busy:
            self.run_box.refuse(self._problem)
        self._label_frame()
        if self._request is not None and not self._problem:
            self._arrange(self._request)
            if self._fresh and not self.runner.busy:
                self._fresh = False
                self._ask_live()

    def _arrange(self, request: Request) -> None:
        """Align the two layers as the plan pairs them."""
        times = find_hr_times(*request.sequences, request.plan)
        if arrange(*request.layers, times, request.plan.calibration):
            self._viewer.reset_view()

    def _show_ready(self) -> None:
        if self.runner.busy:
            self.run_box.set_running()
        else:
            resumes = self._request is not None and not self._problem and self.runner.resumes(self._request)
            self.run_box.set_ready(self._problem, resumes=resumes)
        self._show_steps()

    # The sections.

    def _situation(self) -> Situation:
        """What the sections are about."""
        try:
            sequences = self.data.sequences()
        except InputError:
            sequences = None
        request = self._request
        return Situation(
            sequences=sequences,
            empty=self.data.empty,
            foreign=bool(self.data.foreign()),
            request=request,
            findings=self._findings,
            checking=self._problem == CHECKING,
            rig_file=self.alignment.rig.text(),
            calibration=None if request is None else request.plan.calibration,
            running=self.runner.busy,
            finished=request is not None and self.runner.finished(request),
            result=None if request is None else self.runner.layer(request),
            score=self.judge.found,
            scored=self.judge.scored_by,
            scoring=self.judge.busy,
        )

    def _show_steps(self) -> None:
        now = self._situation()
        self._learnt.follow([] if now.result is None else [now.result])
        self.sections.show(now)

    def _take(self, step: str) -> None:
        self.sections.taken.add(step)
        self._show_steps()

    def _find_step(self) -> None:
        """Find HR step and start, where the search and what it finds are seen."""
        self.alignment.find_step()
        bring_into_view(self.alignment.found)

    def _open_panel(self, name: str) -> Any:
        _, panel = self._viewer.window.add_plugin_dock_widget(PLUGIN, name)
        return panel

    def inspect(self) -> Any:
        """Open the Inspect panel, and return it."""
        panel = self._open_panel("Inspect")
        self._take(INSPECTED)
        return panel

    def _show_times(self) -> None:
        """Draw when the frames were taken that the request pairs."""
        request, rig = self._request, self._findings.rig
        self.strip.show_times(None if request is None or rig is None else times_of(request, rig))
        self._show_fused()

    def _show_fused(self) -> None:
        self._mark_frame()
        if self._request is not None:
            self.strip.show_fused(self.runner.done(self._request))

    def _mark_frame(self) -> None:
        if self._request is not None:
            self.strip.show_frame(self._frame(), self._request.plan.separation)

    def _go_to(self, frame: int) -> None:
        """Show the LR frame that was clicked."""
        layer = self.data.lr.layer()
        if layer is not None and layer.ndim > 2:
            place = np.zeros(layer.ndim)
            place[-3] = frame
            time = float(layer.data_to_world(place)[-3])
            self._viewer.dims.set_point(self._viewer.dims.ndim - 3, time)

    def _go_to_hr(self, direction: int) -> None:
        """Show the LR frame nearest to the next (1) or previous (-1) HR frame."""
        if self._request is None or self._findings.rig is None:
            return
        frames = {round(time) for time in times_of(self._request, self._findings.rig).usable}
        beyond = [frame for frame in frames if direction * (frame - self._frame()) > 0]
        if beyond:
            self._go_to(min(beyond, key=lambda frame: direction * frame))

    def _save(self) -> None:
        values = {
            "data": self.data.saved(),
            "method": self.method.saved(),
            "output": self.output.saved(),
        }
        save_settings(PANEL, values)

    # Runs and previews.

    def _run(self) -> None:
        if self._request is not None and not self._problem:
            self._show_hr()
            ready = self.previews.ready(self._request)
            self.previews.forget()
            self.runner.start(self._request, self._frame(), ready)
            self.run_box.set_running()
            self.run_box.say("Reading the sequences …")
            self._show_steps()

    def _preview(self) -> None:
        if self._request is not None and not self._problem:
            self._show_hr()
            self.run_box.say(f"Fusing frame {self._frame()} …")
            self.previews.ask(self._request, self._frame(), self._request.plan.region)
            self._take(PREVIEWED)

    def _show_hr(self) -> None:
        """Show the HR sequence at the HR times of the plan."""
        if self._request is not None:
            plan = self._request.plan
            self.data.show_hr_at(find_hr_times(*self._request.sequences, plan), plan.calibration)

    def _ask_live(self) -> None:
        """Request a live preview, unless a run is active, which fuses the displayed frame first anyway."""
        request = self._request
        if not self.run_box.live.isChecked() or request is None or self._problem or self.runner.busy:
            return
        seen = visible_region(request.layers[0], request.mapping, request.sequences[1].shape[1:])
        self.previews.ask(request, self._frame(), seen or request.plan.region)

    def _on_slider(self) -> None:
        if not self._labelled.isActive():
            self._labelled.start()
        if not self._marked.isActive():
            self._marked.start()
        if self._request is not None:
            self.runner.look_at(self._frame())
            self._ask_live()

    def _on_progress(self, done: int, total: int, words: str) -> None:
        self.run_box.show_progress(done, total, words)
        self._show_fused()
        self._label_frame()

    def _on_ended(self, words: str) -> None:
        self.method.show_hardware()
        self.run_box.show_end(words)
        self._show_ready()
        self._show_fused()
        self._label_frame()
        self._examine()

    # The canvas.

    def _frame(self) -> int:
        """The LR frame under the slider."""
        return 0 if self._request is None else frame_on_screen(self._viewer, self._request.layers[0])

    def _label_frame(self) -> None:
        """Label the canvas with the frames of LR and HR, and with a note if the frame is not fused yet."""
        lr, words = self.data.lr.layer(), []
        with suppress(InputError):  # without a sequence there is no label
            if lr is not None:
                note = self.runner.note(frame_on_screen(self._viewer, lr))
                words = [*frame_words(self._viewer, lr, self.data.hr.layer()), note]
        compat.text_overlay(self._viewer).text = " · ".join(filter(None, words))

    def _delete(self) -> None:
        """Take the label along when the dock is closed; a closing window has no use for it."""
        if self.parent() is None:
            self._checks.forget()
            for timer in (self._settle, self._redrawn, self._labelled, self._marked):
                timer.stop()
            compat.text_overlay(self._viewer).text = ""
        super()._delete()

    def _connect(self) -> None:
        for box in (self.data, self.method, self.output):
            box.changed.connect(self._changed)
        self.data.refresh.clicked.connect(lambda _: self._refresh())
        self.data.recent.cleared.connect(self._save)
        self.data.redrawn.connect(self._redrawn.start)
        self.data.pair_changed.connect(self.method.reset_pair)
        self.check.mend_asked.connect(self.method.correct)
        self.check.step_asked.connect(self._find_step)
        self.alignment.rig_asked.connect(lambda: self._open_panel(RIG))
        self.judge.inspect_asked.connect(self.inspect)
        self.judge.trust.asked.connect(self.sections.answer)
        self.judge.scored.connect(self._show_steps)
        self.judge.adapt.adapted.connect(self.method.use_model)
        self.judge.frame_asked.connect(self._go_to)
        self.export.ended.connect(self._show_steps)
        self.strip.chosen.connect(self._go_to)
        for asks in (*self.sections.all, self.data.table):
            asks.asked.connect(self.sections.look_at)
        self.run_box.run_asked.connect(self._run)
        self.run_box.cancel_asked.connect(self.runner.cancel)
        self.run_box.preview_asked.connect(self._preview)
        self.run_box.live_switched.connect(lambda _: self._ask_live())
        self.runner.progressed.connect(self._on_progress)
        self.runner.ended.connect(self._on_ended)
        self.runner.ended.connect(lambda _: self.export.update_buttons())
        self.previews.shown.connect(self.run_box.say)
        for name, act in (
            ("preview", self.run_box.preview.click),
            ("run", self.run_box.run.click),
            ("cancel", self.run_box.cancel.click),
            ("previous-hr", lambda: self._go_to_hr(-1)),
            ("next-hr", lambda: self._go_to_hr(1)),
        ):
            bind(self, self._viewer, name, act)
        listen(self, self._viewer.layers.events.inserted, self._on_inserted)
        listen(self, self._viewer.dims.events.current_step, self._on_slider)
        for emitter in (compat.camera(self._viewer).events.zoom, compat.camera(self._viewer).events.center):
            listen(self, emitter, self._view_changed.start)
        scale_bar_in_2d(self, self._viewer)


def _read(files: Iterable[Recording | Stack], before: Iterable[Stack]) -> list[Stack]:
    return [read_again(source, stack) for source, stack in zip(files, before, strict=True)]


def _examined(request: Request) -> tuple[Request, Findings]:
    from napari_xfusion.ui.shared import timeline  # noqa: F401, PLC0415 - takes 0.1 s, and is needed next

    for stack in request.sequences:
        remember(stack)
    return request, examine(request)


def _single_shot(owner: QWidget, milliseconds: int, then: Callable[[], object]) -> QTimer:
    """A timer that calls ``then`` once, ``milliseconds`` after its last start."""
    timer = QTimer(owner)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(then)
    return timer
