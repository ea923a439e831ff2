import subprocess
import sys
from pathlib import Path

import flowio
import numpy as np
import pytest
from simulated_files import read_simulated

from biocross.errors import ConfigError
from biocross.simulate.flow.cohort import simulate_cohort
from biocross.simulate.sheets import write_sheets
from biocross.tables import read_rows

STUDY = Path(__file__).parents[4] / "config" / "simulation" / "demo.yaml"
SMALL = {
    "visits": {"month_12": None},
    "missing_follow_ups": 0,
    "events_per_sample": 4000,
    "clogs": {"share_of_files": 0},
    "response": {"resistant_share": 0, "spread": 0},
    "treatments": {
        "mepolizumab": {"patients": 2},
        "dupilumab": {"patients": 1, "without_visit": {"month_4": 1}},
    },
}
# Three patients, the last without month_4.
FILES = ["P01_baseline", "P01_month_4", "P02_baseline", "P02_month_4", "P03_baseline"]


def simulate(folder, sheets, overrides=SMALL, seed=1):
    simulate_cohort(
        STUDY, sheets / "samples.tsv", sheets / "patients.tsv", folder, seed, overrides=overrides
    )
    return folder


@pytest.fixture(scope="module")
def sheets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sheets")
    write_sheets(STUDY, folder, 1, SMALL)
    return folder


@pytest.fixture(scope="module")
def cohort(tmp_path_factory, sheets):
    return simulate(tmp_path_factory.mktemp("cohort"), sheets)


def gate_live_singlets(values):
    ratio = values["FSC-A"] / np.maximum(values["FSC-H"], 1)  # margins are at 0
    return (
        (np.abs(ratio / np.median(ratio) - 1) < 0.13)
        & (values["viability"] < 3000)
        & (values["CD45"] > 1500)
    )


def test_outputs_are_there_and_nothing_else(cohort):
    expected = {f"{name}.fcs" for name in FILES}
    assert {path.name for path in cohort.iterdir()} == expected | {"clinical.tsv", "truth"}
    truth = {str(path.relative_to(cohort / "truth")) for path in (cohort / "truth").rglob("*.*")}
    tables = {"patients.tsv", "flow/effects.tsv", "flow/counts.tsv", "flow/markers.tsv"}
    assert truth == tables | {f"flow/events/{name}.arrow" for name in FILES}


def test_files_carry_panel_and_keywords(cohort):
    data = flowio.FlowData(str(cohort / "P01_baseline.fcs"))
    assert data.event_count == 4000
    panel = read_rows(STUDY.parents[1] / "panel.tsv")
    assert data.pnn_labels == [row["channel"] for row in panel]
    signals = [row["marker"] for row in panel if row["kind"] not in ("scatter", "time")]
    assert [label for label in data.pns_labels if label] == signals
    assert data.text["fil"] == "P01_baseline.fcs"
    assert data.text["src"] == "P01"
    assert data.as_array(preprocess=False).max() <= 262143


def test_time_rises(cohort):
    time = read_simulated(cohort / "P02_month_4.fcs")["Time"]
    assert (np.diff(time) >= 0).all()
    assert time[-1] == pytest.approx(1000, rel=0.08)  # 4000 events at 400 per second, in 0.01 s


def test_simple_gates_find_the_true_counts(cohort):
    """Thresholds on files against the labels that the files do not show."""
    truth = {
        (row["sample_id"], row["population"]): int(row["count"])
        for row in read_rows(cohort / "truth" / "flow" / "counts.tsv")
    }
    for name in FILES:
        values = read_simulated(cohort / f"{name}.fcs")
        live = gate_live_singlets(values)
        small = live & (values["SSC-A"] < 45_000)
        t_cells = small & (values["CD3"] > 3000) & (values["CD19"] < 2000)
        found = {
            "eosinophils": live & (values["SSC-A"] > 80_000) & (values["Siglec-8"] > 3000),
            "neutrophils": live & (values["SSC-A"] > 45_000) & (values["CD16"] > 10_000),
            "T_cells": t_cells & (values["CD14"] < 3000),
            "B_cells": small & (values["CD19"] > 3000) & (values["CD3"] < 2000),
            "CD4_T": t_cells & (values["CD4"] > 6000) & (values["CD8"] < 6000),
        }
        for population, gate in found.items():
            true = truth[name, population]
            assert gate.sum() == pytest.approx(true, rel=0.03, abs=3), (name, population)


