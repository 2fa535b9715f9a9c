"""A run beside the paper's Table 3: known gains are found, and what is missing says why."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import synthetic

from linbench.run.record import Check, Detail
from linbench.run.runs import Runs
from linbench.studies.paper import published
from linbench.studies.paper.savings import NO_RATIO, NOT_IN_RUN, SAVED, to_json
from linbench.studies.paper.table3 import tables_of


def held(records):
    """What a run has beside Table 3."""
    return tables_of(synthetic.runs(records))


def cells_of(table):
    return {(one.saved, one.n, one.k): one for one in table.savings}


def renamed(records, impl, **fields):
    """The same records of another implementation."""
    cases = [record.case.model_copy(update={"impl": impl}) for record in records]
    return [
        record.model_copy(update={"case": case, "case_id": case.id, **fields})
        for record, case in zip(records, cases, strict=True)
    ]


@pytest.fixture(scope="module")
def table3():
    (one,) = held(synthetic.table3(np.random.default_rng(0)))
    return one


def test_the_paper_s_numbers_are_a_table():
    """34 cells each of time and memory, k up to n/2; saved is less with larger k, more with n."""
    for table in (published.TIME, published.MEMORY):
        assert list(table) == [512 * 2**i for i in range(8)]
        assert sum(map(len, table.values())) == 34
        for n, row in table.items():
            assert len(row) == sum(k <= n / 2 for k in published.KS)
            assert list(row) == sorted(row, reverse=True)
        for smaller, larger in itertools.pairwise(table.values()):
            assert all(a <= b for a, b in zip(smaller, larger, strict=False))


def test_known_gains_are_found(table3):
    """Intervals of time hold the truth nearly always; bytes and batches are exact."""
    cells = cells_of(table3)
    sizes, inside = (512, 1024, 2048, 4096), 0
    for n, k in itertools.product(sizes, (128, 256)):
        time = cells["time", n, k]
        truths = [(time.over_best, 0.5)] + [(time.over_vanilla, n / 512)] * (n < 4096)
        inside += sum(gain.value.low <= truth <= gain.value.high for gain, truth in truths)
        assert time.over_best.baseline == "sdpa"
        memory = cells["bytes", n, k]
        assert memory.over_best.value.value == pytest.approx(1.0)
        assert memory.over_best.how == "exact"
        if n < 4096:
            assert memory.over_vanilla.value.value == pytest.approx(3.0)
            batches = cells["max_batch", n, k]
            assert (batches.over_vanilla.value.value, batches.over_vanilla.how) == (
                4.0,
                "extrapolated",
            )
            assert batches.over_vanilla.batches == (65536 // n, 16384 // n)
            assert batches.over_best.value.value == 1.0
    assert inside >= 12  # of 14


def test_the_paper_stands_beside_ours(table3):
    """Every cell of the paper is there, with its number; ours that it lacks have none."""
    cells = cells_of(table3)
    assert cells["time", 512, 128].paper == 1.5
    assert cells["max_batch", 65536, 2048].paper == cells["bytes", 65536, 2048].paper == 18
    for saved in SAVED:
        assert len([cell for cell in table3.of(saved) if cell.paper is not None]) == 34
    assert cells["time", 4096, 128].paper == 3.4
    assert table3.sizes == list(published.TIME)
    assert table3.ks == list(published.KS)


def test_what_the_paper_lacks_has_no_number():
    """k = n is measured by the suite and not in the paper's table."""
    records = synthetic.table3(np.random.default_rng(0), ks=(512,))
    (one,) = held(records)
    cells = cells_of(one)
    assert cells["time", 512, 512].paper is None
    assert cells["time", 512, 512].over_best.value is not None
    assert cells["time", 1024, 512].paper == 1.3


def test_missing_cells_say_why(table3):
    """A skipped baseline, a size that the run lacks, and nothing that fits are told apart."""
    cells = cells_of(table3)
    skipped = cells["time", 4096, 128].over_vanilla
    assert (skipped.value, skipped.status) == (None, "skipped")
    assert skipped.reason == "vanilla skipped: predicted memory 30 GiB"
    absent = cells["time", 8192, 128].over_vanilla
    assert absent.status == NOT_IN_RUN
    assert "linformer is not in this run at n = 8192" in absent.reason
    nothing = cells["max_batch", 4096, 128].over_vanilla
    assert (nothing.value, nothing.status, nothing.batches) == (None, NO_RATIO, (16, 0))
    assert nothing.how == "extrapolated"  # the baseline's was not run
    (missing,) = table3.missing
    assert (missing.task, missing.label, missing.status) == ("efficiency", "vanilla", "skipped")
    assert missing.sizes == (4096,)


