"""Dead latents count for nothing in any metric; the rule is about information, not scale."""

import math

import numpy as np
import pytest
from metric_references import grid_factors, noisy_codes

from metrics import Codes, find, names, score
from metrics.codes.dead import MIN_INFORMATION, dead_latents, information_bounds, neutralised

FACTORS = grid_factors(3, 4, 6, 5)
GOOD = noisy_codes(FACTORS, latents=4, seed=0)
ROWS = len(FACTORS)

WITH_FACTORS = [
    name
    for name in names()
    if "factors" in find(name).needs
    and find(name).needs & {"mean", "posterior"}
    and not name.endswith((".monte_carlo", "dci.published"))
]
DROPPING = [n for n in WITH_FACTORS if n.partition(".")[2] not in find(n).keeps_dead]
KEEPING = [n for n in WITH_FACTORS if n not in DROPPING]


def collapsed(latents=4, *, scale=1.0):
    """Return the codes of a model without an active unit: Var mu = 2e-5, sigma = .999.

    The means contain the factors, as those of a model with a large beta do.
    """
    rng = np.random.default_rng(1)
    levels = FACTORS.values / np.array(FACTORS.sizes)
    mean = 0.0045 * scale * (levels[:, :latents] * 3 + 0.3 * rng.standard_normal((ROWS, latents)))
    return Codes(mean, np.full(mean.shape, 2 * math.log(0.999 * scale)))


def test_the_bound_of_a_gaussian_code_is_its_information():
    # q(z) = N(0, s² + sigma²): I = 1/2 ln(1 + s² / sigma²), here with s = 1 and sigma = 1/2.
    mean = np.array([[1.0], [-1.0]])
    bound = information_bounds(Codes(mean, np.full((2, 1), 2 * math.log(0.5))))
    assert bound[0] == pytest.approx(0.5 * math.log(5))


def test_widths_that_differ_between_images_carry_information_too():
    # Equal means; widths 1 and 3: 1/2 ln((1 + 9) / 2) - 1/2 ln 3 = .2554 nats.
    codes = Codes(np.zeros((2, 1)), np.array([[0.0], [2 * math.log(3)]]))
    assert information_bounds(codes)[0] == pytest.approx(0.5 * math.log(5) - 0.5 * math.log(3))
    assert dead_latents(codes) == {}


def test_weights_of_images_count():
    # Without its one far image the latent has one posterior.
    codes = Codes(np.array([[0.0], [0.0], [5.0]]), np.zeros((3, 1)))
    assert dead_latents(codes) == {}
    assert list(dead_latents(codes, np.array([1.0, 1.0, 0.0]))) == [0]


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_latent_is_dead_by_information_at_any_scale(scale):
    # 1/2 ln(1 + r²) = .01 nats at r² = e^.02 - 1 = .0202.
    edge = math.sqrt(math.exp(2 * MIN_INFORMATION) - 1)
    mean = scale * np.outer([1.0, -1.0], [0.999 * edge, 1.001 * edge])
    assert list(dead_latents(Codes(mean, np.full((2, 2), 2 * math.log(scale))))) == [0]


def test_without_posteriors_only_a_latent_of_one_value_is_dead():
    mean = np.concatenate([1e-9 * GOOD.mean[:, :3].astype(float), np.full((ROWS, 1), 0.1)], axis=1)
    assert dead_latents(Codes(mean)) == {3: "dead: its mean is the same for every image"}


def test_extreme_widths_give_finite_bounds():
    logvar = np.array([[-300.0, 300.0, 300.0]] * 2)
    bounds = information_bounds(Codes(np.array([[1.0, 1.0, 0.0], [-1.0, -1.0, 0.0]]), logvar))
    assert np.isfinite(bounds).all()
    assert bounds[0] == pytest.approx(150.0)
    assert bounds[1:].max() < 1e-12


@pytest.mark.parametrize("name", DROPPING)
def test_collapsed_codes_score_as_codes_of_one_posterior(name):
    result = score(name, collapsed(), FACTORS, reference=False)
    constant = Codes(np.zeros((ROWS, 4)), np.zeros((ROWS, 4)))
    assert result.value == score(name, constant, FACTORS, reference=False).value
    assert result.reason
    dead = [why for latent, why in result.excluded.items() if latent.startswith("latent ")]
    assert len(dead) == 4
    assert all("dead: it carries at most" in why for why in dead)


@pytest.mark.parametrize("name", DROPPING)
def test_a_dead_latent_beside_good_ones_changes_nothing(name):
    together = Codes(
        np.concatenate([GOOD.mean, collapsed(1).mean], axis=1),
        np.concatenate([GOOD.logvar, collapsed(1).logvar], axis=1),
    )
    absent = neutralised(together, [4])
    result = score(name, together, FACTORS, reference=False)
    assert result.value == score(name, absent, FACTORS, reference=False).value
    assert "latent 4" in result.excluded
    assert result.identity["dead_latents"] == "<= 0.01 nats"


@pytest.mark.parametrize("name", DROPPING)
def test_good_codes_on_a_small_scale_are_not_dead(name):
    scale = 1e-3
    small = Codes(GOOD.mean.astype(float) * scale, GOOD.logvar.astype(float) + 2 * math.log(scale))
    result = score(name, small, FACTORS, reference=False)
    assert not [latent for latent in result.excluded if latent.startswith("latent ")]


def test_published_forms_see_dead_latents():
    # The negative control: the histogram of dead latents is not empty.
    assert set(KEEPING) >= {"mig_hist20.dlib", "modularity.dlib", "sap.dlib", "factor_vae.dlib"}
    published = score("med.published", collapsed(), FACTORS, reference=False)
    assert published.value > 0.2
    assert published.identity["dead_latents"] == "kept"
    assert score("med.histogram", collapsed(), FACTORS, reference=False).value == 0.0


def test_dead_latents_of_other_models_do_not_match():
    rng = np.random.default_rng(0)
    mean = rng.standard_normal((200, 2))
    sharp = Codes(mean, np.full((200, 2), -4.0))
    faint = Codes(0.01 * mean, np.full((200, 2), 0.0))
    assert score("udr", sharp, others=[sharp]).value > 0.9
    assert score("udr", sharp, others=[faint]).value == 0.0
