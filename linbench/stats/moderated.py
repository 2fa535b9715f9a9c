"""Typical values of many cases from few rounds each, with noise learnt from all cases together.

Five rounds of one case say little about its noise; twelve cases of five rounds say much about what
noise is usual. Each case's variance is therefore moderated: drawn towards the usual one by as much
as the cases resemble each other (empirical Bayes; Smyth 2004, doi:10.2202/1544-6115.1027), which
leaves a case that is noisier than the others noisier. Rounds are the independent units. Since what
slows a round down slows all its cases, variances of cases are not independent of each other, and
what they say together counts for less (`_pooled_freedom`).
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from linbench.stats.interval import Interval
from linbench.stats.intervals import Floats

MIN_ROUNDS = 3
"""Of two rounds none can be seen to be out of line, and one slow call makes a regression."""
RUNS_KNOWN = 4.0
NONE, SLOW, BOTH = (0.0, 0.0), (0.0, 0.4), (0.2, 0.2)
"""Shares of rounds without weight, at the low and at the high end. Where noise comes in bursts, one
makes a time long, but a ratio of two times long or short."""
_FAR = 4.0  # standard deviations
_EXACT = 1e-9  # log units
_LEAST = 1e-5  # of the usual variance: a case cannot be known to be quieter than that
_MEDIAN = math.pi / 2  # variance of a median over that of a mean, of many normal values
_TO_DEVIATION = 1.4826  # times the median absolute deviation, for normal noise


Cells = Mapping[str, Mapping[int, float]]
"""Log values by case and round."""


@dataclass(frozen=True)
class Typical:
    """A log value that stands for several rounds or runs.

    Attributes:
        value: The typical log value.
        error: Its variance; None where nothing tells it.
        freedom: Degrees of freedom of `error`; may be infinite.
        count: How many rounds there are; 0 where more of them would not help.
    """

    value: float
    error: float | None
    freedom: float = math.inf
    count: int = 0

    def interval(self, below: float, above: float) -> Interval:
        """Return the value with its interval, without ends where its noise is unknown.

        Args:
            below: The chance that the truth lies below the interval.
            above: The chance that it lies above.
        """
        if self.error is None:
            return Interval(self.value)
        spread = math.sqrt(self.error)
        down, up = (
            -float(special.stdtrit(self.freedom, tail)) * spread if spread else 0.0
            for tail in (below, above)
        )
        return Interval(self.value, self.value - down, self.value + up)


@dataclass(frozen=True)
class Noise:
    """What is known of the noise of one case.

    Attributes:
        variance: Of one unit (a round or a run).
        freedom: Its degrees of freedom, at least 1.
        off: How far each unit lies from the case's mean.
        expected: The variance that was to be expected; 0 where nothing was.
    """

    variance: float
    freedom: int
    off: Mapping[int, float]
    expected: float = 0.0


def paired(cells: Cells) -> dict[str, Typical]:
    """Return the typical log ratio of each case, from log ratios by case and round."""
    return _typical([cells], BOTH if _far_out([cells]) else NONE)[0]


def apart(first: Cells, second: Cells) -> dict[str, Typical]:
    """Return how far the second run of each case lies above the first.

    Args:
        first: Log values by case and round.
        second: The same of another run; rounds of equal number have nothing in common.
    """
    both = [first, second]
    old, new = _typical(both, SLOW if _far_out(both) else NONE)
    return {case: difference(old[case], new[case]) for case in first if case in old and case in new}


def _typical(runs: Sequence[Cells], trim: tuple[float, float]) -> list[dict[str, Typical]]:
    """Return the mean of each case's rounds, in each run, with its noise from `MIN_ROUNDS` on.

    Without the shares `trim` of the rounds at the low and the high end it is a trimmed mean, its
    variance that of winsorized rounds (Yuen 1974, doi:10.1093/biomet/61.1.165).
    """
    means = [_means(cells, trim) for cells in runs]
    moderated = moderate([noise for _, noise in means])
    return [
        {
            case: _of_rounds(value, noise.get(case), len(cells[case]))
            for case, value in values.items()
        }
        for (values, _), noise, cells in zip(means, moderated, runs, strict=True)
    ]


def _means(cells: Cells, trim: tuple[float, float]) -> tuple[dict[str, float], dict[str, Noise]]:
    values: dict[str, float] = {}
    noise: dict[str, Noise] = {}
    for case, rounds in cells.items():
        if not rounds:
            continue
        ordered = sorted(rounds.values())
        low, high = (
            int(share * len(ordered)) if len(ordered) > MIN_ROUNDS else 0 for share in trim
        )
        kept = ordered[low : len(ordered) - high]
        values[case] = statistics.fmean(kept)
        if len(rounds) >= MIN_ROUNDS:
            clipped = {i: min(max(y, kept[0]), kept[-1]) for i, y in rounds.items()}
            around = _around(clipped)
            variance = math.fsum(y**2 for y in around.values()) * len(ordered)
            noise[case] = Noise(variance / (len(kept) * (len(kept) - 1)), len(kept) - 1, around)
    return values, noise


def _around(values: Mapping[int, float]) -> dict[int, float]:
    middle = statistics.fmean(values.values())
    return {i: y - middle for i, y in values.items()}


def _of_rounds(value: float, noise: tuple[float, float] | None, count: int) -> Typical:
    if noise is None:
        return Typical(value, None)
    return Typical(value, noise[0] / count, noise[1], count)


def _far_out(tables: Sequence[Cells]) -> bool:
    """Whether any round lies so far from its case's median that noise comes in bursts."""
    off, usual = [], []
    for rounds in (rounds for cells in tables for rounds in cells.values()):
        if len(rounds) >= MIN_ROUNDS:
            median = statistics.median(rounds.values())
            own = sorted((y - median for y in rounds.values()), key=abs)
            off += own
            usual += own[1:]  # the median itself, or the nearest to it, is no deviation
    far = _FAR * _TO_DEVIATION * statistics.median(map(abs, usual)) if usual else 0.0
    return far > 0 and max(map(abs, off)) > far


