"""The score: every method judged on a recording itself, by HR frames that are left out in turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from os import PathLike
from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from napari_xfusion._version import __version__
from napari_xfusion.core.catalogue import METHODS, training_free
from napari_xfusion.core.files import load_json, save_json
from napari_xfusion.core.holdout.compare import (
    LEAST,
    Compared,
    block_squares,
    compare,
    decibels,
)
from napari_xfusion.core.holdout.growth import UNKNOWN, change_at, fit_growth
from napari_xfusion.core.holdout.left_out import Gap, Guess, LeftOut, judged, spread
from napari_xfusion.core.holdout.noise import mean_noise, noise_curve
from napari_xfusion.core.holdout.sample import BUDGET, cost_of, require_enough, settle_gaps, standard_error
from napari_xfusion.core.holdout.scan import FRAMES, find_offset
from napari_xfusion.core.methods import Fuser, make_fuser
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.rig import Rig, seen_targets
from napari_xfusion.core.session import rig_of
from napari_xfusion.core.types import Progress, Token
from napari_xfusion.core.value import Value
from napari_xfusion.errors import DeviceError, ModelError, XFusionWarning

SCORED = (*(method.name for method in training_free()), "lite")
"""The methods that are judged by default."""
TARGETS = 96
"""Unseen targets for which the error is expected, at most; evenly spread."""
SIGMAS = 2.0
"""Standard errors of a difference between two methods within which they count as equal."""
EQUAL = 0.05
"""dB within which two methods count as equal in any case: the expected error at the real gap is no more certain."""
EQUAL_ONCE = 0.5
"""The same where a single HR frame was left out, and the scatter is unknown."""
EQUAL_AT_MOST = 0.1
"""dB beyond which a faster method is not worth the loss, even where that is uncertain."""
LEAST_GAIN = 0.1
"""dB by which other HR times or another place must improve the score."""
FEW = 3
"""HR frames that must be left out for error bars that mean something."""


class FrameScore(Value):
    """One HR frame that was left out, and how a method made it of the others."""

    frame: int
    """Number of the HR frame in its recording."""
    time: float
    """In LR frame numbers."""
    psnr: float
    """dB, peak 1; the HR frame's noise included."""
    aad: float
    """Mean absolute difference in 8-bit grey levels."""
    ssim: float | None
    """None of frames that are smaller than 7x7 pixels."""


class StepScore(Value):
    """HR frames left out so many in a row."""

    count: int
    frames: int
    """Number of frames that were judged."""
    gap: float
    """Median LR frames between the HR frames that remained."""
    psnr: float
    """Mean, dB."""


class MethodScore(Value):
    """A method on this recording."""

    method: str
    frames: tuple[FrameScore, ...]
    """HR frames left out one at a time."""
    psnr: float
    """Means over ``frames``."""
    psnr_error: float | None
    """Standard error of the mean; None of a single frame."""
    aad: float
    ssim: float | None
    steps: tuple[StepScore, ...]
    """One, two and three HR frames left out in a row, as far as there are enough."""
    unseen: float | None
    """Expected mean PSNR of the unseen targets of a run with all HR frames, dB; None where no target is unseen."""
    exponent: float
    """Power of LR's change with which the error grows, see ``core.holdout.growth``."""
    error_map: tuple[tuple[float, ...], ...]
    """Root mean square error of ``frames`` in blocks of the picture, rows from the top; grey units."""
    cost: float
    """Expected seconds per fused frame and million pixels on two cores."""

    @property
    def worst(self) -> tuple[FrameScore, ...]:
        """The three frames with the lowest PSNR, the worst first."""
        return tuple(sorted(self.frames, key=lambda each: each.psnr)[:3])

    @property
    def expected(self) -> float:
        """``unseen``, or ``psnr`` where no target is unseen."""
        return self.psnr if self.unseen is None else self.unseen

    @property
    def merit(self) -> float:
        """What methods are ranked by, dB: the mean of ``psnr`` and ``expected``.

        Differences between methods at the real gap lie between those at twice that and those of their extrapolations,
        each of which has an error of its own.
        """
        return (self.psnr + self.expected) / 2


