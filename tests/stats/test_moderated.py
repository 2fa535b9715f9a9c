"""Typical values of many cases: known truth in, error rates out."""

import math

import numpy as np
import pytest

from linbench.stats.moderated import Noise, apart, beyond_runs, moderate, paired

CASES = 12
ALPHA = 0.01


def cells(rng, rounds=5, *, cases=CASES, drift=0.02, noise=0.02, noisy=1.0, shift=0.0, bursts=0.0):
    """Log times by case and round: what the round drifts, and noise of the case's own."""
    own = np.full(cases, noise)
    own[0] *= noisy
    logs = shift + rng.normal(0, drift, rounds) + rng.normal(0, 1, (cases, rounds)) * own[:, None]
    logs += np.where(rng.random(logs.shape) < bursts, rng.uniform(0.1, 0.4, logs.shape), 0.0)
    return {str(i): dict(enumerate(row)) for i, row in enumerate(logs.tolist())}


def rates(seed, pairs, **how):
    """Share of pairs with any false alarm (truth at the limit), and of cases falsely passed."""
    rng = np.random.default_rng(seed)
    alarms = passes = 0
    for _ in range(pairs):
        found = apart(cells(rng, **how), cells(rng, **how)).values()
        ends = [one.interval(ALPHA / len(found), ALPHA) for one in found]
        alarms += any(end.low > 0 for end in ends)
        passes += sum(end.high < 0 for end in ends) / len(ends)
    return alarms / pairs, passes / pairs


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"rounds": 3},
        {"rounds": 8},
        {"drift": 0.0},
        {"cases": 2},
        {"noisy": 5.0},
        {"noisy": 5.0, "drift": 0.0, "rounds": 8},
        {"bursts": 0.1},
    ],
    ids=str,
)
def test_error_rates_hold_at_the_limit(how):
    """With the truth at the limit 1 % of gates err, whatever drifts, bursts or is noisier."""
    alarms, passes = rates(1, 250, **how)
    assert alarms <= 0.03  # 99.9 % of simulations of 250 pairs with a rate of 1 % have no more
    assert passes <= 0.02


@pytest.mark.slow
@pytest.mark.parametrize("how", [{}, {"drift": 0.0}, {"noisy": 5.0}, {"bursts": 0.1}], ids=str)
def test_error_rates_hold_at_the_limit_closely(how):
    """The same with 3,000 pairs: 1 %, or 2 % where one case is far noisier than the others."""
    alarms, passes = rates(2, 3000, **how)
    assert alarms <= (0.025 if "noisy" in how else 0.015)
    assert passes <= 0.015


def test_twelve_cases_know_more_than_one():
    """Noise that is alike makes intervals narrower than each case alone would have."""
    rng = np.random.default_rng(0)
    wide, narrow = [], []
    for _ in range(30):
        first, second = (cells(rng, 3, drift=0.0) for _ in range(2))
        narrow.append(apart(first, second)["0"].freedom)
        wide.append(apart({"0": first["0"]}, {"0": second["0"]})["0"].freedom)
    assert np.median(narrow) > 3 * np.median(wide)


def test_drift_shared_by_all_cases_is_no_evidence_from_each():
    """Where all cases move together, twelve know hardly more of the noise than one."""
    rng = np.random.default_rng(0)
    free = [
        apart(*(cells(rng, 5, drift=0.02, noise=0.001) for _ in range(2)))["0"].freedom
        for _ in range(30)
    ]
    assert np.median(free) < 11  # one pair of cases has 8; independent cases would have 96


def test_a_noisy_case_keeps_its_own_noise():
    """One case five times as noisy as the others has an interval several times as wide."""
    rng = np.random.default_rng(0)
    widths = []
    for _ in range(30):
        found = apart(*(cells(rng, 8, noisy=5.0, drift=0.0) for _ in range(2)))
        widths.append([found[name].interval(0.01, 0.01) for name in ("0", "1")])
    noisy, quiet = np.median([[i.high - i.low for i in pair] for pair in widths], axis=0)
    assert noisy > 3 * quiet


