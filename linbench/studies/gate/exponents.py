"""Exponents and verdicts on growth of two runs, series by series."""

import hashlib
import math
from dataclasses import replace

import numpy as np

from linbench.run.runs import Runs, Series, series_of
from linbench.stats import moderated
from linbench.stats.moderated import Typical
from linbench.studies.gate.cases import Pair
from linbench.studies.gate.findings import EXPONENT, Finding, Pending, Verdict
from linbench.studies.scaling.exponent import TAIL_SIZES, tail_sizes
from linbench.studies.scaling.growth import scaling_of
from linbench.words import EXPONENT as UNIT

MAX_STEEPER = 0.1
MAX_STEEPER_ELSEWHERE = 0.5
"""On another machine fixed and linear costs end at another n, which tilts the exponents of the n
that were measured; half of what lies between linear and quadratic is beyond that."""


def exponents(pair: Pair) -> tuple[list[Pending], list[Finding]]:
    """Compare the exponents of costs of the series that two runs share, over the sizes of both.

    Returns:
        Findings on exponents, still without intervals, and changes of the verdict on growth from
        linear (or linearithmic) to quadratic or back.
    """
    pending, growth = [], []
    shared = set(pair.shared)
    baseline, candidate = (
        run.only(lambda record: record.case_id in shared) for run in (pair.baseline, pair.candidate)
    )
    for metric in Runs((baseline, candidate)).metrics:
        if not metric.is_cost:
            continue
        known = {series.key: series for series in series_of(baseline, metric.name)}
        for new in series_of(candidate, metric.name):
            sizes = set(known[new.key].sizes) & set(new.sizes) if new.key in known else set()
            if len(sizes) >= TAIL_SIZES:
                both = known[new.key].over(sizes), new.over(sizes)
                pending.append(_compared(*both, pair))
                growth += _growth(pending[-1].finding, *both)
    return pending, growth


def _compared(old: Series, new: Series, pair: Pair) -> Pending:
    tail = tail_sizes(old)
    slopes = _slope(old, tail), _slope(new, tail)
    key, metric = new.key, new.metric.name
    digest = hashlib.sha256(key.model_dump_json(exclude_none=True).encode()).hexdigest()[:8]
    finding = Finding(
        case_id=f"{key.label.replace(' ', '-').replace('/', '_')}-{metric}-{digest}",
        label=key.label,
        at=new.panel.problem.problem_words,
        metric=EXPONENT,
        baseline=slopes[0].value,
        candidate=slopes[1].value,
        unit=UNIT,
        detail=f"of {metric} over n = {tail[0]} to {tail[-1]}",
    )
    if pair.merged:  # one more run differs from others at least as they from each other
        slopes = slopes[0], _no_surer(slopes[1], _slope(old, tail, alone=True))
    steeper = moderated.difference(*slopes)
    error = None if steeper.error is None else steeper.error * math.log(2) ** 2
    per_doubling = replace(steeper, value=steeper.value * math.log(2), error=error)
    limit = 2 ** (MAX_STEEPER if pair.same_machine else MAX_STEEPER_ELSEWHERE)
    return Pending(finding, per_doubling, limit)


def _slope(series: Series, sizes: list[int], *, alone: bool = False) -> Typical:
    """Return the slope as `linbench.studies.scaling.exponent` takes it.

    With the noise of a single round if it is `alone`.
    """
    layout = series.layout(sizes)
    noise = 0.0 if series.noiseless else layout.noise
    x = np.log(np.asarray(sizes, dtype=float))
    weights = (x - x.mean()) / ((x - x.mean()) @ (x - x.mean()))
    value = float(weights @ layout.effects)
    if not noise:
        return Typical(value, noise)
    unscaled = weights @ weights if alone else weights @ layout.unscaled @ weights
    return Typical(value, noise**2 * float(unscaled), layout.freedom)


def _no_surer(slope: Typical, than: Typical) -> Typical:
    if slope.error is None or than.error is None:
        return replace(slope, error=None)
    return slope if slope.error > than.error else replace(than, value=slope.value)


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
