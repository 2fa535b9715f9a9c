"""The report: numbers that can be traced, figures of measurements only, sentences that hold."""

import re

import numpy as np
import pytest
import synthetic

from linbench.analysis.tables import load_all
from linbench.report import figures, words
from linbench.report.assemble import report_of
from linbench.report.markdown import markdown, write


def _report(tmp_path, *runs):
    paths = []
    for name, records in runs:
        head = synthetic.header(name)
        paths.append(synthetic.write(tmp_path / f"{name}.jsonl", records, head))
    return report_of(*load_all(paths))


@pytest.fixture
def sweep(tmp_path):
    """The report of a default sweep."""
    return _report(tmp_path, ("run", synthetic.default_sweep(np.random.default_rng(1))))


def _figures(report):
    return {figure.name: figure for section in report.sections for figure in section.figures}


def _table(report, title):
    tables = [table for section in report.sections for table in section.tables]
    return next(table for table in tables if table.title == title)


def test_a_report_is_written_with_its_figures_beside_it(sweep, tmp_path):
    """Every figure that the text links is a PNG in the same folder."""
    path = write(sweep, tmp_path / "out")
    text = path.read_text(encoding="utf-8")
    linked = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    assert linked == ["core-cost.png", "core-gain.png", "core-gain-by-k.png"]
    for name in linked:
        assert (path.parent / name).read_bytes().startswith(b"\x89PNG")


def test_the_same_run_gives_the_same_report(sweep, tmp_path):
    """Text and pictures depend on nothing but the run file."""
    again = _report(tmp_path, ("run", synthetic.default_sweep(np.random.default_rng(1))))
    assert markdown(again) == markdown(sweep)
    for name, figure in _figures(sweep).items():
        assert figures.png(figure) == figures.png(_figures(again)[name])


def test_numbers_can_be_read_off_the_run_file(tmp_path):
    """The typical time in the table is the median over rounds of the medians of calls."""
    rng = np.random.default_rng(2)
    records = synthetic.measured(rng, lambda n: 1e-6 * n, lambda n: 4096 * n, rounds=5)
    table = _table(_report(tmp_path, ("run", records)), "Measurements")
    for row in table.rows:
        rounds = [np.median(r.seconds) for r in records if r.case.seq == int(row[1])]
        number, unit = words.seconds(float(np.median(rounds))).split(" ")
        time = row[table.columns.index("time of one call")]
        assert (time.split(" ")[0], time.rsplit(" ", 1)[1]) == (number, unit)
        memory = row[table.columns.index("peak memory of one call")]
        assert memory == f"{words.size(4096 * int(row[1]))} (exact)"
        assert row[table.columns.index("source of memory")] == "cpu_allocator"


def test_what_was_not_measured_is_listed_and_never_drawn(tmp_path):
    """Skipped, failed and incorrect cases are in no line of any figure, and keep their reasons."""
    rng = np.random.default_rng(3)
    records = synthetic.measured(rng, lambda n: 1e-9 * n * n, sizes=(512, 1024, 2048), rounds=2)
    wrong = synthetic.measured(rng, lambda n: 1e-9 * n * n, sizes=(4096,), rounds=1)[0]
    records.append(wrong.model_copy(update={"status": "incorrect", "reason": "off by 0.5"}))
    records.append(synthetic.failed("skipped", "predicted 12 GiB", 8192))
    records.append(synthetic.failed("oom", "no | memory", 16384))
    report = _report(tmp_path, ("run", records))
    drawn = {
        x
        for figure in _figures(report).values()
        for row in figure.rows
        for plot in row
        for line in plot.lines
        for x in line.x
    }
    assert drawn == {512, 1024, 2048}
    listed = {(row[2], row[3], row[4]) for row in _table(report, "Not measured").rows}
    assert listed == {
        ("4096", "incorrect", "off by 0.5"),
        ("8192", "skipped", "predicted 12 GiB"),
        ("16384", "oom", "no | memory"),
    }
    assert "no \\| memory" in markdown(report)