def test_bursts_leave_the_interval_narrow():
    """A tenth of the rounds slowed by 10 to 40 % less than doubles the width that noise has."""
    rng = np.random.default_rng(0)

    def width(bursts):
        pairs = [apart(*(cells(rng, 10, bursts=bursts) for _ in range(2))) for _ in range(20)]
        return np.median([math.sqrt(one.error) for pair in pairs for one in pair.values()])

    assert width(0.1) < 2 * width(0.0)


def test_two_rounds_have_no_interval():
    """Of two rounds none can be out of line: the ratio stands, without ends."""
    first, second = cells(np.random.default_rng(0), 5), cells(np.random.default_rng(1), 2)
    one = apart(first, second)["3"]
    assert one.error is None
    assert one.interval(0.01, 0.01).low is None


def test_pairs_cancel_drift():
    """Ratios within rounds do not see what slows both by a half."""
    rng = np.random.default_rng(0)
    drift = rng.normal(0, 0.5, 6)
    noise = rng.normal(0, 0.01, (CASES, 2, 6))
    ratios = {
        str(i): dict(enumerate(((drift + b + 0.2) - (drift + a)).tolist()))
        for i, (a, b) in enumerate(noise)
    }
    for one in paired(ratios).values():
        end = one.interval(0.001, 0.001)
        assert 0.1 < end.low < 0.2 < end.high < 0.3


def test_equal_values_have_no_width():
    """Noise that is not there is not invented."""
    same = {"a": dict.fromkeys(range(5), 1.0), "b": dict.fromkeys(range(5), 2.0)}
    for one in apart(same, same).values():
        end = one.interval(0.01, 0.01)
        assert end.low == end.value == end.high == 0


def test_one_case_alone_keeps_its_variance():
    """There is nothing to moderate it with."""
    alone = {"a": Noise(4.0, 3, {0: 1.0, 1: -1.0, 2: 0.5, 3: -0.5})}
    assert moderate([alone]) == [{"a": (4.0, 3.0)}]


def test_no_lucky_run_decides():
    """Of three runs one is 25 % faster: the median does not follow it, nor does its noise."""
    rng = np.random.default_rng(0)
    verdicts = []
    for shift in (0.0, math.log(1.25)):
        runs = [cells(rng, shift=luck) for luck in (0.0, -0.25, 0.0)]
        found = beyond_runs(runs, cells(rng, shift=shift)).values()
        verdicts.append([one.interval(ALPHA / CASES, ALPHA) for one in found])
    limit = math.log(1.1)
    assert all(end.high < limit for end in verdicts[0])
    assert all(end.low > limit for end in verdicts[1])


def test_runs_that_differ_widen_the_interval():
    """A machine that differs by 5 % from run to run cannot resolve 10 % with one more run."""
    rng = np.random.default_rng(0)
    widths = {}
    for spread in (0.0, 0.05):
        ends = []
        for _ in range(20):
            runs = [cells(rng, shift=rng.normal(0, spread)) for _ in range(5)]
            one = beyond_runs(runs, cells(rng, shift=rng.normal(0, spread)))["0"]
            ends.append(one.interval(ALPHA / CASES, ALPHA))
        widths[spread] = np.median([end.high - end.low for end in ends])
    assert widths[0.05] > 2 * widths[0.0]


def test_false_alarms_of_merged_runs():
    """Five runs that differ by 5 % raise no alarm about a sixth, at a limit of 10 %."""
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(60):
        runs = [cells(rng, shift=rng.normal(0, 0.05)) for _ in range(6)]
        found = beyond_runs(runs[:5], runs[5]).values()
        alarms += any(one.interval(ALPHA / CASES, ALPHA).low > math.log(1.1) for one in found)
    assert alarms <= 1