@pytest.mark.parametrize("status", ["oom", "timeout", "error", "incorrect"])
def test_every_status_reaches_its_cell(status):
    """What became of Linformer's own case is the reason of both comparisons."""
    records = synthetic.table3(np.random.default_rng(0), ks=(128,))
    case = {**synthetic.ROBERTA, **synthetic.layerwise(256)}
    records.append(synthetic.failed(status, "so it was", 512, **case))
    (one,) = held(records)
    cell = cells_of(one)["time", 512, 256]
    for gain in (cell.over_vanilla, cell.over_best):
        assert (gain.status, gain.reason) == (status, f"linformer {status}: so it was")


def test_a_case_that_was_wrong_once_has_no_cell():
    """Neither time nor bytes, whatever its other rounds took; the wrong one is the reason."""
    records = synthetic.table3(np.random.default_rng(0), ks=(128,))
    at = [i for i, r in enumerate(records) if (r.case.impl, r.case.seq) == ("linformer", 512)]
    wrong = {"status": "incorrect", "reason": "off by 0.5", "metrics": {}}
    records[at[0]] = records[at[0]].model_copy(update=wrong)
    (one,) = held(records)
    for saved in ("time", "bytes"):
        gain = cells_of(one)[saved, 512, 128].over_best
        assert (gain.value, gain.status) == (None, "incorrect")
        assert gain.reason == "linformer incorrect: off by 0.5"
    assert [(m.label, m.status, m.sizes) for m in one.missing if "linformer" in m.label] == [
        ("linformer k=128", "incorrect", (512,))
    ]


def test_batches_for_different_memories_are_not_divided():
    """What fits more memory is no larger batch; cells of one limit keep their ratio."""
    records = [
        record.model_copy(update={"detail": Detail(max_batch={"limit_bytes": 2**33})})
        if (record.case.task, record.case.impl, record.case.seq) == ("max_batch", "sdpa", 512)
        else record
        for record in synthetic.table3(np.random.default_rng(0), ks=(128,))
    ]
    (one,) = held(records)
    cells = cells_of(one)
    gain = cells["max_batch", 512, 128].over_best
    assert (gain.value, gain.batches, gain.status) == (None, None, NO_RATIO)
    assert gain.reason == (
        "largest batches for limits of 8589934592 and 17179869184 bytes do not compare"
    )
    assert cells["max_batch", 512, 128].over_vanilla.value.value == 4.0
    assert cells["max_batch", 1024, 128].over_best.value.value == 1.0
    assert one.limit_bytes is None


def test_two_precisions_are_two_comparisons():
    """Settings never mix: each has its own cells and its own largest batches."""
    rng = np.random.default_rng(0)
    records = synthetic.table3(rng, ks=(128,)) + synthetic.table3(rng, ks=(256,), dtype="bfloat16")
    first, second = held(records)
    assert {first.panel.problem.dtype, second.panel.problem.dtype} == {"float32", "bfloat16"}
    for one, k in ((first, 128), (second, 256)):
        for saved in SAVED:
            assert {cell.k for cell in one.of(saved) if cell.over_best.value} == {k}


def test_without_a_fused_baseline_there_is_no_best():
    """Vanilla alone is not called the best exact implementation."""
    records = [r for r in synthetic.table3(np.random.default_rng(0)) if r.case.impl != "sdpa"]
    (one,) = held(records)
    for cell in one.savings:
        assert cell.over_best.value is None
    cell = cells_of(one)["time", 512, 128]
    assert cell.over_vanilla.value is not None
    assert cell.over_best.status == NOT_IN_RUN
    assert "sdpa or xformers" in cell.over_best.reason


def test_without_vanilla_the_best_exact_remains():
    """No ratio over vanilla is made up from another baseline."""
    records = [r for r in synthetic.table3(np.random.default_rng(0)) if r.case.impl != "vanilla"]
    (one,) = held(records)
    assert not any(cell.over_vanilla.value for cell in one.savings)
    assert cells_of(one)["time", 512, 128].over_best.value is not None


def test_vanilla_may_be_the_best():
    """Where written-out attention beats the fused one, it is the baseline."""
    rng = np.random.default_rng(0)
    case = synthetic.ROBERTA
    records = synthetic.measured(rng, lambda _: 1.0, sizes=(512,), **case)
    records += synthetic.measured(rng, lambda _: 2.0, sizes=(512,), impl="sdpa", **case)
    of = {**synthetic.layerwise(128), **case}
    records += synthetic.measured(rng, lambda _: 4.0, sizes=(512,), **of)
    (one,) = held(records)
    best = cells_of(one)["time", 512, 128].over_best
    assert best.baseline == "vanilla"
    assert best.value.value == pytest.approx(0.25, rel=0.05)


def test_runs_of_something_else_have_no_comparison():
    """Other sharing, projections, training, or one side alone are not Table 3."""
    rng = np.random.default_rng(0)
    rows = synthetic.table3(rng, ks=(128,))
    exact = [r for r in rows if r.case.impl != "linformer"]
    linformer = [r for r in rows if r.case.impl == "linformer"]

    def other(**fields):
        cases = [(r, r.case.model_copy(update=fields)) for r in linformer]
        return [r.model_copy(update={"case": case, "case_id": case.id}) for r, case in cases]

    assert held(exact) == held(linformer) == []
    assert held(exact + other(sharing="headwise")) == []
    assert held(exact + other(projection="conv")) == []
    assert held(exact + other(mode="forward_backward")) == []
    assert held(synthetic.default_sweep(rng)) == []


