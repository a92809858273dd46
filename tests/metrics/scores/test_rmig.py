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
    """p(v, b), one posterior and one bin at a time."""
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
    for j, k in [(0, 0), (2, 1), (3, 2)]:
        p = table_by_loops(CODES, j, FACTORS.values[:, k], edges)
        assert ours.details["joint_entropies"][j, k] == pytest.approx(h(p), abs=1e-9)
        expected = h(p.sum(0)) + h(p.sum(1)) - h(p)
        assert ours.details["mutual_information"][j, k] == pytest.approx(expected, abs=1e-9)


def test_blocks_do_not_change_the_value(monkeypatch):
    whole = run("jemmig").value
    monkeypatch.setattr(rmig, "_BLOCK", 700)
    assert run("jemmig").value == pytest.approx(whole, abs=1e-12)


def test_narrow_bins_tend_to_the_integrated_information_from_below():
    # Every bin of the coarser ones is made of whole finer ones: merging them cannot add information.
    exact = run("mig").details["mutual_information"]
    found = [run("rmig", bins=bins).details["mutual_information"] for bins in (20, 80, 2000)]
    assert (found[0] <= found[1]).all()
    assert (found[1] <= found[2]).all()
    np.testing.assert_allclose(
        found[2], exact, atol=1e-3
    )  # quadrature's own error; bins of a twentieth of a width


def test_wide_bins_cannot_tell_levels_apart():
    codes = sharp_codes(0.01 * FACTORS.values, std=1e-4)  # all within a tenth of a bin
    assert run("rmig", codes).value == pytest.approx(0.0, abs=0.4)
    assert run("mig", codes).value == pytest.approx(1.0, abs=1e-6)


def test_one_bin_per_level_scores_one_in_both():
    factors = grid_factors(3, 4)
    codes = sharp_codes(0.08 * (factors.values - 1) + 0.04, std=1e-4)  # the middles of bins
    assert run("rmig", codes, factors).value == pytest.approx(1.0, abs=1e-9)
    assert run("jemmig", codes, factors).value == pytest.approx(1.0, abs=1e-9)


def test_jemmig_is_what_its_terms_say():
    ours = run("jemmig")
    information, joint = ours.details["mutual_information"], ours.details["joint_entropies"]
    best = ours.details["best_latents"]
    expected = [
        1
        - (joint[best[k], k] - np.sort(information[:, k])[-1] + np.sort(information[:, k])[-2])
        / (np.log(size) + np.log(100))
        for k, size in enumerate(FACTORS.sizes)
    ]
    np.testing.assert_allclose(ours.details["jemmig_per_factor"], expected, atol=1e-12)
    assert ours.value == pytest.approx(np.mean(expected))


def test_jemmig_falls_where_the_best_latent_holds_more_than_the_factor():
    # One latent that counts through both factors, and one that is the second: the gap of the first factor is whole.
    factors = grid_factors(3, 4)
    both = 0.16 * (4 * factors.values[:, 0] + factors.values[:, 1]) - 0.84
    alone = 0.16 * factors.values[:, 0] - 0.12
    second = 0.16 * factors.values[:, 1] - 0.12
    mixed, clean = (sharp_codes(np.stack([z, second], 1), std=1e-4) for z in (both, alone))
    assert run("rmig", mixed, factors).details["gaps"][0] == pytest.approx(1.0, abs=1e-9)
    lost = np.log(4) / (np.log(3) + np.log(100))  # the other factor's entropy
    found = [
        run("jemmig", codes, factors).details["jemmig_per_factor"][0] for codes in (mixed, clean)
    ]
    np.testing.assert_allclose(found, [1 - lost, 1.0], atol=1e-9)


def test_mass_beyond_the_limits_is_told():
    ours = run("rmig", limits=(0.0, 1.0))
    inside = norm.cdf(1, CODES.mean[:, 0], np.exp(0.5 * CODES.logvar[:, 0]))
    inside = inside - norm.cdf(0, CODES.mean[:, 0], np.exp(0.5 * CODES.logvar[:, 0]))
    assert ours.details["outside"][0] == pytest.approx(1 - inside.mean(), abs=1e-9)


def test_discrete_codes_enter_with_their_categories():
    codes = Codes(CODES.mean, CODES.logvar, FACTORS.values[:, :1])
    ours = run("jemmig", codes)
    assert ours.details["bins"].tolist() == [100, 100, 100, 100, 3]
    assert ours.details["joint_entropies"][4, 0] == pytest.approx(np.log(3))
    # z* is the factor: joint entropy ln 3, information ln 3; what remains is the second latent's.
    second = ours.details["mutual_information"][:4, 0].max()
    assert ours.details["jemmig_per_factor"][0] == pytest.approx(1 - second / (2 * np.log(3)))


@pytest.mark.parametrize("options", [{"bins": 1}, {"limits": (1.0, 1.0)}])
def test_bins_must_be_possible(options):
    with pytest.raises(ValueError, match="need bins >= 2 and limits that rise"):
        run("rmig", **options)
