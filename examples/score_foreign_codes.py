"""Score codes that another program computed, against the factors that they should represent.

The codes here are made up: three latents that follow three factors with some noise, and two latents
of pure noise. Replace them by the output of your own encoder.
"""

import numpy as np

from metrics import Codes, Factors, score

rng = np.random.default_rng(0)

# Ground truth: one row per image, one column per factor, whole numbers from 0.
sizes = (3, 6, 8)
levels = rng.integers(0, sizes, size=(5000, 3))
factors = Factors(levels, ["shape", "scale", "position"], sizes)

# Codes: the mean and the log variance of q(z|x), one row per image, one column per latent.
standardised = (levels - levels.mean(axis=0)) / levels.std(axis=0)
mean = np.hstack([standardised + 0.1 * rng.normal(size=(5000, 3)), rng.normal(size=(5000, 2))])
logvar = np.full(mean.shape, np.log(0.1**2))
codes = Codes(mean, logvar)

print("metric       score  error  chance  ceiling")
for name in ("mig", "dci", "factor_vae", "sap", "modularity"):
    result = score(name, codes, factors)
    error = "    –" if result.error is None else f"{result.error:5.3f}"
    # There is no ceiling where the best code is not known; `result.no_ceiling` says why.
    ceiling = "      –" if result.ceiling is None else f"{result.ceiling:7.3f}"
    print(f"{name:11}  {result.value:5.3f}  {error}  {result.chance:6.3f}  {ceiling}")
