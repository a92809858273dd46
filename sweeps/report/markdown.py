"""The report as Markdown, to copy into another page.

It has the same sentences and tables as the HTML page. Its figures are files beside it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sweeps.report.table_parts import Table


def section(
    title: str, paragraphs: Sequence[str], tables: Sequence[Table], *, figure: str = ""
) -> str:
    """Return one section of the page: title, figure (the path of its file), paragraphs, tables."""
    parts = [f"## {escaped(title)}"]
    if figure:
        parts.append(f"![{escaped(title)}]({figure})")
    parts += [escaped(paragraph) for paragraph in paragraphs]
    parts += [grid(table) for table in tables]
    return "\n\n".join(parts)


def grid(table: Table) -> str:
    """Return a table as Markdown: numbers on the right, the caption below."""
    heads = [_field(head.text) for head in table.heads]
    rule = ["--:" if head.numeric else "---" for head in table.heads]
    rows = [[_field(cell.text) for cell in row.cells] for row in table.rows]
    lines = [f"| {' | '.join(fields)} |" for fields in (heads, rule, *rows)]
    if table.caption:
        lines += ["", escaped(table.caption)]
    return "\n".join(lines)


def escaped(text: str) -> str:
    """Return a text in one line that Markdown shows as it is written.

    Texts hold names that a user gave: of factors, files, published tables. As Markdown or HTML they
    could be a link, an image or a script in the page that the report is copied into.
    """
    return _LEADING.sub(r"\\\1", _without_marks(text))


def _without_marks(text: str) -> str:
    line = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return _MARKS.sub(r"\\\g<0>", line)


_MARKS = re.compile(r"[\\`*\[\]]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""What begins a link, an image, code or emphasis; not the `_` inside a name such as beta_vae."""

_LEADING = re.compile(r"^([#>+-])")
"""What begins a heading, a quotation or a list at the start of a line."""


def _field(text: str) -> str:
    """Return a text as a field of a table: a bar would end it."""
    return _without_marks(text).replace("|", "\\|") or " "
