"""`TrialConfig`: complete, readable, hashed by content."""

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
    assert (
        replace(config, data=DSprites(resolution=32)).hash == config.hash
    )  # the fingerprint speaks for the data


def test_hash_without_a_fingerprint_is_refused(config: TrialConfig) -> None:
    with pytest.raises(ValueError, match="fingerprint"):
        _ = replace(config, fingerprint="").hash


def test_length_is_epochs_or_steps() -> None:
    for wrong in ({}, {"epochs": 1, "steps": 1}):
        with pytest.raises(ValueError, match="epochs or steps, one of the two"):
            TrainConfig(**wrong)
    assert TrainConfig(steps=25, batch_size=10).total_epochs(100) == 3
    assert TrainConfig(epochs=2, batch_size=10, images_per_epoch=39).total_steps(100) == 6


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(
        ValueError, match=r"batch_size must be >= 2, got 1; optimiser must be one of .* got 'adm'"
    ):
        TrainConfig(epochs=1, batch_size=1, optimiser="adm")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown metric 'mgi'; did you mean 'mig'"):
        EvaluationConfig(final=("mgi",))


def test_optional_fields_are_checked_too() -> None:
    for wrong, message in (
        ({"epochs": 0}, "epochs must be >= 1, got 0"),
        ({"steps": 1.5}, "steps must be a whole"),
    ):
        with pytest.raises(ValueError, match=message):
            TrainConfig(**wrong)  # type: ignore[arg-type]


def test_whole_and_decimal_writing_of_a_number_are_one_trial(config: TrialConfig) -> None:
    whole, decimal = (replace(config, objective=BetaVAE(beta)) for beta in (4, 4.0))
    assert whole == decimal
    assert json.dumps(whole.to_dict()) == json.dumps(decimal.to_dict())
    assert whole.hash == decimal.hash


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
    assert BetaVAE(torch.tensor(2.0)).beta == 2  # a fused knob
