"""Several runs in one report: who is faster on what, and what may not be said."""

import re
from dataclasses import dataclass

import numpy as np
import pytest
import synthetic

from linbench.run.metrics import Measurement, Metric
from linbench.run.runs import Run, Runs
from linbench.studies.compare.section import sections, summary
from linbench.studies.labels import panel_stems
from linbench.studies.scaling.analyse import analyse

SIZES = (512, 1024, 2048)


def _records(seed, factor=1.0, memory=64, **case):
    rng = np.random.default_rng(seed)
    of = {"sizes": SIZES, "rounds": 8, "outliers": 0.0, "drift": 0.01} | case
    return [
        record
        for impl, slope in (("vanilla", 4e-9), ("sdpa", 2e-9))
        for record in synthetic.measured(
            rng, lambda n, a=slope: factor * a * n * n, lambda n: memory * n, impl=impl, **of
        )
    ]


@dataclass
class Made:
    """What a report says of several runs."""

    runs: Runs

    @property
    def summary(self):
        return [sentence.text for sentence in summary(self.runs)]


@pytest.fixture
def report():
    """Put runs together, pairs of a name (or a header) and records."""

    def make(*runs):
        heads = [synthetic.header(of) if isinstance(of, str) else of for of, _ in runs]
        pairs = zip(heads, (records for _, records in runs), strict=True)
        return Made(Runs(tuple(Run(head, tuple(records)) for head, records in pairs)))

    return make


def _section(made):
    (section,) = sections(made.runs)
    return section


def _table(report, title):
    return next(one for one in _section(report).tables if one.title == title)


def _sentence(report, run):
    return next(text for text in report.summary if text.startswith(f"`{run}` against"))


def test_one_run_is_compared_with_nothing(report):
    """No section and no sentence."""
    made = report(("only", _records(1)))
    assert not sections(made.runs)
    assert not made.summary


def test_a_faster_version_is_said_to_be_faster(report):
    """30 % less time in every case, the same memory, on the same machine: in words and numbers."""
    made = report(("old", _records(1)), ("new", _records(2, factor=0.7)))
    text = _sentence(made, "new")
    assert "the same machine, 6 cases in both" in text
    assert "Time: faster in 6 (ratio 0." in text
    assert "Peak memory: same in 6" in text
    rows = _table(made, "Cases of both runs").rows
    assert len(rows) == 12
    times = [row for row in rows if row[2] == "time"]
    assert {row[-1] for row in times} == {"faster"}
    assert all(row[-2].value == pytest.approx(0.7, rel=0.05) for row in times)
    assert [(row[0], str(row[1])) for row in times] == [
        (impl, str(n)) for impl in ("vanilla", "sdpa") for n in SIZES
    ]


def test_nothing_is_claimed_where_nothing_differs(report):
    """Equal in every case: the summary says only that."""
    records = _records(1)
    made = report(("old", records), ("new", records))
    assert _sentence(made, "new").endswith("Nothing differs beyond the intervals.")


def test_single_rounds_tell_nothing(report):
    """Without intervals no time is said to differ, nor to be the same; bytes are counted."""
    made = report(("old", _records(1, rounds=1)), ("new", _records(2, rounds=1, factor=9.0)))
    text = _sentence(made, "new")
    assert "Time: only one round, so no interval, in 6 (ratio 8." in text
    assert re.search(r" to 9\.\d+ of (vanilla|sdpa) n=", text)
    assert "Peak memory: same in 6" in text
    assert "Nothing differs" not in text


def test_single_rounds_are_not_among_what_does_not_differ(report):
    """What intervals say holds for the cases that have them only."""
    once = _records(3, rounds=1, d_model=512)
    records = _records(1) + once
    text = _sentence(report(("old", records), ("new", records)), "new")
    assert "Nothing differs" not in text
    assert "Time: no clear difference in 6, only one round, so no interval, in 6" in text


