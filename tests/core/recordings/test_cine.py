"""Phantom .cine: files of cameras against facts that another program read, and synthetic ones for what is rare."""

import hashlib
import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_xfusion.core.recordings import open_stack
from napari_xfusion.core.recordings.packed import P10, unpack
from napari_xfusion.errors import InputError
from tests.cameras import ORIGINALS, SECOND, SHARED, packed, write_cine

FACTS = json.loads((ORIGINALS / "facts.json").read_text())
SHARED_FACTS = json.loads((SHARED / "FACTS.json").read_text())["cine"] if SHARED.exists() else {}
FRAMES = np.random.default_rng(5).integers(0, 4096, (5, 6, 8)).astype(np.uint16)
MILLISECOND = 10**9


def codes(stack):
    return [warning.code for warning in stack.metadata.warnings]


def check_facts(path, facts):
    stack = open_stack(path)
    camera, times = stack.metadata.camera, np.array(stack.clock.times_ps)
    assert stack.shape == (facts["frames"], facts["height"], facts["width"])
    assert (camera.serial, camera.bits, camera.first_number) == (
        str(facts["serial"]),
        facts["real_bpp"],
        facts["first_image"],
    )
    assert stack.clock.source == "stamps"
    expected = [facts[x] - facts["trigger_ns"] for x in ("first_ns", "last_ns")]
    np.testing.assert_allclose(times[[0, -1]] / 1000, expected, rtol=0, atol=1)
    steps = np.diff(times) / 1000
    np.testing.assert_allclose([steps.min(), np.median(steps), steps.max()], facts["dt_ns"], rtol=0, atol=1)
    assert camera.exposure_ns == pytest.approx(facts["exposure_ns"][1], abs=1)
    frame = stack.frame(0)
    if facts["bi_compression"] == 256:
        assert "linearised" in codes(stack)
        np.testing.assert_array_equal(frame, P10[stored_values(path, facts)])
        frame = stored_values(path, facts)
    else:
        assert (camera.black, camera.white) == (facts["black"], facts["white"])
    assert hashlib.sha256(frame.tobytes()).hexdigest().startswith(facts["frame0"]["sha256"])
    assert (frame.min(), frame.max()) == (facts["frame0"]["min"], facts["frame0"]["max"])
    assert ("orientation" in codes(stack)) == bool(facts["flip_v"])


