"""`TrialConfig`: everything that decides the numbers of a trial, and nothing else.

It is the one object that a trial's process receives. The ledger, MLflow and checkpoints store it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, MaxLen
from numpy.typing import NDArray

import metrics
from metrics import Factors
from vae_core import correlation
from vae_core.data import DATASETS
from vae_core.data.abstract import AbstractDataset
from vae_core.hyperparameters import field_checks, limits, registry, schedules
from vae_core.likelihood import LikelihoodName
from vae_core.networks import NETWORKS, AbstractNetwork
from vae_core.networks.initialise import Initialisation
from vae_core.objectives import OBJECTIVES
from vae_core.objectives.abstract import AbstractObjective
from vae_core.trial_length import TrialLength

_SELECTION_NEEDS = frozenset({"mean", "posterior", "factors"})


def _selecting() -> tuple[str, ...]:
    names = ["elbo"]
    for name in metrics.names():
        metric = metrics.find(name)
        if metric.better == "max" and metric.needs <= _SELECTION_NEEDS:
            names.append(name)
    return tuple(names)


SELECTION_METRICS = _selecting()
"""The metrics that can select the best epoch; larger is better.

Of the metrics without labels only the ELBO can: total correlation is smallest where no latent codes
anything."""

CORRELATION_FIELDS = ("correlated", "correlation_width", "factor_table")
"""The fields of `TrainConfig` that change the joint distribution of the factors."""

REVISION = 4
"""Raised whenever the arithmetic of training or evaluation changes a number, so that older trials
are not reused."""


@dataclass(frozen=True)
class TrainConfig:
    """How long, on which images and how to train; the length is either `epochs` or `steps`.

    An epoch is one pass over `images_per_epoch` images (None: all) in full batches. The last
    partial batch is left out, so that every batch has the same size (the estimators of total
    correlation depend on it). Every epoch draws a new order, so no image is left out of all epochs.

    Args:
        epochs: length in epochs.
        steps: length in optimiser steps.
        images_per_epoch: number of images in an epoch; null: all.
        batch_size: number of images in a step.
        optimiser: optimiser of the autoencoder; other players have one of their own.
        learning_rate: learning rate of the autoencoder.
        learning_rate_decay: factor by which the learning rate is multiplied after each
            `decay_every`; 1 keeps it constant.
        decay_every: up to 1 a fraction of the trial, above 1 a number of steps.
        likelihood: distribution of a pixel: Bernoulli from logits, Gaussian with a fixed sigma or
            with one learned sigma.
        sigma: standard deviation of a Gaussian pixel (pixels lie in [0, 1]); its initial value if
            it is learned.
        initialisation: initial weights of encoder and decoder; null: those of the network's source.
        correlated: pairs of factors (one pair, or a list of pairs) that are correlated in training
            and evaluation.
        correlation_width: sigma of the band along the diagonal of each pair, with factors scaled to
            [0, 1]; null: no correlation, the same trial as without pairs.
        factor_table: weights over joint levels of some factors, instead of a band: in a spec the
            path of a CSV file, or its text; in `TrainConfig` its text.
    """

    epochs: Annotated[int, Ge(1), Le(limits.EPOCHS)] | None = None
    steps: Annotated[int, Ge(1), Le(limits.STEPS)] | None = None
    images_per_epoch: Annotated[int, Ge(1), Le(limits.IMAGES)] | None = None
    batch_size: Annotated[int, Ge(2), Le(limits.IMAGES)] = 128
    optimiser: Literal["adam", "adagrad", "sgd"] = "adam"
    learning_rate: Annotated[float, Gt(0)] = 1e-3
    learning_rate_decay: Annotated[float, Gt(0), Le(1)] = 1.0
    decay_every: limits.PositiveLength = 1.0
    likelihood: LikelihoodName = "bernoulli"
    sigma: Annotated[float, Gt(0)] = 1.0
    initialisation: Initialisation | None = None
    correlated: Annotated[tuple[tuple[str, str], ...], MaxLen(limits.PAIRS)] | tuple[str, str] = ()
    correlation_width: Annotated[float, Gt(0)] | None = None
    factor_table: str | None = None

    def __post_init__(self) -> None:
        field_checks.check(self)
        # One order of pairs and lines, so that the same distribution always has the same hash.
        object.__setattr__(self, "correlated", correlation.require_pairs(self.correlated))
        if self.factor_table is not None:
            table = correlation.read_table(self.factor_table)
            object.__setattr__(self, "factor_table", table.text())
        self._check_correlation()
        self._check_length()

    def _check_correlation(self) -> None:
        if self.correlation_width is not None and not self.correlated:
            raise ValueError(
                "correlation_width must have correlated beside it, with its factors, as in "
                "[pos_x, pos_y], got none"
            )
        if self.factor_table is not None and self.correlation_width is None and self.correlated:
            raise ValueError(
                "correlated must be left out beside a factor_table, which names its own factors, "
                f"got {self.correlated}"
            )
        if self.correlation_width is not None and self.factor_table is not None:
            raise ValueError(
                "correlation_width must be null beside a factor_table, got "
                f"{self.correlation_width}; give one of them"
            )

    def _check_length(self) -> None:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError(
                f"give epochs or steps, one of the two, got epochs={self.epochs} and "
                f"steps={self.steps}"
            )
        if self.learning_rate_decay < 1 and self.decay_every == 1:
            raise ValueError(
                "decay_every must be a fraction of the trial below 1, or steps above 1, for "
                f"learning_rate_decay {self.learning_rate_decay} to act, got {self.decay_every}: "
                "the whole trial"
            )

    @property
    def has_correlation(self) -> bool:
        """Whether the factors are correlated, so that images are not drawn uniformly."""
        return self.correlation_width is not None or self.factor_table is not None

    def correlation_problems(
        self, names: Sequence[str], sizes: Sequence[int], *, grid: bool
    ) -> list[tuple[str, str]]:
        """Return (field, message) for every problem of the correlation with a data set's factors.

        See `correlation.problems` for the arguments.
        """
        table = None if self.factor_table is None else correlation.read_table(self.factor_table)
        return correlation.problems(self._pairs, table, names, sizes, grid=grid)

    def distribution(self, factors: Factors | None) -> NDArray[np.float64] | None:
        """Return the distribution over images p (N,), sum 1; None if every image counts alike.

        Raises:
            ValueError: there are no factors, or the correlation does not fit them.
        """
        if not self.has_correlation:
            return None
        if factors is None:
            raise ValueError(
                "train: correlated factors need ground-truth factors, which this data set does not "
                "have; choose a data set with factors, or leave the correlation out"
            )
        problems = self.correlation_problems(factors.names, factors.sizes, grid=False)
        if problems:
            raise ValueError("; ".join(f"train.{message}" for _, message in problems))
        if self.factor_table is not None:
            table = correlation.read_table(self.factor_table)
            return correlation.table_distribution(factors, table)
        assert self.correlation_width is not None, "biased"
        return correlation.band_distribution(factors, self._pairs, self.correlation_width)

    @property
    def _pairs(self) -> correlation.Pairs:
        return correlation.require_pairs(self.correlated)

    def learning_rate_at(self, step: int, total_steps: int) -> float:
        """Return learning_rate · learning_rate_decay^⌊step / decay_every⌋, the rate of one step."""
        every = max(schedules.steps(self.decay_every, total_steps), 1)
        return self.learning_rate * self.learning_rate_decay ** (step // every)

    def steps_per_epoch(self, n_data: int) -> int:
        """Return the optimiser steps of one complete epoch on a data set of n_data images.

        Raises:
            ValueError: an epoch has fewer images than a batch.
        """
        images = min(self.images_per_epoch or n_data, n_data)
        if images < self.batch_size:
            raise ValueError(
                f"batch_size must be <= the {images} images of an epoch, got {self.batch_size}"
            )
        return images // self.batch_size

    def length(self, steps_per_epoch: int) -> TrialLength:
        """Return the length of a trial with this many steps in a complete epoch."""
        steps = self.steps
        if steps is None:
            steps = (self.epochs or 0) * steps_per_epoch
        return TrialLength(steps, steps_per_epoch)

    def length_on(self, n_data: int) -> TrialLength:
        """Return the length of a trial on a data set of n_data images.

        Raises:
            ValueError: an epoch has fewer images than a batch.
        """
        return self.length(self.steps_per_epoch(n_data))

    def total_steps(self, n_data: int) -> int:
        """Return the optimiser steps of the trial."""
        # Only a length in epochs depends on the data.
        return self.steps if self.steps is not None else self.length_on(n_data).steps

    def total_epochs(self, n_data: int) -> int:
        """Return the number of epochs (= reports); with `steps` the last one may be shorter."""
        return self.length_on(n_data).epochs


@dataclass(frozen=True)
class EvaluationConfig:
    """On which images and with which metrics to evaluate.

    All trials of a sweep are evaluated on the same images.

    Args:
        images: size of the evaluation subset that is scored every epoch.
        samples: S, number of z ~ q(z) that sample the entropy of q(z), for MI and TC. On the whole
            data set, S (at least 512) is the first of several numbers: more are drawn until the
            standard error is .005 nats or a cap of work is reached.
        seed: seed of the subset, of the z of the reconstruction and of the S samples; independent
            of the trial's seed.
        final: metrics of `metrics.METRICS`, or `metric.variant`, scored once on the whole data set,
            in addition to the metrics of an epoch.
        best: `elbo`, or a score of `metrics.METRICS`, scored every epoch: the weights of the epoch
            with the largest value are kept and evaluated at the end, beside the last weights
            (`best/*`). A metric that needs factors selects by the labels, and its results are
            marked so. Every epoch counts, also those in which a schedule still runs.
    """

    images: Annotated[int, Ge(2), Le(limits.IMAGES)] = 4096
    samples: Annotated[int, Ge(2), Le(limits.SAMPLES)] = 512
    seed: Annotated[int, Ge(0), Le(2**32 - 1)] = 0
    final: Annotated[tuple[str, ...], MaxLen(limits.FINAL_METRICS)] = ("mig",)
    best: str | None = None

    def __post_init__(self) -> None:
        field_checks.check(self)
        for name in self.final:
            needs = metrics.find(name).needs  # ValueError: unknown, with the nearest known one
            if "others" in needs:
                raise ValueError(
                    f"metric {name!r} compares several models and cannot be evaluated inside one "
                    "trial; leave it out of final, and after the sweep use "
                    f"`sweeps rescore NAME --metrics {name}`"
                )
        if self.best is not None and self.best not in SELECTION_METRICS:
            unknown = registry.unknown_name("metric to select by", self.best, SELECTION_METRICS)
            raise ValueError(f"best: {unknown}")


@dataclass(frozen=True, kw_only=True)
class TrialConfig:
    """All parameters of one trial.

    Args:
        data: the data set and its options.
        objective: the objective with its hyperparameters.
        network: the networks and their sizes.
        train: length, batch, optimiser.
        evaluation: what is measured.
        seed: seed of the initial weights, of the order of images and of every draw of training.
        fingerprint: fingerprint of the data's content; "" until the data is known. The hash covers
            this and not `data`, so that the rendered grid and a file with the same content are the
            same data.
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
            "train": registry.fields_of(self.train),
            "evaluation": registry.fields_of(self.evaluation),
            "seed": self.seed,
            "fingerprint": self.fingerprint,
        }

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> TrialConfig:
        """Return the config of a mapping that `to_dict` wrote.

        Raises:
            ValueError: a name or a field is unknown, or a value breaks a rule.
        """
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
        """The trial's identity: 16 hex digits over all that decides its numbers, and REVISION.

        Without correlation the fields of the correlation are not hashed, so trials that are older
        than these fields keep their hash.

        Raises:
            ValueError: the data's fingerprint is not known yet.
        """
        return self.hash_at(REVISION)

    def hash_at(self, revision: int) -> str:
        """Return the hash that a version with this `REVISION` gives the trial.

        Raises:
            ValueError: the data's fingerprint is not known yet.
        """
        if not self.fingerprint:
            raise ValueError(
                "a trial's hash covers the content of its data: set `fingerprint` "
                "(Data.fingerprint) first"
            )
        return stored_hash(self.to_dict(), revision)


def stored_hash(config: Mapping[str, Any], revision: int) -> str:
    """Return the hash of a mapping that `TrialConfig.to_dict` of this version wrote.

    Raises:
        KeyError: a field is missing, as in a mapping of an older version.
    """
    train = config["train"]
    if train["correlation_width"] is None and train["factor_table"] is None:
        train = {key: value for key, value in train.items() if key not in CORRELATION_FIELDS}
    content = {**config, "train": train, "revision": revision}
    del content["data"]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
