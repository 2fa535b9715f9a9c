"""Run tables -> report: the summary, a section per panel, and what is needed to check them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from linbench.analysis.crossover import Crossover
from linbench.analysis.drift import by_round
from linbench.analysis.roofline import place, roofs_of
from linbench.analysis.scaling import Scaling, analyse
from linbench.analysis.series import METRICS, Metric, Panel, Series, never_wrong
from linbench.analysis.visits import Commit
from linbench.record import measured_on
from linbench.report import charts, compared, history, paper, roofline, summary, tables, words
from linbench.report.compared import Compared
from linbench.report.content import Report, Section
from linbench.report.roofline import Held
from linbench.report.views import views_of

if TYPE_CHECKING:
    import pandas as pd

Rows = list[dict[str, Any]]


def report_of(
    headers: Sequence[Mapping[str, Any]],
    frame: "pd.DataFrame",
    commits: Mapping[str, Commit] | None = None,
) -> Report:
    """Turn runs into a report.

    Args:
        headers: The header of each run.
        frame: Their records in one table, see `linbench.record.load`.
        commits: What the repository at hand knows of their commits, for their order in a history.
    """
    rows: Rows = [
        {str(key): value for key, value in row.items()} for row in frame.to_dict("records")
    ]
    answer = analyse(frame)
    panels: dict[Panel, dict[Metric, list[Scaling]]] = {}
    for one in answer.scalings:
        of_panel = panels.setdefault(one.series.setup.panel, {})
        of_panel.setdefault(one.series.metric, []).append(one)
    crossings: dict[Panel, list[Crossover]] = {}
    for crossing in answer.crossovers:
        crossings.setdefault(crossing.candidate.panel, []).append(crossing)
    stems = _stems(panels)
    held = _held(frame, panels)
    sections = [
        _panel_section(
            _title(panel, panels),
            stems[panel],
            of,
            crossings.get(panel, []),
            _memory(headers, panel),
            held[panel],
        )
        for panel, of in panels.items()
    ]
    sections += paper.sections_of(headers, frame)
    runs = compared.compared(headers, frame)
    if runs:
        sections.insert(0, compared.section(runs, headers, answer.scalings))
    sections[:0] = history.sections_of(headers, frame, commits)  # what many runs are for
    for header in headers:
        own = [row for row in rows if row["run_id"] == header["run_id"]]
        sections += _run_sections(header, own, alone=len(headers) == 1)
    return Report(
        title="Attention scaling: " + words.listed(str(header["run_id"]) for header in headers),
        summary=_summary(headers, rows, panels, held, runs),
        sections=tuple(section for section in sections if section is not None),
    )


def _held(frame: "pd.DataFrame", panels: Iterable[Panel]) -> dict[Panel, Held]:
    """Hold the cases of each panel against the machine."""
    roofs, placed = roofs_of(frame), place(frame)
    return {
        panel: Held(
            tuple(one for one in placed if one.setup.panel == panel),
            roofs.get((panel.run_id, panel.device, panel.dtype)),
        )
        for panel in panels
    }


def _memory(headers: Sequence[Mapping[str, Any]], panel: Panel) -> float | None:
    """Return the memory of the device that a panel was measured on, in bytes."""
    header = next(header for header in headers if header["run_id"] == panel.run_id)
    name = "gpu_memory_bytes" if panel.device.startswith("cuda") else "memory_bytes"
    return (header.get("machine") or {}).get(name)


def _title(panel: Panel, among: Mapping[Panel, object]) -> str:
    runs = {other.run_id for other in among}
    return f"{panel.label} ({panel.run_id})" if len(runs) > 1 else panel.label


def _stems(panels: Mapping[Panel, object]) -> dict[Panel, str]:
    """Give each panel a short start of file names, only as long as needed to be unique."""
    fields = [name for name in Panel.__dataclass_fields__ if name != "fingerprint"]
    differing = [name for name in fields if len({getattr(panel, name) for panel in panels}) > 1]
    stems: dict[Panel, str] = {}
    for panel in panels:
        parts = [panel.scope] if "scope" not in differing else []
        parts += [f"{_short(name)}{getattr(panel, name)}" for name in differing]
        stem = re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(parts))
        while f"{stem}-" in stems.values():  # runs `a b` and `a-b`
            stem += "-2"
        stems[panel] = f"{stem}-"
    return stems


def _short(name: str) -> str:
    return "" if name in ("run_id", "scope", "mode", "dtype", "device") else name[0]


def _summary(
    headers: Sequence[Mapping[str, Any]],
    rows: Rows,
    panels: Mapping[Panel, Mapping[Metric, Sequence[Scaling]]],
    held: Mapping[Panel, Held],
    runs: Compared | None,
) -> tuple[str, ...]:
    sentences = [_measured(header, rows) for header in headers]
    sentences += compared.sentences(runs) if runs else []
    drifts = (_drift(header, panels) for header in headers)
    sentences += [drift for drift in drifts if drift]
    if disturbed := _disturbed(panels):
        sentences.append(disturbed)
    for panel, of_panel in panels.items():
        if len(panels) > 1:
            sentences.append(f"At {_title(panel, panels)}:")
        sentences += summary.sentences(of_panel)
        if note := charts.weights_note(_series_of(of_panel)):
            sentences.append(note)
        if speed := roofline.sentence(held[panel]):
            sentences.append(speed)
    return tuple(sentences)


def _foreign(header: Mapping[str, Any]) -> bool:
    """Say whether pytest-benchmark measured a run: a process a round, cases in a fixed order."""
    return str(header["linbench"]).startswith("pytest-benchmark")


def _drift(
    header: Mapping[str, Any], panels: Mapping[Panel, Mapping[Metric, Sequence[Scaling]]]
) -> str | None:
    """Say how much the speed of the machine moved from round to round, if there are two."""
    run_id = str(header["run_id"])
    times = [
        one.series
        for panel, of_panel in panels.items()
        if panel.run_id == run_id
        for one in of_panel.get("time", ())
    ]
    speeds = by_round(times)
    if len(speeds) < 2:
        return None
    low, high = min(speeds.values()), max(speeds.values())
    return (
        f"Over the {len(speeds)} rounds of `{run_id}` the machine's speed drifted by "
        f"{high - low:.1%} (rounds took {low:+.1%} to {high:+.1%} of what their cases usually "
        + (
            "take); all rounds visit the cases in the same order, so that drift within a round may "
            "tilt slopes."
            if _foreign(header)
            else "take); cases are visited in random order, so that drift widens intervals and "
            "does not tilt slopes."
        )
    )


def _disturbed(panels: Mapping[Panel, Mapping[Metric, Sequence[Scaling]]]) -> str | None:
    """Say how many rounds something else on the machine slowed down, if any."""
    points = [
        point
        for of_panel in panels.values()
        for one in of_panel.get("time", ())
        for point in one.points
    ]
    count = sum(point.disturbed for point in points)
    if not count:
        return None
    return (
        f"{words.plural(count, 'round')} of {sum(point.rounds for point in points)} took 1.5 times "
        "as long as the other rounds of the case or more: something else ran on the machine. These "
        "have no weight in any estimate, and are in the run file and in the count of rounds."
    )


def _measured(header: Mapping[str, Any], rows: Rows) -> str:
    own = [row for row in rows if row["run_id"] == header["run_id"]]
    ok = [row for row in never_wrong(own) if row["status"] == "ok"]
    cases = {row["case_id"] for row in own}
    measured = {row["case_id"] for row in ok}
    machine = header.get("machine") or {}
    where = measured_on(header) or "an unnamed machine"
    on_cpu = where == machine.get("cpu")
    cores = f" ({machine['cores']} cores)" if on_cpu and machine.get("cores") else ""
    if not ok:
        return f"Run `{header['run_id']}` measured none of its {words.plural(len(cases), 'case')}."
    sizes = [int(row["seq"]) for row in ok]
    calls = sum(len(row["seconds"] or ()) for row in ok)
    impls = words.listed(dict.fromkeys(str(row["impl"]) for row in ok))
    others: dict[str, int] = {}
    for row in own:
        if row["status"] != "ok":
            others[str(row["status"])] = others.get(str(row["status"]), 0) + 1
    if spoiled := sum(row["status"] == "ok" for row in own) - len(ok):
        others["of a case that was incorrect in another round"] = spoiled
    process = "one process with all others of its round" if _foreign(header) else "a fresh process"
    rest = words.listed(f"{count} {status}" for status, count in others.items())
    return (
        f"Run `{header['run_id']}` of {str(header['created'])[:10]} measured {impls} from "
        f"n = {min(sizes)} to {max(sizes)} on {where}{cores}: {len(measured)} of "
        f"{words.plural(len(cases), 'case')}, {words.plural(len(ok), 'record')} (each a round in "
        f"{process}) with {calls} timed calls"
        + (f"; records that are no measurements: {rest}." if rest else ".")
        + " Intervals are at 95 % and take rounds as independent."
    )


def _series_of(scalings: Mapping[Metric, Sequence[Scaling]]) -> dict[Metric, list[Series]]:
    return {
        metric: [one.series for one in scalings[metric]] for metric in METRICS if metric in scalings
    }


def _panel_section(
    title: str,
    stem: str,
    scalings: Mapping[Metric, Sequence[Scaling]],
    crossings: Sequence[Crossover],
    memory: float | None,
    held: Held,
) -> Section:
    panel = _series_of(scalings)
    all_ = [one for metric in METRICS for one in scalings.get(metric, ())]
    found = [
        tables.verdicts(all_),
        tables.exponents(all_),
        tables.crossovers(crossings),
        tables.limits(all_, memory) if memory else None,
        tables.laws(all_),
        tables.local_slopes(all_),
        tables.gains(panel),
        roofline.costs(held),
        tables.measurements(panel),
    ]
    figures = [*charts.figures_of(panel, stem, views_of(panel)), roofline.figure(held, stem)]
    return Section(
        title=title[0].upper() + title[1:],
        figures=tuple(figure for figure in figures if figure is not None),
        tables=tuple(table for table in found if table is not None),
    )


def _run_sections(header: Mapping[str, Any], rows: Rows, *, alone: bool) -> list[Section]:
    suffix = "" if alone else f" ({header['run_id']})"
    found = (
        tables.not_measured(rows),
        tables.largest_batches(rows),
        tables.checks(rows),
        tables.warnings(rows),
    )
    sections = [
        Section(
            f"What else to know{suffix}",
            tables=tuple(table for table in found if table is not None),
        ),
        Section(f"Where it was measured{suffix}", tables=(tables.machine(header),)),
    ]
    if command := tables.command(header):
        sections.append(Section(f"To measure it again{suffix}", code=command))
    return [section for section in sections if section.tables or section.code]
