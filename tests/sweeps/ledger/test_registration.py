"""Sweeps of versions with other numbers: resumed never, opened if they are finished."""

import pytest
from mini_sweep import conductor, play, spec

from sweeps.errors import SweepError
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.registration import require_same_revision
from sweeps.results import cell_means
from sweeps.results.run_table import load_runs
from vae_core import config as configs


def begun_by_revision_3(tmp_path, monkeypatch, *, finished):
    monkeypatch.setattr(configs, "REVISION", 3)
    sweep = conductor(spec(), tmp_path)
    if finished:
        play(sweep)
    else:
        sweep.next()
    monkeypatch.undo()
    return Ledger.of_workspace(tmp_path)


def test_the_trials_of_an_older_revision_are_not_resumed(tmp_path, monkeypatch):
    ledger = begun_by_revision_3(tmp_path, monkeypatch, finished=False)
    with pytest.raises(SweepError, match=r"revision 3 of the numbers; this version has 4\), and 8"):
        require_same_revision(spec(), ledger, retry=False)


def test_a_finished_sweep_of_an_older_revision_can_be_opened(tmp_path, monkeypatch):
    ledger = begun_by_revision_3(tmp_path, monkeypatch, finished=True)
    require_same_revision(spec(), ledger, retry=True)
    opened = conductor(spec(), tmp_path)
    assert opened.finished
    assert len(opened.trials) == 8


def test_a_sweep_of_this_revision_is_resumed(tmp_path):
    sweep = conductor(spec(), tmp_path)
    sweep.next()
    ledger = Ledger.of_workspace(tmp_path)
    require_same_revision(spec(), ledger, retry=True)
    resumed = conductor(spec(), tmp_path)
    assert not resumed.finished
    assert [trial.number for trial in resumed.trials] == [0, 1]  # the first cell, as it was asked


def test_no_cell_of_a_workspace_has_trials_of_two_revisions(tmp_path, monkeypatch):
    """The same spec under another name trains everything again, in cells of its own."""
    ledger = begun_by_revision_3(tmp_path, monkeypatch, finished=True)
    play(conductor(spec(name="again"), tmp_path))
    assert {row["reused_from"] for row in ledger.of(tables.TRIAL, "again")} == {""}
    older, newer = (set(load_runs(tmp_path, name).table["trial"]) for name in ("mini", "again"))
    assert not older & newer
    assert cell_means.cells(load_runs(tmp_path, "again"))["n"].max() == 2
