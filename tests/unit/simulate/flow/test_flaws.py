"""What goes wrong in a tube and a cytometer: in whole files, and in what is true of them."""

from pathlib import Path

import flowio
import numpy as np
import pytest
from simulated_files import read_simulated

from biocross.simulate.flow.cells import FATES
from biocross.simulate.flow.cohort import simulate_cohort
from biocross.simulate.flow.labels import labels_path, read_labels
from biocross.simulate.sheets import write_sheets
from biocross.tables import read_rows

STUDY = Path(__file__).parents[4] / "config" / "simulation" / "demo.yaml"
# One visit of three patients, of whom the second is stained with the other lot.
STUDY_OF_FLAWS = {
    "visits": {"month_4": None, "month_12": None},
    "rna": None,
    "events_per_sample": 8000,
    "treatments": {"mepolizumab": {"patients": 2}, "dupilumab": {"patients": 1}},
    "analyser_cv": 0,
    "margins": [0.01, 0.01],
    "clogs": {"share_of_files": 1, "events": [0.1, 0.1]},
    "cell_types": {
        "bead": {"fsc": 50000, "fsc_cv": 0.03, "ssc": 60000, "ssc_cv": 0.03, "autofluorescence": 0}
    },
    "beads": {"added": 40000, "blood_ul": 50, "cell_type": "bead", "brightness": [4.7, 0.03]},
    "stuck_pairs": {"populations": ["T_cells", "B_cells"], "share": 0.03},
    "tandem_decay": {
        "dye": "BUV805-A",
        "detector": "BB755-A",
        "share": 0.1,
        "batches": ["lot_2"],
    },
}
SAMPLES = ["P01_baseline", "P02_baseline", "P03_baseline"]


def simulate(folder, jobs=1):
    sheets = folder / "samples.tsv", folder / "patients.tsv"
    simulate_cohort(STUDY, *sheets, folder, 1, overrides=STUDY_OF_FLAWS, jobs=jobs)
    return folder


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flaws")
    write_sheets(STUDY, folder, 1, STUDY_OF_FLAWS)
    return simulate(folder)


@pytest.fixture(scope="module")
def files(cohort):
    return {name: read_simulated(cohort / f"{name}.fcs") for name in SAMPLES}


@pytest.fixture(scope="module")
def labels(cohort):
    return {name: read_labels(labels_path(cohort, name)) for name in SAMPLES}


def is_fate(labels, fate):
    return labels.fate == FATES.index(fate)


def signals(values):
    other = ("FSC-A", "FSC-H", "SSC-A", "Time")
    return np.array([column for name, column in values.items() if name not in other])


def slow_stretch(values):
    """Find the events of the clog by their time: a tenth of them, five times as slow."""
    width = 800
    slowness = values["Time"][width:] - values["Time"][:-width]
    first = int(np.argmax(slowness))
    assert slowness[first] > 3.5 * np.median(slowness)
    return slice(first, first + width)


def test_labels_agree_with_the_counts(cohort, labels):
    rows = read_rows(cohort / "truth" / "flow" / "counts.tsv")
    assert {row["sample_id"] for row in rows} == set(SAMPLES)
    for row in rows:
        own = labels[row["sample_id"]].of_population(row["population"]).sum()
        assert own == int(row["count"]), row
    live = is_fate(labels[SAMPLES[0]], "live").sum()
    assert live == int(rows[0]["parent_count"])  # all leukocytes
    assert rows[0]["parent"] == "leukocytes"


def test_labels_agree_with_the_values_of_the_file(files, labels):
    for name, values in files.items():
        known, fates = labels[name], {fate: is_fate(labels[name], fate) for fate in FATES}
        assert known.kind.size == values["Time"].size == 8000
        t_cells, b_cells = (known.of_population(cells) for cells in ("T_cells", "B_cells"))
        assert (values["CD3"][t_cells] > 2500).mean() > 0.99
        assert (values["CD3"][b_cells] < 2500).mean() > 0.99
        assert (values["CD19"][b_cells] > 2500).mean() > 0.99
        assert (values["viability"][fates["dead"]] > 4000).mean() > 0.98
        assert (values["viability"][fates["live"]] < 4000).mean() > 0.98
        assert (values["FSC-A"][fates["debris"]] < 35_000).mean() > 0.95
        ratio = values["FSC-A"] / np.maximum(values["FSC-H"], 1)
        assert (ratio[fates["doublet"]] > 1.35).mean() > 0.3
        assert all(inside.any() for inside in fates.values())


def test_margins_lie_at_the_ends_of_forward_scatter(files, labels):
    for name, values in files.items():
        margin = is_fate(labels[name], "margin")
        assert margin.sum() == 80
        assert np.unique(values["FSC-A"][margin]).tolist() == [0, 262143]
        assert 0 not in values["FSC-A"][~margin]


