"""`TrialConfig`: everything that decides a trial's numbers, and nothing else.

It is the one object an actor gets, the ledger and MLflow store, and a checkpoint names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

import metrics
from metrics import Factors
from vae_core import correlation
from vae_core.data import DATASETS
from vae_core.data.abstract import AbstractDataset
from vae_core.hyperparameters import field_checks, registry, schedules
from vae_core.likelihood import Name
from vae_core.networks import NETWORKS, AbstractNetwork
from vae_core.networks.initialise import Initialisation
from vae_core.objectives import OBJECTIVES
from vae_core.objectives.abstract import AbstractObjective

_CODES = frozenset({"mean", "posterior"})

SELECTING = (
    "elbo",
    *(
        name
        for name, metric in ((name, metrics.find(name)) for name in metrics.names())
        if metric.better == "max" and metric.needs <= _CODES | {"factors"}
    ),
)
"""What can tell a better epoch from a worse one: the larger the better. Of the label-free ones only the ELBO can: total
correlation is smallest where nothing is coded."""

CORRELATION = ("correlated", "correlation_width", "factor_table")
"""The fields of training that are about factors' joint distribution."""

REVISION = 3
"""Raised whenever training or evaluation arithmetic changes a number: old trials are then not reused."""


@dataclass(frozen=True)
class TrainConfig:
    """How long, on what and how to train; the length is `epochs` or `steps`, one of the two.

    An epoch is one pass over `images_per_epoch` images (None: all) in whole batches: the last partial batch
    is left out, so that every batch has the same size (the total-correlation estimators depend on it), and as
    the order is drawn anew every epoch no image is left out for good.

    Args:
        epochs: length in epochs.
        steps: length in optimiser steps.
        images_per_epoch: images of an epoch.
        batch_size: images of a step.
        optimiser: of the autoencoder; other players bring their own.
        learning_rate: of the autoencoder.
        learning_rate_decay: factor by which the learning rate is multiplied after each `decay_every`; 1 keeps it.
        decay_every: up to 1 a fraction of the trial, above 1 steps.
        likelihood: of a pixel: Bernoulli from logits, Gaussian of fixed or of one learned sigma.
        sigma: standard deviation of a Gaussian pixel (pixels lie in [0, 1]); where it starts if it is learned.
        initialisation: of the weights of encoder and decoder; null: as in the network's source.
        correlated: pairs of factors (one pair, or a list of pairs) that are correlated in training and evaluation.
        correlation_width: sigma of the band along the diagonal of each pair, factors scaled to [0, 1]; null: all
            factors as they are in the data set, the trial it would be without pairs.
        factor_table: weights over joint levels of some factors, instead of a band: in a spec the path of a CSV file, or
            its text; here its text.
    """

    epochs: Annotated[int, Ge(1)] | None = None
    steps: Annotated[int, Ge(1)] | None = None
    images_per_epoch: Annotated[int, Ge(1)] | None = None
    batch_size: Annotated[int, Ge(2)] = 128
    optimiser: Literal["adam", "adagrad", "sgd"] = "adam"
    learning_rate: Annotated[float, Gt(0)] = 1e-3
    learning_rate_decay: Annotated[float, Gt(0), Le(1)] = 1.0
    decay_every: Annotated[float, Gt(0)] = 1.0
    likelihood: Name = "bernoulli"
    sigma: Annotated[float, Gt(0)] = 1.0
    initialisation: Initialisation | None = None
    correlated: tuple[tuple[str, str], ...] | tuple[str, str] = ()
    correlation_width: Annotated[float, Gt(0)] | None = None
    factor_table: str | None = None

    def __post_init__(self) -> None:
        field_checks.check(self)
        # Pairs and lines in one order: a distribution whose parts are only written in another is no other.
        object.__setattr__(self, "correlated", correlation.require_pairs(self.correlated))
        if self.factor_table is not None:
            object.__setattr__(
                self, "factor_table", correlation.read_table(self.factor_table).text()
            )
        if self.correlation_width is not None and not self.correlated:
            raise ValueError(
                "correlation_width must have correlated beside it, its factors, as in [pos_x, pos_y], got none"
            )
        if self.factor_table is not None and self.correlation_width is None and self.correlated:
            raise ValueError(
                f"correlated must be left out beside a factor_table, which has its own factors, got {self.correlated}"
            )
        if self.correlation_width is not None and self.factor_table is not None:
            raise ValueError(
                f"correlation_width must be null beside a factor_table, got {self.correlation_width}; give one of them"
            )
        if (self.epochs is None) == (self.steps is None):
            raise ValueError(
                f"give epochs or steps, one of the two, got epochs={self.epochs} and steps={self.steps}"
            )
        if self.learning_rate_decay < 1 and self.decay_every == 1:
            raise ValueError(
                f"decay_every must be a fraction of the trial below 1, or steps above 1, for learning_rate_decay "
                f"{self.learning_rate_decay} to act, got {self.decay_every}: the whole trial"
            )

    @property
    def biased(self) -> bool:
        """Whether images are drawn, in training and evaluation, from another distribution than the set's own."""
        return self.correlation_width is not None or self.factor_table is not None

    def unfit(
        self, names: Sequence[str], sizes: Sequence[int], *, grid: bool
    ) -> list[tuple[str, str]]:
        """Return (field, what is wrong) of the correlation for a set's factors; see `correlation.problems`."""
        table = None if self.factor_table is None else correlation.read_table(self.factor_table)
        return correlation.problems(self._pairs, table, names, sizes, grid=grid)

    def distribution(self, factors: Factors | None) -> NDArray[np.float64] | None:
        """Return the distribution over images p (N,), sum 1; None where it is the set's own.

        Raises:
            ValueError: there are no factors, or the correlation does not fit them.
        """
        if not self.biased:
            return None
        if factors is None:
            raise ValueError(
                "train: correlated factors need ground-truth factors, which this data set has not"
            )
        wrong = self.unfit(factors.names, factors.sizes, grid=False)
        if wrong:
            raise ValueError("; ".join(f"train.{message}" for _, message in wrong))
        if self.factor_table is not None:
            return correlation.tabled(factors, correlation.read_table(self.factor_table))
        assert self.correlation_width is not None, "biased"
        return correlation.band(factors, self._pairs, self.correlation_width)

    @property
    def _pairs(self) -> correlation.Pairs:
        return correlation.require_pairs(self.correlated)

    def learning_rate_at(self, step: int, total_steps: int) -> float:
        """Return the learning rate of one step: learning_rate · learning_rate_decay^⌊step / decay_every⌋."""
        every = max(schedules.steps(self.decay_every, total_steps), 1)
        return self.learning_rate * self.learning_rate_decay ** (step // every)

    def steps_per_epoch(self, n_data: int) -> int:
        """Return the optimiser steps of one whole epoch on n_data images."""
        images = min(self.images_per_epoch or n_data, n_data)
        if images < self.batch_size:
            raise ValueError(
                f"batch_size must be <= the {images} images of an epoch, got {self.batch_size}"
            )
        return images // self.batch_size

    def total_steps(self, n_data: int) -> int:
        """Return the optimiser steps of the whole trial."""
        return (
            self.steps
            if self.steps is not None
            else (self.epochs or 0) * self.steps_per_epoch(n_data)
        )

    def total_epochs(self, n_data: int) -> int:
        """Return the number of epochs (= reports); with `steps` the last one may be shorter."""
        return -(-self.total_steps(n_data) // self.steps_per_epoch(n_data))


@dataclass(frozen=True)
class EvaluationConfig:
    """On what and how to evaluate: the same draw of images for every trial of a sweep.

    Args:
        images: size of the evaluation subset scored every epoch.
        samples: S, number of z ~ q(z) in the Monte-Carlo means of the ELBO decomposition.
        seed: of the subset, of the z of the reconstruction and of the S samples; apart from the trial's seed.
        final: metrics of `metrics.METRICS`, or `metric.variant`, once on the whole set, beside the epoch's own.
        best: `elbo`, or a score of `metrics.METRICS`, every epoch: the weights of the epoch where it is largest are
            kept and evaluated at the end, apart from the last ones (`best/*`). One that needs factors selects by the
            labels, and says so. Every epoch counts, also those in which a schedule still runs.
    """

    images: Annotated[int, Ge(2)] = 4096
    samples: Annotated[int, Ge(2)] = 512
    seed: Annotated[int, Ge(0), Le(2**32 - 1)] = 0
    final: tuple[str, ...] = ("mig",)
    best: str | None = None

    def __post_init__(self) -> None:
        field_checks.check(self)
        for name in self.final:
            if (
                "others" in metrics.find(name).needs
            ):  # ValueError: unknown, with the nearest known one
                raise ValueError(
                    f"metric {name!r} compares several models and cannot be evaluated inside one trial; leave it out "
                    f"of final, and after the sweep use `sweeps rescore NAME --metrics {name}`"
                )
        if self.best is not None and self.best not in SELECTING:
            raise ValueError(
                f"best: {registry.unknown('metric to select by', self.best, SELECTING)}"
            )


@dataclass(frozen=True, kw_only=True)
class TrialConfig:
    """One trial, complete.

    Args:
        data: the data set and its options.
        objective: the objective with its hyperparameters.
        network: the networks and their sizes.
        train: length, batch, optimiser.
        evaluation: what is measured.
        seed: of the initial weights, the order of images and every draw of training.
        fingerprint: of the data's content; "" until the data is known. The hash covers this and not `data`,
            so that the rendered grid and a file with the same content are the same data.
    """

    data: AbstractDataset
    objective: AbstractObjective
    network: AbstractNetwork
    train: TrainConfig
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    seed: Annotated[int, Ge(0), Le(2**31 - 1)] = 0
    fingerprint: str = ""

    def __post_init__(self) -> None:
        field_checks.check(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON- and YAML-ready mapping that `from_dict` reads."""
        return {
            "data": registry.describe(self.data, DATASETS),
            "objective": registry.describe(self.objective, OBJECTIVES),
            "network": registry.describe(self.network, NETWORKS),
            "train": registry.plain(self.train),
            "evaluation": registry.plain(self.evaluation),
            "seed": self.seed,
            "fingerprint": self.fingerprint,
        }

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> TrialConfig:
        """Return the config of a mapping; ValueError names what it refuses."""
        return cls(
            data=registry.build("data set", mapping["data"], DATASETS),
            objective=registry.build("objective", mapping["objective"], OBJECTIVES),
            network=registry.build("network", mapping["network"], NETWORKS),
            train=registry.construct("train", mapping["train"], TrainConfig),
            evaluation=registry.construct(
                "evaluation", mapping.get("evaluation", {}), EvaluationConfig
            ),
            seed=mapping.get("seed", 0),
            fingerprint=mapping.get("fingerprint", ""),
        )

    @property
    def hash(self) -> str:
        """Return the trial's identity, 16 hex digits over all that decides its numbers (and REVISION).

        Where factors are as in the data set, what says so is left out: such trials are those of before it was there.

        Raises:
            ValueError: the data's fingerprint is not known yet.
        """
        if not self.fingerprint:
            raise ValueError(
                "a trial's hash covers its data's content: set `fingerprint` (Data.fingerprint) first"
            )
        train = registry.plain(self.train)
        if not self.train.biased:
            train = {key: value for key, value in train.items() if key not in CORRELATION}
        content = self.to_dict() | {"train": train, "revision": REVISION}
        del content["data"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
