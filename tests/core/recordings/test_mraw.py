"""Photron .mraw with .cih or .cihx: headers of cameras, and synthetic frames."""

import shutil
from fractions import Fraction

import numpy as np
import pytest

from napari_xfusion.core.recordings import open_stack
from napari_xfusion.core.recordings.mraw import read_header
from napari_xfusion.errors import InputError
from tests.cameras import ORIGINALS, SHARED, write_mraw

FRAMES = np.random.default_rng(8).integers(0, 256, (4, 6, 32)).astype(np.uint16)
shared = pytest.mark.skipif(not SHARED.exists(), reason="the camera files beside the checkout are absent")


@pytest.mark.parametrize("ending", [".mraw", ".cih", ".cihx"])
@pytest.mark.parametrize(("bits", "padding"), [(8, 1), (16, 1), (12, 1), (10, 1)])
def test_frames_by_either_file(tmp_path, bits, padding, ending):
    header = ".cihx" if ending == ".cihx" else ".cih"
    path = write_mraw(tmp_path / "S1.mraw", FRAMES, bits, padding=padding, header=header)
    stack = open_stack(path.with_suffix(ending))
    assert stack.dtype == (np.uint8 if bits == 8 else np.uint16)
    np.testing.assert_array_equal([stack.frame(i) for i in (2, 0, 1, 3)], FRAMES[[2, 0, 1, 3]])
    assert [x.code for x in stack.metadata.warnings] == (["unverified"] if bits == 10 else [])


def test_the_size_of_the_file_decides_whether_rows_are_padded(tmp_path):
    frames = FRAMES[:, :, :30]  # 45 bytes a row
    stack = open_stack(write_mraw(tmp_path / "S1.mraw", frames, 12, padding=16))
    np.testing.assert_array_equal([stack.frame(i) for i in range(4)], frames)
    stack = open_stack(write_mraw(tmp_path / "S2.mraw", frames, 12))
    np.testing.assert_array_equal([stack.frame(i) for i in range(4)], frames)
    with pytest.raises(
        InputError, match=r"1080 or 1152 bytes: 4 frames of 6 x 30 pixels of 12 bits by S3\.cih"
    ):
        open_stack(write_mraw(tmp_path / "S3.mraw", frames, 12, padding=32))


@pytest.mark.parametrize("bits", [10, 12])
def test_padded_rows_may_end_within_a_byte(tmp_path, bits):
    frames = FRAMES[:, :, :9]
    stack = open_stack(write_mraw(tmp_path / "S1.mraw", frames, bits, padding=16))
    np.testing.assert_array_equal([stack.frame(i) for i in range(4)], frames)


def test_times_are_those_of_the_saved_frames_from_the_trigger(tmp_path):
    stack = open_stack(write_mraw(tmp_path / "S1.mraw", FRAMES, 16))
    assert stack.clock.times_ps == (-50_000_000, 550_000_000, 1_150_000_000, 1_750_000_000)
    camera = stack.metadata.camera
    assert (stack.clock.source, camera.exposure_ns, camera.name) == ("rate", 1250, "FASTCAM SA-Z")


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("1/800000", 1250), ("1.000000", 10**9), ("119149.0", 8393), ("0.25", 25 * 10**7)],
)
def test_the_older_shutter_speed_is_seconds_or_their_reciprocal(tmp_path, text, nanoseconds):
    changes = {"ShutterType2nsec": None, "ShutterSpeeds": text}
    stack = open_stack(write_mraw(tmp_path / "S1.mraw", FRAMES, 16, **changes))
    assert stack.metadata.camera.exposure_ns == nanoseconds


