import numpy as np
import pytest
from scipy import sparse

from biocross.cells.quality import (
    find_concentrated,
    find_few_or_many,
    find_mitochondrial,
    find_outliers,
    measure_cells,
)


@pytest.fixture
def random():
    return np.random.default_rng(7)


def test_measures_are_what_their_names_say(random):
    dense = random.poisson(1.0, (12, 60)).astype(np.int32)
    dense[3] = 0
    dense[5, 30:] = 0
    genes = ["MT-CO1", "MT-ND1", "RPL3", *(f"G{i}" for i in range(57))]
    found = measure_cells(sparse.csr_matrix(dense), genes)
    total = np.maximum(dense.sum(axis=1), 1)
    np.testing.assert_array_equal(found.n_counts, dense.sum(axis=1))
    np.testing.assert_array_equal(found.n_genes, (dense > 0).sum(axis=1))
    np.testing.assert_allclose(found.mito_percent, 100 * dense[:, :2].sum(axis=1) / total)
    np.testing.assert_allclose(found.ribo_percent, 100 * dense[:, 2] / total)
    top = np.sort(dense, axis=1)[:, -20:].sum(axis=1)
    np.testing.assert_allclose(found.top20_percent, 100 * top / total)


def test_stored_zeros_are_no_genes():
    matrix = sparse.csr_matrix((np.array([0, 2]), np.array([0, 1]), np.array([0, 2, 2])), (2, 3))
    assert measure_cells(matrix, ["A", "B", "C"]).n_genes.tolist() == [1, 0]


def test_a_library_without_cells_is_measured():
    found = measure_cells(sparse.csr_matrix((0, 3), dtype=np.int32), ["A", "B", "C"])
    assert all(values.size == 0 for values in found)


def test_limits_are_scaled_mads_from_the_median(random):
    values = random.normal(10, 2, 20_000)
    found = find_outliers(values, 3)
    assert found.low == pytest.approx(4, abs=0.15)
    assert found.high == pytest.approx(16, abs=0.15)
    assert found.flagged.mean() == pytest.approx(0.0027, abs=0.0012)
    above = find_outliers(values, 3, below=False)
    assert not above.flagged[values < 10].any()


def test_too_few_cells_have_no_limits_of_their_own(random):
    values = np.append(random.normal(0, 1, 19), 1000)
    found = find_outliers(values, 5)
    assert not found.flagged.any()
    assert found.note.startswith("not_possible: 20 cells")


def test_a_mad_of_zero_judges_nobody():
    values = np.append(np.zeros(60), np.ones(40))
    found = find_outliers(values, 5)
    assert not found.flagged.any()
    assert "same value" in found.note


def test_cells_without_counts_are_flagged_in_the_smallest_library():
    found = find_few_or_many(np.array([0.0, 900, 1000]), "counts")
    assert found.flagged.tolist() == [True, False, False]


def test_counts_are_judged_on_a_log_scale(random):
    values = np.exp(random.normal(8, 0.4, 3000))
    found = find_few_or_many(np.append(values, [100, 200_000]), "counts")
    assert found.flagged[-2:].all()
    assert not found.flagged[:-2].any()


def test_mitochondrial_share_has_a_fixed_limit_too(random):
    wide = find_mitochondrial(np.append(random.normal(6, 2, 500).clip(0), [8.5]))
    assert wide.high == 8.0
    assert wide.flagged[-1]
    narrow = find_mitochondrial(np.append(random.normal(2, 0.3, 500), [4.0, 0.0]))
    assert 2.7 < narrow.high < 3.1
    assert narrow.flagged[-2:].tolist() == [True, False]
    few = find_mitochondrial(np.array([1.0, 2.0, 30.0]))
    assert few.flagged.tolist() == [False, False, True]
    assert "3 cells" in few.note


def test_without_mitochondrial_genes_nothing_is_possible():
    found = measure_cells(sparse.csr_matrix(np.ones((60, 2), dtype=np.int32)), ["A", "B"])
    outliers = find_mitochondrial(found.mito_percent)
    assert not outliers.flagged.any()
    assert outliers.note.startswith("not_possible: no gene of the matrix begins with MT-")


def test_a_population_is_no_outlier(random):
    lymphocytes, monocytes = random.normal(20, 1, 800), random.normal(40, 1, 200)
    both = find_concentrated(np.concatenate([lymphocytes, monocytes]))
    assert not both.flagged.any()
    assert "20% of the cells" in both.note
    few = find_concentrated(np.concatenate([lymphocytes, monocytes[:10]]))
    assert few.flagged[-10:].all()
