"""What every metric says of the codes of `known_codes`: (lowest, highest), with the derivation.

A new row of METRICS needs one here; the registry's test says so.
"""

from __future__ import annotations

import math

KINDS = ("identity", "constant", "duplicated", "rotated", "noise")

KNOWN = {
    "mig": {
        "identity": (1 - 1e-5, 1.0),  # one code per level: I = H, and no other latent knows the factor
        "constant": (0.0, 1e-9),
        "duplicated": (0.0, 1e-9),  # the second best knows as much
        "rotated": (0.0, 1e-5),  # sum and difference know a factor equally well
        "noise": (0.0, 0.02),  # finite N: (levels - 1) / 2N nats at most of some 1.4
    },
    "mig_hist20": {
        "identity": (1 - 1e-9, 1.0),  # six levels fit into twenty bins
        "constant": (0.0, 0.0),
        "duplicated": (0.0, 0.0),
        "rotated": (0.0, 1e-9),
        "noise": (0.0, 0.02),  # plug-in bias 19 x 5 / (2 x 2304) = .02 nats of 1.4 to 1.8, and a gap of such
    },
    "elbo": dict.fromkeys(KINDS, (-math.inf, math.inf)),
    "gaussian_tc": dict.fromkeys(KINDS, (-math.inf, math.inf)),
    "dci": dict.fromkeys(KINDS, (-math.inf, math.inf)),
    "factor_vae": dict.fromkeys(KINDS, (-math.inf, math.inf)),
    "active_units": {
        "identity": (4, 4),
        "constant": (0, 0),
        "duplicated": (8, 8),
        "rotated": (4, 4),
        "noise": (4, 4),
    },
}


def near(value: float, tolerance: float) -> tuple[float, float]:
    """An interval around a value."""
    return value - tolerance, value + tolerance


INFINITE = (math.inf, math.inf)
