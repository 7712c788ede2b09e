"""One row in the table of readers is all that a new file format needs besides its module."""

import subprocess
import sys
from importlib import import_module
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
import yaml

import napari_xfusion
from napari_xfusion.core.recordings import open_stack
from napari_xfusion.core.recordings.ifd import FORMATS
from napari_xfusion.core.recordings.readers import (
    READERS,
    Reader,
    begins,
    file_endings,
    find_reader,
    readable,
)
from napari_xfusion.errors import InputError
from napari_xfusion.lab.train.clips import find_clips

TOY = """
import numpy as np
from napari_xfusion.core.recordings import as_stack

def open_toy(path, options):
    values = np.frombuffer(path.read_bytes()[4:], np.uint8)
    return as_stack(values.repeat(12).reshape(-1, 3, 4), name=str(path))
"""
ROW = Reader("toy", "a toy file", "toy_reader:open_toy", begins(b"TOY!"), (".toy",))


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A file of five frames in a format of one module and one row."""
    (tmp_path / "toy_reader.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "toy_reader", raising=False)
    monkeypatch.setitem(READERS, "toy", ROW)
    (tmp_path / "clips").mkdir()
    path = tmp_path / "clips" / "recording.toy"
    path.write_bytes(b"TOY!" + bytes(range(5)))
    return path


@pytest.mark.parametrize("ending", [".toy", ".tif", ".TOY", ""])
def test_a_toy_format_is_opened_by_its_content(toy, ending):
    stack = open_stack(toy.rename(toy.with_suffix(ending)))
    assert stack.shape == (5, 3, 4)
    assert [stack.frame(i).max() for i in range(5)] == [0, 1, 2, 3, 4]


def test_messages_name_a_toy_format(toy):
    unknown = toy.with_name("unknown")
    unknown.write_bytes(b"unknown")
    with pytest.raises(InputError, match="or a toy file"):
        open_stack(unknown)


def test_training_finds_a_toy_format_in_a_folder(toy):
    assert find_clips(toy.parent) == [toy]


def test_the_napari_reader_takes_a_toy_format(toy):
    pytest.importorskip("napari", reason="napari is not installed")
    from napari_xfusion.ui.plugin.reader import get_reader

    ((data, _, kind),) = get_reader(toy)(toy)
    assert kind == "image"
    np.testing.assert_array_equal(np.asarray(data)[:, 0, 0], range(5))


def test_help_names_a_toy_format():
    """In a process of its own: the arguments are made when the command line is imported."""
    code = (
        "import sys; from napari_xfusion.core.recordings.readers import READERS, Reader, begins;"
        "READERS['toy'] = Reader('toy', 'a toy file', 'toy_reader:open_toy', begins(b'TOY!'));"
        "from napari_xfusion.cli import main; sys.exit(main(['fuse', '--help']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "toy file" in " ".join(done.stdout.replace("│", " ").split())


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_every_row_is_true(reader):
    module, name = reader.function.split(":")
    assert len(signature(getattr(import_module(module), name)).parameters) == 2
    assert all(ending == ending.lower() and ending[0] == "." for ending in (*reader.endings, *reader.beside))
    assert reader.what.startswith(("a ", "an ", "raw "))
    assert reader.what in readable()


def test_every_kind_of_tiff_is_recognised(tmp_path):
    path = tmp_path / "file"
    path.touch()
    assert {find_reader(path, magic + bytes(4)).name for magic in FORMATS} == {"tiff"}
    assert find_reader(path, b"") is None


def test_any_folder_is_read_as_frames_unless_it_is_a_zarr(tmp_path):
    assert list(READERS)[-1] == "folder"
    assert find_reader(tmp_path, b"").name == "folder"
    (tmp_path / "zarr.json").touch()
    assert find_reader(tmp_path, b"").name == "zarr"


def test_napari_is_offered_every_ending():
    path = Path(napari_xfusion.__file__).parent / "napari.yaml"
    (reader,) = yaml.safe_load(path.read_text(encoding="utf-8"))["contributions"]["readers"]
    assert set(reader["filename_patterns"]) == {
        f"*{x}" for r in READERS.values() for x in (*r.endings, *r.beside)
    }
    assert reader["accepts_directories"]


def test_the_documentation_names_every_ending():
    root = Path(__file__).parents[3]
    usage = (root / "docs" / "usage.md").read_text(encoding="utf-8")
    recordings = usage[usage.index("## Recordings") : usage.index("```bash")].lower()
    assert not [x for r in READERS.values() for x in (*r.endings, *r.beside) if x[1:] not in recordings]
    assert "on the command line and in python" not in recordings


def test_endings_of_files_are_those_of_readers_of_files():
    assert file_endings() == (
        ".tif",
        ".tiff",
        ".mp4",
        ".mov",
        ".mkv",
        ".avi",
        ".b16",
        ".cine",
        ".mraw",
        ".raw",
        ".dat",
        ".h5",
        ".hdf5",
        ".nxs",
        ".nx",
    )
