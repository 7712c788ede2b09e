"""One small study, run once: a sequence of 13 frames, three methods and a tiny network of random weights."""

from __future__ import annotations

import json
import pickle
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
from pyarrow import parquet

from napari_xfusion.core.networks.build import edvr_stf
from napari_xfusion.core.networks.cards import INPUTS, Card
from napari_xfusion.core.networks.weights import save_model
from napari_xfusion.lab.study import Studied, StudyPlan, run_study
from tests.core.networks.test_engine import SIZES, lively
from tests.sequences import moving_discs
from tests.sharing import made_once

FRAMES, SIZE = 13, (40, 56)


def write_sequence(path: Path, sequence: np.ndarray) -> Path:
    tifffile.imwrite(path, sequence, photometric="minisblack", metadata={"axes": "TYX"})
    return path


def small_plan(model: Path | None = None, **changes: object) -> StudyPlan:
    series: list[dict] = [{"method": m} for m in ("bicubic", "interpolation", "bayesian-paper")]
    if model is not None:
        series.append({"method": "edvr-stf", "model": str(model)})
    settings = {
        "series": series,
        "conditions": {
            "base": {"hr_step": 4},
            "noisy": {"hr_step": 4, "lr_psnr": 30},
            "often": {"hr_step": 2},
            "ends": {"hr_step": "ends"},
            "apart": {"hr_step": 4, "separation": 2},
        },
        "clusters": {"fractions": [0.05, 0.3], "separations": [1, 2]},
        "runs": 3,
        "device": "cpu",
    }
    return StudyPlan.model_validate(settings | changes)


def study(movies, folder, plan, *, jobs=1, **options) -> Studied:
    return run_study(movies, folder, plan, stop=threading.Event(), jobs=jobs, **options)


@dataclass(frozen=True)
class Small:
    movie: Path
    model: Path
    plan: StudyPlan
    done: Studied

    @property
    def folder(self) -> Path:
        return self.done.folder

    @property
    def rows(self) -> list[dict]:
        return parquet.read_table(self.folder / "table.parquet").to_pylist()

    @property
    def facts(self) -> dict:
        return json.loads((self.folder / "results.json").read_text())

    @property
    def page(self) -> str:
        return (self.folder / "report.html").read_text()


COMMAND = "napari-xfusion study <discs> & more"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """A network of random weights."""
    return made_once(tmp_path_factory, "tiny-model", make_tiny_model) / "tiny.safetensors"


def make_tiny_model(folder: Path) -> None:
    card = Card(variant="edvr-stf", sizes=SIZES, inputs=INPUTS["edvr-stf"])
    save_model(folder / "tiny.safetensors", lively(edvr_stf(**SIZES.model_dump())), card)


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Small:
    folder = made_once(tmp_path_factory, "small-study", make_small)
    return pickle.loads((folder / "small.pickle").read_bytes())  # noqa: S301 - our own


def make_small(folder: Path) -> None:
    movie = write_sequence(folder / "discs.tif", (moving_discs(FRAMES, SIZE) * 3000 + 500).astype(np.uint16))
    make_tiny_model(folder)
    model = folder / "tiny.safetensors"
    plan = small_plan(model)
    done = study([movie], folder / "out", plan, command=COMMAND)
    (folder / "small.pickle").write_bytes(pickle.dumps(Small(movie, model, plan, done)))
