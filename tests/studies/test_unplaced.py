"""Cases without n are on the page, in a table of their own."""

import numpy as np
import synthetic

from linbench.report.content import Quantity
from linbench.run.case import Case
from linbench.studies import unplaced

LOOSE = Case(impl="t.py::test", seq=None, scope="function", d_model=None, heads=None, dtype=None)


def test_a_case_without_n_has_a_row():
    """With its rounds and its values; those along n are elsewhere."""
    records = [synthetic.ok(LOOSE, round_, [0.1 + round_ / 100]) for round_ in range(3)]
    records += synthetic.measured(np.random.default_rng(1), lambda n: 1e-6 * n)
    runs = synthetic.runs(records)
    ((section,), (sentence,)) = unplaced.sections(runs), unplaced.summary(runs)
    (row,) = section.tables[0].rows
    assert section.tables[0].columns == ("case", "rounds", "time")
    assert row[0] == "t.py::test"
    assert isinstance(row[2], Quantity)
    assert np.isclose(row[2].value, 0.11)
    assert sentence.text.startswith("1 case without n")
    assert "t.py::test" not in {one.key.impl for one in runs.series("time")}
    assert "t.py::test" in {one.key.impl for one in runs.series("time", unplaced=True)}


def test_without_such_cases_nothing_is_said():
    """The page has no empty section."""
    runs = synthetic.runs(synthetic.default_sweep(np.random.default_rng(1)))
    assert unplaced.sections(runs) == []
    assert unplaced.summary(runs) == []
