"""The decision: every comparison of two runs, their intervals together, one verdict.

Two errors have a known chance, alpha each, however many cases there are. A false alarm: a
regression is a comparison whose interval lies wholly above its limit, and the lower end of each has
level 1 - alpha / (number of comparisons that noise can touch), so that all of them hold at once
(Bonferroni, which needs no independence). A false pass: the gate passes only where every interval
lies below its limit, hence upper ends of level 1 - alpha each are enough (an intersection-union
test; Berger 1982, Technometrics 24:295-300).
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from linbench.analysis.moderated import MIN_ROUNDS
from linbench.errors import UsageError
from linbench.gate import counts
from linbench.gate.cases import Runs, cases_of, statuses
from linbench.gate.exponents import exponents
from linbench.gate.times import is_anchor, times
from linbench.gate.verdicts import (
    ALPHA,
    Comparison,
    Gate,
    Limits,
    Pending,
    Verdict,
    severity,
    worst,
)

if TYPE_CHECKING:
    import pandas as pd

_MANY_ROUNDS = 100
_SHIFTED = 1.03
_MANY_CASES = 4


def judge(
    baseline: "pd.DataFrame",
    candidate: "pd.DataFrame",
    limits: Limits | None = None,
    *,
    paired: bool = False,
    merged: bool = False,
    alpha: float = ALPHA,
) -> Gate:
    """Judge a candidate by a baseline.

    Args:
        baseline: The table of a run (`linbench.record.load`).
        candidate: The table of the other.
        limits: How much worse the candidate may be, and what is compared.
        paired: Whether rounds of the same number were measured together, both versions in one
            sweep: ratios are then taken within rounds, and drift cancels.
        merged: Whether each round of the baseline is a whole run (`linbench.gate.merge`): what
            differs between runs then counts, for the candidate too.
        alpha: The chance, at most, of any false regression, and of a false pass. Who looks several
            times as rounds come in splits it over the looks.

    Returns:
        What became of the candidate.

    Raises:
        UsageError: the runs share no case.
    """
    limits = limits or Limits()
    runs = Runs(
        before=cases_of(baseline),
        after=cases_of(candidate),
        limits=limits,
        same_machine=set(baseline["fingerprint"]) == set(candidate["fingerprint"]),
        paired=paired,
        merged=merged,
    )
    if not runs.before.keys() & runs.after.keys():
        examples = (next(iter(cases), "none at all") for cases in (runs.after, runs.before))
        raise UsageError(
            "candidate and baseline share no case: {} is one of the first, {} of the second; "
            "sweep the same suite for both".format(*examples)
        )
    decided, case_notes = statuses(runs)
    pending: list[Pending] = []
    if "time" in limits.metrics:
        pending += times(runs)
    if "memory" in limits.metrics:
        pending += counts.memory(runs) + counts.weights(runs) + counts.batches(runs)
    if "operations" in limits.metrics:
        pending += counts.operations(runs)
    if "exponent" in limits.metrics:
        measured = [frame[frame["case_id"].isin(runs.shared)] for frame in (baseline, candidate)]
        slopes, growth = exponents(*measured, same_machine=runs.same_machine, merged=merged)
        pending += slopes
        decided += growth
    finished = _finish(pending, alpha)
    steeper = {
        one.case_id for one in finished if one.metric == "exponent" and one.verdict == "regression"
    }
    decided = [
        one
        for one in decided
        # the words rest on intervals of 95 % each: alone they would be wrong too often
        if one.metric != "growth" or one.verdict == "pass" or one.case_id in steeper
    ]
    decided += [one for one in finished if not _informs(one)]
    decided.sort(key=severity)
    return Gate(
        verdict=worst([one.verdict for one in decided]),
        comparisons=tuple(decided),
        untold=tuple(one for one in finished if _informs(one)),
        cases=tuple(case_notes),
        notes=tuple(_notes(runs, decided)),
        same_machine=runs.same_machine,
        alpha=alpha,
    )


def _informs(one: Comparison) -> bool:
    """Whether a comparison only informs: an exponent that cannot be told.

    An exponent needs far more rounds than a ratio at one n, and a cost that grew shows in the
    ratios too: were it to decide, most gates would end without a verdict for no fault found.
    """
    return one.metric == "exponent" and one.verdict == "inconclusive"


def _finish(pending: Sequence[Pending], alpha: float) -> list[Comparison]:
    """Give every comparison its interval and verdict."""
    uncertain = sum(one.estimate is not None and bool(one.estimate.error) for one in pending)
    return [_decide(one, alpha, alpha / max(1, uncertain)) for one in pending]


def _decide(one: Pending, alone: float, together: float) -> Comparison:
    if one.estimate is None:
        return replace(one.comparison, limit=one.limit)
    ratio = one.estimate.interval(together, alone).exp()
    verdict: Verdict = "inconclusive"
    if ratio.above(one.limit):
        verdict = "regression"
    elif ratio.high is not None and ratio.high <= one.limit:
        verdict = "pass"
    detail = one.comparison.detail
    if verdict == "inconclusive" and one.comparison.metric in ("time", "memory"):
        detail = "; ".join(filter(None, [detail, _advice(one, ratio.high)]))
    return replace(
        one.comparison,
        verdict=verdict,
        ratio=ratio,
        limit=one.limit,
        improved=_improved(one, together),
        detail=detail,
    )


def _improved(one: Pending, together: float) -> bool:
    """Whether a comparison is better for certain; a claim with as many chances to be wrong as any.

    Exponents have a little room, as they bend with every fixed cost that is saved.
    """
    room = math.log(one.limit) if one.comparison.metric == "exponent" else 0.0
    estimate = one.estimate
    return estimate is not None and estimate.interval(together, together).below(-room)


def _advice(one: Pending, high: float | None) -> str:
    """Say about how many rounds would decide, if what was found is near the truth."""
    estimate = one.estimate
    if estimate is None or estimate.error is None or high is None:
        return f"fewer than {MIN_ROUNDS} rounds"
    if not estimate.count:
        return ""
    gap = abs(estimate.value - math.log(one.limit))
    half = math.log(high) - estimate.value
    rounds = math.ceil(estimate.count * (half / gap) ** 2) if gap > half / 10 else math.inf
    if rounds > _MANY_ROUNDS:
        return "too near the limit, or too noisy, to tell"
    return f"about {rounds} rounds would tell"


def _notes(runs: Runs, decided: Sequence[Comparison]) -> list[str]:
    """Say what a reader must know of how it was compared."""
    notes = []
    timed = [one for one in decided if one.metric == "time"]
    if not runs.same_machine:
        notes.append("The machines differ: only what carries over from one to another is compared")
        if timed:
            notes[-1] += f", times as multiples of those of {runs.limits.anchor} at the same n"
        if any(is_anchor(case, runs.limits) for case in runs.after.values()) and timed:
            notes.append(f"Times of {runs.limits.anchor} itself are the measure, and not compared")
    ratios = [one.ratio.value for one in timed if one.ratio]
    if timed and runs.same_machine and not runs.paired:
        if len(ratios) >= _MANY_CASES and min(ratios) > _SHIFTED:
            notes.append(
                f"All {len(ratios)} cases took longer ({min(ratios):.2f} to {max(ratios):.2f} "
                "times): a machine that has become slower looks the same; measure both versions "
                "in one sweep (--against) to tell"
            )
        elif not runs.merged and any(one.verdict == "regression" for one in timed):
            notes.append(
                "The baseline is a single run, so that the intervals do not hold what differs "
                "between runs; merge several with 'linbench baseline update'"
            )
    if runs.merged:
        notes.append("The baseline is the median of several runs, and how they differ counts")
    if "operations" in runs.limits.metrics and not any(
        one.metric == "operations" for one in decided
    ):
        notes.append("Operations are not compared: no case has counts in both runs")
    disturbed = sum(
        cell.disturbed
        for cases in (runs.before, runs.after)
        for case_id in runs.shared
        if (series := cases[case_id].time)
        for cell in series.cells
    )
    if timed and disturbed and not runs.paired:
        notes.append(
            f"{disturbed} of the rounds took 1.5 times as long as others of their case, "
            "and have no weight"
        )
    return notes
