"""Two runs, case by case. Simulated truth."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import header, measured

from linbench.run.metrics import Measurement, Metric
from linbench.run.runs import Run
from linbench.stats import noise
from linbench.studies.compare.cases import compare, to_json

SIZES = (512, 1024, 2048)


def a_run(seed, factor=1.0, memory=1.0, fingerprint="machine-a", **how):
    rng = np.random.default_rng(seed)
    how = {"sizes": SIZES, "rounds": 8, "drift": 0.02} | how
    records = measured(rng, lambda n: factor * 1e-6 * n, lambda n: memory * 64 * n, **how)
    return Run(header(f"r{seed}", fingerprint), tuple(records))


def of(metric, found):
    return [one for one in found if one.metric.name == metric]


def test_the_same_twice_is_rarely_told_apart():
    """In 60 A/A pairs of 3 cases at most about 5 % of intervals exclude 1."""
    outside = total = 0
    for seed in range(60):
        found = compare(a_run(2 * seed), a_run(2 * seed + 1))
        times = of("time", found)
        total += len(times)
        outside += sum(one.verdict != "unclear" for one in times)
    assert total == 180
    assert outside / total < 0.10


def test_a_difference_is_found_and_in_the_right_direction():
    """A run 30 % slower with 20 % more memory says so, B over A."""
    found = compare(a_run(1), a_run(2, factor=1.3, memory=1.2))
    for one in found:
        low, high = one.ratio.low, one.ratio.high
        if one.metric.name == "time":
            assert one.verdict == "slower"
            assert low < 1.3 < high or one.ratio.value == pytest.approx(1.3, rel=0.05)
        else:
            assert one.verdict == "more"
            assert low == high == pytest.approx(1.2, rel=1e-4)
    assert {one.metric.name for one in found} == {"time", "memory"}


def test_exactly_equal_memory_is_the_same():
    """Memory that does not vary has no width, and a ratio of exactly 1."""
    found = compare(a_run(1), a_run(2))
    assert {one.verdict for one in of("memory", found)} == {"same"}


def test_memory_of_different_sources_is_not_compared():
    """An allocator's count and the resident set are two quantities: no interval, no verdict."""
    first, second = a_run(1), a_run(2, memory=1.2)
    for record in second.records:
        record.metrics["memory"] = replace(record.metrics["memory"], source="rss_hwm")
    found = compare(first, second)
    memory = of("memory", found)
    assert len(memory) == len(SIZES)
    for one in memory:
        assert (one.verdict, one.ratio.low, one.ratio.high) == ("unclear", None, None)
        assert one.incomparable == "cpu_allocator and rss_hwm do not compare"
    assert not any(one.incomparable for one in of("time", found))


def test_times_of_different_machines_are_not_compared():
    """Memory carries over between machines, time does not."""
    found = compare(a_run(1), a_run(2, fingerprint="machine-b"))
    assert {one.metric.name for one in found} == {"memory"}


def test_machines_are_compared_when_asked_for():
    """Then times are given too, and a case is the same on whatever device; ids are the first's."""
    here = a_run(1)
    there = a_run(2, factor=0.5, fingerprint="machine-b", device="cuda")
    assert compare(here, there) == []
    found = compare(here, there, machines=True)
    assert {one.case_id for one in found} == set(here.by_case())
    times = of("time", found)
    assert {one.n for one in times} == set(SIZES)
    assert {one.key.device for one in times} == {"cuda"}
    assert all(one.ratio.value == pytest.approx(0.5, rel=0.05) for one in times)
    assert all(one.second.low <= one.second.value <= one.second.high for one in times)


def test_cases_are_matched_by_id():
    """Only what both measured is compared; the JSON names each case."""
    found = to_json(compare(a_run(1), a_run(2, sizes=(512, 9999))))
    assert len({one["case_id"] for one in found}) == 1
    assert set(found[0]) == {"case_id", "metric", "ratio", "ci_low", "ci_high", "verdict"}


def test_the_noise_floor_agrees_with_compare():
    """What a floor says 8 rounds resolve is the half-width that compare then shows."""
    rng = np.random.default_rng(3)
    a, b = (np.exp(rng.normal(0, 0.03, 400)) for _ in range(2))
    resolves = noise.floor(a.tolist(), b.tolist(), rounds=(8,)).resolves[8]
    quiet = {"call_noise": 0.0, "outliers": 0.0, "drift": 0.03, "sizes": (512,)}
    widths = []
    for seed in range(40):
        (one,) = of("time", compare(a_run(seed, **quiet), a_run(500 + seed, **quiet)))
        widths.append((one.ratio.high - one.ratio.low) / 2)
    assert np.median(widths) == pytest.approx(resolves, rel=0.35)


def with_metric(run, metric, value):
    """The run with another metric in every record, a function of the record."""
    for record in run.records:
        record.metrics[metric.name] = Measurement(value(record))
    return replace(run, header=run.header.model_copy(update={"metrics": [metric]}))


def test_any_metric_is_compared():
    """A linear one too, by ratio, on whatever machine: an accuracy says nothing of the machine."""
    accuracy = Metric("accuracy", better="more", scale="linear")
    rng = np.random.default_rng(7)
    first, second = (
        with_metric(run, accuracy, lambda _, level=level: level + float(rng.normal(0, 0.001)))
        for run, level in ((a_run(1), 0.8), (a_run(2, fingerprint="machine-b"), 0.9))
    )
    found = compare(first, second)
    assert {one.metric.name for one in found} == {"memory", "accuracy"}
    for one in of("accuracy", found):
        assert one.verdict == "more"
        assert one.ratio.low < 0.9 / 0.8 < one.ratio.high
        assert one.second.value == pytest.approx(0.9, abs=0.002)


def test_what_is_not_positive_has_no_ratio():
    """A value of zero or below: neither ratio nor verdict, and the reason."""
    score = Metric("score", scale="linear")
    first = with_metric(a_run(1), score, lambda record: float(record.case.seq != 512))
    second = with_metric(a_run(2), score, lambda _: 2.0)
    found = of("score", compare(first, second))
    assert [one.ratio and one.ratio.value for one in found] == [None, 2.0, 2.0]
    assert (found[0].verdict, found[0].incomparable) == ("unclear", "not all values are positive")
    assert to_json(found)[0]["ratio"] is None


def test_energy_stays_on_its_machine():
    """Joules are a machine's as seconds are; the clocks of two machines need not be alike."""
    energy = Metric("energy", "J")
    first, there = (
        with_metric(run, energy, lambda record: 40 * record.value("time"))
        for run in (a_run(1), a_run(2, fingerprint="machine-b"))
    )
    for record in there.records:
        record.metrics["time"] = replace(record.metrics["time"], source="cuda_event")
    assert not of("energy", compare(first, there))
    found = compare(first, there, machines=True)
    assert len(of("energy", found)) == len(SIZES)
    assert not any(one.incomparable for one in found)


@pytest.mark.parametrize("change", [{"unit": "ms"}, {"better": "more"}])
def test_metrics_of_one_name_and_another_meaning_are_not_compared(change):
    """10 ms are not a thousand times 0.01 s."""
    metric = Metric("latency", "s")

    def latency(described):
        records = [
            one.model_copy(update={"metrics": {"latency": one.metrics["time"]}})
            for one in a_run(1).records
        ]
        head = header(described.unit + described.better).model_copy(update={"metrics": [described]})
        return Run(head, tuple(records))

    found = of("latency", compare(latency(metric), latency(replace(metric, **change))))
    assert len(found) == len(SIZES)
    assert all(one.ratio is None and "do not compare" in one.incomparable for one in found)
