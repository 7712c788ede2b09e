"""Statements of the paper, tested on the results of a sequence: each holds, does not hold, or was not tested."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from napari_xfusion.lab.study.plan import Setting
from napari_xfusion.lab.study.results import TWO_CAMERAS, SequenceResults


@dataclass(frozen=True)
class Statement:
    """A statement of the paper and its outcome here."""

    text: str
    paper: str
    """Its numbers in the paper."""
    holds: bool | None
    """None where it could not be tested."""
    found: str
    """The numbers here, or the reason why there are none."""


Finding = tuple[bool | None, str]
VISIBLE = 0.1
"""Change of normalised attention from one HR frame to the next that is more than drift."""


def statements(results: SequenceResults) -> list[Statement]:
    """Test every statement on one sequence. Medians are of PSNR over unseen frames, in dB."""
    return [Statement(text, paper, *_checked(check, results)) for text, paper, check in STATEMENTS]


def _checked(check: Callable[[SequenceResults], Finding], results: SequenceResults) -> Finding:
    holds, found = check(results)
    return (None, found or "not tested") if holds is None else (bool(holds), found)


def _above_bicubic(results: SequenceResults) -> Finding:
    others = {name: results.median(name) for name in results.series if results.method(name) != "bicubic"}
    base = results.median("bicubic") if "bicubic" in results.series else float("nan")
    if not others or not np.isfinite([base, *others.values()]).all():
        return None, "no finite medians to compare"
    below = [f"{name} {value:.2f}" for name, value in others.items() if value <= base]
    above = [f"{name} {value:.2f}" for name, value in others.items() if value > base]
    said = [f"bicubic {base:.2f}", *(["above: " + ", ".join(above)] if above else [])]
    return not below, "; ".join(said + (["not above: " + ", ".join(below)] if below else []))


def _bayesian_below_stf(results: SequenceResults) -> Finding:
    return _compare(results, "bayesian-paper", "edvr-stf", lambda bayes, stf: bayes < stf)


def _stf_above_edvr(results: SequenceResults) -> Finding:
    return _compare(results, "edvr-stf", "edvr", lambda stf, edvr: stf > edvr)


def _stf_above_edvr_at_the_ends(results: SequenceResults) -> Finding:
    ends = [c for name, c in results.sweep("hr_step").items() if name.endswith("(ends)")]
    if not ends:
        return None, "the first and last HR frame alone are not in the study"
    return _compare(results, "edvr-stf", "edvr", lambda stf, edvr: stf > edvr, ends[0])


def _compare(
    results: SequenceResults,
    one: str,
    other: str,
    test: Callable[[float, float], bool],
    condition: str | None = None,
) -> Finding:
    """Compare the medians of the best series of two methods; `lite` counts as EDVR-STF."""
    best = {}
    for method in (one, other):
        group = TWO_CAMERAS if method == "edvr-stf" else (method,)
        names = [name for name in results.series if results.method(name) in group]
        medians = {name: results.median(name, condition=condition) for name in names}
        finite = {name: value for name, value in medians.items() if np.isfinite(value)}
        if not finite:
            return None, f"no result of {method}"
        name = max(finite, key=lambda n: finite[n])
        best[name] = finite[name]
    (a, x), (b, y) = best.items()
    return test(x, y), f"{a} {x:.2f}, {b} {y:.2f}"


def _bayesian_passes_edvr(results: SequenceResults) -> Finding:
    edvr = results.best(results.networks("edvr")) if results.networks("edvr") else None
    sweep = results.sweep("lr_psnr")
    if edvr is None or not sweep or "bayesian-paper" not in results.series:
        return None, "no result of edvr, or no noise in the study"
    pairs = {
        label: (results.median("bayesian-paper", condition=c), results.median(edvr, condition=c))
        for label, c in sweep.items()
    }
    above = {label: bayes > network for label, (bayes, network) in pairs.items()}
    said = ", ".join(f"{label}: {bayes:.2f} and {network:.2f}" for label, (bayes, network) in pairs.items())
    flags = list(above.values())
    return not flags[0] and flags[-1] and flags == sorted(flags), f"bayesian-paper and {edvr} at {said}"


def _is_monotonic(setting: Setting, *, rising: bool, networks: bool) -> Callable[[SequenceResults], Finding]:
    """Make a check that the medians of every method that the setting affects are monotonic along its axis."""

    def check(results: SequenceResults) -> Finding:
        sweep = results.sweep(setting)
        names = results.networks() if networks else results.series
        if setting == "hr_step":  # these two take no HR
            names = [name for name in names if results.method(name) not in ("bicubic", "edvr")]
        if not sweep or not names:
            return None, "not in the study" if not sweep else "no network in the study"
        follow: list[str] = []
        not_so: list[str] = []
        for name in names:
            medians = np.array([results.median(name, condition=c) for c in sweep.values()])
            steps = np.diff(np.round(medians, 2))  # as they are shown
            ok = bool((steps > 0).all() if rising else (steps < 0).all())
            (follow if ok else not_so).append(f"{name} {' → '.join(f'{m:.2f}' for m in medians)}")
        said = [f"along {', '.join(sweep)}: "]
        said += ["; ".join(follow)] if follow else []
        said += [("; " if follow else "") + "not so: " + "; ".join(not_so)] if not_so else []
        return not not_so, "".join(said)

    return check


def _attention(results: SequenceResults) -> Finding:
    found: list[tuple[bool, str]] = []
    for name in results.networks(*TWO_CAMERAS):
        scores = results.attention(name)
        known = None if scores is None else np.isfinite(scores.backward) & np.isfinite(scores.forward)
        if scores is None or known is None or len(set(scores.relative[known].tolist())) < 3:
            continue
        steps = sorted(set(scores.relative[known].tolist()))
        back, ahead = (
            np.array([values[known & (scores.relative == r)].mean() for r in steps])
            for values in (scores.backward, scores.forward)
        )
        falls, rises = (
            float(np.corrcoef(steps, curve)[0, 1]) if curve.std() else 0.0 for curve in (back, ahead)
        )
        ok = falls < -0.5 and rises > 0.5 and min(back[1] - back[-1], ahead[-1] - ahead[1]) > VISIBLE
        said = (
            f"{name}{'' if ok else ', not so'}: backward {back[1]:.2f} at {steps[1]} to {back[-1]:.2f} at "
            f"{steps[-1]} frames after the HR frame (correlation {falls:.2f}), forward {ahead[1]:.2f} to "
            f"{ahead[-1]:.2f} ({rises:.2f}), of {scores.of}s"
        )
        found.append((ok, said))
    if not found:
        return None, "no network with HR inputs in the study, or too few frames between HR frames"
    return all(ok for ok, _ in found), "; ".join(said for _, said in found)


STATEMENTS: tuple[tuple[str, str, Callable[[SequenceResults], Finding]], ...] = (
    ("Every method is above bicubic", "in both sequences (Fig. 4)", _above_bicubic),
    ("The Bayesian median is below EDVR-STF", "in both sequences (Fig. 4)", _bayesian_below_stf),
    ("EDVR-STF is above EDVR", "in both sequences at HR every 20th frame (Fig. 5)", _stf_above_edvr),
    (
        "EDVR-STF is above EDVR with the first and last HR frame only",
        "32.34 and 31.31 dB in one sequence; not in the other, 34.31 and 34.45 dB",
        _stf_above_edvr_at_the_ends,
    ),
    (
        "The Bayesian method is below EDVR in strong noise and above it at low LR noise",
        "at an LR PSNR of 40 and 50 dB (Fig. 4)",
        _bayesian_passes_edvr,
    ),
    (
        "Quality rises with the LR PSNR",
        "for all methods (Fig. 4)",
        _is_monotonic("lr_psnr", rising=True, networks=False),
    ),
    (
        "Quality falls with the HR step",
        "for all methods that take HR (Fig. 5)",
        _is_monotonic("hr_step", rising=False, networks=False),
    ),
    (
        "Quality of the networks falls with the separation",
        "Figs S3 and S4",
        _is_monotonic("separation", rising=False, networks=True),
    ),
    (
        "Attention decreases after the previous HR frame and increases towards the next",
        "backward above 0.8 one frame after, below 0.3 nineteen after; forward mirrors it (Fig. 7)",
        _attention,
    ),
)
"""The text, the numbers of the paper and the check of every statement, in the order of the page."""


def counts(found: list[Statement]) -> Iterator[tuple[str, int]]:
    """Count the statements that hold, do not hold, and were not tested."""
    for word, holds in (("hold", True), ("do not hold", False), ("could not be tested", None)):
        yield word, sum(statement.holds is holds for statement in found)
