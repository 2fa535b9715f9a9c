"""The gate's verdicts, with runs made from known laws."""

import math
from dataclasses import replace

import numpy as np
import pytest
from synthetic import failed, header, measured, ok, twelve

from linbench.errors import UsageError
from linbench.run.case import Case
from linbench.run.metrics import ENERGY, Measurement, Metric
from linbench.run.record import Counts, Detail, Memory, Timing
from linbench.run.runs import Run
from linbench.studies.gate import Limits, judge, to_json


def run(records, fingerprint="machine-a", metrics=()):
    head = header("run", fingerprint)
    return Run(head.model_copy(update={"metrics": list(metrics)}), tuple(records))


def rng(seed):
    return np.random.default_rng(seed)


def of(gate, metric):
    return [one for one in gate.findings if one.metric == metric]


def with_metric(records, name, **fields):
    """Return records whose measurement of a metric has other fields."""
    return [
        one.model_copy(
            update={"metrics": {**one.metrics, name: replace(one.metrics[name], **fields)}}
        )
        for one in records
    ]


def with_detail(records, **fields):
    return [one.model_copy(update={"detail": Detail(**fields)}) for one in records]


def line(impl="vanilla", **how):
    """One quiet series at three n."""
    quiet = {"drift": 0.0, "outliers": 0.0, "call_noise": 0.002, "sizes": (512, 1024, 2048)}
    law = how.pop("law", lambda n: 1e-6 * n)
    memory = how.pop("memory", lambda n: 1000 * n)
    return measured(rng(how.pop("seed", 0)), law, memory, impl=impl, **quiet | how)


def test_the_same_code_passes_and_a_slower_case_does_not():
    """A/A passes; 25 % in one of twelve cases is found, named and nothing else is."""
    baseline = run(twelve(rng(1), rounds=8))
    assert judge(baseline, run(twelve(rng(2), rounds=8))).verdict == "pass"
    slow = twelve(rng(3), rounds=8, slower={("sdpa", 2048): 1.25})
    found = judge(baseline, run(slow))
    assert found.verdict == "regression"
    (one,) = found.of("regression")
    assert (one.metric, one.label) == ("time", "sdpa n=2048")
    assert 1.1 < one.ratio.low < 1.25 < one.ratio.high
    assert found.findings[0] == one


def test_what_is_faster_is_reported_and_passes():
    """A speed-up is no failure, and is marked."""
    found = judge(run(twelve(rng(1))), run(twelve(rng(2), factor=0.7)))
    assert found.verdict == "pass"
    assert sum(one.improved for one in of(found, "time")) == 12


def test_all_slower_is_a_regression_with_a_hint():
    """Every case slower by as much may be the machine, which the notes say; it does not pass."""
    found = judge(run(twelve(rng(1))), run(twelve(rng(2), factor=1.3)))
    assert found.verdict == "regression"
    assert any("a machine that has become slower" in note for note in found.notes)


def test_one_noisy_call_decides_nothing():
    """One round of one call has no interval, however many cases there are."""
    alone = run(twelve(rng(1), rounds=1, calls=1))
    for baseline in (run(twelve(rng(2))), alone):
        found = judge(baseline, run(twelve(rng(3), rounds=1, calls=1)))
        assert found.verdict == "inconclusive"
        assert {one.verdict for one in of(found, "time")} == {"inconclusive"}
        assert len(found.undecided) == 12


def test_the_limit_is_what_was_asked_for():
    """A case 30 % slower passes where 50 % are allowed."""
    slow = run(twelve(rng(2), slower={("vanilla", 512): 1.3}))
    assert judge(run(twelve(rng(1))), slow, Limits(max_slowdown=1.5)).verdict == "pass"


@pytest.mark.parametrize("limit", [0.9, math.nan, math.inf])
def test_a_limit_below_one_or_without_end_is_refused(limit):
    """1.10 means 10 % worse; 0.9 or NaN would pass or fail everything."""
    with pytest.raises(UsageError, match="max-slowdown"):
        Limits(max_slowdown=limit)


