"""The roofline: shares of the attainable speed from known speeds."""

import re

import numpy as np
import pandas as pd
import pytest
from synthetic import header, measured, write

from linbench.analysis.roofline import place, roofs_of
from linbench.record import Ceilings, Counts, load
from linbench.report import roofline as told

GEMM, COPY = 100e9, 20e9


def roofed(records, *, gemm=GEMM, copy=COPY, every=1):
    """Give the first record of every round (of each `every`) a machine of known speed."""
    seen = set()
    for record in records:
        extra = {}
        if record.round not in seen and record.round % every == 0:
            seen.add(record.round)
            extra["ceilings"] = Ceilings(
                gemm_flops=2 * 1024**3,
                gemm_seconds=[2 * 1024**3 / gemm * slow for slow in (1.3, 1.0, 1.1)],
                copy_bytes=2**28,
                copy_seconds=[2**28 / copy * slow for slow in (1.2, 1.0)],
            )
        yield record.model_copy(update=extra)


def frame_of(tmp_path, records):
    return load(write(tmp_path / "run.jsonl", records, header("run")))[1]


def half_speed(n):
    """SDPA at scope core multiplies 4 n² d: at half of what the product reached."""
    return 2 * (4 * n * n * 256) / GEMM


@pytest.mark.parametrize("every", [1, 2], ids=["each round", "every other round"])
def test_half_the_speed_of_the_product_is_half(tmp_path, every):
    """A call that takes twice its operations' time reached 50 %, bound by arithmetic."""
    records = measured(
        np.random.default_rng(1), half_speed, lambda n: 1024 * n, impl="sdpa",
        sizes=(4096, 8192), drift=0.0, outliers=0.0,
    )  # fmt: skip
    found = place(frame_of(tmp_path, roofed(records, every=every)))
    assert [one.n for one in found] == [4096, 8192]
    for one in found:
        assert one.share.value == pytest.approx(0.5, rel=0.05)
        assert one.share.low <= 0.5 <= one.share.high
        assert one.bound == "arithmetic"
        assert one.flops == 4 * one.n**2 * 256
        assert one.tokens_per_s == pytest.approx(one.n / one.time.value)
        assert one.peak_bytes.value == pytest.approx(1024 * one.n)


def test_a_drift_of_the_machine_cancels(tmp_path):
    """Rounds in which machine and case are slow together leave the share where it is."""
    slow = {0: 0.0, 1: 0.4, 2: -0.2, 3: 0.3, 4: 0.0}
    records = measured(
        np.random.default_rng(2), half_speed, impl="sdpa", sizes=(4096,), drift=slow,
        call_noise=0.001, outliers=0.0,
    )  # fmt: skip
    moved = [
        one
        for record in records
        for one in roofed([record], gemm=GEMM / np.exp(slow[record.round]))
    ]
    (one,) = place(frame_of(tmp_path, moved))
    assert one.share.value == pytest.approx(0.5, rel=0.01)
    assert one.share.high / one.share.low < 1.01


def test_few_operations_on_much_memory_are_bound_by_memory(tmp_path):
    """Where the copy takes longer than the product, the copy is the bound."""
    records = measured(np.random.default_rng(3), half_speed, impl="vanilla", sizes=(4096,))
    (one,) = place(frame_of(tmp_path, roofed(records, gemm=1e15)))
    assert one.bound == "memory"


def test_without_ceilings_or_costs_nothing_is_claimed(tmp_path):
    """A run without ceilings has counts and no share; a plug-in is not placed at all."""
    rng = np.random.default_rng(4)
    records = measured(rng, half_speed, impl="sdpa", sizes=(512,))
    records += measured(rng, half_speed, impl="plugin", sizes=(512,))
    frame = frame_of(tmp_path, records)
    (one,) = place(frame)
    assert (one.share, one.bound) == (None, None)
    assert roofs_of(frame) == {}
    assert told.figure(told.Held((one,), None), "") is None
    assert told.sentence(told.Held((one,), None)) is None
    assert "no matrix product" in told.costs(told.Held((one,), None)).note


def test_what_the_report_says(tmp_path):
    """Table, figure and sentence carry the share and the speeds it is held against."""
    records = measured(
        np.random.default_rng(5), half_speed, lambda n: 1024 * n, impl="sdpa", outliers=0.0,
        sizes=(4096, 8192), drift=0.0, call_noise=0.001,
    )  # fmt: skip
    frame = frame_of(tmp_path, roofed(records))
    (roof,) = roofs_of(frame).values()
    held = told.Held(tuple(place(frame)), roof)
    table = told.costs(held)
    cells = dict(zip(table.columns, table.rows[1], strict=True))
    assert cells["of the attainable"].startswith("50.")
    assert cells["GFLOP/s"].startswith(("50.", "49."))
    assert cells["bound by"] == "arithmetic"
    assert "100 GFLOP/s" in table.note
    assert "20.0 GB/s" in table.note
    assert "sdpa 50.0 % at n = 8192 (arithmetic)" in told.sentence(held)
    assert "n × n" not in table.note
    ((plot,),) = told.figure(held, "core-").rows
    assert [round(point.value, 1) for point in plot.lines[0].y] == [0.5, 0.5]


def test_shares_have_their_intervals_and_vanilla_its_reservation(tmp_path):
    """The sentence has what the table has; what written-out attention moves besides is said."""
    records = measured(np.random.default_rng(6), half_speed, impl="vanilla", sizes=(4096, 8192))
    frame = frame_of(tmp_path, roofed(records))
    (roof,) = roofs_of(frame).values()
    held = told.Held(tuple(place(frame)), roof)
    table = told.costs(held)
    share = dict(zip(table.columns, table.rows[1], strict=True))["of the attainable"]
    assert re.fullmatch(r"[\d.]+ \[[\d.]+, [\d.]+\] %", share)
    assert f"vanilla {share} at n = 8192" in told.sentence(held)
    assert "vanilla include its passes over n × n matrices" in table.note
    assert "arithmetic bounds, where the product was measured in a slow moment" in table.note


def test_each_run_has_its_own_counts(tmp_path):
    """Where two runs of a case counted differently, each is held against its own."""
    frames = []
    for i, flops in enumerate((1000, 2000)):
        counted = Counts(flops=flops, bytes_moved=1, parameters=0, peak_bytes=1)
        records = [
            record.model_copy(update={"costs": counted})
            for record in measured(np.random.default_rng(7), half_speed, sizes=(512,))
        ]
        frames.append(load(write(tmp_path / f"{i}.jsonl", records, header(f"r{i}")))[1])
    found = place(pd.concat(frames, ignore_index=True))
    assert [(one.setup.run_id, one.flops) for one in found] == [("r0", 1000), ("r1", 2000)]
