import pytest

from biocross.cohort.overview import PROBLEM_COLUMNS, check_cohort
from biocross.errors import ConfigError
from biocross.tables import read_rows


@pytest.fixture
def tables(study, tmp_path):
    def run():
        samples, pairs = tmp_path / "out" / "samples.tsv", tmp_path / "out" / "pairs.tsv"
        check_cohort(study.config, samples, pairs)
        return read_rows(samples), read_rows(pairs)

    return run


def column(rows, name):
    return [row[name] for row in rows]


def test_samples(tables):
    samples, _ = tables()
    assert samples[1] == {
        "sample_id": "P1_month_4",
        "patient_id": "P1",
        "visit": "month_4",
        "modality": "flow",
        "batch": "lot_1",
        "tissue": "whole_blood",
        "stimulation": "",
        **dict.fromkeys(("preparation", "hours_to_stain", "enrichment"), ""),
        **dict.fromkeys(("beads_added", "blood_volume_ul"), ""),
        "treatment": "mepolizumab",
        "unit": "P1",
        "level": "month_4",
        "leukocytes_per_ul": "6500.5",
    }
    assert column(samples, "leukocytes_per_ul") == ["7000", "6500.5", "5000", ""]
    assert column(samples, "treatment") == ["mepolizumab"] * 2 + ["dupilumab"] * 2


def test_paths_and_names_of_files_stay_out(tables):
    """Names of FCS files often carry names of patients."""
    samples, _ = tables()
    assert not any(".fcs" in value for row in samples for value in row.values())


def test_complete_pairs(tables):
    _, pairs = tables()
    assert pairs == [
        {
            "modality": "flow",
            "treatment": treatment,
            "contrast": "month_4 - baseline",
            "followup": "month_4",
            "baseline": "baseline",
            "unit": patient,
            "patient_id": patient,
            "complete": "yes",
            "missing": "",
        }
        for patient, treatment in (("P1", "mepolizumab"), ("P2", "dupilumab"))
    ]


def test_incomplete_pairs_are_rows_of_their_own(study, tables):
    study.config["design"]["levels"] = ["baseline", "month_4", "month_12"]
    study.edit("samples", "P1_month_4\tP1\tmonth_4", "P1_month_12\tP1\tmonth_12")
    study.edit("samples", "P2_baseline\tP2\tbaseline", "P2_month_12\tP2\tmonth_12")
    _, pairs = tables()
    found = [(row["contrast"], row["unit"], row["complete"], row["missing"]) for row in pairs]
    assert found == [
        ("month_4 - baseline", "P1", "no", "month_4"),
        ("month_4 - baseline", "P2", "no", "baseline"),
        ("month_12 - baseline", "P1", "yes", ""),
        ("month_12 - baseline", "P2", "no", "baseline"),
    ]


def test_a_pair_that_lacks_both_visits(study, tables):
    study.config["design"]["levels"] = ["baseline", "month_4", "month_12"]
    text = (study.folder / "samples.tsv").read_text().splitlines()
    text[3] = text[3].replace("P2_baseline\tP2\tbaseline", "P2_month_12\tP2\tmonth_12")
    (study.folder / "samples.tsv").write_text("\n".join(text[:4]) + "\n")
    _, pairs = tables()
    (row,) = (r for r in pairs if r["unit"] == "P2" and r["contrast"] == "month_4 - baseline")
    assert row["missing"] == "baseline, month_4"


def test_treatment_per_visit(study, tables):
    study.write(
        "patients",
        "patient_id visit treatment",
        *("P1 . mepolizumab", "P2 baseline none", "P2 month_4 dupilumab"),
    )
    samples, pairs = tables()
    assert column(samples, "treatment") == ["mepolizumab", "mepolizumab", "none", "dupilumab"]
    assert column(pairs, "treatment") == ["mepolizumab", "dupilumab"]


def test_stimulations(study, tables):
    study.config["design"] = {"contrast": "stimulation", "levels": ["none", "BCR"]}
    study.write(
        "samples",
        "sample_id patient_id visit modality path batch tissue stimulation",
        "a P1 baseline flow P1_baseline.fcs lot_1 pbmc none",
        "b P1 baseline flow P1_month_4.fcs lot_1 pbmc BCR",
        "c P3 baseline flow P2_baseline.fcs lot_1 pbmc none",
        "d P2 baseline flow P2_month_4.fcs lot_1 pbmc BCR",
    )
    study.write("patients", "patient_id treatment", "P1 a", "P2 a", "P3 a")
    samples, pairs = tables()
    assert column(samples, "unit") == ["P1 baseline"] * 2 + ["P3 baseline", "P2 baseline"]
    assert column(samples, "level") == ["none", "BCR", "none", "BCR"]
    assert [(row["unit"], row["patient_id"], row["missing"]) for row in pairs] == [
        ("P1 baseline", "P1", ""),
        ("P2 baseline", "P2", "none"),
        ("P3 baseline", "P3", "BCR"),
    ]