def test_pairs_see_through_drift_that_both_share():
    """Rounds that swing by a half in both decide when paired, and not otherwise."""
    drift = dict(enumerate(rng(5).normal(0, 0.4, 8)))
    old = run(line(seed=1, rounds=8, drift=drift))
    same, slow = (run(line(seed=2, rounds=8, drift=drift, law=lambda n, f=f: f * 1e-6 * n))
                  for f in (1.0, 1.25))  # fmt: skip
    assert judge(old, same, paired=True).verdict == "pass"
    assert judge(old, slow, paired=True).verdict == "regression"
    assert judge(old, slow).verdict == "inconclusive"


def test_pairs_need_rounds_in_common():
    """Rounds that only one side holds are no pairs, and no pass."""
    later = [one.model_copy(update={"round": one.round + 9}) for one in line(seed=2)]
    found = judge(run(line(seed=1)), run(later), paired=True)
    assert found.verdict == "inconclusive"
    assert {one.detail for one in of(found, "time")} == {"no round holds both"}


def test_a_smaller_alpha_widens_intervals():
    """Who looks often asks for more each time."""
    runs = run(twelve(rng(1))), run(twelve(rng(2)))
    loose, strict = (of(judge(*runs, alpha=a), "time")[0].ratio for a in (0.01, 0.001))
    assert strict.low < loose.low < loose.high < strict.high


class TestOtherMachines:
    """Of another machine only what carries over is compared."""

    def test_a_slower_machine_is_no_regression(self):
        """1.6 times as slow throughout passes by its anchor, and the notes say how."""
        found = judge(run(twelve(rng(1))), run(twelve(rng(2), factor=1.6), "machine-b"))
        assert found.verdict == "pass"
        assert not found.same_machine
        assert {one.label.split()[0] for one in of(found, "time")} == {"vanilla", "linformer"}
        assert "multiples of those of sdpa" in found.notes[0]
        assert len(of(found, "memory")) == 12

    def test_a_slower_case_is_found_there_too(self):
        """Slower than the machine explains is slower."""
        slow = twelve(rng(2), rounds=8, factor=1.6, slower={("vanilla", 1024): 1.3})
        found = judge(run(twelve(rng(1), rounds=8)), run(slow, "machine-b"))
        assert [one.label for one in found.of("regression")] == ["vanilla n=1024"]

    def test_without_an_anchor_times_are_undecided(self):
        """No anchor is no pass: what was asked for has no answer."""
        runs = [twelve(rng(i), impls=("vanilla", "linformer")) for i in (1, 2)]
        found = judge(run(runs[0]), run(runs[1], "machine-b"))
        assert found.verdict == "inconclusive"
        assert "no sdpa of the same n" in of(found, "time")[0].detail
        only = judge(run(runs[0]), run(runs[1], "machine-b"), Limits(metrics=("memory",)))
        assert only.verdict == "pass"

    def test_another_anchor_may_be_named(self):
        """Any implementation or configuration can be the measure."""
        runs = run(twelve(rng(1))), run(twelve(rng(2), factor=2.0), "machine-b")
        for anchor in ("vanilla", "linformer k=128 headwise"):
            found = judge(*runs, Limits(anchor=anchor))
            assert found.verdict == "pass"
            assert len(of(found, "time")) == 8

    def test_the_anchor_is_of_the_same_problem(self):
        """An anchor of another width is none."""
        runs = [line("vanilla", seed=i) + line("sdpa", seed=i + 9, d_model=512) for i in (1, 2)]
        found = judge(run(runs[0]), run(runs[1], "machine-b"))
        assert {one.verdict for one in of(found, "time")} == {"inconclusive"}

    def test_what_a_smaller_machine_cannot_do_is_no_regression(self):
        """Out of memory there may be no leak; an error is an error."""
        old = line() + line("sdpa")
        for status, verdict in (("oom", "inconclusive"), ("timeout", "inconclusive"),
                                ("error", "regression")):  # fmt: skip
            kept = [one for one in line() if one.case.seq != 2048]
            new = [*kept, failed(status, "reason", 2048), *line("sdpa")]
            found = judge(run(old), run(new, "machine-b"))
            assert [one.verdict for one in of(found, "status")] == [verdict]


