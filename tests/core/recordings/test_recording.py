"""A recording is a value: it can be pickled, and opens the same frames in another process."""

import os
import pickle
from concurrent.futures import ProcessPoolExecutor
from dataclasses import FrozenInstanceError, replace
from multiprocessing import get_context
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr

from napari_xfusion.core.recordings import Recording, as_stack, find_recording, open_stack
from napari_xfusion.core.recordings.readers import READERS, Options
from napari_xfusion.errors import InputError
from tests.cameras import write_b16, write_cine, write_hpvx, write_mraw
from tests.sequences import moving_discs

FRAMES = (moving_discs(3) * 200).astype(np.uint8)


def write(kind: str, folder: Path) -> Path:
    """A recording of FRAMES, of a kind that some reader reads."""
    path = folder / kind
    if kind == "zarr":
        zarr.create_array(str(path), data=FRAMES, chunks=(1, *FRAMES.shape[1:]))
    elif kind == "folder":
        path.mkdir()
        for i, frame in enumerate(FRAMES):
            colours = np.stack([frame, frame // 2, 255 - frame], axis=-1)
            (path / f"f_{i}.png").write_bytes(imagecodecs.png_encode(colours))
    elif kind == "movie":
        av = pytest.importorskip("av", reason="PyAV (extra movie) is not installed")
        with av.open(str(path), "w", format="matroska") as container:
            stream = container.add_stream("ffv1", rate=25)
            stream.height, stream.width, stream.pix_fmt = *FRAMES.shape[1:], "gray"
            for frame in FRAMES:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
            container.mux(stream.encode(None))
    elif kind == "cine":
        write_cine(path, FRAMES, "8")
    elif kind == "b16":
        write_b16(path, FRAMES[0])
    elif kind == "hpvx":
        path = write_hpvx(folder / "hpvx.dat", np.resize(FRAMES, (3, 250, 400)))
    elif kind == "raw":
        path = folder / "raw.raw"
        path.write_bytes(FRAMES.tobytes())
        T, H, W = FRAMES.shape
        path.with_suffix(".toml").write_text(f'frames = {T}\nheight = {H}\nwidth = {W}\ndtype = "uint8"')
    elif kind == "mraw":
        path = write_mraw(folder / "S1.mraw", FRAMES, 8)
    elif kind == "hdf5":
        h5py = pytest.importorskip("h5py", reason="h5py (extra hdf5) is not installed")
        with h5py.File(path, "w") as file:
            file["data"] = FRAMES
    else:
        tifffile.imwrite(path, FRAMES, photometric="minisblack")
    return path


def content(recording: Recording) -> tuple[str, np.ndarray]:
    """What another process reads: the digest and all frames."""
    stack = recording.open()
    return stack.digest(), np.stack([stack.frame(i) for i in range(len(stack))])


@pytest.mark.parametrize("kind", READERS)
def test_a_recording_opens_the_same_frames(kind, tmp_path, monkeypatch):
    path = write(kind, tmp_path)
    monkeypatch.chdir(tmp_path)
    stack = open_stack(path.name, luma=True)
    assert stack.source == path.name
    assert stack.recording == Recording(path, kind, Options(luma=True))
    assert find_recording(path.name, luma=True) == stack.recording
    monkeypatch.chdir("/")
    sent = pickle.loads(pickle.dumps(stack.recording))  # noqa: S301 - its own bytes
    again = sent.open()
    assert sent == stack.recording == again.recording
    plain = [replace(x.metadata, warnings=()) for x in (again, stack)]  # a warning names the path as given
    assert (again.shape, again.dtype, plain[0]) == (stack.shape, stack.dtype, plain[1])
    assert [x.code for x in again.metadata.warnings] == [x.code for x in stack.metadata.warnings]
    digest, frames = content(sent)
    assert digest == again.digest()
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(frames, [stack.frame(i) for i in range(len(stack))])


def test_a_recording_opens_in_a_spawned_process_in_another_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stacks = [open_stack(write(kind, tmp_path).name, luma=True) for kind in ("tiff", "zarr", "folder")]
    with ProcessPoolExecutor(1, get_context("spawn"), os.chdir, (os.sep,)) as pool:
        results = list(pool.map(content, [stack.recording for stack in stacks]))
    for stack, (digest, frames) in zip(stacks, results, strict=True):
        assert digest == stack.digest()
        np.testing.assert_array_equal(frames, [stack.frame(i) for i in range(len(stack))])


def test_arrays_and_derived_stacks_have_no_recording(tmp_path):
    stack = open_stack(write("tiff", tmp_path))
    assert as_stack(stack).recording is stack.recording
    assert as_stack(FRAMES).recording is None
    assert stack.derive(stack.read, stack.shape, stack.dtype).recording is None


def test_a_recording_is_frozen(tmp_path):
    with pytest.raises(FrozenInstanceError):
        Recording(tmp_path, "tiff").reader = "zarr"


def test_a_recording_that_cannot_be_opened_names_the_reason(tmp_path):
    with pytest.raises(InputError, match="there is no such file"):
        Recording(tmp_path / "absent.tif", "tiff").open()
    with pytest.raises(InputError, match="found svf"):
        Recording(tmp_path, "svf").open()
