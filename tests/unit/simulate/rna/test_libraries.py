import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy import sparse

from biocross.errors import ConfigError
from biocross.simulate.arrays import members_of
from biocross.simulate.people import Attendance, blood_of
from biocross.simulate.rna.libraries import simulate_libraries
from biocross.simulate.rna.truth import kept_cells
from biocross.simulate.sheets import write_sheets
from biocross.simulate.study import read_study
from biocross.tables import read_rows

STUDY = Path(__file__).parents[4] / "config" / "simulation" / "demo.yaml"
# One hashed library of four tags, and two plain ones.
WHOLE = {"visits": {"month_12": None}, "missing_follow_ups": 0}
SMALL = {
    **WHOLE,
    "treatments": {
        "mepolizumab": {"patients": 2},
        "dupilumab": {"patients": 2, "without_visit": {"month_4": 1}},
    },
    "rna": {
        "cells_per_sample": [250, 400],
        "batches": ["run_1"],
        "pools": [2, 0, 1],
        "background": {"genes": 300},
    },
    "events_per_sample": 100,
}
HASHED, PLAIN = "lib_01", "lib_02"


def simulate(folder, sheets, overrides=SMALL, seed=1):
    simulate_libraries(
        STUDY, sheets / "samples.tsv", sheets / "patients.tsv", folder, seed, overrides=overrides
    )
    return folder / "rna"


def truth(libraries, table):
    return read_rows(libraries.parent / "truth" / "rna" / f"{table}.tsv")


def keep_rows(folder, text):
    """Keep the rows of a sample sheet that hold a text."""
    header, *rows = (folder / "samples.tsv").read_text().splitlines()
    kept = [row for row in rows if text in row]
    (folder / "samples.tsv").write_text("\n".join([header, *kept]) + "\n")


def read(path):
    with h5py.File(path) as file:
        matrix = file["matrix"]
        features, cells = matrix["shape"][:]
        counts = sparse.csr_matrix(
            (matrix["data"][:], matrix["indices"][:], matrix["indptr"][:]), shape=(cells, features)
        )
        names = [name.decode() for name in matrix["features/name"][:]]
        is_gene = matrix["features/feature_type"][:] == b"Gene Expression"
        barcodes = [barcode.decode() for barcode in matrix["barcodes"][:]]
    return counts.toarray(), np.array(names), is_gene, barcodes


@pytest.fixture(scope="module")
def sheets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sheets")
    write_sheets(STUDY, folder, 1, SMALL, modalities=("flow", "rna"))
    return folder


@pytest.fixture(scope="module")
def cohort(tmp_path_factory, sheets):
    return simulate(tmp_path_factory.mktemp("cohort"), sheets)


@pytest.fixture(scope="module")
def cells(cohort):
    return truth(cohort, "cells")


# --- the libraries --------------------------------------------------------------------------------


def test_outputs_are_there_and_nothing_else(cohort):
    expected = {f"rna/lib_{number:02d}.h5" for number in range(1, 5)}
    expected |= {f"truth/rna/{what}.tsv" for what in ("cells", "counts", "effects", "genes")}
    folder = cohort.parent
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.*")} == expected


def test_every_barcode_is_labelled(cohort, cells):
    labelled = defaultdict(list)
    for row in cells:
        labelled[row["library"]].append(row["barcode"])
    for path in cohort.glob("*.h5"):
        assert read(path)[3] == labelled[path.stem]
        assert len(set(labelled[path.stem])) == len(labelled[path.stem])


def test_true_counts_are_the_live_singles(cohort, cells):
    plan = read_study(STUDY, SMALL)
    found = Counter()
    for row in cells:
        if row["fate"] == "live":
            found.update((row["sample_id"], name) for name in plan.lineage_of(row["population"]))
    counts = truth(cohort, "counts")
    assert counts
    for row in counts:
        assert found[row["sample_id"], row["population"]] == int(row["count"])
        assert found[row["sample_id"], row["parent"]] == int(row["parent_count"])


def test_frequencies_are_those_of_the_blood(tmp_path):
    """As many cells as binomial sampling of the flow files' latent blood gives."""
    many = {**SMALL, "rna": {**SMALL["rna"], "cells_per_sample": 6000}}
    write_sheets(STUDY, tmp_path, 1, many, modalities=("rna",))
    keep_rows(tmp_path, HASHED)
    out = simulate(tmp_path / "out", tmp_path, many)
    plan = read_study(STUDY, many)
    blood = blood_of(plan, 1, Attendance("P03", "dupilumab", "month_4")) * kept_cells(plan)
    share = members_of(plan, plan.reported) @ blood / blood.sum()
    rows = {
        row["population"]: int(row["count"])
        for row in truth(out, "counts")
        if row["sample_id"] == "P03_month_4_rna"
    }
    total = rows["lymphocytes"] / share[plan.reported.index("lymphocytes")]
    expected = share * total
    z = (np.array([rows[name] for name in plan.reported]) - expected) / np.sqrt(expected)
    assert np.abs(z).max() < 4
    assert expected.max() > 2000


