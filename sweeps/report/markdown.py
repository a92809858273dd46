"""The report as Markdown, to copy into another page.

It has the same sentences and tables as the HTML page. Its figures are files beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

from sweeps.report.table_parts import Table


def section(
    title: str, paragraphs: Sequence[str], tables: Sequence[Table], *, figure: str = ""
) -> str:
    """Return one section of the page: title, figure (the path of its file), paragraphs, tables."""
    parts = [f"## {title}"]
    if figure:
        parts.append(f"![{title}]({figure})")
    parts += paragraphs
    parts = [" ".join(part.split()) for part in parts]  # one line each
    parts += [grid(table) for table in tables]
    return "\n\n".join(parts)


def grid(table: Table) -> str:
    """Return a table as Markdown: numbers on the right, the caption below."""
    heads = [_escaped(head.text) for head in table.heads]
    rule = ["--:" if head.numeric else "---" for head in table.heads]
    rows = [[_escaped(cell.text) for cell in row.cells] for row in table.rows]
    lines = [f"| {' | '.join(fields)} |" for fields in (heads, rule, *rows)]
    if table.caption:
        lines += ["", table.caption]
    return "\n".join(lines)


def _escaped(text: str) -> str:
    """Return a text without line breaks and with escaped bars, which would end the field."""
    return text.replace("\n", " ").replace("|", "\\|") or " "
