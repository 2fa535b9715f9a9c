"""The cases that wait in the first pass of a schedule: which are ready, and what they will take."""

import bisect
import heapq
import itertools
import math
import random
from collections.abc import Iterable, Sequence

from linbench.plan.predict import Predictor, family_of
from linbench.run.case import Case
from linbench.tasks import Prediction
from linbench.tasks.support.predicting import tokens_of

FAR = 20.0
"""A case waits for a measured one within this factor of its work."""

SMALL_S = 0.3
"""A case predicted to be shorter than this on cautious rates need not wait."""

REPLANS = 32
"""A grid of more cases is not predicted anew after each visit, but so many times."""

Heap = list[tuple[float, int, Case]]


def cost(case: Case, prediction: Prediction) -> tuple[float, float]:
    """Order cases by what a round is predicted to take, unknown ones by their tokens."""
    return prediction.round_s, tokens_of(case)


class Frontier:
    """The cases of the first pass: those whose predictions rest on something are ready."""

    def __init__(self, order: Sequence[Case], predictor: Predictor, seed: int) -> None:
        """Sort cases into those that are ready and those that wait for others of their kind."""
        self._predict = predictor.predict
        self._chance = random.Random(f"{seed} first")  # noqa: S311 (an order, not a secret)
        self._ready: list[Case] = []
        self._behind: dict[Case, Heap] = {}
        self._heap_of: dict[Case, Heap] = {}
        for place, case in enumerate(order):
            work = self._predict(case).call_s or tokens_of(case)
            heap = self._heap_of[case] = self._behind.setdefault(family_of(case), [])
            heapq.heappush(heap, (work, place, case))
        self._count = len(order)
        # the first of each heap; what has changed since is passed over when it comes up
        self._firsts: list[tuple[tuple[float, float], int, Case]] = []
        for heap in self._behind.values():
            self._free(heap)

    def __len__(self) -> int:
        return self._count

    def _free(self, heap: Heap) -> None:
        while heap and _grounded(self._predict(heap[0][2])):
            self._ready.append(heapq.heappop(heap)[2])
        if heap:
            _, place, case = heap[0]
            heapq.heappush(self._firsts, (cost(case, self._predict(case)), place, case))

    def advance(self, case: Case) -> None:
        """Make ready what rests on a case that was measured."""
        self._free(self._heap_of[case])

    def take(self) -> Case | None:
        """Take a ready case at random, None where none is."""
        if not self._ready:
            return None
        self._count -= 1
        at = self._chance.randrange(len(self._ready))
        self._ready[at], self._ready[-1] = self._ready[-1], self._ready[at]
        return self._ready.pop()

    def cheapest(self, in_flight: Iterable[Case]) -> Case | None:
        """Take the case that will be over first: it grounds the next of its kind.

        None where of each kind one is being measured.
        """
        busy = {id(self._heap_of[case]) for case in in_flight}
        put_back, found = [], None
        while self._firsts and found is None:
            entry = heapq.heappop(self._firsts)
            predicted, _, case = entry
            heap = self._heap_of[case]
            if not heap or heap[0][2] is not case or predicted != cost(case, self._predict(case)):
                continue
            if id(heap) in busy:
                put_back.append(entry)
                continue
            found = heapq.heappop(heap)[2]
            self._count -= 1
            self._free(heap)
        for entry in put_back:
            heapq.heappush(self._firsts, entry)
        return found


def _grounded(prediction: Prediction) -> bool:
    if prediction.grounds == "model":
        return prediction.call_s is not None and prediction.call_s < SMALL_S
    return prediction.reach <= FAR


class Waiting:
    """The cases that wait in the first pass, and what their sure rounds will take."""

    def __init__(self, cases: Sequence[Case], predictor: Predictor, sure: dict[str, int]) -> None:
        """Predict all of them."""
        self._predict, self._sure = predictor.predict, sure
        self._cases = dict.fromkeys(cases)
        self._plan()

    def __len__(self) -> int:
        return len(self._cases)

    def _plan(self) -> None:
        costs = sorted((self._predict(case).round_s, self._sure[case.task]) for case in self._cases)
        self._round_s = [round_s for round_s, _ in costs]
        self._sums = [0.0, *itertools.accumulate(sure * round_s for round_s, sure in costs)]
        self._each_s = math.fsum(self._round_s) / max(1, len(costs))
        self._learnt = 0

    @property
    def total_s(self) -> float:
        """About what one round of all of them takes, in seconds."""
        return self._each_s * len(self._cases)

    def remove(self, case: Case) -> None:
        """Take a case out that is visited, or put off."""
        del self._cases[case]

    def learnt(self) -> None:
        """Take note that there is more to predict from, after a visit."""
        self._learnt += 1

    def cheaper_s(self, round_s: float) -> float:
        """Return what the sure rounds of all take that wait and are cheaper than this."""
        if self._learnt > len(self._cases) / REPLANS:
            self._plan()
        return self._sums[bisect.bisect_left(self._round_s, round_s)]
