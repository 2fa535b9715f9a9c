"""JUnit reports, as continuous integration shows them: documents in general, and that of a run."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from xml.etree import ElementTree as ET

from linbench.run.formats.values import Values
from linbench.run.metrics import Metric
from linbench.run.record import Record
from linbench.run.runs import Point, Run

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_UNITS = {"byte": "bytes", "J": "j"}
_COUNTED = {"failure": "failures", "error": "errors", "skipped": "skipped"}

Outcome = Literal["passed", "failure", "error", "skipped"]


@dataclass(frozen=True)
class TestCase:
    """One test of a report.

    Attributes:
        classname: The group it stands in, with dots.
        name: Its name in that group.
        outcome: How it went.
        kind: What sort of failure, error or skipping it was, in a word.
        message: Why it did not pass.
        time_s: How long it took; None where it took no time of its own.
        properties: What else is known of it.
    """

    __test__ = False  # it is no test of pytest's

    classname: str
    name: str
    outcome: Outcome = "passed"
    kind: str = ""
    message: str = ""
    time_s: float | None = None
    properties: Mapping[str, object] = field(default_factory=dict)


def document(suite: str, tests: Sequence[TestCase], timestamp: str | None = None) -> str:
    """Write a JUnit report of one suite. Characters that XML 1.0 cannot hold are replaced."""
    root = ET.Element("testsuites", name="linbench")
    outer = ET.SubElement(root, "testsuite", name=_text(suite))
    if timestamp is not None:
        outer.set("timestamp", _text(timestamp))
    for test in tests:
        _append(outer, test)
    outcomes = Counter[str](test.outcome for test in tests)
    outer.set("tests", str(len(tests)))
    outer.set("time", f"{sum(test.time_s or 0 for test in tests):.6f}")
    for outcome, name in _COUNTED.items():
        outer.set(name, str(outcomes[outcome]))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _append(outer: ET.Element, test: TestCase) -> None:
    own = ET.SubElement(outer, "testcase", classname=_text(test.classname), name=_text(test.name))
    if test.time_s is not None:
        own.set("time", f"{test.time_s:.6f}")
    if test.properties:
        properties = ET.SubElement(own, "properties")
        for name, value in test.properties.items():
            ET.SubElement(properties, "property", name=_text(name), value=_text(str(value)))
    if test.outcome != "passed":
        said = _text(test.message)
        ET.SubElement(own, test.outcome, type=_text(test.kind), message=said).text = said


def _text(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def report(run: Run, measured: Values) -> str:
    """Write the JUnit report of a run: a test for each case.

    `incorrect` is a failure and `error` an error, in whichever round; a case that was never
    measured (`oom`, `timeout`, `skipped`) is skipped. `time` is what its rounds took in all, their
    timed calls where that is unknown; the measured values are properties.
    """
    suite = str(run.header.suite.get("name") or run.run_id)
    tests = [
        _test(f"linbench.{suite}", records, measured.get(case_id, {}))
        for case_id, records in run.by_case().items()
    ]
    return document(suite, tests, run.header.created)


def _test(classname: str, records: Sequence[Record], points: Mapping[Metric, Point]) -> TestCase:
    by_status = {record.status: record for record in reversed(records)}
    outcome: Outcome = "passed"
    because: Record | None = None
    if because := by_status.get("incorrect"):
        outcome = "failure"
    elif because := by_status.get("error"):
        outcome = "error"
    elif "ok" not in by_status:
        outcome, because = "skipped", records[0]
    return TestCase(
        classname=classname,
        name=records[0].case_id,
        outcome=outcome,
        kind=because.status if because else "",
        message=because.failure if because else "",
        time_s=sum(record.duration_s or sum(record.samples("time")) for record in records),
        properties=_properties(records, points),
    )


def _properties(records: Sequence[Record], points: Mapping[Metric, Point]) -> dict[str, object]:
    found = records[0].case.model_dump(mode="json", exclude_none=True)
    found |= {**found.pop("settings", {}), "rounds": len(records)}
    for metric, point in points.items():
        unit = _UNITS.get(metric.unit, re.sub(r"\W+", "_", metric.unit))
        ends = {"": point.value.value, "_low": point.value.low, "_high": point.value.high}
        for end, value in ends.items():
            if value is not None:
                found[f"{metric.name}{end}_{unit}".rstrip("_")] = value
    return found
