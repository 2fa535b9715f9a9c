"""The HTML report in a real browser: what is drawn, switched, sorted, and what is not loaded."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pages
import pytest
import synthetic

from linbench import words
from linbench.report import html
from linbench.report.content import Mark, Quantity, Report, Section, Sentence, Table, View

COST = "figure[data-figure=cost]"
HOSTILE = '</script><script>window.stolen=1</script><img src=x onerror="window.stolen=1">'


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A page with everything that can be on one."""
    return html.write(pages.sweep(), tmp_path_factory.mktemp("page"))


@pytest.fixture
def page(open_page, path):
    with open_page(path) as page:
        yield page
        assert page.complaints == []
        assert [url for url in page.requests if url != "data:,"] == [path.as_uri()]


def drawn(page, figure=COST):
    """The labels of the series that have a line with a length."""
    return page.evaluate(
        "figure => [...document.querySelectorAll(`${figure} .plots .series`)]"
        ".filter(one => one.querySelector('path').getTotalLength() > 0)"
        ".map(one => one.dataset.label)",
        figure,
    )


def shape(page, label):
    """The path of a series' line."""
    return page.get_attribute(f"{COST} .series[data-label='{label}'] path", "d")


def labels_of_axis(page):
    return page.locator(f"{COST} .axis").first.locator("text").all_text_contents()


def press(page, name):
    return page.locator(f"{COST} .legend").get_by_role("button", name=name)


def test_nothing_is_loaded_and_nothing_complains(page):
    """The page asks for itself alone, and the console stays empty."""
    assert page.title() == "Attention scaling: run"
    assert set(drawn(page)) == {"vanilla", "sdpa", "linformer k=128", "linformer k=256"}


def test_axes_name_lengths_as_powers_of_two(page):
    """n runs over 512, 1k, 2k, ... and time over powers of ten."""
    assert labels_of_axis(page) == ["512", "1k", "2k", "4k", "8k", "16k", "32k"]
    assert "100 ms" in page.locator(f"{COST} .axis").nth(1).text_content()


def test_every_point_with_an_interval_has_a_whisker(page):
    """Each interval is a stroke of its own, between its two ends."""
    whiskers = page.get_attribute(f"{COST} .series[data-label='sdpa'] .whisker", "d")
    assert whiskers.count("V") == len(pages.SIZES)


def test_a_click_takes_a_series_off_and_brings_it_back(page):
    """Its line goes from the picture, the axis shrinks to the rest, and both come back."""
    before = page.locator(f"{COST} svg").last.screenshot()
    press(page, "vanilla").click()
    assert "vanilla" not in drawn(page)
    assert len(drawn(page)) == 3
    assert press(page, "vanilla").get_attribute("aria-pressed") == "false"
    page.mouse.move(0, 0)
    assert page.locator(f"{COST} svg").last.screenshot() != before
    press(page, "vanilla").click()
    page.mouse.move(0, 0)
    assert page.locator(f"{COST} svg").last.screenshot() == before


def test_the_keyboard_does_what_the_mouse_does(page):
    """Tab reaches the skip link first; space switches a series, arrows pick a metric and an n."""
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    press(page, "sdpa").focus()
    page.keyboard.press("Space")
    assert "sdpa" not in drawn(page)
    page.keyboard.press("Space")
    page.locator(f"{COST} input").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(f"{COST} h4").inner_text() == "Peak memory of one call"
    page.locator(f"{COST} .canvas").focus()
    page.keyboard.press("Home")
    assert page.locator(f"{COST} .readout strong").inner_text() == "n = 512"
    page.keyboard.press("ArrowRight")
    assert page.locator(f"{COST} .readout strong").inner_text() == "n = 1024"
    page.keyboard.press("Escape")
    assert not page.locator(f"{COST} .readout").is_visible()


