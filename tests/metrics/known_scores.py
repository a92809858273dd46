"""The score of every metric for the codes of `known_codes`: (lowest, highest), with the derivation.

A new row of METRICS needs one; the registry's test demands it.
"""

from __future__ import annotations

import math


def near(value: float, tolerance: float) -> tuple[float, float]:
    """Return an interval around a value."""
    return value - tolerance, value + tolerance


KNOWN = {
    "mig": {
        # One code per level: I = H, and no other latent knows the factor.
        "identity": (1 - 1e-5, 1.0),
        "constant": (0.0, 1e-9),
        "duplicated": (0.0, 1e-9),  # the second best latent knows as much
        "rotated": (0.0, 1e-5),  # sum and difference know a factor equally well
        # Finite N: about (levels - 1) / 2N = .001 nats of 1.4 to 1.8, and a gap between such.
        "noise": (0.0, 0.004),
    },
    "mig_hist20": {
        "identity": (1 - 1e-9, 1.0),  # six levels fit into twenty bins
        "constant": (0.0, 0.0),
        "duplicated": (0.0, 0.0),
        "rotated": (0.0, 1e-9),
        # Plug-in bias 19 x 5 / (2 x 2304) = .02 nats of 1.4 to 1.8, and a gap between such.
        "noise": (0.0, 0.02),
    },
    # None of these factors is the shape that is left out, and on a complete grid ln V = H: as mig.
    "mig_chen4": {
        "identity": (1 - 1e-5, 1.0),
        "constant": (0.0, 1e-9),
        "duplicated": (0.0, 1e-9),
        "rotated": (0.0, 1e-5),
        "noise": (0.0, 0.004),
    },
    "mig_sup": {
        "identity": (1 - 1e-5, 1.0),
        "constant": (0.0, 0.0),  # no latent is active
        "duplicated": (1 - 1e-5, 1.0),  # the twin of a latent does not count
        "rotated": (0.0, 1e-5),  # a sum knows both of its terms equally well
        # About (levels - 1) / 2N = .001 nats of 1.4 to 1.8, and a gap between such.
        "noise": (0.0, 0.004),
    },
    "rmig": {
        "identity": (1 - 1e-4, 1.0),  # levels are ten widths apart, five bins or more
        "constant": (0.0, 1e-9),
        "duplicated": (0.0, 1e-9),
        "rotated": (0.0, 1e-5),
        "noise": (0.0, 0.004),
    },
    # With h = ½ ln(2πe (s² + .08² / 12)) - ln .08 for a Gaussian of width s in bins of .08
    # (Sheppard): .87 for s = .04, the levels of a six-valued factor; 1.29 for .067, four values;
    # 3.945 for the prior. H = ln 6 or ln 4; ln 100 for the bins.
    "jemmig": {
        "identity": near(0.825, 0.003),  # 1 - h / (H + ln 100)
        "constant": near(0.1067, 0.0005),  # 1 - (3.945 + H) / (H + ln 100)
        "duplicated": near(0.569, 0.003),  # 1 - (h + H) / (H + ln 100): the second knows H too
        # The same with h + H for h: the other term of the sum has as many values.
        "rotated": near(0.313, 0.003),
        "noise": near(0.101, 0.004),  # as constant, with 3.99 of a Gaussian of variance 1 + .3²
    },
    "med": {
        "identity": (1 - 1e-5, 1.0),
        "constant": (0.0, 0.0),
        "duplicated": (1 - 1e-5, 1.0),
        "rotated": near(0.5, 1e-3),  # two of four factors alike: 1 - log4 2
        # Four chi-squared numbers of 3 to 5 degrees are nearly uniform.
        "noise": (0.0, 0.06),
    },
    # KL = 1/2 sum_j (E mu^2 + s^2 - 1 - ln s^2). V levels over [-1, 1] have the variance
    # (V + 1) / (3 (V - 1)), 7/15 for six and 5/9 for four, and s is a tenth of their distance:
    # 2.953 and 2.488. Tolerance: four standard errors of 64 samples. Each latent adds
    # 1/2 (of eps^2 / 2) and Var(z^2) / 4 to the variance: 2.18 in total for identity, 4.71 for
    # duplicated and 4.2 for noise.
    "elbo": {
        "identity": near(10.882, 0.74),
        "constant": near(0.0, 1e-9),
        "duplicated": near(21.764, 1.09),
        "rotated": near(10.882, 0.74),  # no length changes
        "noise": near(4.996, 1.03),  # 2 (1 + .09 - 1 - ln .09)
    },
    "gaussian_tc": {
        "identity": (0.0, 1e-9),
        "constant": (0.0, 0.0),
        # Twins correlate by 1 / (1 + s^2 / variance): 9.13 nats in total. This exceeds the 6.36
        # nats of information, so the marginals cannot be Gaussian.
        "duplicated": near(
            -math.log(1 - (7 / 15 / (7 / 15 + 0.0016)) ** 2) - math.log(1 - (5 / 9 / 0.56) ** 2),
            1e-6,
        ),
        "rotated": (0.0, 1e-9),  # sum and difference of equal factors are uncorrelated
        "noise": (0.0, 0.006),  # six r^2 / 2 of about 1 / 2304 each
    },
    # The logistic regression alone: 14 weights fitted to 921 rows cost about
    # 14 / (2 x 921) = .008 nats on other rows.
    "density_ratio_tc": {
        "identity": near(0.0, 0.03),
        "constant": near(0.0, 0.03),
        # The truth is ln 576 = 6.36; all but 1 in 576 shuffled rows can be recognised.
        "duplicated": (3.0, 6.5),
        "rotated": near(0.0, 0.03),  # quadratics cannot see the dependence
        "noise": near(0.0, 0.03),
    },
    "dci": {
        "identity": (1 - 1e-6, 1.0),
        "constant": (0.0, 0.0),
        "duplicated": (1 - 1e-6, 1.0),  # whichever twin a tree takes, it serves one factor
        # Two of four factors per latent, equally: 1 - log4 2 = .5; trees do not split quite evenly.
        "rotated": (0.46, 0.56),
        "noise": (0.0, 0.0),  # no permutation raises the held-out loss by four standard errors
    },
    "sap": {
        "identity": (1 - 1e-9, 1.0),
        "constant": (0.0, 0.0),
        "duplicated": (0.0, 1e-9),
        "rotated": (0.0, 1e-9),  # sum and difference explain half of a factor each
        # R² of noise is chi²(1) / N: 2.5 / 2304 for the best of four on average.
        "noise": (0.0, 0.004),
    },
    "modularity": {
        "identity": (1 - 1e-9, 1.0),  # on a grid no other factor has any information
        "constant": (0.0, 0.0),
        "duplicated": (1 - 1e-9, 1.0),  # the twin of a latent does not count
        "rotated": near(2 / 3, 1e-9),  # one other factor of three is known as well: 1 - 1/3
        # The information of noise is its bias, in proportion 95, 95, 57, 57 for 19 bins and 5, 5,
        # 3, 3 levels, plus chance: 1 - (1 + 2 (57/95)²) / 3 = .43. It is more, as the best factor
        # is the best by chance.
        "noise": (0.43, 0.65),
    },
    "explicitness": {
        # AUC of value v of V in order: max(v, V-1-v) / (V-1), on average 4/5 for six and 5/6 for
        # four. 2 x (4/5 + 5/6) / 2 - 1; standard error .008 on 768 held-out rows.
        "identity": near(0.6333, 0.03),
        "constant": (0.0, 0.0),
        "duplicated": near(0.6333, 0.03),
        "rotated": near(0.6333, 0.03),  # linear classifiers turn it back
        "noise": (0.0, 0.04),  # 2 x 3 standard errors of a mean AUC
    },
    # 2,000 held-out votes or 1,000 examples of the differences: four binomial errors are .045 and
    # .063 at .5, .039 and .055 at .25. Noise has chance 1/4 and a little more: on 2,304 rows a
    # latent's variance differs by level.
    "factor_vae": {
        "identity": (1.0, 1.0),
        "constant": (0.25, 0.25),
        "duplicated": (1.0, 1.0),
        # Sum and difference vary equally little for both factors of their pair.
        "rotated": (0.455, 0.545),
        "noise": (0.21, 0.30),
    },
    "beta_vae": {
        "identity": (1.0, 1.0),  # 64 pairs: only the shared factor is the same in all
        "constant": (0.25, 0.25),
        "duplicated": (1.0, 1.0),
        # |difference| of both latents is the other factor's, whichever of a pair is shared.
        "rotated": (0.435, 0.565),
        "noise": (0.19, 0.32),
    },
    "irs": {
        "identity": (1 - 1e-9, 1.0),
        "constant": (0.0, 0.0),
        "duplicated": (1 - 1e-9, 1.0),
        # (x + y) / sqrt 2 of x, y in [-1, 1] deviates by sqrt 2 at most; 1 / sqrt 2 with x fixed.
        "rotated": (0.5 - 1e-9, 0.5 + 1e-9),
        # 1 - (.99 quantile 2.58 +- .1) / (largest of 2,304, 3.4 to 3.9), the best of four.
        "noise": (0.24, 0.34),
    },
    # Against the same codes, twice: how nearly the latents are uncorrelated.
    "udr": {
        "identity": (1 - 1e-9, 1.0),
        "constant": (0.0, 0.0),
        "duplicated": (0.5 - 1e-9, 0.5 + 1e-9),  # two equal partners: 1^2 / (1 + 1) for all
        # Sum and difference of equal factors are uncorrelated, and no label says otherwise.
        "rotated": (1 - 1e-9, 1.0),
        "noise": (0.9, 0.98),  # 1 / (1 + 3 |r|) with E|r| = .8 / sqrt 2304 = .017
    },
    "accuracy": {
        "identity": (1.0, 1.0),
        "constant": (1 / 6 - 1e-12, 1 / 6 + 1e-12),  # one category finds one of six levels
        "duplicated": (1.0, 1.0),
        "rotated": (1.0, 1.0),  # the discrete codes are the factors, exchanged in pairs
        # Best of 720 matchings of a 6 x 6 table: 1/6 and up to five deviations
        # sqrt(5/36 / 2304) = .0078.
        "noise": (1 / 6, 0.206),
    },
    "active_units": {
        "identity": (4, 4),
        "constant": (0, 0),
        "duplicated": (8, 8),
        "rotated": (4, 4),
        "noise": (4, 4),
    },
}
