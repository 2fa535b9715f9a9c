"""A verdict where people look: sentences, tables, JUnit, annotations."""

from xml.etree import ElementTree as ET

import pytest
import synthetic

from linbench.run.formats.schema1 import batch_of
from linbench.stats.interval import Interval
from linbench.studies.gate import CaseNote, Finding, Gate, judge
from linbench.studies.gate.findings import with_assertions, worst
from linbench.studies.gate.section import (
    annotations,
    changed,
    clause,
    junit,
    markdown,
    sentence,
    table,
)
from linbench.studies.scaling.assertions import Decision, parse

AT = ("core", "forward", "d_model 256")


def compared(verdict, n=512, metric="time", **fields):
    fields = {"ratio": Interval(1.25, 1.2, 1.3), "limit": 1.1, "baseline": 1e-3,
              "candidate": 1.25e-3, "unit": "s"} | fields  # fmt: skip
    return Finding(f"sdpa-n{n}", f"sdpa n={n}", AT, metric, verdict, **fields)


def gate(*comparisons, **fields):
    fields = {"undecided_exponents": (), "cases": (), "notes": ()} | fields
    verdict = worst([one.verdict for one in comparisons])
    return Gate(verdict, comparisons, same_machine=True, alpha=0.01, **fields)


def test_the_first_sentence_is_the_verdict():
    """It says how many of how many, and the worst."""
    assert sentence(gate(compared("pass"))) == "Pass: 1 check, none worse than allowed"
    assert sentence(gate()) == "Inconclusive: nothing was measured in both runs"
    found = gate(compared("regression"), compared("pass", 1024))
    assert sentence(found) == (
        "Regression: 1 of 2 checks worse than allowed; the worst: time of sdpa n=512 is "
        "1.25 [1.20, 1.30] times the baseline's, 1.10 is allowed"
    )


def test_markdown_begins_with_the_verdict_and_folds_what_passed():
    """What changed stands open, the rest is folded, notes are listed."""
    found = gate(
        compared("regression"),
        compared("inconclusive", 1024, ratio=Interval(1.0, 0.8, 1.2)),
        compared("pass", 2048, ratio=Interval(0.7, 0.6, 0.8), improved=True),
        compared("pass", 4096, ratio=Interval(1.0, 0.99, 1.01)),
        cases=(CaseNote("x", "vanilla n=8192", "failed in both", "oom → oom: large"),),
        notes=("A note",),
    )
    text = markdown(found, "new.jsonl", "old.jsonl")
    head, folded = text.split("<details>")
    assert head.startswith("## linbench gate\n\n**Regression: 1 of 4 checks")
    assert [n for n in (512, 1024, 2048, 4096) if f"n={n} |" in head] == [512, 1024, 2048]
    assert "n=4096 |" in folded
    assert "- failed in both: vanilla n=8192 (oom → oom: large)" in text
    assert "- A note" in text
    assert "`new.jsonl`" in text


def test_scope_and_shape_are_said_where_they_differ():
    """Only the words that tell cases apart."""
    other = Finding("b", "sdpa n=512", ("core", "forward + backward", "d_model 256"), "time",
                    "regression", Interval(1.2, 1.15, 1.3), 1.1)  # fmt: skip
    text = markdown(gate(compared("regression"), other), "a", "b")
    assert "sdpa n=512 (forward)" in text
    assert "sdpa n=512 (forward + backward)" in text


def test_exponents_are_told_by_their_difference():
    """1.02 to 1.95 is 0.93 steeper, which a ratio per doubling of n would hide."""
    ratio = Interval(2**0.93, 2**0.9, 2**0.96)
    values = {"baseline": 1.02, "candidate": 1.95, "unit": "exponent"}
    detail = "of time over n = 512 to 2048"
    steeper = compared(
        "regression", metric="exponent", ratio=ratio, limit=2**0.1, detail=detail, **values
    )
    text = markdown(gate(steeper), "a", "b")
    assert "| exponent | 1.02 | 1.95 | +0.93 [+0.90, +0.96] | +0.10 | regression: of time" in text
    assert "1.02 → 1.95, +0.10 is allowed" in sentence(gate(steeper))


