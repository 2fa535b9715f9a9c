"""The tables behind the figures of a panel."""

from collections.abc import Sequence

from linbench import words
from linbench.report.content import NONE, Cell, Quantity, Table, count
from linbench.run.metrics import MEMORY, TIME, Metric
from linbench.run.runs import Point
from linbench.run.shape import costs_of
from linbench.studies.crossover import Crossover, bases_of
from linbench.studies.labels import label_of, wording
from linbench.studies.scaling.analyse import PerMetric, Scaling
from linbench.studies.scaling.charts import gains_title, how_gains_count
from linbench.studies.scaling.limits import largest_n


def _whole(n: int) -> Quantity:
    """Return the cell of a sequence length, or of a number of calls: plain digits."""
    return Quantity(n, text=str(n))


def _names(scalings: Sequence[Scaling]) -> list[str]:
    keys = [one.series.key for one in scalings]
    return [label_of(key, keys) for key in keys]


_NOTES = {
    TIME.name: "Time: the median over rounds of each round's median call, with its 95 % interval "
    "over rounds; disturbed rounds took 1.5 times that or more and have no weight in any estimate.",
    MEMORY.name: "Peak memory: the most used during a call above what was resident before it; "
    "weights and inputs come on top.",
}


def measurements(panel: PerMetric) -> Table:
    """Return what was measured: a row per series and n."""
    points = {
        (metric, one.key, point.n): point
        for metric, series in panel.items()
        for one in series
        for point in one.points()
    }
    keys = list(dict.fromkeys(key for _, key, _ in points))
    rows: list[tuple[Cell, ...]] = []
    for key in keys:
        for n in sorted({n for _, other, n in points if other == key}):
            own = [points.get((metric, key, n)) for metric in panel]
            known = [point for point in own if point]
            calls = max(point.samples for point in known)
            counted = costs_of(key.at(n))
            row: list[Cell] = [label_of(key, keys), _whole(n), _rounds(known[0])]
            row.append(_whole(calls) if calls else NONE)
            for metric, point in zip(panel, own, strict=True):
                row += _measured(metric, point)
            row.append(Quantity(counted.weights_bytes, unit=MEMORY.unit) if counted else NONE)
            rows.append(tuple(row))
    titles = [
        title
        for metric in panel
        for title in (
            wording(metric).of_a_call,
            *((f"source of {metric.name}",) * (metric.noise == "exact")),
        )
    ]
    return Table(
        "Measurements",
        ("series", "n", "rounds", "calls", *titles, "weights"),
        tuple(rows),
        " ".join(_NOTES.get(metric.name, "") for metric in panel).strip()
        or "Medians over rounds, with 95 % intervals over rounds.",
        folded=True,
    )


def _rounds(point: Point) -> Quantity:
    mark = f"({point.disturbed} disturbed)" if point.disturbed else ""
    return Quantity(point.rounds, unit=words.COUNT, mark=mark)


def _measured(metric: Metric, point: Point | None) -> list[Cell]:
    """Return a value with its interval and, where it is counted, how."""
    sources = ", ".join(point.sources) if point else ""
    value = Quantity.of(point.value if point else None, metric.unit)
    return [value, sources or NONE] if metric.noise == "exact" else [value]


def verdicts(scalings: Sequence[Scaling]) -> Table:
    """Return the verdicts of one panel with their grounds, a row per series and metric."""
    return Table(
        "Verdicts",
        ("series", "metric", "verdict", "grounds", "reached from n", "measure next"),
        tuple(
            (
                name,
                one.series.metric.name,
                one.growth.word,
                one.growth.grounds,
                _reached(one),
                one.growth.advice or "",
            )
            for name, one in zip(_names(scalings), scalings, strict=True)
        ),
        "A verdict rests on the 95 % interval of the tail exponent, or on a law that alone "
        "describes all sizes; where neither carries one, it is inconclusive. Reached: the n from "
        "which on the best law's slope is within 10 % of its last term's, in brackets where that "
        "is extrapolated.",
    )


def _reached(one: Scaling) -> Cell:
    n, first, last = one.growth.reached, one.points[0].n, one.points[-1].n
    if n is None:
        return NONE
    if n <= first:
        return Quantity(first, text=f"{first} or less")
    return _whole(n) if n <= last else Quantity(n, text=f"({n})")


