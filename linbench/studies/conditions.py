"""What a reader needs to check a report: what was measured, what was not, where, and how again."""

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from linbench import words
from linbench.report.content import NONE, Cell, Quantity, Section, Sentence, Table, count, whole
from linbench.run.case import DEFAULT_TASK, Case
from linbench.run.metrics import TIME
from linbench.run.record import Check, Header, Record
from linbench.run.runs import Run, Runs, drop_incorrect
from linbench.studies.labels import label_of

_SHOWN = 3  # cases beside a warning


def summary(runs: Runs) -> list[Sentence]:
    """Say of each run what it measured, where, and with which warning it began."""
    said = ((_measured(run), _warned(run.header)) for run in runs.runs)
    return [Sentence(text) for own in said for text in own if text]


def _warned(header: Header) -> str | None:
    """Say what was wrong with the machine when a run began, if anything."""
    said = "; ".join(header.warnings)
    return f"Run `{header.run_id}` began with a warning: {said}." if said else None


def sections(runs: Runs) -> list[Section]:
    """Return for each run what else to know, where it was measured, and how to do it again."""
    found = []
    for run in runs.runs:
        suffix = f" ({run.run_id})" if len(runs.runs) > 1 else ""
        tables = (_not_measured(run), _checks(run), _warnings(run))
        found += [
            Section(
                f"What else to know{suffix}", tables=tuple(table for table in tables if table.rows)
            ),
            Section(f"Where it was measured{suffix}", tables=(machine(run.header),)),
            Section(f"To measure it again{suffix}", code=_command(run.header)),
        ]
    return [section for section in found if section.tables or section.code]


def _measured(run: Run) -> str:
    header = run.header
    ok = [record for record in drop_incorrect(run.records) if record.status == "ok"]
    cases = words.plural(len(run.by_case()), "case")
    if not ok:
        return f"Run `{run.run_id}` measured none of its {cases}."
    sizes = [record.case.seq for record in ok if record.case.seq]
    impls = words.listed(dict.fromkeys(record.case.impl for record in ok))
    span = f" {'from' if len(set(sizes)) > 1 else 'at'} n = {words.span(sizes)}" if sizes else ""
    where = header.measured_on or "an unnamed machine"
    if where == header.machine.cpu and header.machine.cores:
        where += f" ({header.machine.cores} cores)"
    alone = "a fresh process"
    if header.linbench.startswith("pytest-benchmark"):
        alone = "one process with all others of its round"
    return (
        f"Run `{run.run_id}` of {header.created[:10]} measured {impls}{span} "
        f"on {where}: {len({record.case_id for record in ok})} of "
        f"{cases}, {words.plural(len(ok), 'record')} (each a round in "
        f"{alone}){_samples(ok)}{_rest(run, len(ok))} Intervals are at 95 % and take rounds as "
        "independent."
    )


def _samples(ok: Iterable[Record]) -> str:
    """Say how many raw samples of each metric the measurements have."""
    counts: Counter[str] = Counter()
    for record in ok:
        counts.update({name: len(found.samples) for name, found in record.metrics.items()})
    said = [
        words.plural(total, "timed call")
        if name == TIME.name
        else f"{words.plural(total, 'sample')} of {name}"
        for name, total in counts.items()
        if total
    ]
    return f" with {words.listed(said)}" if said else ""


def _rest(run: Run, ok: int) -> str:
    """Say what became of the records that are no measurements, and end the clause."""
    others = Counter(str(record.status) for record in run.records)
    spoilt = others.pop("ok", 0) - ok
    said = [f"{records} {status}" for status, records in others.items()]
    if spoilt:
        said.append(f"{spoilt} of a case that was incorrect in another round")
    return f"; records that are no measurements: {words.listed(said)}." if said else "."


