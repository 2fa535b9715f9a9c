"""The largest batch that fits a memory: by the line through smaller ones, then tried out.

Where a call is dear (on a CPU) few are run, and the line is the answer. What a call needs is the
largest of several sums, each affine in the batch; once one of them is ahead, two batches give a
straight line to all larger ones. Exact counts know the same sums, and tell whether another gets
ahead further out. Pure: what runs a batch is passed in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

How = Literal["measured", "extrapolated", "counted"]
Need = Callable[[int], int | None]
Point = tuple[int, int]  # a batch and the bytes it needed

STRAIGHT = 0.01
"""By this share counts, or a third batch, may be off the line through two batches that is taken."""

SCRATCH = 0.05
"""Where nothing is counted, this share of a peak may be what does not grow with the batch: so far
can a sum that is not ahead yet bend the line further out."""

COUNTS_OFF = 0.25
"""By how much counted peaks may exceed measured ones (tests/attention/test_costs.py)."""


@dataclass(frozen=True)
class Try:
    """What is known of one batch.

    Attributes:
        batch: Sequences in it.
        bytes: Weights, inputs and the peak above them; None where a run ended out of memory.
        fits: Whether that is within the limit.
        how: By a run, by a line through runs (or one run and the growth of counts), or by counts.
    """

    batch: int
    bytes: int | None
    fits: bool
    how: How


@dataclass(frozen=True)
class Found:
    """The largest batch that fits, 0 where not even one sequence does.

    `how` is the weaker of the grounds for which it fits and the next larger one does not.
    """

    batch: int
    how: How
    tried: tuple[Try, ...]

    @property
    def ran(self) -> list[Try]:
        """The batches that were run."""
        return [attempt for attempt in self.tried if attempt.how == "measured"]


def search(
    run: Need, limit_bytes: int, *, frugal: bool, counted: Need, weights: Callable[[], int]
) -> Found:
    """Find the largest batch that fits.

    Args:
        run: Runs a batch and returns the bytes it needed, None where it ran out of memory.
        limit_bytes: What there is for weights, inputs and the peak above them.
        frugal: Run no more than is needed to know the line, and nothing known not to fit; otherwise
            every answer comes from a run.
        counted: The bytes that exact counts give for a batch, None where nothing is known.
        weights: The bytes of weights, which any batch needs; asked for after a run.
    """
    tried: list[Try] = []
    points: list[Point] = []

    def fits(batch: int) -> bool:
        beyond = _beyond(batch, points, counted, limit_bytes) if frugal else None
        need = None if beyond else run(batch)
        if need is not None:
            points.append((batch, need))
        fit = need is not None and need <= limit_bytes
        tried.append(beyond or Try(batch, need, fit, "measured"))
        return fit

    low = high = step = 0  # the largest that fits, the smallest that does not if one is known
    while not high or high - low > 1:
        if high:  # halve, but look just below first: lines end close to the truth
            step = 2 * step or max(1, high >> 6)
            batch = max((low + high) // 2, high - step)
        elif frugal or len(points) < 2:
            batch = 2 * low or 1
        else:
            batch = max(low + 1, _last_on_line(points[-2], points[-1], limit_bytes))
        if not fits(batch):
            high = batch
            continue
        low = batch
        if frugal and not high and (end := _end_of_line(points, counted, weights, limit_bytes)):
            tried += [attempt for attempt in end if attempt.batch > low]
            low, high = end[0].batch, end[1].batch
    grounds = get_args(How)
    weakest = max(grounds.index(t.how) for t in tried if t.batch in (low, high))
    return Found(low, grounds[weakest], tuple(tried))


def _line(first: Point, second: Point) -> tuple[float, float]:
    """Return the bytes of no batch at all and those of each sequence."""
    each = (second[1] - first[1]) / (second[0] - first[0])
    return second[1] - each * second[0], each


def _last_on_line(first: Point, second: Point, limit_bytes: int) -> int:
    """Return the last batch that fits by the line through two points; 0 where it does not rise."""
    fixed, each = _line(first, second)
    return int((limit_bytes - fixed) // each) if each > 0 else 0


def _end_of_line(
    points: list[Point], counted: Need, weights: Callable[[], int], limit_bytes: int
) -> tuple[Try, Try] | None:
    """Return the last batch that fits and the next, by the line through the last two points.

    None unless the line is borne out: by counts that are right at both points and at its end; or by
    a third point, if counts grow as it does from there to its end, or, without counts, if what does
    not grow is small.
    """
    if len(points) < 2:
        return None
    first, second = points[-2:]
    last = _last_on_line(first, second, limit_bytes)
    if last < second[0]:
        return None
    fixed, each = _line(first, second)
    ends = [(batch, round(fixed + each * batch)) for batch in (last, last + 1)]
    off = [need / count for batch, need in (first, second, ends[0]) if (count := counted(batch))]
    if off:
        exact, grows_so = all(_same(share, 1.0) for share in off), _same(off[1], off[2])
    else:
        exact, grows_so = False, fixed - weights() <= SCRATCH * (second[1] - weights())
    straight = len(points) > 2 and _same(fixed + each * points[-3][0], points[-3][1])
    if not exact and not (straight and grows_so):
        return None
    fitting, not_fitting = (Try(*end, end[0] == last, "extrapolated") for end in ends)
    return fitting, not_fitting


def _same(value: float, other: float) -> bool:
    return abs(value / other - 1) <= STRAIGHT


def _beyond(batch: int, points: list[Point], counted: Need, limit_bytes: int) -> Try | None:
    """Return a batch that is known not to fit before it is run, or None.

    The largest of affine sums bends upwards only: what the line through two smaller batches does
    not let in does not fit. With fewer than two, counts must exceed the limit by all they may be
    off.
    """
    below = sorted(point for point in points if point[0] < batch)
    count = counted(batch)
    how: How = "extrapolated"
    if len(below) > 1:
        fixed, each = _line(below[-2], below[-1])
        expected, slack = fixed + each * batch, STRAIGHT
    elif count is None:
        return None
    elif below:
        expected, slack = below[0][1] * count / (counted(below[0][0]) or count), COUNTS_OFF
    else:
        expected, slack, how = count, COUNTS_OFF, "counted"
    if expected <= (1 + slack) * limit_bytes:
        return None
    return Try(batch, round(expected), False, how)
