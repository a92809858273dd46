"""A training state as bytes: tensors, numbers and strings; reading them runs no stored code."""

# The values here are nested mappings of any content.
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from types import NoneType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vae_core.config import TrialConfig
from vae_core.types import Best, EpochReport, TrainState

FORMAT = 2
"""Raised whenever an older reader could not read the content."""

_DIGEST = hashlib.sha256().digest_size

_REPORT: dict[str, tuple[type, ...]] = {
    "epoch": (int,),
    "step": (int,),
    "metrics": (dict,),
    "train": (dict,),
    "images": (int,),
    "seconds": (dict,),
    "final": (dict, NoneType),
    "best": (dict, NoneType),
    "identity": (dict,),
}
"""The keys of `report_dict` and the types of their values."""

_STATE: dict[str, tuple[type, ...]] = {
    "epoch": (int,),
    "step": (int,),
    "weights": (dict,),
    "optimisers": (dict,),
    "memory": (Tensor,),
    "best": (dict, NoneType),
}

_BEST: dict[str, tuple[type, ...]] = {"epoch": (int,), "value": (float,), "weights": (dict,)}


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
        ValueError: the blob is cut, altered, no checkpoint, of another format, or a value in it is
            missing or of another type.
    """
    body = blob[_DIGEST:]
    if hashlib.sha256(body).digest() != blob[:_DIGEST]:
        raise ValueError(
            f"not a checkpoint, or a damaged one: sha256 of its {len(blob)} bytes does not match"
        )
    content = _load(body, "checkpoint")
    if not isinstance(content.get("format"), int) or content["format"] != FORMAT:
        raise ValueError(f"checkpoint format must be {FORMAT}, got {content.get('format')}")
    parts = {"config": (dict,), "config_hash": (str,), "report": (dict,), "state": (dict,)}
    _require(content, parts, "checkpoint")
    report, stored = content["report"], content["state"]
    _require(report, _REPORT, "report")
    _require_json(content["config"], "config")
    _require_json(report, "report")
    _require(stored, _STATE, "state", complete=True)
    _require_tensors(stored["weights"], "state.weights")
    if not all(isinstance(each, dict) for each in stored["optimisers"].values()):
        raise ValueError("state.optimisers must hold one mapping per player")
    if stored["epoch"] < 1 or (report["epoch"], report["step"]) != (
        stored["epoch"],
        stored["step"],
    ):
        raise ValueError(
            "report and state must be of the same epoch >= 1 and step, got "
            f"{(report['epoch'], report['step'])} and {(stored['epoch'], stored['step'])}"
        )
    state = TrainState(**stored)
    if stored["best"] is not None:
        _require(stored["best"], _BEST, "state.best", complete=True)
        _require_tensors(stored["best"]["weights"], "state.best.weights")
        state = state._replace(best=Best(**stored["best"]))
    return Checkpoint(content["config"], content["config_hash"], report, state)


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
    weights = _load(blob, "weights file")
    _require_tensors(weights, "weights file")
    return weights


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
    """Return the mapping that torch reads from the bytes; raise ValueError if it cannot."""
    try:
        content = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    except Exception as error:  # altered bytes make torch and pickle raise errors of many types
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"not a {kind}, or a damaged one: {reason}") from error
    if not isinstance(content, dict):
        raise ValueError(f"not a {kind}: it holds a {type(content).__name__}")
    return content


def _require(
    values: Mapping[str, Any],
    types: Mapping[str, tuple[type, ...]],
    name: str,
    *,
    complete: bool = False,
) -> None:
    """Raise ValueError unless every key is there, with a value of one of its types.

    Args:
        values: the mapping.
        types: key -> the types that its value may have.
        name: of the mapping, for the message.
        complete: whether further keys are an error too.
    """
    problems = [f"{key} is missing" for key in types if key not in values]
    for key, allowed in types.items():
        # bool is a subclass of int, but no number of epochs
        if key in values and (
            not isinstance(values[key], allowed) or isinstance(values[key], bool)
        ):
            problems.append(f"{key} is a {type(values[key]).__name__}")
    if complete:
        problems += [f"{key!r} is unknown" for key in values if key not in types]
    if problems:
        raise ValueError(f"not a readable {name}: {'; '.join(problems)}")


def _require_tensors(weights: Mapping[Any, Any], name: str) -> None:
    for key, weight in weights.items():
        if not isinstance(key, str) or not isinstance(weight, Tensor):
            raise ValueError(
                f"{name} must hold a tensor per name, got {key!r}: a {type(weight).__name__}"
            )


def _require_json(values: Mapping[str, Any], name: str) -> None:
    try:
        json.dumps(values)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{name} must hold numbers, texts and lists only: {error}") from error


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
