"""Metrics of two runs, case by case: exactly, within rounds, between runs, relative to an anchor.

Every metric takes the same way. Values that were counted, and are the same in every round, are
exact, and one round decides. All others scatter, and need an interval. Estimates are logs of how
many times as bad the candidate is: of a metric that is better `more`, the baseline over the
candidate.
"""

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import replace

from linbench.run.case import Case
from linbench.run.metrics import NOISY_SOURCES, Metric
from linbench.run.runs import Series
from linbench.stats import moderated
from linbench.stats.moderated import Typical
from linbench.studies.gate.cases import Measured, Pair
from linbench.studies.gate.findings import OPERATIONS, WEIGHTS, Finding, Limits, Pending

Logs = dict[int, float]
Anchors = Mapping[str, str | None]
"""Cases to compare, each with the case that it is relative to, if it is."""

NO_RATIO = "values that are not positive have no ratio"


def compared(pair: Pair) -> list[Pending]:
    """Compare everything that was asked for, of the cases that both runs measured."""
    return [pending for metric in pair.metrics for pending in _of_metric(pair, metric)]


def of_machine(metric: Metric) -> bool:
    """Whether a metric depends on how fast a machine is: then it carries over as a multiple only.

    Seconds and joules do, and rates; bytes do not, nor does the quality of an answer.
    """
    on_machine = metric.unit in ("s", "J") or metric.unit.endswith("/s")
    return on_machine and metric.noise == "rounds" and metric.scale == "log"


def absence(pair: Pair, metric: Metric) -> str | None:
    """Say why a metric is not compared at all, as a run that has none of it is not to blame for it.

    A metric that is new has nothing to be held against, and another machine may lack the counter.
    """
    asked = pair.limits.metrics is not None and metric.name in pair.limits.metrics
    if asked or metric in (WEIGHTS, OPERATIONS):
        return None
    for cases, role in ((pair.before, "baseline"), (pair.after, "candidate")):
        excused = role == "baseline" or (of_machine(metric) and not pair.same_machine)
        if excused and not pair.has(cases, metric):
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
    waiting: dict[str, Finding] = {}
    pending: list[Pending] = []
    for case_id in pair.shared:
        old, new = (cases[case_id].series.get(metric.name) for cases in (pair.before, pair.after))
        finding = pair.finding(case_id, metric.name)
        finding = replace(finding, unit=metric.unit, better=metric.better)
        if old is None or new is None:
            if old is not new and metric not in (WEIGHTS, OPERATIONS):
                said = f"not known in the {'baseline' if old is None else 'candidate'}"
                pending.append(Pending(replace(finding, detail=said), None, limit))
            continue
        finding = replace(finding, baseline=_typical(old), candidate=_typical(new))
        if why := _incomparable(pair, case_id, old, new):
            pending.append(Pending(replace(finding, detail=why), None, limit))
        elif old.noiseless and new.noiseless:
            pending.append(_exact(pair, finding, limit))
        elif min(one.value for one in (*old.readings, *new.readings)) <= 0:
            pending.append(Pending(replace(finding, detail=NO_RATIO), None, limit))
        else:
            waiting[case_id] = finding
    relative = of_machine(metric) and not pair.same_machine
    anchors = _anchors(pair, waiting) if relative else dict.fromkeys(waiting)
    ratios = _ratios(pair, metric, anchors)
    for case_id, finding in waiting.items():
        if relative and is_anchor(pair.after[case_id], pair.limits):
            continue
        said = f"relative to {pair.limits.anchor}" if relative else ""
        if relative and case_id not in anchors:
            said = f"another machine, and no {pair.limits.anchor} of the same n in both runs"
        elif case_id not in ratios:
            said = "no round holds both"
        pending.append(Pending(replace(finding, detail=said), ratios.get(case_id), limit))
    return pending


def _typical(series: Series) -> float:
    values = [one.value for one in series.in_line]
    if series.metric.noise == "exact":
        return statistics.median_high(values)
    if series.metric.scale == "log":
        return math.exp(statistics.median(map(math.log, values)))
    return statistics.median(values)


def _incomparable(pair: Pair, case_id: str, old: Series, new: Series) -> str | None:
    """Say why two values of a case are not of the same thing; None where they are."""
    both = old, new
    units = [" ".join(filter(None, (s.metric.unit, f"(better {s.metric.better})"))) for s in both]
    if units[0] != units[1]:
        return f"{units[0]} and {units[1]} do not compare"
    sources = [" or ".join(sorted(map(str, series.sources))) for series in both]
    noisy = (old.sources | new.sources) & set(NOISY_SOURCES)
    if noisy and sources[0] != sources[1]:  # a counter's bytes and the kernel's pages
        return f"{sources[0]} and {sources[1]} do not compare"
    limits = [c[case_id].limit_bytes(new.metric.name) for c in (pair.before, pair.after)]
    if limits[0] != limits[1]:
        return f"limits of {limits[0]} and {limits[1]} bytes do not compare"
    return None