class Choice(Value):
    """The recommended method."""

    method: str
    runner_up: str | None = None
    """The best of the others; None where there is one method."""
    margin: float | None = None
    """dB of merit that ``method`` is above it; negative where both count as equal and ``method`` is the faster one."""
    margin_error: float | None = None
    """Standard error of their difference over the frames; None of a single frame."""
    clear: bool = True
    """Whether the difference is more than the uncertainty of the score."""


class Offset(Value):
    """HR times or a place of LR with which the score is better."""

    kind: Literal["time", "shift"]
    late: float = 0.0
    """LR frames by which HR times are too large."""
    down: float = 0.0
    right: float = 0.0
    """HR pixels by which LR lies further down and to the right than assumed."""
    gain: float
    """dB by which the recommended method is better then; of HR times, expected from the error that they remove."""

    @property
    def text(self) -> str:
        """What would be better."""
        if self.kind == "time":
            return f"HR times {abs(self.late):.2f} LR frames {'earlier' if self.late > 0 else 'later'}"
        down, right = ("down", "up")[self.down < 0], ("to the right", "to the left")[self.right < 0]
        parts = [(abs(self.down), down), (abs(self.right), right)]
        return "LR moved by " + " and ".join(f"{size:.2f} HR pixels {way}" for size, way in parts if size)


class Score(Value):
    """What leaving out HR frames tells about a recording and the methods. Saved as JSON."""

    schema_number: Annotated[Literal[1], Field(alias="schema")] = 1
    napari_xfusion: str = __version__
    """Version of this package."""
    lr: str
    hr: str
    """Absolute paths, or names of arrays."""
    hr_frames: int
    """Usable HR frames of the recording."""
    gap: float
    """Median LR frames between two HR frames of a run."""
    ceiling: float
    """PSNR in dB that the true image would have: the noise of the HR frames, measured on them."""
    methods: tuple[MethodScore, ...]
    """In the order of the catalogue."""
    skipped: tuple[tuple[str, str], ...] = ()
    """Methods that cannot run here, and why."""
    choice: Choice
    offset: Offset | None = None
    warnings: tuple[XFusionWarning, ...] = ()
    """About the recordings and about the score."""

    def of(self, method: str) -> MethodScore:
        """The score of a method; KeyError where it was not judged."""
        return {each.method: each for each in self.methods}[method]

    @property
    def best(self) -> MethodScore:
        """The score of the recommended method."""
        return self.of(self.choice.method)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the score as JSON; raises WriteError."""
        save_json(self, path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read a score from JSON; raises InputError where there is none, or it is damaged."""
        return load_json(cls, path, expected="a score of schema 1", hint="make the score again")


class _Able(NamedTuple):
    """A method that can run."""

    plan: Plan
    fuser: Fuser


class _Row(NamedTuple):
    """A guess in numbers."""

    gap: Gap
    frame: int
    square: float
    change: float
    compared: FrameScore | None
    blocks: NDArray[np.float64] | None
    """Both of HR frames left out one at a time."""


