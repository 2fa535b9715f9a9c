"""From records to series: what counts as a measurement, and what belongs together."""

import dataclasses

import numpy as np
import pytest
import synthetic

from linbench.run.metrics import ENERGY, MEMORY, TIME, Measurement, Metric
from linbench.run.record import Check, Detail
from linbench.run.runs import Reading, Run, Runs, failure_record, mark_disturbed, panels_of


def _second(_):
    return 1.0


def _of(**metrics):
    """A record update: these metrics, by name and value."""
    return {"metrics": {name: Measurement(value) for name, value in metrics.items()}}


def test_only_records_with_status_ok_are_measurements():
    """A skipped, timed-out or incorrect record adds no size, whatever seconds it carries."""
    rng = np.random.default_rng(0)
    records = synthetic.measured(rng, lambda n: 1e-6 * n, sizes=(512, 1024), rounds=2)
    wrong = synthetic.measured(rng, lambda n: 1e-6 * n, sizes=(2048,), rounds=1)[0]
    records.append(wrong.model_copy(update={"status": "incorrect"}))
    sizes = {"skipped": 4096, "oom": 8192, "timeout": 16384}
    records += [synthetic.failed(status, "no", n) for status, n in sizes.items()]
    (series,) = synthetic.runs(records).series("time")
    assert series.sizes == [512, 1024]


def test_a_case_that_was_wrong_once_has_no_reading():
    """All rounds of it ran the same code; the same case of another run stays."""
    rng = np.random.default_rng(0)
    records = synthetic.measured(rng, lambda n: 1e-6 * n, sizes=(512, 1024), rounds=3)
    wrong = [
        one.model_copy(update={"status": "incorrect", "metrics": {}})
        if (one.case.seq, one.round) == (1024, 1)
        else one
        for one in records
    ]
    runs = Runs((Run(synthetic.header("wrong"), tuple(wrong)),
                 Run(synthetic.header("right"), tuple(records))))  # fmt: skip
    found = runs.series("time")
    assert {one.run_id: one.sizes for one in found} == {"wrong": [512], "right": [512, 1024]}
    own = [one for one in wrong if one.case.seq == 1024]
    assert failure_record(own).status == "incorrect"


def test_a_reading_is_the_value_of_its_round():
    """What was measured can be read off the run file, with how many samples stand behind it."""
    one = synthetic.measured(np.random.default_rng(0), _second, sizes=(512,), rounds=1)[0]
    samples = [3.0, 1.0, 9.0, 2.0, 2.5]
    one = one.model_copy(update={"metrics": {"time": Measurement(2.5, samples, "perf_counter")}})
    (series,) = synthetic.runs([one]).series("time")
    assert series.readings == (Reading(512, 0, 2.5, 5, "perf_counter"),)


