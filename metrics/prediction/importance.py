"""How much a model that predicts one factor relies on each latent: DCI's importance matrix."""

# scikit-learn ships no types; what a model returns becomes an array where it is used.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportArgumentType=false

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from metrics.prediction.row_splits import one_thread, standardised
from metrics.types import Array

# Least probability of the correct level, also for a level that the training rows do not have.
_FLOOR = 1e-12
_FOLDS = 5  # of the lasso's cross validation

SIGNIFICANT = 4.0
"""Standard errors by which a permuted latent must raise the log loss to have any importance.

Of fifty pairs of a latent and a factor, a pair of pure noise exceeds it one time in 600. (A single
such pair would be a perfectly disentangled code.)
"""


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
    """How much one model relies on each latent, and how well it predicts."""

    importance: Array  # (latents,) >= 0
    held_out: float  # accuracy of a classifier, R² of a regression, on the test rows
    rises: Array | None = None  # (m, latents) rise of the loss of each test row, nats (boosting)
    insignificant: Array | None = None  # (latents,) how large a rise that counts as 0 may be, nats


@dataclass(frozen=True)
class Model:
    """A model, with the way to compute importances from it.

    Args:
        name: a key of `MODELS`.
        trees: trees of a forest, rounds of boosting.
        min_leaf: least number of rows in a leaf.
        repeats: permutations of each latent.
        alpha: strength of the lasso's penalty; None chooses it by cross validation.

    Raises:
        ValueError: unknown name, or an option outside its range.
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
                "dci: trees, min_leaf and repeats must be >= 1, "
                f"got {self.trees}, {self.min_leaf} and {self.repeats}"
            )
        if self.alpha is not None and not self.alpha > 0:
            raise ValueError(
                f"dci: alpha must be > 0 (or None: cross validation), got {self.alpha}"
            )

    @property
    def classifies(self) -> bool:
        """Whether the model predicts levels as names (accuracy) or as numbers (R²)."""
        return self.name not in ("linear", "lasso")

    def fit(self, task: Task) -> Reliance:
        """Return the reliance of a model fitted to the training rows; uses one thread."""
        with one_thread():
            return MODELS[self.name][1](self, task)

    @property
    def estimator(self) -> str:
        """The name of the estimator in a score's identity."""
        return MODELS[self.name][0]


class _Scaled(NamedTuple):
    """A task in standard units of its training rows."""

    x: Array  # (n, D)
    y: Array  # (n,) the level
    x_test: Array  # (m, D)
    y_test: Array  # (m,)


def _forest(model: Model, task: Task) -> Reliance:
    """Return the impurity importance of a random forest.

    Every tree sees every latent: a tree without the correct latent would credit other ones.
    """
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
    """Return the impurity importance of gradient boosting.

    Each round fits one regression tree of depth 3 per level.
    """
    from sklearn.ensemble import GradientBoostingClassifier

    boosted = GradientBoostingClassifier(
        n_estimators=model.trees, min_samples_leaf=model.min_leaf, random_state=task.seed
    ).fit(task.train, task.train_level)
    return _by_impurity(boosted.feature_importances_, boosted.predict(task.test), task)