def score_methods(
    plan: Plan,
    lr: object,
    hr: object,
    *,
    methods: Sequence[str] | None = None,
    budget: float = BUDGET,
    stop: Token | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Score | None:
    """Judge ``methods`` (names; SCORED by default) on two recordings by HR frames that are left out; None when stopped.

    The other settings are those of ``plan``, whose model is that of its method. ``lr`` and ``hr`` are paths, arrays or
    Stacks. ``budget`` is the planned time in seconds of two cores, which decides how many HR frames are left out:
    equal settings judge equal frames anywhere. ``progress`` counts gaps and methods.

    Raises InputError where there are fewer than three HR frames, ModelError or DeviceError where one of the named
    methods cannot run (default methods are skipped), else as ``rig_of``.
    """
    plan = judged(plan)
    rig = rig_of(plan, lr, hr)
    return score_rig(plan, rig, methods=methods, budget=budget, stop=stop, progress=progress)


def score_rig(
    plan: Plan,
    rig: Rig,
    *,
    methods: Sequence[str] | None = None,
    budget: float = BUDGET,
    stop: Token | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Score | None:
    """See ``score_methods``, on the rig of a ``judged`` plan."""
    require_enough(rig, 3, "leaving one out needs one before and one after it")
    stop = stop or threading.Event()
    able, skipped = _ready(plan, methods)
    left = LeftOut(plan, rig)
    curve = noise_curve(left.reader)
    noise = mean_noise(left.reader, curve)
    chosen = settle_gaps(rig, plan, [each.plan for each in able], budget)
    rows: dict[str, list[_Row]] = {each.plan.method: [] for each in able}
    work = [(gap, each) for gap in chosen for each in able]
    for done, (gap, method) in enumerate(work):
        progress(done, len(work))
        guesses = left.guesses(gap, method.plan, method.fuser, stop)
        rows[method.plan.method] += [_row(left, guess) for guess in guesses]
        if stop.is_set():
            return None
    progress(len(work), len(work))
    changes = _target_changes(left)
    scores = [_method_score(left, each.plan, rows[each.plan.method], changes, noise) for each in able]
    choice = choose(scores)
    frames = [gap.first for gap in chosen if gap.length == 1]
    best = next(each for each in able if each.plan.method == choice.method)
    offset = _offset(left, best, rows[choice.method], stop)
    return Score(
        lr=rig.fast.source,
        hr=rig.hr.source,
        hr_frames=len(rig.exposures),
        gap=float(np.median(np.diff(rig.hr_times))),
        ceiling=decibels(noise),
        methods=tuple(scores),
        skipped=tuple(skipped.items()),
        choice=choice,
        offset=offset,
        warnings=(*rig.warnings, *_warnings(len(frames), offset, skipped)),
    )


def _ready(plan: Plan, methods: Sequence[str] | None) -> tuple[list[_Able], dict[str, str]]:
    """The methods that can run, and why default methods cannot."""
    found, skipped = [], {}
    for name in METHODS:
        if name not in (SCORED if methods is None else methods):
            continue
        own = plan.model_copy(update={"method": name, "model": plan.model if name == plan.method else None})
        try:
            found.append(_Able(own, make_fuser(own)))
        except (ModelError, DeviceError) as error:
            if methods is not None:
                raise
            skipped[name] = str(error)
    return found, skipped


def _row(left: LeftOut, guess: Guess) -> _Row:
    compared = compare(guess, left.hidden)
    time = float(left.rig.hr_times[guess.frame])
    change = change_at(left.reader, time, guess.gap.ends)
    if guess.gap.length > 1:
        return _Row(guess.gap, guess.frame, compared.square, change, None, None)
    return _Row(
        guess.gap,
        guess.frame,
        compared.square,
        change,
        _frame_score(left, guess, compared),
        block_squares(compared),
    )


def _frame_score(left: LeftOut, guess: Guess, compared: Compared) -> FrameScore:
    return FrameScore(
        frame=left.rig.exposures[guess.frame].frame,
        time=float(left.rig.hr_times[guess.frame]),
        psnr=decibels(compared.square),
        aad=compared.aad,
        ssim=compared.ssim,
    )


def _target_changes(left: LeftOut) -> NDArray[np.float64]:
    """LR's change (N,) at unseen targets of a run with all HR frames."""
    unseen = np.flatnonzero(~seen_targets(left.rig.hr_times, len(left.rig))).tolist()
    chosen = [unseen[i] for i in spread(len(unseen), TARGETS)]
    return np.array([change_at(left.reader, float(t)) for t in chosen])


def _method_score(
    left: LeftOut, plan: Plan, rows: Sequence[_Row], changes: NDArray[np.float64], noise: float
) -> MethodScore:
    frames = tuple(row.compared for row in rows if row.compared is not None)
    blocks = np.mean([row.blocks for row in rows if row.blocks is not None], axis=0)
    psnr = np.array([each.psnr for each in frames])
    similar = [each.ssim for each in frames if each.ssim is not None]
    errors = np.array([max(row.square - noise, UNKNOWN * noise, LEAST) for row in rows])
    frames_left_out, counts = [row.frame for row in rows], [row.gap.length for row in rows]
    growth = fit_growth(frames_left_out, counts, np.array([row.change for row in rows]), errors)
    expected = [decibels(noise + error) for error in growth(changes).tolist()]
    return MethodScore(
        method=plan.method,
        frames=frames,
        psnr=float(psnr.mean()),
        psnr_error=standard_error(psnr),
        aad=float(np.mean([each.aad for each in frames])),
        ssim=float(np.mean(similar)) if similar else None,
        steps=tuple(_step(left.rig, rows, count) for count in sorted({row.gap.length for row in rows})),
        unseen=float(np.mean(expected)) if expected else None,
        exponent=growth.exponent,
        error_map=tuple(tuple(np.sqrt(row).round(6).tolist()) for row in blocks),
        cost=cost_of(plan),
    )


def _step(rig: Rig, rows: Sequence[_Row], count: int) -> StepScore:
    same = [row for row in rows if row.gap.length == count]
    lengths = [rig.hr_times[row.gap.ends[1]] - rig.hr_times[row.gap.ends[0]] for row in same]
    psnr = float(np.mean([decibels(row.square) for row in same]))
    return StepScore(count=count, frames=len(same), gap=float(np.median(lengths)), psnr=psnr)


def choose(scores: Sequence[MethodScore]) -> Choice:
    """The method with the most merit; of those that count as equal to it, the fastest."""
    top = max(scores, key=lambda each: each.merit)
    close = [each for each in scores if top.merit - each.merit <= _tolerance(top, each)]
    equal = [each for each in close if len(each.frames) == 1 or top.merit - each.merit <= EQUAL_AT_MOST]
    chosen = min(equal, key=lambda each: each.cost)
    others = [each for each in scores if each is not chosen]
    if not others:
        return Choice(method=chosen.method)
    second = max(others, key=lambda each: each.merit)
    return Choice(
        method=chosen.method,
        runner_up=second.method,
        margin=chosen.merit - second.merit,
        margin_error=standard_error(_differences(chosen, second)),
        clear=len(close) == 1,
    )


def _tolerance(one: MethodScore, other: MethodScore) -> float:
    scatter = standard_error(_differences(one, other))
    return EQUAL_ONCE if scatter is None else max(EQUAL, SIGMAS * scatter)


def _differences(one: MethodScore, other: MethodScore) -> NDArray[np.float64]:
    return np.array([a.psnr - b.psnr for a, b in zip(one.frames, other.frames, strict=True)])


def _offset(left: LeftOut, best: _Able, rows: Sequence[_Row], stop: Token) -> Offset | None:
    """Other HR times or another place of LR with which the recommended method is better."""
    alone = [row for row in rows if row.compared is not None]
    some = [alone[i] for i in spread(len(alone), FRAMES)]
    found = find_offset(left, best.plan, [row.frame for row in some])
    if found is None:
        return None
    if found.late:  # what is fused between two LR frames is a mixture, too blurred to be compared
        gains = np.array(
            [
                decibels(max(row.square - found.removed, row.square / 10)) - decibels(row.square)
                for row in some
            ]
        )
    else:
        gains = np.array(list(_gains(left, LeftOut(left.plan, found.of(left.rig)), best, some, stop)))
    error = standard_error(gains) if len(gains) else None
    if not len(gains) or gains.mean() < max(LEAST_GAIN, SIGMAS * (error or 0)):
        return None
    kind: Literal["time", "shift"] = "time" if found.late else "shift"
    return Offset(kind=kind, late=found.late, down=found.down, right=found.right, gain=float(gains.mean()))


def _gains(left: LeftOut, other: LeftOut, best: _Able, rows: Sequence[_Row], stop: Token) -> Iterator[float]:
    """dB that HR frames gain in ``other``, those that can be left out there."""
    for row in rows:
        exposure = left.rig.exposures[row.frame]
        if exposure in other.rig.exposures[1:-1]:
            gap = Gap(other.rig.exposures.index(exposure), 1)
            for guess in other.guesses(gap, best.plan, best.fuser, stop):
                yield decibels(compare(guess, other.hidden).square) - decibels(row.square)


def _warnings(frames: int, offset: Offset | None, skipped: dict[str, str]) -> Iterator[XFusionWarning]:
    if frames < FEW:
        what = "one HR frame was" if frames == 1 else "two HR frames were"
        text = f"only {what} left out: how much the score varies from frame to frame is hardly known."
        yield XFusionWarning("few-left-out", text)
    if offset is not None:
        text = f"the score is {offset.gain:.1f} dB better with {offset.text}."
        if offset.kind == "time":
            yield XFusionWarning("score-time", f"{text} Check {{hr_start}} or {{hr_times}}.")
        else:
            yield XFusionWarning("score-shift", f"{text} Check where LR lies on HR.")
    for name, reason in skipped.items():
        yield XFusionWarning("method-skipped", f"{name} was not judged: {reason}")
