"""Two versions round by round, with pools that return chosen samples."""

import math
import random
import statistics

import pytest
import synthetic

from linbench.plan.against import until_decided
from linbench.plan.measure import run
from linbench.plan.schedule import Plan, Schedule, Slot
from linbench.run.case import Case
from linbench.run.metrics import Measurement
from linbench.run.record import Record
from linbench.run.runs import Run
from linbench.studies.gate import Limits, Looks, looks_within

CASES = [Case(impl="mine", seq=n) for n in (64, 128, 256, 512)]


class Version:
    """A version whose calls take n µs, times a factor, the drift of the round and noise."""

    def __init__(self, name, *, noise=0.02, factor=None, drift=None, fails=(), seed=0, took=0.1):
        self.chance = random.Random(f"{name} {seed}")
        self.noise, self.took, self.fails = noise, took, fails
        self.factor, self.drift = factor or {}, drift or {}
        self.header, self.records = synthetic.header(name), []
        self.change = lambda record: record
        self.visit = None

    def slots(self):
        return () if self.visit else (Slot(free_bytes=2**40),)

    def submit(self, slot, case, round_):
        self.visit = case, round_

    def next(self, timeout_s=None):
        (case, round_), self.visit = self.visit, None
        if case.seq in self.fails:
            return Record(case_id=case.id, case=case, round=round_, status="error",
                          reason="raised", duration_s=0.1)  # fmt: skip
        level = math.log(1e-6 * case.seq * self.factor.get(case.seq, 1.0))
        level += self.drift.get(round_, 0.0)
        seconds = [math.exp(level + self.chance.gauss(0, self.noise)) for _ in range(5)]
        return self.change(
            Record(
                case_id=case.id, case=case, round=round_, status="ok", duration_s=self.took,
                metrics={
                    "time": Measurement(statistics.median(seconds), seconds),
                    "memory": Measurement(1000 * case.seq, source="cpu_allocator"),
                },
            )
        )  # fmt: skip

    @property
    def run(self):
        return Run(self.header, tuple(self.records))

    @property
    def rounds(self):
        """How many good rounds of each n."""
        ok = [record.case.seq for record in self.records if record.status == "ok"]
        return {n: ok.count(n) for n in sorted(set(ok))}


def gate(reference, candidate, *, rounds=32, budget_s=None, cases=CASES):
    versions = (reference, candidate)
    looks = Looks(Limits(), looks_within(rounds))

    def judged():
        return looks.judge(reference.run, candidate.run)

    clock = lambda: sum(r.duration_s or 0 for v in versions for r in v.records)  # noqa: E731
    schedule = Schedule(
        cases, Plan(rounds=rounds, budget_s=budget_s),
        cases_to_continue=until_decided(looks.looks, lambda: judged().undecided),
        sure_only=True, clock=clock,
    )  # fmt: skip
    run(schedule, versions, lambda version, r: versions[version].records.append(r))
    return judged()


def test_equal_versions_pass_at_the_first_look():
    """Quiet cases are decided after the first look, though both drift by a tenth together."""
    drift = {i: 0.1 * (-1) ** i for i in range(40)}
    versions = [Version(name, drift=drift) for name in ("a", "b")]
    assert gate(*versions).verdict == "pass"
    assert versions[0].rounds == versions[1].rounds == dict.fromkeys((64, 128, 256, 512), 6)


def test_a_slower_case_is_a_regression_and_named():
    """30 % in one case of four is found, and in that one alone."""
    found = gate(Version("a"), Version("b", factor={256: 1.3}))
    assert found.verdict == "regression"
    (finding,) = found.of("regression")
    assert (finding.metric, finding.label) == ("time", "mine n=256")
    assert finding.ratio.low < 1.3 < finding.ratio.high
    assert found.alpha == 0.01


def test_only_undecided_cases_get_more_rounds():
    """A case at the limit goes on to the last round and stays inconclusive; the others are done."""
    reference = Version("a")
    found = gate(reference, Version("b", factor={128: 1.1}, noise=0.05), rounds=14)
    assert reference.rounds[128] == 14
    assert min(reference.rounds.values()) < 14
    assert found.verdict == "inconclusive"
    assert [finding.label for finding in found.of("inconclusive")] == ["mine n=128"]


