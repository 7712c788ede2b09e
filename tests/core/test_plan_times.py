"""HR times as people list and save them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_xfusion.core.plan import parse_times
from napari_xfusion.errors import InputError

LINES = "0\n10\n20.5\n"


@pytest.mark.parametrize(
    ("content", "times"),
    [
        pytest.param(LINES.encode(), (0, 10, 20.5), id="plain"),
        pytest.param(LINES.replace("\n", "\r\n").encode(), (0, 10, 20.5), id="Windows lines"),
        pytest.param(LINES.encode("utf-8-sig"), (0, 10, 20.5), id="UTF-8 with a mark"),
        pytest.param(LINES.encode("utf-16"), (0, 10, 20.5), id="UTF-16"),
        pytest.param(b"\xfe\xff" + LINES.encode("utf-16-be"), (0, 10, 20.5), id="UTF-16, big endian"),
        pytest.param(LINES.encode("utf-16-le"), (0, 10, 20.5), id="UTF-16 without a mark"),
        pytest.param(b"hr_time\n" + LINES.encode(), (0, 10, 20.5), id="header"),
        pytest.param(b'"LR frame"\n"0"\n"10"\n"20.5"\n', (0, 10, 20.5), id="quotes"),
        pytest.param(b"Experiment 7\nLR frame numbers\n\n" + LINES.encode(), (0, 10, 20.5), id="two lines"),
        pytest.param("Bildnr. für HR\n".encode("latin-1") + LINES.encode(), (0, 10, 20.5), id="Latin-1"),
        pytest.param(b"# times in LR frames\n" + LINES.encode(), (0, 10, 20.5), id="comment"),
        pytest.param(b"% MATLAB\n0 % first\n10\n20.5", (0, 10, 20.5), id="comments"),
        pytest.param(b"0;10;20,5", (0, 10, 20.5), id="semicolons, decimal comma"),
        pytest.param(b"0;\n10;\n20,5;\n", (0, 10, 20.5), id="semicolons at line ends"),
        pytest.param(b"0,\n10,\n20.5,\n", (0, 10, 20.5), id="commas at line ends"),
        pytest.param(b"0 10\t20.5", (0, 10, 20.5), id="spaces and tabs"),
        pytest.param(b"[0, 10, 20.5]", (0, 10, 20.5), id="JSON"),
        pytest.param(b"0,10\n20.5,30", (0, 10, 20.5, 30), id="a list in lines"),
        pytest.param(b"0.000000000000000000e+00\n1.0e+01\n2.05e1\n", (0, 10, 20.5), id="numpy.savetxt"),
    ],
)
def test_files_of_times(tmp_path, content, times):
    path = tmp_path / "times.csv"
    path.write_bytes(content)
    assert parse_times(str(path)) == times


@pytest.mark.parametrize(
    ("text", "times"),
    [("0,10,20", (0, 10, 20)), (" 0 ; 13,97 ; 27,94 ", (0, 13.97, 27.94)), ("0 10 2e1", (0, 10, 20))],
)
def test_lists_of_times(text, times):
    assert parse_times(text) == times


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"", "no number", id="empty"),
        pytest.param(b"\n\n", "no number", id="blank"),
        pytest.param(b"hr_time\n", "no number", id="header only"),
        pytest.param(b"0\n10\nend\n", "'end' in line 3", id="a word"),
        pytest.param(b"0\n10 ms\n", "'ms' in line 2", id="a unit"),
        pytest.param(b"0\n1_0\n", "'1_0' in line 2", id="an underscore"),
        pytest.param(b"index,hr_time\n0,0\n1,10\n2,20\n", "two columns", id="two columns"),
        pytest.param(b"time [s]\n0\n0.1\n", r"\(s\)", id="seconds"),
        pytest.param(b"t_ms\n0\n100\n", r"\(ms\)", id="milliseconds"),
        pytest.param(b"II*\0\0\0\0\0", "no text", id="a TIFF"),
    ],
)
def test_other_files_are_refused(tmp_path, content, said):
    path = tmp_path / "times.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        parse_times(str(path))
    assert caught.value.setting == "hr_times"
    assert caught.value.subject == str(path)


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        parse_times(str(tmp_path / "times.csv"))
    with pytest.raises(InputError, match="directory"):
        parse_times(str(tmp_path))


@given(
    times=st.lists(st.integers(-9, 10**7).map(lambda n: n / 64), min_size=1, max_size=9, unique=True).map(
        sorted
    ),
    separator=st.sampled_from(["\n", "\r\n", ",", ";", ", ", "\t", " ;\n", "\n\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
    header=st.sampled_from(["", "HR frames\n", "# LR frames\n", '"hr_times"\r\n', "\n% a\n"]),
)
def test_what_is_saved_is_read(tmp_path_factory, times, separator, encoding, header):
    path = tmp_path_factory.mktemp("times") / "t.txt"
    path.write_bytes((header + separator.join(map(repr, times))).encode(encoding))
    assert parse_times(str(path)) == tuple(times)
