"""Laws of cost against n: constant, linear, linearithmic and quadratic, fitted and compared.

Each law is a sum of terms with coefficients that cannot be negative (no part of a call gives time
or memory back), fitted in relative error, since noise is relative and n spans orders of magnitude;
absolute error would let the largest n decide alone. The laws are compared by AICc weights:
Burnham and Anderson 2002, doi:10.1007/b97636; Hurvich and Tsai 1989, doi:10.1093/biomet/76.2.297.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from linbench.run.runs import Series
from linbench.stats.interval import Interval
from linbench.stats.intervals import Floats, Layout

_TERMS: dict[str, Callable[[Floats], Floats]] = {
    "1": np.ones_like,
    "n": lambda n: n,
    "n log n": lambda n: n * np.log(n),
    "n²": lambda n: n**2,
}
LAWS: dict[str, tuple[str, ...]] = {
    "a": ("1",),
    "a+bn": ("1", "n"),
    "a+bn log n": ("1", "n log n"),
    "a+bn+cn²": ("1", "n", "n²"),
}
_FLOOR = 1e-3  # relative; alignment and rounding, even of exact memory, are no evidence of a law
_DRAWS = 200


@dataclass(frozen=True)
class Law:
    """One law fitted to a series.

    Attributes:
        name: `a`, `a+bn`, `a+bn log n` or `a+bn+cn²`.
        terms: The terms it sums, as `1`, `n`, `n log n`, `n²`.
        coefficients: One per term, in the unit of the metric; never negative.
        weight: Its AICc weight among the laws, 0 to 1.
        misfit: Root mean square of its relative error over the sizes.
        shares: The share of each term in the cost at the largest n measured.
    """

    name: str
    terms: tuple[str, ...]
    coefficients: tuple[float, ...]
    weight: float
    misfit: float
    shares: tuple[Interval, ...]

    def cost(self, n: float) -> float:
        """Return the cost at n, in the unit of the metric."""
        return float(_design(self.terms, [n])[0] @ self.coefficients)

    def slope(self, n: float) -> float:
        """Return d log cost / d log n at n."""
        slopes = {"1": 0.0, "n": 1.0, "n log n": 1.0 + 1.0 / max(np.log(n), 1e-3), "n²": 2.0}
        parts = _design(self.terms, [n])[0] * self.coefficients
        return float(parts @ [slopes[term] for term in self.terms] / parts.sum())

    def share(self, term: str) -> Interval:
        """Return the share of a term at the largest n; 0 where the law does not have it."""
        return dict(zip(self.terms, self.shares, strict=True)).get(term, Interval(0.0, 0.0, 0.0))


def _design(terms: Sequence[str], sizes: ArrayLike) -> Floats:
    n = np.asarray(sizes, dtype=np.float64)
    return np.stack([_TERMS[term](n) for term in terms], axis=1)


def fit_laws(series: Series) -> list[Law]:
    """Fit every law to a series, the best first; none where there are fewer than three sizes."""
    sizes = series.sizes
    if len(sizes) < 3:
        return []
    layout = series.layout(sizes)
    centre = float(layout.effects.mean())
    in_line = [one.n for one in itertools.compress(series.in_line, ~layout.flagged)]
    data = _Data(
        sizes=np.asarray(sizes, dtype=float),
        levels=np.exp(layout.effects - centre),
        readings=np.asarray([max(1, in_line.count(n)) for n in sizes], dtype=float),
        layout=layout,
    )
    fits = {name: _fit(terms, data) for name, terms in LAWS.items()}
    scores = {name: _aicc(errors, len(LAWS[name]), data) for name, (_, errors) in fits.items()}
    best = min(scores.values())
    chances = {
        name: float(np.exp((best - score) / 2)) if np.isfinite(score) else 0.0
        for name, score in scores.items()
    }
    laws = [
        Law(
            name=name,
            terms=LAWS[name],
            coefficients=tuple((coefficients * np.exp(centre)).tolist()),
            weight=chances[name] / (sum(chances.values()) or 1.0),
            misfit=float(np.sqrt(np.mean(errors**2))),
            shares=_shares(LAWS[name], coefficients, errors, data),
        )
        for name, (coefficients, errors) in fits.items()
    ]
    return sorted(laws, key=lambda law: (-law.weight, law.misfit))


@dataclass(frozen=True)
class _Data:
    """What laws are fitted to: the level of each size, and how many readings stand behind it."""

    sizes: Floats
    levels: Floats
    readings: Floats
    layout: Layout


def _fit(terms: Sequence[str], data: _Data, noise: Floats | None = None) -> tuple[Floats, Floats]:
    """Return the coefficients and the relative errors of the weighted non-negative fit.

    With relative noise to add, `[sizes, draws]`, both results have a column per draw.
    """
    design = _design(terms, data.sizes)
    unit = design.max(axis=0)  # terms of one size keep the products well conditioned
    relative = design / unit / data.levels[:, None]
    weights = np.sqrt(data.readings)[:, None]
    target = np.ones((len(data.sizes), 1)) if noise is None else 1 + noise
    solution = _non_negative(relative * weights, target * weights)
    errors = relative @ solution - target
    coefficients = solution / unit[:, None]
    return (coefficients[:, 0], errors[:, 0]) if noise is None else (coefficients, errors)


def _non_negative(design: Floats, targets: Floats) -> Floats:
    """Solve least squares with non-negative coefficients, exactly, for many targets at once.

    With three terms at most, the best of all choices of terms is found by trying them all: from a
    design `[rows, terms]` and targets `[rows, draws]` to coefficients `[terms, draws]`.
    """
    terms = design.shape[1]
    best = np.zeros((terms, targets.shape[1]))
    least = (targets**2).sum(axis=0)
    for count in range(1, terms + 1):
        for chosen in map(list, itertools.combinations(range(terms), count)):
            solution = np.linalg.pinv(design[:, chosen]) @ targets
            loss = ((design[:, chosen] @ solution - targets) ** 2).sum(axis=0)
            better = (solution >= 0).all(axis=0) & (loss < least)
            least = np.where(better, loss, least)
            best[:, better] = 0.0
            best[np.ix_(chosen, better)] = solution[:, better]
    return best


def _aicc(errors: Floats, terms: int, data: _Data) -> float:
    """Score a fit by AICc over readings: how rounds disagree plus how sizes miss the law."""
    count = data.layout.freedom + len(data.sizes)  # round effects are spent before
    pure = data.layout.freedom * (data.layout.noise or 0.0) ** 2
    variance = (pure + float(data.readings @ errors**2)) / count
    parameters = terms + 1  # and the variance
    spare = count - parameters - 1
    if spare < 1:
        return np.inf
    penalty = 2 * parameters + 2 * parameters * (parameters + 1) / spare
    return float(count * np.log(variance + _FLOOR**2) + penalty)


def _shares(
    terms: Sequence[str], coefficients: Floats, errors: Floats, data: _Data
) -> tuple[Interval, ...]:
    """Return the share of each term at the largest n, with percentile intervals of refits.

    Each refit sees new noise of the size that rounds show, or the law's own misfit where larger.
    """
    at_end = _design(terms, data.sizes[-1:])[0]
    misfit = float(np.sqrt(np.mean(errors**2)))
    spread = np.maximum((data.layout.noise or 0.0) / np.sqrt(data.readings), min(misfit, 0.3))
    rng = np.random.default_rng(0)  # the same file gives the same report
    noise = rng.normal(size=(len(data.sizes), _DRAWS)) * spread[:, None]
    parts = _fit(terms, data, noise)[0] * at_end[:, None]
    shares = parts / np.maximum(parts.sum(axis=0), np.finfo(float).tiny)
    low, high = np.percentile(shares, [2.5, 97.5], axis=1)
    values = coefficients * at_end / max(float(coefficients @ at_end), np.finfo(float).tiny)
    ends = np.stack([values, np.minimum(values, low), np.maximum(values, high)], axis=1)
    return tuple(Interval(*row) for row in ends.tolist())
