from pathlib import Path

import pytest
import yaml

from biocross.cohort.drug_markers import (
    drug_marker_problems,
    drug_notes,
    gate_markers,
    named_drugs,
    read_drug_markers,
)
from biocross.cohort.markers import marker_synonyms, standard_marker
from biocross.cohort.panel import Channel, load_panel
from biocross.cohort.strategy import load_strategy
from biocross.cohort.vocabulary import load_vocabulary

CONFIG = Path(__file__).parents[3] / "config"
MARKERS = ("CD3", "CD4", "IL5RA", "CD23", "CD19", "CD127", "CD294", "CD123", "FCER1A")
PANEL = [Channel(f"{marker}-A", marker, "lineage") for marker in MARKERS]
GATES = {
    "leukocytes": {"under": "root"},
    "eosinophils": {"phenotype": "IL5RA+"},
    "basophils": {"phenotype": "CD123+"},
    "T_cells": {"phenotype": "CD3+"},
    "B_cells": {"phenotype": "CD19+ CD23+"},
    "ILC": {"phenotype": "CD3- FCER1A- CD127+"},
    "ILC2": {"under": "ILC", "phenotype": "CD294+"},
}


@pytest.fixture(scope="module")
def vocabulary():
    return load_vocabulary(CONFIG / "populations.yaml")


@pytest.fixture(scope="module")
def drug_markers(vocabulary):
    found, problems = read_drug_markers(CONFIG / "drug_markers.tsv", vocabulary)
    assert problems == []
    return found


@pytest.fixture
def gated(tmp_path, vocabulary):
    """Load gates on the test's panel, each marker with a fixed border."""

    def load(gates):
        thresholds = {marker: {"method": "fixed", "value": 0.5} for marker in MARKERS}
        thresholds["bright"] = {"marker": "IL5RA", "method": "fixed", "value": 0.8}
        path = tmp_path / "gating.yaml"
        path.write_text(yaml.safe_dump({"thresholds": thresholds, "gates": gates}))
        return load_strategy(path, vocabulary, set(MARKERS))

    return load


def problems_of(drug_markers, treatments, strategy, vocabulary):
    return drug_marker_problems(drug_markers, treatments, PANEL, strategy, vocabulary)


def test_the_shipped_sheet_is_sound(drug_markers):
    standard = {marker.standard for marker in marker_synonyms().values()}
    for entry in drug_markers:
        assert entry.reference
        assert entry.effect == "depleted" or entry.marker in standard, entry
    drugs = {drug for entry in drug_markers for drug in entry.drugs}
    assert {"dupilumab", "benralizumab", "omalizumab", "mepolizumab", "reslizumab", "any"} <= drugs


def test_a_masked_marker_in_a_primary_gate_is_an_error(drug_markers, gated, vocabulary):
    found = problems_of(drug_markers, ["benralizumab"], gated(GATES), vocabulary)
    (problem,) = found
    assert problem.is_error
    assert "benralizumab masks IL5RA" in problem.message
    assert "eosinophils (gate eosinophils)" in problem.message
    assert "gate them without IL5RA" in problem.message


def test_a_masked_marker_above_a_primary_gate_is_an_error(drug_markers, gated, vocabulary):
    gates = {**GATES, "eosinophils": {}, "ILC": {"phenotype": "CD3- bright- CD127+"}}
    (problem,) = problems_of(drug_markers, ["Fasenra 30 mg"], gated(gates), vocabulary)
    assert problem.is_error
    assert "ILC2 (gate ILC)" in problem.message


def test_a_masked_marker_elsewhere_is_a_warning(drug_markers, gated, vocabulary):
    gates = {**GATES, "eosinophils": {}, "basophils": {"phenotype": "CD123+ IL5RA+"}}
    (problem,) = problems_of(drug_markers, ["benralizumab"], gated(gates), vocabulary)
    assert problem.severity == "warning"
    assert "basophils (gate basophils)" in problem.message


def test_a_modulated_marker_is_a_warning(drug_markers, gated, vocabulary):
    found = problems_of(drug_markers, ["dupilumab", "omalizumab"], gated(GATES), vocabulary)
    assert {problem.severity for problem in found} == {"warning"}
    messages = sorted(problem.message for problem in found)
    assert messages[0].startswith("dupilumab lowers CD23, by which these are gated: B_cells")
    assert messages[1].startswith("omalizumab lowers FCER1A")
    assert "ILC2 (gate ILC)" in messages[1]


