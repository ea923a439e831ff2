import numpy as np
import pytest
from scipy import sparse

from biocross.cells.ambient import EXCLUSIVE, measure_ambient

MARKERS = {
    "T": {"CD3D": 12, "CD3E": 10, "CD3G": 6, "TRAC": 12, "TRBC2": 8},
    "B": {"MS4A1": 12, "CD79A": 14, "CD79B": 8, "IGKC": 60, "IGHM": 20},
    "M": {"LYZ": 120, "FCN1": 20, "CST3": 40, "VCAN": 15, "S100A8": 150, "S100A9": 180},
    "NK": {},
}
SHARES = (0.5, 0.15, 0.2, 0.15)


def soup_of(profiles, haemoglobin, place):
    soup = (1 - haemoglobin) * np.array(SHARES) @ profiles
    soup[place["HBB"]] += haemoglobin
    return soup


def library(share, n=900, haemoglobin=0.0, doublets=0.03, seed=2):
    """Cells of four kinds of which `share` of the counts is soup, and the soup's profile."""
    random = np.random.default_rng(seed)
    genes = [*sorted({gene for kind in MARKERS.values() for gene in kind}), "HBB"]
    genes += [f"GENE{i}" for i in range(1000)]
    place = {gene: i for i, gene in enumerate(genes)}
    profiles = np.zeros((4, len(genes)))
    profiles[:, -1000:] = random.lognormal(0, 1, 1000)
    profiles *= 3000 / profiles.sum(axis=1, keepdims=True)
    for row, kind in enumerate(MARKERS.values()):
        for gene, counts in kind.items():
            profiles[row, place[gene]] = counts
    profiles /= profiles.sum(axis=1, keepdims=True)
    soup = soup_of(profiles, haemoglobin, place)
    kind = random.choice(4, n, p=SHARES)
    means = (
        3000 * random.lognormal(0, 0.3, n)[:, None] * ((1 - share) * profiles[kind] + share * soup)
    )
    doubled = random.random(n) < doublets
    means[doubled] += 3000 * profiles[random.choice(4, doubled.sum(), p=SHARES)]
    return sparse.csr_matrix(random.poisson(means).astype(np.int32)), genes, soup


@pytest.mark.parametrize("share", [0.0, 0.03, 0.1, 0.3])
@pytest.mark.parametrize("knows_empty", [False, True])
def test_the_share_of_soup_is_found(share, knows_empty):
    counts, genes, soup = library(share, haemoglobin=0.01 if knows_empty else 0.0)
    empty = np.rint(soup * 1e6).astype(np.int64) if knows_empty else None
    found = measure_ambient(counts, genes, np.ones(900, dtype=bool), empty)
    assert found.share == pytest.approx(share, abs=0.004 + 0.15 * share)
    assert found.low <= found.share <= found.high
    assert np.median(found.cells) == pytest.approx(share, abs=0.02 + 0.15 * share)


def test_most_abundant_genes_of_the_soup_are_named():
    counts, genes, soup = library(0.1, haemoglobin=0.2)
    empty = np.rint(soup * 1e6).astype(np.int64)
    found = measure_ambient(counts, genes, np.ones(900, dtype=bool), empty)
    assert found.genes[:3] == ["HBB", "S100A9", "S100A8"]
    assert "empty droplets" in found.note


def test_cells_of_more_soup_score_higher():
    clean, genes, _ = library(0.02, doublets=0)
    dirty, _, _ = library(0.3, doublets=0)
    both = sparse.vstack([clean, dirty]).tocsr()
    found = measure_ambient(both, genes, np.ones(1800, dtype=bool))
    assert np.median(found.cells[900:]) > 3 * np.median(found.cells[:900])
    assert found.cells.min() >= 0
    assert found.cells.max() <= 1


def test_genes_in_another_case_are_known():
    counts, genes, _ = library(0.1)
    mouse = [gene.capitalize() for gene in genes]
    upper = measure_ambient(counts, genes, np.ones(900, dtype=bool))
    assert measure_ambient(counts, mouse, np.ones(900, dtype=bool)).share == upper.share


def test_without_marker_genes_nothing_is_possible():
    counts, _, _ = library(0.1)
    found = measure_ambient(
        counts, [f"X{i}" for i in range(counts.shape[1])], np.ones(900, dtype=bool)
    )
    assert np.isnan(found.share)
    assert np.isnan(found.cells).all()
    assert found.note.startswith("not_possible")


def test_haemoglobin_counts_only_where_the_soup_is_known():
    # All cells together hold as much haemoglobin as each of them: that would read as 100 % soup.
    assert "erythrocytes" in EXCLUSIVE
    counts, genes, _ = library(0.05, haemoglobin=0.05)
    found = measure_ambient(counts, genes, np.ones(900, dtype=bool))
    assert found.high < 0.2


def test_doublets_are_not_taken_for_soup():
    counts, genes, _ = library(0.02, doublets=0.2)
    found = measure_ambient(counts, genes, np.ones(900, dtype=bool))
    assert found.share == pytest.approx(0.02, abs=0.012)
