"""A training state as bytes: tensors, numbers and strings; reading them runs no stored code."""

# The values here are nested mappings of any content.
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import hashlib
import io
import json
import pickle
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vae_core.config import TrialConfig
from vae_core.types import Best, EpochReport, TrainState

FORMAT = 2
"""Raised whenever an older reader could not read the content."""

_DIGEST = hashlib.sha256().digest_size


class Checkpoint(NamedTuple):
    """The content of a blob; the mappings are JSON-ready."""

    config: dict[str, Any]
    """`TrialConfig.to_dict`."""

    config_hash: str
    """`TrialConfig.hash`, or "" if the config did not have a fingerprint."""

    report: dict[str, Any]
    """`report_dict`: numbers only."""

    state: TrainState


def dumps(config: TrialConfig, report: EpochReport, state: TrainState) -> bytes:
    """Return the blob of the end of an epoch: sha256, then config, report and state."""
    buffer = io.BytesIO()
    content = {
        "format": FORMAT,
        "config": config.to_dict(),
        "config_hash": config.hash if config.fingerprint else "",
        "report": report_dict(report),
        "state": {
            "epoch": state.epoch,
            "step": state.step,
            "weights": _detached(state.weights),
            "optimisers": _detached(state.optimisers),
            "memory": _detached(state.memory),
            "best": None if state.best is None else _detached(state.best._asdict()),
        },
    }
    torch.save(content, buffer)
    body = buffer.getvalue()
    return hashlib.sha256(body).digest() + body


def loads(blob: bytes) -> Checkpoint:
    """Return what `dumps` wrote, tensors on the CPU.

    Raises:
        ValueError: the blob is cut, altered, no checkpoint, or of another format.
    """
    body = blob[_DIGEST:]
    if hashlib.sha256(body).digest() != blob[:_DIGEST]:
        raise ValueError(
            f"not a checkpoint, or a damaged one: sha256 of its {len(blob)} bytes does not match"
        )
    content = _load(body, "checkpoint")
    if content.get("format") != FORMAT:
        raise ValueError(f"checkpoint format must be {FORMAT}, got {content.get('format')}")
    state = TrainState(**content["state"])
    if content["state"]["best"] is not None:
        state = state._replace(best=Best(**content["state"]["best"]))
    return Checkpoint(content["config"], content["config_hash"], content["report"], state)


def dump_weights(state: TrainState) -> bytes:
    """Return the weights alone, as a file that `torch.load(weights_only=True)` can read."""
    buffer = io.BytesIO()
    torch.save(_detached(state.weights), buffer)
    return buffer.getvalue()


def load_weights_file(blob: bytes) -> dict[str, Tensor]:
    """Return the weights of a blob that `weights` wrote.

    Raises:
        ValueError: it is damaged or holds something else.
    """
    return _load(blob, "weights file")


def report_dict(report: EpochReport) -> dict[str, Any]:
    """Return the numbers of a report, JSON-ready.

    The state and the arrays of the final evaluation are left out. Each score keeps its identity;
    "decomposition" is that of MI, TC and dimension-wise KL.
    """
    identities: dict[str, Mapping[str, Any]] = {}
    if report.final is not None:
        identities = {name: score.identity for name, score in report.final.scores.items()}
        identities["decomposition"] = report.final.decomposition
    return {
        "epoch": report.epoch,
        "step": report.step,
        "metrics": dict(report.metrics),
        "train": dict(report.train),
        "images": report.images,
        "seconds": dict(report.seconds),
        "final": None if report.final is None else dict(report.final.metrics),
        "best": None if report.final is None else dict(report.final.best),
        "identity": {
            name: json.dumps(dict(identity), sort_keys=True)
            for name, identity in identities.items()
        },
    }


def _load(body: bytes, kind: str) -> dict[str, Any]:
    try:
        content = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as error:
        raise ValueError(f"not a {kind}, or a damaged one: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"not a {kind}: it holds a {type(content).__name__}")
    return content


def _detached(value: Any) -> Any:
    """Return mappings as dicts, tensors detached on the CPU with a storage of their own size."""
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        # A view would be saved with the whole storage behind it.
        return value if value.untyped_storage().nbytes() == value.nbytes else value.clone()
    if isinstance(value, Mapping):
        return {key: _detached(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_detached(item) for item in value]
    return value
