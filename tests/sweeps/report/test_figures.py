"""Figures show the numbers of the run table; each kind is drawn or says why it cannot be drawn."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import Collection, PathCollection
from matplotlib.figure import Figure
from synthetic_runs import BETAS, synthetic

from sweeps.report import figures, wording
from sweeps.report.figures import label_placement, pareto_front, style
from sweeps.results import cell_means, run_columns
from sweeps.results.run_table import Runs
from vae_core.objectives import OBJECTIVES

RUNS = synthetic()
SMALL = synthetic(objectives=["beta_vae"], strengths=[1, 4])
MANY = [
    "beta_vae",
    "beta_tcvae",
    "capacity_vae",
    "factor_vae",
    "joint_vae",
    "cascade_vae",
    "dip_vae_i",
    "info_vae",
]


def dots(axes: Axes, name: str) -> PathCollection:
    """Return the points of a panel with this id."""
    (points,) = [artist for artist in axes.collections if artist.get_gid() == name]
    assert isinstance(points, PathCollection)
    return points


def error_bars(axes: Axes) -> list[list[np.ndarray]]:
    """Return the segments of every set of error bars of a panel."""
    segments: list[list[np.ndarray]] = []
    for container in axes.containers:
        segments += [bars.get_segments() for bars in container.lines[2]]
    return segments


def ends(panels: list[Axes], state: str) -> list[Collection]:
    """Return the markers of the trials that ended in a state."""
    markers: list[Collection] = []
    for axes in panels:
        markers += [artist for artist in axes.collections if artist.get_gid() == state]
    return markers


def with_nan() -> Runs:
    table = SMALL.table.copy()
    table.loc[table["number"] % 3 == 0, ["mig", "final/mig", "tc", "final/tc"]] = math.nan
    return SMALL._replace(table=table)


def with_a_plain_vae() -> Runs:
    vae = synthetic(objectives=["vae"], strengths=[None], failed=())
    table = vae.table.assign(number=vae.table["number"] + 100, trial="v" + vae.table["trial"])
    curves = vae.curves.assign(trial="v" + vae.curves["trial"])
    return SMALL._replace(
        table=pd.concat([SMALL.table, table]), curves=pd.concat([SMALL.curves, curves])
    )


CASES: dict[str, Callable[[], Runs]] = {
    "one objective, one seed": lambda: synthetic(
        objectives=["beta_tcvae"], strengths=[1, 4], seeds=1
    ),
    "one beta": lambda: synthetic(objectives=["beta_vae"], strengths=[4], failed=()),
    "no strength": lambda: synthetic(objectives=["vae"], strengths=[None], failed=()),
    "with and without strength": with_a_plain_vae,
    "no factors": lambda: synthetic(objectives=["beta_vae"], factors=False, strengths=[1, 4]),
    "all failed": lambda: synthetic(objectives=["beta_vae"], strengths=[1, 4], failed=range(40)),
    "missing numbers": with_nan,
    "many strengths": lambda: synthetic(
        strengths=range(1, 11), objectives=["vae"], rates=[1e-3], seeds=1
    ),
    "a capacity": lambda: synthetic(objectives=["capacity_vae"], strengths=[5, 25]),
    "collapsed seeds": lambda: synthetic(strengths=[1, 4], collapsed=(0, 4), stopped=(4,)),
    "a collapsed plain VAE": lambda: synthetic(
        objectives=["vae"], strengths=[None], failed=(), collapsed=(0,)
    ),
    "many objectives": lambda: synthetic(
        objectives=MANY, strengths=[1, 4], rates=[1e-3], seeds=1, failed=()
    ),
    "no trials": lambda: RUNS._replace(table=RUNS.table.iloc[:0], curves=RUNS.curves.iloc[:0]),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", CASES)
def test_every_figure_is_drawn_or_says_why_not(case: str) -> None:
    runs = CASES[case]()
    for name, kind in figures.FIGURES.items():
        if not kind.why_not(runs):
            drawing = kind.draw(runs)
            assert isinstance(drawing, Figure), name
            assert runs.name in drawing.get_supxlabel()


@pytest.mark.parametrize(
    ("case", "drawn"),
    [
        ("no factors", {"tradeoff", "curves", "pruning"}),
        ("all failed", {"curves"}),
        ("no trials", set()),
        ("no strength", set(figures.FIGURES) - {"traversals", "capacity"}),
        ("a capacity", set(figures.FIGURES) - {"traversals"}),
    ],
)
def test_what_cannot_be_drawn_is_left_out_with_a_reason(case: str, drawn: set[str]) -> None:
    runs = CASES[case]()
    assert {name for name, kind in figures.FIGURES.items() if not kind.why_not(runs)} == drawn


def test_the_scatter_shows_the_means_and_their_errors() -> None:
    axes = figures.scatter_figure(RUNS).axes[0]
    rows = cell_means.brackets(RUNS)
    for series in ("beta_vae", "beta_tcvae"):
        group = rows.loc[rows["series"] == series].sort_values("strength")
        offsets = dots(axes, f"means:{series}").get_offsets()
        np.testing.assert_array_equal(offsets, group[["tc", "mig"]].to_numpy())
    # Two error bars per series. A bar spans mean ± standard error; where that is NaN (one of two
    # seeds at beta 2 failed), no bar is drawn.
    first = rows.loc[(rows["series"] == "beta_vae") & (rows["strength"] == 1)].iloc[0]
    np.testing.assert_allclose(
        error_bars(axes)[0][0][:, 0], [first["tc"] - first["tc_se"], first["tc"] + first["tc_se"]]
    )


def test_circles_grow_with_beta() -> None:
    sizes = dots(figures.scatter_figure(RUNS).axes[0], "means:beta_tcvae").get_sizes()
    assert len(sizes) == len(BETAS)
    assert (np.diff(sizes) > 0).all()


def test_areas_of_one_or_no_strength_are_equal() -> None:
    assert len(set(style.areas(np.array([4.0, 4.0])))) == 1
    assert len(set(style.areas(np.array([math.nan, math.nan])))) == 1
    assert style.areas(np.array([0.0, 5.0, math.nan])).tolist() == [40, 320, 40]


def test_every_point_of_the_scatter_is_labelled_with_its_beta() -> None:
    written = [note.get_text() for note in figures.scatter_figure(RUNS).axes[0].texts]
    assert written == [f"β {beta:g}" for beta in BETAS] * 2


def test_labels_do_not_overlap() -> None:
    drawing = style.figure(4, 4)
    axes = drawing.subplots()
    points = np.array([[0.5, 0.5], [0.52, 0.5], [0.5, 0.53]])
    axes.set(xlim=(0, 1), ylim=(0, 1))
    style.fix_layout(drawing)
    label_placement.place_labels(
        axes, points, ["β 1", "β 2", "β 4"], areas=np.full(3, 40.0), colours=["k"] * 3
    )
    drawing.draw_without_rendering()
    boxes = [note.get_window_extent() for note in axes.texts]
    assert len(boxes) == 3
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_a_single_seed_has_no_error_bars_and_the_figure_says_so() -> None:
    runs = CASES["one objective, one seed"]()
    drawing = figures.scatter_figure(runs)
    for bars in error_bars(drawing.axes[0]):
        assert not any(len(segment) and np.isfinite(segment).all() for segment in bars)
    assert "no error bars" in drawing.get_supxlabel().replace("\n", " ")


def test_the_tradeoff_has_a_panel_per_metric_and_a_dot_per_seed() -> None:
    drawing = figures.tradeoff_figure(RUNS)
    assert len(drawing.axes) == 3
    panel = drawing.axes[0]
    assert panel.get_xscale() == "log"
    assert panel.get_xticks().tolist() == list(BETAS)
    values = run_columns.values(RUNS.table, "reconstruction")[
        (RUNS.table["objective"] == "beta_vae").to_numpy()
    ]
    heights = np.asarray(dots(panel, "seeds:beta_vae").get_offsets())[:, 1]
    np.testing.assert_array_equal(np.sort(heights), np.sort(values[~np.isnan(values)]))


def test_the_tradeoff_of_data_without_factors_has_no_mig() -> None:
    drawing = figures.tradeoff_figure(CASES["no factors"]())
    assert len(drawing.axes) == 2
    assert "not measured: MIG" in drawing.get_supxlabel().replace("\n", " ")


def test_the_distribution_shows_every_complete_trial_with_chance_and_ceiling() -> None:
    axes = figures.distribution_figure(RUNS).axes[0]
    for objective in ("beta_vae", "beta_tcvae"):
        values = run_columns.values(RUNS.table, "mig")[
            (RUNS.table["objective"] == objective).to_numpy()
        ]
        positions = np.asarray(dots(axes, f"trials:{objective}").get_offsets())[:, 0]
        np.testing.assert_array_equal(positions, values[~np.isnan(values)])
    lines = {line.get_gid(): line.get_xdata() for line in axes.lines if line.get_gid()}
    assert lines["chance"] == pytest.approx([0.004, 0.004])
    assert lines["ceiling"] == pytest.approx([0.98, 0.98])


def test_learning_curves_mark_where_trials_were_pruned_or_failed() -> None:
    drawing = figures.curves_figure(RUNS)
    states = run_columns.counts(RUNS.table)
    for row in range(3):
        panels = drawing.axes[2 * row : 2 * row + 2]
        hollow, crosses = ends(panels, "PRUNED"), ends(panels, "FAILED")
        assert sum(len(artist.get_offsets()) for artist in hollow) == states["PRUNED"]
        assert sum(len(artist.get_offsets()) for artist in crosses) == states["FAILED"]
        assert all(len(artist.get_facecolor()) == 0 for artist in hollow)
        assert sum(len(axes.lines) for axes in panels) == len(RUNS.table)


def test_the_front_has_complete_cells_only_and_its_stairs_pass_through_them() -> None:
    plane = pareto_front.PLANES[0]
    rows = pareto_front.members(RUNS, plane)
    assert len(rows) == 10  # the pruned learning rate of every bracket is left out
    axes = figures.front_figure(RUNS).axes[0]
    (line,) = [line for line in axes.lines if line.get_gid() == "front"]
    corners = {tuple(point) for point in np.asarray(line.get_xydata())}
    ahead = rows.loc[rows["on_front"], [plane.x, plane.y]].to_numpy()
    assert {tuple(point) for point in ahead} <= corners
    pale = [artist for artist in axes.collections if str(artist.get_gid()).startswith("behind:")]
    assert sum(len(artist.get_offsets()) for artist in pale) == (~rows["on_front"]).sum()


def test_stairs_run_along_x_before_they_rise() -> None:
    rows = pd.DataFrame({"tc": [2.0, 1.0], "mig": [0.5, 0.1], "on_front": [True, True]})
    # From (1, 0.1) at the same height to x = 2, then up: no corner is better than the front.
    assert pareto_front.stairs(rows, pareto_front.PLANES[1]).tolist() == [
        [1, 0.1],
        [2, 0.1],
        [2, 0.5],
    ]


def test_pruning_bars_are_as_long_as_the_epochs_that_trials_ran() -> None:
    drawing = figures.pruning_figure(RUNS)
    widths: list[float] = []
    for axes in drawing.axes:
        widths += [patch.get_width() for patch in axes.patches]
    assert sorted(widths) == sorted(RUNS.table["epoch"])


def test_the_readme_figure_has_two_panels() -> None:
    drawing = figures.readme_figure(RUNS)
    assert len(drawing.axes) == 2
    assert len(dots(drawing.axes[0], "means:beta_vae").get_offsets()) == len(BETAS)


def test_traversals_are_those_of_the_best_complete_trials(tmp_path: Path) -> None:
    runs = synthetic(tmp_path, strengths=[1, 4], pictures=True)
    drawing = figures.traversals_figure(runs)
    best = cell_means.best_trial(runs, "beta_tcvae", cell_means.goals(runs)[0])
    assert best is not None
    assert f"seed {best['seed']}: MIG {wording.number(best['value'])}" in drawing.axes[1].get_title(
        loc="left"
    )
    assert drawing.axes[1].images[0].get_array().shape[:2] == (192, 320)


def test_points_with_collapsed_seeds_are_crossed_counted_and_explained() -> None:
    # The seeds of beta_vae are trials 0 and 1 (beta 1), 2 and 3 (beta 4). Trial 0 is complete,
    # trial 2 was stopped.
    runs = synthetic(strengths=[1, 4], rates=[1e-3], failed=(), collapsed=(0, 2), stopped=(2,))
    scatter = figures.scatter_figure(runs)
    crosses = np.asarray(dots(scatter.axes[0], "collapsed").get_offsets())
    rows = cell_means.brackets(runs)
    points = rows.loc[rows["series"] == "beta_vae", ["tc", "mig"]]
    np.testing.assert_array_equal(crosses, points.to_numpy())
    legend = [entry.get_text() for entry in scatter.axes[0].get_legend().get_texts()]
    assert legend[-1] == "collapsed: 2 of 4 seeds"
    tradeoff = figures.tradeoff_figure(runs)
    assert [entry.get_text() for entry in tradeoff.legends[0].get_texts()][
        -1
    ] == "collapsed: 2 of 4 seeds"
    for drawing in (scatter, tradeoff):
        foot = drawing.get_supxlabel().replace("\n", " ")
        assert "a cross: seeds of this point collapsed" in foot
        assert "not shown: 1 pruned (1 of them collapsed)" in foot


def test_a_legend_of_many_objectives_is_beside_the_panels() -> None:
    runs = CASES["many objectives"]()
    drawing = figures.tradeoff_figure(runs)
    (legend,) = drawing.legends
    assert [entry.get_text() for entry in legend.get_texts()] == list(style.colours(runs))
    assert legend.get_window_extent().x0 > max(axes.get_window_extent().x1 for axes in drawing.axes)
    axes = figures.scatter_figure(runs).axes[0]
    assert axes.get_legend().get_window_extent().x0 > axes.get_window_extent().x1
    assert wording.strength_axis(runs) == "strength"


def test_ticks_of_strengths_that_would_touch_are_left_out() -> None:
    axes = style.figure(4, 4).subplots()
    style.strength_scale(axes, np.array([1.0, 4.0, 10.0, 12.0, 1000.0]), "strength")
    assert axes.get_xticks().tolist() == [1, 4, 10, 1000]


def test_without_collapse_there_is_no_cross_and_no_note_about_crosses() -> None:
    drawing = figures.scatter_figure(RUNS)
    assert not [artist for artist in drawing.axes[0].collections if artist.get_gid() == "collapsed"]
    assert "collapsed" not in drawing.get_supxlabel()


def test_the_capacity_figure_shows_latents_factors_and_snapshots_against_c(tmp_path: Path) -> None:
    runs = synthetic(
        tmp_path, objectives=["capacity_vae"], strengths=[25], rates=[1e-3], pictures=True
    )
    drawing = figures.capacity_figure(runs)
    (block,) = drawing.subfigs
    panels = block.axes
    best = cell_means.best_trial(runs, "capacity_vae", cell_means.goals(runs)[0])
    assert best is not None
    curve = runs.curves.loc[runs.curves["trial"] == best["trial"]]
    curve = curve.drop_duplicates("capacity", keep="last")
    for axes, names in (
        (panels[0], [f"kl_latents/{j}" for j in range(6)]),
        (panels[1], ["kl_factors/pos_x"]),
    ):
        lines = {line.get_gid(): line for line in axes.lines if line.get_gid()}
        for name in names:
            np.testing.assert_array_equal(
                lines[name].get_xydata(), curve[["capacity", name]].to_numpy()
            )
    areas = {str(area.get_gid()): area for area in panels[1].collections if area.get_gid()}
    outline = areas["kl_factors_shuffled/pos_x"].get_paths()[0].vertices
    assert outline[:, 1].max() == curve["kl_factors_shuffled/pos_x"].max()
    # C grows over the first three of six epochs and then stays; of the snapshots at one C the
    # latest is drawn.
    titles = [axes.get_title(loc="left") for axes in panels[2:]]
    assert titles == ["C = 8.33 nats, epoch 1", "C = 16.7 nats, epoch 2", "C = 25 nats, epoch 6"]


def test_a_factor_without_a_share_of_the_kl_stays_in_the_legend() -> None:
    runs = synthetic(objectives=["capacity_vae"], strengths=[25], rates=[1e-3])
    curves = runs.curves.assign(**{"kl_factors/shape": 0.0})
    (block,) = figures.capacity_figure(runs._replace(curves=curves)).subfigs
    labels = [text.get_text() for text in block.axes[1].get_legend().get_texts()]
    assert labels == ["pos_x", "pos_y", "scale", "shape", "not shared"]


def test_the_capacity_figure_shows_the_best_of_every_objective_before_the_second_of_any(
    tmp_path: Path,
) -> None:
    runs = synthetic(
        tmp_path, objectives=["capacity_vae", "factor_bottleneck"], strengths=[5, 10, 20], epochs=4
    )
    titles = [
        block.axes[0].get_title(loc="left") for block in figures.capacity_figure(runs).subfigs
    ]
    # Two of each. First comes the objective with an encoder that reads the factors.
    assert [title.partition(",")[0] for title in titles] == ["factor_bottleneck"] * 2 + [
        "capacity_vae"
    ] * 2


def test_curves_of_many_objectives_are_in_blocks_with_one_scale(tmp_path: Path) -> None:
    names = [name for name in OBJECTIVES if name != "vae"][:8]
    drawing = figures.curves_figure(synthetic(tmp_path, objectives=names, strengths=[5], epochs=4))
    panels = [axes for axes in drawing.axes if axes.lines]
    assert len(panels) == 3 * 8
    titles = [axes.get_title(loc="left") for axes in panels]
    assert [title for title in titles if title] == names
    first, second = panels[titles.index(names[0])], panels[titles.index(names[4])]
    assert first.get_ylim() == second.get_ylim()


def test_each_panel_has_the_rungs_of_its_trials() -> None:
    # The second objective has no rung: its schedules run to the end.
    late = (RUNS.table["objective"] == "beta_tcvae").to_numpy()
    rungs = np.where(late, "[]", RUNS.table["rungs"])
    first, second = figures.pruning_figure(RUNS._replace(table=RUNS.table.assign(rungs=rungs))).axes
    assert [line.get_xdata() for line in first.lines if line.get_linestyle() == "--"] == [[3, 3]]
    assert not [line for line in second.lines if line.get_linestyle() == "--"]


def test_a_figure_drawn_twice_is_the_same_bytes_and_leaves_the_style_of_the_caller() -> None:
    before = dict(matplotlib.rcParams)
    assert figures.svg(figures.distribution_figure(RUNS)) == figures.svg(
        figures.distribution_figure(RUNS)
    )
    assert figures.png(figures.distribution_figure(RUNS)) == figures.png(
        figures.distribution_figure(RUNS)
    )
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (0.31249, 0.0213, "0.312 ± 0.021"),
        (71.234, 1.44, "71.2 ± 1.4"),
        (0.00034, math.nan, "0.00034"),
        (21.9447, 0.0000095, "21.945 ± 0.000"),  # five digits of the number are enough
        (71.234, math.nan, "71.2"),
        (6.0, 0.0, "6 ± 0"),
        (-0.5, 0.25, "−0.50 ± 0.25"),
        (-0.00001, 0.0014, "0.0000 ± 0.0014"),  # no negative zero
        (math.nan, math.nan, "–"),
        (0.0, math.nan, "0"),
        (12345.6, math.nan, "12346"),
    ],
)
def test_numbers_are_rounded_to_their_error(value: float, error: float, words: str) -> None:
    assert wording.with_error(value, error) == words
