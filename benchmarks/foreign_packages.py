"""Metrics of packages that nobody here wrote, as functions of codes; see compare_implementations.

Nothing in these packages is changed. Some of them import at their top what their metrics do not
need (TensorFlow, torchvision, Lightning, scvi-tools, seaborn): `_without_init` loads the modules of
the metrics alone, and `gin.tf` is an empty module.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from compared_codes import (
    DCI_FACTORS,
    DCI_TEST,
    DCI_TRAIN,
    NAMES,
    ROWS,
    SEED,
    TEST,
    TRAIN,
    Deck,
    factors,
)

from metrics import Codes


@dataclass(frozen=True)
class Theirs:
    """A function of a package, run on codes: numbers by name."""

    name: str  # in the record and in the tests
    package: str
    function: str
    parameters: dict[str, Any]
    run: Callable[[Codes], dict[str, Any]]


def _without_init(name: str, **names: Any) -> None:
    """Make a package importable without running its `__init__`.

    The `__init__` imports what the metrics do not need.

    Args:
        name: of the package.
        names: attributes that its modules import from it.
    """
    parent, _, _ = name.rpartition(".")
    paths = list(importlib.import_module(parent).__path__) if parent else None
    spec = importlib.machinery.PathFinder.find_spec(name, paths)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"no package {name}", name=name)
    package = types.ModuleType(name)
    package.__path__ = list(spec.submodule_search_locations)
    vars(package).update(names)
    sys.modules[name] = package


DLIB = "disentanglement-lib"


def disentanglement_lib() -> list[Theirs]:
    """Return the metrics of Google's package, by Locatello et al. (2019).

    Its parameters come from gin files; those of its study are bound here.
    """
    import gin

    sys.modules["gin.tf"] = gin.tf = types.ModuleType("gin.tf")
    _dlib_module("utils")
    gin.parse_config(
        [
            "discretizer.discretizer_fn = @histogram_discretizer",
            "discretizer.num_bins = 20",
        ]
    )
    learned = {"num_train": TRAIN, "num_test": TEST}
    votes = {"batch_size": 64, "num_train": 10_000, "num_eval": 5_000}
    all_rows = {"num_train": ROWS, "num_test": 1}
    vote = votes | {"num_variance_estimate": ROWS}
    pruned = {"prune_dims.threshold": 0.05}
    continuous, discrete = {"continuous_factors": True}, {"continuous_factors": False}
    irs_rows = {"num_train": ROWS, "batch_size": ROWS}
    dci_parameters = {
        "num_train": DCI_TRAIN,
        "num_test": DCI_TEST,
        "factors": [NAMES[k] for k in DCI_FACTORS],
    }
    sap, factor_vae = "sap_score.compute_sap", "factor_vae.compute_factor_vae"
    explicitness = "modularity_explicitness.compute_modularity_explicitness"
    return [
        _dlib_metric("dlib.mig", "mig.compute_mig", {"num_train": ROWS}),
        _dlib_metric("dlib.sap", sap, learned | discrete),
        _dlib_metric("dlib.sap_continuous", sap, all_rows | continuous),
        Theirs(
            "dlib.dci", DLIB, "dci.compute_importance_gbt and others", dci_parameters, _dlib_dci
        ),
        _dlib_metric("dlib.factor_vae", factor_vae, vote | pruned),
        _dlib_metric("dlib.factor_vae_unpruned", factor_vae, vote),
        _dlib_metric("dlib.beta_vae", "beta_vae.compute_beta_vae_sklearn", votes),
        Theirs(
            "dlib.modularity", DLIB, "modularity_explicitness.modularity", {}, _dlib_of_information
        ),
        _dlib_metric("dlib.explicitness", explicitness, learned),
        _dlib_metric("dlib.irs", "irs.compute_irs", irs_rows),
        Theirs("dlib.irs_levels", DLIB, "irs.scalable_disentanglement_score", {}, _dlib_irs),
        _dlib_metric(
            "dlib.unsupervised", "unsupervised_metrics.unsupervised_metrics", {"num_train": ROWS}
        ),
    ]


def _dlib_module(name: str) -> Any:
    """Return a module of disentanglement_lib's metrics."""
    return importlib.import_module(f"disentanglement_lib.evaluation.metrics.{name}")


def _dlib_metric(name: str, function: str, parameters: dict[str, Any]) -> Theirs:
    """Return a metric of disentanglement_lib; a parameter with a dot is bound by gin."""
    import gin

    module, _, attribute = function.rpartition(".")
    compute = getattr(_dlib_module(module), attribute)
    arguments = {key: value for key, value in parameters.items() if "." not in key}

    def run(codes: Codes) -> dict[str, Any]:
        gin.bind_parameter("prune_dims.threshold", parameters.get("prune_dims.threshold", 0.0))
        deck = Deck(codes.mean)
        return compute(deck, deck.code, np.random.RandomState(SEED), **arguments)

    return Theirs(name, DLIB, function, parameters, run)


