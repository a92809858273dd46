"""The report page has every trial and every number, in one file that loads no other file."""

from __future__ import annotations

import html.parser
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from synthetic_runs import synthetic

from sweeps.report import definitions, figures, findings, markdown, tables, wording
from sweeps.report.figures import FIGURES
from sweeps.report.page import html_page, markdown_page, pictures, write_report
from sweeps.report.table_parts import Table, TableCell, TableHead, TableRow
from sweeps.results import cell_means, run_columns, table_file
from sweeps.results.run_table import Runs

VOID = {"meta", "img", "br", "link", "hr"}


class Reader(html.parser.HTMLParser):
    """Collects text, links and ids, and checks that every tag is closed by the right end tag."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href"):
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return synthetic(tmp_path_factory.mktemp("workspace"), strengths=[1, 4], pictures=True)


@pytest.fixture(scope="module")
def path(runs: Runs) -> Path:
    return write_report(runs)


def test_the_report_is_in_the_folder_of_the_sweep(runs, path):
    assert path == runs.workspace / "reports" / "quickstart" / "report.html"
    names = sorted(file.name for file in (path.parent / "figures").iterdir())
    png_names = [f"{name}.png" for name in drawn(runs)]
    svg_names = [f"{name}.svg" for name in drawn(runs)]
    assert names == sorted([*png_names, *svg_names])
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "figures",
        "report.html",
        "report.md",
        "runs.parquet",
    ]


def drawn(runs: Runs) -> list[str]:
    return [name for name, kind in FIGURES.items() if not kind.why_not(runs)]


def test_the_page_is_well_formed_and_loads_nothing(runs, path):
    page = path.read_text(encoding="utf-8")
    reader = Reader(page)
    assert reader.open == []
    assert all(link.startswith(("data:image/", "#")) for link in reader.links)
    assert {link[1:] for link in reader.links if link.startswith("#")} <= set(reader.ids)
    assert (
        sum(link.startswith("data:image/") for link in reader.links)
        == len(drawn(runs))
        == len(FIGURES) - 1
    )
    assert "<script" not in page
    assert "url(" not in page


def test_the_page_has_every_trial_and_every_reason(runs, path):
    words = Reader(path.read_text(encoding="utf-8")).text
    assert all(trial in words for trial in runs.table["trial"])
    # Reasons are escaped in the file; a reader sees them in full.
    assert all(why in words for why in runs.table["why"])
    assert "16 trials of beta_vae and beta_tcvae: 7 complete, 8 pruned, 1 failed." in words
    assert "15 June 2025" in words


def test_reasons_cannot_break_the_page(path):
    assert "<after 4 attempts>" not in path.read_text(encoding="utf-8")


def test_the_parquet_is_the_table(runs, path):
    stored = pd.read_parquet(path.parent / "runs.parquet")
    # Parquet returns lists as arrays.
    stored["network.hidden"] = stored["network.hidden"].map(list)
    pd.testing.assert_frame_equal(stored, runs.table)


def test_columns_of_several_kinds_are_stored_as_json(tmp_path):
    table = pd.DataFrame({"number": [0, 1], "objective.code": [4, "auto"]})
    (tmp_path / "t.parquet").write_bytes(table_file.table_bytes(table))
    assert pd.read_parquet(tmp_path / "t.parquet")["objective.code"].tolist() == ["4", '"auto"']


def test_the_same_runs_give_the_same_bytes(runs, path, tmp_path):
    again = write_report(runs, folder=tmp_path / "elsewhere")
    assert again.read_bytes() == path.read_bytes()
    assert (again.parent / "runs.parquet").read_bytes() == (
        path.parent / "runs.parquet"
    ).read_bytes()


def test_without_factors_the_figures_of_mig_are_left_out_and_old_ones_removed(tmp_path):
    runs = synthetic(tmp_path, objectives=["beta_vae"], strengths=[1, 4], seeds=1, factors=False)
    old = tmp_path / "reports" / "quickstart" / "figures" / "scatter.png"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"old")
    words = Reader(write_report(runs).read_text(encoding="utf-8")).text
    assert not old.exists()
    assert (
        words.count("Left out: MIG was not measured (it needs a data set with known factors).") == 3
    )
    assert "Highest mean ELBO" in words


def test_the_page_says_that_all_trials_failed(tmp_path):
    runs = synthetic(tmp_path, strengths=[1], seeds=1, failed=range(40))
    words = Reader(html_page(runs, pictures(runs))).text
    assert "4 failed. No trial is complete, so there are no means." in words
    assert words.count("loss is not finite") == 8  # in the run table and in the list of failures


def test_a_sweep_without_trials_has_a_page(tmp_path):
    runs = synthetic(tmp_path, strengths=[1], seeds=1)
    empty = runs._replace(table=pd.DataFrame(), curves=pd.DataFrame())
    assert "0 trials: none." in Reader(write_report(empty).read_text(encoding="utf-8")).text


def with_means(metric: str, means: dict[str, list[float]]) -> Runs:
    """Return runs of one seed at beta 1, 2, 4 with a metric of the whole set.

    Args:
        metric: its name.
        means: objective -> its three values.
    """
    runs = synthetic(objectives=list(means), strengths=[1, 2, 4], rates=[1e-3], seeds=1, failed=())
    return runs._replace(
        table=runs.table.assign(**{f"final/{metric}": np.concatenate(list(means.values()))})
    )


@pytest.mark.parametrize(
    ("means", "words"),
    [
        ([3.0, 2.0, 1.0], "falls at every step of β for beta_vae: 3, 2, 1 (β = 1, 2, 4)"),
        ([1.0, 2.0, 3.0], "rises at every step of β"),
        ([1.0, 3.0, 2.0], "neither falls at every step nor rises at every step of β"),
        ([1.0, 1.0, 2.0], "neither falls at every step nor rises at every step of β"),
    ],
)
def test_a_trend_follows_from_the_means(means, words):
    (sentence,) = findings.trends(with_means("tc", {"beta_vae": means}), ["tc"])
    assert sentence.startswith("Total correlation")
    assert words in sentence


def test_steps_within_their_error_are_counted():
    runs = synthetic(objectives=["beta_vae"], strengths=[1, 2, 4], rates=[1e-3], failed=())
    # Means 2, 3, 9, each with standard error 1, so a step has the error sqrt(2). The first step, 1,
    # lies within it; the second, 6, does not.
    runs = runs._replace(table=runs.table.assign(**{"final/tc": [1.0, 3.0, 2.0, 4.0, 8.0, 10.0]}))
    (sentence,) = findings.trends(runs, ["tc"])
    assert sentence.endswith(
        "2.0, 3.0, 9.0 (β = 1, 2, 4). 1 of 2 steps lie within one standard error."
    )


def test_a_comparison_follows_from_the_means_at_each_beta():
    runs = with_means(
        "reconstruction", {"beta_vae": [10.5, 20.5, 30.5], "beta_tcvae": [11.5, 19.5, 30.5]}
    )
    (sentence,) = findings.comparisons(runs)
    assert sentence == (
        "At the same β, beta_tcvae has a better (lower) mean reconstruction than beta_vae "
        "at 1 of 3 values: "
        "β = 1 no (11.5 against 10.5); β = 2 yes (19.5 against 20.5); β = 4 no (30.5 against 30.5)."
    )


def test_a_difference_within_its_error_is_marked():
    runs = synthetic(objectives=["beta_vae", "beta_tcvae"], strengths=[1], rates=[1e-3], failed=())
    # Means 2 and 3. Two seeds that differ by 2 have the standard error 1, so the difference of the
    # means, 1, has the error sqrt(2).
    runs = runs._replace(table=runs.table.assign(**{"final/reconstruction": [1.0, 3.0, 2.0, 4.0]}))
    assert "β = 1 no (3.0 against 2.0, within one standard error)" in findings.comparisons(runs)[0]


def test_the_best_cell_of_each_goal_is_named_with_its_error():
    runs = synthetic(objectives=["beta_vae"], strengths=[1, 4], rates=[1e-3], failed=())
    goals = [{"metric": "mig", "mode": "max"}, {"metric": "tc", "mode": "min"}]
    table = runs.table.assign(
        **{"final/mig": [0.1, 0.1, 0.2, 0.3], "final/tc": [1.5, 2.5, 4.0, 4.0]}
    )
    # MIG 0.2, 0.3: mean 0.25, sd 0.0707, se 0.05. TC 1.5, 2.5: mean 2, se 0.5.
    assert findings.best(runs._replace(table=table, spec=runs.spec | {"goal": goals})) == [
        "Highest mean MIG: 0.250 ± 0.050 (standard error, n = 2), by beta_vae, β = 4.",
        "Lowest mean total correlation: 2.00 ± 0.50 (standard error, n = 2), by beta_vae, β = 1.",
    ]


def one_beta(seeds: int, **columns: Any) -> Runs:
    """Return the runs of one cell; columns of the whole data set replace the synthetic ones."""
    runs = synthetic(
        objectives=["beta_vae"], strengths=[4], rates=[1e-3], seeds=seeds, failed=(), prune=False
    )
    return runs._replace(table=runs.table.assign(**columns))


def test_every_error_holds_that_of_the_estimator():
    # TC 1, 3: sd / sqrt(2) = 1, and e = sqrt(8): se = sqrt(1 + 8) = 3.
    runs = one_beta(2, **{"final/tc": [1.0, 3.0], "final/tc_error": [math.sqrt(8)] * 2})
    table = tables.strengths(runs)
    index = [head.text for head in table.heads].index("TC")
    assert table.rows[0].cells[index].text == "2.0 ± 3.0"
    figure = figures.tradeoff_figure(runs, metrics=["tc"])
    (bars,) = (part for part in figure.axes[0].collections if isinstance(part, LineCollection))
    assert bars.get_segments()[0][:, 1].tolist() == pytest.approx([-1, 5])


def test_the_error_of_one_seed_is_that_of_the_estimator_and_says_so():
    runs = one_beta(1, **{"final/tc": [2.0], "final/tc_error": [0.25]})
    table = tables.strengths(runs)
    texts = [cell.text for cell in table.rows[0].cells]
    assert "2.00 ± 0.25†" in texts
    assert not any("±" in text for text in texts if text != "2.00 ± 0.25†")  # the rest is exact
    assert table.caption.endswith("† one seed: ± is the estimator's error alone.")
    goal = runs.spec | {"goal": {"metric": "tc", "mode": "min"}}
    assert findings.best(runs._replace(spec=goal))[0].startswith(
        "Lowest mean total correlation: 2.00 ± 0.25 (one seed: the estimator's error alone), by"
    )
    foot = " ".join(figures.scatter_figure(runs).get_supxlabel().split())
    assert "one seed: bars are the estimator's error alone" in foot


def test_the_identity_of_the_decomposition_is_shown_with_the_samples_that_it_took():
    columns = {
        "identity/decomposition": '{"estimator": "full mixture", "samples": "512 or more"}',
        "final/decomposition_samples": [2048.0, 6000.0],
    }
    rows = definitions.metric_table(one_beta(2, **columns)).rows
    texts = {row.cells[0].text: row.cells[4].text for row in rows}
    shown = "estimator full mixture, samples 512 or more; samples drawn: 2048–6000"
    assert texts["mutual information"] == texts["total correlation"] == shown
    assert "decomposition" not in texts


def test_the_figures_say_what_their_bars_hold():
    columns = {"final/tc": [1.0, 3.0], "final/tc_error": [0.5, 0.5]}
    runs = one_beta(2, **columns)
    older = runs._replace(table=runs.table.drop(columns="final/tc_error"))
    for sweep, words in (
        (runs, "± standard error of seeds and estimator;"),
        (older, "± standard error, of seeds alone where the estimator's error is not known;"),
    ):
        drawing = figures.tradeoff_figure(sweep, metrics=["tc"])
        assert words in " ".join(drawing.get_supxlabel().split())


def test_a_sweep_without_stored_errors_has_the_spread_over_seeds_and_says_so():
    runs = one_beta(2, **{"final/tc": [1.0, 3.0]})
    older = runs._replace(table=runs.table.drop(columns="final/tc_error"))
    table = tables.strengths(older)
    assert "2.0 ± 1.0‡" in [cell.text for cell in table.rows[0].cells]
    assert "‡ the estimator's error is not known: ± is the spread over seeds alone" in table.caption
    cells = {row.cells[0].text: row.cells[-1].text for row in definitions.metric_table(older).rows}
    assert (cells["total correlation"], cells["KL"]) == ("not known", "0: exact")


def test_steps_within_the_error_of_single_seeds_say_that_it_is_the_estimators():
    runs = synthetic(
        objectives=["beta_vae"], strengths=[1, 4], rates=[1e-3], seeds=1, failed=(), prune=False
    )
    columns = {"final/tc": [1.0, 1.1], "final/tc_error": [0.1, 0.1]}
    runs = runs._replace(table=runs.table.assign(**columns))
    # The step is .1, the error of the difference .1 sqrt(2).
    assert findings.trends(runs, ["tc"])[0].endswith(
        "1 of 1 steps lie within one standard error of the estimator (one seed each)."
    )


def test_the_report_defines_its_standard_error(runs):
    page = markdown_page(run_columns.with_report_columns(runs), {})
    assert page.count("√(sd²/n + e²)") == 1


def test_no_sentence_claims_a_trend_of_mig(runs):
    sentences = findings.trends(runs) + findings.comparisons(runs)
    assert not any("MIG" in sentence for sentence in sentences)


def test_the_sentence_of_a_front_lists_its_cells(runs):
    first, second = findings.fronts(runs)
    assert first.startswith("Reconstruction against MIG: ")
    assert second.startswith("Total correlation against MIG: ")
    # Trial 5 failed, so one of the cells has one seed.
    assert "of 4 cells are on the front (means over n = 1–2 seeds): beta_tcvae at β = " in first


def test_the_table_has_a_row_per_beta_and_objective_with_its_counts(runs):
    table = tables.strengths(runs)
    assert [head.text for head in table.heads][:6] == [
        "objective",
        "β",
        "learning rate",
        "n",
        "pruned",
        "failed",
    ]
    assert [[cell.text for cell in row.cells[:6]] for row in table.rows] == [
        ["beta_vae", "1", "0.001", "2", "2", "0"],
        ["beta_vae", "4", "0.001", "1", "2", "1"],  # trial 5 failed
        ["beta_tcvae", "1", "0.001", "2", "2", "0"],
        ["beta_tcvae", "4", "0.001", "2", "2", "0"],
    ]
    assert "MIG has the chance 0.004 and the ceiling 0.98." in table.caption


def test_levels_of_mig_that_differ_between_rows_are_a_column(tmp_path):
    runs = synthetic(tmp_path)
    ceilings = runs.table["final/mig_ceiling"].where(runs.table["strength"] != 1.0, 0.5)
    changed = runs._replace(table=runs.table.assign(**{"final/mig_ceiling": ceilings}))
    table = tables.strengths(changed)
    assert table.heads[-1].text == "chance, ceiling of MIG"
    assert table.rows[0].cells[-1].text == "0.004, 0.5"
    assert table.rows[1].cells[-1].text == "0.004, 0.98"
    assert "MIG has the chance" not in table.caption


def test_a_mean_of_fewer_trials_than_its_cell_has_its_n(runs):
    table = runs.table.copy()
    table.loc[0, ["mig", "final/mig"]] = math.nan
    row = tables.strengths(runs._replace(table=table)).rows[0]
    assert row.cells[9].text.endswith("(n = 1)")


def test_stored_software_and_identities_are_shown(runs):
    identity = '{"metric": "mig", "estimator": "posterior quadrature", "images": 4096}'
    table = runs.table.assign(
        **{"software/torch": "2.9.0", "identity/mig": identity, "final/mig_error": 0.001}
    )
    changed = runs._replace(table=table)
    estimator = next(
        row for row in definitions.metric_table(changed).rows if row.cells[0].text == "MIG"
    )
    texts = [cell.text for cell in estimator.cells]
    assert texts[-2:] == ["estimator posterior quadrature, images 4096", "0.001"]
    assert ["torch", "2.9.0"] in [
        [cell.text for cell in row.cells] for row in definitions.facts_table(changed, {}).rows
    ]
    assert run_columns.source(changed.table, "mig") == "final"


def test_collapsed_trials_are_counted_and_marked():
    runs = synthetic(strengths=[1, 4], rates=[1e-3], failed=(), collapsed=(0, 2), stopped=(2,))
    table = tables.strengths(runs)
    index = [head.text for head in table.heads].index("collapsed")
    assert [row.cells[index].text for row in table.rows] == ["1", "1", "0", "0"]
    assert "collapsed: ended with no active unit" in table.caption
    whys = [row.cells[-1].text for row in tables.trials(runs).rows]
    assert whys == ["collapsed", "", "collapsed (epoch 3)", "", "", "", "", ""]
    assert "2 of them collapsed: no latent was active at the last report." in findings.opening(runs)


def test_without_collapsed_trials_there_is_no_column_of_them(runs):
    assert "collapsed" not in [head.text for head in tables.strengths(runs).heads]
    assert tables.best(runs) is None


def test_last_and_best_weights_have_separate_columns_and_the_caption_names_the_choice():
    runs = synthetic(strengths=[4], rates=[1e-3], failed=(), best="mig")
    table = tables.best(runs)
    assert table is not None
    heads = [head.text for head in table.heads]
    assert heads[:6] == ["objective", "β", "n", "best epoch", "reconstr., last", "reconstr., best"]
    # The synthetic numbers are 1 % (final) and 2 % (best) above that of the last epoch.
    last, chosen = (
        cell_means.brackets(runs, [f"{which}/tc"]).loc[0, f"{which}/tc"]
        for which in ("final", "best")
    )
    assert chosen / last == pytest.approx(1.02 / 1.01)
    assert table.rows[0].cells[heads.index("TC, best")].text.startswith(wording.number(chosen)[:3])
    assert table.rows[0].cells[3].text.startswith("5")
    assert "the epoch with the best MIG on the evaluation subset" in table.caption
    assert "MIG uses the labels" in table.caption
    assert [head.text for head in tables.trials(runs).heads][-2:] == ["best MIG", "why"]


def test_the_caption_does_not_mention_labels_if_the_choice_does_not_use_them():
    table = tables.best(synthetic(strengths=[4], rates=[1e-3], failed=(), best="elbo"))
    assert table is not None
    assert "labels" not in table.caption


def test_the_markdown_page_has_the_same_sentences_tables_and_figures(
    runs: Runs, path: Path
) -> None:
    page = path.with_name("report.md").read_text()
    for sentence in findings.trends(runs):
        assert sentence in page
    for row in tables.strengths(runs).rows:
        assert "| " + " | ".join(cell.text or " " for cell in row.cells) + " |" in page
    figures = [
        line.partition("(")[2].rstrip(")") for line in page.splitlines() if line.startswith("![")
    ]
    assert figures
    assert all((path.parent / figure).is_file() for figure in figures)


def test_a_bar_in_a_field_does_not_end_the_field() -> None:
    table = Table([TableHead("E log p(x|z)")], [TableRow([TableCell("a|b")])])
    lines = markdown.grid(table).splitlines()
    assert lines == ["| E log p(x\\|z) |", "| --- |", "| a\\|b |"]
