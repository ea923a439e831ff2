from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from biocross.cells.pseudobulk import is_enough, sum_counts
from biocross.statistics.gene_changes import compare_visits, find_gene_changes, gene_rows
from biocross.tables import read_rows, write_rows

GOLDEN = Path(__file__).parents[2] / "golden" / "genes" / "paired_genes.tsv"


@pytest.fixture(scope="module")
def golden():
    return pd.read_csv(GOLDEN, sep="\t", index_col="gene")


def sums(golden, patients=6):
    """The counts of the golden table, with the obs of a file of sums."""
    counts = golden.filter(regex=r"^\d_").to_numpy().T[: 2 * patients]
    names = [name for name in golden.columns if name[:1].isdigit()][: 2 * patients]
    units, levels = [name[0] for name in names], [name[2:] for name in names]
    return counts, pd.DataFrame({"unit": units, "level": levels, "n_cells": 50})


def test_fold_changes_are_those_of_edger_and_limma(golden):
    counts, obs = sums(golden)
    compared = compare_visits(counts, obs, "baseline", "followup")
    rows = {row["gene"]: row for row in gene_rows(compared, golden.index.to_numpy(), True)}
    own = np.array([rows[gene]["log2_fold"] for gene in rows])
    p = np.array([rows[gene]["p_value"] for gene in rows])
    for peer in ("edger", "limma"):
        theirs = golden.loc[list(rows)]
        assert spearmanr(own, theirs[f"{peer}_log2_fold"]).statistic > 0.95
        assert spearmanr(p, theirs[f"{peer}_p"]).statistic > 0.9
    true = golden.loc[list(rows), "true_log2_fold"].to_numpy()
    assert np.median(np.abs(own - true)[true != 0]) < 0.35
    inside = [
        rows[g]["log2_fold_low"] <= t <= rows[g]["log2_fold_high"]
        for g, t in zip(rows, true, strict=True)
    ]
    assert np.mean(inside) > 0.9


def test_two_pairs_show_folds_and_claim_nothing(golden):
    counts, obs = sums(golden, patients=2)
    compared = compare_visits(counts, obs, "baseline", "followup")
    rows = list(gene_rows(compared, golden.index.to_numpy(), True))
    assert {row["status"] for row in rows} == {"too_few_pairs"}
    assert all(row["p_value"] is None and np.isfinite(row["log2_fold"]) for row in rows)


def test_counts_that_were_normalised_are_refused(golden):
    compared = compare_visits(*sums(golden), "baseline", "followup")
    (row,) = gene_rows(compared, golden.index.to_numpy(), whole=False)
    assert row["status"] == "not_possible"
    assert "raw counts" in row["note"]


def test_few_cells_at_one_visit_drop_the_patient(golden):
    counts, obs = sums(golden)
    obs.loc[3, "n_cells"] = 9
    compared = compare_visits(counts, obs, "baseline", "followup")
    assert compared.n_incomplete == 1
    assert "2" not in compared.units
    assert compared.followup.tolist() == [False, True] * 5


@pytest.mark.parametrize("patients", [0, 1])
def test_too_few_patients_are_said(golden, patients):
    counts, obs = sums(golden, patients)
    compared = compare_visits(counts, obs, "baseline", "followup")
    (row,) = gene_rows(compared, golden.index.to_numpy(), True)
    assert (row["status"], row["n_pairs"]) == ("underpowered", patients)


def test_sums_are_exact_and_cells_of_no_group_are_left_out():
    from scipy.sparse import csr_matrix

    counts = csr_matrix(np.array([[1, 0], [2, 3], [70_000, 1], [5, 5]], dtype=np.int32))
    found = sum_counts(counts, np.array([0, 0, 1, -1]), 3)
    assert found.sums.tolist() == [[3, 3], [70_000, 1], [0, 0]]
    assert found.n_cells.tolist() == [2, 1, 0]
    assert is_enough(found._replace(n_cells=np.array([10, 9, 50]))).tolist() == [False] * 3
    assert is_enough(found._replace(n_cells=np.array([10, 10, 50]))).tolist() == [
        False,
        True,
        False,
    ]


def test_from_file_to_table(golden, tmp_path):
    import anndata

    counts, obs = sums(golden)
    obs["population"] = "T_cells"
    obs["sample_id"] = obs["unit"] + "_" + obs["level"]
    sheet = obs[["sample_id", "unit", "level"]]
    write_rows(tmp_path / "samples.tsv", [*sheet], sheet.to_dict("records"))
    keys = {"modality": "rna", "treatment": "drug", "baseline": "baseline", "followup": "followup"}
    pairs = [keys | {"unit": str(unit)} for unit in range(1, 7)]
    write_rows(tmp_path / "pairs.tsv", [*pairs[0]], pairs)
    about = obs.drop(columns=["unit", "level"]).set_index("sample_id", drop=False)
    about.index.name = None
    genes = pd.DataFrame(index=golden.index)
    summed = anndata.AnnData(counts.astype(np.float32), about, genes)
    summed.write_h5ad(tmp_path / "pseudobulk.h5ad")
    for threads in (1, 2):
        find_gene_changes(
            *(tmp_path / name for name in ("pseudobulk.h5ad", "samples.tsv", "pairs.tsv")),
            n_threads=threads,
            changes_out=tmp_path / f"changes_{threads}.tsv",
        )
    one, two = ((tmp_path / f"changes_{n}.tsv").read_bytes() for n in (1, 2))
    assert one == two
    rows = {row["gene"]: row for row in read_rows(tmp_path / "changes_1.tsv")}
    planted = [rows[gene] for gene in golden.index[:40] if gene in rows]
    assert np.mean([float(row["q_value"] or 1) < 0.05 for row in planted]) > 0.6
    rest = [rows[gene] for gene in golden.index[40:] if gene in rows]
    assert np.mean([float(row["q_value"] or 1) < 0.05 for row in rest]) < 0.02
