import gc
import os
import weakref

import numpy as np
import pytest
import tifffile

from napari_xfusion.core.plan import MISFITS, Plan, make_plan
from napari_xfusion.core.recordings import as_stack, open_stack
from napari_xfusion.core.rig import make_rig, pairing
from napari_xfusion.core.rig.known import MOST, known
from tests.core.rig.shots import STEP, shot
from tests.sequences import moving_discs, two_cameras


@pytest.fixture
def paths(tmp_path):
    """Of LR and HR, an HR frame every 4."""
    for name, sequence in zip(("lr", "hr"), two_cameras(moving_discs(9, (32, 64)), 4), strict=False):
        grey = (sequence * 4000).astype(np.uint16)
        tifffile.imwrite(tmp_path / f"{name}.tif", grey, photometric="minisblack", metadata={"axes": "TYX"})
    return tmp_path / "lr.tif", tmp_path / "hr.tif"


class Looks:
    """Numbers the looks at recordings."""

    count = 0

    def __call__(self):
        self.count += 1
        return self.count


def write_again(path):
    """The same bytes, a second later."""
    path.write_bytes(path.read_bytes())
    state = path.stat()
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 10**9))


def test_the_same_files_are_looked_at_once(paths):
    look = Looks()
    assert [known([*map(open_stack, paths)], "x", look) for _ in range(3)] == [1, 1, 1]
    assert known([*map(open_stack, paths)], "y", look) == 2
    assert known([open_stack(path) for path in reversed(paths)], "x", look) == 3
    assert known([*map(open_stack, paths)], "x", look) == 1


def test_files_that_changed_are_looked_at_again(paths):
    look = Looks()
    assert known([*map(open_stack, paths)], "x", look) == 1
    write_again(paths[1])
    assert known([*map(open_stack, paths)], "x", look) == 2


def test_what_was_found_while_a_file_changed_is_not_kept(paths):
    look = Looks()

    def find():
        write_again(paths[0])
        return look()

    assert known([*map(open_stack, paths)], "x", find) == 1
    assert known([*map(open_stack, paths)], "x", look) == 2


def test_arrays_are_looked_at_each_time():
    look, stack = Looks(), as_stack(np.zeros((3, 4, 4), np.uint8), name="LR")
    assert [known([stack], "x", look) for _ in range(2)] == [1, 2]


def test_an_error_is_raised_each_time(paths):
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            known([*map(open_stack, paths)], "x", lambda: 1 / 0)


def test_few_are_kept(paths):
    look, stacks = Looks(), [*map(open_stack, paths)]
    for settings in range(MOST + 1):
        known(stacks, settings, look)
    assert known(stacks, MOST, look) == MOST + 1
    assert known(stacks, 0, look) == MOST + 2


def test_a_rig_that_is_known_is_that_of_a_first_look_and_keeps_no_recording_open(paths):
    plan = make_plan(hr_step=4)
    rigs = [make_rig(plan, *map(open_stack, paths)) for _ in range(2)]
    for path in paths:
        write_again(path)
    assert rigs[0] == rigs[1] == make_rig(plan, *map(open_stack, paths))
    opened = [weakref.ref(camera.open()) for rig in rigs for camera in rig.cameras.values()]
    assert len({id(ref()) for ref in opened}) == 4  # each has the recordings that it was made with
    del rigs
    gc.collect()
    assert not any(ref() for ref in opened)


class Watched(Plan):
    """Notes which of its settings are looked at."""

    def __getattribute__(self, name):
        if name in Plan.model_fields:
            ASKED.add(name)
        return super().__getattribute__(name)


ASKED: set[str] = set()


@pytest.mark.parametrize(
    "settings",
    [{"method": "flow"}, {"method": "lite"}, {"correct": MISFITS}, {"grey": "percentile"}],
    ids=repr,
)
def test_a_rig_depends_on_no_setting_but_those_by_which_it_is_known(settings, monkeypatch):
    settle, asked = pairing._settle, set()

    def watched(recordings):
        ASKED.clear()
        found = settle(recordings)
        asked.update(ASKED)
        return found

    monkeypatch.setattr(pairing, "_settle", watched)
    lr, hr = shot().cameras()
    hr[:, 5:8, 9] = 4000
    make_rig(Watched(hr_step=STEP, **settings), as_stack(lr, name="LR"), as_stack(hr, name="HR"))
    assert asked
    assert asked <= {"calibration", "grey", "correct", "keep_flicker", "method"}
