"""Two versions measured in one sweep, round by round, until every case is decided.

After certain numbers of rounds all that was measured is judged, and cases that are decided are
done. As looking several times gives chance several chances, each look has its share of the error
rate (`linbench.studies.gate.looks`).
"""

from collections.abc import Callable, Collection, Sequence

from linbench.plan.schedule import Continue, Schedule
from linbench.run.case import Case


def until_decided(looks: Sequence[int], undecided: Callable[[], Collection[str]]) -> Continue:
    """Return which cases of two versions get another round: all that are not yet decided.

    After `looks` rounds, `undecided` judges all that was measured and returns the ids of cases that
    more rounds may decide.
    """
    decided: set[str] = set()

    def go_on(schedule: Schedule, cases: list[Case], round_: int) -> list[Case]:
        del schedule
        if round_ in looks and any(case.id not in decided for case in cases):
            still = set(undecided())
            decided.update(case.id for case in cases if case.id not in still)
        return [case for case in cases if case.id not in decided]

    return go_on
