"""One suite over every metric: a new row of METRICS is tested by being there."""

import math

import numpy as np
import pytest
from metric_references import grid_factors, noisy_codes

from metrics import METRICS, Codes, Factors, score
from metrics.reference import own_codes

# Small enough for a forest per factor; cheap options where the default is sized for whole data sets.
FACTORS = grid_factors(3, 4, 8, 6)
CODES = noisy_codes(FACTORS, latents=5, seed=0)
IMAGES = np.random.default_rng(1).random((len(FACTORS), 1, 4, 4))
CHEAP = {"elbo": {"samples": 64}, "factor_vae": {"train_votes": 2000, "test_votes": 2000}, "dci": {"trees": 5}}

SUPERVISED = [name for name, metric in METRICS.items() if "factors" in metric.needs]
INFORMATION = [name for name in SUPERVISED if name.startswith(("mig", "rmig", "jemmig"))]


def run(name, codes=CODES, factors=FACTORS, *, seed=0, reference=False):
    given = {"images": IMAGES, "reconstructions": np.full_like(IMAGES, 0.4), "others": (CODES, CODES)}
    needs = METRICS[name].needs
    extra = {key: value for key, value in given.items() if key in needs}
    return score(name, codes, factors, seed=seed, reference=reference, **extra, **CHEAP.get(name, {}))


def columns(codes, order):
    return Codes(np.ascontiguousarray(codes.mean[:, order]), np.ascontiguousarray(codes.logvar[:, order]))


def with_dead_latent(codes):
    zero = np.zeros((len(codes), 1), codes.mean.dtype)
    return Codes(np.concatenate([codes.mean, zero], 1), np.concatenate([codes.logvar, zero], 1))


@pytest.mark.parametrize("name", METRICS)
def test_value_lies_in_the_declared_range(name):
    low, high = METRICS[name].range
    assert low <= run(name).value <= high


@pytest.mark.parametrize("name", METRICS)
def test_value_is_a_float_and_so_are_error_and_names(name):
    result = run(name)
    assert type(result.value) is float
    assert result.error is None or (type(result.error) is float and result.error >= 0)
    assert result.identity["metric"] == name
    assert result.identity["images"] == len(CODES)


@pytest.mark.parametrize("name", METRICS)
def test_a_seed_decides_the_value(name):
    assert run(name, seed=3).value == run(name, seed=3).value


@pytest.mark.parametrize("name", METRICS)
def test_inputs_are_left_alone(name):
    before = [array.copy() for array in (CODES.mean, CODES.logvar, FACTORS.values)]
    run(name)
    for old, new in zip(before, (CODES.mean, CODES.logvar, FACTORS.values), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("name", METRICS)
def test_order_of_latents_does_not_matter(name):
    here, there = run(name), run(name, columns(CODES, [3, 0, 4, 2, 1]))
    # Sampled metrics deal their noise, or break ties, by position: they agree within their error.
    tolerance = 1e-9 if here.error is None else 4 * math.sqrt(2) * here.error + 1e-9
    tolerance = 0.1 if name == "dci" else tolerance  # five trees, each breaks ties of impurity by latent
    assert abs(here.value - there.value) <= tolerance


@pytest.mark.parametrize("name", METRICS)
def test_dead_latent_changes_nothing(name):
    here, there = run(name), run(name, with_dead_latent(CODES))
    tolerance = 1e-6 if here.error is None else 4 * math.sqrt(2) * here.error + 1e-6
    tolerance = 0.1 if name == "dci" else tolerance
    assert abs(here.value - there.value) <= tolerance


@pytest.mark.parametrize("name", METRICS)
def test_collapsed_codes_give_a_number(name):
    zero = np.zeros((len(FACTORS), 3), np.float32)
    result = run(name, Codes(zero, zero))
    assert math.isfinite(result.value)


@pytest.mark.parametrize("name", METRICS)
def test_single_latent_gives_a_number(name):
    assert math.isfinite(run(name, columns(CODES, [0])).value)


@pytest.mark.parametrize("name", INFORMATION)
def test_new_names_for_levels_change_nothing(name):
    rng = np.random.default_rng(0)
    renamed = np.stack([rng.permutation(size)[v] for v, size in zip(FACTORS.values.T, FACTORS.sizes, strict=True)], 1)
    there = run(name, factors=Factors(renamed, FACTORS.names, FACTORS.sizes))
    assert there.value == pytest.approx(run(name).value, abs=1e-9)


@pytest.mark.parametrize("name", SUPERVISED)
def test_constant_factor_is_excluded_by_name(name):
    values = np.concatenate([FACTORS.values, np.zeros((len(FACTORS), 1), np.int64)], axis=1)
    result = run(name, factors=Factors(values, (*FACTORS.names, "colour"), (*FACTORS.sizes, 1)))
    assert list(result.details["excluded"]) == ["colour"]
    tolerance = 1e-12 if result.error is None else 4 * result.error + 1e-12
    assert abs(result.value - run(name).value) <= tolerance


@pytest.mark.parametrize("name", SUPERVISED)
def test_only_constant_factors_never_give_nan_without_a_reason(name):
    result = run(name, factors=Factors(np.zeros((len(FACTORS), 2), np.int64), ("a", "b"), (1, 1)))
    assert "reason" in result.details


@pytest.mark.parametrize("name", SUPERVISED)
def test_chance_is_below_the_ceiling(name):
    result = run(name, reference=True)
    low, high = METRICS[name].range
    assert low <= result.chance < result.ceiling <= high


@pytest.mark.parametrize("name", SUPERVISED)
def test_the_factors_own_codes_reach_the_ceiling(name):
    result = run(name, own_codes(FACTORS), reference=True)
    assert result.value == result.ceiling


@pytest.mark.parametrize("name", [name for name in METRICS if name not in SUPERVISED])
def test_without_factors_there_is_no_reference(name):
    result = run(name, factors=None, reference=True)
    assert result.chance is None
    assert result.ceiling is None


@pytest.mark.parametrize("name", METRICS)
def test_missing_inputs_are_named(name):
    missing = {"factors", "images", "posterior"} & METRICS[name].needs
    for need in missing:
        words = "logvar" if need == "posterior" else need
        codes = Codes(CODES.mean) if need == "posterior" else CODES
        with pytest.raises(ValueError, match=rf"metric '{name}' needs .*{words}"):
            score(name, codes, None if need == "factors" else FACTORS)
