"""Training: pools are filled, then iterations follow one another until the plan is done or one says stop.

The variant's loss, Adam, a cosine from the first learning rate to zero, clipped gradients, a moving average
of the weights (paper, D12; Wang et al. 2019). On CUDA in bfloat16. One process, or several by ``torchrun``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from napari_xfusion.core.files import make_folder, require_unclaimed
from napari_xfusion.core.networks.weights import save_model
from napari_xfusion.core.results.lock import OutputLock
from napari_xfusion.core.types import Token
from napari_xfusion.errors import TrainingError
from napari_xfusion.lab.train.batches import TRUTH, Batch, Batches, ahead
from napari_xfusion.lab.train.card import make_card, stored
from napari_xfusion.lab.train.clips import Part
from napari_xfusion.lab.train.held_out import ALL, Figures, HeldOut, open_held_out
from napari_xfusion.lab.train.log import LOSSES, NETWORK, PLOT, VALIDATION, Log
from napari_xfusion.lab.train.plan import PER_CHECKPOINT, TrainPlan, settle
from napari_xfusion.lab.train.pool import Pool, fill_pool, sources_of
from napari_xfusion.lab.train.ranks import Ranks, join
from napari_xfusion.lab.train.state import State
from napari_xfusion.lab.train.task import TASKS, Task
from napari_xfusion.lab.workers import cores

CHECKPOINT, MODEL = "checkpoint.pt", "model.safetensors"
LARGEST_GRADIENT = 1.0
"""Norm that gradients are clipped to."""
Progress = Callable[[str, int, int], None]
"""Called with what is counted, how many are done, and of how many."""


@dataclass(frozen=True)
class Trained:
    """What became of a training."""

    model: Path
    """The averaged weights; there once the first validation is."""
    iterations: int
    total: int
    resumed: int
    """Iterations that an earlier run had done."""
    figures: Figures = field(default_factory=dict)
    """The network's on held-out samples at the last validation of this run; see `Figures`."""
    compared: dict[str, Figures] = field(default_factory=dict)
    """Those of methods without weights."""

    @property
    def finished(self) -> bool:
        """False when it was stopped; the same call resumes it."""
        return self.iterations == self.total


def train(
    plan: TrainPlan,
    folder: Path,
    *,
    stop: Token,
    pool: Path | None = None,
    device: str = "auto",
    minutes: float = math.inf,
    progress: Progress = lambda *_: None,
    tell: Callable[[str], None] = lambda _: None,
) -> Trained:
    """Train as ``plan`` says, or resume the earlier run in ``folder``.

    Samples are kept in ``pool``, in the folder itself when None. The training stops after some ``minutes``,
    or when ``stop`` is set, with a checkpoint. ``tell`` is handed a sentence at each validation. Raises
    InputError for data that will not do, TrainingError when the loss is no number any more.
    """
    deadline = time.monotonic() + 60 * minutes
    with ExitStack() as held, join(device) as ranks:
        share, state = ranks.share(plan.batch), State(plan, ranks.device)
        if ranks.first:
            held.enter_context(_claimed(plan, folder))
        pools = _fill_pools(plan, pool or folder / "pool", ranks, stop, progress)
        if pools is None:
            return Trained(folder / MODEL, 0, plan.iterations, 0)
        task = TASKS[plan.variant]
        if (folder / CHECKPOINT).exists():
            state.load(folder / CHECKPOINT)
        batches = Batches(pools["training"], task, plan.seed, plan.batch, share)
        keeper = None
        if ranks.first:
            keeper = Keeper(plan, folder, state, open_held_out(pools["held-out"], task, plan.batch), tell)
        loop = Loop(plan, ranks, state, task, keeper)
        return loop.run(batches, folder, lambda: stop.is_set() or time.monotonic() > deadline, progress)


@contextmanager
def _claimed(plan: TrainPlan, folder: Path) -> Iterator[None]:
    """Hold ``folder`` for ``plan``, whose data are looked at first: a mistyped sequence leaves no plan behind."""
    for source in sources_of(plan.pool("training")):
        source.check(plan.crop)
    make_folder(folder)
    lock = OutputLock(folder / ".lock")
    lock.acquire(folder)
    try:
        require_unclaimed(folder, "plan.json", (CHECKPOINT, MODEL, LOSSES, VALIDATION, PLOT))
        settle(plan, folder)
        yield
    finally:
        lock.release()


def _fill_pools(
    plan: TrainPlan, folder: Path, ranks: Ranks, stop: Token, progress: Progress
) -> dict[Part, Pool] | None:
    """Both pools, drawn by the first process while the others wait; None when stopped."""
    pools: dict[Part, Pool] = {}
    parts: tuple[Part, ...] = ("training", "held-out")
    for part in parts:
        place, stopped = folder / part, False
        if ranks.first:
            filled = fill_pool(
                plan.pool(part),
                place,
                processes=cores(),
                stop=stop,
                progress=partial(progress, f"{part} samples"),
            )
            stopped = filled is None
        if ranks.any(stopped):
            return None
        pools[part] = Pool(plan.pool(part), place)
    return pools


