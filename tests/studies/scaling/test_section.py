"""The study on a page: numbers that can be traced, figures of measurements, sentences that hold."""

import re

import numpy as np
import pytest
import synthetic

from linbench import words
from linbench.report import figures
from linbench.report.content import Quantity
from linbench.run.metrics import MEMORY, TIME, Measurement, Metric
from linbench.run.record import Check, Detail
from linbench.run.runs import Run, Runs
from linbench.studies import scaling
from linbench.studies.scaling.analyse import analyse, to_json

QUIET = {"call_noise": 0.0, "drift": 0.0, "outliers": 0.0}


def _figures(runs):
    return {f.name: f for section in scaling.sections(runs) for f in section.figures}


def _table(runs, title):
    tables = [table for section in scaling.sections(runs) for table in section.tables]
    return next(table for table in tables if table.title == title)


def _summary(runs):
    return [text for one in scaling.summary(runs) for text in (one.text, *one.under)]


def _of_metric(metric, values, **how):
    """A run of task `learn` with one metric: the value of each implementation as a law of n."""
    head = synthetic.header().model_copy(update={"metrics": [metric]})
    records = []
    for impl, law in values.items():
        of = {"impl": impl, "task": "learn", **QUIET, **how}
        for record in synthetic.measured(np.random.default_rng(0), law, rounds=2, **of):
            value = Measurement(law(record.case.seq), source="counted")
            records.append(record.model_copy(update={"metrics": {metric.name: value}}))
    return synthetic.runs(records, head)


@pytest.fixture(scope="module")
def sweep():
    """A default sweep."""
    return synthetic.runs(synthetic.default_sweep(np.random.default_rng(1)))


def test_numbers_can_be_read_off_the_run_file():
    """The typical time in the table is the median over rounds of the medians of calls."""
    rng = np.random.default_rng(2)
    records = synthetic.measured(rng, lambda n: 1e-6 * n, lambda n: 4096 * n, rounds=5)
    table = _table(synthetic.runs(records), "Measurements")
    assert table.columns == (
        "series", "n", "rounds", "calls", "time of one call", "peak memory of one call",
        "source of memory", "weights",
    )  # fmt: skip
    for row in table.rows:
        cells = dict(zip(table.columns, row, strict=True))
        n = cells["n"].value
        rounds = [np.median(r.samples("time")) for r in records if r.case.seq == n]
        assert cells["time of one call"].value == pytest.approx(float(np.median(rounds)))
        memory = cells["peak memory of one call"]
        assert str(memory) == f"{words.quantity(4096 * n, 'byte')} (exact)"
        assert cells["source of memory"] == "cpu_allocator"


def test_only_measurements_are_drawn():
    """Skipped, failed and incorrect cases are in no line of any figure."""
    rng = np.random.default_rng(3)
    records = synthetic.measured(rng, lambda n: 1e-9 * n * n, sizes=(512, 1024, 2048), rounds=2)
    wrong = synthetic.measured(rng, lambda n: 1e-9 * n * n, sizes=(4096,), rounds=1)[0]
    records.append(wrong.model_copy(update={"status": "incorrect", "reason": "off by 0.5"}))
    records.append(synthetic.failed("skipped", "predicted 12 GiB", 8192))
    lines = [
        line
        for figure in _figures(synthetic.runs(records)).values()
        for row in figure.rows
        for plot in row
        for line in plot.lines
    ]
    assert {x for line in lines for x in line.x} == {512, 1024, 2048}


def test_a_run_that_measured_nothing_has_no_section():
    """There is nothing to say of how it scales."""
    runs = synthetic.runs([synthetic.failed("skipped", "no budget", 512)])
    assert (scaling.summary(runs), scaling.sections(runs)) == ([], [])


def test_a_section_has_its_tables_in_order(sweep):
    """What a reader asks first stands first."""
    (section,) = scaling.sections(sweep)
    assert section.title == "Core, forward, d_model 256, 4 heads, batch 1, float32, cpu"
    assert [table.title for table in section.tables] == [
        "Verdicts", "Exponents", "Crossovers", "Largest n in memory", "Laws", "Local slopes",
        "Speed-up and memory saved", "Measurements",
    ]  # fmt: skip
    assert [figure.name for figure in section.figures] == [
        "core-cost", "core-gain", "core-gain-by-k",
    ]  # fmt: skip
    plots = [plot for figure in section.figures for row in figure.rows for plot in row]
    assert {plot.x_label: plot.x_name for plot in plots} == {
        "sequence length n": "n", "projected dimension k": "k",
    }  # fmt: skip


