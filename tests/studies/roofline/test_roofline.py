"""The roofline: shares of the attainable speed from known speeds."""

import re

import numpy as np
import pytest
from synthetic import header, measured, runs

from linbench.run.record import Ceilings, Counts, Detail
from linbench.run.runs import Run, Runs
from linbench.studies.roofline import sections, summary
from linbench.studies.roofline.roofline import rooflines_of, roofs_of

GEMM, COPY = 100e9, 20e9


def roofed(records, *, gemm=GEMM, copy=COPY, every=1):
    """Give the first record of every round (of each `every`) a machine of known speed."""
    seen = set()
    for record in records:
        detail = record.detail
        if record.round not in seen and record.round % every == 0:
            seen.add(record.round)
            ceilings = Ceilings(
                gemm_flops=2 * 1024**3,
                gemm_seconds=[2 * 1024**3 / gemm * slow for slow in (1.3, 1.0, 1.1)],
                copy_bytes=2**28,
                copy_seconds=[2**28 / copy * slow for slow in (1.2, 1.0)],
            )
            detail = detail.model_copy(update={"ceilings": ceilings})
        yield record.model_copy(update={"detail": detail})


def points(records):
    """The cases of a run of one panel, held against the machine."""
    (found,) = rooflines_of(runs(records))
    return found.points


def said(records):
    """The table, the figures and the sentences of a run of one panel."""
    found = runs(records)
    (section,) = sections(found)
    return section.tables[0], section.figures, [sentence.text for sentence in summary(found)]


def half_speed(n):
    """SDPA at scope core multiplies 4 n² d: at half of what the product reached."""
    return 2 * (4 * n * n * 256) / GEMM


@pytest.mark.parametrize("every", [1, 2], ids=["each round", "every other round"])
def test_half_the_speed_of_the_product_is_half(every):
    """A call that takes twice its operations' time reached 50 %, bound by arithmetic."""
    records = measured(
        np.random.default_rng(1), half_speed, lambda n: 1024 * n, impl="sdpa",
        sizes=(4096, 8192), drift=0.0, outliers=0.0,
    )  # fmt: skip
    found = points(roofed(records, every=every))
    assert [one.n for one in found] == [4096, 8192]
    for one in found:
        assert one.share.value == pytest.approx(0.5, rel=0.05)
        assert one.share.low <= 0.5 <= one.share.high
        assert one.bound == "arithmetic"
        assert one.costs.flops == 4 * one.n**2 * 256
        assert one.tokens_per_s == pytest.approx(one.n / one.time.value)
        assert one.peak_bytes.value == pytest.approx(1024 * one.n)


def test_a_drift_of_the_machine_cancels():
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
    (one,) = points(moved)
    assert one.share.value == pytest.approx(0.5, rel=0.01)
    assert one.share.high / one.share.low < 1.01


def test_few_operations_on_much_memory_are_bound_by_memory():
    """Where the copy takes longer than the product, the copy is the bound."""
    records = measured(np.random.default_rng(3), half_speed, impl="vanilla", sizes=(4096,))
    (one,) = points(roofed(records, gemm=1e15))
    assert one.bound == "memory"


def test_without_ceilings_or_costs_nothing_is_claimed():
    """A run without ceilings has counts and no share; a plug-in is not placed at all."""
    rng = np.random.default_rng(4)
    records = measured(rng, half_speed, impl="sdpa", sizes=(512,))
    records += measured(rng, half_speed, impl="plugin", sizes=(512,))
    (one,) = points(records)
    assert (one.share, one.bound) == (None, None)
    assert roofs_of(runs(records)) == {}
    table, figures, sentences = said(records)
    assert (figures, sentences) == ((), [])
    assert "no matrix product" in table.note
    assert table.rows[0][-2:] == ("\N{EN DASH}", "\N{EN DASH}")


def test_what_the_report_says():
    """Table, figure and sentence carry the share and the speeds it is held against."""
    records = measured(
        np.random.default_rng(5), half_speed, lambda n: 1024 * n, impl="sdpa", outliers=0.0,
        sizes=(4096, 8192), drift=0.0, call_noise=0.001,
    )  # fmt: skip
    table, (figure,), (sentence,) = said(roofed(records))
    cells = {name: str(x) for name, x in zip(table.columns, table.rows[1], strict=True)}
    assert cells["of the attainable"].startswith("50.")
    assert cells["GFLOP/s"].startswith(("50.", "49."))
    assert cells["bound by"] == "arithmetic"
    assert "100 GFLOP/s" in table.note
    assert "20.0 GB/s" in table.note
    assert "sdpa 50.0 % at n = 8192 (arithmetic)" in sentence
    assert "n × n" not in table.note
    assert figure.name == "core-roofline"
    ((plot,),) = figure.rows
    assert [round(point.value, 1) for point in plot.lines[0].y] == [0.5, 0.5]


def test_shares_have_their_intervals_and_vanilla_its_reservation():
    """The sentence has what the table has; what written-out attention moves besides is said."""
    records = measured(np.random.default_rng(6), half_speed, impl="vanilla", sizes=(4096, 8192))
    table, _, (sentence,) = said(roofed(records))
    share = str(dict(zip(table.columns, table.rows[1], strict=True))["of the attainable"])
    assert re.fullmatch(r"[\d.]+ \[[\d.]+, [\d.]+\] %", share)
    assert f"vanilla {share} at n = 8192" in sentence
    assert "vanilla include its passes over n × n matrices" in table.note
    assert "arithmetic bounds, where the product was measured in a slow moment" in table.note


def test_each_run_has_its_own_counts():
    """Where two runs of a case counted differently, each is held against its own."""
    found = []
    for i, flops in enumerate((1000, 2000)):
        counted = Counts(flops=flops, bytes_moved=1, parameters=0, peak_bytes=1)
        records = [
            record.model_copy(update={"detail": Detail(costs=counted)})
            for record in measured(np.random.default_rng(7), half_speed, sizes=(512,))
        ]
        found.append(Run(header(f"r{i}"), tuple(roofed(records))))
    both = Runs(tuple(found))
    placed = [(one.panel.run_id, one.points[0].costs.flops) for one in rooflines_of(both)]
    assert placed == [("r0", 1000), ("r1", 2000)]
    parts = sections(both)
    assert [section.title.rsplit(" ", 1)[1] for section in parts] == ["(r0)", "(r1)"]
    assert len({section.figures[0].name for section in parts}) == 2
    (sentence,) = summary(both)
    assert [text.split(": ")[0][-4:] for text in sentence.under] == ["(r0)", "(r1)"]


def test_a_task_that_calls_something_else_is_not_counted_as_one_call():
    """The counts of one call of attention say nothing of how long a training took."""
    records = measured(np.random.default_rng(8), half_speed, sizes=(512,), task="training")
    assert rooflines_of(runs(records)) == []
