"""Initial weights: their distributions, and which networks have which."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from built_networks import ADVERSARY, BERNOULLI
from torch import Tensor, nn

from vae_core.networks import Locatello, build_networks
from vae_core.networks.initialise import INITIALISATIONS, Initialisation, initialise


def layers() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 8, 4), nn.Linear(30, 40), nn.ConvTranspose2d(16, 8, 4))


def test_initial_weights_are_pytorch_s() -> None:
    """With the same seed PyTorch's constructors draw bitwise the same from the global generator."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        theirs = layers().state_dict()
    with torch.device("meta"):
        module = layers()
    module.to_empty(device="cpu")
    initialise(module, torch.Generator().manual_seed(5))
    ours = module.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


# (fan_in, fan_out) as in torch.nn.init. For the transposed convolution they are 24·4² and 16·4²:
# its inputs count as "out".
FANS = {
    "linear": (nn.Linear(300, 200), 300, 200),
    "convolution": (nn.Conv2d(16, 24, 4), 256, 384),
    "transposed": (nn.ConvTranspose2d(16, 24, 4), 384, 256),
}


@pytest.mark.parametrize("kind", FANS)
@pytest.mark.parametrize("name", [name for name in INITIALISATIONS if name != "pytorch"])
def test_initial_weights_have_their_distribution(name: Initialisation, kind: str) -> None:
    layer, fan_in, fan_out = FANS[kind]
    layer = copy.deepcopy(layer)
    initialise(layer, torch.Generator().manual_seed(6), name)
    bound = math.sqrt(6 / (fan_in + fan_out))
    deviation = {
        "glorot_uniform": bound / math.sqrt(3),
        "kaiming_normal": math.sqrt(2 / fan_in),
        "normal": 0.02,
    }[name]
    n = layer.weight.numel()
    # Five standard errors of a mean, and of a normal's standard deviation (a uniform's is smaller).
    assert layer.weight.mean().item() == pytest.approx(0, abs=5 * deviation / math.sqrt(n))
    assert layer.weight.std().item() == pytest.approx(deviation, rel=5 / math.sqrt(2 * n))
    if name == "glorot_uniform":
        # The largest of 6,144 draws is below 99 % with probability e^−61.
        assert 0.99 * bound < layer.weight.abs().max().item() <= bound
    assert not layer.bias.any()


def test_initial_weights_are_torch_s_for_the_same_generator() -> None:
    functions: dict[Initialisation, Callable[[Tensor, torch.Generator], Tensor]] = {
        "glorot_uniform": lambda weight, draw: nn.init.xavier_uniform_(weight, generator=draw),
        "kaiming_normal": lambda weight, draw: nn.init.kaiming_normal_(
            weight, nonlinearity="relu", generator=draw
        ),
        "normal": lambda weight, draw: nn.init.normal_(weight, 0, 0.02, generator=draw),
    }
    for name, function in functions.items():
        ours, theirs = nn.ConvTranspose2d(3, 5, 4), torch.empty(3, 5, 4, 4)
        initialise(ours, torch.Generator().manual_seed(7), name)
        function(theirs, torch.Generator().manual_seed(7))
        assert torch.equal(ours.weight, theirs)


def biases(initialisation: Initialisation | None) -> list[bool]:
    """Return whether decoder and discriminator have any bias that is not 0."""
    nets = build_networks(
        Locatello(),
        ADVERSARY,
        (1, 28, 28),
        likelihood=BERNOULLI,
        generator=torch.Generator().manual_seed(0),
        initialisation=initialisation,
    )
    parts = (nets.decoder, nets.discriminator)
    return [any(p.any() for p in part.parameters() if p.ndim == 1) for part in parts]


def test_networks_start_as_their_source_unless_the_config_says_otherwise() -> None:
    assert Locatello.initialisation == "glorot_uniform"
    # the discriminator always has PyTorch's initial weights
    assert biases(None) == biases("normal") == [False, True]
    assert biases("pytorch") == [True, True]


def test_unknown_distributions_and_layers_are_refused() -> None:
    message = r"initialisation must be one of pytorch, .*, normal, got 'he'"
    with pytest.raises(ValueError, match=message):
        initialise(nn.Linear(2, 2), torch.Generator(), "he")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="no initial distribution is known for a GroupNorm"):
        initialise(nn.GroupNorm(1, 3), torch.Generator())
