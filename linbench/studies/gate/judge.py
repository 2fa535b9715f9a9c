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

from linbench.errors import UsageError, did_you_mean
from linbench.run.metrics import KNOWN
from linbench.run.runs import Run
from linbench.stats.moderated import MIN_ROUNDS, Typical
from linbench.studies.gate.cases import Pair, statuses
from linbench.studies.gate.exponents import exponents
from linbench.studies.gate.findings import (
    ALPHA,
    EXPONENT,
    OPERATIONS,
    WEIGHTS,
    Finding,
    Gate,
    Limits,
    Pending,
    Verdict,
    severity,
    worst,
)
from linbench.studies.gate.ratios import absence, compared
from linbench.words import listed

_MANY_ROUNDS = 100
_SHIFTED = 1.03
_MANY_CASES = 4


def judge(
    baseline: Run,
    candidate: Run,
    limits: Limits | None = None,
    *,
    paired: bool = False,
    alpha: float = ALPHA,
) -> Gate:
    """Judge a candidate by a baseline.

    What differs between runs counts, for the candidate too, where the baseline is made of several.

    Args:
        baseline: A run, or several merged.
        candidate: The run to judge.
        limits: How much worse the candidate may be, and what is compared.
        paired: Whether rounds of the same number were measured together, both versions in one
            sweep: ratios are then taken within rounds, and drift cancels.
        alpha: The chance, at most, of any false regression, and of a false pass. Who looks several
            times as rounds come in splits it over the looks.

    Raises:
        UsageError: the runs share no case, or limits name a metric that neither has.
    """
    limits = limits or Limits()
    _check_names(limits, (baseline, candidate))
    pair = Pair(baseline, candidate, limits, paired)
    before, after = pair.both
    if not before.keys() & after.keys():
        examples = (next(iter(cases), "none at all") for cases in (after, before))
        raise UsageError(
            "candidate and baseline share no case: {} is one of the first, {} of the second; "
            "sweep the same suite for both".format(*examples)
        )
    decided, case_notes = statuses(pair)
    slopes, growth = exponents(pair) if limits.asks(EXPONENT) else ([], [])
    pending = [*compared(pair), *slopes]
    uncertain = sum(bool(one.estimate and one.estimate.error) for one in pending)
    finished = [_decide(one, alpha, alpha / max(1, uncertain)) for one in pending]
    of_exponents = [finding for finding in finished if finding.metric == EXPONENT]
    steeper = {finding.case_id for finding in of_exponents if finding.verdict == "regression"}
    # An exponent needs far more rounds than a ratio at one n, and a cost that grew shows in the
    # ratios too: were undecided ones to count, most gates would end without a verdict for no fault.
    undecided = tuple(finding for finding in of_exponents if finding.verdict == "inconclusive")
    # the words rest on intervals of 95 % each: alone they would be wrong too often
    decided += [one for one in growth if one.verdict == "pass" or one.case_id in steeper]
    decided += [finding for finding in finished if finding not in undecided]
    decided.sort(key=severity)
    return Gate(
        verdict=worst([finding.verdict for finding in decided]),
        findings=tuple(decided),
        undecided_exponents=undecided,
        cases=tuple(case_notes),
        notes=tuple(_notes(pair, decided)),
        same_machine=pair.same_machine,
        alpha=alpha,
    )


def _check_names(limits: Limits, runs: Sequence[Run]) -> None:
    """Check that limits name metrics that some runs have, or that their headers describe."""
    own = (name for run in runs for record in run.records for name in record.metrics)
    described = (metric.name for run in runs for metric in run.header.metrics)
    known = [*dict.fromkeys((*KNOWN, *described, *own, WEIGHTS.name, OPERATIONS.name))]
    asked = [("--metric", name, [*known, EXPONENT]) for name in limits.metrics or ()]
    asked += [("--max", name, known) for name in limits.maximum]
    for flag, name, names in asked:
        if name not in names:
            raise UsageError(
                f"{flag} '{name}' is unknown, expected one of {', '.join(names)}"
                f"{did_you_mean(name, names)}"
            )


