"""A gate's verdict where people look: sentences, tables, Markdown, JUnit, annotations."""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

from linbench import words
from linbench.report.content import Cell, Quantity, Table
from linbench.report.markdown import markdown_table
from linbench.run.formats import junit as xml
from linbench.studies.gate.findings import EXPONENT, Finding, Gate, Verdict, verdict_of
from linbench.studies.scaling.assertions import Decision

COLUMNS = ("case", "metric", "baseline", "candidate", "ratio", "limit", "verdict")


def sentence(gate: Gate) -> str:
    """Say what became of the candidate, in one sentence without its full stop."""
    verdicts = [check.verdict for check in _checks(gate)]
    if not verdicts:
        return "Inconclusive: nothing was measured in both runs"
    of = words.plural(len(verdicts), "check")
    if gate.verdict == "pass":
        return f"Pass: {of}, none worse than allowed"
    count = verdicts.count(gate.verdict)
    if gate.verdict == "inconclusive":
        return f"Inconclusive: {count} of {of} undecided"
    said = f"Regression: {count} of {of} worse than allowed"
    regressions = gate.of("regression")
    return f"{said}; the worst: {clause(regressions[0])}" if regressions else said


def clause(finding: Finding) -> str:
    """Say in a clause what was found of one thing."""
    what = f"{finding.metric} of {finding.label}"
    if finding.ratio is None or finding.limit is None:
        return f"{what}: {finding.detail}"
    if finding.metric == EXPONENT:
        values = f"{_value(finding.baseline, finding)} → {_value(finding.candidate, finding)}"
        return f"{what} {finding.detail}: {values}, {_limit(finding)} is allowed"
    more = f" ({finding.detail})" if finding.detail else ""
    least = "" if finding.better == "less" else "at least "
    allowed = f"{least}{finding.limit:.2f} is allowed"
    return f"{what} is {words.ratio(finding.ratio)} times the baseline's, {allowed}{more}"


def changed(gate: Gate) -> tuple[Finding, ...]:
    """Return what a reader wants to see: what did not pass, the worst first, then what improved."""
    return tuple(
        f for f in gate.findings if f.verdict != "pass" or f.improved or f.metric == "growth"
    )


def table(title: str, findings: Sequence[Finding], gate: Gate, *, folded: bool = False) -> Table:
    """Return a table of findings; what all of the gate's have in common is left out."""
    said = [set(finding.at) for finding in (*gate.findings, *gate.undecided_exponents)]
    shared = set.intersection(*said) if said else set()
    return Table(title, COLUMNS, tuple(_row(one, shared) for one in findings), folded=folded)


def _row(finding: Finding, shared: Collection[str]) -> tuple[Cell, ...]:
    """Return the cells of a finding, which do not say the `shared` words for mode and shape."""
    verdict = "better" if finding.verdict == "pass" and finding.improved else finding.verdict
    own = ", ".join(word for word in finding.at if word not in shared)
    return (
        f"{finding.label} ({own})" if own else finding.label,
        finding.metric,
        _value(finding.baseline, finding),
        _value(finding.candidate, finding),
        _ratio(finding),
        _limit(finding),
        f"{verdict}: {finding.detail}" if finding.detail else verdict,
    )


def _value(value: float | None, finding: Finding) -> Cell:
    return "" if value is None else Quantity(value, unit=finding.unit)


def _ratio(finding: Finding) -> Cell:
    """Return the ratio; of exponents how much greater the candidate's is."""
    ratio = finding.ratio
    if ratio is None or finding.metric != EXPONENT:
        return Quantity.of(ratio, words.RATIO) if ratio else ""
    steeper = math.log2(ratio.value)
    if ratio.low is None or ratio.high is None:
        return Quantity(steeper, text=f"{steeper:+.2f}")
    low, high = math.log2(ratio.low), math.log2(ratio.high)
    return Quantity(steeper, low, high, text=f"{steeper:+.2f} [{low:+.2f}, {high:+.2f}]")


def _limit(finding: Finding) -> Cell:
    if finding.limit is None:
        return ""
    if finding.metric == EXPONENT:
        steeper = math.log2(finding.limit)
        return Quantity(steeper, text=f"{steeper:+.2f}")
    sign = "≤" if finding.better == "less" else "≥"
    return Quantity(finding.limit, text=f"{sign} {finding.limit:.2f}")


