"""Our scores beside those of packages that nobody here wrote, on the same codes.

    python -m venv others
    others/bin/pip install -c constraints.txt numpy scipy scikit-learn pandas torch \\
        tqdm six absl-py gin-config==0.4.0
    others/bin/pip install --no-deps disentanglement-lib==1.5 disent==0.8.0 \\
        drvi-py==0.2.8 latentverse==0.3.5
    PYTHONPATH=. others/bin/python benchmarks/compare_implementations.py [--record]

Prints a table, metrics by codes: our numbers and those of the packages that are installed. With
`--record` it writes their numbers, never ours, to tests/golden/foreign_scores.json.
tests/golden/test_foreign_scores.py compares ours with them, and docs/compared.md explains every
difference.
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
    """One of our scores, and those of their numbers that are compared with it."""

    title: str
    ours: Callable[[Codes], float]
    theirs: dict[str, str]  # name of their function in the record -> key of its number


def ours(
    name: str, detail: str = "", *, columns: tuple[int, ...] = (), **options: Any
) -> Callable[[Codes], float]:
    """Return a function from codes to one of our scores on the full grid, or a detail of it."""

    def run(codes: Codes) -> float:
        result = score(name, codes, factors(*columns), seed=SEED, reference=False, **options)
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
    Row(
        "MIG-sup, 20 bins",
        ours("mig_sup", estimator="histogram", min_variance=0.01),
        {"drvi.gap": "gap_of_factors"},
    ),
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


def json_value(value: Any) -> Any:
    """Return a value for JSON: numbers as float, NaN as null."""
    if isinstance(value, list | np.ndarray):
        return [json_value(item) for item in value]
    return None if np.isnan(value) else round(float(value), 12)


def run(theirs: Theirs) -> dict[str, Any]:
    """Return their numbers on all codes, or the error that they fail with."""
    values: dict[str, Any] = {}
    for name, code in codes().items():
        try:
            values[name] = {key: json_value(value) for key, value in theirs.run(code).items()}
        except Exception as error:  # any failure, for example with dead latents, is a result
            first_line = str(error).strip().splitlines()[0]
            values[name] = {"error": f"{type(error).__name__}: {first_line}"}
    return values


def print_table(record: dict[str, Any]) -> None:
    """Print the table in Markdown: ours in bold, theirs below."""
    names = tuple(record["codes"])
    print("| score |", " | ".join(names), "|")
    print("|---|" + "--:|" * len(names))
    for row in TABLE:
        our_numbers = [f"**{row.ours(code):.4f}** |" for code in codes().values()]
        print(f"| **{row.title}** |", *our_numbers)
        for source, key in row.theirs.items():
            if source in record["scores"]:
                values = record["scores"][source]["values"]
                print(f"| {source} |", *(f"{_number_text(values[name], key)} |" for name in names))


def _number_text(values: dict[str, Any], key: str) -> str:
    """Return one of their numbers as text."""
    if "error" in values:
        return "fails"
    if values[key] is None:
        return "NaN"
    return f"{abs(values[key]):.4f}"  # a negative number is a rounding error of 0


def new_record() -> dict[str, Any]:
    """Return the numbers of all installed packages, with versions and what was compared."""
    scores: dict[str, Any] = {}
    for package, metrics_of_package in PACKAGES.items():
        try:
            metrics = metrics_of_package()
        except ModuleNotFoundError as error:
            print(f"{package}: not installed ({error.name})")
            continue
        for metric in metrics:
            scores[metric.name] = {
                "package": package,
                "version": version(package),
                "function": metric.function,
                "parameters": metric.parameters,
                "values": run(metric),
            }
    libraries = {package: version(package) for package in ("numpy", "scipy", "scikit-learn")}
    return {
        "recorded": date.today().isoformat(),
        "versions": {"python": platform.python_version()} | libraries,
        "seed": SEED,
        "factors": dict(zip(NAMES, SIZES, strict=True)),
        "codes": {name: digest(code) for name, code in codes().items()},
        "scores": scores,
    }


def main() -> None:
    """Print the table; with `--record`, write their numbers to the file of the tests."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--record", action="store_true", help=f"write their numbers to {RECORD}")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # theirs: divisions by zero, old names of arguments
    logging.disable(logging.WARNING)
    record = new_record()
    print_table(record)
    if arguments.record:
        missing = set(PACKAGES) - {score["package"] for score in record["scores"].values()}
        if missing:
            sys.exit(f"nothing recorded: {', '.join(sorted(missing))} not installed")
        RECORD.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