def test_a_case_that_was_wrong_once_is_not_counted_as_measured(tmp_path):
    """The count of measured cases is that of the cases in tables and figures."""
    rng = np.random.default_rng(3)
    records = synthetic.measured(rng, lambda n: 1e-9 * n * n, sizes=(512, 1024, 2048), rounds=2)
    wrong = {"status": "incorrect", "reason": "off by 0.5", "seconds": []}
    records[-1] = records[-1].model_copy(update=wrong)
    report = _report(tmp_path, ("run", records))
    assert {row[1] for row in _table(report, "Measurements").rows} == {"512", "1024"}
    assert "from n = 512 to 1024 " in report.summary[0]
    assert "2 of 3 cases, 4 records" in report.summary[0]
    assert (
        "no measurements: 1 incorrect and 1 of a case that was incorrect in another round"
        in report.summary[0]
    )


@pytest.mark.parametrize(
    ("device", "where"),
    [("cpu", "Example CPU (2 cores)"), ("cuda", "Example GPU"), (None, "Example GPU")],
)
def test_what_a_run_used_is_named(tmp_path, device, where):
    """A run on the processor of a machine with a GPU is no run of the GPU."""
    head = synthetic.header("run")
    machine = head.machine.model_copy(update={"gpu": "Example GPU"})
    head = head.model_copy(update={"device": device, "machine": machine})
    records = synthetic.measured(np.random.default_rng(3), lambda n: 1e-9 * n * n)
    report = report_of(*load_all([synthetic.write(tmp_path / "run.jsonl", records, head)]))
    assert f" on {where}: 8 of 8 cases" in report.summary[0]


def test_a_run_that_measured_nothing_still_has_a_report(tmp_path):
    """It says so, lists the reasons, and draws nothing."""
    report = _report(tmp_path, ("run", [synthetic.failed("skipped", "no budget", 512)]))
    assert "measured none" in report.summary[0]
    assert not _figures(report)
    assert "no budget" in markdown(report)


def test_scopes_are_not_mixed_in_a_figure(tmp_path):
    """A run of two scopes has a section and figures for each."""
    rng = np.random.default_rng(4)
    records = synthetic.default_sweep(rng) + synthetic.default_sweep(rng, scope="layer")
    report = _report(tmp_path, ("run", records))
    assert {"core-cost", "layer-cost"} <= set(_figures(report))
    for name, figure in _figures(report).items():
        setups = {line.setup for row in figure.rows for plot in row for line in plot.lines}
        assert {setup.scope for setup in setups if setup} <= {name.split("-")[0]}


def test_two_runs_are_told_apart(tmp_path):
    """Each run has its own sections and figures in one report."""
    rng = np.random.default_rng(5)
    runs = [(name, synthetic.default_sweep(rng)) for name in ("first", "second")]
    report = _report(tmp_path, *runs)
    assert {"core-first-cost", "core-second-cost"} <= set(_figures(report))
    assert len({section.title for section in report.sections}) == len(report.sections)


def test_sharing_modes_stand_side_by_side(tmp_path):
    """With several sharing modes there is a figure of each over the usual one, headwise."""
    rng = np.random.default_rng(6)
    records = []
    for sharing, factor in (("none", 1.5), ("headwise", 1.0), ("layerwise", 0.8)):
        of = {"impl": "linformer", "k": 128, "sharing": sharing, "projection": "linear"}
        law = lambda n, factor=factor: 1e-6 * n * factor  # noqa: E731
        records += synthetic.measured(rng, law, lambda n: 4 * n, **of)
    figure = _figures(_report(tmp_path, ("run", records)))["core-sharing"]
    time, memory = figure.rows[0]
    assert [line.label for line in time.lines] == ["none", "layerwise"]
    assert time.y_label == "relative to headwise"
    assert all(interval.value == pytest.approx(1.5, rel=0.05) for interval in time.lines[0].y)
    assert all(interval.value == 1.0 for interval in memory.lines[1].y)


