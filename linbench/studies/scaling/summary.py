"""The sentences a report opens with. Each is carried by the intervals it quotes."""

from collections.abc import Sequence

from linbench import words
from linbench.run.case import Case
from linbench.run.metrics import TIME, Metric
from linbench.run.record import Header
from linbench.run.runs import Series
from linbench.studies.crossover import Ratio, bases_of, crossing
from linbench.studies.labels import label_of, wording
from linbench.studies.scaling.analyse import Answer, PerMetric, Scaling
from linbench.studies.scaling.charts import main_lines, weights_note
from linbench.studies.scaling.drift import by_round


def sentences(panel: Answer) -> list[str]:
    """Return what a panel shows: growth first, then who costs less than whom, and from which n."""
    measured = panel.per_metric
    fits: dict[Metric, list[Scaling]] = {}
    for one in panel.scalings:
        fits.setdefault(one.series.metric, []).append(one)
    found = [f"{wording(metric).title} grew as {_growth(own)}." for metric, own in fits.items()]
    found += [_levels(metric, own) for metric, own in measured.items() if metric.scale == "linear"]
    candidates = _wins(measured)
    found += [
        f"**{label_of(key, candidates)}** {'; it '.join(said)}." for key, said in candidates.items()
    ]
    return [*found, *filter(None, [weights_note(measured)])]


def _growth(scalings: Sequence[Scaling]) -> str:
    kept = main_lines([one.series for one in scalings])
    keys = [series.key for series in kept]
    parts = []
    for one in scalings:
        if one.series not in kept:
            continue
        name, estimate = f"**{label_of(one.series.key, keys)}**", one.exponent
        if estimate.slope is None or not estimate.slope.bounded:
            parts.append(f"not known for {name} ({estimate.reason}; {estimate.remedy})")
            continue
        first, last = estimate.sizes[0], estimate.sizes[-1]
        over = f"n = {words.tokens(first)} to {words.tokens(last)}"
        parts.append(f"n^{words.slope(estimate.slope)} for {name} ({one.growth.word}, {over})")
    return words.listed(parts)


def _levels(metric: Metric, series: Sequence[Series]) -> str:
    """Say what was measured of a metric on a linear scale, at the largest n of each series."""
    kept = main_lines(series)
    keys = [one.key for one in kept]
    last = [(one, one.point(one.sizes[-1])) for one in kept]
    parts = (
        f"{words.with_interval(point.value, metric.unit)} for **{label_of(one.key, keys)}** "
        f"(n = {words.tokens(point.n)})"
        for one, point in last
    )
    return f"{wording(metric).title} was {words.listed(parts)}."


def _wins(panel: PerMetric) -> dict[Case, list[str]]:
    """Say where each implementation beats vanilla and the best exact one, and where it does not."""
    said: dict[Case, list[str]] = {}
    for series in panel.values():
        bases = bases_of(main_lines(series))
        for one in main_lines(series):
            for basis in bases:
                if one in basis.candidates and (found := basis.ratios(one)):
                    said.setdefault(one.key, []).append(against(found, best=basis.best))
    return said


def against(found: Sequence[Ratio], *, best: bool = False) -> str:
    """Say in words where a candidate costs less than its baseline, and where it does not.

    Args:
        found: The ratios over ascending n.
        best: Whether the baseline is the best exact implementation of each n.
    """
    names = list(dict.fromkeys(ratio.baseline.label for ratio in found))
    baseline = f"the best exact implementation ({' or '.join(names)})" if best else names[0]
    metric = found[0].metric
    verb, noun = wording(metric).verb, wording(metric).noun
    better, worse = ("less", "more") if metric.better == "less" else ("more", "less")
    ahead = [ratio for ratio in found if ratio.cost.below(1.0)]
    behind = [ratio for ratio in found if ratio.cost.above(1.0)]
    level = [ratio for ratio in found if ratio.cost.within(1.0, 1.0)]
    unsure = [ratio for ratio in found if ratio not in (*ahead, *behind, *level)]
    parts = []
    if ahead:
        parts.append(f"{verb} {better} {noun} than {baseline} {_where(ahead, found)}")
    if behind:
        lost = worse if parts else f"{verb} {worse} {noun} than {baseline}"
        parts.append(f"{lost} {_where(behind, found)}")
    if level:
        same = "the same" if parts else f"{verb} the same {noun} as {baseline}"
        at = f"n = {words.listed(ratio.n for ratio in level)}"
        parts.append(f"{same} at {'every n compared' if len(level) == len(found) else at}")
    if unsure:
        unclear = f"showed no clear difference to {baseline} in {noun}"
        parts.append(f"{'with no clear difference' if parts else unclear} {_where(unsure, found)}")
    n_star, _, _ = crossing(found)
    star = f", the two crossing at n* = {words.length(n_star)}" if n_star else ""
    return ", ".join(parts) + star


def _where(some: Sequence[Ratio], all_: Sequence[Ratio]) -> str:
    """Say at which n, quoting the ratio at the first and the last of them."""
    first, last = some[0], some[-1]
    if len(some) == 1:
        return f"at n = {first.n} (ratio {words.ratio(first.value)})"
    ends = (
        f"(ratio {words.ratio(first.value)} at n = {first.n}, "
        f"{words.ratio(last.value)} at n = {last.n})"
    )
    if len(some) == len(all_):
        return f"at every n compared {ends}"
    if list(some) == list(all_[-len(some) :]):
        return f"from n = {first.n} on {ends}"
    if list(some) == list(all_[: len(some)]):
        return f"up to n = {last.n} {ends}"
    return f"at n = {words.listed(ratio.n for ratio in some)} {ends}"


def drift(header: Header, answer: Answer) -> str | None:
    """Say how much the speed of the machine moved from round to round, if there are two."""
    own = (one for one in answer.series if one.run_id == header.run_id and one.metric == TIME)
    speeds = by_round(own)
    if len(speeds) < 2:
        return None
    low, high = min(speeds.values()), max(speeds.values())
    in_one_order = header.linbench.startswith("pytest-benchmark")
    order = (
        "all rounds visit the cases in the same order, so that drift within a round may tilt slopes"
        if in_one_order
        else "cases are visited in random order, so that drift widens intervals and does not tilt "
        "slopes"
    )
    return (
        f"Over the {len(speeds)} rounds of `{header.run_id}` the machine's speed drifted by "
        f"{high - low:.1%} (rounds took {low:+.1%} to {high:+.1%} of what their cases usually "
        f"take); {order}."
    )


def disturbed(answer: Answer) -> str | None:
    """Say how many rounds something else on the machine slowed down, if any."""
    own = [reading for one in answer.series if one.metric == TIME for reading in one.readings]
    count = sum(reading.disturbed for reading in own)
    if not count:
        return None
    return (
        f"{words.plural(count, 'round')} of {len(own)} took 1.5 times as long as the other rounds "
        "of the case or more: something else ran on the machine. These have no weight in any "
        "estimate, and are in the run file and in the count of rounds."
    )
