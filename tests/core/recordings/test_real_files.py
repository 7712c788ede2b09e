"""TIFF files of other programs are read as tifffile reads them, bit by bit, in this version as in earlier ones."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_xfusion.core.recordings import open_stack
from napari_xfusion.lab.demo import sample_sequence

FILES = Path(__file__).parent / "files"
SHA256 = {
    "10ct_32bit_128.tiff": "8bbd0caa312709d083265574805a2e3b91c341b13911cd944a1d37395ecec60b",
    "12bit.cropped.tif": "9c0d53fa4dc71579ba59c7da397781d05b7b6a3cda94b96c57b29682370d816b",
    "12in16bit.tif": "9c0d53fa4dc71579ba59c7da397781d05b7b6a3cda94b96c57b29682370d816b",
    "16_bit_binary_pgm.tiff": "b8e8d679e9571f229089dafca5e79d0efe8ae1293df1fbf8da0c118ae07fcaa1",
    "16_bit_noise.tif": "1365161a81ec4bd7c19776941cc52a5de81daaccb662c088805118fb2619c55f",
    "16bit.MM.cropped.tif": "1978b446c13528e7e793a5a2b366232fcf3e5df29c0f286f8f964bad2fbc7dbf",
    "16bit.MM.deflate.tif": "1978b446c13528e7e793a5a2b366232fcf3e5df29c0f286f8f964bad2fbc7dbf",
    "16bit.cropped.tif": "1978b446c13528e7e793a5a2b366232fcf3e5df29c0f286f8f964bad2fbc7dbf",
    "16bit.deflate.tif": "1978b446c13528e7e793a5a2b366232fcf3e5df29c0f286f8f964bad2fbc7dbf",
    "16bit.r.tif": "1978b446c13528e7e793a5a2b366232fcf3e5df29c0f286f8f964bad2fbc7dbf",
    "16bit.s.tif": "42feed47cf787b43fb0bcad6348dea212e6c22aa8006533b1a47edcc17b090f4",
    "8bit.s.tif": "54596cc6728d697bb1c14f5b06a8e260c43a8d5417d77a86a9310610b89fdff6",
    "hopper2.tif": "d93173e8bf073ce59533552b7adacc33d487da161f5565e9584b27f4f2945db6",
    "hopper2I.tif": "a848e75156f785d6247d65f776ae1a7378e98a13ce4c6aa18fb52fe842368130",
    "hopper2R.tif": "d93173e8bf073ce59533552b7adacc33d487da161f5565e9584b27f4f2945db6",
    "hopper4.tif": "b9fd86d9e81f27d343edcb58f861562b92cb88c2dc87ce4ec8616f38e2450952",
    "hopper4IR.tif": "18ae7547928a812286fac8225b0657a1ad8cd5907dc330eb25f2823459d9727a",
    "imagedraw_rectangle_I.tiff": "28746c19ca8e5a7d49537cf1fc7bd0a1b272068526f3f8cb85b8bacb23f29485",
    "uint16_1_4660.tif": "3298ea434162be5d92988e8b95f49e3fd143acd69bfd5d72b9c5ebbfe64bcb74",
    "sample lr": "2f04dd32c71b6fa305b167cbe6309b483fc72bb7c5363ea815b98e346de3d4e7",
    "sample hr": "9aaceaf053cb0d091fc8ae00215ccc879639483a8c34429986a699bdc86e148c",
}
"""Of dtype, shape and values (little-endian) of all frames, as tifffile 2026.3.3 reads them."""
WHITE = {"hopper2I.tif", "hopper4IR.tif", "10ct_32bit_128.tiff"}
"""Files whose smallest value is white."""


def place(name: str) -> Path:
    return sample_sequence(name.removeprefix("sample ")) if name.startswith("sample") else FILES / name


def checksum(frames: np.ndarray) -> str:
    frames = np.asarray(frames, frames.dtype.newbyteorder("<"))
    said = f"{frames.dtype.name} {frames.shape}".encode()
    return hashlib.sha256(said + frames.tobytes()).hexdigest()


def by_tifffile(path: Path) -> np.ndarray:
    with tifffile.TiffFile(path) as file:
        return np.stack([page.asarray() for page in file.pages])


@pytest.mark.parametrize(("name", "expected"), SHA256.items(), ids=SHA256)
def test_frames_are_those_of_tifffile(name: str, expected: str) -> None:
    stack = open_stack(place(name))
    frames = np.stack([stack.frame(i) for i in range(len(stack))])
    assert checksum(frames) == expected == checksum(by_tifffile(place(name)))
    assert [x.code for x in stack.metadata.warnings] == ["min-is-white"] * (name in WHITE)


def test_every_file_is_in_the_table() -> None:
    names = {x.name for x in FILES.iterdir() if x.suffix in (".tif", ".tiff")}
    assert names == {x for x in SHA256 if not x.startswith("sample")}
