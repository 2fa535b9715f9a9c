"""Pools with a clock of their own, which moves only while something is measured."""

import heapq
import itertools
import math
import random

from linbench.plan import measure
from linbench.plan.schedule import Lost, Plan, Schedule, Slot
from linbench.run.case import Case
from linbench.run.metrics import Measurement
from linbench.run.record import Detail, Record
from linbench.run.shape import costs_of
from linbench.tasks.support import predicting

GIB = 2**30
LINFORMER = {"k": 64, "sharing": "headwise", "projection": "linear", "order": "auto"}


class Machine:
    """Takes a known time for each case: an overhead, and operations at a known speed.

    A visit takes as long as predictions have it once a call is known, but for `slow`: so many times
    as long for each of the first visits. `lose` says which visits are lost, by case and round and
    as often as they are in it; `fate` the status of an implementation's.
    """

    def __init__(
        self, flops_per_s=50e9, *, overhead_s=0.0, noise=0.0, slow=(), fate=None, lose=(),
        places=1, free_bytes=64 * GIB,
    ):  # fmt: skip
        self.now = 0.0
        self.visits, self.kept, self.shared = [], [], []
        self.rate, self.overhead_s, self.noise, self.slow = flops_per_s, overhead_s, noise, slow
        self.fate, self.lose = fate or {}, list(lose)
        self.free = [Slot(str(i), free_bytes=free_bytes) for i in range(places)]
        self.running, self.count = [], itertools.count()
        self.chance = random.Random(1)

    def call_s(self, case):
        return self.overhead_s + costs_of(case).flops / self.rate

    def round_s(self, case, call_s):
        return predicting.round_seconds(case, call_s, timed=True)

    # ---- a pool ----

    def slots(self):
        return tuple(self.free)

    def submit(self, slot, case, round_):
        self.shared += [one for *_, one in self.running if one[1:3] == (case, round_)]
        self.free.remove(slot)
        call_s = self.call_s(case) * math.exp(self.chance.gauss(0, self.noise))
        at = len(self.visits)
        took_s = self.round_s(case, call_s) * (self.slow[at] if at < len(self.slow) else 1.0)
        if self.fate.get(case.impl) == "timeout":
            took_s = 60.0
        self.visits.append((case, round_))
        visit = (slot, case, round_, call_s, took_s)
        heapq.heappush(self.running, (self.now + took_s, next(self.count), visit))

    def next(self, timeout_s=None):
        if not self.running:
            return None
        end, _, (slot, case, round_, call_s, took_s) = heapq.heappop(self.running)
        self.now = max(self.now, end)
        self.free.append(slot)
        if (case, round_) in self.lose:
            self.lose.remove((case, round_))
            return Lost(slot, case, round_, "the node went away")
        return self.record(case, round_, call_s, took_s)

    def record(self, case, round_, call_s, took_s):
        status = self.fate.get(case.impl, "ok")
        metrics = {
            "time": Measurement(call_s, [call_s], "perf_counter"),
            "memory": Measurement(1000, source="cpu_allocator"),
        }
        return Record(
            case_id=case.id, case=case, round=round_, status=status,
            reason=None if status == "ok" else "fate",
            metrics=metrics if status == "ok" else {},
            detail=Detail(memory={"weights_bytes": 10, "inputs_bytes": 1}),
            duration_s=took_s,
        )  # fmt: skip

    # ---- a sweep ----

    def schedule(self, cases, plan=None, **more):
        """Plan a sweep on this machine: fields of `Plan`, and what `Schedule` takes besides."""
        names = ("metrics", "done", "retry_skipped", "cases_to_continue", "sure_only", "versions")
        about = {name: more.pop(name) for name in names if name in more}
        return Schedule(cases, plan or Plan(**more), clock=lambda: self.now, **about)

    def run(self, cases, **more):
        """Sweep to the end; the schedule that led it."""
        schedule = self.schedule(cases, **more)
        measure.run(schedule, [self], self.keep)
        return schedule

    def keep(self, version, record):
        self.kept.append(record)

    @property
    def skipped(self):
        return [record for record in self.kept if record.status == "skipped"]


def grid(*impls, sizes=(512, 1024, 2048, 4096), **fields):
    fields = {"scope": "core", **fields}
    return [
        Case(impl=impl, seq=n, **fields, **(LINFORMER if impl == "linformer" else {}))
        for impl in impls for n in sizes
    ]  # fmt: skip
