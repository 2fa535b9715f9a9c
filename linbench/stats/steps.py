"""Where a history of runs changed its level: steps, dated, with their size.

Between runs the same code gives values that scatter more than the rounds within a run tell, so
noise is taken from the history itself. The runs are cut into levels by least squares, globally
optimal for each number of steps (dynamic programming; Bai and Perron 2003, doi:10.1002/jae.659).
Steps are added for as long as an F test says that those there are do not suffice: one more, or up
to four more at once, since what goes up and comes back hides from a test of one (the sequential and
double maximum tests of Bai and Perron 1998, doi:10.2307/2998540). That a step may lie anywhere is
in their asymptotic tables; here it is Bonferroni's inequality over all places, valid for few runs.

Three things that real machines do are provided for. A run that too few of its neighbours resemble
has no weight: one slow run is no step. What makes runs resemble their neighbours (drift) makes
steps of pure noise; the autocorrelation is measured over all histories of a machine and widens the
variance by (1 + r) / (1 - r), the long-run variance of an autoregression. And the chance of a false
step is shared among all histories that are looked at together.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from linbench.stats.interval import Interval
from linbench.stats.intervals import Floats, quantile

FALSE_ALARMS = 0.01
"""The chance that histories in which nothing changed show any step at all, together."""
MIN_LEVEL = 4
"""Runs that a level must last to be told from runs that are out of line."""
MIN_RUNS = 2 * MIN_LEVEL
"""Runs below which steps of a noisy history are undecided."""
HELD = 5
"""Runs that a step must have lasted for `Levels.would_find`."""

_NEIGHBOURS = 4  # on each side
_ALIKE = 3  # of them must be near, or a run is out of line
_NEAR = (4.0, 24.0)  # standard deviations: the first, and the second over the number of runs
_TO_DEVIATION = 1.4826 / math.sqrt(2)  # of the median absolute difference of neighbours
_FLOOR = 2e-4  # least standard deviation of a run: nothing that is timed repeats better
_AT_ONCE = 4
_DATE_BOUND = -2 * math.log(1 - math.sqrt(0.95))  # in variances, see `_date`


@dataclass(frozen=True)
class Step:
    """A change of level that lasted; places are indices of runs, ends and interval are at 95 %."""

    first: int
    """The first run of the new level: the best estimate."""
    earliest: int
    """The first run that may belong to the new level."""
    latest: int
    """The last run that may be the first of the new level."""
    change: Interval
    """New level minus old."""


@dataclass(frozen=True)
class Levels:
    """A history cut into levels; noise and what would be found are None where too few runs tell."""

    steps: tuple[Step, ...]
    fit: Floats
    """The level of each run."""
    out_of_line: tuple[int, ...]
    """Runs that have no weight: too few of their neighbours are like them."""
    noise: float | None
    """Standard deviation of a run around its level."""
    would_find: float | None
    """The smallest change that would have been found in 95 of 100 cases, had it lasted for the
    latest five runs."""


def find(histories: Sequence[tuple[ArrayLike, Sequence[Hashable]]]) -> list[Levels]:
    """Cut noisy histories of one machine into levels.

    Args:
        histories: What to look at together: `FALSE_ALARMS` is shared among those with enough runs,
            and their autocorrelation is taken to be one. Each is a value per run, in order
            (logarithms, or exponents), and what each run measured: several runs of one revision
            stand together, and no step lies between them.
    """
    cuts = [_Cuts(np.asarray(y, dtype=float), revisions) for y, revisions in histories]
    tested = [cut for cut in cuts if cut.most]
    alpha = FALSE_ALARMS / max(1, len(tested))
    widening = 1.0
    for _ in range(3):  # what passes for a step hides drift, so that the first answer finds less
        widening = _widening([cut.residuals(_count(cut, alpha, widening)) for cut in tested])
    return [_levels(cut, alpha, widening) for cut in cuts]


def find_exact(y: ArrayLike, tolerance: float) -> Levels:
    """Cut a history without noise into levels: every change beyond a tolerance is a step.

    A run after which the next one is back at the level is out of line instead.
    """
    values = np.asarray(y, dtype=float)
    fit = np.empty_like(values)
    steps, out_of_line, level = [], [], values[0]
    for i, value in enumerate(values):
        if abs(value - level) > tolerance:
            if i + 1 < len(values) and abs(values[i + 1] - level) <= tolerance:
                out_of_line.append(i)
            else:
                change = float(value - level)
                steps.append(Step(i, i, i, Interval(change, change, change)))
                level = value
        fit[i] = level
    return Levels(tuple(steps), fit, tuple(out_of_line), noise=0.0, would_find=tolerance)


class _Cuts:
    """The best cuts of a history into any number of levels, each found when it is asked for."""

    def __init__(self, y: Floats, revisions: Sequence[Hashable]) -> None:
        self.y = y
        self.kept = _in_line(y)
        self.weight = int(self.kept.sum())
        self.costs = _costs(y, self.kept, revisions)
        self._totals = [self.costs[0]]
        self._sources: list[NDArray[np.int64]] = []
        self.places = int(np.isfinite(self.costs[0] + self.costs[:, -1]).sum())
        self.most = self.weight // MIN_LEVEL - 1 if self.places else 0

    def total(self, steps: int) -> float:
        """Return the sum of squares around the best levels with some steps."""
        while len(self._totals) <= steps:
            over = self._totals[-1][:, None] + self.costs
            self._sources.append(over.argmin(axis=0))
            self._totals.append(over.min(axis=0))
        return float(self._totals[steps][-1])

    def bounds(self, steps: int) -> list[tuple[int, int]]:
        """Return start and end of the best levels."""
        self.total(steps)
        places = [len(self.y)]
        for source in reversed(self._sources[:steps]):
            places.append(int(source[places[-1]]))
        return list(pairwise([0, *reversed(places)]))

    def fit(self, steps: int) -> Floats:
        """Return the level of each run."""
        fit = np.empty_like(self.y)
        for start, end in self.bounds(steps):
            level = self.y[start:end][self.kept[start:end]]
            # with no run in line at all the middle is what is left
            fit[start:end] = level.mean() if level.size else np.median(self.y)
        return fit

    def residuals(self, steps: int) -> tuple[Floats, int]:
        """Return how far runs lie off their level, 0 if out of line; and the number of levels."""
        return np.where(self.kept, self.y - self.fit(steps), 0.0), steps + 1

    def variance(self, steps: int, widening: float) -> tuple[float, int]:
        """Return the variance of a run around its level, for tests, and its degrees of freedom."""
        freedom = self.weight - steps - 1
        return self.total(steps) / max(1, freedom) * widening + _FLOOR**2, freedom


def _in_line(y: Floats) -> NDArray[np.bool_]:
    """Say which runs enough of their neighbours resemble.

    How near counts as alike is set by how neighbours usually differ, which steps do not disturb.
    Where few runs tell that, more is allowed, or noise itself would be cleaned away.
    """
    count = len(y)
    if count < MIN_RUNS:
        return np.ones(count, dtype=bool)
    usual = max(_TO_DEVIATION * float(np.median(np.abs(np.diff(y)))), _FLOOR)
    near = usual * (_NEAR[0] + _NEAR[1] / count)
    alike = np.zeros(count, dtype=np.int64)
    for gap in range(1, _NEIGHBOURS + 1):
        close = np.abs(y[gap:] - y[:-gap]) <= near
        alike[gap:] += close
        alike[:-gap] += close
    return alike >= _ALIKE


def _costs(y: Floats, kept: NDArray[np.bool_], revisions: Sequence[Hashable]) -> Floats:
    """Return the squares around their mean of the runs from i up to j, infinite if no level."""
    values = np.where(kept, y - np.median(y), 0.0)
    sums = (np.concatenate([[0.0], np.cumsum(part)]) for part in (kept, values, values**2))
    count, total, squares = (part[None, :] - part[:, None] for part in sums)
    costs: Floats = np.maximum(squares - total**2 / np.maximum(count, 1), 0.0)
    costs[count < MIN_LEVEL] = np.inf
    if len(y) < MIN_RUNS:
        costs[0, -1] = 0.0  # one level of all there is
    within = [i for i in range(1, len(y)) if revisions[i] == revisions[i - 1]]
    costs[within, :] = np.inf
    costs[:, within] = np.inf
    return costs


def _count(cut: _Cuts, alpha: float, widening: float) -> int:
    """Return how many steps a history has: no more of them make it significantly better."""
    steps = 0
    while (more := _needed(cut, steps, alpha, widening)) > 0:
        steps += more
    return steps


def _needed(cut: _Cuts, steps: int, alpha: float, widening: float) -> int:
    """Return the fewest steps that are significantly missing, 0 for none."""
    for more in range(1, min(_AT_ONCE, cut.most - steps) + 1):
        variance, freedom = cut.variance(steps + more, widening)
        if not math.isfinite(variance) or freedom < 1:
            continue
        gain = (cut.total(steps) - cut.total(steps + more)) / more / variance
        choices = math.comb(max(cut.places, more), more)
        if choices * float(stats.f.sf(gain, more, freedom)) <= _share(alpha, more):
            return more
    return 0


def _share(alpha: float, more: int) -> float:
    """Return the chance of a false alarm for some steps at once: for each more a quarter."""
    return 3 * alpha * 0.25**more


def _widening(residuals: Sequence[tuple[Floats, int]]) -> float:
    """Return by how much autocorrelation widens the variance of a mean, at least 1.

    That of few values around their own mean comes out too small by (1 + 4 r) / n on average
    (Marriott and Pope 1954, Biometrika 41, 390-402), for each level; this is put right.
    """
    found = []
    for off, levels in residuals:
        squares = float(off @ off)
        if squares > 0:
            share = levels / len(off)
            found.append((float(off[1:] @ off[:-1]) / squares + share) / max(0.2, 1 - 4 * share))
    r: float = min(max(0.0, float(np.mean(found))), 0.9) if found else 0.0
    return (1 + r) / (1 - r)


def _levels(cut: _Cuts, alpha: float, widening: float) -> Levels:
    count = _count(cut, alpha, widening)
    variance, freedom = cut.variance(count, widening)
    tested = cut.most > 0 and freedom > 0
    bounds = cut.bounds(count)
    return Levels(
        steps=tuple(
            _step(cut, start, cutting, end, variance, freedom)
            for (start, cutting), (_, end) in pairwise(bounds)
        ),
        fit=cut.fit(count),
        out_of_line=tuple(np.flatnonzero(~cut.kept).tolist()),
        noise=math.sqrt(cut.total(count) / freedom) if tested else None,
        would_find=_would_find(cut, alpha, variance, freedom) if tested else None,
    )


def _step(cut: _Cuts, start: int, cutting: int, end: int, variance: float, freedom: int) -> Step:
    before = cut.y[start:cutting][cut.kept[start:cutting]]
    after = cut.y[cutting:end][cut.kept[cutting:end]]
    change = float(after.mean() - before.mean())
    half = quantile(freedom) * math.sqrt(variance * (1 / len(before) + 1 / len(after)))
    first = cutting + int(np.argmax(cut.kept[cutting:]))  # a run out of line starts no level
    earliest, latest = _date(cut.costs[start, :] + cut.costs[:, end], cutting, variance)
    return Step(first, earliest, max(first, latest), Interval(change, change - half, change + half))


def _date(costs: Floats, cutting: int, variance: float) -> tuple[int, int]:
    """Return the first and last place at which a step may be, at 95 %.

    Those places are kept whose likelihood ratio to the best one is not too small (Siegmund 1988,
    Confidence sets in change-point problems, International Statistical Review 56, 31-48). On each
    side the log likelihood ratio of a wrong place is a random walk that ever exceeds x with a
    chance of at most e^-x.
    """
    kept = np.flatnonzero(costs <= costs[cutting] + _DATE_BOUND * variance)
    return int(kept[0]), int(kept[-1])


def _would_find(cut: _Cuts, alpha: float, variance: float, freedom: int) -> float:
    held = min(HELD, cut.weight // 2)
    found = stats.t.isf(_share(alpha, 1) / cut.places / 2, freedom) + stats.t.ppf(0.95, freedom)
    return float(found) * math.sqrt(variance * (1 / held + 1 / (cut.weight - held)))
