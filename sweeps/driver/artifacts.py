"""The artifacts of a trial: codes, weights and pictures, as bytes by file name."""

from __future__ import annotations

import io

import numpy as np

from vae_core import checkpoint
from vae_core.config import TrialConfig
from vae_core.evaluation import pictures
from vae_core.types import Data, EpochReport


def final_artifacts(config: TrialConfig, data: Data, report: EpochReport) -> dict[str, bytes]:
    """Return file name -> bytes of the artifacts of a trial's last report."""
    final = report.final
    assert final is not None
    kl = np.array([final.metrics[f"kl_latents/{j}"] for j in range(final.codes.mean.shape[1])])
    codes: dict[str, np.ndarray] = {
        "mean": final.codes.mean,
        "fingerprint": np.array(config.fingerprint),
    }
    if final.codes.logvar is not None:
        codes["logvar"] = final.codes.logvar
    if final.codes.discrete is not None:
        codes["discrete"] = final.codes.discrete
    if data.factors is not None:
        codes["factors"] = data.factors.values
        codes["factor_names"] = np.array(data.factors.names)
        codes["factor_sizes"] = np.array(data.factors.sizes)
        distribution = config.train.distribution(data.factors)
        if distribution is not None:  # so that later scores are under the same distribution
            codes["weights"] = distribution
    files = {
        "codes.npz": _npz(codes),
        "weights.pt": checkpoint.dump_weights(report.state),
        "traversal.png": pictures.traversal_png(final.traversal, kl),
        "traversal.gif": pictures.traversal_gif(final.traversal, kl),
        "reconstructions.png": pictures.reconstructions_png(final.images, final.reconstructions),
    }
    if report.state.best is not None:
        files["weights-best.pt"] = checkpoint.dump_weights(
            report.state._replace(weights=report.state.best.weights)
        )
    mig = final.scores.get("mig")
    if mig is not None and data.factors is not None:
        matrix = np.asarray(mig.details["mutual_information"])
        files["mutual_information.png"] = pictures.mutual_information_png(
            matrix, data.factors.names, kl
        )
    return files


def snapshot_artifacts(report: EpochReport) -> dict[str, bytes]:
    """Return a picture of originals above reconstructions if the report has a snapshot, else
    nothing.
    """
    if report.snapshot is None:
        return {}
    return {f"snapshot-{report.epoch:04d}.png": pictures.reconstructions_png(*report.snapshot)}


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()