@dataclass(eq=False)
class Keeper:
    """What the first process keeps of a training: tables, checkpoints, figures, the model."""

    plan: TrainPlan
    folder: Path
    state: State
    held_out: HeldOut
    tell: Callable[[str], None]

    def __post_init__(self) -> None:
        self.log = Log(self.folder, self.state.iteration)
        self.figures: Figures = {}
        self._began = time.monotonic()
        if self.state.iteration == 0:
            for method, figures in self.held_out.compared.items():
                self.log.figures(0, method, figures)

    def row(self, rate: float, loss: float, gradient: float) -> None:
        """Note the losses since the last row."""
        self.log.loss(self.state.iteration, time.monotonic() - self._began, rate, loss, gradient)

    def checkpoint(self) -> None:
        """Save the state, to resume from."""
        self.state.save(self.folder / CHECKPOINT)

    def validate(self, device: torch.device) -> None:
        """Measure the averaged weights and keep them as a model file."""
        self.figures = self.held_out.measure(self.state.average, device)
        self.log.figures(self.state.iteration, NETWORK, self.figures)
        card = make_card(self.plan, self.state.iteration, self.held_out, self.figures)
        save_model(self.folder / MODEL, stored(self.state.average, self.plan.half), card)
        self.log.plot()
        others = ", ".join(f"{name} {f[ALL]:.2f}" for name, f in self.held_out.compared.items())
        self.tell(f"iteration {self.state.iteration}: {self.figures[ALL]:.2f} dB held out ({others})")


@dataclass(eq=False)
class Loop:
    """The iterations."""

    plan: TrainPlan
    ranks: Ranks
    state: State
    task: Task
    keeper: Keeper | None
    """None in all processes but the first."""

    def run(self, batches: Batches, folder: Path, stops: Callable[[], bool], progress: Progress) -> Trained:
        """Go on until the plan is done or ``stops()``."""
        plan, state, resumed = self.plan, self.state, self.state.iteration
        model = self.ranks.wrap(state.network)
        sums, since = torch.zeros(2, device=self.ranks.device), 0
        threads = min(8, cores()) if self.ranks.device.type == "cuda" else 1
        stopping = False
        for batch in ahead(batches, range(resumed, plan.iterations), threads):
            sums += self.step(model, batch)
            since += 1
            last = state.iteration == plan.iterations
            stopping = self.ranks.any(stops())
            if last or stopping or state.iteration % plan.row == 0:
                self._row(*(sums / since).tolist())
                sums.zero_()
                since = 0
            if last or stopping or state.iteration % (PER_CHECKPOINT * plan.row) == 0:
                self._keep(measured=last or not stopping)
            if self.keeper:
                progress("iterations", state.iteration, plan.iterations)
            if stopping:
                break
        figures, compared = (
            ({}, {}) if self.keeper is None else (self.keeper.figures, self.keeper.held_out.compared)
        )
        return Trained(folder / MODEL, state.iteration, plan.iterations, resumed, figures, dict(compared))

    def step(self, model: nn.Module, batch: Batch) -> Tensor:
        """One iteration; its loss and the norm of its gradient, (2,)."""
        device = self.ranks.device
        there = {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
        rate = learning_rate(self.plan, self.state.iteration)
        for group in self.state.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            image = self.task.predict(model, there)
        loss = self.task.loss(image.float(), there[TRUTH])
        self.state.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch's stubs lack it
        norm = nn.utils.clip_grad_norm_(self.state.network.parameters(), LARGEST_GRADIENT)
        self.state.optimizer.step()
        self.state.advance()
        return torch.stack([loss.detach(), norm])

    def _row(self, loss: float, gradient: float) -> None:
        """Note the mean loss and gradient norm; raises TrainingError where they are no numbers."""
        if not math.isfinite(loss + gradient):
            raise TrainingError(
                f"iteration {self.state.iteration}",
                problem=f"the loss is {loss} and the gradient {gradient}",
                hint=f"start again with a lower {{rate}} than {self.plan.rate:g}, with {{init}} from the last good "
                f"weights ({MODEL}) if there are any",
            )
        if self.keeper:
            self.keeper.row(learning_rate(self.plan, self.state.iteration - 1), loss, gradient)

    def _keep(self, *, measured: bool) -> None:
        if self.keeper is None:
            return
        if measured:
            self.keeper.validate(self.ranks.device)
        self.keeper.checkpoint()


def learning_rate(plan: TrainPlan, iteration: int) -> float:
    """Cosine annealing (Loshchilov and Hutter 2017) from ``plan.rate`` to zero."""
    return plan.rate * (1 + math.cos(math.pi * iteration / plan.iterations)) / 2