class TestMemory:
    """Bytes that an allocator counted are exact; those of the resident set are not."""

    def test_one_round_decides(self):
        """30 % more is a regression and 4 % more is not, to the byte."""
        old = run(line(rounds=1))
        for factor, verdict in ((1.0, "pass"), (1.04, "pass"), (1.3, "regression")):
            new = run(line(rounds=1, memory=lambda n, f=factor: f * 1000 * n))
            found = judge(old, new, Limits(metrics=("memory",)))
            assert found.verdict == verdict
            for one in of(found, "memory"):
                assert one.ratio.low == one.ratio.high == pytest.approx(factor, rel=1e-4)

    def test_equal_bytes_have_a_ratio_of_exactly_one(self):
        """A tie is a tie."""
        found = judge(run(line()), run(line(seed=3)))
        assert {one.ratio.value for one in of(found, "memory")} == {1.0}

    def test_the_resident_set_needs_rounds(self):
        """One round of it decides nothing; eight find 30 %."""
        for rounds, verdict in ((1, "inconclusive"), (8, "regression")):
            runs = []
            for seed, factor in ((0, 1.0), (1, 1.3)):
                noise = rng(seed).normal(0, 0.01, 3 * rounds)
                records = with_metric(line(rounds=rounds), "memory", source="rss_hwm")
                peaks = [
                    factor * one.value("memory") * math.exp(x)
                    for one, x in zip(records, noise, strict=True)
                ]
                pairs = zip(records, peaks, strict=True)
                runs.append(run(with_metric([one], "memory", value=x)[0] for one, x in pairs))
            assert judge(*runs, Limits(metrics=("memory",))).verdict == verdict

    def test_different_sources_do_not_compare(self):
        """What the allocator counts and what the kernel shows are two things."""
        new = run(with_metric(line(), "memory", source="rss_hwm"))
        found = judge(run(line()), new, Limits(metrics=("memory",)))
        assert found.verdict == "inconclusive"
        assert "cpu_allocator and rss_hwm do not compare" in found.findings[0].detail

    def test_memory_that_is_no_longer_known_does_not_pass(self):
        """Unknown is not equal."""
        new = run(with_metric(line(), "memory", value=None))
        assert judge(run(line()), new, Limits(metrics=("memory",))).verdict == "inconclusive"

    def test_more_threads_explain_more_memory(self):
        """Kernels hold a buffer a thread: more of both may be no leak."""
        old = run(with_detail(line(), timing=Timing(threads=2)))
        more = line(memory=lambda n: 1300 * n)
        limits = Limits(metrics=("memory",))
        for threads, verdict in ((2, "regression"), (8, "inconclusive")):
            new = run(with_detail(more, timing=Timing(threads=threads)))
            assert judge(old, new, limits).verdict == verdict
        same = run(with_detail(line(), timing=Timing(threads=8)))
        assert judge(old, same, limits).verdict == "pass"

    def test_heavier_weights_are_a_regression(self):
        """The peak is above the weights, which count for themselves."""
        runs = (run(with_detail(line(), memory=Memory(weights_bytes=b))) for b in (1000, 12000))
        found = judge(*runs, Limits(metrics=("memory",)))
        assert {one.metric for one in found.of("regression")} == {"weights"}


