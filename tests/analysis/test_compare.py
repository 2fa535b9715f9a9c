"""Two runs, case by case; the noise floor; drift. Simulated truth."""

import numpy as np
import pytest
from synthetic import header, measured, series, write

from linbench.analysis import noise
from linbench.analysis.compare import compare, to_json
from linbench.analysis.drift import by_round
from linbench.record import load

SIZES = (512, 1024, 2048)


def frame(path, seed, factor=1.0, memory=1.0, fingerprint="machine-a", **how):
    rng = np.random.default_rng(seed)
    how = {"sizes": SIZES, "rounds": 8, "drift": 0.02} | how
    records = measured(rng, lambda n: factor * 1e-6 * n, lambda n: memory * 64 * n, **how)
    return load(write(path / f"{seed}.jsonl", records, header(f"r{seed}", fingerprint)))[1]


def test_the_same_twice_is_rarely_told_apart(tmp_path):
    """In 60 A/A pairs of 3 cases at most about 5 % of intervals exclude 1."""
    outside = total = 0
    for seed in range(60):
        found = compare(frame(tmp_path, 2 * seed), frame(tmp_path, 2 * seed + 1))
        times = [one for one in found if one.metric == "time"]
        total += len(times)
        outside += sum(one.verdict != "unclear" for one in times)
    assert total == 180
    assert outside / total < 0.10


def test_a_difference_is_found_and_in_the_right_direction(tmp_path):
    """A run 30 % slower with 20 % more memory says so, B over A."""
    found = compare(frame(tmp_path, 1), frame(tmp_path, 2, factor=1.3, memory=1.2))
    for one in found:
        low, high = one.ratio.low, one.ratio.high
        if one.metric == "time":
            assert one.verdict == "slower"
            assert low < 1.3 < high or one.ratio.value == pytest.approx(1.3, rel=0.05)
        else:
            assert one.verdict == "more"
            assert low == high == pytest.approx(1.2, rel=1e-4)
    assert {one.metric for one in found} == {"time", "memory"}


def test_exactly_equal_memory_is_the_same(tmp_path):
    """Memory that does not vary has no width, and a ratio of exactly 1."""
    found = compare(frame(tmp_path, 1), frame(tmp_path, 2))
    assert {one.verdict for one in found if one.metric == "memory"} == {"same"}


def test_memory_of_different_sources_is_not_compared(tmp_path):
    """An allocator's count and the resident set are two quantities: no interval, no verdict."""
    first, second = frame(tmp_path, 1), frame(tmp_path, 2, memory=1.2)
    second["memory_source"] = "rss_hwm"
    found = compare(first, second)
    memory = [one for one in found if one.metric == "memory"]
    assert len(memory) == len(SIZES)
    for one in memory:
        assert (one.verdict, one.ratio.low, one.ratio.high) == ("unclear", None, None)
        assert one.incomparable == "cpu_allocator and rss_hwm do not compare"
    assert not any(one.incomparable for one in found if one.metric == "time")


def test_times_of_different_machines_are_not_compared(tmp_path):
    """Memory carries over between machines, time does not."""
    found = compare(frame(tmp_path, 1), frame(tmp_path, 2, fingerprint="machine-b"))
    assert {one.metric for one in found} == {"memory"}


def test_machines_are_compared_when_asked_for(tmp_path):
    """Then times are given too, and a case is the same on whatever device; ids are the first's."""
    here = frame(tmp_path, 1)
    there = frame(tmp_path, 2, factor=0.5, fingerprint="machine-b", device="cuda")
    assert compare(here, there) == []
    found = compare(here, there, machines=True)
    assert {one.case_id for one in found} == set(here["case_id"])
    times = [one for one in found if one.metric == "time"]
    assert {one.n for one in times} == set(SIZES)
    assert {one.setup.device for one in times} == {"cuda"}
    assert all(one.ratio.value == pytest.approx(0.5, rel=0.05) for one in times)
    assert all(one.second.low <= one.second.value <= one.second.high for one in times)


def test_cases_are_matched_by_id(tmp_path):
    """Only what both measured is compared; the JSON names each case."""
    found = to_json(compare(frame(tmp_path, 1), frame(tmp_path, 2, sizes=(512, 9999))))
    assert len({one["case_id"] for one in found}) == 1
    assert set(found[0]) == {"case_id", "metric", "ratio", "ci_low", "ci_high", "verdict"}


def test_the_noise_floor_is_what_was_put_in():
    """Pairs with 2 % noise on each side differ by 2.8 %; ten rounds resolve t(9) x 2.8 % / √10."""
    rng = np.random.default_rng(0)
    a, b = (np.exp(rng.normal(0, 0.02, 4000)) for _ in range(2))
    floor = noise.floor(a.tolist(), b.tolist())
    assert floor.spread == pytest.approx(0.02 * 2**0.5, rel=0.05)
    assert floor.resolves[10] == pytest.approx(2.262 * 0.0283 / 10**0.5, rel=0.06)
    assert floor.ratio.low < 1 < floor.ratio.high
    assert list(floor.resolves.values()) == sorted(floor.resolves.values(), reverse=True)


def test_the_noise_floor_agrees_with_compare(tmp_path):
    """What a floor says 8 rounds resolve is the half-width that compare then shows."""
    rng = np.random.default_rng(3)
    a, b = (np.exp(rng.normal(0, 0.03, 400)) for _ in range(2))
    resolves = noise.floor(a.tolist(), b.tolist(), rounds=(8,)).resolves[8]
    quiet = {"call_noise": 0.0, "outliers": 0.0, "drift": 0.03, "sizes": (512,)}
    widths = []
    for seed in range(40):
        (one,) = [
            one
            for one in compare(frame(tmp_path, seed, **quiet), frame(tmp_path, 500 + seed, **quiet))
            if one.metric == "time"
        ]
        widths.append((one.ratio.high - one.ratio.low) / 2)
    assert np.median(widths) == pytest.approx(resolves, rel=0.35)


def test_drift_is_found_by_round():
    """A machine 10 % slower in one round of five is seen to be, whatever n."""
    rng = np.random.default_rng(1)
    one = series(rng, lambda n: 1e-6 * n, drift=0.0, outliers=0.0, call_noise=0.001)
    cells = tuple(
        type(cell)(cell.n, cell.round, cell.value * (1.1 if cell.round == 3 else 1), 5, None)
        for cell in one.cells
    )
    speeds = by_round([type(one)(one.setup, one.metric, cells)])
    assert speeds[3] == pytest.approx(0.1, abs=0.01)
    assert all(abs(speed) < 0.01 for round_, speed in speeds.items() if round_ != 3)