def beyond_runs(runs: Sequence[Cells], one_more: Cells) -> dict[str, Typical]:
    """Return how far one more run of each case lies above the median of some runs.

    It differs from them at least as they differ from each other. Runs are few, and what makes one
    slow makes all its cases slow: how they differ cannot be learnt from other cases. What rounds
    within the runs lead to expect of it counts as much as `RUNS_KNOWN` more runs would; where runs
    differ by more than that, their variance grows. A single run (or a quarter) far out of line, a
    lucky one or one of a bad hour, has no weight in it.

    Args:
        runs: Log values by case and round of each run.
        one_more: The same of the one more.
    """
    trim = SLOW if _far_out([*runs, one_more]) else NONE
    *before, after = _typical([*runs, one_more], trim)
    values = {case: [run[case].value for run in before if case in run] for case in after}
    noise: dict[str, Noise] = {}
    for case, own in values.items():
        errors = [run[case].error for run in before if case in run]
        within = statistics.fmean(e or 0.0 for e in errors) if errors else 0.0
        if own and (len(own) >= MIN_ROUNDS or within):
            around = _around({i: own[i] for i in _in_line(own, within)})
            freedom = len(around) - 1
            square = math.fsum(y**2 for y in around.values())
            noise[case] = Noise(square / max(1, freedom), freedom, around, within)
    (moderated,) = moderate([noise], RUNS_KNOWN)
    found = {}
    for case, own in values.items():
        if own:
            old, new = Typical(statistics.median(own), None), replace(after[case], count=0)
            if case in moderated and new.error is not None:
                between, free = moderated[case]
                old = Typical(old.value, between * _of_median(len(own)), free)
                if between > new.error:
                    new = Typical(new.value, between, free)
            found[case] = difference(old, new)
    return found


