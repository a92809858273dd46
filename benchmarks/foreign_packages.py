"""Metrics of packages that nobody here wrote, as functions of codes; see compare_implementations.

Nothing of theirs is changed. Some import at their top what their metrics do not touch (TensorFlow, torchvision,
Lightning, scvi-tools, seaborn): `_without_init` loads the modules of the metrics alone, and `gin.tf` stands empty.
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

    name: str  # how the record and the tests call it
    package: str
    function: str
    parameters: dict[str, Any]
    run: Callable[[Codes], dict[str, Any]]


def _without_init(name: str, **names: Any) -> None:
    """Make a package importable without running its __init__, which imports what the metrics do not need."""
    head, _, _ = name.rpartition(".")
    paths = list(importlib.import_module(head).__path__) if head else None
    spec = importlib.machinery.PathFinder.find_spec(name, paths)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"no package {name}", name=name)
    package = types.ModuleType(name)
    package.__path__ = list(spec.submodule_search_locations)
    vars(package).update(names)
    sys.modules[name] = package


def disentanglement_lib() -> list[Theirs]:
    """Google's, of Locatello et al. (2019). Its parameters come from gin files; those of its study are bound here."""
    import gin

    sys.modules["gin.tf"] = gin.tf = types.ModuleType("gin.tf")
    where = "disentanglement_lib.evaluation.metrics."
    gin_defaults = [
        "discretizer.discretizer_fn = @histogram_discretizer",
        "discretizer.num_bins = 20",
    ]

    def call(name: str, function: str, parameters: dict[str, Any]) -> Theirs:
        module, _, attribute = function.rpartition(".")
        compute = getattr(importlib.import_module(where + module), attribute)

        def run(one: Codes) -> dict[str, Any]:
            gin.bind_parameter("prune_dims.threshold", parameters.get("prune_dims.threshold", 0.0))
            given = {key: value for key, value in parameters.items() if "." not in key}
            deck = Deck(one.mean)
            return compute(deck, deck.code, np.random.RandomState(SEED), **given)

        return Theirs(name, "disentanglement-lib", function, parameters, run)

    def of_information(one: Codes) -> dict[str, Any]:
        utils, deck = importlib.import_module(where + "utils"), Deck(one.mean)
        levels, rows = deck.sample(ROWS)
        information = utils.discrete_mutual_info(
            utils.make_discretizer(deck.code(rows).T), levels.T
        )
        return {
            "modularity": importlib.import_module(where + "modularity_explicitness").modularity(
                information
            ),
            # Cao et al. (2022) take dlib's D of DCI on information over entropy, in a fork that is not on PyPI.
            "med": importlib.import_module(where + "dci").disentanglement(
                information / utils.discrete_entropy(levels.T)
            ),
        }

    def irs(one: Codes) -> dict[str, Any]:
        found = importlib.import_module(where + "irs").scalable_disentanglement_score(
            factors().values, one.mean
        )
        return {key: found[key] for key in ("avg_score", "disentanglement_scores")}

    def dci(one: Codes) -> dict[str, Any]:
        np.random.seed(SEED)  # noqa: NPY002  its trees break ties by the global generator
        them, deck = importlib.import_module(where + "dci"), Deck(one.mean)
        levels, rows = deck.sample(DCI_TRAIN + DCI_TEST)
        code, level = deck.code(rows).T, levels[:, DCI_FACTORS].T
        parts = code[:, :DCI_TRAIN], level[:, :DCI_TRAIN], code[:, DCI_TRAIN:], level[:, DCI_TRAIN:]
        importance, _, accuracy = them.compute_importance_gbt(*parts)
        found = {
            "disentanglement": them.disentanglement(importance),
            "completeness": them.completeness(importance),
        }
        return found | {"accuracy": accuracy, "importance": importance}

    importlib.import_module(where + "utils")
    gin.parse_config(gin_defaults)
    learned = {"num_train": TRAIN, "num_test": TEST}
    votes = {"batch_size": 64, "num_train": 10_000, "num_eval": 5_000}
    all_rows = {"num_train": ROWS, "num_test": 1}
    vote, study = votes | {"num_variance_estimate": ROWS}, {"prune_dims.threshold": 0.05}
    dci_parameters = {
        "num_train": DCI_TRAIN,
        "num_test": DCI_TEST,
        "factors": [NAMES[k] for k in DCI_FACTORS],
    }
    return [
        call("dlib.mig", "mig.compute_mig", {"num_train": ROWS}),
        call("dlib.sap", "sap_score.compute_sap", learned | {"continuous_factors": False}),
        call(
            "dlib.sap_continuous", "sap_score.compute_sap", all_rows | {"continuous_factors": True}
        ),
        Theirs(
            "dlib.dci",
            "disentanglement-lib",
            "dci.compute_importance_gbt and others",
            dci_parameters,
            dci,
        ),
        call("dlib.factor_vae", "factor_vae.compute_factor_vae", vote | study),
        call("dlib.factor_vae_unpruned", "factor_vae.compute_factor_vae", vote),
        call("dlib.beta_vae", "beta_vae.compute_beta_vae_sklearn", votes),
        Theirs(
            "dlib.modularity",
            "disentanglement-lib",
            "modularity_explicitness.modularity",
            {},
            of_information,
        ),
        call(
            "dlib.explicitness", "modularity_explicitness.compute_modularity_explicitness", learned
        ),
        call("dlib.irs", "irs.compute_irs", {"num_train": ROWS, "batch_size": ROWS}),
        Theirs(
            "dlib.irs_levels", "disentanglement-lib", "irs.scalable_disentanglement_score", {}, irs
        ),
        call("dlib.unsupervised", "unsupervised_metrics.unsupervised_metrics", {"num_train": ROWS}),
    ]


