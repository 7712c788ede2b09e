"""Every error and warning of the package as each front end says it."""

from __future__ import annotations

import ast
import pickle
import re
from pathlib import Path

import pytest

import napari_xfusion
from napari_xfusion import errors
from napari_xfusion.cli.words import in_options
from napari_xfusion.errors import SETTINGS, OutputExistsError, WriteError, XFusionError, XFusionWarning
from napari_xfusion.ui.shared.words import FIELDS, in_window_words

SOURCES = Path(napari_xfusion.__file__).parent
CLASSES = {name: value for name, value in vars(errors).items() if isinstance(value, type)}
ERRORS = {name: kind for name, kind in CLASSES.items() if issubclass(kind, XFusionError)}
FIELD_NAMES = ("expected", "found", "problem", "hint", "setting", "text")
OPTION = re.compile(r"--[a-z]|(?<!\S)-o\b")
LEFT = re.compile(r"\{[a-z_]*\}")
SENTENCES = re.compile(r".*[.!?][\"')]*$")


def filled(node: ast.expr | None) -> str:
    """A text of the source, with ``x`` for what is known only when it runs."""
    match node:
        case ast.Constant(value=str()):
            return node.value
        case ast.Name(id="setting") | ast.FormattedValue(value=ast.Name(id="setting")):
            return "hr_times"
        case ast.JoinedStr():
            return "".join(filled(part) for part in node.values)
        case ast.BinOp(op=ast.Add()):
            return filled(node.left) + filled(node.right)
        case ast.Constant(value=None) | None:
            return ""
        case _:
            return "x"


def sites():
    """Every error and warning that the package makes, with where it stands and the names it mentions."""
    for path in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            fields = {word.arg: filled(word.value) for word in node.keywords if word.arg in FIELD_NAMES}
            place = f"{path.relative_to(SOURCES).as_posix()}:{node.lineno}"
            if node.func.id in ERRORS and "hint" in fields:
                fields["setting"] = fields.get("setting") or None
                subject = filled(node.args[0]) if node.args else None
                yield pytest.param(ERRORS[node.func.id](subject, **fields), id=place)
            elif node.func.id == "XFusionWarning":
                code, text, *subject = (filled(argument) for argument in node.args)
                text = "a text of the source." if text == "x" else text
                yield pytest.param(XFusionWarning(code, text, *subject), id=place)


SITES = list(sites())


def test_the_sites_are_found():
    assert len(SITES) > 100
    assert {type(site.values[0]) for site in SITES} >= {OutputExistsError, XFusionWarning}


@pytest.mark.parametrize("said", SITES)
def test_both_front_ends_say_it_in_sentences_by_their_own_names(said):
    window, line, python = in_window_words(said), in_options(said), str(said)
    for text in (window, line, python):
        assert not LEFT.search(text), text
        assert SENTENCES.fullmatch(text), text
        assert "\n" not in text
    if "pip install" not in window:
        assert not OPTION.search(window), window
        assert not OPTION.search(python), python
    for field in ("subject", "expected", "found", "problem", "hint", "text"):
        for name in re.findall(r"\{([a-z_]+)\}", getattr(said, field, "")):
            assert name in SETTINGS
            assert f"--{name.replace('_', '-')}" in line


@pytest.mark.parametrize("kind", ERRORS.values(), ids=ERRORS)
def test_every_class_keeps_its_fields_between_processes(kind):
    error = kind("a.tif", expected="two", found="one", hint="give {hr_times}", setting="hr_times")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - its own
    assert type(copy) is kind
    assert vars(copy) == vars(error)
    assert str(copy) == str(error) == "a.tif: expected two, found one. Give hr_times."
    assert in_options(copy) == "a.tif: expected two, found one. Give --hr-times."
    assert in_window_words(copy) == "a.tif: expected two, found one. Give HR times."


def test_an_error_about_a_setting_begins_with_its_name():
    error = XFusionError(setting="frames", problem="they lie outside the LR sequence", hint="choose others")
    assert in_options(error) == "--frames: they lie outside the LR sequence. Choose others."
    assert in_window_words(error) == "Frames: they lie outside the LR sequence. Choose others."
    assert str(error) == "frames: they lie outside the LR sequence. Choose others."


def test_braces_in_names_of_files_stay():
    error = WriteError("{a}.tif", expected="room", found="'no {b}'", hint="choose another")
    assert (
        in_options(error)
        == in_window_words(error)
        == "{a}.tif: expected room, found 'no {b}'. Choose another."
    )


def test_a_warning_is_a_sentence_with_its_subject():
    warning = XFusionWarning("grey-rule", "the model was trained with {grey} match.", "m.safetensors")
    assert in_options(warning) == "m.safetensors: the model was trained with --grey match."
    assert in_window_words(warning) == "m.safetensors: the model was trained with grey values match."


def test_unexpected_errors_name_their_kind():
    assert in_window_words(ValueError("wrong")).startswith("Unexpected ValueError, see the log ")
    assert in_options(ValueError("wrong\nhere")) == "unexpected ValueError: wrong here"


def test_the_core_and_the_lab_know_no_option():
    """Names of options stand in docstrings at most; texts mention settings."""
    for path in (*SOURCES.glob("core/**/*.py"), *SOURCES.glob("lab/**/*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        texts = [node for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg in FIELD_NAMES]
        for text in texts:
            assert not OPTION.search(filled(text.value)), f"{path}:{text.value.lineno}"


def test_the_window_names_only_settings():
    assert set(FIELDS) <= SETTINGS
