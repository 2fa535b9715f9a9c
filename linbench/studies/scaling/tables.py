"""The tables behind the figures, and what a reader needs to check them."""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from linbench.analysis import numbers
from linbench.analysis.counts import costs_of
from linbench.analysis.crossover import Crossover, ratios, ratios_to_best
from linbench.analysis.limits import largest_n
from linbench.analysis.scaling import Scaling
from linbench.analysis.series import EXACT, TASK, Metric, Point, Series, setup_of
from linbench.report import words
from linbench.report.charts import PerMetric, label_of
from linbench.report.content import Table

_NONE = "\N{EN DASH}"


def measurements(panel: PerMetric) -> Table:
    """Return what was measured: a row per series and n."""
    time = {one.setup: one for one in panel.get("time", [])}
    memory = {one.setup: one for one in panel.get("memory", [])}
    energy = {one.setup: one for one in panel.get("energy", [])}
    any_energy = bool(energy)
    setups = list(dict.fromkeys([*time, *memory]))
    rows = []
    for setup in setups:
        seconds = _points(time.get(setup))
        peaks = _points(memory.get(setup))
        joules = _points(energy.get(setup))
        for n in sorted({*seconds, *peaks}):
            took, peak, used = seconds.get(n), peaks.get(n), joules.get(n)
            counted = costs_of(setup, n)
            rows.append(
                (
                    label_of(setup, setups),
                    str(n),
                    _rounds(took) if took else _NONE,
                    str(took.calls) if took else _NONE,
                    words.with_interval(took.value, "time") if took else _NONE,
                    words.with_interval(peak.value, "memory") if peak else _NONE,
                    ", ".join(peak.sources) if peak else _NONE,
                    words.size(counted.weights_bytes) if counted else _NONE,
                    *((words.with_interval(used.value, "energy") if used else _NONE,) * any_energy),
                )
            )
    return Table(
        "Measurements",
        (
            "series", "n", "rounds", "calls", "time of one call", "peak memory of one call",
            "source of memory", "weights", *(("energy of one call",) * any_energy),
        ),
        tuple(rows),
        "Time: the median over rounds of each round's median call, with its 95 % interval over "
        "rounds; disturbed rounds took 1.5 times that or more and have no weight in any estimate. "
        "Peak memory: the most used during a call above what was resident before it; weights "
        "and inputs come on top.",
        folded=True,
    )  # fmt: skip


def _rounds(point: Point) -> str:
    return f"{point.rounds} ({point.disturbed} disturbed)" if point.disturbed else str(point.rounds)


def _points(series: Series | None) -> dict[int, Point]:
    return {point.n: point for point in series.points()} if series else {}


def verdicts(scalings: Sequence[Scaling]) -> Table:
    """Return the verdicts of one panel with their grounds, a row per series and metric."""
    setups = [one.series.setup for one in scalings]
    return Table(
        "Verdicts",
        ("series", "metric", "verdict", "grounds", "reached from n", "measure next"),
        tuple(
            (
                label_of(one.series.setup, setups),
                one.series.metric,
                one.verdict.word,
                one.verdict.grounds,
                _reached(one),
                one.verdict.advice or "",
            )
            for one in scalings
        ),
        "A verdict rests on the 95 % interval of the tail exponent, or on a law that alone "
        "describes all sizes; where neither carries one, it is inconclusive. Reached: the n from "
        "which on the best law's slope is within 10 % of its last term's, in brackets where that "
        "is extrapolated.",
    )


def _reached(one: Scaling) -> str:
    n = one.verdict.reached
    if n is None:
        return _NONE
    if n <= one.points[0].n:
        return f"{one.points[0].n} or less"
    return str(n) if n <= one.points[-1].n else f"({n})"


