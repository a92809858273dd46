"""The report of a sweep: one HTML page that opens anywhere, its figures, and the run table.

Everything on the page is computed from the stored runs. The same runs give the same bytes: nothing
depends on the clock, on random numbers or on the network.
"""

from __future__ import annotations

import base64
import importlib.metadata
import importlib.resources
import io
import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, cast

import jinja2
from ruamel.yaml import YAML

from sweeps.ledger.states import TrialState
from sweeps.report import (
    definitions,
    figures,
    findings,
    floors,
    published,
    tables,
    wording,
    yardsticks,
)
from sweeps.report import markdown as report_markdown
from sweeps.report.table_parts import Table
from sweeps.results import run_columns
from sweeps.results.run_table import Runs
from sweeps.results.table_file import table_bytes
from sweeps.storage.workspace import WorkspacePaths
from vae_core.atomic_files import write_atomically

MOST_SVG = 600_000
"""Bytes up to which the page embeds an SVG. A larger one (thousands of curves) becomes a PNG."""

PIXELS_PER_INCH = 108
"""CSS pixels of the page per inch of a figure."""

PAGE_WIDTH = 1044
"""Width of the widest picture on the page, in CSS pixels."""


_PACKAGES = ("vae-sweeps", "matplotlib", "numpy", "pandas")


class Picture(NamedTuple):
    """A figure in both formats, and its width on the page in CSS pixels."""

    png: bytes
    svg: bytes
    width: int


class PageSection(NamedTuple):
    """A section of the page. Empty fields are not shown."""

    id: str
    title: str
    paragraphs: Sequence[str] = ()
    missing: str = ""  # why the figure is left out
    picture: str = ""  # data URI
    width: int = 0  # of the picture, in CSS pixels
    tables: Sequence[Table] = ()
    failures: Sequence[tuple[str, str]] = ()  # (trial, why)
    code: str = ""
    kind: str = ""  # CSS class of the tables


class PageContent(NamedTuple):
    """What the page says; HTML and Markdown show the same."""

    opening: str
    findings: Sequence[str]
    sections: Sequence[PageSection]


def write_report(runs: Runs, *, folder: Path | None = None) -> Path:
    """Write the report of a sweep and return the path of the page.

    The files are `report.html`, `report.md`, `runs.parquet` and `figures/*.png|svg`. Each is
    written to a temporary file and renamed, the page last, so a reader sees the old report or the
    new one. A figure of an earlier report that can no longer be drawn is removed.

    Args:
        runs: the sweep.
        folder: where to write; by default `<workspace>/reports/<name>`.
    """
    runs = run_columns.with_report_columns(runs)
    if folder is None:
        folder = WorkspacePaths(runs.workspace).report(runs.name)
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    drawn = pictures(runs)
    for name in figures.FIGURES:
        png_path = folder / "figures" / f"{name}.png"
        svg_path = folder / "figures" / f"{name}.svg"
        if name in drawn:
            write_atomically(png_path, drawn[name].png)
            write_atomically(svg_path, drawn[name].svg)
        else:
            png_path.unlink(missing_ok=True)
            svg_path.unlink(missing_ok=True)
    write_atomically(folder / "runs.parquet", table_bytes(runs.table))
    content = page_content(runs, drawn)
    write_atomically(folder / "report.md", markdown_page(runs, drawn, content).encode())
    write_atomically(folder / "report.html", html_page(runs, drawn, content).encode())
    return folder / "report.html"


def pictures(runs: Runs) -> dict[str, Picture]:
    """Return name -> figure, for the figures that this sweep has the numbers for."""
    drawn: dict[str, Picture] = {}
    for name, kind in figures.FIGURES.items():
        if not kind.why_not(runs):
            figure = kind.draw(runs)
            width = round(PIXELS_PER_INCH * figure.get_figwidth())
            drawn[name] = Picture(figures.png(figure), figures.svg(figure), width)
    return drawn


def page_content(runs: Runs, drawn: Mapping[str, Picture]) -> PageContent:
    """Return what HTML and Markdown show."""
    return PageContent(_opening(runs), _findings(runs), _sections(runs, drawn))


def html_page(runs: Runs, drawn: Mapping[str, Picture], content: PageContent | None = None) -> str:
    """Return the page as HTML with embedded figures; without a content it is computed."""
    content = content or page_content(runs, drawn)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = importlib.resources.files("sweeps.report").joinpath("page.html")
    return environment.from_string(template.read_text(encoding="utf-8")).render(
        name=runs.name,
        created=datetime.fromtimestamp(runs.created, UTC).strftime("%d %B %Y, %H:%M UTC"),
        **content._asdict(),
    )


def markdown_page(
    runs: Runs, drawn: Mapping[str, Picture], content: PageContent | None = None
) -> str:
    """Return the page as Markdown without the list of trials. Its figures are files beside it."""
    content = content or page_content(runs, drawn)
    parts = [
        f"# {report_markdown.escaped(runs.name)}",
        report_markdown.escaped(content.opening),
        "\n".join(f"- {report_markdown.escaped(sentence)}" for sentence in content.findings),
    ]
    for section in content.sections:
        has_table = bool(section.tables) and section.kind != "trials"
        if section.paragraphs or section.picture or has_table:
            figure = f"figures/{section.id}.png" if section.picture else ""
            parts.append(
                report_markdown.section(
                    section.title, section.paragraphs, section.tables, figure=figure
                )
            )
    return "\n\n".join(part for part in parts if part) + "\n"


