"""Detail is attributed to the frame that shows it, and to the method alone where no frame does."""

import threading

import numpy as np
import pytest
import tifffile

from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.rig import FrameReader
from napari_xfusion.core.run import fuse_files
from napari_xfusion.core.session import Session, rig_of
from napari_xfusion.core.trust.result import Result
from napari_xfusion.core.trust.sources import FINE, METHOD, SOURCES, Sources
from napari_xfusion.core.types import Region
from napari_xfusion.errors import InputError
from tests.sequences import binned

STEP, T, H, W = 6, 19, 64, 80
RNG = np.random.default_rng(3)
GROUND = (0.5 + 0.1 * RNG.standard_normal((H, W))).astype(np.float32)
PLACE = np.s_[30:34, 40:44]
SPOT = np.zeros((H, W), np.float32)
SPOT[30:34:2, 40:44] = 0.4
SPOT[31:34:2, 40:44] = -0.4
"""Detail that LR, the mean of 4x4 pixels, does not show."""
STOP = threading.Event()


def recorded(*with_spot):
    """LR and HR of a picture that stands still; the spot is in the HR frames ``with_spot``."""
    truth = np.stack([GROUND] * T)
    hr = truth[::STEP] + 0.003 * RNG.standard_normal((4, H, W)).astype(np.float32)
    for k in with_spot:
        hr[k] += SPOT
    return binned(truth), hr.astype(np.float32)


def main_at(place, target, image, *with_spot):
    """Names of the main sources at a place of an image."""
    sources = Sources(FrameReader(rig_of(make_plan(hr_step=STEP, correct=()), *recorded(*with_spot))))
    numbers = sources.shown_main(sources.of(target, image), None)[place]
    return {SOURCES[n].name for n in np.unique(numbers)}


@pytest.mark.parametrize(
    ("with_spot", "target", "expected"),
    [((1,), 8, "before"), ((2,), 8, "after"), ((0,), 8, "others"), ((), 8, "method"), ((3,), 14, "after")],
    ids=["before", "after", "others", "invented", "last"],
)
def test_detail_is_attributed_to_the_frame_that_shows_it(with_spot, target, expected):
    found = main_at(PLACE, target, GROUND + SPOT, *with_spot)
    assert {name.removesuffix("-moved") for name in found} == {expected}


def test_what_lr_contradicts_is_the_methods_own():
    image = GROUND.copy()
    image[20:36, 20:36] += 0.2  # LR would have seen it
    assert main_at(np.s_[24:32, 24:32], 8, image) == {"method"}
    sources = Sources(FrameReader(rig_of(make_plan(hr_step=STEP, correct=()), *recorded())))
    alone = sources.of(8, image).alone
    assert alone[24:32, 24:32].mean() == pytest.approx(
        0.2 / np.ptp(np.percentile(GROUND, (0.35, 99.65))), rel=0.1
    )
    assert np.abs(alone[40:]).max() < 0.05


def test_shares_are_one_together_and_little_is_the_methods_own_where_nothing_moves():
    plan = make_plan(hr_step=STEP, correct=(), method="interpolation")
    with Session(plan, rig_of(plan, *recorded())) as session:
        (frame,) = session.frames([8], STOP)
        sources = Sources(session.reader)
    shares = sources.of(8, frame.image).part(sources.seen)
    assert [*shares.fine] == [source.name for source in FINE]
    assert sum(shares.fine.values()) == pytest.approx(1)
    assert shares.fine["method"] < 0.02
    assert 0 <= shares.lr < 0.05


def test_a_region_has_the_map_of_its_part_of_the_frame():
    region = Region(12, 60, 16, 72)
    image = GROUND + SPOT
    sources = Sources(FrameReader(rig_of(make_plan(hr_step=STEP, correct=()), *recorded(1))))
    whole = sources.shown_main(sources.of(8, image), None)
    part = sources.shown_main(sources.of(8, image[12:60, 16:72], region), region)
    np.testing.assert_array_equal(part[8:-8, 8:-8], whole[12:60, 16:72][8:-8, 8:-8])


def test_a_result_is_opened_by_its_record(tmp_path):
    lr, hr = recorded(1)
    for name, images in (("lr", lr), ("hr", hr)):
        tifffile.imwrite(tmp_path / f"{name}.tif", images, photometric="minisblack")
    plan = make_plan(hr_step=STEP, correct=(), method="interpolation", frames=(5, 9))
    fuse_files(plan, tmp_path / "lr.tif", tmp_path / "hr.tif", tmp_path / "fused.tif")
    result = Result.open(tmp_path / "fused.tif")
    found = dict(result.shares(STOP))
    assert [*found] == [5, 6, 7, 8]
    assert result.main.frame(3)[PLACE].max() < METHOD
    assert result.alone.shape == (4, H, W)
    tifffile.imwrite(tmp_path / "fused.tif", np.zeros((3, H, W), np.float32), photometric="minisblack")
    with pytest.raises(InputError) as raised:
        Result.open(tmp_path / "fused.tif")
    assert raised.value.expected.startswith("4 frames")
