"""Single-cell RNA on a tiny cohort: to the report, and with libraries that are bad in many ways."""

import re
from collections import Counter

import h5py
import numpy as np
import pytest
import yaml
from notebook_runs import NOTEBOOKS, run_notebook
from tiny_project import make_tiny

from biocross.tables import read_rows

pytestmark = pytest.mark.workflow

GENES = "results/statistics/gene_changes.tsv"
PER_POPULATION = "results/cells/cells_per_population.tsv"
# All tables of the RNA half and of what rests on it.
TABLES = (
    *(f"results/cells/{name}.tsv" for name in ("ledger", "loss_changes", "resolutions")),
    *(f"results/cells/{name}.tsv" for name in ("annotation", "clusters", "quality_recheck")),
    *(f"results/cells/{name}.tsv" for name in ("counts", "expression", "gene_sets")),
    *("results/populations/counts.tsv", "results/statistics/combined_findings.tsv"),
    *("results/statistics/concordance.tsv", GENES, PER_POPULATION),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    project = make_tiny(tmp_path_factory.mktemp("rna"), rna=True)
    project.snakemake()
    return project


@pytest.fixture
def damaged(finished, tmp_path):
    """A copy of the finished project whose files are given, not simulated."""
    project = finished.copied_to(tmp_path / "project")
    text = project.configuration_without_simulation()
    (project.folder / "config" / "config.yaml").write_text(text)
    return project


def rows(project, *parts):
    return read_rows(project.folder.joinpath("results", *parts))


def library(project, number):
    return project.folder / "results" / "simulated" / "rna" / f"lib_{number:02d}.h5"


def keep_first_cells(path, n_cells):
    with h5py.File(path, "r+") as file:
        matrix = file["matrix"]
        starts = matrix["indptr"][: n_cells + 1]
        kept = {name: matrix[name][: starts[-1]] for name in ("data", "indices")}
        kept |= {"indptr": starts, "barcodes": matrix["barcodes"][:n_cells]}
        kept["shape"] = np.array([matrix["shape"][0], n_cells])
        for name, values in kept.items():
            del matrix[name]
            matrix[name] = values


def normalise(path):
    """Scale every cell's counts, and take their logarithm."""
    with h5py.File(path, "r+") as file:
        matrix = file["matrix"]
        counts, starts = matrix["data"][:], matrix["indptr"][:]
        totals = np.add.reduceat(counts, starts[:-1])
        values = np.log1p(counts * np.repeat(1e4 / totals, np.diff(starts)))
        del matrix["data"]
        matrix["data"] = values.astype(np.float32)


def without_traceback(project, done):
    """Return what a run said, after a look for tracebacks there and in its logs."""
    output = done.stdout + done.stderr
    logs = sorted((project.folder / "results" / "logs").rglob("*.log"))
    texts = {"the terminal": output} | {str(log): log.read_text() for log in logs}
    for where, text in texts.items():
        assert "Traceback" not in text, f"{where}: {text[-3000:]}"
    return output


def reasons(project):
    """Return why samples were excluded."""
    ledger = rows(project, "cells", "ledger.tsv")
    return {row["sample_id"]: row["note"] for row in ledger if row["note"].startswith("excluded")}


def root_counts(project):
    """Return the cells of every sample in the long table."""
    return {
        row["sample_id"]: row["count"]
        for row in rows(project, "populations", "counts.tsv")
        if row["modality"] == "rna" and not row["parent"]
    }


# --- a whole run ----------------------------------------------------------------------------------


def test_counts_stand_beside_those_of_flow_cytometry_and_are_true(finished):
    counts = [r for r in rows(finished, "populations", "counts.tsv") if r["modality"] == "rna"]
    found = {(r["sample_id"], r["population"]): int(r["count"]) for r in counts if r["count"]}
    truth = rows(finished, "simulated", "truth", "rna", "counts.tsv")
    samples = {row["sample_id"] for row in truth}
    assert {sample for sample, _ in found} == samples
    assert len(samples) == 8
    for population in ("T_cells", "B_cells", "monocytes"):
        true = sum(int(row["count"]) for row in truth if row["population"] == population)
        counted = sum(found[sample, population] for sample in samples)
        assert counted == pytest.approx(true, rel=0.2), population


def test_genes_are_tested_where_patients_are_enough(finished):
    changes = rows(finished, "statistics", "gene_changes.tsv")
    tested = [row for row in changes if row["status"] == "tested"]
    assert {row["treatment"] for row in tested} == {"mepolizumab"}
    assert {"T_cells", "CD4_T"} <= {row["population"] for row in tested}
    assert all(0 <= float(row["p_value"]) <= float(row["q_value"]) <= 1 for row in tested)
    assert not any(row["p_value"] for row in changes if row["status"] != "tested")
    others = [row for row in changes if row["treatment"] == "dupilumab"]
    assert {row["status"] for row in others} == {"underpowered"}


def test_flow_cytometry_and_rna_are_compared(finished):
    concordance = rows(finished, "statistics", "concordance.tsv")
    assert {row["aspect"] for row in concordance} >= {"frequency", "change"}
    of_t = [r for r in concordance if r["population"] == "T_cells" and r["visit"] == "baseline"]
    assert [row["n"] for row in of_t] == ["4"]
    findings = rows(finished, "statistics", "combined_findings.tsv")
    assert {"T_cells", "B_cells", "monocytes"} <= {row["population"] for row in findings}


def test_cells_open_in_scanpy(finished):
    import scanpy as sc

    cells = sc.read_h5ad(finished.folder / "results" / "cells" / "cells.h5ad")
    counts = cells.layers["counts"].toarray()
    assert (counts == np.rint(counts)).all()
    scaled = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    np.testing.assert_allclose(cells.X.toarray(), scaled, rtol=1e-4)
    assert cells.obsm["X_umap"].shape == (cells.n_obs, 2)
    assert np.isfinite(cells.obsm["X_umap"]).all()
    assert (cells.obs["population"] == "unassigned").mean() < 0.2
    sizes = Counter(cells.obs["sample_id"])
    assert {name: int(count) for name, count in root_counts(finished).items()} == sizes


def test_no_cell_is_lost_without_a_word(finished):
    truth = Counter(
        row["library"] for row in rows(finished, "simulated", "truth", "rna", "cells.tsv")
    )
    for name, n_cells in truth.items():
        with h5py.File(finished.folder / f"results/cells/libraries/{name}.h5ad") as file:
            assert file["obs/flag"].size == n_cells
    left = {}
    for row in rows(finished, "cells", "ledger.tsv"):
        left[row["sample_id"]] = int(row["events_before"]) - int(row["flagged"] or 0)
    rescued = sum(int(r["rescued"] or 0) for r in rows(finished, "cells", "quality_recheck.tsv"))
    assert sum(map(int, root_counts(finished).values())) == sum(left.values()) + rescued
    losses = rows(finished, "cells", "loss_changes.tsv")
    tested = {row["step"] for row in losses if row["treatment"] == "mepolizumab"}
    assert {"hashtag_doublet", "counts", "mitochondrial", "doublet"} <= tested


def test_the_report_has_the_chapters(finished):
    page = (finished.folder / "results" / "report.html").read_text()
    chapters = re.findall(r"<h2[^>]*>([^<]*)", page)
    assert {"Single-cell RNA", "Flow cytometry and RNA together"} <= set(chapters)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_the_notebook_shows_the_cells_and_the_agreement(finished, monkeypatch):
    (path,) = (path for path in NOTEBOOKS if path.stem.startswith("04"))
    pictures, text = run_notebook(path, finished.folder / "results", monkeypatch)
    assert pictures == 2
    assert "has no single-cell RNA" not in text
    assert "not comparable" in text


def test_a_second_run_has_nothing_to_do(finished):
    assert finished.planned_rules() == {}


def test_one_core_gives_the_same_bytes(finished):
    files = [finished.folder / name for name in TABLES]
    before = [file.read_bytes() for file in files]
    written = [file.stat().st_mtime_ns for file in files]
    finished.snakemake("--forcerun", "prepare_library", "--", *TABLES, cores=1)
    assert all(file.stat().st_mtime_ns > then for file, then in zip(files, written, strict=True))
    for file, bytes_of_two in zip(files, before, strict=True):
        assert file.read_bytes() == bytes_of_two, file.name


# --- bad input ------------------------------------------------------------------------------------


def test_libraries_without_use_are_named_and_the_others_go_on(damaged):
    sheet = damaged.folder / "config" / "samples.tsv"
    text = sheet.read_text()
    assert text.count("Hashtag_4") == 1
    sheet.write_text(text.replace("Hashtag_4", "Hashtag_9"))
    keep_first_cells(library(damaged, 2), 0)
    keep_first_cells(library(damaged, 3), 20)
    library(damaged, 4).write_text("not a matrix\n" * 100)
    done = damaged.snakemake("results/populations/counts.tsv", "results/cells/ledger.tsv", GENES)
    without_traceback(damaged, done)
    said = reasons(damaged)
    assert said.keys() == {"P04_month_4_rna", "P02_baseline_rna", "P03_baseline_rna"}
    assert 'its hashtag "Hashtag_9" is not in the library' in said["P04_month_4_rna"]
    assert "holds no barcodes" in said["P02_baseline_rna"]
    assert "is not HDF5, whatever its name says" in said["P03_baseline_rna"]
    counts = root_counts(damaged)
    assert len(counts) == 8
    assert {name for name, count in counts.items() if not count} == said.keys()
    assert 0 < int(counts["P02_month_4_rna"]) <= 20
    assert int(counts["P01_baseline_rna"]) > 80
    genes = rows(damaged, "statistics", "gene_changes.tsv")
    assert {row["status"] for row in genes} == {"underpowered"}


def test_normalised_values_are_refused_for_genes_and_used_for_the_rest(damaged):
    before = {row["population"]: row for row in long_rna(damaged, "P02_baseline_rna")}
    normalise(library(damaged, 2))
    done = damaged.snakemake("results/populations/counts.tsv", GENES)
    without_traceback(damaged, done)
    for row in rows(damaged, "statistics", "gene_changes.tsv"):
        assert row["status"] == "not_possible"
        assert "no whole numbers, as if normalised" in row["note"]
    notes = {row["note"] for row in rows(damaged, "cells", "cells_per_population.tsv")}
    assert not any("fewer than" in note for note in notes)
    # Its cells, and those of the libraries of counts, have the names that they had.
    after = {row["population"]: row for row in long_rna(damaged, "P02_baseline_rna")}
    for population in ("T_cells", "B_cells", "monocytes"):
        numbers = [int(of[population]["count"]) for of in (before, after)]
        assert numbers[1] == pytest.approx(numbers[0], rel=0.3, abs=3), population
    found = rows(damaged, "cells", "clusters.tsv")
    unassigned = sum(int(r["n_cells"]) for r in found if r["population"] == "unassigned")
    assert unassigned < 0.1 * sum(int(row["n_cells"]) for row in found)


def long_rna(project, sample):
    counts = rows(project, "populations", "counts.tsv")
    return [row for row in counts if row["modality"] == "rna" and row["sample_id"] == sample]


def test_one_patient_goes_through_and_nothing_is_claimed(damaged):
    for name in ("samples", "patients", "clinical"):
        sheet = damaged.folder / "config" / f"{name}.tsv"
        header, *lines = sheet.read_text().splitlines()
        kept = [line for line in lines if re.search(r"\bP01(_|\b)", line)]
        sheet.write_text("\n".join([header, *kept]) + "\n")
    losses = "results/cells/loss_changes.tsv"
    done = damaged.snakemake("results/statistics/concordance.tsv", GENES, losses)
    without_traceback(damaged, done)
    assert root_counts(damaged).keys() == {"P01_baseline_rna", "P01_month_4_rna"}
    for table in ("gene_changes", "concordance"):
        found = rows(damaged, "statistics", f"{table}.tsv")
        assert found
        assert not any(row["p_value"] for row in found), table
        assert not {"tested", "compared"} & {row["status"] for row in found}


def test_a_genome_that_no_library_has_stops_the_run_with_its_name(damaged):
    settings = damaged.folder / "config" / "config.yaml"
    content = yaml.safe_load(settings.read_text())
    content["cells"]["genome"] = "mm10"
    settings.write_text(yaml.safe_dump(content, sort_keys=False))
    done = damaged.snakemake("results/cells/integrated.h5ad", check=False)
    assert done.returncode != 0
    output = without_traceback(damaged, done)
    assert re.search(
        r'integrate_cells: 0 cells .*holds no genome "mm10"; known are: GRCh38', output
    )