def test_hovering_reads_values_with_intervals_as_the_table_has_them(page):
    """What stands beside the cursor is what the table of measurements says."""
    page.locator(f"{COST} .canvas").hover()
    said = page.locator(f"{COST} .readout")
    n = said.locator("strong").inner_text().removeprefix("n = ")
    values = said.locator("dd").all_text_contents()
    read = dict(zip(values[::2], values[1::2], strict=True))
    rows = page.locator("details:has(h3:text-is('Measurements')) tbody tr")
    cells = [row.locator("th, td").all_text_contents() for row in rows.all()]
    table = {row[0]: row[2] for row in cells if row[1].replace(",", "") == n}
    assert read == table
    assert all("[" in value for value in read.values())


def test_metrics_and_baselines_change_what_is_drawn(page):
    """Another metric has another line; relative to sdpa there is no sdpa, but the line at 1."""
    time = shape(page, "linformer k=256")
    page.get_by_text("Peak memory", exact=True).click()
    memory = shape(page, "linformer k=256")
    assert memory != time
    assert "MiB" in page.locator(f"{COST} .axis").nth(1).text_content()
    page.select_option(f"{COST} select", "sdpa")
    assert shape(page, "linformer k=256") not in (time, memory)
    assert "sdpa" not in drawn(page)
    assert page.locator(f"{COST} .unity").count() == 1
    assert "over that of sdpa" in page.locator(f"{COST} .plots").inner_text()
    page.select_option(f"{COST} select", "as measured")
    assert shape(page, "linformer k=256") == memory


def test_only_what_was_measured_can_be_chosen(page):
    """What is offered is what has a view."""
    names = page.locator(f"{COST} .segments label").all_inner_texts()
    assert names == ["Time", "Peak memory"]


def column_of(page, table, name):
    """The head of a column, and how to read its cells."""
    head = page.get_by_role("region", name=table).locator("th", has_text=name).first
    place = head.evaluate("head => head.cellIndex") + 1
    cells = head.locator("xpath=ancestor::table").locator(f"tbody tr > :nth-child({place})")
    return head, cells


def test_tables_sort_by_number_and_turn_round(page):
    """µs before s, whatever the digits; the order is announced."""
    page.locator("summary", has_text="Measurements").click()
    head, cells = column_of(page, "Measurements", "time of one call")

    def keys():
        return [float(cell.get_attribute("data-key")) for cell in cells.all()]

    assert keys() != sorted(keys())
    head.get_by_role("button").click()
    assert keys() == sorted(keys())
    assert cells.first.text_content().endswith(" µs")
    assert cells.last.text_content().endswith(" s")
    assert head.get_attribute("aria-sort") == "ascending"
    head.get_by_role("button").press("Enter")
    assert keys() == sorted(keys(), reverse=True)
    assert head.get_attribute("aria-sort") == "descending"


def test_tables_sort_by_text(page):
    """A column of names has no numbers to go by: k = 128 comes before k = 256 all the same."""
    page.locator("summary", has_text="Measurements").click()
    head, cells = column_of(page, "Measurements", "implementation")
    head.get_by_role("button").click()
    assert list(dict.fromkeys(cells.all_text_contents())) == sorted(pages.LAWS)


def test_missing_cells_sort_last(page):
    """What is not there is below what is, ascending and descending."""
    head, cells = column_of(page, "Crossovers", "n*")
    for found in (["95", "860"], ["860", "95"]):
        head.get_by_role("button").click()
        texts = [text.split(" ")[0] for text in cells.all_text_contents()]
        assert texts == [*found, "\N{EN DASH}", "\N{EN DASH}"]


def test_a_linear_metric_has_even_ticks(page):
    """Accuracy from 0.5 to 0.9: even steps, equally far apart, no guides, no line at 1."""
    figure = page.locator("figure[data-figure=quality]")
    ticks = figure.locator(".axis").nth(1)
    assert ticks.locator("text").all_text_contents() == [f"{i / 20:g}" for i in range(10, 19)]
    places = [tick.bounding_box()["y"] for tick in ticks.locator("text").all()]
    gaps = [low - high for low, high in pairwise(places)]
    assert max(gaps) - min(gaps) < 0.01
    assert figure.locator(".guide, .unity").count() == 0
    figure.locator(".canvas").focus()
    page.keyboard.press("Home")
    assert "0.900 [0.882, 0.918]" in figure.locator(".readout").text_content()