def disent() -> list[Theirs]:
    """A rewrite of disentanglement_lib in PyTorch by N. Michlo: a check of our reading, not a second opinion."""
    _without_init("disent.dataset", DisentDataset=object)
    _without_init("disent.metrics")

    def call(kind: str, parameters: dict[str, Any]) -> Theirs:
        metric = getattr(importlib.import_module(f"disent.metrics._{kind}"), f"metric_{kind}")

        def run(one: Codes) -> dict[str, Any]:
            np.random.seed(SEED)  # noqa: NPY002  the package draws from the global generator
            deck = Deck(one.mean)
            return metric(deck, deck.code, **parameters)

        return Theirs(f"disent.{kind}", "disent", f"metric_{kind}", parameters, run)

    return [
        call("mig", {"num_train": ROWS}),
        call("sap", {"num_train": TRAIN, "num_test": TEST}),
        call("factor_vae", {"num_variance_estimate": ROWS}),
        call("unsupervised", {"num_train": ROWS}),
    ]


def drvi() -> list[Theirs]:
    """Of the Theis lab, for single cells: written for one-hot targets, but a column may be any labels."""
    for name in ("drvi", "drvi.utils"):
        _without_init(name)
    them = importlib.import_module("drvi.utils.metrics")

    def run(one: Codes) -> dict[str, Any]:
        shares = them.discrete_scaled_mutual_info_score(
            one.mean, gt_one_hot=factors().values, n_bins=20
        )
        moving = shares[
            one.mean.var(axis=0) > 0.01
        ]  # each latent's gap between factors: the other way round
        gaps = {
            "gap": them.most_similar_gap_score(shares),
            "gap_of_factors": them.most_similar_gap_score(moving.T),
        }
        return gaps | {"shares": shares}

    function = "discrete_scaled_mutual_info_score, most_similar_gap_score"
    return [Theirs("drvi.gap", "drvi-py", function, {"n_bins": 20}, run)]


def latentverse() -> list[Theirs]:
    """Of the Broad Institute: information by nearest neighbours, regressions where a factor has over two levels."""
    for name in ("latentverse", "latentverse.evaluations"):
        _without_init(name)
    them = importlib.import_module("latentverse.evaluations.disentanglement")

    def run(one: Codes) -> dict[str, Any]:
        levels, rows = Deck(one.mean).sample(TRAIN)
        found = them.run_disentanglement(one.mean[rows], levels, random_state=SEED)
        return (
            found["metrics"].pop("DCI")
            | found["metrics"]
            | {"information": found["plot_data"]["z"]}
        )

    parameters = {"rows": TRAIN, "random_state": SEED}
    return [Theirs("latentverse", "latentverse", "run_disentanglement", parameters, run)]


PACKAGES: dict[str, Callable[[], list[Theirs]]] = {
    "disentanglement-lib": disentanglement_lib,
    "disent": disent,
    "drvi-py": drvi,
    "latentverse": latentverse,
}
