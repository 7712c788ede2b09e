"""TIFF sequences through open_stack, checked against tifffile and against what was written."""

import gc
import hashlib
import json
import os
import struct
import threading
import tracemalloc
from pathlib import Path

import imagecodecs
import numpy as np
import psutil
import pytest
import tifffile
from PIL import Image

from napari_xfusion.core.clock import Clock
from napari_xfusion.core.recordings import open_stack
from napari_xfusion.errors import InputError

T, H, W = 6, 20, 31


def sequence(dtype: str = "u2", shape: tuple[int, ...] = (T, H, W)) -> np.ndarray:
    values = np.random.default_rng(7).integers(0, 120, shape)
    return (values - (30 if np.dtype(dtype).kind != "u" else 0)).astype(dtype)


def write(path: Path, data: np.ndarray, **options: object) -> Path:
    options.setdefault("photometric", "minisblack")
    if not options.get("imagej"):
        options.setdefault("metadata", {"axes": "TYX"})
    tifffile.imwrite(path, data, **options)
    return path


def one_directory(path: Path) -> None:
    """End the chain of a classic little-endian TIFF after its first directory, as ImageJ does beyond 4 GB."""
    data = bytearray(path.read_bytes())
    (first,) = struct.unpack("<I", data[4:8])
    (tags,) = struct.unpack("<H", data[first : first + 2])
    data[first + 2 + 12 * tags : first + 6 + 12 * tags] = bytes(4)
    path.write_bytes(data)


IMAGEJ = {"imagej": True, "metadata": {"axes": "TYX"}}
FORMATS = [
    pytest.param({}, id="tifffile"),
    pytest.param({"metadata": None}, id="plain"),
    pytest.param({"rowsperstrip": 7}, id="strips"),
    pytest.param({"truncate": True}, id="one-directory"),
    pytest.param({"bigtiff": True}, id="bigtiff"),
    pytest.param({"byteorder": ">"}, id="big-endian"),
    pytest.param({"byteorder": ">", "bigtiff": True}, id="big-endian-bigtiff"),
    pytest.param(IMAGEJ, id="imagej"),
    pytest.param({**IMAGEJ, "truncate": True}, id="imagej-one-directory"),
    pytest.param({**IMAGEJ, "compression": "lzw"}, id="imagej-lzw"),
    pytest.param({"imagej": True, "metadata": {"axes": "ZYX"}}, id="imagej-time-as-slices"),
    pytest.param({"imagej": True, "metadata": {"axes": "CYX"}}, id="imagej-time-as-channels"),
    pytest.param({"ome": True}, id="ome"),
    pytest.param({"ome": True, "bigtiff": True, "compression": "zlib"}, id="ome-bigtiff-deflate"),
    pytest.param({"ome": True, "metadata": {"axes": "ZYX"}}, id="ome-time-as-slices"),
    pytest.param({"compression": "lzw", "predictor": True}, id="lzw-predictor"),
    pytest.param(
        {"compression": "zlib", "predictor": True, "byteorder": ">"}, id="deflate-predictor-big-endian"
    ),
    pytest.param({"compression": "zlib", "rowsperstrip": 6}, id="deflate-strips"),
    pytest.param({"compression": "zstd"}, id="zstd"),
    pytest.param({"compression": "packbits"}, id="packbits"),
    pytest.param({"tile": (16, 16)}, id="tiles"),
    pytest.param({"tile": (16, 32), "compression": "zstd", "predictor": True}, id="tiles-zstd-predictor"),
    pytest.param({"photometric": "miniswhite"}, id="min-is-white"),
]


@pytest.mark.parametrize("options", FORMATS)
def test_each_format_gives_the_frames_that_were_written(tmp_path: Path, options: dict) -> None:
    data = sequence()
    stack = open_stack(write(tmp_path / "sequence.tif", data, **options))
    assert (stack.shape, stack.dtype) == (data.shape, data.dtype)
    assert stack.dtype.isnative
    for i, frame in enumerate(data):
        np.testing.assert_array_equal(stack.frame(i), frame)
        assert stack.frame(i).dtype.isnative