def test_a_linear_axis_follows_what_is_on(page):
    """With the two best switched off the axis ends above the third."""
    figure = page.locator("figure[data-figure=quality]")
    for name in ("vanilla", "sdpa"):
        figure.get_by_role("button", name=name).click()
    assert figure.locator(".axis").nth(1).locator("text").last.text_content() == "0.8"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_follows_the_system_and_can_be_turned(open_page, path, scheme):
    """Ground and lines change together, without a reload."""

    def colours():
        of = "one => getComputedStyle(document.querySelector(one))"
        ground = page.evaluate(f"({of})(':root').backgroundColor")
        return ground, page.evaluate(f"({of})('.series[data-label=vanilla] path').stroke")

    light, dark = ("rgb(255, 255, 255)", "rgb(0, 0, 0)"), ("rgb(15, 20, 26)", None)
    with open_page(path, color_scheme=scheme) as page:
        before = colours()
        page.locator("#theme").click()
        after = colours()
    here, there = (light, dark) if scheme == "light" else (dark, light)
    assert (before[0], after[0]) == (here[0], there[0])
    assert before[1] != after[1]
    assert light[1] in (before[1], after[1])


def test_a_phone_shows_it_without_sideways_scrolling(open_page, path):
    """At 390 px the page is as wide as the screen; a tap reads values off, below the chart."""
    with open_page(path, viewport={"width": 390, "height": 844}, has_touch=True) as page:
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        page.locator(f"{COST} .canvas").tap()
        readout, canvas = (
            page.locator(f"{COST} {name}").bounding_box() for name in (".readout", ".canvas")
        )
        assert readout["y"] >= canvas["y"] + canvas["height"]
        assert readout["x"] + readout["width"] <= 390
        assert page.complaints == []


