"""A run in the window: its layer is there at once and fills in, the frame on screen first."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

import numpy as np
from napari.layers import Image
from napari.utils.notifications import show_error
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QWidget

from napari_xfusion.core.recordings import open_stack
from napari_xfusion.core.results import MemorySink, OutputSpec, Sink, open_sink
from napari_xfusion.core.results.record import RunRecord, record_path
from napari_xfusion.core.run import Run
from napari_xfusion.core.types import FusedFrame, Region, Token
from napari_xfusion.errors import WriteError, XFusionWarning
from napari_xfusion.ui.fusion.order import NearestFirst
from napari_xfusion.ui.fusion.request import Request, unfinished
from napari_xfusion.ui.fusion.run_box import Pace
from napari_xfusion.ui.shared.job import Body, Outcome, Tell, Worker
from napari_xfusion.ui.shared.place import frame_on_screen
from napari_xfusion.ui.shared.provenance import METADATA
from napari_xfusion.ui.shared.widgets import draw_later, listen
from napari_xfusion.ui.shared.words import in_window_words, settings_in_words

if TYPE_CHECKING:
    import napari

EVERY = 100
"""Milliseconds between two looks at a run."""
DRAWN = 30
"""Milliseconds in which the window draws what has changed."""


@dataclass(frozen=True)
class Begun:
    """The sequences are paired and the result is claimed."""

    spec: OutputSpec
    region: Region | None
    """The HR pixels that the result shows; None for complete frames."""
    done: frozenset[int]
    """Targets that an earlier run has made."""


@dataclass(frozen=True)
class Ended:
    """How the walk ended."""

    finished: bool
    notes: tuple[XFusionWarning, ...]
    record: RunRecord | None


@dataclass(eq=False)
class Result:
    """A sequence that is being made, or was."""

    request: Request
    sink: Sink
    order: NearestFirst = field(default_factory=NearestFirst)
    ready: tuple[FusedFrame, ...] = ()
    """Frames that a preview has fused with the same settings."""
    spec: OutputSpec | None = None
    done: set[int] = field(default_factory=set)
    """Targets that the window has heard of."""
    made: set[int] = field(default_factory=set)
    """Targets that the sink has: more for a moment, and after the panel was closed."""
    shown: threading.Event = field(default_factory=threading.Event)
    """Set when the layer is on screen. Making one keeps the window busy; work beside it would double that."""
    missing: MissingFrames | None = None
    """Hides the layer at frames that are not there."""
    _layer: ref[Image] | None = None

    @property
    def layer(self) -> Image | None:
        """The layer that shows it; None before there is one, and after it went."""
        return None if self._layer is None else self._layer()

    @layer.setter
    def layer(self, layer: Image) -> None:
        self._layer = ref(layer)
        _RESULTS[layer] = self

    @property
    def finished(self) -> bool:
        """Whether all frames are there."""
        return self.spec is not None and len(self.done) == len(self.spec.frames)

    def show_missing(self) -> None:
        """Hide or show the layer by what is fused now."""
        if self.missing is not None:
            self.missing.update()


_RESULTS: WeakKeyDictionary[Image, Result] = WeakKeyDictionary()
"""By their layers; they outlive the panel that began them."""


class KeptFrames:
    """The frames of a sink as an array (T, H, W) for napari; those that are not there yet are 0."""

    ndim = 3

    def __init__(self, sink: Sink, spec: OutputSpec, done: set[int]) -> None:
        self._sink, self._spec, self._done = sink, spec, done
        self.shape = (len(spec.frames), *spec.shape)
        self.dtype = spec.dtype

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Index frames by a number or a slice, pixels as in NumPy."""
        time, *pixels = key if isinstance(key, tuple) else (key,)
        if isinstance(time, slice):
            chosen = [self._frame(j) for j in range(self.shape[0])[time]]
            sequence = np.stack(chosen) if chosen else np.zeros((0, *self._spec.shape), self.dtype)
            return np.asarray(sequence[(slice(None), *pixels)])
        return np.asarray(self._frame(range(self.shape[0])[int(time)])[tuple(pixels)])

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(dtype or self.dtype, copy=False)

    def _frame(self, position: int) -> NDArray[Any]:
        target = self._spec.frames[position]
        if target not in self._done:
            return np.zeros(self._spec.shape, self.dtype)
        frame: NDArray[Any] = self._sink.read(target)
        return frame


