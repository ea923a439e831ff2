from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from biocross.cells.gene_sets import (
    MIN_GENES,
    N_CONTROLS,
    PRIOR,
    find_measured,
    load_gene_sets,
    score_samples,
    set_weights,
    similar_genes,
)
from biocross.errors import ConfigError

SHIPPED = Path(__file__).parents[3] / "config" / "gene_sets.yaml"


def written(tmp_path, text, name="sets.yaml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_shipped_sets():
    sets = load_gene_sets([SHIPPED])
    assert sets["type2_cytokines"].genes == ("IL4", "IL5", "IL13")
    assert sets["tissue_homing"].genes == ("CXCR4", "GPR183", "CCR4")
    assert {"activation", "interferon"} < set(sets)
    assert all(len(one.genes) >= MIN_GENES and one.source for one in sets.values())


def test_own_sets_come_last_and_replace(tmp_path):
    own = written(tmp_path, "interferon: {genes: [ISG15, MX1]}\nmine: {genes: [A, B], note: x}\n")
    sets = load_gene_sets([SHIPPED, own])
    assert list(sets)[-1] == "mine"
    assert sets["interferon"].genes == ("ISG15", "MX1")
    assert sets["mine"].note == "x"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: {genes: [X, Y], colour: red}", 'unknown key "colour" in "a"'),
        ("a: {genes: []}", "must list the symbols of genes"),
        ("a: {source: me}", '"genes" is missing in "a"'),
        ("a: {genes: [X, Y, X]}", 'gene "X" stands in a more than once'),
        ("a: {genes: X}", "must list the symbols of genes"),
        ("a: {genes: [X, NO]}", "put the symbol into quotation marks"),
        ("a: [X, Y]", "must be of type object"),
        ("- X", "must map names of gene sets"),
        ("", "must map names of gene sets"),
        ("a: {genes: [X]}\na: {genes: [Y]}", '"a" in line 2 is already in line 1'),
    ],
)
def test_wrong_files_are_told(tmp_path, text, said):
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as raised:
        load_gene_sets([path])
    assert said in str(raised.value)
    assert str(raised.value).startswith(str(path))


def test_all_problems_of_all_files_at_once(tmp_path):
    one = written(tmp_path, "a: {genes: [X, X]}", "one.yaml")
    two = written(tmp_path, "b: {genes: []}", "two.yaml")
    with pytest.raises(ConfigError) as raised:
        load_gene_sets([one, two])
    assert str(raised.value).count("\n") == 1


def test_measured_genes(tmp_path):
    text = "a: {genes: [G1, G2, G3], note: careful}\nb: {genes: [G1, CXCR44, NIL, NIX, G0]}\n"
    text += "c: {genes: [G1]}\n"
    a, b, c = find_measured(load_gene_sets([written(tmp_path, text)]), ["G1", "G2", "CXCR4"])
    assert (a.status, a.columns.tolist(), a.missing) == ("scored", [0, 1], ("G3",))
    assert a.note == "without G3; careful"
    assert b.status == "not_possible"
    assert b.note.startswith("1 of its 5 genes were measured")
    assert 'did you mean "CXCR4"' in b.note
    assert c.status == "not_possible"
    assert c.note == "1 of its 1 genes were measured"
    row = a.row(["G1", "G2", "CXCR4"])
    assert (row["genes"], row["missing"], row["n_genes"], row["n_measured"]) == (
        *("G1, G2", "G3"),
        *(3, 2),
    )


def test_controls_are_the_nearest_in_expression():
    level = np.arange(300) / 10.0
    eligible = np.ones(300, dtype=bool)
    eligible[[100, 101]] = False
    (found,) = similar_genes(level, np.array([100]), eligible)
    assert len(found) == N_CONTROLS
    assert not {100, 101} & set(found.tolist())
    assert set(range(76, 100)) < set(found.tolist())
    assert np.abs(found - 100).max() <= 26


def test_weights_stand_a_set_against_its_controls():
    level = np.random.default_rng(1).normal(size=200)
    eligible = np.ones(200, dtype=bool)
    weights = set_weights(level, [np.array([3, 7]), np.array([9])], eligible)
    assert weights.shape == (200, 2)
    np.testing.assert_allclose(weights.sum(axis=0), 0, atol=1e-12)
    assert weights[[3, 7], 0].tolist() == [0.5, 0.5]
    assert weights[9, 1] == 1
    others = np.delete(weights[:, 0], [3, 7])
    assert np.all(others <= 0)