def _exact(pair: Pair, finding: Finding, limit: float) -> Pending:
    """Compare values that are exact.

    Kernels hold buffers for each thread: more bytes by other threads are no regression, but cannot
    be told from one.
    """
    assert finding.baseline is not None
    assert finding.candidate is not None
    worse = _log_ratio(finding.baseline, finding.candidate)
    if worse is None:
        return Pending(replace(finding, detail=NO_RATIO), None, limit)
    worse = worse if finding.better == "less" else -worse
    threads = [cases[finding.case_id].threads for cases in (pair.before, pair.after)]
    counted = finding.metric in (WEIGHTS.name, OPERATIONS.name)
    if threads[0] != threads[1] and worse > math.log(limit) and not counted:
        said = f"{threads[0]} and {threads[1]} threads do not compare"
        return Pending(replace(finding, detail=said), None, limit)
    return Pending(finding, Typical(worse, 0.0), limit)


def _log_ratio(old: float, new: float) -> float | None:
    """Return the log of new over old; none at all counts as half a unit, to have a ratio."""
    if old == new:
        return 0.0
    if min(old, new) == 0 and float(max(old, new)).is_integer():
        old, new = max(old, 0.5), max(new, 0.5)
    return math.log(new / old) if min(old, new) > 0 else None


def is_anchor(measured: Measured, limits: Limits) -> bool:
    """Whether a case is of the implementation (or whole configuration) that is the anchor."""
    return limits.anchor in (measured.case.impl, measured.case.label)


def _anchors(pair: Pair, cases: Iterable[str]) -> dict[str, str]:
    """Return the case that is the anchor of each other in both runs, where there is just one."""
    of_problem: dict[Case, list[str]] = {}
    for case_id in cases:
        if is_anchor(pair.after[case_id], pair.limits):
            of_problem.setdefault(pair.after[case_id].case.problem, []).append(case_id)
    found = {}
    for case_id in cases:
        own = of_problem.get(pair.after[case_id].case.problem, [])
        if len(own) == 1 and not is_anchor(pair.after[case_id], pair.limits):
            found[case_id] = own[0]
    return found


def _ratios(pair: Pair, metric: Metric, anchors: Anchors) -> dict[str, Typical]:
    """Return the log of how many times as bad each case is."""
    name, sign = metric.name, 1 if metric.better == "less" else -1

    def cells(cases: Mapping[str, Measured], *, whole: bool = False) -> dict[str, Logs]:
        found = {}
        for case_id, anchor in anchors.items():
            logs = _logs(cases[case_id].series[name], sign, whole=whole)
            if anchor is not None:
                base = _logs(cases[anchor].series[name], sign, whole=whole)
                logs = {i: logs[i] - base[i] for i in sorted(logs.keys() & base.keys())}
            found[case_id] = logs
        return found

    if pair.paired:
        # a round is slow in one version or in both by chance alone: pairs keep all of them
        before, after = cells(pair.before, whole=True), cells(pair.after, whole=True)
        return moderated.paired(
            {
                c: {i: after[c][i] - before[c][i] for i in sorted(before[c].keys() & after[c])}
                for c in anchors
            }
        )
    if pair.merged:
        return moderated.beyond_runs(_by_run(pair.before, name, sign, anchors), cells(pair.after))
    return moderated.apart(cells(pair.before), cells(pair.after))


def _logs(series: Series, sign: int, *, whole: bool) -> Logs:
    """Return the log value of each round, the greater the worse; `whole`: of disturbed ones too."""
    readings = series.readings if whole else series.in_line
    return {one.round: sign * math.log(one.value) for one in readings}


def _by_run(
    cases: Mapping[str, Measured], name: str, sign: int, anchors: Anchors
) -> list[dict[str, Logs]]:
    """Return the log values of each merged run, of which a record holds all rounds."""

    def rounds(case_id: str, run: int) -> list[float]:
        record = cases[case_id].records.get(run)
        value = record.value(name) if record else None
        if record is None or value is None:
            return []
        return [sign * math.log(x) for x in record.samples(name) or [value]]

    def of(case_id: str, anchor: str | None, run: int) -> Logs:
        logs = rounds(case_id, run)
        if anchor is not None:
            logs = [y - x for y, x in zip(logs, rounds(anchor, run), strict=False)]
        return dict(enumerate(logs))

    runs = sorted({run for case_id in anchors for run in cases[case_id].records})
    return [{c: of(c, anchor, run) for c, anchor in anchors.items()} for run in runs]
