"""The sample sequence, fused by every method and every bundled model: a sequence, a picture and a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Picture
from PIL.PngImagePlugin import PngInfo

from napari_xfusion.core.catalogue import DEFAULT_METHOD, METHODS, training_free
from napari_xfusion.core.files import foreign, make_folder, require_table, write_whole
from napari_xfusion.core.grey import percentile_map
from napari_xfusion.core.inspect.evaluate import evaluate
from napari_xfusion.core.networks.cards import BUNDLED, describe, list_models
from napari_xfusion.core.plan import Plan, make_plan
from napari_xfusion.core.recordings import as_stack, open_stack
from napari_xfusion.core.results.record import RunRecord
from napari_xfusion.core.results.sheet import labelled, sheet
from napari_xfusion.core.run import fuse, fuse_files
from napari_xfusion.core.types import Progress, Stack
from napari_xfusion.errors import InputError

PACKAGE = Path(__file__).parents[1]
SAMPLE_PLACES = (PACKAGE / "sample_data", PACKAGE.parents[1] / "sample_data")
"""In an installed package, and in a checkout."""
TITLE = "unseen frames, means"
"""What the table begins with."""
SOFTWARE = "napari-xfusion demo"
"""In the text fields of the picture."""


@dataclass(frozen=True)
class Demo:
    """What was written, and the table of numbers."""

    files: tuple[Path, ...]
    table: str


def sample_sequence(name: str) -> Path:
    """Path of ``lr``, ``hr`` or ``truth`` of the sample that comes with the package, or of one in ``rig/``."""
    for place in SAMPLE_PLACES:
        path = place / f"{name}.tif"
        if path.is_file():
            return path
    raise InputError(
        SAMPLE_PLACES[0], problem="the sample sequences are missing", hint="reinstall napari-xfusion"
    )


def run_demo(
    folder: Path, *, overwrite: bool = False, progress: Progress = lambda _done, _total: None
) -> Demo:
    """Fuse the sample into ``folder``: fused.tif with its record, comparison.png and table.txt.

    Raises OutputExistsError where another file has one of these names, unless ``overwrite``.
    """
    make_folder(folder)
    lr, hr, truth = (open_stack(sample_sequence(name)) for name in ("lr", "hr", "truth"))
    fused, table, picture = (folder / name for name in ("fused.tif", "table.txt", "comparison.png"))
    require_table(table, [TITLE], overwrite=overwrite)
    if picture.exists() and not overwrite and not _is_comparison(picture):
        raise foreign(picture, "this is not the picture of a demo")
    fuse_files(make_plan(), lr, hr, fused, overwrite=overwrite or _is_demo(fused, lr))
    lines = [f"{TITLE:24}{'PSNR dB':>9}{'AAD':>8}{'SSIM':>9}"]
    plans = demo_plans()
    for number, (name, plan) in enumerate(plans.items()):
        lines.append(_table_row(name, plan, lr, hr, truth))
        progress(number + 1, len(plans))
    write_whole(table, lambda part: part.write_text("\n".join(lines) + "\n", encoding="utf-8"))
    mark = PngInfo()
    mark.add_text("Software", SOFTWARE)
    compared = _compare(lr, hr, open_stack(fused), truth)
    write_whole(picture, lambda part: compared.save(part, format="png", pnginfo=mark))
    return Demo((fused, picture, table), "\n".join(lines))


def _is_demo(fused: Path, lr: Stack) -> bool:
    """Whether an earlier demo, of any version, wrote ``fused``."""
    try:
        return RunRecord.load(fused).inputs["lr"].sha256 == lr.digest()
    except InputError:
        return False


def _is_comparison(path: Path) -> bool:
    try:
        with Picture.open(path) as picture:
            return bool(picture.info.get("Software") == SOFTWARE)
    except (OSError, ValueError):
        return False


def demo_plans() -> dict[str, Plan]:
    """A plan for every method without weights and every bundled model, by name."""
    plans: dict[str, Plan] = {method.name: make_plan(method=method.name) for method in training_free()}
    for name, path in list_models().items():
        if path.parent == BUNDLED:
            plans[name] = make_plan(method=describe(path).card.variant, model=name)
    return plans


def _table_row(name: str, plan: Plan, lr: Stack, hr: Stack, truth: Stack) -> str:
    sequence = np.stack([frame.image for frame in fuse(plan, lr, hr)])
    times = hr.metadata.hr_times
    means = evaluate(truth, as_stack(sequence, name=name), hr_times=times).summary()["unseen"]
    return f"{name:24}" + "".join(
        f"{means[key]['mean']:{form}}" for key, form in (("psnr", "9.2f"), ("aad", "8.3f"), ("ssim", "9.4f"))
    )


def _compare(lr: Stack, hr: Stack, fused: Stack, truth: Stack) -> Picture.Image:
    """Four panels of one moment half way between two HR frames: both cameras, the result, the truth."""
    times = np.asarray(hr.metadata.hr_times)
    middle = len(times) // 2
    moment = int(times[middle - 1] + times[middle]) // 2
    grey = percentile_map(truth)[0]
    factor = truth.shape[1] // lr.shape[1]
    coarse = lr.frame(moment).repeat(factor, axis=0).repeat(factor, axis=1)
    gap = moment - int(times[middle - 1])
    panels = [
        (f"fast camera (LR), frame {moment}", percentile_map(lr)[0].to_8bit(coarse)),
        (f"sharp camera (HR), {gap} frames earlier", grey.to_8bit(hr.frame(middle - 1))),
        (f"fused ({METHODS[DEFAULT_METHOD].title}), frame {moment}", grey.to_8bit(fused.frame(moment))),
        (f"truth, frame {moment}", grey.to_8bit(truth.frame(moment))),
    ]
    zoom = max(1, 512 // truth.shape[2])
    pictures = [labelled(s.repeat(zoom, axis=0).repeat(zoom, axis=1), title, top=2) for title, s in panels]
    return Picture.fromarray(sheet(pictures, across=2, gap=(6, 6)))
