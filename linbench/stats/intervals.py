"""Robust estimates with honest intervals from few rounds.

Values are logarithms of one cell each: one round of one case, the median over its calls. Cells are
laid out by size and round, `log y = size + round + noise`, so that what slows a whole round down
(drift, clocks, a neighbour) cancels from every comparison between sizes. A sweep visits cases in
random order, therefore the cells that remain are exchangeable. A cell that is out of line on the
slow side, where disturbances act, is flagged and gets no weight; what is left is plain least
squares with Student's t, which is exact for few rounds.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from linbench.stats.interval import Interval

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEVEL = 0.95
ALPHA_FLAG = 0.002  # chance of flagging any cell of an undisturbed layout
_MIN_PAIRS = 3
_EXACT = 1e-9  # log units: below it, cells are equal (memory often is, to the byte)


@dataclass(frozen=True)
class Layout:
    """Least squares of log values on sizes and rounds, without the flagged cells.

    Attributes:
        effects: The level of each group (size), up to the level of the first round.
        unscaled: The covariance of `effects` for noise of variance 1.
        noise: Standard deviation of a cell in log units; None where no freedom is left to know.
        freedom: Degrees of freedom of `noise`.
        flagged: Which cells were out of line on the slow side.
    """

    effects: Floats
    unscaled: Floats
    noise: float | None
    freedom: int
    flagged: NDArray[np.bool_]

    def contrast(self, weights: ArrayLike) -> Interval:
        """Return a weighted sum of the group levels with its interval.

        Args:
            weights: One weight per group; where rounds have effects they must sum to zero.
        """
        w = np.asarray(weights, dtype=float)
        value = _snap(float(w @ self.effects))
        if self.noise is None:
            return Interval(value)
        spread = float(self.noise * np.sqrt(max(w @ self.unscaled @ w, 0.0)))
        half = quantile(self.freedom) * spread if spread else 0.0
        return Interval(value, value - half, value + half)


def _snap(value: float) -> float:
    """Make a difference of equal logarithms exactly 0, so that a tie is a tie."""
    return 0.0 if abs(value) < _EXACT else value


def quantile(freedom: int) -> float:
    """Return the two-sided 95 % quantile of Student's t."""
    return float(special.stdtrit(freedom, 0.5 + LEVEL / 2))


def fit_layout(groups: Sequence[int] | Ints, rounds: Sequence[int] | Ints, y: ArrayLike) -> Layout:
    """Fit log values by group and round.

    Rounds get an effect only where every group can still be told from every other within rounds;
    otherwise (groups measured in rounds of their own) what a round adds counts as noise.

    Args:
        groups: The group of each cell, an index counting from 0 (a size).
        rounds: The round of each cell.
        y: The log value of each cell.
    """
    group = np.asarray(groups, dtype=np.int64)
    order = np.asarray(rounds, dtype=np.int64)
    values = np.asarray(y, dtype=float)
    count = int(group.max()) + 1
    design = (group[:, None] == np.arange(count)).astype(float)
    if count > 1:
        later = np.unique(order)[1:]
        both = np.hstack([design, (order[:, None] == later).astype(float)])
        # enough rounds in common: then the rank is that of all columns
        if np.linalg.matrix_rank(both) == both.shape[1]:
            design = both
    return _fit(design, values, count)


@dataclass(frozen=True)
class _Ols:
    coefficients: Floats
    inverse: Floats
    residuals: Floats
    leverage: Floats
    freedom: int

    @property
    def noise(self) -> float | None:
        if self.freedom < 1:
            return None
        noise = float(np.sqrt(self.residuals @ self.residuals / self.freedom))
        return noise if noise > _EXACT else 0.0


def _ols(design: Floats, y: Floats) -> _Ols:
    inverse: Floats = np.asarray(np.linalg.pinv(design.T @ design), dtype=np.float64)
    coefficients = inverse @ design.T @ y
    return _Ols(
        coefficients=coefficients,
        inverse=inverse,
        residuals=y - design @ coefficients,
        leverage=np.einsum("ij,jk,ik->i", design, inverse, design),
        freedom=len(y) - int(np.linalg.matrix_rank(design)),
    )


