"""The run table shows what the ledger holds."""

import json
import math

import pytest
from mini_sweep import conductor, play, spec

from sweeps.results import run_table


def test_collapsed_trials_are_marked_when_they_end(tmp_path):
    sweep = conductor(spec(pruning="none", objectives=[{"name": "beta_vae", "beta": 4}]), tmp_path)
    play(sweep, active=lambda trial, _: 0.0 if trial.seed == 1 else 2.0, stop_after=6)
    unfinished = run_table.load_runs(tmp_path, "mini").table
    assert not unfinished["collapsed"].any()  # no trial has ended
    play(
        conductor(spec(pruning="none", objectives=[{"name": "beta_vae", "beta": 4}]), tmp_path),
        active=lambda trial, _: 2.0 - 2.0 * trial.seed,
    )
    table = run_table.load_runs(tmp_path, "mini").table
    assert table["collapsed"].tolist() == [False, True, False, True]


def test_the_rungs_of_a_trial_are_the_rungs_that_judge_it(tmp_path):
    objectives = [{"name": "beta_vae"}, {"name": "factor_bottleneck"}]
    play(conductor(spec(objectives=objectives, seeds=1), tmp_path))
    table = run_table.load_runs(tmp_path, "mini").table
    rungs = {
        str(objective): [json.loads(text) for text in dict.fromkeys(column)]
        for objective, column in table.groupby("objective")["rungs"]
    }
    assert rungs == {"beta_vae": [[2]], "factor_bottleneck": [[]]}


def test_curves_have_the_capacity_of_each_epoch_and_none_without_one(tmp_path):
    objectives = [{"name": "beta_vae"}, {"name": "capacity_vae", "c_max": 24, "annealing": 24}]
    train = {"epochs": 4, "batch_size": 32}
    play(conductor(spec(objectives=objectives, train=train, seeds=1, pruning="none"), tmp_path))
    curves = run_table.load_runs(tmp_path, "mini").curves
    curve = curves.loc[(curves["number"] == 1).to_numpy()].sort_values("epoch")
    # C grows by one nat per step for 24 steps. Before the last step of epoch 1, 11 steps are done;
    # before that of epoch 2, 23.
    assert curve["capacity"].tolist() == [11, 23, 24, 24]
    assert curves.loc[(curves["number"] == 0).to_numpy(), "capacity"].isna().all()


def test_the_numbers_of_the_best_epoch_have_separate_columns(tmp_path):
    evaluation = {"images": 64, "samples": 16, "final": ["mig"], "best": "mig"}
    play(conductor(spec(evaluation=evaluation), tmp_path))
    table = run_table.load_runs(tmp_path, "mini").table
    complete = table["state"] == "COMPLETE"
    assert table.loc[complete, "best/mig"].tolist() == pytest.approx(
        table.loc[complete, "final/mig"].tolist()
    )
    assert set(table.loc[complete, "best/epoch"]) == {1.0}
    assert all(math.isnan(value) for value in table.loc[~complete, "best/mig"])


@pytest.mark.parametrize(
    ("laid_out", "expected"),
    [
        (["objective.beta"], ("beta", 1.0)),
        (["objective.alpha"], ("alpha", 6.0)),
        (["objective.alpha", "objective.beta"], ("beta", 1.0)),  # the declared one comes first
        (["train.learning_rate"], ("beta", 1.0)),  # not in `tradeoff.by`
        (["objective.estimator"], ("beta", 1.0)),  # not a number
        ([], ("beta", 1.0)),
    ],
)
def test_the_strength_is_the_parameter_of_the_trade_off_that_is_laid_out(laid_out, expected):
    objective = {"name": "beta_tcvae", "alpha": 6.0, "beta": 1.0, "gamma": 1.0, "estimator": "mws"}
    config = {"objective": objective, "train": {"learning_rate": 1e-3}, "network": {}}
    assert run_table.strength(config, laid_out, ("beta", "alpha", "gamma", "estimator")) == expected


def test_null_is_one_of_the_values_of_a_strength():
    config = {
        "objective": {"name": "beta_vae", "beta": 4.0},
        "train": {"correlation_width": None},
        "network": {},
    }
    name, value = run_table.strength(config, ["train.correlation_width"], ("correlation_width",))
    assert (name, str(value)) == ("correlation_width", "nan")


def test_a_plain_vae_has_a_strength_only_if_one_is_laid_out():
    config = {"objective": {"name": "vae"}, "network": {"latents": 6}, "train": {}}
    assert run_table.strength(config, ["network.latents"], ("latents",)) == ("latents", 6.0)
    name, value = run_table.strength(config, ["network.latents"], ())
    assert (name, str(value)) == ("", "nan")
