"""Levels of markers, their weights, and what the vocabulary says."""

import numpy as np
import pytest
from named_cells import POPULATIONS
from scipy import sparse

from biocross.cells.marker_scores import (
    LEAST_WEIGHT,
    contrast_weights,
    gene_levels,
    load_markers,
    neighbour_means,
    plain_protein,
    protein_levels,
    weighted_level,
)
from biocross.errors import ConfigError


def test_the_vocabulary_gives_present_and_absent_markers():
    markers = load_markers(POPULATIONS)
    assert markers["NK_cells"].absent == ("CD3D", "CD3E", "CD3G")
    assert "KLRF1" in markers["NK_cells"].present
    # CD3 and Lin stand for families.
    assert {"CD3D", "CD3E", "CD3G"} <= set(markers["ILC2"].absent)
    assert {"CD19", "CD14", "CD3"} <= set(markers["ILC2"].proteins_absent)
    assert markers["Th2"].gated_under == "CD4_memory"
    assert markers["Tc2"].resolves == "no"


def test_what_treatments_induce_is_no_marker(tmp_path):
    path = tmp_path / "populations.yaml"
    path.write_text(
        "leukocytes:\n  parent: null\n  flow: CD45+\n"
        'B_cells:\n  parent: leukocytes\n  flow: CD19+\n  rna: ["ISG15", "MS4A1", "-IFI6"]\n'
    )
    markers = load_markers(path)["B_cells"]
    assert (markers.present, markers.absent) == (("MS4A1",), ())


def test_a_broken_vocabulary_is_named(tmp_path):
    path = tmp_path / "populations.yaml"
    path.write_text("B_cells:\n  parent: leukocytes\n  flow: x\n")
    with pytest.raises(ConfigError, match='parent of B_cells is "leukocytes"'):
        load_markers(path)


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("CD3", "CD3"),
        ("CD3_TotalSeqB", "CD3"),
        ("ADT_CD294", "CD294"),
        ("HLA-DR", "HLADR"),
        ("TotalSeq-B_CD3 (UCHT1)", "CD3"),
        ("CD19 prot", "CD19PROT"),
        ("CD19_PROT", "CD19"),
    ],
)
def test_proteins_are_compared_by_their_plain_name(written, plain):
    expected = "CD19" if written == "CD19 prot" else plain
    assert plain_protein(written) == expected


def test_a_cell_is_averaged_with_its_neighbours():
    graph = sparse.csr_matrix(np.array([[0, 3.0, 0], [0, 0, 0], [1.0, 2.0, 0]]))
    means = neighbour_means(graph).toarray()
    np.testing.assert_allclose(means, [[0.5, 0.5, 0], [0, 1, 0], [1 / 3] * 3])
    own = neighbour_means(graph, 0.4).toarray()
    np.testing.assert_allclose(own[0], [0.6 * 0.5 + 0.4, 0.3, 0])
    np.testing.assert_allclose(own.sum(axis=1), 1)


def test_levels_do_not_depend_on_how_rare_the_population_is():
    def level_of_positive(n_positive):
        values = np.zeros((2_000, 1))
        values[:n_positive] = 2.0
        values[n_positive:] = 0.1
        return gene_levels(values)

    for n_positive in (10, 1_200, 2_000):
        levels = level_of_positive(n_positive)
        assert levels[0, 0] == pytest.approx(1)
        assert np.all(levels[n_positive:] < 0.1)


def test_noise_is_no_full_expression():
    assert gene_levels(np.array([[0.0], [0.06]])).max() == pytest.approx(0.2)


def test_a_protein_that_does_not_divide_the_cells_says_nothing():
    random = np.random.default_rng(1)
    divided = np.concatenate([random.normal(0, 0.2, 300), random.normal(3, 0.3, 100)])
    flat = random.normal(1, 0.2, 400)
    levels = protein_levels(np.column_stack([divided, flat]))
    assert np.median(levels[:300, 0]) < 0.1
    assert np.median(levels[300:, 0]) > 0.9
    assert np.isnan(levels[:, 1]).all()


def test_a_marker_that_a_rival_has_too_loses_its_weight():
    levels = np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    codes = np.array([0, 0, 1, 1])
    markers = [np.array([0, 1]), np.array([0]), np.array([1])]
    rivals = ~np.eye(3, dtype=bool)
    before = [np.ones(2), np.ones(1), np.array([0.7])]
    first, second, absent = contrast_weights(levels, codes, markers, rivals, before)
    np.testing.assert_allclose(first, [LEAST_WEIGHT, 1])
    np.testing.assert_allclose(second, [LEAST_WEIGHT])
    assert absent is before[2]  # no cell is of it: nothing was learnt
    none = np.zeros((3, 3), dtype=bool)
    assert contrast_weights(levels, codes, markers, none, before)[0].tolist() == [1, 1]


def test_columns_without_values_are_left_out_of_the_mean():
    levels = np.array([[1.0, np.nan], [0.5, np.nan]])
    assert weighted_level(levels, np.array([0, 1]), np.ones(2)).tolist() == [1.0, 0.5]
    assert np.isnan(weighted_level(levels, np.array([], dtype=int), np.ones(0))).all()