def test_junit_holds_a_test_for_each_comparison():
    """Regressions fail; what is undecided is skipped, or fails on request."""
    found = gate(compared("regression"), compared("inconclusive", 1024), compared("pass", 2048))
    for fails, counts in ((False, ("3", "1", "1")), (True, ("3", "2", "0"))):
        suite = ET.fromstring(junit(found, inconclusive_fails=fails))[0]
        assert tuple(suite.get(name) for name in ("tests", "failures", "skipped")) == counts
    names = {(test.get("classname"), test.get("name")) for test in suite}
    assert len(names) == 3


def test_junit_of_nothing_is_not_empty():
    """An empty report would look like a pass."""
    suite = ET.fromstring(junit(gate(), inconclusive_fails=False))[0]
    assert (suite.get("tests"), suite.get("skipped")) == ("1", "1")


def test_junit_holds_any_reason():
    """Characters that XML cannot hold are replaced."""
    wrong = compared("regression", ratio=None, metric="status", detail="ok → error: \x1b[31m<a>&")
    suite = ET.fromstring(junit(gate(wrong), inconclusive_fails=False))[0]
    assert "<a>&" in suite[0][0].text


def test_annotations_are_escaped_as_github_wants():
    """% and line breaks in messages; colons and commas in titles besides."""
    wrong = compared("regression", ratio=None, metric="status", detail="100 %\nlost")
    (line,) = annotations(gate(wrong))
    assert line == (
        "::error title=linbench%3A status of sdpa n=512::status of sdpa n=512: 100 %25%0Alost"
    )
    (warning,) = annotations(gate(compared("inconclusive"), compared("pass", 1024)))
    assert warning.startswith("::warning title=")


def test_claims_are_told_everywhere():
    """A failed claim is a regression in sentence, Markdown, JUnit and annotations."""
    claim = parse("sdpa:time<=1.1")
    decision = Decision(claim, "sdpa", Interval(2.0, 1.9, 2.1), "fails")
    found = with_assertions(gate(compared("pass")), [decision])
    assert found.verdict == "regression"
    assert sentence(found) == "Regression: 1 of 2 checks worse than allowed"
    assert "sdpa:time&lt;=1.1 fails" in markdown(found, "a", "b")
    assert 'failures="1"' in junit(found, inconclusive_fails=False)
    assert annotations(found)[0].startswith("::error title=linbench%3A sdpa%3Atime<=1.1::")


def less_accurate(verdict="regression", **fields):
    ratio, limit = Interval(0.8, 0.78, 0.82), 1 / 1.1
    more = {"baseline": 0.8, "candidate": 0.64, "unit": "", "better": "more"}
    return compared(verdict, metric="accuracy", ratio=ratio, limit=limit, **more | fields)


def test_what_is_better_more_has_a_limit_from_below():
    """Ratios are the candidate's over the baseline's, whichever is the worse."""
    assert clause(less_accurate()) == (
        "accuracy of sdpa n=512 is 0.800 [0.780, 0.820] times the baseline's, "
        "at least 0.91 is allowed"
    )
    text = markdown(gate(less_accurate()), "a", "b")
    assert "| accuracy | 0.800 | 0.640 | 0.800 [0.780, 0.820] | ≥ 0.91 | regression |" in text


def test_cells_are_numbers_until_they_are_drawn():
    """A table of findings holds quantities with unit and interval."""
    found = gate(compared("regression"))
    (row,) = table("all", changed(found), found).rows
    _, _, baseline, candidate, ratio, limit, _ = row
    assert (baseline.value, candidate.unit) == (1e-3, "s")
    assert (ratio.low, ratio.high) == (1.2, 1.3)
    assert limit.value == pytest.approx(1.1)
    assert [*map(str, row)] == ["sdpa n=512", "time", "1.00 ms", "1.25 ms", "1.25 [1.20, 1.30]",
                                "≤ 1.10", "regression"]  # fmt: skip


def test_a_batch_of_none_is_written():
    """From 1 to 0 and back: both files are written, with whole numbers of sequences."""

    def fits(batch):
        records = [synthetic.largest(512, batch), synthetic.largest(1024, batch + 4)]
        head = synthetic.header().model_copy(update={"metrics": [batch_of("max_batch")]})
        return synthetic.runs(records, head).runs[0]

    for found in (judge(fits(0), fits(1)), judge(fits(1), fits(0))):
        assert "0 sequences" in markdown(found, "a", "b")
        assert "<testsuite" in junit(found, inconclusive_fails=False)