def test_more_operations_are_a_regression():
    """Counts are exact, on any machine; runs without counts are not compared."""
    other = {"bytes_moved": 1, "parameters": 1, "peak_bytes": 1}
    counted = [
        with_detail(line(rounds=1, sizes=(512,)), costs=Counts(flops=flops, **other))
        for flops in (1000, 1100)
    ]
    limits = Limits(metrics=("operations",))
    found = judge(run(counted[0]), run(counted[1], "machine-b"), limits)
    assert found.verdict == "regression"
    assert found.findings[0].ratio.value == pytest.approx(1.1)
    assert judge(run(counted[0]), run(counted[0]), limits).verdict == "pass"
    without = judge(run(line()), run(line()), limits)
    assert without.verdict == "inconclusive"
    assert any("Operations are not compared" in note for note in without.notes)


class TestExponents:
    """Exponents regress where their interval says so, and else only inform."""

    quadratic = staticmethod(lambda n: 1e-9 * n * n)

    def test_linear_to_quadratic_is_a_regression(self):
        """Both as an exponent and as a verdict on growth, on any machine."""
        sizes = tuple(512 * 2**i for i in range(6))
        old = run(line(sizes=sizes))
        new = line(sizes=sizes, law=self.quadratic, memory=lambda n: 4 * n * n)
        for machine in ("machine-a", "machine-b"):
            found = judge(old, run(new, machine), Limits(metrics=("exponent",)))
            assert {one.metric for one in found.of("regression")} == {"exponent", "growth"}
            slopes = of(found, "exponent")[0]
            assert slopes.baseline == pytest.approx(1, abs=0.05)
            assert slopes.candidate == pytest.approx(2, abs=0.05)
            assert slopes.ratio.value == pytest.approx(2, abs=0.1)  # per doubling of n

    def test_the_same_exponent_passes(self):
        """Of time by its interval, of memory exactly."""
        found = judge(run(line()), run(line(seed=4)), Limits(metrics=("exponent",)))
        assert found.verdict == "pass"
        assert {one.detail.split()[1] for one in found.findings} == {"time", "memory"}

    def test_a_little_steeper_is_one_on_the_same_machine_only(self):
        """0.2 more counts where the machine is the same; another's may bend at another n."""
        steeper = line(law=lambda n: 1e-6 * n**1.2, seed=4)
        limits = Limits(metrics=("exponent",))
        assert judge(run(line()), run(steeper), limits).verdict == "regression"
        assert judge(run(line()), run(steeper, "machine-b"), limits).verdict == "pass"

    def test_an_undecided_exponent_decides_nothing(self):
        """Few noisy rounds leave exponents open; times and memory decide."""
        noisy = {"call_noise": 0.1, "calls": 3, "rounds": 3, "sizes": (512, 1024, 2048)}
        runs = (run(line(seed=i, **noisy)) for i in (1, 21))
        found = judge(*runs, Limits(max_slowdown=3.0))
        assert found.verdict == "pass"
        assert [one.metric for one in found.undecided_exponents] == ["exponent"]

    def test_two_sizes_have_no_exponent(self):
        """There is nothing to compare, and nothing is invented."""
        runs = [run(line(sizes=(512, 1024), seed=i)) for i in (1, 2)]
        assert not of(judge(*runs), "exponent")


