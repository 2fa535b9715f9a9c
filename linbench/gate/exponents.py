"""Exponents and verdicts on growth of two runs, series by series."""

import hashlib
import math
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np

from linbench.analysis import moderated
from linbench.analysis.exponent import TAIL_SIZES, tail_sizes
from linbench.analysis.moderated import Typical
from linbench.analysis.scaling import scaling_of
from linbench.analysis.series import Series, Setup, series_of
from linbench.gate.counts import is_exact
from linbench.gate.verdicts import Comparison, Pending, Verdict

if TYPE_CHECKING:
    import pandas as pd

MAX_STEEPER = 0.1
MAX_STEEPER_ELSEWHERE = 0.5
"""On another machine fixed and linear costs end at another n, which tilts the exponents of the n
that were measured; half of what lies between linear and quadratic is beyond that."""


def exponents(
    before: "pd.DataFrame", after: "pd.DataFrame", *, same_machine: bool, merged: bool
) -> tuple[list[Pending], list[Comparison]]:
    """Compare the exponents of the series that two runs share, over the sizes that both measured.

    Returns:
        Comparisons of exponents, still without intervals, and changes of the verdict on growth
        from linear (or linearithmic) to quadratic or back.
    """
    limit = 2 ** (MAX_STEEPER if same_machine else MAX_STEEPER_ELSEWHERE)
    pending, growth = [], []
    for metric in ("time", "memory"):
        old_ones = {_key(one.setup): one for one in series_of(before, metric)}
        for new in series_of(after, metric):
            old = old_ones.get(_key(new.setup))
            if old is None:
                continue
            sizes = set(old.sizes) & set(new.sizes)
            both = _only(old, sizes), _only(new, sizes)
            tail = [n for n in tail_sizes(both[0]) if n in sizes] if sizes else []
            if len(tail) < TAIL_SIZES:
                continue
            slopes = [_slope(one, tail) for one in both]
            one = Comparison(
                case_id=_name(new.setup, metric),
                label=new.setup.label,
                at=new.setup.panel.label,
                metric="exponent",
                verdict="inconclusive",
                baseline=slopes[0].value,
                candidate=slopes[1].value,
                detail=f"of {metric} over n = {tail[0]} to {tail[-1]}",
            )
            if merged:  # one more run differs from the others at least as they from each other
                slopes[1] = _no_surer(slopes[1], _slope(both[0], tail, alone=True))
            steeper = moderated.difference(slopes[0], slopes[1])
            pending.append(Pending(one, _per_doubling(steeper), limit))
            growth += _growth(one, *both)
    return pending, growth


def _key(setup: Setup) -> Setup:
    return replace(setup, run_id="", fingerprint="")


def _name(setup: Setup, metric: str) -> str:
    fields = repr(sorted(asdict(_key(setup)).items()))
    digest = hashlib.sha256(fields.encode()).hexdigest()[:8]
    return f"{setup.label.replace(' ', '-').replace('/', '_')}-{metric}-{digest}"


def _only(series: Series, sizes: set[int]) -> Series:
    return replace(series, cells=tuple(cell for cell in series.cells if cell.n in sizes))


def _slope(series: Series, sizes: list[int], *, alone: bool = False) -> Typical:
    """Return the slope through some sizes, as `linbench.analysis.exponent` takes it.

    Args:
        series: The measured cells.
        sizes: The sizes, ascending.
        alone: Whether to give it the noise of a single round.
    """
    layout = series.layout(sizes)
    noise = 0.0 if series.metric == "memory" and is_exact(series) else layout.noise
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


def _growth(one: Comparison, before: Series, after: Series) -> list[Comparison]:
    """Say that the verdict on growth changed between linear and quadratic, if it did.

    Changes from or to `inconclusive` say nothing, and linear and linearithmic are too near each
    other for a change between them to be more than noise.
    """
    words = [scaling_of(series).verdict.word for series in (before, after)]
    if "inconclusive" in words or (words[0] == "quadratic") == (words[1] == "quadratic"):
        return []
    said = f"{one.detail.split(' over')[0]}: {words[0]} → {words[1]}"
    verdict: Verdict = "regression" if words[1] == "quadratic" else "pass"
    return [replace(one, metric="growth", verdict=verdict, detail=said)]
