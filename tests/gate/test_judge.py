"""The gate's verdicts, with runs made from known laws."""

import math

import numpy as np
import pytest
from synthetic import failed, header, measured, twelve, write

from linbench.case import Case
from linbench.errors import UsageError
from linbench.gate import Limits, judge, to_json
from linbench.record import Counts, MaxBatch, Memory, Record, Timing, load


@pytest.fixture
def frame(tmp_path):
    """Write records as a run file and read its table."""
    count = iter(range(1000))

    def of(records, fingerprint="machine-a"):
        path = tmp_path / f"{next(count)}.jsonl"
        return load(write(path, records, header(path.stem, fingerprint)))[1]

    return of


def rng(seed):
    return np.random.default_rng(seed)


def of(gate, metric):
    return [one for one in gate.comparisons if one.metric == metric]


def change(records, **fields):
    """Return records with other fields; those of `memory` are changed within it."""
    inner = {key: fields.pop(key) for key in list(fields) if key in Memory.model_fields}
    return [
        one.model_copy(update={**fields, "memory": one.memory.model_copy(update=inner)})
        for one in records
    ]


def line(impl="vanilla", **how):
    """One quiet series at three n."""
    quiet = {"drift": 0.0, "outliers": 0.0, "call_noise": 0.002, "sizes": (512, 1024, 2048)}
    law = how.pop("law", lambda n: 1e-6 * n)
    memory = how.pop("memory", lambda n: 1000 * n)
    return measured(rng(how.pop("seed", 0)), law, memory, impl=impl, **quiet | how)


def test_the_same_code_passes_and_a_slower_case_does_not(frame):
    """A/A passes; 25 % in one of twelve cases is found, named and nothing else is."""
    baseline = frame(twelve(rng(1), rounds=8))
    assert judge(baseline, frame(twelve(rng(2), rounds=8))).verdict == "pass"
    slow = twelve(rng(3), rounds=8, slower={("sdpa", 2048): 1.25})
    found = judge(baseline, frame(slow))
    assert found.verdict == "regression"
    (one,) = found.of("regression")
    assert (one.metric, one.label) == ("time", "sdpa n=2048")
    assert 1.1 < one.ratio.low < 1.25 < one.ratio.high
    assert found.comparisons[0] == one


def test_what_is_faster_is_reported_and_passes(frame):
    """A speed-up is no failure, and is marked."""
    found = judge(frame(twelve(rng(1))), frame(twelve(rng(2), factor=0.7)))
    assert found.verdict == "pass"
    assert sum(one.improved for one in of(found, "time")) == 12


def test_all_slower_is_a_regression_with_a_hint(frame):
    """Every case slower by as much may be the machine, which the notes say; it does not pass."""
    found = judge(frame(twelve(rng(1))), frame(twelve(rng(2), factor=1.3)))
    assert found.verdict == "regression"
    assert any("a machine that has become slower" in note for note in found.notes)


def test_one_noisy_call_decides_nothing(frame):
    """One round of one call has no interval, however many cases there are."""
    alone = frame(twelve(rng(1), rounds=1, calls=1))
    for baseline in (frame(twelve(rng(2))), alone):
        found = judge(baseline, frame(twelve(rng(3), rounds=1, calls=1)))
        assert found.verdict == "inconclusive"
        assert {one.verdict for one in of(found, "time")} == {"inconclusive"}
        assert len(found.undecided) == 12


def test_the_limit_is_what_was_asked_for(frame):
    """A case 30 % slower passes where 50 % are allowed."""
    slow = frame(twelve(rng(2), slower={("vanilla", 512): 1.3}))
    assert judge(frame(twelve(rng(1))), slow, Limits(max_slowdown=1.5)).verdict == "pass"


@pytest.mark.parametrize("limit", [0.9, math.nan, math.inf])
def test_a_limit_below_one_or_without_end_is_refused(limit):
    """1.10 means 10 % worse; 0.9 or NaN would pass or fail everything."""
    with pytest.raises(UsageError, match="max-slowdown"):
        Limits(max_slowdown=limit)


