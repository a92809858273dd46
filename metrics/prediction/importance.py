"""How much a model that predicts one factor relies on each latent: the columns of DCI's importance matrix."""

# scikit-learn ships no types; what comes out of a model is made an array where it is used.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportArgumentType=false

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from metrics.prediction.row_splits import one_thread, standardised
from metrics.types import Array

_FLOOR = 1e-12  # least probability of the right level, also where training never showed it
_FOLDS = 5  # of the lasso's cross validation

SIGNIFICANT = 4.0
"""Standard errors by which a permuted latent must raise the log loss to have any importance: of fifty pairs of a latent
and a factor, one in 600 times one of mere noise does (a single one would be a perfectly disentangled code)."""


class Task(NamedTuple):
    """One factor to predict."""

    train: Array  # (n, D) predictors
    train_level: Array  # (n,)
    test: Array  # (m, D)
    test_level: Array  # (m,)
    latent: Array  # (D,) the latent a column belongs to
    latents: int
    seed: int


class Reliance(NamedTuple):
    """What one model says about its factor."""

    importance: Array  # (latents,) >= 0
    held_out: float  # accuracy of a classifier, R² of a regression, on the test rows


@dataclass(frozen=True)
class Model:
    """A way of finding importances.

    Args:
        trees: trees of a forest, rounds of boosting.
        min_leaf: rows that a leaf holds at least.
        repeats: permutations of each latent.
        alpha: strength of the lasso's penalty; None chooses it by cross validation.
    """

    name: str
    trees: int
    min_leaf: int
    repeats: int
    alpha: float | None

    def __post_init__(self) -> None:
        if self.name not in MODELS:
            raise ValueError(f"dci: model must be one of {', '.join(MODELS)}, got {self.name!r}")
        if min(self.trees, self.min_leaf, self.repeats) < 1:
            raise ValueError(
                f"dci: trees, min_leaf and repeats must be >= 1, got {self.trees}, {self.min_leaf} and {self.repeats}"
            )
        if self.alpha is not None and not self.alpha > 0:
            raise ValueError(
                f"dci: alpha must be > 0 (or None: cross validation), got {self.alpha}"
            )

    @property
    def classifies(self) -> bool:
        """Whether it predicts levels as names (accuracy) or as numbers (R²)."""
        return self.name not in ("linear", "lasso")

    def fit(self, task: Task) -> Reliance:
        """Train on the task's training rows, judge on its test rows; on one thread."""
        with one_thread():
            return MODELS[self.name][1](self, task)

    @property
    def estimator(self) -> str:
        """What to call it beside a score."""
        return MODELS[self.name][0]


class _Scaled(NamedTuple):
    """A task in standard units of its training rows."""

    x: Array  # (n, D)
    y: Array  # (n,) the level
    x_test: Array
    y_test: Array


def _forest(model: Model, task: Task) -> Reliance:
    """Impurity importance; every tree sees every latent: denied the right one, it would credit wrong ones."""
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(
        n_estimators=model.trees,
        max_features=None,
        min_samples_leaf=model.min_leaf,
        random_state=task.seed,
        n_jobs=1,
    ).fit(task.train, task.train_level)
    return _by_impurity(forest.feature_importances_, forest.predict(task.test), task)


def _published(model: Model, task: Task) -> Reliance:
    """Impurity importance of gradient boosting, one regression tree of depth 3 per level and round."""
    from sklearn.ensemble import GradientBoostingClassifier

    boosted = GradientBoostingClassifier(
        n_estimators=model.trees, min_samples_leaf=model.min_leaf, random_state=task.seed
    ).fit(task.train, task.train_level)
    return _by_impurity(boosted.feature_importances_, boosted.predict(task.test), task)


