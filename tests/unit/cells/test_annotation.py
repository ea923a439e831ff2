"""Names of cells whose names are known."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from named_cells import INTERFERON, POPULATIONS, SHARES, lineage_of, make_cells
from scipy import sparse

from biocross.cells.annotation import annotate_cells
from biocross.cells.annotation_tables import annotation_rows, cluster_rows
from biocross.cells.embedding import principal_components
from biocross.cells.marker_scores import load_markers
from biocross.cells.naming import Cells, name_cells
from biocross.cells.neighbourhoods import neighbours
from biocross.cells.normalise import log_normalise
from biocross.cells.population_tree import Evidence, decide, is_resolved, stand_ins
from biocross.cells.resolutions import leiden
from biocross.errors import ConfigError
from biocross.tables import read_rows, write_rows

MARKERS = load_markers(POPULATIONS)
N_CELLS = 2_500


def embedded(cells, proteins=None, protein_names=()):
    """Cells as `name_cells` takes them."""
    values = log_normalise(cells.X)
    points = principal_components(values, 25, 1).scores
    distances, graph = neighbours(points, 15, 1)
    n_cells = cells.n_obs
    return Cells(
        values,
        list(cells.var_names),
        np.empty((n_cells, 0)) if proteins is None else proteins,
        list(protein_names),
        points,
        distances,
        leiden(graph, 1.0, 1),
        np.zeros(n_cells, dtype=np.int64),
        None,
    )


@pytest.fixture(scope="module")
def blood():
    cells = make_cells(N_CELLS, seed=2, n_genes=500, interferon=2.0)
    return cells, embedded(cells)


@pytest.fixture(scope="module")
def named(blood):
    return name_cells(blood[1], MARKERS, (), 1)


def test_lineages_are_found(blood, named):
    truth = np.array([lineage_of(name) for name in blood[0].obs.truth])
    assert (named[0].lineage == truth).mean() > 0.99


def test_every_finer_population_is_found_rare_ones_too(blood, named):
    truth = blood[0].obs.truth.to_numpy()
    for name in SHARES:
        inside = truth == name
        assert (named[0].population[inside] == name).mean() > 0.8, name
        called = named[0].population == name
        assert (truth[called] == name).mean() > 0.8, name


def test_names_do_not_follow_the_treatment(blood, named):
    cells = blood[0]
    expression = cells[:, list(INTERFERON)].X.sum(axis=1)
    late = (cells.obs.visit == "month_4").to_numpy()
    assert expression[late].mean() > 3 * expression[~late].mean()
    for name in ("CD4_naive", "monocytes_classical", "NK_dim"):
        inside = cells.obs.truth.to_numpy() == name
        right = named[0].population == name
        assert abs(right[inside & late].mean() - right[inside & ~late].mean()) < 0.05


def test_what_rna_cannot_count_is_said_and_never_zero(named):
    rows = {row["population"]: row for row in annotation_rows(*_table(named), ["pbmc"])}
    assert rows["eosinophils"]["status"] == "not_measured"
    assert rows["Tc2"]["status"] == "not_resolved"
    assert rows["Tc2"]["n_cells"] is None
    assert rows["monocytes_intermediate"]["status"] == "not_resolved"
    assert rows["plasmablasts"]["status"] == "not_found"
    assert rows["plasmablasts"]["n_cells"] == 0
    assert rows["Th2"]["status"] == "found"
    assert "lower bound" in rows["Th2"]["note"]
    whole = rows["CD4_T"]["n_cells"]
    parts = ("CD4_naive", "CD4_memory", "Treg")
    assert whole >= sum(rows[name]["n_cells"] for name in parts) > 0.95 * whole


def _table(named):
    naming, evidence = named
    return naming, MARKERS, evidence


def test_cells_of_nothing_known_stay_unassigned():
    cells = make_cells(1_000, seed=4, n_genes=500)
    strangers = cells.obs.truth.to_numpy() == "B_naive"
    wanted = {gene for each in MARKERS.values() for gene in each.present}
    silent = [gene in wanted for gene in cells.var_names]
    values = cells.X.tolil()
    values[np.ix_(np.flatnonzero(strangers), np.flatnonzero(silent))] = 0
    cells.X = values.tocsr()
    naming, _ = name_cells(embedded(cells), MARKERS, (), 1)
    assert (naming.population[strangers] == "unassigned").mean() > 0.9
    assert naming.confidence[strangers].max() < 0.2


def test_cd3_vetoes_nk():
    """Cytotoxic T cells with the whole programme of NK cells are T cells."""
    levels = np.array([[1.0, 1, 1, 1, 0.5, 0.5], [0, 0, 0, 0, 1, 1]])
    genes = ("CD3D", "CD3E", "CD3G", "TRAC", "KLRF1", "KLRD1")
    evidence = Evidence(levels, {g: i for i, g in enumerate(genes)}, np.empty((2, 0)), {})
    decision = decide(["NK_cells", "T_cells"], MARKERS, evidence)
    assert decision.codes.tolist() == [1, 0]
    blind = {**MARKERS, "NK_cells": MARKERS["NK_cells"]._replace(absent=())}
    assert decision.scores[0, 0] == 0
    assert decide(["NK_cells", "T_cells"], blind, evidence).scores[0, 0] > 0.1


def test_a_union_speaks_by_its_members():
    genes = {"LILRA4": 0, "CLEC4C": 1, "CD1C": 2, "CLEC10A": 3}
    evidence = Evidence(np.ones((1, 4)), genes, np.empty((1, 0)), {})
    assert stand_ins("dendritic_cells", MARKERS, evidence) == ["pDC", "cDC2"]


def test_proteins_resolve_what_rna_cannot():
    random = np.random.default_rng(1)
    cells = make_cells(1_500, seed=5, n_genes=500)
    truth = cells.obs.truth.to_numpy()
    effector = np.flatnonzero(truth == "CD8_effector")
    tc2 = effector[: len(effector) // 2]
    columns = [list(cells.var_names).index(gene) for gene in ("PTGDR2", "GATA3", "GENE0001")]
    counts = cells.X.tolil()
    counts[np.ix_(tc2, columns)] = 8
    cells.X = counts.tocsr()
    # The neighbours of a Tc2 cell must be Tc2 cells for the mean to be of them.
    block = [list(cells.var_names).index(f"GENE{i:04d}") for i in range(2, 40)]
    counts[np.ix_(tc2, block)] = 8
    cells.X = counts.tocsr()
    crth2 = random.normal(0.3, 0.1, cells.n_obs)
    crth2[tc2] = 2.5
    without, none = name_cells(embedded(cells), MARKERS, (), 1)
    assert not is_resolved(MARKERS["Tc2"], none)
    assert not (without.population == "Tc2").any()
    taken = embedded(cells, crth2[:, None], ["CD294_TotalSeqB"])
    with_protein, evidence = name_cells(taken, MARKERS, (), 1)
    assert is_resolved(MARKERS["Tc2"], evidence)
    assert (with_protein.population[tc2] == "Tc2").mean() > 0.8
    assert (with_protein.population[effector[len(tc2) :]] == "Tc2").mean() < 0.1


def test_clusters_are_named_by_their_cells(blood, named):
    rows = cluster_rows(blood[1].clusters, named[0])
    truth = blood[0].obs.truth.to_numpy()
    assert sum(row["n_cells"] for row in rows) == N_CELLS
    for row in rows[:5]:
        inside = blood[1].clusters == row["cluster"] - 1
        values, counts = np.unique(truth[inside], return_counts=True)
        assert row["population"] == values[counts.argmax()]


def integrated_file(path, cells, taken):
    """Write cells as `integrate_cells` does."""
    out = ad.AnnData(taken.values, obs=pd.DataFrame(index=cells.obs_names), var=cells.var)
    out.layers["counts"] = cells.X
    for key, value in (("library", "L1"), ("batch", "lot_1"), ("tissue", "pbmc")):
        out.obs[key] = value
    out.obs["leiden_1"] = (taken.clusters + 1).astype(str)
    out.obsm["X_pca"] = taken.points
    out.obsp["distances"] = taken.graph
    out.var["highly_variable"] = True
    out.uns["integration"] = {"note": "", "integrated": False, "resolution": 1.0}
    out.write_h5ad(path)
    return path


def annotate(folder, integrated, **options):
    paths = {
        "cells_out": folder / "cells.h5ad",
        "annotation_out": folder / "annotation.tsv",
        "clusters_out": folder / "clusters.tsv",
        "recheck_out": folder / "recheck.tsv",
    }
    samples = folder / "samples.tsv"
    write_rows(samples, ["sample_id"], [])
    annotate_cells(integrated, [], samples, POPULATIONS, **paths, **options)
    return paths


def test_files_hold_names_and_counts(tmp_path, blood):
    integrated = integrated_file(tmp_path / "integrated.h5ad", *blood)
    paths = annotate(tmp_path, integrated)
    cells = ad.read_h5ad(paths["cells_out"])
    assert (cells.obs.population.astype(str) == blood[0].obs.truth.to_numpy()).mean() > 0.95
    assert sparse.issparse(cells.layers["counts"])
    assert set(cells.obs.assigned_by.cat.categories) <= {"markers", "neighbours", "cluster", ""}
    rows = {row["population"]: row for row in read_rows(paths["annotation_out"])}
    assert int(rows["leukocytes"]["n_cells"]) + int(rows["unassigned"]["n_cells"]) == N_CELLS
    assert rows["ILC2"]["n_cells"] == ""


def test_a_reference_is_set_beside_the_names(tmp_path, blood):
    integrated = integrated_file(tmp_path / "integrated.h5ad", *blood)
    make_cells(1_000, seed=2, n_genes=500).write_h5ad(tmp_path / "reference.h5ad")
    paths = annotate(
        tmp_path, integrated, reference=tmp_path / "reference.h5ad", reference_column="truth"
    )
    cells = ad.read_h5ad(paths["cells_out"])
    agree = cells.obs.reference_label.astype(str) == blood[0].obs.truth.to_numpy()
    assert agree.mean() > 0.9


def test_an_unknown_enrichment_is_refused(tmp_path, blood):
    integrated = integrated_file(tmp_path / "integrated.h5ad", *blood)
    with pytest.raises(ConfigError, match='"ILC22", which is no population; did you mean "ILC2"'):
        annotate(tmp_path, integrated, enriched=["ILC22"])


def test_genes_by_id_are_refused(blood):
    ids = [f"ENSG{i:011d}" for i in range(len(blood[1].genes))]
    with pytest.raises(ConfigError, match="no marker of any lineage"):
        name_cells(blood[1]._replace(genes=ids), MARKERS, (), 1)