@pytest.fixture
def with_stimulated(study):
    """The study, with stimulated samples of P1 at both visits and of P2 at baseline."""
    lines = ["sample_id patient_id visit modality path batch tissue stimulation"]
    for patient, visit in (("P1", "baseline"), ("P1", "month_4"), ("P2", "baseline")):
        for stimulation in ("medium", "PMA"):
            name = f"{patient}_{visit}_{stimulation}"
            (study.folder / "fcs" / f"{name}.fcs").touch()
            lines.append(f"{name} {patient} {visit} flow {name}.fcs lot_1 pbmc {stimulation}")
    study.write("samples", *lines)
    return study


def test_stimulated_samples_are_listed_but_not_compared(with_stimulated, tables):
    samples, pairs = tables()
    assert column(samples, "stimulation") == ["medium", "PMA"] * 3
    assert column(samples, "unit") == ["P1", "", "P1", "", "P2", ""]
    assert column(samples, "level") == ["baseline", "", "month_4", "", "baseline", ""]
    assert column(samples, "leukocytes_per_ul") == ["7000", "", "6500.5", "", "5000", ""]
    assert column(samples, "treatment") == ["mepolizumab"] * 4 + ["dupilumab"] * 2
    assert [(row["unit"], row["missing"]) for row in pairs] == [("P1", ""), ("P2", "month_4")]


def test_the_design_of_stimulated_samples_in_words(with_stimulated, reports):
    _, design, _ = reports()
    lines = design.splitlines()
    assert "2 patients and 6 samples (6 of flow); visits in order: baseline, month_4." in lines
    assert lines[lines.index("## Stimulated samples") + 2] == (
        "- flow, PMA: 3 samples, 3 beside an unstimulated one; responses compared: "
        "month_4 - baseline in 1 patient"
    )
    assert "- lot_1: baseline 2, month_4 1" in lines


def test_modalities_are_paired_apart(study, tables):
    study.edit("samples", "P2\tmonth_4\tflow", "P2\tmonth_4\trna")
    _, pairs = tables()
    assert [(row["modality"], row["unit"], row["missing"]) for row in pairs] == [
        ("flow", "P1", ""),
        ("flow", "P2", "month_4"),
        ("rna", "P2", "baseline"),
    ]


def test_nothing_is_written_of_a_broken_cohort(study, tables, tmp_path):
    study.edit("patients", "P2\t", "P3\t")
    with pytest.raises(ConfigError, match="problems in the input"):
        tables()
    assert not (tmp_path / "out").exists()


@pytest.fixture
def reports(study, tmp_path):
    """Check the study; return the table of problems, the design in words, and the patients."""

    def run():
        out = [tmp_path / name for name in ("s.tsv", "p.tsv", "problems.tsv", "d.md", "pat.tsv")]
        check_cohort(study.config, *out)
        return read_rows(out[2]), out[3].read_text(), read_rows(out[4])

    return run


def test_problems_are_a_table(reports):
    problems, _, _ = reports()
    assert tuple(problems[0]) == PROBLEM_COLUMNS
    assert {row["severity"] for row in problems} == {"warning"}
    assert any("1 complete pair" in row["message"] for row in problems)


def test_errors_stand_first_in_the_table_of_a_broken_cohort(study, reports, tmp_path):
    study.edit("patients", "P2\tdupilumab", "P2\tMepolizumab")
    study.edit("samples", "P2_month_4.fcs", "P2.fcs")
    with pytest.raises(ConfigError):
        reports()
    first, *others = read_rows(tmp_path / "problems.tsv")
    assert (first["severity"], first["row"], first["column"]) == ("error", "5", "path")
    assert others
    assert {row["severity"] for row in others} == {"warning"}
    assert not (tmp_path / "d.md").exists()


def test_the_design_in_words(study, reports):
    study.edit("samples", "P1_month_4.fcs\tlot_1", "P1_month_4.fcs\tlot_2")
    text = (study.folder / "samples.tsv").read_text().splitlines()
    (study.folder / "samples.tsv").write_text("\n".join(text[:4]) + "\n")
    _, design, _ = reports()
    for line in (
        "2 patients and 3 samples (3 of flow); visits in order: baseline, month_4.",
        "- dupilumab, flow, month_4 - baseline: 0 of 1 patient with both visits; too few to be "
        "tested",
        "- dupilumab, flow, month_4 - baseline: P2 lacks month_4",
        "- lot_2: baseline 0, month_4 1",
    ):
        assert line in design.splitlines()
    assert "every pair changes batch (lot_1 to lot_2)" in design


def test_patients_in_one_form_whatever_the_sheet_was(study, reports):
    path = study.folder / "patients.tsv"
    path.write_text("Patient ID;Treatment;Age\nP1;mepolizumab;50,5\nP2;dupilumab;\n")
    _, _, patients = reports()
    assert patients == [
        {"patient_id": "P1", "treatment": "mepolizumab", "age": "50.5"},
        {"patient_id": "P2", "treatment": "dupilumab", "age": ""},
    ]
