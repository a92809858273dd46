"""One suite over every metric: a new row of METRICS is tested without further work."""

import math

import numpy as np
import pytest
from known_codes import CODES as KNOWN_CODES
from known_codes import FACTORS as KNOWN_FACTORS
from known_scores import KNOWN
from metric_references import grid_factors, noisy_codes

from metrics import Codes, Factors, score
from metrics.reference.built_in_codes import factor_codes
from metrics.registry import METRICS

# Small enough for a forest per factor; cheap options for metrics whose default is for whole data
# sets.
FACTORS = grid_factors(3, 4, 8, 6)
CODES = noisy_codes(FACTORS, latents=5, seed=0)
IMAGES = np.random.default_rng(1).random((len(FACTORS), 1, 4, 4))
CHEAP = {
    "mig": {"samples": 200},
    "mig_chen4": {"samples": 200},
    "mig_sup": {"samples": 200},
    "elbo": {"samples": 64},
    "density_ratio_tc": {"steps": 0},
    "factor_vae": {"train_votes": 2000, "test_votes": 2000},
    "dci": {"trees": 5},
    "beta_vae": {"train": 1000, "test": 1000},
}

SUPERVISED = [name for name, metric in METRICS.items() if "factors" in metric.needs]
OF_CODES = [
    name for name, metric in METRICS.items() if not metric.needs & {"images", "reconstructions"}
]
# Classifiers and forests break ties by the index of a column: how far a metric without an error
# may move.
WOBBLE = {"dci": 0.1}


def claiming(invariance):
    return [name for name in METRICS if invariance in METRICS[name].invariant]


def run(name, codes=CODES, factors=FACTORS, *, seed=0, reference=False, variant=""):
    needs = METRICS[name].needs
    if "discrete" in needs and codes.discrete is None:
        codes = Codes(codes.mean, codes.logvar, factors.values[:, ::-1])
    available = {
        "images": IMAGES,
        "reconstructions": np.full_like(IMAGES, 0.4),
        "others": (codes, codes),
    }
    needed = {key: value for key, value in available.items() if key in needs}
    return score(
        name + variant,
        codes,
        factors,
        seed=seed,
        reference=reference,
        **needed,
        **CHEAP.get(name, {}),
    )


def columns(codes, order):
    return Codes(
        np.ascontiguousarray(codes.mean[:, order]), np.ascontiguousarray(codes.logvar[:, order])
    )


def with_dead_latent(codes):
    zero = np.zeros((len(codes), 1), codes.mean.dtype)
    return Codes(np.concatenate([codes.mean, zero], 1), np.concatenate([codes.logvar, zero], 1))


def close(name, first, second):
    tolerance = 1e-6 if first.error is None else 4 * math.sqrt(2) * first.error + 1e-6
    return abs(first.value - second.value) <= max(tolerance, WOBBLE.get(name, 0.0))


@pytest.mark.parametrize("name", METRICS)
def test_value_lies_in_the_declared_range(name):
    low, high = METRICS[name].range
    assert low <= run(name).value <= high


@pytest.mark.parametrize("name", METRICS)
def test_value_and_error_are_floats_and_the_identity_has_name_and_number_of_images(name):
    result = run(name)
    assert type(result.value) is float
    assert result.error is None or (type(result.error) is float and result.error >= 0)
    assert result.identity["metric"] == name
    assert result.identity["images"] == len(CODES)


@pytest.mark.parametrize("name", METRICS)
def test_excluded_and_reason_are_those_of_the_details(name):
    result = run(name)
    assert result.excluded == result.details.get("excluded", {})
    assert result.reason == result.details.get("reason", "")


@pytest.mark.parametrize("name", METRICS)
def test_no_detail_has_the_name_of_a_field_of_the_score(name):
    # A trial stores `dci_error` for the error, and `dci_<detail>` for every detail.
    assert not {"value", "error", "chance", "ceiling"} & set(run(name).details)


@pytest.mark.parametrize("name", METRICS)
def test_a_seed_decides_the_value(name):
    assert run(name, seed=3).value == run(name, seed=3).value