class TestStatuses:
    """What became of a case counts as much as its times."""

    @pytest.mark.parametrize("status", ["error", "incorrect", "oom", "timeout", "skipped"])
    def test_a_case_that_newly_fails_is_a_regression(self, status):
        """Whatever else passes."""
        new = [one for one in line() if one.case.seq != 2048]
        new.append(failed(status, "the reason", 2048))
        found = judge(run(line()), run(new))
        assert found.verdict == "regression"
        (one,) = found.of("regression")
        assert one.detail == f"ok → {status}: the reason"

    def test_a_single_wrong_round_is_enough(self):
        """Four good rounds do not make up for one error."""
        new = line()
        new[-1] = new[-1].model_copy(update={"status": "error", "reason": "raised", "metrics": {}})
        assert judge(run(line()), run(new)).of("regression")[0].detail == "ok → error: raised"

    def test_a_case_cut_short_by_the_budget_has_been_measured(self):
        """Skipped after some rounds is fewer rounds, not a failure."""
        new = line()
        new[-1] = new[-1].model_copy(update={"status": "skipped", "reason": "budget"})
        assert not of(judge(run(line()), run(new)), "status")

    def test_a_vanished_case_is_a_regression_on_any_machine(self):
        """A check that no longer runs must not look like one that passes."""
        new = [one for one in line() if one.case.seq != 512]
        for machine in ("machine-a", "machine-b"):
            found = judge(run(line()), run(new, machine), Limits(metrics=("memory",)))
            assert found.of("regression")[0].detail == "ok → absent"

    def test_a_new_case_is_reported(self):
        """It has nothing to be held against; one that fails does not pass."""
        found = judge(run(line(sizes=(512, 1024))), run(line()))
        assert found.verdict == "pass"
        assert [(one.kind, one.label) for one in found.cases] == [("new", "vanilla n=2048")]
        wrong = [*line(), failed("incorrect", "differs", 4096)]
        assert judge(run(line()), run(wrong)).verdict == "regression"

    def test_what_failed_in_both_is_no_pass_of_it(self):
        """It is reported as such, and does not stop the rest."""
        runs = [[*line(seed=i), failed("oom", "too large", 4096)] for i in (1, 2)]
        found = judge(*map(run, runs))
        assert found.verdict == "pass"
        assert [one.kind for one in found.cases] == ["failed in both"]
        nothing = [failed("oom", "too large", 4096)]
        assert judge(run(nothing), run(nothing)).verdict == "inconclusive"

    def test_a_case_that_works_again_is_reported(self):
        """It is not compared with its failure."""
        old = [*line(sizes=(512, 1024)), failed("error", "raised", 2048)]
        found = judge(run(old), run(line()))
        assert found.verdict == "pass"
        assert [one.kind for one in found.cases] == ["mended"]

    def test_runs_that_share_no_case_are_refused(self):
        """Never a silent pass."""
        with pytest.raises(UsageError, match="share no case"):
            judge(run(line()), run(line("sdpa")))


def test_json_has_the_agreed_keys():
    """Each comparison has its case, metric, ratio, interval and verdict."""
    found = to_json(judge(run(line()), run(line(seed=2))))
    assert found["verdict"] == "pass"
    wanted = {"case_id", "metric", "ratio", "ci_low", "ci_high", "verdict"}
    assert all(wanted <= set(one) for one in found["comparisons"])
    assert {one["verdict"] for one in found["comparisons"]} == {"pass"}


BATCH = Metric("max_batch", "sequences", better="more", noise="exact")


def batches(sequences, limit=2**34, how="measured"):
    settings = {"memory_limit_bytes": 2**34}
    case = Case(task="max_batch", impl="linformer", seq=512, k=64, settings=settings)
    found = ok(case, 0, [], detail=Detail(max_batch={"limit_bytes": limit}))
    value = Measurement(sequences, source=how)
    return [found.model_copy(update={"metrics": {"max_batch": value}})]


@pytest.mark.parametrize(
    ("sequences", "limit", "verdict"),
    [(100, 2**34, "pass"), (120, 2**34, "pass"), (90, 2**34, "regression"),
     (0, 2**34, "regression"), (100, 2**33, "inconclusive")],
)  # fmt: skip
def test_a_smaller_largest_batch_is_a_regression(sequences, limit, verdict):
    """Exact, with the limit of memory; batches under other limits do not compare."""
    new = batches(sequences, limit, how="extrapolated")
    found = judge(run(batches(100), metrics=[BATCH]), run(new, metrics=[BATCH]))
    assert found.verdict == verdict
    (one,) = found.findings
    assert one.metric == "max_batch"
    assert one.limit == pytest.approx(1 / 1.05)
    if one.ratio:
        assert one.ratio.value == pytest.approx(max(sequences, 0.5) / 100)


