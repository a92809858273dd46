"""Networks with BatchNorm: caution, fused trials, running statistics."""

from __future__ import annotations

import copy

import pytest
import torch
from built_networks import batch, build, every_network, wired
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from vae_core.networks import NETWORKS, Networks, Trento, load_weights
from vae_core.networks.initialise import INITIALISATIONS, initialise
from vae_core.objectives import CascadeVAE
from vae_core.training_loop import resolved_code
from vae_core.types import Batch, Context, Noise

normalised = pytest.mark.parametrize(
    "name", [name for name, cls in NETWORKS.items() if cls().caution]
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@every_network
def test_caution_is_given_where_the_posterior_depends_on_the_mode(name: str) -> None:
    nets = build(NETWORKS[name]())
    images = batch(torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(3)))
    training, evaluation = nets.train().encode(images).mean, nets.eval().encode(images).mean
    caution = NETWORKS[name]().caution
    assert torch.equal(training, evaluation) == (caution == "")
    assert not caution or "batch_norm" in caution


@normalised
def test_stacked_networks_equal_each_alone(name: str) -> None:
    """Outputs, gradients and running statistics of three nets under vmap, in training mode.

    The running statistics must be arguments of the differentiated function: torch refuses to update
    in place a tensor that a `grad` only captures.
    """
    alone = [build(NETWORKS[name](), seed=seed).double().train() for seed in range(3)]
    images = torch.rand(3, 4, 1, 28, 28, generator=torch.Generator().manual_seed(5)).double()

    def loss(nets: Networks, pixels: Tensor) -> Tensor:
        posterior = nets.encode(batch(pixels))
        decoded = nets.decode(posterior.mean, batch(pixels))
        return (decoded.square().mean() + posterior.logvar.square().mean()).sum()

    weights, buffers = stack_module_state(alone)
    shell = copy.deepcopy(alone[0]).to("meta")

    def of_weights(
        weights: dict[str, Tensor], buffers: dict[str, Tensor], pixels: Tensor
    ) -> Tensor:
        return functional_call(shell, (weights, buffers), (lambda nets: loss(nets, pixels),))

    slopes = vmap(grad(of_weights))(weights, buffers, images)
    for k, nets in enumerate(alone):
        loss(nets, images[k]).backward()
        for key, parameter in nets.named_parameters():
            # float64; the stacked convolution sums in another order, and a gradient before a
            # BatchNorm cancels to 0
            torch.testing.assert_close(slopes[key][k], parameter.grad, rtol=1e-7, atol=1e-12)
        for key, buffer in nets.named_buffers():
            torch.testing.assert_close(buffers[key][k], buffer, rtol=1e-10, atol=1e-14)
    counted = [value for key, value in buffers.items() if key.endswith("num_batches_tracked")]
    assert counted
    assert all(value.tolist() == [1, 1, 1] for value in counted)


@normalised
def test_running_statistics_are_saved_and_loaded(name: str) -> None:
    nets, other = build(NETWORKS[name](), seed=0), build(NETWORKS[name](), seed=1)
    images = batch(torch.rand(4, 1, 28, 28))
    nets.train().decode(nets.encode(images).mean, images)
    load_weights(other, nets.state_dict())
    assert torch.equal(nets.eval().encode(images).mean, other.eval().encode(images).mean)


def test_batch_norm_starts_as_torch_s() -> None:
    """Modules come from the meta device, so their memory has any content."""
    with torch.device("meta"):
        layer = nn.BatchNorm2d(3)
    layer.to_empty(device="cpu")
    for name in INITIALISATIONS:
        for value in [*layer.parameters(), *layer.buffers()]:
            value.data.fill_(7)
        initialise(layer, torch.Generator(), name)
        fresh = nn.BatchNorm2d(3).state_dict()
        assert all(torch.equal(value, fresh[key]) for key, value in layer.state_dict().items())


def test_inner_problem_leaves_running_statistics_alone() -> None:
    """Evaluation normalises by them: categories that are not chosen must not change them."""
    objective = CascadeVAE(stage_length=1, code_stage=1)
    nets = wired(Trento(latents=3), objective.wiring, (1, 32, 32))
    draw = torch.Generator().manual_seed(0)
    images = (torch.rand(4, 1, 32, 32, generator=draw) < 0.3).float()
    absent = images.new_zeros(4, 0)
    inputs = Batch(images, labels=absent, factors=absent, second=images[:0], code=torch.zeros(4, 3))
    normal = torch.randn(4, 3, generator=draw)
    noise = Noise(normal, second=normal[:0], gumbel=absent, permutation=normal[:0].long())
    before = {name: value.clone() for name, value in nets.state_dict().items()}
    assert resolved_code(objective, nets, inputs, noise, Context(5, 10, 100)).sum() == 4
    assert all(torch.equal(value, before[name]) for name, value in nets.state_dict().items())
