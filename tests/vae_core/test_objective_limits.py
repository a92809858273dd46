"""Closed forms and limits of single objectives; tests/conformance has the tests of all of them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from objective_cases import make
from torch import Tensor

import metrics
import vae_core
from vae_core import (
    DIPVAEI,
    DIPVAEII,
    BetaVAE,
    ConditionalVAE,
    ControlVAE,
    Data,
    EvaluationConfig,
    FactorBottleneck,
    InfoVAE,
    JointVAE,
    TrainConfig,
    TrialConfig,
)
from vae_core.objectives import AbstractObjective
from vae_core.objectives.dip_vae import covariance
from vae_core.objectives.info_vae import mmd


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


# ---- DIP-VAE


def numpy_dip(
    mean: Tensor, logvar: Tensor, lambda_od: float, lambda_d: float, *, second: bool
) -> float:
    """Return the penalty of DIP-VAE I, or II if `second`, computed by numpy."""
    cov = np.cov(mean.detach().numpy(), rowvar=False, bias=True)
    if second:
        cov = cov + np.diag(np.exp(logvar.detach().numpy()).mean(axis=0))
    off = cov - np.diag(np.diag(cov))
    return lambda_od * (off**2).sum() + lambda_d * ((np.diag(cov) - 1) ** 2).sum()


@pytest.mark.parametrize(("cls", "second"), [(DIPVAEI, False), (DIPVAEII, True)])
def test_dip_is_the_distance_of_numpy_s_covariance_from_the_identity(
    cls: type[DIPVAEI], second: bool
) -> None:
    objective = cls(lambda_od=3.0, lambda_ratio=2.5)
    case = make(objective)
    mean, logvar, _ = case.nets.encode(case.batch)
    terms = objective.terms(*case)
    wanted = numpy_dip(mean, logvar, 3.0, 7.5, second=second)
    assert (terms.penalty - terms.parts["kl"]).item() == pytest.approx(wanted, rel=1e-10)


def test_a_diagonal_of_the_variances_would_be_noticed() -> None:
    """Negative control: `diag` of (B, d) variances gives d numbers, added to every row."""
    case = make(DIPVAEII())
    mean, logvar, _ = case.nets.encode(case.batch)
    published = covariance(mean) + torch.diag(logvar.exp())
    ours = covariance(mean) + torch.diag_embed(logvar.exp().mean(0))
    truth = np.cov(mean.detach().numpy(), rowvar=False, bias=True) + np.diag(
        logvar.exp().mean(0).detach().numpy()
    )
    np.testing.assert_allclose(ours.detach().numpy(), truth, rtol=1e-10)
    assert np.abs(published.detach().numpy() - truth).max() > 0.1


# ---- InfoVAE


def gaussian_mmd(variance: float, shift: float, d: int, h: float) -> float:
    """Return MMD² of N((shift, 0, …), v·I) from N(0, I), k(a, b) = exp(−|a − b|²/(2h)), exactly.

    E k(a, b) for a − b ~ N(m, w·I) is (h/(h + w))^{d/2}·exp(−|m|²/(2(h + w))).
    """

    def expected(w: float, m: float) -> float:
        return (h / (h + w)) ** (d / 2) * math.exp(-(m**2) / (2 * (h + w)))

    return expected(2 * variance, 0.0) - 2 * expected(variance + 1, shift) + expected(2.0, 0.0)


@pytest.mark.parametrize(("variance", "shift"), [(1.0, 0.0), (0.25, 0.0), (1.0, 1.5), (2.0, 0.5)])
def test_mmd_of_a_gaussian(variance: float, shift: float) -> None:
    z = (
        torch.randn(4000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        * variance**0.5
    )
    z[:, 0] += shift
    # Four sd: over seeds the sd of the estimate at 4,000 rows is below 6e-4, or .005 with a shift.
    tolerance = 0.02 if shift else 2.5e-3
    assert mmd(z, 3.0).item() == pytest.approx(gaussian_mmd(variance, shift, 3, 3.0), abs=tolerance)


def test_mmd_is_unbiased_on_small_batches() -> None:
    """For the prior the mean over batches is 0; with the pairs i = j it would be about 1/B."""
    z = torch.randn(3000, 8, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    values = torch.stack([mmd(batch, 3.0) for batch in z])
    assert abs(values.mean()) < 4 * values.std() / math.sqrt(3000)
    assert 4 * values.std() / math.sqrt(3000) < 0.25 / 8


def test_info_vae_weighs_kl_and_mmd() -> None:
    objective = InfoVAE(alpha=0.3, lambda_mmd=10.0, bandwidth=2.0)
    case = make(objective)
    terms = objective.terms(*case)
    mean, logvar, _ = case.nets.encode(case.batch)
    z = mean + (0.5 * logvar).exp() * case.noise.posterior
    torch.testing.assert_close(terms.penalty, 0.7 * terms.parts["kl"] + 9.3 * mmd(z, 2.0 * 3))


# ---- JointVAE


def test_discrete_capacity_is_limited_by_the_number_of_categories() -> None:
    """It is at most ln 3 + ln 2 = ln 6; the continuous capacity is not limited."""
    objective = JointVAE(categories=(3, 2), c_z=5.0, c_c=40.0, annealing=0)
    parts = objective.terms(*make(objective)).parts
    torch.testing.assert_close(parts["capacity_discrete"], double(math.log(6))[0])
    torch.testing.assert_close(parts["capacity"], double(5.0)[0])


def test_joint_penalty_is_two_distances() -> None:
    objective = JointVAE(gamma_z=2.0, gamma_c=30.0, c_z=5.0, c_c=0.5, annealing=0)
    terms = objective.terms(*make(objective))
    wanted = 2 * (terms.parts["kl"] - 5).abs() + 30 * (terms.parts["kl_discrete"] - 0.5).abs()
    torch.testing.assert_close(terms.penalty, wanted)


# ---- ControlVAE


def beta(objective: ControlVAE, memory: float) -> tuple[float, float, float]:
    """Return β, the returned memory and the error C − KL of one step."""
    case = make(objective, step=9)
    case = case._replace(ctx=case.ctx._replace(memory=double(memory)))
    terms = objective.terms(*case)
    return (
        terms.parts["beta"].item(),
        terms.memory.item(),
        (terms.parts["capacity"] - terms.parts["kl"]).item(),
    )


def test_controller_is_the_paper_s_formula_inside_its_bounds() -> None:
    objective = ControlVAE(
        set_point=0.2, proportional=0.5, integral=0.1, beta_min=0.5, beta_max=50.0
    )
    value, memory, error = beta(objective, 3.0)
    assert memory == pytest.approx(3.0 - 0.1 * error)
    assert value == pytest.approx(0.5 / (1 + math.exp(error)) + memory + 0.5)


def test_controller_stays_within_its_bounds_and_comes_back() -> None:
    """After any time with a KL below its set-point, the integral can grow when the KL is above."""
    objective = ControlVAE(
        set_point=1e6, integral=0.1, proportional=0.0, beta_min=1.0, beta_max=8.0
    )
    assert beta(objective, 0.0)[:2] == (1.0, 0.0)
    high = ControlVAE(
        set_point=0.0,
        set_point_start=0.0,
        integral=1e6,
        proportional=0.0,
        beta_min=1.0,
        beta_max=8.0,
    )
    assert beta(high, 0.0)[:2] == (8.0, 7.0)
    with pytest.raises(
        ValueError, match=r"beta_min must be <= beta_max, got beta_min=3\.0 and beta_max=2\.0"
    ):
        ControlVAE(beta_min=3.0, beta_max=2.0)


# ---- wiring


def trained(
    config: TrialConfig, data: Data, objective: AbstractObjective, epochs: int
) -> vae_core.Final:
    """Return the final evaluation of an objective after some epochs."""
    train = TrainConfig(epochs=epochs, batch_size=16, learning_rate=3e-3)
    evaluation = EvaluationConfig(images=96, samples=16, final=("mig",))
    *_, report = vae_core.train(
        replace(config, objective=objective, train=train, evaluation=evaluation), data
    )
    assert report.final is not None
    return report.final


@pytest.mark.parametrize("reads_label", ["decoder", "both"])
def test_codes_of_a_conditional_vae_lose_the_factor_of_the_label(
    config: TrialConfig, data: Data, reads_label: str
) -> None:
    """With the row (16 levels, most of the image) as label, the codes have less information on it.

    The comparison is with the same VAE without a label.
    """

    def row_information(objective: AbstractObjective) -> float:
        codes = trained(config, data, objective, 200).codes
        mig = metrics.score("mig", codes, data.factors, reference=False)
        return mig.details["mutual_information"][:, 0].max()

    objective = ConditionalVAE(
        label=("row",),
        reads_label=reads_label,  # type: ignore[arg-type]
        beta=1.0,
    )
    assert row_information(objective) < 0.25 * row_information(BetaVAE(1.0))


def test_closed_bottleneck_decodes_the_mean_image(config: TrialConfig, data: Data) -> None:
    """At C = 0 and large γ no factor is coded; a Bernoulli's best constant image is the mean."""
    objective = FactorBottleneck(gamma=1000.0, c_max=0.0, hidden=(16,))
    final = trained(config, data, objective, 150)
    assert final.metrics["kl"] < 0.01
    mean = data.images.mean(axis=0).reshape(1, 16, 16)
    assert np.abs(final.reconstructions - mean).max() < 0.1
    assert np.abs(final.reconstructions - final.reconstructions[:1]).max() < 0.02


def test_bottleneck_reads_factors_and_no_image() -> None:
    objective = FactorBottleneck()
    case = make(objective)
    other = case._replace(batch=case.batch._replace(images=1 - case.batch.images))
    assert torch.equal(case.nets.encode(case.batch).mean, other.nets.encode(other.batch).mean)
