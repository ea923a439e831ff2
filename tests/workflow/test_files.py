"""Files as they come: one cut off, one empty, single stains beside them."""

import shutil

import numpy as np
import pytest
import yaml
from tiny_project import make_tiny

from biocross.flow.fcs import read_fcs
from biocross.simulate.flow.fcs_writer import spillover_keyword, write_fcs
from biocross.tables import read_rows

pytestmark = pytest.mark.workflow


@pytest.fixture
def study(fresh_project, finished_project):
    return with_real_files(fresh_project, finished_project)


def with_real_files(project, finished_project):
    """Make a study of real files: what was simulated elsewhere lies in a folder of its own."""
    shutil.copytree(finished_project.folder / "results" / "simulated", project.folder / "fcs")
    settings = yaml.safe_load(project.configuration_without_simulation())
    settings["inputs"] |= {"folder": "fcs", "clinical": "fcs/clinical.tsv"}
    settings["statistics"]["relabellings"] = 0
    project.settings = settings
    return project


def run(project, *arguments):
    path = project.folder / "config" / "config.yaml"
    path.write_text(yaml.safe_dump(project.settings))
    return project.snakemake(*arguments)


def rows(project, *parts):
    return read_rows(project.folder.joinpath("results", *parts))


def test_the_cohort_goes_on_without_broken_files(study):
    cut, empty = (study.folder / "fcs" / f"{name}.fcs" for name in ("P01_baseline", "P02_month_4"))
    cut.write_bytes(cut.read_bytes()[:-20_000])
    file = read_fcs(empty)
    write_fcs(empty, file.events[:0], file.channels, file.markers, {})
    output = run(study)
    assert "Traceback" not in output.stdout + output.stderr
    ledger = {
        (row["sample_id"], row["step"]): row for row in rows(study, "flow/quality/ledger.tsv")
    }
    assert "excluded: " in ledger["P01_baseline", "read"]["note"]
    assert "truncated" in ledger["P01_baseline", "read"]["note"]
    assert "has no events" in ledger["P02_month_4", "read"]["note"]
    assert ("P01_baseline", "doublet") not in ledger
    counts = rows(study, "populations/counts.tsv")
    assert {row["count"] for row in counts if row["sample_id"] == "P01_baseline"} == {""}
    # Clusters may lack a population altogether.
    counts = [row for row in counts if row["source"] == "gate"]
    assert all(row["count"] for row in counts if row["sample_id"] == "P01_month_4")
    changes = [
        row
        for row in rows(study, "statistics/paired_changes.tsv")
        if (row["treatment"], row["population"]) == ("mepolizumab", "T_cells")
        and (row["source"], row["readout"]) == ("gate", "percent_of_parent")
    ]
    assert [(row["n_pairs"], row["n_incomplete"]) for row in changes] == [("1", "2")]
    problems = rows(study, "cohort/problems.tsv")
    named = [row["file"] for row in problems if "is left out: its file" in row["message"]]
    assert named == ["P01_baseline.fcs", "P02_month_4.fcs"]
    report = (study.folder / "results" / "report.html").read_text()
    assert "sample P01_baseline is left out: its file is truncated" in report


@pytest.fixture(scope="module")
def controlled(finished_project, tmp_path_factory):
    """A study with single stains of all dyes and an FMO control of each batch, run to the report.

    Clusters are left out: they take no part in what is asked here.
    """
    study = with_real_files(make_tiny(tmp_path_factory.mktemp("controls")), finished_project)
    study.true = read_fcs(study.folder / "fcs" / "P01_baseline.fcs").spillover
    sheet = study.folder / "config" / "samples.tsv"
    header, *lines = sheet.read_text().splitlines()
    usual = ["sample_id", "patient_id", "visit", "modality", "path", "batch", "tissue"]
    assert header.split("\t")[:7] == usual
    study.batches = {line.split("\t")[5]: line.split("\t")[4] for line in lines}
    lines = [f"{line}\tsample\t" for line in lines]
    lines += [*single_stains(study), *fmo_controls(study)]
    sheet.write_text("\n".join([f"{header}\trole\tcontrol_for", *lines]) + "\n")
    strategy = study.folder / "config" / "gating.yaml"
    gates = yaml.safe_load(strategy.read_text())
    gates["thresholds"]["CRTH2"] = {"method": "fmo", "estimate_on": "CD4_T"}
    strategy.write_text(yaml.safe_dump(gates))
    study.settings["flow"] |= {"compensation": "controls", "clusters": {"method": "none"}}
    run(study, "results/report.html")
    return study


