import pytest

from metrics.near_names import did_you_mean

KNOWN = ["factor_vae", "beta_vae", "dci"]


def test_the_nearest_known_name_is_proposed():
    assert did_you_mean("factr_vae", KNOWN) == "; did you mean 'factor_vae'?"


@pytest.mark.parametrize("known", [KNOWN, []])
def test_without_a_near_name_only_the_semicolon_is_left(known):
    assert did_you_mean("zzz", known) == ";"


def test_a_lower_cutoff_proposes_names_that_are_further_away():
    assert did_you_mean("dxx", KNOWN, cutoff=0.6) == ";"
    assert did_you_mean("dxx", KNOWN, cutoff=0.3) == "; did you mean 'dci'?"


def test_any_iterable_of_names_is_taken():
    assert did_you_mean("dc", {"dci": 1}) == "; did you mean 'dci'?"
    assert did_you_mean("dc", iter(KNOWN)) == "; did you mean 'dci'?"