def exponents(scalings: Sequence[Scaling]) -> Table:
    """Return the exponents of one panel, a row per series and metric."""
    setups = [one.series.setup for one in scalings]
    rows = []
    for one in scalings:
        slope, sizes = one.exponent.slope, one.exponent.sizes
        rows.append(
            (
                label_of(one.series.setup, setups),
                one.series.metric,
                f"{one.points[0].n} to {one.points[-1].n}",
                f"{sizes[0]} to {sizes[-1]}" if slope else _NONE,
                str(one.exponent.rounds) if slope else _NONE,
                str(one.exponent.flagged) if slope else _NONE,
                numbers.slope(slope) if slope else _NONE,
                _NONE if one.predicted is None else f"{one.predicted:.2f}",
                _NONE if one.expected is None else f"{one.expected:g}",
            )
        )
    return Table(
        "Exponents",
        (
            "series", "metric", "measured n", "tail", "rounds", "out of line", "exponent",
            "by operation counts", "for n without bound",
        ),
        tuple(rows),
        "The slope of log cost against log n over the tail (the largest sizes that span a factor "
        "of 4), with its 95 % interval. Rounds: the fewest at any of these sizes. Out of line: "
        "rounds of one size so slow that they get no weight in the slope; they stay in all other "
        "tables. Beside it the slope that exact operation counts (for memory: the counted peak) "
        "give over the same n, and the one theory gives for n without bound.",
    )  # fmt: skip


def laws(scalings: Sequence[Scaling]) -> Table:
    """Return the laws fitted in one panel, a row per series, metric and law."""
    setups = [one.series.setup for one in scalings]
    rows = []
    for one in scalings:
        for law in one.laws:
            shares = [
                f"{term}: {numbers.percent(share.value)}"
                for term, share in zip(law.terms, law.shares, strict=True)
            ]
            rows.append(
                (
                    label_of(one.series.setup, setups),
                    one.series.metric,
                    law.name,
                    f"{law.weight:.2f}",
                    numbers.percent(law.misfit),
                    ", ".join(shares),
                )
            )
    return Table(
        "Laws",
        ("series", "metric", "law", "weight", "misfit", "share of each term at the largest n"),
        tuple(rows),
        "Laws with non-negative coefficients, fitted to all sizes in relative error; the weight is "
        "AICc's, the misfit the root mean square of the relative error over the sizes.",
        folded=True,
    )


def limits(scalings: Sequence[Scaling], memory_bytes: float) -> Table | None:
    """Return the largest n that fits a memory, a row per series whose memory was measured."""
    of_memory = [one for one in scalings if one.series.metric == "memory"]
    setups = [one.series.setup for one in of_memory]
    rows = []
    for one in of_memory:
        limit = largest_n(one, memory_bytes)
        if limit is not None:
            grounds = limit.kind if limit.kind == "measured" else f"predicted by {limit.model}"
            largest = str(one.points[-1].n)
            rows.append((label_of(one.series.setup, setups), largest, str(limit.n), grounds))
    if not rows:
        return None
    return Table(
        "Largest n in memory",
        ("series", "largest n measured", "largest power of two that fits", "grounds"),
        tuple(rows),
        f"With weights and inputs, in {words.size(memory_bytes)}, the memory of this machine.",
    )


def local_slopes(scalings: Sequence[Scaling]) -> Table:
    """Return the slopes between neighbouring n of one panel, a column per pair of neighbours."""
    setups = [one.series.setup for one in scalings]
    steps = sorted({(n, m) for one in scalings for n, m, _ in one.local})
    rows = []
    for one in scalings:
        slopes = {(n, m): slope for n, m, slope in one.local}
        cells = [numbers.slope(slopes[step]) if step in slopes else _NONE for step in steps]
        rows.append((label_of(one.series.setup, setups), one.series.metric, *cells))
    columns = [f"{words.tokens(n)} → {words.tokens(m)}" for n, m in steps]
    return Table(
        "Local slopes",
        ("series", "metric", *columns),
        tuple(rows),
        "The slope between each two neighbouring n. Where these still change, no single exponent "
        "describes the range.",
        folded=True,
    )


