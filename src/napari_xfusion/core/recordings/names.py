"""The order and the completeness of frames by the numbers in their names: one set of rules for every way in.

Names are read in three ways: with integers, with decimal numbers (point or comma, exponents), and with thousands
separators. The reading in which one number runs gives the order. Where two numbers run, or two readings give two
orders, the names are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from fractions import Fraction
from itertools import pairwise
from statistics import median_low
from typing import NamedTuple
from unicodedata import normalize

from napari_xfusion.errors import InputError, XFusionWarning

_SIGNS = "-+\u2212"
_INTEGERS = re.compile(r"\d+")
_DECIMALS = re.compile(
    r"(?<![\d.,])\d+[.,]\d+(?![.,]?\d)(?:[eE][-+]?\d{1,3}(?!\d))?|\d+(?:[eE][-+]?\d{1,3}(?!\d))?"
)
_GROUPED = re.compile(r"\d{1,3}([,.'\u2019])\d{3}(?:\1\d{3})*(?!\d)|\d+")
_ENDING = re.compile(r"\.[^.]*$")
_POINT = re.compile(r"\d(?:[.,]|[eE][-+]?)\d")
_SIGNED_EXPONENT, _EXPONENT = re.compile(r"\d[eE][-+]\d"), re.compile(r"\d[eE]\d")
_COUNTED = re.compile(
    r"(?:cam|camera|run|ch|channel|view|pos|position|stereo|take|part|scan|series|exp|shot|test)[\W_]*$", re.I
)
_OF = re.compile(r"(?:^|[\W_\d])of[\W_]*$", re.I)
_PLAIN = 10
"""Steps below this are counted, not measured: a step of 1.5 times the usual one is no jitter."""


class Order(NamedTuple):
    """The order of names, and what is odd about their numbers."""

    places: list[int]
    """The names' places, first frame first."""
    warnings: tuple[XFusionWarning, ...] = ()


class _Column(NamedTuple):
    """One of the numbers in the names."""

    before: str
    values: list[int]
    """In multiples of ``unit``."""
    digits: list[str]
    unit: Fraction = Fraction(1)

    @property
    def runs(self) -> bool:
        return len(set(self.values)) > 1

    @property
    def unique(self) -> bool:
        return len(set(self.values)) == len(self.values)


def in_order(names: Sequence[str], where: object) -> Order:
    """Return the order of frames whose files have ``names``, which may begin with folders.

    Raises InputError that gives the numbers where frames are missing or occur twice, where more than one number
    runs, and where the order is uncertain. Uneven numbers and an unknown end are warnings about ``where``.
    """
    names = [normalize("NFC", x) for x in names]  # umlauts of macOS are two characters
    stems = [_ENDING.sub("", x) for x in names]
    if len(names) < 2 or not any(re.search(r"\d", x) for x in stems):
        places = sorted(range(len(names)), key=lambda i: names[i])
        return Order(places, tuple(_alphabetical([names[i] for i in places], where)))
    column, columns, even = _choose(names, stems, where)
    places = sorted(range(len(names)), key=lambda i: (column.values[i], names[i]))
    ordered, unit = [column.values[i] for i in places], column.unit
    _check_twice(names, places, ordered, where)
    warnings = [*_check_steps(names, places, ordered, unit, where, even=even)]
    warnings += _signs(names, places, column, where)
    warnings += _end(columns, ordered, where) if unit == 1 else ()
    return Order(places, tuple(warnings))


def _alphabetical(ordered: Sequence[str], where: object) -> Iterator[XFusionWarning]:
    if len(ordered) > 1:
        text = (
            f"The names have no numbers; frames are taken in alphabetical order, {ordered[0]} first and {ordered[-1]} "
            "last. Number the files if that is not their order."
        )
        yield XFusionWarning("alphabetical", text, str(where))


