"""Our scores against those of packages by other authors.

benchmarks/compare_implementations.py records the scores of the packages. If the definitions agree,
the numbers are equal; if they differ, the test states the difference. `dlib` is disentanglement-lib
1.5 from PyPI, `disent` 0.8.0, `drvi` drvi-py 0.2.8, `latentverse` 0.3.5. docs/compared.md has the
table.
"""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from compared_codes import (
    DCI_FACTORS,
    DCI_TEST,
    DCI_TRAIN,
    NAMES,
    ROWS,
    SEED,
    SIZES,
    TEST,
    TRAIN,
    Deck,
    codes,
    digest,
    factors,
)
from sklearn.feature_selection import mutual_info_classif
from sklearn.metrics import mutual_info_score

from metrics import Codes, Factors, score
from metrics.scores import dci

RECORD = json.loads((Path(__file__).parent / "foreign_scores.json").read_text())
CODES = codes()
FACTORS = factors()
ALIVE = [name for name in CODES if name != "dead"]
EXACT = 1e-10  # sums of 11,520 doubles; the record keeps 12 decimals

every_code = pytest.mark.parametrize("name", CODES)


def theirs(source, name, key):
    return RECORD["scores"][source]["values"][name][key]


def ours(metric, name, of=FACTORS, **options):
    return score(metric, CODES[name], of, seed=SEED, reference=False, **options)


def first_batch(name, rows):
    """Return codes and factors of the first batch of the deck, of the given size."""
    levels, numbers = Deck(CODES[name].mean).sample(rows)
    return Codes(CODES[name].mean[numbers], CODES[name].logvar[numbers]), Factors(
        levels, NAMES, SIZES
    )


@every_code
def test_recorded_scores_belong_to_these_codes(name):
    assert digest(CODES[name]) == RECORD["codes"][name], (
        "the codes changed; record again: benchmarks/compare_implementations.py --record"
    )


@every_code
@pytest.mark.parametrize(
    ("source", "key"),
    [("dlib.mig", "discrete_mig"), ("disent.mig", "mig.discrete_score"), ("drvi.gap", "gap")],
)
def test_histogram_mig_agrees_with_three_packages(source, key, name):
    assert ours("mig_hist20", name).value == pytest.approx(theirs(source, name, key), abs=EXACT)


@every_code
def test_gap_between_factors_agrees_with_drvi(name):
    # Their gap of the transposed table, for latents with a variance above .01.
    value = ours("mig_sup", name, estimator="histogram", min_variance=0.01).value
    assert value == pytest.approx(theirs("drvi.gap", name, "gap_of_factors"), abs=EXACT)


@every_code
def test_med_agrees_with_the_disentanglement_of_dlib_on_information(name):
    # As for DCI: they add 1e-11, and we leave zeros out.
    value = ours("med", name, estimator="histogram").value
    assert value == pytest.approx(theirs("dlib.modularity", name, "med"), abs=2e-9)


@every_code
def test_information_over_entropy_agrees_with_drvi(name):
    details = ours("mig_hist20", name).details
    shares = details["mutual_information"] / details["entropies"]
    np.testing.assert_allclose(shares, theirs("drvi.gap", name, "shares"), atol=EXACT)


@every_code
def test_information_agrees_with_scikit_learn(name):
    # The edges are those of numpy. Every value of a latent is clearly away from an edge, or on the
    # same side of it in both; otherwise the two would differ by far more than rounding.
    matrix = ours("mig_hist20", name).details["mutual_information"]
    for j, column in enumerate(CODES[name].mean.T):
        binned = np.digitize(column, np.histogram(column, 20)[1][:-1])
        for k, level in enumerate(FACTORS.values.T):
            assert matrix[j, k] == pytest.approx(mutual_info_score(level, binned), abs=1e-12)


def test_posterior_information_is_near_that_of_nearest_neighbours_on_samples():
    # No package has the MIG of posteriors. Ross (2014) estimates the same I from one draw of
    # q(z | x) per image.
    drawn = CODES["noisy"].mean[:, :5] + 0.1 * np.random.default_rng(1).standard_normal((ROWS, 5))
    matrix = ours("mig", "noisy").details["mutual_information"]
    for k in (1, 2):  # scale and orientation
        near = mutual_info_classif(drawn, FACTORS.values[:, k], random_state=SEED)
        np.testing.assert_allclose(
            matrix[:5, k], near, atol=0.03
        )  # nats; the spread over draws is .01


@every_code
def test_mig_of_nearest_neighbours_is_near(name):
    # latentverse estimates I by nearest neighbours, from 2,000 rows and with levels as numbers.
    # Twenty bins cost the identity code (1 - ln 20 / ln 40) / 5 = .038; nearest neighbours do not.
    value = ours("mig_hist20", name).value
    assert value == pytest.approx(theirs("latentverse", name, "MIG"), abs=0.04)


