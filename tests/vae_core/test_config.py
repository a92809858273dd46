"""`TrialConfig`: it is complete, can be stored as JSON, and is hashed by its content."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from vae_core import (
    BetaVAE,
    ConditionalVAE,
    DSprites,
    EvaluationConfig,
    FactorVAE,
    JointVAE,
    TrainConfig,
    TrialConfig,
)


def test_round_trip_through_json(config: TrialConfig) -> None:
    again = TrialConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert again.hash == config.hash


def test_hash_covers_what_decides_the_numbers_and_nothing_else(config: TrialConfig) -> None:
    changed = [
        replace(config, seed=9),
        replace(config, objective=BetaVAE(2.0)),
        replace(config, fingerprint="other"),
        replace(config, train=replace(config.train, learning_rate=1e-5)),
        replace(config, evaluation=EvaluationConfig(samples=17)),
    ]
    assert len({config.hash, *(other.hash for other in changed)}) == 6
    # the fingerprint stands for the data
    assert replace(config, data=DSprites(resolution=32)).hash == config.hash


def test_hash_without_a_fingerprint_is_refused(config: TrialConfig) -> None:
    with pytest.raises(ValueError, match="fingerprint"):
        _ = replace(config, fingerprint="").hash


def test_length_is_epochs_or_steps() -> None:
    for length in ({}, {"epochs": 1, "steps": 1}):
        with pytest.raises(ValueError, match="epochs or steps, one of the two"):
            TrainConfig(**length)
    assert TrainConfig(steps=25, batch_size=10).total_epochs(100) == 3
    assert TrainConfig(epochs=2, batch_size=10, images_per_epoch=39).total_steps(100) == 6


def test_the_last_epoch_may_be_shorter() -> None:
    length = TrainConfig(steps=25, batch_size=10).length_on(100)
    assert (length.steps, length.steps_per_epoch, length.epochs) == (25, 10, 3)
    assert [length.steps_after(epoch) for epoch in (1, 2, 3, 4)] == [10, 20, 25, 25]
    assert TrainConfig(epochs=3).length(7).steps == 21
    assert TrainConfig(steps=25, batch_size=200).total_steps(100) == 25  # needs no epochs


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(
        ValueError, match=r"batch_size must be >= 2, got 1; optimiser must be one of .* got 'adm'"
    ):
        TrainConfig(epochs=1, batch_size=1, optimiser="adm")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown metric 'mgi'; did you mean 'mig'"):
        EvaluationConfig(final=("mgi",))


def test_optional_fields_are_checked_too() -> None:
    for fields, message in (
        ({"epochs": 0}, "epochs must be >= 1, got 0"),
        ({"steps": 1.5}, "steps must be a whole"),
    ):
        with pytest.raises(ValueError, match=message):
            TrainConfig(**fields)  # type: ignore[arg-type]


def test_a_number_written_as_integer_or_float_is_one_trial(config: TrialConfig) -> None:
    of_integer, of_float = (replace(config, objective=BetaVAE(beta)) for beta in (4, 4.0))
    assert of_integer == of_float
    assert json.dumps(of_integer.to_dict()) == json.dumps(of_float.to_dict())
    assert of_integer.hash == of_float.hash


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: JointVAE(categories=(3, 1)), r"categories\[1\] must be >= 2, got 1"),
        (lambda: JointVAE(categories=(3.5,)), r"categories\[0\] must be a whole number, got 3.5"),
        (lambda: JointVAE(categories=3), r"categories must be a list, got 3"),
        (
            lambda: FactorVAE(discriminator_betas=(0.5, 1.5)),
            r"discriminator_betas\[1\] must be < 1, got 1.5",
        ),
        (
            lambda: FactorVAE(discriminator_betas=(0.5,)),
            r"discriminator_betas must have 2 values, got 1",
        ),
        (lambda: ConditionalVAE(label="shape"), r"label must be a list, got 'shape'"),
        (lambda: ConditionalVAE(label=(1,)), r"label\[0\] must be text, got 1"),
    ],
)
def test_items_of_lists_are_checked_too(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_numbers_must_be_numbers(config: TrialConfig) -> None:
    with pytest.raises(ValueError, match="beta must be a number, got '4'"):
        BetaVAE("4")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="beta must be a number, got True"):
        BetaVAE(True)
    with pytest.raises(ValueError, match="seed must be >= 0, got -1"):
        replace(config, seed=-1)
    assert BetaVAE(torch.tensor(2.0)).beta == 2  # of fused trials