def _opening(runs: Runs) -> str:
    """Return how the trials ended, the best cell by each goal, and what no model can pass."""
    sentences = [findings.opening(runs)]
    if run_columns.counts(runs.table)[TrialState.COMPLETE]:
        sentences += findings.best(runs)
    limits = floors.sentence(runs)
    if limits:
        sentences.append(f"{limits[0].upper()}{limits[1:]}.")
    return " ".join(sentences)


def _findings(runs: Runs) -> list[str]:
    """Return the trends with the strength, and the comparisons of the series."""
    if not len(runs.table):
        return []
    return findings.trends(runs) + findings.comparisons(runs) + yardsticks.few_rows(runs)


def _sections(runs: Runs, drawn: Mapping[str, Picture]) -> list[PageSection]:
    """Return the sections of the page in their order."""
    by_figure = {name: _figure_section(name, runs, drawn) for name in figures.FIGURES}
    if "front" in drawn:
        by_figure["front"] = by_figure["front"]._replace(paragraphs=findings.fronts(runs))
    has_trials = len(runs.table) > 0
    failures = _failures(runs)

    sections = [by_figure["scatter"], by_figure["tradeoff"]]
    if has_trials:
        sections.append(_means_section(runs))
    sections += _published_sections(runs)
    for name in ("distribution", "curves", "pruning", "front", "traversals", "capacity"):
        sections.append(by_figure[name])
    if has_trials:
        all_trials = [tables.trials(runs)]
        sections.append(PageSection("trials", "All trials", tables=all_trials, kind="trials"))
    if failures:
        sections.append(PageSection("failed", "Failed trials", failures=failures))
    sections.append(PageSection("spec", "Spec", code=_yaml(runs.spec)))
    how_made = [definitions.metric_table(runs), definitions.facts_table(runs, _versions())]
    title = "How the numbers were made"
    paragraphs = [definitions.STANDARD_ERROR]
    sections.append(PageSection("numbers", title, paragraphs, tables=how_made))
    return sections


def _means_section(runs: Runs) -> PageSection:
    """Return the section with the tables of means per bracket."""
    means = [tables.strengths(runs)]
    for table in (tables.scores(runs), tables.best(runs), yardsticks.own_chance(runs)):
        if table is not None:
            means.append(table)
    return PageSection("strengths", "Means per strength and objective", tables=means)


def _published_sections(runs: Runs) -> list[PageSection]:
    """Return one section per published table of the spec."""
    sections: list[PageSection] = []
    for number, table in enumerate(published.published_tables(runs), 1):
        by_metric = published.compare(runs, table)
        paragraphs = [
            f"From {table.source} ({table.tag}). {published.setting_sentence(runs)}",
            *table.says,
            f"What differs: {table.differences}",
        ]
        grids: list[Table] = []
        for metric, comparisons in by_metric.items():
            order = published.order_sentence(table, metric, comparisons)
            if order:
                paragraphs.append(order)
            grids.append(published.comparison_table(table, metric, comparisons, runs))
        title = "Beside published numbers"
        if number > 1:
            title += f", {number}"
        sections.append(PageSection(f"published-{number}", title, paragraphs, tables=grids))
    return sections


def _figure_section(name: str, runs: Runs, drawn: Mapping[str, Picture]) -> PageSection:
    """Return the section of a figure, or the section that says why there is none."""
    kind = figures.FIGURES[name]
    if name not in drawn:
        return PageSection(name, kind.title, missing=kind.why_not(runs))
    picture = drawn[name]
    if len(picture.svg) <= MOST_SVG:
        media_type, content = "image/svg+xml", picture.svg
    else:
        media_type, content = "image/png", picture.png
    source = f"data:{media_type};base64,{base64.b64encode(content).decode()}"
    return PageSection(name, kind.title, picture=source, width=min(picture.width, PAGE_WIDTH))


def _failures(runs: Runs) -> list[tuple[str, str]]:
    """Return (trial in words, why it failed) of every FAILED trial."""
    rows = runs.table.loc[(runs.table["state"] == TrialState.FAILED).to_numpy()]
    failures: list[tuple[str, str]] = []
    for row in cast(list[dict[str, Any]], rows.to_dict("records")):
        trial = (
            f"#{row['number']} {wording.cell(row, runs)}, seed {row['seed']}, "
            f"{row['attempts']} attempts, last epoch {row['epoch']} of {row['epochs']} "
            f"({_in_workspace(runs, str(row['artifacts']))})"
        )
        failures.append((trial, str(row["why"] or "no reason was recorded")))
    return failures


def _in_workspace(runs: Runs, folder: str) -> str:
    """Return the path of a folder, relative to the workspace if the folder is inside it."""
    path = Path(folder)
    return str(path.relative_to(runs.workspace)) if path.is_relative_to(runs.workspace) else folder


def _yaml(spec: Mapping[str, Any]) -> str:
    """Return the spec as YAML, with its keys in their order."""
    yaml = YAML()
    yaml.default_flow_style = None  # lists and mappings without nested ones are on one line
    yaml.width = 110
    stream = io.StringIO()
    yaml.dump(json.loads(json.dumps(spec, default=str)), stream)
    return stream.getvalue()


def _versions() -> dict[str, str]:
    """Return name -> version of Python and the packages that make this page."""
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # a checkout that is not installed
            versions[name] = "not installed"
    return versions
