"""Words that are not used here, and what is used instead: in README, the pages, and the text inside the code.

A word that is in use from before may be used ``left`` times, all files together, and that number only falls: the test
fails where it grows, and says where it can be lowered.
"""

import io
import re
import tokenize
from functools import cache

import pytest

from tests.docs.blocks import ROOT

WORDS = (
    # word, what to use instead, how often it is left
    (r"films?", "image sequence", 0),
    (r"result box", "output", 0),
    (r"went on", "resumed, continued", 0),
    (r"go(es)? on", "resume, continue", 1),
    (r"(is|are|was|were) told", "the error or warning says, reports", 0),
    (r"(is|are|was|were) said", "the error or warning says, reports", 0),
    (r"to be had", "available", 0),
    (r"at hand", "available", 0),
    (r"back-?projections?", "interpolation: backprojection is tomography", 0),
    (r"doors?", "interface, input", 0),
    (r"rooms?", "memory, space, margin", 5),
    (r"houses?", "the plain word", 0),
    (r"roads?", "path", 0),
    (r"believe[sd]?", "combine by variances, assume", 0),
    (r"noted", "recorded, warned", 0),
    (r"carried", "warped", 0),
    (r"windows?", "input frames, frame group", 5),
    (r"whole", "complete", 32),
    (r"kept", "saved, stored, unchanged", 14),
    (r"still", "static", 8),
    (r"besides?", "next to, in addition to", 35),
)
PLACES = {
    ("carried", "carried out"): "done: a term of experiments, not of motion",
    ("windows?", "Windows"): "the operating system, not a window",
    ("windows?", "napari window"): "the window on the screen",
    ("windows?", "a window or a command line"): "the window on the screen",
    ("windows?", "opens a window"): "the window on the screen, in titles of code blocks",
    ("windows?", "open a window"): "the window on the screen, which needs libraries",
    ("windows?", "images/window-"): "file names of pictures of napari",
    ("windows?", "benchmarks/window.py"): "the file that measures the window on the screen",
    ("windows?", "tests of windows"): "windows on the screen, in the recipes for tests",
    ("windows?", "make windows"): "the target of the Makefile for a screen in memory",
}
"""What is meant all the same: (word, text around it) and why. Such text is left out of the count."""


ELSEWHERE = {
    "windows?": (
        "src/napari_xfusion/ui/",
        "src/napari_xfusion/core/doctor.py",
        "src/napari_xfusion/core/display.py",
    )
}
"""Places where a word has its usual meaning, here that of a window on the screen: they are not counted."""


def spoken(path):
    """The text that somebody reads: a page, or the strings, docstrings and comments of a module."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return text
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", None)}
    return "\n".join(
        t.string for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type in kinds
    )


@cache
def texts():
    pages = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")]
    paths = [*pages, *(ROOT / "docs").rglob("*.md"), *(ROOT / "src").rglob("*.py")]
    return {path.relative_to(ROOT).as_posix(): spoken(path) for path in sorted(paths)}


@pytest.mark.parametrize(("word", "instead", "left"), WORDS, ids=[word for word, _, _ in WORDS])
def test_a_word_is_used_no_more_often_than_before(word, instead, left):
    meant = "|".join(re.escape(place) for listed, place in PLACES if listed == word) or "(?!)"
    found = {}
    for path, text in texts().items():
        if path.startswith(ELSEWHERE.get(word, ())):
            continue
        hits = re.findall(rf"\b(?:{word})\b", re.sub(meant, "", text), re.IGNORECASE)
        if hits:
            found[path] = len(hits)
    count = sum(found.values())
    assert count <= left, f"{word!r}: use {instead!r} instead; {count} where {left} were left: {found}"
    if count < left:
        print(f"{word!r}: {left} can be lowered to {count} in {__name__}")


def test_every_exception_is_of_a_listed_word_and_has_a_reason():
    words = {word for word, _, _ in WORDS}
    assert words.issuperset(ELSEWHERE)
    assert all(word in words and len(why) > 20 for (word, _), why in PLACES.items())
