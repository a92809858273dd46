"""The report of a sweep: one page that opens anywhere, its figures, and the run table.

Everything on it is computed from the stored runs, and the same runs give the same bytes: no clock, no draw, no network.
"""

from __future__ import annotations

import base64
import importlib.metadata
import importlib.resources
import io
import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from ruamel.yaml import YAML

from sweeps.report import figures, findings, published, tables, wording
from sweeps.report import markdown as report_markdown
from sweeps.results import run_columns
from sweeps.results.run_table import Runs
from sweeps.results.table_file import table_bytes
from sweeps.storage.workspace import WorkspacePaths

MOST_SVG = 600_000
"""Bytes of an SVG up to which the page embeds it; a larger one (thousands of curves) goes in as PNG."""


_PACKAGES = ("vae-sweeps", "matplotlib", "numpy", "pandas")


class Picture(NamedTuple):
    """A figure in both formats, and its width on the page in CSS pixels."""

    png: bytes
    svg: bytes
    width: int


class Section(NamedTuple):
    """A part of the page; what is empty is not shown."""

    id: str
    title: str
    paragraphs: list[str] = []  # noqa: RUF012  (never changed)
    missing: str = ""
    picture: str = ""
    width: int = 0
    tables: list[tables.Table] = []  # noqa: RUF012
    failures: list[tuple[str, str]] = []  # noqa: RUF012
    code: str = ""
    kind: str = ""


def write_report(runs: Runs, *, folder: Path | None = None) -> Path:
    """Write `report.html`, `report.md`, `figures/*.png|svg` and `runs.parquet`; return the path of the page.

    Every file is written aside and renamed, the page last: a reader sees the old report or the new one. A figure of an
    earlier report that can no longer be drawn is removed.

    Args:
        runs: the sweep.
        folder: where to; default `<workspace>/reports/<name>`.
    """
    runs = run_columns.framed(runs)
    folder = WorkspacePaths(runs.workspace).report(runs.name) if folder is None else folder
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    drawn = pictures(runs)
    for name in figures.FIGURES:
        for ending in ("png", "svg"):
            path = folder / "figures" / f"{name}.{ending}"
            if name in drawn:
                replace_file(path, drawn[name].png if ending == "png" else drawn[name].svg)
            else:
                path.unlink(missing_ok=True)
    replace_file(folder / "runs.parquet", table_bytes(runs.table))
    replace_file(folder / "report.md", markdown_page(runs, drawn).encode())
    replace_file(folder / "report.html", html_page(runs, drawn).encode())
    return folder / "report.html"


def pictures(runs: Runs) -> dict[str, Picture]:
    """Return name -> figure, of those that this sweep has the numbers for."""
    found: dict[str, Picture] = {}
    for name, kind in figures.FIGURES.items():
        if not kind.why_not(runs):
            drawing = kind.draw(runs)
            found[name] = Picture(
                figures.png(drawing), figures.svg(drawing), round(108 * drawing.get_figwidth())
            )
    return found