def gains(panel: PerMetric) -> Table | None:
    """Return speed-up and memory saved over vanilla and the best exact implementation."""
    columns: dict[tuple[Metric, str], dict[tuple[str, int], str]] = {}
    keys: dict[tuple[str, int], None] = {}
    setups = [one.setup for series in panel.values() for one in series]
    for metric, series in panel.items():
        exact = [one for one in series if one.setup.impl in EXACT]
        vanilla = [one for one in exact if one.setup.impl == "vanilla"]
        for one in series:
            name = label_of(one.setup, setups)
            if vanilla and one not in vanilla:
                for ratio in ratios(vanilla[0], one):
                    keys[name, ratio.n] = None
                    column = columns.setdefault((metric, "vanilla"), {})
                    column[name, ratio.n] = numbers.ratio(ratio.gain)
            if len(exact) > len(vanilla) and one not in exact:
                for ratio in ratios_to_best(exact, one):
                    keys[name, ratio.n] = None
                    column = columns.setdefault((metric, "best exact"), {})
                    text = f"{numbers.ratio(ratio.gain)} ({ratio.baseline.impl})"
                    column[name, ratio.n] = text
    if not columns:
        return None
    names = {"time": "speed-up", "memory": "memory saved", "energy": "energy saved"}
    order = {name: i for i, name in enumerate(dict.fromkeys(name for name, _ in keys))}
    return Table(
        "Speed-up and memory saved",
        ("series", "n", *(f"{names[metric]} over {over}" for metric, over in columns)),
        tuple(
            (name, str(n), *(column.get((name, n), _NONE) for column in columns.values()))
            for name, n in sorted(keys, key=lambda key: (order[key[0]], key[1]))
        ),
        "How many times as much the baseline costs at the same n, compared within rounds, with "
        "95 % intervals.",
        folded=True,
    )


def crossovers(found: Sequence[Crossover]) -> Table | None:
    """Return the n from which candidates cost less than exact baselines."""
    if not found:
        return None
    setups = [one.candidate for one in found]
    rows = [
        (
            label_of(one.candidate, setups),
            one.baseline.impl,
            one.metric,
            numbers.length(one.n_star) if one.n_star else _NONE,
            one.status,
            one.reason,
        )
        for one in found
    ]
    return Table(
        "Crossovers",
        ("candidate", "baseline", "metric", "n*", "status", "grounds"),
        tuple(rows),
        "n* is where the cost of the candidate falls below that of the baseline for good, within "
        "the n that both measured.",
    )


def not_measured(rows: Sequence[Mapping[str, Any]]) -> Table | None:
    """Return the records that are no measurements, with their reasons."""
    groups: dict[tuple[str, str, str, str, str], int] = {}
    setups = [setup_of(dict(row)) for row in rows]
    for row, setup in zip(rows, setups, strict=True):
        if row["status"] != "ok":
            label = label_of(setup, setups) + ("" if row["task"] == TASK else f", {row['task']}")
            key = (
                label,
                setup.scope,
                str(row["seq"]),
                str(row["status"]),
                str(row["reason"] or ""),
            )
            groups[key] = groups.get(key, 0) + 1
    if not groups:
        return None
    return Table(
        "Not measured",
        ("series", "scope", "n", "status", "reason", "records"),
        tuple((*key, str(count)) for key, count in groups.items()),
        "These count as no measurement anywhere in this report and are in no figure; nor does any "
        "other round of a case that was incorrect in one.",
    )


def largest_batches(rows: Sequence[Mapping[str, Any]]) -> Table | None:
    """Return the largest batches that fit a memory, a row per case of task max_batch."""
    found = [(row, row["max_batch"]) for row in rows if isinstance(row["max_batch"], Mapping)]
    if not found:
        return None
    setups = [setup_of(dict(row)) for row, _ in found]
    limits = words.listed(dict.fromkeys(words.size(one["limit_bytes"]) for _, one in found))
    lines = sorted(
        (
            label_of(setup, setups),
            setup.scope,
            setup.mode,
            int(row["seq"]),
            one["batch"],
            one["how"],
        )
        for (row, one), setup in zip(found, setups, strict=True)
    )
    return Table(
        "Largest batches",
        ("series", "scope", "mode", "n", "sequences", "how it is known"),
        tuple(tuple(map(str, line)) for line in lines),
        f"The most sequences of which weights, inputs and the peak of one call fit {limits}. "
        "Extrapolated: from the exact bytes of smaller batches. Counted: operation counts alone "
        "exceed it.",
        folded=True,
    )