def _boosting(model: Model, task: Task) -> Reliance:
    """Permutation importance on held-out rows of boosted trees on histograms.

    Importance of a latent: by how many nats the log loss on the test rows rises when its values are dealt out among
    them anew, averaged over `repeats`; 0 unless that is `SIGNIFICANT` standard errors (over rows) above 0, so that
    what the model fitted to noise counts nothing. Scaled to sum to 1, as impurity importances do.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    boosted = HistGradientBoostingClassifier(
        max_iter=model.trees,
        min_samples_leaf=model.min_leaf,
        early_stopping=False,
        random_state=task.seed,
    ).fit(task.train, task.train_level)
    classes = np.asarray(boosted.classes_)
    column = np.minimum(np.searchsorted(classes, task.test_level), len(classes) - 1)
    known = classes[column] == task.test_level

    def losses(x: Array) -> tuple[Array, Array]:
        p = np.asarray(boosted.predict_proba(x))
        right = np.where(known, p[np.arange(len(p)), column], 0.0)
        return -np.log(np.maximum(right, _FLOOR)), classes[p.argmax(axis=1)]

    before, predicted = losses(task.test)
    rng = np.random.default_rng(task.seed)
    importance = np.zeros(task.latents)
    for latent in np.unique(task.latent):
        block = task.latent == latent
        rise = np.zeros(len(before))
        for _ in range(model.repeats):
            permuted = task.test.copy()
            permuted[:, block] = permuted[rng.permutation(len(permuted))][:, block]
            rise += (losses(permuted)[0] - before) / model.repeats
        if rise.mean() > SIGNIFICANT * rise.std() / np.sqrt(len(rise)):
            importance[latent] = rise.mean()
    total = importance.sum()
    return Reliance(
        importance / total if total > 0 else importance,
        float(np.mean(predicted == task.test_level)),
    )


def _linear(model: Model, task: Task) -> Reliance:
    """Least squares of the standardised level on standardised latents."""
    del model
    scaled = _scaled(task)
    # Of least norm: indicator columns of a discrete latent sum to one, duplicated latents share the weight.
    return _by_weight(np.linalg.lstsq(scaled.x, scaled.y)[0], scaled, task)


def _lasso(model: Model, task: Task) -> Reliance:
    """Least squares with alpha |w|_1 added to half the mean squared error."""
    from sklearn.linear_model import Lasso

    scaled = _scaled(task)
    lasso = Lasso(
        alpha=model.alpha if model.alpha is not None else _sparsest(scaled), random_state=0
    )
    return _by_weight(np.asarray(lasso.fit(scaled.x, scaled.y).coef_), scaled, task)


def _sparsest(scaled: _Scaled) -> float:
    """The largest alpha whose cross-validated error is within one standard error (over folds) of the least.

    The least error itself is reached with some weights fitted to noise: on codes of mere noise one or two such
    weights, which are perfectly disentangled.
    """
    from sklearn.linear_model import LassoCV

    if len(scaled.x) < _FOLDS or not scaled.x.any():
        return 1.0  # nothing to choose by; no standardised latent has a weight at 1
    path = LassoCV(cv=_FOLDS, n_jobs=1, random_state=0).fit(scaled.x, scaled.y)
    errors = np.asarray(path.mse_path_)  # alphas from large to small, folds
    mean, spread = errors.mean(axis=1), errors.std(axis=1, ddof=1) / np.sqrt(_FOLDS)
    enough = mean <= (mean + spread)[mean.argmin()]
    return float(np.asarray(path.alphas_)[enough].max())


MODELS: dict[str, tuple[str, Callable[[Model, Task], Reliance]]] = {
    "forest": ("random forest, impurity", _forest),
    "boosting": ("boosted histograms, held-out permutation", _boosting),
    "published": ("gradient boosting, impurity", _published),
    "lasso": ("lasso weights", _lasso),
    "linear": ("weights of least squares", _linear),
}


def _by_impurity(of_columns: Array, predicted: Array, task: Task) -> Reliance:
    importance = np.bincount(task.latent, weights=np.asarray(of_columns), minlength=task.latents)
    return Reliance(importance, float(np.mean(np.asarray(predicted) == task.test_level)))


def _scaled(task: Task) -> _Scaled:
    x, x_test = standardised(task.train, task.test)
    y, y_test = standardised(
        task.train_level[:, None].astype(np.float64), task.test_level[:, None].astype(np.float64)
    )
    return _Scaled(x, y[:, 0], x_test, y_test[:, 0])


def _by_weight(weights: Array, scaled: _Scaled, task: Task) -> Reliance:
    """|w_j|, for a discrete latent the standard deviation of its columns' sum: the same thing for one column."""
    importance = np.zeros(task.latents)
    for latent in np.unique(task.latent):
        block = task.latent == latent
        importance[latent] = (scaled.x[:, block] @ weights[block]).std()
    nothing = float(np.mean(scaled.y_test**2))  # of guessing the training rows' mean
    rest = float(np.mean((scaled.y_test - scaled.x_test @ weights) ** 2))
    return Reliance(importance, 1 - rest / nothing if nothing > 0 else 0.0)
