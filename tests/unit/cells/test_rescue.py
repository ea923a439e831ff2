"""A population of little RNA comes back after naming; broken cells do not."""

import anndata as ad
import numpy as np
import pytest
from named_cells import POPULATIONS, make_cells, write_study
from scipy import sparse

from biocross.cells.annotation import annotate_cells
from biocross.cells.flags import FLAGS
from biocross.cells.hashtags import whole_library
from biocross.cells.integration import integrate_cells
from biocross.cells.library_quality import flag_library
from biocross.cells.quality import measure_cells
from biocross.tables import read_rows

POOR, LEFT = "NK_bright", 1 / 25
N_BROKEN = 40


def thinned(cells, rows, share, seed):
    """Keep a share of the molecules of some cells."""
    counts = cells.X.tolil()
    random = np.random.default_rng(seed)
    counts[rows] = sparse.csr_matrix(random.binomial(cells.X[rows].toarray(), share))
    cells.X = counts.tocsr().astype(np.int32)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Libraries in which NK_bright have a 25th of the RNA, and some other cells are dying."""
    folder = tmp_path_factory.mktemp("poor")
    cells = make_cells(2_400, seed=6, n_genes=500)
    truth = cells.obs["truth"].to_numpy().astype(object)
    thinned(cells, np.flatnonzero(truth == POOR), LEFT, 1)
    broken = np.flatnonzero(truth == "CD4_naive")[:N_BROKEN]
    thinned(cells, broken, 1 / 30, 2)
    mitochondrial = list(cells.var_names).index("MT-CO1")
    counts = cells.X.tolil()
    counts[broken, mitochondrial] = 40
    cells.X = counts.tocsr()
    truth[broken] = "broken"
    cells.obs["truth"] = truth
    libraries, samples = write_study(folder / "libraries", cells)
    for path in libraries:
        flag(path)
    return libraries, samples


def flag(path):
    """Judge the cells of a library as `prepare_library` does."""
    part = ad.read_h5ad(path)
    calls = whole_library(path.stem, part.n_obs)
    genes = list(part.var_names)
    quality = flag_library(part.X, genes, calls, True, part.n_obs, 1)
    measured = measure_cells(part.X, genes)
    for key, values in measured._asdict().items():
        part.obs[key] = values.astype(np.float32)
    part.obs["flag"] = np.where(quality.flag == FLAGS.index("doublet") + 1, 0, quality.flag)
    part.obs["flag"] = part.obs["flag"].astype(np.uint8)
    part.write_h5ad(path)


@pytest.fixture(scope="module")
def named(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("named")
    integrated = folder / "integrated.h5ad"
    sizes = {"n_genes": 500, "n_components": 20, "resolutions": (1.0,)}
    tables = folder / "quality.tsv", folder / "resolutions.tsv"
    integrate_cells(*study, POPULATIONS, integrated, *tables, **sizes)
    names = ("cells.h5ad", "annotation.tsv", "clusters.tsv", "recheck.tsv")
    paths = [folder / name for name in names]
    annotate_cells(integrated, *study, POPULATIONS, *paths)
    return ad.read_h5ad(integrated), ad.read_h5ad(paths[0]), read_rows(paths[3])


def of(cells, name):
    return (cells.obs["given_truth"].astype(str) == name).to_numpy()


def test_it_vanishes_without_the_recheck_and_stays_with_it(study, named):
    integrated, cells, _ = named
    total = sum(of(ad.read_h5ad(path), POOR).sum() for path in study[0])
    assert of(integrated, POOR).sum() < 0.2 * total
    assert of(cells, POOR).sum() > 0.8 * total
    again = cells.obs["rescued"].to_numpy()
    assert (cells.obs["population"].astype(str)[again & of(cells, POOR)] == POOR).mean() > 0.8


def test_broken_cells_stay_out(named):
    assert of(named[1], "broken").sum() <= 0.05 * N_BROKEN


def test_the_rows_say_what_happened(named):
    _, cells, rows = named
    assert sum(int(r["rescued"]) for r in rows if r["population"] == POOR) > 0
    assert any(r["status"] == "rescued" and "pass again" in r["note"] for r in rows)
    assert {r["library"] for r in rows} >= set(cells.obs["library"])


def test_rescued_cells_are_whole_members_of_the_file(named):
    integrated, cells, _ = named
    again = cells.obs["rescued"].to_numpy()
    assert again.sum() == cells.n_obs - integrated.n_obs
    for key in ("X_pca", "X_umap"):
        assert np.isfinite(cells.obsm[key][again]).all()
        np.testing.assert_array_equal(cells.obsm[key][~again], integrated.obsm[key])
    assert not cells.obs[["patient_id", "visit", "leiden_1"]].isna().to_numpy().any()
    # Beside the names, a rescued cell lies among cells of its name.
    assert (cells.layers["counts"][again].sum(axis=1) > 0).all()
    np.testing.assert_array_equal(
        cells.layers["counts"][~again].data, integrated.layers["counts"].data
    )