def test_cells_are_numbers_until_they_are_drawn(sweep):
    """What is sorted by a reader is a quantity, whatever is written beside it."""
    for title, column in (
        ("Exponents", "exponent"),
        ("Verdicts", "reached from n"),
        ("Crossovers", "n*"),
        ("Largest n in memory", "largest power of two that fits"),
        ("Laws", "misfit"),
        ("Speed-up and memory saved", "speed-up over best exact"),
    ):
        table = _table(sweep, title)
        cells = [row[table.columns.index(column)] for row in table.rows]
        assert any(isinstance(cell, Quantity) for cell in cells), column
        assert all(isinstance(cell, Quantity) or cell == "–" for cell in cells), column  # noqa: RUF001
    exponent = _table(sweep, "Exponents").rows[0][6]
    assert str(exponent) == words.slope(words.Interval(exponent.value, exponent.low, exponent.high))


def test_scopes_are_not_mixed_in_a_figure():
    """A run of two scopes has a section, figures and a group of sentences for each."""
    rng = np.random.default_rng(4)
    records = synthetic.default_sweep(rng) + synthetic.default_sweep(rng, scope="layer")
    runs = synthetic.runs(records)
    assert {"core-cost", "layer-cost"} <= set(_figures(runs))
    for name, figure in _figures(runs).items():
        keys = {line.key for row in figure.rows for plot in row for line in plot.lines}
        assert {key.scope for key in keys if key} <= {name.split("-")[0]}
    groups = [one for one in scaling.summary(runs) if one.under]
    assert [one.text[:9] for one in groups] == ["At core, ", "At layer,"]
    assert all(one.under[0].startswith("Time grew as") for one in groups)


def test_two_runs_are_told_apart():
    """Each run has its own sections and figures in one report."""
    rng = np.random.default_rng(5)
    runs = Runs(
        tuple(
            Run(synthetic.header(name), tuple(synthetic.default_sweep(rng)))
            for name in ("first", "second")
        )
    )
    assert {"core-first-cost", "core-second-cost"} <= set(_figures(runs))
    titles = [section.title for section in scaling.sections(runs)]
    assert [title.rsplit(" ", 1)[1] for title in titles] == ["(first)", "(second)"]
    drifts = [text for text in _summary(runs) if text.startswith("Over the")]
    assert ["`first`" in drifts[0], "`second`" in drifts[1]] == [True, True]


def test_sharing_modes_stand_side_by_side():
    """With several sharing modes there is a figure of each over the usual one, headwise."""
    rng = np.random.default_rng(6)
    records = []
    for sharing, factor in (("none", 1.5), ("headwise", 1.0), ("layerwise", 0.8)):
        of = {"impl": "linformer", "k": 128, "sharing": sharing, "projection": "linear"}
        law = lambda n, factor=factor: 1e-6 * n * factor  # noqa: E731
        records += synthetic.measured(rng, law, lambda n: 4 * n, **of)
    figure = _figures(synthetic.runs(records))["core-sharing"]
    time, memory = figure.rows[0]
    assert [line.label for line in time.lines] == ["none", "layerwise"]
    assert time.y_label == "relative to headwise"
    assert all(interval.value == pytest.approx(1.5, rel=0.05) for interval in time.lines[0].y)
    assert all(interval.value == 1.0 for interval in memory.lines[1].y)


def test_the_summary_says_where_linformer_wins_and_where_not(sweep):
    """At k = 256 the rival SDPA is faster to n = 1024 and slower from 2048 on; both are said."""
    sentence = next(t for t in _summary(sweep) if t.startswith("**linformer k=256** took"))
    assert "less time than the best exact implementation (sdpa) from n = 2048 on" in sentence
    assert "more up to n = 1024" in sentence
    star = re.search(r"crossing at n\* = (\d+) \[(\d+), (\d+)\]", sentence)
    value, low, high = map(int, star.groups())
    assert low < value < high
    assert low > 1024
    assert high < 2048