CODECS = [
    pytest.param("u1", {"compression": "jpeg"}, id="jpeg"),
    pytest.param("u1", {"compression": "jpeg", "rowsperstrip": 8}, id="jpeg-strips"),
    pytest.param("u1", {"compression": "jpeg", "tile": (16, 16)}, id="jpeg-tiles"),
    pytest.param("u1", {"compression": "jpegxl"}, id="jpeg-xl"),
    pytest.param("u2", {"compression": "jpegxl", "rowsperstrip": 7}, id="jpeg-xl-strips"),
    pytest.param("f4", {"compression": "jpegxl", "tile": (16, 16)}, id="jpeg-xl-tiles"),
    pytest.param("u1", {"compression": "jpegxr"}, id="jpeg-xr"),
    pytest.param("f4", {"compression": "jpegxr", "tile": (16, 16)}, id="jpeg-xr-tiles"),
    pytest.param("u1", {"compression": "png"}, id="png"),
    pytest.param("u2", {"compression": "png", "rowsperstrip": 7}, id="png-strips"),
    pytest.param("u2", {"compression": "lzma", "byteorder": ">"}, id="lzma"),
    pytest.param("f4", {"compression": "lzma", "predictor": True, "tile": (16, 16)}, id="lzma-tiles"),
    pytest.param("i2", {"compression": "lerc"}, id="lerc"),
    pytest.param("f4", {"compression": "lerc", "rowsperstrip": 7}, id="lerc-strips"),
]


@pytest.mark.parametrize(("dtype", "options"), CODECS)
def test_each_codec_gives_the_pixels_that_tifffile_reads(tmp_path: Path, dtype: str, options: dict) -> None:
    path = write(tmp_path / "sequence.tif", sequence(dtype), **options)
    stack = open_stack(path)
    assert (stack.shape, stack.dtype) == ((T, H, W), np.dtype(dtype))
    np.testing.assert_array_equal([stack.frame(i) for i in range(T)], tifffile.imread(path))


def test_jpeg_with_tables_beside_the_strips(tmp_path: Path) -> None:
    """As libtiff writes it: Huffman and quantization tables once per page."""
    first, *others = (Image.fromarray(frame) for frame in sequence("u1"))
    first.save(tmp_path / "sequence.tif", compression="jpeg", save_all=True, append_images=others)
    with tifffile.TiffFile(tmp_path / "sequence.tif") as tif:
        assert all(page.tags[347].count > 100 for page in tif.pages)
    stack = open_stack(tmp_path / "sequence.tif")
    np.testing.assert_array_equal(
        [stack.frame(i) for i in range(T)], tifffile.imread(tmp_path / "sequence.tif", key=range(T))
    )


@pytest.mark.parametrize("codec", ["jpeg", "jpegxl", "jpegxr", "png", "lerc"])
def test_a_stream_of_another_size_is_refused_before_it_is_decoded(tmp_path: Path, codec: str) -> None:
    huge = getattr(imagecodecs, f"{codec}_encode")(np.zeros((2000, 2000), "u1"))
    path = tmp_path / "sequence.tif"
    tifffile.imwrite(path, iter([huge]), shape=(H, W), dtype="u1", compression=codec, rowsperstrip=H)
    stack = open_stack(path)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"sequence\.tif frame 0"):
            stack.frame(0)
        assert tracemalloc.get_traced_memory()[1] < 2 * len(huge) + 1_000_000
    finally:
        tracemalloc.stop()


def test_the_oldest_writers_leave_out_the_byte_count(tmp_path: Path) -> None:
    for data in (sequence("u2", (H, W)), sequence("u1", (H, W))):
        path = write(tmp_path / "sequence.tif", data, metadata=None)
        with tifffile.TiffFile(path) as tif:
            place = tif.pages[0].tags[279].offset
        content = bytearray(path.read_bytes())
        content[place : place + 2] = struct.pack("<H", 65000)
        path.write_bytes(content)
        np.testing.assert_array_equal(open_stack(path).frame(0), data)


