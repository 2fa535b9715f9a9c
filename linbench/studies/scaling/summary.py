"""The sentences a report opens with. Each is carried by the intervals it quotes."""

from collections.abc import Mapping, Sequence

from linbench.analysis import numbers
from linbench.analysis.crossover import Ratio, crossing, ratios, ratios_to_best
from linbench.analysis.scaling import Scaling
from linbench.analysis.series import EXACT, Metric, Series, Setup
from linbench.report import words
from linbench.report.charts import label_of, main_lines

_VERBS: dict[Metric, tuple[str, str]] = {
    "time": ("took", "time"),
    "memory": ("needed", "peak memory"),
    "energy": ("used", "energy"),
}


def sentences(panel: Mapping[Metric, Sequence[Scaling]]) -> list[str]:
    """Return what a panel shows: growth first, then who costs less than whom, and from which n.

    Args:
        panel: Its scalings by metric.
    """
    found = [
        f"{_VERBS[metric][1].capitalize()} grew as {_growth(of)}." for metric, of in panel.items()
    ]
    candidates: dict[Setup, list[str]] = {}
    for scalings in panel.values():
        for setup, said in _wins([one.series for one in scalings]).items():
            candidates.setdefault(setup, []).extend(said)
    found += [
        f"**{label_of(setup, candidates)}** {'; it '.join(said)}."
        for setup, said in candidates.items()
    ]
    return found


def _growth(scalings: Sequence[Scaling]) -> str:
    kept = main_lines([one.series for one in scalings])
    setups = [series.setup for series in kept]
    parts = []
    for one in scalings:
        if one.series not in kept:
            continue
        name, slope = f"**{label_of(one.series.setup, setups)}**", one.exponent.slope
        if slope is None or not slope.bounded:
            parts.append(f"not known for {name} ({one.exponent.reason})")
            continue
        first, last = one.exponent.sizes[0], one.exponent.sizes[-1]
        over = f"n = {words.tokens(first)} to {words.tokens(last)}"
        parts.append(f"n^{numbers.slope(slope)} for {name} ({one.verdict.word}, {over})")
    return words.listed(parts)


def _wins(series: Sequence[Series]) -> dict[Setup, list[str]]:
    """Say where each implementation beats vanilla and the best exact one, and where it does not."""
    kept = main_lines(series)
    exact = [one for one in kept if one.setup.impl in EXACT]
    vanilla = [one for one in exact if one.setup.impl == "vanilla"]
    said: dict[Setup, list[str]] = {}
    for one in kept:
        if vanilla and one not in vanilla and (found := ratios(vanilla[0], one)):
            said.setdefault(one.setup, []).append(against(found, one.metric))
        if len(exact) > len(vanilla) and one not in exact and (found := ratios_to_best(exact, one)):
            said.setdefault(one.setup, []).append(against(found, one.metric, best=True))
    return said


def against(found: Sequence[Ratio], metric: Metric, *, best: bool = False) -> str:
    """Say in words where a candidate costs less than its baseline, and where it does not.

    Args:
        found: The ratios over ascending n.
        metric: What was compared.
        best: Whether the baseline is the cheapest exact implementation of each n.
    """
    names = list(dict.fromkeys(ratio.baseline.label for ratio in found))
    baseline = f"the best exact implementation ({' or '.join(names)})" if best else names[0]
    verb, noun = _VERBS[metric]
    ahead = [ratio for ratio in found if ratio.value.below(1.0)]
    behind = [ratio for ratio in found if ratio.value.above(1.0)]
    level = [ratio for ratio in found if ratio.value.within(1.0, 1.0)]
    unsure = [ratio for ratio in found if ratio not in (*ahead, *behind, *level)]
    parts = []
    if ahead:
        parts.append(f"{verb} less {noun} than {baseline} {_where(ahead, found)}")
    if behind:
        more = "more" if parts else f"{verb} more {noun} than {baseline}"
        parts.append(f"{more} {_where(behind, found)}")
    if level:
        same = "the same" if parts else f"{verb} the same {noun} as {baseline}"
        at = "every n" if len(level) == len(found) else words.listed(ratio.n for ratio in level)
        parts.append(f"{same} at n = {at}".replace("n = every n", "every n compared"))
    if unsure:
        told = "with no clear difference"
        open_ = told if parts else f"showed no clear difference to {baseline} in {noun}"
        parts.append(f"{open_} {_where(unsure, found)}")
    n_star, _, _ = crossing(found)
    star = f", the two crossing at n* = {numbers.length(n_star)}" if n_star else ""
    return ", ".join(parts) + star


def _where(some: Sequence[Ratio], all_: Sequence[Ratio]) -> str:
    """Say at which n, quoting the ratio at the first and the last of them."""
    first, last = some[0], some[-1]
    if len(some) == 1:
        return f"at n = {first.n} (ratio {numbers.ratio(first.value)})"
    ends = (
        f"(ratio {numbers.ratio(first.value)} at n = {first.n}, "
        f"{numbers.ratio(last.value)} at n = {last.n})"
    )
    if len(some) == len(all_):
        return f"at every n compared {ends}"
    if list(some) == list(all_[-len(some) :]):
        return f"from n = {first.n} on {ends}"
    if list(some) == list(all_[: len(some)]):
        return f"up to n = {last.n} {ends}"
    return f"at n = {words.listed(ratio.n for ratio in some)} {ends}"
