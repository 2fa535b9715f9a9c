"""Render a report as Markdown with its figures beside it."""

from collections.abc import Iterable
from pathlib import Path

from linbench.errors import RunFileError
from linbench.report.content import Figure, Report, Section, Table
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
    path = folder / "report.md"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for section in report.sections:
            for figure in section.figures:
                (folder / f"{figure.name}.png").write_bytes(png(figure))
        path.write_text(markdown(report), encoding="utf-8")
    except OSError as error:
        raise RunFileError(
            f"cannot write the report to '{folder}': {error.strerror}; choose another --out"
        ) from None
    return path


def markdown(report: Report) -> str:
    """Return the text of a report; figures are linked as `NAME.png`."""
    blocks = [f"# {report.title}", "## Summary", _bullets(report.summary)]
    for section in report.sections:
        blocks += _section(section)
    return "\n\n".join(blocks) + "\n"


def _bullets(sentences: Iterable[str]) -> str:
    """Write sentences as a list; those that end in a colon head the items after them."""
    lines, indent = [], ""
    for sentence in sentences:
        heads = sentence.endswith(":")
        lines.append(f"{'' if heads else indent}- {sentence}")
        indent = "  " if heads else indent
    return "\n".join(lines)


def _section(section: Section) -> list[str]:
    blocks = [f"## {section.title}", *section.sentences]
    for figure in section.figures:
        blocks += _figure(figure)
    for table in section.tables:
        blocks += _table(table)
    if section.code:
        blocks.append(f"```\n{section.code}\n```")
    return blocks


def _figure(figure: Figure) -> list[str]:
    plots = [plot.title for row in figure.rows for plot in row]
    lines = dict.fromkeys(line.label for row in figure.rows for plot in row for line in plot.lines)
    alt = f"{'; '.join(plots)}: {', '.join(lines)}"
    return [f"### {figure.title}", f"![{_plain(alt)}]({figure.name}.png)", figure.caption]


def _table(table: Table) -> list[str]:
    header = f"| {' | '.join(map(_cell, table.columns))} |\n|{' --- |' * len(table.columns)}"
    body = [f"| {' | '.join(map(_cell, row))} |" for row in table.rows]
    text = "\n".join([header, *body])
    note = [table.note] if table.note else []
    if not table.folded:
        return [f"### {table.title}", *note, text]
    # a blank line after the summary, or GitHub does not read the table as Markdown
    title = f"<details>\n<summary><b>{table.title}</b></summary>"
    return [title, *note, text, "</details>"]


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|") or " "


def _plain(text: str) -> str:
    return text.replace("[", "(").replace("]", ")")