def test_a_last_strip_may_be_padded_to_a_full_one(tmp_path: Path) -> None:
    data = sequence("u2", (H, W))
    strips = [np.resize(data[top : top + 6], (6, W)) for top in range(0, H, 6)]
    for compression, encode in (("deflate", imagecodecs.zlib_encode), ("png", imagecodecs.png_encode)):
        segments = (encode(strip) for strip in strips)
        path = tmp_path / f"{compression}.tif"
        tifffile.imwrite(path, segments, shape=(H, W), dtype="u2", compression=compression, rowsperstrip=6)
        np.testing.assert_array_equal(open_stack(path).frame(0), data)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib", "predictor": True}], ids=["plain", "predictor"]
)
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8"])
def test_grey_dtypes(tmp_path: Path, dtype: str, options: dict, order: str) -> None:
    data = sequence(dtype)
    path = write(tmp_path / "sequence.tif", data, byteorder=order, **options)
    stack = open_stack(path)
    assert stack.dtype == np.dtype(dtype)
    np.testing.assert_array_equal([stack.frame(i) for i in range(T)], data)
    np.testing.assert_array_equal(data, tifffile.imread(path))


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_packed_camera_bits(tmp_path: Path, bits: int) -> None:
    """Rows of packed values, highest bit first; tifffile writes them as bytes and reads them as values."""
    data = sequence()
    each_bit = np.unpackbits(data[..., None].byteswap().view("u1"), axis=-1)[..., 16 - bits :]
    path = write(
        tmp_path / "sequence.tif", np.packbits(each_bit.reshape(T, H, W * bits), axis=-1), metadata=None
    )
    with tifffile.TiffFile(path, mode="r+") as tif:
        for i in range(T):
            tif.pages[i].tags[256].overwrite(W)
            tif.pages[i].tags[258].overwrite(bits)
    stack = open_stack(path)
    np.testing.assert_array_equal([stack.frame(i) for i in range(T)], data)
    np.testing.assert_array_equal(tifffile.imread(path), data)


@pytest.mark.parametrize(
    ("data", "options", "hint"),
    [
        pytest.param(
            sequence("u1", (3, H, W)), {"photometric": "rgb"}, "minisblack", id="three-frames-taken-for-rgb"
        ),
        pytest.param(sequence("u1", (H, W, 3)), {"photometric": "rgb"}, "minisblack", id="rgb"),
        pytest.param(sequence("u1") > 60, {}, "mask", id="bool"),
        pytest.param(sequence("c8"), {}, "magnitude", id="complex"),
        pytest.param(
            sequence("u1", (H, W)),
            {"photometric": "palette", "colormap": sequence("u2", (3, 256))},
            "Grays",
            id="palette",
        ),
        pytest.param(sequence("u8"), {}, "float32", id="uint64"),
        pytest.param(sequence("u1"), {"compression": "jpeg2000"}, "LZW", id="jpeg-2000-inside"),
    ],
)
def test_what_is_no_grey_sequence_is_refused_with_a_hint(
    tmp_path: Path, data: np.ndarray, options: dict, hint: str
) -> None:
    path = write(tmp_path / "sequence.tif", data, **{"metadata": None, **options})
    with pytest.raises(InputError, match=hint):
        open_stack(path)


def test_more_than_one_axis_is_refused_by_name_and_size(tmp_path: Path) -> None:
    for options in ({"imagej": True}, {"ome": True}, {}):
        path = write(
            tmp_path / "sequence.tif", sequence("u2", (4, 2, H, W)), metadata={"axes": "TCYX"}, **options
        )
        with pytest.raises(InputError, match="T = 4, C = 2"):
            open_stack(path)


def test_axes_of_length_one_do_not_count(tmp_path: Path) -> None:
    path = write(tmp_path / "sequence.tif", sequence("u2", (T, 1, H, W)), metadata={"axes": "TCYX"})
    assert open_stack(path).shape == (T, H, W)