def test_the_summary_claims_nothing_that_intervals_do_not_carry():
    """Two implementations of the same cost show no clear difference, and no exponent is made up."""
    rng = np.random.default_rng(7)
    records = []
    for impl in ("vanilla", "sdpa"):
        law = lambda n: 1e-6 * n  # noqa: E731
        records += synthetic.measured(rng, law, sizes=(512, 1024), impl=impl, drift=0.0)
    text = " ".join(_summary(synthetic.runs(records)))
    assert "less time" not in text
    assert "no clear difference to vanilla in time at every n compared" in text
    assert "an exponent needs 3; add to --seq" in text


def test_energy_is_reported_where_it_was_measured():
    """It has a plot, a column and an exponent; reports without it have none."""
    rng = np.random.default_rng(10)
    laws = (lambda n: 1e-6 * n, lambda n: 64 * n)
    records = []
    for impl in ("vanilla", "sdpa"):
        for record in synthetic.measured(rng, *laws, impl=impl):
            energy = Measurement(1e-3 * record.case.seq)
            records.append(
                record.model_copy(update={"metrics": {**record.metrics, "energy": energy}})
            )
    runs = synthetic.runs(records)
    titles = [plot.title for row in _figures(runs)["core-gain"].rows for plot in row]
    assert "Energy saved over vanilla" in titles
    assert "energy of one call" in _table(runs, "Measurements").columns
    assert "Energy grew as n^1.00" in " ".join(_summary(runs))
    assert all(figures.png(figure) for figure in _figures(runs).values())


def test_disturbed_rounds_are_owned_up_to():
    """A round that took ten times as long is counted in the summary and beside its case."""
    records = synthetic.measured(np.random.default_rng(9), lambda n: 1e-6 * n, outliers=0.0)
    time = records[3].metrics["time"]
    slow = Measurement(10 * time.value, [10 * second for second in time.samples])
    records[3] = records[3].model_copy(update={"metrics": {"time": slow}})
    runs = synthetic.runs(records)
    assert any(text.startswith("1 round of 40 took 1.5 times") for text in _summary(runs))
    rounds = {row[1].value: str(row[2]) for row in _table(runs, "Measurements").rows}
    assert rounds[records[3].case.seq] == "5 (1 disturbed)"
    assert rounds[512] == "5"


def test_a_plug_in_that_is_verified_as_exact_is_a_baseline():
    """Who calls a plug-in exact attention does not get to win against what is slower than it."""
    rng = np.random.default_rng(11)
    records = []
    for impl, factor, mathematics in (
        ("sdpa", 4.0, "exact"),
        ("mine", 1.0, "exact"),
        ("other", 2.0, None),
    ):
        law = lambda n, factor=factor: 1e-6 * n * factor  # noqa: E731
        detail = Detail(check=Check(mathematics=mathematics, max_rel_error=1e-7, tolerance=1e-4))
        records += [
            record.model_copy(update={"detail": detail})
            for record in synthetic.measured(rng, law, impl=impl)
        ]
    runs = synthetic.runs(records)
    table = _table(runs, "Crossovers")
    assert {(row[0], row[1]) for row in table.rows} == {("other", "sdpa"), ("other", "mine")}
    assert "**other** took more time than the best exact implementation (mine)" in " ".join(
        _summary(runs)
    )


def test_any_cost_is_analysed_by_its_name():
    """Where less of it is better on a logarithmic scale, it has all that time has."""
    metric = Metric("cache_misses", noise="exact")
    laws = {"vanilla": lambda n: 1.0 * n**2, "sdpa": lambda n: 1e3 * n, "mine": lambda n: 2e3 * n}
    runs = _of_metric(metric, laws)
    text = " ".join(_summary(runs))
    assert "Cache misses grew as n^2.00" in text
    assert "**sdpa** had less cache misses than vanilla from n = 1024 on" in text
    assert "crossing at n* = 1000 [1000, 1000]" in text
    stars = {row[:2]: row[3] for row in _table(runs, "Crossovers").rows}
    assert stars["mine", "vanilla"].value == pytest.approx(2000)


