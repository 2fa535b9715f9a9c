"""The decision: every comparison of two runs, their intervals together, one verdict.

Two errors have a known chance, alpha each, however many cases there are. A false alarm: a
regression is a comparison whose interval lies wholly above its limit, and the lower end of each has
level 1 - alpha / (number of comparisons that noise can touch), so that all of them hold at once
(Bonferroni, which needs no independence). A false pass: the gate passes only where every interval
lies below its limit, hence upper ends of level 1 - alpha each are enough (an intersection-union
test; Berger 1982, Technometrics 24:295-300).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from linbench.errors import UsageError, did_you_mean
from linbench.run.metrics import KNOWN
from linbench.run.runs import Run
from linbench.stats.moderated import MIN_ROUNDS
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
from linbench.studies.gate.ratios import absence, compared, is_anchor, of_machine
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
    merged: bool = False,
    alpha: float = ALPHA,
) -> Gate:
    """Judge a candidate by a baseline.

    Args:
        baseline: A run.
        candidate: The other.
        limits: How much worse the candidate may be, and what is compared.
        paired: Whether rounds of the same number were measured together, both versions in one
            sweep: ratios are then taken within rounds, and drift cancels.
        merged: Whether each round of the baseline is a whole run (`linbench.studies.gate.merge`):
            what differs between runs then counts, for the candidate too.
        alpha: The chance, at most, of any false regression, and of a false pass. Who looks several
            times as rounds come in splits it over the looks.

    Returns:
        What became of the candidate.

    Raises:
        UsageError: the runs share no case, or limits name a metric that neither has.
    """
    limits = limits or Limits()
    check_names(limits, (baseline, candidate))
    pair = Pair(baseline, candidate, limits, paired, merged)
    if not pair.before.keys() & pair.after.keys():
        examples = (next(iter(cases), "none at all") for cases in (pair.after, pair.before))
        raise UsageError(
            "candidate and baseline share no case: {} is one of the first, {} of the second; "
            "sweep the same suite for both".format(*examples)
        )
    decided, case_notes = statuses(pair)
    slopes, growth = exponents(pair) if limits.asks(EXPONENT) else ([], [])
    finished = _finish([*compared(pair), *slopes], alpha)
    steeper = {
        finding.case_id
        for finding in finished
        if finding.metric == EXPONENT and finding.verdict == "regression"
    }
    # the words rest on intervals of 95 % each: alone they would be wrong too often
    decided += [one for one in growth if one.verdict == "pass" or one.case_id in steeper]
    decided += [finding for finding in finished if not _informs(finding)]
    decided.sort(key=severity)
    return Gate(
        verdict=worst([finding.verdict for finding in decided]),
        findings=tuple(decided),
        undecided_exponents=tuple(finding for finding in finished if _informs(finding)),
        cases=tuple(case_notes),
        notes=tuple(_notes(pair, decided)),
        same_machine=pair.same_machine,
        alpha=alpha,
    )


def check_names(limits: Limits, runs: Iterable[Run]) -> None:
    """Check that limits speak of metrics that some runs have, or that their headers describe.

    Raises:
        UsageError: an unknown name.
    """
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


def _informs(finding: Finding) -> bool:
    """Whether a finding only informs: an exponent that is undecided.

    An exponent needs far more rounds than a ratio at one n, and a cost that grew shows in the
    ratios too: were it to decide, most gates would end without a verdict for no fault found.
    """
    return finding.metric == EXPONENT and finding.verdict == "inconclusive"


def _finish(pending: Sequence[Pending], alpha: float) -> list[Finding]:
    """Give every comparison its interval and verdict."""
    uncertain = sum(one.estimate is not None and bool(one.estimate.error) for one in pending)
    return [_decide(one, alpha, alpha / max(1, uncertain)) for one in pending]


def _decide(pending: Pending, alone: float, together: float) -> Finding:
    finding, less = pending.finding, pending.finding.better == "less"
    finding = replace(finding, limit=pending.limit if less else 1 / pending.limit)
    if pending.estimate is None:
        return finding
    worse = pending.estimate.interval(together, alone).exp()
    verdict: Verdict = "inconclusive"
    if worse.above(pending.limit):
        verdict = "regression"
    elif worse.high is not None and worse.high <= pending.limit:
        verdict = "pass"
    detail = finding.detail
    if verdict == "inconclusive" and finding.of_case:
        detail = "; ".join(filter(None, [detail, _advice(pending, worse.high)]))
    return replace(
        finding,
        verdict=verdict,
        ratio=worse if less else worse.under(1.0),
        improved=_improved(pending, together),
        detail=detail,
    )


def _improved(pending: Pending, together: float) -> bool:
    """Whether the candidate is significantly better; wrong with as little chance as any alarm.

    Exponents have a little room, as they bend with every fixed cost that is saved.
    """
    room = math.log(pending.limit) if pending.finding.metric == EXPONENT else 0.0
    estimate = pending.estimate
    return estimate is not None and estimate.interval(together, together).below(-room)


def _advice(pending: Pending, high: float | None) -> str:
    """Say about how many rounds would decide, if what was found is near the truth."""
    estimate = pending.estimate
    if estimate is None or estimate.error is None or high is None:
        return f"fewer than {MIN_ROUNDS} rounds"
    if not estimate.count:
        return ""
    gap = abs(estimate.value - math.log(pending.limit))
    half = math.log(high) - estimate.value
    rounds = math.ceil(estimate.count * (half / gap) ** 2) if gap > half / 10 else math.inf
    if rounds > _MANY_ROUNDS:
        return "too near the limit, or too noisy, to decide"
    return f"about {rounds} rounds would decide"


def _notes(pair: Pair, decided: Sequence[Finding]) -> list[str]:
    """Say what a reader must know of how it was compared."""
    notes = []
    bound = [metric.name for metric in pair.metrics if of_machine(metric)]
    timed = {name: found for name in bound if (found := [f for f in decided if f.metric == name])}
    said, anchor = listed(timed), pair.limits.anchor
    if not pair.same_machine:
        notes.append("The machines differ: only what carries over from one to another is compared")
        if timed:
            notes[-1] += f", {said} as multiples of those of {anchor} at the same n"
        if timed and any(is_anchor(case, pair.limits) for case in pair.after.values()):
            notes.append(f"{anchor} itself is the measure of {said}, and not compared in it")
    elif timed and not pair.paired:
        notes += _of_one_hour(pair, timed)
    if pair.merged:
        notes.append("The baseline is the median of several runs, and how they differ counts")
    if pair.limits.asks(OPERATIONS.name) and not any(
        finding.metric == OPERATIONS.name for finding in decided
    ):
        notes.append("Operations are not compared: no case has counts in both runs")
    notes += filter(None, (absence(pair, metric) for metric in pair.metrics))
    disturbed = {
        (role, case_id, reading.round)
        for role, cases in enumerate((pair.before, pair.after))
        for case_id in pair.shared
        for name in bound
        if name in cases[case_id].series
        for reading in cases[case_id].series[name].readings
        if reading.disturbed
    }
    if timed and disturbed and not pair.paired:
        notes.append(
            f"{len(disturbed)} of the rounds took 1.5 times as long as others of their case, "
            "and have no weight"
        )
    return notes


def _of_one_hour(pair: Pair, timed: Mapping[str, Sequence[Finding]]) -> list[str]:
    """Say what two runs made at different times leave open."""
    notes = []
    for name, findings in timed.items():
        worse = [
            ratio if finding.better == "less" else 1 / ratio
            for finding in findings
            if finding.ratio and (ratio := finding.ratio.value)
        ]
        if len(worse) >= _MANY_CASES and min(worse) > _SHIFTED:
            notes.append(
                f"All {len(worse)} cases are worse in {name} ({min(worse):.2f} to {max(worse):.2f} "
                "times): a machine that has become slower looks the same; measure both versions "
                "in one sweep (--against) to tell"
            )
    regressed = any(f.verdict == "regression" for findings in timed.values() for f in findings)
    if regressed and not notes and not pair.merged:
        notes.append(
            "The baseline is a single run, so that the intervals do not hold what differs "
            "between runs; merge several with 'linbench baseline update'"
        )
    return notes
