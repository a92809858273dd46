"""One suite over every objective: a new row of the registry is tested without a new test file."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from annotated_types import Ge
from objective_cases import NETWORKS, Case, make, solved
from ruamel.yaml import YAML
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from vae_core import BetaVAE
from vae_core.hyperparameters import field_checks, registry
from vae_core.networks import Networks
from vae_core.objectives import OBJECTIVES, VAE, AbstractAlternating, AbstractObjective, JointVAE
from vae_core.types import Batch, Context, Noise, Terms


def loss_and_gradients(
    objective: AbstractObjective, case: Case
) -> tuple[Tensor, tuple[Tensor, ...]]:
    terms = objective.terms(*case)
    loss = terms.reconstruction + terms.penalty
    return loss, torch.autograd.grad(loss, case.nets.players()["vae"])


def knobs(cls: type[AbstractObjective]) -> list[str]:
    """Return the names of the fields that may differ between fused trials."""
    return [field.name for field in dataclasses.fields(cls) if "Knob" in str(field.type)]  # pyright: ignore[reportArgumentType]


def at_work(cls: type[AbstractObjective], **knobs: Any) -> AbstractObjective:
    """Return an objective with every part of it at work at step 3 of 10: short stages; a small discriminator."""
    short = {
        "stage_length": 0.2,
        "code_stage": 1,
        "depth": 2,
        "width": 20,
    }  # the second of five stages: latents shut
    known = {field.name for field in dataclasses.fields(cls)}  # pyright: ignore[reportArgumentType]
    return cls(**{name: value for name, value in short.items() if name in known}, **knobs)


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
        own = case.nets.players()[player]
        others = [
            weight
            for other, weights in case.nets.players().items()
            if other != player
            for weight in weights
        ]
        gradients = torch.autograd.grad(loss, [*own, *others], allow_unused=True)
        assert all(g is not None and g.isfinite().all() and g.any() for g in gradients[: len(own)])
        assert gradients[len(own) :] == (None,) * len(others)  # detached: it does not move them


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
    """−E log p(x|z) itself: what is plotted as reconstruction can be compared across objectives."""
    objective = at_work(OBJECTIVES[name])
    case = make(objective, network)
    batch = case.batch
    if isinstance(objective, JointVAE):
        batch = batch._replace(code=objective.relaxed_code(case.nets.encode(batch), case.noise))
    plain = VAE().terms(case.nets, batch, case.noise, case.ctx).reconstruction
    assert torch.equal(objective.terms(*case).reconstruction, plain)


@registered
@networked
def test_neutral_settings_are_the_plain_vae(name: str, network: str) -> None:
    """Or there are none, and then the reconstruction is measured alone: it moves no weight."""
    neutral = OBJECTIVES[name].neutral
    objective = at_work(OBJECTIVES[name], **(neutral or {}))
    case = make(objective, network)
    if neutral is None:
        assert not objective.terms(*case).reconstruction.requires_grad
        return
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
    weak, strong = (at_work(OBJECTIVES[name], **{strength: value}) for value in (3.0, 7.0))
    case = make(strong)
    # A controller's β follows its strength slowly, and from its lower end not at all: it starts further up.
    case = case._replace(ctx=case.ctx._replace(memory=case.ctx.memory + 5))
    assert loss_and_gradients(weak, case)[0] != loss_and_gradients(strong, case)[0]
    assert strength in knobs(OBJECTIVES[name])


@registered
@networked
def test_three_trials_fused_equal_three_trials_alone(name: str, network: str) -> None:
    """Also where an inner problem is solved first: its costs fused, then its codes, on the host, trial by trial."""
    cls = OBJECTIVES[name]
    values = {
        knob: torch.tensor([0.5, 1.0, 6.0], dtype=torch.float64) + k
        for k, knob in enumerate(knobs(cls))
    }
    trials = [
        at_work(cls, **{knob: float(value[k]) for knob, value in values.items()}) for k in range(3)
    ]
    cases = [make(trial, network, seed=seed) for seed, trial in enumerate(trials)]
    wanted = [player_gradients(trial, case) for trial, case in zip(trials, cases, strict=True)]

    weights, buffers = stack_module_state([case.nets for case in cases])  # pyright: ignore[reportArgumentType]
    batch = Batch(
        *(torch.stack(parts) for parts in zip(*(case.batch for case in cases), strict=True))
    )
    noise = Noise(
        *(torch.stack(parts) for parts in zip(*(case.noise for case in cases), strict=True))
    )
    memory = torch.stack([case.ctx.memory for case in cases])
    step, total, n_data, _ = cases[0].ctx

    def on(function: Callable[[Networks, AbstractObjective, Context], Any]) -> Callable[..., Any]:
        """Return a function of one trial's tensors, which `vmap` can stack."""

        def run(weights: Any, buffers: Any, memory: Tensor, values: dict[str, Tensor]) -> Any:
            objective, ctx = at_work(cls, **values), Context(step, total, n_data, memory)
            return functional_call(
                cases[0].nets, (weights, buffers), (lambda nets: function(nets, objective, ctx),)
            )

        return run

    if isinstance(trials[0], AbstractAlternating):
        blank = batch._replace(code=torch.zeros_like(batch.code))

        def cost(
            nets: Networks, objective: AbstractObjective, ctx: Context, one: Batch, draw: Noise
        ) -> Tensor:
            assert isinstance(objective, AbstractAlternating)
            return objective.cost(nets, one, draw, ctx)

        costs = vmap(
            lambda w, b, m, v, one, draw: on(lambda nets, o, c: cost(nets, o, c, one, draw))(
                w, b, m, v
            )
        )(weights, buffers, memory, values, blank, noise)
        chosen = [trials[0].resolve(row.detach().numpy(), cases[0].ctx) for row in costs]
        codes = torch.stack(
            [torch.eye(batch.code.shape[2]).double()[torch.from_numpy(row)] for row in chosen]
        )
        assert torch.equal(codes, batch.code)

    def losses(
        w: Any, b: Any, m: Tensor, v: dict[str, Tensor], one: Batch, draw: Noise, player: str
    ) -> Tensor:
        def total_of(nets: Networks, objective: AbstractObjective, ctx: Context) -> Tensor:
            terms: Terms = objective.terms(nets, one, draw, ctx)
            return terms.reconstruction + terms.penalty if player == "vae" else terms.rivals[player]

        return on(total_of)(w, b, m, v)

    for player in wanted[0]:
        of_player = lambda *arguments, player=player: losses(*arguments, player)  # noqa: E731
        fused = vmap(torch.func.grad(of_player))(weights, buffers, memory, values, batch, noise)
        for k, alone in enumerate(wanted):
            for weight, gradient in alone[player].items():
                # batched matrix products add in another order
                torch.testing.assert_close(fused[weight][k], gradient, rtol=1e-10, atol=1e-12)