@pytest.mark.parametrize(
    ("bits", "side", "white"),
    [(16, "Lower", 4095), (16, "Higher", 4095 << 4), (8, "Higher", 255), (8, "Lower", 255)],
)
def test_the_side_of_the_effective_bits_gives_the_white_level(tmp_path, bits, side, white):
    path = write_mraw(tmp_path / "S1.mraw", FRAMES, bits, EffectiveBitSide=side)
    assert open_stack(path).metadata.camera.white == white


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ColorType": "Bayer"}, "Bayer of 16 bits"),
        ({"ColorBit": "24"}, "of 24 bits"),
        ({"TotalFrame": "5"}, "found 1536 bytes, 4 frames"),
        ({"TotalFrame": "3"}, "3 frames of 6 x 32"),
        ({"TotalFrame": "x"}, "Total Frame or frameInfo/totalFrame as an integer"),
        ({"ImageWidth": "0"}, "Image Width"),
        ({"ImageHeight": None}, "width, height, frames and bits"),
        ({"SaveStep": "-1"}, "Save Step"),
    ],
)
def test_a_header_that_does_not_fit_is_refused_with_its_field(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        open_stack(write_mraw(tmp_path / "S1.mraw", FRAMES, 16, **changes))


@pytest.mark.parametrize("rate", ["", "0", "-5", "nan", "1e999999999", "1/0"])
def test_without_a_frame_rate_times_are_unknown(tmp_path, rate):
    stack = open_stack(write_mraw(tmp_path / "S1.mraw", FRAMES, 16, RecordRatefps=rate))
    assert (stack.clock.source, [x.code for x in stack.metadata.warnings]) == ("none", ["unsure-times"])


def test_the_other_file_is_asked_for_by_its_name(tmp_path):
    path = write_mraw(tmp_path / "S1.mraw", FRAMES, 16)
    header = path.with_suffix(".cih").rename(tmp_path / "S2.cih")
    with pytest.raises(InputError, match=r"expected S1\.cih or S1\.cihx next to it"):
        open_stack(path)
    with pytest.raises(InputError, match=r"expected S2\.mraw next to it"):
        open_stack(header)


def test_entities_in_xml_are_refused(tmp_path):
    path = write_mraw(tmp_path / "S1.mraw", FRAMES, 16, header=".cihx")
    header = path.with_suffix(".cihx")
    header.write_bytes(header.read_bytes().replace(b"<cih>", b'<cih><!ENTITY b "&a;&a;">', 1))
    with pytest.raises(InputError, match="XML from <cih>"):
        open_stack(path)


def test_headers_of_cameras():
    old, new = read_header(ORIGINALS / "sample_60k_16bit.cih"), read_header(ORIGINALS / "beam.cihx")
    assert [old.number(x, 1) for x in ("frames", "height", "width", "bits", "step")] == [12, 368, 896, 16, 36]
    assert old.clock == (Fraction(36, 60_000), 49_300)
    assert (old.facts.exposure_ns, old.facts.bits, old.facts.white) == (1250, 12, 4095)
    assert [new.number(x, 1) for x in ("frames", "height", "width", "bits")] == [4, 80, 1024, 16]
    assert new.clock == (Fraction(2500, 50_000), 0)
    assert (new.facts.exposure_ns, new.facts.name) == (5000, "FASTCAM SA-Z type 2100K-M-64GB")


@shared
def test_recordings_of_cameras_beside_the_checkout(tmp_path):
    ball, beam = open_stack(SHARED / "ball_12bit.mraw"), open_stack(SHARED / "beam.cihx")
    assert (ball.shape, beam.shape) == ((15, 384, 384), (4, 80, 1024))
    assert ball.clock.times_ps[:2] == (1_733_333_333, 1_766_666_667)  # frames 52 and 53 at 30 kHz
    assert np.diff(beam.clock.times_ps).tolist() == [50 * 10**9] * 3  # every 2500th at 50 kHz
    for stack in (ball, beam):
        frame = stack.frame(1).astype(float)
        assert np.corrcoef(frame[:, 1:].ravel(), frame[:, :-1].ravel())[0, 1] > 0.85
    shutil.copy(SHARED / "ball_12bit.mraw", tmp_path / "beam.mraw")
    shutil.copy(SHARED / "beam.cihx", tmp_path)
    with pytest.raises(InputError, match="655360 bytes"):  # the header of another shot
        open_stack(tmp_path / "beam.mraw")


def test_what_the_camera_corrected_and_which_pixels_of_the_sensor(tmp_path):
    path = write_mraw(tmp_path / "a.mraw", FRAMES, 16, Shading="On")
    assert open_stack(path).metadata.camera.corrected == "shading"
    path = write_mraw(tmp_path / "b.mraw", FRAMES, 16, header=".cihx")
    H, W = FRAMES.shape[1:]
    place = b"<segmentPos><sensorXpos>320</sensorXpos><sensorYpos>8</sensorYpos></segmentPos>"
    text = path.with_suffix(".cihx").read_bytes()
    processed = place + b"<applyImageProc>1</applyImageProc></imageDataInfo>"
    path.with_suffix(".cihx").write_bytes(text.replace(b"</imageDataInfo>", processed))
    camera = open_stack(path).metadata.camera
    assert (camera.corrected, camera.region) == ("image processing by PFV", (8, 8 + H, 320, 320 + W))
