"""Folders of frames through open_stack."""

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from napari_xfusion.core.recordings import ifd, open_stack
from napari_xfusion.errors import InputError

FRAMES = np.random.default_rng(5).integers(0, 4000, (12, 20, 31)).astype("u2")


def write(path: Path, frame: np.ndarray) -> None:
    if path.suffix == ".png":
        path.write_bytes(imagecodecs.png_encode(frame))
    else:
        tifffile.imwrite(path, frame, photometric="minisblack", metadata=None)


def fill(folder: Path, names: list[str]) -> Path:
    for name, frame in zip(names, FRAMES, strict=False):
        write(folder / name, frame)
    return folder


@pytest.mark.parametrize(
    "names",
    [
        pytest.param([f"frame_{i}.tif" for i in range(12)], id="natural-order"),
        pytest.param([f"frame_{i:04}.png" for i in range(12)], id="png"),
        pytest.param([f"{i}.TIFF" for i in range(12)], id="numbers-alone"),
        pytest.param([f"b2_{i}_x.tif" for i in range(12)], id="two-numbers"),
        pytest.param([f"f{i:03}.tif" for i in range(5, 125, 10)], id="steps-of-ten"),
        pytest.param(
            [f"f{t}.tif" for t in (3, 7, 8, 20, 33, 34, 50, 51, 70, 99, 120, 150)], id="time-stamps"
        ),
        pytest.param([f"{x}.tif" for x in "abcdefghijkl"], id="letters"),
    ],
)
def test_frames_come_in_natural_order(tmp_path: Path, names: list[str]) -> None:
    stack = open_stack(fill(tmp_path, names))
    assert (stack.shape, stack.dtype) == (FRAMES.shape, FRAMES.dtype)
    np.testing.assert_array_equal([stack.frame(i) for i in range(12)], FRAMES)


def test_other_files_do_not_matter(tmp_path: Path) -> None:
    fill(tmp_path, [f"frame_{i}.tif" for i in range(12)])
    for name in ("Thumbs.db", "notes.txt", ".hidden.tif", "._frame_3.tif"):
        (tmp_path / name).write_text("not a frame")
    (tmp_path / "deeper.tif").mkdir()
    assert len(open_stack(tmp_path)) == 12


@pytest.mark.parametrize(
    ("names", "message"),
    [
        pytest.param(["notes.txt"], "no TIFF or PNG frame", id="none-of-ours"),
        pytest.param([f"f_{i}.tif" for i in (0, 1, 2, 5, 6, 7, 8, 10)], r"3 missing: 3 to 4, 9", id="gaps"),
        pytest.param([f"f_{i}.tif" for i in (0, 10, 20, 40, 50)], r"1 missing: 30", id="gap-in-tens"),
        pytest.param(["f_1.tif", "f_01.tif", "f_2.tif"], r"f_01.tif and f_1.tif", id="number-twice"),
        pytest.param(["f_1.tif", "f_2.png"], r"f_1.tif and f_2.png", id="two-types"),
        pytest.param(["dark_1.tif", "f_1.tif", "f_2.tif"], r"dark_1.tif and f_1.tif", id="two-sequences"),
        pytest.param(["dark.tif", "f_1.tif", "f_2.tif"], r"dark.tif and f_1.tif", id="a-dark-frame"),
    ],
)
def test_folders_that_hold_no_sequence(tmp_path: Path, names: list[str], message: str) -> None:
    for name, frame in zip(names, FRAMES, strict=False):
        write(tmp_path / name, frame)
    with pytest.raises(InputError, match=message):
        open_stack(tmp_path)


@pytest.mark.parametrize(
    "odd", [pytest.param(FRAMES[3, :10], id="shape"), pytest.param(FRAMES[3].astype("f4"), id="dtype")]
)
def test_unlike_frames_are_named(tmp_path: Path, odd: np.ndarray) -> None:
    write(fill(tmp_path, [f"f_{i}.tif" for i in range(12)]) / "f_3.tif", odd)
    with pytest.raises(InputError, match=r"f_3\.tif.*as f_0\.tif"):
        open_stack(tmp_path)


def test_a_sequence_in_a_folder_of_frames_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "f_0.tif", FRAMES, photometric="minisblack")
    with pytest.raises(InputError, match=r"f_0\.tif.*has 12"):
        open_stack(tmp_path)


@pytest.mark.parametrize(
    "frame", [FRAMES[:3, :, :].transpose(1, 2, 0) // 16, FRAMES[:2].transpose(1, 2, 0) // 16]
)
def test_png_with_colours_or_alpha_is_refused(tmp_path: Path, frame: np.ndarray) -> None:
    (tmp_path / "f_0.png").write_bytes(imagecodecs.png_encode(np.ascontiguousarray(frame.astype("u1"))))
    with pytest.raises(InputError, match="grey"):
        open_stack(tmp_path)


def test_digest_covers_names_and_bytes(tmp_path: Path) -> None:
    fill(tmp_path, [f"f_{i}.tif" for i in range(3)])
    first = open_stack(tmp_path).digest()
    assert open_stack(tmp_path).digest() == first
    (tmp_path / "f_2.tif").rename(tmp_path / "f_03.tif")
    (tmp_path / "f_03.tif").rename(tmp_path / "f_02.tif")
    renamed = open_stack(tmp_path).digest()
    write(tmp_path / "f_0.tif", FRAMES[7])
    assert len({first, renamed, open_stack(tmp_path).digest()}) == 3


def test_files_with_equal_tags_are_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []

    def parse(path: Path, **flags: bool) -> tifffile.TiffFile:
        parsed.append(path)
        return tifffile.TiffFile(path, **flags)

    monkeypatch.setattr(ifd, "TiffFile", parse)
    monkeypatch.setattr(ifd, "_ALIKE", {})
    sequence = open_stack(fill(tmp_path, [f"frame_{i}.tif" for i in range(12)]))
    np.testing.assert_array_equal([sequence.frame(i) for i in range(12)], FRAMES)
    assert len(parsed) == 1
    tifffile.imwrite(tmp_path / "frame_5.tif", FRAMES[5], photometric="minisblack", description="other tags")
    np.testing.assert_array_equal(sequence.frame(5), FRAMES[5])
    assert len(parsed) == 2