def stored_values(path, facts):
    pixels = facts["width"] * facts["height"]
    start = facts["size"] - facts["frames"] * (8 + pixels * 10 // 8) + 8
    return unpack(memoryview(path.read_bytes())[start:], 10, pixels).reshape(facts["height"], -1)


@pytest.mark.parametrize("name", FACTS)
def test_a_file_of_a_camera_is_read_as_another_program_read_it(name):
    check_facts(ORIGINALS / name, FACTS[name])


@pytest.mark.skipif(not SHARED_FACTS, reason="the camera files beside the checkout are absent")
@pytest.mark.parametrize("name", SHARED_FACTS or ["none"])
def test_every_file_beside_the_checkout_is_read_as_another_program_read_it(name):
    facts = SHARED_FACTS[name]
    if facts["compression"] == 2:
        with pytest.raises(InputError, match="a recording in colour"):
            open_stack(SHARED / name)
    else:
        check_facts(SHARED / name, facts)


@pytest.mark.skipif(not SHARED_FACTS, reason="the camera files beside the checkout are absent")
def test_the_rate_is_that_of_the_stamps_where_frames_were_omitted_at_saving():
    stack = open_stack(SHARED / "pims_cine_781.cine")  # recorded at 90 kHz, every tenth frame saved
    assert 1 / stack.clock.interval == pytest.approx(9003, abs=1)
    assert "frame-rate" not in codes(stack)


def test_p10_is_linearised_by_the_table_of_the_manual():
    assert P10[:16].tolist() == [2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 17, 18]
    assert P10[1008:1017].tolist() == [4014, 4022, 4031, 4039, 4048, 4056, 4064, 4095, 4095]
    # The table follows the transfer function of ITU-R BT.709, with black at 64 and white at 1014.
    signal = (np.arange(64, 1015) - 64) / 950
    light = np.where(signal < 0.081, signal / 4.5, ((signal + 0.099) / 1.099) ** (1 / 0.45))
    np.testing.assert_allclose(P10[64:1015], 64 + 4000 * light, rtol=0, atol=2.5)


@given(
    values=st.sampled_from([10, 12]).flatmap(
        lambda bits: st.tuples(
            st.just(bits), arrays(np.uint16, st.integers(1, 70), elements=st.integers(0, 2**bits - 1))
        )
    )
)
def test_packed_pixels_are_unpacked(values):
    bits, pixels = values
    np.testing.assert_array_equal(unpack(memoryview(packed(pixels, bits)), bits, len(pixels)), pixels)


def test_packed_pixels_are_unpacked_in_pieces():
    pixels = np.arange(70_001) % 1024
    np.testing.assert_array_equal(unpack(memoryview(packed(pixels, 10)), 10, len(pixels), P10), P10[pixels])


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("length", [808, 5692, 10412])
@pytest.mark.parametrize("packing", ["8", "16", "p10", "p12l"])
def test_every_packing_version_and_length_of_setup(tmp_path, packing, length, version):
    stored = FRAMES % {"8": 256, "p10": 1024}.get(packing, 4096)
    stack = open_stack(write_cine(tmp_path / "a.cine", stored, packing, version=version, length=length))
    expected = P10[stored] if packing == "p10" else stored
    assert stack.dtype == (np.uint8 if packing == "8" else np.uint16)
    for i, frame in enumerate(expected):
        np.testing.assert_array_equal(stack.frame(i), frame)
    assert stack.metadata.camera.black == (64 if length > 5736 else None)
    assert stack.metadata.camera.name == ("Phantom v2012" if length > 10300 else None)


def test_a_longer_annotation_is_skipped(tmp_path):
    stack = open_stack(write_cine(tmp_path / "a.cine", FRAMES, annotation=24))
    np.testing.assert_array_equal([stack.frame(i) for i in range(5)], FRAMES)


def test_a_frame_is_read_while_the_others_are_gone(tmp_path):
    """Reading a frame touches its own bytes only."""
    path = write_cine(tmp_path / "a.cine", FRAMES)
    stack = open_stack(path)
    data = bytearray(path.read_bytes())
    size = 8 + FRAMES[0].nbytes
    data[-4 * size :] = b"\xff" * (4 * size)
    path.write_bytes(data)
    np.testing.assert_array_equal(stack.frame(0), FRAMES[0])
    with pytest.raises(InputError, match="annotation"):
        stack.frame(1)


def at(*seconds, flags=3):
    return [1_600_000_000 * SECOND + int(s * SECOND) & ~3 | flags for s in seconds]


def test_times_are_relative_to_the_trigger_without_the_flags(tmp_path):
    stack = open_stack(write_cine(tmp_path / "a.cine", FRAMES[:3], stamps=at(-0.25, 0.5, 1.25)))
    assert stack.clock.times_ps == (-(10**12) // 4, 10**12 // 2, 5 * 10**12 // 4)
    assert (stack.metadata.camera.locked, stack.metadata.camera.events) == (False, ())


def test_the_flags_of_the_stamps_are_kept(tmp_path):
    stamps = [*at(0.001, 0.002), *at(0.003, flags=0), *at(0.004, flags=0), *at(0.005)]
    camera = open_stack(write_cine(tmp_path / "a.cine", FRAMES, stamps=stamps)).metadata.camera
    assert camera.events == (2,)
    locked = write_cine(tmp_path / "b.cine", FRAMES, stamps=at(1, 2, 3, 4, 5, flags=2))
    assert open_stack(locked).metadata.camera.locked


def test_exposures_are_those_of_the_frames(tmp_path):
    exposures = [SECOND // 1000] * 4 + [SECOND // 15]  # a wrong last one, as in a camera's file
    stack = open_stack(write_cine(tmp_path / "a.cine", FRAMES, exposures=exposures))
    assert stack.metadata.camera.exposure_ns == 1_000_000
    assert open_stack(write_cine(tmp_path / "b.cine", FRAMES)).metadata.camera.exposure_ns == 9_000


def test_without_stamps_the_rate_and_the_saved_part_of_the_frames_give_times(tmp_path):
    stack = open_stack(write_cine(tmp_path / "a.cine", FRAMES, stamps=None, setup={10388: ("f", 10.0)}))
    assert (stack.clock.source, stack.clock.times_ps[1]) == ("rate", 10 * MILLISECOND)
    assert codes(stack) == ["unsure-times"]


def test_the_old_decimation_is_no_part_of_the_times(tmp_path):
    """A file of a camera has 3 there, and stamps at the full rate."""
    path = write_cine(tmp_path / "a.cine", FRAMES, stamps=None, length=5692, setup={1556: ("I", 3)})
    assert open_stack(path).clock.times_ps[1] == MILLISECOND


def test_old_stamps_of_all_recorded_frames(tmp_path):
    path = write_cine(tmp_path / "a.cine", FRAMES, stamps=None, length=5692, first=-98)
    data = path.read_bytes()
    tag = np.array([1_600_000_000 * SECOND + i * SECOND // 500 for i in range(-100, 900)], "<u8").tobytes()
    tag = (8 + len(tag)).to_bytes(4, "little") + (1001).to_bytes(4, "little") + tag
    places = np.frombuffer(data, "<u8", 5, 84 + 5692) + len(tag)
    shifted = data[:32] + (84 + 5692 + len(tag)).to_bytes(4, "little") + data[36 : 84 + 5692]
    path.write_bytes(shifted + tag + places.tobytes() + data[84 + 5692 + 40 :])
    stack = open_stack(path)
    np.testing.assert_array_equal([stack.frame(i) for i in range(5)], FRAMES)
    expected = [-98 * 2 * MILLISECOND, -97 * 2 * MILLISECOND]
    np.testing.assert_allclose(stack.clock.times_ps[:2], expected, rtol=0, atol=1000)


def test_rates_that_contradict_the_stamps_are_reported(tmp_path):
    path = write_cine(tmp_path / "a.cine", FRAMES, setup={10400: ("d", 90_000.0)})
    stack = open_stack(path)
    assert codes(stack) == ["frame-rate"]
    assert stack.clock.interval == pytest.approx(1e-3)


def test_a_trigger_of_another_year_does_not_move_the_frames_away(tmp_path):
    """A camera's file has frames 14 years from the trigger: its clock was never set."""
    stamps = [stamp - 14 * 365 * 86_400 * SECOND for stamp in at(0, 0.001, 0.002, 0.003, 0.004)]
    stack = open_stack(write_cine(tmp_path / "a.cine", FRAMES, stamps=stamps))
    assert codes(stack) == ["unset-clock"]
    np.testing.assert_allclose(stack.clock.times_ps[:2], [0, MILLISECOND], rtol=0, atol=1000)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"compression": 1}, "JPEG"),
        ({"compression": 2}, "colour"),
        ({"setup": {808: ("I", 3)}}, "colour"),
        ({"bitmap": {4: 24}}, "colour"),
        ({"bitmap": {4: 48}}, "colour"),
        ({"bitmap": {5: 2}}, "biCompression 2"),
        ({"bitmap": {4: 32}}, "biBitCount 32"),
        ({"bitmap": {2: -6}}, "-6 x 8"),
        ({"bitmap": {6: 99}}, "biSizeImage 99"),
        ({"setup": {140: ("2s", b"XX")}}, "SETUP"),
        ({"version": 2}, "version 2"),
    ],
)
def test_what_is_not_read_is_refused_by_its_name(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        open_stack(write_cine(tmp_path / "a.cine", FRAMES, **changes))


def test_extended_dynamic_range_is_reported(tmp_path):
    path = write_cine(tmp_path / "a.cine", FRAMES, setup={1572: ("I", 4_000)})
    assert codes(open_stack(path)) == ["dynamic-range"]


def test_a_cut_file_names_the_frames_that_are_there(tmp_path):
    path = write_cine(tmp_path / "a.cine", FRAMES)
    path.write_bytes(path.read_bytes()[: -2 * FRAMES[0].nbytes])
    with pytest.raises(InputError, match=r"a\.cine: expected 5 frames as it declares, found bytes for [23]"):
        open_stack(path)


def test_a_file_with_an_ending_of_another_format_is_read(tmp_path):
    path = shutil.copy(ORIGINALS / "dice_phantom_v1610.cine", tmp_path / "shot.dat")
    assert open_stack(path).recording.reader == "cine"


@pytest.mark.parametrize(
    ("setup", "corrected"),
    [
        ({}, ""),
        ({1028: ("I", 744), 1032: ("I", 744)}, "black reference, white calibration"),
        ({1028: ("I", 744), 1504: ("I", 1)}, "black reference of the session (CSR)"),
        ({1504: ("I", 7)}, "black reference of the session (CSR), white calibration of the session (CSR)"),
    ],
)
def test_what_the_camera_corrected_is_that_of_the_header(tmp_path, setup, corrected):
    stack = open_stack(write_cine(tmp_path / "a.cine", FRAMES, setup=setup))
    assert stack.metadata.camera.corrected == corrected


def test_a_border_with_text_is_reported(tmp_path):
    size = {737: ("H", 9), 739: ("H", 6), 1580: ("4I", (2, 1, 5, 4))}
    stack = open_stack(write_cine(tmp_path / "a.cine", FRAMES, setup=size))
    (warning,) = stack.metadata.warnings
    assert (warning.code, "rows and columns 1:5,2:7" in warning.text) == ("border", True)
