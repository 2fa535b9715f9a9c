"""From records to series: what counts as a measurement, and what belongs together."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import synthetic

from linbench import record
from linbench.analysis.series import Cell, mark_disturbed, panels_of, series_of
from linbench.analysis.tables import load_all
from linbench.record import Memory


def _second(_):
    return 1.0


def _frame(tmp_path, records, name="run", fingerprint="machine-a"):
    head = synthetic.header(name, fingerprint)
    return record.load(synthetic.write(tmp_path / f"{name}.jsonl", records, head))[1]


def test_only_records_with_status_ok_are_measurements(tmp_path):
    """A skipped, timed-out or incorrect record adds no size, whatever seconds it carries."""
    rng = np.random.default_rng(0)
    records = synthetic.measured(rng, lambda n: 1e-6 * n, sizes=(512, 1024), rounds=2)
    wrong = synthetic.measured(rng, lambda n: 1e-6 * n, sizes=(2048,), rounds=1)[0]
    records.append(wrong.model_copy(update={"status": "incorrect"}))
    sizes = {"skipped": 4096, "oom": 8192, "timeout": 16384}
    records += [synthetic.failed(status, "no", n) for status, n in sizes.items()]
    (series,) = series_of(_frame(tmp_path, records), "time")
    assert series.sizes == [512, 1024]


def test_a_case_that_was_wrong_once_has_no_cell(tmp_path):
    """All rounds of it ran the same code; the same case of another run stays."""
    rng = np.random.default_rng(0)
    records = synthetic.measured(rng, lambda n: 1e-6 * n, sizes=(512, 1024), rounds=3)
    wrong = [
        one.model_copy(update={"status": "incorrect", "seconds": []})
        if (one.case.seq, one.round) == (1024, 1)
        else one
        for one in records
    ]
    frames = [_frame(tmp_path, wrong, "wrong"), _frame(tmp_path, records, "right")]
    found = series_of(pd.concat(frames, ignore_index=True), "time")
    assert {one.setup.run_id: one.sizes for one in found} == {"wrong": [512], "right": [512, 1024]}


def test_a_cell_is_the_median_of_its_calls(tmp_path):
    """The value of a round can be read off the run file."""
    one = synthetic.measured(np.random.default_rng(0), _second, sizes=(512,), rounds=1)[0]
    one = one.model_copy(update={"seconds": [3.0, 1.0, 9.0, 2.0, 2.5]})
    (series,) = series_of(_frame(tmp_path, [one]), "time")
    assert [(cell.value, cell.calls) for cell in series.cells] == [(2.5, 5)]


def test_cases_of_one_rule_for_k_are_one_series(tmp_path):
    """The k of n/4 differs at every n, and is one series named by its rule; fixed k are others."""
    rng = np.random.default_rng(0)
    records = []
    for n in (512, 1024):
        for k, rule in ((n // 4, "n/4"), (128, None)):
            of = {"impl": "linformer", "k": k, "k_rule": rule, "sharing": "kv"}
            records += synthetic.measured(rng, lambda n: 1e-6 * n, sizes=(n,), rounds=1, **of)
    found = {s.setup.k: s.sizes for s in series_of(_frame(tmp_path, records), "time")}
    assert found == {128: [512, 1024], "n/4": [512, 1024]}


def test_k_per_layer_is_a_series_of_its_own(tmp_path):
    """Nonuniform k is named as the command line has it."""
    of = {"impl": "linformer", "k": (256, 128), "layers": 2, "scope": "encoder", "sharing": "kv"}
    records = synthetic.measured(np.random.default_rng(0), lambda n: 1e-6 * n, rounds=1, **of)
    (series,) = series_of(_frame(tmp_path, records), "time")
    assert series.setup.k == "256/128"


def test_batches_that_follow_from_tokens_stay_in_one_series(tmp_path):
    """At a fixed number of tokens the batch changes with n and the series does not."""
    rng = np.random.default_rng(0)
    records = []
    for n in (512, 1024):
        of = {"tokens": 8192, "batch": 8192 // n}
        records += synthetic.measured(rng, lambda n: 1e-6 * n, sizes=(n,), rounds=1, **of)
    (series,) = series_of(_frame(tmp_path, records), "time")
    assert (series.setup.batch, series.setup.tokens, series.sizes) == (None, 8192, [512, 1024])


def test_a_round_measured_twice_counts_once(tmp_path):
    """After a resumed run the later record of a round stands."""
    rng = np.random.default_rng(0)
    one = synthetic.measured(rng, _second, sizes=(512,), rounds=1)[0]
    records = [one, one.model_copy(update={"seconds": [7.0]})]
    with pytest.warns(UserWarning, match="the later one counts"):
        frame = _frame(tmp_path, records)
    (series,) = series_of(frame, "time")
    assert [cell.value for cell in series.cells] == [7.0]


def test_memory_that_is_unknown_or_nothing_is_no_measurement(tmp_path):
    """A peak of null or 0 bytes has no logarithm and adds no size."""
    rng = np.random.default_rng(0)
    sizes = (512, 1024, 2048)
    records = synthetic.measured(rng, _second, lambda n: 4 * n, sizes=sizes, rounds=1)
    records[0] = records[0].model_copy(update={"memory": None})
    records[1] = records[1].model_copy(update={"memory": Memory(peak_bytes=0)})
    (series,) = series_of(_frame(tmp_path, records), "memory")
    assert series.sizes == [2048]


def test_runs_and_machines_never_enter_one_series(tmp_path):
    """The same case in two runs makes two series in two panels."""
    rng = np.random.default_rng(0)
    records = synthetic.measured(rng, lambda n: 1e-6 * n, rounds=1)
    frames = [_frame(tmp_path, records, "a"), _frame(tmp_path, records, "b", "machine-b")]
    series = series_of(pd.concat(frames, ignore_index=True), "time")
    assert [one.setup.fingerprint for one in series] == ["machine-a", "machine-b"]
    assert len(panels_of(series)) == 2


def test_a_run_named_twice_counts_once(tmp_path):
    """`linbench scaling latest latest` is one run."""
    records = synthetic.measured(np.random.default_rng(0), lambda n: 1e-6 * n, rounds=1)
    path = synthetic.write(tmp_path / "a.jsonl", records)
    headers, frame = load_all([path, path])
    assert (len(headers), len(frame)) == (1, len(records))


def test_series_come_in_the_order_a_reader_expects(tmp_path):
    """Exact attention first, then Linformer by k and by how much is shared."""
    rng = np.random.default_rng(0)
    records = []
    for impl, k, sharing in (
        ("linformer", 256, "kv"),
        ("linformer", 256, "headwise"),
        ("other", None, None),
        ("linformer", 64, "kv"),
        ("sdpa", None, None),
        ("vanilla", None, None),
    ):
        of = {"impl": impl, "k": k, "sharing": sharing, "sizes": (512,), "rounds": 1}
        records += synthetic.measured(rng, _second, **of)
    labels = [one.setup.label for one in series_of(_frame(tmp_path, records), "time")]
    assert labels == [
        "vanilla", "sdpa", "linformer k=64 kv", "linformer k=256 headwise", "linformer k=256 kv",
        "other",
    ]  # fmt: skip


def _cells(*rounds_of_each_n):
    return [
        Cell(512 << i, index, value, 1, None)
        for i, rounds in enumerate(rounds_of_each_n)
        for index, value in enumerate(rounds)
    ]


def _marked(cells):
    return [(cell.n, cell.round) for cell in mark_disturbed(cells) if cell.disturbed]


def test_a_round_far_slower_than_the_others_is_marked():
    """One of three rounds forty times as slow has no weight in the typical value."""
    cells = _cells([1.0, 1.02, 40.0], [2.0, 2.04, 1.98])
    assert _marked(cells) == [(512, 2)]
    series = dataclasses.replace(
        synthetic.series(np.random.default_rng(0), _second), cells=mark_disturbed(cells)
    )
    assert 1.0 <= series.point(512).value.value <= 1.02
    assert (series.point(512).rounds, series.point(512).disturbed) == (3, 1)


def test_what_is_often_slow_is_not_marked():
    """Two slow rounds of four, two rounds in all, or usual noise of a factor of two stay."""
    assert _marked(_cells([1.0, 1.0, 9.0, 9.0])) == []
    assert _marked(_cells([1.0, 9.0])) == []
    assert _marked(_cells([1.0, 1.7, 0.6], [2.0, 1.1, 3.4], [4.0, 6.9, 2.2])) == []


def test_fast_rounds_are_not_marked():
    """Nothing on a machine makes a call faster than it is."""
    assert _marked(_cells([1.0, 1.01, 0.1], [2.0, 2.01, 2.02])) == []