def test_dead_cells_have_little_but_mitochondria(cohort, cells):
    fate = np.array([row["fate"] for row in cells if row["library"] == HASHED])
    counts, names, is_gene, _ = read(cohort / f"{HASHED}.h5")
    total = counts[:, is_gene].sum(axis=1)
    share = counts[:, np.char.startswith(names, "MT-")].sum(axis=1) / total
    assert 0.02 < (fate == "dead").mean() < 0.08
    assert np.median(share[fate == "live"]) == pytest.approx(0.045, abs=0.01)
    assert np.median(share[fate == "dead"]) > 0.15
    assert np.median(total[fate == "dead"]) < 0.6 * np.median(total[fate == "live"])
    assert np.median(total[fate == "doublet"]) > 1.4 * np.median(total[fate == "live"])


def test_tags_tell_samples_and_doublets_apart(cohort, cells):
    rows = [row for row in cells if row["library"] == HASHED]
    counts, names, _, _ = read(cohort / f"{HASHED}.h5")
    samples = ["P01_baseline_rna", "P01_month_4_rna", "P03_baseline_rna", "P03_month_4_rna"]
    tags = counts[:, [list(names).index(f"Hashtag_{i}") for i in (1, 2, 3, 4)]]
    single = np.array([row["fate"] == "live" for row in rows])
    own = np.array([samples.index(row["sample_id"]) for row in rows])
    assert (tags[single].argmax(axis=1) == own[single]).mean() > 0.96
    ranked = np.sort(tags, axis=1)
    across = np.array(
        [row["fate"] == "doublet" and row["second_sample_id"] != row["sample_id"] for row in rows]
    )
    assert across.sum() >= 5
    assert np.median(ranked[across, 2]) > 5 * np.median(ranked[single, 2])


def test_plain_libraries_have_proteins_but_no_tags(cohort):
    _, names, is_gene, _ = read(cohort / f"{PLAIN}.h5")
    assert {"CD4", "CD294", "TCR-Va7.2"} <= set(names[~is_gene])
    assert not any(name.startswith("Hashtag") for name in names)


def test_proteins_in_hashed_libraries_only(tmp_path, sheets):
    changes = {**SMALL, "rna": {**SMALL["rna"], "proteins": {"libraries": "hashed"}}}
    out = simulate(tmp_path, sheets, changes)
    assert read(out / f"{PLAIN}.h5")[2].all()
    assert "CD4" in read(out / f"{HASHED}.h5")[1][~read(out / f"{HASHED}.h5")[2]]


def test_proteins_and_genes_agree_on_the_cells(cohort, cells):
    counts, names, is_gene, _ = read(cohort / f"{HASHED}.h5")
    plan = read_study(STUDY, SMALL)
    rows = [row for row in cells if row["library"] == HASHED]
    live = np.array([row["fate"] == "live" for row in rows])
    for population, gene, protein in (
        ("B_cells", "MS4A1", "CD19"),
        ("CD8_T", "CD8B", "CD8"),
        ("monocytes_classical", "S100A9", "CD14"),
    ):
        own = np.array([population in plan.lineage_of(row["population"]) for row in rows])
        of_gene = counts[:, np.flatnonzero((names == gene) & is_gene)[0]]
        of_protein = counts[:, np.flatnonzero((names == protein) & ~is_gene)[0]]
        for column in (of_gene, of_protein):
            assert column[live & own].mean() > 4 * column[live & ~own].mean(), population


def pseudobulk(rna, library_cells, population, gene, plan):
    """Share of a gene in the molecules of a population's live cells, by sample."""
    sums = defaultdict(lambda: np.zeros(2))
    for path in sorted(rna.glob("*.h5")):
        counts, names, is_gene, barcodes = read(path)
        column = np.flatnonzero((names == gene) & is_gene)[0]
        total = counts[:, is_gene].sum(axis=1)
        for i, barcode in enumerate(barcodes):
            row = library_cells[path.stem, barcode]
            if row["fate"] == "live" and population in plan.lineage_of(row["population"]):
                sums[row["sample_id"]] += counts[i, column], total[i]
    return {sample: gene_sum / total for sample, (gene_sum, total) in sums.items()}


def test_planted_changes_of_genes_are_in_the_counts(tmp_path):
    """In a study of many Th2 and naive B cells, and little other variation."""
    exact = {
        **SMALL,
        "populations": {"Th2": {"share": 3.0}, "B_cells": {"share": 0.9}},
        "rna": {
            **SMALL["rna"],
            "cells_per_sample": 3000,
            "variation": dict.fromkeys(("patient", "batch", "library", "sample", "population"), 0),
            "ambient": {"share": 0},
            "dispersion": 0.02,
            "programmes": {"Th2": {"CXCR4": 60}, "B_naive": {"FCER2": 60}},
        },
    }
    write_sheets(STUDY, tmp_path, 1, exact, modalities=("rna",))
    keep_rows(tmp_path, HASHED)
    out = simulate(tmp_path / "out", tmp_path, exact)
    cells = {(r["library"], r["barcode"]): r for r in truth(out, "cells")}
    plan = read_study(STUDY, exact)
    for population, gene, treated, other, log2 in (
        ("Th2", "CXCR4", "P01", "P03", -0.5),
        ("B_naive", "FCER2", "P03", "P01", -1.0),
    ):
        share = pseudobulk(out, cells, population, gene, plan)
        change = {
            patient: np.log2(share[f"{patient}_month_4_rna"] / share[f"{patient}_baseline_rna"])
            for patient in (treated, other)
        }
        assert change[treated] == pytest.approx(log2, abs=0.15), gene
        assert change[other] == pytest.approx(0, abs=0.15), gene


