"""What tags and descriptions of a TIFF mean: axes of pages, palettes, orientation, calibration; and in results."""

import json
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr

from napari_xfusion.core.recordings import open_stack
from napari_xfusion.core.results import open_sink
from napari_xfusion.core.results.spec import OutputSpec
from napari_xfusion.core.results.tiff_sink import lay_out
from napari_xfusion.errors import InputError

T, H, W = 6, 40, 50
SEQUENCE = np.random.default_rng(4).integers(0, 200, (T, H, W)).astype("u2")
RAMP = np.tile(np.arange(256, dtype="u2") * 257, (3, 1))


def codes(path: Path) -> list[str]:
    return [x.code for x in open_stack(path).metadata.warnings]


def planes(path: Path, axes: list[dict], *, old: bool = False) -> Path:
    with tifffile.TiffWriter(path) as file:
        for k, said in enumerate(axes):
            text = json.dumps(said if old else {"Axes": said})
            file.write(
                SEQUENCE[k % T] + 1000 * (k // T),
                photometric="minisblack",
                metadata=None,
                contiguous=False,
                extratags=[(51123, "s", 0, text, False)],
            )
    return path


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ([{"channel": c, "time": t} for t in range(3) for c in "AB"], "channel = 2, time = 3"),
        ([{"z": z, "time": t} for t in range(3) for z in range(2)], "z = 2, time = 3"),
        (
            [{"position": p, "channel": c, "z": z} for p in range(2) for c in "AB" for z in range(3)],
            "position = 2, channel = 2, z = 3",
        ),
        ([{"time": 0}, {"time": 1}, {"time": 1}], "time 1 on two pages"),
    ],
    ids=["channels", "slices", "three-axes", "a-frame-twice"],
)
def test_axes_of_pages_are_refused_by_name_and_size(tmp_path: Path, axes, message) -> None:
    with pytest.raises(InputError, match=message):
        open_stack(planes(tmp_path / "NDTiffStack.tif", axes))


def test_axes_of_pages_of_micro_manager_without_ndtiff(tmp_path: Path) -> None:
    axes = [{"FrameIndex": t, "ChannelIndex": c, "SliceIndex": 0} for t in range(3) for c in range(2)]
    with pytest.raises(InputError, match="time = 3, channel = 2"):
        open_stack(planes(tmp_path / "a.tif", axes, old=True))


@pytest.mark.parametrize(
    ("axes", "order", "code"),
    [
        ([{"channel": "A", "time": t} for t in range(4)], [0, 1, 2, 3], []),
        ([{"time": t} for t in (2, 0, 1)], [1, 2, 0], []),
        ([{"time": t} for t in (0, 1, 4, 5)], [0, 1, 2, 3], ["uneven-numbers"]),
        ([{"channel": c} for c in "BA"], [0, 1], []),
        ([{}, {}], [0, 1], []),
    ],
    ids=["one-channel", "out-of-order", "absent", "names", "nothing"],
)
def test_one_axis_of_pages_is_the_order(tmp_path: Path, axes, order, code) -> None:
    path = planes(tmp_path / "a.tif", axes)
    stack = open_stack(path)
    np.testing.assert_array_equal([stack.frame(i) for i in range(len(stack))], SEQUENCE[order])
    assert codes(path) == code


