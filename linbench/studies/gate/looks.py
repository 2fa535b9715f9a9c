"""Judging while rounds come in, without giving chance several chances.

After certain numbers of rounds all that was measured is judged, and what is decided stays decided.
Each look has its share of the error rate (Bonferroni over the looks, so that any of them may be the
last).
"""

from dataclasses import dataclass, field, replace

from linbench.run.runs import Run
from linbench.studies.gate.findings import ALPHA, Finding, Gate, Limits, severity, worst
from linbench.studies.gate.judge import judge

LOOKS = (6, 9, 14, 21, 32, 48, 72, 108)
"""After how many rounds to judge; each about 1.5 times the one before."""


def looks_within(rounds: int) -> tuple[int, ...]:
    """Return after how many rounds to judge where there are at most so many."""
    return (*(look for look in LOOKS if look < rounds), rounds)


@dataclass
class Looks:
    """The looks at two versions that are measured in turn, round by round.

    Attributes:
        limits: How much worse the candidate may be.
        looks: After how many rounds to judge.
        decided: What earlier looks decided, by case and metric.
    """

    limits: Limits
    looks: tuple[int, ...]
    decided: dict[tuple[str, str], Finding] = field(default_factory=dict)

    def judge(self, reference: Run, candidate: Run) -> Gate:
        """Judge what has been measured so far; what an earlier look decided stays decided."""
        alpha = ALPHA / len(self.looks)
        now = judge(reference, candidate, self.limits, paired=True, alpha=alpha)
        for finding in now.findings:
            if finding.verdict != "inconclusive":
                self.decided.setdefault((finding.case_id, finding.metric), finding)
        # also what this look no longer lists: a case that failed since stays the regression it was
        findings = sorted([*self.decided.values(), *self._open(now.findings)], key=severity)
        return replace(
            now,
            findings=tuple(findings),
            undecided_exponents=self._open(now.undecided_exponents),
            verdict=worst([finding.verdict for finding in findings]),
            alpha=ALPHA,
        )

    def _open(self, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
        return tuple(f for f in findings if (f.case_id, f.metric) not in self.decided)
