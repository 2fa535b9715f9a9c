"""JUnit reports, as continuous integration shows them: documents in general, and that of a run."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from xml.etree import ElementTree as ET

from linbench.run.formats.values import Values, scaled
from linbench.run.metrics import Metric
from linbench.run.record import Record
from linbench.run.runs import Point, Run

Outcome = Literal["passed", "failure", "error", "skipped"]

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_UNITS = {"byte": "bytes", "J": "j"}
_COUNTED = {"failure": "failures", "error": "errors", "skipped": "skipped"}
_OUTCOMES: dict[str, Outcome] = {"incorrect": "failure", "error": "error"}


@dataclass(frozen=True)
class TestCase:
    """One test of a report: `kind` and `message` say why it did not pass."""

    __test__ = False  # pytest would collect it

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
    failed = by_status.get("incorrect") or by_status.get("error")
    if failed is None and "ok" not in by_status:
        failed = records[0]
    properties = records[0].case.model_dump(mode="json", exclude_none=True)
    properties |= {**properties.pop("settings", {}), "rounds": len(records)}
    for metric, point in points.items():
        unit = _UNITS.get(metric.unit, re.sub(r"\W+", "_", metric.unit))
        for end, value in scaled(point.value).items():
            name = metric.name if end == "value" else f"{metric.name}_{end}"
            properties[f"{name}_{unit}".rstrip("_")] = value
    return TestCase(
        classname=classname,
        name=records[0].case_id,
        outcome=_OUTCOMES.get(failed.status, "skipped") if failed else "passed",
        kind=failed.status if failed else "",
        message=failed.failure if failed else "",
        time_s=sum(record.duration_s or sum(record.samples("time")) for record in records),
        properties=properties,
    )
