"""The page of a patient: facts, samples, doubts."""

import json

from biocross.report.page.patients import patients_data
from biocross.tables import write_rows

SAMPLES = ("sample_id", "patient_id", "visit", "modality", "batch", "treatment", "unit", "level")


def sheets(tmp_path, **more):
    samples = [
        {"sample_id": f"{who}_{visit}", "patient_id": who, "visit": visit, "modality": "flow"}
        | {"batch": "b1", "ocs_mg_day": 7.5 if visit == "month_4" else None}
        | more
        for who in ("007", "P2")
        for visit in ("baseline", "month_4")
    ]
    write_rows(tmp_path / "samples.tsv", (*SAMPLES, "ocs_mg_day"), samples)
    write_rows(
        tmp_path / "patients.tsv",
        ("patient_id", "treatment", "age"),
        [{"patient_id": "007", "treatment": "drug", "age": 61}],
    )
    write_rows(
        tmp_path / "losses.tsv",
        ("sample_id", "events", "lost_percent", "outlying", "note"),
        [
            {"sample_id": "007_baseline", "events": 1000, "lost_percent": 40.2, "outlying": True}
            | {"note": "doublets"},
            {"sample_id": "007_month_4", "events": 900, "lost_percent": 3.14159, "outlying": False},
        ],
    )
    write_rows(
        tmp_path / "outliers.tsv",
        ("subject", "sample_id", "aspect", "outlier", "why"),
        [
            {"subject": "sample", "sample_id": "P2_baseline", "aspect": "composition"}
            | {"outlier": True, "why": "many B cells"},
            {"subject": "sample", "sample_id": "P2_month_4", "outlier": False},
        ],
    )
    return [tmp_path / f"{name}.tsv" for name in ("samples", "patients", "losses", "outliers")]


def test_who_which_samples_and_what_is_odd(tmp_path):
    first, second = patients_data(*sheets(tmp_path), with_gates=True)
    assert first["id"] == "007"
    assert dict(first["facts"]) == {"treatment": "drug", "age": 61}
    assert [sample["visit"] for sample in first["samples"]] == ["baseline", "month 4"]
    facts = dict(first["samples"][1]["facts"])
    assert facts["ocs mg day"] == 7.5
    assert (facts["events read"], facts["set aside, %"]) == (900, 3.142)
    assert first["doubts"] == ["007_baseline lost 40 % of its events: doublets"]
    assert second["doubts"] == ["P2_baseline is unlike other samples in composition: many B cells"]
    assert (first["gates"], second["gates"]) == ("figures/gating/007.pdf", "")
    assert second["facts"] == []
    json.dumps([first, second], allow_nan=False)


def test_a_study_of_tables_has_patients_too(tmp_path):
    samples, *_ = sheets(tmp_path)
    found = patients_data(samples, None, None, None, with_gates=False)
    assert [patient["id"] for patient in found] == ["007", "P2"]
    assert all(patient["gates"] == "" and patient["doubts"] == [] for patient in found)
