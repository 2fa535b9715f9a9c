"""How lines look: what has its own colour, shade, marker and dashes."""

from dataclasses import replace

import pages

from linbench import words
from linbench.report.figures import png
from linbench.report.interactive import figure_json
from linbench.report.styles import styles_of


def looks(*lines):
    """The styles of some lines, in their order."""
    return list(styles_of([pages.plot("p", "s", lines)]).values())


def test_an_implementation_has_one_hue_and_each_k_a_shade_and_a_marker():
    """Whoever it is: the larger k is the darker."""
    for impl in ("linformer", "somebody"):
        small, large = looks(*(pages.line(f"{impl} k={k}", float) for k in (128, 256)))
        assert small.color != large.color
        assert (small.marker, large.marker) == ("o", "s")
        assert small.dashes == large.dashes == ()
        assert looks(pages.line(f"{impl} k=256", float))[0].color == large.color


def test_variants_of_one_implementation_differ_in_dashes():
    """Sharing, projection, order; a k that follows n is dashed too."""
    base = pages.key("linformer k=128", sharing="headwise")
    keys = [base, base.model_copy(update={"sharing": "kv"})]
    plain, other = looks(*(pages.line(key.label, float, key=key) for key in keys))
    assert plain.dashes == ()
    assert other.dashes
    assert plain.color == other.color
    rule = base.model_copy(update={"k": None, "k_rule": "n/4"})
    assert looks(pages.line("linformer k=n/4", float, key=rule))[0].dashes


def test_runs_differ_in_dashes_and_the_later_are_hollow():
    """The same implementation in two runs has one colour."""
    one = replace(pages.line("old", float, key=pages.key("sdpa")), run_id="old")
    old, new = looks(one, replace(one, label="new", run_id="new"))
    assert old.color == new.color
    assert old.dashes != new.dashes
    assert (old.hollow, new.hollow) == (False, True)


def test_implementations_without_a_hue_of_their_own_get_different_ones():
    """In the order in which they come."""
    found = looks(*(pages.line(name, float) for name in ("a", "b", "vanilla", "c")))
    assert len({style.color for style in found}) == 4


def test_a_wide_line_is_wider_than_others_unless_it_is_the_last():
    """So that of two lines that coincide both are seen."""
    lines = [replace(pages.line(name, float), wide=True) for name in ("vanilla", "sdpa")]
    lines.append(pages.line("linformer k=128", float))
    drawn = figure_json(pages.figure("f", pages.plot("p", "s", lines)))["rows"][0][0]["lines"]
    assert [line["width"] for line in drawn] == [2.8, 2.8, 1.7]
    alone = figure_json(pages.figure("f", pages.plot("p", "s", lines[:2])))["rows"][0][0]["lines"]
    assert [line["width"] for line in alone] == [2.8, 1.7]


def test_a_script_is_told_what_to_draw_not_what_a_unit_means():
    """The JSON names the scale, whether a line stands at 1, and whether lines stand apart."""
    units = {"s": "log", words.RATIO: "log", "": "linear"}
    plots = [
        pages.plot("p", unit, [pages.line("sdpa", float)], scale=scale)
        for unit, scale in units.items()
    ]
    (row,) = figure_json(pages.figure("f", *plots))["rows"]
    said = [(plot["scale"], plot["atOne"], plot["apart"]) for plot in row]
    assert said == [("log", False, False), ("log", True, True), ("linear", False, True)]
    assert all("unit" not in plot for plot in row)


def test_x_is_named_where_values_are_read_off():
    """By its symbol, by another where it has one, and a commit by its name."""
    lines = [pages.line("sdpa", float, sizes=(512, 1024))]
    plots = [
        pages.plot("p", "s", lines),
        pages.plot("p", "s", lines, x_name="k"),
        pages.levels(words.RATIO, "log", (1.0, 1.0), (1.0, 1.0)),
    ]
    (row,) = figure_json(pages.figure("f", *plots))["rows"]
    assert [plot["xs"][0][2] for plot in row] == ["n = 512", "k = 512", "commit c0"]


def test_small_differences_of_large_values_are_drawn_on_a_linear_scale():
    """They are not rounded away."""
    lines = [pages.line("sdpa", lambda n: 1e6 + n / 1e4, spread=0.0)]
    (row,) = figure_json(pages.figure("f", pages.plot("p", "", lines, scale="linear")))["rows"]
    values = [point[1] for point in row[0]["lines"][0]["points"]]
    assert len(set(values)) == len(pages.SIZES)


def test_the_same_figure_gives_the_same_png():
    """On either scale."""
    history = pages.levels("", "linear", (0.8, 0.8, 0.2), (0.8, 0.8, 0.8))
    for plot in (pages.accuracies(guides=(1.0,)), pages.costs().rows[0][0], history):
        figure = pages.figure("f", plot)
        assert png(figure) == png(figure)
        assert png(figure).startswith(b"\x89PNG")
