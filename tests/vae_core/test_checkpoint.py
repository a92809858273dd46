"""Checkpoints: complete, plain, and refused if they are damaged."""

from __future__ import annotations

import io
import json

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
