"""Two versions measured in one sweep, round by round, until every case is decided.

In each round a case is measured in both versions, one right after the other and in random order, so
that whatever slows the machine down slows both: the ratio is taken within rounds. After certain
numbers of rounds (LOOKS) all that was measured is judged, and cases that are decided are done. As
looking several times gives chance several chances, each look has its share of the error rate
(Bonferroni over the looks, so that any of them may be the last).
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from linbench import runner
from linbench.case import Case
from linbench.gate import Comparison, Gate, Limits, judge
from linbench.gate.verdicts import severity, worst
from linbench.journal import Journal
from linbench.record import Record, load
from linbench.runner import Measure, Plan, State

LOOKS = (6, 9, 14, 21, 32, 48, 72, 108)
"""After how many rounds to judge; each about 1.5 times the one before."""


@dataclass
class Sides:
    """The two versions while they are measured: how, and what each has given.

    Attributes:
        reference: Measures a round of a case in the reference, and its run file.
        candidate: The same of the candidate.
        limits: How much worse a candidate may be.
        alpha: The chance of any wrong decision in all.
        looks: After how many rounds to judge.
        decided: What earlier looks decided, by case and metric.
        chance: Decides which version goes first.
    """

    reference: tuple[Measure, Journal]
    candidate: tuple[Measure, Journal]
    limits: Limits
    alpha: float
    looks: tuple[int, ...]
    decided: dict[tuple[str, str], Comparison] = field(default_factory=dict)
    chance: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 (order)


def looks_within(rounds: int) -> tuple[int, ...]:
    """Return after how many rounds to judge where there are at most so many."""
    return (*(look for look in LOOKS if look < rounds), rounds)


def measure(
    cases: Sequence[Case],
    plan: Plan,
    sides: Sides,
    *,
    free_bytes: float,
    visiting: Callable[[Case, int, State, list[Case]], None] = lambda *_: None,
    took: Callable[[Record], None] = lambda _: None,
) -> Gate:
    """Measure both versions until every case is decided, or rounds or budget end.

    Args:
        cases: The grid.
        plan: Most rounds, budget and limits of a case.
        sides: The two versions.
        free_bytes: Memory a case may take.
        visiting: Told before each visit, with the cases still to come in this round.
        took: Told each record of the candidate, and those of the reference that are not ok.

    Returns:
        What became of the candidate.
    """
    runner.run(
        cases,
        plan,
        lambda case, round_: _both(case, round_, sides, took),
        lambda record: _keep_skipped(record, sides, took),
        free_bytes=free_bytes,
        visiting=visiting,
        wanted=lambda waiting, round_, state: _undecided(waiting, round_, state, sides),
    )
    return look(sides)


def _both(case: Case, round_: int, sides: Sides, took: Callable[[Record], None]) -> Record:
    """Measure one round of a case in both versions; what the runner sees is their sum."""
    versions = [sides.reference, sides.candidate]
    sides.chance.shuffle(versions)
    records: dict[int, Record] = {}
    for version in versions:
        run, journal = version
        record = run(case, round_)
        journal.append(record)
        records[id(version)] = record
    reference, candidate = records[id(sides.reference)], records[id(sides.candidate)]
    took(candidate)
    if reference.status not in ("ok", candidate.status):
        took(reference)
    worse = candidate if candidate.status != "ok" else reference
    both_s = (reference.duration_s or 0.0) + (candidate.duration_s or 0.0)
    return worse.model_copy(update={"duration_s": both_s})


def _keep_skipped(record: Record, sides: Sides, took: Callable[[Record], None]) -> None:
    """Write a case that the runner skipped to both files; what was measured is there already."""
    if record.status == "skipped" and record.duration_s is None:
        for _, journal in (sides.reference, sides.candidate):
            journal.append(record)
        took(record)


def _undecided(waiting: list[Case], round_: int, state: State, sides: Sides) -> list[Case]:
    """Return the cases to go on with: measured in every round so far, and not yet decided."""
    going = [case for case in waiting if state.alive(case) and len(state.rounds_of(case)) == round_]
    if going and round_ in sides.looks:
        undecided = set(look(sides).undecided)
        return [case for case in going if case.id in undecided]
    return going


def look(sides: Sides) -> Gate:
    """Judge what has been measured so far; what an earlier look decided stays decided."""
    now = judge(
        load(sides.reference[1].path)[1],
        load(sides.candidate[1].path)[1],
        sides.limits,
        paired=True,
        alpha=sides.alpha / len(sides.looks),
    )
    for one in now.comparisons:
        if one.verdict != "inconclusive":
            sides.decided.setdefault((one.case_id, one.metric), one)
    open_ = [one for one in now.comparisons if (one.case_id, one.metric) not in sides.decided]
    # also what this look no longer lists: a case that failed since stays the regression it was
    comparisons = sorted([*sides.decided.values(), *open_], key=severity)
    return replace(
        now,
        comparisons=tuple(comparisons),
        untold=tuple(one for one in now.untold if (one.case_id, one.metric) not in sides.decided),
        verdict=worst([one.verdict for one in comparisons]),
        alpha=sides.alpha,
    )