def test_none_fitted_and_none_fits():
    """The same exact value is no change, whatever it is."""
    none = run(batches(0), metrics=[BATCH])
    assert judge(none, none).verdict == "pass"
    some = run(batches(3), metrics=[BATCH])
    assert judge(none, some).findings[0].improved


ACCURACY = Metric("accuracy", better="more", scale="linear")


def graded(mean, *, seed=0, rounds=8, metric=ACCURACY, noise=0.005, **fields):
    """A run of a task with a metric of its own, at two n."""
    random, records = rng(seed), []
    for n in (512, 1024):
        case = Case(task="recall", impl="vanilla", seq=n)
        for index in range(rounds):
            value = Measurement(mean + random.normal(0, noise) if noise else mean)
            found = ok(case, index, [])
            records.append(found.model_copy(update={"metrics": {metric.name: value}}))
    return run(records, metrics=[metric], **fields)


class TestAnyMetric:
    """Whatever a task gives is held against its own limit, the worse side by its `better`."""

    def test_more_is_better(self):
        """A fifth less accurate is a regression; as accurate, or more so, passes."""
        old = graded(0.8)
        assert judge(old, graded(0.8, seed=1)).verdict == "pass"
        worse = judge(old, graded(0.64, seed=1))
        assert worse.verdict == "regression"
        one = of(worse, "accuracy")[0]
        assert one.ratio.low < one.ratio.value < one.ratio.high < one.limit
        assert one.ratio.value == pytest.approx(0.8, abs=0.01)
        assert one.limit == pytest.approx(1 / 1.10)
        better = judge(old, graded(0.96, seed=1))
        assert better.verdict == "pass"
        assert all(found.improved for found in of(better, "accuracy"))

    def test_one_round_of_what_scatters_decides_nothing(self):
        """An interval is needed, as of times."""
        found = judge(graded(0.8, rounds=1), graded(0.4, rounds=1))
        assert found.verdict == "inconclusive"
        assert len(found.undecided) == 2

    def test_it_does_not_depend_on_the_machine(self):
        """An accuracy compares directly where times would need an anchor."""
        old, new = graded(0.8), graded(0.64, seed=1, fingerprint="machine-b")
        assert judge(old, new).verdict == "regression"

    def test_false_alarms_are_rare_and_regressions_are_found(self):
        """Of 40 A/A pairs none alarms; of 40 that are 15 % worse nearly all are found."""
        alarms = found = 0
        for seed in range(40):
            old = graded(0.8, seed=3 * seed, noise=0.02)
            alarms += judge(old, graded(0.8, seed=3 * seed + 1, noise=0.02)).verdict == "regression"
            worse = graded(0.8 / 1.18, seed=3 * seed + 2, noise=0.02)
            found += judge(old, worse).verdict == "regression"
        assert alarms == 0
        assert found >= 36

    def test_what_has_no_ratio_is_undecided(self):
        """Below zero there is no so many times as bad."""
        found = judge(graded(-0.5), graded(-0.5, seed=1))
        assert found.verdict == "inconclusive"
        assert "not positive" in found.findings[0].detail

    def test_its_limit_can_be_set(self):
        """--max accuracy=1.5 lets a fifth less pass, and an unknown name is refused."""
        old, new = graded(0.8), graded(0.64, seed=1)
        assert judge(old, new, Limits(maximum={"accuracy": 1.5})).verdict == "pass"
        with pytest.raises(UsageError, match="did you mean 'accuracy'"):
            judge(old, new, Limits(maximum={"acuracy": 1.5}))
        with pytest.raises(UsageError, match="--max accuracy 0.5"):
            Limits(maximum={"accuracy": 0.5})

    def test_only_what_is_named_is_compared(self):
        """Names are those of the runs."""
        old, new = graded(0.8), graded(0.64, seed=1)
        assert judge(old, new, Limits(metrics=("accuracy",))).verdict == "regression"
        assert judge(old, new, Limits(metrics=("time",))).verdict == "inconclusive"
        with pytest.raises(UsageError, match="--metric 'accurate' is unknown"):
            judge(old, new, Limits(metrics=("accurate",)))

    @pytest.mark.parametrize(("value", "verdict"), [(10, "pass"), (10.4, "pass"),
                                                    (10.6, "regression")])  # fmt: skip
    def test_what_is_exact_needs_one_round(self, value, verdict):
        """At most 1.05 times as bad, on any machine."""
        metric = Metric("patches", noise="exact")
        old, new = (
            graded(mean, metric=metric, noise=0, rounds=1, fingerprint=machine)
            for mean, machine in ((10, "machine-a"), (value, "machine-b"))
        )
        assert judge(old, new).verdict == verdict

    def test_another_unit_is_another_thing(self):
        """Values do not compare where a task has changed what it means."""
        new = graded(80, seed=1, metric=replace(ACCURACY, unit="%"))
        found = judge(graded(0.8), new)
        assert found.verdict == "inconclusive"
        assert "do not compare" in found.findings[0].detail

    def test_a_new_metric_has_nothing_to_be_held_against(self):
        """It is noted; one that is gone does not pass."""
        with_it = [
            one.model_copy(update={"metrics": {**one.metrics, "accuracy": Measurement(0.8)}})
            for one in line()
        ]
        both = run(with_it, metrics=[ACCURACY])
        found = judge(run(line()), both)
        assert found.verdict == "pass"
        assert "Accuracy is not compared: the baseline has none of it" in found.notes
        assert judge(both, run(line(), metrics=[ACCURACY])).verdict == "inconclusive"
        asked = Limits(metrics=("accuracy",))
        assert judge(run(line()), both, asked).verdict == "inconclusive"


