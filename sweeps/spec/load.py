"""Loads a spec from a file, a bundled name or a mapping."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path as File
from typing import Any

from sweeps.spec import parse, yaml_reader
from sweeps.spec.errors import Places, Problem, SpecError
from sweeps.spec.overrides import apply_overrides
from sweeps.spec.registry_blocks import Findings
from sweeps.spec.sweep_spec import SweepSpec


def load_spec(
    source: str | File, *, overrides: Sequence[str] = (), files: bool = True
) -> SweepSpec:
    """Return the spec of a file or of a bundled name.

    Args:
        source: path of a YAML file, or a name of `bundled()`.
        overrides: `path=value` each, set before anything is checked; see `sweeps.overrides`.
        files: whether the files of the data set must be there.

    Raises:
        SpecError: naming every mistake, with its line.
    """
    file, label = _find(source)
    document = yaml_reader.read(file, source=label)
    problems = [*document.problems, *apply_overrides(document.mapping, document.places, overrides)]
    return spec_from_mapping(
        document.mapping, places=document.places, problems=problems, source=label, files=files
    )


def bundled_specs() -> dict[str, File]:
    """Return the specs that come with the package, by name."""
    folder = File(str(resources.files("sweeps"))) / "specs"
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def spec_from_mapping(
    mapping: Mapping[str, Any],
    *,
    places: Places | None = None,
    problems: Sequence[Problem] = (),
    source: str = "",
    files: bool = True,
) -> SweepSpec:
    """Return the spec of a plain mapping.

    Args:
        mapping: as YAML gives it.
        places: lines of its values, for messages.
        problems: what was already found wrong with it.
        source: what it was read from, for messages.
        files: whether the files of the data set must be there.

    Raises:
        SpecError: naming every mistake.
    """
    found: Findings = []
    parts = parse.read(mapping, found, files=files)
    placed = places or Places()
    problems = [*problems, *(placed.problem(path, message) for path, message in found)]
    if problems:
        raise SpecError(problems, source=source)
    return SweepSpec.model_construct(**parts)


def _find(source: str | File) -> tuple[File, str]:
    """Return the file of a source and what messages call it."""
    known = bundled_specs()
    if str(source) in known and not File(source).is_file():
        return known[str(source)], f"sweeps/specs/{source}.yaml"
    if File(source).exists() or File(source).suffix or len(File(source).parts) > 1:
        return File(source), str(source)
    near = difflib.get_close_matches(str(source), known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    message = f"no such file and no bundled spec; {hint}known: {', '.join(known)}"
    raise SpecError([Problem(None, (), message)], source=str(source))
