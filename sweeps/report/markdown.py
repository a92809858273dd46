"""The report as Markdown: the same sentences and tables, its figures beside it, to put into a page of one's own."""

from __future__ import annotations

from collections.abc import Sequence

from sweeps.report.tables import Table


def section(
    title: str, paragraphs: Sequence[str], tables: Sequence[Table], *, figure: str = ""
) -> str:
    """Return one part of a page: heading, figure, sentences, tables."""
    parts = [f"## {title}", *([f"![{title}]({figure})"] if figure else []), *paragraphs]
    return "\n\n".join(
        [*(" ".join(part.split()) for part in parts), *(grid(table) for table in tables)]
    )


def grid(table: Table) -> str:
    """Return a table as Markdown, numbers to the right, its caption below it."""
    heads = [_field(head.text) for head in table.heads]
    rule = ["--:" if head.numeric else "---" for head in table.heads]
    rows = [[_field(cell.text) for cell in row.cells] for row in table.rows]
    lines = [f"| {' | '.join(fields)} |" for fields in (heads, rule, *rows)]
    return "\n".join([*lines, *(["", table.caption] if table.caption else [])])


def _field(words: str) -> str:
    """Return words as a field takes them: a bar would end it."""
    return words.replace("\n", " ").replace("|", "\\|") or " "
