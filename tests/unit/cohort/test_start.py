import numpy as np
import pytest
import yaml

from biocross.cohort.checks import inspect_cohort
from biocross.cohort.start import start_study
from biocross.errors import ConfigError
from biocross.tables import read_rows

CHANNELS = ("FSC-A", "FSC-H", "CD3", "CD4", "CD8", "Time")


@pytest.fixture
def folder(tmp_path, write_fcs):
    """Return a function that writes FCS files of these names into a folder of their own."""

    def make(*names, **keywords):
        for name in names:
            (tmp_path / "fcs" / name).parent.mkdir(parents=True, exist_ok=True)
            write_fcs(f"fcs/{name}", np.ones((3, len(CHANNELS))), CHANNELS, **keywords)
        return tmp_path / "fcs"

    return make


def paired(folder, **keywords):
    names = (f"{p}_{v}.fcs" for p in ("P1", "P2", "P3", "P4") for v in ("baseline", "month_4"))
    return folder(*names, **keywords)


def messages(proposal):
    return "\n".join(str(question) for question in proposal.questions)


def start(data, tmp_path, **options):
    out = tmp_path / "config"
    proposal = start_study(data, out, **options)
    rows = {name: read_rows(out / f"{name}.tsv") for name in ("samples", "patients", "panel")}
    return proposal, rows, yaml.safe_load((out / "config.yaml").read_text())


def test_what_is_written_passes_the_checks(folder, tmp_path):
    proposal, rows, config = start(paired(folder), tmp_path)
    problems = inspect_cohort(config)[1]
    assert [p for p in problems if getattr(p, "severity", "error") == "error"] == []
    assert config["design"] == {"contrast": "visit", "levels": ["baseline", "month_4"]}
    assert rows["samples"][1]["sample_id"] == "P1_month_4"
    assert rows["samples"][1]["path"] == "P1_month_4.fcs"
    assert rows["patients"][0] == {"patient_id": "P1", "treatment": "unknown"}
    assert 'patients.tsv row 2: treatment is "unknown" for 4 patients, to row 5' in messages(
        proposal
    )


def test_batch_tissue_and_treatment_come_from_headers_and_names(folder, tmp_path):
    data = folder(
        *(f"pbmc_P{i}_dupilumab_{v}.fcs" for i in (1, 2, 3) for v in ("pre", "post")),
        date="07-MAY-2009",
    )
    proposal, rows, _ = start(data, tmp_path)
    assert {(row["batch"], row["tissue"]) for row in rows["samples"]} == {("2009-05-07", "pbmc")}
    assert {row["treatment"] for row in rows["patients"]} == {"dupilumab"}
    assert "treatment" not in messages(proposal)


def test_days_on_which_patients_came_one_by_one_are_no_batches(folder, tmp_path):
    visits = (("baseline", "MAR"), ("month_4", "JUL"))
    for number in (1, 2, 3):
        for visit, month in visits:
            data = folder(f"P{number}_{visit}.fcs", date=f"0{number}-{month}-2024")
    proposal, rows, config = start(data, tmp_path)
    assert {row["batch"] for row in rows["samples"]} == {"batch_1"}
    assert "write which samples were stained and measured together" in messages(proposal)
    assert not any("batch" in str(problem) for problem in inspect_cohort(config)[1])


def test_days_on_which_several_patients_were_measured_are_batches(folder, tmp_path):
    for number in (1, 2, 3, 4):
        for visit in ("baseline", "month_4"):
            data = folder(f"P{number}_{visit}.fcs", date=f"0{1 + number // 3}-MAR-2024")
    _, rows, _ = start(data, tmp_path)
    assert {(row["patient_id"], row["batch"]) for row in rows["samples"]} == {
        *(("P1", "2024-03-01"), ("P2", "2024-03-01")),
        *(("P3", "2024-03-02"), ("P4", "2024-03-02")),
    }


def test_src_tells_where_names_do_not(folder, tmp_path):
    keys = [(f"P{i}", visit) for i in (1, 2, 3) for visit in ("baseline", "month_4")]
    for number, key in enumerate(keys):
        data = folder(f"Tube_{number:03d}.fcs", src=" ".join(key))
    _, rows, _ = start(data, tmp_path)
    assert [(row["patient_id"], row["visit"]) for row in rows["samples"]] == keys


def test_controls_broken_and_odd_files(folder, tmp_path):
    data = paired(folder)
    folder("FMO_CD3.fcs", "Compensation Controls_PE.fcs")
    (data / "broken.fcs").write_bytes(b"no flow cytometry")
    (data / "notes.txt").write_text("FCS")
    (data / "P1_baseline.fcs").rename(data / "P1_baseline.001")
    proposal, rows, _ = start(data, tmp_path)
    assert len(rows["samples"]) == 8
    assert rows["samples"][0]["path"] == "P1_baseline.001"
    assert "2 controls are left out" in messages(proposal)
    assert "broken.fcs" in messages(proposal)


