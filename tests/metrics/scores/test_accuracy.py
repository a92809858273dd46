import itertools
import math

import numpy as np
import pytest

from metrics import Codes, Factors, score

SHAPE = np.repeat(np.arange(3), 40)


def accuracy(*discrete, factors=None, mean=None, **options):
    factors = factors or Factors(SHAPE[:, None], ("shape",), (3,))
    columns = np.stack(discrete, axis=1)
    mean = np.zeros((len(columns), 0)) if mean is None else mean
    return score("accuracy", Codes(mean, discrete=columns), factors, reference=False, **options)


def test_names_of_categories_do_not_matter():
    assert accuracy(np.array([7, -2, 0])[SHAPE]).value == 1.0


def test_best_matching_is_the_maximum_over_all_permutations():
    rng = np.random.default_rng(0)
    code = np.where(rng.random(120) < 0.4, SHAPE, rng.integers(0, 3, 120))
    shares = []
    for permutation in itertools.permutations(range(3)):
        shares.append(np.mean(np.array(permutation)[code] == SHAPE))
    assert accuracy(code).value == max(shares)


def test_two_categories_match_two_of_three_levels():
    assert accuracy(np.minimum(SHAPE, 1)).value == pytest.approx(2 / 3)


def test_more_categories_than_levels_leave_some_without_partner():
    # Every level is split in halves; one half of each is matched.
    result = accuracy(2 * SHAPE + np.arange(120) % 2)
    assert result.value == 0.5
    assert result.details["confusion"].shape == (6, 3)
    assert len(result.details["matching"]) == 3


def test_one_category_scores_the_share_of_the_most_frequent_level():
    assert accuracy(np.full(120, 5)).value == pytest.approx(1 / 3)


def test_the_best_latent_is_scored_alone():
    noise = np.random.default_rng(0).integers(0, 3, 120)
    result = accuracy(noise, SHAPE, np.zeros(120, np.int64), mean=np.zeros((120, 4)))
    assert result.value == 1.0
    assert result.details["latent"] == 5  # the four continuous latents come first
    assert result.details["accuracies"][0] < 0.5
    assert result.details["excluded"] == {"latent 6": "one category only"}


def test_matching_names_categories_and_levels():
    result = accuracy(np.array([30, 10, 20])[SHAPE])
    assert sorted(map(tuple, result.details["matching"])) == [(10, 1), (20, 2), (30, 0)]


def grid(*names):
    values = np.stack([np.arange(120) % 2, np.arange(120) % 3, np.arange(120) % 5], axis=1)
    return Factors(values, names, (2, 3, 5))


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (("scale", "shape", "x"), "shape"),
        (("a", "digit", "label"), "label"),
        (("a", "b", "c"), "a"),
    ],
)
def test_factor_is_the_shape_the_label_or_the_first(names, chosen):
    assert accuracy(SHAPE, factors=grid(*names)).details["factor"] == chosen


def test_factor_can_be_named():
    assert accuracy(np.arange(120) % 5, factors=grid("a", "shape", "c"), factor="c").value == 1.0
    with pytest.raises(ValueError, match="unknown factor 'shap'; did you mean 'shape'"):
        accuracy(SHAPE, factors=grid("a", "shape", "c"), factor="shap")


def test_constant_factor_has_no_accuracy():
    constant = Factors(np.zeros((120, 1), np.int64), ("shape",), (3,))
    result = accuracy(SHAPE, factors=constant, factor="shape")
    assert math.isnan(result.value)
    assert "shape" in result.details["excluded"]
    assert result.details["reason"] == "every factor is constant in the given rows"


def test_chance_is_above_one_third_on_few_images():
    # The counts are three by three. A fixed matching has 1/3; the best of all six is above it.
    codes = Codes(np.zeros((120, 0)), discrete=SHAPE[:, None])
    result = score("accuracy", codes, Factors(SHAPE[:, None], ("shape",), (3,)))
    assert 1 / 3 < result.chance < 0.5
    assert result.ceiling == 1.0
