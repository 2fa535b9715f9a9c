"""A run beside the paper's Table 3: known gains are found, and what is missing says why."""

import itertools

import numpy as np
import pytest
import synthetic

from linbench import record
from linbench.analysis import paper
from linbench.analysis.paper import comparisons, to_json


def held(tmp_path, records):
    """The comparisons of a run, by way of its file."""
    return comparisons(record.load(synthetic.write(tmp_path / "run.jsonl", records))[1])


def cells_of(comparison):
    return {(cell.saved, cell.n, cell.k): cell for cell in comparison.cells}


@pytest.fixture(scope="module")
def table3(tmp_path_factory):
    records = synthetic.table3(np.random.default_rng(0))
    (one,) = held(tmp_path_factory.mktemp("runs"), records)
    return one


def test_the_paper_s_numbers_are_a_table():
    """34 cells each of time and memory, k up to n/2; saved is less with larger k, more with n."""
    for table in (paper.TIME, paper.MEMORY):
        assert list(table) == [512 * 2**i for i in range(8)]
        assert sum(map(len, table.values())) == 34
        for n, row in table.items():
            assert len(row) == sum(k <= n / 2 for k in paper.KS)
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
    for saved in paper.SAVED:
        assert len([cell for cell in table3.of(saved) if cell.paper is not None]) == 34
    assert cells["time", 4096, 128].paper == 3.4
    assert table3.sizes == list(paper.TIME)
    assert table3.ks == list(paper.KS)


def test_what_the_paper_lacks_has_no_number(tmp_path):
    """k = n is measured by the suite and not in the paper's table."""
    records = synthetic.table3(np.random.default_rng(0), ks=(512,))
    (one,) = held(tmp_path, records)
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
    assert absent.status == paper.NOT_IN_RUN
    assert "linformer is not in this run at n = 8192" in absent.reason
    nothing = cells["max_batch", 4096, 128].over_vanilla
    assert (nothing.value, nothing.status, nothing.batches) == (None, paper.NO_RATIO, (16, 0))
    assert nothing.how == "extrapolated"  # the baseline's was not run
    (missing,) = table3.missing
    assert (missing.task, missing.label, missing.status) == ("efficiency", "vanilla", "skipped")
    assert missing.sizes == (4096,)


@pytest.mark.parametrize("status", ["oom", "timeout", "error", "incorrect"])
def test_every_status_reaches_its_cell(tmp_path, status):
    """What became of Linformer's own case is the reason of both comparisons."""
    records = synthetic.table3(np.random.default_rng(0), ks=(128,))
    case = {**synthetic.ROBERTA, **synthetic.layerwise(256)}
    records.append(synthetic.failed(status, "so it was", 512, **case))
    (one,) = held(tmp_path, records)
    cell = cells_of(one)["time", 512, 256]
    for gain in (cell.over_vanilla, cell.over_best):
        assert (gain.status, gain.reason) == (status, f"linformer {status}: so it was")


def test_a_case_that_was_wrong_once_has_no_cell(tmp_path):
    """Neither time nor bytes, whatever its other rounds took; the wrong one is the reason."""
    records = synthetic.table3(np.random.default_rng(0), ks=(128,))
    at = [i for i, r in enumerate(records) if (r.case.impl, r.case.seq) == ("linformer", 512)]
    wrong = {"status": "incorrect", "reason": "off by 0.5", "seconds": []}
    records[at[0]] = records[at[0]].model_copy(update=wrong)
    (one,) = held(tmp_path, records)
    for saved in ("time", "bytes"):
        gain = cells_of(one)[saved, 512, 128].over_best
        assert (gain.value, gain.status) == (None, "incorrect")
        assert gain.reason == "linformer incorrect: off by 0.5"
    assert [(m.label, m.status, m.sizes) for m in one.missing if "linformer" in m.label] == [
        ("linformer k=128", "incorrect", (512,))
    ]


def test_batches_for_different_memories_are_not_divided(tmp_path):
    """What fits more memory is no larger batch; cells of one limit keep their ratio."""
    records = [
        record.model_copy(
            update={"max_batch": record.max_batch.model_copy(update={"limit_bytes": 2**33})}
        )
        if record.max_batch and (record.case.impl, record.case.seq) == ("sdpa", 512)
        else record
        for record in synthetic.table3(np.random.default_rng(0), ks=(128,))
    ]
    (one,) = held(tmp_path, records)
    cells = cells_of(one)
    gain = cells["max_batch", 512, 128].over_best
    assert (gain.value, gain.batches, gain.status) == (None, None, paper.NO_RATIO)
    assert gain.reason == (
        "largest batches for limits of 8589934592 and 17179869184 bytes do not compare"
    )
    assert cells["max_batch", 512, 128].over_vanilla.value.value == 4.0
    assert cells["max_batch", 1024, 128].over_best.value.value == 1.0
    assert one.limit_bytes is None