def test_what_is_the_better_the_more_is_compared_without_exponents():
    """It is no cost: drawn, told, and held against the baselines; the gain is the ratio."""
    metric = Metric("tokens_kept", "tokens", better="more", noise="exact")
    runs = _of_metric(metric, {"vanilla": lambda n: 1e9 / n**2, "sdpa": lambda n: 1e6 / n})
    (section,) = scaling.sections(runs)
    assert [table.title for table in section.tables] == ["Gain in tokens kept", "Measurements"]
    assert [figure.title for figure in section.figures] == [
        "Tokens kept against sequence length",
        "Gain in tokens kept against sequence length",
    ]
    assert "slope" not in section.figures[0].caption
    text = " ".join(_summary(runs))
    assert text.startswith("Tokens kept was 0.233 tokens (exact) for **vanilla** (n = 65536) and")
    assert "**sdpa** had more tokens kept than vanilla from n = 1024 on" in text
    assert "less at n = 512" in text
    assert "crossing" not in text
    table = _table(runs, "Gain in tokens kept")
    gains = {row[1].value: row[table.columns.index("gain in tokens kept over vanilla")].value
             for row in table.rows}  # fmt: skip
    assert gains[2048] == pytest.approx(2.048)
    measured = _table(runs, "Measurements")
    assert measured.columns == (
        "series", "n", "rounds", "calls", "tokens kept", "source of tokens_kept",
    )  # fmt: skip
    assert str(measured.rows[0][4]) == "3815 tokens (exact)"
    figure = _figures(runs)["core-cost"]
    assert [plot.title for row in figure.rows for plot in row] == ["Tokens kept"]
    assert all(figures.png(figure) for figure in _figures(runs).values())


def test_a_metric_on_a_linear_scale_is_drawn_and_told_without_exponents():
    """It stands in figure, table and summary, and in none of the fits."""
    accuracy = Metric("accuracy", scale="linear", better="more")
    runs = _of_metric(accuracy, {"vanilla": lambda _: 0.5, "sdpa": lambda n: 0.25 - n / 65536})
    (section,) = scaling.sections(runs)
    assert [table.title for table in section.tables] == ["Measurements"]
    (figure,) = section.figures
    ((plot,),) = figure.rows
    assert (plot.scale, plot.unit) == ("linear", "")
    assert plot.lines[1].y[-1].value == pytest.approx(-0.75)
    assert "n on a logarithmic axis, accuracy on a linear one." in figure.caption
    assert _summary(runs) == [
        "Accuracy was 0.500 for **vanilla** (n = 65536) and -0.750 for **sdpa** (n = 65536)."
    ]
    assert figures.png(figure)


def test_a_panel_of_several_metrics_keeps_each_on_its_own_scale(sweep):
    """What is on a linear scale beside time and memory does not change what is said of them."""
    accuracy = Metric("accuracy", scale="linear", better="more")
    (run,) = sweep.runs
    records = [
        record.model_copy(update={"metrics": {**record.metrics, "accuracy": Measurement(0.5)}})
        for record in run.records
        if record.status == "ok"
    ]
    header = run.header.model_copy(update={"metrics": [accuracy]})
    both = analyse(Runs.of(header, records))
    alone = analyse(sweep)
    assert to_json(both) == to_json(alone)
    assert [metric.name for metric in both.per_metric] == [TIME.name, MEMORY.name, "accuracy"]


def test_rounds_take_less_or_more_than_usual():
    """A drift reads as a difference, not as a share of what is usual."""
    drift = {0: -0.1, 1: 0.0, 2: 0.1}
    records = synthetic.measured(
        np.random.default_rng(0), lambda n: 1e-6 * n, rounds=3, **{**QUIET, "drift": drift}
    )
    said = _summary(synthetic.runs(records))[0]
    took = r"\(rounds took \d+\.\d% less to \d+\.\d% more than their cases usually take\)"
    assert re.search(took, said)


def test_one_size_is_no_growth():
    """It is said of which series it is not known, in whole sentences."""
    records = synthetic.measured(np.random.default_rng(0), lambda n: 1e-6 * n, sizes=(2048,))
    text = " ".join(_summary(synthetic.runs(records)))
    assert (
        "How time grew is not known for **vanilla** (measured at 1 size, an exponent needs 3; "
        "add to --seq)."
    ) in text


def test_weights_stand_where_memory_does():
    """A table of times alone has no column for them."""
    records = synthetic.measured(np.random.default_rng(0), lambda n: 1e-6 * n)
    assert "weights" not in _table(synthetic.runs(records), "Measurements").columns
    for figure in _figures(synthetic.runs(records)).values():
        assert figure.caption == figure.caption.strip()
