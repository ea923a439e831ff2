import re

import pytest

from biocross.cohort.overview import PAIR_COLUMNS, SAMPLE_COLUMNS
from biocross.flow.losses import excluded_samples
from biocross.report.figures.cohort import plot_cohort
from biocross.report.figures.patient_flow import flow_steps, plot_patient_flow, some_names
from biocross.report.figures.visit_grid import batch_words, visit_cells
from biocross.tables import read_rows, write_rows

LEVELS = ["baseline", "month_4"]


def sample(patient, level, batch="A", arm="mepolizumab", modality="flow"):
    name = f"{patient}_{level}_{modality}"
    who = {"sample_id": name, "patient_id": patient, "visit": level, "modality": modality}
    return who | {"batch": batch, "treatment": arm, "unit": patient, "level": level}


def pair(patient, arm="mepolizumab", modality="flow", followup="month_4"):
    who = {"modality": modality, "treatment": arm, "contrast": f"{followup} - baseline"}
    return who | {
        **{"followup": followup, "baseline": "baseline", "unit": patient},
        "patient_id": patient,
    }


SAMPLES = [
    *(sample(patient, level) for patient in ("P1", "P2", "P4") for level in LEVELS),
    sample("P3", "baseline"),
    sample("P5", "month_4"),
]
PATIENTS = [{"patient_id": f"P{n}", "treatment": "mepolizumab"} for n in range(1, 7)]
PAIRS = [pair(f"P{n}") for n in range(1, 6)]
EXCLUDED = {"P4_month_4_flow": "the file is cut off"}


def by_step(steps, step):
    return [one for one in steps if one.step == step]


def test_every_patient_is_in_a_pair_or_left_out_with_a_reason():
    steps = flow_steps(PATIENTS, SAMPLES, PAIRS, EXCLUDED)
    (enrolled,) = by_step(steps, "enrolled")
    assert len(enrolled.names) == 6
    (baseline,) = by_step(steps, "baseline")
    assert baseline.names == ("P1", "P2", "P3", "P4")
    (pairs,) = by_step(steps, "pairs")
    assert pairs.names == ("P1", "P2")
    reasons = {one.reason: one.names for one in by_step(steps, "left_out")}
    assert reasons == {
        "no baseline sample": ("P5",),
        "not measured": ("P6",),
        "no month 4 sample": ("P3",),
        "month 4 file excluded: the file is cut off": ("P4",),
    }


def test_the_diagram_says_numbers_and_reasons(tmp_path):
    steps = flow_steps(PATIENTS, SAMPLES, PAIRS, EXCLUDED)
    plot_patient_flow(steps, tmp_path / "f.svg", tmp_path / "f.tsv")
    words = " ".join(re.findall(r">([^<>]+)</text>", (tmp_path / "f.svg").read_text()))
    for said in ("6 patients", "4 with baseline", "2 complete pairs", "left out 1: no month 4"):
        assert said in words
    rows = read_rows(tmp_path / "f.tsv")
    assert {row["step"]: row["n"] for row in rows if row["step"] != "left_out"} == {
        **{"enrolled": "6", "treatment": "6", "baseline": "4", "pairs": "2"}
    }


def test_one_visit_is_said_in_words(tmp_path):
    steps = flow_steps(PATIENTS, [sample("P1", "baseline")], [], {})
    plot_patient_flow(steps, tmp_path / "f.svg")
    assert "no two visits are compared" in (tmp_path / "f.svg").read_text()


def test_many_names_are_shortened():
    assert some_names([f"P{n}" for n in range(9)]) == "P0, P1, P2, P3, P4, P5 and 3 more"
    assert some_names(["P1"]) == "P1"


def test_the_grid_tells_measured_missing_and_excluded():
    cells = {(c.patient, c.visit): c for c in visit_cells(SAMPLES, LEVELS, EXCLUDED)}
    assert cells["P1", "month_4"].state == "measured"
    assert cells["P3", "month_4"].state == "missing"
    assert cells["P4", "month_4"].state == "excluded"
    assert ("P6", "baseline") not in cells
    assert len(cells) == 10


@pytest.mark.parametrize(("followup", "words"), [("A", "2 of 2 pairs"), ("B", "0 of 2 pairs")])
def test_a_batch_that_goes_with_the_visit_is_said(followup, words):
    rows = [
        sample(patient, level, "A" if level == "baseline" else followup)
        for patient in ("P1", "P2")
        for level in LEVELS
    ]
    assert batch_words(visit_cells(rows, LEVELS, {}), LEVELS) == (
        f"month 4: {words} within one batch"
    )


def test_batches_without_names_say_nothing():
    rows = [sample("P1", level, "") for level in LEVELS]
    assert batch_words(visit_cells(rows, LEVELS, {}), LEVELS) == ""


def test_both_figures_from_the_tables_of_a_run(tmp_path):
    rna = [sample("P1", level, "run_1", modality="rna") for level in LEVELS]
    paths = {name: tmp_path / f"{name}.tsv" for name in ("patients", "samples", "pairs")}
    write_rows(paths["patients"], ("patient_id", "treatment"), PATIENTS)
    write_rows(paths["samples"], SAMPLE_COLUMNS, [*SAMPLES, *rna])
    write_rows(paths["pairs"], PAIR_COLUMNS, [*PAIRS, pair("P1", modality="rna")])
    ledger = tmp_path / "ledger.tsv"
    rows = [
        {"sample_id": "P4_month_4_flow", "note": "excluded: the file is cut off"},
        {"sample_id": "P1_baseline_flow", "note": ""},
    ]
    write_rows(ledger, ("sample_id", "note"), rows)
    assert excluded_samples([ledger]) == EXCLUDED
    outs = {
        name: [tmp_path / f"{name}.{form}" for form in ("svg", "tsv")]
        for name in ("patient_flow", "visit_grid")
    }
    plot_cohort(**paths, ledgers=[ledger], levels=LEVELS, figures_out=outs)
    words = re.findall(r">([^<>]+)</text>", outs["visit_grid"][0].read_text())
    assert {"flow cytometry", "single-cell RNA", "A: A", "A: run_1", "excluded"} <= set(words)
    states = [row["state"] for row in read_rows(outs["visit_grid"][1])]
    assert states.count("missing") == 2
    assert "single-cell RNA" in outs["patient_flow"][0].read_text()
