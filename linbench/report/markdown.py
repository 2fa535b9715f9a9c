"""Render a report as Markdown with its figures beside it."""

from collections.abc import Iterable
from pathlib import Path

from linbench.report import files
from linbench.report.content import Cell, Figure, Report, Section, Sentence, Table
from linbench.report.figures import png


def write(report: Report, folder: Path) -> Path:
    """Write `report.md` and its figures.

    Args:
        report: What to write.
        folder: Where to; made if it is not there. Files of the same names are replaced.

    Returns:
        The path of the Markdown file.

    Raises:
        RunFileError: the folder cannot be written.
    """
    figures = [figure for section in report.sections for figure in section.figures]
    files.write(folder, ((f"{figure.name}.png", png(figure)) for figure in figures))
    files.write(folder, [("report.md", markdown(report).encode())])
    return folder / "report.md"


def markdown(report: Report) -> str:
    """Return the text of a report; figures are linked as `NAME.png`."""
    blocks = [f"# {report.title}", "## Summary", _bullets(report.summary)]
    for section in report.sections:
        blocks += _section(section)
    return "\n\n".join(blocks) + "\n"


def _bullets(sentences: Iterable[Sentence]) -> str:
    lines = []
    for sentence in sentences:
        lines += [f"- {sentence.text}", *(f"  - {item}" for item in sentence.under)]
    return "\n".join(lines)


def _section(section: Section) -> list[str]:
    blocks = [f"## {section.title}", *section.sentences]
    for figure in section.figures:
        blocks += _figure(figure)
    for table in section.tables:
        blocks += markdown_table(table)
    if section.code:
        blocks.append(f"```\n{section.code}\n```")
    return blocks


def _figure(figure: Figure) -> list[str]:
    plots = [plot.title for row in figure.rows for plot in row]
    lines = dict.fromkeys(line.label for row in figure.rows for plot in row for line in plot.lines)
    alt = f"{'; '.join(plots)}: {', '.join(lines)}"
    return [f"### {figure.title}", f"![{_plain(alt)}]({figure.name}.png)", figure.caption]


def markdown_table(table: Table) -> list[str]:
    """Return the blocks of a table; a folded one opens on demand where HTML is read."""
    header = f"| {' | '.join(map(_cell, table.columns))} |\n|{' --- |' * len(table.columns)}"
    body = [f"| {' | '.join(map(_cell, row))} |" for row in table.rows]
    text = "\n".join([header, *body])
    note = [table.note] if table.note else []
    if not table.folded:
        return [f"### {table.title}", *note, text]
    # a blank line after the summary, or GitHub does not read the table as Markdown
    title = f"<details>\n<summary><b>{table.title}</b></summary>"
    return [title, *note, text, "</details>"]


def _cell(cell: Cell) -> str:
    return str(cell).replace("\n", " ").replace("|", "\\|").replace("<", "&lt;") or " "


def _plain(text: str) -> str:
    return text.replace("[", "(").replace("]", ")")
