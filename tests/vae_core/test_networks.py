"""Shapes, sizes, wirings and initial weights of the networks."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from vae_core.likelihood import likelihood
from vae_core.networks import (
    MLP,
    NETWORKS,
    AbstractNetwork,
    Burgess,
    ChenConv,
    ChenMLP,
    FactorVAEConv,
    Locatello,
    Networks,
    Trento,
    Widths,
    build_networks,
    load_weights,
)
from vae_core.networks.initialise import INITIALISATIONS, Initialisation, initialise
from vae_core.objectives import CascadeVAE
from vae_core.random_draws import generator
from vae_core.training_loop import resolved_code
from vae_core.types import Batch, Context, Noise, Wiring

BERNOULLI = likelihood("bernoulli")
ADVERSARY = Wiring(adversary=(1000,) * 6)
SMALL = MLP((8,), latents=2)

every_network = pytest.mark.parametrize("name", NETWORKS)
normalised = pytest.mark.parametrize(
    "name", [name for name, cls in NETWORKS.items() if cls().caution]
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def shapes(cls: type[AbstractNetwork]) -> list[tuple[int, int, int]]:
    """Images that a network takes: all its sizes, or one that is not square if it takes any."""
    sides = [(12, 20)] if cls.sizes is None else [(side, side) for side in cls.sizes]
    return [(channels, *side) for channels in (1, 3) for side in sides]


EVERY_SHAPE = [(name, shape) for name, cls in NETWORKS.items() for shape in shapes(cls)]


def build(
    network: AbstractNetwork, shape: tuple[int, int, int] = (1, 28, 28), seed: int = 0
) -> Networks:
    draw = generator(seed, "weights")
    return build_networks(network, Wiring(), shape, likelihood=BERNOULLI, generator=draw)


def batch(images: Tensor, labels: int = 0, factors: int = 0, code: int = 0) -> Batch:
    """Images with labels, factors and a code of the given widths."""
    rows = len(images)
    inputs = [
        torch.linspace(0, 1, rows * width).reshape(rows, width) for width in (labels, factors, code)
    ]
    return Batch(images, labels=inputs[0], factors=inputs[1], second=images[:0], code=inputs[2])


def on_meta(
    network: AbstractNetwork, shape: tuple[int, int, int], read: int, wide: int, narrow: int
) -> list[nn.Module]:
    """An encoder of `read` channels to `wide` columns and a decoder of `narrow` columns, without any memory."""
    with torch.device("meta"):
        return [network.encoder((read, *shape[1:]), wide), network.decoder(narrow, shape)]


@pytest.mark.parametrize(("name", "shape"), EVERY_SHAPE)
@pytest.mark.parametrize(("label", "code"), [(0, 0), (5, 3)])
def test_codes_and_images_have_their_shapes(
    name: str, shape: tuple[int, int, int], label: int, code: int
) -> None:
    """Labels make the encoder read more channels and the decoder more columns, codes make it write more columns."""
    network = NETWORKS[name]()
    wide, narrow = 2 * network.latents + code, network.latents + label + code
    encoder, decoder = on_meta(network, shape, shape[0] + label, wide, narrow)
    images, z = (
        torch.empty(2, shape[0] + label, *shape[1:], device="meta"),
        torch.empty(2, narrow, device="meta"),
    )
    assert encoder(images).shape == (2, wide)
    assert decoder(z).shape == (2, *shape)


@every_network
def test_every_pixel_is_read_and_written(name: str) -> None:
    """At 28 px, where a side of 7 is halved: no border is cut off on the way down or left constant on the way up."""
    nets = build(NETWORKS[name]()).double().train()
    images = (
        torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(2))
        .double()
        .requires_grad_()
    )
    posterior = nets.encode(batch(images))
    (read,) = torch.autograd.grad(posterior.mean.square().sum() + posterior.logvar.sum(), images)
    assert (read != 0).any(0).all()
    decoded = nets.decode(torch.randn_like(posterior.mean), batch(images))
    assert (decoded.std(0) > 0).all()


@every_network
def test_weights_depend_on_the_seed_alone(name: str) -> None:
    before = torch.random.get_rng_state()
    first, again, other = (
        build(NETWORKS[name](), (1, 28, 28), seed).state_dict() for seed in (0, 0, 1)
    )
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not any(torch.equal(first[key], other[key]) for key in first if first[key].ndim > 1)
    assert all(value.isfinite().all() for value in first.values())


@every_network
def test_caution_is_given_where_the_posterior_depends_on_the_mode(name: str) -> None:
    nets = build(NETWORKS[name]())
    seen = batch(torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(3)))
    training, evaluation = nets.train().encode(seen).mean, nets.eval().encode(seen).mean
    caution = NETWORKS[name]().caution
    assert torch.equal(training, evaluation) == (caution == "")
    assert not caution or "batch_norm" in caution


@pytest.mark.parametrize("network", [ChenConv(batch_norm=False), Trento(batch_norm=False)])
def test_batch_norm_can_be_left_out(network: AbstractNetwork) -> None:
    assert network.caution == ""
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in build(network).modules())


def linear(before: int, after: int) -> int:
    return before * after + after


def conv(before: int, after: int, kernel: int = 4) -> int:
    return kernel**2 * before * after + after


# Of an image (1, 64, 64): convolutions of 32, 32, 64, 64 channels, and the way back over 64, 32, 32 to 1.
DOWN = conv(1, 32) + conv(32, 32) + conv(32, 64) + conv(64, 64)  # 115,392
UP = conv(64, 64) + conv(64, 32) + conv(32, 32) + conv(32, 1)  # 115,329
FLAT = (
    linear(1024, 256) + linear(256, 20) + linear(10, 256) + linear(256, 1024)
)  # between 4 x 4 x 64 and d = 10

COUNTS = {
    "burgess": (
        conv(1, 32) + 3 * conv(32, 32) + linear(512, 256) + linear(256, 256) + linear(256, 20)
    )
    + (linear(10, 256) + linear(256, 256) + linear(256, 512) + 3 * conv(32, 32) + conv(32, 1)),
    "cascade": DOWN + FLAT + UP,
    # A BatchNorm has two numbers per channel: after each convolution, before each transposed one but the first.
    "chen_conv": (DOWN + conv(64, 512) + conv(512, 20, 1) + 2 * (32 + 32 + 64 + 64 + 512))
    + (conv(10, 512, 1) + conv(512, 64) + UP + 2 * (512 + 64 + 64 + 32 + 32)),
    "chen_mlp": (linear(4096, 1200) + linear(1200, 1200) + linear(1200, 20))
    + (linear(10, 1200) + 2 * linear(1200, 1200) + linear(1200, 4096)),
    "factor_vae": DOWN + conv(64, 128) + conv(128, 20, 1) + conv(10, 128, 1) + conv(128, 64) + UP,
    "higgins_conv": DOWN + conv(64, 256) + linear(256, 20) + linear(10, 256) + conv(256, 64) + UP,
    "locatello": conv(1, 32) + conv(32, 32) + conv(32, 64, 2) + conv(64, 64, 2) + FLAT + UP,
    "locatello_k4": DOWN + FLAT + UP,
    "mlp": 2 * linear(256, 256)
    + linear(4096, 256)
    + linear(256, 20)
    + linear(10, 256)
    + linear(256, 4096),
    "simple_conv": (
        conv(1, 32) + conv(32, 32) + conv(32, 64) + conv(64, 128) + conv(128, 256) + conv(256, 256)
    )
    + (linear(256, 32) + linear(16, 256))
    + (conv(256, 256) + conv(256, 128) + conv(128, 64) + conv(64, 32) + conv(32, 32) + conv(32, 1)),
    "trento": DOWN + linear(1024, 20) + linear(10, 1024) + UP + 2 * 2 * (32 + 32 + 64 + 64),
}


@every_network
def test_published_sizes(name: str) -> None:
    """Weights and biases at 64 px and one channel, counted by hand from the layers of the sources."""
    network = NETWORKS[name]()
    parts = on_meta(network, (1, 64, 64), 1, 2 * network.latents, network.latents)
    assert sum(p.numel() for part in parts for p in part.parameters()) == COUNTS[name]


def test_kernels_of_locatello() -> None:
    layers = build(Locatello(), (1, 64, 64)).encoder.modules()
    assert [layer.kernel_size for layer in layers if isinstance(layer, nn.Conv2d)] == [
        (4, 4),
        (4, 4),
        (2, 2),
        (2, 2),
    ]


def test_factor_vae_has_256_channels_for_other_data() -> None:
    count = sum(p.numel() for p in build(FactorVAEConv(bottleneck=256), (1, 64, 64)).parameters())
    assert count == COUNTS["higgins_conv"]  # the same layers: only the initial weights differ


def test_wrong_image_sizes_are_refused_with_the_right_ones() -> None:
    for name, cls in NETWORKS.items():
        if cls.sizes is not None:
            takes = " or ".join(f"{side} x {side}" for side in cls.sizes)
            with pytest.raises(
                ValueError, match=f"{cls.__name__} takes images of {takes} pixels, got 16 x 16"
            ):
                build(NETWORKS[name](), (1, 16, 16))
    with pytest.raises(ValueError, match="got 64 x 32"):
        build(Burgess(), (1, 64, 32))


def test_sizes_are_checked() -> None:
    wrong = [
        lambda: MLP(hidden=()),
        lambda: MLP(hidden=(0,)),
        lambda: ChenMLP(-1),
        lambda: FactorVAEConv(bottleneck=0),
    ]
    wrong += [lambda: Trento(channels=(32, 32, 64)), lambda: Trento(channels=(32, 32, 64, 0))]
    for make in wrong:
        with pytest.raises(
            ValueError, match=r"(hidden|channels) must be|(latents|bottleneck) must be >= 1"
        ):
            make()
    for cls in NETWORKS.values():
        with pytest.raises(ValueError, match="latents must be >= 1, got 0"):
            cls(latents=0)  # pyright: ignore[reportCallIssue]


# Wirings


def test_labels_at_both_ends() -> None:
    wiring, widths = Wiring(reads_label="both"), Widths(label=5)
    draw = torch.Generator().manual_seed(0)
    nets = build_networks(
        Burgess(), wiring, (3, 28, 28), likelihood=BERNOULLI, generator=draw, widths=widths
    )
    seen = batch(torch.rand(2, 3, 28, 28), labels=5)
    assert next(nets.encoder.parameters()).shape[1] == 3 + 5
    other = seen._replace(labels=1 - seen.labels)
    z = nets.encode(seen).mean
    assert not torch.equal(z, nets.encode(other).mean)
    assert not torch.equal(nets.decode(z, seen), nets.decode(z, other))


def test_labels_at_the_decoder_only() -> None:
    wiring, widths = Wiring(reads_label="decoder"), Widths(label=5)
    nets = build_networks(
        SMALL,
        wiring,
        (1, 6, 6),
        likelihood=BERNOULLI,
        generator=torch.Generator().manual_seed(0),
        widths=widths,
    )
    seen = batch(torch.rand(2, 1, 6, 6), labels=5)
    other = seen._replace(labels=1 - seen.labels)
    z = nets.encode(seen).mean
    assert torch.equal(z, nets.encode(other).mean)
    assert not torch.equal(nets.decode(z, seen), nets.decode(z, other))


@every_network
def test_discrete_codes(name: str) -> None:
    """Logits are the columns after means and log variances; the decoder reads the code after z."""
    wiring, network = Wiring(infers_code=(3, 2), reads_code=(3, 2)), NETWORKS[name]()
    draw = torch.Generator().manual_seed(0)
    nets = build_networks(network, wiring, (1, 28, 28), likelihood=BERNOULLI, generator=draw).eval()
    seen = batch(torch.rand(2, 1, 28, 28), code=5)
    posterior = nets.encode(seen)
    assert posterior.mean.shape == posterior.logvar.shape == (2, network.latents)
    assert posterior.logits.shape == (2, 5)
    assert torch.equal(torch.cat(posterior, 1), nets.encoder(seen.images))
    columns = torch.cat([posterior.mean, seen.code], 1)
    assert torch.equal(nets.decode(posterior.mean, seen), nets.decoder(columns))


def test_encoder_of_factors() -> None:
    wiring, widths = Wiring(reads_factors="scaled", factor_hidden=(16,)), Widths(factors=4)
    nets = build_networks(
        Burgess(),
        wiring,
        (1, 28, 28),
        likelihood=BERNOULLI,
        generator=torch.Generator().manual_seed(0),
        widths=widths,
    )
    seen = batch(torch.rand(2, 1, 28, 28), factors=4)
    assert sum(p.numel() for p in nets.encoder.parameters()) == linear(4, 16) + linear(16, 20)
    z = nets.encode(seen).mean
    assert torch.equal(z, nets.encode(seen._replace(images=1 - seen.images)).mean)
    assert nets.decode(z, seen).shape == (2, 1, 28, 28)


def test_the_discriminator_is_the_paper_s() -> None:
    """Six layers of 1,000 with leaky ReLU of slope 0.2 and two logits (Kim and Mnih 2018, appendix)."""
    draw = torch.Generator().manual_seed(0)
    nets = build_networks(MLP((8,)), ADVERSARY, (1, 6, 6), likelihood=BERNOULLI, generator=draw)
    layers = list(nets.discriminator.children())
    assert [type(layer) for layer in layers] == [nn.Linear, nn.LeakyReLU] * 6 + [nn.Linear]
    assert {layer.negative_slope for layer in layers if isinstance(layer, nn.LeakyReLU)} == {0.2}
    assert nets.discriminate(torch.randn(3, 10)).shape == (3, 2)
    players = nets.players()
    assert sum(p.numel() for p in players["adversary"]) == linear(10, 1000) + 5 * linear(
        1000, 1000
    ) + linear(1000, 2)
    everything = [id(p) for player in players.values() for p in player]
    assert sorted(everything) == sorted(id(p) for p in nets.parameters())


@every_network
def test_a_discriminator_changes_no_other_weight(name: str) -> None:
    of_codes, of_images, without = (
        build_networks(
            NETWORKS[name](),
            wiring,
            (1, 28, 28),
            likelihood=BERNOULLI,
            generator=torch.Generator().manual_seed(4),
        )
        for wiring in (Wiring(adversary=(5,)), Wiring(judges_images=True), Wiring())
    )
    own = without.state_dict()
    for with_one in (of_codes, of_images):
        others = with_one.state_dict()
        assert all(torch.equal(others[key], own[key]) for key in own)
        assert {key.split(".")[0] for key in others.keys() - own.keys()} == {"discriminator"}
    assert list(without.players()) == ["vae"]


@every_network
def test_a_discriminator_of_images_is_a_network_like_the_encoder(name: str) -> None:
    """Two columns instead of means and log variances; an image's slope is its own, also under BatchNorm."""
    network, draw = NETWORKS[name](), torch.Generator().manual_seed(0)
    nets = build_networks(
        network, Wiring(judges_images=True), (1, 28, 28), likelihood=BERNOULLI, generator=draw
    )
    encoder, discriminator = (
        sum(p.numel() for p in part.parameters()) for part in (nets.encoder, nets.discriminator)
    )
    features = next(
        m for m in reversed(list(nets.encoder.modules())) if isinstance(m, nn.Linear)
    ).in_features
    assert discriminator == encoder - linear(features, 2 * network.latents) + linear(features, 2)
    images = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    before = {key: value.clone() for key, value in nets.state_dict().items()}
    slopes = nets.squared_slope(images)
    assert slopes.shape == (4,)
    torch.testing.assert_close(
        nets.squared_slope(images[:1]), slopes[:1], rtol=1e-4, atol=0
    )  # float32
    assert all(torch.equal(value, before[key]) for key, value in nets.state_dict().items())
    assert nets.discriminator.training