def test_score_is_the_formula():
    counts = np.array([[3, 0, 5], [1, 2, 5], [4, 1, 9]])
    weights = np.array([[1.0], [0.0], [-1.0]])
    found = score_samples(
        csr_matrix(counts), counts.sum(axis=1).astype(float), np.array([0, 0, 2]), 3, weights
    )
    per_10k = 1e4 * counts[:2].sum(axis=0) / counts[:2].sum() + PRIOR
    assert found.value[0, 0] == pytest.approx(np.log2(per_10k[0] / per_10k[2]))
    assert np.isnan(found.value[1, 0])
    assert np.isnan(found.sd[1, 0])
    assert np.isfinite(found.value[2, 0])
    assert found.sd[2, 0] > 0  # by counting molecules, although it is one cell


def library(rng, n_cells, depth=2_800, fold=0.0, n_genes=500):
    """Cells of one population; the first three genes are the set, their log2 change is given."""
    share = np.random.default_rng(9).lognormal(0, 1.2, n_genes)
    share[:3] = (2, 1.4, 0.4)  # 20, 14 and 4 of 10,000
    share = share / share.sum()
    changed = share * np.r_[[2**fold] * 3, np.ones(n_genes - 3)]
    size = depth * rng.lognormal(0, 0.35, n_cells)
    spread = rng.gamma(4, 0.25, (n_cells, n_genes))
    return rng.poisson(size[:, None] * changed * spread)


def score(*parts):
    """Score the samples that the parts are, against genes as strong over all of them."""
    counts = np.vstack(parts)
    group = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    totals = counts.sum(axis=1).astype(float)
    eligible = np.arange(counts.shape[1]) > 2
    level = np.log1p(counts.sum(axis=0) / totals.sum() * 1e4)
    weights = set_weights(level, [np.array([0, 1, 2])], eligible)
    return score_samples(csr_matrix(counts), totals, group, len(parts), weights), counts, group


def test_depth_moves_the_mean_of_logs_and_not_the_score():
    rng = np.random.default_rng(2)
    found, counts, group = score(library(rng, 2_000), library(rng, 2_000, depth=1_200))
    logs = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)[:, :3].mean(axis=1)
    assert logs[group == 1].mean() - logs[group == 0].mean() < -0.1
    error = np.sqrt(np.square(found.sd[:, 0]).sum() / 2_000)
    assert error < 0.04
    assert abs(found.value[1, 0] - found.value[0, 0]) < 2.5 * error


def test_planted_change_is_found_in_log2():
    rng = np.random.default_rng(3)
    found, _, _ = score(library(rng, 2_000), library(rng, 2_000, fold=-0.5))
    assert found.value[1, 0] - found.value[0, 0] == pytest.approx(-0.5, abs=0.07)


def test_sd_is_that_of_the_score_between_draws_of_cells():
    rng = np.random.default_rng(4)
    found, _, _ = score(*(library(rng, 60) for _ in range(150)))
    assert (found.sd[:, 0] / np.sqrt(60)).mean() == pytest.approx(found.value.std(), rel=0.15)


def test_uncertainty_does_not_depend_on_the_counts_that_were_drawn():
    """A sample without a molecule of the set is as uncertain as one with some."""
    counts = np.full((40, 60), 5)
    counts[:, :3] = 0
    counts[20:30, :3] = 1
    totals = np.full(40, 285.0)
    weights = np.zeros((60, 1))
    weights[:3] = 1 / 3
    group = np.repeat([0, 1], 20)
    found = score_samples(csr_matrix(counts), totals, group, 2, weights)
    assert found.value[0, 0] < found.value[1, 0]
    assert found.sd[0, 0] == pytest.approx(found.sd[1, 0])
    assert found.sd[0, 0] > 1


def test_order_of_cells_does_not_matter():
    rng = np.random.default_rng(5)
    parts = [library(rng, 40), library(rng, 40)]
    found, _, _ = score(*parts)
    again, _, _ = score(*(part[rng.permutation(40)] for part in parts))
    np.testing.assert_allclose(again.value, found.value, rtol=1e-12)
    np.testing.assert_allclose(again.sd, found.sd, rtol=1e-12)


def test_large_cells_add_no_uncertainty_of_their_own():
    """Cells that differ in size alone: what is left is the counting of molecules."""
    size = np.repeat([10, 1_000], 50)
    counts = size[:, None] * np.array([2, 8])
    totals = counts.sum(axis=1).astype(float)
    weights = np.array([[1.0], [0.0]])
    found = score_samples(csr_matrix(counts), totals, np.zeros(100, dtype=int), 1, weights)
    n_molecules = counts[:, 0].sum()
    assert found.sd[0, 0] / 10 == pytest.approx(1 / np.sqrt(n_molecules) / np.log(2), rel=0.01)
