"""Networks with the golden files' weights: the usual small random weights would hide most errors."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_xfusion.core.networks.build import edvr, edvr_stf
from napari_xfusion.core.networks.network import Network

GOLDEN = Path(__file__).parents[2] / "golden"


class Golden(NamedTuple):
    """A small network, one window, and what an independent implementation made of it."""

    network: Network
    inputs: list[Tensor]
    values: dict[str, Tensor]


def load_golden(variant: str) -> Golden:
    with np.load(GOLDEN / f"{variant}_small.npz") as file:
        values = {name: torch.from_numpy(file[name]) for name in file.files}
    network = {"edvr_stf": edvr_stf, "edvr": edvr}[variant](16, 2, 3, 8)
    parameters = {name[6:]: value for name, value in values.items() if name.startswith("param.")}
    network.load_state_dict(parameters, strict=True)
    return Golden(network.eval(), [values[name] for name in ("lr", "hr") if name in values], values)


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    """Numbers are compared to the last bit, and small networks are no quicker on more."""


@pytest.fixture
def stf() -> Golden:
    return load_golden("edvr_stf")


@pytest.fixture
def lr_only() -> Golden:
    return load_golden("edvr")


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)