def _columns(names: Sequence[str], pattern: re.Pattern[str]) -> list[_Column] | None:
    """Return the numbers of all names, None where the texts between them differ."""
    parsed = [_parts(name, pattern) for name in names]
    if len({len(x) for x in parsed}) != 1:
        return None
    columns = list[_Column]()
    for parts in zip(*parsed, strict=True):
        texts, signs, sure, digits = zip(*parts, strict=True)
        if digits[0] is None:  # what follows the last number
            return columns if len(set(texts)) == 1 else None
        separator = all(signs) and len(set(signs)) == 1 and not all(sure)
        before = [text + sign for text, sign in zip(texts, signs, strict=True)] if separator else texts
        if len(set(before)) != 1:
            return None
        minus = [not separator and sign in ("-", "\u2212") for sign in signs]
        numbers = [_number(x) for x in digits]
        unit = min(0, *(power for _, power in numbers))
        values = [
            (-n if m else n) * 10 ** (power - unit) for (n, power), m in zip(numbers, minus, strict=True)
        ]
        columns.append(_Column(before[0], values, list(digits), Fraction(10) ** unit))
    return columns


def _parts(name: str, pattern: re.Pattern[str]) -> list[tuple[str, str, bool, str | None]]:
    """Return text, sign, whether the sign can be no separator, and digits of each number; then the last text."""
    parts, end = list[tuple[str, str, bool, str | None]](), 0
    for found in pattern.finditer(name):
        text, sign = name[end : found.start()], ""
        if text[-1:] in tuple(_SIGNS):
            text, sign = text[:-1], text[-1]
        joined = text[-1:].isalnum() or (not text and end > 0)
        parts.append((text, sign, not joined, found[0]))
        end = found.end()
    return [*parts, (name[end:], "", False, None)]


def _number(digits: str) -> tuple[int, int]:
    """Return a number exactly: an integer and a power of ten."""
    if digits.isdigit():
        return int(digits), 0
    head, _, exponent = digits.lower().replace(",", ".").partition("e")
    whole, _, fraction = head.partition(".")
    return int(whole + fraction), int(exponent or 0) - len(fraction)


def _grouped(stems: Sequence[str]) -> list[_Column] | None:
    """Return the numbers where some have separators of thousands, 999 and 1,000."""
    if not any(x[1] for stem in stems for x in _GROUPED.finditer(stem)):
        return None
    return _columns([_GROUPED.sub(lambda x: re.sub(r"\D", "", x[0]), stem) for stem in stems], _INTEGERS)


def _choose(names: Sequence[str], stems: Sequence[str], where: object) -> tuple[_Column, list[_Column], bool]:
    """Return the number that runs, all numbers, and whether its steps are to be equal."""
    integers = _columns(stems, _INTEGERS)
    decimals = _columns(stems, _DECIMALS) if any(_POINT.search(x) for x in stems) else None
    grouped = _grouped(stems) if integers is None else None
    readings = {"integers": integers, "decimals": decimals, "thousands": grouped}
    known = {kind: columns for kind, columns in readings.items() if columns is not None}
    found = {kind: x for kind, columns in known.items() if (x := _running(columns)) is not None}
    unique = {kind: x for kind, x in found.items() if x.unique}
    exponents = any(_SIGNED_EXPONENT.search(x) for x in stems) or (
        "integers" not in found and any(_EXPONENT.search(x) for x in stems)
    )
    if integers is not None and "integers" not in found:
        counted = any(x.runs and _COUNTED.search(x.before) for x in integers[:-1])
        most = -1 if counted else 0 if _product(integers) else 2 if exponents else 1
        unique = {kind: x for kind, x in unique.items() if _rank(x) <= most}
    elif integers is None:  # names of two kinds, or some with decimals or separators
        unique = {kind: x for kind, x in unique.items() if exponents or _rank(x) < 2}
    if exponents and "decimals" in unique:
        unique = {"decimals": unique["decimals"]}
    if not unique:
        if not known or integers is None:
            raise _two_kinds(names, stems, where)
        if "integers" in found:  # with numbers twice
            return found["integers"], integers, True
        raise _two_numbers(names, integers, where)
    ranks = {kind: _rank(x) + _against(kind, x) for kind, x in unique.items()}
    kind = min(ranks, key=lambda k: ranks[k])  # the first of equals
    for other, column in unique.items():
        if ranks[other] == ranks[kind] and _order(column) != _order(unique[kind]):
            raise _uncertain(names, unique[kind], column, where)
    return unique[kind], known[kind], not exponents


