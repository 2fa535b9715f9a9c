"""Several runs become a baseline in which each of them counts as one."""

import statistics

import numpy as np
import pytest
from synthetic import failed, header, twelve, write

from linbench.errors import UsageError
from linbench.gate import judge
from linbench.gate.merge import Run, is_merged, merge
from linbench.record import load


def run(seed, *, fingerprint="machine-a", extra=(), **how):
    records = [*twelve(np.random.default_rng(seed), **how), *extra]
    return Run(f"r{seed}", header(f"r{seed}", fingerprint), tuple(records))


def saved(path, runs):
    head, records = merge(runs, "base")
    return load(write(path / "base.jsonl", records, head))


def candidate(path, seed, **how):
    records = twelve(np.random.default_rng(seed), **how)
    return load(write(path / f"{seed}.jsonl", records, header(f"c{seed}")))[1]


def test_a_run_is_a_round_whose_samples_are_its_rounds(tmp_path):
    """A record a case and run; its seconds are the medians of that run's rounds."""
    runs = [run(seed, rounds=4) for seed in (1, 2, 3)]
    head, frame = saved(tmp_path, runs)
    assert is_merged(head)
    assert [source["run_id"] for source in head["merged"]] == ["r1", "r2", "r3"]
    assert len(frame) == 36
    row = frame[(frame["impl"] == "sdpa") & (frame["seq"] == 512) & (frame["round"] == 1)].iloc[0]
    own = [r for r in runs[1].records if r.case_id == row["case_id"]]
    assert row["seconds"] == [statistics.median(r.seconds) for r in own]
    assert row["peak_bytes"] == own[0].memory.peak_bytes


def test_a_lucky_run_does_not_decide(tmp_path):
    """Alone it makes the same code a regression; one of three it does not, nor hides a real one."""
    lucky = run(2, factor=0.8, rounds=8)
    same = candidate(tmp_path, 9, rounds=8)
    _, alone = saved(tmp_path, [lucky])
    assert judge(alone, same).verdict == "regression"
    _, merged = saved(tmp_path, [run(1, rounds=8), lucky, run(3, rounds=8)])
    assert judge(merged, same, merged=True).verdict == "pass"
    slow = candidate(tmp_path, 10, rounds=8, slower={("sdpa", 2048): 1.25})
    found = judge(merged, slow, merged=True)
    assert [one.label for one in found.of("regression")] == ["sdpa n=2048"]


def test_runs_that_differ_are_no_surprise(tmp_path):
    """Runs 8 % apart: a candidate 12 % slower cannot be told, where each run alone convicts it."""
    runs = [run(seed, factor=f, rounds=8) for seed, f in enumerate((1.0, 1.08, 0.92, 1.04, 0.96))]
    slow = candidate(tmp_path, 20, rounds=8, factor=1.2)
    _, alone = saved(tmp_path, runs[:1])
    assert judge(alone, slow).verdict == "regression"
    _, merged = saved(tmp_path, runs)
    assert judge(merged, slow, merged=True).verdict == "inconclusive"


def test_one_noisy_call_decides_nothing_here_either(tmp_path):
    """Many runs in the baseline do not make up for a candidate without noise of its own."""
    _, merged = saved(tmp_path, [run(seed) for seed in range(4)])
    found = judge(merged, candidate(tmp_path, 9, rounds=1, calls=1), merged=True)
    assert found.verdict == "inconclusive"


def test_a_slower_machine_passes_a_merged_baseline(tmp_path):
    """Anchors work with merged runs as they do with one."""
    _, merged = saved(tmp_path, [run(seed) for seed in range(3)])
    records = twelve(np.random.default_rng(9), factor=1.6)
    other = load(write(tmp_path / "other.jsonl", records, header("other", "machine-b")))[1]
    found = judge(merged, other, merged=True)
    assert found.verdict == "pass"
    assert sum(one.metric == "time" for one in found.comparisons) == 8


def test_one_run_alone_stays_as_it_is(tmp_path):
    """Its rounds are all there is to know its noise from."""
    head, frame = saved(tmp_path, [run(1)])
    assert not is_merged(head)
    assert head["run_id"] == "base"
    assert len(frame) == 60


def test_a_run_is_added_to_a_baseline(tmp_path):
    """A baseline among the runs counts as the runs it was made of."""
    head, records = merge([run(1), run(2)], "base")
    again = merge([Run("base", head, tuple(records)), run(3)], "base")
    at_once = merge([run(1), run(2), run(3)], "base")
    assert [s["run_id"] for s in again[0].model_dump()["merged"]] == ["r1", "r2", "r3"]
    assert sorted(again[1], key=repr) == sorted(at_once[1], key=repr)


def test_a_failure_that_all_agree_on_is_kept(tmp_path):
    """Out of memory in every run is what that case does."""
    _, frame = saved(tmp_path, [run(i, extra=[failed("oom", "large", 65536)]) for i in (1, 2)])
    assert list(frame[frame["seq"] == 65536]["status"]) == ["oom", "oom"]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"fingerprint": "machine-b"}, "of machine machine-b"),
        ({"impls": ("vanilla", "sdpa")}, "is not in run 'r2'"),
        ({"extra": [failed("error", "raised", 65536)]}, "is not in run 'r1'"),
    ],
    ids=["machine", "missing", "more"],
)
def test_runs_that_do_not_belong_together_are_refused(other, said):
    """The message names the run, the case and what to do."""
    with pytest.raises(UsageError, match=said):
        merge([run(1), run(2, **other)], "base")


def test_a_case_that_failed_in_one_run_only_is_refused():
    """A baseline must not depend on which run went wrong."""
    wrong = run(2)
    first = wrong.records[0]
    broken = first.model_copy(update={"status": "error", "seconds": [], "reason": "raised"})
    with pytest.raises(UsageError, match="'ok' in run 'r1' and 'error' in run 'r2'"):
        merge([run(1), Run("r2", wrong.header, (broken, *wrong.records[1:]))], "base")


def test_a_run_counts_once():
    """The same records under two names would decide alone."""
    one = run(1)
    with pytest.raises(UsageError, match="there twice"):
        merge([one, Run("copy", one.header, one.records)], "base")
