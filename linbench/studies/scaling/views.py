"""All ways to look at the costs of a panel: each metric, as it is or relative to a baseline."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from linbench import words
from linbench.report.content import Line, Plot, View
from linbench.run.case import Case
from linbench.run.metrics import TIME
from linbench.run.runs import Series
from linbench.studies.crossover import BEST, Ratio, bases_of, ratios
from linbench.studies.labels import EACH_N, capital, label_of, wording
from linbench.studies.scaling.analyse import PerMetric
from linbench.studies.scaling.charts import cost_plot, line_of, main_lines

TOKENS = "Tokens per second"
ABSOLUTE = "as measured"
MAX_BASELINES = 12  # each holds a ratio to every series at every n


def views_of(panel: PerMetric) -> tuple[View, ...]:
    """Return the views of one panel's metrics.

    Any series may be the baseline; in a panel of more than `MAX_BASELINES` only exact attention and
    the series of the main figures. On a linear scale there are no ratios.
    """
    keys = list(dict.fromkeys(one.key for series in panel.values() for one in series))
    found: list[View] = []
    for metric, series in panel.items():
        title, call = wording(metric).title, capital(wording(metric).of_a_call)
        absolute = cost_plot(metric, series, keys)
        ratios_to = _relative(series, keys) if metric.scale == "log" else ()
        relative = [(basis, lines) for basis, lines in ratios_to if lines]
        wins = "below 1 (the thin line) a series costs less"
        if metric.better == "more":
            wins = "above 1 (the thin line) a series is better"
        found.append(View(title, ABSOLUTE, absolute))
        found += [_over(title, call, "that", basis, lines, wins) for basis, lines in relative]
        if metric == TIME:
            said, wins = f"Speed-up: {TOKENS.lower()}", "above 1 (the thin line) a series is faster"
            found.append(View(TOKENS, ABSOLUTE, _rates(absolute)))
            for basis, lines in relative:
                found.append(_over(TOKENS, said, "those", basis, _turned(lines), wins))
    return tuple(found)


def _over(title: str, said: str, that: str, basis: str, lines: tuple[Line, ...], wins: str) -> View:
    over = f"over {that} of {basis}"
    cheapest = " That is the cheapest of those measured at that n." if basis == BEST else ""
    return View(
        title,
        basis,
        Plot(f"{title} {over}", EACH_N, "", words.RATIO, lines),
        f"{said} {over} at the same n, compared within rounds, with 95 % intervals; {wins}."
        f"{cheapest}",
    )


def _turned(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    return tuple(replace(line, y=tuple(y.under(1.0) for y in line.y)) for line in lines)


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
            yield BEST, _lines(basis.candidates, basis.ratios, keys)
    for baseline in baselines(series):
        others = [one for one in series if one is not baseline]
        over = functools.partial(ratios, baseline)
        yield label_of(baseline.key, keys), _lines(others, over, keys)


def baselines(series: Sequence[Series]) -> list[Series]:
    """Return what costs may be set in relation to."""
    if len(series) <= MAX_BASELINES:
        return list(series)
    main = main_lines(series)
    return [one for one in series if one in main or one.is_exact_attention][:MAX_BASELINES]


def _lines(
    series: Sequence[Series], over: Callable[[Series], list[Ratio]], keys: Sequence[Case]
) -> tuple[Line, ...]:
    found = ((one, {ratio.n: ratio.value for ratio in over(one)}) for one in series)
    return tuple(line_of(one, label_of(one.key, keys), own) for one, own in found if own)
