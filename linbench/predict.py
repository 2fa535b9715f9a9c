"""What a case will take, before it is run: the cost model, calibrated on what was measured.

Operation counts and analytic peaks come from `linbench.attention.costs`. A time is predicted from
the nearest measured case of the same implementation and setting, in proportion to the operations;
with none measured yet, from a cautious rate. A case of task max_batch counts as one call of all the
sequences that its search will run if counts are right. A plug-in's costs are unknown: they are
extrapolated from its own measured cases, quadratically unless two of them say otherwise.
"""

import bisect
import functools
import math
from dataclasses import dataclass

from linbench.attention import costs
from linbench.batch_search import Found, search
from linbench.case import Case
from linbench.suite import config_of

CAUTIOUS_FLOPS_PER_S = {"cpu": 20e9, "cuda": 5e12}
CAUTIOUS_BYTES_PER_S = {"cpu": 4e9, "cuda": 400e9}
ITEMSIZE = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}

START_S = {"cpu": 0.15, "cuda": 2.0}
"""A worker's start, its modules and inputs; on a GPU its context too."""

FAULTED_BYTES_PER_S = 1.3e9
"""How fast a kernel hands out fresh pages (measured in a virtual machine on AMD Zen 4)."""

SAMPLING_S = 0.3
"""Warm-up and sampling of a call that is short against it."""


@dataclass(frozen=True)
class Measured:
    """What one round of a case took: a call and the whole round in seconds, memory in bytes."""

    call_s: float
    round_s: float
    memory_bytes: float | None


@dataclass(frozen=True)
class Prediction:
    """What a case will take.

    Attributes:
        call_s: One call, in seconds (in task max_batch all calls together); None where nothing is
            known (a plug-in not yet measured).
        round_s: One round: process, memory and check, warm-up, samples.
        memory_bytes: Weights, inputs and the peak above them; None where nothing is known.
        grounds: `measured` (this very case), `calibrated` (another size of it), `model`, `counted`
            (known by counting, nothing is run), `unknown`.
        reach: Operations of this case over those of the case it was calibrated on.
    """

    call_s: float | None
    round_s: float
    memory_bytes: float | None
    grounds: str
    reach: float = 1.0


class Predictor:
    """Predicts cases from the cost model and from what it has learnt of measured ones."""

    def __init__(self, flops_per_s: float | None = None) -> None:
        """Begin with nothing measured; rates are cautious unless one is given."""
        self._flops_per_s = flops_per_s
        self.measured: dict[Case, Measured] = {}
        self._kin: dict[tuple[object, ...], list[tuple[float, int, Case]]] = {}

    def learn(self, case: Case, measured: Measured) -> None:
        """Take up what a case took; its latest round counts."""
        size = operations(case)
        if size is None:
            size = float(case.seq * case.batch)
        if case not in self.measured and size > 0:
            bisect.insort(self._kin.setdefault(_family(case), []), (size, len(self.measured), case))
        self.measured[case] = measured

    def predict(self, case: Case) -> Prediction:
        """Predict what a case will take."""
        if case in self.measured:
            known = self.measured[case]
            return Prediction(known.call_s, known.round_s, known.memory_bytes, "measured")
        kin = self._kin.get(_family(case), [])
        cost = cost_of(case)
        if cost is None:
            return self._extrapolate(case, kin)
        size, memory_bytes = cost.flops * sequences(case), _memory(case, cost)
        if not size:
            return Prediction(0.0, START_S[case.device], memory_bytes, "counted")
        if not kin:
            call_s = sequences(case) * (
                cost.flops / (self._flops_per_s or CAUTIOUS_FLOPS_PER_S[case.device])
                + cost.bytes_moved / CAUTIOUS_BYTES_PER_S[case.device]
            )
            return Prediction(call_s, round_seconds(case, call_s), memory_bytes, "model", math.inf)
        at = bisect.bisect(kin, (float(size),))
        near = min(kin[max(0, at - 1) : at + 1], key=lambda k: abs(math.log(size / k[0])))
        return self._scale(case, near[2], size / near[0], memory_bytes)

    def _scale(
        self, case: Case, known_case: Case, ratio: float, memory_bytes: float | None
    ) -> Prediction:
        known = self.measured[known_case]
        call_s = known.call_s * ratio
        # what a round took beyond its model (the check, inputs) grows with the tokens
        beyond_s = max(0.0, known.round_s - round_seconds(known_case, known.call_s))
        tokens = case.seq * case.batch / (known_case.seq * known_case.batch)
        round_s = round_seconds(case, call_s) + beyond_s * max(1.0, tokens)
        return Prediction(call_s, round_s, memory_bytes, "calibrated", ratio)

    def _extrapolate(self, case: Case, kin: list[tuple[float, int, Case]]) -> Prediction:
        """Predict a plug-in from its own measured cases: as its last two sizes grow, or as n²."""
        if not kin:
            round_s = START_S[case.device] + SAMPLING_S
            return Prediction(None, round_s, None, "unknown", math.inf)
        size, _, last = kin[-1]
        exponent = 2.0
        smaller = [entry for entry in kin if entry[0] < size]
        if smaller:
            before = self.measured[smaller[-1][2]].call_s
            grown = math.log(self.measured[last].call_s / before) / math.log(size / smaller[-1][0])
            exponent = min(3.0, max(1.0, grown + 0.3))
        ratio = (case.seq * case.batch / size) ** exponent
        used = self.measured[last].memory_bytes
        return self._scale(case, last, ratio, used and used * max(1.0, ratio))


