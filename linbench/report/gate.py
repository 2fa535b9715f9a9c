"""A gate's verdict where people look: rows of a table, Markdown, JUnit, annotations."""

import math
from collections.abc import Collection, Sequence
from xml.etree import ElementTree as ET

from linbench.analysis import numbers
from linbench.analysis.assertions import Decision
from linbench.export import xml_text
from linbench.gate import Comparison, Gate, Verdict
from linbench.gate.verdicts import OF_OUTCOME
from linbench.report import words
from linbench.report.content import Table
from linbench.report.markdown import markdown_table

COLUMNS = ("case", "metric", "baseline", "candidate", "ratio", "interval", "limit", "verdict")


def sentence(gate: Gate) -> str:
    """Say what became of the candidate, in one sentence without its full stop."""
    verdicts = [one.verdict for one in gate.comparisons]
    verdicts += [OF_OUTCOME[decision.outcome] for decision in gate.assertions]
    if not verdicts:
        return "Inconclusive: nothing was measured in both runs"
    of = words.plural(len(verdicts), "check")
    if gate.verdict == "pass":
        return f"Pass: {of}, none worse than allowed"
    count = verdicts.count(gate.verdict)
    if gate.verdict == "inconclusive":
        return f"Inconclusive: {count} of {of} cannot be told"
    said = f"Regression: {count} of {of} worse than allowed"
    regressions = gate.of("regression")
    return f"{said}; the worst: {clause(regressions[0])}" if regressions else said


def clause(one: Comparison) -> str:
    """Say in a clause what was found of one comparison."""
    what = f"{one.metric} of {one.label}"
    if one.ratio is None:
        return f"{what}: {one.detail}"
    if one.metric == "exponent":
        values = f"{_value(one.baseline, one)} → {_value(one.candidate, one)}"
        return f"{what} {one.detail}: {values}, {_steeper(one.limit)} is allowed"
    more = f" ({one.detail})" if one.detail else ""
    allowed = f", {one.limit:.2f} is allowed" if one.limit else ""
    return f"{what} is {numbers.ratio(one.ratio)} times the baseline's{allowed}{more}"


def changed(gate: Gate) -> tuple[Comparison, ...]:
    """Return what a reader wants to see: what did not pass, the worst first, then what improved."""
    return (
        *gate.of("regression"),
        *gate.of("inconclusive"),
        *(one for one in gate.of("pass") if one.improved or one.metric == "growth"),
    )


def row(one: Comparison, shared: Collection[str]) -> tuple[str, ...]:
    """Return a comparison as the cells of a table with `COLUMNS`.

    Args:
        one: The comparison.
        shared: The words for scope, mode and shape that need not be said (`shared_words`).
    """
    ratio = one.ratio
    verdict = "better" if one.verdict == "pass" and one.improved else one.verdict
    own = ", ".join(word for word in one.at.split(", ") if word not in shared)
    ratios = (
        numbers.digits(ratio.value) if ratio else "",
        numbers.ends(ratio).strip() if ratio else "",
        f"{one.limit:.2f}" if one.limit else "",
    )
    if one.metric == "exponent" and ratio:
        ends = "" if ratio.low is None else f"[{_steeper(ratio.low)}, {_steeper(ratio.high)}]"
        ratios = _steeper(ratio.value), ends, _steeper(one.limit)
    return (
        f"{one.label} ({own})" if own else one.label,
        one.metric,
        _value(one.baseline, one),
        _value(one.candidate, one),
        *ratios,
        f"{verdict}: {one.detail}" if one.detail else verdict,
    )


def shared_words(gate: Gate) -> set[str]:
    """Return the words for scope, mode and shape that all comparisons share."""
    said = [set(one.at.split(", ")) for one in (*gate.comparisons, *gate.untold)]
    return set.intersection(*said) if said else set()


def _steeper(ratio: float | None) -> str:
    """Write how much greater an exponent is, from the ratio of growth per doubling of n."""
    return f"{math.log2(ratio):+.2f}" if ratio else ""


def _value(value: float | None, one: Comparison) -> str:
    if value is None:
        return ""
    if one.metric in ("exponent", "growth"):
        return f"{value:.2f}"
    if one.metric in ("operations", "batch"):
        return f"{value:.4g}"
    return words.seconds(value) if one.metric == "time" else words.size(value)


def passed(gate: Gate) -> str:
    """Say what passed, by metric: `24 passed (12 time, 12 memory), 2 better for certain`."""
    found = gate.of("pass")
    kinds = dict.fromkeys(one.metric for one in found)
    said = ", ".join(f"{sum(one.metric == kind for one in found)} {kind}" for kind in kinds)
    better = sum(one.improved for one in found)
    more = f", {better} better for certain" if better else ""
    return f"{len(found)} passed ({said}){more}" if found else "nothing passed"


