"""The TIFF that is written: which flavour, what it says, how large it may be."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from napari_xfusion.core.results.sink import open_sink
from napari_xfusion.core.results.spec import OutputSpec
from napari_xfusion.core.results.tiff_sink import lay_out

SPEC = OutputSpec((0, 1, 2), (6, 5), np.dtype("uint16"), "ab" * 32, 0.65, 0.1, (0.0, 20.0))
GiB = 2**30


def large(count, dtype="uint16"):
    """Frames of 2 MiB."""
    return replace(SPEC, frames=tuple(range(count)), shape=(1024, 1024), dtype=np.dtype(dtype))


def flavour(tif):
    return "imagej" if tif.is_imagej else "ome" if tif.is_ome else "plain"


@pytest.mark.parametrize(
    ("dtype", "ome", "expected"),
    [
        pytest.param("uint8", False, "imagej", id="uint8"),
        pytest.param("uint16", False, "imagej", id="uint16"),
        pytest.param("float32", False, "imagej", id="float32"),
        pytest.param("uint16", True, "ome", id="asked-for-ome"),
        pytest.param("int16", False, "ome", id="int16"),
        pytest.param("uint32", False, "ome", id="uint32"),
        pytest.param("float64", False, "ome", id="float64"),
        pytest.param("float16", False, "plain", id="float16"),
    ],
)
@pytest.mark.parametrize("count", [1, 3])
def test_each_sort_of_number_gets_a_flavour_that_knows_it(tmp_path, dtype, ome, expected, count):
    spec = replace(SPEC, dtype=np.dtype(dtype), frames=tuple(range(count)))
    offset = lay_out(tmp_path / "a.tif", spec, ome)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert flavour(tif) == expected
        assert not tif.is_bigtiff
        assert [page.shape for page in tif.pages] == [(6, 5)] * count
        assert {page.photometric for page in tif.pages} == {tifffile.PHOTOMETRIC.MINISBLACK}
        assert [page.dataoffsets for page in tif.pages] == [
            (offset + k * spec.frame_bytes,) for k in range(count)
        ]
        assert "0.0,20.0" in tif.pages[0].description


def test_imagej_reads_units_interval_and_hr_times(tmp_path):
    lay_out(tmp_path / "a.tif", SPEC, ome=False)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        metadata = tif.imagej_metadata
        assert (metadata["frames"], metadata["unit"], metadata["finterval"]) == (3, "um", 0.1)
        assert "hr_times=0.0,20.0" in tif.pages[0].description.splitlines()
        assert tif.pages[0].get_resolution()[0] == pytest.approx(1 / 0.65)
        assert tif.series[0].axes == "TYX"


def test_ome_reads_units_interval_and_hr_times(tmp_path):
    lay_out(tmp_path / "a.tif", SPEC, ome=True)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        image = tifffile.xml2dict(tif.ome_metadata)["OME"]["Image"]
        pixels = image["Pixels"]
        assert image["Description"] == "hr_times=0.0,20.0"
        assert (pixels["PhysicalSizeX"], pixels["PhysicalSizeY"], pixels["TimeIncrement"]) == (
            0.65,
            0.65,
            0.1,
        )
        assert tif.pages[0].get_resolution("MICROMETER")[0] == pytest.approx(1 / 0.65)
        assert tif.series[0].axes == "TYX"


def test_what_is_not_known_is_not_claimed(tmp_path):
    for ome in (False, True):
        lay_out(tmp_path / "a.tif", replace(SPEC, pixel_size=None, frame_interval=None), ome)
        with tifffile.TiffFile(tmp_path / "a.tif") as tif:
            text = tif.pages[0].description
            assert all(word not in text for word in ("unit=", "finterval", "PhysicalSize", "TimeIncrement"))


@pytest.mark.parametrize("ome", [False, True])
def test_equal_specs_give_equal_bytes(tmp_path, ome):
    for name in ("a", "b"):
        lay_out(tmp_path / name, SPEC, ome)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("count", "ome", "big"),
    [
        pytest.param(2047, False, False, id="4GB-1frame"),
        pytest.param(2048, False, True, id="4GB"),
        pytest.param(2049, False, True, id="4GB+1frame"),
        pytest.param(2047, True, False, id="ome-4GB-1frame"),
        pytest.param(2049, True, True, id="ome-4GB+1frame"),
    ],
)
def test_bigtiff_is_chosen_at_four_gigabytes(tmp_path, count, ome, big):
    """The headers only: the pixels are a hole in the file."""
    spec = large(count)
    offset = lay_out(tmp_path / "a.tif", spec, ome)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.is_bigtiff == big
        assert flavour(tif) == ("ome" if big or ome else "imagej")
        assert tif.series[0].shape == (count, 1024, 1024)
        assert tif.pages[count - 1].dataoffsets == (offset + (count - 1) * spec.frame_bytes,)
    assert (tmp_path / "a.tif").stat().st_size > spec.nbytes
    if os.name == "posix":
        assert 512 * (tmp_path / "a.tif").stat().st_blocks < 8e6


def test_many_tiny_frames_count_their_tags(tmp_path):
    """Tags outgrow pixels here; a classic file would not reach its last page beyond 4 GB."""
    spec = replace(SPEC, frames=tuple(range(2000)), shape=(1, 1))
    lay_out(tmp_path / "a.tif", spec, ome=False)
    tags = (tmp_path / "a.tif").stat().st_size - spec.nbytes
    assert tags < 512 * 2000 + 2**20


def test_systems_without_pwrite_and_reservation_give_the_same_bytes(tmp_path, monkeypatch):
    def write(name):
        with open_sink(tmp_path / name) as sink:
            sink.begin(SPEC)
            for t in (2, 0, 1):
                sink.put(t, np.full((6, 5), t, np.float32))
            sink.commit({})
        return (tmp_path / name).read_bytes()

    expected = write("a.tif")
    monkeypatch.delattr(os, "pwrite", raising=False)
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    assert write("b.tif") == expected


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system cannot reserve disk space")
def test_the_disk_is_reserved_before_the_first_frame(tmp_path):
    with open_sink(tmp_path / "a.tif") as sink:
        sink.begin(large(4))
        assert 512 * (tmp_path / "a.tif.partial").stat().st_blocks >= large(4).nbytes


@pytest.mark.soak
def test_a_run_of_five_gigabytes_resumes_beyond_four(tmp_path, monkeypatch):
    """Sparse: only frames on both sides of 4 GB are written."""
    spec = large(2500)
    if shutil.disk_usage(tmp_path).free < 6 * GiB:
        pytest.skip("needs 6 GB of free disk")
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    images = {t: np.full(spec.shape, t, np.float32) for t in (0, 2046, 2047, 2048, 2499)}
    with open_sink(tmp_path / "a.tif") as sink:
        sink.begin(spec)
        for t, image in images.items():
            sink.put(t, image)
    with open_sink(tmp_path / "a.tif") as sink:
        assert sink.begin(spec).keys() == images.keys()
    with tifffile.TiffFile(tmp_path / "a.tif.partial") as tif:
        assert tif.series[0].shape == (2500, 1024, 1024)
        for t in images:
            assert np.all(tif.pages[t].asarray() == t)
