"""The report: the studies of a page in their order, the same each time, with its figures."""

import re

import numpy as np
import pytest
import synthetic

from linbench.report import figures
from linbench.report.content import Report, Section, Sentence
from linbench.report.markdown import markdown, write
from linbench.run.metrics import Measurement, Metric
from linbench.run.runs import Run, Runs
from linbench.studies import report_of


def report(records, header=None):
    """The report of one run."""
    return report_of(synthetic.runs(records, header))


@pytest.fixture
def sweep():
    """The report of a default sweep."""
    return report(synthetic.default_sweep(np.random.default_rng(1)))


def figures_of(page):
    return {figure.name: figure for section in page.sections for figure in section.figures}


def drawn(page):
    """Every line of every figure."""
    plots = (plot for figure in figures_of(page).values() for row in figure.rows for plot in row)
    return [line for plot in plots for line in plot.lines]


def test_a_report_is_written_with_its_figures_beside_it(sweep, tmp_path):
    """Every figure that the text links is a PNG in the same folder."""
    path = write(sweep, tmp_path / "out")
    linked = re.findall(r"!\[[^]]+\]\(([^)]+)\)", path.read_text(encoding="utf-8"))
    assert linked == ["core-cost.png", "core-gain.png", "core-gain-by-k.png"]
    for name in linked:
        assert (path.parent / name).read_bytes().startswith(b"\x89PNG")


def test_the_same_run_gives_the_same_report(sweep):
    """Text and pictures depend on nothing but the run file."""
    again = report(synthetic.default_sweep(np.random.default_rng(1)))
    assert markdown(again) == markdown(sweep)
    for name, figure in figures_of(sweep).items():
        assert figures.png(figure) == figures.png(figures_of(again)[name])


def test_a_page_says_first_what_was_measured_and_last_how_to_check_it():
    """The studies stand in between, each with its section."""
    page = report(synthetic.table3(np.random.default_rng(0)))
    assert page.title == "Attention scaling: synthetic"
    assert page.summary[0].text.startswith("Run `synthetic` of 2026-01-02 measured vanilla, sdpa ")
    titles = [section.title for section in page.sections]
    places = [
        next(i for i, title in enumerate(titles) if title.startswith(start))
        for start in (
            "Encoder, forward, 12 layers",
            "Cost against the machine: encoder",
            "Beside Table 3 of the paper",
            "Largest batches that fit",
            "What else to know",
            "Where it was measured",
            "To measure it again",
        )
    ]
    assert places == sorted(places)
    assert places[-1] == len(titles) - 1


def test_what_was_not_measured_is_listed_and_never_drawn():
    """Skipped, failed and incorrect cases are in no line of any figure, and keep their reasons."""
    rng = np.random.default_rng(3)
    records = synthetic.measured(rng, lambda n: 1e-9 * n * n, sizes=(512, 1024, 2048), rounds=2)
    wrong = synthetic.measured(rng, lambda n: 1e-9 * n * n, sizes=(4096,), rounds=1)[0]
    records.append(wrong.model_copy(update={"status": "incorrect", "reason": "off by 0.5"}))
    records.append(synthetic.failed("skipped", "predicted 12 GiB", 8192))
    records.append(synthetic.failed("oom", "no | memory", 16384))
    page = report(records)
    measured = [line for line in drawn(page) if line.label == "vanilla"]
    assert {x for line in measured for x in line.x} == {512, 1024, 2048}
    text = markdown(page)
    for said in ("off by 0.5", "predicted 12 GiB", "no \\| memory"):
        assert said in text


def test_a_run_that_measured_nothing_still_has_a_report():
    """It says so, lists the reasons, and draws nothing."""
    page = report([synthetic.failed("skipped", "no budget", 512)])
    assert "measured none" in page.summary[0].text
    assert not figures_of(page)
    assert "no budget" in markdown(page)


def test_two_runs_are_told_apart():
    """Each run has its own sections and figures in one report."""
    rng = np.random.default_rng(5)
    runs = [
        Run(synthetic.header(name), tuple(synthetic.default_sweep(rng)))
        for name in ("first", "second")
    ]
    page = report_of(Runs(tuple(runs)))
    assert page.title == "Attention scaling: first and second"
    assert {"core-first-cost", "core-second-cost"} <= set(figures_of(page))
    assert len({section.title for section in page.sections}) == len(page.sections)


def test_a_metric_of_somebody_s_task_is_reported():
    """More is better, linear, below zero too: it is in tables and in a figure."""
    rng = np.random.default_rng(6)
    skill = Metric("skill", unit="points", better="more", scale="linear")
    records = [
        record.model_copy(
            update={"metrics": {"skill": Measurement(rng.normal(best - record.case.seq, 0.1))}}
        )
        for impl, best in (("vanilla", 700.0), ("sdpa", 900.0))
        for record in synthetic.measured(
            rng, lambda n: 1e-6 * n, sizes=(512, 1024, 2048), task="training", impl=impl
        )
    ]
    page = report(records, synthetic.header().model_copy(update={"metrics": [skill]}))
    text = markdown(page)
    assert "skill" in text
    assert re.search(r"\d points", text)
    lows = [y.value for line in drawn(page) for y in line.y]
    assert min(lows) < -1000
    assert all(figures.png(figure) for figure in figures_of(page).values())


def test_names_of_anybody_make_no_tags_and_no_headings():
    """A newline or a tag in a name stays text in Markdown."""
    name = "x\n## pwn <img src=q onerror=1>"
    section = Section(name, sentences=(name,))
    text = markdown(Report(name, (Sentence(name, (name,)),), (section,)))
    assert "\n## pwn" not in text
    assert "<img" not in text