def player_gradients(objective: AbstractObjective, case: Case) -> dict[str, dict[str, Tensor]]:
    """Return player -> weight -> gradient of the player's own loss."""
    terms = objective.terms(*case)
    losses = {"vae": terms.reconstruction + terms.penalty, **terms.rivals}
    names = {id(weight): name for name, weight in case.nets.named_parameters()}
    return {
        player: {
            names[id(weight)]: gradient
            for weight, gradient in zip(
                own, torch.autograd.grad(losses[player], own, retain_graph=True), strict=True
            )
        }
        for player, own in case.nets.players().items()
    }


@registered
def test_memory_changes_the_loss_or_is_none(name: str) -> None:
    objective = OBJECTIVES[name]()
    if not objective.memory:
        return
    case = make(objective)
    other = case._replace(ctx=case.ctx._replace(memory=case.ctx.memory + 3))
    assert not torch.allclose(
        loss_and_gradients(objective, case)[0], loss_and_gradients(objective, other)[0]
    )


@registered
def test_evaluation_code_fits_what_the_decoder_reads(name: str) -> None:
    objective = at_work(OBJECTIVES[name])
    case = solved(objective, make(objective))
    code = objective.code(case.nets, case.batch, case.nets.encode(case.batch), case.ctx)
    assert code.shape == case.batch.code.shape
    for block in (
        code.split(list(objective.wiring.reads_code), 1) if objective.wiring.reads_code else ()
    ):
        assert torch.equal(block.sum(1), torch.ones(len(block)).double())
        assert set(block.unique().tolist()) <= {0.0, 1.0}


@registered
@pytest.mark.parametrize("total", [10, 300_000])
def test_schedules_end_when_they_say(name: str, total: int) -> None:
    """After `settled` the loss does not depend on the step any more; with schedules it did before."""
    objective = OBJECTIVES[name]()
    case = make(objective)
    settled = objective.settled(total, latents=3)

    def loss(step: int) -> float:
        ctx = case.ctx._replace(step=step, total_steps=total)
        now = solved(objective, case._replace(ctx=ctx))
        return loss_and_gradients(objective, now)[0].item()

    assert loss(settled) == loss(settled + 7) == loss(10 * total)
    # A slope may be too small to see in one step of 300,000; a stage is not.
    assert not settled or any(
        loss(before) != loss(settled) for before in (settled - 1, settled // 2)
    )


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
        for bound in field_checks.constraints(cls, knob):
            if isinstance(bound, Ge):
                with pytest.raises(ValueError, match=rf"{knob} must be >= {bound.ge}, got -1\.5"):
                    cls(**{knob: -1.5})


@registered
def test_objective_is_abstract_or_final_and_frozen(name: str) -> None:
    cls = OBJECTIVES[name]
    assert all(inspect.isabstract(base) for base in cls.__bases__)
    assert not inspect.isabstract(cls)
    assert cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert set(cls.neutral or {}) <= {field.name for field in dataclasses.fields(cls)}  # pyright: ignore[reportArgumentType]


@registered
def test_every_field_has_a_meaning_and_every_docstring_a_source(name: str) -> None:
    text = inspect.getdoc(OBJECTIVES[name]) or ""
    assert "Source: " in text
    assert "L = " in text
    for field in dataclasses.fields(OBJECTIVES[name]):  # pyright: ignore[reportArgumentType]
        assert f"\n    {field.name}: " in text


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(
        ValueError, match="unknown objective 'beta_tcva'; did you mean 'beta_tcvae'"
    ):
        registry.build("objective", {"name": "beta_tcva"}, OBJECTIVES)
    with pytest.raises(ValueError, match="unknown field 'bta'; did you mean 'beta'"):
        registry.build("objective", {"name": "beta_vae", "bta": 2.0}, OBJECTIVES)
    assert BetaVAE(0.0).beta == 0
