"""Our scores beside those of packages that nobody here wrote, on the same codes.

    python -m venv others
    others/bin/pip install -c constraints.txt numpy scipy scikit-learn pandas torch tqdm six absl-py gin-config==0.4.0
    others/bin/pip install --no-deps disentanglement-lib==1.5 disent==0.8.0 drvi-py==0.2.8 latentverse==0.3.5
    PYTHONPATH=. others/bin/python benchmarks/compare_implementations.py [--record]

Prints a table, metrics by codes: our numbers and those of the packages that are installed. With `--record` theirs,
never ours, go to tests/golden/foreign_scores.json; tests/golden/test_foreign_scores.py holds ours against them, and
docs/compared.md explains every difference.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from metrics import Codes, score

_GOLDEN = Path(__file__).parents[1] / "tests" / "golden"
sys.path.insert(0, str(_GOLDEN))

from compared_codes import (  # noqa: E402
    DCI_FACTORS,
    DCI_TEST,
    DCI_TRAIN,
    NAMES,
    SEED,
    SIZES,
    TEST,
    TRAIN,
    codes,
    digest,
    factors,
)
from foreign_packages import PACKAGES, Theirs  # noqa: E402

RECORD = _GOLDEN / "foreign_scores.json"


@dataclass(frozen=True)
class Row:
    """One of our scores, and which of their numbers stand beside it."""

    title: str
    ours: Callable[[Codes], float]
    theirs: dict[str, str]


def ours(
    name: str, detail: str = "", *, columns: tuple[int, ...] = (), **options: Any
) -> Callable[[Codes], float]:
    """A score of ours on the whole grid, or one of its details."""

    def run(one: Codes) -> float:
        result = score(name, one, factors(*columns), seed=SEED, reference=False, **options)
        return float(result.details[detail] if detail else result.value)

    return run


_ROWS_FOR = {"train_rows": TRAIN, "test_rows": TEST}
_DCI = {
    "model": "published",
    "train_rows": DCI_TRAIN,
    "test_rows": DCI_TEST,
    "trees": 100,
    "min_leaf": 1,
}
_AS_THEIRS = {"classifier": "multinomial", "scaled": False}

TABLE = (
    Row(
        "MIG, 20 bins",
        ours("mig_hist20"),
        {
            "dlib.mig": "discrete_mig",
            "disent.mig": "mig.discrete_score",
            "drvi.gap": "gap",
            "latentverse": "MIG",
        },
    ),
    Row("MIG-sup, 20 bins", ours("mig_sup", estimator="histogram"), {"drvi.gap": "gap_of_factors"}),
    Row("MED, 20 bins", ours("med", estimator="histogram"), {"dlib.modularity": "med"}),
    Row(
        "SAP, classifiers",
        ours("sap", protocol="dlib", **_ROWS_FOR),
        {"dlib.sap": "SAP_score", "disent.sap": "sap.score"},
    ),
    Row("SAP, R²", ours("sap"), {"dlib.sap_continuous": "SAP_score", "latentverse": "SAP"}),
    Row(
        "D of DCI, gradient boosting",
        ours("dci", columns=DCI_FACTORS, **_DCI),
        {"dlib.dci": "disentanglement", "latentverse": "Disentanglement"},
    ),
    Row(
        "C of DCI, gradient boosting",
        ours("dci", "completeness", columns=DCI_FACTORS, **_DCI),
        {"dlib.dci": "completeness", "latentverse": "Completeness"},
    ),
    Row(
        "FactorVAE vote",
        ours("factor_vae"),
        {
            "dlib.factor_vae": "eval_accuracy",
            "dlib.factor_vae_unpruned": "eval_accuracy",
            "disent.factor_vae": "factor_vae.eval_accuracy",
        },
    ),
    Row("beta-VAE score", ours("beta_vae"), {}),
    Row(
        "beta-VAE score, raw features",
        ours("beta_vae", standardise=False, min_std=0.0),
        {"dlib.beta_vae": "eval_accuracy"},
    ),
    Row("modularity, active latents", ours("modularity"), {}),
    Row(
        "modularity, all latents", ours("modularity", over="all"), {"dlib.modularity": "modularity"}
    ),
    Row(
        "explicitness, multinomial AUC",
        ours("explicitness", **_AS_THEIRS, **_ROWS_FOR),
        {"dlib.explicitness": "explicitness_score_test"},
    ),
    Row("IRS", ours("irs"), {"dlib.irs_levels": "avg_score", "dlib.irs": "IRS"}),
    Row(
        "Gaussian TC of means",
        ours("gaussian_tc", "means"),
        {
            "dlib.unsupervised": "gaussian_total_correlation",
            "disent.unsupervised": "unsup.gauss_total_corr",
            "latentverse": "TC",
        },
    ),
)


def plain(value: Any) -> Any:
    """As JSON takes it: numbers as float, NaN as null."""
    if isinstance(value, list | np.ndarray):
        return [plain(each) for each in value]
    return None if np.isnan(value) else round(float(value), 12)


def run(theirs: Theirs) -> dict[str, Any]:
    """Their numbers on every code, or what they failed with."""
    found: dict[str, Any] = {}
    for name, one in codes().items():
        try:
            found[name] = {key: plain(value) for key, value in theirs.run(one).items()}
        except (
            Exception
        ) as error:  # what a package does with dead latents is a finding, whatever it is
            found[name] = {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"}
    return found


def print_table(record: dict[str, Any]) -> None:
    """In Markdown: ours in bold, theirs below."""
    names = tuple(record["codes"])
    print("| score |", " | ".join(names), "|")
    print("|---|" + "--:|" * len(names))
    for row in TABLE:
        print(f"| **{row.title}** |", *(f"**{row.ours(one):.4f}** |" for one in codes().values()))
        for source, key in row.theirs.items():
            if source in record["scores"]:
                found = record["scores"][source]["values"]
                print(f"| {source} |", *(f"{_words(found[name], key)} |" for name in names))


def _words(found: dict[str, Any], key: str) -> str:
    if "error" in found:
        return "fails"
    return (
        "NaN" if found[key] is None else f"{abs(found[key]):.4f}"
    )  # none is negative but for rounding


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--record", action="store_true", help=f"write their numbers to {RECORD}")
    record_them = arguments.parse_args().record
    warnings.simplefilter("ignore")  # theirs: divisions by zero, old names of arguments
    logging.disable(logging.WARNING)
    record: dict[str, Any] = {
        "recorded": date.today().isoformat(),
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in ("numpy", "scipy", "scikit-learn")},
        "seed": SEED,
        "factors": dict(zip(NAMES, SIZES, strict=True)),
        "codes": {name: digest(one) for name, one in codes().items()},
        "scores": {},
    }
    for package, functions in PACKAGES.items():
        try:
            found = functions()
        except ModuleNotFoundError as error:
            print(f"{package}: not here ({error.name})")
            continue
        for one in found:
            about = {"package": package, "version": version(package), "function": one.function}
            record["scores"][one.name] = about | {"parameters": one.parameters, "values": run(one)}
    print_table(record)
    if record_them:
        missing = set(PACKAGES) - {about["package"] for about in record["scores"].values()}
        if missing:
            sys.exit(f"nothing recorded: {', '.join(sorted(missing))} not installed")
        RECORD.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