def test_every_file_has_dead_cells_doublets_and_debris(cohort):
    values = read_simulated(cohort / "P01_baseline.fcs")
    assert 0.02 < (values["viability"] > 8000).mean() < 0.07
    assert 0.015 < (values["FSC-A"] < 35_000).mean() < 0.045
    ratio = values["FSC-A"] / np.maximum(values["FSC-H"], 1)
    assert 0.025 < (ratio > 1.15 * np.median(ratio)).mean() < 0.06


def test_eosinophils_fall_under_mepolizumab(cohort):
    counts = {
        row["sample_id"]: int(row["count"]) / int(row["parent_count"])
        for row in read_rows(cohort / "truth" / "flow" / "counts.tsv")
        if row["population"] == "eosinophils"
    }
    for patient in ("P01", "P02"):
        fold = counts[f"{patient}_month_4"] / counts[f"{patient}_baseline"]
        assert 0.05 < fold < 0.35


def test_cxcr4_falls_in_ilc2(tmp_path, sheets):
    """The planted -0.5 log2, seen in the files of a study without other variation."""
    exact = {
        **SMALL,
        "events_per_sample": 40_000,
        "staining": {"patient_shift": 0, "sample_shift": 0},
        "populations": {"ILC": {"share": 0.3}},
    }
    folder = simulate(tmp_path, sheets, exact)
    medians = []
    for visit in ("baseline", "month_4"):
        values = read_simulated(folder / f"P01_{visit}.fcs")
        ilc2 = gate_live_singlets(values) & (values["CD127"] > 2500) & (values["CRTH2"] > 700)
        for marker in ("CD3", "CD19", "CD14", "CD16", "CD56", "CD123", "Siglec-8"):
            ilc2 &= values[marker] < 1000
        assert ilc2.sum() > 500
        medians.append(np.median(values["CXCR4"][ilc2]))
    assert np.log2(medians[1] / medians[0]) == pytest.approx(-0.5, abs=0.1)


def test_blood_counts_are_the_truth_up_to_the_analyser(cohort, tmp_path, sheets):
    simulate(tmp_path, sheets, {**SMALL, "analyser_cv": 0})
    exact, measured = (read_rows(folder / "clinical.tsv") for folder in (tmp_path, cohort))
    columns = ["eosinophils_per_ul", "lymphocytes_per_ul", "leukocytes_per_ul", "monocytes_per_ul"]
    ratios = [
        float(m[column]) / float(e[column])
        for e, m in zip(exact, measured, strict=True)
        for column in columns
    ]
    assert 0.02 < np.std(np.log(ratios)) < 0.06
    # The file is a sample of that blood: 4000 events, so 3 SE of a share of a third are .03.
    shares = {
        row["sample_id"]: int(row["count"]) / int(row["parent_count"])
        for row in read_rows(tmp_path / "truth" / "flow" / "counts.tsv")
        if row["population"] == "lymphocytes"
    }
    for row in exact:
        true = float(row["lymphocytes_per_ul"]) / float(row["leukocytes_per_ul"])
        assert shares[f"{row['patient_id']}_{row['visit']}"] == pytest.approx(true, abs=0.03)


def test_the_same_seed_gives_the_same_bytes(cohort, tmp_path, sheets):
    again = simulate(tmp_path, sheets)
    assert all(
        (again / path.relative_to(cohort)).read_bytes() == path.read_bytes()
        for path in cohort.rglob("*.*")
    )


def test_samples_draw_from_streams_of_their_own(tmp_path, sheets):
    folder = simulate(tmp_path, sheets, {**SMALL, "events_per_sample": [300, 3000]})
    sizes = {flowio.FlowData(str(path)).event_count for path in folder.glob("*.fcs")}
    assert len(sizes) == len(FILES)
    assert all(300 <= size <= 3000 for size in sizes)


def test_a_batch_shifts_all_its_samples_alike(tmp_path, sheets):
    """P01 is stained with one lot, P02 with the other."""
    staining = {"batch_shift": 0.12, "patient_shift": 0, "sample_shift": 0}
    folder = simulate(
        tmp_path, sheets, {**SMALL, "events_per_sample": 15_000, "staining": staining}
    )
    bright = {}
    for name in FILES[:4]:
        values = read_simulated(folder / f"{name}.fcs")
        bright[name] = [
            np.log10(np.median(values[marker][values[marker] > 10**floor]))
            for marker, floor in (("CD4", 3.9), ("CD3", 3.6), ("CD16", 4.0))
        ]
    for patient in ("P01", "P02"):
        baseline, later = bright[f"{patient}_baseline"], bright[f"{patient}_month_4"]
        np.testing.assert_allclose(later, baseline, atol=0.02)
    assert np.abs(np.subtract(bright["P01_baseline"], bright["P02_baseline"])).max() > 0.05


