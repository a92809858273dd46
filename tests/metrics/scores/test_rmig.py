import numpy as np
import pytest
from metric_references import grid_factors, noisy_codes, sharp_codes
from scipy.stats import norm

from metrics import Codes, score
from metrics.scores import rmig

FACTORS = grid_factors(3, 4, 5)
CODES = noisy_codes(FACTORS, latents=4, seed=0)


def run(name, codes=CODES, factors=FACTORS, **options):
    return score(name, codes, factors, reference=False, **options)


def table_by_loops(codes, j, level, edges):
    """Return p(v, b), computed one posterior at a time."""
    table = np.zeros((int(level.max()) + 1, len(edges) - 1))
    for mean, logvar, v in zip(
        codes.mean[:, j].astype(float), codes.logvar[:, j].astype(float), level, strict=True
    ):
        table[v] += np.diff(norm.cdf(edges, mean, np.exp(0.5 * logvar))) / len(level)
    return table


def h(p):
    p = p[p > 0]
    return -(p * np.log(p)).sum()


def test_information_and_joint_entropy_are_those_of_the_table():
    ours = run("rmig", bins=30, limits=(-3.0, 3.0))
    edges = np.array([-np.inf, *np.linspace(-3, 3, 31)[1:-1], np.inf])
    for j, k in [(0, 0), (2, 1), (1, 2)]:
        p = table_by_loops(CODES, j, FACTORS.values[:, k], edges)
        assert ours.details["joint_entropies"][j, k] == pytest.approx(h(p), abs=1e-9)
        expected = h(p.sum(0)) + h(p.sum(1)) - h(p)
        assert ours.details["mutual_information"][j, k] == pytest.approx(expected, abs=1e-9)


def test_blocks_do_not_change_the_value(monkeypatch):
    in_one_block = run("jemmig").value
    monkeypatch.setattr(rmig, "_BLOCK", 700)
    assert run("jemmig").value == pytest.approx(in_one_block, abs=1e-12)


def test_information_of_narrow_bins_approaches_the_integrated_one_from_below():
    # Every coarse bin is a union of finer bins, and merging bins cannot add information.
    exact = run("mig").details["mutual_information"]
    coarse = run("rmig", bins=20).details["mutual_information"]
    medium = run("rmig", bins=80).details["mutual_information"]
    fine = run("rmig", bins=2000).details["mutual_information"]
    assert (coarse <= medium).all()
    assert (medium <= fine).all()
    # The error of the quadrature, and that of bins of a twentieth of a width.
    np.testing.assert_allclose(fine, exact, atol=1e-3)


def test_wide_bins_cannot_separate_levels():
    codes = sharp_codes(0.01 * FACTORS.values, std=1e-4)  # all levels lie within a tenth of a bin
    assert run("rmig", codes).value == pytest.approx(0.0, abs=0.4)
    assert run("mig", codes).value == pytest.approx(1.0, abs=1e-6)


def test_one_bin_per_level_scores_one_in_both():
    factors = grid_factors(3, 4)
    codes = sharp_codes(0.08 * (factors.values - 1) + 0.04, std=1e-4)  # the centres of bins
    assert run("rmig", codes, factors).value == pytest.approx(1.0, abs=1e-9)
    assert run("jemmig", codes, factors).value == pytest.approx(1.0, abs=1e-9)


def test_jemmig_is_its_formula():
    ours = run("jemmig")
    information, joint = ours.details["mutual_information"], ours.details["joint_entropies"]
    best = ours.details["best_latents"]
    expected = []
    for k, size in enumerate(FACTORS.sizes):
        second, first = np.sort(information[:, k])[-2:]
        shortfall = joint[best[k], k] - first + second
        expected.append(1 - shortfall / (np.log(size) + np.log(100)))
    np.testing.assert_allclose(ours.details["jemmig_per_factor"], expected, atol=1e-12)
    assert ours.value == pytest.approx(np.mean(expected))


def test_jemmig_falls_if_the_best_latent_contains_more_than_the_factor():
    # One latent encodes both factors, and one is the second factor. The gap of the first is 1.
    factors = grid_factors(3, 4)
    both = 0.16 * (4 * factors.values[:, 0] + factors.values[:, 1]) - 0.84
    alone = 0.16 * factors.values[:, 0] - 0.12
    second = 0.16 * factors.values[:, 1] - 0.12
    mixed = sharp_codes(np.stack([both, second], 1), std=1e-4)
    clean = sharp_codes(np.stack([alone, second], 1), std=1e-4)
    assert run("rmig", mixed, factors).details["gaps"][0] == pytest.approx(1.0, abs=1e-9)
    lost = np.log(4) / (np.log(3) + np.log(100))  # the entropy of the other factor
    of_mixed = run("jemmig", mixed, factors).details["jemmig_per_factor"][0]
    of_clean = run("jemmig", clean, factors).details["jemmig_per_factor"][0]
    np.testing.assert_allclose([of_mixed, of_clean], [1 - lost, 1.0], atol=1e-9)


def test_mass_beyond_the_limits_is_reported():
    ours = run("rmig", limits=(0.0, 1.0))
    mean, std = CODES.mean[:, 0], np.exp(0.5 * CODES.logvar[:, 0])
    inside = norm.cdf(1, mean, std) - norm.cdf(0, mean, std)
    assert ours.details["outside"][0] == pytest.approx(1 - inside.mean(), abs=1e-9)


def test_bins_of_discrete_codes_are_their_categories():
    codes = Codes(CODES.mean, CODES.logvar, FACTORS.values[:, :1])
    ours = run("jemmig", codes)
    assert ours.details["bins"].tolist() == [100, 100, 100, 100, 3]
    assert ours.details["joint_entropies"][4, 0] == pytest.approx(np.log(3))
    # z* is the factor, with joint entropy ln 3 and information ln 3. The information of the second
    # latent remains.
    second = ours.details["mutual_information"][:4, 0].max()
    assert ours.details["jemmig_per_factor"][0] == pytest.approx(1 - second / (2 * np.log(3)))


@pytest.mark.parametrize("options", [{"bins": 1}, {"limits": (1.0, 1.0)}])
def test_impossible_bins_are_refused(options):
    with pytest.raises(ValueError, match="need bins >= 2 and limits that rise"):
        run("rmig", **options)