def test_pairs_see_through_drift_that_both_share(frame):
    """Rounds that swing by a half in both decide when paired, and not otherwise."""
    drift = dict(enumerate(rng(5).normal(0, 0.4, 8)))
    old = frame(line(seed=1, rounds=8, drift=drift))
    same, slow = (frame(line(seed=2, rounds=8, drift=drift, law=lambda n, f=f: f * 1e-6 * n))
                  for f in (1.0, 1.25))  # fmt: skip
    assert judge(old, same, paired=True).verdict == "pass"
    assert judge(old, slow, paired=True).verdict == "regression"
    assert judge(old, slow).verdict == "inconclusive"


def test_pairs_need_rounds_in_common(frame):
    """Rounds that only one side holds are no pairs, and no pass."""
    later = [one.model_copy(update={"round": one.round + 9}) for one in line(seed=2)]
    found = judge(frame(line(seed=1)), frame(later), paired=True)
    assert found.verdict == "inconclusive"
    assert {one.detail for one in of(found, "time")} == {"no round holds both"}


def test_a_smaller_alpha_widens_intervals(frame):
    """Who looks often asks for more each time."""
    runs = frame(twelve(rng(1))), frame(twelve(rng(2)))
    loose, strict = (of(judge(*runs, alpha=a), "time")[0].ratio for a in (0.01, 0.001))
    assert strict.low < loose.low < loose.high < strict.high


class TestOtherMachines:
    """Of another machine only what carries over is compared."""

    def test_a_slower_machine_is_no_regression(self, frame):
        """1.6 times as slow throughout passes by its anchor, and the notes say how."""
        found = judge(frame(twelve(rng(1))), frame(twelve(rng(2), factor=1.6), "machine-b"))
        assert found.verdict == "pass"
        assert not found.same_machine
        assert {one.label.split()[0] for one in of(found, "time")} == {"vanilla", "linformer"}
        assert "multiples of those of sdpa" in found.notes[0]
        assert len(of(found, "memory")) == 12

    def test_a_slower_case_is_found_there_too(self, frame):
        """Slower than the machine explains is slower."""
        slow = twelve(rng(2), rounds=8, factor=1.6, slower={("vanilla", 1024): 1.3})
        found = judge(frame(twelve(rng(1), rounds=8)), frame(slow, "machine-b"))
        assert [one.label for one in found.of("regression")] == ["vanilla n=1024"]

    def test_without_an_anchor_times_cannot_be_told(self, frame):
        """No anchor is no pass: what was asked for has no answer."""
        runs = [twelve(rng(i), impls=("vanilla", "linformer")) for i in (1, 2)]
        found = judge(frame(runs[0]), frame(runs[1], "machine-b"))
        assert found.verdict == "inconclusive"
        assert "no sdpa of the same n" in of(found, "time")[0].detail
        only = judge(frame(runs[0]), frame(runs[1], "machine-b"), Limits(metrics=("memory",)))
        assert only.verdict == "pass"

    def test_another_anchor_may_be_named(self, frame):
        """Any implementation or configuration can be the measure."""
        runs = frame(twelve(rng(1))), frame(twelve(rng(2), factor=2.0), "machine-b")
        for anchor in ("vanilla", "linformer k=128 headwise"):
            found = judge(*runs, Limits(anchor=anchor))
            assert found.verdict == "pass"
            assert len(of(found, "time")) == 8

    def test_the_anchor_is_of_the_same_problem(self, frame):
        """An anchor of another width is none."""
        runs = [line("vanilla", seed=i) + line("sdpa", seed=i + 9, d_model=512) for i in (1, 2)]
        found = judge(frame(runs[0]), frame(runs[1], "machine-b"))
        assert {one.verdict for one in of(found, "time")} == {"inconclusive"}

    def test_what_a_smaller_machine_cannot_do_is_no_regression(self, frame):
        """Out of memory there cannot be told from a leak; an error can."""
        old = line() + line("sdpa")
        for status, verdict in (("oom", "inconclusive"), ("timeout", "inconclusive"),
                                ("error", "regression")):  # fmt: skip
            kept = [one for one in line() if one.case.seq != 2048]
            new = [*kept, failed(status, "reason", 2048), *line("sdpa")]
            found = judge(frame(old), frame(new, "machine-b"))
            assert [one.verdict for one in of(found, "status")] == [verdict]


