"""Two versions round by round, with executors that return chosen samples."""

import functools
import itertools
import math
import random

import pytest

from linbench import against
from linbench.against import Sides, looks_within, measure
from linbench.case import Case
from linbench.gate import Limits
from linbench.journal import Journal
from linbench.record import Header, Machine, Memory, Record, load
from linbench.runner import Plan

CASES = [Case(impl="mine", seq=n) for n in (64, 128, 256, 512)]


def version(tmp_path, name, *, noise=0.02, factor=None, drift=None, fails=(), seed=0, took=0.1):
    """A version whose calls take n µs, times a factor, the drift of the round and noise."""
    chance = random.Random(f"{name} {seed}")
    head = Header(
        run_id=name, created="2026-01-02T03:04:05+00:00", linbench="0.1.0",
        machine=Machine(fingerprint="machine-a"),
    )  # fmt: skip
    journal = Journal.create(tmp_path / f"{name}.jsonl", head)

    def run(case, round_):
        if case.seq in fails:
            return Record(case_id=case.id, case=case, round=round_, status="error",
                          reason="raised", duration_s=0.1)  # fmt: skip
        level = math.log(1e-6 * case.seq * (factor or {}).get(case.seq, 1.0))
        level += (drift or {}).get(round_, 0.0)
        seconds = [math.exp(level + chance.gauss(0, noise)) for _ in range(5)]
        return Record(
            case_id=case.id, case=case, round=round_, status="ok", seconds=seconds,
            memory=Memory(peak_bytes=1000 * case.seq, source="cpu_allocator"), duration_s=took,
        )  # fmt: skip

    return run, journal


def gate(tmp_path, reference, candidate, *, rounds=32, budget_s=None, cases=CASES, **more):
    sides = Sides(reference, candidate, Limits(), 0.01, looks_within(rounds))
    plan = Plan(rounds=rounds, budget_s=budget_s)
    return measure(cases, plan, sides, free_bytes=2**40, **more)


def rounds_of(side):
    _, frame = load(side[1].path)
    return frame[frame["status"] == "ok"].groupby("seq")["round"].count().to_dict()


def test_equal_versions_pass_at_the_first_look(tmp_path):
    """Quiet cases are decided after the first look, though both drift by a tenth together."""
    drift = {i: 0.1 * (-1) ** i for i in range(40)}
    sides = [version(tmp_path, name, drift=drift) for name in ("a", "b")]
    found = gate(tmp_path, *sides)
    assert found.verdict == "pass"
    assert rounds_of(sides[0]) == rounds_of(sides[1]) == dict.fromkeys((64, 128, 256, 512), 6)


def test_a_slower_case_is_a_regression_and_named(tmp_path):
    """30 % in one case of four is found, and in that one alone."""
    sides = [version(tmp_path, "a"), version(tmp_path, "b", factor={256: 1.3})]
    found = gate(tmp_path, *sides)
    assert found.verdict == "regression"
    (one,) = found.of("regression")
    assert (one.metric, one.label) == ("time", "mine n=256")
    assert one.ratio.low < 1.3 < one.ratio.high
    assert found.alpha == 0.01


def test_only_undecided_cases_get_more_rounds(tmp_path):
    """A case at the limit goes on to the last round and stays inconclusive; the others are done."""
    sides = [version(tmp_path, "a"), version(tmp_path, "b", factor={128: 1.1}, noise=0.05)]
    found = gate(tmp_path, *sides, rounds=14)
    counted = rounds_of(sides[0])
    assert counted[128] == 14
    assert min(counted.values()) < 14
    assert found.verdict == "inconclusive"
    assert [one.label for one in found.of("inconclusive")] == ["mine n=128"]


