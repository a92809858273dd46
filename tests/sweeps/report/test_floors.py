"""The lowest reconstruction and the highest ELBO of a sweep's images, wherever they are shown."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_runs import synthetic

from sweeps.report import figures, floors, page, published, tables
from sweeps.results.run_table import Runs
from sweeps.spec.published import Published

WITHOUT = synthetic(strengths=[1, 4])


def with_floor(of_epoch: float = 9.16, of_whole_set: float = 9.1736) -> Runs:
    """Return runs whose subset and whole data set have these floors."""
    columns = {"reconstruction_floor": of_epoch, "final/reconstruction_floor": of_whole_set}
    return WITHOUT._replace(table=WITHOUT.table.assign(**columns))


GREY = with_floor()


def test_a_label_names_the_floor_of_the_images_that_were_measured() -> None:
    assert floors.axis(GREY, "reconstruction") == "reconstruction (nats per image; floor 9.17)"
    assert floors.axis(GREY, "elbo") == "ELBO (nats per image; at most −9.17)"
    of_epoch = floors.axis(GREY, "reconstruction", "epoch")
    assert of_epoch == "reconstruction (nats per image; floor 9.16)"
    for metric in ("tc", "mig"):
        assert floors.axis(GREY, metric) == floors.axis(WITHOUT, metric)
    assert floors.axis(WITHOUT, "reconstruction") == "reconstruction (nats per image)"


def test_trials_with_different_floors_have_a_range() -> None:
    """Two distributions of the factors weight the images differently."""
    runs = with_floor()
    values = np.where(runs.table["number"] % 2 == 0, 8.5, 9.25)
    table = runs.table.assign(**{"final/reconstruction_floor": values})
    runs = runs._replace(table=table)
    assert floors.limit_text(runs, "reconstruction") == "floor 8.50 to 9.25"
    assert floors.limit_text(runs, "elbo") == "at most −9.25 to −8.50"


def test_headline_table_and_definition_say_the_floor() -> None:
    sentence = "in nats per image: reconstruction: floor 9.17; ELBO: at most −9.17."
    text = page.markdown_page(GREY, {})
    headline = text.split("\n\n")[1]
    assert headline.endswith(f"No model of these images can pass these limits, {sentence}")
    assert "floor 9.17 for any model of these images" in text
    for table in (tables.strengths(GREY), tables.trials(GREY)):
        assert "floor 9.17" in table.caption
    without = page.markdown_page(WITHOUT, {})
    assert "floor" not in without
    assert "at most" not in without


@pytest.mark.parametrize("name", ["tradeoff", "curves", "front"])
def test_axes_of_reconstructions_have_the_floor(name: str) -> None:
    kind = figures.FIGURES[name]
    labels = [
        label.replace("\n", " ")
        for axes in kind.draw(GREY).axes
        for label in (axes.get_xlabel(), axes.get_ylabel())
        if "reconstruction" in label
    ]
    assert labels
    assert all("floor 9.1" in label for label in labels)


def test_a_published_reconstruction_has_the_floor_of_our_images_beside_it() -> None:
    rows = [
        {
            "where": {"objective": "beta_vae", "beta": 4},
            "values": {"reconstruction": 25.98, "tc": 1.0},
        }
    ]
    table = Published.model_validate(
        {"source": "Somebody", "tag": "read", "differences": "64 pixels", "rows": rows}
    )
    captions = {
        metric: published.comparison_table(table, metric, comparisons, GREY).caption
        for metric, comparisons in published.compare(GREY, table).items()
    }
    assert "resolution 32" in captions["reconstruction"]
    assert "floor 9.17 nats per image; images of another size" in captions["reconstruction"]
    assert "floor" not in captions["tc"]
