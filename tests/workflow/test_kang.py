"""Two donors of Kang 2018, RNA alone: interferon's genes rise, and two pairs claim nothing."""

import csv

import pytest
from tiny_project import Project

pytestmark = [pytest.mark.workflow, pytest.mark.data]


@pytest.fixture(scope="module")
def results(tmp_path_factory, test_data):
    """The folder of results of the example."""
    project = Project(tmp_path_factory.mktemp("kang"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIOCROSS_TEST_DATA", str(test_data.resolve()))
        project.snakemake("--configfile", "config/examples/kang_paired/config.yaml")
    return project.folder / "results" / "kang_paired"


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.mark.parametrize("gene", ["ISG15", "IFI6"])
def test_interferon_genes_rise_in_monocytes_of_both_donors(results, gene):
    import anndata as ad

    (row,) = (
        row
        for row in rows(results / "statistics" / "gene_changes.tsv")
        if row["population"] == "monocytes" and row["gene"] == gene
    )
    assert row["contrast"] == "stim - ctrl"
    assert float(row["log2_fold"]) > 1
    assert row["n_pairs"] == "2"
    assert row["status"] == "too_few_pairs"
    assert "2 pairs" in row["note"]
    assert row["q_value"] == row["p_value"] == row["log2_fold_low"] == ""
    sums = ad.read_h5ad(results / "cells" / "pseudobulk.h5ad")
    sums = sums[sums.obs["population"] == "monocytes"]
    share = dict(zip(sums.obs["sample_id"], sums[:, gene].X.toarray().ravel(), strict=True))
    for donor in ("101", "107"):
        assert share[f"stim_{donor}"] > 2 * share[f"ctrl_{donor}"]


@pytest.mark.parametrize("table", ["paired_changes", "marker_changes", "gene_changes"])
def test_two_pairs_claim_nothing(results, table):
    found = rows(results / "statistics" / f"{table}.tsv")
    assert {"too_few_pairs"} <= {row["status"] for row in found}
    assert not any(row["status"] == "tested" or row["q_value"] for row in found)


def test_the_report_opens_and_says_so(results):
    page = (results / "report.html").read_text()
    assert "interferon beta, stim - ctrl: 2 complete pairs, and a test needs 3" in page
    assert "none was shown to change" not in page
    assert "With fewer than three pairs nothing is claimed about the genes of monocytes" in page
    assert "every pair changes batch" in page


def test_wells_are_left_as_they_are_and_nothing_is_made_for_flow(results):
    (quality,) = (
        row
        for row in rows(results / "cells" / "integration_quality.tsv")
        if row["group"] == "all cells"
    )
    assert "cells.batch: null" in quality["note"]
    assert not (results / "flow").exists()
