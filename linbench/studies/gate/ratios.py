"""Metrics of two runs, case by case: exactly, within rounds, between runs, relative to an anchor.

Every metric goes the same way. Values that were counted, and are the same in every round, are
exact, and one round decides. All others scatter, and need an interval. Estimates are logs of how
many times as bad the candidate is: of a metric that is better `more`, the baseline over the
candidate.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from linbench.run.case import Case
from linbench.run.metrics import NOISY_SOURCES, Metric
from linbench.run.record import Detail
from linbench.run.runs import Series
from linbench.stats import moderated
from linbench.stats.moderated import Typical
from linbench.studies.gate.cases import Measured, Pair, known
from linbench.studies.gate.findings import OPERATIONS, WEIGHTS, Finding, Pending

Logs = dict[int, float]
"""Log values by round, the greater the worse."""

NO_RATIO = (
    "values that are not positive have no ratio: shift or invert the metric so that it is above 0"
)


def compared(pair: Pair) -> list[Pending]:
    """Compare everything that was asked for, of the cases that both runs measured."""
    return [pending for metric in pair.metrics for pending in _of_metric(pair, metric)]


def absence(pair: Pair, metric: Metric) -> str | None:
    """Say why a metric is not compared at all, as a run that has none of it is not to blame for it.

    A metric that is new has nothing to be held against, and another machine may lack the counter.
    """
    if metric in (WEIGHTS, OPERATIONS) or metric.name in (pair.limits.metrics or ()):
        return None
    for role, cases in zip(("baseline", "candidate"), pair.both, strict=True):
        excused = role == "baseline" or pair.is_relative(metric)
        if excused and not any(metric.name in cases[case_id].series for case_id in pair.shared):
            return f"{metric.name.capitalize()} is not compared: the {role} has none of it"
    return None


def _of_metric(pair: Pair, metric: Metric) -> list[Pending]:
    """Compare one metric.

    On one machine what depends on it compares directly. On another, a case is held against the
    anchor at the same n, scope, mode and shape: what is compared is how many times the anchor's
    value it takes.
    """
    if absence(pair, metric):
        return []
    limit = pair.limits.of(metric)
    pending: list[Pending] = []
    scattered: dict[str, Finding] = {}
    for case_id in pair.shared:
        old, new = (cases[case_id].series.get(metric.name) for cases in pair.both)
        finding = pair.finding(case_id, metric.name)
        finding = replace(finding, unit=metric.unit, better=metric.better)
        if old is None or new is None:
            if old is not new and metric not in (WEIGHTS, OPERATIONS):
                role = "baseline" if old is None else "candidate"
                pending.append(_undecided(finding, f"not known in the {role}", limit))
            continue
        finding = replace(finding, baseline=_typical(old), candidate=_typical(new))
        if why := _incomparable(pair, case_id, old, new):
            pending.append(_undecided(finding, why, limit))
        elif old.noiseless and new.noiseless:
            pending.append(_exact(pair, finding, limit))
        elif min(reading.value for reading in (*old.readings, *new.readings)) <= 0:
            pending.append(_undecided(finding, NO_RATIO, limit))
        else:
            scattered[case_id] = finding
    relative, anchor = pair.is_relative(metric), pair.limits.anchor
    anchors = _anchors(pair, scattered) if relative else dict.fromkeys(scattered)
    ratios = _ratios(pair, metric, anchors)
    for case_id, finding in scattered.items():
        if relative and pair.is_anchor(case_id):
            continue
        detail = f"relative to {anchor}" if relative else ""
        if case_id not in anchors:
            detail = f"another machine, and no {anchor} of the same n in both runs"
        elif case_id not in ratios:
            detail = "no round holds both"
        pending.append(Pending(replace(finding, detail=detail), ratios.get(case_id), limit))
    return pending


def _undecided(finding: Finding, why: str, limit: float) -> Pending:
    return Pending(replace(finding, detail=why), None, limit)


def _typical(series: Series) -> float:
    values = [reading.value for reading in series.in_line]
    if series.metric.noise == "exact":
        return statistics.median_high(values)
    if series.metric.scale == "log":
        return math.exp(statistics.median(map(math.log, values)))
    return statistics.median(values)


def _incomparable(pair: Pair, case_id: str, old: Series, new: Series) -> str | None:
    """Say why two values of a case are not of the same thing; None where they are."""
    both = old, new
    units = [f"{s.metric.unit} (better {s.metric.better})".strip() for s in both]
    if units[0] != units[1]:
        return f"{units[0]} and {units[1]} do not compare"
    sources = [" or ".join(sorted(map(str, series.sources))) for series in both]
    noisy = (old.sources | new.sources) & set(NOISY_SOURCES)
    if noisy and sources[0] != sources[1]:  # a counter's bytes and the kernel's pages
        return f"{sources[0]} and {sources[1]} do not compare"
    records = [cases[case_id].records for cases in pair.both]
    limits = [known(of_case, lambda d: _limit_bytes(d, new.metric.name)) for of_case in records]
    if limits[0] != limits[1]:
        return f"limits of {limits[0]} and {limits[1]} bytes do not compare"
    return None


def _limit_bytes(detail: Detail, metric: str) -> int | None:
    """Return the memory that a metric was found under; None where it had no limit."""
    found = (detail.model_extra or {}).get(metric)
    return found.get("limit_bytes") if isinstance(found, Mapping) else None


def _exact(pair: Pair, finding: Finding, limit: float) -> Pending:
    """Compare values that are exact.

    Kernels hold buffers for each thread: where threads differ, more bytes may be a regression or
    not.
    """
    worse = _log_ratio(finding.baseline or 0.0, finding.candidate or 0.0)
    if worse is None:
        return _undecided(finding, NO_RATIO, limit)
    worse = worse if finding.better == "less" else -worse
    records = [cases[finding.case_id].records for cases in pair.both]
    threads = [
        known(of_case, lambda d: d.timing.threads if d.timing else None) for of_case in records
    ]
    counted = finding.metric in (WEIGHTS.name, OPERATIONS.name)
    if threads[0] != threads[1] and worse > math.log(limit) and not counted:
        return _undecided(finding, f"{threads[0]} and {threads[1]} threads do not compare", limit)
    return Pending(finding, Typical(worse, 0.0), limit)


def _log_ratio(old: float, new: float) -> float | None:
    """Return the log of new over old; none at all counts as half a unit, to have a ratio."""
    if old == new:
        return 0.0
    if min(old, new) == 0 and float(max(old, new)).is_integer():
        old, new = max(old, 0.5), max(new, 0.5)
    return math.log(new / old) if min(old, new) > 0 else None


def _anchors(pair: Pair, cases: Iterable[str]) -> dict[str, str]:
    """Return the case that is the anchor of each other in both runs, where there is just one."""
    after = pair.both[1]
    of_problem: dict[Case, list[str]] = {}
    for case_id in filter(pair.is_anchor, cases):
        of_problem.setdefault(after[case_id].case.problem, []).append(case_id)
    found = {case_id: of_problem.get(after[case_id].case.problem, []) for case_id in cases}
    return {i: own[0] for i, own in found.items() if len(own) == 1 and not pair.is_anchor(i)}


def _ratios(
    pair: Pair, metric: Metric, anchors: Mapping[str, str] | Mapping[str, None]
) -> dict[str, Typical]:
    """Return the log of how many times as bad each case is, or how many times its anchor."""
    name, sign = metric.name, 1 if metric.better == "less" else -1

    def cells(logs: Callable[[Measured], Logs], cases: Mapping[str, Measured]) -> dict[str, Logs]:
        return {
            case_id: logs(cases[case_id])
            if anchor is None
            else _above(logs(cases[anchor]), logs(cases[case_id]))
            for case_id, anchor in anchors.items()
        }

    def of_rounds(measured: Measured) -> Logs:
        # a round is slow in one version or in both by chance alone: pairs keep all of them
        series = measured.series[name]
        readings = series.readings if pair.paired else series.in_line
        return {reading.round: sign * math.log(reading.value) for reading in readings}

    def of_run(run: int) -> Callable[[Measured], Logs]:
        """Return what finds the log values in the one record that a merged run has of a case."""

        def logs(measured: Measured) -> Logs:
            record = measured.records.get(run)
            found = record.metrics.get(name) if record else None
            if found is None or found.value is None:
                return {}
            values = found.samples or [found.value]
            if min(values) <= 0:
                return {}
            return {i: sign * math.log(value) for i, value in enumerate(values)}

        return logs

    before, after = pair.both
    if pair.merged and not pair.paired:
        runs = sorted({run for case_id in anchors for run in before[case_id].records})
        merged = [cells(of_run(run), before) for run in runs]
        return moderated.beyond_runs(merged, cells(of_rounds, after))
    old, new = cells(of_rounds, before), cells(of_rounds, after)
    if pair.paired:
        return moderated.paired({case_id: _above(old[case_id], new[case_id]) for case_id in old})
    return moderated.apart(old, new)


def _above(base: Logs, logs: Logs) -> Logs:
    """Return how far log values lie above others, of the rounds that hold both."""
    return {i: logs[i] - base[i] for i in sorted(logs.keys() & base.keys())}
