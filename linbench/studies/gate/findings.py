"""What the gate says: findings, notes and one verdict."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from linbench.errors import UsageError
from linbench.run.metrics import MEMORY, TIME, Metric
from linbench.stats.interval import Interval
from linbench.stats.moderated import Typical
from linbench.studies.scaling import assertions
from linbench.studies.scaling.assertions import Decision
from linbench.words import COUNT

Verdict = Literal["pass", "regression", "inconclusive"]
Kind = Literal["new", "mended", "failed in both", "not measured"]
_ORDER: tuple[Verdict, ...] = ("regression", "inconclusive", "pass")
_OF_CLAIMS: dict[str, Verdict] = {"holds": "pass", "fails": "regression"}

ALPHA = 0.01

WEIGHTS = Metric("weights", "byte", noise="exact")
"""Parameters and buffers, which the peak of a call lies above: compared where memory is."""

OPERATIONS = Metric("operations", COUNT, noise="exact")
"""Operations by counting; implementations of others have none."""

EXPONENT = "exponent"
"""Exponents along n, and changes of the verdict on growth."""

MAX_OF_ROUNDS, MAX_OF_COUNTS, MAX_OPERATIONS = 1.10, 1.05, 1.01
"""How many times as bad a value that scatters, one that is exact, and operations may be."""


@dataclass(frozen=True)
class Limits:
    """How much worse a candidate may be, and what is compared.

    Attributes:
        max_slowdown: How many times as long a call may take.
        max_memory: How many times as many bytes its peak and the weights may have.
        maximum: How many times as bad other metrics may be, by name.
        anchor: The implementation that times are relative to where machines differ.
        metrics: Names of what is compared, `operations` and `exponent` among them; None: all.

    Raises:
        UsageError: a ratio below 1, or none that is finite.
    """

    max_slowdown: float = MAX_OF_ROUNDS
    max_memory: float = MAX_OF_COUNTS
    maximum: Mapping[str, float] = field(default_factory=dict)
    anchor: str = "sdpa"
    metrics: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        flags = {"--max-slowdown": self.max_slowdown, "--max-memory": self.max_memory}
        flags |= {f"--max {name}": ratio for name, ratio in self.maximum.items()}
        for flag, ratio in flags.items():
            if not (math.isfinite(ratio) and ratio >= 1):
                raise UsageError(
                    f"{flag} {ratio:g} is not a limit, expected a ratio of at least 1: 1.10 lets "
                    "pass what is at most 10 % worse"
                )

    def asks(self, name: str) -> bool:
        """Whether something is to be compared; the weights are where memory is."""
        with_memory = name == WEIGHTS.name and MEMORY.name in (self.metrics or ())
        return self.metrics is None or name in self.metrics or with_memory

    def of(self, metric: Metric) -> float:
        """Return how many times as bad a metric may be."""
        own = {
            TIME.name: self.max_slowdown,
            MEMORY.name: self.max_memory,
            WEIGHTS.name: self.max_memory,
            OPERATIONS.name: MAX_OPERATIONS,
            **self.maximum,
        }
        return own.get(metric.name, MAX_OF_COUNTS if metric.noise == "exact" else MAX_OF_ROUNDS)


@dataclass(frozen=True)
class Finding:
    """One thing about one case (or series of cases), candidate against baseline.

    Attributes:
        case_id: The case; for exponents a name of the series.
        label: Its configuration in words, with n where it is a case.
        at: Scope, mode and shape, a word for each thing.
        metric: What is compared: a metric, `weights`, `operations`, `exponent`, `growth`, `status`.
        verdict: `regression` where the whole interval lies beyond the limit, `pass` where none of
            it does, else `inconclusive`.
        ratio: Candidate over baseline; of exponents that of the growth per doubling of n.
        limit: The ratio that still passes: the largest, or the smallest of what is better `more`.
        improved: Whether the candidate is significantly better.
        detail: What else there is to say, in a clause.
    """

    case_id: str
    label: str
    at: tuple[str, ...]
    metric: str
    verdict: Verdict = "inconclusive"
    ratio: Interval | None = None
    limit: float | None = None
    baseline: float | None = None
    candidate: float | None = None
    unit: str = ""
    better: Literal["less", "more"] = "less"
    improved: bool = False
    detail: str = ""

    @property
    def of_case(self) -> bool:
        """Whether it compares values of one case, of which more rounds would say more."""
        return self.metric not in (EXPONENT, "growth", "status")


@dataclass(frozen=True)
class Pending:
    """A finding that waits for its interval.

    The estimate is the log of how many times as bad the candidate is, None where it is not known;
    the limit how many times as bad it may be.
    """

    finding: Finding
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
        verdict: The worst of the findings; `inconclusive` where nothing was compared.
        findings: What decides, the worst first.
        undecided_exponents: Exponents whose intervals hold their limit; they do not decide.
        notes: What a reader must know of how it was compared, each a sentence.
        same_machine: Whether times were compared directly.
        alpha: The chance of any false regression, and of a false pass.
    """

    verdict: Verdict
    findings: tuple[Finding, ...]
    undecided_exponents: tuple[Finding, ...]
    cases: tuple[CaseNote, ...]
    notes: tuple[str, ...]
    same_machine: bool
    alpha: float
    assertions: tuple[Decision, ...] = ()

    @property
    def undecided(self) -> tuple[str, ...]:
        """The ids of cases that more rounds may decide."""
        found = (finding.case_id for finding in self.of("inconclusive") if finding.of_case)
        return tuple(dict.fromkeys(found))

    def of(self, verdict: Verdict) -> tuple[Finding, ...]:
        """Return the findings of one verdict."""
        return tuple(finding for finding in self.findings if finding.verdict == verdict)


def verdict_of(decision: Decision) -> Verdict:
    """Return what an assertion counts as: one that fails is a regression."""
    return _OF_CLAIMS.get(decision.outcome, "inconclusive")


def with_assertions(gate: Gate, decisions: Sequence[Decision]) -> Gate:
    """Return a gate that claims decide too."""
    verdict = worst([gate.verdict, *map(verdict_of, decisions)])
    return replace(gate, assertions=tuple(decisions), verdict=verdict)


def severity(finding: Finding) -> tuple[int, float]:
    """Order the worst first: changes without a ratio, then by how far beyond the limit."""
    order = _ORDER.index(finding.verdict)
    if finding.ratio is None or finding.limit is None:
        return order, -math.inf
    within = finding.limit / finding.ratio.value
    return order, within if finding.better == "less" else 1 / within


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the worst of some verdicts; `inconclusive` for none."""
    return min(verdicts, key=_ORDER.index, default="inconclusive")


def to_json(gate: Gate) -> dict[str, Any]:
    """Return a gate in the form of `linbench gate --json`."""
    return {
        "verdict": gate.verdict,
        "same_machine": gate.same_machine,
        "alpha": gate.alpha,
        "comparisons": [*map(_finding_json, gate.findings)],
        "undecided_exponents": [*map(_finding_json, gate.undecided_exponents)],
        "cases": [*map(asdict, gate.cases)],
        "notes": [*gate.notes],
        "assertions": [*map(assertions.to_json, gate.assertions)],
    }


def _finding_json(finding: Finding) -> dict[str, Any]:
    value, low, high = asdict(finding.ratio).values() if finding.ratio else (None, None, None)
    ratio = {"ratio": value, "ci_low": low, "ci_high": high}
    return {**asdict(finding), "at": ", ".join(finding.at), **ratio}