def test_the_slope_is_that_of_the_log_odds() -> None:
    """log D − log(1 − D) is l_0 − l_1: of a linear discriminator the difference of two rows, everywhere."""
    nets = build_networks(
        MLP((8,)),
        Wiring(judges_images=True),
        (1, 2, 3),
        likelihood=BERNOULLI,
        generator=torch.Generator(),
    )
    nets.discriminator = nn.Sequential(nn.Flatten(), nn.Linear(6, 2))
    (weight, _) = nets.discriminator.parameters()
    expected = (weight[0] - weight[1]).square().sum()
    torch.testing.assert_close(nets.squared_slope(torch.rand(3, 1, 2, 3)), expected.repeat(3))


def test_incompressible_noise_is_read_after_all_else() -> None:
    wiring, draw = Wiring(reads_code=(3,), reads_noise=4), torch.Generator().manual_seed(0)
    nets = build_networks(
        MLP((8,), latents=2), wiring, (1, 6, 6), likelihood=BERNOULLI, generator=draw
    )
    seen = batch(torch.rand(5, 1, 6, 6), code=3)._replace(noise=torch.randn(5, 4))
    z = torch.randn(5, 2)
    assert torch.equal(nets.decode(z, seen), nets.decoder(torch.cat([z, seen.code, seen.noise], 1)))


