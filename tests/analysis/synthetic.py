"""Series and run files made from a known law and known noise: the truth for estimates to meet."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from linbench import record
from linbench.analysis.series import Cell, Metric, Series, Setup, mark_disturbed
from linbench.case import Case
from linbench.record import Check, Header, Machine, Memory, Record

Law = Callable[[int], float]
SIZES = tuple(512 * 2**i for i in range(8))


PLUGIN = Setup(
    run_id="synthetic", fingerprint="machine-a", impl="plugin", k=None, sharing=None,
    projection=None, order=None, scope="core", mode="forward", d_model=256, heads=4, layers=1,
    batch=1, tokens=None, dtype="float32", device="cpu", compile=False,
)  # fmt: skip


def series(
    rng: np.random.Generator,
    law: Law,
    *,
    sizes: Iterable[int] = SIZES,
    rounds: int | Mapping[int, int] = 5,
    calls: int | Mapping[int, int] = 5,
    call_noise: float = 0.02,
    drift: float = 0.02,
    outliers: float = 0.03,
    metric: Metric = "time",
    setup: Setup = PLUGIN,
) -> Series:
    """A series with the noise of `measured`, made without a run file."""
    sizes = tuple(sizes)
    rounds = rounds if isinstance(rounds, Mapping) else dict.fromkeys(sizes, rounds)
    calls = calls if isinstance(calls, Mapping) else dict.fromkeys(sizes, calls)
    shifts = rng.normal(0, drift, max(rounds.values())) if drift else np.zeros(99)
    cells = []
    for n in sizes:
        for index in range(rounds[n]):
            noise = rng.normal(shifts[index], call_noise, calls[n])
            slow = np.where(rng.random(calls[n]) < outliers, rng.uniform(1.2, 3.0, calls[n]), 1.0)
            value = law(n) * float(np.median(np.exp(noise) * slow))
            cells.append(Cell(n, index, value, calls[n], None))
    return Series(setup, metric, mark_disturbed(cells))


def header(run_id: str = "synthetic", fingerprint: str = "machine-a") -> Header:
    return Header(
        run_id=run_id,
        created="2026-01-02T03:04:05+00:00",
        linbench="0.1.0",
        argv=["linbench", "sweep", "--seq", "512..65536"],
        suite={"name": "scaling"},
        machine=Machine(
            fingerprint=fingerprint,
            cpu="Example CPU",
            cores=2,
            memory_bytes=8 * 2**30,
            torch="2.13.0",
        ),
        git={"commit": "0123456789abcdef", "dirty": False},
    )


def measured(
    rng: np.random.Generator,
    time: Law,
    memory: Law | None = None,
    *,
    sizes: Iterable[int] = SIZES,
    rounds: int | Mapping[int, int] = 5,
    calls: int | Mapping[int, int] = 7,
    call_noise: float = 0.02,
    drift: Mapping[int, float] | float = 0.02,
    outliers: float = 0.03,
    **case: Any,
) -> list[Record]:
    """Records of one series: law, round drift, call noise, some calls slowed by 1.2 to 3.

    Args:
        rng: Where the noise comes from.
        time: Seconds of one call as a function of n.
        memory: Peak bytes as a function of n, exact.
        sizes: The n measured.
        rounds: How many rounds, or how many at each n.
        calls: How many calls a round, or how many at each n.
        call_noise: Standard deviation of a call, relative.
        drift: Standard deviation of a round, relative, or the drift of each round.
        outliers: The share of calls that are disturbed.
        case: Fields of the case beside n.
    """
    sizes = tuple(sizes)
    of = lambda table, n: table[n] if isinstance(table, Mapping) else table  # noqa: E731
    most = max(of(rounds, n) for n in sizes)
    shifts = (
        drift if isinstance(drift, Mapping) else dict(enumerate(rng.normal(0, drift, size=most)))
    )
    records = []
    for index in range(most):
        for n in sizes:
            if index >= of(rounds, n):
                continue
            count = of(calls, n)
            noise = rng.normal(shifts[index], call_noise, count)
            slow = np.where(rng.random(count) < outliers, rng.uniform(1.2, 3.0, count), 1.0)
            seconds = (time(n) * np.exp(noise) * slow).tolist()
            one = Case(seq=n, **{"impl": "vanilla", "scope": "core", **case})
            records.append(
                Record(
                    case_id=one.id,
                    case=one,
                    round=index,
                    status="ok",
                    seconds=seconds,
                    memory=Memory(peak_bytes=round(memory(n)), source="cpu_allocator")
                    if memory
                    else None,
                    check=Check(reference="exact", max_rel_error=3e-7, tolerance=1e-4),
                )
            )
    return records


def failed(status: str, reason: str, n: int, **case: Any) -> Record:
    one = Case(seq=n, **{"impl": "vanilla", "scope": "core", **case})
    return Record(case_id=one.id, case=one, round=0, status=status, reason=reason)


def write(path: Path, records: Iterable[Record], head: Header | None = None) -> Path:
    lines = [record.to_line(entry) for entry in (head or header(path.stem), *records)]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def default_sweep(rng: np.random.Generator, **case: Any) -> list[Record]:
    """A sweep as a laptop gives it: exact attention quadratic, Linformer linear."""
    mib = 2**20
    of = {"rounds": {n: 5 if n < 8192 else 3 for n in SIZES}}
    calls = {n: max(1, 65536 // n // 4) for n in SIZES}
    small = [n for n in SIZES if n <= 8192]
    middle = [n for n in SIZES if n <= 32768]
    records = measured(
        rng, lambda n: 1e-4 + 9e-9 * n * n, lambda n: 32 * n * n + 3072 * n,
        sizes=small, calls=calls, impl="vanilla", **of, **case,
    )  # fmt: skip
    records += measured(
        rng, lambda n: 1e-4 + 2.5e-9 * n * n, lambda n: 1024 * n + mib,
        sizes=middle, calls=calls, impl="sdpa", **of, **case,
    )  # fmt: skip
    for k in (128, 256):
        records += measured(
            rng, lambda n, k=k: 2e-4 + 1.6e-8 * k * n, lambda n, k=k: 1024 * n + 4096 * k,
            calls=calls, impl="linformer", k=k, sharing="headwise", projection="linear",
            order="auto", **of, **case,
        )  # fmt: skip
    records.append(failed("skipped", "predicted 12 GiB, 6 GiB are free", 16384, **case))
    return records
