"""What the scaling command answers: exponents, growth and crossovers of one or more runs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from linbench.run.case import Case
from linbench.run.metrics import Metric
from linbench.run.runs import Panel, Point, Runs, Series, panels_of
from linbench.stats.interval import Interval
from linbench.studies.crossover import Crossover, crossover
from linbench.studies.scaling.counts import expected_exponent, needed_n, predicted_exponent
from linbench.studies.scaling.exponent import Exponent, exponent, local_slopes
from linbench.studies.scaling.growth import Evidence, Growth, judge
from linbench.studies.scaling.laws import Law, fit_laws

PerMetric = dict[Metric, list[Series]]

_KEY_FIELDS = (
    "impl", "k", "sharing", "projection", "order", "task", "scope", "mode", "d_model", "heads",
    "layers", "batch", "tokens", "dtype", "device", "compile",
)  # fmt: skip


@dataclass(frozen=True)
class Scaling:
    """What one series says about how its values grow with n.

    Attributes:
        series: The measured rounds.
        points: The typical value at each size.
        exponent: The slope over the tail.
        local: The slopes between neighbouring sizes, `(n, next n, slope)`.
        expected: The exponent that theory gives for n without bound, if known.
        predicted: The exponent that operation counts give over the tail, if known.
        laws: The laws fitted to all sizes, the best first; none below three sizes.
        growth: One word with its grounds.
    """

    series: Series
    points: tuple[Point, ...]
    exponent: Exponent
    local: tuple[tuple[int, int, Interval], ...]
    expected: float | None
    predicted: float | None
    laws: tuple[Law, ...]
    growth: Growth


@dataclass(frozen=True)
class Answer:
    """What is known of how some series grow, and of who costs less than whom.

    Attributes:
        series: All of them, of any metric.
        scalings: Those whose metric is on a logarithmic scale, fitted.
        crossovers: Of their candidates with every exact baseline.
    """

    series: tuple[Series, ...]
    scalings: tuple[Scaling, ...]
    crossovers: tuple[Crossover, ...]

    @property
    def per_metric(self) -> PerMetric:
        """The series of each metric."""
        found: PerMetric = {}
        for one in self.series:
            found.setdefault(one.metric, []).append(one)
        return found

    def by_panel(self) -> dict[Panel, "Answer"]:
        """Return the part of each panel."""
        return {
            panel: Answer(
                tuple(own),
                tuple(one for one in self.scalings if one.series.panel == panel),
                tuple(one for one in self.crossovers if one.panel == panel),
            )
            for panel, own in panels_of(self.series).items()
        }


def analyse(runs: Runs, metrics: Iterable[str] | None = None) -> Answer:
    """Fit every series of some runs and find every crossover with an exact baseline.

    Args:
        runs: The runs; they are never fitted together.
        metrics: Which of their metrics; all of them by default.
    """
    names = [metric.name for metric in runs.metrics] if metrics is None else list(metrics)
    found = [runs.series(name) for name in names]
    logarithmic = [[one for one in series if one.metric.scale == "log"] for series in found]
    return Answer(
        tuple(one for series in found for one in series),
        tuple(scaling_of(one) for series in logarithmic for one in series),
        tuple(crossing for series in logarithmic for crossing in _crossovers(series)),
    )


def _crossovers(series: Iterable[Series]) -> Iterator[Crossover]:
    """Give the crossovers of each candidate of a panel with each exact baseline."""
    for panel in panels_of(series).values():
        baselines = [one for one in panel if one.is_exact_attention]
        for candidate in (one for one in panel if not one.is_exact_attention):
            found = (crossover(baseline, candidate) for baseline in baselines)
            yield from (one for one in found if one is not None)


def scaling_of(series: Series) -> Scaling:
    """Fit one series, whose metric is on a logarithmic scale."""
    key, metric = series.key, series.metric
    estimate, laws = exponent(series), fit_laws(series)
    expected = expected_exponent(key, metric)
    predicted = predicted_exponent(key, metric, estimate.sizes)
    needed = None if expected is None else needed_n(key, metric, expected, series.sizes[-1])
    return Scaling(
        series=series,
        points=tuple(series.points()),
        exponent=estimate,
        local=tuple(local_slopes(series)),
        expected=expected,
        predicted=predicted,
        laws=tuple(laws),
        growth=judge(Evidence(estimate, laws, series.sizes, expected, predicted, needed)),
    )


def to_json(answer: Answer) -> dict[str, Any]:
    """Return the answer in the form of `linbench scaling --json`."""
    return {
        "series": [_series_json(one) for one in answer.scalings],
        "crossovers": [_crossover_json(one) for one in answer.crossovers],
    }


def _k(key: Case) -> int | str | None:
    """Return k as JSON has it: a number, a rule, or the text of one per layer."""
    return key.k if isinstance(key.k, int) else key.k_text


def _series_json(one: Scaling) -> dict[str, Any]:
    series, slope, sizes = one.series, one.exponent.slope, one.exponent.sizes
    fields = {name: getattr(series.key, name) for name in _KEY_FIELDS}
    return {
        "run_id": series.run_id,
        "fingerprint": series.fingerprint,
        **fields,
        "k": _k(series.key),
        "label": series.key.label,
        "metric": series.metric.name,
        "points": len(one.points),
        "n_min": one.points[0].n,
        "n_max": one.points[-1].n,
        "exponent": slope.value if slope else None,
        "ci_low": slope.low if slope else None,
        "ci_high": slope.high if slope else None,
        "expected_exponent": one.expected,
        "predicted_exponent": one.predicted,
        "model": one.laws[0].name if one.laws else None,
        "verdict": one.growth.word,
        "grounds": one.growth.grounds,
        "reached_n": one.growth.reached,
        "advice": one.growth.advice,
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
                "calls": point.samples,
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
    star, candidate = one.n_star, one.candidate
    return {
        "baseline": one.baseline.impl,
        "candidate": candidate.impl,
        "k": _k(candidate),
        "sharing": candidate.sharing,
        "projection": candidate.projection,
        "order": candidate.order,
        "scope": candidate.scope,
        "mode": candidate.mode,
        "run_id": one.panel.run_id,
        "label": candidate.label,
        "metric": one.metric.name,
        "n_star": star.value if star else None,
        "ci_low": star.low if star else None,
        "ci_high": star.high if star else None,
        "status": one.status,
        "reason": one.reason,
    }
