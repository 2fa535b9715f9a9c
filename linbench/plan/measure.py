"""The loop of every sweep: ask the schedule, have a pool measure, tell the schedule."""

import random
from collections.abc import Callable, Sequence
from typing import Protocol

from linbench.plan.schedule import Lost, Schedule, Slot, Visit
from linbench.run.case import Case
from linbench.run.record import Record


class Pool(Protocol):
    """Measures visits, each at a place; several at once where it has several places."""

    def slots(self) -> Sequence[Slot]:
        """Return the places that are free now; never waits."""
        ...

    def submit(self, slot: Slot, case: Case, round_: int) -> None:
        """Begin a visit at a free place."""
        ...

    def next(self, timeout_s: float | None = None) -> Record | Lost | None:
        """Wait for a visit to end and return what it gave; None where that takes longer."""
        ...


Keep = Callable[[int, Record], None]
Watch = Callable[[Visit], None]


def run(
    schedule: Schedule, pool: Pool, keep: Callable[[Record], None], watch: Watch = lambda _: None
) -> None:
    """Measure a schedule to its end.

    `watch` is told each visit before it begins; `keep` takes each record as soon as it is there,
    in the end those of cases never visited.
    """
    while True:
        while visit := schedule.ask(pool.slots()):
            watch(visit)
            pool.submit(visit.slot, visit.case, visit.round)
        if not schedule.in_flight:
            break
        if (result := pool.next()) is None:
            continue
        failed = schedule.tell(result)
        if record := result if isinstance(result, Record) else failed:
            keep(record)
    for record in schedule.skipped():
        keep(record)


def run_side_by_side(
    schedule: Schedule, pools: Sequence[Pool], keep: Keep, watch: Watch = lambda _: None
) -> None:
    """Measure several versions of everything, each with a pool of one place of its own.

    In each visit every version is measured, one right after the other and in random order, so that
    whatever slows the machine down slows all of them: ratios are taken within rounds. `keep` takes
    the number of a version and its record.
    """
    chance = random.Random(0)  # noqa: S311 (an order, not a secret)
    while visit := schedule.ask(pools[0].slots()):
        watch(visit)
        found: dict[int, Record] = {}
        for version in chance.sample(range(len(pools)), len(pools)):
            record = measure(pools[version], visit.case, visit.round)
            keep(version, record)
            found[version] = record
        schedule.tell(*(found[version] for version in range(len(pools))))
    for record in schedule.skipped():
        for version in range(len(pools)):
            keep(version, record)


def measure(pool: Pool, case: Case, round_: int) -> Record:
    """Measure one round of one case at a pool's first place.

    Raises:
        RuntimeError: the place was lost.
    """
    pool.submit(pool.slots()[0], case, round_)
    result = pool.next()
    while result is None:
        result = pool.next()
    if isinstance(result, Lost):
        raise RuntimeError(result.reason)  # noqa: TRY004 (not a matter of types)
    return result
