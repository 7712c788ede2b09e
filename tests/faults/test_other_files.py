"""Files that are not ours are never replaced, emptied or deleted; inputs not even with --overwrite."""

import json
import os
import shutil
from itertools import product

import numpy as np
import pytest
import tifffile

from napari_xfusion.core.plan import make_plan
from napari_xfusion.core.results import open_sink
from napari_xfusion.core.results.journal import CLAIM
from napari_xfusion.core.run import fuse_files
from napari_xfusion.errors import OutputError, OutputExistsError
from tests.sequences import moving_discs, two_cameras
from tests.tables import crossed

LR, HR, TIMES = two_cameras((moving_discs(9) * 50000).astype(np.uint16))
PLAN = make_plan(method="bicubic", hr_times=TIMES)
MINE = b"\0\0\0\x18ftypmp42 my data"


@pytest.fixture
def pair(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    tifffile.imwrite(folder / "lr.tif", LR.astype(np.uint16), photometric="minisblack")
    tifffile.imwrite(folder / "hr.tif", HR, photometric="minisblack")
    return folder / "lr.tif", folder / "hr.tif"


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


HELPERS = [
    f"{output}.{ending}"
    for output in ("o.tif", "o.ome.tif", "o.zarr", "o.nxs")
    for ending in ("partial", "journal", "lock", "json")
]
CONTENTS = [b"mine", MINE, b"{}", json.dumps({"napari_xfusion": 1}).encode(), b"[1, 2]", b"\n\n0 {}\n"]


@pytest.mark.parametrize(("name", "content"), crossed(HELPERS, CONTENTS))
def test_a_file_with_a_helpers_name_stays(pair, name, content):
    path = pair[0].parent / name
    path.write_bytes(content)
    before = contents(path.parent)
    with pytest.raises(OutputExistsError) as caught:
        fuse_files(PLAN, *pair, path.with_suffix(""))
    assert caught.value.subject == str(path)
    assert contents(path.parent) == before


@pytest.mark.parametrize("ending", ["partial", "journal", "lock", "json"])
def test_with_overwrite_it_is_replaced(pair, ending):
    path = pair[0].parent / f"o.tif.{ending}"
    path.write_bytes(b"mine")
    assert fuse_files(PLAN, *pair, path.with_name("o.tif"), overwrite=True).finished
    assert {p.name for p in path.parent.iterdir()} == {"lr.tif", "hr.tif", "o.tif", "o.tif.json"}


@pytest.mark.parametrize("ending", ["partial", "journal", "lock", "json"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_link_with_a_helpers_name_leads_to_no_damage(pair, tmp_path, ending, overwrite):
    mine = tmp_path / "mine"
    mine.write_bytes(MINE)
    (pair[0].parent / f"o.tif.{ending}").symlink_to(mine)
    try:
        fuse_files(PLAN, *pair, pair[0].with_name("o.tif"), overwrite=overwrite)
    except OutputExistsError:
        assert not overwrite
    assert mine.read_bytes() == MINE


def test_a_folder_with_the_name_of_the_unfinished_output_stays(pair):
    for name in ("o.tif.partial", "o.zarr.partial"):
        folder = pair[0].with_name(name)
        (folder / "0").mkdir(parents=True)
        (folder / "zarr.json").write_bytes(b"{}")
        before = contents(folder)
        with pytest.raises(OutputError):
            fuse_files(PLAN, *pair, pair[0].with_name(name.removesuffix(".partial")))
        assert contents(folder) == before


@pytest.mark.parametrize("content", [b"", CLAIM[:5], CLAIM, CLAIM + b"\n1234"])
def test_what_a_kill_left_is_recognised(pair, content):
    output = pair[0].with_name("o.tif")
    output.with_name("o.tif.journal").write_bytes(content)
    output.with_name("o.tif.lock").write_bytes(b'\0{"pid": 1, "host": "none"}')
    if content.startswith(CLAIM):
        output.with_name("o.tif.partial").write_bytes(b"II*\0")
    assert fuse_files(PLAN, *pair, output).finished


INPUT_NAMES = [
    "o.tif",
    "o.tif.partial",
    "o.tif.journal",
    "o.tif.lock",
    "o.tif.json",
    "o.tif.replaced-by-xfusion",
]


ALIASES = list(product(["itself", "symlink", "hard link", "of a link", "by another way"], [0, 1]))
"""How another name leads to LR (0) or HR (1)."""


@pytest.mark.parametrize(("name", "way"), crossed(INPUT_NAMES, ALIASES))
def test_an_input_is_never_touched(pair, name, way):
    (alias, role), folder, given = way, pair[0].parent, list(pair)
    place = folder / name
    if alias == "itself":
        given[role] = shutil.move(pair[role], place)
    elif alias == "hard link":
        os.link(pair[role], place)
    elif alias == "symlink":
        place.symlink_to(pair[role])
    elif alias == "of a link":
        given[role] = shutil.move(pair[role], place)
        (folder / "link").symlink_to(place)
        given[role] = folder / "link"
    else:
        shutil.move(pair[role], place)
        (folder.parent / "way").symlink_to(folder, target_is_directory=True)
        given[role] = folder.parent / "way" / name
    before = contents(folder)
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="input"):
            fuse_files(PLAN, *given, folder / "o.tif", overwrite=overwrite)
    assert contents(folder) == before


def test_frames_of_an_input_folder_are_never_touched(pair, tmp_path):
    frames = tmp_path / "frames"
    frames.mkdir()
    for k, frame in enumerate(LR.astype(np.uint16)):
        tifffile.imwrite(frames / f"f{k:03}.tif", frame)
    os.link(frames / "f003.tif", tmp_path / "same.tif")
    (tmp_path / "way").symlink_to(frames, target_is_directory=True)
    before = contents(frames)
    for output in (
        frames / "f003.tif",
        frames / "new.tif",
        tmp_path / "same.tif",
        tmp_path / "way" / "f001.tif",
    ):
        with pytest.raises(OutputError, match="input"):
            fuse_files(PLAN, frames, pair[1], output, overwrite=True)
    assert contents(frames) == before


def test_an_input_inside_the_output_is_never_touched(tmp_path):
    with open_sink(tmp_path / "o.zarr") as _:
        pass
    lr = tmp_path / "o.zarr" / "lr.tif"
    lr.parent.mkdir()
    (lr.parent / "zarr.json").write_text("{}")
    tifffile.imwrite(lr, LR.astype(np.uint16), photometric="minisblack")
    with pytest.raises(OutputError, match="input"):
        fuse_files(PLAN, lr, HR, tmp_path / "o.zarr", overwrite=True)
    assert lr.is_file()


@pytest.mark.parametrize(
    ("output", "std"),
    [
        ("o.tif", "o.tif"),
        ("o.tif", "./o.tif"),
        ("o.tif", "O.TIF"),
        ("o.tif.partial.tif", "o.tif.partial.tif"),
        ("o.tif", "way/o.tif"),
    ],
)
def test_two_outputs_need_two_names(pair, output, std):
    folder = pair[0].parent
    (folder / "way").symlink_to(folder, target_is_directory=True)
    plan = PLAN.model_copy(update={"method": "bayesian"})
    with pytest.raises(OutputError, match="an output of this run"):
        fuse_files(plan, *pair, folder / output, std=folder / std)
    assert not (folder / output).exists()


ATTENTION = make_plan(method="lite", hr_times=TIMES, frames=(0, 2))


@pytest.mark.parametrize("content", [b"", MINE, b"frame,value\n1,2\n", b"{}"])
def test_a_table_replaces_nothing_else(pair, content):
    table = pair[0].with_name("t.csv")
    table.write_bytes(content)
    with pytest.raises(OutputExistsError):
        fuse_files(ATTENTION, *pair, pair[0].with_name("o.tif"), attention=table)
    assert table.read_bytes() == content
    assert not table.with_name("o.tif").exists()


def test_a_table_replaces_an_earlier_one_and_anything_with_overwrite(pair):
    table = pair[0].with_name("t.csv")
    for k, overwrite in enumerate((False, False, True)):
        if overwrite:
            table.write_bytes(MINE)
        output = pair[0].with_name(f"o{k}.tif")
        fuse_files(ATTENTION, *pair, output, attention=table, overwrite=overwrite)
        assert table.read_text().startswith("frame,seen,lr-")


@pytest.mark.parametrize(
    "name", ["x" * 240 + ".tif", "x" * 251 + ".tif", "x" * 255 + ".tif", "x" * 240 + ".zarr", "a\0.tif"]
)
def test_names_that_leave_no_place_for_those_next_to_them_are_refused_before_the_run(pair, name):
    before = contents(pair[0].parent)
    with pytest.raises(OutputError, match="shorter name"):
        fuse_files(PLAN, *pair, f"{pair[0].parent}/{name}")
    assert contents(pair[0].parent) == before


@pytest.mark.parametrize("name", [".tif", ".ome.tif", ".zarr"])
def test_an_ending_alone_is_no_name(pair, name):
    """As where a variable of the shell was not set."""
    with pytest.raises(OutputError, match="name before the ending"):
        fuse_files(PLAN, *pair, pair[0].with_name(name))


@pytest.mark.parametrize("linked", [False, True])
def test_another_file_is_not_called_a_result(pair, linked):
    output, content = pair[0].with_name("o.tif"), pair[0].with_name("notes.txt")
    content.write_bytes(MINE)
    output.symlink_to(content) if linked else shutil.copy(content, output)
    with pytest.raises(OutputExistsError, match="no result of this program"):
        fuse_files(PLAN, *pair, output)
    assert output.read_bytes() == MINE
    assert fuse_files(PLAN, *pair, output, overwrite=True).finished
    assert content.read_bytes() == MINE
