"""The sentences a report opens with. Each is carried by the intervals it quotes."""

import itertools
from collections.abc import Sequence

from linbench import words
from linbench.run.case import Case
from linbench.run.metrics import TIME, Metric
from linbench.run.record import Header
from linbench.run.runs import Series
from linbench.studies.crossover import Ratio, bases_of, crossing
from linbench.studies.labels import label_of, wording
from linbench.studies.scaling.analyse import Answer, PerMetric
from linbench.studies.scaling.charts import main_lines, weights_note
from linbench.studies.scaling.drift import by_round
from linbench.studies.scaling.growth import Scaling


def sentences(panel: Answer) -> list[str]:
    """Return what a panel shows: growth first, then who costs less than whom, and from which n."""
    measured = panel.per_metric
    candidates = _wins(measured)
    return [
        *(_growth(panel.scalings, metric) for metric in measured if metric.is_cost),
        *(_levels(metric, own) for metric, own in measured.items() if not metric.is_cost),
        *(
            f"**{label_of(key, candidates)}** {'; it '.join(said)}."
            for key, said in candidates.items()
        ),
        *filter(None, [weights_note(measured)]),
    ]


def _growth(scalings: Sequence[Scaling], metric: Metric) -> str:
    own = [one for one in scalings if one.series.metric == metric]
    kept = main_lines([one.series for one in own])
    keys = [series.key for series in kept]
    parts, unknown = [], []
    for one in own:
        name, estimate = f"**{label_of(one.series.key, keys)}**", one.exponent
        if one.series not in kept:
            continue
        if estimate.slope and estimate.slope.bounded:
            grounds = f"{one.growth.word}, n = {words.span(estimate.sizes)}"
            parts.append(f"n^{words.slope(estimate.slope)} for {name} ({grounds})")
        else:
            unknown.append(f"{name} ({estimate.reason}; {estimate.remedy})")
    said = [f"{wording(metric).title} grew as {words.listed(parts)}."] if parts else []
    if unknown:
        said.append(f"How {wording(metric).noun} grew is not known for {words.listed(unknown)}.")
    return " ".join(said)


def _levels(metric: Metric, series: Sequence[Series]) -> str:
    """Say what was measured of a metric that has no exponents, at the largest n of each series."""
    kept = main_lines(series)
    keys = [one.key for one in kept]
    parts = (
        f"{words.with_interval(one.point(one.sizes[-1]).value, metric.unit)} for "
        f"**{label_of(one.key, keys)}** (n = {one.sizes[-1]})"
        for one in kept
    )
    return f"{wording(metric).title} was {words.listed(parts)}."


def _wins(panel: PerMetric) -> dict[Case, list[str]]:
    """Say where each implementation beats vanilla and the best exact one, and where it does not."""
    said: dict[Case, list[str]] = {}
    for series in map(main_lines, panel.values()):
        for one, basis in itertools.product(series, bases_of(series)):
            if one in basis.candidates and (found := basis.ratios(one)):
                said.setdefault(one.key, []).append(_against(found, best=basis.best))
    return said


def _against(found: Sequence[Ratio], *, best: bool) -> str:
    """Say over ascending n where a candidate costs less than its baseline, and where not."""
    metric, said = found[0].metric, wording(found[0].metric)
    names = list(dict.fromkeys(ratio.baseline.label for ratio in found))
    baseline = f"the best exact implementation ({' or '.join(names)})" if best else names[0]
    better, worse = ("less", "more") if metric.better == "less" else ("more", "less")
    ahead = [ratio for ratio in found if ratio.cost.below(1.0)]
    behind = [ratio for ratio in found if ratio.cost.above(1.0)]
    level = [ratio for ratio in found if ratio.cost.within(1.0, 1.0)]
    unsure = [ratio for ratio in found if ratio not in (*ahead, *behind, *level)]
    parts: list[str] = []
    for some, first, further in (
        (ahead, f"{said.verb} {better} {said.noun} than {baseline}", better),
        (behind, f"{said.verb} {worse} {said.noun} than {baseline}", worse),
        (level, f"{said.verb} the same {said.noun} as {baseline}", "the same"),
        (
            unsure,
            f"showed no clear difference to {baseline} in {said.noun}",
            "with no clear difference",
        ),
    ):
        if some:
            where = _where(some, found, quoting=some is not level)
            parts.append(f"{further if parts else first} {where}")
    n_star = crossing(found)[0] if metric.is_cost else None
    star = f", the two crossing at n* = {words.length(n_star)}" if n_star else ""
    return ", ".join(parts) + star


def _where(some: Sequence[Ratio], all_: Sequence[Ratio], *, quoting: bool) -> str:
    """Say at which n, quoting the ratio at the first and the last of them."""
    sizes, every = [ratio.n for ratio in some], [ratio.n for ratio in all_]
    first, last = (words.ratio(ratio.value) for ratio in (some[0], some[-1]))
    if not quoting:
        return "at every n compared" if sizes == every else f"at n = {words.listed(sizes)}"
    if len(sizes) == 1:
        return f"at n = {sizes[0]} (ratio {first})"
    if sizes == every:
        where = "at every n compared"
    elif sizes == every[-len(sizes) :]:
        where = f"from n = {sizes[0]} on"
    elif sizes == every[: len(sizes)]:
        where = f"up to n = {sizes[-1]}"
    else:
        where = f"at n = {words.listed(sizes)}"
    return f"{where} (ratio {first} at n = {sizes[0]}, {last} at n = {sizes[-1]})"


def drift(header: Header, answer: Answer) -> str | None:
    """Say how much the speed of the machine moved from round to round, if there are two."""
    own = (one for one in answer.series if one.run_id == header.run_id and one.metric == TIME)
    speeds = by_round(own)
    if len(speeds) < 2:
        return None
    low, high = min(speeds.values()), max(speeds.values())
    order = (
        "cases are visited in random order, so that drift widens intervals and does not tilt slopes"
    )
    if header.linbench.startswith("pytest-benchmark"):
        order = (
            "all rounds visit the cases in the same order, so that drift within a round may tilt "
            "slopes"
        )
    return (
        f"Over the {len(speeds)} rounds of `{header.run_id}` the machine's speed drifted by "
        f"{high - low:.1%} (rounds took {_off(low)} to {_off(high)} than their cases usually "
        f"take); {order}."
    )


def _off(share: float) -> str:
    return f"{abs(share):.1%} {'less' if share < 0 else 'more'}"


def disturbed(answer: Answer) -> str | None:
    """Say how many rounds something else on the machine slowed down, if any."""
    own = [one.disturbed for series in answer.per_metric.get(TIME, ()) for one in series.readings]
    if not any(own):
        return None
    return (
        f"{words.plural(sum(own), 'round')} of {len(own)} took 1.5 times as long as the other "
        "rounds of the case or more: something else ran on the machine. These have no weight in "
        "any estimate, and are in the run file and in the count of rounds."
    )
