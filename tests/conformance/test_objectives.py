"""Tests of every objective: a new row of the registry is tested without a new test file."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import itertools
import json
from collections.abc import Callable
from typing import Any, get_type_hints

import pytest
import torch
from annotated_types import Ge
from objective_cases import NETWORKS, Case, make, solved
from ruamel.yaml import YAML
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from vae_core import BetaVAE
from vae_core.hyperparameters import registry
from vae_core.networks import Networks
from vae_core.objectives import OBJECTIVES, VAE, AbstractAlternating, AbstractObjective, JointVAE
from vae_core.types import Batch, Context, Noise, Terms


def loss_and_gradients(
    objective: AbstractObjective, case: Case
) -> tuple[Tensor, tuple[Tensor, ...]]:
    terms = objective.terms(*case)
    loss = terms.reconstruction + terms.penalty
    return loss, torch.autograd.grad(loss, case.nets.players()["vae"])


def field_names(cls: type[AbstractObjective]) -> list[str]:
    return [field.name for field in dataclasses.fields(cls)]  # pyright: ignore[reportArgumentType]


def scalars(cls: type[AbstractObjective]) -> list[str]:
    """Return the names of the fields that may differ between fused trials."""
    fields = dataclasses.fields(cls)  # pyright: ignore[reportArgumentType]
    return [field.name for field in fields if "Scalar" in str(field.type)]


def at_work(cls: type[AbstractObjective], **values: Any) -> AbstractObjective:
    """Return an objective with every part of its loss in use at step 3 of 10.

    It has short stages and a small discriminator. Step 3 is in the second of five stages, so some
    latents are not open yet.
    """
    short = {"stage_length": 0.2, "code_stage": 1, "depth": 2, "width": 20}
    known = field_names(cls)
    return cls(**{name: value for name, value in short.items() if name in known}, **values)


registered = pytest.mark.parametrize("name", OBJECTIVES)
networked = pytest.mark.parametrize("network", NETWORKS)


@registered
@networked
def test_gradients_are_finite_and_reach_every_weight(name: str, network: str) -> None:
    objective = at_work(OBJECTIVES[name])
    _, gradients = loss_and_gradients(objective, make(objective, network))
    assert all(gradient.isfinite().all() and gradient.any() for gradient in gradients)


@registered
@networked
def test_each_player_s_loss_reaches_all_of_its_weights(name: str, network: str) -> None:
    objective = at_work(OBJECTIVES[name])
    case = make(objective, network)
    rivals = objective.terms(*case).rivals
    assert set(rivals) == set(objective.rivals) == set(case.nets.players()) - {"vae"}
    for player, loss in rivals.items():
        players = case.nets.players()
        weights = players.pop(player)
        others = list(itertools.chain(*players.values()))
        gradients = torch.autograd.grad(loss, [*weights, *others], allow_unused=True)
        for gradient in gradients[: len(weights)]:
            assert gradient is not None
            assert gradient.isfinite().all()
            assert gradient.any()
        # The loss does not depend on the other players' weights.
        assert gradients[len(weights) :] == (None,) * len(others)


@registered
@networked
def test_terms_are_scalars_and_depend_on_arguments_only(name: str, network: str) -> None:
    objective = at_work(OBJECTIVES[name])
    case = make(objective, network)
    first, again = (objective.terms(*case) for _ in range(2))
    for terms in (first, again):
        values = [
            terms.reconstruction,
            terms.penalty,
            *terms.parts.values(),
            *terms.rivals.values(),
        ]
        assert all(isinstance(value, Tensor) and value.shape == () for value in values)
        assert terms.memory.shape == (len(objective.memory),)
    assert torch.equal(first.reconstruction + first.penalty, again.reconstruction + again.penalty)


@registered
@networked
def test_reconstruction_is_never_weighted(name: str, network: str) -> None:
    """It is −E log p(x|z) in every objective, so that a plot can compare objectives."""
    objective = at_work(OBJECTIVES[name])
    case = make(objective, network)
    batch = case.batch
    if isinstance(objective, JointVAE):
        batch = batch._replace(code=objective.relaxed_code(case.nets.encode(batch), case.noise))
    of_vae = VAE().terms(case.nets, batch, case.noise, case.ctx).reconstruction
    assert torch.equal(objective.terms(*case).reconstruction, of_vae)


@registered
@networked
def test_neutral_settings_are_the_vae(name: str, network: str) -> None:
    """An objective without neutral settings does not descend its reconstruction."""
    neutral = OBJECTIVES[name].neutral
    objective = at_work(OBJECTIVES[name], **(neutral or {}))
    case = make(objective, network)
    if neutral is None:
        assert not objective.terms(*case).reconstruction.requires_grad
        return
    loss, gradients = loss_and_gradients(objective, case)
    of_vae, gradients_of_vae = loss_and_gradients(VAE(), case)
    torch.testing.assert_close(loss, of_vae, rtol=1e-14, atol=0)
    # float64; a neutral weight may add 0 · gradient, which reorders a sum
    torch.testing.assert_close(gradients, gradients_of_vae, rtol=1e-12, atol=1e-14)


@registered
def test_default_strength_is_not_neutral(name: str) -> None:
    """Otherwise the neutral test would pass for an objective that ignores its strength."""
    strength = OBJECTIVES[name].strength
    if strength is None:
        return
    weak, strong = (at_work(OBJECTIVES[name], **{strength: value}) for value in (3.0, 7.0))
    case = make(strong)
    # A controller's β follows its strength slowly, and at its lower bound not at all, so the
    # controller starts above it.
    case = case._replace(ctx=case.ctx._replace(memory=case.ctx.memory + 5))
    assert loss_and_gradients(weak, case)[0] != loss_and_gradients(strong, case)[0]
    assert strength in scalars(OBJECTIVES[name])


def stacked(tuples: list[Any]) -> Any:
    """Return named tuples of tensors as one, with the tensors stacked."""
    return type(tuples[0])(*(torch.stack(parts) for parts in zip(*tuples, strict=True)))


@registered
@networked
def test_three_trials_fused_equal_three_trials_alone(name: str, network: str) -> None:
    """The costs of an inner problem are fused, its codes are computed trial by trial on the CPU."""
    cls = OBJECTIVES[name]
    values: dict[str, Tensor] = {}
    for k, field in enumerate(scalars(cls)):
        values[field] = torch.tensor([0.5, 1.0, 6.0], dtype=torch.float64) + k
    trials = [
        at_work(cls, **{field: float(value[k]) for field, value in values.items()})
        for k in range(3)
    ]
    cases = [make(trial, network, seed=seed) for seed, trial in enumerate(trials)]
    expected = [player_gradients(trial, case) for trial, case in zip(trials, cases, strict=True)]

    nets: list[Any] = [case.nets for case in cases]
    weights, buffers = stack_module_state(nets)
    batch: Batch = stacked([case.batch for case in cases])
    noise: Noise = stacked([case.noise for case in cases])
    memory = torch.stack([case.ctx.memory for case in cases])

    def of_trials(function: Callable[..., Any], batch: Batch) -> tuple[Callable[..., Any], Any]:
        """Return a function of one trial's tensors for `vmap`, and the stacked tensors."""

        def of_one_trial(
            weights: Any,
            buffers: Any,
            memory: Tensor,
            values: dict[str, Tensor],
            batch: Batch,
            noise: Noise,
        ) -> Any:
            objective = at_work(cls, **values)
            ctx = cases[0].ctx._replace(memory=memory)
            return functional_call(
                cases[0].nets,
                (weights, buffers),
                (lambda nets: function(nets, objective, batch, noise, ctx),),
            )

        return of_one_trial, (weights, buffers, memory, values, batch, noise)

    if isinstance(trials[0], AbstractAlternating):
        blank = batch._replace(code=torch.zeros_like(batch.code))
        of_one_trial, arguments = of_trials(cost, blank)
        costs = vmap(of_one_trial)(*arguments)
        codes: list[Tensor] = []
        for rows in costs:
            categories = trials[0].resolve(rows.detach().numpy(), cases[0].ctx)
            codes.append(torch.eye(batch.code.shape[2]).double()[torch.from_numpy(categories)])
        assert torch.equal(torch.stack(codes), batch.code)

    for player in expected[0]:
        of_one_trial, arguments = of_trials(functools.partial(player_loss, player), batch)
        gradients = vmap(torch.func.grad(of_one_trial))(*arguments)
        for k, alone in enumerate(expected):
            for weight, gradient in alone[player].items():
                # batched matrix products add in another order
                torch.testing.assert_close(gradients[weight][k], gradient, rtol=1e-10, atol=1e-12)