def test_the_summary_says_where_linformer_wins_and_where_not(sweep):
    """At k = 256 the rival SDPA is faster to n = 1024 and slower from 2048 on; both are said."""
    sentence = next(text for text in sweep.summary if text.startswith("**linformer k=256** took"))
    assert "less time than the best exact implementation (sdpa) from n = 2048 on" in sentence
    assert "more up to n = 1024" in sentence
    star = re.search(r"crossing at n\* = (\d+) \[(\d+), (\d+)\]", sentence)
    value, low, high = map(int, star.groups())
    assert low < value < high
    assert low > 1024
    assert high < 2048


def test_the_summary_claims_nothing_that_intervals_do_not_carry(tmp_path):
    """Two implementations of the same cost show no clear difference, and no exponent is made up."""
    rng = np.random.default_rng(7)
    records = []
    for impl in ("vanilla", "sdpa"):
        law = lambda n: 1e-6 * n  # noqa: E731
        records += synthetic.measured(rng, law, sizes=(512, 1024), impl=impl, drift=0.0)
    text = " ".join(_report(tmp_path, ("run", records)).summary)
    assert "less time" not in text
    assert "no clear difference to vanilla in time at every n compared" in text
    assert "an exponent needs 3" in text


def test_energy_is_reported_where_it_was_measured(tmp_path):
    """It has a plot, a column and an exponent; reports without it have none."""
    rng = np.random.default_rng(10)
    laws = (lambda n: 1e-6 * n, lambda n: 64 * n)
    records = [
        record.model_copy(update={"energy_j": 1e-3 * record.case.seq})
        for impl in ("vanilla", "sdpa")
        for record in synthetic.measured(rng, *laws, impl=impl)
    ]
    report = _report(tmp_path, ("run", records))
    titles = [plot.title for row in _figures(report)["core-gain"].rows for plot in row]
    assert "Energy saved over vanilla" in titles
    assert "energy of one call" in _table(report, "Measurements").columns
    assert "energy grew as n^1.00" in " ".join(report.summary).lower()
    assert all(figures.png(figure) for figure in _figures(report).values())


def test_disturbed_rounds_are_owned_up_to(tmp_path):
    """A round that took ten times as long is counted in the summary and beside its case."""
    records = synthetic.measured(np.random.default_rng(9), lambda n: 1e-6 * n, outliers=0.0)
    slow = [10 * second for second in records[3].seconds]
    records[3] = records[3].model_copy(update={"seconds": slow})
    report = _report(tmp_path, ("run", records))
    assert any(text.startswith("1 round of 40 took 1.5 times") for text in report.summary)
    rounds = {row[1]: row[2] for row in _table(report, "Measurements").rows}
    assert rounds[str(records[3].case.seq)] == "5 (1 disturbed)"
    assert rounds["512"] == "5"


def test_the_command_and_the_machine_are_given(sweep):
    """A reader can measure it again and knows where it was measured."""
    text = markdown(sweep)
    assert "linbench sweep --seq 512..65536" in text
    assert "| cpu | Example CPU |" in text
    assert "| git commit | 0123456789abcdef |" in text


def test_checks_and_warnings_are_summed_up(tmp_path):
    """The largest error per series is shown, and warnings that differ in numbers stand together."""
    rng = np.random.default_rng(8)
    records = synthetic.measured(rng, lambda n: 1e-6 * n, rounds=2)
    texts = ("1 of 7 samples are slow", "2 of 9 samples are slow", "swap was used")
    for i, text in enumerate(texts):
        records[i] = records[i].model_copy(update={"warnings": [text]})
    report = _report(tmp_path, ("run", records))
    assert [row[:2] for row in _table(report, "Warnings").rows] == [
        ("1 of 7 samples are slow", "2"),
        ("swap was used", "1"),
    ]
    assert _table(report, "Checks").rows[0][3] == "3.0e-07"


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.5e-7, "150 ns"), (0.0123, "12.3 ms"), (3.0, "3.00 s"), (7200.0, "2.00 h")],
)
def test_times_are_written_with_three_digits_and_their_unit(value, text):
    """Units change by powers of a thousand."""
    assert words.seconds(value) == text


def test_axes_name_powers_of_two_shortly():
    """512, 1k, 64k; other lengths in full."""
    assert [words.tokens(n) for n in (512, 1024, 1500, 65536)] == ["512", "1k", "1500", "64k"]
