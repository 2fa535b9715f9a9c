"""Render a report as Markdown with its figures beside it."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from linbench.report import files
from linbench.report.content import Cell, Figure, Report, Section, Sentence, Table
from linbench.report.figures import png


def write(report: Report, folder: Path) -> Path:
    """Write `report.md` and its figures into a folder; raises as `files.write` does."""
    for section in report.sections:
        for figure in section.figures:
            files.write(folder / f"{figure.name}.png", png(figure))
    return files.write(folder / "report.md", markdown(report).encode())


def markdown(report: Report) -> str:
    """Return the text of a report; figures are linked as `NAME.png`."""
    blocks = [f"# {_plain(report.title)}", "## Summary", "\n".join(_bullets(report.summary))]
    for section in report.sections:
        blocks += _section(section)
    return "\n\n".join(blocks) + "\n"


def _plain(text: str) -> str:
    """Return a text on one line and without tags: names in it may be anybody's."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", " ".join(text.split("\n")))


def _bullets(sentences: Iterable[Sentence]) -> Iterator[str]:
    for sentence in sentences:
        yield f"- {_plain(sentence.text)}"
        yield from (f"  - {_plain(item)}" for item in sentence.under)


def _section(section: Section) -> list[str]:
    blocks = [f"## {_plain(section.title)}", *map(_plain, section.sentences)]
    for figure in section.figures:
        blocks += _figure(figure)
    for table in section.tables:
        blocks += markdown_table(table)
    if section.code:
        blocks.append(f"```\n{section.code}\n```")
    return blocks


def _figure(figure: Figure) -> list[str]:
    plots = [plot for row in figure.rows for plot in row]
    lines = dict.fromkeys(line.label for plot in plots for line in plot.lines)
    alt = f"{'; '.join(plot.title for plot in plots)}: {', '.join(lines)}"
    alt = alt.replace("[", "(").replace("]", ")")
    return [
        f"### {_plain(figure.title)}",
        f"![{_plain(alt)}]({figure.name}.png)",
        _plain(figure.caption),
    ]


def markdown_table(table: Table) -> list[str]:
    """Return the blocks of a table; a folded one opens on demand where HTML is read."""
    head, *body = (f"| {' | '.join(map(_cell, row))} |" for row in (table.columns, *table.rows))
    text = "\n".join([head, f"|{' --- |' * len(table.columns)}", *body])
    note = [table.note] if table.note else []
    if not table.folded:
        return [f"### {_plain(table.title)}", *note, text]
    # a blank line after the summary, or GitHub does not read the table as Markdown
    title = f"<details>\n<summary><b>{_plain(table.title)}</b></summary>"
    return [title, *note, text, "</details>"]


def _cell(cell: Cell) -> str:
    return str(cell).replace("\n", " ").replace("|", "\\|").replace("<", "&lt;") or " "