def remarks(gate: Gate) -> list[str]:
    """Return what else there is to say: assertions, cases that were not compared, notes."""
    said = [assertion(decision) for decision in gate.assertions]
    for kind in dict.fromkeys(case.kind for case in gate.cases):
        cases = [case for case in gate.cases if case.kind == kind]
        listed = ", ".join(f"{case.label} ({case.detail})" for case in cases[:5])
        more = f" and {len(cases) - 5} more" if len(cases) > 5 else ""
        said.append(f"{kind}: {listed}{more}")
    if gate.untold:
        labels = dict.fromkeys(one.label for one in gate.untold)
        said.append(
            f"{words.plural(len(gate.untold), 'exponent')} cannot be told, which decides nothing: "
            f"{words.listed(labels)}"
        )
    return [*said, *gate.notes]


def assertion(decision: Decision) -> str:
    """Say what became of one assertion."""
    stands = numbers.ratio(decision.value) if decision.value else "not measured"
    return f"{decision.assertion.text} {decision.outcome} ({decision.subject}: {stands})"


def markdown(gate: Gate, candidate: str, baseline: str) -> str:
    """Return a summary for a pull request: the verdict, what changed, the rest folded.

    Args:
        gate: What was decided.
        candidate: How to name the candidate.
        baseline: How to name the baseline.
    """
    shared = shared_words(gate)
    blocks = ["## linbench gate", f"**{_inline(sentence(gate))}.**"]
    if shown := changed(gate):
        blocks += _table("What changed or cannot be told", shown, shared)
    if said := remarks(gate):
        blocks.append("\n".join(f"- {_inline(one)}" for one in said))
    rest = [one for one in gate.of("pass") if one not in shown]
    if rest:
        blocks += _table(f"{words.plural(len(rest), 'comparison')} passed", rest, shared, fold=True)
    if gate.untold:
        blocks += _table("Exponents that cannot be told", gate.untold, shared, fold=True)
    blocks.append(
        f"Candidate `{candidate}`, baseline `{baseline}`. A regression is an interval wholly above "
        "its limit, a pass one below it; false alarms are held to "
        f"{gate.alpha:.0%} of gates, over all comparisons together."
    )
    return "\n\n".join(blocks) + "\n"


def _inline(text: str) -> str:
    return text.replace("\n", " ").replace("<", "&lt;")


def _table(
    title: str, found: Sequence[Comparison], shared: Collection[str], *, fold: bool = False
) -> list[str]:
    rows = tuple(row(one, shared) for one in found)
    return markdown_table(Table(title, COLUMNS, rows, folded=fold))


def junit(gate: Gate, *, inconclusive_fails: bool) -> str:
    """Return a JUnit report: a test case for each comparison and assertion.

    Args:
        gate: What was decided.
        inconclusive_fails: Whether what cannot be told is a failure, else it is skipped.
    """
    tests: list[tuple[str, str, Verdict, str]] = [
        (one.metric, one.case_id, one.verdict, clause(one)) for one in gate.comparisons
    ]
    tests += [
        ("assertion", f"{one.assertion.text}: {one.subject}", OF_OUTCOME[one.outcome],
         assertion(one))
        for one in gate.assertions
    ]  # fmt: skip
    if not tests:
        tests = [("gate", "verdict", gate.verdict, sentence(gate))]
    root = ET.Element("testsuites", name="linbench")
    outer = ET.SubElement(root, "testsuite", name="linbench gate")
    counts = dict.fromkeys(("failures", "skipped"), 0)
    for metric, name, verdict, said in tests:
        test = ET.SubElement(
            outer, "testcase", classname=f"linbench.gate.{metric}", name=xml_text(name)
        )
        if verdict != "pass":
            fails = verdict == "regression" or inconclusive_fails
            counts["failures" if fails else "skipped"] += 1
            kind = "failure" if fails else "skipped"
            ET.SubElement(test, kind, type=verdict, message=xml_text(said)).text = xml_text(said)
    outer.attrib.update(tests=str(len(tests)), errors="0", time="0")
    outer.attrib.update({name: str(count) for name, count in counts.items()})
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def annotations(gate: Gate) -> list[str]:
    """Return workflow commands that make GitHub show what did not pass beside the change.

    https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    """
    found = [(one.verdict, f"{one.metric} of {one.label}", clause(one)) for one in changed(gate)]
    found += [
        (OF_OUTCOME[one.outcome], one.assertion.text, assertion(one)) for one in gate.assertions
    ]
    levels = {"regression": "error", "inconclusive": "warning"}
    return [
        f"::{levels[verdict]} title={_property(f'linbench: {title}')}::{_escape(said)}"
        for verdict, title, said in found
        if verdict in levels
    ]


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")