def test_paper_holds_everything(page):
    """Printed, every plot of the Markdown is there, and every table is open."""
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    plots = page.locator(".paper svg[role=img]")
    assert plots.count() == 2 + 2 + 1  # cost, gain, quality
    assert all(plot.is_visible() for plot in plots.all())
    assert page.locator("details:not([open])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0


def test_text_stays_text_wherever_it_stands(open_page, tmp_path):
    """Whatever a title, label, unit, cell or sentence holds is shown and never run."""
    lines = [pages.line(HOSTILE, lambda n: n / 1e6, key=pages.key("sdpa"))]
    plot = pages.plot(HOSTILE, HOSTILE, lines, scale="linear", x_name=HOSTILE)
    past = pages.levels(words.RATIO, "log", (1.0, 1.1), (1.0, 1.1))
    past = replace(past, x_labels=(HOSTILE, HOSTILE), marks=(Mark(1.0, HOSTILE),))
    figures = (
        pages.figure("views", plot, views=(View(HOSTILE, HOSTILE, plot, HOSTILE),)),
        replace(pages.figure("rows", plot, past), title=HOSTILE, caption=HOSTILE),
    )
    table = Table(HOSTILE, (HOSTILE,), ((Quantity(1.0, unit=HOSTILE, mark=HOSTILE),),), HOSTILE)
    section = Section(HOSTILE, (HOSTILE,), figures, (table,), HOSTILE)
    report = Report(HOSTILE, (Sentence(HOSTILE, (HOSTILE,)),), (section,))
    with open_page(html.write(report, tmp_path)) as page:
        page.locator("figure[data-figure=views] .canvas").hover()
        said = page.locator("figure[data-figure=views] .readout").text_content()
        assert said.count(HOSTILE) == 3
        assert page.evaluate("window.stolen") is None
        assert page.locator("img").count() == 0
        assert page.locator("script").count() == 3
        assert page.title() == HOSTILE
        assert page.complaints == []


def test_names_from_a_run_file_stay_text(open_page, report, tmp_path):
    """A hostile run id, implementation, reason, warning and machine are shown and never run."""
    rng = np.random.default_rng(2)
    head = synthetic.header(f"run{HOSTILE}")
    machine = head.machine.model_copy(update={"cpu": HOSTILE})
    head = head.model_copy(update={"machine": machine, "argv": ["linbench", HOSTILE]})
    records = synthetic.measured(rng, lambda n: 1e-6 * n, lambda n: 64 * n, impl=HOSTILE)
    records += synthetic.measured(rng, lambda n: 2e-6 * n, lambda n: 64 * n, impl="sdpa")
    records[0] = records[0].model_copy(update={"warnings": [HOSTILE]})
    records.append(synthetic.failed("error", HOSTILE, 1 << 20, impl=HOSTILE))
    made = html.write(report((head, records), (f"x{HOSTILE}", records)), tmp_path)
    with open_page(made) as page:
        page.select_option("figure[data-figure=runs] select", index=1)
        page.locator("figure[data-figure=runs] .canvas").hover()
        assert page.evaluate("window.stolen") is None
        assert page.locator("img").count() == 0
        assert page.locator("script").count() == 3
        assert HOSTILE in page.title()
        assert HOSTILE in page.locator("figure[data-figure=runs] .readout").text_content()
        assert HOSTILE in page.locator("table").all_text_contents()[-1]
        assert page.complaints == []
        assert {url for url in page.requests if url != "data:,"} == {made.as_uri()}


@pytest.mark.parametrize(
    ("unit", "scale", "values"),
    [(words.RATIO, "log", (1.0, 2.0, 4.0)), ("", "linear", (0.5, 0.7, 0.9))],
)
def test_a_history_stands_on_the_scale_of_its_plot(open_page, tmp_path, unit, scale, values):
    """Even steps stand at even distances: those of factors where it is logarithmic."""
    figure = pages.figure("history", pages.levels(unit, scale, values, values))
    made = html.write(Report("history", (), (Section("History", figures=(figure,)),)), tmp_path)
    with open_page(made) as page:
        dots = [dot.bounding_box()["y"] for dot in page.locator(".plots .loose").all()]
        assert page.locator(".unity").count() == (unit == words.RATIO)
        assert page.complaints == []
    assert dots[0] - dots[1] == pytest.approx(dots[1] - dots[2], abs=0.5)
    assert dots[0] - dots[1] > 20


def test_two_runs_are_overlaid(open_page, report, tmp_path):
    """Both runs are in one picture, told apart; relative to the first only the later is left."""
    rng = np.random.default_rng(3)
    of = {"sizes": (512, 1024, 2048)}
    runs = [
        (
            name,
            [r for impl in ("sdpa", "mine") for r in synthetic.measured(rng, law, impl=impl, **of)],
        )
        for name, law in (("old", lambda n: 1e-6 * n), ("new", lambda n: 2e-6 * n))
    ]
    made = html.write(report(*runs), tmp_path)
    figure = "figure[data-figure=runs]"
    with open_page(made) as page:
        both = drawn(page, figure)
        page.select_option(f"{figure} select", "old")
        later = drawn(page, figure)
        assert page.complaints == []
    assert {label.rsplit(" ", 1)[-1] for label in both} == {"old", "new"}
    assert {label.rsplit(" ", 1)[-1] for label in later} == {"new"}
    assert len(both) == 2 * len(later) == 4


def test_a_report_without_measurements_opens(open_page, report, tmp_path):
    """Nothing measured: no chart, no complaint, and the reasons."""
    made = html.write(report(("none", [synthetic.failed("skipped", "no budget", 512)])), tmp_path)
    with open_page(made) as page:
        assert "measured none" in page.locator("#summary").inner_text()
        assert "no budget" in page.locator("main").inner_text()
        assert page.locator("figure").count() == 0
        assert page.complaints == []
