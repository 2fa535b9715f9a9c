"""Judging while rounds come in: what is decided stays decided, and chance has one chance in all."""

import numpy as np
import pytest
from synthetic import header, measured

from linbench.run.runs import Run
from linbench.studies.gate import Limits, Looks, looks_within

TIME = Limits(metrics=("time",))


def version(seed, rounds, factor=1.0, sizes=(512, 1024), **how):
    """One version, whose rounds drift as those of the other do."""
    drift = dict(enumerate(np.random.default_rng(99).normal(0, 0.2, 200)))
    records = measured(
        np.random.default_rng(seed), lambda n: factor * 1e-6 * n, rounds=rounds, calls=3,
        drift=drift, sizes=sizes, **how,
    )  # fmt: skip
    return Run(header(f"v{seed}"), tuple(records))


@pytest.mark.parametrize(
    ("rounds", "looks"), [(5, (5,)), (6, (6,)), (10, (6, 9, 10)), (21, (6, 9, 14, 21))]
)
def test_the_last_look_is_at_the_last_round(rounds, looks):
    """However many there are."""
    assert looks_within(rounds) == looks


def test_each_look_has_its_share_of_the_error_rate():
    """Four looks ask for more each than one does; the gate says the rate of all together."""
    versions = version(1, 9), version(2, 9)
    (alone, *_), (split, *_) = (
        Looks(TIME, looks).judge(*versions).findings for looks in ((9,), (6, 9, 14, 21))
    )
    assert split.ratio.low < alone.ratio.low < alone.ratio.high < split.ratio.high
    assert Looks(TIME, (6, 9)).judge(*versions).alpha == 0.01


def test_what_is_decided_stays_decided():
    """A later look neither pardons a regression nor forgets a case that has failed since."""
    looks = Looks(TIME, (6, 9))
    first = looks.judge(version(1, 6), version(2, 6, factor=1.5))
    assert first.verdict == "regression"
    assert first.undecided == ()
    again = looks.judge(version(1, 9), version(2, 9))
    assert again.findings == first.findings
    only = looks.judge(version(1, 9, sizes=(512,)), version(2, 9, sizes=(512,)))
    assert len(only.findings) == 2


def test_cases_that_more_rounds_may_decide_are_named():
    """Too noisy at the first look, decided at a later one."""
    looks = Looks(TIME, (6, 108))
    noisy = {"call_noise": 0.2}
    first = looks.judge(version(1, 6, **noisy), version(2, 6, **noisy))
    assert first.verdict == "inconclusive"
    assert len(first.undecided) == 2
    assert looks.judge(version(1, 108, **noisy), version(2, 108, **noisy)).verdict == "pass"


def test_looking_often_gives_no_false_alarms():
    """40 versions without a change, seen at four looks each: none alarms."""
    alarms = 0
    for seed in range(40):
        looks = Looks(TIME, (6, 9, 14, 21))
        for rounds in looks.looks:
            found = looks.judge(version(2 * seed, rounds), version(2 * seed + 1, rounds))
        alarms += found.verdict == "regression"
    assert alarms == 0
