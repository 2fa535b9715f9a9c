"""Lines of run files as linbench wrote them first (schema 1), turned into those of today.

There `seconds`, `memory.peak_bytes` and `energy_j` stood where `metrics` are now, what a task found
besides stood in the record itself, and the batch search had fields of its own in record and case.
Nothing here judges: what is of a wrong type is passed on to whoever validates the line of today.
"""

import statistics
from typing import Any

from linbench.run.case import Case
from linbench.run.metrics import Metric

_DETAIL = ("memory", "check", "timing", "costs", "ceilings", "clocks")
_LIMIT = "memory_limit_bytes"
_UNKNOWN = {
    "d_model": 1, "heads": 1, "batch": 1, "dtype": "unknown", "device": "unknown", "seq": 1,
    "seed": 0,
}  # fmt: skip
"""What stood for the unknown shape and n of somebody's function."""

Fields = dict[str, Any]


def batch_of(task: str) -> Metric:
    """Return the metric of a search: it bears the name of its task."""
    return Metric(task, "sequences", better="more", noise="exact")


def upgraded(entry: Any) -> Any:
    """Return a line of schema 1 in the form of schema 2; one that is of today stays as it is."""
    if not isinstance(entry, dict):
        return entry
    case = entry.get("case")
    if not isinstance(case, dict):
        return entry
    entry = {**fields_upgraded(entry, case.get("task", "")), "case": _case(case)}
    if case.get("scope") == "function" and case != entry["case"]:
        entry["case_id"] = Case.model_validate(entry["case"]).id
    return entry


def _case(case: Fields) -> Fields:
    limit = case.get(_LIMIT)
    case = {name: value for name, value in case.items() if name != _LIMIT}
    if limit is not None:
        case["settings"] = {_LIMIT: limit}
    if case.get("scope") == "function":
        case |= {name: None for name, was in _UNKNOWN.items() if case.get(name) == was}
    return case


def fields_upgraded(fields: Fields, task: object) -> Fields:
    """Return what a record holds of a round in the form of schema 2, or a reply of a worker.

    What a task other than the first found stood in a field of its name.
    """
    if "metrics" in fields or "detail" in fields:
        return fields
    memory, seconds = fields.get("memory"), fields.get("seconds")
    metrics: Fields = {}
    detail = {name: fields[name] for name in _DETAIL if fields.get(name) is not None}
    if seconds:
        timing = fields.get("timing")
        clock = timing.get("clock") if isinstance(timing, dict) else None
        metrics["time"] = {"value": _median(seconds), "samples": seconds, "source": clock}
    if isinstance(memory, dict):
        metrics["memory"] = {"value": memory.get("peak_bytes"), "source": memory.get("source")}
        own = {"peak_bytes", "source"}
        detail["memory"] = {name: value for name, value in memory.items() if name not in own}
    energy_j, reason = fields.get("energy_j"), fields.get("energy_reason")
    if energy_j is not None or reason:
        metrics["energy"] = {"value": energy_j, "reason": reason}
    if isinstance(check := detail.get("check"), dict):
        word = str(check.get("reference")).split(" ")[0].lower()
        known = word if word in ("exact", "linformer") else None
        detail["check"] = {"mathematics": known, **check}
    gone = {"seconds", "energy_j", "energy_reason", *_DETAIL}
    if isinstance(task, str) and isinstance(found := fields.get(task), dict):
        metrics[task] = {"value": found.get("batch"), "source": found.get("how")}
        detail[task] = found
        gone.add(task)
    elif not seconds and fields.get("status") == "ok":
        metrics = {}  # without what it was measured for; whoever validates it says so
    rest = {name: x for name, x in fields.items() if name not in gone and x is not None}
    return {**rest, "metrics": metrics, "detail": detail}


def _median(seconds: object) -> object:
    if isinstance(seconds, list) and all(isinstance(x, int | float) for x in seconds):
        return statistics.median(seconds)
    return seconds
