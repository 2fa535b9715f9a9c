"""All ways to look at the costs of a panel: each metric, as it is or relative to a baseline."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from linbench import words
from linbench.report.content import Line, Plot, View
from linbench.run.case import Case
from linbench.run.metrics import TIME, Metric
from linbench.run.runs import Series
from linbench.stats.interval import Interval
from linbench.studies.crossover import BEST, bases_of, ratios
from linbench.studies.labels import EACH_N, capital, label_of, wording
from linbench.studies.scaling.analyse import PerMetric
from linbench.studies.scaling.charts import cost_plot, line_of, main_lines

TOKENS = "Tokens per second"
ABSOLUTE = "as measured"
MAX_BASELINES = 12  # each holds a ratio to every series at every n

Values = dict[int, Interval]


def views_of(panel: PerMetric) -> tuple[View, ...]:
    """Return the views of one panel's costs.

    Any series may be the baseline; in a panel of more than `MAX_BASELINES` only exact attention and
    the series of the main figures. On a linear scale there are no ratios.

    Args:
        panel: Its series by metric.
    """
    keys = list(dict.fromkeys(one.key for series in panel.values() for one in series))
    found: list[View] = []
    for metric, series in panel.items():
        absolute = cost_plot(metric, series, keys)
        found.append(View(wording(metric).title, ABSOLUTE, absolute))
        relative = list(_relative(series, keys)) if metric.scale == "log" else []
        found += [_costing(metric, basis, lines) for basis, lines in relative]
        if metric == TIME:
            found.append(View(TOKENS, ABSOLUTE, _rates(absolute)))
            found += [_faster(basis, lines) for basis, lines in relative]
    return tuple(found)


def _rates(times: Plot) -> Plot:
    """Return the tokens per second that some times of calls come to."""
    lines = []
    for line in times.lines:
        pairs = zip(line.x, line.y, strict=True)
        y = tuple(time.under(_tokens(line.key, int(n))) for n, time in pairs)
        lines.append(replace(line, y=y))
    return replace(times, title=TOKENS, unit="tokens/s", lines=tuple(lines), guides=())


def _tokens(key: Case | None, n: int) -> int:
    return ((key and key.at(n).batch) or 1) * n


def _relative(
    series: Sequence[Series], keys: Sequence[Case]
) -> Iterator[tuple[str, tuple[Line, ...]]]:
    """Give the lines of ratios over each baseline, with its name."""
    for basis in bases_of(series):
        if basis.best:
            over = [(one, {r.n: r.value for r in basis.ratios(one)}) for one in basis.candidates]
            if lines := _lines(over, keys):
                yield BEST, lines
    known: dict[tuple[Case, Case], Values] = {}
    for baseline in baselines(series):
        over = []
        for one in series:
            if one is baseline:
                continue
            turned = known.get((one.key, baseline.key))  # the other way round: the same estimate
            values = (
                {r.n: r.value for r in ratios(baseline, one)}
                if turned is None
                else {n: value.under(1.0) for n, value in turned.items()}
            )
            known[baseline.key, one.key] = values
            over.append((one, values))
        if lines := _lines(over, keys):
            yield label_of(baseline.key, keys), lines


def baselines(series: Sequence[Series]) -> list[Series]:
    """Return what costs may be set in relation to."""
    if len(series) <= MAX_BASELINES:
        return list(series)
    main = main_lines(series)
    return [one for one in series if one in main or one.is_exact_attention][:MAX_BASELINES]


def _lines(over: Sequence[tuple[Series, Values]], keys: Sequence[Case]) -> tuple[Line, ...]:
    return tuple(
        line_of(one, label_of(one.key, keys), values.keys(), values.values())
        for one, values in over
        if values
    )


def _costing(metric: Metric, basis: str, lines: tuple[Line, ...]) -> View:
    said = wording(metric)
    wins = "below 1 (the thin line) a series costs less"
    if metric.better == "more":
        wins = "above 1 (the thin line) a series is better"
    return View(
        said.title,
        basis,
        Plot(f"{said.title} over that of {basis}", EACH_N, "", words.RATIO, lines),
        f"{capital(said.of_a_call)} over that of {basis} at the same n, "
        f"compared within rounds, with 95 % intervals; {wins}.{_cheapest(basis)}",
    )


def _faster(basis: str, lines: tuple[Line, ...]) -> View:
    turned = tuple(replace(line, y=tuple(one.under(1.0) for one in line.y)) for line in lines)
    return View(
        TOKENS,
        basis,
        Plot(f"{TOKENS} over those of {basis}", EACH_N, "", words.RATIO, turned),
        f"Speed-up: {TOKENS.lower()} over those of {basis} at the same n, compared within rounds, "
        f"with 95 % intervals; above 1 (the thin line) a series is faster.{_cheapest(basis)}",
    )


def _cheapest(basis: str) -> str:
    return " That is the cheapest of those measured at that n." if basis == BEST else ""