# --- reproducibility ------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes(cohort, tmp_path, sheets):
    again = simulate(tmp_path, sheets)
    for path in cohort.parent.rglob("*.*"):
        own = again.parent / path.relative_to(cohort.parent)
        assert own.read_bytes() == path.read_bytes(), path


def test_other_libraries_change_no_library(cohort, tmp_path, sheets):
    header, *rows = (sheets / "samples.tsv").read_text().splitlines()
    kept = [row for row in reversed(rows) if "lib_02" in row or "lib_04" in row]
    (tmp_path / "samples.tsv").write_text("\n".join([header, *kept]) + "\n")
    (tmp_path / "patients.tsv").write_text((sheets / "patients.tsv").read_text())
    out = simulate(tmp_path / "out", tmp_path)
    assert sorted(path.name for path in out.glob("*.h5")) == ["lib_02.h5", "lib_04.h5"]
    for name in ("lib_02.h5", "lib_04.h5"):
        assert (out / name).read_bytes() == (cohort / name).read_bytes()


def test_another_seed_gives_other_cells(cohort, tmp_path, sheets):
    other = simulate(tmp_path, sheets, seed=2)
    assert (other / f"{PLAIN}.h5").read_bytes() != (cohort / f"{PLAIN}.h5").read_bytes()


def test_a_sample_may_be_spread_over_libraries(tmp_path, sheets):
    text = (sheets / "samples.tsv").read_text()
    lines = text.splitlines()
    lines = [lines[0], next(line for line in lines if "rna/lib_02.h5" in line)]
    lines[1] = lines[1].replace("rna/lib_02.h5", "rna/a.h5; rna/b.h5")
    (tmp_path / "samples.tsv").write_text("\n".join(lines) + "\n")
    (tmp_path / "patients.tsv").write_text((sheets / "patients.tsv").read_text())
    out = simulate(tmp_path / "out", tmp_path)
    first, second = (read(out / name)[0] for name in ("a.h5", "b.h5"))
    assert first.shape[0] > 200
    assert second.shape[0] > 200
    assert not np.array_equal(first[:100].sum(axis=1), second[:100].sum(axis=1))
    assert first.shape[0] != second.shape[0]  # each has its own cells
    count = sum(row["fate"] == "live" for row in truth(out, "cells"))
    counts = {r["parent"]: int(r["parent_count"]) for r in truth(out, "counts")}
    assert counts["leukocytes"] == count


def test_without_rows_nothing_is_written(tmp_path):
    write_sheets(STUDY, tmp_path, 1, SMALL)
    simulate(tmp_path / "out", tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Hashtag_2", "Hashtag_9", 'hashtag "Hashtag_9" is not in the study; did you mean'),
        ("Hashtag_2", "Hashtag_1", 'hashtag "Hashtag_1" stands for several samples'),
        ("Hashtag_2", "", '4 samples share "rna/lib_01.h5", so each needs its hashtag'),
        ("rna/lib_02.h5", "rna/lib_02.mtx", "must be relative and end with .h5"),
        ("rna/lib_02.h5", "../lib_02.h5", "must be relative and end with .h5"),
        ("\tpbmc", "\tblood", 'tissue is "blood", but the study simulates RNA of pbmc'),
        ("P01_month_4_rna\t", "P01_baseline_rna\t", 'sample_id "P01_baseline_rna" stands there'),
        ("_rna\tP01\tmonth_4", "_rna\tP01\tmonth4", 'visit "month4" is not in the study; did'),
        ("_rna\tP01\tmonth_4", "_rna\tP1\tmonth_4", 'patient "P1" is not in patients.tsv; did'),
    ],
)
def test_a_wrong_row_is_refused(tmp_path, sheets, old, new, message):
    text = (sheets / "samples.tsv").read_text()
    assert old in text
    (tmp_path / "samples.tsv").write_text(text.replace(old, new))
    (tmp_path / "patients.tsv").write_text((sheets / "patients.tsv").read_text())
    with pytest.raises(ConfigError, match=message):
        simulate(tmp_path / "out", tmp_path)
    assert not (tmp_path / "out").exists()


def test_rows_of_rna_need_a_description(tmp_path, sheets):
    with pytest.raises(ConfigError, match="the study has no section `rna`"):
        simulate(tmp_path, sheets, {**SMALL, "rna": None})


def test_the_module_imports_nothing_heavy():
    code = (
        "import sys, biocross.simulate.rna.libraries\n"
        "print({'pandas', 'scipy', 'anndata', 'scanpy', 'jsonschema'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