def passed(gate: Gate) -> str:
    """Say what passed, by metric: `24 passed (12 time, 12 memory), 2 significantly better`."""
    found = gate.of("pass")
    counts = Counter(finding.metric for finding in found)
    said = ", ".join(f"{count} {metric}" for metric, count in counts.items())
    better = sum(finding.improved for finding in found)
    more = f", {better} significantly better" if better else ""
    return f"{len(found)} passed ({said}){more}" if found else "nothing passed"


def remarks(gate: Gate) -> list[str]:
    """Return what else there is to say: assertions, cases that were not compared, notes."""
    said = [_assertion(decision) for decision in gate.assertions]
    for kind in dict.fromkeys(case.kind for case in gate.cases):
        cases = [f"{case.label} ({case.detail})" for case in gate.cases if case.kind == kind]
        more = f" and {len(cases) - 5} more" if len(cases) > 5 else ""
        said.append(f"{kind}: {', '.join(cases[:5])}{more}")
    if gate.undecided_exponents:
        labels = dict.fromkeys(finding.label for finding in gate.undecided_exponents)
        count = words.plural(len(gate.undecided_exponents), "exponent")
        said.append(f"{count} undecided, which does not count: {words.listed(labels)}")
    return [*said, *gate.notes]


def _assertion(decision: Decision) -> str:
    stands = words.ratio(decision.value) if decision.value else "not measured"
    return f"{decision.assertion.text} {decision.outcome} ({decision.subject}: {stands})"


def markdown(gate: Gate, candidate: str, baseline: str) -> str:
    """Return a summary for a pull request: the verdict, what changed, the rest folded."""
    blocks = ["## linbench gate", f"**{_inline(sentence(gate))}.**"]
    if shown := changed(gate):
        blocks += markdown_table(table("What changed or is undecided", shown, gate))
    if said := remarks(gate):
        blocks.append("\n".join(f"- {_inline(remark)}" for remark in said))
    rest = [finding for finding in gate.findings if finding not in shown]
    folded = {
        f"{words.plural(len(rest), 'comparison')} passed": rest,
        "Undecided exponents": gate.undecided_exponents,
    }
    for title, findings in folded.items():
        if findings:
            blocks += markdown_table(table(title, findings, gate, folded=True))
    blocks.append(
        f"Candidate `{candidate}`, baseline `{baseline}`. A regression is an interval wholly "
        "beyond its limit, a pass one within it; false alarms are held to "
        f"{gate.alpha:.0%} of gates, over all comparisons together."
    )
    return "\n\n".join(blocks) + "\n"


def _inline(text: str) -> str:
    return text.replace("\n", " ").replace("<", "&lt;")


class _Check(NamedTuple):
    """A finding or an assertion: its group and name in a report, its title for readers."""

    group: str
    name: str
    title: str
    verdict: Verdict
    said: str


def _checks(gate: Gate) -> list[_Check]:
    """Return everything that decides, in one form."""
    found = [
        _Check(f.metric, f.case_id, f"{f.metric} of {f.label}", f.verdict, clause(f))
        for f in gate.findings
    ]
    for decision in gate.assertions:
        text, verdict = decision.assertion.text, verdict_of(decision)
        name = f"{text}: {decision.subject}"
        found.append(_Check("assertion", name, text, verdict, _assertion(decision)))
    return found


def junit(gate: Gate, *, inconclusive_fails: bool) -> str:
    """Return a JUnit report with a test case for each comparison and assertion.

    What is undecided is a failure on request, else it is skipped.
    """
    outcomes: dict[Verdict, xml.Outcome] = {
        "pass": "passed",
        "regression": "failure",
        "inconclusive": "failure" if inconclusive_fails else "skipped",
    }
    # an empty report would look like a pass
    checks = _checks(gate) or [_Check("gate", "verdict", "", gate.verdict, sentence(gate))]
    tests = [
        xml.TestCase(f"linbench.gate.{c.group}", c.name, outcomes[c.verdict], c.verdict, c.said)
        for c in checks
    ]
    return xml.document("linbench gate", tests)


def annotations(gate: Gate) -> list[str]:
    """Return workflow commands that make GitHub show what did not pass beside the change.

    https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    """
    levels = {"regression": "error", "inconclusive": "warning"}
    return [
        f"::{levels[check.verdict]} title={_property(f'linbench: {check.title}')}"
        f"::{_escape(check.said)}"
        for check in _checks(gate)
        if check.verdict in levels
    ]


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")