@pytest.mark.parametrize("treatments", [[], ["tezepelumab"], ["placebo"], ["none"]])
def test_other_treatments_have_no_problems(treatments, drug_markers, gated, vocabulary):
    assert problems_of(drug_markers, treatments, gated(GATES), vocabulary) == []


def test_a_drug_that_touches_other_populations_is_no_problem(drug_markers, gated, vocabulary):
    """Mepolizumab moves CD123 on eosinophils, not on the basophils that are gated by it."""
    gates = {**GATES, "eosinophils": {}}
    assert problems_of(drug_markers, ["mepolizumab"], gated(gates), vocabulary) == []


def test_the_demo_has_no_problems(drug_markers, vocabulary):
    panel = load_panel(CONFIG / "panel.tsv")
    strategy = load_strategy(CONFIG / "gating.yaml", vocabulary, {c.marker for c in panel})
    treatments = ["mepolizumab", "dupilumab", "benralizumab", "omalizumab"]
    assert drug_marker_problems(drug_markers, treatments, panel, strategy, vocabulary) == []


@pytest.mark.parametrize(
    ("treatment", "drugs"),
    [
        ("mepolizumab + dupilumab", {"mepolizumab", "dupilumab"}),
        ("omalizumab/mepolizumab", {"omalizumab", "mepolizumab"}),
        ("Dupilumab 300 mg q2w", {"dupilumab"}),
        ("XOLAIR", {"Xolair"}),
        ("mepolizumab_100mg", {"mepolizumab"}),
        ("Nucalan", set()),
        ("tezepelumab", set()),
        ("many", set()),
        ("", set()),
    ],
)
def test_drugs_are_found_in_combinations_and_free_text(treatment, drugs, drug_markers):
    assert set(named_drugs(drug_markers, treatment)) == drugs


def test_gate_markers_walk_up_to_the_root(gated):
    found = gate_markers("ILC2", gated(GATES))
    assert found == {"CD294": "ILC2", "CD3": "ILC", "FCER1A": "ILC", "CD127": "ILC"}


def test_notes_name_drug_marker_and_gate(drug_markers, gated, vocabulary):
    markers = gate_markers("ILC2", gated(GATES))
    note = drug_notes(drug_markers, "omalizumab", "ILC2", markers, vocabulary)
    assert "omalizumab lowers FceRI (gate ILC)" in note
    assert "CD127 (gate ILC) may fall (oral steroids raise it" in note
    assert "CRTH2 may fall (activation" in note
    assert "omalizumab" not in drug_notes(drug_markers, "dupilumab", "ILC2", markers, vocabulary)


def test_notes_tell_depletion_and_masking(drug_markers, gated, vocabulary):
    markers = gate_markers("eosinophils", gated(GATES))
    note = drug_notes(drug_markers, "benralizumab", "eosinophils", markers, vocabulary)
    assert note == "benralizumab masks CD125; benralizumab depletes eosinophils"


def test_a_population_that_nothing_touches_has_no_note(drug_markers, gated, vocabulary):
    markers = gate_markers("T_cells", gated(GATES))
    assert drug_notes(drug_markers, "dupilumab", "T_cells", markers, vocabulary) == ""


def write(tmp_path, *rows):
    columns = "treatment\tmarker\teffect\tpopulations\tdirection\tnote\treference"
    path = tmp_path / "drug_markers.tsv"
    path.write_text("\n".join([columns, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("x\tCD4\thidden\t\tdown\t\tr", '"effect" is "hidden"'),
        ("x\t\tmasked\t\tdown\t\tr", '"marker" is missing'),
        ("x\t\tdepleted\t\tdown\t\tr", '"populations" is missing'),
        ("x\tCD4\tmasked\t\tsideways\t\tr", '"direction" is "sideways"'),
        ("x\tCD4\tmasked\t\tdown\t\t", '"reference" is missing'),
        ("x\tCD4\tmasked\tT_cell\tdown\t\tr", 'did you mean "T_cells"'),
    ],
)
def test_a_broken_row_is_named(row, message, tmp_path, vocabulary):
    _, problems = read_drug_markers(write(tmp_path, row), vocabulary)
    assert any(message in str(problem) and problem.row == 2 for problem in problems), problems


def test_markers_are_known_by_their_synonyms(tmp_path, vocabulary):
    (entry,), _ = read_drug_markers(write(tmp_path, "x\tIL4RA\tmasked\t\tdown\t\tr"), vocabulary)
    assert entry.marker == standard_marker("CD124")
