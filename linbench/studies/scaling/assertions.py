"""Assertions on exponents and ratios, decided by their intervals: holds, fails, or is undecided."""

import itertools
import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from linbench.errors import UsageError, did_you_mean
from linbench.run.runs import Series
from linbench.stats.interval import Interval
from linbench.studies.crossover import ratios
from linbench.studies.scaling.analyse import interval_json
from linbench.studies.scaling.exponent import exponent

Outcome = Literal["holds", "fails", "undecided"]
_EXAMPLES = "for instance 'linformer:time<=1.15' or 'linformer k=128/sdpa:time@8192<0.5'"

_FORM = re.compile(
    r"(?P<name>[^:<>@]+):(?P<metric>[\w.-]+)(?:@(?P<n>\d+))?\s*(?P<sign><=|>=|<|>)\s*(?P<bound>\S+)"
)
_SIGNS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}


@dataclass(frozen=True)
class Assertion:
    """A claim: the exponent of `name`, or its value over that of `baseline` at n, against a bound.

    Names are words of a series' label, its implementation first: `linformer`, `linformer k=128 kv`.
    A claim about a name is one about every series it fits.
    """

    text: str
    name: str
    baseline: str | None
    metric: str
    n: int | None
    sign: str
    bound: float


@dataclass(frozen=True)
class Decision:
    """What became of one assertion for one series or pair of series."""

    assertion: Assertion
    subject: str
    value: Interval | None
    outcome: Outcome


def parse(text: str) -> Assertion:
    """Read an assertion; whether there is such a metric is decided against what was measured.

    Raises:
        UsageError: not of the grammar, or a bound that is no number.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"--assert '{text}' is not an assertion, expected {_EXAMPLES}")
    name, baseline = _names(match["name"])
    if (baseline is None) != (match["n"] is None):
        raise UsageError(
            f"--assert '{text}' mixes two forms: an exponent has neither '/' nor '@', a ratio at "
            f"one n has both, {_EXAMPLES}"
        )
    try:
        bound = float(match["bound"])
    except ValueError:
        raise UsageError(
            f"--assert '{text}' has the bound '{match['bound']}', expected a number, {_EXAMPLES}"
        ) from None
    n = int(match["n"]) if match["n"] else None
    return Assertion(text, name, baseline, match["metric"], n, match["sign"], bound)


def _names(text: str) -> tuple[str, str | None]:
    """Split `linformer k=n/4/sdpa` at the slash between two names, not at those within k."""
    for slash in re.finditer("/", text):
        name, baseline = text[: slash.start()].strip(), text[slash.end() :].strip()
        if name and re.match(r"[A-Za-z_]", baseline):
            return name, baseline
    return text.strip(), None


def decide(assertion: Assertion, series: Sequence[Series]) -> list[Decision]:
    """Decide an assertion for every series, or pair of series of one panel, that it names.

    Raises:
        UsageError: it names a metric or a series that was not measured.
    """
    possible = [one for one in series if one.metric.scale == "log"]
    of_what = "on a logarithmic scale"
    if assertion.baseline is None:
        possible = [one for one in possible if one.metric.is_cost]
        of_what += " with less the better"
    measured = list(dict.fromkeys(one.metric.name for one in possible))
    if assertion.metric not in measured:
        raise UsageError(
            f"--assert '{assertion.text}' names the metric '{assertion.metric}', expected one that "
            f"was measured and is {of_what}: {', '.join(measured) or 'there is none'}"
            f"{did_you_mean(assertion.metric, measured)}"
        )
    of_metric = [one for one in possible if one.metric.name == assertion.metric]
    named = _fitting(assertion, assertion.name, of_metric)
    if assertion.baseline is None:
        return [_decision(assertion, one.key.label, exponent(one).slope) for one in named]
    decisions = []
    for one, base in itertools.product(named, _fitting(assertion, assertion.baseline, of_metric)):
        if one is not base and one.panel == base.panel:
            found = (ratio.value for ratio in ratios(base, one) if ratio.n == assertion.n)
            subject = f"{one.key.label} / {base.key.label} at n = {assertion.n}"
            decisions.append(_decision(assertion, subject, next(found, None)))
    return decisions or [Decision(assertion, "no pair of one run and setting", None, "undecided")]


def _fitting(assertion: Assertion, name: str, among: Sequence[Series]) -> list[Series]:
    """Return the series that a name fits, one at least."""
    found = [one for one in among if _fits(name, one)]
    if not found:
        known = list(dict.fromkeys(one.key.label for one in among))
        raise UsageError(
            f"--assert '{assertion.text}' names '{name}', of which no {assertion.metric} was "
            f"measured, expected one of {', '.join(known)}{did_you_mean(name, known)}"
        )
    return found


def _fits(name: str, series: Series) -> bool:
    impl, *asked = name.split()
    own_impl, *own = series.key.label.split()
    return impl == own_impl and set(asked) <= {*own, *filter(None, (series.key.sharing,))}


def _decision(assertion: Assertion, subject: str, value: Interval | None) -> Decision:
    """Decide by both ends of the interval: only where they agree is the answer known."""
    if value is None or value.low is None or value.high is None:
        return Decision(assertion, subject, value, "undecided")
    holds = _SIGNS[assertion.sign]
    ends = [holds(end, assertion.bound) for end in (value.low, value.high)]
    outcome: Outcome = "holds" if all(ends) else "undecided" if any(ends) else "fails"
    return Decision(assertion, subject, value, outcome)


def outcome_of(decisions: Sequence[Decision]) -> Outcome:
    """Return what became of all: fails if any fails, else undecided if any is."""
    outcomes = {decision.outcome for decision in decisions}
    if "fails" in outcomes:
        return "fails"
    return "holds" if outcomes == {"holds"} else "undecided"


def to_json(decision: Decision) -> dict[str, Any]:
    """Return a decision for machines."""
    return {
        "assertion": decision.assertion.text,
        "subject": decision.subject,
        **interval_json("value", decision.value),
        "outcome": decision.outcome,
    }
