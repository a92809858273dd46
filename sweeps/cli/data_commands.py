"""`sweeps data`: data sets on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeps.console import printing
from sweeps.spec.errors import Locations, Problem, Problems, SpecError
from sweeps.urls import home_expanded

if TYPE_CHECKING:
    from vae_core.data import AbstractDataset

data = typer.Typer(no_args_is_help=True, help="Data sets on disk.")

Source = Annotated[
    str | None,
    typer.Argument(
        metavar="[SPEC|NAME]",
        help="The data set of this spec, or of this name; if omitted, all of dSprites.",
    ),
]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="OPTION=VALUE", help="Set an option: resolution=32, stride.scale=2."
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        parser=home_expanded,
        help="Folder; if omitted, SWEEPS_DATA or ~/.cache/sweeps.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@data.command()
def render(
    source: Source = None, options: Options = None, cache: Cache = None, as_json: AsJson = False
) -> None:
    """Prepare a data set on disk: draw its images, or read them from the original files."""
    from vae_core.data import prepare

    dataset = _dataset(source, options or [])
    try:
        row = prepare(dataset, cache)
    # A file is missing or damaged, or a folder cannot be written to.
    except (ValueError, OSError) as error:
        raise _user_error(error) from error
    printing.show([row], ["path", "images", "bytes", "floor", "seconds", "sha256"], as_json=as_json)
    for note in row["notes"]:
        typer.secho(f"note: {note}", fg=typer.colors.YELLOW, err=True)


@data.command()
def info(
    source: Source = None, options: Options = None, cache: Cache = None, as_json: AsJson = False
) -> None:
    """Print the size of a data set, whether its files are there, and the sets that are prepared."""
    from sweeps.cells import floors
    from vae_core.data import info as data_set_info

    try:
        row = data_set_info(_dataset(source, options or []), cache)
    except (ValueError, OSError) as error:
        raise _user_error(error) from error
    if as_json:
        printing.show_json(row)
        return
    printing.show([row], ["name", "images", "shape", "factors", "prepared", "file"], as_json=False)
    floor = floors.bernoulli_floor(row["levels"], row["floor"])
    if floor:
        typer.echo(f"\n{floor}")
    if row["missing"]:
        typer.echo(f"\nmissing: {row['missing']}")
    for note in row["notes"]:
        typer.secho(f"note: {note}", fg=typer.colors.YELLOW, err=True)
    typer.echo(f"\nprepared in {row['cache']}:")
    printing.show(row["files"], ["path", "bytes"], as_json=False)


@data.command()
def verify(cache: Cache = None, as_json: AsJson = False) -> None:
    """Compare every prepared and downloaded file with its checksum.

    The exit code is 1 if a file is damaged.
    """
    from vae_core.data import DATASETS
    from vae_core.data import verify as verify_files

    rows = verify_files(cache, DATASETS.values())
    printing.show(rows, ["path", "intact", "published", "reason"], as_json=as_json)
    if not all(row["intact"] for row in rows):
        raise typer.Exit(1)


@data.command()
def download(
    name: Annotated[str, typer.Argument(help="Name of a data set; see `sweeps datasets`.")],
    cache: Cache = None,
) -> None:
    """Download the original files of a data set.

    After an interruption the same command continues.
    """
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TaskID,
        TextColumn,
        TransferSpeedColumn,
    )

    from vae_core.data import DATASETS
    from vae_core.data import download as download_files
    from vae_core.hyperparameters import registry

    if name not in DATASETS:
        raise _user_error(registry.unknown_name("data set", name, DATASETS))
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=printing.console()) as bars:
        tasks: dict[str, TaskID] = {}

        def show_progress(file: str, bytes_done: int, bytes_total: int | None) -> None:
            if file not in tasks:
                tasks[file] = bars.add_task(file, total=bytes_total)
            bars.update(tasks[file], completed=bytes_done, total=bytes_total)

        try:
            paths = download_files(DATASETS[name], cache, progress=show_progress)
        except (ValueError, OSError) as error:
            raise _user_error(error) from error
    for path in paths:
        typer.echo(str(path))


def _dataset(source: str | None, overrides: list[str]) -> AbstractDataset:
    """Return the data set of a spec or name, with the options of `--set`.

    Raises:
        SpecError: it has every problem of the options.
    """
    from sweeps.spec import load, registry_blocks
    from sweeps.spec.overrides import apply_overrides
    from vae_core.data import DATASETS
    from vae_core.hyperparameters import registry

    if source is None or source in DATASETS:
        block = {"name": source or "dsprites"}
    else:
        block = registry.describe(load.load_spec(source).data, DATASETS)
    locations = Locations()
    override_problems = apply_overrides(block, locations, overrides)
    problems = Problems()
    block = registry_blocks.with_home_folders(block)
    options = registry_blocks.read_named("data set", block, DATASETS, (), problems, spaces=False)
    all_problems = [*override_problems, *(locations.locate(problem) for problem in problems)]
    if all_problems:
        raise SpecError(all_problems)
    return registry.build("data set", options, DATASETS)


def _user_error(error: Exception | str) -> SpecError:
    return SpecError([Problem(None, (), str(error))])