def test_two_precisions_are_two_comparisons(tmp_path):
    """Settings never mix: each has its own cells and its own largest batches."""
    rng = np.random.default_rng(0)
    records = synthetic.table3(rng, ks=(128,)) + synthetic.table3(rng, ks=(256,), dtype="bfloat16")
    first, second = held(tmp_path, records)
    assert {first.panel.dtype, second.panel.dtype} == {"float32", "bfloat16"}
    for one, k in ((first, 128), (second, 256)):
        for saved in paper.SAVED:
            assert {cell.k for cell in one.of(saved) if cell.over_best.value} == {k}


def test_without_a_fused_baseline_there_is_no_best(tmp_path):
    """Vanilla alone is not called the best exact implementation."""
    records = [r for r in synthetic.table3(np.random.default_rng(0)) if r.case.impl != "sdpa"]
    (one,) = held(tmp_path, records)
    for cell in one.cells:
        assert cell.over_best.value is None
    cell = cells_of(one)["time", 512, 128]
    assert cell.over_vanilla.value is not None
    assert cell.over_best.status == paper.NOT_IN_RUN
    assert "sdpa or xformers" in cell.over_best.reason


def test_without_vanilla_the_best_exact_remains(tmp_path):
    """No ratio over vanilla is made up from another baseline."""
    records = [r for r in synthetic.table3(np.random.default_rng(0)) if r.case.impl != "vanilla"]
    (one,) = held(tmp_path, records)
    assert not any(cell.over_vanilla.value for cell in one.cells)
    assert cells_of(one)["time", 512, 128].over_best.value is not None


def test_vanilla_may_be_the_best(tmp_path):
    """Where written-out attention beats the fused one, it is the baseline."""
    rng = np.random.default_rng(0)
    case = synthetic.ROBERTA
    records = synthetic.measured(rng, lambda _: 1.0, sizes=(512,), **case)
    records += synthetic.measured(rng, lambda _: 2.0, sizes=(512,), impl="sdpa", **case)
    of = {**synthetic.layerwise(128), **case}
    records += synthetic.measured(rng, lambda _: 4.0, sizes=(512,), **of)
    (one,) = held(tmp_path, records)
    best = cells_of(one)["time", 512, 128].over_best
    assert best.baseline == "vanilla"
    assert best.value.value == pytest.approx(0.25, rel=0.05)


def test_runs_of_something_else_have_no_comparison(tmp_path):
    """Other sharing, projections, training, or one side alone are not Table 3."""
    rng = np.random.default_rng(0)
    rows = synthetic.table3(rng, ks=(128,))
    exact = [r for r in rows if r.case.impl != "linformer"]
    linformer = [r for r in rows if r.case.impl == "linformer"]

    def other(**fields):
        cases = [(r, r.case.model_copy(update=fields)) for r in linformer]
        return [r.model_copy(update={"case": case, "case_id": case.id}) for r, case in cases]

    assert held(tmp_path, exact) == held(tmp_path, linformer) == []
    assert held(tmp_path, exact + other(sharing="headwise")) == []
    assert held(tmp_path, exact + other(projection="conv")) == []
    assert held(tmp_path, exact + other(mode="forward_backward")) == []
    assert held(tmp_path, synthetic.default_sweep(rng)) == []


def test_searches_alone_are_a_comparison(tmp_path):
    """A run of task max_batch only has its memory cells, and no time."""
    records = [r for r in synthetic.table3(np.random.default_rng(0)) if r.max_batch]
    (one,) = held(tmp_path, records)
    cells = cells_of(one)
    assert cells["max_batch", 512, 128].over_vanilla.value.value == 4.0
    assert cells["time", 512, 128].over_vanilla.status == paper.NOT_IN_RUN
    assert one.limit_bytes == 2**34


def test_json_holds_every_cell(table3):
    """Each cell with its number, interval, grounds and reason; no NaN."""
    answer = to_json([table3])
    (one,) = answer["comparisons"]
    assert len(one["cells"]) == len(table3.cells)
    cell = one["cells"][0]
    assert set(cell) == {"saved", "n", "k", "paper", "over_vanilla", "over_best"}
    for gain in (c[over] for c in one["cells"] for over in ("over_vanilla", "over_best")):
        assert (gain["value"] is None) == (gain["reason"] is not None)


def test_a_time_measured_once_has_no_interval(tmp_path):
    """It is a ratio without ends, not an exact one."""
    records = [r for r in synthetic.table3(np.random.default_rng(0)) if r.round == 0]
    (one,) = held(tmp_path, records)
    gain = cells_of(one)["time", 512, 128].over_best
    assert gain.how == "interval"
    assert not gain.value.bounded


def test_committed_runs_can_be_held_against_the_table():
    """Runs of other things give no comparison and no error."""
    _, frame = record.load("reports/example/example.jsonl")
    assert comparisons(frame) == []
