"""What is needed to check a report: what was measured and what not, where, and how again."""

import numpy as np
import pytest
import synthetic

from linbench.report.content import Quantity
from linbench.report.markdown import markdown
from linbench.run.case import Case
from linbench.run.metrics import Measurement, Metric
from linbench.run.record import Check, Detail
from linbench.run.runs import Run, Runs
from linbench.studies import conditions, report_of

ACCURACY = Metric("accuracy", better="more", scale="linear")


def sweep(**how):
    """A small sweep of one implementation."""
    law = lambda n: 1e-9 * n * n  # noqa: E731
    how = {"sizes": (512, 1024, 2048), "rounds": 2, **how}
    return synthetic.measured(np.random.default_rng(3), law, **how)


def tables_of(records):
    """The tables of a run, by title."""
    found = conditions.sections(synthetic.runs(records))
    return {table.title: table for section in found for table in section.tables}


def sentence_of(records, header=None):
    (sentence,) = conditions.summary(synthetic.runs(records, header))
    return sentence.text


def texts(row):
    return tuple(map(str, row))


def test_a_run_is_summed_up_in_a_sentence():
    """What, where, when, how much; and what its numbers rest on."""
    assert sentence_of(sweep()) == (
        "Run `synthetic` of 2026-01-02 measured vanilla from n = 512 to 2048 on Example CPU "
        "(2 cores): 3 of 3 cases, 6 records (each a round in a fresh process) with 42 timed calls. "
        "Intervals are at 95 % and take rounds as independent."
    )


def test_samples_of_any_metric_are_counted():
    """A metric of somebody's task is named; one without samples is not."""
    samples = Measurement(0.5, [0.4, 0.5, 0.6])
    metrics = {"accuracy": samples, "loss": Measurement(1.0)}
    records = [record.model_copy(update={"metrics": metrics}) for record in sweep()]
    header = synthetic.header().model_copy(update={"metrics": [ACCURACY]})
    text = sentence_of(records, header)
    assert "6 records (each a round in a fresh process) with 18 samples of accuracy. " in text


def test_what_was_not_measured_is_listed_with_its_reason():
    """Each status with n and reason, equal ones counted, the task where it is not the usual one."""
    records = sweep()
    records.append(synthetic.failed("skipped", "predicted 12 GiB", 8192))
    records += [synthetic.failed("oom", "no memory", 16384)] * 2
    records.append(synthetic.failed("error", "raised", 512, task="training"))
    rows = [texts(row) for row in tables_of(records)["Not measured"].rows]
    assert rows == [
        ("vanilla", "core", "8192", "skipped", "predicted 12 GiB", "1"),
        ("vanilla", "core", "16384", "oom", "no memory", "2"),
        ("vanilla, training", "core", "512", "error", "raised", "1"),
    ]


def test_a_case_that_was_wrong_once_is_not_counted_as_measured():
    """The count of measured cases is that of the cases in tables and figures."""
    records = sweep()
    wrong = {"status": "incorrect", "reason": "off by 0.5", "metrics": {}}
    records[-1] = records[-1].model_copy(update=wrong)
    text = sentence_of(records)
    assert "from n = 512 to 1024 " in text
    assert "2 of 3 cases, 4 records" in text
    assert (
        "; records that are no measurements: 1 incorrect and 1 of a case that was incorrect in "
        "another round." in text
    )


@pytest.mark.parametrize(
    ("device", "where"),
    [("cpu", "Example CPU (2 cores)"), ("cuda", "Example GPU"), (None, "Example GPU")],
)
def test_what_a_run_used_is_named(device, where):
    """A run on the processor of a machine with a GPU is no run of the GPU."""
    head = synthetic.header("run")
    machine = head.machine.model_copy(update={"gpu": "Example GPU"})
    head = head.model_copy(update={"device": device, "machine": machine})
    assert f" on {where}: 3 of 3 cases" in sentence_of(sweep(), head)


def test_a_foreign_run_says_how_it_was_measured():
    """pytest-benchmark measures all cases of a round in one process."""
    head = synthetic.header().model_copy(update={"linbench": "pytest-benchmark 5.1"})
    assert "(each a round in one process with all others of its round)" in sentence_of(
        sweep(), head
    )


