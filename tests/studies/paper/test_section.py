"""`linbench paper` and the report's section on Table 3: what they show, and what they refuse."""

import json
from dataclasses import replace

import numpy as np
import pytest
import synthetic
import typer
from typer.testing import CliRunner

from linbench.cli.paper import paper
from linbench.errors import RunFileError
from linbench.report.content import Quantity
from linbench.report.figures import png
from linbench.run.record import Check, Detail
from linbench.run.runs import Runs
from linbench.stats.interval import Interval
from linbench.studies.paper import sections, summary
from linbench.studies.paper.section import findings
from linbench.studies.paper.table3 import tables_of

DASH = "\N{EN DASH}"

app = typer.Typer()
app.command()(paper)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("results") / "table.jsonl"
    return synthetic.write(path, synthetic.table3(np.random.default_rng(0)))


def called(*words):
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "100"})


def block(text, title):
    """The lines of one printed table."""
    lines = text.split(title, 1)[1].split("\n\n", 1)[0].splitlines()
    return [line.rstrip() for line in lines[1:]]


def test_every_cell_stands_beside_the_paper_s(run):
    """Ours, its interval below it, and the paper's number in brackets; missing ones say how."""
    text = called(run).stdout
    assert max(map(len, text.split("\nfound\n")[0].splitlines())) <= 100
    time = block(text, "Time saved over vanilla (the paper's in brackets)")
    assert time[0].split() == ["n", *(f"k={k}" for k in (128, 256, 512, 1024, 2048))]
    assert time[1].split()[0] == "512"
    assert "(1.5)" in time[1]
    assert "(1.3)" in time[1]
    assert time[2].strip().startswith("[")
    (row,) = [line for line in time if line.startswith("4096")]
    assert "skipped (3.4)" in row
    (row,) = [line for line in time if line.startswith("65536")]
    assert f"{DASH} (20)" in row
    assert f"{DASH} (7.9)" in row


def test_largest_batches_show_the_counts(run):
    """The ratio with both counts, ~ where extrapolated; none fits: no ratio."""
    lines = block(called(run).stdout, "Memory saved over vanilla, by the largest batch")
    assert "4.00 (1.7)" in lines[1]
    assert "~128:32" in lines[2]
    (row,) = [i for i, line in enumerate(lines) if line.startswith("4096")]
    assert "no ratio (14)" in lines[row]
    assert "~16:0" in lines[row + 1]


def test_the_best_exact_is_named_and_counted(run):
    """Against fused attention Linformer is slower here, and the summary says so."""
    text = called(run).stdout
    assert "Time saved over the best exact implementation (sdpa)" in text
    assert "Over the best exact implementation (sdpa) it is" in text
    assert "Linformer has more time in 8." in text
    assert "Linformer has the same in 8." in text


def test_what_was_compared_is_said(run):
    """Shape, source, what is in memory, what is missing; and where the rest is explained."""
    text = called(run).stdout
    for said in (
        "arXiv 2006.04768, Table 3",
        "RoBERTa-base's shape",
        "fit 16.0 GiB",
        "docs/paper.md",
        "time and bytes: vanilla skipped at n = 4096: predicted memory 30 GiB",
    ):
        assert said in text


def test_another_shape_and_scope_is_called_so(tmp_path):
    """A small layer is no RoBERTa-base, and its ratios are further from 1."""
    case = {"scope": "layer", "layers": 1, "d_model": 256, "heads": 4}
    records = synthetic.table3(np.random.default_rng(0), **case)
    text = called(synthetic.write(tmp_path / "small.jsonl", records)).stdout
    assert "RoBERTa-base has 12 layers" in text
    assert "Scope layer lacks" in text


def test_two_precisions_are_shown_one_after_the_other(tmp_path):
    """Each setting has its own tables under its own heading."""
    rng = np.random.default_rng(0)
    records = synthetic.table3(rng) + synthetic.table3(rng, dtype="bfloat16")
    path = synthetic.write(tmp_path / "two.jsonl", records)
    text = called(path).stdout
    assert text.count("Time saved over vanilla (the paper's") == 2
    assert text.index("float32, cpu, run two") < text.index("bfloat16, cpu, run two")
    assert len(json.loads(called(path, "--json").stdout)["comparisons"]) == 2


def test_json_is_all_there_is_on_stdout(run):
    """With --json the cells are machine-readable, nothing beside them."""
    answer = json.loads(called(run, "--json").stdout)
    (one,) = answer["comparisons"]
    assert (one["layers"], one["d_model"], one["memory_limit_bytes"]) == (12, 768, 2**34)
    assert len(one["cells"]) == 3 * 34


