"""Tables of test cases: which cells of a crossed table belong to the quick tests."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import pytest


def crossed(*columns: Sequence[Any]) -> list[Any]:
    """Every combination of one value of each column; all but a diagonal are marked ``slow``.

    The diagonal is as long as the longest column and goes through the others again and again: each value of each
    column is among the quick tests, and every pair of values among those of `make soak`.
    """
    lengths = [len(column) for column in columns]
    diagonal = {tuple(i % length for length in lengths) for i in range(max(lengths))}
    return [
        pytest.param(
            *(column[i] for column, i in zip(columns, places, strict=True)),
            marks=() if places in diagonal else pytest.mark.slow,
        )
        for places in product(*map(range, lengths))
    ]