def test_memory_of_different_sources_is_not_compared(report):
    """It has no verdict, in words as in the table."""
    resident = _records(1)
    for record in resident:
        record.metrics["memory"] = Measurement(9, source="rss_hwm")
    made = report(("old", _records(1)), ("new", resident))
    assert "Peak memory: from sources that do not compare in 6" in _sentence(made, "new")
    rows = [row for row in _table(made, "Cases of both runs").rows if row[2] == "memory"]
    assert {row[-1] for row in rows} == {"unclear (cpu_allocator and rss_hwm do not compare)"}


def test_all_that_differs_between_the_headers_is_told(report):
    """Code, device, settings and warnings stand beside machine and commit."""
    old, new = (
        synthetic.header(name).model_copy(
            update={
                "code": f"code of {name}",
                "device": device,
                "suite": {"name": "scaling", "keep_pages": name == "new", "seq": [512, 1024]},
                "warnings": ["2 other processes ran"] if name == "new" else [],
            }
        )
        for name, device in (("old", "cpu"), ("new", "cuda"))
    )
    made = report((old, _records(1)), (new, _records(2)))
    differing = {row[0]: row[1:] for row in _table(made, "What differs between the runs").rows}
    assert differing == {
        "code": ("code of old", "code of new"),
        "device": ("cpu", "cuda"),
        "setting keep pages": ("False", "True"),
        "warnings": ("\N{EN DASH}", "2 other processes ran"),
    }


def test_chance_and_sittings_are_owned_up_to(report):
    """Any comparison comes with what its intervals do not hold."""
    made = report(("old", _records(1)), ("new", _records(2, factor=1.2)))
    assert any("1 in 20 excludes 1 by chance" in text for text in made.summary)
    assert "slower in 6" in _sentence(made, "new")


def test_figures_of_runs_of_like_names_do_not_overwrite_each_other(report):
    """Names that differ only in signs that files do not have give files of their own."""
    of = {"sizes": (512, 1024), "rounds": 3}
    made = report(*((name, _records(1, **of)) for name in ("a b", "a-b", "a/b")))
    panels = [one.panel for one in made.runs.series("time")]
    names = [figure.name for figure in _section(made).figures]
    assert not {*names} & {*panel_stems(panels).values()}
    assert len(set(panel_stems(panels).values())) == 3


def test_different_machines_are_compared_as_machines(report):
    """Ratios of time are given, and labelled as of different machines wherever they stand."""
    other = synthetic.header("there", "machine-b")
    made = report(("here", _records(1)), (other, _records(2, factor=0.5)))
    text = _sentence(made, "there")
    assert "**different machines**" in text
    assert "machine-b" in text
    rows = _table(made, "Cases of both runs").rows
    assert {row[-1] for row in rows if row[2] == "time"} == {"faster (another machine)"}
    assert any("which machine is faster" in text for text in _section(made).sentences)
    differing = {row[0]: row[1:] for row in _table(made, "What differs between the runs").rows}
    assert differing["fingerprint"] == ("machine-a", "machine-b")


def test_a_gpu_is_held_against_a_cpu(report):
    """The same problem on another device is the same case, between machines."""
    gpu = synthetic.header("gpu", "machine-b").model_copy(update={"device": "cuda"})
    made = report(("cpu", _records(1)), (gpu, _records(2, factor=0.1, device="cuda")))
    assert "6 cases in both" in _sentence(made, "gpu")
    assert "**different machines**" in _sentence(made, "gpu")


def test_runs_never_enter_one_fit(report):
    """Two runs of the same cases give twice the series, each fitted to its own rounds only."""
    runs = [
        (synthetic.header(name, fingerprint), _records(seed, factor=factor))
        for name, fingerprint, seed, factor in
        (("a", "machine-a", 1, 1.0), ("b", "machine-b", 2, 9.0), ("c", "machine-a", 3, 3.0))
    ]  # fmt: skip
    together = analyse(report(*runs).runs).scalings
    apart = [one for run in runs for one in analyse(report(run).runs).scalings]
    assert len(together) == len(apart) == 3 * 2 * 2
    points = [
        {(one.series.run_id, one.series.metric, one.series.key): one.points for one in scalings}
        for scalings in (together, apart)
    ]
    assert points[0] == points[1]


