"""All ways to look at the costs of a panel: each metric, as it is or relative to a baseline."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from linbench.analysis.crossover import Ratio, ratios, ratios_to_best
from linbench.analysis.series import EXACT, Metric, Series, Setup
from linbench.report.charts import EACH_N, PerMetric, cost_plot, label_of, main_lines
from linbench.report.content import Line, Plot, View

NAMES: dict[Metric, str] = {"time": "Time", "memory": "Peak memory", "energy": "Energy"}
TOKENS = "Tokens per second"
ABSOLUTE = "as measured"
BEST = "the best exact implementation"
MAX_BASELINES = 12  # each holds a ratio to every series at every n

Ratios = dict[Setup, list[Ratio]]


def views_of(panel: PerMetric) -> tuple[View, ...]:
    """Return the views of one panel's costs.

    Any series may be the baseline; in a panel of more than `MAX_BASELINES` only exact attention and
    the series of the main figures.

    Args:
        panel: Its series by metric.
    """
    setups = list(dict.fromkeys(one.setup for series in panel.values() for one in series))
    found: list[View] = []
    for metric, series in panel.items():
        found.append(View(NAMES[metric], ABSOLUTE, cost_plot(metric, series, setups)))
        relative = list(_relative(series, setups))
        found += [_costing(metric, basis, lines) for basis, lines in relative]
        if metric == "time":
            found.append(View(TOKENS, ABSOLUTE, _rates(series, setups)))
            found += [_faster(basis, lines) for basis, lines in relative]
    return tuple(found)


def _rates(series: Sequence[Series], setups: Sequence[Setup]) -> Plot:
    times = cost_plot("time", series, setups)
    lines = tuple(
        replace(
            line,
            y=tuple(
                time.under(one.setup.batch_at(int(n)) * n)
                for n, time in zip(line.x, line.y, strict=True)
            ),
        )
        for one, line in zip(series, times.lines, strict=True)
    )
    return replace(times, title=TOKENS, unit="tokens", lines=lines, guides=())


def _relative(
    series: Sequence[Series], setups: Sequence[Setup]
) -> Iterator[tuple[str, tuple[Line, ...]]]:
    """Give the lines of cost ratios over each baseline, with its name."""
    exact = [one for one in series if one.setup.impl in EXACT]
    if any(one.setup.impl != "vanilla" for one in exact):
        others = {one.setup: ratios_to_best(exact, one) for one in series if one not in exact}
        if lines := _lines(others, setups):
            yield BEST, lines
    known: dict[Setup, Ratios] = {}
    for baseline in baselines(series):
        over: Ratios = {}
        for one in series:
            if one is baseline:
                continue
            other_way = known.get(one.setup, {}).get(baseline.setup)
            over[one.setup] = (
                ratios(baseline, one)
                if other_way is None
                else [_turned(ratio, baseline.setup) for ratio in other_way]
            )
        known[baseline.setup] = over
        if lines := _lines(over, setups):
            yield label_of(baseline.setup, setups), lines


def _turned(ratio: Ratio, baseline: Setup) -> Ratio:
    """Return a ratio the other way round, which is the same estimate."""
    return Ratio(ratio.n, ratio.gain, ratio.pairs, baseline)


def baselines(series: Sequence[Series]) -> list[Series]:
    """Return what costs may be set in relation to."""
    if len(series) <= MAX_BASELINES:
        return list(series)
    main = main_lines(series)
    return [one for one in series if one in main or one.setup.impl in EXACT][:MAX_BASELINES]


def _lines(over: Ratios, setups: Iterable[Setup]) -> tuple[Line, ...]:
    among = list(setups)
    return tuple(
        Line(
            label_of(setup, among),
            tuple(float(ratio.n) for ratio in found),
            tuple(ratio.value for ratio in found),
            setup,
        )
        for setup, found in over.items()
        if found
    )


def _costing(metric: Metric, basis: str, lines: tuple[Line, ...]) -> View:
    name = NAMES[metric]
    return View(
        name,
        basis,
        Plot(f"{name} over that of {basis}", EACH_N, "", "ratio", lines),
        f"{name} of one call over that of {basis} at the same n, compared within rounds, with 95 % "
        f"intervals; below 1 (the thin line) a series costs less.{_cheapest(basis)}",
    )


def _faster(basis: str, lines: tuple[Line, ...]) -> View:
    turned = tuple(replace(line, y=tuple(one.under(1.0) for one in line.y)) for line in lines)
    return View(
        TOKENS,
        basis,
        Plot(f"{TOKENS} over those of {basis}", EACH_N, "", "ratio", turned),
        f"Speed-up: {TOKENS.lower()} over those of {basis} at the same n, compared within rounds, "
        f"with 95 % intervals; above 1 (the thin line) a series is faster.{_cheapest(basis)}",
    )


def _cheapest(basis: str) -> str:
    return " That is the cheapest of those measured at that n." if basis == BEST else ""
