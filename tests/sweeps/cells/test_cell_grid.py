"""The layouts and cells of a spec, and their names."""

import pytest
from mini_sweep import spec

from sweeps.cells.cell_grid import all_layouts, trial_config
from sweeps.cells.names import bracket, entry_name
from sweeps.spec.load import load_spec


def test_the_product_runs_over_train_and_objective_the_last_fastest():
    fixed = [tuple(layout.fixed.values()) for layout in all_layouts(spec())]
    assert fixed == [(1e-2, 1), (1e-2, 4), (1e-3, 1), (1e-3, 4)]


def test_a_sampler_searches_every_space_but_grids():
    searched = spec(
        train={"epochs": 2, "batch_size": 32, "learning_rate": {"loguniform": [1e-4, 1e-2]}},
        search={"name": "random", "trials": 3},
    )
    layouts = all_layouts(searched)
    assert [layout.fixed for layout in layouts] == [{"objective.beta": 1}, {"objective.beta": 4}]
    assert all(list(layout.searched) == ["train.learning_rate"] for layout in layouts)


def test_brackets_are_objective_and_strength():
    sweep = spec(
        objectives=[
            {"name": "vae"},
            {"name": "beta_vae", "beta": 4},
            {"name": "beta_vae", "beta": 8},
        ]
    )
    names = [bracket(sweep, layout, layout.fixed).name for layout in all_layouts(sweep)]
    assert names == ["vae", "vae", *["beta_vae#1 beta=4"] * 2, *["beta_vae#2 beta=8"] * 2]


def test_tradeoff_by_names_the_bracket():
    sweep = spec(tradeoff={"by": ["learning_rate"]})
    names = [bracket(sweep, layout, layout.fixed).name for layout in all_layouts(sweep)]
    assert names == ["beta_vae learning_rate=0.01"] * 2 + ["beta_vae learning_rate=0.001"] * 2


def test_a_searched_strength_is_not_in_the_bracket():
    sweep = spec(
        objectives=[{"name": "beta_vae", "beta": {"loguniform": [1, 16]}}],
        search={"name": "random", "trials": 2},
    )
    layout = all_layouts(sweep)[0]
    assert bracket(sweep, layout, {**layout.fixed, "objective.beta": 3.0}).name == "beta_vae"


def test_a_trial_has_the_specs_constants_the_cells_values_and_a_seed():
    sweep = spec()
    layout = all_layouts(sweep)[1]
    config = trial_config(sweep, layout, layout.fixed, 7, "f" * 64)
    assert (config.objective.beta, config.train.learning_rate, config.seed) == (4, 1e-2, 7)
    assert config.evaluation == sweep.evaluation
    assert len(config.hash) == 16


def test_the_hash_covers_seed_and_numbers_but_not_name_resources_or_store():
    layout = all_layouts(spec())[0]

    def trial_hash(sweep, seed=0, fingerprint="f" * 64):
        return trial_config(sweep, layout, layout.fixed, seed, fingerprint).hash

    expected = trial_hash(spec())
    renamed = spec(name="other", resources={"cpu": 2}, store={"mlflow": "http://x:1"})
    assert trial_hash(renamed) == expected
    assert trial_hash(spec(), seed=1) != expected
    assert trial_hash(spec(), fingerprint="e" * 64) != expected
    more_images = spec(evaluation={"images": 65, "samples": 16, "final": ["mig"]})
    assert trial_hash(more_images) != expected


def entry_names(*objectives):
    sweep = spec(objectives=list(objectives))
    return [entry_name(sweep, index) for index in range(len(objectives))]


def test_entries_of_one_objective_are_named_by_the_words_that_differ():
    names = entry_names(
        {"name": "capacity_vae", "form": "relu"},
        {"name": "vae"},
        {"name": "capacity_vae", "c_max": 5.0},
    )
    assert names == ["capacity_vae(relu)", "vae", "capacity_vae(abs)"]


def test_entries_without_settings_of_their_own_are_not_named_by_numbers():
    names = entry_names(
        {"name": "capacity_vae", "c_max": 5.0}, {"name": "capacity_vae", "c_max": 9.0}
    )
    assert names == ["capacity_vae#0", "capacity_vae#1"]


def test_a_word_that_is_laid_out_names_no_entry():
    names = entry_names(
        {"name": "capacity_vae", "form": {"grid": ["abs", "relu"]}}, {"name": "capacity_vae"}
    )
    assert names == ["capacity_vae#0", "capacity_vae#1"]


def test_entries_that_each_vary_another_field_are_named_by_it() -> None:
    sweep = load_spec("weights-ablation")
    assert [entry_name(sweep, index) for index in range(3)] == [
        "beta_tcvae(beta)",
        "beta_tcvae(alpha)",
        "beta_tcvae(gamma)",
    ]
    names = [bracket(sweep, layout, layout.fixed).name for layout in all_layouts(sweep)]
    assert names[6] == "beta_tcvae(alpha) beta=1 alpha=2 gamma=1"
    assert len(set(names)) == len(names)


def test_layouts_are_made_one_by_one_in_the_order_of_the_product() -> None:
    rates, betas = [1e-2, 1e-3], [1, 2, 4]
    sweep = spec(
        train={"epochs": 4, "batch_size": 32, "learning_rate": {"grid": rates}},
        objectives=[{"name": "vae"}, {"name": "beta_vae", "beta": {"grid": betas}}],
    )
    layouts = all_layouts(sweep)
    # 2 of the VAE, then 2 x 3 of the beta-VAE; beta, the last field, changes fastest.
    assert len(layouts) == 8
    expected = [(rate, beta) for rate in rates for beta in betas]
    pairs = [(one.fixed["train.learning_rate"], one.fixed["objective.beta"]) for one in layouts[2:]]
    assert pairs == expected
    assert [one.position for one in layouts] == list(range(8))
    assert layouts[-1] == layouts[7]
    assert layouts.positions(1) == range(2, 8)
    with pytest.raises(IndexError, match="8 of 8"):
        layouts[8]
