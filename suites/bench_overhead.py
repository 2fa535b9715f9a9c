"""What linbench itself costs: per round of a case, to the first measurement, in memory.

Run it with `python suites/bench_overhead.py`. A round's own cost is what it took in all less its
first call, warm-up and samples. The parent's memory is that of planning and recording 10,000 cases
with a pool that measures nothing.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from linbench.executors.local import Local
from linbench.plan import measure
from linbench.plan.schedule import Plan, Schedule, Slot
from linbench.plan.suite import Suite
from linbench.run.case import Case
from linbench.run.journal import Journal
from linbench.run.metrics import Measurement
from linbench.run.record import Detail, Header, Machine, Memory, Record

BIN = Path(sys.executable).with_name("linbench")


def own_cost_s(record: Record) -> float:
    """Return what a round took beyond the calls it measured, in seconds."""
    timing, seconds = record.detail.timing, record.samples("time")
    assert record.duration_s
    assert timing
    assert timing.first_call_s is not None
    calls = sum(seconds) * (timing.calls_per_sample or 1)
    warm_up = (timing.warmup_calls or 0) * statistics.median(seconds)
    return record.duration_s - timing.first_call_s - calls - warm_up


def per_round(rounds: int = 20) -> dict[str, float]:
    """Return the median own cost of a round in seconds, for some small cases."""
    linformer = {"k": 128, "sharing": "headwise", "projection": "linear", "order": "auto"}
    cases = [
        Case(impl="sdpa", seq=512),
        Case(impl="vanilla", seq=1024, scope="core"),
        Case(impl="linformer", seq=2048, **linformer),
    ]
    costs: dict[str, list[float]] = {}
    with Local(Suite()) as pool:
        for round_ in range(rounds):
            for case in cases:
                costs.setdefault(f"{case.label} n={case.seq}", []).append(
                    own_cost_s(measure.measure(pool, case, round_))
                )
    return {name: statistics.median(values) for name, values in costs.items()}


def to_first_measurement() -> float:
    """Return the seconds from starting `linbench sweep` to its first record."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results" / "x.jsonl"
        begin = time.monotonic()
        sweep = subprocess.Popen(
            [BIN, "sweep", "--impl", "sdpa", "--seq", "512", "--rounds", "1", "--name", "x"],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not (path.exists() and path.read_text().count("\n") >= 2):
            assert sweep.poll() is None, "the sweep ended without a record; run it by hand"
            time.sleep(0.01)
        took = time.monotonic() - begin
        sweep.wait()
    return took


def parent_of_many(cases: int = 10_000) -> tuple[float, float]:
    """Return the parent's peak memory in MB and its seconds per record, for so many cases."""
    grid = [
        Case(impl="linformer", seq=64 * (1 + i % 100), k=1 + i // 100 % 64, sharing="headwise",
             projection="linear", order="auto", seed=i // 6400)
        for i in range(cases)
    ]  # fmt: skip

    class Idle:
        """A pool of one place that is done at once."""

        visit: tuple[Case, int] | None = None

        def slots(self) -> list[Slot]:
            return [] if self.visit else [Slot()]

        def submit(self, slot: Slot, case: Case, round_: int) -> None:
            del slot
            self.visit = case, round_

        def next(self, timeout_s: float | None = None) -> Record:
            del timeout_s
            assert self.visit
            (case, round_), self.visit = self.visit, None
            metrics = {"time": Measurement(1e-3, [1e-3] * 50), "memory": Measurement(1.0)}
            detail = Detail(memory=Memory(weights_bytes=1, inputs_bytes=1))
            return Record(case_id=case.id, case=case, round=round_, status="ok", metrics=metrics,
                          detail=detail, duration_s=1e-3)  # fmt: skip

    header = Header(run_id="x", created="", linbench="", machine=Machine(fingerprint="x"))
    with tempfile.TemporaryDirectory() as folder:
        begin = time.monotonic()
        with Journal.create(Path(folder) / "x.jsonl", header) as journal:
            schedule = Schedule(grid, Plan(rounds=1, budget_s=None))
            measure.run(schedule, [Idle()], lambda _, record: journal.append(record))
        took = time.monotonic() - begin
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000, took / cases


def main() -> None:
    """Print everything."""
    megabytes, per_record_s = parent_of_many()
    print(
        f"parent, 10,000 cases    {megabytes:6.0f} MB at most, {per_record_s * 1e3:.1f} ms a record"
    )
    firsts = [to_first_measurement() for _ in range(3)]
    print(f"first measurement       {statistics.median(firsts):6.2f} s after the command")
    for name, cost_s in per_round().items():
        print(f"own cost of a round     {cost_s:6.3f} s  {name}")


if __name__ == "__main__":
    main()