def test_an_image_is_a_sequence_of_one_frame(tmp_path: Path) -> None:
    path = write(tmp_path / "sequence.tif", sequence("u2", (H, W)), metadata=None)
    assert open_stack(path).shape == (1, H, W)


def test_frames_written_one_by_one(tmp_path: Path) -> None:
    """Each page then has a description of its own, of one frame."""
    data = sequence()
    for contiguous in (True, False):
        with tifffile.TiffWriter(tmp_path / "sequence.tif") as writer:
            for frame in data:
                writer.write(frame, contiguous=contiguous)
        stack = open_stack(tmp_path / "sequence.tif")
        np.testing.assert_array_equal([stack.frame(i) for i in range(len(stack))], data)


def test_imagej_sequence_beyond_4_gb(tmp_path: Path) -> None:
    """ImageJ writes one directory for all frames there; the file is sparse and takes no space."""
    path, side, frames = tmp_path / "sequence.tif", 2048, 640
    write(path, sequence("u2", (2, side, side)), **IMAGEJ)
    one_directory(path)
    head = path.read_bytes()
    with tifffile.TiffFile(path) as tif:
        start = tif.pages[0].dataoffsets[0]
    head = head.replace(b"images=2\nframes=2\n", b"images=640\nframes=640\n")[: start - 4]
    last = sequence("u2", (side, side))
    with path.open("r+b") as file:
        file.write(head)
        file.seek(start + (frames - 1) * last.nbytes)
        file.write(last.tobytes())
    stack = open_stack(path)
    assert path.stat().st_size > 2**32
    assert stack.shape == (frames, side, side)
    np.testing.assert_array_equal(stack.frame(frames - 1), last)


@pytest.mark.parametrize(
    ("options", "size", "interval"),
    [
        pytest.param({"resolution": (2, 2), "metadata": {"axes": "TYX", "unit": "um"}}, 0.5, None, id="um"),
        pytest.param(
            {"resolution": (2, 2), "metadata": {"axes": "TYX", "unit": "micron"}}, 0.5, None, id="micron"
        ),
        pytest.param(
            {"resolution": (2, 2), "metadata": {"axes": "TYX", "unit": "\\u00B5m"}}, 0.5, None, id="escaped"
        ),
        pytest.param({"resolution": (2, 2), "metadata": {"axes": "TYX", "unit": "mm"}}, 500, None, id="mm"),
        pytest.param(
            {"resolution": (2, 2), "metadata": {"axes": "TYX", "unit": "nm"}}, 0.0005, None, id="nm"
        ),
        pytest.param({"resolution": (2, 2), "metadata": {"axes": "TYX", "unit": "cm"}}, 5000, None, id="cm"),
        pytest.param(
            {"resolution": (2, 2), "metadata": {"axes": "TYX", "unit": "inch"}}, 12700, None, id="inch"
        ),
        pytest.param({"resolution": (2, 2), "metadata": {"axes": "TYX"}}, None, None, id="no-unit"),
        pytest.param(
            {"resolution": (2, 4), "metadata": {"axes": "TYX", "unit": "um"}}, None, None, id="not-square"
        ),
        pytest.param({"metadata": {"axes": "TYX", "finterval": 0.25}}, None, 0.25, id="interval"),
        pytest.param(
            {"metadata": {"axes": "TYX", "finterval": 5, "tunit": "ms"}}, None, 0.005, id="milliseconds"
        ),
        pytest.param({"metadata": {"axes": "TYX", "fps": 50}}, None, 0.02, id="rate"),
        pytest.param({"metadata": {"axes": "TYX", "finterval": 0}}, None, None, id="interval-0"),
        pytest.param({"metadata": {"axes": "TYX", "finterval": "nan"}}, None, None, id="interval-nan"),
        pytest.param({"metadata": {"axes": "TYX", "finterval": -1}}, None, None, id="interval-negative"),
        pytest.param({"metadata": {"axes": "TYX", "finterval": "1e308"}}, None, None, id="interval-absurd"),
    ],
)
def test_imagej_calibration(
    tmp_path: Path, options: dict, size: float | None, interval: float | None
) -> None:
    stack = open_stack(write(tmp_path / "sequence.tif", sequence(), imagej=True, **options))
    assert stack.pixel_size == pytest.approx(size)
    assert stack.clock.interval == pytest.approx(interval)
    assert stack.clock == Clock.regular(T, stack.clock.interval)