@pytest.mark.parametrize("name", METRICS)
def test_inputs_are_not_changed(name):
    before = [array.copy() for array in (CODES.mean, CODES.logvar, FACTORS.values)]
    run(name)
    for old, new in zip(before, (CODES.mean, CODES.logvar, FACTORS.values), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("kind", KNOWN_CODES)
@pytest.mark.parametrize("name", OF_CODES)
def test_known_codes_get_their_known_score(name, kind):
    assert name in KNOWN, (
        f"write into known_scores.py what {name} gives for identity, constant, … codes"
    )
    low, high = KNOWN[name][kind]
    codes = KNOWN_CODES[kind]
    if "discrete" not in METRICS[name].needs:
        # Optional discrete codes would be further latents that repeat the continuous ones.
        codes = Codes(codes.mean, codes.logvar)
    result = run(name, codes, KNOWN_FACTORS)
    assert low <= result.value <= high or (
        math.isnan(low) and math.isnan(result.value) and "reason" in result.details
    )


@pytest.mark.parametrize("name", claiming("order"))
def test_order_of_latents_does_not_matter(name):
    assert close(name, run(name), run(name, columns(CODES, [3, 0, 4, 2, 1])))


@pytest.mark.parametrize("name", claiming("dead"))
def test_a_dead_latent_changes_nothing(name):
    assert close(name, run(name), run(name, with_dead_latent(CODES)))


@pytest.mark.parametrize("name", claiming("scale"))
def test_scales_of_latents_do_not_matter(name):
    # The fifth latent is noise of deviation .05: it may or may not pass a threshold of dead ones.
    scale = np.array([2.0, 0.5, 30.0, 7.0, 4.0])
    mean, logvar = CODES.mean.astype(np.float64), CODES.logvar.astype(np.float64)
    unscaled = Codes(mean, logvar)
    scaled = Codes(mean * scale, logvar + 2 * np.log(scale))
    assert close(name, run(name, unscaled), run(name, scaled))


@pytest.mark.parametrize("name", claiming("levels"))
def test_new_names_for_levels_change_nothing(name):
    rng = np.random.default_rng(0)
    renamed = [
        rng.permutation(size)[column]
        for column, size in zip(FACTORS.values.T, FACTORS.sizes, strict=True)
    ]
    factors = Factors(np.stack(renamed, axis=1), FACTORS.names, FACTORS.sizes)
    assert close(name, run(name), run(name, factors=factors))


@pytest.mark.parametrize("name", METRICS)
def test_every_variant_gives_a_number_and_has_an_identity_of_its_own(name):
    for variant in METRICS[name].variants:
        result = run(name, variant=f".{variant}")
        assert math.isfinite(result.value) or "reason" in result.details
        assert result.identity["metric"] == f"{name}.{variant}"
        assert result.identity != run(name).identity | {"metric": f"{name}.{variant}"}


@pytest.mark.parametrize("name", METRICS)
def test_collapsed_codes_give_a_number(name):
    zero = np.zeros((len(FACTORS), 3), np.float32)
    result = run(name, Codes(zero, zero))
    assert math.isfinite(result.value) or "reason" in result.details


@pytest.mark.parametrize("name", METRICS)
def test_single_latent_gives_a_number(name):
    result = run(name, columns(CODES, [0]))
    assert math.isfinite(result.value) or "reason" in result.details


@pytest.mark.parametrize("name", SUPERVISED)
def test_constant_factor_is_excluded_by_name(name):
    values = np.concatenate([FACTORS.values, np.zeros((len(FACTORS), 1), np.int64)], axis=1)
    result = run(name, factors=Factors(values, (*FACTORS.names, "colour"), (*FACTORS.sizes, 1)))
    assert "colour" in result.details["excluded"]
    assert "colour" in result.excluded
    assert close(name, run(name), result)


@pytest.mark.parametrize("name", SUPERVISED)
def test_only_constant_factors_never_give_nan_without_a_reason(name):
    result = run(name, factors=Factors(np.zeros((len(FACTORS), 2), np.int64), ("a", "b"), (1, 1)))
    assert "reason" in result.details
    assert result.reason


@pytest.mark.parametrize("name", SUPERVISED)
def test_chance_is_below_the_ceiling(name):
    result = run(name, reference=True)
    low, high = METRICS[name].range
    assert low <= result.chance < result.ceiling <= high
    assert result.no_ceiling == ""
    assert result.chance_sd >= 0


@pytest.mark.parametrize("name", SUPERVISED)
def test_codes_that_are_the_factors_do_not_exceed_the_ceiling(name):
    codes = factor_codes(FACTORS, discrete="discrete" in METRICS[name].needs)
    result = run(name, codes, reference=True)
    assert result.value <= result.ceiling


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