def html_page(runs: Runs, drawn: Mapping[str, Picture]) -> str:
    """Return the page as HTML, with its figures inside."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = (
        importlib.resources.files("sweeps.report").joinpath("page.html").read_text(encoding="utf-8")
    )
    return environment.from_string(template).render(
        name=runs.name,
        created=datetime.fromtimestamp(runs.created, UTC).strftime("%d %B %Y, %H:%M UTC"),
        opening=_opening(runs),
        findings=_found(runs),
        sections=_sections(runs, drawn),
    )


def markdown_page(runs: Runs, drawn: Mapping[str, Picture]) -> str:
    """Return the page as Markdown, without the list of trials; its figures are the files beside it."""
    parts = [
        f"# {runs.name}",
        _opening(runs),
        "\n".join(f"- {sentence}" for sentence in _found(runs)),
    ]
    for section in _sections(runs, drawn):
        if section.paragraphs or section.picture or (section.tables and section.kind != "trials"):
            figure = f"figures/{section.id}.png" if section.picture else ""
            parts.append(
                report_markdown.section(
                    section.title, section.paragraphs, section.tables, figure=figure
                )
            )
    return "\n\n".join(part for part in parts if part) + "\n"


def _opening(runs: Runs) -> str:
    """Return how the trials ended, and the best cell by each goal."""
    best = findings.best(runs) if run_columns.counts(runs.table)["COMPLETE"] else []
    return " ".join([findings.opening(runs), *best])


def _found(runs: Runs) -> list[str]:
    """Return what the means say of the strengths and of one objective against another."""
    return findings.trends(runs) + findings.comparisons(runs) if len(runs.table) else []


def _sections(runs: Runs, drawn: Mapping[str, Picture]) -> list[Section]:
    """Return the page's sections in order."""
    kinds = {name: _figure(name, runs, drawn) for name in figures.FIGURES}
    if "front" in drawn:
        kinds["front"] = kinds["front"]._replace(paragraphs=findings.fronts(runs))
    chosen = tables.best(runs)
    further = tables.scores(runs)
    means = [tables.strengths(runs), *(table for table in (further, chosen) if table is not None)]
    per_strength = Section("strengths", "Means per strength and objective", tables=means)
    failed = _failed(runs)
    definitions = [tables.estimators(runs), tables.facts(runs, _made_with())]
    sections = [
        kinds["scatter"],
        kinds["tradeoff"],
        *([per_strength] if len(runs.table) else []),
        *_published(runs),
        kinds["distribution"],
        kinds["curves"],
        kinds["pruning"],
        kinds["front"],
        kinds["traversals"],
        kinds["capacity"],
        *(
            [Section("trials", "All trials", tables=[tables.trials(runs)], kind="trials")]
            if len(runs.table)
            else []
        ),
        *([Section("failed", "Failed trials", failures=failed)] if failed else []),
        Section("spec", "Spec", code=_yaml(runs.spec)),
        Section("numbers", "How the numbers were made", tables=definitions),
    ]
    return sections


def _published(runs: Runs) -> list[Section]:
    """Return a section per published table of the spec."""
    found: list[Section] = []
    for at, table in enumerate(published.tables(runs)):
        pairs = published.pairs(runs, table)
        paragraphs = [f"From {table.source} ({table.tag}). {published.setting(runs)}", *table.says]
        paragraphs.append(f"What differs: {table.differences}")
        paragraphs += filter(
            None, [published.order(table, metric, own) for metric, own in pairs.items()]
        )
        title = "Beside published numbers" if not at else f"Beside published numbers, {at + 1}"
        grids = [published.beside(table, metric, own, runs) for metric, own in pairs.items()]
        found.append(Section(f"published-{at + 1}", title, paragraphs, tables=grids))
    return found


def _figure(name: str, runs: Runs, drawn: Mapping[str, Picture]) -> Section:
    title = figures.FIGURES[name].title
    if name not in drawn:
        return Section(name, title, missing=figures.FIGURES[name].why_not(runs))
    picture = drawn[name]
    kind, content = (
        ("svg+xml", picture.svg) if len(picture.svg) <= MOST_SVG else ("png", picture.png)
    )
    source = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return Section(name, title, picture=source, width=min(picture.width, 1044))


def _failed(runs: Runs) -> list[tuple[str, str]]:
    """Return (which trial, why) of every failed trial."""
    rows = runs.table.loc[(runs.table["state"] == "FAILED").to_numpy()]
    return [
        (
            f"#{row['number']} {wording.cell(row, runs)}, seed {row['seed']}, {row['attempts']} attempts, "
            f"last epoch {row['epoch']} of {row['epochs']} ({_inside(runs, str(row['artifacts']))})",
            str(row["why"] or "no reason was recorded"),
        )
        for row in (
            {str(key): value for key, value in record.items()} for record in rows.to_dict("records")
        )
    ]


def _inside(runs: Runs, folder: str) -> str:
    """Return a folder as seen from the workspace, if it lies in it."""
    path = Path(folder)
    return str(path.relative_to(runs.workspace)) if path.is_relative_to(runs.workspace) else folder


def _yaml(spec: Mapping[str, Any]) -> str:
    """Return the spec as YAML, in its own order."""
    yaml = YAML()
    yaml.default_flow_style = None  # leaves on one line, as one writes them
    yaml.width = 110
    stream = io.StringIO()
    yaml.dump(json.loads(json.dumps(spec, default=str)), stream)
    return stream.getvalue()


def _made_with() -> dict[str, str]:
    """Return the versions of what made this page."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # a checkout that is not installed
            found[name] = "not installed"
    return found


def replace_file(path: Path, content: bytes) -> None:
    """Write aside, then rename."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_bytes(content)
    os.replace(aside, path)
