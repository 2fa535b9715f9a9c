"""Memory, weights and operations of two runs, case by case."""

import math
from collections.abc import Mapping
from dataclasses import replace

from linbench.analysis import moderated
from linbench.analysis.moderated import Typical
from linbench.analysis.series import Series
from linbench.gate.cases import Measured, Runs
from linbench.gate.verdicts import Comparison, Pending

ALLOCATORS = ("cpu_allocator", "cuda_allocator")
MAX_OPERATIONS = 1.01
"""Counts are exact; a count may become better by this much without being taken for a change."""


def memory(runs: Runs) -> list[Pending]:
    """Compare the peak memory of a call.

    What an allocator counted is exact, and one round decides. What the resident set shows, or
    counts that differ between rounds, need an interval as times do. Kernels hold buffers for each
    thread, so that more memory by other threads is no regression, but cannot be told from one.
    """
    limit = runs.limits.max_memory
    pending, noisy = [], []
    for case_id in runs.shared:
        old, new = runs.before[case_id].memory, runs.after[case_id].memory
        if old is None or new is None:
            if old is not new:
                said = f"not known in the {'baseline' if old is None else 'candidate'}"
                one = runs.comparison(case_id, "memory", detail=said)
                pending.append(Pending(one, None, limit))
            continue
        one = runs.comparison(
            case_id, "memory", baseline=_typical_bytes(old), candidate=_typical_bytes(new)
        )
        by = [" or ".join(sorted({str(cell.source) for cell in s.cells})) for s in (old, new)]
        if by[0] != by[1]:
            one = runs.comparison(case_id, "memory", detail=f"{by[0]} and {by[1]} do not compare")
            pending.append(Pending(one, None, limit))
        elif is_exact(old) and is_exact(new):
            peaks = old.cells[0].value, new.cells[0].value
            threads = runs.before[case_id].threads, runs.after[case_id].threads
            if threads[0] != threads[1] and peaks[1] > limit * peaks[0]:
                one = replace(one, detail="{} and {} threads do not compare".format(*threads))
                pending.append(Pending(one, None, limit))
            else:
                pending.append(_exact(one, *peaks, limit))
        else:
            noisy.append(one)
    return pending + _noisy(runs, noisy)


def _noisy(runs: Runs, comparisons: list[Comparison]) -> list[Pending]:
    before, after = (
        {c.case_id: _logs(cases, c) for c in comparisons} for cases in (runs.before, runs.after)
    )
    if runs.merged:
        numbers = sorted({i for runs_of_case in before.values() for i in runs_of_case})
        each = [{c: {0: own[i]} for c, own in before.items() if i in own} for i in numbers]
        ratios = moderated.beyond_runs(each, after)
    else:
        ratios = moderated.apart(before, after)
    return [Pending(one, ratios[one.case_id], runs.limits.max_memory) for one in comparisons]


def weights(runs: Runs) -> list[Pending]:
    """Compare the bytes of parameters and buffers, which are exact."""
    known = ((c, runs.before[c].weights_bytes, runs.after[c].weights_bytes) for c in runs.shared)
    return [
        _exact(runs.comparison(c, "weights"), old, new, runs.limits.max_memory)
        for c, old, new in known
        if old is not None and new is not None
    ]


def batches(runs: Runs) -> list[Pending]:
    """Compare the largest batches that fit a memory: exact, and worse where fewer fit."""
    pending = []
    for case_id in runs.shared:
        old, new = runs.before[case_id].max_batch, runs.after[case_id].max_batch
        if old is None or new is None:
            continue
        one = runs.comparison(case_id, "batch", baseline=old[0], candidate=new[0])
        if old[1] != new[1]:
            one = replace(one, detail=f"limits of {old[1]} and {new[1]} bytes do not compare")
            pending.append(Pending(one, None, runs.limits.max_memory))
        else:
            fewer = math.log(max(old[0], 0.5) / max(new[0], 0.5))  # none counts as half a sequence
            detail = "as many times fewer sequences fit" if fewer else ""
            known = Typical(fewer, 0.0)
            pending.append(Pending(replace(one, detail=detail), known, runs.limits.max_memory))
    return pending


def operations(runs: Runs) -> list[Pending]:
    """Compare counted operations, which are exact; implementations of others have no counts."""
    known = ((c, runs.before[c].operations, runs.after[c].operations) for c in runs.shared)
    return [
        _exact(runs.comparison(c, "operations"), old, new, MAX_OPERATIONS)
        for c, old, new in known
        if old is not None and new is not None
    ]


def _exact(one: Comparison, old: float, new: float, limit: float) -> Pending:
    ratio = math.log(max(new, 1) / max(old, 1))  # none at all counts as one, to have a ratio
    one = replace(one, baseline=float(old), candidate=float(new))
    return Pending(one, Typical(ratio, 0.0), limit)


def is_exact(series: Series) -> bool:
    """Whether an allocator counted the memory of a series, and the same in every round."""
    counted = {cell.source for cell in series.cells} <= set(ALLOCATORS)
    return counted and len({(cell.n, cell.value) for cell in series.cells}) == len(series.sizes)


def _logs(cases: Mapping[str, Measured], one: Comparison) -> dict[int, float]:
    series = cases[one.case_id].memory
    return series.logs(series.sizes[0]) if series else {}


def _typical_bytes(series: Series) -> float:
    values = sorted(cell.value for cell in series.cells)
    return values[len(values) // 2]
