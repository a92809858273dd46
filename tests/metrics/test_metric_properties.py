"""Properties of every metric on drawn codes: what hypothesis may vary is what the registry claims not to matter."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_references import grid_factors

from metrics import Codes, Factors, score
from metrics.registry import METRICS

# Cheap and without a draw of its own, so that equal means equal. Sampled ones are held to their errors elsewhere.
EXACT = [
    name
    for name, metric in METRICS.items()
    if metric.tier == "epoch"
    and not metric.needs & {"images", "reconstructions", "others"}
    and name != "elbo"
]
DRAWN = settings(max_examples=15, deadline=None, derandomize=True)

seeds = st.integers(0, 2**32 - 1)
sizes = st.lists(st.integers(1, 5), min_size=1, max_size=3)
latents = st.integers(1, 5)


def drawn(sizes, latents, seed):
    """Codes of mixed quality: latents blend levels and noise at random, widths span three decades."""
    rng = np.random.default_rng(seed)
    factors = grid_factors(*sizes)
    levels = factors.values / np.maximum(np.array(factors.sizes) - 1, 1)
    blend = rng.standard_normal((len(sizes), latents)) * (rng.random((len(sizes), latents)) < 0.6)
    mean = levels @ blend + rng.random(latents) * rng.standard_normal((len(factors), latents))
    logvar = 2 * rng.uniform(math.log(1e-3), math.log(3), (1, latents)) + 0.2 * rng.standard_normal(
        mean.shape
    )
    return Codes(mean, logvar, rng.integers(0, 3, (len(factors), 1))), factors


def value(name, codes, factors):
    return score(name, codes, factors, reference=False).value


def same(a, b):
    return a == pytest.approx(b, abs=1e-9, rel=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", EXACT)
@DRAWN
@given(sizes=sizes, latents=latents, seed=seeds)
def test_a_value_lies_in_its_range_or_has_a_reason(name, sizes, latents, seed):
    result = score(name, *drawn(sizes, latents, seed), reference=False)
    low, high = METRICS[name].range
    assert low <= result.value <= high or (math.isnan(result.value) and result.details["reason"])


@pytest.mark.parametrize("name", [name for name in EXACT if "order" in METRICS[name].invariant])
@DRAWN
@given(sizes=sizes, latents=latents, seed=seeds)
def test_latents_have_no_order(name, sizes, latents, seed):
    codes, factors = drawn(sizes, latents, seed)
    order = np.random.default_rng(seed).permutation(latents)
    turned = Codes(codes.mean[:, order], codes.logvar[:, order], codes.discrete)
    assert same(value(name, codes, factors), value(name, turned, factors))


@pytest.mark.parametrize("name", [name for name in EXACT if "levels" in METRICS[name].invariant])
@DRAWN
@given(sizes=sizes, latents=latents, seed=seeds)
def test_levels_have_no_names(name, sizes, latents, seed):
    codes, factors = drawn(sizes, latents, seed)
    rng = np.random.default_rng(seed)
    renamed = np.stack(
        [rng.permutation(size)[v] for v, size in zip(factors.values.T, factors.sizes, strict=True)],
        1,
    )
    assert same(
        value(name, codes, factors),
        value(name, codes, Factors(renamed, factors.names, factors.sizes)),
    )


@pytest.mark.parametrize("name", [name for name in EXACT if "dead" in METRICS[name].invariant])
@DRAWN
@given(sizes=sizes, latents=latents, seed=seeds)
def test_a_dead_latent_is_no_news(name, sizes, latents, seed):
    codes, factors = drawn(sizes, latents, seed)
    zero = np.zeros((len(codes), 1))
    more = Codes(
        np.concatenate([codes.mean, zero], 1),
        np.concatenate([codes.logvar, zero], 1),
        codes.discrete,
    )
    assert same(value(name, codes, factors), value(name, more, factors))


@pytest.mark.parametrize("name", EXACT)
@DRAWN
@given(sizes=sizes, latents=latents, seed=seeds)
def test_rows_have_no_order(name, sizes, latents, seed):
    codes, factors = drawn(sizes, latents, seed)
    rows = np.random.default_rng(seed).permutation(len(codes))
    turned = Codes(codes.mean[rows], codes.logvar[rows], codes.discrete[rows])
    shuffled = Factors(factors.values[rows], factors.names, factors.sizes)
    assert value(name, codes, factors) == pytest.approx(
        value(name, turned, shuffled), abs=1e-6, rel=1e-6, nan_ok=True
    )