def test_stimulated_samples_are_left_out_of_visits(folder, tmp_path):
    data = folder(
        *(f"P{i}_{v}_{s}.fcs" for i in (1, 2) for v in ("pre", "post") for s in ("unstim", "LPS"))
    )
    proposal, rows, _ = start(data, tmp_path)
    assert {row["stimulation"] for row in rows["samples"]} == {"unstim"}
    assert "4 files of the stimulation LPS are left out" in messages(proposal)
    _, rows, config = start(data, tmp_path, contrast="stimulation", force=True)
    assert {row["visit"] for row in rows["samples"]} == {"pre"}
    assert config["design"] == {"contrast": "stimulation", "levels": ["unstim", "LPS"]}


def test_rna_is_listed(folder, tmp_path):
    data, rna = paired(folder), tmp_path / "rna"
    for name in ("P1_baseline/matrix.mtx.gz", "P1_month_4/matrix.mtx.gz"):
        (rna / name).parent.mkdir(parents=True)
        (rna / name).touch()
    proposal, rows, _ = start(data, tmp_path, rna=rna)
    listed = [row for row in rows["samples"] if row["modality"] == "rna"]
    assert [row["path"] for row in listed] == [
        "../rna/P1_baseline/matrix.mtx.gz",
        "../rna/P1_month_4/matrix.mtx.gz",
    ]
    assert [row["visit"] for row in listed] == ["baseline", "month_4"]
    assert "2 files of RNA counts" in messages(proposal)


def test_nothing_is_overwritten_and_nothing_half_written(folder, tmp_path):
    data, out = paired(folder), tmp_path / "config"
    out.mkdir()
    (out / "panel.tsv").write_text("mine")
    with pytest.raises(ConfigError, match=r"panel\.tsv: would be overwritten; .*--force"):
        start_study(data, out)
    assert [path.name for path in out.iterdir()] == ["panel.tsv"]
    start_study(data, out, force=True)
    assert (out / "panel.tsv").read_text() != "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config", "fcs"]


@pytest.mark.parametrize("made", [True, False])
def test_no_files(made, tmp_path):
    if made:
        (tmp_path / "fcs").mkdir()
    with pytest.raises(ConfigError, match="no FCS file" if made else "no such folder"):
        start_study(tmp_path / "fcs", tmp_path / "config")
    assert not (tmp_path / "config").exists()


def test_bcr_xl(test_data, tmp_path):
    _, rows, config = start(test_data / "bcr_xl", tmp_path)
    samples = rows["samples"]
    assert len({row["patient_id"] for row in samples}) == 8
    assert [row["stimulation"] for row in samples] == ["BCRXL", "Ref"] * 8
    assert config["design"] == {"contrast": "stimulation", "levels": ["Ref", "BCRXL"]}
    assert config["flow"] == {"cytometry": "mass"}
    assert len(rows["panel"]) == 24
    kinds = {row["marker"]: row["kind"] for row in rows["panel"]}
    assert sum(kind == "state" for kind in kinds.values()) == 14
    assert kinds["HLA-DR"] == "lineage"


def test_citrus_paired(test_data, tmp_path):
    proposal, rows, config = start(test_data / "citrus_paired", tmp_path)
    assert len(rows["patients"]) == 20
    assert [row["group"] for row in rows["patients"]] == ["healthy"] * 10 + ["diseased"] * 10
    assert config["design"]["levels"] == ["unstim", "stim1"]
    assert '"LineageMarker1" is no marker of the synonym table' in messages(proposal)


@pytest.mark.parametrize(("name", "n"), [("itn", 15), ("bodenmiller", 56), ("metacyto", 14)])
def test_studies_without_pairs_say_so(name, n, test_data, tmp_path):
    proposal, rows, _ = start(test_data / name, tmp_path)
    assert len(rows["patients"]) == len(rows["samples"]) == n
    assert "samples.tsv row 2: there are no pairs" in messages(proposal)
    assert len(proposal.questions) < 15


def test_metacyto_panels_clash(test_data, tmp_path):
    proposal, _, _ = start(test_data / "metacyto", tmp_path)
    clashes = [str(q) for q in proposal.questions if "have another panel" in str(q)]
    assert len(clashes) == 2
    assert "PE-A is CCR7, not CD62L" in clashes[1]


def test_bodenmiller_is_mass_cytometry(test_data, tmp_path):
    _, rows, config = start(test_data / "bodenmiller", tmp_path)
    assert config["flow"]["cytometry"] == "mass"
    kinds = [row["kind"] for row in rows["panel"]]
    assert [kinds.count(kind) for kind in ("barcode", "dna", "event_length")] == [7, 2, 1]
