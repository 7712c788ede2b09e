"""Recordings in several TIFF files: joined where the order is certain, refused elsewhere."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_xfusion.core.recordings import open_frames, open_stack, pieces
from napari_xfusion.errors import InputError

SEQUENCE = np.random.default_rng(2).integers(0, 4000, (11, 20, 31)).astype("u2")
IMAGEJ = "ImageJ=1.53t\nimages={0}\nframes={0}\nfinterval=0.5\n"


def write(
    folder: Path, names: list[str], *, declared: int | None = None, cuts: tuple = (4, 8, 11)
) -> list[Path]:
    starts = (0, *cuts[:-1])
    for name, a, b in zip(names, starts, cuts, strict=False):
        said = {} if declared is None else {"description": IMAGEJ.format(declared)}
        tifffile.imwrite(folder / name, SEQUENCE[a:b], photometric="minisblack", metadata=None, **said)
    return [folder / name for name in names]


@pytest.mark.parametrize(
    ("names", "declared"),
    [
        (["NDTiffStack.tif", "NDTiffStack_1.tif", "NDTiffStack_2.tif"], None),
        (["a_NDTiffStack.tif", "a_NDTiffStack_1.tif", "a_NDTiffStack_2.tif"], None),
        (["a_MMStack_Pos0.ome.tif", "a_MMStack_Pos0_1.ome.tif", "a_MMStack_Pos0_2.ome.tif"], None),
        (["a_MMStack.ome.tif", "a_MMStack_1.ome.tif", "a_MMStack_2.ome.tif"], None),
        (["a.tif", "a_1.tif", "a_2.tif"], 11),
        (["a.tif", "a_2.tif", "a_3.tif"], 11),
        (["a_0001.tif", "a_0002.tif", "a_0003.tif"], 11),
        (["a.tif", "a@0001.tif", "a@0002.tif"], 11),
    ],
)
def test_pieces_are_joined_in_order(tmp_path: Path, names: list[str], declared: int | None) -> None:
    files = write(tmp_path, names, declared=declared)
    for stack in (open_stack(tmp_path), open_frames(files[::-1])):
        np.testing.assert_array_equal([stack.frame(i) for i in range(11)], SEQUENCE)
        assert len(stack) == 11
        assert stack.clock.interval == (0.5 if declared else None)
        assert not stack.metadata.warnings


def test_pieces_with_fewer_frames_than_planned(tmp_path: Path) -> None:
    write(tmp_path, ["NDTiffStack.tif", "NDTiffStack_1.tif", "NDTiffStack_2.tif"], declared=20)
    (warning,) = open_stack(tmp_path).metadata.warnings
    assert "11 of 20 planned frames" in warning.text


def test_files_that_end_at_a_limit_are_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, ["a_0.tif", "a_1.tif", "a_2.tif"])
    with pytest.raises(InputError, match="one frame per file"):
        open_stack(tmp_path)
    monkeypatch.setattr(pieces, "_LIMITS", ((tmp_path / "a_0.tif").stat().st_size + 100,))
    np.testing.assert_array_equal([*map(open_stack(tmp_path).frame, range(11))], SEQUENCE)


@pytest.mark.parametrize(
    ("names", "declared", "message"),
    [
        (["run_1.tif", "run_2.tif", "run_3.tif"], None, "one frame per file, this file has"),
        (["run_1.tif", "run_2.tif", "run_3.tif"], 4, "one frame per file, this file has"),
        (["NDTiffStack.tif", "NDTiffStack_1.tif", "NDTiffStack_3.tif"], None, "no number 2"),
        (["a_MMStack_Pos0.ome.tif", "a_MMStack_Pos1.ome.tif"], None, "one frame per file"),
        (["a.tif", "b.tif"], None, "one frame per file"),
    ],
)
def test_files_that_may_be_other_recordings_are_not_joined(
    tmp_path: Path, names: list[str], declared: int | None, message: str
) -> None:
    write(tmp_path, names, declared=declared, cuts=(4, 8, 12) if declared else (4, 8, 11))
    with pytest.raises(InputError, match=message):
        open_stack(tmp_path)


def test_unlike_pieces_are_named(tmp_path: Path) -> None:
    write(tmp_path, ["NDTiffStack.tif"])
    tifffile.imwrite(
        tmp_path / "NDTiffStack_1.tif", SEQUENCE[:4, :10], photometric="minisblack", metadata=None
    )
    with pytest.raises(InputError, match=r"NDTiffStack_1\.tif.*\(20, 31\) of uint16 as NDTiffStack\.tif"):
        open_stack(tmp_path)
