"""Files beside exported TIFF frames give them times; those that do not fit are reported and not used."""

import numpy as np
import pytest
import tifffile

from napari_xfusion.core.recordings import open_stack
from tests.cameras import write_cine, write_ini, write_mraw

FRAMES = np.random.default_rng(4).integers(0, 4096, (5, 6, 8)).astype(np.uint16)
TIMES = [0, 10_000, 20_010, 30_000, 40_010]


@pytest.fixture
def export(tmp_path):
    """The folder of frames that Shimadzu's program writes."""
    folder = tmp_path / "shot" / "TIFF16" / "HPVX_0001"
    folder.mkdir(parents=True)
    for i, frame in enumerate(FRAMES):
        tifffile.imwrite(folder / f"HPVX_{i + 1:03}.tiff", frame, photometric="minisblack", metadata=None)
    return folder


def codes(stack):
    return [warning.code for warning in stack.metadata.warnings]


@pytest.mark.parametrize("place", [".", "..", "../.."])
def test_times_of_a_shimadzu_ini_in_or_above_the_folder(export, place):
    write_ini(export / place / "HPVX.ini", TIMES)
    (export / "desktop.ini").write_text("[ViewState]")
    stack = open_stack(export)
    np.testing.assert_array_equal([stack.frame(i) for i in range(5)], FRAMES)
    assert (stack.clock.source, stack.clock.times_ps) == ("stamps", tuple(1000 * t for t in TIMES))
    assert (stack.metadata.camera.name, stack.metadata.camera.exposure_ns) == ("Shimadzu HPV-X", 300)
    assert "TriggerDelay 500 ns" in stack.metadata.camera.timing
    assert codes(stack) == ["first-frame"]


def test_the_period_gives_times_where_the_frames_have_none(export):
    write_ini(export / "HPVX.ini", [], frames=5, RecSpeed="1,234,567 ns")
    clock = open_stack(export).clock
    assert (clock.source, clock.times_ps[:2]) == ("rate", (0, 1_234_567_000))


def test_times_of_some_frames_are_not_used(export):
    write_ini(export / "HPVX.ini", TIMES[:3], frames=5)
    stack = open_stack(export)
    assert (stack.clock.source, codes(stack)) == ("rate", ["unsure-times", "first-frame"])


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: write_ini(path, TIMES[:4]), "describes 4 frames, the recording has 5"),
        (
            lambda path: write_ini(path, [], frames=999_999_999),
            "describes 999999999 frames, the recording has 5",
        ),
        (lambda path: write_ini(path, TIMES, RecSpeed="fast"), "RecSpeed"),
        (lambda path: write_ini(path, TIMES, RecSpeed="0 ns"), "RecSpeed"),
        (lambda path: path.write_text("[REC_INFO]\n?\x00=[\n[[["), "RecSpeed"),
    ],
)
def test_a_sidecar_that_does_not_fit_is_reported_and_not_used(export, write, message):
    write(export / "HPVX.ini")
    stack = open_stack(export)
    (warning,) = stack.metadata.warnings
    assert (stack.clock.source, warning.code) == ("none", "sidecar")
    assert message in warning.text


def test_an_ini_of_another_program_is_none_of_ours(export):
    (export / "settings.ini").write_text("[window]\nwidth=7")
    assert codes(open_stack(export)) == []


@pytest.mark.parametrize("header", [".cih", ".cihx"])
def test_times_of_a_photron_header_beside_a_tiff(tmp_path, header):
    write_mraw(tmp_path / "S1.mraw", FRAMES, 16, header=header).unlink()
    tifffile.imwrite(tmp_path / "S1.tif", FRAMES, photometric="minisblack")
    stack = open_stack(tmp_path / "S1.tif")
    assert (stack.clock.source, stack.clock.times_ps[:2]) == ("rate", (-50_000_000, 550_000_000))
    assert (stack.metadata.camera.exposure_ns, stack.metadata.camera.white) == (1250, None)


def test_times_of_a_photron_header_in_a_folder_of_frames(export):
    write_mraw(export / "S1.mraw", FRAMES, 16).unlink()
    assert open_stack(export).clock.times_ps[0] == -50_000_000


def test_times_of_a_phantom_chd_in_a_folder_of_frames(export):
    path = write_cine(export / "shot.cine", FRAMES)
    clock = open_stack(path).clock
    path.rename(export / "shot.chd").write_bytes((export / "shot.chd").read_bytes()[: -FRAMES.nbytes - 40])
    stack = open_stack(export)
    assert stack.clock == clock
    assert (stack.metadata.camera.name, stack.metadata.camera.white) == ("Phantom v2012", None)


def write_xml(path, texts):
    rows = "".join(f'<Time frame="{i}">{text}</Time>' for i, text in enumerate(texts))
    path.write_text(f"<chd><TIMEBLOCK><Date>Thu Feb 29 2024</Date>{rows}</TIMEBLOCK></chd>")


XML = [
    "23:59:59.999 980.00",
    "23:59:59.999 990.00 E",
    "00:00:00.000 000.01 E",
    "00:00:00.000 010.00",
    "00:00:00.000 020.00 E",
]


def test_times_of_a_phantom_xml_next_to_a_tiff_across_midnight(tmp_path):
    tifffile.imwrite(tmp_path / "S1.tif", FRAMES, photometric="minisblack")
    write_xml(tmp_path / "S1.xml", XML)
    stack = open_stack(tmp_path / "S1.tif")
    assert stack.clock.times_ps == (-10_000_000, 0, 10_010_000, 20_000_000, 30_000_000)
    assert stack.metadata.camera.events == (1, 4)


@pytest.mark.parametrize("texts", [["12:00"] * 5, [*XML[:4], "x"], []])
def test_an_xml_with_other_times_is_reported(export, texts):
    write_xml(export / "shot.xml", texts)
    assert codes(open_stack(export)) == ["sidecar"]


@pytest.mark.parametrize(
    "text", ["<other/>", "<TIMEBLOCK", "<!DOCTYPE a [<!ENTITY b 'c'>]><TIMEBLOCK>&b;</TIMEBLOCK>"]
)
def test_other_xml_does_not_prevent_opening(export, text):
    (export / "shot.xml").write_text(text)
    assert open_stack(export).clock.source == "none"
