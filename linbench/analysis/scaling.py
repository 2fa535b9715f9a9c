"""What the scaling command answers: exponents, verdicts and crossovers of one or more runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from linbench.analysis.counts import expected_exponent, needed_n, predicted_exponent
from linbench.analysis.crossover import Crossover, crossover
from linbench.analysis.exponent import Exponent, exponent, local_slopes
from linbench.analysis.laws import Law, fit_laws
from linbench.analysis.series import (
    EXACT,
    METRICS,
    Metric,
    Point,
    Series,
    as_fields,
    panels_of,
    series_of,
)
from linbench.analysis.stats import Interval
from linbench.analysis.verdict import Evidence, Verdict, judge

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Scaling:
    """What one series says about how its cost grows with n.

    Attributes:
        series: The measured cells.
        points: The typical value at each size.
        exponent: The slope over the tail.
        local: The slopes between neighbouring sizes, `(n, next n, slope)`.
        expected: The exponent that theory gives for n without bound, if known.
        predicted: The exponent that operation counts give over the tail, if known.
        laws: The laws fitted to all sizes, the best first; none below three sizes.
        verdict: One word with its grounds.
    """

    series: Series
    points: tuple[Point, ...]
    exponent: Exponent
    local: tuple[tuple[int, int, Interval], ...]
    expected: float | None
    predicted: float | None
    laws: tuple[Law, ...]
    verdict: Verdict


@dataclass(frozen=True)
class Answer:
    """What the scaling command answers about one or more runs."""

    scalings: tuple[Scaling, ...]
    crossovers: tuple[Crossover, ...]


def analyse(frame: "pd.DataFrame", metrics: Sequence[Metric] = METRICS) -> Answer:
    """Fit every series of a run table and find every crossover with an exact baseline.

    Args:
        frame: One run table, or several put together; runs are never fitted together.
        metrics: Which of time, memory and energy.
    """
    scalings: list[Scaling] = []
    crossovers: list[Crossover] = []
    for metric in metrics:
        found = series_of(frame, metric)
        scalings += [scaling_of(series) for series in found]
        for panel in panels_of(found).values():
            baselines = [series for series in panel if series.setup.impl in EXACT]
            candidates = [series for series in panel if series.setup.impl not in EXACT]
            for candidate in candidates:
                crossings = (crossover(baseline, candidate) for baseline in baselines)
                crossovers += [crossing for crossing in crossings if crossing is not None]
    return Answer(tuple(scalings), tuple(crossovers))


def scaling_of(series: Series) -> Scaling:
    """Fit one series."""
    estimate = exponent(series)
    laws = fit_laws(series)
    expected = expected_exponent(series.setup, series.metric)
    predicted = predicted_exponent(series.setup, series.metric, estimate.sizes)
    needed = None
    if expected is not None:
        needed = needed_n(series.setup, series.metric, expected, series.sizes[-1])
    return Scaling(
        series=series,
        points=tuple(series.points()),
        exponent=estimate,
        local=tuple(local_slopes(series)),
        expected=expected,
        predicted=predicted,
        laws=tuple(laws),
        verdict=judge(Evidence(estimate, laws, series.sizes, expected, predicted, needed)),
    )


def to_json(answer: Answer) -> dict[str, Any]:
    """Return the answer in the form of `linbench scaling --json`."""
    return {
        "series": [_series_json(one) for one in answer.scalings],
        "crossovers": [_crossover_json(one) for one in answer.crossovers],
    }


def _series_json(one: Scaling) -> dict[str, Any]:
    slope, sizes = one.exponent.slope, one.exponent.sizes
    return {
        **as_fields(one.series.setup),
        "label": one.series.setup.label,
        "metric": one.series.metric,
        "points": len(one.points),
        "n_min": one.points[0].n,
        "n_max": one.points[-1].n,
        "exponent": slope.value if slope else None,
        "ci_low": slope.low if slope else None,
        "ci_high": slope.high if slope else None,
        "expected_exponent": one.expected,
        "predicted_exponent": one.predicted,
        "model": one.laws[0].name if one.laws else None,
        "verdict": one.verdict.word,
        "grounds": one.verdict.grounds,
        "reached_n": one.verdict.reached,
        "advice": one.verdict.advice,
        "models": [
            {
                "model": law.name,
                "weight": law.weight,
                "misfit": law.misfit,
                "coefficients": dict(zip(law.terms, law.coefficients, strict=True)),
                "shares_at_n_max": {
                    term: [share.value, share.low, share.high]
                    for term, share in zip(law.terms, law.shares, strict=True)
                },
            }
            for law in one.laws
        ],
        "rounds": one.exponent.rounds,
        "tail_n_min": sizes[0] if slope else None,
        "tail_n_max": sizes[-1] if slope else None,
        "flagged_cells": one.exponent.flagged,
        "values": [
            {
                "n": point.n,
                "value": point.value.value,
                "ci_low": point.value.low,
                "ci_high": point.value.high,
                "rounds": point.rounds,
                "disturbed_rounds": point.disturbed,
                "calls": point.calls,
                "sources": list(point.sources),
            }
            for point in one.points
        ],
        "local_slopes": [
            {"n": n, "next_n": m, "slope": s.value, "ci_low": s.low, "ci_high": s.high}
            for n, m, s in one.local
        ],
    }


def _crossover_json(one: Crossover) -> dict[str, Any]:
    star = one.n_star
    candidate = one.candidate
    return {
        "baseline": one.baseline.impl,
        "candidate": candidate.impl,
        "k": candidate.k,
        "sharing": candidate.sharing,
        "projection": candidate.projection,
        "order": candidate.order,
        "scope": candidate.scope,
        "mode": candidate.mode,
        "run_id": candidate.run_id,
        "label": candidate.label,
        "metric": one.metric,
        "n_star": star.value if star else None,
        "ci_low": star.low if star else None,
        "ci_high": star.high if star else None,
        "status": one.status,
        "reason": one.reason,
    }
