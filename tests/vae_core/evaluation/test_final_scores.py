"""The final evaluation: what it refuses, and what it returns."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from evaluated_models import model_of

import metrics
import vae_core
from metrics import Inputs, Metric, Score
from vae_core import Data, EvaluationConfig, TrialConfig
from vae_core.evaluation import final_scores
from vae_core.objectives import VAE, CapacityVAE, JointVAE
from vae_core.types import Wiring


def test_every_final_metric_of_the_registry_is_served(data: Data) -> None:
    """Each metric gets what it needs (images, factors, codes), and all its numbers are finite."""
    names = tuple(
        name
        for name, metric in metrics.METRICS.items()
        if not metric.needs & {"others", "discrete"}
    )
    config = EvaluationConfig(images=40, samples=8, final=names)
    final = final_scores.final_evaluation(model_of(data, VAE()), config=config)
    assert set(names) <= set(final.metrics)
    assert set(final.scores) == set(names)
    # `elbo` is the ELBO of an epoch, not the metric that is called `elbo_rate`
    assert final.metrics["elbo"] == -(final.metrics["reconstruction"] + final.metrics["kl"])


def test_the_final_decomposition_is_sampled_until_its_error_is_small(data: Data) -> None:
    config = EvaluationConfig(images=40, samples=8, final=())
    model = model_of(data, VAE())
    last: torch.nn.Linear = model.nets.encoder[-1]  # type: ignore[index,assignment]
    with torch.no_grad():
        last.weight.mul_(10)  # means that differ: I(x; z) of an untrained model is almost 0
    final = final_scores.final_evaluation(model, config=config)
    codes, numbers = final.codes, final.metrics
    samples = int(numbers["decomposition_samples"])
    assert samples > 512  # the first round
    parts = metrics.elbo_decomposition(codes, samples=samples, seed=0)
    assert (numbers["tc"], numbers["tc_error"]) == (parts.tc, parts.tc_error)
    assert parts.mi_error <= 1.2 * final_scores.FINAL_ERROR
    assert numbers["mi"] + numbers["tc"] + numbers["dimwise_kl"] == pytest.approx(numbers["kl"])
    assert "<= 0.005 nats" in final.decomposition["samples"]


def test_final_metric_without_factors_is_refused_before_training(data: Data) -> None:
    bare = dataclasses.replace(data, factors=None)
    with pytest.raises(
        ValueError, match=r"evaluation: mig need factors, which data set 'bars' does not have"
    ):
        final_scores.check_final(EvaluationConfig(final=("mig",)), bare, Wiring())


def counting_categories(inputs: Inputs) -> Score:
    """Return the number of categories that the discrete codes have."""
    assert inputs.codes.discrete is not None
    return Score(float(len(np.unique(inputs.codes.discrete))), details={"half": 0.5})


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register `counting_categories` as a metric, with a variant."""
    row = Metric(
        counting_categories,
        frozenset({"discrete"}),
        (0, 9),
        "none",
        "trial",
        "codes",
        variants={"old": {}},
    )
    monkeypatch.setitem(metrics.METRICS, "counted", row)


@pytest.mark.usefixtures("counted")
def test_a_final_metric_of_discrete_codes_needs_an_objective_that_has_them(data: Data) -> None:
    final = EvaluationConfig(final=("mig", "counted.old"))
    message = r"counted\.old need discrete codes, which the objective does not have"
    with pytest.raises(ValueError, match=message):
        final_scores.check_final(final, data, Wiring())
    final_scores.check_final(final, data, Wiring(reads_code=(3,)))


@pytest.mark.usefixtures("counted")
def test_a_variant_is_scored_under_its_own_name(data: Data, config: TrialConfig) -> None:
    evaluation = EvaluationConfig(images=40, samples=8, final=("counted.old",))
    joint = dataclasses.replace(config, objective=JointVAE(categories=(3,)), evaluation=evaluation)
    *_, report = vae_core.train(joint, data)
    assert report.final is not None
    assert report.final.scores["counted.old"].identity["metric"] == "counted.old"
    assert {"counted.old", "counted.old_half"} < set(report.final.metrics)


def test_final_metrics_have_the_information_on_each_factor_too(data: Data) -> None:
    model = model_of(data, CapacityVAE())
    factors = ("row", "length", "column")
    prefixes = ("information", "kl_factors", "kl_factors_shuffled")
    keys = {f"{prefix}/{name}" for prefix in prefixes for name in factors}
    for final, best in (((), None), (("mig",), None), ((), "mig")):
        config = EvaluationConfig(images=40, samples=8, final=final, best=best)
        assert keys <= final_scores.final_evaluation(model, config=config).metrics.keys()
