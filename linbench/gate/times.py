"""Times of two runs, case by case: directly, within rounds, or relative to an anchor."""

import math
import statistics
from collections.abc import Mapping

from linbench.analysis import moderated
from linbench.analysis.moderated import Typical
from linbench.analysis.series import Series
from linbench.gate.cases import Measured, Runs
from linbench.gate.verdicts import Limits, Pending


def times(runs: Runs) -> list[Pending]:
    """Compare the times of the cases that both runs measured.

    On one machine they compare directly. On another, a case is held against the anchor at the same
    n, scope, mode and shape: what is compared is how many times the anchor's time it takes.
    """
    limit = runs.limits.max_slowdown
    pending = []
    anchors: dict[str, str | None] = {}
    for case_id in runs.shared:
        old, new = runs.before[case_id].time, runs.after[case_id].time
        if (old is None) != (new is None):
            said = f"not known in the {'baseline' if old is None else 'candidate'}"
            pending.append(Pending(runs.comparison(case_id, "time", detail=said), None, limit))
        elif old and new and runs.same_machine:
            anchors[case_id] = None
        elif old and new and not is_anchor(runs.after[case_id], runs.limits):
            anchors[case_id] = _anchor(runs, case_id)
            if anchors[case_id] is None:
                del anchors[case_id]
                said = f"another machine, and no {runs.limits.anchor} of the same n in both runs"
                pending.append(Pending(runs.comparison(case_id, "time", detail=said), None, limit))
    ratios = _ratios(runs, anchors)
    for case_id, anchor in anchors.items():
        said = f"relative to {runs.limits.anchor}" if anchor else ""
        one = runs.comparison(
            case_id,
            "time",
            baseline=_typical_s(runs.before[case_id].time),
            candidate=_typical_s(runs.after[case_id].time),
            detail=said if case_id in ratios else "no round holds both",
        )
        pending.append(Pending(one, ratios.get(case_id), limit))
    return pending


def is_anchor(case: Measured, limits: Limits) -> bool:
    """Whether a case is of the implementation (or whole configuration) that is the anchor."""
    return limits.anchor in (case.impl, case.label.rpartition(" n=")[0])


def _anchor(runs: Runs, case_id: str) -> str | None:
    """Return the case that is the anchor of another in both runs; None where not just one is."""
    found = [
        other
        for other in runs.shared
        if is_anchor(runs.after[other], runs.limits)
        and runs.after[other].problem == runs.after[case_id].problem
        and runs.before[other].time
        and runs.after[other].time
    ]
    return found[0] if len(found) == 1 else None


def _ratios(runs: Runs, anchors: Mapping[str, str | None]) -> dict[str, Typical]:
    """Return the log ratio of each case's times, candidate over baseline."""
    before = {c: _logs(runs.before, c, anchor) for c, anchor in anchors.items()}
    after = {c: _logs(runs.after, c, anchor) for c, anchor in anchors.items()}
    if runs.paired:
        # a round is slow in one version or in both by chance alone: pairs keep all of them
        before = {c: _all_logs(runs.before, c) for c in anchors}
        after = {c: _all_logs(runs.after, c) for c in anchors}
        pairs = {
            c: {i: after[c][i] - before[c][i] for i in sorted(before[c].keys() & after[c].keys())}
            for c in anchors
        }
        return moderated.paired(pairs)
    if runs.merged:
        return moderated.beyond_runs(_by_run(runs.before, anchors), after)
    return moderated.apart(before, after)


def _logs(cases: Mapping[str, Measured], case_id: str, anchor: str | None) -> dict[int, float]:
    """Return log times by round, over those of the anchor in the same round."""
    logs = _own_logs(cases[case_id].time)
    if anchor is None:
        return logs
    base = _own_logs(cases[anchor].time)
    return {i: logs[i] - base[i] for i in sorted(logs.keys() & base.keys())}


def _all_logs(cases: Mapping[str, Measured], case_id: str) -> dict[int, float]:
    series = cases[case_id].time
    return {cell.round: math.log(cell.value) for cell in series.cells} if series else {}


def _own_logs(series: Series | None) -> dict[int, float]:
    return series.logs(series.sizes[0]) if series else {}


def _by_run(
    cases: Mapping[str, Measured], anchors: Mapping[str, str | None]
) -> list[dict[str, dict[int, float]]]:
    """Return the log times of each merged run, of which a record holds all rounds."""
    numbers = sorted({i for case_id in anchors for i in cases[case_id].samples})
    return [{c: _rounds_of(cases, c, anchor, i) for c, anchor in anchors.items()} for i in numbers]


def _rounds_of(
    cases: Mapping[str, Measured], case_id: str, anchor: str | None, run: int
) -> dict[int, float]:
    logs = cases[case_id].samples.get(run, ())
    if anchor is None:
        return dict(enumerate(logs))
    base = cases[anchor].samples.get(run, ())
    return {i: y - x for i, (y, x) in enumerate(zip(logs, base, strict=False))}


def _typical_s(series: Series | None) -> float | None:
    logs = _own_logs(series)
    return math.exp(statistics.median(logs.values())) if logs else None