def powered(watts, seed=0, **how):
    """One series with energy, which scatters as time does, and sdpa beside it."""
    records = []
    for impl, factor in (("vanilla", watts), ("sdpa", 10.0)):
        for one in line(impl, seed=seed, **how):
            joules = Measurement(factor * one.value("time"))
            records.append(one.model_copy(update={"metrics": {**one.metrics, ENERGY.name: joules}}))
    return records


def test_energy_is_gated_as_time_is():
    """20 % more is a regression: directly on one machine, by the anchor on another."""
    old, limits = run(powered(10.0)), Limits(metrics=("energy",))
    for machine, factor in (("machine-a", 1.0), ("machine-b", 2.0)):
        how = {"seed": 1, "law": lambda n, f=factor: f * 1e-6 * n}
        assert judge(old, run(powered(10.0, **how), machine), limits).verdict == "pass"
        found = judge(old, run(powered(12.0, **how), machine), limits)
        assert {one.label.split()[0] for one in found.of("regression")} == {"vanilla"}


def test_another_machine_may_have_no_counter_of_energy():
    """That is no fault of the candidate; on the same machine it is a gap."""
    old = run(powered(10.0))
    new = line(seed=1) + line("sdpa", seed=1)
    found = judge(old, run(new, "machine-b"))
    assert found.verdict == "pass"
    assert "Energy is not compared: the candidate has none of it" in found.notes
    assert judge(old, run(new)).verdict == "inconclusive"


@pytest.mark.parametrize("noise", ["rounds", "exact"])
@pytest.mark.parametrize("values", [(100, 101, 99, 0, 0), (0, 0, 0, 0, 100)])
def test_rounds_of_nothing_do_not_vanish(noise, values):
    """Hits fell to 0 in some rounds: what is left of the rounds alone would pass."""
    hits = Metric("hits", better="more", noise=noise)

    def hit(found):
        records = line(sizes=(512,), rounds=5)
        return run(
            [
                one.model_copy(update={"metrics": {"hits": Measurement(value)}})
                for one, value in zip(records, found, strict=True)
            ],
            metrics=[hits],
        )

    assert judge(hit([100, 101, 99, 100, 102]), hit(values)).verdict != "pass"
    assert judge(hit([100] * 5), hit([100] * 5)).verdict == "pass"