def test_another_seed_gives_another_cohort(cohort, tmp_path, sheets):
    other = simulate(tmp_path, sheets, seed=2)
    name = "P01_baseline.fcs"
    assert (other / name).read_bytes() != (cohort / name).read_bytes()


def test_other_samples_change_no_sample(cohort, tmp_path, sheets):
    """A sheet in another order, with one sample less and one more."""
    header, *rows = (sheets / "samples.tsv").read_text().splitlines()
    kept = [row for row in reversed(rows) if not row.startswith("P02_baseline")]
    added = "P03_month_4\tP03\tmonth_4\tflow\tsomewhere/extra.fcs\tlot_2\twhole_blood"
    (tmp_path / "samples.tsv").write_text("\n".join([header, added, *kept]) + "\n")
    (tmp_path / "patients.tsv").write_text((sheets / "patients.tsv").read_text())
    folder = simulate(tmp_path / "out", tmp_path)
    assert (folder / "extra.fcs").exists()
    assert not (folder / "P02_baseline.fcs").exists()
    for name in ("P01_baseline", "P01_month_4", "P02_month_4", "P03_baseline"):
        file = f"{name}.fcs"
        assert (folder / file).read_bytes() == (cohort / file).read_bytes(), name


def test_samples_of_other_modalities_are_left_alone(tmp_path, sheets):
    lines = (sheets / "samples.tsv").read_text().splitlines()[:2]
    lines.append("R1\tP99\tbaseline\trna\tr1.h5\tlot_1\tpbmc")
    (tmp_path / "samples.tsv").write_text("\n".join(lines) + "\n")
    (tmp_path / "patients.tsv").write_text((sheets / "patients.tsv").read_text())
    folder = simulate(tmp_path / "out", tmp_path)
    assert [path.name for path in folder.glob("*.fcs")] == ["P01_baseline.fcs"]


def test_all_wrong_rows_are_named_before_anything_is_written(tmp_path, sheets):
    text = (sheets / "samples.tsv").read_text()
    text = text.replace("\tP02\tbaseline", "\tP2\tbaseline").replace("\tmonth_4\t", "\tmonth4\t", 1)
    (tmp_path / "samples.tsv").write_text(text)
    (tmp_path / "patients.tsv").write_text((sheets / "patients.tsv").read_text())
    with pytest.raises(ConfigError) as caught:
        simulate(tmp_path / "out", tmp_path)
    message = str(caught.value)
    assert 'samples.tsv row 3: visit "month4" is not in the study; did you mean' in message
    assert 'samples.tsv row 4: patient "P2" is not in patients.tsv; did you mean "P02"?' in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("sheet", "old", "new", "message"),
    [
        ("patients.tsv", "dupilumab", "dupilumap", 'patients.tsv row 4: treatment "dupilumap"'),
        ("patients.tsv", "P03", "P02", 'patients.tsv row 4: patient "P02" stands there twice'),
        ("samples.tsv", "P01_month_4.fcs", "P01_baseline.fcs", '"P01_baseline.fcs" stands there'),
        ("samples.tsv", "\twhole_blood", "\tpbmc", 'row 2: tissue is "pbmc", but the study'),
        ("samples.tsv", "\tbatch", "\tbach", 'samples.tsv: has no column "batch"; did you mean'),
        ("samples.tsv", "\tlot_1\t", "\t\t", 'samples.tsv row 2: "batch" is empty'),
    ],
)
def test_a_wrong_sheet_is_refused(tmp_path, sheets, sheet, old, new, message):
    for name in ("samples.tsv", "patients.tsv"):
        text = (sheets / name).read_text()
        (tmp_path / name).write_text(text.replace(old, new) if name == sheet else text)
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        simulate(tmp_path / "out", tmp_path)


def test_the_package_imports_nothing_heavy():
    code = (
        "import sys, biocross.simulate.flow.cohort\n"
        "print({'pandas', 'scipy', 'anndata', 'flowkit', 'jsonschema'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