def _decide(pending: Pending, alone: float, together: float) -> Finding:
    """Give a comparison its interval, whose ends are wrong with these chances, and its verdict."""
    estimate, less = pending.estimate, pending.finding.better == "less"
    limit = pending.limit if less else 1 / pending.limit
    finding = replace(pending.finding, limit=limit)
    if estimate is None:
        return finding
    worse = estimate.interval(together, alone).exp()
    verdict: Verdict = "inconclusive"
    if worse.above(pending.limit):
        verdict = "regression"
    elif worse.high is not None and worse.high <= pending.limit:
        verdict = "pass"
    elif finding.of_case:
        advice = _advice(estimate, pending.limit, worse.high)
        finding = replace(finding, detail="; ".join(filter(None, [finding.detail, advice])))
    # with as little chance to be wrong as any alarm; exponents bend with each fixed cost saved
    room = math.log(pending.limit) if finding.metric == EXPONENT else 0.0
    improved = estimate.interval(together, together).below(-room)
    ratio = worse if less else worse.under(1.0)
    return replace(finding, verdict=verdict, ratio=ratio, improved=improved)


def _advice(estimate: Typical, limit: float, high: float | None) -> str:
    """Say about how many rounds would decide, if what was found is near the truth."""
    if estimate.error is None or high is None:
        return f"fewer than {MIN_ROUNDS} rounds"
    if not estimate.count:
        return ""
    gap = abs(estimate.value - math.log(limit))
    half = math.log(high) - estimate.value
    rounds = math.ceil(estimate.count * (half / gap) ** 2) if gap > half / 10 else math.inf
    if rounds > _MANY_ROUNDS:
        return "too near the limit, or too noisy, to decide"
    return f"about {rounds} rounds would decide"


def _notes(pair: Pair, decided: Sequence[Finding]) -> list[str]:
    """Say what a reader must know of how it was compared."""
    notes = []
    have = {finding.metric for finding in decided}
    bound = [metric.name for metric in pair.metrics if metric.machine_bound]
    timed = [name for name in bound if name in have]
    said, anchor = listed(timed), pair.limits.anchor
    if not pair.same_machine:
        notes.append("The machines differ: only what carries over from one to another is compared")
        if timed:
            notes[-1] += f", {said} as multiples of those of {anchor} at the same n"
        if timed and any(map(pair.is_anchor, pair.both[1])):
            notes.append(f"{anchor} itself is the measure of {said}, and not compared in it")
    elif timed and not pair.paired:
        notes += _of_one_hour(pair, timed, decided)
    if pair.merged:
        notes.append("The baseline is the median of several runs, and how they differ counts")
    if pair.limits.asks(OPERATIONS.name) and OPERATIONS.name not in have:
        notes.append("Operations are not compared: no case has counts in both runs")
    notes += filter(None, (absence(pair, metric) for metric in pair.metrics))
    disturbed = {
        (role, case_id, reading.round)
        for role, cases in enumerate(pair.both)
        for case_id in pair.shared
        for name, series in cases[case_id].series.items()
        for reading in series.readings
        if reading.disturbed and name in bound
    }
    if timed and disturbed and not pair.paired:
        notes.append(
            f"{len(disturbed)} of the rounds took 1.5 times as long as others of their case, "
            "and have no weight"
        )
    return notes


def _of_one_hour(pair: Pair, timed: Sequence[str], decided: Sequence[Finding]) -> list[str]:
    """Say what two runs made at different times leave open."""
    notes = []
    for name in timed:
        found = [(f.ratio.value, f.better) for f in decided if f.metric == name and f.ratio]
        worse = [ratio if better == "less" else 1 / ratio for ratio, better in found]
        if len(worse) >= _MANY_CASES and min(worse) > _SHIFTED:
            notes.append(
                f"All {len(worse)} cases are worse in {name} ({min(worse):.2f} to {max(worse):.2f} "
                "times): a machine that has become slower looks the same; measure both versions "
                "in one sweep (--against) to tell"
            )
    regressed = any(f.verdict == "regression" and f.metric in timed for f in decided)
    if regressed and not notes and not pair.merged:
        notes.append(
            "The baseline is a single run, so that the intervals do not hold what differs "
            "between runs; merge several with 'linbench baseline update'"
        )
    return notes
