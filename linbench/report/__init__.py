"""From run tables to a report: sections of text, figures and tables, rendered as Markdown."""
