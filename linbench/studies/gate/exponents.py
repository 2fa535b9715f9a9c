"""Exponents and verdicts on growth of two runs, series by series."""

import hashlib
import math
from dataclasses import replace

import numpy as np

from linbench.run.case import Case
from linbench.run.runs import Runs, Series, series_of
from linbench.stats import moderated
from linbench.stats.moderated import Typical
from linbench.studies.gate.cases import Pair
from linbench.studies.gate.findings import EXPONENT, Finding, Pending, Verdict
from linbench.studies.scaling.analyse import scaling_of
from linbench.studies.scaling.exponent import TAIL_SIZES, tail_sizes
from linbench.words import EXPONENT as UNIT

MAX_STEEPER = 0.1
MAX_STEEPER_ELSEWHERE = 0.5
"""On another machine fixed and linear costs end at another n, which tilts the exponents of the n
that were measured; half of what lies between linear and quadratic is beyond that."""


def exponents(pair: Pair) -> tuple[list[Pending], list[Finding]]:
    """Compare the exponents of the series that two runs share, over the sizes that both measured.

    Of what costs something: a metric on a log scale of which less is better.

    Returns:
        Findings on exponents, still without intervals, and changes of the verdict on growth from
        linear (or linearithmic) to quadratic or back.
    """
    limit = 2 ** (MAX_STEEPER if pair.same_machine else MAX_STEEPER_ELSEWHERE)
    pending, growth = [], []
    shared = set(pair.shared)
    runs = [run.only(lambda r: r.case_id in shared) for run in (pair.baseline, pair.candidate)]
    for metric in Runs(tuple(runs)).metrics:
        if metric.scale != "log" or metric.better != "less":
            continue
        known = {series.key: series for series in series_of(runs[0], metric.name)}
        for new in series_of(runs[1], metric.name):
            old = known.get(new.key)
            sizes = set(old.sizes) & set(new.sizes) if old else set()
            if old is None or not sizes:
                continue
            both = old.over(sizes), new.over(sizes)
            tail = tail_sizes(both[0])
            if len(tail) < TAIL_SIZES:
                continue
            slopes = [_slope(series, tail) for series in both]
            finding = Finding(
                case_id=_name(new.key, metric.name),
                label=new.key.label,
                at=new.panel.problem.problem_words,
                metric=EXPONENT,
                baseline=slopes[0].value,
                candidate=slopes[1].value,
                unit=UNIT,
                detail=f"of {metric.name} over n = {tail[0]} to {tail[-1]}",
            )
            if pair.merged:  # one more run differs from others at least as they from each other
                slopes[1] = _no_surer(slopes[1], _slope(both[0], tail, alone=True))
            steeper = moderated.difference(slopes[0], slopes[1])
            pending.append(Pending(finding, _per_doubling(steeper), limit))
            growth += _growth(finding, *both)
    return pending, growth


def _name(key: Case, metric: str) -> str:
    digest = hashlib.sha256(key.model_dump_json(exclude_none=True).encode()).hexdigest()[:8]
    return f"{key.label.replace(' ', '-').replace('/', '_')}-{metric}-{digest}"


def _slope(series: Series, sizes: list[int], *, alone: bool = False) -> Typical:
    """Return the slope through some sizes, as `linbench.studies.scaling.exponent` takes it.

    Args:
        series: The readings.
        sizes: The sizes, ascending.
        alone: Whether to give it the noise of a single round.
    """
    layout = series.layout(sizes)
    noise = 0.0 if series.noiseless else layout.noise
    x = np.log(np.asarray(sizes, dtype=float))
    weights = (x - x.mean()) / ((x - x.mean()) @ (x - x.mean()))
    value = float(weights @ layout.effects)
    if noise is None:
        return Typical(value, None)
    if not noise:
        return Typical(value, 0.0)
    unscaled = weights @ weights if alone else weights @ layout.unscaled @ weights
    return Typical(value, noise**2 * float(unscaled), layout.freedom)


def _no_surer(slope: Typical, than: Typical) -> Typical:
    if slope.error is None or than.error is None:
        return replace(slope, error=None)
    return slope if slope.error > than.error else replace(than, value=slope.value)


def _per_doubling(slope: Typical) -> Typical:
    """Return the log of the factor by which costs grow as n doubles."""
    error = None if slope.error is None else slope.error * math.log(2) ** 2
    return replace(slope, value=slope.value * math.log(2), error=error)


def _growth(finding: Finding, before: Series, after: Series) -> list[Finding]:
    """Say that the verdict on growth changed between linear and quadratic, if it did.

    Changes from or to `inconclusive` say nothing, and linear and linearithmic are too near each
    other for a change between them to be more than noise.
    """
    words = [scaling_of(series).growth.word for series in (before, after)]
    if "inconclusive" in words or (words[0] == "quadratic") == (words[1] == "quadratic"):
        return []
    said = f"of {after.metric.name}: {words[0]} → {words[1]}"
    verdict: Verdict = "regression" if words[1] == "quadratic" else "pass"
    return [replace(finding, metric="growth", verdict=verdict, detail=said)]
