"""The default network adapted to one recording: trained further on the HR frames that are left out of it.

Every HR frame is the truth for what the network makes of its time from the others. Some of these frames are set aside
for judging and never trained on. Training is that of `lab.train`, with a low rate and few iterations, on crops turned
and mirrored in all eight ways. The weights are written only where they are better on the frames that were set aside.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_xfusion._version import __version__
from napari_xfusion.core.files import require_free
from napari_xfusion.core.holdout.compare import decibels
from napari_xfusion.core.holdout.left_out import Gap, LeftOut, around, judged, spread, without
from napari_xfusion.core.holdout.sample import require_adaptable, standard_error
from napari_xfusion.core.methods.flow import FlowStream
from napari_xfusion.core.networks.cards import Card, model_of
from napari_xfusion.core.networks.lite import Inputs, Lite
from napari_xfusion.core.networks.lite_feed import prepare
from napari_xfusion.core.networks.tiles import Grid
from napari_xfusion.core.networks.weights import load_model, save_model
from napari_xfusion.core.plan import Plan
from napari_xfusion.core.rig import FrameReader, Rig
from napari_xfusion.core.run import check_outputs
from napari_xfusion.core.session import rig_of
from napari_xfusion.core.types import SCALE, Token
from napari_xfusion.core.value import Value
from napari_xfusion.lab.train.loop import LARGEST_GRADIENT, annealed
from napari_xfusion.lab.train.task import TASKS

MOST = 24
"""HR frames that are left out at most, evenly spread: their inputs are in memory."""
ONE_IN = 3
"""Of the frames left out, one in so many is set aside for judging."""
CROP = 32
"""Side of a crop in LR pixels."""
BATCH = 4
ITERATIONS = 160
ROUNDS = 4
"""Times the network is judged while it is trained; the best of them counts."""
RATE = 1e-4
"""Of Adam, falling to zero along a cosine."""
LEAST_GAIN = 0.02
"""dB by which the adapted network must be better, and by more than the standard error of its gain."""
SEED = 0
Progress = Callable[[str, int, int], None]
"""Called with what is counted, how many are done, and of how many."""


class Adapted(Value):
    """What adapting brought."""

    model: str | None
    """Path of the adapted weights; None where they were not better and nothing was written."""
    trained: int
    """HR frames that were trained on."""
    aside: int
    """HR frames that were set aside for judging."""
    before: float
    """Mean PSNR of these, dB, by the weights to start from."""
    gain: float
    """dB by which the best of the adapted weights are better on them."""
    gain_error: float | None
    """Its standard error; None of a single frame."""

    @property
    def text(self) -> str:
        """What came of it, with the gain."""
        error = "" if self.gain_error is None else f" (standard error {self.gain_error:.2f})"
        aside = "1 HR frame" if self.aside == 1 else f"{self.aside} HR frames"
        frames = f"on {aside} set aside for judging, {self.trained} trained on"
        return f"{self.model or 'not better, nothing was written'}: {self.gain:+.2f} dB{error} {frames}"


class Example(NamedTuple):
    """An HR frame that was left out, and the network's input for its time; tensors of batch size 1, grey units."""

    parts: tuple[tuple[float, Inputs], ...]
    """Weight and input of each LR frame next to its time; one where they have a common time."""
    truth: Tensor
    """(1, 1, H, W)."""
    seen: Tensor
    """(1, 1, H, W): 1 where both cameras see."""


@dataclass(frozen=True, eq=False)
class _Frames:
    """The HR frames that are left out."""

    training: list[Example]
    aside: list[Example]


def adapt(
    plan: Plan,
    lr: object,
    hr: object,
    output: str | PathLike[str],
    *,
    iterations: int = ITERATIONS,
    overwrite: bool = False,
    stop: Token,
    progress: Progress = lambda *_: None,
    gained: Callable[[float], None] = lambda _gain: None,
) -> Adapted | None:
    """Train the weights of ``plan`` further on a recording and write them to ``output`` where they are better on it.

    ``lr`` and ``hr`` are paths, arrays or Stacks. ``gained`` is called with the gain in dB so far, ROUNDS times. None
    when stopped; nothing is written then. Raises InputError where there are fewer than ADAPTABLE usable HR frames,
    ModelError for weights of another network than ``lite``, OutputError where ``output`` cannot be written, or is an
    input.
    """
    start_from = model_of(plan)
    loaded = load_model(start_from, "lite")
    plan = judged(plan)
    rig = rig_of(plan, lr, hr)
    require_adaptable(rig)
    sources = [str(start_from), *(camera.source for camera in rig.cameras.values())]
    check_outputs(sources, [Path(output)])
    require_free(Path(output), overwrite=overwrite)
    frames = _left_out(plan, rig, stop, progress)
    if frames is None:
        return None
    network = cast("Lite", loaded.network)
    start = judge(network, frames.aside)
    best, found = network, start
    for trained in _trained(copy.deepcopy(network), frames.training, iterations, stop, progress):
        now = judge(trained, frames.aside)
        if now.mean() > found.mean():
            best, found = copy.deepcopy(trained), now
        gained(float((found - start).mean()))
    if stop.is_set():
        return None
    gain = found - start
    error = standard_error(gain)
    better = gain.mean() >= max(LEAST_GAIN, error or 0)
    facts = Adapted(
        model=str(output) if better else None,
        trained=len(frames.training),
        aside=len(frames.aside),
        before=float(start.mean()),
        gain=float(gain.mean()),
        gain_error=error,
    )
    if better:
        save_model(Path(output), best, _card(loaded.card, loaded.sha256, rig, facts))
    return facts


