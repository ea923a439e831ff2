import warnings

import numpy as np
import pytest
from cells_files import write_h5_v3
from scipy import sparse

from biocross.cells.flags import FLAGS
from biocross.cells.prepare import prepare_library
from biocross.tables import read_rows

MARKERS = ["CD3D", "CD3E", "TRAC", "MS4A1", "CD79A", "IGKC", "LYZ", "S100A8", "S100A9"]
MITO = ["MT-CO1", "MT-ND1"]
N_GENES = 600


def genes_of(mitochondrial=True):
    mito = MITO if mitochondrial else ["CO1", "ND1"]
    return [*MARKERS, *mito, *(f"GENE{i}" for i in range(N_GENES - len(MARKERS) - 2))]


def cells(n_cells, seed=1, broken=0):
    """Counts of T cells, B cells and monocytes; the last cells are dying."""
    random = np.random.default_rng(seed)
    means = np.tile(random.lognormal(0.5, 1, N_GENES), (3, 1))
    for kind in range(3):
        means[kind, :9] = 0.2
        means[kind, 3 * kind : 3 * kind + 3] = 40
        means[kind, 100 * kind + 50 : 100 * kind + 110] *= 4
    means[:, 9:11] = 12
    counts = random.poisson(
        means[random.integers(0, 3, n_cells)] * random.lognormal(0, 0.25, n_cells)[:, None]
    )
    if broken:
        counts[-broken:, 9:11] += 400
    return counts.astype(np.int32)


def hashtags(n_cells, tags, n_tags=3, seed=1):
    random = np.random.default_rng(seed)
    means = 5 * random.lognormal(0, 0.5, (n_cells, n_tags))
    means[np.arange(n_cells), tags] += 200 * random.lognormal(0, 0.4, n_cells)
    return random.poisson(means).astype(np.int32)


def write_pool(path, gene_counts, tag_counts, proteins=None):
    n_tags = tag_counts.shape[1]
    proteins = np.zeros((len(gene_counts), 0), np.int32) if proteins is None else proteins
    extra = [f"CD{i}" for i in range(proteins.shape[1])] + [f"HTO{i + 1}" for i in range(n_tags)]
    names = [*genes_of(), *extra]
    kinds = ["Gene Expression"] * N_GENES + ["Antibody Capture"] * len(extra)
    ids = [f"ENSG{i:011d}" for i in range(N_GENES)] + extra
    features = (ids, names, kinds, ["GRCh38"] * N_GENES + [""] * len(extra))
    return write_h5_v3(path, np.hstack([gene_counts, proteins, tag_counts]), features)


def write_plain(path, counts, mitochondrial=True):
    ids = [f"ENSG{i:011d}" for i in range(N_GENES)]
    kinds = ["Gene Expression"] * N_GENES
    return write_h5_v3(path, counts, (ids, genes_of(mitochondrial), kinds, ["GRCh38"] * N_GENES))


