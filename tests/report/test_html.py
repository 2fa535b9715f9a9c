"""The HTML report as text: what it holds, what it escapes, how tables are sorted."""

import hashlib
import json
import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import synthetic

from linbench.report import html, styles
from linbench.report.content import Report, Section, Table
from linbench.report.html import cells_of, columns_of, inline, sort_key
from linbench.report.interactive import figure_json
from linbench.report.markdown import markdown

ASSETS = Path("linbench/report/assets")


@pytest.fixture(scope="module")
def sweep(report):
    return report(("run", synthetic.default_sweep(np.random.default_rng(1))))


@pytest.fixture(scope="module")
def page(sweep):
    return html.html(sweep)


def _text(page):
    """The words of a page without its scripts, styles and tags."""
    bare = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    bare = re.sub(r"<sup>(.*?)</sup>", r"^\1", bare)
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", bare))).replace("\xa0", " ")


def test_it_holds_what_the_markdown_holds(sweep, page):
    """Every sentence, heading, caption, note, table cell and command of the Markdown is there."""
    text = _text(page)
    said = [*sweep.summary]
    for section in sweep.sections:
        said += [section.title, *section.sentences, section.code]
        said += [word for figure in section.figures for word in (figure.title, figure.caption)]
        for table in section.tables:
            said += [table.title, table.note, *table.columns]
            said += [cell for row in table.rows for cell in row]
    for words in said:
        assert " ".join(words.replace("**", "").replace("`", "").split()) in text, words


def test_the_verdicts_come_first(page):
    """The summary is the first section, before any chart or table."""
    places = [page.index(mark) for mark in ('id="summary"', "Time grew as", "<figure", "<table")]
    assert places == sorted(places)


def test_every_figure_of_the_markdown_is_in_the_page(sweep, page):
    """Each PNG of the Markdown has its data in the page."""
    linked = re.findall(r"!\[[^]]+\]\(([^)]+)\.png\)", markdown(sweep))
    data = re.search(r'<script type="application/json" id="figures">(.*?)</script>', page)
    assert [figure["name"] for figure in json.loads(data[1])] == linked


def test_the_same_run_gives_the_same_page(report, page):
    """The page depends on nothing but the run file."""
    again = report(("run", synthetic.default_sweep(np.random.default_rng(1))))
    assert html.html(again) == page


def test_the_page_stays_small(page):
    """A report of a default sweep is well under a megabyte, D3 included."""
    assert len(page) < 600_000


def test_our_files_cannot_end_their_element():
    """What is put into the page as it is holds no end tag of what it stands in."""
    for name in ("d3.min.js", "d3.LICENSE", "report.js"):
        assert "</script" not in (ASSETS / name).read_text().lower()
    assert "</style" not in (ASSETS / "report.css").read_text().lower()


def test_d3_is_the_published_file_and_comes_with_its_licence(page):
    """The file is the one that the README beside it names; every page holds its licence."""
    digest = hashlib.sha256((ASSETS / "d3.min.js").read_bytes()).hexdigest()
    version = re.match(r"// https://d3js.org v([\d.]+)", (ASSETS / "d3.min.js").read_text())[1]
    assert digest in (ASSETS / "README.md").read_text()
    assert f"D3 {version} " in (ASSETS / "README.md").read_text()
    assert (ASSETS / "d3.LICENSE").read_text() in page


def test_json_in_the_page_cannot_end_its_element(report):
    """Names in chart data are the same after a round trip, and hold no tag before it."""
    name = "</script><!--<b>&'\""
    records = synthetic.measured(np.random.default_rng(0), lambda n: 1e-6 * n, impl=name)
    page = html.html(report(("run", records)))
    (data,) = re.findall(r'<script type="application/json" id="figures">(.*?)</script>', page)
    assert "<" not in data
    (line,) = json.loads(data)[0]["rows"][0][0]["lines"]
    assert line["label"] == name


def test_sentences_are_escaped_before_their_markdown_is_read():
    """Strong, code and powers become elements; anything else stays text."""
    assert inline("**a** grew as n^2.00, `<b>` & n = 512") == (
        "<strong>a</strong> grew as n<sup>2.00</sup>, <code>&lt;b&gt;</code> &amp; "
        "n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}512"
    )


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("512", 512),
        ("1,048,576", 1048576),
        ("12.3 [12.1, 12.5] ms", 0.0123),
        ("1.50 MiB (exact)", 1.5 * 2**20),
        ("0.612 [0.580, 0.640] (sdpa)", 0.612),
        ("3.0e-07", 3e-7),
        ("under 0.1 %", 0.0005),
        ("(4844500)", 4844500),
        ("4096 to 16384", 4096),
        ("512 or less", 512),
        ("5 (1 disturbed)", 5),
        ("\N{MINUS SIGN}3.5 %", -0.035),
        ("linformer k=128", None),
        ("2026-11-22", None),
        ("1: under 0.1 %, n: 100 %", None),
        ("a+bn", None),
        ("", None),
        ("\N{EN DASH}", None),
    ],
)
def test_cells_are_sorted_by_the_number_they_begin_with(text, key):
    """Units count, intervals and remarks do not; other text has no number."""
    assert sort_key(text) == (None if key is None else pytest.approx(key))


def test_a_column_is_of_numbers_only_if_all_that_is_told_is_one():
    """A dash or a blank does not make a column of numbers one of text; a word does."""
    dash = "\N{EN DASH}"
    table = Table("t", ("a", "b", "c"), (("1 ms", "1", dash), (dash, "x", ""), ("2 s", "3", dash)))
    assert [column.number for column in columns_of(table)] == [True, False, False]
    assert [[cell.key for cell in row] for row in cells_of(table)] == [
        [0.001, None, None],
        [None, None, None],
        [2.0, None, None],
    ]


def test_a_report_of_nothing_renders():
    """No sections, or a section without rows: still a page."""
    empty = Section("Empty", tables=(Table("none", ("a",), ()),), code="linbench sweep")
    assert "linbench sweep" in html.html(Report("nothing", (), (empty,)))


def test_only_our_scripts_may_run_and_nothing_may_be_asked_for(page):
    """The policy of the page names scripts and style by digest and forbids requests."""
    policy = unescape(re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1])
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    assert len(re.findall("'sha256-[^']+'", policy)) == 3
    assert not re.search(r"""(?:src|href)=["'](?!#|data:)""", re.sub("<script>.*", "", page))


def test_lines_look_alike_in_both_formats(sweep):
    """Colours, markers and dashes of the page are those of the PNG figures."""
    figure = sweep.sections[0].figures[0]
    of_png = styles.styles_of(plot for row in figure.rows for plot in row)
    of_page = figure_json(figure)["styles"]
    assert {label: one["light"] for label, one in of_page.items()} == {
        label: style.color for label, style in of_png.items()
    }


def test_lines_can_be_seen_on_a_dark_ground(sweep):
    """Every colour of the dark theme has the contrast that text would need."""
    for section in sweep.sections:
        for figure in section.figures:
            for style in figure_json(figure)["styles"].values():
                assert styles.contrast(style["dark"], styles.DARK_GROUND) >= styles.CONTRAST
    assert styles.DARK_GROUND in (ASSETS / "report.css").read_text()
