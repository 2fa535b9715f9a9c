"""Several runs become a baseline in which each of them counts as one."""

import statistics
from dataclasses import replace

import numpy as np
import pytest
from synthetic import failed, header, twelve, write

from linbench.errors import UsageError
from linbench.run.metrics import ENERGY, Measurement, Metric
from linbench.run.runs import Run, Runs
from linbench.studies.gate import judge
from linbench.studies.gate.merge import merge


def run(seed, *, fingerprint="machine-a", extra=(), **how):
    records = [*twelve(np.random.default_rng(seed), **how), *extra]
    return Run(header(f"r{seed}", fingerprint), tuple(records))


def merged(runs):
    return merge({f"r{i}" if i else "first": one for i, one in enumerate(runs)}, "base")


def named(*runs):
    return {one.run_id: one for one in runs}


def test_a_run_is_a_round_whose_samples_are_its_rounds():
    """A record a case and run; the samples of a metric are its values in that run's rounds."""
    runs = [run(seed, rounds=4) for seed in (1, 2, 3)]
    base = merge(named(*runs), "base")
    assert base.run_id == "base"
    assert [source["run_id"] for source in base.header.merged] == ["r1", "r2", "r3"]
    assert len(base.records) == 36
    (found,) = (r for r in base.records
                if (r.case.impl, r.case.seq, r.round) == ("sdpa", 512, 1))  # fmt: skip
    own = [r for r in runs[1].records if r.case_id == found.case_id]
    assert found.samples("time") == [r.value("time") for r in own]
    assert found.value("time") == statistics.median(found.samples("time"))
    assert found.value("memory") == own[0].value("memory")
    assert found.metrics["memory"].source == "cpu_allocator"


def test_every_metric_is_merged():
    """The median of a run's rounds; of counts one of them, with its source; none stays none."""
    accuracy, patches = Metric("accuracy", scale="linear"), Metric("patches", noise="exact")

    def of(seed):
        one = run(seed, rounds=4, impls=("sdpa",))
        records = [
            record.model_copy(update={"metrics": {
                "accuracy": Measurement(0.5 + record.round / 10),
                "patches": Measurement(record.round, source=f"counter {record.round}"),
                ENERGY.name: Measurement(reason="no counter"),
            }})
            for record in one.records
        ]  # fmt: skip
        metrics = [accuracy] if seed == 1 else [patches]
        head = one.header.model_copy(update={"metrics": metrics})
        return Run(head, (*records, records[0].model_copy(update={"warnings": [str(seed)]})))

    base = merge(named(of(1), of(2)), "base")
    assert {metric.name for metric in base.header.metrics} == {"accuracy", "patches"}
    found = base.records[-1].metrics
    assert found["accuracy"].value == pytest.approx(0.65)
    assert found["accuracy"].samples == pytest.approx([0.5, 0.6, 0.7, 0.8])
    assert found["patches"] == Measurement(1, [0, 1, 2, 3], "counter 1")
    assert found[ENERGY.name] == Measurement(reason="no counter")


def test_a_lucky_run_does_not_decide():
    """Alone it makes the same code a regression; one of three it does not, nor hides a real one."""
    lucky, same = run(2, factor=0.8, rounds=8), run(9, rounds=8)
    assert judge(merged([lucky]), same).verdict == "regression"
    base = merged([run(1, rounds=8), lucky, run(3, rounds=8)])
    assert judge(base, same).verdict == "pass"
    slow = run(10, rounds=8, slower={("sdpa", 2048): 1.25})
    found = judge(base, slow)
    assert [one.label for one in found.of("regression")] == ["sdpa n=2048"]


def test_runs_that_differ_are_no_surprise():
    """Runs 8 % apart leave a candidate 12 % slower undecided, where each run alone convicts it."""
    runs = [run(seed, factor=f, rounds=8) for seed, f in enumerate((1.0, 1.08, 0.92, 1.04, 0.96))]
    slow = run(20, rounds=8, factor=1.2)
    assert judge(merged(runs[:1]), slow).verdict == "regression"
    assert judge(merged(runs), slow).verdict == "inconclusive"


