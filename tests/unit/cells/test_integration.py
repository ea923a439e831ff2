"""Integration of libraries: what may be removed, what is kept, and that it comes again."""

import anndata as ad
import numpy as np
import pytest
from named_cells import POPULATIONS, make_cells, write_study
from scipy import sparse

from biocross.cells.batches import plan_batches, refuse_key
from biocross.cells.embedding import harmonise, principal_components, project
from biocross.cells.gathering import gather_libraries
from biocross.cells.integration import integrate_cells
from biocross.cells.normalise import log_normalise
from biocross.errors import DesignError, TableError
from biocross.tables import read_rows, write_rows

SIZES = {"n_genes": 500, "n_components": 20, "resolutions": (0.5, 1.0)}


@pytest.mark.parametrize("key", ["visit", "patient_id", "treatment", "sample_id"])
def test_integration_over_what_is_compared_is_refused(key):
    with pytest.raises(DesignError, match=f'cannot be integrated over "{key}".*over batch'):
        refuse_key(key)


@pytest.mark.parametrize(
    ("batches", "visits", "patients", "integrate", "words"),
    [
        ("aaaa", "0101", "1122", False, "one batch"),
        ("abab", "0101", "1122", False, "remove the change between visits"),
        ("aabb", "0101", "1122", False, "every batch holds a single patient"),
        ("aaaabbbb", "01010101", "11223344", True, "integrated over 2 batches"),
        ("aaaabbbbcc", "0101010100", "1122334455", True, "1 batch of 3 holds a single visit"),
    ],
)
def test_batches_are_integrated_unless_they_are_visits_or_patients(
    batches, visits, patients, integrate, words
):
    plan = plan_batches(list(batches), list(visits), list(patients))
    assert plan.integrate == integrate
    assert words in plan.note


def test_components_are_those_of_the_dense_standardised_genes():
    values = log_normalise(make_cells(200, n_genes=150).X[:, -120:])
    found = principal_components(values, 6, 1)
    dense = values.toarray().astype(float)
    deviation = dense.std(axis=0, ddof=1)
    dense = (dense - dense.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    dense = np.minimum(dense, 10)
    dense -= dense.mean(axis=0)
    left, singular, _ = np.linalg.svd(dense, full_matrices=False)
    np.testing.assert_allclose(np.abs(found.scores), np.abs(left * singular)[:, :6], atol=2e-3)
    share = singular**2 / (singular**2).sum()
    np.testing.assert_allclose(found.variance_ratio, share[:6], rtol=1e-4)
    np.testing.assert_allclose(project(values, found), found.scores, atol=1e-4)


def test_harmony_gives_cells_by_components_and_removes_the_batch():
    random = np.random.default_rng(1)
    population, batch = random.integers(0, 3, 900), random.integers(0, 2, 900)
    points = random.normal(size=(900, 8))
    points[np.arange(900), population] += 8
    points[:, 5] += 4 * batch
    corrected = harmonise(points.astype(np.float32), batch, 1)
    assert corrected.shape == (900, 8)
    gap = np.abs(corrected[batch == 1].mean(axis=0) - corrected[batch == 0].mean(axis=0))
    assert gap.max() < 0.7
    assert np.abs(corrected[population == 0, 0].mean() - corrected[population == 1, 0].mean()) > 4


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    cells = make_cells(1_200, seed=3, n_genes=400, batch_sd=0.2, n_batches=2)
    return write_study(folder / "libraries", cells)


def integrate(study, out, **options):
    paths = [out / name for name in ("integrated.h5ad", "quality.tsv", "resolutions.tsv")]
    integrate_cells(*study, POPULATIONS, *paths, **{**SIZES, **options})
    return paths


def test_files_hold_everything_and_come_again(study, tmp_path):
    first = integrate(study, tmp_path / "first")
    again = integrate(study, tmp_path / "again")
    cells, twin = ad.read_h5ad(first[0]), ad.read_h5ad(again[0])
    assert cells.n_obs == 1_200
    assert (cells.layers["counts"].data % 1 == 0).all()
    np.testing.assert_array_equal(cells.obsm["X_umap"], twin.obsm["X_umap"])
    np.testing.assert_array_equal(cells.obsm["X_pca_harmony"], twin.obsm["X_pca_harmony"])
    assert (cells.obs["leiden_1"] == twin.obs["leiden_1"]).all()
    assert first[1].read_bytes() == again[1].read_bytes()
    assert first[2].read_bytes() == again[2].read_bytes()
    quality = read_rows(first[1])[0]
    assert float(quality["before"]) < 0.6 < 0.8 < float(quality["after"])
    chosen = {row["resolution"] for row in read_rows(first[2]) if row["chosen"] == "yes"}
    assert chosen == {f"{cells.uns['integration']['resolution']:g}"}
    assert set(cells.obs["visit"]) == {"baseline", "month_4"}


def test_an_unknown_sample_and_too_few_cells_are_named(study):
    libraries, samples = study
    rows = read_rows(samples)
    with pytest.raises(TableError, match='holds sample "P1_baseline", which is in no sheet'):
        gather_libraries(libraries, rows[1:])
    with pytest.raises(DesignError, match="0 cells of all libraries passed quality"):
        gather_libraries([], rows)


def test_flagged_cells_stay_out_and_values_that_are_no_counts_are_said(study, tmp_path, capsys):
    libraries, samples = study
    changed = []
    for path in libraries:
        part = ad.read_h5ad(path)
        part.X = sparse.csr_matrix(log_normalise(part.X))
        part.obs["flag"] = np.where(np.arange(part.n_obs) < 5, 3, 0).astype(np.uint8)
        changed.append(tmp_path / path.name)
        part.write_h5ad(changed[-1])
    paths = integrate((changed, samples), tmp_path / "out")
    cells = ad.read_h5ad(paths[0])
    assert cells.n_obs == 1_200 - 5 * len(libraries)
    assert "counts" not in cells.layers
    assert "no counts" in capsys.readouterr().out


def test_batches_are_left_as_they_are_on_request(study, tmp_path):
    paths = integrate(study, tmp_path, batch_key=None)
    cells = ad.read_h5ad(paths[0])
    assert "X_pca_harmony" not in cells.obsm
    assert not cells.uns["integration"]["integrated"]
    (quality,) = (row for row in read_rows(paths[1]) if row["group"] == "all cells")
    assert quality["before"] == quality["after"] < "0.6"
    assert "asks for none" in quality["note"]


def test_batches_that_hide_stimulations_are_not_removed(study, tmp_path):
    """Donors of a study of stimulations have one visit: the levels are what is compared."""
    libraries, samples = study
    rows = [
        row | {"visit": "single", "level": row["visit"], "batch": f"well_{row['visit']}"}
        for row in read_rows(samples)
    ]
    sheet = tmp_path / "samples.tsv"
    write_rows(sheet, tuple(rows[0]), rows)
    paths = integrate((libraries, sheet), tmp_path)
    integration = ad.read_h5ad(paths[0]).uns["integration"]
    assert not integration["integrated"]
    assert "remove the change" in integration["note"]
