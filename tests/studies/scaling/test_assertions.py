"""Assertions: read, decided on intervals, and refused where they make no sense."""

import numpy as np
import pytest
import synthetic
from synthetic import PLUGIN

from linbench.errors import UsageError
from linbench.run.metrics import Metric
from linbench.studies.scaling.analyse import scaling_of
from linbench.studies.scaling.assertions import decide, outcome_of, parse

SDPA = PLUGIN.model_copy(update={"impl": "sdpa"})
LIN = PLUGIN.model_copy(
    update={"impl": "linformer", "k": 128, "sharing": "headwise", "projection": "linear"}
)
RULE = LIN.model_copy(update={"k": None, "k_rule": "n/4"})


@pytest.fixture(scope="module")
def scalings():
    """SDPA 1e-9 n², Linformer 1e-6 n at k = 128 and a quarter of SDPA at k = n/4; 2 % noise."""
    rng = np.random.default_rng(1)
    laws = ((SDPA, lambda n: 1e-9 * n * n), (LIN, lambda n: 1e-6 * n))
    laws = (*laws, (RULE, lambda n: 2.5e-10 * n * n))
    return [scaling_of(synthetic.series(rng, law, key=setup)) for setup, law in laws]


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("sdpa:time>=1.8", "holds"),
        ("sdpa:time<=1.8", "fails"),
        ("sdpa:time>2.0", "cannot tell"),
        ("linformer k=128:time<=1.15", "holds"),
        ("linformer k=128 headwise:time <= 1.15", "holds"),
        ("linformer:time<=1.15", "fails"),  # k = n/4 is one of them, and quadratic
        ("linformer k=n/4:time>=1.9", "holds"),
        ("linformer k=128/sdpa:time@8192<0.5", "holds"),
        ("linformer k=n/4/sdpa:time@8192<0.5", "holds"),
        ("linformer k=n/4/sdpa:time@8192>0.5", "fails"),
        ("linformer k=n/4/sdpa:time@8192<0.25", "cannot tell"),
        ("linformer/sdpa:time@9999<0.5", "cannot tell"),
    ],
)
def test_an_assertion_is_decided_on_intervals(scalings, text, outcome):
    """It holds or fails only where both ends of the interval agree."""
    assert outcome_of(decide(parse(text), scalings)) == outcome


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


def test_a_name_that_nothing_answers_to_is_an_error(scalings):
    """A typo must not pass as an assertion that holds for no series."""
    with pytest.raises(UsageError, match="did you mean 'sdpa'"):
        decide(parse("sdp:time<=2.1"), scalings)


def test_a_metric_that_was_not_measured_is_an_error_that_names_those_that_were(scalings):
    """What metrics there are is known from the run, not from a list."""
    with pytest.raises(UsageError, match="'tme', expected one .*: time; did you mean 'time'"):
        decide(parse("sdpa:tme<=1.1"), scalings)
    with pytest.raises(UsageError, match="'time', expected one .*: there is none"):
        decide(parse("sdpa:time<=1.1"), [])


def test_any_metric_on_a_logarithmic_scale_can_be_claimed():
    """Of a metric that nobody knows the exponent and the ratio are decided like those of time."""
    tokens = Metric("tokens", "1/s", better="more")
    rng = np.random.default_rng(3)
    measured = [
        scaling_of(synthetic.series(rng, law, key=key, metric=tokens))
        for key, law in ((SDPA, lambda n: 1e9 / n), (LIN, lambda n: 4e9 / n))
    ]
    assert outcome_of(decide(parse("sdpa:tokens<=-0.9"), measured)) == "holds"
    assert outcome_of(decide(parse("linformer/sdpa:tokens@8192>3"), measured)) == "holds"


def test_ratios_are_taken_within_one_setting_only(scalings):
    """Series of two scopes are never divided by each other."""
    layer = SDPA.model_copy(update={"scope": "layer"})
    rng = np.random.default_rng(2)
    other = scaling_of(synthetic.series(rng, lambda n: 1.0 * n, key=layer))
    decisions = decide(parse("linformer k=128/sdpa:time@8192<0.5"), [scalings[1], other])
    assert outcome_of(decisions) == "cannot tell"
