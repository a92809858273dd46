"""One suite over every objective: a new row of the registry is tested without a new test file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from annotated_types import Ge
from ruamel.yaml import YAML
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from vae_core import BetaVAE, fields, registry
from vae_core.networks import MLP, AbstractNetwork, Burgess, Networks, build_networks
from vae_core.objectives import OBJECTIVES, VAE, AbstractObjective
from vae_core.types import Batch, Context, Noise, Terms

B, N = 8, 100
CONTEXT = Context(step=3, total_steps=10, n_data=N)
# (network, shape of an image); float64, so that equalities are tight
NETWORKS: dict[str, tuple[AbstractNetwork, tuple[int, int, int]]] = {
    "mlp": (MLP(hidden=(20,), latents=3), (1, 8, 8)),
    "burgess": (Burgess(latents=3), (1, 32, 32)),
}
Case = tuple[Networks, Batch, Noise]


def make(network: str, objective: AbstractObjective, *, seed: int = 0) -> Case:
    sizes, shape = NETWORKS[network]
    draw = torch.Generator().manual_seed(seed)
    nets = build_networks(sizes, objective.wiring, shape, likelihood="bernoulli", generator=draw).double()
    images = (torch.rand(B, *shape, generator=draw, dtype=torch.float64) < 0.3).double()
    posterior = torch.randn(B, nets.latents, generator=draw, dtype=torch.float64)
    absent = images.new_zeros(B, 0)
    noise = Noise(posterior, gumbel=absent, permutation=posterior[:0].long())
    return nets, Batch(images, labels=absent, factors=absent, second=images[:0]), noise


def loss_and_gradients(objective: AbstractObjective, case: Case) -> tuple[Tensor, tuple[Tensor, ...]]:
    nets, batch, noise = case
    terms = objective.terms(nets, batch, noise, CONTEXT)
    loss = terms.reconstruction + terms.penalty
    return loss, torch.autograd.grad(loss, nets.players()["vae"])


def knobs(cls: type[AbstractObjective]) -> list[str]:
    """Return the names of the fields that may differ between fused trials."""
    return [field.name for field in dataclasses.fields(cls) if "Knob" in str(field.type)]  # pyright: ignore[reportArgumentType]


registered = pytest.mark.parametrize("name", OBJECTIVES)
networked = pytest.mark.parametrize("network", NETWORKS)


@registered
@networked
def test_gradients_are_finite_and_reach_every_weight(name: str, network: str) -> None:
    _, gradients = loss_and_gradients(OBJECTIVES[name](), make(network, OBJECTIVES[name]()))
    assert all(gradient.isfinite().all() and gradient.any() for gradient in gradients)


@registered
@networked
def test_terms_are_scalars_and_depend_on_arguments_only(name: str, network: str) -> None:
    nets, batch, noise = make(network, OBJECTIVES[name]())
    first, again = (OBJECTIVES[name]().terms(nets, batch, noise, CONTEXT) for _ in range(2))
    for terms in (first, again):
        values = [terms.reconstruction, terms.penalty, *terms.parts.values(), *terms.rivals.values()]
        assert all(isinstance(value, Tensor) and value.shape == () for value in values)
    assert torch.equal(first.reconstruction + first.penalty, again.reconstruction + again.penalty)
    # −E log p(x|z) itself, never weighted: what is plotted as reconstruction can be compared across objectives
    assert torch.equal(first.reconstruction, VAE().terms(nets, batch, noise, CONTEXT).reconstruction)


@registered
@networked
def test_neutral_settings_are_the_plain_vae(name: str, network: str) -> None:
    objective = OBJECTIVES[name](**OBJECTIVES[name].neutral)
    case = make(network, objective)
    loss, gradients = loss_and_gradients(objective, case)
    plain, plain_gradients = loss_and_gradients(VAE(), case)
    torch.testing.assert_close(loss, plain, rtol=1e-14, atol=0)
    # float64; a neutral weight may leave 0 · gradient behind, which reorders a sum
    torch.testing.assert_close(gradients, plain_gradients, rtol=1e-12, atol=1e-14)


@registered
def test_default_strength_is_not_neutral(name: str) -> None:
    """Else the neutral test would pass on an objective that ignores its knob."""
    strength = OBJECTIVES[name].strength
    if strength is None:
        return
    strong = OBJECTIVES[name](**{strength: 7.0})
    case = make("mlp", strong)
    assert not torch.allclose(loss_and_gradients(strong, case)[0], loss_and_gradients(VAE(), case)[0])
    assert strength in knobs(OBJECTIVES[name])


@registered
@networked
def test_three_trials_fused_equal_three_trials_alone(name: str, network: str) -> None:
    cls = OBJECTIVES[name]
    values = {knob: torch.tensor([0.5, 1.0, 6.0], dtype=torch.float64) + k for k, knob in enumerate(knobs(cls))}
    cases = [make(network, cls(), seed=seed) for seed in range(3)]
    trials = [cls(**{knob: float(value[k]) for knob, value in values.items()}) for k in range(3)]
    alone = [loss_and_gradients(trial, case)[1] for trial, case in zip(trials, cases, strict=True)]

    weights, buffers = stack_module_state([nets for nets, _, _ in cases])  # pyright: ignore[reportArgumentType]
    images = torch.stack([batch.images for _, batch, _ in cases])
    posterior = torch.stack([noise.posterior for _, _, noise in cases])

    def loss(weights: Any, buffers: Any, images: Tensor, posterior: Tensor, values: dict[str, Tensor]) -> Tensor:
        absent = images.new_zeros(B, 0)
        batch = Batch(images, labels=absent, factors=absent, second=images[:0])
        noise = Noise(posterior, gumbel=absent, permutation=posterior[:0].long())
        run: Callable[[Networks], Terms] = lambda nets: cls(**values).terms(nets, batch, noise, CONTEXT)  # noqa: E731
        terms = functional_call(cases[0][0], (weights, buffers), (run,))
        return terms.reconstruction + terms.penalty

    fused = vmap(torch.func.grad(loss))(weights, buffers, images, posterior, values)
    for k, gradients in enumerate(alone):
        for stacked, gradient in zip(fused.values(), gradients, strict=True):
            # batched matrix products add in another order
            torch.testing.assert_close(stacked[k], gradient, rtol=1e-10, atol=1e-12)


@registered
def test_config_survives_yaml_and_json(name: str) -> None:
    objective = OBJECTIVES[name]()
    mapping = registry.describe(objective, OBJECTIVES)
    through_json = json.loads(json.dumps(mapping))
    through_yaml = YAML(typ="safe").load(json.dumps(mapping))  # JSON is YAML
    assert registry.build("objective", through_json, OBJECTIVES) == objective
    assert registry.build("objective", through_yaml, OBJECTIVES) == objective
    assert list(mapping) == ["name", *(field.name for field in dataclasses.fields(objective))]  # pyright: ignore[reportArgumentType]


@registered
def test_bounds_refuse_by_name_rule_and_value(name: str) -> None:
    cls = OBJECTIVES[name]
    for knob in knobs(cls):
        with pytest.raises(ValueError, match=f"{knob} must be finite, got nan"):
            cls(**{knob: float("nan")})
        for bound in fields.constraints(cls, knob):
            if isinstance(bound, Ge):
                with pytest.raises(ValueError, match=rf"{knob} must be >= {bound.ge}, got -1\.5"):
                    cls(**{knob: -1.5})


@registered
def test_objective_is_abstract_or_final_and_frozen(name: str) -> None:
    cls = OBJECTIVES[name]
    assert cls.__bases__ == (AbstractObjective,)
    assert dataclasses.fields(cls) is not None  # pyright: ignore[reportArgumentType]
    assert cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert set(cls.neutral) <= {field.name for field in dataclasses.fields(cls)}  # pyright: ignore[reportArgumentType]


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown objective 'beta_tcva'; did you mean 'beta_tcvae'"):
        registry.build("objective", {"name": "beta_tcva"}, OBJECTIVES)
    with pytest.raises(ValueError, match="unknown field 'bta'; did you mean 'beta'"):
        registry.build("objective", {"name": "beta_vae", "bta": 2.0}, OBJECTIVES)
    assert BetaVAE(0.0).beta == 0
