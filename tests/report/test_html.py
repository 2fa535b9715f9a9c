"""The HTML report as text: what it holds, what it escapes, how tables are sorted."""

import hashlib
import json
import re
from html import unescape
from pathlib import Path

import pages
import pytest

from linbench.report import html, styles
from linbench.report.content import NONE, Quantity, Report, Section, Table, count
from linbench.report.html import inline, kinds_of
from linbench.report.interactive import figure_json
from linbench.report.markdown import markdown

ASSETS = Path("linbench/report/assets")


@pytest.fixture(scope="module")
def sweep():
    return pages.sweep()


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
    said = [word for sentence in sweep.summary for word in (sentence.text, *sentence.under)]
    for section in sweep.sections:
        said += [section.title, *section.sentences, section.code]
        said += [word for figure in section.figures for word in (figure.title, figure.caption)]
        for table in section.tables:
            said += [table.title, table.note, *table.columns]
            said += [str(cell) for row in table.rows for cell in row]
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


def test_the_same_report_gives_the_same_page(page):
    """The page depends on nothing but what it says."""
    assert html.html(pages.sweep()) == page


def test_a_sentence_stands_above_those_under_it(sweep, page):
    """Nested bullets in both formats, whatever the sentence ends in."""
    under = "  - in time from n = 860\n  - in memory everywhere"
    assert f"- Linformer wins:\n{under}\n" in markdown(sweep)
    flat = re.sub(r"\s*\n\s*", "", page).replace("\xa0", " ")
    nested = "<ul><li>in time from n = 860</li><li>in memory everywhere</li></ul>"
    assert f"<li>Linformer wins:{nested}</li>" in flat


def test_the_page_stays_small(page):
    """A report with a few figures is a fraction of a megabyte, D3 included."""
    assert len(page) < 200_000


def test_our_files_cannot_end_their_element():
    """What is put into the page as it is holds no end tag of what it stands in."""
    for name in ("d3.min.js", "d3.LICENSE", "report.js"):
        assert "</script" not in (ASSETS / name).read_text().lower()
    assert "</style" not in (ASSETS / "report.css").read_text().lower()


def test_d3_is_the_bundle_that_the_readme_makes_and_comes_with_its_licence(page):
    """The file is the one that the README beside it names; every page holds its licence."""
    bundle, readme = ((ASSETS / name).read_text() for name in ("d3.min.js", "README.md"))
    version = re.match(r"// https://d3js.org v([\d.]+)", bundle)[1]
    assert hashlib.sha256(bundle.encode()).hexdigest() in readme
    assert f"D3 {version} " in readme
    assert (ASSETS / "d3.LICENSE").read_text() in page


def test_the_d3_bundle_exports_what_is_used_and_no_more():
    """Each `d3.x` of our script is among the names that the bundle defines and the README lists."""
    used = set(re.findall(r"\bd3\.([A-Za-z]+)", (ASSETS / "report.js").read_text()))
    listed = re.findall(r"^export \{(.+)\} from", (ASSETS / "README.md").read_text(), re.MULTILINE)
    (exports,) = re.findall(r"\{((?:\w+:\(\)=>[\w$]+,?)+)\}", (ASSETS / "d3.min.js").read_text())
    assert {name.strip() for names in listed for name in names.split(",")} == used
    assert set(re.findall(r"(\w+):", exports)) == used


def test_json_in_the_page_cannot_end_its_element():
    """Names in chart data are the same after a round trip, and hold no tag before it."""
    name = "</script><!--<b>&'\""
    figure = pages.figure("one", pages.plot("Time", "s", [pages.line(name, float)]))
    page = html.html(Report("r", (), (Section("s", figures=(figure,)),)))
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


def test_a_column_is_of_numbers_if_all_that_is_told_is_one():
    """A dash or a blank does not make a column of numbers one of text; a word does."""
    number = Quantity(0.001, unit="s")
    rows = (
        (number, count(1), NONE, "", "512", "a" * 50),
        (NONE, "x", NONE, "", "1024", count(2)),
        ("", count(3), "", "", "95", NONE),
    )
    assert kinds_of(Table("t", tuple("abcdef"), rows)) == ["number", "", "", "", "", "long"]
    assert kinds_of(Table("t", ("a",), ())) == [""]


def test_a_number_carries_the_value_it_is_sorted_by():
    """The value in its plain unit, not what is written of it; text and dashes carry none."""
    rows = (
        (Quantity(0.0123456, 0.0121, 0.0125, "s"), "1 ms", Quantity(0.25, text="~4:1")),
        (Quantity(1.5 * 2**20, unit="byte", mark="(sdpa)"), Quantity(2.0), NONE),
    )
    table = Table("t", ("a", "b", "c"), rows)
    page = html.html(Report("r", (), (Section("s", tables=(table,)),)))
    cells = re.findall(r'<(?:td|th scope=row)( class="number")?(?: data-key="(.*?)")?>(.+?)<', page)
    assert cells == [
        (' class="number"', "0.0123456", "12.3 [12.1, 12.5] ms"),
        ("", "", "1 ms"),
        (' class="number"', "0.25", "~4:1"),
        (' class="number"', "1572864.0", "1.50 MiB (sdpa)"),
        ("", "", "2.00"),
        (' class="number"', "", NONE),
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
