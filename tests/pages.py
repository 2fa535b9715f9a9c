"""Reports made by hand, without runs and studies: each kind of content in a few lines."""

from dataclasses import replace

from linbench import words
from linbench.report.content import (
    NONE,
    Figure,
    Line,
    Plot,
    Quantity,
    Report,
    Section,
    Sentence,
    Table,
    View,
    count,
)
from linbench.run.case import Case
from linbench.stats.interval import Interval

SIZES = (512, 1024, 2048, 4096, 8192, 16384, 32768)
LAWS = {
    "vanilla": lambda n: 1e-4 + 9e-9 * n * n,
    "sdpa": lambda n: 1e-4 + 2.5e-9 * n * n,
    "linformer k=128": lambda n: 2e-4 + 2e-6 * n,
    "linformer k=256": lambda n: 2e-4 + 4e-6 * n,
}


def key(label, **fields):
    """The key of a line: its implementation, and its k where the label names one."""
    impl, *rest = label.split(" k=")
    return Case(impl=impl, seq=1, k=int(rest[0]) if rest else None, **fields).key("seq", "seed")


def line(label, law, sizes=SIZES, spread=0.03, **more):
    """A line along a law, with intervals of some relative width."""
    off = [spread * abs(law(n)) for n in sizes]
    y = tuple(Interval(law(n), law(n) - by, law(n) + by) for n, by in zip(sizes, off, strict=True))
    own = more.pop("key", None) or key(label)
    return Line(label, tuple(map(float, sizes)), y, key=own, **more)


def plot(title, unit, lines, **more):
    """A plot against n."""
    return Plot(title, "sequence length n", "", unit, tuple(lines), **more)


def figure(name, *plots, **more):
    """A figure of one row."""
    return Figure(name, f"Figure {name}", f"What {name} shows.", (plots,), **more)


def costs():
    """Time and memory of four implementations, with ways to look at them."""
    time = [line(label, law) for label, law in LAWS.items()]
    memory = [line(of.label, lambda n, i=i: (i + 1) * 64 * n) for i, of in enumerate(time)]
    shown = {
        "Time": plot("Time of one call", "s", time, guides=(1.0, 2.0)),
        "Peak memory": plot("Peak memory of one call", "byte", memory, guides=(1.0, 2.0)),
    }
    views = []
    for metric, of in shown.items():
        views.append(View(metric, "as measured", of))
        base = {x: y.value for x, y in zip(of.lines[1].x, of.lines[1].y, strict=True)}
        over = [
            line(one.label, lambda n, one=one, base=base: one.y[SIZES.index(n)].value / base[n])
            for one in of.lines
            if one.label != "sdpa"
        ]
        title = f"{metric} over that of sdpa"
        views.append(View(metric, "sdpa", plot(title, words.RATIO, over), "Below 1 it wins."))
    return figure("cost", *shown.values(), views=tuple(views), shown=tuple(LAWS))


def measurements():
    """A table that is folded: every time that is drawn, the largest n first."""
    rows = [
        (one.label, count(int(n)), Quantity.of(y, "s"), "measured" if n < 9999 else "a " * 40)
        for one in costs().views[0].plot.lines
        for n, y in zip(one.x[::-1], one.y[::-1], strict=True)
    ]
    columns = ("implementation", "n", "time of one call", "remark")
    return Table("Measurements", columns, tuple(rows), folded=True)


def crossovers():
    """A table with gaps."""
    found = Quantity(860.0, 823.0, None, words.LENGTH)
    rows = (
        ("a", Quantity.of(None, words.LENGTH), "no"),
        ("b", found, "yes"),
        ("c", replace(found, value=95.0, low=91.0, high=99.0), "yes"),
        ("d", NONE, ""),
    )
    return Table("Crossovers", ("pair", "n*", "seen"), rows, note="Where lines cross.")


def accuracies(**more):
    """A plot of a metric that is linear, the more the better: from 0.5 to 0.9."""
    steps = {"vanilla": 0.9, "sdpa": 0.9, "linformer k=128": 0.7, "linformer k=256": 0.8}
    lines = [
        line(label, lambda n, top=top: top - (top - 0.5) * SIZES.index(n) / 6, spread=0.02)
        for label, top in steps.items()
    ]
    return plot("Accuracy", "", lines, scale="linear", **more)


def levels(unit, scale, values, fits):
    """A history of one line: values about levels, commits as places."""
    one = Line(
        "sdpa",
        tuple(map(float, range(len(values)))),
        tuple(map(Interval, values)),
        key=key("sdpa"),
        fit=tuple(fits),
    )
    names = tuple(f"c{i}" for i in range(len(values)))
    return Plot("History", "commit", "", unit, (one,), scale=scale, x_labels=names)


def sweep():
    """A report with everything that a page can hold."""
    gain = plot("Speed-up", words.RATIO, [line("linformer k=128", lambda n: n / 4096)])
    summary = (
        Sentence("Time grew as **n^2.00** (`vanilla`)."),
        Sentence("Linformer wins:", ("in time from n = 860", "in memory everywhere")),
    )
    sections = (
        Section(
            "Cost",
            ("What was measured.",),
            (costs(), figure("gain", gain, gain, covered=True), figure("quality", accuracies())),
            (measurements(), crossovers()),
        ),
        Section("How to repeat", code="linbench sweep --seq 512..32768"),
    )
    return Report("Attention scaling: run", summary, sections)