class Runner(QObject):
    """One run at a time; results can be resumed as long as their layers are there."""

    progressed = Signal(int, int, str)
    """Frames done, of all, and the pace in words."""
    ended = Signal(str)
    """What became of the run, in words."""

    def __init__(self, viewer: napari.Viewer, panel: QWidget) -> None:
        super().__init__(panel)
        self._viewer, self._panel = viewer, panel
        self._worker = Worker(self, "fusion run", on_news=self._on_news, ended=self._on_end, every=EVERY)
        self._result: Result | None = None
        self._pace = Pace(0, 0)
        self._bar: Any = None
        self._made: Image | None = None
        """A layer that is not in the viewer yet."""
        runner = ref(self)
        self._worker.destroyed.connect(
            lambda _: _show_last(runner())
        )  # after the worker has waited for its frame
        listen(self, viewer.layers.events.removed, self._on_removed)

    @property
    def busy(self) -> bool:
        """Whether a run is at work."""
        return self._worker.busy

    def resumes(self, request: Request) -> bool:
        """Whether an unfinished sequence of that request is there."""
        if request.output is not None:
            return unfinished(request.output).exists()
        result = self._begun(request)
        return result is not None and bool(result.done) and not result.finished

    def start(self, request: Request, looked_at: int, ready: FusedFrame | None = None) -> None:
        """Run ``request``, or resume it, from frame ``looked_at`` outward; the frame that is ``ready`` first."""
        result = self._begun(request)
        if result is None:
            sink = MemorySink() if request.output is None else open_sink(request.output, request.overwrite)
            result = Result(request, sink)
        self._result = result
        result.ready = () if ready is None else (ready,)
        result.order.look_at(looked_at)
        self._worker.ask(walk(result))

    def cancel(self) -> None:
        """Stop after the tile at work; what is done stays."""
        self._worker.cancel()

    def look_at(self, frame: int) -> None:
        """Fuse the frames around ``frame`` next."""
        if self._result is not None:
            self._result.order.look_at(frame)

    def finished(self, request: Request) -> bool:
        """Whether the complete sequence of that request is there."""
        return self.layer(request) is not None

    def layer(self, request: Request) -> Image | None:
        """The layer with the complete sequence of that request; None where there is none."""
        result = self._begun(request)
        return result.layer if result is not None and result.finished else None

    def done(self, request: Request) -> frozenset[int]:
        """The LR frames of that request that are fused."""
        result = self._begun(request)
        return frozenset() if result is None else frozenset(result.done)

    def note(self, frame: int) -> str:
        """What is to be said of LR frame ``frame`` of the result on screen; '' where it is there."""
        for layer in reversed(self._viewer.layers):
            result = _RESULTS.get(layer)
            if result is not None and result.spec is not None and layer.visible:
                return "not fused yet" if frame in result.spec.frames and frame not in result.done else ""
        return ""

    def _begun(self, request: Request) -> Result | None:
        """The result that ``request`` resumes."""
        there = [self._result, *map(_RESULTS.get, self._viewer.layers)]
        return next((r for r in there if r is not None and r.request.key == request.key), None)

    def _on_news(self, news: list[Any]) -> None:
        result = self._result
        if result is None:
            return
        for item in news:
            if isinstance(item, Begun):
                self._on_begun(result, item)
        fresh = {item for item in news if not isinstance(item, Begun)}
        result.done |= fresh
        result.show_missing()
        if fresh and result.layer is not None and result.spec is not None:
            here = frame_on_screen(self._viewer, result.layer)
            if result.spec.frames[here] in fresh:
                result.layer.refresh(extent=False, thumbnail=False)
            self._say_progress(result)

    def _on_begun(self, result: Result, begun: Begun) -> None:
        result.spec = begun.spec
        plan = result.request.plan.model_copy(update={"region": begun.region})
        result.done.clear()  # a file may have been taken away since
        result.done |= begun.done
        if isinstance(result.sink, MemorySink):
            data: Any = result.sink.data
        else:
            data = KeptFrames(result.sink, begun.spec, result.made)
        self._pace = Pace(len(begun.done), len(begun.spec.frames))
        if result.layer is not None:
            result.layer.refresh(extent=False)
            result.show_missing()
            result.shown.set()
            return
        request = result.request
        settings = settings_in_words(request.plan, len(request.sequences[0]))
        made = request.layer(data, plan, detail="".join(f", {each}" for each in settings))
        provenance = replace(made.options["metadata"][METADATA], done=result.made)
        self._made = Image(made.data, **made.options | {"metadata": {METADATA: provenance}})
        QTimer.singleShot(DRAWN, self._add_layer)

    def _add_layer(self) -> None:
        """Add the layer, draw it, select it, show its bar: each keeps napari for 20 to 80 ms."""
        result, layer, self._made = self._result, self._made, None
        if result is None or layer is None:
            return
        selection = self._viewer.layers.selection
        selected = set(selection)
        draw_later(self._panel, DRAWN)
        with selection.events.blocker_all():
            self._viewer.add_layer(layer)  # and not what it returns: plugins get a proxy
            result.layer = layer
            result.missing = MissingFrames(self._viewer, result)
            selection.active = None
            selection.update(selected)
        QTimer.singleShot(2 * DRAWN, self._select_layer)

    def _select_layer(self) -> None:
        result = self._result
        if result is not None and result.layer is not None:
            self._viewer.layers.selection.active = result.layer
            QTimer.singleShot(DRAWN, self._go_on)

    def _go_on(self) -> None:
        """The layer has been drawn: the bar in the activity dock, then the work."""
        result = self._result
        if result is not None and result.spec is not None:
            if self.busy:  # it may have been cancelled meanwhile
                self._show_bar(result, len(result.spec.frames))
            result.shown.set()

    def _show_bar(self, result: Result, total: int) -> Any:
        if self._bar is None:
            self._bar = _activity_bar(total, f"fusing {result.request.title}")
        return self._bar

    def _say_progress(self, result: Result) -> None:
        done, total = len(result.done), len(result.spec.frames) if result.spec else 0
        self.progressed.emit(done, total, self._pace.in_words(done))
        bar = self._show_bar(result, total)
        # The last thing here: napari lets the window live in it, and the run may end.
        bar.update(done - bar.n)
        if bar.is_canceled:
            self.cancel()

    def _on_end(self, outcome: Outcome) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        result = self._result
        if result is None:
            self.ended.emit("Stopped: the fused layer was removed.")
            return
        if isinstance(outcome.value, Ended) and result.layer is not None:
            self._finish(result, result.layer, outcome.value)
        words = result.request.by_name(_end_in_words(result, outcome))
        self.ended.emit(words)
        if outcome.error is not None:
            show_error(words)  # seen also when the panel is not

    def _finish(self, result: Result, layer: Image, ended: Ended) -> None:
        """The layer gets its thumbnail and, when whole, its record."""
        layer.refresh(extent=False)
        result.show_missing()
        if ended.finished:
            output = result.request.output
            sequence = open_stack(output) if output is not None else None
            known = replace(
                layer.metadata[METADATA],
                sequence=sequence,
                shown=layer.data,
                record=ended.record,
                done=None,
            )
            layer.metadata = {**layer.metadata, METADATA: known}

    def _on_removed(self) -> None:
        """A layer that is taken away takes its run along; what a file holds stays."""
        result = self._result
        if result is not None and result.layer is not None and result.layer not in self._viewer.layers:
            self.cancel()
            self._result = None


