"""Render a report as one HTML file that needs nothing else: no network, no server."""

import base64
import functools
import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from linbench import __version__
from linbench.report import files
from linbench.report.content import NONE, Cell, Quantity, Report, Section, Table
from linbench.report.interactive import figure_json

HERE = Path(__file__).parent
_LONG = 44  # characters; text beyond it is broken into lines


def write(report: Report, folder: Path) -> Path:
    """Write `report.html` into a folder; raises as `files.write` does."""
    return files.write(folder / "report.html", html(report).encode())


def html(report: Report) -> str:
    """Return the page. Whatever comes from a run file is escaped; only our scripts may run."""
    figures = [figure_json(figure) for section in report.sections for figure in section.figures]
    licence = f"/*\n{_asset('d3.LICENSE')}*/\n"  # which must be in all copies
    scripts = [licence + _asset("d3.min.js"), _asset("report.js")]
    style = _asset("report.css")
    return _template().render(
        report=report,
        anchors=_anchors(report.sections),
        figures=figures,
        scripts=[Markup(script) for script in scripts],  # noqa: S704 (our own files)
        style=Markup(style),  # noqa: S704 (our own file)
        policy=_policy(scripts, style),
        version=__version__,
    )


@functools.cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {}  # in our order, not sorted
    environment.filters |= {"inline": inline, "kinds": kinds_of}
    return environment.get_template("report.html.jinja")


@functools.cache
def _asset(name: str) -> str:
    return (HERE / "assets" / name).read_text(encoding="utf-8")


def _policy(scripts: Iterable[str], style: str) -> str:
    """Return a content security policy: our scripts and style by digest, no requests at all."""

    def digest(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"script-src {' '.join(map(digest, scripts))}; style-src {digest(style)}"
    )


def _anchors(sections: Sequence[Section]) -> list[str]:
    """Give each section an id that is unique on the page."""
    slugs = [re.sub("[^a-z0-9]+", "-", section.title.lower()).strip("-") for section in sections]
    return [f"s{i + 1}-{slug[:60]}" for i, slug in enumerate(slugs)]


def inline(text: str) -> Markup:
    """Turn the Markdown that sentences use (strong, code) and powers into HTML, escaped first."""
    safe = str(escape(text))
    safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", safe)
    safe = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", safe)
    safe = re.sub(r"\bn\^(-?\d+(?:\.\d+)?)", r"n<sup>\1</sup>", safe)
    safe = re.sub(r"\b(n\*?|k) = (\d)", "\\1\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}\\2", safe)
    return Markup(safe)  # noqa: S704 (escaped above)


def kinds_of(table: Table) -> list[str]:
    """Return the class of each column: `number` is set flush right, `long` text is broken."""
    columns = zip(*table.rows, strict=True) if table.rows else [()] * len(table.columns)
    return [_kind([cell for cell in cells if cell not in ("", NONE)]) for cells in columns]


def _kind(told: Sequence[Cell]) -> str:
    if told and all(isinstance(cell, Quantity) for cell in told):
        return "number"
    return "long" if any(len(str(cell)) > _LONG for cell in told) else ""
