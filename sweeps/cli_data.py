"""`sweeps data`: data sets on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sweeps import output
from sweeps.spec_errors import Places, Problem, SpecError

data = typer.Typer(no_args_is_help=True, help="Data sets on disk.")

Source = Annotated[
    str | None, typer.Argument(metavar="[SPEC]", help="Take the data set of this spec; else all of dSprites.")
]
Options = Annotated[
    list[str] | None, typer.Option("--set", metavar="OPTION=VALUE", help="resolution=32, stride.scale=2 …")
]
Cache = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder; else SWEEPS_DATA or ~/.cache/sweeps.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@data.command()
def render(source: Source = None, options: Options = None, cache: Cache = None, as_json: AsJson = False) -> None:
    """Prepare a data set on disk: draw its images, or read them from the official file."""
    from vae_core.data import render_to

    chosen = _options(source, options or [])
    try:
        made = render_to(cache, **chosen)
    except ValueError as error:  # a damaged file, a folder that cannot be written to
        raise SpecError([Problem(None, (), str(error))]) from error
    output.show([made], ["path", "images", "bytes", "seconds", "sha256"], as_json=as_json)


@data.command()
def info(source: Source = None, options: Options = None, cache: Cache = None, as_json: AsJson = False) -> None:
    """Say how large a data set is, and which are prepared."""
    from vae_core.data import info as read

    found = read(cache, **_options(source, options or []))
    if as_json:
        output.show_json(found)
        return
    output.show([found], ["name", "images", "shape", "factors", "prepared", "file"], as_json=False)
    typer.echo(f"\nprepared in {found['cache']}:")
    output.show(found["files"], ["path", "bytes"], as_json=False)


@data.command()
def verify(cache: Cache = None, as_json: AsJson = False) -> None:
    """Read every prepared data set again and compare it with its checksum; exit code 1 if one is damaged."""
    from vae_core.data import verify as read

    found = read(cache)
    output.show(found, ["path", "intact", "published", "reason"], as_json=as_json)
    if not all(row["intact"] for row in found):
        raise typer.Exit(1)


def _options(source: str | None, overrides: list[str]) -> dict[str, Any]:
    """Return the options of dSprites that a spec and `--set` ask for; raises SpecError naming every mistake."""
    from sweeps import blocks, spec
    from sweeps import overrides as overriding
    from vae_core import registry
    from vae_core.data import DATASETS

    block = registry.describe(spec.load(source).data, DATASETS) if source else {"name": "dsprites"}
    places, found = Places(), []
    problems = overriding.apply(block, places, overrides)
    options = blocks.named("data set", block, DATASETS, (), found, spaces=False)
    problems += [places.problem(path, message.removeprefix(".").removeprefix(": ")) for path, message in found]
    if problems:
        raise SpecError(problems)
    if options.pop("name") != "dsprites":
        raise SpecError([Problem(None, (), f"only dsprites is kept on disk, got {block['name']!r}")])
    return options
