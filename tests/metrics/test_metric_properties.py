"""Properties of every metric on drawn codes: what the registry claims not to matter does not."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_references import grid_factors

from metrics import Codes, Factors, score
from metrics.registry import METRICS

# Cheap metrics that draw nothing, so that equal means equal. Other tests check sampled metrics
# against their errors.
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


def claiming(invariance):
    return [name for name in EXACT if invariance in METRICS[name].invariant]


def drawn(sizes, latents, seed):
    """Return codes of mixed quality, and their factors.

    Latents blend levels and noise at random; widths span three decades.
    """
    rng = np.random.default_rng(seed)
    factors = grid_factors(*sizes)
    levels = factors.values / np.maximum(np.array(factors.sizes) - 1, 1)
    blend = rng.standard_normal((len(sizes), latents)) * (rng.random((len(sizes), latents)) < 0.6)
    mean = levels @ blend + rng.random(latents) * rng.standard_normal((len(factors), latents))
    log_widths = rng.uniform(math.log(1e-3), math.log(3), (1, latents))
    logvar = 2 * log_widths + 0.2 * rng.standard_normal(mean.shape)
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
    assert low <= result.value <= high or (math.isnan(result.value) and result.reason)


@pytest.mark.parametrize("name", claiming("order"))
@DRAWN
@given(sizes=sizes, latents=latents, seed=seeds)
def test_latents_have_no_order(name, sizes, latents, seed):
    codes, factors = drawn(sizes, latents, seed)
    order = np.random.default_rng(seed).permutation(latents)
    reordered = Codes(codes.mean[:, order], codes.logvar[:, order], codes.discrete)
    assert same(value(name, codes, factors), value(name, reordered, factors))


@pytest.mark.parametrize("name", claiming("levels"))
@DRAWN
@given(sizes=sizes, latents=latents, seed=seeds)
def test_levels_have_no_names(name, sizes, latents, seed):
    codes, factors = drawn(sizes, latents, seed)
    rng = np.random.default_rng(seed)
    columns = zip(factors.values.T, factors.sizes, strict=True)
    renamed = np.stack([rng.permutation(size)[column] for column, size in columns], axis=1)
    renamed_factors = Factors(renamed, factors.names, factors.sizes)
    assert same(value(name, codes, factors), value(name, codes, renamed_factors))


@pytest.mark.parametrize("name", claiming("dead"))
@DRAWN
@given(sizes=sizes, latents=latents, seed=seeds)
def test_a_dead_latent_changes_nothing(name, sizes, latents, seed):
    codes, factors = drawn(sizes, latents, seed)
    zero = np.zeros((len(codes), 1))
    with_dead = Codes(
        np.concatenate([codes.mean, zero], 1),
        np.concatenate([codes.logvar, zero], 1),
        codes.discrete,
    )
    assert same(value(name, codes, factors), value(name, with_dead, factors))


@pytest.mark.parametrize("name", EXACT)
@DRAWN
@given(sizes=sizes, latents=latents, seed=seeds)
def test_rows_have_no_order(name, sizes, latents, seed):
    codes, factors = drawn(sizes, latents, seed)
    rows = np.random.default_rng(seed).permutation(len(codes))
    reordered = Codes(codes.mean[rows], codes.logvar[rows], codes.discrete[rows])
    reordered_factors = Factors(factors.values[rows], factors.names, factors.sizes)
    assert value(name, codes, factors) == pytest.approx(
        value(name, reordered, reordered_factors), abs=1e-6, rel=1e-6, nan_ok=True
    )