class TestMemory:
    """Bytes that an allocator counted are exact; those of the resident set are not."""

    def test_one_round_decides(self, frame):
        """30 % more is a regression and 4 % more is not, to the byte."""
        old = frame(line(rounds=1))
        for factor, verdict in ((1.0, "pass"), (1.04, "pass"), (1.3, "regression")):
            new = frame(line(rounds=1, memory=lambda n, f=factor: f * 1000 * n))
            found = judge(old, new, Limits(metrics=("memory",)))
            assert found.verdict == verdict
            for one in of(found, "memory"):
                assert one.ratio.low == one.ratio.high == pytest.approx(factor, rel=1e-4)

    def test_equal_bytes_have_a_ratio_of_exactly_one(self, frame):
        """A tie is a tie."""
        found = judge(frame(line()), frame(line(seed=3)))
        assert {one.ratio.value for one in of(found, "memory")} == {1.0}

    def test_the_resident_set_needs_rounds(self, frame):
        """One round of it decides nothing; eight find 30 %."""
        rss = {"source": "rss_hwm"}
        for rounds, verdict in ((1, "inconclusive"), (8, "regression")):
            runs = []
            for seed, factor in ((0, 1.0), (1, 1.3)):
                noise = rng(seed).normal(0, 0.01, 3 * rounds)
                records = change(line(rounds=rounds), **rss)
                runs.append(frame([
                    change([one], peak_bytes=round(factor * one.memory.peak_bytes * math.exp(x)))[0]
                    for one, x in zip(records, noise, strict=True)
                ]))  # fmt: skip
            assert judge(*runs, Limits(metrics=("memory",))).verdict == verdict

    def test_different_sources_do_not_compare(self, frame):
        """What the allocator counts and what the kernel shows are two things."""
        new = frame(change(line(), source="rss_hwm"))
        found = judge(frame(line()), new, Limits(metrics=("memory",)))
        assert found.verdict == "inconclusive"
        assert "cpu_allocator and rss_hwm do not compare" in found.comparisons[0].detail

    def test_memory_that_is_no_longer_known_does_not_pass(self, frame):
        """Unknown is not equal."""
        new = frame(change(line(), peak_bytes=None))
        assert judge(frame(line()), new, Limits(metrics=("memory",))).verdict == "inconclusive"

    def test_more_threads_explain_more_memory(self, frame):
        """Kernels hold a buffer a thread: more of both cannot be told from a leak."""
        old = frame(change(line(), timing=Timing(threads=2)))
        more = line(memory=lambda n: 1300 * n)
        limits = Limits(metrics=("memory",))
        for threads, verdict in ((2, "regression"), (8, "inconclusive")):
            new = frame(change(more, timing=Timing(threads=threads)))
            assert judge(old, new, limits).verdict == verdict
        same = frame(change(line(), timing=Timing(threads=8)))
        assert judge(old, same, limits).verdict == "pass"

    def test_heavier_weights_are_a_regression(self, frame):
        """The peak is above the weights, which count for themselves."""
        runs = (frame(change(line(), weights_bytes=b)) for b in (1000, 12000))
        found = judge(*runs, Limits(metrics=("memory",)))
        assert {one.metric for one in found.of("regression")} == {"weights"}