def cost(
    nets: Networks, objective: AbstractObjective, batch: Batch, noise: Noise, ctx: Context
) -> Tensor:
    assert isinstance(objective, AbstractAlternating)
    return objective.cost(nets, batch, noise, ctx)


def player_loss(
    player: str,
    nets: Networks,
    objective: AbstractObjective,
    batch: Batch,
    noise: Noise,
    ctx: Context,
) -> Tensor:
    terms: Terms = objective.terms(nets, batch, noise, ctx)
    return terms.reconstruction + terms.penalty if player == "vae" else terms.rivals[player]


def player_gradients(objective: AbstractObjective, case: Case) -> dict[str, dict[str, Tensor]]:
    """Return player -> weight -> gradient of the player's loss."""
    names = {id(weight): name for name, weight in case.nets.named_parameters()}
    gradients: dict[str, dict[str, Tensor]] = {}
    terms = objective.terms(*case)
    losses = {"vae": terms.reconstruction + terms.penalty, **terms.rivals}
    for player, weights in case.nets.players().items():
        slopes = torch.autograd.grad(losses[player], weights, retain_graph=True)
        gradients[player] = {
            names[id(weight)]: slope for weight, slope in zip(weights, slopes, strict=True)
        }
    return gradients


@registered
def test_memory_changes_the_loss_or_is_none(name: str) -> None:
    objective = OBJECTIVES[name]()
    if not objective.memory:
        return
    case = make(objective)
    other = case._replace(ctx=case.ctx._replace(memory=case.ctx.memory + 3))
    loss, other_loss = (loss_and_gradients(objective, one)[0] for one in (case, other))
    assert not torch.allclose(loss, other_loss)