@pytest.fixture
def prepared(tmp_path):
    """Prepare a library; the cells, and the rows of the three tables."""

    def run(path, samples=("S1",), tags=(), name="L1", **options):
        import anndata

        out = {key: tmp_path / f"{name}.{key}" for key in ("ledger", "warnings", "genes")}
        prepare_library(
            path,
            name,
            list(samples),
            list(tags),
            7,
            tmp_path / f"{name}.h5ad",
            out["ledger"],
            out["warnings"],
            out["genes"],
            **options,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = anndata.read_h5ad(tmp_path / f"{name}.h5ad")
        return data, *(read_rows(path) for path in out.values())

    return run


def ledger_of(rows, sample):
    return {row["step"]: row for row in rows if row["sample_id"] == sample}


def test_a_plain_library_keeps_all_cells_and_flags_the_dying(tmp_path, prepared):
    counts = cells(400, broken=12)
    data, ledger, warned, renamed = prepared(write_plain(tmp_path / "a.h5", counts))
    assert data.shape == (400, N_GENES)
    assert sparse.issparse(data.X)
    np.testing.assert_array_equal(data.X.toarray(), counts)
    assert data.obs_names[0].startswith("L1:")
    mito = FLAGS.index("mitochondrial") + 1
    assert (data.obs["flag"].to_numpy()[-12:] > 0).all()
    assert (data.obs["flag"].to_numpy()[:-12] == 0).mean() > 0.95
    rows = ledger_of(ledger, "S1")
    assert list(rows) == ["read", *FLAGS]
    assert int(rows["mitochondrial"]["flagged"]) == (data.obs["flag"] == mito).sum()
    assert (data.obs["sample_id"] == "S1").all()
    assert data.var["gene_id"].iloc[0] == "ENSG00000000000"
    assert list(data.uns["library"]["flag_steps"]) == list(FLAGS)
    assert renamed == []
    assert {row["check"] for row in warned} <= {"doublet", "ambient", "read"}


def test_the_same_library_gives_the_same_file(tmp_path, prepared):
    path = write_plain(tmp_path / "a.h5", cells(200))
    prepared(path)
    first = (tmp_path / "L1.h5ad").read_bytes()
    prepared(path)
    assert (tmp_path / "L1.h5ad").read_bytes() == first


def test_hashed_samples_are_told_apart(tmp_path, prepared):
    tags = np.random.default_rng(3).integers(0, 3, 600)
    proteins = np.random.default_rng(4).poisson(5, (600, 4)).astype(np.int32)
    path = write_pool(tmp_path / "p.h5", cells(600), hashtags(600, tags), proteins)
    data, ledger, warned, _ = prepared(path, ["S1", "S2", "S3"], ["HTO1", "HTO2", "HTO3"])
    sample = data.obs["sample_id"].to_numpy().astype(str)
    truth = np.array(["S1", "S2", "S3"])[tags]
    assert (sample[sample != ""] == truth[sample != ""]).mean() > 0.99
    assert (sample == truth).mean() > 0.97
    assert data.obsm["proteins"].shape == (600, 4)
    assert list(data.uns["protein_names"]) == ["CD0", "CD1", "CD2", "CD3"]
    assert data.obsm["hashtags"].shape == (600, 3)
    read = {row["sample_id"]: int(row["events_before"]) for row in ledger if row["step"] == "read"}
    assert sum(read.values()) == 600
    assert read["S1"] == (sample == "S1").sum()
    assert not [row for row in warned if row["check"].startswith("hashtag")]


def test_a_misspelt_hashtag_costs_one_sample_only(tmp_path, prepared):
    tags = np.random.default_rng(3).integers(0, 3, 600)
    path = write_pool(tmp_path / "p.h5", cells(600), hashtags(600, tags))
    data, ledger, warned, _ = prepared(path, ["S1", "S2", "S3"], ["HTO1", "HTO2", "HTO9"])
    assert (data.obs["sample_id"] == "S1").sum() > 150
    assert ledger_of(ledger, "S3")["read"]["note"].startswith("excluded: S3 has no cells")
    assert ledger_of(ledger, "S3")["counts"]["note"].startswith("not_possible")
    assert {"hashtag_missing", "hashtag_unknown"} <= {row["check"] for row in warned}


def test_a_sample_in_the_sheet_without_cells_is_said(tmp_path, prepared):
    tags = np.random.default_rng(3).integers(0, 2, 600)
    path = write_pool(tmp_path / "p.h5", cells(600), hashtags(600, tags))
    data, ledger, _, _ = prepared(path, ["S1", "S2", "S3"], ["HTO1", "HTO2", "HTO3"])
    assert "S3" not in set(data.obs["sample_id"])
    note = ledger_of(ledger, "S3")["read"]["note"]
    assert note.startswith("excluded: ")
    assert "S3 has no cells" in note


def test_samples_by_a_column_of_an_h5ad(tmp_path, prepared):
    import pandas as pd

    counts = cells(120)
    donor = np.repeat(["d1", "d2"], 60)
    barcodes = [f"C{i}" for i in range(120)]
    features = (
        [f"ENSG{i:011d}" for i in range(N_GENES)],
        genes_of(),
        ["Gene Expression"] * N_GENES,
        ["GRCh38"] * N_GENES,
    )
    import anndata

    data = anndata.AnnData(
        sparse.csr_matrix(counts),
        obs=pd.DataFrame({"donor": donor, "age": np.arange(120)}, index=barcodes),
        var=pd.DataFrame({"gene_ids": features[0]}, index=features[1]),
    )
    data.write_h5ad(tmp_path / "given.h5ad")
    found, _, _, _ = prepared(
        tmp_path / "given.h5ad", ["S1", "S2"], ["d1", "d2"], sample_column="donor"
    )
    assert (found.obs["sample_id"].astype(str) == np.repeat(["S1", "S2"], 60)).all()
    assert (found.obs["given_age"] == np.arange(120)).all()
    assert (found.obs["given_donor"].astype(str) == donor).all()
    _, ledger, _, _ = prepared(
        tmp_path / "given.h5ad", ["S1", "S2"], ["d1", "d2"], sample_column="dono"
    )
    note = ledger_of(ledger, "S2")["read"]["note"]
    assert note.startswith("excluded")
    assert 'did you mean "donor"' in note


def test_a_library_of_20_cells_goes_through(tmp_path, prepared):
    data, ledger, warned, _ = prepared(write_plain(tmp_path / "a.h5", cells(20)))
    assert data.n_obs == 20
    rows = ledger_of(ledger, "S1")
    assert rows["counts"]["note"].startswith("not_possible: 20 cells")
    assert rows["doublet"]["note"].startswith("not_possible: 20 cells")
    assert (data.obs["flag"] == 0).all()
    assert {"counts", "doublet"} <= {row["check"] for row in warned}


def test_no_mitochondrial_genes_is_said(tmp_path, prepared):
    path = write_plain(tmp_path / "a.h5", cells(200), mitochondrial=False)
    data, ledger, _, _ = prepared(path)
    assert "MT-" in ledger_of(ledger, "S1")["mitochondrial"]["note"]
    assert data.obs["mito_percent"].isna().all()


@pytest.mark.parametrize("kind", ["absent", "empty", "pool", "repeated"])
def test_a_library_that_cannot_be_used_is_excluded_with_a_reason(tmp_path, prepared, kind):
    samples, tags = ["S1", "S2"], ["HTO1", "HTO2"]
    path = tmp_path / "a.h5"
    if kind == "empty":
        write_pool(path, np.zeros((30, N_GENES), np.int32), np.zeros((30, 2), np.int32))
    elif kind == "pool":
        write_plain(path, cells(60))
    elif kind == "repeated":
        write_pool(path, cells(60), hashtags(60, np.arange(60) % 2, n_tags=2))
        tags = ["HTO1", "HTO1"]
    data, ledger, warned, _ = prepared(path, samples, tags)
    assert data.n_obs == 0
    assert data.uns["library"]["excluded"]
    assert [row["sample_id"] for row in ledger] == samples
    assert all(row["note"].startswith("excluded: ") for row in ledger)
    assert warned == []


def test_values_that_are_no_counts_are_judged_by_genes_only(tmp_path, prepared):
    import anndata
    import pandas as pd

    data = anndata.AnnData(
        sparse.csr_matrix(np.log1p(cells(200)).astype(np.float32)),
        var=pd.DataFrame(index=genes_of()),
        obs=pd.DataFrame(index=[f"C{i}" for i in range(200)]),
    )
    data.write_h5ad(tmp_path / "logged.h5ad")
    found, ledger, _, _ = prepared(tmp_path / "logged.h5ad")
    rows = ledger_of(ledger, "S1")
    for step in ("counts", "top_genes", "mitochondrial", "doublet"):
        assert rows[step]["note"] == "not_possible: the values are not counts"
    assert rows["genes"]["note"].startswith("outside")
    assert not found.uns["library"]["is_integer"]


def test_hashtags_that_the_sheet_does_not_name_are_noticed(tmp_path, prepared):
    tags = np.random.default_rng(3).integers(0, 3, 150)
    path = write_pool(tmp_path / "p.h5", cells(150), hashtags(150, tags))
    data, _, warned, _ = prepared(path)
    assert (data.obs["sample_id"] == "S1").all()
    assert "hashtag_unused" in {row["check"] for row in warned}


def test_doublets_known_by_hashtags_are_flagged_as_such(tmp_path, prepared):
    tags = np.random.default_rng(3).integers(0, 2, 500)
    counts, tag_counts = cells(500), hashtags(500, tags, n_tags=2)
    counts[:25] += counts[25:50]
    tag_counts[:25] += hashtags(25, 1 - tags[:25], n_tags=2)
    path = write_pool(tmp_path / "p.h5", counts, tag_counts)
    data, ledger, _, _ = prepared(path, ["S1", "S2"], ["HTO1", "HTO2"])
    step = FLAGS.index("hashtag_doublet") + 1
    assert (data.obs["flag"].to_numpy()[:25] == step).mean() > 0.8
    assert data.obs["doublet_score"].to_numpy()[:25].mean() > 2 * np.nanmean(
        data.obs["doublet_score"].to_numpy()[25:]
    )
    nobody = ledger_of(ledger, "")
    assert int(nobody["hashtag_doublet"]["flagged"]) == (data.obs["flag"] == step).sum()