def _dlib_of_information(codes: Codes) -> dict[str, Any]:
    """Return modularity and MED, both from one matrix of mutual information."""
    utils, deck = _dlib_module("utils"), Deck(codes.mean)
    levels, rows = deck.sample(ROWS)
    discretised = utils.make_discretizer(deck.code(rows).T)
    information = utils.discrete_mutual_info(discretised, levels.T)
    entropy = utils.discrete_entropy(levels.T)
    # Cao et al. (2022) define MED as dlib's D of DCI on information over entropy. Their code is a
    # fork of dlib that is not on PyPI.
    return {
        "modularity": _dlib_module("modularity_explicitness").modularity(information),
        "med": _dlib_module("dci").disentanglement(information / entropy),
    }


def _dlib_irs(codes: Codes) -> dict[str, Any]:
    """Return IRS on the levels of the factors."""
    scores = _dlib_module("irs").scalable_disentanglement_score(factors().values, codes.mean)
    return {key: scores[key] for key in ("avg_score", "disentanglement_scores")}


def _dlib_dci(codes: Codes) -> dict[str, Any]:
    """Return DCI by gradient boosting."""
    np.random.seed(SEED)  # noqa: NPY002  its trees break ties by the global generator
    module, deck = _dlib_module("dci"), Deck(codes.mean)
    levels, rows = deck.sample(DCI_TRAIN + DCI_TEST)
    code, level = deck.code(rows).T, levels[:, DCI_FACTORS].T
    importance, _, accuracy = module.compute_importance_gbt(
        code[:, :DCI_TRAIN], level[:, :DCI_TRAIN], code[:, DCI_TRAIN:], level[:, DCI_TRAIN:]
    )
    return {
        "disentanglement": module.disentanglement(importance),
        "completeness": module.completeness(importance),
        "accuracy": accuracy,
        "importance": importance,
    }


def disent() -> list[Theirs]:
    """Return the metrics of N. Michlo's package.

    It rewrites disentanglement_lib in PyTorch: it checks our reading of that package, and is no
    independent second opinion.
    """
    _without_init("disent.dataset", DisentDataset=object)
    _without_init("disent.metrics")

    def metric_of(kind: str, parameters: dict[str, Any]) -> Theirs:
        metric = getattr(importlib.import_module(f"disent.metrics._{kind}"), f"metric_{kind}")

        def run(codes: Codes) -> dict[str, Any]:
            np.random.seed(SEED)  # noqa: NPY002  the package draws from the global generator
            deck = Deck(codes.mean)
            return metric(deck, deck.code, **parameters)

        return Theirs(f"disent.{kind}", "disent", f"metric_{kind}", parameters, run)

    return [
        metric_of("mig", {"num_train": ROWS}),
        metric_of("sap", {"num_train": TRAIN, "num_test": TEST}),
        metric_of("factor_vae", {"num_variance_estimate": ROWS}),
        metric_of("unsupervised", {"num_train": ROWS}),
    ]


def drvi() -> list[Theirs]:
    """Return the metrics of the Theis lab's package for single cells.

    They are written for one-hot targets, but a column may have any labels.
    """
    for name in ("drvi", "drvi.utils"):
        _without_init(name)
    module = importlib.import_module("drvi.utils.metrics")

    def run(codes: Codes) -> dict[str, Any]:
        shares = module.discrete_scaled_mutual_info_score(
            codes.mean, gt_one_hot=factors().values, n_bins=20
        )
        active = shares[codes.mean.var(axis=0) > 0.01]
        return {
            "gap": module.most_similar_gap_score(shares),
            # Transposed: the gap between the factors of each active latent.
            "gap_of_factors": module.most_similar_gap_score(active.T),
            "shares": shares,
        }

    function = "discrete_scaled_mutual_info_score, most_similar_gap_score"
    return [Theirs("drvi.gap", "drvi-py", function, {"n_bins": 20}, run)]


def latentverse() -> list[Theirs]:
    """Return the metrics of the Broad Institute's package.

    It computes information by nearest neighbours, and uses regressions for a factor with more than
    two levels.
    """
    for name in ("latentverse", "latentverse.evaluations"):
        _without_init(name)
    module = importlib.import_module("latentverse.evaluations.disentanglement")

    def run(codes: Codes) -> dict[str, Any]:
        levels, rows = Deck(codes.mean).sample(TRAIN)
        result = module.run_disentanglement(codes.mean[rows], levels, random_state=SEED)
        dci = result["metrics"].pop("DCI")
        return dci | result["metrics"] | {"information": result["plot_data"]["z"]}

    parameters = {"rows": TRAIN, "random_state": SEED}
    return [Theirs("latentverse", "latentverse", "run_disentanglement", parameters, run)]


PACKAGES: dict[str, Callable[[], list[Theirs]]] = {
    "disentanglement-lib": disentanglement_lib,
    "disent": disent,
    "drvi-py": drvi,
    "latentverse": latentverse,
}
"""The metrics of each package, by its name on PyPI."""
