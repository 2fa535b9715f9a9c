"""What a visit will take: an overhead and a slope, learnt from what was measured.

Work is counted (`linbench.attention.costs`), or where nothing can be counted it is tokens to a
power. What does not grow with the work (a call's launch, a process that starts) is never scaled by
it: a call at n = 1 says nothing about how long one at n = 1024 takes, but how long it takes at
least.
"""

import math
from collections.abc import Callable, Sequence

from linbench.run.case import Case
from linbench.run.shape import costs_of
from linbench.tasks import Known, Observed, Prediction

CAUTIOUS_FLOPS_PER_S = {"cpu": 20e9, "cuda": 5e12}
CAUTIOUS_BYTES_PER_S = {"cpu": 4e9, "cuda": 400e9}

START_S = {"cpu": 0.15, "cuda": 2.0}
"""A worker's start, its modules and inputs; on a GPU its context too."""

CALL_OVERHEAD_S = 5e-3
"""The most of a single measured call that is taken for overhead: launches, Python, threads."""

FAULTED_BYTES_PER_S = 1.3e9
"""How fast a kernel hands out fresh pages (measured in a virtual machine on AMD Zen 4)."""

SAMPLING_S = 0.3
"""Warm-up and sampling of a call that is short against it."""

UNKNOWN_EXPONENT = 2.0
"""How the work of what cannot be counted is taken to grow with tokens, until two sizes tell."""

Points = Sequence[tuple[float, float]]


def predict(
    case: Case,
    known: Known,
    *,
    timed: bool,
    sequences: Callable[[Case], float | None] = lambda _: 1.0,
    memory_bytes: float | None = None,
) -> Prediction:
    """Predict a visit that calls the case's attention.

    Args:
        case: What is to be measured.
        known: What cases of its kind took.
        timed: Whether calls are timed after the first; else the visit is the call or calls.
        sequences: How many times the work of a case's own batch is done, None where not known.
        memory_bytes: The most it needs, if that is not what counts give for one call.
    """

    def work_of(case: Case) -> float | None:
        costs, times = costs_of(case), sequences(case)
        return None if costs is None or times is None else costs.flops * times

    costs, work, device = costs_of(case), work_of(case), case.device or "cpu"
    if costs is None or work is None:
        return _uncounted(case, known.alike, timed=timed)
    if memory_bytes is None and timed:
        memory_bytes = costs.peak_bytes + costs.weights_bytes + costs.inputs_bytes
    if not work:
        return Prediction(START_S[device], memory_bytes, 0.0, "counted")
    model_s = (sequences(case) or 1.0) * model_seconds(case, known.flops_per_s)
    calls = sorted(
        (done, seen.call_s)
        for seen in known.alike
        if seen.call_s is not None and (done := work_of(seen.case))
    )
    if not calls:
        round_s = round_seconds(case, model_s, timed=timed)
        return Prediction(round_s, memory_bytes, model_s, "model", math.inf)
    # how much of a single measured call is overhead: what a model of its work lacks
    lacking_s = calls[0][1] - model_s * calls[0][0] / work
    call_s = affine(calls, work, min(CALL_OVERHEAD_S, max(0.0, lacking_s)))
    round_s = round_seconds(case, call_s, timed=timed) + _beyond(case, known.alike, timed=timed)
    return Prediction(round_s, memory_bytes, call_s, "calibrated", work / calls[-1][0])


def model_seconds(case: Case, flops_per_s: float | None = None) -> float:
    """Return how long a call takes at a given or a cautious speed, in seconds."""
    costs, device = costs_of(case), case.device or "cpu"
    if costs is None:
        return 0.0
    arithmetic_s = costs.flops / (flops_per_s or CAUTIOUS_FLOPS_PER_S[device])
    return arithmetic_s + costs.bytes_moved / CAUTIOUS_BYTES_PER_S[device]


