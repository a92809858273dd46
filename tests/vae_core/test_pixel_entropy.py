"""The entropy of grey pixels, and the floor that it sets to reconstructions."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluated_models import model_of

from metrics import Factors
from vae_core import Data, DSprites, EvaluationConfig
from vae_core.epoch_metrics import FLOOR
from vae_core.evaluation import epoch_scores
from vae_core.evaluation.forward_pass import Model
from vae_core.likelihood import LikelihoodName, likelihood
from vae_core.objectives import VAE
from vae_core.pixel_entropy import image_entropies, level_entropies

QUARTER = -0.25 * math.log(0.25) - 0.75 * math.log(0.75)
"""H(1/4) = H(3/4) = .5623 nats."""


def grey(rows: list[list[int]], weights: list[float] | None = None) -> Data:
    """Return images of 2 x 2 pixels with levels 0 to 4, one factor, and weights of the images."""
    values = np.arange(len(rows))[:, None]
    by_row = None if weights is None else np.array(weights)
    factors = Factors(values, ("image",), (len(rows),), by_row)
    return Data("grey", np.array(rows, np.uint8), (1, 2, 2), False, 4, factors, "grey")


def test_entropy_of_a_level() -> None:
    expected = [0.0, QUARTER, math.log(2), QUARTER, 0.0]
    np.testing.assert_allclose(level_entropies(4), expected, rtol=1e-15)
    assert level_entropies(1).tolist() == [0.0, 0.0]


def test_entropy_of_an_image_is_summed_over_its_pixels() -> None:
    data = grey([[0, 4, 0, 4], [1, 3, 2, 0]])
    np.testing.assert_allclose(data.entropies, [0, 2 * QUARTER + math.log(2)])
    assert data.floor == pytest.approx(QUARTER + math.log(2) / 2)


def test_a_floor_is_the_mean_over_weighted_images() -> None:
    data = grey([[0, 4, 0, 4], [1, 3, 2, 0]], weights=[1.0, 3.0])
    assert data.floor == pytest.approx(0.75 * (2 * QUARTER + math.log(2)))


def test_packed_images_have_no_floor_and_are_not_read() -> None:
    packed = np.full((3, 2), 255, np.uint8)
    assert Data("bits", packed, (1, 4, 4), True, 1, None, "bits").floor == 0.0


def test_images_are_read_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(0, 256, (11, 6), dtype=np.uint8)
    at_once = image_entropies(images, 255)
    monkeypatch.setattr("vae_core.pixel_entropy._CHUNK", 20)  # three images
    np.testing.assert_allclose(image_entropies(images, 255), at_once, rtol=1e-14)


def test_entropies_are_computed_once_and_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    data = grey([[1, 3, 2, 0]])
    floor = data.floor
    monkeypatch.setattr("vae_core.types.image_entropies", lambda *_: pytest.fail("again"))
    assert data.floor == floor
    assert pickle.loads(pickle.dumps(data)).floor == floor
    assert copy.copy(data).floor == floor


def test_the_floor_of_the_small_grid_of_dsprites(tmp_path: Path) -> None:
    """9.1736 nats: the cross-entropy of 23,040 images with themselves, by numpy's logarithms."""
    stride = {"scale": 2, "orientation": 4, "pos_x": 2, "pos_y": 2}
    data = DSprites(resolution=32, stride=stride).load(tmp_path)
    pixels = data.images / 4
    inner = pixels[(pixels > 0) & (pixels < 1)]
    total = -(inner * np.log(inner) + (1 - inner) * np.log(1 - inner)).sum()
    assert data.floor == pytest.approx(total / 23_040, rel=1e-12)
    assert data.floor == pytest.approx(9.1736, abs=5e-5)
    assert DSprites(resolution=64, stride={"orientation": 20, "pos_x": 8}).outline().levels == 1


@pytest.mark.parametrize("sigma", [0.1, 1.0])
@pytest.mark.parametrize("name", ["bernoulli", "gaussian"])
def test_no_output_has_less_than_the_floor_and_the_image_itself_has_it(
    name: LikelihoodName, sigma: float
) -> None:
    data = grey([[0, 4, 1, 3], [1, 3, 2, 2]])
    images = torch.from_numpy(data.images).double().reshape(2, 1, 2, 2) / 4
    chosen = likelihood(name, sigma)
    log_sigma = torch.tensor(sigma, dtype=torch.float64).log()
    # Logits of ±30 give a black or white pixel up to 1e-13.
    exact = torch.logit(images).clamp(-30, 30) if name == "bernoulli" else images
    floor = chosen.floor(data.floor, 4)
    reached = -chosen.log_prob(exact, images, log_sigma).mean()
    assert floor == pytest.approx(float(reached), abs=1e-11)
    for shift in (-0.3, 0.3):
        assert float(-chosen.log_prob(exact + shift, images, log_sigma).mean()) > floor


def test_a_learned_sigma_has_no_floor() -> None:
    assert likelihood("gaussian_learned").floor(9.0, 4) == -math.inf


def with_likelihood(data: Data, name: LikelihoodName) -> Model:
    model = model_of(data, VAE())
    model.nets.likelihood = likelihood(name, 0.5)
    return model


@pytest.mark.parametrize("name", ["bernoulli", "gaussian", "gaussian_learned"])
@pytest.mark.parametrize("levels", [1, 4])
def test_an_epoch_reports_the_floor_of_its_own_images(
    data: Data, levels: int, name: LikelihoodName
) -> None:
    """As levels of 4, the bars of level 1 have H(1/4) for each of their 4, 8 or 12 pixels."""
    some = np.arange(0, 96, 5)
    grey_bars = dataclasses.replace(data, levels=levels)
    values, _ = epoch_scores.evaluate(
        with_likelihood(grey_bars, name), some, config=EvaluationConfig(samples=8), factors=None
    )
    if name == "bernoulli" and levels == 4:
        assert values[FLOOR] == pytest.approx(QUARTER * data.images[some].sum() / len(some))
        assert values["reconstruction"] > values[FLOOR]
        assert values["elbo"] < -values[FLOOR]
    elif name == "gaussian":
        # 256 pixels of ln(.5) + ½ ln 2π
        assert values[FLOOR] == pytest.approx(256 * (math.log(0.5) + 0.5 * math.log(2 * math.pi)))
    else:
        assert FLOOR not in values


def test_weighted_images_have_a_weighted_floor(data: Data) -> None:
    assert data.factors is not None
    weights = np.where(data.factors.values[:, 1] == 2, 1.0, 0.0)  # the longest bars alone
    factors = dataclasses.replace(data.factors, weights=weights)
    longest = dataclasses.replace(data, levels=4, factors=factors)
    values, _ = epoch_scores.evaluate(
        model_of(longest, VAE()),
        np.arange(96),
        config=EvaluationConfig(samples=8),
        factors=None,
    )
    assert values[FLOOR] == pytest.approx(12 * QUARTER)
    assert longest.floor == pytest.approx(12 * QUARTER)