def test_the_end_of_the_budget_ends_it_without_a_verdict():
    """What was measured is judged; too few rounds leave it undecided, never passed."""
    versions = [Version(name, noise=0.3, took=0.5) for name in ("a", "b")]
    found = gate(*versions, budget_s=60.0)
    assert found.verdict == "inconclusive"
    assert 1 < max(versions[0].rounds.values()) < 32


def test_a_case_that_fails_in_the_candidate_is_a_regression():
    """One failure decides the case: no more rounds of it, and both records say what happened."""
    reference, candidate = Version("a"), Version("b", fails=(64,))
    found = gate(reference, candidate)
    assert found.verdict == "regression"
    decided = [(finding.metric, finding.label) for finding in found.of("regression")]
    assert decided == [("status", "mine n=64")]
    assert reference.rounds[64] == 1
    assert [r.status for r in candidate.records if r.case.seq == 64] == ["error"]


def test_a_case_that_errs_in_the_reference_is_undecided():
    """Nothing was compared, so that nothing passed; the reason is the reference's."""
    found = gate(Version("a", fails=(64,)), Version("b"))
    assert found.verdict == "inconclusive"
    (finding,) = found.of("inconclusive")
    assert finding.metric == "status"
    assert "raised" in finding.detail


def test_what_a_look_decided_stays_decided():
    """A regression that the reference's later failure takes out of the table is still one."""
    reference, candidate = Version("a"), Version("b", factor={128: 1.5})
    chance = random.Random(1)

    def with_memory(record, shift):
        peak = round(1000 * record.case.seq * math.exp(chance.gauss(shift, 0.2)))
        memory = {"memory": Measurement(peak, source="rss_hwm")}
        return record.model_copy(update={"metrics": {**record.metrics, **memory}})

    def fails_later(record):
        if record.case.seq == 128 and record.round == 7:
            return record.model_copy(update={"status": "timeout", "metrics": {}})
        return with_memory(record, 0.0)

    reference.change = fails_later
    candidate.change = lambda record: with_memory(record, 0.04)
    found = gate(reference, candidate, rounds=9)
    assert [r.status for r in reference.records if r.round == 7 and r.case.seq == 128] == [
        "timeout"
    ]
    assert found.verdict == "regression"
    decided = {(finding.metric, finding.label) for finding in found.of("regression")}
    assert ("time", "mine n=128") in decided


def test_a_case_that_does_not_fit_is_skipped_in_both():
    """The schedule's reason stands in both, once."""
    versions = [Version(name) for name in ("a", "b")]
    gate(*versions, cases=[*CASES, Case(impl="vanilla", seq=2**20)])
    for version in versions:
        (reason,) = (r.reason for r in version.records if r.status == "skipped")
        assert "exceeds" in reason


def test_both_versions_of_a_visit_are_measured_one_right_after_the_other():
    """In random order, the same rounds of both."""
    order = []

    class Watched(Version):
        def submit(self, slot, case, round_):
            order.append((self.header.run_id, case, round_))
            super().submit(slot, case, round_)

    gate(Watched("a"), Watched("b"), rounds=6)
    pairs = list(zip(order[::2], order[1::2], strict=True))
    assert all(first[1:] == second[1:] for first, second in pairs)
    assert {(first[0], second[0]) for first, second in pairs} == {("a", "b"), ("b", "a")}


@pytest.mark.parametrize(
    ("rounds", "looks"),
    [(32, (6, 9, 14, 21, 32)), (3, (3,)), (10, (6, 9, 10)), (40, (6, 9, 14, 21, 32, 40))],
)
def test_the_last_round_is_a_look(rounds, looks):
    """However many rounds are allowed, what they gave is judged."""
    assert looks_within(rounds) == looks


def test_looking_often_does_not_cry_wolf():
    """Of 15 gates on equal versions with 5 % noise and five looks, none is a regression."""
    verdicts = [
        gate(*(Version(name, noise=0.05, seed=i) for name in ("a", "b"))).verdict for i in range(15)
    ]
    assert "regression" not in verdicts
    assert verdicts.count("pass") >= 13


def test_nothing_is_judged_between_looks():
    """Judging costs time beside what is measured: only after the rounds that are looks."""
    judged = []
    go_on = until_decided((3, 5), lambda: judged.append(1) or [CASES[0].id])
    assert go_on(None, CASES, 1) == go_on(None, CASES, 2) == CASES
    assert judged == []
    assert go_on(None, CASES, 3) == CASES[:1]
    assert go_on(None, CASES, 4) == CASES[:1]
    assert judged == [1]
