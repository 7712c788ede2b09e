"""A file is there complete or not at all."""

import stat
from pathlib import Path

import pytest

from napari_xfusion.core.files import replace, replacing, write_whole
from napari_xfusion.errors import WriteError, writing


def test_what_is_written_takes_the_place_at_the_end(tmp_path):
    (tmp_path / "a").write_text("old")
    with replacing(tmp_path / "a") as part:
        part.write_text("new")
        assert (tmp_path / "a").read_text() == "old"
    assert [(x.name, x.read_text()) for x in tmp_path.iterdir()] == [("a", "new")]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there(tmp_path, error):
    (tmp_path / "a").write_text("old")
    with pytest.raises(error), replacing(tmp_path / "a") as part:
        part.write_text("half")
        raise error
    assert [(x.name, x.read_text()) for x in tmp_path.iterdir()] == [("a", "old")]


def test_nothing_written_changes_nothing(tmp_path):
    (tmp_path / "a").write_text("old")
    with replacing(tmp_path / "a"):
        pass
    assert [(x.name, x.read_text()) for x in tmp_path.iterdir()] == [("a", "old")]


def test_folders_are_made_and_the_mode_is_that_of_a_new_file(tmp_path):
    write_whole(tmp_path / "b" / "c" / "a", lambda part: part.write_text("new"))
    (tmp_path / "plain").write_text("new")
    modes = [stat.S_IMODE(x.stat().st_mode) for x in (tmp_path / "plain", tmp_path / "b" / "c" / "a")]
    assert modes[0] == modes[1]


def test_errors_of_system_and_library_become_one_class(tmp_path):
    def fail(part):
        raise OSError(28, "No space left on device")

    with pytest.raises(WriteError) as caught:
        write_whole(tmp_path / "a", fail)
    assert caught.value.found == "No space left on device"
    with pytest.raises(WriteError) as caught, writing("a", also=(KeyError,)):
        raise KeyError("why")
    assert (caught.value.subject, caught.value.found) == ("a", "'why'")
    with pytest.raises(KeyError), writing("a"):
        raise KeyError("why")


@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
@pytest.mark.parametrize("times", [1, 3])
def test_replacing_is_tried_again_where_another_program_has_the_file_open(
    tmp_path, monkeypatch, folder, times
):
    part = tmp_path / "part"
    part.mkdir() if folder else part.write_text("new")
    refused, pauses, real = [], [], Path.replace

    def scanned(self, target):
        if len(refused) < times:
            refused.append(target)
            raise PermissionError(13, "in use")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", scanned)
    monkeypatch.setattr("napari_xfusion.core.files.time.sleep", pauses.append)
    replace(part, tmp_path / "a")
    assert (tmp_path / "a").exists()
    assert pauses == [0.05] * times


def test_replacing_that_stays_refused_is_an_error(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "in use")

    monkeypatch.setattr(Path, "replace", refuse)
    monkeypatch.setattr("napari_xfusion.core.files.PATIENCE", 0.1)
    (tmp_path / "a").write_text("old")
    with pytest.raises(PermissionError), replacing(tmp_path / "a") as part:
        part.write_text("new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "old"}


def test_a_link_with_the_name_of_the_part_is_not_followed(tmp_path):
    (tmp_path / "mine").write_text("mine")
    with replacing(tmp_path / "a") as part:
        pass
    part.symlink_to(tmp_path / "mine")
    with replacing(tmp_path / "a") as part:
        part.write_text("new")
    assert (tmp_path / "mine").read_text() == "mine"
    assert (tmp_path / "a").read_text() == "new"
