"""Our scores against those of packages that nobody here wrote, recorded by benchmarks/compare_implementations.py.

Where definitions agree the numbers are equal; where they differ the test says by what. `dlib` is disentanglement-lib
1.5 from PyPI, `disent` 0.8.0, `drvi` drvi-py 0.2.8, `latentverse` 0.3.5; docs/compared.md has the table.
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
STANDS_FOR_EXACT = 1e-10  # sums of 11,520 doubles; the record keeps 12 decimals

every_code = pytest.mark.parametrize("name", CODES)


def theirs(source, name, key):
    return RECORD["scores"][source]["values"][name][key]


def ours(metric, name, of=FACTORS, **options):
    return score(metric, CODES[name], of, seed=SEED, reference=False, **options)


def dealt(name, rows):
    """The first rows of the deck, as what asks it for that many gets them."""
    levels, numbers = Deck(CODES[name].mean).sample(rows)
    return Codes(CODES[name].mean[numbers], CODES[name].logvar[numbers]), Factors(
        levels, NAMES, SIZES
    )


@every_code
def test_the_codes_are_those_that_were_scored_there(name):
    assert digest(CODES[name]) == RECORD["codes"][name], (
        "record anew: benchmarks/compare_implementations.py --record"
    )


@every_code
@pytest.mark.parametrize(
    ("source", "key"),
    [("dlib.mig", "discrete_mig"), ("disent.mig", "mig.discrete_score"), ("drvi.gap", "gap")],
)
def test_histogram_mig_is_that_of_three_packages(source, key, name):
    assert ours("mig_hist20", name).value == pytest.approx(
        theirs(source, name, key), abs=STANDS_FOR_EXACT
    )


@every_code
def test_gap_between_factors_is_that_of_drvi(name):
    # Their gap of the transposed table, of latents whose variance exceeds .01.
    value = ours("mig_sup", name, estimator="histogram").value
    assert value == pytest.approx(theirs("drvi.gap", name, "gap_of_factors"), abs=STANDS_FOR_EXACT)


@every_code
def test_med_is_the_disentanglement_of_dlib_on_information(name):
    # As for DCI: they add 1e-11 where we leave zeros out.
    value = ours("med", name, estimator="histogram").value
    assert value == pytest.approx(theirs("dlib.modularity", name, "med"), abs=2e-9)


@every_code
def test_information_over_entropy_is_that_of_drvi(name):
    details = ours("mig_hist20", name).details
    shares = details["mutual_information"] / details["entropies"]
    np.testing.assert_allclose(shares, theirs("drvi.gap", name, "shares"), atol=STANDS_FOR_EXACT)


@every_code
def test_information_is_that_of_scikit_learn(name):
    # Edges as numpy draws them; every level, and every value of a latent, keeps a clear distance to an edge or sits on
    # the same side of it in both, or the two would differ by far more than rounding.
    matrix = ours("mig_hist20", name).details["mutual_information"]
    for j, column in enumerate(CODES[name].mean.T):
        binned = np.digitize(column, np.histogram(column, 20)[1][:-1])
        for k, level in enumerate(FACTORS.values.T):
            assert matrix[j, k] == pytest.approx(mutual_info_score(level, binned), abs=1e-12)


def test_posterior_information_is_that_of_nearest_neighbours_on_samples():
    # No package has the MIG of posteriors; Ross (2014) estimates the same I from one draw of q(z | x) per image.
    drawn = CODES["noisy"].mean[:, :5] + 0.1 * np.random.default_rng(1).standard_normal((ROWS, 5))
    matrix = ours("mig", "noisy").details["mutual_information"]
    for k in (1, 2):  # scale and orientation
        near = mutual_info_classif(drawn, FACTORS.values[:, k], random_state=SEED)
        np.testing.assert_allclose(matrix[:5, k], near, atol=0.03)  # nats; it wanders by .01


@every_code
def test_mig_of_nearest_neighbours_is_near(name):
    # latentverse estimates I by nearest neighbours, from 2,000 rows and with levels as numbers. Twenty bins cost the
    # identity code (1 - ln 20 / ln 40) / 5 = .038, which nearest neighbours do not lose.
    assert ours("mig_hist20", name).value == pytest.approx(
        theirs("latentverse", name, "MIG"), abs=0.04
    )


@every_code
def test_sap_of_classifiers_is_that_of_dlib(name):
    # The deck deals the rows that our seeded draw takes. One wrong or right row of 1,000 is .001 of one accuracy.
    value = ours("sap", name, protocol="dlib", train_rows=TRAIN, test_rows=TEST).value
    assert value == pytest.approx(theirs("dlib.sap", name, "SAP_score"), abs=1e-3)


@every_code
def test_sap_of_regressions_is_that_of_dlib(name):
    value = ours("sap", name, protocol="r2").value
    assert value == pytest.approx(
        theirs("dlib.sap_continuous", name, "SAP_score"), abs=STANDS_FOR_EXACT
    )


@every_code
def test_sap_of_latentverse_is_a_held_out_r2_which_may_be_negative(name):
    # R² on 600 held-out rows of a line fitted to 1,400: the second best latent's may be below 0, and so the gap of
    # perfect codes above 1 (1.0016). Two R² of 600 rows differ from those of all by some .01.
    of_all = score("sap", *dealt(name, TRAIN), reference=False).value
    assert theirs("latentverse", name, "SAP") == pytest.approx(of_all, abs=0.02)
    assert theirs("latentverse", "identity", "SAP") > 1


@every_code
def test_dci_of_given_importances_is_that_of_dlib(name):
    importance = np.array(theirs("dlib.dci", name, "importance"))
    # They add 1e-11 to every importance, we leave zeros out: -1e-11 ln 1e-11 = 2.5e-10 per entry over ln K.
    assert dci.disentanglement(importance) == pytest.approx(
        theirs("dlib.dci", name, "disentanglement"), abs=2e-9
    )
    assert dci.completeness(importance) == pytest.approx(
        theirs("dlib.dci", name, "completeness"), abs=2e-9
    )


@every_code
def test_dci_of_boosting_is_that_of_dlib(name):
    # Ties between splits are broken by other draws: over seeds theirs has a standard deviation of .0006 at most.
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
    # Of 2,000 answers; in noise, where they are guesses, accuracies wander by .0035 over seeds.
    assert details["accuracy"] == pytest.approx(theirs("dlib.dci", name, "accuracy"), abs=0.02)


@every_code
def test_dci_of_latentverse_is_ours_with_information_for_importance(name):
    # Their importance is information by nearest neighbours instead of what a forest relies on: another number (noise
    # gets D .46, since most of its small estimates are cut to 0), by the same two formulas.
    information = np.array(theirs("latentverse", name, "information")).T
    assert dci.disentanglement(information) == pytest.approx(
        theirs("latentverse", name, "Disentanglement"), abs=1e-9
    )
    assert dci.completeness(information) == pytest.approx(
        theirs("latentverse", name, "Completeness"), abs=1e-9
    )


@every_code
def test_vote_is_that_of_dlib(name):
    # Independent draws of 5,000 votes: four standard errors of a difference.
    result = ours("factor_vae", name)
    assert (
        abs(result.value - theirs("dlib.factor_vae", name, "eval_accuracy"))
        <= 4 * math.sqrt(2) * result.error
    )


@pytest.mark.parametrize("source", ["dlib.factor_vae_unpruned", "disent.factor_vae"])
def test_unpruned_vote_falls_to_chance_with_a_dead_latent(source):
    # Variance over variance of a constant is 0/0; numpy's argmin takes NaN for the least. dlib's gin file prunes, its
    # default does not, and disent cannot. Every vote names one latent: 1/K, +- 4 sqrt(.16 / 5000).
    key = "factor_vae.eval_accuracy" if source.startswith("disent") else "eval_accuracy"
    assert theirs(source, "dead", key) == pytest.approx(0.2, abs=0.023)
    assert theirs(source, "noisy", key) > 0.9
    assert ours("factor_vae", "dead").value > 0.9


@every_code
def test_difference_of_pairs_is_that_of_dlib(name):
    # Raw features, as theirs; independent draws of 5,000 examples. The classifier's own spread over training draws
    # is of the same size again where it guesses.
    result = ours("beta_vae", name, standardise=False, min_std=0.0)
    assert (
        abs(result.value - theirs("dlib.beta_vae", name, "eval_accuracy")) <= 4 * 2 * result.error
    )


@every_code
def test_modularity_over_all_latents_is_that_of_dlib(name):
    value = ours("modularity", name, over="all").value
    assert value == pytest.approx(
        theirs("dlib.modularity", name, "modularity"), abs=STANDS_FOR_EXACT
    )


def test_dead_latents_halve_the_modularity_of_dlib_and_not_ours():
    # They count a latent without information as 0: five of ten here.
    per_latent = 2 * theirs("dlib.modularity", "dead", "modularity")
    assert ours("modularity", "dead").value == pytest.approx(per_latent, abs=STANDS_FOR_EXACT)


@pytest.mark.parametrize("name", ALIVE)
def test_explicitness_is_that_of_dlib(name):
    # The same fit of the same rows; theirs stops after 100 steps at the latest, ours after 1,000.
    options = {"classifier": "multinomial", "scaled": False, "train_rows": TRAIN, "test_rows": TEST}
    value = ours("explicitness", name, **options).value
    assert value == pytest.approx(
        theirs("dlib.explicitness", name, "explicitness_score_test"), abs=1e-6
    )


def test_explicitness_of_dlib_fails_on_a_dead_latent_and_ours_does_not():
    # It divides every latent by its deviation, and scikit-learn refuses the NaN.
    assert "NaN" in theirs("dlib.explicitness", "dead", "error")
    here = [
        ours("explicitness", name, classifier="multinomial", scaled=False).value
        for name in ("dead", "noisy")
    ]
    assert here[0] == pytest.approx(here[1], abs=0.01)  # five latents of mere noise more or less


@pytest.mark.parametrize("name", ALIVE)
def test_interventional_robustness_is_that_of_dlib(name):
    result = ours("irs", name)
    assert result.value == pytest.approx(
        theirs("dlib.irs_levels", name, "avg_score"), abs=STANDS_FOR_EXACT
    )
    each = theirs("dlib.irs_levels", name, "disentanglement_scores")
    np.testing.assert_allclose(result.details["scores"], each, atol=STANDS_FOR_EXACT)


@every_code
def test_published_robustness_cuts_levels_into_twenty_bins(name):
    # compute_irs cuts the factors too, which joins the 40 angles two by two; so cut, ours is theirs. It leaves out
    # constant latents, which the function above divides by 0.
    cut = np.minimum(FACTORS.values, np.array([9, 9, 0, 9, 9])) + FACTORS.values // 2 * (
        np.arange(5) == 2
    )
    value = ours("irs", name, Factors(cut, NAMES, SIZES)).value
    assert value == pytest.approx(theirs("dlib.irs", name, "IRS"), abs=STANDS_FOR_EXACT)


@pytest.mark.parametrize("name", ALIVE)
@pytest.mark.parametrize(
    ("source", "key"),
    [
        ("dlib.unsupervised", "gaussian_total_correlation"),
        ("disent.unsupervised", "unsup.gauss_total_corr"),
    ],
)
def test_total_correlation_of_means_is_that_of_two_packages(source, key, name):
    value = ours("gaussian_tc", name).details["means"]
    assert value == pytest.approx(theirs(source, name, key), abs=STANDS_FOR_EXACT)


@pytest.mark.parametrize("name", CODES)
def test_total_correlation_of_latentverse_is_shifted_and_cut(name):
    # Variances over N against a covariance over N - 1, to whose diagonal 1e-6 is added (1e-10 to variances); cut at 0,
    # and called 0 where the product of variances is below 1e-10, as with five nearly dead latents.
    few, levels = dealt(name, TRAIN)
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
def test_disent_is_dlib_again_and_counts_once(dlib, disent):
    # A rewrite of the same functions: to the last vote the same, given the same draws.
    for name in CODES:
        assert theirs(dlib[0], name, dlib[1]) == theirs(disent[0], name, disent[1])