def exponents(scalings: Sequence[Scaling]) -> Table:
    """Return the exponents of one panel, a row per series and metric."""
    rows: list[tuple[Cell, ...]] = []
    for name, one in zip(_names(scalings), scalings, strict=True):
        estimate, sizes = one.exponent, one.exponent.sizes
        tail: tuple[Cell, ...] = (NONE, NONE, NONE, NONE)
        if estimate.slope:
            tail = (
                f"{sizes[0]} to {sizes[-1]}",
                count(estimate.rounds),
                count(estimate.flagged),
                Quantity.of(estimate.slope, words.EXPONENT),
            )
        predicted, expected = one.predicted, one.expected
        rows.append(
            (
                name,
                one.series.metric.name,
                f"{one.points[0].n} to {one.points[-1].n}",
                *tail,
                NONE if predicted is None else Quantity(predicted, unit=words.EXPONENT),
                NONE if expected is None else Quantity(expected, text=f"{expected:g}"),
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
    rows = []
    for name, one in zip(_names(scalings), scalings, strict=True):
        for law in one.laws:
            shares = [
                f"{term}: {words.percent(share.value)}"
                for term, share in zip(law.terms, law.shares, strict=True)
            ]
            rows.append(
                (
                    name,
                    one.series.metric.name,
                    law.name,
                    Quantity(law.weight, text=f"{law.weight:.2f}"),
                    Quantity(law.misfit, text=words.percent(law.misfit)),
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
    of_memory = [one for one in scalings if one.series.metric == MEMORY]
    rows = []
    for name, one in zip(_names(of_memory), of_memory, strict=True):
        limit = largest_n(one, memory_bytes)
        if limit is not None:
            grounds = limit.kind if limit.kind == "measured" else f"predicted by {limit.model}"
            rows.append((name, _whole(one.points[-1].n), _whole(limit.n), grounds))
    if not rows:
        return None
    fitted = words.quantity(memory_bytes, MEMORY.unit)
    return Table(
        "Largest n in memory",
        ("series", "largest n measured", "largest power of two that fits", "grounds"),
        tuple(rows),
        f"With weights and inputs, in {fitted}, the memory of this machine.",
    )


def local_slopes(scalings: Sequence[Scaling]) -> Table:
    """Return the slopes between neighbouring n of one panel, a column per pair of neighbours."""
    steps = sorted({(n, m) for one in scalings for n, m, _ in one.local})
    rows = []
    for name, one in zip(_names(scalings), scalings, strict=True):
        slopes = {(n, m): slope for n, m, slope in one.local}
        cells = (Quantity.of(slopes.get(step), words.EXPONENT) for step in steps)
        rows.append((name, one.series.metric.name, *cells))
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
    columns: dict[str, dict[tuple[str, int], Cell]] = {}
    keys = [one.key for series in panel.values() for one in series]
    for metric, series in panel.items():
        for one in series:
            name = label_of(one.key, keys)
            for basis in bases_of(series):
                over = "best exact" if basis.best else basis.name
                for ratio in basis.ratios(one) if one in basis.candidates else ():
                    mark = f"({ratio.baseline.label})" if basis.best else ""
                    column = columns.setdefault(f"{wording(metric).gain} over {over}", {})
                    column[name, ratio.n] = Quantity.of(ratio.gain, words.RATIO, mark)
    if not columns:
        return None
    places = dict.fromkeys(place for column in columns.values() for place in column)
    order = {name: i for i, name in enumerate(dict.fromkeys(label_of(key, keys) for key in keys))}
    return Table(
        gains_title(panel),
        ("series", "n", *columns),
        tuple(
            (name, _whole(n), *(column.get((name, n), NONE) for column in columns.values()))
            for name, n in sorted(places, key=lambda place: (order[place[0]], place[1]))
        ),
        f"{how_gains_count(panel)} at the same n, compared within rounds, with 95 % intervals.",
        folded=True,
    )


def crossovers(found: Sequence[Crossover]) -> Table | None:
    """Return the n from which candidates cost less than exact baselines."""
    if not found:
        return None
    keys = [one.candidate for one in found]
    return Table(
        "Crossovers",
        ("candidate", "baseline", "metric", "n*", "status", "grounds"),
        tuple(
            (
                label_of(one.candidate, keys),
                one.baseline.label,
                one.metric.name,
                Quantity.of(one.n_star, words.LENGTH),
                one.status,
                one.reason,
            )
            for one in found
        ),
        "n* is where the cost of the candidate falls below that of the baseline for good, within "
        "the n that both measured.",
    )
