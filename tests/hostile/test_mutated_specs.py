"""Every mutated spec is a valid one or an error of the user, within seconds; nothing else."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from spec_mutations import mutated_spec
from stuck import alarm

from sweeps.cells.cell_count import count_cells
from sweeps.cells.memory import entry_memories, require_memory
from sweeps.cells.notes import spec_notes
from sweeps.errors import SweepError
from sweeps.spec.errors import SpecError
from sweeps.spec.load import load_spec, spec_from_mapping


def outcome(file: Path, *, estimates_memory: bool = True) -> str:
    """Return "plan", "spec error" or "sweep error": what a command would say of a file."""
    spec, text = None, ""
    try:
        spec = load_spec(file, files=False)
    except SpecError as error:
        text = str(error)
    if spec is None:
        assert text.encode()  # there is a message, and it can be printed
        return "spec error"
    assert spec_from_mapping(spec.to_dict(), files=False) == spec
    count = count_cells(spec)
    assert 0 < count.cells <= count.asked
    assert all("\n" not in note for note in spec_notes(spec, count))
    if not estimates_memory:
        return "plan"
    try:
        require_memory(spec, entry_memories(spec))
    except SweepError:
        return "sweep error"
    return "plan"


def run_seeds(seeds: range, folder: Path, *, memory_every: int) -> dict[str, int]:
    """Return how often each outcome came; a failure names the seed and the mutated text.

    The memory, which takes half a second, is estimated for every `memory_every`-th seed.
    """
    outcomes: dict[str, int] = {}
    file = folder / "spec.yaml"
    for seed in seeds:
        text = mutated_spec(seed)
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        started = time.process_time()
        try:
            with alarm():
                result = outcome(file, estimates_memory=seed % memory_every == 0)
        except BaseException as error:
            pytest.fail(
                f"seed {seed}: {type(error).__name__}: {error} after "
                f"{time.process_time() - started:.1f} s of CPU\n{text[:20000]}"
            )
        outcomes[result] = outcomes.get(result, 0) + 1
    return outcomes


def test_a_mutated_spec_is_valid_or_an_error_of_the_user(tmp_path: Path) -> None:
    outcomes = run_seeds(range(250), tmp_path, memory_every=60)
    # Mutations that leave a spec valid, and those that break it, must both be common.
    assert outcomes["plan"] >= 12
    assert outcomes["spec error"] >= 80


@pytest.mark.slow
def test_ten_thousand_mutated_specs_are_valid_or_errors_of_the_user(tmp_path: Path) -> None:
    outcomes = run_seeds(range(250, 10_600), tmp_path, memory_every=10)
    assert outcomes["plan"] >= 500