def round_seconds(case: Case, call_s: float, *, timed: bool) -> float:
    """Return what a visit takes in all if a call takes `call_s`: the first call, then samples.

    On a CPU the first call, and the preparation of the timed ones, fault in the peak of memory.
    """
    device = case.device or "cpu"
    if not timed:
        return START_S[device] + call_s
    timing_s = call_s if call_s > 1 else max(4 * call_s, SAMPLING_S)
    costs = costs_of(case)
    faults_s = 2.25 * costs.peak_bytes / FAULTED_BYTES_PER_S if costs and device == "cpu" else 0.0
    return START_S[device] + call_s + faults_s + timing_s


def affine(points: Points, x: float, overhead: float) -> float:
    """Return the value at x of what has a fixed part and one in proportion to x.

    The fixed part is where the line through the smallest and the largest point meets zero, or
    `overhead` where there is one point only; the rest of the nearest point is scaled. `points` are
    ascending in x, all positive.
    """
    (x0, y0), (x1, y1) = points[0], points[-1]
    fixed = y0 - (y1 - y0) / (x1 - x0) * x0 if x1 > x0 else overhead
    fixed = min(max(0.0, fixed), *(y for _, y in points))
    near_x, near_y = min(points, key=lambda point: abs(math.log(x / point[0])))
    return fixed + (near_y - fixed) * x / near_x


def _beyond(case: Case, known: Sequence[Observed], *, timed: bool) -> float:
    """Return what a visit takes beyond its model (the check, inputs), which grows with tokens."""
    points = sorted(
        (tokens_of(seen.case),
         max(0.0, seen.round_s - round_seconds(seen.case, seen.call_s or 0.0, timed=timed)))
        for seen in known
    )  # fmt: skip
    return affine(points, tokens_of(case), points[0][1])


def _uncounted(case: Case, known: Sequence[Observed], *, timed: bool) -> Prediction:
    """Predict what cannot be counted from its own measured sizes: as they grow, or as n²."""
    device = case.device or "cpu"
    if not known:
        return Prediction(START_S[device] + SAMPLING_S, reach=math.inf)
    ordered = sorted(known, key=lambda seen: tokens_of(seen.case))
    calls = [(tokens_of(seen.case), seen.call_s) for seen in ordered if seen.call_s]
    exponent = _exponent(calls)
    work = tokens_of(case) ** exponent
    last = ordered[-1]
    reach = (tokens_of(case) / tokens_of(last.case)) ** exponent
    memory_bytes = last.memory_bytes and last.memory_bytes * max(1.0, reach)
    if calls:
        powers = [(n**exponent, call_s) for n, call_s in calls]
        call_s = affine(powers, work, min(CALL_OVERHEAD_S, powers[0][1] / 2))
        round_s = round_seconds(case, call_s, timed=timed) + _beyond(case, known, timed=timed)
        return Prediction(round_s, memory_bytes, call_s, "calibrated", reach)
    rounds = [(tokens_of(seen.case) ** exponent, seen.round_s) for seen in ordered]
    round_s = affine(rounds, work, rounds[0][1])
    return Prediction(round_s, memory_bytes, None, "calibrated", reach)


def _exponent(calls: Points) -> float:
    """Return how calls grew between the two largest sizes, and a little more; 2 if that is open."""
    sizes = dict(calls)
    if len(sizes) < 2:
        return UNKNOWN_EXPONENT
    (n, before_s), (m, after_s) = list(sizes.items())[-2:]
    grown = math.log(after_s / before_s) / math.log(m / n)
    return min(3.0, max(1.0, grown + 0.3))


def tokens_of(case: Case) -> float:
    """Return the tokens of a case's call."""
    return float((case.seq or 1) * (case.batch or 1))


def by_tokens(case: Case, known: Known) -> Prediction:
    """Predict a task of which nothing is known but what its visits took."""
    return _uncounted(case, known.alike, timed=False)
