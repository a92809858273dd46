"""Checkpoints: complete, plain, and refused if they are damaged."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch

import vae_core
from vae_core import Data, EpochReport, TrialConfig, checkpoint


@pytest.fixture
def report(config: TrialConfig, data: Data) -> EpochReport:
    *_, last = vae_core.train(config, data)
    return last


def test_round_trip_keeps_config_report_and_state(config: TrialConfig, report: EpochReport) -> None:
    loaded = checkpoint.loads(checkpoint.dumps(config, report, report.state))
    assert TrialConfig.from_dict(loaded.config) == config
    assert loaded.config_hash == config.hash
    assert report.final is not None
    assert loaded.report["metrics"] == report.metrics
    assert loaded.report["final"] == report.final.metrics
    assert (loaded.state.epoch, loaded.state.step) == (report.epoch, report.step) == (3, 14)
    for name, weight in report.state.weights.items():
        assert torch.equal(loaded.state.weights[name], weight)


def test_report_in_it_is_json(config: TrialConfig, report: EpochReport) -> None:
    loaded = checkpoint.loads(checkpoint.dumps(config, report, report.state))
    assert json.loads(json.dumps(loaded.report)) == loaded.report
    assert json.loads(json.dumps(loaded.config)) == loaded.config


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_damaged_blobs_are_refused(config: TrialConfig, report: EpochReport, damage: str) -> None:
    blob = checkpoint.dumps(config, report, report.state)
    middle = len(blob) // 2
    damaged = {
        "cut": blob[:-1],
        "flipped": blob[:middle] + bytes([blob[middle] ^ 1]) + blob[middle + 1 :],
        "empty": b"",
        "foreign": b"PK" * 100,
    }[damage]
    with pytest.raises(ValueError, match="not a checkpoint, or a damaged one"):
        checkpoint.loads(damaged)


def test_blob_of_a_later_format_is_refused(
    config: TrialConfig, report: EpochReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "FORMAT", 99)
    blob = checkpoint.dumps(config, report, report.state)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="checkpoint format must be 2, got 99"):
        checkpoint.loads(blob)


def test_weights_alone_are_a_plain_state_dict(report: EpochReport) -> None:
    blob = checkpoint.dump_weights(report.state)
    state_dict = torch.load(io.BytesIO(blob), weights_only=True)
    assert (
        state_dict.keys()
        == checkpoint.load_weights_file(blob).keys()
        == report.state.weights.keys()
    )
    with pytest.raises(ValueError, match="not a weights file"):
        checkpoint.load_weights_file(blob[:100])


def test_views_are_saved_without_the_storage_behind_them(report: EpochReport) -> None:
    size = len(checkpoint.dump_weights(report.state))
    views: dict[str, torch.Tensor] = {}
    for name, weight in report.state.weights.items():
        padded = torch.cat([weight.flatten(), weight.new_zeros(9999)])
        views[name] = padded[: weight.numel()]
    assert len(checkpoint.dump_weights(report.state._replace(weights=views))) < size + 1000


def sealed(body: bytes) -> bytes:
    """Return a blob whose checksum is correct, whatever its body holds."""
    return hashlib.sha256(body).digest() + body


def stored(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return sealed(buffer.getvalue())


@pytest.mark.parametrize("seed", range(3))
def test_altered_bytes_with_a_correct_checksum_are_refused_or_read_whole(
    config: TrialConfig, report: EpochReport, seed: int
) -> None:
    body = bytearray(checkpoint.dumps(config, report, report.state)[32:])
    # Three quarters of the bytes are numbers of tensors: no reader can see that such a byte is
    # altered. So every second flip hits the pickle, which holds keys, types and shapes.
    first = body.index(b"data.pkl")
    last = body.index(b"PK\x03\x04", first)
    draw = random.Random(seed)
    refused = 0
    for flip in range(200):
        index = draw.randrange(first, last) if flip % 2 else draw.randrange(len(body))
        bit = 1 << draw.randrange(8)
        body[index] ^= bit
        try:
            loaded = checkpoint.loads(sealed(bytes(body)))
        except ValueError:
            refused += 1
        else:
            assert loaded.state.epoch == loaded.report["epoch"]
            assert all(isinstance(weight, torch.Tensor) for weight in loaded.state.weights.values())
        body[index] ^= bit
    assert refused >= 50  # half of the flips in the pickle


def test_a_cut_body_with_a_correct_checksum_is_refused(
    config: TrialConfig, report: EpochReport
) -> None:
    body = checkpoint.dumps(config, report, report.state)[32:]
    for length in range(0, len(body), len(body) // 40):
        with pytest.raises(ValueError, match="not a checkpoint, or a damaged one"):
            checkpoint.loads(sealed(body[:length]))


@pytest.mark.parametrize(
    "body",
    [
        pickle.dumps({"format": 2}, protocol=2),
        pickle.dumps(print, protocol=2),  # a function: reading must not run it
        b"",
        b"{}",
        b"PK\x03\x04" + bytes(60),
        bytes(range(256)) * 20,
    ],
    ids=["pickle", "function", "empty", "json", "zip", "noise"],
)
def test_other_files_with_a_correct_checksum_are_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="not a checkpoint"):
        checkpoint.loads(sealed(body))


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), "text", None, 7])
def test_a_torch_file_of_something_else_is_refused(content: Any) -> None:
    with pytest.raises(ValueError, match="not a checkpoint: it holds a"):
        checkpoint.loads(stored(content))


PATHS = [
    ("format",),
    ("config",),
    ("config_hash",),
    ("report",),
    ("report", "epoch"),
    ("report", "step"),
    ("report", "metrics"),
    ("report", "train"),
    ("report", "images"),
    ("report", "seconds"),
    ("report", "final"),
    ("report", "best"),
    ("report", "identity"),
    ("state",),
    ("state", "epoch"),
    ("state", "step"),
    ("state", "weights"),
    ("state", "optimisers"),
    ("state", "optimisers", "vae"),
    ("state", "memory"),
    ("state", "best"),
    ("state", "best", "epoch"),
    ("state", "best", "value"),
    ("state", "best", "weights"),
]
CHANGES: dict[str, Callable[[dict[str, Any], str], Any]] = {
    "missing": lambda part, key: part.pop(key),
    "a list": lambda part, key: part.update({key: [1, 2]}),
    "true": lambda part, key: part.update({key: True}),
    "a tensor inside": lambda part, key: part.update({key: {"x": {"y": torch.zeros(1)}, 3: "z"}}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_missing_or_wrong_value_is_refused(
    config: TrialConfig, report: EpochReport, change: str
) -> None:
    weights = dict(report.state.weights)
    best = vae_core.types.Best(epoch=1, value=0.5, weights=weights)
    blob = checkpoint.dumps(config, report, report.state._replace(best=best))
    assert checkpoint.loads(blob).state.best is not None
    for path in PATHS:
        if change == "missing" and path == ("state", "optimisers", "vae"):
            continue  # the optimisers of which players there are, only the trial knows
        if change == "a tensor inside" and path[-1] == "vae":
            continue  # what an optimiser keeps, only the optimiser knows
        content = torch.load(io.BytesIO(blob[32:]), weights_only=True)
        part = content
        for key in path[:-1]:
            part = part[key]
        CHANGES[change](part, path[-1])
        with pytest.raises(ValueError, match=r"not a readable|must"):
            checkpoint.loads(stored(content))


def test_a_state_of_another_form_is_refused_before_training(
    config: TrialConfig, data: Data, report: EpochReport
) -> None:
    first = next(vae_core.train(config, data))
    state = checkpoint.loads(checkpoint.dumps(config, first, first.state)).state

    def with_adam(change: Callable[[dict[str, Any]], Any]) -> vae_core.types.TrainState:
        adam = pickle.loads(pickle.dumps(state.optimisers["vae"]))
        change(adam)
        return state._replace(optimisers={"vae": adam})

    name = next(iter(state.weights))
    other_forms = {
        "instead of": state._replace(weights={**state.weights, name: torch.zeros(2, 2)}),
        "has 3 epochs": state._replace(epoch=9),
        "14 steps": state._replace(step=7),
        "memory of the objective": state._replace(memory=torch.zeros(5)),
        "best epoch": state._replace(best=vae_core.types.Best(1, 0.5, state.weights)),
        "has only": with_adam(lambda adam: adam["state"][0].pop("exp_avg")),
        "exp_avg of weight 0": with_adam(
            lambda adam: adam["state"][0].update(exp_avg=torch.zeros(2, 2))
        ),
        "no \\['lr'\\]": with_adam(lambda adam: adam["param_groups"][0].pop("lr")),
        "KeyError": with_adam(lambda adam: adam.pop("param_groups")),
        "another state": with_adam(lambda adam: adam.update(state=[1])),
    }
    for message, other in other_forms.items():
        with pytest.raises(ValueError, match=message):
            vae_core.train(config, data, resume=other)
    assert next(vae_core.train(config, data, resume=state)).epoch == 2
