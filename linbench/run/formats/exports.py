"""A run in the formats of others: Bencher, github-action-benchmark, CSV, Parquet, JUnit.

Values with intervals are those of `linbench compare`: per case, the median over its rounds with a
95 % interval that takes rounds as independent.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from linbench.analysis.compare import by_case
from linbench.analysis.numbers import digits
from linbench.analysis.series import METRICS, Metric, Point
from linbench.analysis.stats import Interval
from linbench.case import Case, k_text
from linbench.errors import UsageError
from linbench.record import Header, Record, measured_on

if TYPE_CHECKING:
    import pandas as pd

Values = dict[str, dict[Metric, Point]]

_FAILED = ("incorrect", "error")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ARROW = {"integer": "int64", "number": "double", "boolean": "bool"}
_UNITS: dict[Metric, tuple[str, float]] = {
    "time": ("ms", 1e3), "memory": ("bytes", 1.0), "energy": ("J", 1.0),
}  # fmt: skip


def values(frame: "pd.DataFrame") -> Values:
    """Return what was measured, by case and metric.

    A case that was wrong in any round (`incorrect`) has no values.

    Args:
        frame: The table of one run (`linbench.record.load`).
    """
    found: Values = {}
    for metric in METRICS:
        for case_id, series in by_case(frame, metric).items():
            point = series.points()[0]
            found.setdefault(case_id, {})[metric] = point if metric != "memory" else _whole(point)
    return found


def _whole(point: Point) -> Point:
    """Return a number of bytes without what taking logarithms left behind the point."""
    of = point.value
    low, high = (None if end is None else float(round(end)) for end in (of.low, of.high))
    return replace(point, value=Interval(float(round(of.value)), low, high))


def left_out(frame: "pd.DataFrame", measured: Values) -> dict[str, str]:
    """Return the cases without values, and why."""
    rows = frame[~frame["case_id"].isin(list(measured))].to_dict("records")
    rows.sort(key=lambda row: row["status"] == "incorrect")  # stands in front of other reasons
    return {
        str(row["case_id"]): f"a case of task {row['task']}"
        if row["status"] == "ok"
        else _said(row["status"], row["reason"])
        for row in rows
    }


def _said(status: str, reason: Any) -> str:
    return f"{status}: {reason}" if isinstance(reason, str) else status


def bmf(measured: Values) -> str:
    """Write Bencher Metric Format (https://bencher.dev/docs/reference/bencher-metric-format).

    Measures: `latency` in nanoseconds and `throughput` in calls per second, which Bencher knows;
    `peak-memory` in bytes and `energy` in joules of one call. No interval, no bounds.
    """
    found: dict[str, dict[str, Any]] = {}
    for case_id, by_metric in measured.items():
        measures = found.setdefault(case_id, {})
        for metric, point in by_metric.items():
            if metric == "time":
                measures["latency"] = _bounds(point.value, 1e9)
                measures["throughput"] = _bounds(_inverse(point.value), 1.0)
            else:
                measures["peak-memory" if metric == "memory" else metric] = _bounds(point.value, 1)
    return json.dumps(found, indent=2, allow_nan=False) + "\n"


def _bounds(interval: Interval, scale: float) -> dict[str, float]:
    named = {"value": interval.value, "lower_value": interval.low, "upper_value": interval.high}
    return {name: value * scale for name, value in named.items() if value is not None}


def _inverse(interval: Interval) -> Interval:
    low, high = (None if end is None else 1 / end for end in (interval.high, interval.low))
    return Interval(1 / interval.value, low, high)


def github(measured: Values, header: Header) -> str:
    """Write the entries of github-action-benchmark's tool `customSmallerIsBetter`.

    One entry a case and metric; `range` is half the interval's width, `extra` has its ends.
    """
    where = measured_on(header.model_dump()) or "unknown"
    entries = []
    for case_id, by_metric in measured.items():
        for metric, point in by_metric.items():
            (unit, scale), value = _UNITS[metric], point.value
            entry: dict[str, Any] = {
                "name": f"{case_id} {metric}", "unit": unit, "value": value.value * scale,
            }  # fmt: skip
            if value.low is not None and value.high is not None:
                entry["range"] = f"± {(value.high - value.low) / 2 * scale:.9f}"
            said = f"rounds: {point.rounds}\nmachine: {where}"
            entry["extra"] = f"95 %: {_ends(value, scale)} {unit}\n{said}"
            entries.append(entry)
    return json.dumps(entries, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _ends(interval: Interval, scale: float) -> str:
    low, high = (None if x is None else x * scale for x in (interval.low, interval.high))
    return "unknown" if low is None or high is None else f"{digits(low, 4)} to {digits(high, 4)}"


def csv(frame: "pd.DataFrame") -> str:
    """Write the table of a run, a row per record; lists and objects are JSON text."""
    import pandas as pd

    flat = pd.DataFrame(_flat(frame, ()), dtype=object)  # object: a k beside none stays whole
    return flat.to_csv(index=False, lineterminator="\n")


def parquet(frame: "pd.DataFrame", path: Path) -> None:
    """Write the table of a run as a Parquet file, a row per record.

    Columns have the types of the run file's fields, whatever the run holds; objects are JSON text.
    Where k is given per layer, all of its column is text (`256/128/64`).

    Raises:
        UsageError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet as pq
    except ImportError:
        raise UsageError(
            "--format parquet needs pyarrow, which is not installed; "
            "pip install 'linbench[parquet]', or take --format csv"
        ) from None
    kinds = _kinds()
    columns = {}
    for name, cells in _flat(frame, [n for n, kind in kinds.items() if "list" in kind]).items():
        kind = kinds.get(name, "string") if frame[name].dtype == object else str(frame[name].dtype)
        if name == "k" and any(isinstance(k, str) for k in cells):
            kind = "string"
        of = pa.type_for_alias(kind.removeprefix("list of "))
        columns[name] = pa.array(cells, pa.list_(of) if "list" in kind else of, from_pandas=True)
    pq.write_table(pa.table(columns), path)


def _kinds() -> dict[str, str]:
    """Return what each field of the run file is in Parquet: by the name of a type of Arrow."""
    kinds = {}
    for model in (Record, Case):
        for name, field in model.model_json_schema()["properties"].items():
            kinds[name] = "string"
            for one in field.get("anyOf", [field]):
                items = one.get("items", {}).get("type")
                if one.get("type") in _ARROW:
                    kinds[name] = _ARROW[one["type"]]
                elif items == "string" or (items in _ARROW and name != "k"):
                    kinds[name] = f"list of {_ARROW.get(items, items)}"
    return kinds


def _flat(frame: "pd.DataFrame", lists: Sequence[str]) -> dict[str, list[Any]]:
    """Return columns without objects in their cells; lists stay only in the columns named."""
    flat = {}
    for name in map(str, frame.columns):
        cells = frame[name].tolist()
        if name == "k" and any(isinstance(k, tuple | list) for k in cells):
            cells = [None if k is None else k_text(k) for k in cells]
        flat[name] = cells if name in lists else [_text(cell) for cell in cells]
    return flat


def _text(cell: Any) -> Any:
    return json.dumps(cell) if isinstance(cell, dict | list | tuple) else cell


def junit(header: Header, records: Sequence[Record], measured: Values) -> str:
    """Write a JUnit report: a test case for each case.

    `incorrect` is a failure and `error` an error, in whichever round; a case that was never
    measured (`oom`, `timeout`, `skipped`) is skipped. `time` is what its rounds took in all, their
    timed calls where that is unknown; the measured values are properties.
    """
    cases: dict[str, list[Record]] = {}
    for record in records:
        cases.setdefault(record.case_id, []).append(record)
    suite = str(header.suite.get("name") or header.run_id)
    root = ET.Element("testsuites", name="linbench")
    outer = ET.SubElement(root, "testsuite", name=suite, timestamp=header.created)
    counts = dict.fromkeys(("failures", "errors", "skipped"), 0)
    total_s = 0.0
    for case_id, own in cases.items():
        took_s = sum(record.duration_s or sum(record.seconds) for record in own)
        total_s += took_s
        test = ET.SubElement(
            outer,
            "testcase",
            classname=f"linbench.{suite}",
            name=xml_text(case_id),
            time=f"{took_s:.6f}",
        )
        _properties(test, own[0], measured.get(case_id, {}), len(own))
        wrong = next((record for word in _FAILED for record in own if record.status == word), None)
        if wrong:
            kind = "failure" if wrong.status == "incorrect" else "error"
            counts[f"{kind}s"] += 1
            _because(test, kind, wrong)
        elif all(record.status != "ok" for record in own):
            counts["skipped"] += 1
            _because(test, "skipped", own[0])
    outer.attrib.update(tests=str(len(cases)), time=f"{total_s:.6f}")
    outer.attrib.update({name: str(count) for name, count in counts.items()})
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _because(test: ET.Element, kind: str, record: Record) -> None:
    said = xml_text(_said(record.status, record.reason))
    ET.SubElement(test, kind, type=record.status, message=said).text = said


def _properties(
    test: ET.Element, record: Record, of_case: Mapping[Metric, Point], rounds: int
) -> None:
    named: dict[str, Any] = {
        **record.case.model_dump(mode="json", exclude_none=True), "rounds": rounds,
    }  # fmt: skip
    for metric, point in of_case.items():
        unit = {"time": "s", "memory": "bytes", "energy": "j"}[metric]
        for end, value in zip(
            ("", "_low", "_high"),
            (point.value.value, point.value.low, point.value.high),
            strict=True,
        ):
            if value is not None:
                named[f"{metric}{end}_{unit}"] = value
    outer = ET.SubElement(test, "properties")
    for name, value in named.items():
        ET.SubElement(outer, "property", name=name, value=xml_text(str(value)))


def xml_text(text: str) -> str:
    """Return a text without the characters that XML 1.0 cannot hold."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