def test_the_end_of_the_budget_ends_it_without_a_verdict(tmp_path, monkeypatch):
    """What was measured is judged; too few rounds leave it undecided, never passed."""
    clock = functools.partial(next, itertools.count(step=0.5))
    monkeypatch.setattr(against.runner, "run", functools.partial(against.runner.run, clock=clock))
    sides = [version(tmp_path, name, noise=0.3, took=0.5) for name in ("a", "b")]
    found = gate(tmp_path, *sides, budget_s=60.0)
    assert found.verdict == "inconclusive"
    assert 1 < max(rounds_of(sides[0]).values()) < 32


def test_a_case_that_fails_in_the_candidate_is_a_regression(tmp_path):
    """One failure decides the case: no more rounds of it, and both files say what happened."""
    took = []
    sides = [version(tmp_path, "a"), version(tmp_path, "b", fails=(64,))]
    found = gate(tmp_path, *sides, took=took.append)
    assert found.verdict == "regression"
    assert [(one.metric, one.label) for one in found.of("regression")] == [("status", "mine n=64")]
    assert rounds_of(sides[0])[64] == 1
    assert "error" in {record.status for record in took}


def test_a_case_that_errs_in_the_reference_cannot_be_told(tmp_path):
    """Nothing was compared, so that nothing passed; the reason is the reference's."""
    sides = [version(tmp_path, "a", fails=(64,)), version(tmp_path, "b")]
    found = gate(tmp_path, *sides)
    assert found.verdict == "inconclusive"
    (one,) = found.of("inconclusive")
    assert one.metric == "status"
    assert "raised" in one.detail


def test_what_a_look_decided_stays_decided(tmp_path):
    """A regression that the reference's later failure takes out of the table is still one."""
    run, journal = version(tmp_path, "a")

    def fails_later(case, round_):
        record = run(case, round_)
        if case.seq == 128 and round_ == 7:
            return record.model_copy(update={"status": "timeout", "seconds": [], "memory": None})
        return record

    chance = random.Random(1)
    slower, candidate = version(tmp_path, "b", factor={128: 1.5})

    def noisy_memory(case, round_):
        record = slower(case, round_)
        peak = round(1000 * case.seq * math.exp(chance.gauss(0.04, 0.2)))
        return record.model_copy(update={"memory": Memory(peak_bytes=peak, source="rss_hwm")})

    def rss(case, round_):
        record = fails_later(case, round_)
        if record.memory:
            peak = round(1000 * case.seq * math.exp(chance.gauss(0, 0.2)))
            memory = Memory(peak_bytes=peak, source="rss_hwm")
            record = record.model_copy(update={"memory": memory})
        return record

    found = gate(tmp_path, (rss, journal), (noisy_memory, candidate), rounds=9)
    assert found.verdict == "regression"
    assert ("time", "mine n=128") in {(one.metric, one.label) for one in found.of("regression")}


def test_a_case_that_does_not_fit_is_skipped_in_both(tmp_path):
    """The runner's reason stands in both files, once."""
    sides = [version(tmp_path, name) for name in ("a", "b")]
    big = Case(impl="vanilla", seq=2**20)
    gate(tmp_path, *sides, cases=[*CASES, big])
    for _, journal in sides:
        _, frame = load(journal.path)
        (reason,) = frame[frame["status"] == "skipped"]["reason"]
        assert "exceeds" in reason


@pytest.mark.parametrize(
    ("rounds", "looks"),
    [(32, (6, 9, 14, 21, 32)), (3, (3,)), (10, (6, 9, 10)), (40, (6, 9, 14, 21, 32, 40))],
)
def test_the_last_round_is_a_look(rounds, looks):
    """However many rounds are allowed, what they gave is judged."""
    assert looks_within(rounds) == looks


def test_looking_often_does_not_cry_wolf(tmp_path):
    """Of 15 gates on equal versions with 5 % noise and five looks, none is a regression."""
    verdicts = []
    for i in range(15):
        folder = tmp_path / str(i)
        folder.mkdir()
        sides = [version(folder, name, noise=0.05, seed=i) for name in ("a", "b")]
        verdicts.append(gate(folder, *sides).verdict)
    assert "regression" not in verdicts
    assert verdicts.count("pass") >= 13