def checks(rows: Sequence[Mapping[str, Any]]) -> Table | None:
    """Return how far outputs were from their float64 reference, the worst per series."""
    worst: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    setups = [setup_of(dict(row)) for row in rows]
    for row, setup in zip(rows, setups, strict=True):
        check = row["check"]
        if isinstance(check, Mapping):
            key = (label_of(setup, setups), setup.scope, str(check.get("reference") or "none"))
            worst.setdefault(key, []).append(check)
    if not worst:
        return None
    lines = []
    for key, found in worst.items():
        errors = [one["max_rel_error"] for one in found if one.get("max_rel_error") is not None]
        bounds = [one["tolerance"] for one in found if one.get("tolerance") is not None]
        reasons = dict.fromkeys(one["reason"] for one in found if one.get("reason"))
        lines.append(
            (
                *key,
                f"{max(errors):.1e}" if errors else _NONE,
                f"{min(bounds):.1e}" if bounds else _NONE,
                str(len(errors)),
                "; ".join(reasons),
            )
        )
    return Table(
        "Checks",
        ("series", "scope", "reference", "largest relative error", "tolerance", "checked", "note"),
        tuple(lines),
        "The largest absolute difference from the float64 reference of the same mathematics, over "
        "the largest absolute value of the reference.",
    )


def warnings(rows: Iterable[Mapping[str, Any]]) -> Table | None:
    """Return the warnings of a run, those that differ in numbers only put together."""
    found: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        for text in row["warnings"] or ():
            kind = re.sub(r"\d+(\.\d+)?", "#", str(text))
            found.setdefault(kind, []).append((str(text), str(row["case_id"])))
    if not found:
        return None
    lines = []
    for said in found.values():
        cases = list(dict.fromkeys(case for _, case in said))
        more = f" and {len(cases) - 3} more" if len(cases) > 3 else ""
        lines.append((said[0][0], str(len(said)), ", ".join(cases[:3]) + more))
    return Table("Warnings", ("warning, the first of its kind", "records", "cases"), tuple(lines))


def machine(header: Mapping[str, Any]) -> Table:
    """Return where and with what a run was measured."""
    rows = [("run", str(header["run_id"])), ("created", str(header["created"]))]
    rows.append(("linbench", str(header["linbench"])))
    for name in ("code", "device"):
        rows += _fields(name, header.get(name))
    for name, value in (header.get("machine") or {}).items():
        rows += _fields(name, value)
    for name, value in (header.get("git") or {}).items():
        rows += _fields(f"git {name}", value)
    return Table("Machine and code", ("what", "value"), tuple(rows))


def _fields(name: str, value: Any) -> list[tuple[str, str]]:
    if value is None:
        return []
    if name.endswith("_bytes") and isinstance(value, int | float):
        return [(name.removesuffix("_bytes"), words.size(value))]
    if isinstance(value, Mapping):
        return [pair for key, inner in value.items() for pair in _fields(f"{name} {key}", inner)]
    return [(name.replace("_", " "), str(value))]


def command(header: Mapping[str, Any]) -> str:
    """Return the command that made a run, to be run again."""
    argv = [str(word) for word in header.get("argv") or []]
    if argv and argv[0].rsplit("/", 1)[-1] in ("linbench", "__main__.py"):
        argv = argv[1:]
    if "--name" in argv:  # the name is taken
        at = argv.index("--name")
        del argv[at : at + 2]
    return shlex.join(["linbench", *argv]) if argv else ""