def round_seconds(case: Case, call_s: float) -> float:
    """Return what a round takes in all if a call takes `call_s`: the first call, then samples.

    On a CPU the first call, and the preparation of the timed ones, fault in the peak of memory.
    """
    if case.task == "max_batch":  # nothing is timed
        return START_S[case.device] + call_s
    timing_s = call_s if call_s > 1 else max(4 * call_s, SAMPLING_S)
    cost = cost_of(case)
    faults_s = 2.25 * cost.peak_bytes / FAULTED_BYTES_PER_S if cost and case.device == "cpu" else 0
    return START_S[case.device] + call_s + faults_s + timing_s


@functools.lru_cache(maxsize=1 << 15)
def cost_of(case: Case) -> costs.Costs | None:
    """Return the operation counts of a case, None for a plug-in."""
    return costs.count(
        case.impl,
        config_of(case),
        case.seq,
        batch=case.batch,
        scope=case.scope,
        mode=case.mode,
        itemsize=ITEMSIZE[case.dtype],
    )


def operations(case: Case) -> float | None:
    """Return the floating-point operations of a case's call or calls, None for a plug-in."""
    cost = cost_of(case)
    return None if cost is None else float(cost.flops) * sequences(case)


def need_of(case: Case, batch: int) -> int | None:
    """Return weights, inputs and peak of a case at another batch by counting; None: a plug-in."""
    cost = cost_of(case.model_copy(update={"batch": batch}))
    return None if cost is None else cost.weights_bytes + cost.inputs_bytes + cost.peak_bytes


def sequences(case: Case) -> float:
    """Return how many times the work of its batch a case is: those that a search runs, added up."""
    found = _foreseen(case)
    return 1.0 if found is None else float(sum(one.batch for one in found.ran))


def _memory(case: Case, cost: costs.Costs) -> int | None:
    """Return what a case takes at most; None for a search on a GPU, which knows its own limit."""
    found = _foreseen(case)
    if found is None:
        return cost.peak_bytes + cost.weights_bytes + cost.inputs_bytes
    if case.device == "cuda":
        return None
    return max((one.bytes or 0 for one in found.ran), default=0)


@functools.lru_cache(maxsize=1 << 15)
def _foreseen(case: Case) -> Found | None:
    """Return how the search for the largest batch goes if counts are right; None: no search."""
    if case.memory_limit_bytes is None or cost_of(case) is None:
        return None
    counted = functools.partial(need_of, case)
    frugal = case.device == "cpu"
    return search(
        counted, case.memory_limit_bytes, frugal=frugal, counted=counted, weights=lambda: 0
    )


def _family(case: Case) -> tuple[object, ...]:
    """Name the cases whose times tell of each other: alike but for n, k, batch and sharing."""
    own_k = None if cost_of(case) else case.k_rule or case.k  # a plug-in's k may mean anything
    return (
        case.task, case.impl, own_k, case.projection, case.order, case.scope, case.mode,
        case.d_model, case.heads, case.layers, case.dtype, case.device, case.compile,
    )  # fmt: skip
