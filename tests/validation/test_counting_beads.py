"""Cells per µl by counting beads, from FCS files: right, and no bead passes for a cell."""

import numpy as np
import pandas as pd
import pytest
from validation.whole_run import describe, find_changes, gate, prepare, silence, simulate

from biocross.evaluation.events import gated_events, passed_events, read_all_labels
from biocross.simulate.arrays import members_of
from biocross.simulate.flow.cells import BEAD
from biocross.simulate.flow.cohort import read_cohort
from biocross.simulate.people import blood_of
from biocross.simulate.study import read_study
from biocross.statistics.pairs import read_table

SEED = 4
FEW = {
    "events_per_sample": 30_000,
    "treatments": {"mepolizumab": {"patients": 2}, "dupilumab": {"patients": 1}},
    "missing_follow_ups": 0,
    "visits": {"month_12": None},
    # The analyser is off by chance and rounds; beads are not to be led by it.
    "analyser_cv": 0.3,
    "rna": None,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with silence():
        folder = tmp_path_factory.mktemp("beads")
        run = simulate(describe("counting_beads", FEW), folder, SEED)
        prepare(run)
        gate(run)
        find_changes(run, clusters=False)
    return run


def test_cells_per_ul_are_those_of_the_blood(run):
    """Beads to cells in the file say how much blood it holds, whatever the analyser says."""
    counts = read_table(run.path("counts.tsv"))
    lymphocytes = counts[counts["population"] == "lymphocytes"].set_index("sample_id")
    labels = read_table(run.folder / "truth" / "flow" / "counts.tsv")
    true = labels[labels["population"] == "lymphocytes"].set_index("sample_id")
    clinical = read_table(run.folder / "clinical.tsv")
    analyser = clinical.assign(sample_id=clinical["patient_id"] + "_" + clinical["visit"])
    analyser = analyser.set_index("sample_id")["lymphocytes_per_ul"]
    blood = _blood(run)
    by_beads = np.log(lymphocytes["cells_per_ul"] / blood[lymphocytes.index])
    by_analyser = np.log(analyser / blood[analyser.index])
    assert by_beads.abs().max() < 0.2  # 600 beads or more: SD of .04, and dead and doubled cells
    assert by_beads.std() < by_analyser.std() / 3
    assert (lymphocytes["count"] / true["count"] - 1).abs().max() < 0.02


def test_no_bead_passes_for_a_cell(run):
    labels = read_all_labels(run.folder, [*run.events()])
    memberships = [run.path("gates", f"{name}.membership") for name in run.patients]
    n_beads = 0
    for found in gated_events(memberships):
        is_bead = labels[found.sample].fate == BEAD
        n_beads += is_bead.sum()
        gated = found.code > 0
        assert not (gated & is_bead & passed_events(run.events()[found.sample])).any()
    assert n_beads > 3000


def _blood(run):
    """Return the true lymphocytes per µl of every sample."""
    study = read_study(run.folder / "study.yaml")
    own = members_of(study, ("lymphocytes",))[0]
    cohort = read_cohort(study, run.folder / "samples.tsv", run.folder / "patients.tsv")
    return pd.Series({one.sample_id: float(blood_of(study, SEED, one) @ own) for one in cohort})