def _not_measured(run: Run) -> Table:
    keys = _keys(run)
    groups: Counter[tuple[Cell, ...]] = Counter()
    for record in run.records:
        if record.status != "ok":
            case = record.case
            task = "" if case.task == DEFAULT_TASK else f", {case.task}"
            n = whole(case.seq) if case.seq else NONE
            label = f"{label_of(case, keys)}{task}"
            groups[label, case.scope, n, record.status, record.reason or ""] += 1
    return Table(
        "Not measured",
        ("series", "scope", "n", "status", "reason", "records"),
        tuple((*group, count(records)) for group, records in groups.items()),
        "These count as no measurement anywhere in this report and are in no figure; nor does any "
        "other round of a case that was incorrect in one.",
    )


def _keys(run: Run) -> list[Case]:
    return list(dict.fromkeys(record.case.key("seq", "seed") for record in run.records))


def _checks(run: Run) -> Table:
    """Return how far outputs were from their float64 reference, the worst per series."""
    keys = _keys(run)
    found: defaultdict[tuple[str, ...], list[Check]] = defaultdict(list)
    for record in run.records:
        if check := record.detail.check:
            label = label_of(record.case, keys)
            found[label, record.case.scope, check.reference or "none"].append(check)
    return Table(
        "Checks",
        ("series", "scope", "reference", "largest relative error", "tolerance", "checked", "note"),
        tuple((*key, *_worst(checks)) for key, checks in found.items()),
        "The largest absolute difference from the float64 reference of the same mathematics, over "
        "the largest absolute value of the reference.",
    )


def _worst(checks: list[Check]) -> tuple[Cell, ...]:
    errors = [check.max_rel_error for check in checks if check.max_rel_error is not None]
    bounds = [check.tolerance for check in checks if check.tolerance is not None]
    reasons = dict.fromkeys(check.reason for check in checks if check.reason)
    return (
        Quantity(max(errors), text=f"{max(errors):.1e}") if errors else NONE,
        Quantity(min(bounds), text=f"{min(bounds):.1e}") if bounds else NONE,
        count(len(errors)),
        "; ".join(reasons),
    )


def _warnings(run: Run) -> Table:
    """Return the warnings of a run, those that differ in numbers only put together."""
    found: defaultdict[tuple[str, ...], list[tuple[str, str]]] = defaultdict(list)
    for record in run.records:
        for text in record.warnings:
            kind = tuple(word for word in text.split() if not any(map(str.isdigit, word)))
            found[kind].append((text, record.case_id))
    rows = []
    for said in found.values():
        cases = list(dict.fromkeys(case_id for _, case_id in said))
        more = f" and {len(cases) - _SHOWN} more" if len(cases) > _SHOWN else ""
        rows.append((said[0][0], count(len(said)), ", ".join(cases[:_SHOWN]) + more))
    return Table("Warnings", ("warning, the first of its kind", "records", "cases"), tuple(rows))


def machine(header: Header) -> Table:
    """Return where and with what a run was measured."""
    fields = (
        ("run", header.run_id),
        *((name, getattr(header, name)) for name in ("created", "linbench", "code", "device")),
        *header.machine.model_dump().items(),
        ("git", header.git and header.git.model_dump()),
    )
    rows = (row for name, value in fields for row in _fields(name, value))
    return Table("Machine and code", ("what", "value"), tuple(rows))


def _fields(name: str, value: Any) -> list[tuple[str, Cell]]:
    """Return the rows of a field, which in a header of another linbench may be anything of JSON."""
    if value is None:
        return []
    if name.endswith("_bytes") and isinstance(value, int | float):
        return [(name.removesuffix("_bytes"), Quantity(value, unit="byte"))]
    if isinstance(value, Mapping):
        return [pair for key, inner in value.items() for pair in _fields(f"{name} {key}", inner)]
    return [(name.replace("_", " "), str(value))]


def _command(header: Header) -> str:
    argv = list(header.argv)
    if argv and argv[0].rsplit("/", 1)[-1] in ("linbench", "__main__.py"):
        argv = argv[1:]
    if "--name" in argv:  # the name is taken
        at = argv.index("--name")
        del argv[at : at + 2]
    return shlex.join(["linbench", *argv]) if argv else ""
