"""The labels and factors that networks read."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from evaluated_models import model_of

from metrics import Factors
from vae_core import Data, FactorBottleneck
from vae_core.feed import Feed
from vae_core.objectives import ConditionalVAE


def test_labels_reach_the_networks(data: Data) -> None:
    """The decoder reads one column per level of the label's factors, and uses them."""
    model = model_of(data, ConditionalVAE(label=("length", "column"), reads_label="both"))
    assert model.feed.widths.label == 5
    assert model.nets.decoder[0].in_features == 3 + 5  # type: ignore[index]
    assert model.nets.encoder[1].in_features == 256 * (1 + 5)  # type: ignore[index]
    batch = model.feed.batch(torch.tensor([0, 1]))  # two lengths of one row
    other = batch._replace(labels=batch.labels.flip(0))
    with torch.no_grad():
        z = model.nets.encode(batch).mean
        assert not torch.allclose(model.nets.decode(z, batch), model.nets.decode(z, other))
        assert not torch.allclose(z, model.nets.encode(other).mean)


def test_labels_that_the_data_do_not_have_are_refused(data: Data) -> None:
    with pytest.raises(ValueError, match="label: unknown factor 'lenght'; did you mean 'length'"):
        Feed(data, ConditionalVAE(label=("lenght",)).wiring)
    with pytest.raises(
        ValueError, match="the objective reads factors, which data set 'bars' does not have"
    ):
        Feed(dataclasses.replace(data, factors=None), ConditionalVAE().wiring)


def test_scaled_factors_run_from_minus_one_to_one(data: Data) -> None:
    feed = Feed(data, FactorBottleneck(factors="scaled").wiring)
    factors = feed.batch(torch.arange(96)).factors
    assert factors.shape == (96, 3)
    assert (factors.amin(0), factors.amax(0)) == (pytest.approx(-1), pytest.approx(1))
    assert factors[0].tolist() == [-1, -1, -1]
    assert feed.widths.factors == 3


def test_a_scaled_factor_of_one_level_is_zero(data: Data) -> None:
    assert data.factors is not None
    factors = Factors(0 * data.factors.values, ("a", "b", "c"), (1, 3, 2))
    constant = dataclasses.replace(data, factors=factors)
    feed = Feed(constant, FactorBottleneck(factors="scaled").wiring)
    assert feed.batch(torch.arange(2)).factors[0].tolist() == [0, -1, -1]


def test_one_hot_factors_have_one_column_per_level(data: Data) -> None:
    feed = Feed(data, FactorBottleneck().wiring)
    width = feed.batch(torch.tensor([0])).factors.shape[1]
    assert feed.widths.factors == width == 16 + 3 + 2
