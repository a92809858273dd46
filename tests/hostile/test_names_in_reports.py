"""Names that a user gives are shown in a report as they are written, never as HTML or Markdown."""

from __future__ import annotations

import html.parser
from typing import Any

import pytest
from synthetic_runs import synthetic

from sweeps.report import markdown
from sweeps.report.page import html_page, markdown_page
from sweeps.report.table_parts import Table, TableCell, TableHead, TableRow

SCRIPT = "<script>alert(1)</script>"
LINK = "[x](javascript:alert(1))"
IMAGE = "![x](http://example.org/a.png)"
NASTY = f"{SCRIPT} {LINK} {IMAGE} | a `b` *c* \" ' &lt; $x$"


class Tags(html.parser.HTMLParser):
    """Collects the tags of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.tags += [name for name, _ in attrs if name.startswith("on")]


def nasty_runs() -> Any:
    """Return a synthetic sweep with nasty texts in every name that a spec can give."""
    runs = synthetic(strengths=[1, 4])
    spec = dict(runs.spec)
    spec["published"] = [
        {
            "source": NASTY,
            "tag": "read",
            "n": 3,
            "differences": NASTY,
            "weights": "last",
            "says": [NASTY],
            "rows": [
                {"where": {"objective": "beta_vae", "beta": 1}, "values": {"mig": {"mean": 1}}}
            ],
        }
    ]
    spec["data"] = {"name": "arrays", "path": f"{NASTY}.npz", "factor_names": [NASTY]}
    table = runs.table.copy()
    for column in ("why", "objective", "bracket", "entry"):
        if column in table:
            table[column] = NASTY
    table["state"] = "FAILED"
    return runs._replace(name=NASTY, spec=spec, table=table)


def test_no_name_becomes_a_tag_of_the_html_page() -> None:
    page = html_page(nasty_runs(), {})
    assert "alert(1)" in page  # the names are shown
    tags = Tags(page).tags
    assert not {"script", "iframe"} & set(tags)
    assert not [tag for tag in tags if tag.startswith("on")]
    assert SCRIPT not in page


def test_no_name_becomes_html_or_a_link_in_the_markdown_page() -> None:
    page = markdown_page(nasty_runs(), {})
    assert "alert(1)" in page
    assert "<script" not in page
    assert "[x](" not in page
    assert "`b`" not in page.replace("\\`", "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("beta_vae", "beta_vae"),
        ("__class__", "\\_\\_class\\_\\_"),
        ("a < b & c", "a &lt; b &amp; c"),
        ("[x](y)", "\\[x\\](y)"),
        ("# head", "\\# head"),
        ("two\nlines", "two lines"),
    ],
)
def test_markdown_shows_a_text_as_it_is_written(text: str, shown: str) -> None:
    assert markdown.escaped(text) == shown


def test_a_field_is_escaped_and_keeps_its_sign() -> None:
    table = Table([TableHead("[m](x)")], [TableRow([TableCell("-1.5|<b>")])], caption="<i>")
    assert markdown.grid(table).splitlines() == [
        "| \\[m\\](x) |",
        "| --- |",
        "| -1.5\\|&lt;b> |",
        "",
        "&lt;i>",
    ]