@pytest.mark.parametrize(
    ("said", "size", "interval"),
    [
        pytest.param({"PhysicalSizeX": 2.0, "PhysicalSizeY": 2.0}, 2.0, None, id="um"),
        pytest.param(
            {"PhysicalSizeX": 2, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 2, "PhysicalSizeYUnit": "nm"},
            0.002,
            None,
            id="nm",
        ),
        pytest.param(
            {"PhysicalSizeX": 2, "PhysicalSizeXUnit": "pixel", "PhysicalSizeY": 2}, None, None, id="pixel"
        ),
        pytest.param({"TimeIncrement": 0.5}, None, 0.5, id="seconds"),
        pytest.param({"TimeIncrement": 5, "TimeIncrementUnit": "ms"}, None, 0.005, id="milliseconds"),
    ],
)
def test_ome_calibration(tmp_path: Path, said: dict, size: float | None, interval: float | None) -> None:
    stack = open_stack(
        write(tmp_path / "sequence.tif", sequence(), ome=True, metadata={"axes": "TYX", **said})
    )
    assert stack.pixel_size == pytest.approx(size)
    assert stack.clock.interval == pytest.approx(interval)
    assert stack.clock == Clock.regular(T, stack.clock.interval)


@pytest.mark.parametrize(
    ("unit", "size"), [pytest.param("centimeter", 5000, id="cm"), pytest.param("inch", None, id="inch")]
)
def test_plain_tiff_has_a_pixel_size_in_centimetres_only(
    tmp_path: Path, unit: str, size: float | None
) -> None:
    """72 or 96 per inch is what programs write that know nothing."""
    stack = open_stack(write(tmp_path / "sequence.tif", sequence(), resolution=(2, 2), resolutionunit=unit))
    assert stack.pixel_size == pytest.approx(size)


HR_TIMES = [
    pytest.param({"imagej": True}, "hr_times", id="imagej"),
    pytest.param({}, "hr_times", id="tifffile"),
    pytest.param({"ome": True}, "Description", id="ome"),
]


@pytest.mark.parametrize(("options", "key"), HR_TIMES)
def test_hr_times(tmp_path: Path, options: dict, key: str) -> None:
    text = "0.0,2.5,5" if key == "hr_times" else "A sequence\nhr_times=0.0,2.5,5"
    path = write(tmp_path / "sequence.tif", sequence(), metadata={"axes": "TYX", key: text}, **options)
    assert open_stack(path).metadata.hr_times == (0.0, 2.5, 5.0)


def test_hr_times_in_json_whose_shape_comes_last(tmp_path: Path) -> None:
    # tifffile before 2026.3 writes it so
    said = json.dumps(
        {"note": "a" * 300, "axes": "TYX", "hr_times": "0.0,2.5,5", "shape": [*sequence().shape]}
    )
    path = write(tmp_path / "sequence.tif", sequence(), metadata=None, description=said)
    stack = open_stack(path)
    assert stack.metadata.hr_times == (0.0, 2.5, 5.0)
    assert len(stack) == len(sequence())


@pytest.mark.parametrize("text", ["a,b", "", "0,nan", "0,inf", "0,2,1", "1,1", "[0, 1]", "1;2"])
@pytest.mark.parametrize(("options", "key"), HR_TIMES)
def test_hostile_hr_times_are_refused(tmp_path: Path, options: dict, key: str, text: str) -> None:
    text = text if key == "hr_times" else f"hr_times={text}"
    path = write(tmp_path / "sequence.tif", sequence(), metadata={"axes": "TYX", key: text}, **options)
    with pytest.raises(InputError, match="hr_times"):
        open_stack(path)