def _order(column: _Column) -> list[int]:
    return sorted(range(len(column.values)), key=lambda i: column.values[i])


def _rank(column: _Column) -> int:
    """Return how even the numbers are: 0 all steps equal, 1 with few gaps, 2 uneven or with numbers twice."""
    ordered = sorted(column.values)
    steps = [b - a for a, b in pairwise(ordered)]
    if not steps or min(steps) <= 0:
        return 2
    if len(set(steps)) == 1:
        return 0
    missing = sum(x // min(steps) - 1 for x in steps)
    if len(steps) > 2 and _jitter(steps):
        return 1
    return 1 if _gaps(steps) and missing <= len(ordered) else 2


def _against(kind: str, column: _Column) -> int:
    """Return 3 where the digits contradict the reading: 1.05 beside 1.1 is no count, 1.10 beside 1.9 no decimal."""
    fractions = [re.split("[.,]", x)[-1] for x in column.digits]
    if kind == "decimals":
        longest = max(map(len, fractions))
        return 3 * (
            len({*map(len, fractions)}) > 1 and any(x[-1] == "0" and len(x) == longest for x in fractions)
        )
    return 3 * (len({*map(len, fractions)}) > 1 and any(x[0] == "0" and len(x) > 1 for x in fractions))


def _running(columns: list[_Column]) -> _Column | None:
    """Return the one number that orders the names, None where two run independently."""
    running = [x for x in _clocks(columns) if x.runs]
    if len(running) < 2:
        return running[0] if running else columns[0]
    for column in running:
        if column.unique:
            order = _order(column)
            others = [[x.values[i] for i in order] for x in running if x is not column]
            if all(_follows(x) or (_rank(column) == 0 and _measured(x)) for x in others):
                return column
    return None


def _follows(values: list[int]) -> bool:
    """Whether numbers never fall from frame to frame, as a time or the number of a part."""
    return all(a <= b for a, b in pairwise(values))


def _measured(values: list[int]) -> bool:
    """Whether numbers differ too much to count cameras or runs: a temperature, a load."""
    return 2 * len(set(values)) > len(values)


def _product(columns: list[_Column]) -> bool:
    """Whether each value of one running number occurs with each of the others: cameras, runs, channels."""
    running = [x for x in columns if x.runs]
    size = 1
    for column in running:
        size *= len(set(column.values))
    return len(running) > 1 and size == len(columns[0].values)


def _clocks(columns: list[_Column]) -> list[_Column]:
    """Join the numbers of a time of day, with its date and its fraction of a second, to one in seconds."""
    tried = [
        (k, count, *_days(columns, k, len(columns[0].values)))
        for k in range(len(columns))
        for count in (1, 3)
    ]
    for k, count, start, days in sorted(tried, key=lambda x: x[2] == x[0]):  # a date makes a time certain
        seconds = _time_of_day(columns[k : k + count])
        if seconds is None or len(columns) < k + count or (count == 1 and start == k):
            continue
        if not any(x.runs for x in columns[start : k + count]):
            continue
        values = [d * 86400 + s for d, s in zip(days, seconds, strict=True)]
        clock = _Column("", values, columns[k].digits)
        if _product(columns[start : k + count]) and _rank(clock):
            continue
        end = k + count
        if end < len(columns) and _is_fraction(clock, columns[end]):
            fine = columns[end].digits
            power = 10 ** len(fine[0])
            values = [v * power + int(x) for v, x in zip(values, fine, strict=True)]
            clock, end = clock._replace(values=values, unit=Fraction(1, power)), end + 1
        return [*columns[:start], clock, *columns[end:]]
    return columns


def _is_fraction(clock: _Column, after: _Column) -> bool:
    """Whether the number after a time is its fraction of a second, and no count that starts again."""
    groups = dict[int, list[int]]()
    for time, value in zip(clock.values, after.values, strict=True):
        groups.setdefault(time, []).append(value)
    starts = [min(x) for x in groups.values()]
    again = len(starts) > 1 and len(set(starts)) == 1
    return {len(x) for x in after.digits} in ({3}, {6}, {9}) and not clock.unique and not again


def _time_of_day(parts: list[_Column]) -> list[int] | None:
    """Return seconds since midnight of HHMMSS or of HH, MM and SS, None where they can be no time."""
    seconds = []
    for digits in zip(*(x.digits for x in parts), strict=True):
        text = "".join(digits)
        if len(text) != 6 or not text.isdigit() or any(len(x) not in (2, 6) for x in digits):
            return None
        hour, minute, second = int(text[:2]), int(text[2:4]), int(text[4:])
        if hour > 23 or minute > 59 or second > 59:
            return None
        seconds.append(3600 * hour + 60 * minute + second)
    return seconds


def _days(columns: list[_Column], k: int, count: int) -> tuple[int, list[int]]:
    """Return the first of the numbers of the date before number ``k``, and the days; ``k`` and 0 without one."""
    for length in (1, 3):
        parts = columns[max(0, k - length) : k]
        try:
            texts = ["".join(x) for x in zip(*(x.digits for x in parts), strict=True)]
            days = [date(int(x[:4]), int(x[4:6]), int(x[6:])).toordinal() for x in texts if len(x) == 8]
        except ValueError:
            continue
        if len(parts) == length and len(days) == count:
            return k - length, days
    return k, [0] * count


def _jitter(steps: Sequence[int]) -> bool:
    """Whether steps differ as times do that a camera measures."""
    usual = median_low(steps)
    return max(steps) <= 1.5 * usual and 2 * min(steps) >= usual


def _gaps(steps: Sequence[int]) -> bool:
    """Whether at least half of the steps are the smallest one, and the others multiples of it."""
    step = min(steps)
    return 2 * steps.count(step) >= len(steps) and not any(x % step for x in steps)


def _check_twice(names: Sequence[str], places: list[int], ordered: list[int], where: object) -> None:
    for (i, j), (a, b) in zip(pairwise(places), pairwise(ordered), strict=True):
        if a == b:
            raise InputError(
                where,
                expected="one file per number",
                found=f"{names[i]} and {names[j]}",
                hint="remove one of them",
            )


def _check_steps(
    names: Sequence[str], places: list[int], ordered: list[int], unit: Fraction, where: object, *, even: bool
) -> Iterator[XFusionWarning]:
    """Raise InputError naming the frames that are missing; yield a warning where steps are uneven."""
    steps = [b - a for a, b in pairwise(ordered)]
    step, usual = min(steps), median_low(steps)
    if len(set(steps)) == 1:
        return
    if even and _gaps(steps):
        gaps = [(a + step, b - step) for a, b in pairwise(ordered) if b - a > step]
        missing = sum((b - a) // step + 1 for a, b in gaps)
        raise InputError(
            where,
            expected=f"numbers in steps of {_text(step * unit)}",
            found=f"{missing} missing: {_ranges(gaps, unit)}",
            hint="copy the missing frames, or rename the files if none is missing",
        )
    if (usual >= _PLAIN or unit < 1) and _jitter(steps):
        return
    gaps = [(a + step, b - step) for a, b in pairwise(ordered) if b - a > step]
    missing = sum((b - a) // step + 1 for a, b in gaps)
    wide = [(names[places[k]], names[places[k + 1]]) for k, x in enumerate(steps) if x > 1.5 * usual]
    between = ", ".join(f"{a} and {b}" for a, b in wide[:3]) + (", ..." if wide[3:] else "")
    lost = f"; frames may be missing between {between}" if between else ""
    if not any(x % step for x in steps) and missing <= 2 * len(ordered):
        lost = f"; in steps of {_text(step * unit)}, {missing} are missing: {_ranges(gaps, unit)}"
    text = (
        f"The numbers in the names increase in unequal steps, from {_text(step * unit)} to "
        f"{_text(max(steps) * unit)}{lost}. Frames are taken as equally spaced in time."
    )
    yield XFusionWarning("uneven-numbers", text, str(where))


def _signs(
    names: Sequence[str], places: list[int], column: _Column, where: object
) -> Iterator[XFusionWarning]:
    if max(column.values) < 0:
        text = (
            f"The '-' before the numbers is taken as a sign: the first frame is {names[places[0]]}, the last "
            f"{names[places[-1]]}. Rename the files if it is a separator."
        )
        yield XFusionWarning("negative-numbers", text, str(where))


def _end(columns: list[_Column], ordered: list[int], where: object) -> Iterator[XFusionWarning]:
    """Compare with the number of frames that names such as 3_of_20 give."""
    total = next((x.values[0] for x in columns if not x.runs and _OF.search(x.before)), None)
    step = ordered[1] - ordered[0]
    if total is None or step != 1 or not 1 <= total < 10**9:
        return
    first = 0 if ordered[0] == 0 else 1
    if ordered[0] > 1:
        raise InputError(
            where,
            expected=f"frames from 1 to {total}",
            found=f"{ordered[0] - 1} missing: {_ranges([(1, ordered[0] - 1)], Fraction(1))}",
            hint="copy the missing frames, or rename the files if none is missing",
        )
    if ordered[-1] < total - 1 + first:
        yield planned(len(ordered), total, str(where))


def planned(found: int, frames: int, where: str, state: str = "are available") -> XFusionWarning:
    """Return the warning about a recording that has fewer frames than were planned."""
    text = f"{found} of {frames} planned frames {state}."
    return XFusionWarning("planned-frames", text, where)


def _ranges(gaps: Sequence[tuple[int, int]], unit: Fraction) -> str:
    ends = [(_text(a * unit), _text(b * unit)) for a, b in gaps[:5]]
    return ", ".join(a if a == b else f"{a} to {b}" for a, b in ends) + (", ..." if gaps[5:] else "")


def _text(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.10g}"


def _two_kinds(names: Sequence[str], stems: Sequence[str], where: object) -> InputError:
    kinds = [tuple(text for text, *_ in _parts(stem, _INTEGERS)) for stem in stems]
    firsts = {
        kind: min(n for n, k in zip(names, kinds, strict=True) if k == kind) for kind in sorted({*kinds})
    }
    first, second = [*firsts.values(), max(names)][:2]
    return InputError(
        where,
        expected="frames of one kind with names that differ only in their number",
        found=f"{first} and {second}",
        hint="keep one sequence per folder",
    )


def _two_numbers(names: Sequence[str], columns: list[_Column], where: object) -> InputError:
    running = [x for x in columns if x.runs]
    ends = " and ".join(
        f"{_text(min(x.values) * x.unit)} to {_text(max(x.values) * x.unit)}" for x in running
    )
    places = sorted(range(len(names)), key=lambda i: [x.values[i] for x in columns])
    return InputError(
        where,
        expected="names in which one number runs",
        found=f"{names[places[0]]}, {names[places[1]]} ... {names[places[-1]]}, in which {len(running)} run: {ends}",
        hint="keep the frames of one camera, run or channel in a folder of their own",
    )


def _uncertain(names: Sequence[str], one: _Column, other: _Column, where: object) -> InputError:
    pairs = zip(_order(one), _order(other), strict=True)
    a, b = next((names[i], names[k]) for i, k in pairs if i != k)
    return InputError(
        where,
        expected="numbers that can be read in one way",
        found=f"{a} before {b} as integers, and after it as decimal numbers",
        hint="give all numbers the same number of digits",
    )
