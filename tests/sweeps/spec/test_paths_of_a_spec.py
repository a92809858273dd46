"""Paths in a spec: `~` is the home folder, and stores are found again from every folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sweeps.spec.errors import Locations, SpecError
from sweeps.spec.load import spec_from_mapping
from sweeps.spec.overrides import apply_overrides
from sweeps.spec.sweep_spec import SweepSpec


def spec(path: str, **sections: Any) -> SweepSpec:
    return spec_from_mapping(
        {
            "name": "own",
            "data": {"name": "images", "path": path},
            "network": {"name": "mlp"},
            "train": {"epochs": 1, "batch_size": 2},
            "objectives": [{"name": "vae"}],
            "evaluation": {"images": 2},
            **sections,
        }
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the home folder, which is also the current one; it holds images in two folders."""
    for folder in ("my images", "~"):
        (tmp_path / folder).mkdir()
        for name in ("a.png", "b.png"):
            Image.new("L", (4, 4)).save(tmp_path / folder / name)
        (tmp_path / folder / "factors.csv").write_text("file,x\na.png,0\nb.png,1\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_leading_tilde_is_the_home_folder_and_other_paths_stay(home: Path) -> None:
    assert spec("~/my images").to_dict()["data"]["path"] == str(home / "my images")
    for path in ("my images", "./my images/", "./~"):
        assert spec(path).to_dict()["data"]["path"] == path
        assert len(spec(path).data.load()) == 2


def test_stores_have_absolute_paths(home: Path) -> None:
    store = {
        "ledger": "sqlite:///what%3F/l.db",
        "mlflow": "sqlite:///~/m%25.db",
        "files": "~/a b",
    }
    stored = spec("my images", store=store).to_dict()["store"]
    assert stored["files"] == str(home / "a b")
    again = spec("my images", store=stored).to_dict()["store"]
    assert again == stored
    assert stored["ledger"].startswith(f"sqlite:///{home}/what")
    assert stored["mlflow"].startswith(f"sqlite:///{home}/m")


def test_every_url_that_means_something_else_is_a_problem(home: Path) -> None:
    store = {
        "ledger": "sqlite:////a?b/l.db",
        "mlflow": "sqlite:////a?b/m.db",
        "files": "file://a/b",
    }
    with pytest.raises(SpecError) as caught:
        spec("my images", store=store)
    messages = [problem.message for problem in caught.value.problems]
    assert sorted(message.split(",")[0] for message in messages) == [
        "store.files must be file:///PATH",
        "store.ledger must write ? in a path as %3F",
        "store.mlflow must write ? in a path as %3F",
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("my images #1", "my images #1"),
        ("#808080", "#808080"),
        ("a#b", "a#b"),
        ("'a #b'", "a #b"),
        ('"a #b"', "a #b"),
        ("[a, 'b #c']", ["a", "b #c"]),
        ("3", 3),
    ],
)
def test_an_override_has_no_comment(text: str, value: Any) -> None:
    block: dict[str, Any] = {}
    assert apply_overrides(block, Locations(), [f"path={text}"]) == []
    assert block == {"path": value}
