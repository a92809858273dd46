"""Every weighted objective reduces to a simpler one, in value and in gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import pytest
import torch
from objective_cases import make
from torch import Tensor

from metrics import gaussian
from vae_core import VAE, BetaTCVAE, BetaVAE, CapacityVAE
from vae_core.networks import Networks
from vae_core.objectives import AbstractObjective
from vae_core.objectives.capacity_vae import distance
from vae_core.objectives.forward import autoencode
from vae_core.types import Batch, Context, Noise, Terms

Estimator = Literal["mws", "mss", "mss-symmetric", "mss-published"]
ESTIMATORS: tuple[Estimator, ...] = ("mws", "mss", "mss-symmetric", "mss-published")
N, D = 50, 3
every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS)


@dataclass(frozen=True)
class SampledVAE:
    """The VAE with the KL log q(z|x) − log p(z) of the decoded sample."""

    def terms(self, nets: Networks, batch: Batch, noise: Noise, ctx: Context) -> Terms:
        (mean, logvar, _), z, reconstruction, _ = autoencode(nets, batch, noise)
        zero = torch.zeros_like(z)
        log_ratio = gaussian.log_density(z, mean, logvar) - gaussian.log_density(z, zero, zero)
        return Terms(reconstruction, log_ratio.sum(1).mean(), {}, {})


@dataclass(frozen=True)
class TwiceWeighted:
    """The published mistake β·KL + (β−1)·TC: β multiplies the KL and total correlation again."""

    beta: float

    def terms(self, nets: Networks, batch: Batch, noise: Noise, ctx: Context) -> Terms:
        reconstruction, _, parts, _, _ = BetaTCVAE(beta=self.beta).terms(nets, batch, noise, ctx)
        penalty = self.beta * parts["kl"] + (self.beta - 1) * parts["tc"]
        return Terms(reconstruction, penalty, parts, {})


Objective = AbstractObjective | SampledVAE | TwiceWeighted


def value_and_gradient(objective: Objective, n_data: int = N) -> tuple[Tensor, Tensor]:
    """Return the loss and its gradient in all weights (one vector) on a fixed batch, in float64."""
    nets, batch, noise, _ = make(VAE(), seed=7)
    terms = objective.terms(nets, batch, noise, Context(0, 1, n_data))
    loss = terms.reconstruction + terms.penalty
    gradients = torch.autograd.grad(loss, nets.players()["vae"])
    return loss.detach(), torch.cat([g.flatten() for g in gradients])


def assert_equal(left: Objective, right: Objective) -> None:
    for a, b in zip(value_and_gradient(left), value_and_gradient(right), strict=True):
        # float64, sums of a few hundred terms
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-13)


@every_estimator
def test_sampled_with_weights_one_is_the_vae_with_the_sampled_kl(estimator: Estimator) -> None:
    neutral = BetaTCVAE(alpha=1.0, beta=1.0, gamma=1.0, estimator=estimator, kl="sampled")
    assert_equal(neutral, SampledVAE())


@every_estimator
def test_closed_with_weights_one_is_the_vae(estimator: Estimator) -> None:
    assert_equal(BetaTCVAE(alpha=1.0, beta=1.0, gamma=1.0, estimator=estimator), VAE())


def test_beta_vae_at_one_is_the_vae() -> None:
    assert_equal(BetaVAE(1.0), VAE())


@every_estimator
def test_parts_telescope_to_the_sampled_kl(estimator: Estimator) -> None:
    """α = β = γ = b is the β-VAE on the sampled KL: L = reconstruction + b·(MI + TC + DW)."""
    three = BetaTCVAE(alpha=3.0, beta=3.0, gamma=3.0, estimator=estimator, kl="sampled")
    loss, gradient = value_and_gradient(three)
    one, one_gradient = value_and_gradient(SampledVAE())
    zero, zero_gradient = value_and_gradient(BetaVAE(0.0))
    torch.testing.assert_close(loss, zero + 3 * (one - zero), rtol=1e-12, atol=0)
    expected = zero_gradient + 3 * (one_gradient - zero_gradient)
    torch.testing.assert_close(gradient, expected, rtol=1e-11, atol=1e-13)


@every_estimator
@pytest.mark.parametrize("beta", [0.0, 2.5, 8.0])
def test_beta_multiplies_total_correlation_only(estimator: Estimator, beta: float) -> None:
    """L(β) = L(1) + (β−1)·TC, where TC = L(2) − L(1): value and gradient, closed and sampled."""
    for kl in ("closed", "sampled"):
        one = value_and_gradient(BetaTCVAE(beta=1.0, estimator=estimator, kl=kl))
        two = value_and_gradient(BetaTCVAE(beta=2.0, estimator=estimator, kl=kl))
        many = value_and_gradient(BetaTCVAE(beta=beta, estimator=estimator, kl=kl))
        for l1, l2, lb in zip(one, two, many, strict=True):
            torch.testing.assert_close(lb, l1 + (beta - 1) * (l2 - l1), rtol=1e-11, atol=1e-12)


def test_constants_of_mws_do_not_change_the_gradient() -> None:
    """log q(z) by MWS is the uniform batch mean minus log N.

    So the size of the data set changes only the value.
    """
    objective = BetaTCVAE(beta=5.0, alpha=2.0, gamma=0.5)
    small, large = value_and_gradient(objective, 50), value_and_gradient(objective, 737_280)
    torch.testing.assert_close(small[1], large[1], rtol=1e-12, atol=1e-13)
    # log q(z) falls by r = ln(N'/N), and so does log q(z_j): MI rises by r, TC by (d−1)·r, and DW
    # falls by d·r.
    shift = (2 - 1) + (5 - 1) * (D - 1) + (0.5 - 1) * -D
    expected = torch.tensor(shift * math.log(737_280 / 50)).double()
    torch.testing.assert_close(large[0] - small[0], expected)


def test_beta_on_the_kl_and_again_on_tc_is_detected() -> None:
    """Negative control: the mistake is invisible at β = 1.

    Above it, the reduction to KL + (β−1)·TC fails.
    """
    assert_equal(TwiceWeighted(1.0), VAE())
    gradient = value_and_gradient(TwiceWeighted(4.0))[1]
    truth = value_and_gradient(BetaTCVAE(beta=4.0))[1]
    assert (gradient - truth).norm() > 0.01 * truth.norm()


def test_closed_and_sampled_kl_differ_on_one_batch() -> None:
    """They agree only in expectation, so a test against the other form could not be exact."""
    closed = value_and_gradient(BetaTCVAE(beta=1.0, kl="closed"))
    sampled = value_and_gradient(BetaTCVAE(beta=1.0, kl="sampled"))
    assert abs(closed[0] - sampled[0]) > 0.01
    assert (closed[1] - sampled[1]).norm() > 0.01


@dataclass(frozen=True)
class PerSample:
    """The published mistake γ·mean_i |KL_i − C|.

    It takes the distance of the KL of every image, not that of the mean KL.
    """

    capacity: float

    def terms(self, nets: Networks, batch: Batch, noise: Noise, ctx: Context) -> Terms:
        (mean, logvar, _), _, reconstruction, _ = autoencode(nets, batch, noise)
        kl = gaussian.kl(mean, logvar).sum(1)
        return Terms(reconstruction, (kl - self.capacity).abs().mean(), {}, {})


def mean_kl() -> float:
    nets, batch, _, _ = make(VAE(), seed=7)
    mean, logvar, _ = nets.encode(batch)
    return float(gaussian.kl(mean, logvar).sum(1).mean().detach())


def capacity(c: float, form: Literal["abs", "relu"], gamma: float = 1.0) -> CapacityVAE:
    return CapacityVAE(form=form, gamma=gamma, c_max=c, annealing=0.0)


@pytest.mark.parametrize("form", ["abs", "relu"])
def test_capacity_zero_is_gamma_times_the_kl(form: Literal["abs", "relu"]) -> None:
    assert_equal(capacity(0.0, form, gamma=3.0), BetaVAE(3.0))


def test_relu_is_abs_above_the_capacity_and_zero_below() -> None:
    below, above = 0.5 * mean_kl(), 2 * mean_kl()
    assert_equal(capacity(below, "relu"), capacity(below, "abs"))
    assert_equal(capacity(above, "relu"), BetaVAE(0.0))  # no penalty
    # abs raises the KL instead: L = reconstruction + C − KL has the negative gradient of the KL.
    pull, push = value_and_gradient(BetaVAE(1.0))[1], value_and_gradient(capacity(above, "abs"))[1]
    none = value_and_gradient(BetaVAE(0.0))[1]
    torch.testing.assert_close(push - none, none - pull, rtol=1e-10, atol=1e-12)


def test_distance_is_taken_of_the_batch_mean() -> None:
    # The mean 1 = C has no distance, although each image has distance 1.
    kl = torch.tensor([0.0, 2.0], dtype=torch.float64)
    assert distance(kl.mean(), 1.0, "abs") == 0
    assert (kl - 1).abs().mean() == 1


def test_distance_of_every_image_is_detected() -> None:
    """Negative control: the losses are equal if all KL_i lie on one side of C.

    If they do not, the losses differ (Jensen).
    """
    assert_equal(PerSample(0.0), capacity(0.0, "abs"))
    middle = mean_kl()
    of_images = value_and_gradient(PerSample(middle))
    of_mean = value_and_gradient(capacity(middle, "abs"))
    assert of_images[0] > of_mean[0] + 0.01
    assert (of_images[1] - of_mean[1]).norm() > 0.01


def test_capacity_may_rise_fall_or_be_constant() -> None:
    """C(t) = c_start + (c_max − c_start)·min(1, t/T), at t = 0, 25, 50, 99 of 100 steps, T = 50."""
    contexts = [Context(step, 100, N) for step in (0, 25, 50, 99)]
    falling = CapacityVAE(c_start=20.0, c_max=5.0, annealing=0.5)
    assert [falling.capacity(ctx) for ctx in contexts] == [20.0, 12.5, 5.0, 5.0]
    constant = CapacityVAE(c_start=8.0, c_max=8.0, annealing=50)
    assert [constant.capacity(ctx) for ctx in contexts] == [8.0] * 4
    rising = CapacityVAE(c_max=10.0, annealing=50)  # steps
    assert [rising.capacity(ctx) for ctx in contexts] == [0.0, 5.0, 10.0, 10.0]


def test_beta_of_the_warm_up_grows_from_zero() -> None:
    """At step 0 of a warm-up TC has weight 0, at its end the full weight.

    In the closed form, weight 0 means −1 times TC in addition to the KL.
    """
    warm = BetaTCVAE(beta=4.0, warmup=10.0)
    nets, batch, noise, _ = make(VAE(), seed=7)
    for step, beta in ((0, 0.0), (5, 2.0), (10, 4.0), (60, 4.0)):
        ctx = Context(step, 100, N)
        wanted = BetaTCVAE(beta=beta).terms(nets, batch, noise, ctx).penalty
        torch.testing.assert_close(warm.terms(nets, batch, noise, ctx).penalty, wanted)