def test_cases_of_one_rule_for_k_are_one_series():
    """The k of n/4 differs at every n, and is one series named by its rule; fixed k are others."""
    rng = np.random.default_rng(0)
    records = []
    for n in (512, 1024):
        for k, rule in ((n // 4, "n/4"), (128, None)):
            of = {"impl": "linformer", "k": k, "k_rule": rule, "sharing": "kv"}
            records += synthetic.measured(rng, lambda n: 1e-6 * n, sizes=(n,), rounds=1, **of)
    found = {s.key.k_text: s.sizes for s in synthetic.runs(records).series("time")}
    assert found == {"128": [512, 1024], "n/4": [512, 1024]}


def test_k_per_layer_is_a_series_of_its_own():
    """Nonuniform k is named as the command line has it."""
    of = {"impl": "linformer", "k": (256, 128), "layers": 2, "scope": "encoder", "sharing": "kv"}
    records = synthetic.measured(np.random.default_rng(0), lambda n: 1e-6 * n, rounds=1, **of)
    (series,) = synthetic.runs(records).series("time")
    assert series.key.k_text == "256/128"


def test_batches_that_follow_from_tokens_stay_in_one_series():
    """At a fixed number of tokens the batch changes with n and the series does not."""
    rng = np.random.default_rng(0)
    records = []
    for n in (512, 1024):
        of = {"tokens": 8192, "batch": 8192 // n}
        records += synthetic.measured(rng, lambda n: 1e-6 * n, sizes=(n,), rounds=1, **of)
    (series,) = synthetic.runs(records).series("time")
    assert (series.key.batch, series.key.tokens, series.sizes) == (None, 8192, [512, 1024])
    assert series.key.at(1024).batch == 8


def test_seeds_are_rounds_of_one_series():
    """What differs in nothing but its seed is the same configuration."""
    rng = np.random.default_rng(0)
    records = [
        record.model_copy(update={"round": seed})
        for seed in (0, 1)
        for record in synthetic.measured(rng, _second, sizes=(512,), rounds=1, seed=seed)
    ]
    (series,) = synthetic.runs(records).series("time")
    assert [one.round for one in series.readings] == [0, 1]


def test_a_round_measured_twice_counts_once(tmp_path):
    """After a resumed run the later record of a round stands."""
    rng = np.random.default_rng(0)
    one = synthetic.measured(rng, _second, sizes=(512,), rounds=1)[0]
    path = synthetic.write(tmp_path / "run.jsonl", [one, one.model_copy(update=_of(time=7.0))])
    with pytest.warns(UserWarning, match="the later one counts"):
        runs = Runs.read([path])
    (series,) = runs.series("time")
    assert [one.value for one in series.readings] == [7.0]


def test_memory_that_is_unknown_or_nothing_is_no_measurement():
    """A peak of null or 0 bytes has no logarithm and adds no size."""
    rng = np.random.default_rng(0)
    sizes = (512, 1024, 2048)
    records = synthetic.measured(rng, _second, lambda n: 4 * n, sizes=sizes, rounds=1)
    records[0] = records[0].model_copy(update=_of(memory=None))
    records[1] = records[1].model_copy(update=_of(memory=0.0))
    (series,) = synthetic.runs(records).series("memory")
    assert series.sizes == [2048]


def test_values_on_a_linear_scale_may_be_anything():
    """Zero and less are measurements of a metric whose logarithm is not compared."""
    rng = np.random.default_rng(0)
    header = synthetic.header().model_copy(update={"metrics": [Metric("score", scale="linear")]})
    records = [
        one.model_copy(update=_of(score=value))
        for one, value in zip(
            synthetic.measured(rng, _second, sizes=(512,), rounds=3), (-1.0, 0.0, 4.0), strict=True
        )
    ]
    (series,) = synthetic.runs(records, header).series("score")
    assert [one.value for one in series.readings] == [-1.0, 0.0, 4.0]
    assert not any(one.disturbed for one in series.readings)
    typical = series.point(512).value
    assert typical.value == 0.0
    assert typical.low < 0 < typical.high


def test_metrics_are_those_that_any_record_has():
    """Time, memory and energy come first; what a task measures besides is described by the run."""
    score = Metric("score", scale="linear", better="more")
    header = synthetic.header().model_copy(update={"metrics": [score]})
    records = synthetic.measured(np.random.default_rng(0), _second, sizes=(512,), rounds=1)
    records[0] = records[0].model_copy(update=_of(score=1.0, other=1.0, energy=1.0, time=1.0))
    records.append(synthetic.ok(records[0].case, 1, [], 7.0))
    found = synthetic.runs(records, header).metrics
    assert found == [TIME, MEMORY, ENERGY, score, Metric("other")]


def test_runs_and_machines_never_enter_one_series():
    """The same case in two runs makes two series in two panels."""
    records = synthetic.measured(np.random.default_rng(0), lambda n: 1e-6 * n, rounds=1)
    heads = (synthetic.header("a"), synthetic.header("b", "machine-b"))
    series = Runs(tuple(Run(head, tuple(records)) for head in heads)).series("time")
    assert [one.fingerprint for one in series] == ["machine-a", "machine-b"]
    assert len(panels_of(series)) == 2


def test_a_panel_holds_the_problem_not_who_solves_it():
    """Two implementations of one problem are compared; another task or shape is another problem."""
    rng = np.random.default_rng(0)
    records = []
    for of in ({}, {"impl": "sdpa"}, {"task": "learn"}, {"d_model": 512}):
        records += synthetic.measured(rng, _second, sizes=(512,), rounds=1, **of)
    panels = panels_of(synthetic.runs(records).series("time"))
    assert sorted(map(len, panels.values())) == [1, 1, 2]
    assert "learn, core, forward, d_model 256, 4 heads, batch 1, float32, cpu" in {
        panel.label for panel in panels
    }


def test_a_run_named_twice_counts_once(tmp_path):
    """`linbench scaling latest latest` is one run; one of another time is another."""
    records = synthetic.measured(np.random.default_rng(0), lambda n: 1e-6 * n, rounds=1)
    path = synthetic.write(tmp_path / "a.jsonl", records)
    later = synthetic.header("a").model_copy(update={"created": "2027-01-01T00:00:00+00:00"})
    other = synthetic.write(tmp_path / "b.jsonl", records, later)
    runs = Runs.read([path, path, other])
    assert [run.run_id for run in runs.runs] == ["a", "a of 2027-01-01T00:00:00+00:00"]
    assert len(list(runs.records)) == 2 * len(records)


def test_what_is_made_of_runs_is_made_once():
    """A summary and the sections beside it share one analysis."""
    asked = []
    runs = synthetic.runs([])
    compute = lambda of: asked.append(of) or len(asked)  # noqa: E731
    assert [runs.once(compute), runs.once(compute)] == [1, 1]
    assert asked == [runs]


def test_series_come_in_the_order_a_reader_expects():
    """Exact attention first, then Linformer by k and by how much is shared."""
    rng = np.random.default_rng(0)
    records = []
    for impl, k, sharing in (
        ("linformer", 256, "kv"),
        ("linformer", 256, "headwise"),
        ("other", None, None),
        ("linformer", 64, "kv"),
        ("sdpa", None, None),
        ("vanilla", None, None),
    ):
        of = {"impl": impl, "k": k, "sharing": sharing, "sizes": (512,), "rounds": 1}
        records += synthetic.measured(rng, _second, **of)
    labels = [one.key.label for one in synthetic.runs(records).series("time")]
    assert labels == [
        "vanilla", "sdpa", "linformer k=64 kv", "linformer k=256 headwise", "linformer k=256 kv",
        "other",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("impl", "checks", "mathematics"),
    [
        ("vanilla", [], "exact"),  # what its row states
        ("linformer", [], "linformer"),
        ("mine", [], None),
        ("mine", [Check(mathematics="exact")], "exact"),  # what it was held against
        ("mine", [Check(mathematics="exact"), Check(mathematics="linformer")], None),
        ("vanilla", [Check(reason="its reference is unknown")], None),
    ],
)
def test_what_a_series_computes_is_what_its_outputs_were_held_against(impl, checks, mathematics):
    """Where nothing was checked, it is what is known of the implementation."""
    rng = np.random.default_rng(0)
    records = synthetic.measured(rng, _second, sizes=(512,), rounds=2, impl=impl)
    records[: len(checks)] = [
        record.model_copy(update={"detail": Detail(check=check)})
        for record, check in zip(records, checks, strict=False)
    ]
    (series,) = synthetic.runs(records).series("time")
    assert series.mathematics == mathematics
    assert series.is_exact_attention == (mathematics == "exact")


def test_only_what_is_counted_is_without_noise():
    """Bytes of an allocator are; pages that the kernel counts and bytes that differ are not."""
    rng = np.random.default_rng(0)

    def series(source, values, metric="memory"):
        records = synthetic.measured(rng, _second, sizes=(512,), rounds=len(values))
        records = [
            one.model_copy(update={"metrics": {metric: Measurement(value, source=source)}})
            for one, value in zip(records, values, strict=True)
        ]
        (found,) = synthetic.runs(records).series(metric)
        return found

    assert series("cpu_allocator", (7.0, 7.0)).noiseless
    assert not series("cpu_allocator", (7.0, 8.0)).noiseless
    assert not series("rss_hwm", (7.0, 7.0)).noiseless
    assert not series("perf_counter", (7.0, 7.0), "time").noiseless


def _readings(*rounds_of_each_n):
    return [
        Reading(512 << i, index, value, 1, None)
        for i, rounds in enumerate(rounds_of_each_n)
        for index, value in enumerate(rounds)
    ]


def _marked(readings):
    return [(one.n, one.round) for one in mark_disturbed(readings) if one.disturbed]


def test_a_round_far_slower_than_the_others_is_marked():
    """One of three rounds forty times as slow has no weight in the typical value."""
    readings = _readings([1.0, 1.02, 40.0], [2.0, 2.04, 1.98])
    assert _marked(readings) == [(512, 2)]
    series = dataclasses.replace(
        synthetic.series(np.random.default_rng(0), _second), readings=mark_disturbed(readings)
    )
    assert 1.0 <= series.point(512).value.value <= 1.02
    assert (series.point(512).rounds, series.point(512).disturbed) == (3, 1)


def test_what_is_often_slow_is_not_marked():
    """Two slow rounds of four, two rounds in all, or usual noise of a factor of two stay."""
    assert _marked(_readings([1.0, 1.0, 9.0, 9.0])) == []
    assert _marked(_readings([1.0, 9.0])) == []
    assert _marked(_readings([1.0, 1.7, 0.6], [2.0, 1.1, 3.4], [4.0, 6.9, 2.2])) == []


def test_fast_rounds_are_not_marked():
    """Nothing on a machine makes a call faster than it is."""
    assert _marked(_readings([1.0, 1.01, 0.1], [2.0, 2.01, 2.02])) == []