def test_searches_alone_are_a_comparison():
    """A run of task max_batch only has its memory cells, and no time."""
    records = [r for r in synthetic.table3(np.random.default_rng(0)) if r.case.task == "max_batch"]
    (one,) = held(records)
    cells = cells_of(one)
    assert cells["max_batch", 512, 128].over_vanilla.value.value == 4.0
    assert cells["time", 512, 128].over_vanilla.status == NOT_IN_RUN
    assert one.limit_bytes == 2**34


def test_json_holds_every_cell(table3):
    """Each cell with its number, interval, grounds and reason; no NaN."""
    answer = to_json([table3])
    (one,) = answer["comparisons"]
    assert len(one["cells"]) == len(table3.savings)
    cell = one["cells"][0]
    assert set(cell) == {"saved", "n", "k", "paper", "over_vanilla", "over_best"}
    for gain in (c[over] for c in one["cells"] for over in ("over_vanilla", "over_best")):
        assert (gain["value"] is None) == (gain["reason"] is not None)


def test_a_time_measured_once_has_no_interval():
    """It is a ratio without ends, not an exact one."""
    records = [r for r in synthetic.table3(np.random.default_rng(0)) if r.round == 0]
    (one,) = held(records)
    gain = cells_of(one)["time", 512, 128].over_best
    assert gain.how == "interval"
    assert not gain.value.bounded


def test_committed_runs_can_be_held_against_the_table():
    """Runs of other things give no comparison and no error."""
    assert tables_of(Runs.read([Path("reports/example/example.jsonl")])) == []


def test_the_committed_table_keeps_its_numbers():
    """A run file of schema 1, with largest batches that were extrapolated, counted and skipped."""
    (one,) = tables_of(Runs.read([Path("reports/example/table3.jsonl")]))
    cells = cells_of(one)
    time = cells["time", 8192, 128]
    assert time.over_vanilla.value.value == pytest.approx(4.24, rel=2e-3)
    assert time.over_vanilla.value.low == pytest.approx(3.62, rel=2e-3)
    assert time.over_best.value.high == pytest.approx(5.26, rel=2e-3)
    assert cells["bytes", 8192, 2048].over_vanilla.value.value == pytest.approx(26.0, rel=2e-3)
    assert cells["max_batch", 512, 512].over_vanilla.batches == (989, 518)
    assert cells["max_batch", 16384, 512].over_vanilla.batches == (30, 0)
    assert cells["max_batch", 16384, 512].over_best.status == "skipped"
    assert one.limit_bytes == 16 * 2**30


def test_a_plug_in_that_was_found_exact_is_a_baseline():
    """It counts among the best exact implementations, whatever it is called."""
    rng, case = np.random.default_rng(0), synthetic.ROBERTA
    mine = renamed(synthetic.measured(rng, lambda n: 1e-7 * n, sizes=(512,), **case), "mine")
    exact = Detail(check=Check(mathematics="exact", reference="exact attention"))
    records = synthetic.table3(rng, ks=(128,))
    (one,) = held(records + [r.model_copy(update={"detail": exact}) for r in mine])
    assert cells_of(one)["time", 512, 128].over_best.baseline == "mine"
    assert cells_of(one)["time", 1024, 128].over_best.baseline == "sdpa"
    (without,) = held(records + mine)
    assert cells_of(without)["time", 512, 128].over_best.baseline == "sdpa"


def test_another_linformer_has_a_table_of_its_own():
    """What was found to compute the paper's equation is held against it too, not mixed in."""
    records = synthetic.table3(np.random.default_rng(0), ks=(128,))
    check = Check(mathematics="linformer", reference="Linformer equation (7)")
    ours = [r for r in records if r.case.impl == "linformer" and r.case.task != "max_batch"]
    found = held(records + renamed(ours, "mine", detail=Detail(check=check)))
    assert [one.candidate for one in found] == ["linformer", "mine"]
    for one in found:
        assert cells_of(one)["time", 512, 128].over_best.value is not None
    assert cells_of(found[1])["max_batch", 512, 128].over_best.status == NOT_IN_RUN


def test_the_limit_is_that_of_the_case_where_the_record_has_none():
    """A record without details still says what its batch had to fit."""
    bare = {"detail": Detail()}
    (one,) = held(
        record.model_copy(update=bare) if record.case.task == "max_batch" else record
        for record in synthetic.table3(np.random.default_rng(0), ks=(128,))
    )
    assert one.limit_bytes == 2**34
    assert cells_of(one)["max_batch", 512, 128].over_vanilla.batches == (128, 32)
