"""Training: repeatable to the bit, stopped and gone on with, told when it diverges, and it learns."""

import csv
import json
import math
import threading
from itertools import count, islice

import numpy as np
import pytest
import torch
from safetensors import safe_open

from napari_xfusion.core.networks.weights import load_model
from napari_xfusion.errors import InputError, ModelError, OutputError, TrainingError
from napari_xfusion.lab.scenes import KINDS, draw_sample
from napari_xfusion.lab.train import log
from napari_xfusion.lab.train.batches import collate
from napari_xfusion.lab.train.loop import CHECKPOINT, MODEL, Loop, learning_rate
from napari_xfusion.lab.train.ranks import Ranks
from napari_xfusion.lab.train.state import State
from napari_xfusion.lab.train.task import TASKS, charbonnier


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


class StopAfter:
    """A token that is set once it was looked at so many times."""

    def __init__(self, looks):
        self.looks = looks

    def is_set(self):
        self.looks -= 1
        return self.looks < 0


def assert_same_state(one, two):
    """Every tensor of two checkpoints is equal to the bit: weights, their average, Adam's moments."""
    one, two = (torch.load(path / CHECKPOINT, weights_only=True) for path in (one, two))
    assert one["iteration"] == two["iteration"]
    for part in ("network", "average"):
        for name, tensor in one[part].items():
            assert torch.equal(tensor, two[part][name]), name
    for number, moments in one["optimizer"]["state"].items():
        for name, tensor in moments.items():
            assert torch.equal(tensor, two["optimizer"]["state"][number][name])


@pytest.fixture(scope="module")
def whole(tmp_path_factory, plan, trained):
    """The folder of a training that nobody stopped."""
    folder = tmp_path_factory.mktemp("whole")
    trained(plan(), folder)
    return folder


def test_stopped_and_gone_on_with_gives_the_same_weights_as_never_stopped(plan, trained, whole, tmp_path):
    """Also after half a line in a table, which is left out. Another seed gives other weights."""
    first = trained(plan(), tmp_path, stop=StopAfter(7 + 2))  # it is looked at for the pools, too
    assert not first.finished
    assert 0 < first.iterations < 24
    with (tmp_path / log.LOSSES).open("a") as file:
        file.write("23,1.0,0.0")
    second = trained(plan(), tmp_path)
    assert second.finished
    assert second.resumed == first.iterations
    assert (whole / MODEL).read_bytes() == (tmp_path / MODEL).read_bytes()
    assert_same_state(whole, tmp_path)
    assert [int(row["iteration"]) for row in rows(tmp_path / log.LOSSES)] == list(range(1, 25))
    weights = [State(plan(seed=seed), torch.device("cpu")).network.conv_first.weight for seed in (0, 1)]
    assert not torch.equal(*weights)


def test_minutes_end_a_run_with_a_checkpoint(plan, trained, tmp_path):
    found = trained(plan(), tmp_path, minutes=0)
    assert (found.iterations, found.finished) == (1, False)
    assert torch.load(tmp_path / CHECKPOINT, weights_only=True)["iteration"] == 1