def test_a_run_without_the_table_is_an_error(tmp_path):
    """The error names what is needed and the suite that measures it."""
    records = synthetic.default_sweep(np.random.default_rng(0))
    error = called(synthetic.write(tmp_path / "other.jsonl", records)).exception
    assert isinstance(error, RunFileError)
    assert "linbench sweep paper-table3" in str(error)
    assert "\n" not in str(error)
    assert isinstance(called(tmp_path / "gone.jsonl").exception, RunFileError)


def test_the_report_has_a_section_with_tables_and_a_figure(run):
    """Six tables, ours filled and the paper's apart in one figure, in the report of the run."""
    runs = Runs.read([run])
    section, batches = sections(runs)
    assert summary(runs) == []
    assert len(section.tables) == 6
    cell = section.tables[0].rows[0][1]
    assert isinstance(cell, Quantity)
    assert cell.low < cell.value < cell.high
    assert str(cell).endswith("] (1.5)")
    assert str(section.tables[2].rows[1][1]) == "4.00 ~64:16 (3.0)"
    assert str(section.tables[2].rows[3][1]) == "no ratio ~16:0 (14)"
    (figure,) = section.figures
    lines = [line for row in figure.rows for plot in row for line in plot.lines]
    assert {line.label for line in lines if line.published} == {
        f"paper, k={k}" for k in (128, 256, 512, 1024, 2048)
    }
    assert {line.label for line in lines if not line.published} == {"k=128", "k=256"}
    assert png(figure)
    assert section.title == "Beside Table 3 of the paper"
    (table,) = batches.tables
    assert len(table.rows) == 16
    assert list(map(str, table.rows[0])) == [
        "linformer k=128", "encoder", "forward", "512", "128", "measured"
    ]  # fmt: skip


def test_several_runs_have_a_section_each(run, tmp_path):
    """They are told apart by the run in their titles, and have their own figures."""
    other = synthetic.table3(np.random.default_rng(1))
    other = synthetic.write(tmp_path / "other.jsonl", other, synthetic.header("other"))
    found = sections(Runs.read([run, other]))
    titles = [section.title for section in found]
    assert [title.rsplit(" ", 1)[1] for title in titles] == [
        "table", "other", "(table)", "(other)"
    ]  # fmt: skip
    assert len({figure.name for section in found for figure in section.figures}) == 2
    assert called(run, other).stdout.count("Time saved over vanilla (the paper's") == 2


def test_the_best_exact_is_named_in_each_cell_where_it_differs():
    """A cell without a ratio names nobody."""
    rng = np.random.default_rng(0)
    exact = Detail(check=Check(mathematics="exact", reference="exact attention"))
    mine = synthetic.measured(
        rng, lambda n: 1e-9 * n, sizes=(512,), impl="mine", **synthetic.ROBERTA
    )
    records = synthetic.table3(rng) + [r.model_copy(update={"detail": exact}) for r in mine]
    section, _ = sections(synthetic.runs(records))
    first, second, *_ = section.tables[1].rows
    assert str(first[1]).endswith("(mine)")
    assert str(second[1]).endswith("(sdpa)")
    assert str(second[3]) == DASH


def test_a_report_of_something_else_has_no_such_section():
    """Without a single ratio over vanilla there is nothing to hold beside the paper."""
    records = synthetic.table3(np.random.default_rng(0))
    records = [r for r in records if r.case.impl != "vanilla"]
    searched = [r for r in records if r.case.task == "max_batch"]
    assert sections(synthetic.runs(r for r in records if r not in searched)) == []
    (batches,) = sections(synthetic.runs(searched))
    assert batches.title == "Largest batches that fit"


def test_ranges_leave_out_what_is_not_known():
    """A ratio known within a factor of 100 only is counted, not quoted."""
    (table,) = tables_of(synthetic.runs(synthetic.table3(np.random.default_rng(0))))
    wild = Interval(17.0, 0.1, 500.0)
    savings = [
        replace(
            cell,
            over_vanilla=replace(cell.over_vanilla, value=wild),
            over_best=replace(cell.over_best, value=wild),
        )
        if (cell.saved, cell.n, cell.k) == ("time", 512, 128)
        else cell
        for cell in table.savings
    ]
    said = findings(replace(table, savings=tuple(savings)))[0]
    assert said.count("and unknown within a factor of 100 in 1 cell") == 2
    assert "it is 0.50 in 7 cells and unknown" in said
    assert "17 " not in said.replace("17 cells", "")