def test_squared_weights_leave_out_biases_normalisation_and_discriminator() -> None:
    draw = torch.Generator().manual_seed(0)
    nets = build_networks(
        Trento(), Wiring(adversary=(7,)), (1, 28, 28), likelihood=BERNOULLI, generator=draw
    )
    kinds = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    layers = itertools.chain(nets.encoder.modules(), nets.decoder.modules())
    truth = sum(
        layer.weight.double().square().sum() for layer in layers if isinstance(layer, kinds)
    )
    torch.testing.assert_close(
        nets.squared_weights().double(), truth, rtol=1e-5, atol=0
    )  # float32, 200,000 terms


# BatchNorm under fusion


@normalised
def test_stacked_networks_equal_each_alone(name: str) -> None:
    """Outputs, gradients and running statistics of three nets under vmap, in training mode.

    The running statistics must be arguments of the differentiated function: torch refuses to update in place what a
    `grad` only captures.
    """
    alone = [build(NETWORKS[name](), seed=seed).double().train() for seed in range(3)]
    images = torch.rand(3, 4, 1, 28, 28, generator=torch.Generator().manual_seed(5)).double()

    def loss(nets: Networks, seen: Tensor) -> Tensor:
        posterior = nets.encode(batch(seen))
        return (
            nets.decode(posterior.mean, batch(seen)).square().mean()
            + posterior.logvar.square().mean()
        ).sum()

    weights, buffers = stack_module_state(alone)
    shell = copy.deepcopy(alone[0]).to("meta")

    def of_weights(weights: dict[str, Tensor], buffers: dict[str, Tensor], seen: Tensor) -> Tensor:
        return functional_call(shell, (weights, buffers), (lambda nets: loss(nets, seen),))

    slopes = vmap(grad(of_weights))(weights, buffers, images)
    for k, nets in enumerate(alone):
        loss(nets, images[k]).backward()
        for key, parameter in nets.named_parameters():
            # float64; the stacked convolution sums in another order, and a gradient before a BatchNorm cancels to 0
            torch.testing.assert_close(slopes[key][k], parameter.grad, rtol=1e-7, atol=1e-12)
        for key, buffer in nets.named_buffers():
            torch.testing.assert_close(buffers[key][k], buffer, rtol=1e-10, atol=1e-14)
    counted = [value for key, value in buffers.items() if key.endswith("num_batches_tracked")]
    assert counted
    assert all(value.tolist() == [1, 1, 1] for value in counted)


