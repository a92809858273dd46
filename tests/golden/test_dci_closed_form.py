"""Disentanglement and completeness of importance matrices with entropies in closed form."""

import math

import numpy as np
import pytest

from metrics.scores.dci import completeness, concentrations, disentanglement

SHARED = np.array([[1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1]], dtype=float)


def split_over_two(latents):
    importance = np.zeros((latents, 1))
    importance[:2] = 0.5
    return importance


@pytest.mark.parametrize("size", [2, 4, 10])
def test_one_latent_per_factor_scores_one(size):
    assert disentanglement(np.eye(size)) == pytest.approx(1.0, abs=1e-12)
    assert completeness(np.eye(size)) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("shape", [(4, 4), (10, 5), (3, 7)])
def test_uniform_importance_scores_zero(shape):
    assert disentanglement(np.ones(shape)) == pytest.approx(0.0, abs=1e-12)
    assert completeness(np.ones(shape)) == pytest.approx(0.0, abs=1e-12)


def test_completeness_of_a_factor_split_over_two_of_ten_latents():
    # H = ln 2, to base 10: C_k = 1 - log10 2 = .698970
    each, _ = concentrations(split_over_two(10).T)
    assert each[0] == pytest.approx(1 - math.log10(2), abs=1e-12)
    assert completeness(split_over_two(10)) == pytest.approx(0.698970, abs=1e-6)


def test_disentanglement_of_a_latent_shared_by_two_of_five_factors():
    # D_0 = 1 - log5 2 = .569323 with weight 2/5; the other three have D = 1 and weight 3/5
    # together.
    each, rho = concentrations(SHARED)
    np.testing.assert_allclose(each, [0.569323, 1, 1, 1], atol=1e-6)
    np.testing.assert_allclose(rho, [0.4, 0.2, 0.2, 0.2])
    expected = 0.4 * (1 - math.log(2) / math.log(5)) + 0.6
    assert disentanglement(SHARED) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("index", [0, 2, 4])
def test_rows_of_zeros_have_no_weight_at_any_index(index):
    with_dead = np.insert(SHARED, index, 0.0, axis=0)
    assert disentanglement(with_dead) == pytest.approx(disentanglement(SHARED), abs=1e-12)
    each, rho = concentrations(with_dead)
    assert math.isnan(each[index])
    assert rho[index] == 0.0


def test_zero_importance_scores_zero_and_not_nan():
    assert disentanglement(np.zeros((3, 2))) == completeness(np.zeros((3, 2))) == 0.0


def test_negative_control_a_loop_that_stops_at_a_row_of_zeros_is_detected():
    # One published implementation leaves the loop over latents at the first latent without
    # importance, and loses all latents after it.
    def truncated(rows):
        total = 0.0
        each, rho = concentrations(rows)
        for j in range(len(rows)):
            if rows[j].sum() == 0:
                break
            total += rho[j] * each[j]
        return total

    assert truncated(SHARED) == pytest.approx(disentanglement(SHARED), abs=1e-12)
    # Only latent 0 is left.
    with_dead = np.insert(SHARED, 1, 0.0, axis=0)
    assert truncated(with_dead) == pytest.approx(0.4 * 0.569323, abs=1e-6)


def test_dead_latents_raise_completeness_through_the_base_of_the_entropy():
    # Split over both of two latents: C = 0. With eight more dead latents, C = 1 - log10 2.
    assert completeness(split_over_two(2)) == pytest.approx(0.0, abs=1e-12)
    assert completeness(split_over_two(10)) == pytest.approx(0.698970, abs=1e-6)
