"""What is said where a file cannot be read: damage of its content, or what the system refuses."""

import errno
import os

import numpy as np
import pytest
import tifffile

from napari_xfusion.core.recordings import open_stack
from napari_xfusion.core.recordings.source import FileBytes, told
from napari_xfusion.errors import DamagedFileError, InputError


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EMFILE, "limit of open files"),
        (errno.ENFILE, "other programs"),
        (errno.ENOMEM, "memory"),
        (errno.EIO, "disk or the connection"),
        (errno.EACCES, "permission"),
        (errno.EPERM, "permission"),
        (errno.ENOENT, "moved or deleted"),
        (errno.ENODEV, "disk or the connection"),
        (errno.ESTALE, "disk or the connection"),
        (errno.ETIMEDOUT, "disk or the connection"),
    ],
    ids=str,
)
@pytest.mark.parametrize("wrapped", [False, True], ids=["", "as the cause"])
def test_what_the_system_refuses_is_no_damage(number, said, wrapped):
    refused = OSError(number, os.strerror(number))
    with pytest.raises(InputError, match=said) as caught, told("a.tif", "a TIFF"):
        if wrapped:
            raise ValueError("the decoder failed") from refused
        raise refused
    assert not isinstance(caught.value, DamagedFileError)
    assert caught.value.subject == "a.tif"


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad"),
        OSError("image file is truncated"),
        OSError(errno.EINVAL, "Invalid argument"),
        EOFError(),
        KeyError(1),
    ],
    ids=repr,
)
def test_what_a_decoder_says_is_damage(error):
    with pytest.raises(DamagedFileError), told("a.tif", "a TIFF"):
        raise error


def test_too_little_memory_is_no_damage():
    with pytest.raises(InputError, match="memory") as caught, told("a.tif", "a TIFF"):
        raise MemoryError
    assert not isinstance(caught.value, DamagedFileError)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_a_disk_that_fails_while_frames_are_read_is_no_damage(tmp_path, monkeypatch, number):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 40, 50), np.uint16), photometric="minisblack")
    stack = open_stack(tmp_path / "a.tif")

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(FileBytes, "_read_some", fail)
    with pytest.raises(InputError, match="disk or the connection") as caught:
        stack.frame(1)
    assert not isinstance(caught.value, DamagedFileError)


def test_a_library_that_cannot_be_loaded_is_no_damage():
    problem = "cannot be loaded: No module named 'cv3'"
    with pytest.raises(InputError, match=problem) as caught, told("a.tif", "a TIFF"):
        import cv3  # noqa: F401
    assert not isinstance(caught.value, DamagedFileError)