def test_more_operations_are_a_regression(frame):
    """Counts are exact, on any machine; runs without counts are not compared."""
    other = {"bytes_moved": 1, "parameters": 1, "peak_bytes": 1}
    counted = [
        change(line(rounds=1, sizes=(512,)), costs=Counts(flops=flops, **other))
        for flops in (1000, 1100)
    ]
    limits = Limits(metrics=("operations",))
    found = judge(frame(counted[0]), frame(counted[1], "machine-b"), limits)
    assert found.verdict == "regression"
    assert found.comparisons[0].ratio.value == pytest.approx(1.1)
    assert judge(frame(counted[0]), frame(counted[0]), limits).verdict == "pass"
    without = judge(frame(line()), frame(line()), limits)
    assert without.verdict == "inconclusive"
    assert any("Operations are not compared" in note for note in without.notes)


class TestExponents:
    """Exponents regress where their interval says so, and else only inform."""

    quadratic = staticmethod(lambda n: 1e-9 * n * n)

    def test_linear_to_quadratic_is_a_regression(self, frame):
        """Both as an exponent and as a verdict on growth, on any machine."""
        sizes = tuple(512 * 2**i for i in range(6))
        old = frame(line(sizes=sizes))
        new = line(sizes=sizes, law=self.quadratic, memory=lambda n: 4 * n * n)
        for machine in ("machine-a", "machine-b"):
            found = judge(old, frame(new, machine), Limits(metrics=("exponent",)))
            assert {one.metric for one in found.of("regression")} == {"exponent", "growth"}
            slopes = of(found, "exponent")[0]
            assert slopes.baseline == pytest.approx(1, abs=0.05)
            assert slopes.candidate == pytest.approx(2, abs=0.05)
            assert slopes.ratio.value == pytest.approx(2, abs=0.1)  # per doubling of n

    def test_the_same_exponent_passes(self, frame):
        """Of time by its interval, of memory exactly."""
        found = judge(frame(line()), frame(line(seed=4)), Limits(metrics=("exponent",)))
        assert found.verdict == "pass"
        assert {one.detail.split()[1] for one in found.comparisons} == {"time", "memory"}

    def test_a_little_steeper_is_one_on_the_same_machine_only(self, frame):
        """0.2 more counts where the machine is the same; another's may bend at another n."""
        steeper = line(law=lambda n: 1e-6 * n**1.2, seed=4)
        limits = Limits(metrics=("exponent",))
        assert judge(frame(line()), frame(steeper), limits).verdict == "regression"
        assert judge(frame(line()), frame(steeper, "machine-b"), limits).verdict == "pass"

    def test_an_exponent_that_cannot_be_told_decides_nothing(self, frame):
        """Few noisy rounds leave exponents open; times and memory decide."""
        noisy = {"call_noise": 0.1, "calls": 3, "rounds": 3, "sizes": (512, 1024, 2048)}
        runs = (frame(line(seed=i, **noisy)) for i in (1, 21))
        found = judge(*runs, Limits(max_slowdown=3.0))
        assert found.verdict == "pass"
        assert [one.metric for one in found.untold] == ["exponent"]

    def test_two_sizes_have_no_exponent(self, frame):
        """There is nothing to compare, and nothing is invented."""
        runs = [frame(line(sizes=(512, 1024), seed=i)) for i in (1, 2)]
        assert not of(judge(*runs), "exponent")


