"""The order and completeness of frames by their names: for folders, lists of files and folders of Zarr arrays."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from napari_xfusion.core.recordings import open_frames, open_stack
from napari_xfusion.core.recordings.names import in_order
from napari_xfusion.errors import InputError

FRAMES = np.arange(40, dtype="u2")[:, None, None] * np.ones((5, 6), "u2")


def listed(pattern: str, numbers: object) -> list[str]:
    return [pattern.format(n) for n in numbers]


IN_ORDER = {
    "below zero": listed("img_{:06d}", range(-10, 0)),
    "around zero": listed("i_{:04d}", range(-3, 4)),
    "after a blank": listed("foo {:05d}", range(-5, 6)),
    "in brackets": listed("x ({})", range(-2, 3)),
    "at the start": listed("{}", range(-2, 3)),
    "after an equals sign": listed("t={}us", range(-2, 3)),
    "after two dashes": listed("trig--{:03d}", range(9, 0, -1)),
    "some with a sign after a letter": ["a-2", "a-1", "a0", "a1"],
    "plus and minus": ["a-02", "a-01", "a+00", "a+01"],
    "typographic minus": ["f_\u22122", "f_\u22121", "f_0", "f_1"],
    "dash after a digit": listed("S0001-{:05d}", range(10)),
    "dash after a letter": listed("trig-{:03d}", range(10)),
    "dates with dashes": listed("2024-05-13_{:03d}", range(10)),
    "decimals": ["t0.9", "t0.95", "t1.0", "t1.05", "t1.1"],
    "decimals below one": ["t0.1", "t0.15", "t0.2", "t0.25"],
    "decimal commas": ["t0,9", "t0,95", "t1,0", "t1,05", "t1,1"],
    "some with decimals": ["t0.5", "t1", "t1.5", "t2"],
    "negative decimals": ["t_-1.5", "t_-1.0", "t_-0.5", "t_0.0", "t_0.5"],
    "decimal halves": ["t0.0", "t0.5", "t1.0", "t1.5"],
    "decimals with a unit": listed("t{}ms", ["8.5", "9.25", "10", "10.75"]),
    "exponents": ["t1e-6", "t1e-5", "t1e-4"],
    "exponents with decimals": ["t9.5e-5", "t1e-4", "t2E-4"],
    "positive exponents": ["t5e3", "t1e4", "t5e4", "t1e5"],
    "no decimals but counts": listed("v1.{}", range(1, 13)),
    "separated by points": listed("cam1.{:04d}", range(12)),
    "thousands with commas": ["f998", "f999", "f1,000", "f1,001"],
    "thousands everywhere": listed("f{:,}", range(1998, 2003)),
    "thousands with apostrophes": ["f998", "f999", "f1'000", "f1'001"],
    "time of day": ["12-59-58", "12-59-59", "13-00-00", "13-00-01"],
    "ISO date and time": [
        *("img_2024-05-01T12-59-58", "img_2024-05-01T12-59-59", "img_2024-05-01T13-00-00"),
        "img_2024-05-01T13-00-01",
    ],
    "date and time that also look like others": listed(
        "a_2024-01-02-{}", ["03-59-58", "03-59-59", "04-00-00"]
    ),
    "date and time": ["20240513_235958", "20240513_235959", "20240514_000000", "20240514_000001"],
    "milliseconds": [f"2024-05-13_12-00-{k // 4:02d}.{k % 4 * 250:03d}" for k in range(12)],
    "number and time": [f"f{k}_t{k * 0.02:.3f}" for k in range(12)],
    "number and temperature": ["f1_12.7C", "f2_12.6C", "f3_12.8C", "f4_12.5C"],
    "parts that go on": [f"part{1 + k // 5}_{k:04d}" for k in range(10)],
    "Micro-Manager": listed("img_{:09d}_Default_000", range(9)),
    "one folder per frame": listed("t{:03d}/img", range(4)),
    "letters": list("abcdef"),
    "umlauts of two systems": ["Pr\u00fcfung_1", "Pru\u0308fung_2", "Pr\u00fcfung_3"],
    "digits of another script": ["f_\uff11", "f_\uff12", "f_\uff13"],
    "one file": ["f_7"],
}


@pytest.mark.parametrize("names", IN_ORDER.values(), ids=IN_ORDER)
def test_frames_are_in_the_order_of_their_numbers(names: list[str]) -> None:
    for seed in range(3):
        given = [f"{names[i]}.tif" for i in np.random.default_rng(seed).permutation(len(names))]
        assert [given[i] for i in in_order(given, "folder").places] == [f"{x}.tif" for x in names]


REFUSED = {
    "two cameras": ([f"cam{c}_{k:04d}" for c in (1, 2) for k in range(5)], "2 run: 1 to 2 and 0 to 4"),
    "stereo halves": ([f"img_{k:04d}_{c}" for k in range(6) for c in (0, 1)], "2 run: 0 to 5 and 0 to 1"),
    "runs of unequal length": (
        [f"run{r}_{k:04d}" for r, n in ((1, 5), (2, 4)) for k in range(n)],
        "2 run: 1 to 2 and 0 to 4",
    ),
    "cameras and runs": ([f"c{c}_r{r}_{k}" for c in (0, 1) for r in (0, 1) for k in range(3)], "3 run"),
    "cameras before a point": (
        [f"cam{c}.{k}" for c in (0, 1) for k in range(10)],
        "2 run: 0 to 1 and 0 to 9",
    ),
    "slices before a point": ([f"z{c}.{k:04d}" for c in (1, 2) for k in range(5)], "2 run"),
    "channels": ([f"img_{k:09d}_ch{c}_000" for k in range(9) for c in (0, 1)], "2 run: 0 to 8 and 0 to 1"),
    "runs by time": ([f"20240513_{h}0000_{k:03d}" for h in (12, 13) for k in range(5)], "2 run"),
    "folders of runs": ([f"run{r}/{k:03d}" for r in (1, 2) for k in range(4)], "2 run"),
    "a gap": (listed("f_{}", [0, 1, 2, 5, 6, 7, 8, 10]), "3 missing: 3 to 4, 9"),
    "a gap below zero": (listed("f_{}", [-4, -3, -1, 0, 1]), "1 missing: -2"),
    "zero is missing": (listed("f_{}", [-2, -1, 1, 2]), "1 missing: 0"),
    "a gap of many": (listed("f_{:06d}", [*range(20), *range(9000, 9020)]), "8980 missing: 20 to 8999"),
    "a gap in decimals": (listed("t{}", ["0.9", "0.95", "1.05", "1.1"]), "1 missing: 1"),
    "one of three": (listed("f_{}", [0, 1, 3]), "1 missing: 2"),
    "no time but a gap": (listed("{:06d}", [*range(60), *range(100, 160)]), "40 missing: 60 to 99"),
    "the start": (listed("f_{}_of_20", range(4, 21)), "3 missing: 1 to 3"),
    "a number twice": (["f_1", "f_01", "f_2"], "f_01.tif and f_1.tif"),
    "a copy": (["f_1", "f_1.1", "f_2", "f_3", "f_4", "f_5"], "f_1.tif and f_1.1.tif"),
    "a dark frame": (["dark", "f_1", "f_2"], "dark.tif and f_1.tif"),
    "two readings": (["t0.1", "t0.13", "t0.2", "t0.31"], "t0.2.tif before t0.13.tif as integers"),
}


@pytest.mark.parametrize(("names", "message"), REFUSED.values(), ids=REFUSED)
def test_names_of_no_sequence_are_refused_with_their_numbers(names: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        in_order([f"{x}.tif" for x in names], "folder")


WARNED = {
    "all below zero": (listed("img_{:04d}", range(-5, 0)), "negative-numbers", "the first frame is img_-005"),
    "the end is known": (listed("f_{}_of_20", range(1, 13)), "planned-frames", "12 of 20"),
    "the end is known from zero": (listed("{:02d}of20", range(12)), "planned-frames", "12 of 20"),
    "many gaps": (listed("f{}", [0, 2, 4, 5, 6, 8]), "uneven-numbers", "3 are missing: 1, 3, 7"),
    "uneven times": (listed("f{}", [100, 207, 311, 900]), "uneven-numbers", "between f311.tif and f900.tif"),
    "letters": (["a", "aa", "b", "z"], "alphabetical", "a.tif first and z.tif last"),
    "words": (["after", "before"], "alphabetical", "after.tif first"),
    "superscripts": (["f_\u00b2", "f_\u00b3", "f_\u00b9"], "alphabetical", "no numbers"),
    "powers": (["t1e-6", "t1e-5", "t1e-4"], "uneven-numbers", "from 9e-06 to 9e-05"),
}


@pytest.mark.parametrize(("names", "code", "text"), WARNED.values(), ids=WARNED)
def test_odd_numbers_are_warnings(names: list[str], code: str, text: str) -> None:
    order = in_order([f"{x}.tif" for x in names], "folder")
    assert order.places == list(range(len(names)))
    (warning,) = order.warnings
    assert (warning.code, warning.subject) == (code, "folder")
    assert text in warning.text


@pytest.mark.parametrize(
    "names",
    [
        listed("f_{}", range(12)),
        listed("f_{:03d}", range(5, 125, 10)),
        listed("f{}", [1000, 1098, 1203, 1301, 1399]),
        listed("{:02d}of20", range(20)),
        listed("{}_of_20", range(1, 21)),
    ],
    ids=["steps-of-1", "steps-of-10", "jitter", "complete-from-0", "complete-from-1"],
)
def test_usual_names_give_no_warning(names: list[str]) -> None:
    assert not in_order([f"{x}.tif" for x in names], "folder").warnings


def fill(folder: Path, names: list[str]) -> list[Path]:
    for name, frame in zip(names, FRAMES, strict=False):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".zarr":
            zarr.create_array(path, data=frame)
        else:
            tifffile.imwrite(path, frame, photometric="minisblack", metadata=None)
    return [folder / name for name in names]


@pytest.mark.parametrize("ending", [".tif", ".zarr"])
def test_lists_of_files_and_folders_have_the_same_order(tmp_path: Path, ending: str) -> None:
    files = fill(tmp_path, [f"i_{n:04d}{ending}" for n in range(-3, 3)])
    files = [files[i] for i in (3, 0, 5, 1, 4, 2)]
    for stack in (open_stack(tmp_path), open_frames(files)):
        assert [stack.frame(i)[0, 0] for i in range(6)] == list(range(6))
        assert len(stack.digest()) == 64


@pytest.mark.parametrize("ending", [".tif", ".zarr"])
def test_lists_of_files_and_folders_have_the_same_errors(tmp_path: Path, ending: str) -> None:
    files = fill(tmp_path, [f"f_{n}{ending}" for n in (0, 1, 3, 4)])
    for opened in (lambda: open_stack(tmp_path), lambda: open_frames(files)):
        with pytest.raises(InputError, match="1 missing: 2"):
            opened()


def test_files_of_several_folders(tmp_path: Path) -> None:
    files = fill(tmp_path, [f"t{k}/img.tif" for k in range(12)])
    assert [x[0, 0] for x in map(open_frames(files).frame, range(12))] == list(range(12))
    with pytest.raises(InputError, match="2 run"):
        open_frames(fill(tmp_path, [f"run{r}/{k}.tif" for r in (1, 2) for k in range(3)]))


def test_a_file_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    files = fill(tmp_path, ["f_0.tif", "f_1.tif"])
    with pytest.raises(InputError, match="twice"):
        open_frames([*files, files[0]])


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_a_frame_under_two_names_is_refused(tmp_path: Path, link: str) -> None:
    files = fill(tmp_path, ["f_0.tif", "f_1.tif"])
    getattr(tmp_path / "f_2.tif", link)(files[1])
    for opened in (lambda: open_stack(tmp_path), lambda: open_frames([*files, tmp_path / "f_2.tif"])):
        with pytest.raises(InputError, match=r"the same as f_[12]\.tif"):
            opened()


def test_no_files_are_no_sequence() -> None:
    with pytest.raises(InputError, match="found none"):
        open_frames([])


def test_broken_links_are_refused_by_name(tmp_path: Path) -> None:
    files = fill(tmp_path, ["f_0.tif", "f_1.tif"])
    (tmp_path / "f_2.tif").symlink_to(tmp_path / "gone.tif")
    for opened in (lambda: open_stack(tmp_path), lambda: open_frames([*files, tmp_path / "f_2.tif"])):
        with pytest.raises(InputError, match=r"f_2\.tif.*broken link.*gone\.tif"):
            opened()
    with pytest.raises(InputError, match="broken link"):
        open_stack(tmp_path / "f_2.tif")


def test_warnings_of_names_are_those_of_the_stack(tmp_path: Path) -> None:
    fill(tmp_path, [f"f_{n:04d}.tif" for n in range(-4, 0)])
    (warning,) = open_stack(tmp_path).metadata.warnings
    assert (warning.code, warning.subject) == ("negative-numbers", str(tmp_path))