def test_exponents_stand_side_by_side(report):
    """A column per run, with the n each was fitted over; a missing one is a dash."""
    small = _records(2, sizes=(512, 1024))
    made = report(("a", _records(1)), ("b", small))
    table = _table(made, "Exponents side by side")
    assert table.columns == ("series", "metric", "a", "b")
    time = next(row for row in table.rows if row[:2] == ("sdpa", "time"))
    assert time[2].value == pytest.approx(2, abs=0.1)
    assert str(time[2]).endswith("(n = 512 to 2048)")
    assert time[3] == "\N{EN DASH}"


def test_no_case_in_common_is_said(report):
    """Runs of different problems are not overlaid."""
    made = report(("a", _records(1)), ("b", _records(2, d_model=512)))
    assert "`b` and `a` measured no case in common." in made.summary
    assert not _section(made).figures


def test_runs_are_overlaid_with_their_ratios(report):
    """The figure holds both runs as measured, and the later one over the first."""
    made = report(("a", _records(1)), ("b", _records(2, factor=2.0)))
    (figure,) = _section(made).figures
    cost, ratio = (row[0] for row in figure.rows)
    assert [line.run_id for line in cost.lines] == ["a", "a", "b", "b"]
    assert [line.run_id for line in ratio.lines] == ["b", "b"]
    assert all(one.value == pytest.approx(2, rel=0.05) for line in ratio.lines for one in line.y)
    assert {(view.metric, view.basis) for view in figure.views} == {
        (metric, basis) for metric in ("Time", "Peak memory") for basis in ("as measured", "a")
    }


def test_many_runs_stay_readable(report):
    """Six runs: one sentence, every case in the table, the first and the last drawn."""
    of = {"sizes": (512, 1024), "rounds": 3}
    made = report(*((f"r{i}", _records(i, **of)) for i in range(6)))
    assert sum("against `r0`" in text for text in made.summary) == 1
    table = _table(made, "Cases of the first and a later run")
    assert {row[0] for row in table.rows} == {f"r{i}" for i in range(1, 6)}
    (figure,) = _section(made).figures
    assert {line.run_id for row in figure.rows for plot in row for line in plot.lines} == {
        "r0",
        "r5",
    }


def test_any_metric_is_told_tabled_and_drawn(report):
    """More is better of this one: gains come first. Zero has no ratio, and that is said."""
    metric = Metric("top_accuracy", better="more", scale="linear")

    def graded(name, seed, level):
        records = _records(seed)
        for record in records:
            wrong = record.case.impl == "sdpa" and record.case.seq == 512
            record.metrics[metric.name] = Measurement(0.0 if wrong else level + record.round / 1e3)
        return synthetic.header(name).model_copy(update={"metrics": [metric]}), records

    made = report(graded("old", 1, 0.5), graded("new", 2, 0.75))
    text = _sentence(made, "new")
    assert "Top accuracy: more in 5 (ratio 1." in text
    assert "without a ratio (not all values are positive) in 1." in text
    rows = [row for row in _table(made, "Cases of both runs").rows if row[2] == "top_accuracy"]
    assert [row[-1] for row in rows] == [*["more"] * 3, "unclear (not all values are positive)",
                                         *["more"] * 2]  # fmt: skip
    (figure,) = _section(made).figures
    assert {view.metric for view in figure.views} == {"Time", "Peak memory", "Top accuracy"}
    (ratios,) = [
        view for view in figure.views if (view.metric, view.basis) == ("Top accuracy", "old")
    ]
    assert sorted(len(line.x) for line in ratios.plot.lines) == [2, 3]