def _in_line(runs: Sequence[float], expected: float) -> list[int]:
    """Return which runs of a case are not far out of line, by the others and by their rounds."""
    kept = list(range(len(runs)))
    for _ in range(max(1, len(runs) // 4) if len(runs) >= MIN_ROUNDS else 0):
        median = statistics.median(runs[i] for i in kept)
        worst = max(kept, key=lambda i: abs(runs[i] - median))
        usual = max(statistics.variance(runs[i] for i in kept if i != worst), expected)
        if abs(runs[worst] - median) <= _FAR * math.sqrt(usual):
            break
        kept.remove(worst)
    return kept


def _of_median(count: int) -> float:
    """Return the variance of a median over that of one value (that of a mean up to two)."""
    return min(_MEDIAN, max(1.0, count / 2)) / count


def difference(first: Typical, second: Typical) -> Typical:
    """Return how far the second lies above the first, its freedom by Satterthwaite's rule."""
    value = second.value - first.value
    value = 0.0 if abs(value) < _EXACT else value
    if first.error is None or second.error is None:
        return Typical(value, None)
    error = first.error + second.error
    parts = first.error**2 / first.freedom + second.error**2 / second.freedom
    freedom = error**2 / parts if parts > 0 else math.inf
    return Typical(value, error, freedom, min(first.count, second.count))


def moderate(
    tables: Sequence[Mapping[str, Noise]], known: float = 0.0
) -> list[dict[str, tuple[float, float]]]:
    """Draw the variance of each case towards what is usual of the others.

    A case that is noisier than the others lead to expect keeps its own variance: the less likely
    it is as one of them, the less they count (as in Phipson et al. 2016, doi:10.1214/16-AOAS920).

    Args:
        tables: What is known of each case, in one run or in each of two. The runs may be of
            unlike noise, but a case that is out of line in one of them is so in both.
        known: How many degrees of freedom what was expected beforehand counts for.

    Returns:
        For each table the moderated variance of each case and its degrees of freedom.
    """
    usual = [_usual(table, known) for table in tables]
    found = []
    for table, of_table in zip(tables, usual, strict=True):
        moderated = {}
        for case, one in table.items():
            variance, weight, _ = of_table[case]
            weight *= min(of_other[case][2] for of_other in usual if case in of_other)
            freedom = weight + one.freedom
            moderated[case] = (
                (weight * variance + one.freedom * one.variance) / freedom,
                freedom,
            )
        found.append(moderated)
    return found


def _usual(table: Mapping[str, Noise], known: float) -> dict[str, tuple[float, float, float]]:
    """Return for each case the variance usual of the others, its weight, and how alike it is."""
    scale = np.array([one.expected for one in table.values()])
    if not known or not scale.all():
        scale, known = np.ones(len(table)), 0.0
    squares = np.array([one.variance for one in table.values()]) / scale
    freedom = np.array([one.freedom for one in table.values()], dtype=float)
    if not squares.any() or (len(table) < 2 and not known):
        return dict.fromkeys(table, (0.0, 0.0, 1.0))
    squares = np.maximum(squares, _LEAST * np.median(squares[squares > 0]))
    pooled = _pooled_freedom(freedom, [one.off for one in table.values()])
    found = {}
    for i, case in enumerate(table):
        usual, weight, free = 1.0, known, float(freedom[i])
        if len(table) > 1:
            others = np.arange(len(table)) != i
            usual, alike = _prior(squares[others], freedom[others])
            usual = (pooled * usual + known) / (pooled + known)
            weight += min(alike, max(0.0, pooled - free))
        chance = float(special.fdtrc(free, weight, squares[i] / usual)) if weight else 1.0
        found[case] = (usual * float(scale[i]), weight, min(1.0, 2 * len(table) * chance))
    return found


def _prior(squares: Floats, freedom: Floats) -> tuple[float, float]:
    """Return the usual variance and its weight in degrees of freedom, by moments of log variances.

    Smyth 2004, section 6.2: log variances scatter by trigamma(f / 2) for their few degrees of
    freedom alone; what they scatter beyond is how much cases really differ.
    """
    logs = np.log(squares) - special.digamma(freedom / 2) + np.log(freedom / 2)
    beyond = 0.0
    if len(logs) > 1:
        beyond = float(np.var(logs, ddof=1) - np.mean(special.polygamma(1, freedom / 2)))
    if beyond <= 0:
        return float(squares @ freedom / freedom.sum()), math.inf
    half = _trigamma_inverse(beyond)
    return float(np.exp(np.mean(logs) + special.digamma(half) - np.log(half))), 2 * half


def _trigamma_inverse(value: float) -> float:
    """Solve trigamma(y) = value by Newton's method (Smyth 2004, appendix)."""
    if value > 1e7:
        return 1 / math.sqrt(value)
    if value < 1e-6:
        return 1 / value
    y = 0.5 + 1 / value
    for _ in range(50):
        now = float(special.polygamma(1, y))
        step = now * (1 - now / value) / float(special.polygamma(2, y))
        y += step
        if -step / y < 1e-8:
            break
    return y


def _pooled_freedom(freedom: Floats, off: Sequence[Mapping[int, float]]) -> float:
    """Return what the variances of all cases are worth together, in degrees of freedom.

    Independent cases would add up. Where cases of a round correlate by r, the variance of their
    mean square is greater by 1 + (cases - 1) r², with the mean of r² over pairs of cases. By
    chance alone r² is 1 / (units - 1), which is taken off; of two units only the sign of r speaks.
    """
    units = sorted(set().union(*off))
    scores = np.array([[one.get(i, 0.0) for i in units] for one in off])
    norms = np.linalg.norm(scores, axis=1)
    scores = scores[norms > 0] / norms[norms > 0, None]
    count = len(scores)
    if count < 2:
        return float(freedom.sum())
    pairs = count * (count - 1)
    products = scores @ scores.T
    alike = max(0.0, (products.sum() - count) / pairs) ** 2
    by_chance = 1 / float(np.mean(freedom))
    if by_chance < 1:
        squared = ((products**2).sum() - count) / pairs
        alike = max(alike, (squared - by_chance) / (1 - by_chance))
    return float(freedom.sum() / (1 + (len(freedom) - 1) * min(1.0, alike)))
