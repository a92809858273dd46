"""docs/data.md: its examples are valid, and its table agrees with the registry."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from vae_core.data import DATASETS
from vae_core.hyperparameters import registry

PAGE = (Path(__file__).parents[3] / "docs" / "data.md").read_text()
EXAMPLES: list[dict[str, Any]] = [
    YAML(typ="safe").load(block)["data"]
    for block in re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
]


@pytest.mark.parametrize("block", EXAMPLES, ids=lambda block: block["name"])
def test_an_example_is_a_valid_data_set(block: dict[str, Any]) -> None:
    dataset = registry.build("data set", block, DATASETS)
    assert registry.describe(dataset, DATASETS).items() >= {"name": block["name"]}.items()


def test_every_data_set_has_an_example_and_a_row() -> None:
    assert {block["name"] for block in EXAMPLES} == set(DATASETS)
    assert re.findall(r"^\| `(\w+)`", PAGE, flags=re.MULTILINE) == list(DATASETS)


@pytest.mark.parametrize("name", [name for name, cls in DATASETS.items() if cls.remotes])
def test_the_row_of_a_set_states_its_factors_and_sizes(name: str) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}`"))
    outline = DATASETS[name]().outline()
    stated = re.findall(r"(\w+) (\d+)(?=[,\s])", row.split("|")[3])
    sizes = [str(size) for size in outline.factor_sizes]
    assert stated == list(zip(outline.factor_names, sizes, strict=True))
    assert f"{outline.images:,}" in row
    assert " × ".join(map(str, outline.shape)) in row
