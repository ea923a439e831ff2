"""Which patients' samples are in which library."""

from collections import Counter, defaultdict
from pathlib import Path

import pytest

from biocross.errors import ConfigError
from biocross.simulate.sheets import write_sheets
from biocross.tables import read_rows

STUDY = Path(__file__).parents[4] / "config" / "simulation" / "demo.yaml"
WHOLE = {"visits": {"month_12": None}, "missing_follow_ups": 0}
# One hashed library of four tags, and two plain ones.
SMALL = {
    **WHOLE,
    "treatments": {"mepolizumab": {"patients": 2}, "dupilumab": {"patients": 2}},
    "rna": {"batches": ["run_1"], "pools": [2, 0, 1]},
}


@pytest.fixture(scope="module")
def demo_rows(tmp_path_factory):
    """Lay out the demo as if nobody had missed a visit."""
    folder = tmp_path_factory.mktemp("demo")
    write_sheets(STUDY, folder, 1, WHOLE, modalities=("flow", "rna"))
    return read_rows(folder / "samples.tsv"), read_rows(folder / "patients.tsv"), folder


def test_the_demo_has_eight_patients_with_rna(demo_rows):
    samples, patients, _ = demo_rows
    treatment = {row["patient_id"]: row["treatment"] for row in patients}
    rna = [row for row in samples if row["modality"] == "rna"]
    assert len(rna) == 16
    arms = Counter(treatment[patient] for patient in {row["patient_id"] for row in rna})
    assert arms == {"mepolizumab": 4, "dupilumab": 4}
    assert {row["tissue"] for row in rna} == {"pbmc"}
    flow = {(row["patient_id"], row["visit"]) for row in samples if row["modality"] == "flow"}
    assert {(row["patient_id"], row["visit"]) for row in rna} <= flow
    assert len({row["sample_id"] for row in samples}) == len(samples)


def test_batches_hold_patients_whole_and_both_arms(demo_rows):
    samples, patients, _ = demo_rows
    treatment = {row["patient_id"]: row["treatment"] for row in patients}
    batches, arms, plain = defaultdict(set), Counter(), set()
    for row in samples:
        if row["modality"] == "rna":
            batches[row["patient_id"]].add(row["batch"])
            if not row["hashtag"]:
                plain.add(treatment[row["patient_id"]])
    assert all(len(found) == 1 for found in batches.values())
    for patient, (batch,) in batches.items():
        arms[treatment[patient], batch] += 1
    assert set(arms.values()) == {2}
    assert plain == {"mepolizumab", "dupilumab"}


def test_libraries_are_hashed_or_plain(demo_rows):
    samples, _, _ = demo_rows
    tags = defaultdict(list)
    for row in samples:
        if row["modality"] == "rna":
            tags[row["path"]].append(row["hashtag"])
    assert sorted(tags) == [f"rna/lib_{number:02d}.h5" for number in range(1, 9)]
    sizes = Counter(len(found) for found in tags.values())
    assert sizes == {4: 2, 2: 2, 1: 4}
    for found in tags.values():
        assert found == (
            [""] if len(found) == 1 else [f"Hashtag_{i + 1}" for i in range(len(found))]
        )


def test_flow_rows_and_the_clinic_do_not_change(demo_rows, tmp_path):
    _, _, folder = demo_rows
    write_sheets(STUDY, tmp_path, 1, WHOLE)
    for sheet in ("patients.tsv", "clinical.tsv", "panel.tsv"):
        assert (tmp_path / sheet).read_bytes() == (folder / sheet).read_bytes()
    with_rna = (folder / "samples.tsv").read_text().splitlines()
    flow = (tmp_path / "samples.tsv").read_text().splitlines()
    assert with_rna[0] == f"{flow[0]}\thashtag"
    assert with_rna[1 : len(flow)] == [f"{line}\t" for line in flow[1:]]


def test_a_study_of_rna_alone(tmp_path):
    write_sheets(STUDY, tmp_path, 1, SMALL, modalities=("rna",))
    assert {row["modality"] for row in read_rows(tmp_path / "samples.tsv")} == {"rna"}


def test_a_missing_visit_leaves_its_library_smaller(tmp_path):
    changes = {
        **SMALL,
        "treatments": {
            "mepolizumab": {"patients": 2},
            "dupilumab": {"patients": 2, "without_visit": {"month_4": 2}},
        },
    }
    write_sheets(STUDY, tmp_path, 1, changes, modalities=("rna",))
    rows = [row for row in read_rows(tmp_path / "samples.tsv") if row["path"] == "rna/lib_01.h5"]
    assert [row["sample_id"] for row in rows] == [
        "P01_baseline_rna",
        "P01_month_4_rna",
        "P03_baseline_rna",
    ]


def test_a_pool_larger_than_the_tags_is_refused(tmp_path):
    changes = {**SMALL, "rna": {**SMALL["rna"], "pools": [4]}}
    with pytest.raises(ConfigError, match="P04 have 8 samples, more than there are hashtags"):
        write_sheets(STUDY, tmp_path, 1, changes, modalities=("rna",))


def test_those_who_miss_no_visit_take_part_first(tmp_path):
    changes = {
        "visits": {"month_12": None},
        "missing_follow_ups": 0.5,
        "treatments": {"mepolizumab": {"patients": 6}, "dupilumab": {"patients": 1}},
        "rna": {"patients_per_treatment": 2},
    }
    write_sheets(STUDY, tmp_path, 1, changes, modalities=("flow", "rna"))
    came = defaultdict(set)
    for row in read_rows(tmp_path / "samples.tsv"):
        came[row["modality"], row["patient_id"]].add(row["visit"])
    mepolizumab = [f"P{number:02d}" for number in range(1, 7)]
    at_both = [name for name in mepolizumab if len(came["flow", name]) == 2]
    assert at_both[:2] != mepolizumab[:2]
    assert at_both[:2] == [name for name in mepolizumab if came["rna", name]]