def single_stains(study):
    """Write the controls of all dyes, and return their rows in the sheet."""
    for position, channel in enumerate(study.true.channels):
        write_control(study.folder / "fcs" / f"{channel}.fcs", study.true, position)
        cells = (f"single_{position}", "", "", "flow", f"{channel}.fcs", "lot_1", "")
        yield "\t".join([*cells, "single_stain", channel])
    write_control(study.folder / "fcs" / "blank.fcs", study.true, None)
    yield "blank\t\t\tflow\tblank.fcs\tlot_1\t\tunstained\t"


def fmo_controls(study):
    """Write a control without CRTH2 for each batch, and return their rows in the sheet."""
    panel = read_rows(study.folder / "config" / "panel.tsv")
    channel = next(row["channel"] for row in panel if row["marker"] == "CRTH2")
    for batch, source in study.batches.items():
        write_fmo(study.folder / "fcs" / source, study.folder / "fcs" / f"{batch}.fcs", channel)
        yield f"fmo_{batch}\t\t\tflow\t{batch}.fcs\t{batch}\t\tfmo\tCRTH2"


def test_single_stains_give_the_matrix_of_the_simulation(controlled):
    true = controlled.true
    found = rows(controlled, "flow/compensation/spillover.tsv")
    assert [row["fluorochrome"] for row in found] == list(true.channels)
    matrix = [[float(row[name]) for name in true.channels] for row in found]
    np.testing.assert_allclose(matrix, true.matrix, atol=0.01)
    ledger = rows(controlled, "flow/quality/ledger.tsv")
    notes = {row["note"] for row in ledger if row["step"] == "read"}
    assert notes == {f"compensated with single-stain controls ({len(true.channels)} channels)"}
    assert "single_0" not in {row["sample_id"] for row in rows(controlled, "cohort/samples.tsv")}


def test_a_border_is_drawn_by_the_fmo_controls_of_its_batch(controlled):
    thresholds = rows(controlled, "flow/gating/thresholds.tsv")
    borders = [row for row in thresholds if row["threshold"] == "CRTH2"]
    assert {row["source"] for row in borders} == {"fmo"}
    names = {f"fmo_{batch}" for batch in controlled.batches}
    assert not {row["sample_id"] for row in borders} & names
    counts = rows(controlled, "populations/counts.tsv")
    assert not any(row["sample_id"].startswith("fmo_") for row in counts)
    gated = [row for row in counts if row["source"] == "gate"]
    assert all(row["count"] for row in gated if row["population"] == "Th2")


def write_control(path, spillover, stained):
    """Beads or cells with one dye, and unstained ones among them."""
    random = np.random.default_rng(7)
    number = 6000
    scatter = random.normal([60_000, 50_000, 30_000], [4000, 3500, 3000], (number, 3))
    true = random.normal(0, 40, (number, len(spillover.channels)))
    if stained is not None:
        true[: number // 2, stained] += random.lognormal(np.log(30_000), 0.3, number // 2)
    events = np.column_stack([scatter, true @ spillover.matrix]).astype(np.float32)
    names = ["FSC-A", "FSC-H", "SSC-A", *spillover.channels]
    write_fcs(path, random.permutation(events), names, [""] * len(names), {})


def write_fmo(source, path, channel):
    """Write a sample again as if it had been stained with all antibodies but one."""
    file = read_fcs(source)
    names = file.spillover.channels
    columns = [file.channels.index(name) for name in names]
    events = np.array(file.events)
    true = events[:, columns] @ np.linalg.inv(file.spillover.matrix)
    noise = np.random.default_rng(3).normal(0, 60, len(events))
    true[:, names.index(channel)] = noise
    events[:, columns] = true @ file.spillover.matrix
    keywords = {"SPILLOVER": spillover_keyword(file.spillover.matrix, names)}
    write_fcs(path, events, file.channels, file.markers, keywords)