def test_one_frame_costs_the_bytes_of_one_frame(tmp_path: Path) -> None:
    counter = Path("/proc/self/io")
    if not counter.exists():
        pytest.skip("only Linux counts the bytes read")
    stack = open_stack(write(tmp_path / "sequence.tif", sequence("u2", (20, 200, 300))))

    def read_so_far() -> int:
        return int(counter.read_text().split()[1])

    before = read_so_far()
    stack.frame(13)
    assert 120_000 <= read_so_far() - before < 130_000


def test_damage_in_other_frames_does_not_matter(tmp_path: Path) -> None:
    data = sequence("u2", (T, 200, 300))
    path = write(tmp_path / "sequence.tif", data, compression="zlib")
    stack = open_stack(path)
    with tifffile.TiffFile(path) as tif, path.open("r+b") as file:
        for page in list(tif.pages)[::2]:
            file.seek(page.dataoffsets[0])
            file.write(b"damage")
    for i in range(T):
        if i % 2:
            np.testing.assert_array_equal(stack.frame(i), data[i])
        else:
            with pytest.raises(InputError, match=f"sequence.tif frame {i}"):
                stack.frame(i)


def test_a_file_cut_while_open_is_told_per_frame(tmp_path: Path) -> None:
    data = sequence("u2", (T, 200, 300))
    path = write(tmp_path / "sequence.tif", data)
    stack = open_stack(path)
    os.truncate(path, 400_000)
    np.testing.assert_array_equal(stack.frame(2), data[2])
    with pytest.raises(InputError):
        stack.frame(5)


def test_threads_read_their_own_frames(tmp_path: Path) -> None:
    data = sequence("u2", (40, 50, 60))
    wrong = []
    for options in ({}, {"compression": "lzw", "tile": (16, 16), "predictor": True}):
        stack = open_stack(write(tmp_path / "sequence.tif", data, **options))

        def read(seed: int, stack=stack) -> None:
            for i in np.random.default_rng(seed).permutation(40):
                if not np.array_equal(stack.frame(i), data[i]):
                    wrong.append(i)

        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_the_file_is_closed_with_its_stack(tmp_path: Path) -> None:
    handles = Path("/proc/self/fd")
    if not handles.exists():
        pytest.skip("only Linux lists the open files")
    path = write(tmp_path / "sequence.tif", sequence())

    def held() -> int:
        return sum(x.readlink() == path for x in handles.iterdir() if x.is_symlink())

    stack = open_stack(path)
    stack.frame(0)
    stack.digest()
    assert held() == 1
    del stack
    gc.collect()
    assert held() == 0


def test_memory_does_not_grow_with_the_frames(tmp_path: Path) -> None:
    stack = open_stack(write(tmp_path / "sequence.tif", sequence("u1", (200, 200, 300))))
    process = psutil.Process()
    stack.frame(0)
    before = process.memory_info().rss
    for i in range(1000):
        stack.frame(i % 200)
    assert process.memory_info().rss - before < 5_000_000  # the sequence has 12 MB


def test_digest_is_that_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "sequence.tif", sequence())
    assert open_stack(path).digest() == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_frame_is_the_callers_own(tmp_path: Path) -> None:
    stack = open_stack(write(tmp_path / "sequence.tif", sequence()))
    stack.frame(1)[:] = 0
    np.testing.assert_array_equal(stack.frame(1), sequence()[1])


def test_the_padding_between_many_pages_is_no_lost_frame(tmp_path):
    """tifffile puts pages that come one by one at multiples of 16: together more than a frame here."""
    with tifffile.TiffWriter(tmp_path / "sequence.tif") as file:
        for i in range(400):
            file.write(np.full((17, 31), i, "u2"), photometric="minisblack", metadata=None)
    sequence = open_stack(tmp_path / "sequence.tif")
    assert sequence.shape == (400, 17, 31)
    assert (sequence.frame(399) == 399).all()
