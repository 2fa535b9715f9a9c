"""Series and run files made from a known law and known noise: the truth for estimates to meet."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from linbench.run import record
from linbench.run.case import Case
from linbench.run.metrics import TIME, Measurement, Metric
from linbench.run.record import Detail, Git, Header, Machine, Record
from linbench.run.runs import Reading, Runs, Series, mark_disturbed

Law = Callable[[int], float]
SIZES = tuple(512 * 2**i for i in range(8))


PLUGIN = Case(impl="plugin", seq=512, scope="core").key("seq", "seed")


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
    metric: Metric = TIME,
    key: Case = PLUGIN,
) -> Series:
    """A series with the noise of `measured`, made without a run file."""
    sizes = tuple(sizes)
    rounds = rounds if isinstance(rounds, Mapping) else dict.fromkeys(sizes, rounds)
    calls = calls if isinstance(calls, Mapping) else dict.fromkeys(sizes, calls)
    shifts = rng.normal(0, drift, max(rounds.values())) if drift else np.zeros(99)
    readings = []
    for n in sizes:
        for index in range(rounds[n]):
            noise = rng.normal(shifts[index], call_noise, calls[n])
            slow = np.where(rng.random(calls[n]) < outliers, rng.uniform(1.2, 3.0, calls[n]), 1.0)
            value = law(n) * float(np.median(np.exp(noise) * slow))
            readings.append(Reading(n, index, value, calls[n], None))
    return Series("synthetic", "machine-a", key, metric, mark_disturbed(readings))


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
        git=Git(commit="0123456789abcdef"),
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
            records.append(ok(one, index, seconds, round(memory(n)) if memory else None))
    return records


def ok(
    case: Case, round_: int, seconds: list[float], peak_bytes: float | None = None, **fields: Any
) -> Record:
    """A record of what was measured; its outputs are what the row of its implementation says."""
    metrics = {}
    if seconds:
        value = float(np.median(seconds))
        metrics["time"] = Measurement(value, list(seconds), "perf_counter")
    if peak_bytes is not None:
        metrics["memory"] = Measurement(peak_bytes, source="cpu_allocator")
    return Record(case_id=case.id, case=case, round=round_, status="ok", metrics=metrics, **fields)


def failed(status: str, reason: str, n: int, **case: Any) -> Record:
    one = Case(seq=n, **{"impl": "vanilla", "scope": "core", **case})
    return Record(case_id=one.id, case=one, round=0, status=status, reason=reason)


def write(path: Path, records: Iterable[Record], head: Header | None = None) -> Path:
    lines = [record.to_line(entry) for entry in (head or header(path.stem), *records)]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def runs(records: Iterable[Record], head: Header | None = None) -> Runs:
    """One run, without its file."""
    return Runs.of(head or header(), records)


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


ROBERTA = {"scope": "encoder", "layers": 12, "d_model": 768, "heads": 12}


def layerwise(k: int) -> dict[str, Any]:
    """Fields of the Linformer of the paper's Table 3."""
    return {"impl": "linformer", "k": k, "sharing": "layerwise", "projection": "linear",
            "order": "auto"}  # fmt: skip


def largest(n: int, batch: int, how: str = "extrapolated", **case: Any) -> Record:
    """A record of task max_batch."""
    limit = {"memory_limit_bytes": 2**34}
    one = Case(task="max_batch", seq=n, settings=limit, **{"impl": "vanilla", **case})
    detail = {"max_batch": {"batch": batch, "limit_bytes": 2**34, "how": how, "tried": []}}
    return Record(
        case_id=one.id, case=one, round=0, status="ok", detail=Detail(**detail),
        metrics={"max_batch": Measurement(float(batch), source=how)},
    )  # fmt: skip


def table3(
    rng: np.random.Generator, *, ks: Iterable[int] = (128, 256), **case: Any
) -> list[Record]:
    """A run of Table 3 with known gains: n = 512 to 2048 measured, vanilla skipped at 4096.

    Linformer takes 512/n of vanilla's time and twice sdpa's; a third of vanilla's bytes and as many
    as sdpa; the largest batches are 65536/n, vanilla's 16384/n and none from 4096 on.
    """
    sizes, case = (512, 1024, 2048, 4096), {**ROBERTA, **case}
    of = {"call_noise": 0.01, "drift": 0.01, "outliers": 0.0}
    records = measured(rng, lambda n: 1e-9 * n * n, lambda n: 3000 * n, sizes=sizes[:3],
                       **of, **case)  # fmt: skip
    records.append(failed("skipped", "predicted memory 30 GiB", 4096, **case))
    records += measured(rng, lambda n: 2.56e-7 * n, lambda n: 1000 * n, sizes=sizes, impl="sdpa",
                        **of, **case)  # fmt: skip
    records += [largest(n, 16384 // n if n < 4096 else 0, **case) for n in sizes]
    records += [largest(n, 65536 // n, impl="sdpa", **case) for n in sizes]
    for k in ks:
        records += measured(rng, lambda n: 5.12e-7 * n, lambda n: 1000 * n, sizes=sizes,
                            **of, **layerwise(k), **case)  # fmt: skip
        records += [largest(n, 65536 // n, "measured", **layerwise(k), **case) for n in sizes]
    return records


def twelve(
    rng: np.random.Generator,
    *,
    rounds: int = 5,
    calls: int = 5,
    factor: float = 1.0,
    slower: Mapping[tuple[str, int], float] | None = None,
    memory: float = 1.0,
    impls: Iterable[str] = ("vanilla", "sdpa", "linformer"),
    **how: Any,
) -> list[Record]:
    """Twelve cases, three implementations at four n, whose rounds drift together.

    Args:
        rng: Where the noise comes from.
        rounds: Rounds of each case.
        calls: Calls of each round.
        factor: How many times as long everything takes.
        slower: How many times as long some cases take besides, by implementation and n.
        memory: How many times as much memory everything takes.
        impls: Which of the implementations.
        how: More of `measured`.
    """
    drift = dict(enumerate(rng.normal(0, 0.02, rounds)))
    laws = {
        "vanilla": lambda n: 9e-9 * n * n,
        "sdpa": lambda n: 2.5e-9 * n * n,
        "linformer": lambda n: 2e-6 * n,
    }
    linformer = {"k": 128, "sharing": "headwise", "projection": "linear", "order": "auto"}
    records = []
    for impl in impls:
        for n in (512, 1024, 2048, 4096):
            times = factor * (slower or {}).get((impl, n), 1.0) * laws[impl](n)
            records += measured(
                rng, lambda _, times=times: times, lambda n: memory * 1024 * n, sizes=(n,),
                rounds=rounds, calls=calls, drift=drift, impl=impl,
                **(linformer if impl == "linformer" else {}), **how,
            )  # fmt: skip
    return records
