"""The loop of every sweep: ask the schedule, have a pool measure, tell the schedule."""

import itertools
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from linbench.plan.schedule import Lost, Schedule, Slot, Visit
from linbench.run.case import Case
from linbench.run.record import Record

_TURN_S = 0.1
"""How long one of several pools that measure is waited for before the next is."""


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


Keep = Callable[[int, Record], object]
Watch = Callable[[Visit], None]


@dataclass
class _Begun:
    """A visit under way: the versions yet to be measured, and what those before them gave."""

    visit: Visit
    to_do: list[int]
    found: dict[int, Record | Lost] = field(default_factory=dict)


def run(
    schedule: Schedule, pools: Sequence[Pool], keep: Keep, watch: Watch = lambda _: None
) -> None:
    """Measure a schedule to its end: one version of everything, or several beside each other.

    Each version has a pool of its own, with places of the same names. In each visit every version
    is measured, one right after the other and in random order, so that whatever slows the machine
    down slows all of them: ratios are taken within rounds.

    Args:
        schedule: What to measure.
        pools: A pool for each version.
        keep: Takes the number of a version and its record as soon as the visit is over, in the end
            those of cases never visited.
        watch: Is told each visit before it begins.
    """
    chance = random.Random(0)  # noqa: S311 (an order, not a secret)
    under_way: dict[tuple[Case, int], _Begun] = {}
    while True:
        while visit := schedule.ask(_free_in_all(pools)):
            watch(visit)
            begun = _Begun(visit, chance.sample(range(len(pools)), len(pools)))
            under_way[visit.case, visit.round] = begun
            _submit_next(pools, begun)
        if not under_way:
            break
        version, result = _next(pools, {begun.to_do[0] for begun in under_way.values()})
        begun = under_way[result.case, result.round]
        begun.to_do.remove(version)
        begun.found[version] = result
        if begun.to_do:
            _submit_next(pools, begun)
            continue
        del under_way[result.case, result.round]
        results = [begun.found[version] for version in range(len(pools))]
        failed = schedule.tell(*results)
        records = [one for one in results if isinstance(one, Record)]
        if len(records) < len(pools):  # it was lost, and is measured again or failed for good
            records = [failed] * len(pools) if failed else []
        for version, record in enumerate(records):
            keep(version, record)
    for skipped in schedule.skipped():
        for version in range(len(pools)):
            keep(version, skipped)


def _free_in_all(pools: Sequence[Pool]) -> list[Slot]:
    """Return the places that are free in every pool, as the first has them."""
    others = [{slot.id for slot in pool.slots()} for pool in pools[1:]]
    return [slot for slot in pools[0].slots() if all(slot.id in ids for ids in others)]


def _submit_next(pools: Sequence[Pool], begun: _Begun) -> None:
    visit = begun.visit
    pools[begun.to_do[0]].submit(visit.slot, visit.case, visit.round)


def _next(pools: Sequence[Pool], busy: Collection[int]) -> tuple[int, Record | Lost]:
    """Wait for one of the pools that measure to give a result."""
    timeout_s = None if len(busy) == 1 else _TURN_S
    for version in itertools.cycle(sorted(busy)):
        if (result := pools[version].next(timeout_s)) is not None:
            return version, result
    raise AssertionError  # a cycle does not end


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