class TestStatuses:
    """What became of a case counts as much as its times."""

    @pytest.mark.parametrize("status", ["error", "incorrect", "oom", "timeout", "skipped"])
    def test_a_case_that_newly_fails_is_a_regression(self, frame, status):
        """Whatever else passes."""
        new = [one for one in line() if one.case.seq != 2048]
        new.append(failed(status, "the reason", 2048))
        found = judge(frame(line()), frame(new))
        assert found.verdict == "regression"
        (one,) = found.of("regression")
        assert one.detail == f"ok → {status}: the reason"

    def test_a_single_wrong_round_is_enough(self, frame):
        """Four good rounds do not make up for one error."""
        new = line()
        new[-1] = new[-1].model_copy(update={"status": "error", "reason": "raised", "seconds": []})
        assert judge(frame(line()), frame(new)).of("regression")[0].detail == "ok → error: raised"

    def test_a_case_cut_short_by_the_budget_has_been_measured(self, frame):
        """Skipped after some rounds is fewer rounds, not a failure."""
        new = line()
        new[-1] = new[-1].model_copy(update={"status": "skipped", "reason": "budget"})
        assert not of(judge(frame(line()), frame(new)), "status")

    def test_a_vanished_case_is_a_regression_on_any_machine(self, frame):
        """A check that no longer runs must not look like one that passes."""
        new = [one for one in line() if one.case.seq != 512]
        for machine in ("machine-a", "machine-b"):
            found = judge(frame(line()), frame(new, machine), Limits(metrics=("memory",)))
            assert found.of("regression")[0].detail == "ok → absent"

    def test_a_new_case_is_reported(self, frame):
        """It has nothing to be held against; one that fails does not pass."""
        found = judge(frame(line(sizes=(512, 1024))), frame(line()))
        assert found.verdict == "pass"
        assert [(one.kind, one.label) for one in found.cases] == [("new", "vanilla n=2048")]
        wrong = [*line(), failed("incorrect", "differs", 4096)]
        assert judge(frame(line()), frame(wrong)).verdict == "regression"

    def test_what_failed_in_both_is_no_pass_of_it(self, frame):
        """It is reported as such, and does not stop the rest."""
        runs = [[*line(seed=i), failed("oom", "too large", 4096)] for i in (1, 2)]
        found = judge(*map(frame, runs))
        assert found.verdict == "pass"
        assert [one.kind for one in found.cases] == ["failed in both"]
        nothing = [failed("oom", "too large", 4096)]
        assert judge(frame(nothing), frame(nothing)).verdict == "inconclusive"

    def test_a_case_that_works_again_is_reported(self, frame):
        """It is not compared with its failure."""
        old = [*line(sizes=(512, 1024)), failed("error", "raised", 2048)]
        found = judge(frame(old), frame(line()))
        assert found.verdict == "pass"
        assert [one.kind for one in found.cases] == ["mended"]

    def test_runs_that_share_no_case_are_refused(self, frame):
        """Never a silent pass."""
        with pytest.raises(UsageError, match="share no case"):
            judge(frame(line()), frame(line("sdpa")))


def test_json_has_the_agreed_keys(frame):
    """Each comparison has its case, metric, ratio, interval and verdict."""
    found = to_json(judge(frame(line()), frame(line(seed=2))))
    assert found["verdict"] == "pass"
    wanted = {"case_id", "metric", "ratio", "ci_low", "ci_high", "verdict"}
    assert all(wanted <= set(one) for one in found["comparisons"])
    assert {one["verdict"] for one in found["comparisons"]} == {"pass"}


def batches(sequences, limit=2**34):
    case = Case(task="max_batch", impl="linformer", seq=512, k=64, memory_limit_bytes=2**34)
    found = MaxBatch(batch=sequences, limit_bytes=limit, how="measured", tried=[])
    return [Record(case_id=case.id, case=case, round=0, status="ok", max_batch=found)]


@pytest.mark.parametrize(
    ("sequences", "limit", "verdict"),
    [(100, 2**34, "pass"), (120, 2**34, "pass"), (90, 2**34, "regression"),
     (0, 2**34, "regression"), (100, 2**33, "inconclusive")],
)  # fmt: skip
def test_a_smaller_largest_batch_is_a_regression(frame, sequences, limit, verdict):
    """Exact, with the limit of memory; batches under other limits do not compare."""
    found = judge(frame(batches(100)), frame(batches(sequences, limit)))
    assert found.verdict == verdict
    assert [one.metric for one in found.comparisons] == ["batch"]