def _fit(design: Floats, y: Floats, count: int) -> Layout:
    flagged = _out_of_line(design, y)
    fit = _ols(design[~flagged], y[~flagged])
    return Layout(
        effects=fit.coefficients[:count],
        unscaled=fit.inverse[:count, :count],
        noise=fit.noise,
        freedom=fit.freedom,
        flagged=flagged,
    )


def _out_of_line(design: Floats, y: Floats) -> NDArray[np.bool_]:
    """Flag slow cells by the generalized extreme Studentized deviate procedure.

    Up to a third of the degrees of freedom may be flagged. Extremes are taken off one by one and
    the last that is significant decides, so that two of them cannot hide each other. Rosner 1983,
    doi:10.1080/00401706.1983.10487848, here with the residuals of a layout (externally
    Studentized, so that Student's t gives the bound) and on the slow side only.
    """
    keep = np.ones(len(y), dtype=bool)
    order: list[int] = []
    significant = 0
    for step in range(1, (len(y) - int(np.linalg.matrix_rank(design))) // 3 + 1):
        fit = _ols(design[keep], y[keep])
        if not fit.noise or fit.freedom < 3:
            break
        free = np.maximum(1 - fit.leverage, _EXACT)
        inner = np.where(free > 1e-6, fit.residuals / (fit.noise * np.sqrt(free)), 0.0)
        rest = np.maximum(fit.freedom - inner**2, _EXACT)
        outer = inner * np.sqrt((fit.freedom - 1) / rest)
        worst = int(np.argmax(outer))
        bound = special.stdtrit(fit.freedom - 1, 1 - ALPHA_FLAG / keep.sum())
        cell = int(np.flatnonzero(keep)[worst])
        keep[cell] = False
        if np.linalg.matrix_rank(design[keep]) < design.shape[1]:
            break  # the last cell of its size or round: nothing to hold it against
        order.append(cell)
        if outer[worst] > bound:
            significant = step
    flagged = np.zeros(len(y), dtype=bool)
    flagged[order[:significant]] = True
    return flagged


def location(y: ArrayLike) -> Interval:
    """Return the typical value of independent log values with its interval.

    Args:
        y: One log value per round.

    Returns:
        The median of the rounds with Student's interval around the mean of those in line, widened
        where needed to hold the median.
    """
    values = np.asarray(y, dtype=float)
    zeros = np.zeros(len(values), dtype=np.int64)
    mean = fit_layout(zeros, np.arange(len(values)), values).contrast([1.0])
    return _around(float(np.median(values)), mean)


def difference(first: Mapping[int, float], second: Mapping[int, float]) -> Interval:
    """Return how far the second group of log values lies above the first.

    Rounds are compared within themselves where at least three hold both groups; otherwise the
    groups count as independent of each other. A group of one round has no noise of its own and
    is taken to scatter as the other does.

    Args:
        first: Log value by round of one group.
        second: Log value by round of the other.
    """
    common = sorted(first.keys() & second.keys())
    if len(common) < _MIN_PAIRS:
        groups = [0] * len(first) + [1] * len(second)
        values = [*first.values(), *second.values()]
        rounds = range(len(values))  # no two cells in one round: no effect of rounds
        value = float(np.median([*second.values()]) - np.median([*first.values()]))
        return _around(value, fit_layout(groups, rounds, values).contrast([-1.0, 1.0]))
    groups = [0] * len(common) + [1] * len(common)
    values = [first[i] for i in common] + [second[i] for i in common]
    value = float(np.median([second[i] - first[i] for i in common]))
    return _around(value, fit_layout(groups, [*common, *common], values).contrast([-1.0, 1.0]))


def _around(value: float, mean: Interval) -> Interval:
    value = _snap(value)
    if mean.low is None or mean.high is None:
        return Interval(value)
    low, high = min(mean.low, value), max(mean.high, value)
    return Interval(value, low, high) if high - low > _EXACT else Interval(value, value, value)


def half_width(values: Sequence[float]) -> float:
    """Return the relative half-width of a 95 % interval for a typical value, rounds as units.

    Student's t on the logarithms of positive values; infinite for fewer than two.
    """
    if len(values) < 2:
        return math.inf
    logs = np.log(values)
    factor = float(special.stdtrit(len(logs) - 1, 0.975))
    return math.expm1(factor * float(np.std(logs, ddof=1)) / math.sqrt(len(logs)))