@every_code
def test_sap_of_classifiers_agrees_with_dlib(name):
    # The deck gives the same rows as our seeded draw. One row of 1,000 changes an accuracy by .001.
    value = ours("sap", name, protocol="dlib", train_rows=TRAIN, test_rows=TEST).value
    assert value == pytest.approx(theirs("dlib.sap", name, "SAP_score"), abs=1e-3)


@every_code
def test_sap_of_regressions_agrees_with_dlib(name):
    value = ours("sap", name, protocol="r2").value
    assert value == pytest.approx(theirs("dlib.sap_continuous", name, "SAP_score"), abs=EXACT)


@every_code
def test_sap_of_latentverse_is_a_held_out_r2_which_may_be_negative(name):
    # They take R² on 600 held-out rows of a line fitted to 1,400. That of the second best latent
    # may be below 0, and the gap of perfect codes then exceeds 1 (1.0016). Two R² of 600 rows
    # differ from those of all rows by about .01.
    of_all = score("sap", *first_batch(name, TRAIN), reference=False).value
    assert theirs("latentverse", name, "SAP") == pytest.approx(of_all, abs=0.02)
    assert theirs("latentverse", "identity", "SAP") > 1


@every_code
def test_dci_of_given_importances_agrees_with_dlib(name):
    importance = np.array(theirs("dlib.dci", name, "importance"))
    # They add 1e-11 to every importance, and we leave zeros out: the difference is
    # -1e-11 ln 1e-11 = 2.5e-10 per entry, over ln K.
    assert dci.disentanglement(importance) == pytest.approx(
        theirs("dlib.dci", name, "disentanglement"), abs=2e-9
    )
    assert dci.completeness(importance) == pytest.approx(
        theirs("dlib.dci", name, "completeness"), abs=2e-9
    )


@every_code
def test_dci_of_boosting_agrees_with_dlib(name):
    # Different draws break ties between splits. Over seeds, the standard deviation of their score
    # is at most .0006.
    options = {
        "model": "published",
        "train_rows": DCI_TRAIN,
        "test_rows": DCI_TEST,
        "trees": 100,
        "min_leaf": 1,
    }
    details = ours("dci", name, factors(*DCI_FACTORS), **options).details
    for key in ("disentanglement", "completeness"):
        assert details[key] == pytest.approx(theirs("dlib.dci", name, key), abs=4e-3)
    # There are 2,000 predictions. For noise they are guesses, and the accuracy has a standard
    # deviation of .0035 over seeds.
    assert details["accuracy"] == pytest.approx(theirs("dlib.dci", name, "accuracy"), abs=0.02)


@every_code
def test_dci_of_latentverse_agrees_with_ours_on_the_same_importances(name):
    # Their importance is information by nearest neighbours, not the importance in a forest. The
    # number differs (noise gets D = .46, because most of its small estimates are cut to 0), but the
    # two formulas are the same.
    information = np.array(theirs("latentverse", name, "information")).T
    assert dci.disentanglement(information) == pytest.approx(
        theirs("latentverse", name, "Disentanglement"), abs=1e-9
    )
    assert dci.completeness(information) == pytest.approx(
        theirs("latentverse", name, "Completeness"), abs=1e-9
    )


@every_code
def test_vote_agrees_with_dlib(name):
    # Independent draws of 5,000 votes: four standard errors of a difference.
    result = ours("factor_vae", name)
    difference = abs(result.value - theirs("dlib.factor_vae", name, "eval_accuracy"))
    assert difference <= 4 * math.sqrt(2) * result.error


@pytest.mark.parametrize("source", ["dlib.factor_vae_unpruned", "disent.factor_vae"])
def test_unpruned_vote_falls_to_chance_with_a_dead_latent(source):
    # For a constant latent, variance over variance is 0/0, and numpy's argmin takes NaN as the
    # least. The gin file of dlib prunes such latents, its default does not, and disent cannot.
    # Every vote names one latent, so the score is 1/K, +- 4 sqrt(.16 / 5000).
    key = "factor_vae.eval_accuracy" if source.startswith("disent") else "eval_accuracy"
    assert theirs(source, "dead", key) == pytest.approx(0.2, abs=0.023)
    assert theirs(source, "noisy", key) > 0.9
    assert ours("factor_vae", "dead").value > 0.9