@pytest.mark.parametrize("axes", ["YXT", "TXY", "XYT"])
def test_axes_of_tifffile_in_another_order_are_refused(tmp_path: Path, axes: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", SEQUENCE, photometric="minisblack", metadata={"axes": axes})
    with pytest.raises(InputError, match=f"{axes[0]} = 6, {axes[1]} = 40, {axes[2]} = 50"):
        open_stack(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("table", "code"),
    [
        (RAMP, []),
        (RAMP // 257, []),
        (RAMP // 257 * 256, []),
        (RAMP[:, ::-1], ["min-is-white"]),
        ((RAMP / 65535.0) ** 2 * 65535, ["palette"]),
    ],
    ids=["16-bit", "8-bit", "times-256", "falls", "bent"],
)
def test_palettes_of_greys_are_grey(tmp_path: Path, table, code) -> None:
    data = SEQUENCE.astype("u1")
    options = {"photometric": "palette", "colormap": np.asarray(table, "u2"), "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", data, **options)
    stack = open_stack(tmp_path / "a.tif")
    np.testing.assert_array_equal([stack.frame(i) for i in range(T)], data)
    assert codes(tmp_path / "a.tif") == code


@pytest.mark.parametrize(
    "table",
    [RAMP * np.array([[1], [1], [0]], "u2"), RAMP[:, np.r_[128:256, 0:128]], RAMP * 0],
    ids=["colours", "jumps", "black"],
)
def test_other_palettes_are_refused(tmp_path: Path, table) -> None:
    options = {"photometric": "palette", "colormap": table, "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", SEQUENCE.astype("u1"), **options)
    with pytest.raises(InputError, match="palette"):
        open_stack(tmp_path / "a.tif")


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_png_palettes_of_greys_are_grey(tmp_path: Path, bits: int) -> None:
    pil = pytest.importorskip("PIL.Image")
    values = (SEQUENCE[0] % 2**bits).astype("u1")
    image = pil.fromarray(values, "P") if bits == 8 else pil.fromarray(values).convert("P")
    image.putpalette(bytes(np.repeat(np.arange(2**bits, dtype="u1"), 3)))
    image.save(tmp_path / "f_0.png", bits=bits)
    np.testing.assert_array_equal(open_stack(tmp_path).frame(0), values)
    image.putpalette(bytes(range(3 * 2**bits % 256 or 256)))
    image.save(tmp_path / "f_0.png", bits=bits)
    with pytest.raises(InputError, match="grey PNG"):
        open_stack(tmp_path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_reported(tmp_path: Path, orientation: int) -> None:
    extra = [(274, "H", 1, orientation, False)]
    tifffile.imwrite(tmp_path / "a.tif", SEQUENCE, photometric="minisblack", metadata=None, extratags=extra)
    stack = open_stack(tmp_path / "a.tif")
    np.testing.assert_array_equal([stack.frame(i) for i in range(T)], SEQUENCE)
    assert codes(tmp_path / "a.tif") == ["orientation"] * (orientation > 1)
    assert stack.metadata.viewer == ((("orientation", str(orientation)),) if orientation > 1 else ())


def test_pages_may_differ_in_how_they_are_stored(tmp_path: Path) -> None:
    ways = [{}, {"compression": "zlib"}, {"rowsperstrip": 3}, {"tile": (16, 16)}, {"compression": "lzw"}, {}]
    ways[4]["predictor"] = True
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for frame, way in zip(SEQUENCE, ways, strict=True):
            file.write(frame, photometric="minisblack", metadata=None, contiguous=False, **way)
    stack = open_stack(tmp_path / "a.tif")
    np.testing.assert_array_equal([stack.frame(i) for i in range(T)], SEQUENCE)


@pytest.mark.parametrize(
    ("lines", "size"),
    [
        ("unit=um\nyunit=um", 0.5),
        ("unit=um\nyunit=micron", 0.5),
        ("unit=um\nyunit=mm", None),
        ("unit=um\nyunit=pixel", None),
        ("unit=um", 0.5),
    ],
)
def test_both_units_of_imagej_count(tmp_path: Path, lines: str, size: float | None) -> None:
    text = f"ImageJ=1.53t\nimages={T}\nframes={T}\n{lines}\n"
    options = {"photometric": "minisblack", "metadata": None, "description": text, "resolution": (2.0, 2.0)}
    tifffile.imwrite(tmp_path / "a.tif", SEQUENCE, **options)
    assert open_stack(tmp_path / "a.tif").pixel_size == size


CALIBRATION = (("cf", "0"), ("c0", "-32768.0"), ("c1", "1.0"), ("vunit", "Gray Value"))


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ("cf=0\nc0=-32768.0\nc1=1.0\nvunit=Gray Value", ["calibration"]),
        ("c0=0.0\nc1=0.5\nvunit=mm", ["calibration"]),
        ("c0=0.0\nc1=1.0\nvunit=Gray Value", []),
        ("c0=5", []),
        ("vunit=Gray Value", []),
    ],
    ids=["signed", "scaled", "same", "half", "unit-alone"],
)
def test_imagej_calibration_is_reported(tmp_path: Path, lines: str, code: list[str]) -> None:
    text = f"ImageJ=1.53t\nimages={T}\nframes={T}\n{lines}\n"
    options = {"photometric": "minisblack", "metadata": None, "description": text}
    tifffile.imwrite(tmp_path / "a.tif", SEQUENCE, **options)
    assert codes(tmp_path / "a.tif") == code
    viewer = open_stack(tmp_path / "a.tif").metadata.viewer
    assert [f"{k}={v}" for k, v in viewer] == (lines.split("\n") if code else [])


VIEWER = (*CALIBRATION, ("orientation", "4"), ("photometric", "miniswhite"))


@pytest.mark.parametrize("ome", [False, True])
@pytest.mark.parametrize("dtype", ["u2", "f4", "f8"])
def test_results_are_shown_as_the_hr_recording_is(tmp_path: Path, dtype: str, ome: bool) -> None:
    spec = OutputSpec(tuple(range(T)), (H, W), np.dtype(dtype), "ab" * 32, None, None, (0.0, 5.0), VIEWER)
    lay_out(tmp_path / "a.tif", spec, ome)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert {(int(x.tags[274].value), int(x.photometric)) for x in file.pages} == {(4, 0)}
        assert file.is_imagej == (dtype != "f8" and not ome)
    stack = open_stack(tmp_path / "a.tif")
    floats = dtype == "f4" and not ome  # of which ImageJ knows no calibration
    assert stack.metadata.viewer == (VIEWER[len(CALIBRATION) :] if floats else VIEWER)
    assert codes(tmp_path / "a.tif") == ["calibration"] * (not floats) + ["orientation", "min-is-white"]
    assert stack.metadata.hr_times == (0, 5)


def test_zarr_results_know_how_the_hr_recording_is_shown(tmp_path: Path) -> None:
    spec = OutputSpec((0,), (H, W), np.dtype("u2"), "ab" * 32, None, None, (), VIEWER)
    with open_sink(tmp_path / "a.zarr") as sink:
        sink.begin(spec)
        sink.put(0, SEQUENCE[0].astype("f4"))
        sink.commit({})
    assert open_stack(tmp_path / "a.zarr").metadata.viewer == VIEWER
    assert codes(tmp_path / "a.zarr") == ["calibration", "orientation", "min-is-white"]


@pytest.mark.parametrize(
    "said",
    [[], {"orientation": 1}, {"orientation": []}, {"orientation": "9"}, {"photometric": 7, "c0": None}, "x"],
)
def test_nonsense_about_viewers_is_ignored(tmp_path: Path, said: object) -> None:
    array = zarr.create_array(tmp_path / "a.zarr", shape=(T, H, W), chunks=(1, H, W), dtype="u2")
    array[:] = SEQUENCE
    array.attrs["napari_xfusion"] = {"viewer": said}
    assert open_stack(tmp_path / "a.zarr").metadata.viewer == ()
    array.attrs["napari_xfusion"] = said
    assert not codes(tmp_path / "a.zarr")


def test_single_frames_of_ome_in_a_folder(tmp_path: Path) -> None:
    head = '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:0">'
    data = "".join(
        f'<TiffData FirstT="{k}" IFD="0" PlaneCount="1"><UUID FileName="T{k}.ome.tif">urn:uuid:{k}</UUID></TiffData>'
        for k in range(8)
    )
    pixels = (
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="{W}" SizeY="{H}" '
        f'SizeZ="1" SizeC="1" SizeT="8" PhysicalSizeX="2" PhysicalSizeY="2">{data}</Pixels></Image></OME>'
    )
    others = '<BinaryOnly MetadataFile="T0.ome.tif" UUID="urn:uuid:0"/></OME>'
    for k in range(T):
        text = (head + (pixels if k == 0 else others)).encode()
        path = tmp_path / f"T{k}.ome.tif"
        tifffile.imwrite(path, SEQUENCE[k], photometric="minisblack", metadata=None, description=text)
    stack = open_stack(tmp_path)
    np.testing.assert_array_equal([stack.frame(i) for i in range(T)], SEQUENCE)
    assert stack.pixel_size == 2
    (warning,) = stack.metadata.warnings
    assert warning.code == "planned-frames"
    assert "6 of 8" in warning.text
    for name in ("T0.ome.tif", "T3.ome.tif"):
        with pytest.raises(InputError, match="folder"):
            open_stack(tmp_path / name)


def test_single_frames_that_describe_the_imagej_stack_they_were_saved_from(tmp_path: Path) -> None:
    for k in range(T):
        text = f"ImageJ=1.53t\nimages={T}\nframes={T}\n"
        path = tmp_path / f"f{k}.tif"
        tifffile.imwrite(path, SEQUENCE[k], photometric="minisblack", metadata=None, description=text)
    stack = open_stack(tmp_path)
    np.testing.assert_array_equal([stack.frame(i) for i in range(T)], SEQUENCE)
    assert not stack.metadata.warnings


FOREIGN = {
    "git-lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "git-annex": (b"/annex/objects/SHA256E-s1--0.tif\n", "git annex get"),
    "cine": (b"CI,\0\0\0\1\0", "Phantom cine"),
    "b16": (b"PCO-\0\xef\x0a\0", "PCO b16"),
    "seq": (b"\xed\xfe\0\0N\0o\0r\0p\0i\0x\0", "StreamPix"),
    "HDF5": (b"\x89HDF\r\n\x1a\n", "HDF5"),
    "NetCDF": (b"CDF\x01", "NetCDF"),
    "JPEG": (b"\xff\xd8\xff\xe0", "JPEG"),
    "BMP": (b"BM6\0\0\0", "BMP"),
    "PGM": (b"P5\n3 3\n255\n", "PGM"),
    "FITS": (b"SIMPLE  =                    T", "FITS"),
    "SER": (b"LUCAM-RECORDER\0", "SER"),
    "web page": (b"<!DOCTYPE html>\n<html>", "web page"),
    "WebP": (b"RIFF\0\0\0\0WEBPVP8 ", "WebP"),
    "HEIC": (b"\0\0\0\x18ftypheic", "HEIC"),
    "MATLAB 7.3": (b"MATLAB 7.3 MAT-file, Platform: GLNXA64", "MATLAB"),
    "Windows shortcut": (b"L\0\0\0\1\x14\2\0\0\0", "shortcut"),
    "web shortcut": (b"[InternetShortcut]\r\nURL=file:///a.tif", "shortcut"),
    "gzip": (b"\x1f\x8b\x08\0", "gzip"),
    "empty": (b"", "empty file"),
}


@pytest.mark.parametrize(("content", "message"), FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("ending", [".tif", ".png"])
def test_other_formats_are_named_alone_and_in_folders(
    tmp_path: Path, content: bytes, message: str, ending: str
) -> None:
    path = tmp_path / f"f_0{ending}"
    path.write_bytes(content)
    for place in (path, tmp_path):
        with pytest.raises(InputError, match=message):
            open_stack(place)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["f0.bmp", "f1.bmp", "f2.bmp"], "3 .bmp files"),
        (["f0.jpg", "notes.txt", "log.txt"], "JPEG"),
        (["r.mraw", "r.cihx"], "Photron"),
        (["r.cih", "r.txt"], "Photron"),
        (["r.raw"], "File > Import > Raw"),
        (["r.xyz"], "1 .xyz file"),
        (["scan/f_0.tif"], "such as scan in it"),
        ([], "no TIFF or PNG frame"),
    ],
)
def test_folders_of_other_formats_are_named(tmp_path: Path, names: list[str], message: str) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\7\7\7\7")
    with pytest.raises(InputError, match=message):
        open_stack(tmp_path)


def test_frames_are_read_by_their_content_whatever_they_are_called(tmp_path: Path) -> None:
    for k in range(3):
        (tmp_path / f"f_{k}.tif").write_bytes(imagecodecs.png_encode(SEQUENCE[k]))
    stack = open_stack(tmp_path)
    np.testing.assert_array_equal([stack.frame(i) for i in range(3)], SEQUENCE[:3])
