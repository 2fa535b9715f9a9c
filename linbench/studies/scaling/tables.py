"""The tables behind the figures of a panel."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from linbench import words
from linbench.report.content import NONE, Cell, Quantity, Table, count, whole
from linbench.run.case import Case
from linbench.run.metrics import MEMORY, TIME, Metric
from linbench.run.runs import Point
from linbench.run.shape import costs_of
from linbench.studies.crossover import Crossover, bases_of
from linbench.studies.labels import label_of, wording
from linbench.studies.scaling.analyse import PerMetric
from linbench.studies.scaling.charts import gains_title, how_gains_count
from linbench.studies.scaling.growth import Scaling
from linbench.studies.scaling.laws import Law
from linbench.studies.scaling.limits import largest_n


def _per_series(
    title: str,
    columns: Sequence[str],
    cells: Iterable[tuple[Scaling, tuple[Cell, ...]]],
    note: str,
    *,
    folded: bool = False,
) -> Table:
    """Return a table of rows that start with the names of a series and its metric."""
    rows = list(cells)
    keys = [one.series.key for one, _ in rows]
    named = ((label_of(one.series.key, keys), one.series.metric.name, *own) for one, own in rows)
    return Table(title, ("series", "metric", *columns), tuple(named), note, folded)


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
    places = sorted({(keys.index(key), n) for _, key, n in points})
    titles: list[str] = []
    for metric in panel:
        titles.append(wording(metric).of_a_call)
        titles += [f"source of {metric.name}"] if metric.noise == "exact" else []
    titles += ["weights"] if MEMORY in panel else []
    return Table(
        "Measurements",
        ("series", "n", "rounds", "calls", *titles),
        tuple(
            (
                label_of(keys[i], keys),
                *_measured(
                    keys[i], n, {metric: points.get((metric, keys[i], n)) for metric in panel}
                ),
            )
            for i, n in places
        ),
        " ".join(_NOTES.get(metric.name, "") for metric in panel).strip()
        or "Medians over rounds, with 95 % intervals over rounds.",
        folded=True,
    )


def _measured(key: Case, n: int, points: Mapping[Metric, Point | None]) -> Iterator[Cell]:
    known = [point for point in points.values() if point]
    disturbed, calls = known[0].disturbed, max(point.samples for point in known)
    yield whole(n)
    yield replace(count(known[0].rounds), mark=f"({disturbed} disturbed)" if disturbed else "")
    yield whole(calls) if calls else NONE
    for metric, point in points.items():
        yield Quantity.of(point.value if point else None, metric.unit)
        if metric.noise == "exact":  # how it was counted
            yield ", ".join(point.sources if point else ()) or NONE
    if MEMORY in points:
        counted = costs_of(key.at(n))
        yield Quantity(counted.weights_bytes, unit=MEMORY.unit) if counted else NONE


def verdicts(scalings: Sequence[Scaling]) -> Table:
    """Return the verdicts of one panel with their grounds, a row per series and metric."""
    return _per_series(
        "Verdicts",
        ("verdict", "grounds", "reached from n", "measure next"),
        (
            (one, (one.growth.word, one.growth.grounds, _reached(one), one.growth.advice or ""))
            for one in scalings
        ),
        "A verdict rests on the 95 % interval of the tail exponent, or on a law that alone "
        "describes all sizes; where neither carries one, it is inconclusive. Reached: the n from "
        "which on the best law's slope is within 10 % of its last term's, in brackets where that "
        "is extrapolated.",
    )


def _reached(one: Scaling) -> Cell:
    n, sizes = one.growth.reached, one.series.sizes
    if n is None:
        return NONE
    if n <= sizes[0]:
        return Quantity(sizes[0], text=f"{sizes[0]} or less")
    return whole(n) if n <= sizes[-1] else Quantity(n, text=f"({n})")


def exponents(scalings: Sequence[Scaling]) -> Table:
    """Return the exponents of one panel, a row per series and metric."""
    return _per_series(
        "Exponents",
        (
            "measured n", "tail", "rounds", "out of line", "exponent", "by operation counts",
            "for n without bound",
        ),
        ((one, _exponent(one)) for one in scalings),
        "The slope of log cost against log n over the tail (the largest sizes that span a factor "
        "of 4), with its 95 % interval. Rounds: the fewest at any of these sizes. Out of line: "
        "rounds of one size so slow that they get no weight in the slope; they stay in all other "
        "tables. Beside it the slope that exact operation counts (for memory: the counted peak) "
        "give over the same n, and the one theory gives for n without bound.",
    )  # fmt: skip


def _exponent(one: Scaling) -> tuple[Cell, ...]:
    estimate, sizes, tail = one.exponent, one.series.sizes, one.exponent.sizes
    predicted, expected = one.predicted, one.expected
    return (
        words.span(sizes),
        words.span(tail) if estimate.slope else NONE,
        count(estimate.rounds) if estimate.slope else NONE,
        count(estimate.flagged) if estimate.slope else NONE,
        Quantity.of(estimate.slope, words.EXPONENT),
        NONE if predicted is None else Quantity(predicted, unit=words.EXPONENT),
        NONE if expected is None else Quantity(expected, text=f"{expected:g}"),
    )


def laws(scalings: Sequence[Scaling]) -> Table:
    """Return the laws fitted in one panel, a row per series, metric and law."""
    return _per_series(
        "Laws",
        ("law", "weight", "misfit", "share of each term at the largest n"),
        ((one, _law(law)) for one in scalings for law in one.laws),
        "Laws with non-negative coefficients, fitted to all sizes in relative error; the weight is "
        "AICc's, the misfit the root mean square of the relative error over the sizes.",
        folded=True,
    )


def _law(law: Law) -> tuple[Cell, ...]:
    shares = zip(law.terms, law.shares, strict=True)
    return (
        law.name,
        Quantity(law.weight, text=f"{law.weight:.2f}"),
        Quantity(law.misfit, text=words.percent(law.misfit)),
        ", ".join(f"{term}: {words.percent(share.value)}" for term, share in shares),
    )


def limits(scalings: Sequence[Scaling], memory_bytes: float) -> Table | None:
    """Return the largest n that fits a memory, a row per series whose memory was measured."""
    of_memory = [one for one in scalings if one.series.metric == MEMORY]
    keys = [one.series.key for one in of_memory]
    found = [(one.series, largest_n(one, memory_bytes)) for one in of_memory]
    rows = tuple(
        (label_of(series.key, keys), whole(series.sizes[-1]), whole(limit[0]), limit[1])
        for series, limit in found
        if limit
    )
    if not rows:
        return None
    fitted = words.quantity(memory_bytes, MEMORY.unit)
    return Table(
        "Largest n in memory",
        ("series", "largest n measured", "largest power of two that fits", "grounds"),
        rows,
        f"With weights and inputs, in {fitted}, the memory of this machine.",
    )


def local_slopes(scalings: Sequence[Scaling]) -> Table:
    """Return the slopes between neighbouring n of one panel, a column per pair of neighbours."""
    steps = sorted({(n, m) for one in scalings for n, m, _ in one.local})
    slopes = [(one, {(n, m): slope for n, m, slope in one.local}) for one in scalings]
    return _per_series(
        "Local slopes",
        [f"{n} → {m}" for n, m in steps],
        (
            (one, tuple(Quantity.of(own.get(step), words.EXPONENT) for step in steps))
            for one, own in slopes
        ),
        "The slope between each two neighbouring n. Where these still change, no single exponent "
        "describes the range.",
        folded=True,
    )


def gains(panel: PerMetric) -> Table | None:
    """Return speed-up and memory saved over vanilla and the best exact implementation."""
    columns: dict[str, dict[tuple[int, int], Cell]] = {}
    keys = list(dict.fromkeys(one.key for series in panel.values() for one in series))
    for metric, series in panel.items():
        for one, basis in itertools.product(series, bases_of(series)):
            for ratio in basis.ratios(one) if one in basis.candidates else ():
                over = "best exact" if basis.best else basis.name
                mark = f"({ratio.baseline.label})" if basis.best else ""
                column = columns.setdefault(f"{wording(metric).gain} over {over}", {})
                place = keys.index(one.key), ratio.n
                column[place] = Quantity.of(ratio.gain, words.RATIO, mark)
    if not columns:
        return None
    return Table(
        gains_title(panel),
        ("series", "n", *columns),
        tuple(
            (
                label_of(keys[i], keys),
                whole(n),
                *(column.get((i, n), NONE) for column in columns.values()),
            )
            for i, n in sorted(set().union(*columns.values()))
        ),
        f"{how_gains_count(panel)} at the same n, compared within rounds, with 95 % intervals.",
        folded=True,
    )


def crossovers(found: Sequence[Crossover]) -> Table | None:
    """Return the n from which candidates cost less than exact baselines."""
    if not found:
        return None
    keys = [one.candidate.key for one in found]
    return Table(
        "Crossovers",
        ("candidate", "baseline", "metric", "n*", "status", "grounds"),
        tuple(
            (
                label_of(one.candidate.key, keys),
                one.baseline.key.label,
                one.candidate.metric.name,
                Quantity.of(one.n_star, words.LENGTH),
                one.status,
                one.reason,
            )
            for one in found
        ),
        "n* is where the cost of the candidate falls below that of the baseline for good, within "
        "the n that both measured.",
    )