@every_code
def test_difference_of_pairs_agrees_with_dlib(name):
    # Raw features, like theirs, and independent draws of 5,000 examples. If the classifier guesses,
    # its spread over training draws is as large as the error over test draws.
    result = ours("beta_vae", name, standardise=False, min_std=0.0)
    difference = abs(result.value - theirs("dlib.beta_vae", name, "eval_accuracy"))
    assert difference <= 4 * 2 * result.error


@every_code
def test_modularity_over_all_latents_agrees_with_dlib(name):
    value = ours("modularity", name, over="all").value
    assert value == pytest.approx(theirs("dlib.modularity", name, "modularity"), abs=EXACT)


def test_dead_latents_halve_the_modularity_of_dlib_and_not_ours():
    # They count a latent without information as 0; these codes have five of ten.
    per_latent = 2 * theirs("dlib.modularity", "dead", "modularity")
    assert ours("modularity", "dead").value == pytest.approx(per_latent, abs=EXACT)


@pytest.mark.parametrize("name", ALIVE)
def test_explicitness_agrees_with_dlib(name):
    # The same fit of the same rows; theirs stops after at most 100 steps, ours after 1,000.
    options = {"classifier": "multinomial", "scaled": False, "train_rows": TRAIN, "test_rows": TEST}
    value = ours("explicitness", name, **options).value
    assert value == pytest.approx(
        theirs("dlib.explicitness", name, "explicitness_score_test"), abs=1e-6
    )


def test_explicitness_of_dlib_fails_on_a_dead_latent_and_ours_does_not():
    # It divides every latent by its deviation, and scikit-learn refuses the NaN.
    assert "NaN" in theirs("dlib.explicitness", "dead", "error")
    dead = ours("explicitness", "dead", classifier="multinomial", scaled=False).value
    noisy = ours("explicitness", "noisy", classifier="multinomial", scaled=False).value
    assert dead == pytest.approx(noisy, abs=0.01)  # the codes differ by five latents of noise


@pytest.mark.parametrize("name", ALIVE)
def test_interventional_robustness_agrees_with_dlib(name):
    result = ours("irs", name)
    assert result.value == pytest.approx(theirs("dlib.irs_levels", name, "avg_score"), abs=EXACT)
    each = theirs("dlib.irs_levels", name, "disentanglement_scores")
    np.testing.assert_allclose(result.details["scores"], each, atol=EXACT)


@every_code
def test_published_robustness_cuts_levels_into_twenty_bins(name):
    # compute_irs also cuts the factors, and this joins the 40 angles in pairs. With factors cut in
    # the same way, our score equals theirs. It leaves out constant latents; the function of the
    # test above divides by 0 for them.
    cut = FACTORS.values.copy()
    cut[:, 2] //= 2
    value = ours("irs", name, Factors(cut, NAMES, SIZES)).value
    assert value == pytest.approx(theirs("dlib.irs", name, "IRS"), abs=EXACT)


@pytest.mark.parametrize("name", ALIVE)
@pytest.mark.parametrize(
    ("source", "key"),
    [
        ("dlib.unsupervised", "gaussian_total_correlation"),
        ("disent.unsupervised", "unsup.gauss_total_corr"),
    ],
)
def test_total_correlation_of_means_agrees_with_two_packages(source, key, name):
    value = ours("gaussian_tc", name).details["means"]
    assert value == pytest.approx(theirs(source, name, key), abs=EXACT)


@pytest.mark.parametrize("name", CODES)
def test_total_correlation_of_latentverse_is_shifted_and_cut(name):
    # They divide variances by N, but the covariance by N - 1. They add 1e-6 to the diagonal of the
    # covariance, and 1e-10 to variances. They cut the result at 0, and set it to 0 if the product
    # of variances is below 1e-10, which happens with five nearly dead latents.
    few, levels = first_batch(name, TRAIN)
    means = score("gaussian_tc", few, levels).details["means"]
    shifted = means - 0.5 * few.mean.shape[1] * math.log(TRAIN / (TRAIN - 1))
    expected = 0.0 if few.mean.var(axis=0).prod() < 1e-10 else max(0.0, shifted)
    assert theirs("latentverse", name, "TC") == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("dlib", "disent"),
    [
        (("dlib.mig", "discrete_mig"), ("disent.mig", "mig.discrete_score")),
        (("dlib.sap", "SAP_score"), ("disent.sap", "sap.score")),
        (
            ("dlib.factor_vae_unpruned", "eval_accuracy"),
            ("disent.factor_vae", "factor_vae.eval_accuracy"),
        ),
    ],
)
def test_disent_gives_the_same_numbers_as_dlib(dlib, disent):
    # disent is a rewrite of the same functions, so it is no independent evidence. With the same
    # draws every vote is the same.
    for name in CODES:
        assert theirs(dlib[0], name, dlib[1]) == theirs(disent[0], name, disent[1])
