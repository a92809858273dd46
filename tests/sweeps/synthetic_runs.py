"""Runs that look like a small dSprites sweep, made of formulas: no training, no ledger."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from sweeps.results.run_table import Runs
from vae_core.epoch_metrics import EPOCH_METRICS
from vae_core.evaluation.pictures import reconstructions_png
from vae_core.objectives import OBJECTIVES

BETAS = (1.0, 2.0, 4.0, 8.0, 16.0)
CREATED = 1_750_000_000.0
CAPACITIES = ("capacity_vae", "factor_bottleneck")
FACTORS = ("pos_x", "pos_y", "scale", "shape")


class _Trial(NamedTuple):
    """One trial of a synthetic sweep."""

    number: int
    objective: str
    strength: float | None
    rate: float
    seed: int
    state: str
    last: int  # epoch of its last report

    @property
    def hash(self) -> str:
        return f"{self.number:016x}"


def synthetic(
    workspace: Path = Path("results"),
    *,
    objectives: Sequence[str] = ("beta_vae", "beta_tcvae"),
    strengths: Sequence[float | None] = BETAS,
    rates: Sequence[float] = (1e-3, 1e-4),
    seeds: int = 2,
    epochs: int = 6,
    factors: bool = True,
    prune: bool = True,
    failed: Sequence[int] = (5,),
    collapsed: Sequence[int] = (),
    stopped: Sequence[int] = (),
    best: str | None = None,
    pictures: bool = False,
    seed: int = 0,
) -> Runs:
    """Return the runs of objectives × strengths × rates × seeds; seeds of a cell are consecutive.

    Args:
        workspace: the folder that the runs name; nothing is written to it without `pictures`.
        objectives: names; "vae" takes no strength (give `strengths=(None,)`).
        strengths: the values of beta; None for an objective without a strength.
        rates: learning rates; the cells of all rates but the first are pruned half-way.
        seeds: per cell.
        epochs: of a complete trial.
        factors: False leaves out every column of MIG.
        prune: whether the rung at half the trial prunes.
        failed: numbers of the trials that fail in their first epoch.
        collapsed: numbers of the trials that end without an active unit.
        stopped: numbers of the collapsed trials that `pruning.stop_collapsed` ended half-way.
        best: the metric that selects the weights of the best epoch.
        pictures: write a `traversal.png` for every COMPLETE trial, and snapshots where the
            objective has a capacity.
        seed: of the noise between trials.
    """
    rng = np.random.default_rng(seed)
    half = max(epochs // 2, 1)
    rows: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    cells = itertools.product(objectives, strengths, enumerate(rates), range(seeds))
    for number, (objective, strength, (rate_index, rate), repeat) in enumerate(cells):
        state, last = "COMPLETE", epochs
        if number in failed:
            state, last = "FAILED", 1
        elif number in stopped or (prune and rate_index > 0):
            state, last = "PRUNED", half
        trial = _Trial(number, objective, strength, rate, repeat, state, last)
        luck = rng.normal(size=3)
        reports = [
            _metrics(objective, strength, rate_index, epoch / epochs, luck=luck, factors=factors)
            for epoch in range(1, last + 1)
        ]
        if number in collapsed:
            reports[-1]["active_units"] = 0.0
        for epoch, metrics in enumerate(reports, 1):
            capacity = _capacity(objective, strength, epoch / epochs, factors=factors)
            curves.append(_curve_row(trial.hash, number, epoch, metrics | capacity))

        artifacts = workspace / "artifacts" / trial.hash
        why = f"collapsed (epoch {last})" if number in stopped else _why(state, reports[-1])
        row = {
            **_trial_columns(trial),
            "why": why,
            "epochs": epochs,
            "collapsed": number in collapsed,
            "rungs": json.dumps([half] if prune else []),
            "artifacts": str(artifacts),
            "train.epochs": epochs,
            **reports[-1],
        }
        if state == "COMPLETE":
            row |= _final(reports[-1], factors=factors)
        if state == "COMPLETE" and best:
            row |= _best(reports[-1], last)
        rows.append(row)
        if pictures and state == "COMPLETE":
            _write_pictures(artifacts, objective, number, epochs)
    spec = _spec(
        objectives,
        strengths,
        rates,
        seeds=seeds,
        epochs=epochs,
        factors=factors,
        prune=prune,
        best=best,
    )
    return Runs(
        name="quickstart",
        workspace=workspace,
        spec=spec,
        created=CREATED,
        table=pd.DataFrame(rows),
        curves=pd.DataFrame(curves),
    )


def _trial_columns(trial: _Trial) -> dict[str, Any]:
    """Return the columns of the run table that follow from the trial alone."""
    objective, strength = trial.objective, trial.strength
    bracket = objective if strength is None else f"{objective} beta={strength:g}"
    bracket_fields = [] if strength is None else [["beta", f"{strength:g}"]]
    return {
        "trial": trial.hash,
        "number": trial.number,
        "cell": f"{bracket} learning_rate={trial.rate:g}",
        "bracket": bracket,
        "entry": objective,
        "bracket_fields": json.dumps(bracket_fields),
        "objective": objective,
        "strength_name": "" if strength is None else OBJECTIVES[objective].strength,
        "strength": math.nan if strength is None else strength,
        "seed": trial.seed,
        "state": trial.state,
        "epoch": trial.last,
        "attempts": 4 if trial.state == "FAILED" else 1,
        "seconds": 21.5 * trial.last,
        "reused_from": "",
        "objective.beta": math.nan if strength is None else strength,
        "objective.estimator": "mws" if objective == "beta_tcvae" else None,
        "network.name": "mlp",
        "network.hidden": [256, 256],
        "network.latents": 6,
        "train.batch_size": 128,
        "train.learning_rate": trial.rate,
    }


def _metrics(
    objective: str,
    strength: float | None,
    rate_index: int,
    progress: float,
    *,
    luck: np.ndarray,
    factors: bool,
) -> dict[str, float]:
    """Return the metrics at a share of the trial; `luck` is the noise of the trial."""
    log_beta = math.log2(strength or 1.0)
    learnt = 1 - math.exp(-3.5 * progress * (1.0, 0.35)[min(rate_index, 1)])
    spares_information = objective == "beta_tcvae"
    destroyed = (3.0 if spares_information else 7.5) * max(log_beta, 0.0) ** 1.35
    reconstruction = 18 + destroyed + 120 * (1 - learnt) + 0.9 * luck[0]
    tc = (
        2.4 * learnt * math.exp(-(0.75 if spares_information else 0.45) * log_beta + 0.12 * luck[1])
    )
    mi = max(9.5 - destroyed / 6, 0.4) * learnt
    dimwise = 0.8 * mi
    hill = math.exp(-(((log_beta - 2.2) / 1.7) ** 2))
    mig = max((0.30 if spares_information else 0.17) * learnt * hill + 0.03 * luck[2] + 0.03, 0.0)
    values = {
        "reconstruction": reconstruction,
        "kl": mi + tc + dimwise,
        "elbo": -(reconstruction + mi + tc + dimwise),
        "mi": mi,
        "tc": tc,
        "dimwise_kl": dimwise,
        "active_units": float(max(6 - round(log_beta / (1.6 if spares_information else 1.1)), 2)),
    }
    return values | ({"mig": mig} if factors else {})


def _capacity(
    objective: str, strength: float | None, progress: float, *, factors: bool
) -> dict[str, float]:
    """Return C and the shares of latents and factors in it; {} for an objective without capacity.

    C grows over the first half of a trial.
    """
    if objective not in CAPACITIES or strength is None:
        return {}
    c = strength * min(1.0, 2 * progress)
    shares = {name: max(c - late, 0.0) for late, name in enumerate(FACTORS)}
    total = sum(shares.values()) or 1.0
    kl = {name: c * share / total for name, share in shares.items()}
    latents = [
        kl["pos_x"],
        kl["pos_y"],
        0.7 * kl["scale"],
        kl["shape"] + 0.3 * kl["scale"],
        0.0,
        0.002,
    ]
    values = {"capacity": c} | {f"kl_latents/{j}": value for j, value in enumerate(latents)}
    if factors:
        values |= {f"kl_factors/{name}": value for name, value in kl.items()}
        values |= {f"kl_factors_shuffled/{name}": 0.1 * value for name, value in kl.items()}
    return values


def _best(last: Mapping[str, float], epochs: int) -> dict[str, float]:
    """Return numbers of the whole set at the best epoch: the last but one, a little better."""
    return {"best/epoch": float(max(epochs - 1, 1))} | {
        f"best/{key}": value * 1.02 for key, value in last.items()
    }


def _final(last: Mapping[str, float], *, factors: bool) -> dict[str, float]:
    """Return numbers of the whole set at the end of a trial, near those of the subset."""
    values = {f"final/{key}": value * 1.01 for key, value in last.items() if key != "active_units"}
    values["final/active_units"] = last["active_units"]
    for key, metric in EPOCH_METRICS.items():  # as if nothing was sampled: errors over seeds only
        if not metric.exact:
            values[f"final/{key}_error"] = 0.0
    if factors:
        values |= {"final/mig_chance": 0.004, "final/mig_ceiling": 0.98}
        values |= {"final/factor_vae": 0.4 + last["mig"], "final/factor_vae_chance": 0.33}
        values |= {"final/factor_vae_ceiling": 1.0}
    return values


def _curve_row(trial: str, number: int, epoch: int, values: Mapping[str, float]) -> dict[str, Any]:
    return {
        "trial": trial,
        "number": number,
        "epoch": epoch,
        "step": epoch * 360,
        "at": CREATED + 100 * number + 20 * epoch,
        "images": epoch * 46_080,
        "seconds": 21.5,
        **values,
        "train/reconstruction": values["reconstruction"] * 1.02,
    }


def _why(state: str, last: Mapping[str, float]) -> str:
    """Return why a trial ended, as a sentence."""
    if state == "PRUNED":
        mig = last.get("mig", math.nan)
        return f"asha: mean mig {mig:.3f} at epoch 3 is not among the best 1 of 2 cells"
    if state == "FAILED":
        return "ValueError: loss is not finite at step 212 <after 4 attempts>"
    return ""


def _spec(
    objectives: Sequence[str],
    strengths: Sequence[float | None],
    rates: Sequence[float],
    *,
    seeds: int,
    epochs: int,
    factors: bool,
    prune: bool,
    best: str | None,
) -> dict[str, Any]:
    """Return the spec of the runs, as `SweepSpec.to_dict` does."""
    betas = [strength for strength in strengths if strength is not None]
    rung = {"name": "asha", "metric": "mig", "rungs": [0.5], "reduction": 2}
    return {
        "name": "quickstart",
        "data": {"name": "dsprites", "resolution": 32, "stride": {"scale": 2, "orientation": 4}},
        "network": {"name": "mlp", "hidden": [256, 256], "latents": 6},
        "train": {"epochs": epochs, "batch_size": 128, "learning_rate": {"grid": list(rates)}},
        "objectives": [
            {"name": name} | ({"beta": {"grid": betas}} if betas else {}) for name in objectives
        ],
        "seeds": list(range(seeds)),
        "search": {"name": "grid"},
        "goal": {"metric": "mig", "mode": "max"} if factors else {"metric": "elbo", "mode": "max"},
        "tradeoff": {"by": ["beta"] if betas else []},
        "pruning": rung if prune else "none",
        "evaluation": {
            "images": 4096,
            "samples": 512,
            "seed": 0,
            "final": ["mig"] if factors else [],
            "best": best,
        },
    }


def _write_pictures(artifacts: Path, objective: str, number: int, epochs: int) -> None:
    """Write the traversal of a trial and, for an objective with a capacity, its snapshots."""
    _write_traversal(artifacts / "traversal.png", seed=number)
    if objective in CAPACITIES:
        for epoch in range(1, epochs + 1):
            _write_snapshot(artifacts / f"snapshot-{epoch:04d}.png", epoch / epochs)


def _write_traversal(path: Path, *, seed: int) -> None:
    """Write six rows of ten tiles, each with a square that moves, grows or fades."""
    rng = np.random.default_rng(seed)
    tiles = np.zeros((6, 10, 32, 32), np.uint8)
    for row in range(6):
        for column in range(10):
            x, y = rng.integers(4, 14, size=2)
            if row % 2:
                x = 4 + 2 * column
            else:
                y = 4 + 2 * column
            tiles[row, column, y : y + 6 + row, x : x + 6 + row] = 255 - 20 * row
    sheet = tiles.transpose(0, 2, 1, 3).reshape(6 * 32, 10 * 32)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(path)


def _write_snapshot(path: Path, progress: float) -> None:
    """Write eight squares above their reconstructions, which sharpen with the progress."""
    rows, columns = np.mgrid[:32, :32]
    squares = []
    for k in range(8):
        x, y = 8 + 2 * k, 22 - 2 * k
        squares.append((abs(rows - y) < 5) & (abs(columns - x) < 5))
    images = np.array(squares, np.float32)[:, None]
    reconstructions = progress * images + (1 - progress) * images.mean(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(reconstructions_png(images, reconstructions))
