"""Loads a spec from a file, a bundled name or a mapping."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from metrics.near_names import nearest
from sweeps.spec import limits, parse, yaml_reader
from sweeps.spec.errors import (
    MORE_PROBLEMS,
    Locations,
    Problem,
    SpecError,
    TooManyProblemsError,
)
from sweeps.spec.overrides import apply_overrides
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.urls import home_expanded


def load_spec(
    source: str | Path, *, overrides: Sequence[str] = (), files: bool = True
) -> SweepSpec:
    """Return the spec of a file or of a bundled name.

    Args:
        source: path of a YAML file, or a name of `bundled_specs()`.
        overrides: `path=value` each, set before anything is checked; see `sweeps.spec.overrides`.
        files: whether the files of the data set must exist.

    Raises:
        SpecError: it has every problem of the spec, with its line.
    """
    file, label = _find(source)
    document = yaml_reader.read(file, source=label)
    override_problems = apply_overrides(document.mapping, document.locations, overrides)
    return spec_from_mapping(
        document.mapping,
        locations=document.locations,
        problems=[*document.problems, *override_problems],
        source=label,
        files=files,
    )


def bundled_specs() -> dict[str, Path]:
    """Return name -> file of the specs that come with the package."""
    folder = Path(str(resources.files("sweeps"))) / "specs"
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def spec_from_mapping(
    mapping: Mapping[str, Any],
    *,
    locations: Locations | None = None,
    problems: Sequence[Problem] = (),
    source: str = "",
    files: bool = True,
) -> SweepSpec:
    """Return the spec of a mapping.

    Args:
        mapping: as YAML gives it.
        locations: where its values were written, for messages.
        problems: problems that are known already, as a key that the file has twice.
        source: the file or name it was read from, for messages.
        files: whether the files of the data set must exist.

    Raises:
        SpecError: it has every problem of the spec.
    """
    locations = locations or Locations()
    new_problems = limits.problems_of_size(mapping)
    if len(new_problems) > 0:  # beyond the limits nothing else is looked at
        raise SpecError(_located(problems, new_problems, locations), source=source)
    sections: dict[str, Any] = {}
    try:
        sections = parse.read(mapping, new_problems, files=files)
    except TooManyProblemsError as error:
        all_problems = _located(problems, [*new_problems, *error.problems], locations)
        more = Problem(None, (), MORE_PROBLEMS)
        raise SpecError([*all_problems, more], source=source) from error
    all_problems = _located(problems, new_problems, locations)
    if all_problems:
        raise SpecError(all_problems, source=source)
    return SweepSpec.model_construct(**sections)


def _located(
    problems: Iterable[Problem], new_problems: Iterable[Problem], locations: Locations
) -> list[Problem]:
    """Return the known problems, then the new ones with their lines."""
    return [*problems, *(locations.locate(problem) for problem in new_problems)]


def _find(source: str | Path) -> tuple[Path, str]:
    """Return the file of a source, and the name that messages use for it."""
    bundled = bundled_specs()
    path = home_expanded(source)
    if str(source) in bundled and not path.is_file():
        return bundled[str(source)], f"sweeps/specs/{source}.yaml"
    is_meant_as_path = path.exists() or path.suffix or len(path.parts) > 1
    if is_meant_as_path:
        return path, str(source)
    near = nearest(str(source), bundled, cutoff=0.5)
    hint = f"did you mean {near!r}? " if near else ""
    message = f"no such file and no bundled spec; {hint}known: {', '.join(bundled)}"
    raise SpecError([Problem(None, (), message)], source=str(source))
