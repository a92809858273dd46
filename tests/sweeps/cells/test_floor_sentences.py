"""What a spec says about the lowest reconstruction of its data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mini_sweep import spec

from sweeps.cells.floors import bernoulli_floor, floor_sentences
from vae_core.data import store_floor

SIGMA = {"likelihood": "gaussian", "sigma": {"grid": [0.1, 1.0]}}


def sentences(**train: Any) -> list[str]:
    changes = {"train": {"epochs": 10, "batch_size": 32, **train}} if train else {}
    return floor_sentences(spec(**changes))


def test_grey_data_have_a_floor_that_is_known_once_it_was_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEPS_DATA", str(tmp_path))
    (before,) = sentences()
    assert before.endswith("`sweeps data render` computes it")
    data = spec().data.load()
    store_floor(spec().data, data)
    (after,) = sentences()
    limits = f"no reconstruction of the whole data set is below {data.floor:.4g} nats per image"
    assert limits in after
    assert f"no ELBO is above {-data.floor:.4g}" in after


def test_correlated_factors_have_floors_of_their_own() -> None:
    (sentence,) = sentences(correlated=["pos_x", "pos_y"], correlation_width=0.2)
    assert sentence.endswith(
        "correlated factors weight the images: their trials report another floor"
    )


def test_every_sigma_of_a_gaussian_has_a_floor() -> None:
    """256 pixels: 256 (ln .1 + .91894) = −354.2, and 256 · .91894 = 235.2."""
    first, second = sentences(**SIGMA)
    assert "sigma 0.1 no reconstruction of the whole data set is below -354.2 nats" in first
    assert "sigma 1 no reconstruction of the whole data set is below 235.2 nats" in second
    assert sentences(likelihood="gaussian_learned") == []


def test_binary_data_have_no_floor_and_unread_data_may_have_one() -> None:
    assert bernoulli_floor(1, 0.0) == bernoulli_floor(None, 0.0) == ""
    assert bernoulli_floor(None, None).startswith("unless all pixels are 0 or 1, ")