def _boosting(model: Model, task: Task) -> Reliance:
    """Return the permutation importance, on held-out rows, of boosted trees on histograms.

    The importance of a latent is the rise of the log loss on the test rows, in nats, when its
    values are permuted among them, averaged over `repeats`. It is 0 unless the rise is
    `SIGNIFICANT` standard errors (over rows) above 0, so that what the model fitted to noise counts
    nothing. Importances are scaled to sum to 1, as impurity importances do.
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
    seen_in_training = classes[column] == task.test_level

    def losses(x: Array) -> tuple[Array, Array]:
        """Return the log loss and the predicted level of every row."""
        p = np.asarray(boosted.predict_proba(x))
        p_correct = np.where(seen_in_training, p[np.arange(len(p)), column], 0.0)
        return -np.log(np.maximum(p_correct, _FLOOR)), classes[p.argmax(axis=1)]

    before, predicted = losses(task.test)
    rng = np.random.default_rng(task.seed)
    rises, insignificant = np.zeros((len(before), task.latents)), np.zeros(task.latents)
    for latent in np.unique(task.latent):
        block = task.latent == latent
        rise = np.zeros(len(before))
        for _ in range(model.repeats):
            permuted = task.test.copy()
            permuted[:, block] = permuted[rng.permutation(len(permuted))][:, block]
            rise += (losses(permuted)[0] - before) / model.repeats
        error = float(rise.std() / np.sqrt(len(rise)))
        if rise.mean() > SIGNIFICANT * error:
            rises[:, latent] = rise
        else:
            insignificant[latent] = max(0.0, float(rise.mean()) + error)
    importance = rises.mean(axis=0)
    total = importance.sum()
    if total > 0:
        importance = importance / total
    accuracy = float(np.mean(predicted == task.test_level))
    return Reliance(importance, accuracy, rises, insignificant)


def _linear(model: Model, task: Task) -> Reliance:
    """Return the weights of least squares of the standardised level on standardised latents."""
    del model
    scaled = _scaled(task)
    # lstsq takes the weights of least norm: indicator columns of a discrete latent sum to one, and
    # duplicated latents share the weight.
    return _by_weight(np.linalg.lstsq(scaled.x, scaled.y)[0], scaled, task)


def _lasso(model: Model, task: Task) -> Reliance:
    """Return the weights of least squares with alpha |w|_1 added to half the mean squared error."""
    from sklearn.linear_model import Lasso

    scaled = _scaled(task)
    alpha = model.alpha if model.alpha is not None else _sparsest(scaled)
    lasso = Lasso(alpha=alpha, random_state=0)
    return _by_weight(np.asarray(lasso.fit(scaled.x, scaled.y).coef_), scaled, task)


def _sparsest(scaled: _Scaled) -> float:
    """Return the largest alpha with a cross-validated error within one standard error of the least.

    (The standard error is over folds.) At the least error itself some weights are fitted to noise:
    on codes of pure noise one or two such weights, which are perfectly disentangled.
    """
    from sklearn.linear_model import LassoCV

    if len(scaled.x) < _FOLDS or not scaled.x.any():
        return 1.0  # nothing to choose by; at 1 no standardised latent has a weight
    path = LassoCV(cv=_FOLDS, n_jobs=1, random_state=0).fit(scaled.x, scaled.y)
    errors = np.asarray(path.mse_path_)  # alphas from large to small, folds
    mean, spread = errors.mean(axis=1), errors.std(axis=1, ddof=1) / np.sqrt(_FOLDS)
    small_enough = mean <= (mean + spread)[mean.argmin()]
    return float(np.asarray(path.alphas_)[small_enough].max())


MODELS: dict[str, tuple[str, Callable[[Model, Task], Reliance]]] = {
    "forest": ("random forest, impurity", _forest),
    "boosting": ("boosted histograms, held-out permutation", _boosting),
    "published": ("gradient boosting, impurity", _published),
    "lasso": ("lasso weights", _lasso),
    "linear": ("weights of least squares", _linear),
}


def _by_impurity(of_columns: Array, predicted: Array, task: Task) -> Reliance:
    """Return importances of columns as those of latents, with the accuracy of a classifier."""
    importance = np.bincount(task.latent, weights=np.asarray(of_columns), minlength=task.latents)
    return Reliance(importance, float(np.mean(np.asarray(predicted) == task.test_level)))


def _scaled(task: Task) -> _Scaled:
    x, x_test = standardised(task.train, task.test)
    y, y_test = standardised(
        task.train_level[:, None].astype(np.float64), task.test_level[:, None].astype(np.float64)
    )
    return _Scaled(x, y[:, 0], x_test, y_test[:, 0])


def _by_weight(weights: Array, scaled: _Scaled, task: Task) -> Reliance:
    """Return |w_j| as importances, with R² on the test rows.

    For a discrete latent, the importance is the standard deviation of the sum of its weighted
    columns; with one column this is |w_j|.
    """
    importance = np.zeros(task.latents)
    for latent in np.unique(task.latent):
        block = task.latent == latent
        importance[latent] = (scaled.x[:, block] @ weights[block]).std()
    error_of_mean = float(np.mean(scaled.y_test**2))  # of guessing the training rows' mean
    error = float(np.mean((scaled.y_test - scaled.x_test @ weights) ** 2))
    return Reliance(importance, 1 - error / error_of_mean if error_of_mean > 0 else 0.0)
