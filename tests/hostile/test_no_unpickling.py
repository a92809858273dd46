"""No file is ever unpickled, and no text is ever run: shown over the source of every package."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("metrics", "vae_core", "sweeps", "cluster")
FILES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))

FORBIDDEN = {
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "cloudpickle.load", "cloudpickle.loads"),
    *("joblib.load", "shelve.open", "marshal.load", "marshal.loads", "dill.load", "dill.loads"),
    *("pd.read_pickle", "pandas.read_pickle", "yaml.load", "yaml.unsafe_load", "yaml.full_load"),
    *("eval", "exec", "os.system", "torch.jit.load", "torch.hub.load"),
}
ALLOWED = {
    # The handle of an actor, from the store's own actor: Ray has unpickled all that it sends.
    "sweeps/driver/watchdog.py": "cloudpickle.loads",
}
"""Calls that read no file."""

NEEDED = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}
"""Functions that unpickle unless an argument says that they must not."""


def calls(source: str) -> Iterator[tuple[str, ast.Call]]:
    """Yield every call of a source, with the name of its function as it is written."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def problems(source: str) -> list[str]:
    """Return the calls of a source that unpickle, or that could."""
    lines: list[str] = []
    for name, call in calls(source):
        if name in FORBIDDEN:
            lines.append(f"line {call.lineno}: {name}")
        if name.endswith("read_array") or name in NEEDED:
            argument, value = NEEDED.get(name, ("allow_pickle", False))
            given = {item.arg: item.value for item in call.keywords}.get(argument)
            if not isinstance(given, ast.Constant) or given.value is not value:
                lines.append(f"line {call.lineno}: {name} without {argument}={value}")
        if name == "YAML":  # ruamel's: only the safe one, and the one that keeps comments
            kinds = [item.value for item in call.keywords if item.arg == "typ"]
            if any(ast.unparse(kind) not in ("'safe'", "'rt'") for kind in kinds):
                lines.append(f"line {call.lineno}: {ast.unparse(call)}")
    return lines


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_of_the_source_unpickles_nothing(file: Path) -> None:
    allowed = ALLOWED.get(file.relative_to(ROOT).as_posix(), "no such call")
    lines = problems(file.read_text(encoding="utf-8"))
    assert [line for line in lines if not line.endswith(f": {allowed}")] == []


@pytest.mark.parametrize(
    "source",
    [
        "pickle.load(f)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "format.read_array(f)",
        "YAML(typ='unsafe')",
        "eval(text)",
    ],
)
def test_the_check_sees_a_call_that_unpickles(source: str) -> None:
    assert len(problems(source)) == 1