def test_what_is_left_behind(plan, trained, tmp_path):
    found = trained(plan(variant="edvr", half=True), tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {CHECKPOINT, MODEL, "plan.json", log.LOSSES, log.VALIDATION, log.PLOT}
    assert json.loads((tmp_path / "plan.json").read_text())["variant"] == "edvr"
    losses = [float(row["loss"]) for row in rows(tmp_path / log.LOSSES)]
    assert len(losses) == 24
    assert all(map(math.isfinite, losses))
    last = {
        r["samples"]: float(r["psnr"]) for r in rows(tmp_path / log.VALIDATION) if r["method"] == "network"
    }
    assert last == pytest.approx(found.figures, abs=1e-4)
    assert set(found.compared) == {"bicubic", "interpolation", "flow"}
    assert set(last) == set(found.compared["flow"])
    with safe_open(found.model, framework="pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.float16}  # noqa: SIM118 - not a dict
    card = load_model(found.model, "edvr").card  # back in float32
    assert card.trained.separations == (1, 3)
    assert card.trained.hr_distances == (1, 60)
    assert "held-out" in card.training
    assert "--half" in card.provenance


def test_without_matplotlib_there_are_the_tables(plan, trained, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    trained(plan(iterations=2), tmp_path)
    assert (tmp_path / log.LOSSES).exists()
    assert not (tmp_path / log.PLOT).exists()


def test_it_learns(plan):
    """Two samples, seen again and again: the loss falls well below that of the enlarged LR frame."""
    sizes = {"channels": 8, "extract": 1, "reconstruct": 1, "groups": 2}
    toy = plan(sizes=sizes, rate=4e-3, iterations=400)
    drawn = (draw_sample(KINDS["advected"], np.random.default_rng(seed), 32) for seed in count())
    batch = collate(list(islice((each for each in drawn if np.isinf(each.b0)), 2)), TASKS["edvr-stf"])
    state = State(toy, torch.device("cpu"))
    loop = Loop(toy, Ranks(0, 1, torch.device("cpu")), state, TASKS["edvr-stf"], None)
    base = charbonnier(state.network.base(batch["lr"][:, 1]), batch["truth"]).item()
    losses = [loop.step(state.network, batch)[0].item() for _ in range(80)]
    assert losses[-1] < 0.75 * base < losses[0]


def test_training_goes_on_from_other_weights(plan, trained, tmp_path):
    before = trained(plan(iterations=3), tmp_path / "before")
    begun = State(plan(init=str(before.model)), torch.device("cpu"))
    kept = load_model(before.model).network.state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in begun.network.state_dict().items())
    assert trained(plan(init=str(before.model), iterations=2), tmp_path / "after").finished
    with pytest.raises(ModelError, match="edvr"):
        State(plan(init=str(before.model), variant="edvr"), torch.device("cpu"))
    wider = {"channels": 8, "extract": 1, "reconstruct": 1, "groups": 2}
    with pytest.raises(ModelError, match="channels=8"):
        State(plan(init=str(before.model), sizes=wider), torch.device("cpu"))


def test_a_loss_that_is_no_number_is_told_and_the_last_good_weights_stay(plan, trained, tmp_path):
    trained(plan(), tmp_path, stop=StopAfter(22 + 2))
    content = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    content["network"]["conv_last.bias"].fill_(float("inf"))  # as after a step that was too large
    torch.save(content, tmp_path / CHECKPOINT)
    kept = {name: (tmp_path / name).read_bytes() for name in (CHECKPOINT, MODEL)}
    with pytest.raises(TrainingError, match=f"(?s)iteration.*loss is .*{MODEL}"):
        trained(plan(), tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in kept} == kept
    assert all(p.isfinite().all() for p in load_model(tmp_path / MODEL).network.parameters())


def test_a_learning_rate_that_is_far_too_high_is_told(plan, trained, tmp_path):
    with pytest.raises(TrainingError, match="lower rate"):
        trained(plan(rate=1e30), tmp_path)
    assert not (tmp_path / CHECKPOINT).exists()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        pytest.param(CHECKPOINT, b"no checkpoint", "checkpoint of this training", id="checkpoint"),
        pytest.param(CHECKPOINT, b"", "checkpoint of this training", id="empty checkpoint"),
        pytest.param("plan.json", b"{}", "plan", id="plan"),
        pytest.param("plan.json", b"\xff\xfe", "plan", id="plan that is no text"),
        pytest.param(log.LOSSES, b"\xff\xfe\n", "table", id="table"),
    ],
)
def test_damaged_files_are_told(plan, trained, tmp_path, name, content, said):
    trained(plan(), tmp_path, minutes=0)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said):
        trained(plan(), tmp_path)


def test_another_plan_in_the_same_folder_is_told(plan, trained, tmp_path):
    trained(plan(), tmp_path, minutes=0)
    with pytest.raises(InputError, match=r"batch 2; rate 0\.001.*batch 4; rate 0\.002"):
        trained(plan(rate=2e-3, batch=4), tmp_path)


def test_two_trainings_in_one_folder_are_told(plan, trained, tmp_path):
    from napari_xfusion.core.results.lock import OutputLock

    lock = OutputLock(tmp_path / ".lock")
    lock.acquire(tmp_path)
    with pytest.raises(OutputError, match="is writing to it"):
        trained(plan(), tmp_path)
    lock.release()


def test_the_rate_falls_along_a_cosine(plan):
    rates = [learning_rate(plan(iterations=100, rate=2.0), k) for k in (0, 25, 50, 100)]
    assert rates == pytest.approx([2.0, 1 + math.sqrt(0.5), 1.0, 0.0])


def test_charbonnier_is_the_absolute_difference_but_at_zero():
    assert charbonnier(torch.tensor([3.0]), torch.tensor([1.0])).item() == pytest.approx(2, rel=1e-6)
    assert charbonnier(torch.zeros(2), torch.zeros(2)).item() == pytest.approx(1e-3)


def test_nothing_is_trained_when_stopped_before(plan, trained, tmp_path):
    stop = threading.Event()
    stop.set()
    found = trained(plan(samples=100), tmp_path / "run", pool=tmp_path / "pool", stop=stop)
    assert (found.iterations, found.finished) == (0, False)
    assert not found.model.exists()
