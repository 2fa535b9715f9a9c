"""What the gate says: comparisons, notes and one verdict."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from linbench.analysis.assertions import Decision, Outcome
from linbench.analysis.assertions import to_json as decision_json
from linbench.analysis.moderated import Typical
from linbench.analysis.stats import Interval
from linbench.errors import UsageError

Verdict = Literal["pass", "regression", "inconclusive"]
Metric = Literal["time", "memory", "operations", "exponent"]
What = Literal["time", "memory", "weights", "batch", "operations", "exponent", "growth", "status"]
Kind = Literal["new", "mended", "failed in both", "not measured"]
_ORDER: tuple[Verdict, ...] = ("regression", "inconclusive", "pass")
METRICS: tuple[Metric, ...] = ("time", "memory", "operations", "exponent")

ALPHA = 0.01


@dataclass(frozen=True)
class Limits:
    """How much worse a candidate may be, and what is compared.

    Attributes:
        max_slowdown: Largest ratio of times that passes.
        max_memory: Largest ratio of bytes, of a call's peak and of the weights, that passes.
        anchor: The implementation that times are relative to where machines differ.
        metrics: What is compared. `exponent` holds exponents and verdicts on growth.

    Raises:
        UsageError: a ratio below 1, or none that is finite.
    """

    max_slowdown: float = 1.10
    max_memory: float = 1.05
    anchor: str = "sdpa"
    metrics: tuple[Metric, ...] = METRICS

    def __post_init__(self) -> None:
        for name in ("max_slowdown", "max_memory"):
            ratio = getattr(self, name)
            if not (math.isfinite(ratio) and ratio >= 1):
                raise UsageError(
                    f"--{name.replace('_', '-')} {ratio:g} is not a limit, expected a ratio of at "
                    "least 1: 1.10 lets pass what is at most 10 % worse"
                )


@dataclass(frozen=True)
class Comparison:
    """One thing about one case (or series of cases), candidate against baseline.

    Attributes:
        case_id: The case; for exponents a name of the series.
        label: Its configuration in words, with n where it is a case.
        at: Scope, mode and shape.
        metric: What is compared.
        verdict: `regression` where the whole interval lies above the limit, `pass` where none of
            it does, else `inconclusive`.
        ratio: Candidate over baseline with its interval; None where there is none to tell. Of
            exponents it is that of the growth per doubling of n: 2 to the power of the difference.
        limit: The largest ratio that passes.
        baseline: Typical value in the baseline (s, bytes, operations, or the exponent).
        candidate: Typical value in the candidate.
        improved: Whether the candidate is better for certain.
        detail: What else there is to say, in a clause.
    """

    case_id: str
    label: str
    at: str
    metric: What
    verdict: Verdict
    ratio: Interval | None = None
    limit: float | None = None
    baseline: float | None = None
    candidate: float | None = None
    improved: bool = False
    detail: str = ""


@dataclass(frozen=True)
class Pending:
    """A comparison that waits for its interval: its log ratio, None where there is none."""

    comparison: Comparison
    estimate: Typical | None
    limit: float


@dataclass(frozen=True)
class CaseNote:
    """A case that is reported but not compared."""

    case_id: str
    label: str
    kind: Kind
    detail: str


@dataclass(frozen=True)
class Gate:
    """What became of a candidate.

    Attributes:
        verdict: The worst of the comparisons; `inconclusive` where nothing was compared.
        comparisons: What decides, the worst first.
        untold: Exponents that the data cannot tell; they do not decide.
        cases: Cases that are reported but not compared.
        notes: What a reader must know of how it was compared, each a sentence.
        same_machine: Whether times were compared directly.
        alpha: The chance of any false regression, and of a false pass.
        assertions: What became of claims about the candidate.
    """

    verdict: Verdict
    comparisons: tuple[Comparison, ...]
    untold: tuple[Comparison, ...]
    cases: tuple[CaseNote, ...]
    notes: tuple[str, ...]
    same_machine: bool
    alpha: float
    assertions: tuple[Decision, ...] = ()

    @property
    def undecided(self) -> tuple[str, ...]:
        """The ids of cases that more rounds may decide."""
        return tuple(
            dict.fromkeys(
                one.case_id
                for one in self.comparisons
                if one.verdict == "inconclusive" and one.metric in ("time", "memory")
            )
        )

    def of(self, verdict: Verdict) -> tuple[Comparison, ...]:
        """Return the comparisons of one verdict."""
        return tuple(one for one in self.comparisons if one.verdict == verdict)


OF_OUTCOME: dict[Outcome, Verdict] = {
    "holds": "pass",
    "fails": "regression",
    "cannot tell": "inconclusive",
}


def with_assertions(gate: Gate, decisions: Sequence[Decision]) -> Gate:
    """Return a gate that claims decide too: one that fails counts as a regression."""
    outcomes = [OF_OUTCOME[decision.outcome] for decision in decisions]
    return replace(gate, assertions=tuple(decisions), verdict=worst([gate.verdict, *outcomes]))


def severity(one: Comparison) -> tuple[int, float]:
    """Order the worst first: changes without a ratio, then by how far beyond the limit."""
    if one.ratio is None or one.limit is None:
        return (_ORDER.index(one.verdict), -math.inf)
    return (_ORDER.index(one.verdict), one.limit / one.ratio.value)


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the worst of some verdicts; `inconclusive` for none."""
    if "regression" in verdicts:
        return "regression"
    return "pass" if verdicts and set(verdicts) == {"pass"} else "inconclusive"


def to_json(gate: Gate) -> dict[str, Any]:
    """Return a gate in the form of `linbench gate --json`."""
    return {
        "verdict": gate.verdict,
        "same_machine": gate.same_machine,
        "alpha": gate.alpha,
        "comparisons": [_comparison_json(one) for one in gate.comparisons],
        "untold": [_comparison_json(one) for one in gate.untold],
        "cases": [asdict(case) for case in gate.cases],
        "notes": list(gate.notes),
        "assertions": [decision_json(decision) for decision in gate.assertions],
    }


def _comparison_json(one: Comparison) -> dict[str, Any]:
    ratio = one.ratio
    return {
        "case_id": one.case_id,
        "metric": one.metric,
        "ratio": ratio.value if ratio else None,
        "ci_low": ratio.low if ratio else None,
        "ci_high": ratio.high if ratio else None,
        "verdict": one.verdict,
        "limit": one.limit,
        "baseline": one.baseline,
        "candidate": one.candidate,
        "improved": one.improved,
        "label": one.label,
        "at": one.at,
        "detail": one.detail,
    }
