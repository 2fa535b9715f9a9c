"""What the scaling command answers: exponents, growth and crossovers of one or more runs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from linbench.run.case import Case
from linbench.run.metrics import Metric
from linbench.run.runs import Panel, Runs, Series, panels_of
from linbench.stats.interval import Interval
from linbench.studies.crossover import Crossover, crossover
from linbench.studies.scaling.growth import Scaling, scaling_of

PerMetric = dict[Metric, list[Series]]

_KEY_FIELDS = (
    "impl", "k", "sharing", "projection", "order", "task", "scope", "mode", "d_model", "heads",
    "layers", "batch", "tokens", "dtype", "device", "compile",
)  # fmt: skip
_VARIANT_FIELDS = ("sharing", "projection", "order", "scope", "mode")


@dataclass(frozen=True)
class Answer:
    """What is known of how some series grow, and of who costs less than whom.

    Attributes:
        series: All of them, of any metric.
        scalings: Those of costs, fitted.
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
                tuple(one for one in self.crossovers if one.candidate.panel == panel),
            )
            for panel, own in panels_of(self.series).items()
        }


def analyse(runs: Runs, metrics: Iterable[str] | None = None) -> Answer:
    """Fit every series of a cost and find every crossover with an exact baseline.

    Args:
        runs: The runs; they are never fitted together.
        metrics: Which of their metrics; all of them by default.
    """
    names = [metric.name for metric in runs.metrics] if metrics is None else metrics
    found = [one for name in names for one in runs.series(name)]
    costs = [one for one in found if one.metric.is_cost]
    return Answer(tuple(found), tuple(map(scaling_of, costs)), tuple(_crossovers(costs)))


def _crossovers(series: Iterable[Series]) -> Iterator[Crossover]:
    groups: dict[tuple[str, Panel], list[Series]] = {}
    for one in series:
        groups.setdefault((one.metric.name, one.panel), []).append(one)
    for group in groups.values():
        for candidate in (one for one in group if not one.is_exact_attention):
            for baseline in (one for one in group if one.is_exact_attention):
                if found := crossover(baseline, candidate):
                    yield found


def to_json(answer: Answer) -> dict[str, Any]:
    """Return the answer in the form of `linbench scaling --json`."""
    return {
        "series": [_series_json(one) for one in answer.scalings],
        "crossovers": [_crossover_json(one) for one in answer.crossovers],
    }


def interval_json(name: str, interval: Interval | None) -> dict[str, float | None]:
    """Return a value under its name, and the ends of its interval, all null for None."""
    value, low, high = (interval.value, interval.low, interval.high) if interval else (None,) * 3
    return {name: value, "ci_low": low, "ci_high": high}


def _k(key: Case) -> int | str | None:
    """Return k as JSON has it: a number, a rule, or the text of one per layer."""
    return key.k if isinstance(key.k, int) else key.k_text


def _series_json(one: Scaling) -> dict[str, Any]:
    series, slope, sizes = one.series, one.exponent.slope, one.exponent.sizes
    return {
        "run_id": series.run_id,
        "fingerprint": series.fingerprint,
        **{name: getattr(series.key, name) for name in _KEY_FIELDS},
        "k": _k(series.key),
        "label": series.key.label,
        "metric": series.metric.name,
        "points": len(one.points),
        "n_min": one.points[0].n,
        "n_max": one.points[-1].n,
        **interval_json("exponent", slope),
        "expected_exponent": one.expected,
        "predicted_exponent": one.predicted,
        "power": None,  # no law of a free power is fitted; the key is kept for its readers
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
                **interval_json("value", point.value),
                "rounds": point.rounds,
                "disturbed_rounds": point.disturbed,
                "calls": point.samples,
                "sources": list(point.sources),
            }
            for point in one.points
        ],
        "local_slopes": [
            {"n": n, "next_n": m, **interval_json("slope", slope)} for n, m, slope in one.local
        ],
    }


def _crossover_json(one: Crossover) -> dict[str, Any]:
    key = one.candidate.key
    return {
        "baseline": one.baseline.key.impl,
        "candidate": key.impl,
        "k": _k(key),
        **{name: getattr(key, name) for name in _VARIANT_FIELDS},
        "run_id": one.candidate.run_id,
        "label": key.label,
        "metric": one.candidate.metric.name,
        **interval_json("n_star", one.n_star),
        "status": one.status,
        "reason": one.reason,
    }