def test_a_clog_dims_its_stretch_and_slows_time(files, labels):
    """Seen in CD45 of T cells, of which all have the same."""
    for name, values in files.items():
        inside = np.zeros(8000, dtype=bool)
        inside[slow_stretch(values)] = True
        t_cells = labels[name].of_population("T_cells")
        middle = [np.median(values["CD45"][t_cells & part]) for part in (inside, ~inside)]
        # Half of a sine wave that is 0.3 decades high has 0.21 in its median event.
        assert np.log10(middle[0] / middle[1]) == pytest.approx(-0.21, abs=0.05)


def test_beads_are_to_the_cells_as_in_the_tube(cohort, files, labels):
    clinical = {row["patient_id"]: row for row in read_rows(cohort / "clinical.tsv")}
    for name, values in files.items():
        beads = is_fate(labels[name], "bead")
        cells = np.isin(labels[name].fate, [FATES.index(f) for f in ("live", "dead", "doublet")])
        in_ul = cells.sum() / beads.sum() * 40000 / 50
        true = float(clinical[name[:3]]["leukocytes_per_ul"])
        assert in_ul == pytest.approx(true, rel=4 / np.sqrt(beads.sum()))
        away = np.ones(8000, dtype=bool)
        away[slow_stretch(values)] = False
        seen = np.log10(np.median(signals(values)[:, beads & away], axis=1))
        # Within the shifts of stainings, of channels that little light spills into.
        np.testing.assert_allclose(seen, 4.7, atol=0.15)
        assert (labels[name].kind[beads] == labels[name].kinds.index("beads")).all()


def test_the_sheet_says_how_many_beads_were_added(cohort, tmp_path):
    rows = read_rows(cohort / "samples.tsv")
    assert {(float(r["beads_added"]), float(r["blood_volume_ul"])) for r in rows} == {(40000, 50)}
    write_sheets(STUDY, tmp_path, 1, {**STUDY_OF_FLAWS, "beads": None})
    assert "beads_added" not in read_rows(tmp_path / "samples.tsv")[0]


def test_stuck_pairs_look_like_single_cells_with_cd3_and_cd19(files, labels):
    for name, values in files.items():
        ratio = values["FSC-A"] / np.maximum(values["FSC-H"], 1)
        single = np.abs(ratio / np.median(ratio) - 1) < 0.13
        both = single & (values["CD3"] > 2500) & (values["CD19"] > 2500)
        pairs = both & is_fate(labels[name], "doublet")
        assert pairs.sum() == pytest.approx(0.03 * 8000, rel=0.08)
        height = np.median(values["FSC-H"][pairs])
        t_cells = labels[name].of_population("T_cells")
        assert height == pytest.approx(2 * np.median(values["FSC-H"][t_cells]), rel=0.05)


def test_a_tandem_comes_apart_in_its_batch_only(cohort, files, labels):
    """CD8 shines into the detector of CD14, which T cells lack, and no keyword says so."""
    seen = {}
    for name, values in files.items():
        own = labels[name].of_population("CD8_T")
        seen[name] = np.median(values["CD14"][own] / values["CD8"][own])
    assert seen["P02_baseline"] == pytest.approx(0.1, abs=0.01)
    assert max(seen["P01_baseline"], seen["P03_baseline"]) < 0.01
    matrices = {flowio.FlowData(str(cohort / f"{name}.fcs")).text["spillover"] for name in SAMPLES}
    assert len(matrices) == 1


def test_no_number_of_processes_changes_a_byte(cohort, tmp_path):
    for sheet in ("samples.tsv", "patients.tsv"):
        (tmp_path / sheet).write_bytes((cohort / sheet).read_bytes())
    simulate(tmp_path, jobs=2)
    written = [path.relative_to(tmp_path) for path in tmp_path.rglob("*.*")]
    assert len([path for path in written if path.suffix in (".fcs", ".arrow")]) == 6
    for path in written:
        assert (tmp_path / path).read_bytes() == (cohort / path).read_bytes(), path


def test_truth_of_patients_has_a_row_per_visit(cohort):
    rows = read_rows(cohort / "truth" / "patients.tsv")
    assert [(row["patient_id"], row["visit"]) for row in rows] == [
        (name[:3], "baseline") for name in SAMPLES
    ]
    sheet = {row["patient_id"]: row["responder"] for row in read_rows(cohort / "patients.tsv")}
    for row in rows:
        assert row["resists"] == {"yes": "no", "no": "yes"}[sheet[row["patient_id"]]]
        assert (float(row["response"]) < 0.7) == (row["resists"] == "yes")
