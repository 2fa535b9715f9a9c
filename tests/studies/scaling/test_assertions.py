"""Assertions: read, decided on intervals, and refused where they make no sense."""

import numpy as np
import pytest
import synthetic
from synthetic import PLUGIN

from linbench.errors import UsageError
from linbench.run.metrics import Metric
from linbench.studies.scaling.assertions import decide, outcome_of, parse

SDPA = PLUGIN.model_copy(update={"impl": "sdpa"})
LIN = PLUGIN.model_copy(
    update={"impl": "linformer", "k": 128, "sharing": "headwise", "projection": "linear"}
)
RULE = LIN.model_copy(update={"k": None, "k_rule": "n/4"})


@pytest.fixture(scope="module")
def measured():
    """SDPA 1e-9 n², Linformer 1e-6 n at k = 128 and a quarter of SDPA at k = n/4; 2 % noise."""
    rng = np.random.default_rng(1)
    laws = ((SDPA, lambda n: 1e-9 * n * n), (LIN, lambda n: 1e-6 * n))
    laws = (*laws, (RULE, lambda n: 2.5e-10 * n * n))
    return [synthetic.series(rng, law, key=key) for key, law in laws]


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("sdpa:time>=1.8", "holds"),
        ("sdpa:time<=1.8", "fails"),
        ("sdpa:time>2.0", "undecided"),
        ("linformer k=128:time<=1.15", "holds"),
        ("linformer k=128 headwise:time <= 1.15", "holds"),
        ("linformer:time<=1.15", "fails"),  # k = n/4 is one of them, and quadratic
        ("linformer k=n/4:time>=1.9", "holds"),
        ("linformer k=128/sdpa:time@8192<0.5", "holds"),
        ("linformer k=n/4/sdpa:time@8192<0.5", "holds"),
        ("linformer k=n/4/sdpa:time@8192>0.5", "fails"),
        ("linformer k=n/4/sdpa:time@8192<0.25", "undecided"),
        ("linformer/sdpa:time@9999<0.5", "undecided"),
    ],
)
def test_an_assertion_is_decided_on_intervals(measured, text, outcome):
    """It holds or fails only where both ends of the interval agree."""
    assert outcome_of(decide(parse(text), measured)) == outcome


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("linformer", "is not an assertion"),
        ("linformer:time=1", "is not an assertion"),
        ("linformer:time<=fast", "'fast'"),
        ("linformer/sdpa:time<0.5", "mixes two forms"),
        ("linformer:time@8192<0.5", "mixes two forms"),
    ],
)
def test_a_malformed_assertion_names_its_fault(text, names):
    """The error quotes the assertion, the fault and an example that works."""
    with pytest.raises(UsageError, match="--assert") as caught:
        parse(text)
    assert names in str(caught.value)


def test_a_name_that_nothing_answers_to_is_an_error(measured):
    """A typo must not pass as an assertion that holds for no series."""
    with pytest.raises(UsageError, match="did you mean 'sdpa'"):
        decide(parse("sdp:time<=2.1"), measured)


def test_a_metric_that_was_not_measured_is_an_error_that_names_those_that_were(measured):
    """What metrics there are is known from the run, not from a list."""
    with pytest.raises(UsageError, match="'tme', expected one .*: time; did you mean 'time'"):
        decide(parse("sdpa:tme<=1.1"), measured)
    with pytest.raises(UsageError, match="'time', expected one .*: there is none"):
        decide(parse("sdpa:time<=1.1"), [])


def test_any_metric_on_a_logarithmic_scale_can_be_claimed():
    """A metric that nobody knows is decided as time is; where more is better, by ratios alone."""
    rng = np.random.default_rng(3)
    of_costs, of_tokens = (
        [
            synthetic.series(rng, law, key=key, metric=metric)
            for key, law in ((SDPA, lambda n: 1e9 / n), (LIN, lambda n: 4e9 / n))
        ]
        for metric in (Metric("misses"), Metric("tokens", "1/s", better="more"))
    )
    assert outcome_of(decide(parse("sdpa:misses<=-0.9"), of_costs)) == "holds"
    assert outcome_of(decide(parse("linformer/sdpa:misses@8192>3"), of_costs)) == "holds"
    assert outcome_of(decide(parse("linformer/sdpa:tokens@8192>3"), of_tokens)) == "holds"
    with pytest.raises(UsageError, match=r"'tokens', expected .* less the better: misses"):
        decide(parse("sdpa:tokens<=-0.9"), [*of_costs, *of_tokens])


def test_ratios_are_taken_within_one_setting_only(measured):
    """Series of two scopes are never divided by each other."""
    layer = SDPA.model_copy(update={"scope": "layer"})
    rng = np.random.default_rng(2)
    other = synthetic.series(rng, lambda n: 1.0 * n, key=layer)
    decisions = decide(parse("linformer k=128/sdpa:time@8192<0.5"), [measured[1], other])
    assert outcome_of(decisions) == "undecided"