@normalised
def test_running_statistics_are_saved_and_loaded(name: str) -> None:
    nets, other = build(NETWORKS[name](), seed=0), build(NETWORKS[name](), seed=1)
    seen = batch(torch.rand(4, 1, 28, 28))
    nets.train().decode(nets.encode(seen).mean, seen)
    load_weights(other, nets.state_dict())
    assert torch.equal(nets.eval().encode(seen).mean, other.eval().encode(seen).mean)


# Initial weights


def test_initial_weights_are_pytorch_s_own() -> None:
    """From one seed PyTorch's constructors draw bitwise the same from the global generator."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        theirs = nn.Sequential(
            nn.Conv2d(3, 8, 4), nn.Linear(30, 40), nn.ConvTranspose2d(16, 8, 4)
        ).state_dict()
    with torch.device("meta"):
        layers = nn.Sequential(nn.Conv2d(3, 8, 4), nn.Linear(30, 40), nn.ConvTranspose2d(16, 8, 4))
    layers.to_empty(device="cpu")
    initialise(layers, torch.Generator().manual_seed(5))
    ours = layers.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


# (fan_in, fan_out) as torch.nn.init has them; of the transposed convolution 24·4² and 16·4²: its inputs count as "out".
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
    # Five standard errors: of a mean, and of a normal's standard deviation (a uniform's is smaller).
    assert layer.weight.mean().item() == pytest.approx(0, abs=5 * deviation / math.sqrt(n))
    assert layer.weight.std().item() == pytest.approx(deviation, rel=5 / math.sqrt(2 * n))
    if name == "glorot_uniform":
        assert (
            0.99 * bound < layer.weight.abs().max().item() <= bound
        )  # of 6,144 draws, all but e^−61 of the time
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


def test_batch_norm_starts_as_torch_s() -> None:
    """Modules come from the meta device, so their memory holds anything."""
    with torch.device("meta"):
        layer = nn.BatchNorm2d(3)
    layer.to_empty(device="cpu")
    for name in INITIALISATIONS:
        for value in itertools.chain(layer.parameters(), layer.buffers()):
            value.data.fill_(7)
        initialise(layer, torch.Generator(), name)
        fresh = nn.BatchNorm2d(3).state_dict()
        assert all(torch.equal(value, fresh[key]) for key, value in layer.state_dict().items())


def test_networks_start_as_their_source_unless_told_otherwise() -> None:
    def biases(initialisation: Initialisation | None) -> list[bool]:
        draw = torch.Generator().manual_seed(0)
        nets = build_networks(
            Locatello(),
            ADVERSARY,
            (1, 28, 28),
            likelihood=BERNOULLI,
            generator=draw,
            initialisation=initialisation,
        )
        return [
            any(p.any() for p in part.parameters() if p.ndim == 1)
            for part in (nets.decoder, nets.discriminator)
        ]

    assert Locatello.initialisation == "glorot_uniform"
    assert (
        biases(None) == biases("normal") == [False, True]
    )  # the discriminator is always PyTorch's
    assert biases("pytorch") == [True, True]


def test_unknown_distributions_and_layers_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"initialisation must be one of pytorch, .*, normal, got 'he'"
    ):
        initialise(nn.Linear(2, 2), torch.Generator(), "he")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="no initial distribution is known for a GroupNorm"):
        initialise(nn.GroupNorm(1, 3), torch.Generator())


def test_weights_of_other_networks_are_refused_by_name() -> None:
    nets = build(SMALL, (1, 6, 6))
    weights = nets.state_dict()
    weights["encoder.9.weight"] = weights.pop("encoder.1.weight")
    with pytest.raises(
        ValueError, match=r"encoder\.1\.weight is missing; encoder\.9\.weight is unknown"
    ):
        load_weights(nets, weights)


def test_inner_problem_leaves_running_statistics_alone() -> None:
    """Decoder passes of categories that are not chosen would else be averaged into what evaluation normalises by."""
    objective = CascadeVAE(stage_length=1, code_stage=1)
    nets = build_networks(
        Trento(latents=3),
        objective.wiring,
        (1, 32, 32),
        likelihood=likelihood("bernoulli"),
        generator=generator(0, ""),
    )
    draw = torch.Generator().manual_seed(0)
    images = (torch.rand(4, 1, 32, 32, generator=draw) < 0.3).float()
    absent = images.new_zeros(4, 0)
    batch = Batch(images, labels=absent, factors=absent, second=images[:0], code=torch.zeros(4, 3))
    normal = torch.randn(4, 3, generator=draw)
    noise = Noise(normal, second=normal[:0], gumbel=absent, permutation=normal[:0].long())
    before = {name: value.clone() for name, value in nets.state_dict().items()}
    assert resolved_code(objective, nets, batch, noise, Context(5, 10, 100)).sum() == 4
    assert all(torch.equal(value, before[name]) for name, value in nets.state_dict().items())