@registered
def test_evaluation_code_fits_what_the_decoder_reads(name: str) -> None:
    objective = at_work(OBJECTIVES[name])
    case = solved(objective, make(objective))
    code = objective.code(case.nets, case.batch, case.nets.encode(case.batch), case.ctx)
    assert code.shape == case.batch.code.shape
    if not objective.wiring.reads_code:
        return
    for block in code.split(list(objective.wiring.reads_code), 1):
        assert torch.equal(block.sum(1), torch.ones(len(block)).double())
        assert set(block.unique().tolist()) <= {0.0, 1.0}


@registered
@pytest.mark.parametrize("total", [10, 300_000])
def test_schedules_end_when_they_say(name: str, total: int) -> None:
    """From `settled` on the loss does not depend on the step; with schedules it did before."""
    objective = OBJECTIVES[name]()
    case = make(objective)
    settled = objective.settled(total, latents=3)

    def loss(step: int) -> float:
        ctx = case.ctx._replace(step=step, total_steps=total)
        now = solved(objective, case._replace(ctx=ctx))
        return loss_and_gradients(objective, now)[0].item()

    assert loss(settled) == loss(settled + 7) == loss(10 * total)
    # A slope may be too small to see in one step of 300,000; a stage is not.
    if settled:
        assert any(loss(before) != loss(settled) for before in (settled - 1, settled // 2))


@registered
def test_config_survives_yaml_and_json(name: str) -> None:
    objective = OBJECTIVES[name]()
    mapping = registry.describe(objective, OBJECTIVES)
    through_json = json.loads(json.dumps(mapping))
    through_yaml = YAML(typ="safe").load(json.dumps(mapping))  # JSON is YAML
    assert registry.build("objective", through_json, OBJECTIVES) == objective
    assert registry.build("objective", through_yaml, OBJECTIVES) == objective
    assert list(mapping) == ["name", *field_names(OBJECTIVES[name])]


@registered
def test_bounds_refuse_by_name_rule_and_value(name: str) -> None:
    cls = OBJECTIVES[name]
    hints = get_type_hints(cls, include_extras=True)
    for field in scalars(cls):
        with pytest.raises(ValueError, match=f"{field} must be finite, got nan"):
            cls(**{field: float("nan")})
        for bound in getattr(hints[field], "__metadata__", ()):
            if isinstance(bound, Ge):
                with pytest.raises(ValueError, match=rf"{field} must be >= {bound.ge}, got -1\.5"):
                    cls(**{field: -1.5})


@registered
def test_objective_is_abstract_or_final_and_frozen(name: str) -> None:
    cls = OBJECTIVES[name]
    assert all(inspect.isabstract(base) for base in cls.__bases__)
    assert not inspect.isabstract(cls)
    assert cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert set(cls.neutral or {}) <= set(field_names(cls))


@registered
def test_every_field_has_a_meaning_and_every_docstring_a_source(name: str) -> None:
    text = inspect.getdoc(OBJECTIVES[name]) or ""
    assert "Source: " in text
    assert "L = " in text
    for field in field_names(OBJECTIVES[name]):
        assert f"\n    {field}: " in text


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(
        ValueError, match="unknown objective 'beta_tcva'; did you mean 'beta_tcvae'"
    ):
        registry.build("objective", {"name": "beta_tcva"}, OBJECTIVES)
    with pytest.raises(ValueError, match="unknown field 'bta'; did you mean 'beta'"):
        registry.build("objective", {"name": "beta_vae", "bta": 2.0}, OBJECTIVES)
    assert BetaVAE(0.0).beta == 0
