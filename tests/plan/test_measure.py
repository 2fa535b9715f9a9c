"""The loop that asks a schedule, has a pool measure, and keeps what comes."""

import pytest
from machines import Machine, grid

from linbench.plan import measure
from linbench.plan.schedule import Lost


def test_each_record_is_kept_as_soon_as_it_is_there():
    """Before the next visit begins: what is recorded survives whatever comes."""
    machine, seen = Machine(), []
    schedule = machine.schedule(grid("sdpa"), rounds=2)

    def watch(visit):
        seen.append((visit.case, visit.round, len(machine.kept)))

    measure.run(schedule, [machine], machine.keep, watch)
    assert [(case, round_) for case, round_, _ in seen] == machine.visits
    assert [kept for *_, kept in seen] == list(range(8))


def test_what_is_interrupted_leaves_what_was_kept():
    """Ctrl-C passes through, and no skipped records are made up for what was still to come."""
    machine = Machine()

    def interrupt(visit):
        if len(machine.kept) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure.run(machine.schedule(grid("sdpa")), [machine], machine.keep, interrupt)
    assert [record.status for record in machine.kept] == ["ok"] * 3


def test_a_pool_may_have_nothing_to_tell_yet():
    """`next` that runs out of patience is asked again."""

    class Hesitant(Machine):
        patience = 0

        def next(self, timeout_s=None):
            self.patience += 1
            return None if self.patience % 3 else super().next(timeout_s)

    machine = Hesitant(places=2)
    machine.run(grid("sdpa"), rounds=2)
    assert len(machine.kept) == 8
    assert measure.measure(machine, grid("sdpa")[0], 7).round == 7


def test_one_visit_can_be_had_without_a_schedule():
    """The record of a round, or an error where the place went away."""
    (case,) = grid("sdpa", sizes=(512,))
    record = measure.measure(Machine(), case, 3)
    assert (record.case, record.round, record.status) == (case, 3, "ok")
    with pytest.raises(RuntimeError, match="the node went away"):
        measure.measure(Machine(lose=[(case, 3)]), case, 3)


def test_a_place_that_is_lost_is_told_not_kept():
    """The run file has records; what was lost once has none."""
    cases = grid("sdpa", sizes=(512, 1024))
    machine = Machine(lose=[(cases[0], 0)])
    lost = []
    told = machine.next
    machine.next = lambda timeout_s=None: lost.append(found := told()) or found
    machine.run(cases, rounds=1)
    assert sum(isinstance(one, Lost) for one in lost) == 1
    assert len(machine.kept) == 2


def test_versions_side_by_side_share_their_skipped_cases():
    """What is never visited is skipped in each, with one reason."""
    kept = [], []
    pools = Machine(), Machine()
    schedule = pools[0].schedule(grid("vanilla", sizes=(512, 65536)), rounds=2, sure_only=True)
    measure.run(schedule, pools, lambda version, record: kept[version].append(record))
    for records in kept:
        assert [(r.case.seq, r.status) for r in records] == [
            (512, "ok"), (512, "ok"), (65536, "skipped"),
        ]  # fmt: skip
    assert kept[0][-1] == kept[1][-1]


def test_versions_share_places_and_what_is_lost():
    """Two places each: a visit that one version loses is measured again in both, and kept once."""
    cases = grid("sdpa", "vanilla", sizes=(512, 1024))
    kept = [], []
    pools = Machine(places=2), Machine(places=2, lose=[(cases[0], 0)])
    measure.run(
        pools[0].schedule(cases, rounds=2, versions=2), pools, lambda v, r: kept[v].append(r)
    )
    for records in kept:
        assert sorted((r.case.impl, r.case.seq, r.round) for r in records) == sorted(
            (case.impl, case.seq, round_) for case in cases for round_ in (0, 1)
        )
        assert {r.status for r in records} == {"ok"}
    assert pools[0].visits.count((cases[0], 0)) == pools[1].visits.count((cases[0], 0)) == 2


def test_what_is_lost_twice_failed_in_every_version():
    """One record each says so."""
    (case,) = grid("sdpa", sizes=(512,))
    kept = [], []
    pools = Machine(), Machine(lose=[(case, 0), (case, 0)])
    measure.run(pools[0].schedule([case], rounds=1), pools, lambda v, r: kept[v].append(r))
    assert [[r.status for r in records] for records in kept] == [["error"], ["error"]]
    assert "lost twice" in kept[1][0].reason
