"""Sends tags and numbers to one run of MLflow, and notes what is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sweeps.exports import mlflow_client
from sweeps.exports.batches import Send, send_in_parts
from sweeps.exports.mlflow_client import Point
from sweeps.exports.mlflow_errors import RunDeletedError, cause, is_lasting
from sweeps.exports.mlflow_experiment import is_deleted
from sweeps.exports.mlflow_keys import accepted_key, key_hash


@dataclass
class Sender:
    """One run, and what MLflow refused of it.

    A thing is named by its kind and key: `metric mig`, `artifact codes.npz`. What was refused for a
    cause that passes is sent again; what MLflow never takes is left out.
    """

    run: str = ""  # id; "" before it is found or created
    not_finite: set[str] = field(default_factory=set[str])  # keys in the tag of this name
    renamed: set[str] = field(default_factory=set[str])  # keys that MLflow shows in another form
    refused: dict[str, str] = field(default_factory=dict[str, str])  # to be sent again -> why
    left_out: dict[str, str] = field(default_factory=dict[str, str])  # never sent again -> why

    def set_tags(self, client: Any, tags: Mapping[str, str]) -> bool:
        """Set tags, one call each; return whether none of them is left to set."""

        def send(keys: Sequence[str]) -> None:
            for key in keys:
                mlflow_client.set_tag(client, self.run, key, tags[key])

        return self.send("tag", list(tags), send, client)

    def log_points(self, client: Any, points: Sequence[Point]) -> bool:
        """Log numbers; return whether none of them is left to send.

        Numbers that are not finite are no points, as MLflow stores infinity as 1.8e308, which
        spoils every maximum. Their keys are listed in the tag `not_finite`.
        """
        by_key: dict[str, list[Point]] = {}
        not_finite: set[str] = set()
        for point in points:
            if not isinstance(point.value, int | float):
                thing = f"metric {point.key} of epoch {point.epoch}"
                self.left_out[thing] = f"{point.value!r} is not a number"
            elif abs(point.value) <= mlflow_client.LARGEST_NUMBER:
                by_key.setdefault(point.key, []).append(point)
            else:
                not_finite.add(point.key)

        def send(keys: Sequence[str]) -> None:
            chosen = [point for key in keys for point in by_key[key]]
            mlflow_client.log_points(client, self.run, chosen)

        settled = self.send("metric", list(by_key), send, client)
        settled = self.note_renamed(client, by_key) and settled
        if not_finite <= self.not_finite:
            return settled
        earlier = client.get_run(self.run).data.tags.get("not_finite", "")
        not_finite.update(key for key in earlier.split(", ") if key)
        noted = self.set_tags(client, {"not_finite": ", ".join(sorted(not_finite))})
        if noted:
            self.not_finite |= not_finite
        return settled and noted

    def note_renamed(self, client: Any, keys: Sequence[str] | Mapping[str, Any]) -> bool:
        """Set a tag with the whole key for each key that MLflow shows in another form.

        Returns:
            Whether no tag is left to set.
        """
        changed = {key for key in keys if accepted_key(key) != key} - self.renamed
        noted = self.set_tags(client, {f"key.{key_hash(key)}": key for key in sorted(changed)})
        if noted:
            self.renamed |= changed
        return noted

    def send(self, kind: str, keys: Sequence[str], send: Send, client: Any) -> bool:
        """Send things together or, if that fails, in parts; note those that are refused.

        Returns:
            Whether none of them is left to send: MLflow took them, or never will.

        Raises:
            Exception: the run is deleted or out of reach, so nothing can be said of the keys.
        """
        for key in keys:
            self.refused.pop(f"{kind} {key}", None)
        keys = [key for key in keys if f"{kind} {key}" not in self.left_out]

        def send_to_active_run(part: Sequence[str]) -> None:
            try:
                send(part)
            except Exception as error:
                if is_lasting(error) and is_deleted(client.get_run(self.run).info):
                    raise RunDeletedError(str(error)) from error
                raise

        settled = True
        for key, error in send_in_parts(keys, send_to_active_run).items():
            if is_lasting(error):
                self.left_out[f"{kind} {key}"] = cause(error)
            else:
                self.refused[f"{kind} {key}"] = cause(error)
                settled = False
        return settled