def _left_out(plan: Plan, rig: Rig, stop: Token, progress: Progress) -> _Frames | None:
    """The HR frames that are left out, those for judging apart; None when stopped."""
    left = LeftOut(plan, rig)
    inner = range(1, len(rig.exposures) - 1)
    chosen = [inner[i] for i in spread(len(inner), MOST)]
    found = []
    for done, k in enumerate(chosen):
        if stop.is_set():
            return None
        progress("HR frames", done, len(chosen))
        found.append(example(left, k, plan.separation))
    progress("HR frames", len(chosen), len(chosen))
    aside = {i for i in range(len(chosen)) if i % ONE_IN == 1}
    return _Frames(
        [each for i, each in enumerate(found) if i not in aside],
        [each for i, each in enumerate(found) if i in aside],
    )


def example(left: LeftOut, k: int, separation: int = 1) -> Example:
    """HR frame ``k`` of a rig, left out."""
    reader = FrameReader(without(left.rig, Gap(k, 1).frames))
    flow, grid = FlowStream(reader), Grid.of(reader.rig.grids)
    parts = [
        (weight, _as_inputs(prepare(reader.group(target, separation), flow, grid)._asdict()))
        for target, weight in around(float(left.rig.hr_times[k])).items()
    ]
    grids, align = left.rig.grids, left.rig.alignment
    seen = grids.enlarged(~(align.blind | left.reader.hr_blind)).astype(np.float32)
    truth, seen = grid.padded_hr(left.reader.hr_frame(k)), grid.padded_hr(seen)
    height, width = grids.hr_shape
    seen[height:], seen[:, width:] = 0, 0
    return Example(tuple(parts), *(torch.from_numpy(each[None, None].copy()) for each in (truth, seen)))


def _as_inputs(prepared: Mapping[str, object]) -> Inputs:
    return Inputs(
        **{name: torch.from_numpy(np.asarray(value, np.float32)[None]) for name, value in prepared.items()}
    )


def judge(network: Lite, examples: Sequence[Example]) -> NDArray[np.float64]:
    """PSNR (N,) of the network's images of the examples, in dB as ``score`` computes it."""
    network.eval()
    with torch.inference_mode():
        return np.array([_psnr(_mixed(network, each), each) for each in examples])


def _psnr(image: Tensor, one: Example) -> float:
    square = (image.clamp(0, 1) - one.truth.clamp(0, 1)) ** 2 * one.seen
    return decibels(float(square.sum(dtype=torch.float64) / one.seen.sum().clamp(min=1)))


def _mixed(network: Lite, one: Example) -> Tensor:
    """The image (1, 1, H, W) at the time of an example."""
    return cast("Tensor", sum(weight * network(x).image for weight, x in one.parts))


def _trained(
    network: Lite, examples: Sequence[Example], iterations: int, stop: Token, progress: Progress
) -> Iterator[Lite]:
    """The network, ROUNDS times while it is trained; ends early when ``stop`` is set."""
    rng, task = np.random.default_rng(SEED), TASKS["lite"]
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    for i in range(iterations):
        if stop.is_set():
            return
        progress("iterations", i, iterations)
        network.train()
        for group in optimizer.param_groups:
            group["lr"] = annealed(RATE, i, iterations)
        optimizer.zero_grad()
        for _ in range(BATCH):
            one = crop(examples[int(rng.integers(len(examples)))], rng)
            outputs = [(weight, network(x)) for weight, x in one.parts]
            image = sum(weight * out.image for weight, out in outputs) * one.seen + one.truth * (1 - one.seen)
            std = sum(weight * out.std for weight, out in outputs)
            loss = task.loss(torch.cat([image, std], 1), one.truth) / BATCH
            loss.backward()  # type: ignore[no-untyped-call] # torch's stubs lack it
        torch.nn.utils.clip_grad_norm_(network.parameters(), LARGEST_GRADIENT)
        optimizer.step()
        if (i + 1) * ROUNDS // iterations > i * ROUNDS // iterations:
            yield network
    progress("iterations", iterations, iterations)


def crop(one: Example, rng: np.random.Generator) -> Example:
    """A square of an example somewhere, turned and mirrored in one of eight ways."""
    h, w = (side // SCALE for side in one.truth.shape[2:])
    side = min(CROP, h // 2 * 2, w // 2 * 2)
    top, left = int(rng.integers(h - side + 1)), int(rng.integers(w - side + 1))
    turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))

    def cut(image: Tensor) -> Tensor:
        if image.ndim < 4:  # facts
            return image
        scale = image.shape[2] // h
        y, x = scale * top, scale * left
        part = torch.rot90(image[:, :, y : y + scale * side, x : x + scale * side], turns, (2, 3))
        return part.flip(3) if mirrored else part

    parts = tuple((weight, Inputs(*(cut(field) for field in x))) for weight, x in one.parts)
    return Example(parts, cut(one.truth), cut(one.seen))


def _card(card: Card, sha256: str, rig: Rig, facts: Adapted) -> Card:
    error = "" if facts.gain_error is None else f", standard error {facts.gain_error:.2f}"
    told = (
        f"{card.training}. Adapted to {Path(rig.fast.source).name} and {Path(rig.hr.source).name}: trained further on "
        f"{facts.trained} HR frames that were left out; on {facts.aside} others {facts.gain:.2f} dB better{error}"
    )
    provenance = (
        f"{card.provenance} Adapted by napari-xfusion {__version__} from weights with sha256 {sha256}."
    )
    return card.model_copy(update={"training": told, "provenance": provenance})