def test_one_noisy_call_decides_nothing_here_either():
    """Many runs in the baseline do not make up for a candidate without noise of its own."""
    base = merged([run(seed) for seed in range(4)])
    assert judge(base, run(9, rounds=1, calls=1)).verdict == "inconclusive"


def test_a_slower_machine_passes_a_merged_baseline():
    """Anchors work with merged runs as they do with one."""
    base = merged([run(seed) for seed in range(3)])
    found = judge(base, run(9, factor=1.6, fingerprint="machine-b"))
    assert found.verdict == "pass"
    assert sum(one.metric == "time" for one in found.findings) == 8


def test_false_alarms_of_merged_baselines_are_rare():
    """Runs that drift by 3 % each: of 30 gates on the same code none alarms, most pass."""
    verdicts = []
    for seed in range(30):
        random = np.random.default_rng(seed)
        factors = np.exp(random.normal(0, 0.03, 6))
        runs = [run(10 * seed + i, factor=f) for i, f in enumerate(factors)]
        verdicts.append(judge(merged(runs[:5]), runs[5]).verdict)
    assert "regression" not in verdicts
    assert verdicts.count("pass") >= 12


def test_one_run_alone_stays_as_it_is():
    """Its rounds are all there is to know its noise from."""
    base = merged([run(1)])
    assert not base.header.merged
    assert base.run_id == "base"
    assert len(base.records) == 60


def test_a_run_is_added_to_a_baseline():
    """A baseline among the runs counts as the runs it was made of."""
    first, second, third = run(1), run(2), run(3)
    base = merge(named(first, second), "base")
    again = merge({"base": base, "r3": third}, "base")
    at_once = merge(named(first, second, third), "base")
    assert [source["run_id"] for source in again.header.merged] == ["r1", "r2", "r3"]
    assert sorted(again.records, key=repr) == sorted(at_once.records, key=repr)


def test_a_baseline_survives_its_file(tmp_path):
    """What is written is what is read, and it gates as before."""
    base = merge(named(run(1), run(2)), "base")
    (again,) = Runs.read([write(tmp_path / "base.jsonl", base.records, base.header)]).runs
    assert again == base
    assert judge(again, run(9)).verdict == "pass"


def test_a_failure_that_all_agree_on_is_kept():
    """Out of memory in every run is what that case does."""
    base = merged([run(i, extra=[failed("oom", "large", 65536)]) for i in (1, 2)])
    assert [r.status for r in base.records if r.case.seq == 65536] == ["oom", "oom"]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"fingerprint": "machine-b"}, "of machine machine-b"),
        ({"impls": ("vanilla", "sdpa")}, "is not in run 'r2'"),
        ({"extra": [failed("error", "raised", 65536)]}, "is not in run 'r1'"),
    ],
    ids=["machine", "missing", "more"],
)
def test_runs_that_do_not_belong_together_are_refused(other, said):
    """The message names the run, the case and what to do."""
    with pytest.raises(UsageError, match=said):
        merge(named(run(1), run(2, **other)), "base")


def test_a_case_that_failed_in_one_run_only_is_refused():
    """A baseline must not depend on which run went wrong."""
    wrong = run(2)
    first = wrong.records[0]
    broken = first.model_copy(update={"status": "error", "metrics": {}, "reason": "raised"})
    with pytest.raises(UsageError, match="'ok' in run 'r1' and 'error' in run 'r2'"):
        merge(named(run(1), replace(wrong, records=(broken, *wrong.records[1:]))), "base")


def test_a_run_counts_once():
    """The same records under two names would decide alone."""
    one = run(1)
    with pytest.raises(UsageError, match="there twice"):
        merge({"r1": one, "copy": one}, "base")


def test_runs_that_describe_a_metric_differently_are_not_merged():
    """Milliseconds and seconds make no baseline."""
    runs = [
        Run(one.header.model_copy(update={"metrics": [Metric("latency", unit)]}), one.records)
        for one, unit in ((run(1), "s"), (run(2), "ms"))
    ]
    with pytest.raises(UsageError, match="describes the metric 'latency' otherwise"):
        merge(named(*runs), "base")