def test_a_run_that_measured_nothing_says_so():
    """It gives the reasons, and no numbers."""
    records = [synthetic.failed("skipped", "no budget", 512)]
    assert sentence_of(records) == "Run `synthetic` measured none of its 1 case."
    assert "no budget" in tables_of(records)["Not measured"].rows[0]


def test_cases_without_n_are_counted_too():
    """They are measured, or not, and name no n."""
    loose = Case(impl="t.py::test", seq=None, scope="function", d_model=None, heads=None)
    records = [synthetic.ok(loose, 0, [0.1])]
    assert "measured t.py::test on Example CPU (2 cores): 1 of 1 case, 1 record" in sentence_of(
        records
    )
    lost = records[0].model_copy(update={"status": "error", "reason": "raised", "metrics": {}})
    (row,) = tables_of([lost])["Not measured"].rows
    assert texts(row)[1:] == ("function", "\N{EN DASH}", "error", "raised", "1")


def test_checks_and_warnings_are_summed_up():
    """The largest error per series, and warnings that differ in numbers only together."""
    check = {"reference": "exact attention", "tolerance": 1e-4}
    records = [
        record.model_copy(update={"detail": Detail(check=Check(max_rel_error=error, **check))})
        for record, error in zip(sweep(), (1e-7, 3e-7, 2e-7, None, 1e-7, 1e-7), strict=True)
    ]
    said = ("1 of 7 samples are slow", "2 of 9 samples are slow", "swap was used", "3 GiB are free")
    for i, text in enumerate(said):
        records[i] = records[i].model_copy(update={"warnings": [text]})
    tables = tables_of(records)
    assert [texts(row[:2]) for row in tables["Warnings"].rows] == [
        ("1 of 7 samples are slow", "2"),
        ("swap was used", "1"),
        ("3 GiB are free", "1"),
    ]
    (row,) = tables["Checks"].rows
    assert texts(row) == ("vanilla", "core", "exact attention", "3.0e-07", "1.0e-04", "5", "")


def test_many_cases_of_a_warning_are_cut_short():
    """Three are named, the others counted."""
    records = [r.model_copy(update={"warnings": ["slow"]}) for r in sweep(sizes=synthetic.SIZES)]
    (row,) = tables_of(records)["Warnings"].rows
    assert row[2].endswith(" and 5 more")


def test_the_command_and_the_machine_are_given():
    """A reader can measure it again, under a name of its own, and knows where it was measured."""
    head = synthetic.header()
    argv = ["/usr/bin/linbench", "sweep", "--name", "taken", "--k", "n/4,128"]
    head = head.model_copy(update={"argv": argv})
    *_, where, again = conditions.sections(synthetic.runs(sweep(), head))
    rows = dict(where.tables[0].rows)
    assert rows["cpu"] == "Example CPU"
    assert rows["git commit"] == "0123456789abcdef"
    assert isinstance(rows["memory"], Quantity)
    assert str(rows["memory"]) == "8.00 GiB"
    assert "gpu" not in rows
    assert again.code == "linbench sweep --k n/4,128"


def test_several_runs_have_sections_of_their_own():
    """Their titles tell them apart; a run without a command has no section on it."""
    first, second = synthetic.header("first"), synthetic.header("second")
    second = second.model_copy(update={"argv": []})
    runs = Runs(tuple(Run(head, tuple(sweep())) for head in (first, second)))
    assert [section.title for section in conditions.sections(runs)] == [
        "Where it was measured (first)",
        "To measure it again (first)",
        "Where it was measured (second)",
    ]
    assert len(conditions.summary(runs)) == 2


def test_warnings_of_a_run_stand_beside_what_it_measured():
    """Once per run, and of the runs that have any only."""
    first, second = synthetic.header("first"), synthetic.header("second")
    first = first.model_copy(update={"warnings": ["other programs use 2.0 of 2 cores"]})
    runs = Runs(tuple(Run(head, tuple(sweep())) for head in (first, second)))
    _, warned, _ = conditions.summary(runs)
    assert warned.text == "Run `first` began with a warning: other programs use 2.0 of 2 cores."
    assert markdown(report_of(runs)).count(warned.text) == 1


def test_a_single_n_is_no_range():
    """It is named once."""
    assert "measured vanilla at n = 512 on " in sentence_of(sweep(sizes=(512,)))