def _show_last(runner: Runner | None) -> None:
    """Show the frame that was at work when the panel was closed."""
    result = None if runner is None else runner._result
    if result is not None and result.layer is not None:
        result.layer.refresh(extent=False, thumbnail=False)
        result.show_missing()


class MissingFrames:
    """Makes the layer of a result transparent at frames that are not fused yet: what is below is seen, and not black.

    It follows the slider as long as the layer exists, whether a panel is open or not.
    """

    def __init__(self, viewer: napari.Viewer, result: Result) -> None:
        viewer = getattr(viewer, "__wrapped__", viewer)  # napari passes a proxy to plugins
        self._viewer, self._result = ref(viewer), result
        self._opacity: float | None = None
        """Of the layer otherwise, while it is transparent."""
        for emitter in (viewer.dims.events.current_step, viewer.dims.events.ndisplay):
            emitter.connect(self.update, position="last")  # does not keep this object
        self.update()

    def update(self) -> None:
        """Follow the slider and what is fused by now."""
        viewer, layer, spec = self._viewer(), self._result.layer, self._result.spec
        if viewer is None or layer is None or spec is None or layer not in viewer.layers:
            return
        missing = spec.frames[frame_on_screen(viewer, layer)] not in self._result.made
        if missing and viewer.dims.ndisplay == 2:
            if self._opacity is None:
                self._opacity, layer.opacity = layer.opacity, 0.0
        elif self._opacity is not None:
            if layer.opacity == 0:  # else the user has chosen another one meanwhile
                layer.opacity = self._opacity
            self._opacity = None


def walk(result: Result) -> Body:
    """The work of a run, for the thread beside the window."""
    request, sink, order = result.request, result.sink, result.order

    def body(stop: Token, tell: Tell) -> Ended:
        run = Run(request.plan, *request.sequences)
        with sink:
            run.begin(sink)
            result.made.clear()
            result.made.update(run.done)
            tell(Begun(run.spec, run.settled.region, frozenset(run.done)))
            while not (result.shown.wait(0.02) or stop.is_set()):
                pass
            for frame in run.frames(stop, order, result.ready):
                result.made.add(frame.index)
                tell(frame.index)
            if run.finished:
                run.commit()
        record = None
        if run.finished:
            record = (
                RunRecord.of(sink.record or {})
                if isinstance(sink, MemorySink)
                else RunRecord.load(record_path(str(request.output)))
            )
        return Ended(run.finished, tuple(run.notes), record)

    return body


def _end_in_words(result: Result, outcome: Outcome) -> str:
    done, total = len(result.done), len(result.spec.frames) if result.spec else 0
    if outcome.error is not None:
        output = result.request.output
        there = done and (output is None or unfinished(output).exists())
        said = isinstance(outcome.error, WriteError) and outcome.error.saved
        return outcome.in_words() + (f" {done} of {total} frames are saved." if there and not said else "")
    if not outcome.value.finished:
        return f"Stopped: {done} of {total} frames are saved. Press Resume to continue."
    where = f" in {result.request.output.name}" if result.request.output is not None else ""
    notes = [f"Note: {in_window_words(note)}" for note in outcome.value.notes]
    return "\n".join([f"Done: {total} frames{where}.", *notes])


def _activity_bar(total: int, description: str) -> Any:
    """A bar in napari's activity dock, with a button to cancel."""
    from napari.utils import cancelable_progress  # noqa: PLC0415 - napari is there when a window is

    return cancelable_progress(total=total, desc=description)
