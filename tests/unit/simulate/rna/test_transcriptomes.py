from pathlib import Path

import numpy as np
import pytest

from biocross.cohort.sheets import load_yaml
from biocross.errors import ConfigError
from biocross.simulate.effects import State
from biocross.simulate.model import Study
from biocross.simulate.rna.arrays import (
    expression_of,
    gene_shifts,
    genes_of,
    inherited,
    rna_of,
)
from biocross.simulate.rna.transcriptomes import (
    Cells,
    Rna,
    Staining,
    ambient_profile,
    draw_hashtags,
    draw_proteins,
    draw_rna,
    pair_cells,
)
from biocross.simulate.rna.truth import kept_cells, true_gene_changes
from biocross.simulate.streams import stream
from biocross.simulate.study import read_study
from biocross.simulate.truth import true_effects

CONFIG = Path(__file__).parents[4] / "config"
STUDY = read_study(CONFIG / "simulation" / "demo.yaml", {"rna": {"background": {"genes": 1000}}})
GENES = genes_of(rna_of(STUDY))


def levels(study: Study, leaf: str) -> dict[str, float]:
    row = expression_of(study)[study.leaves.index(leaf)]
    return dict(zip(genes_of(rna_of(study)), row * 1e4, strict=True))


def dense(counts, shape):
    matrix = np.zeros(shape, dtype=int)
    rows = np.repeat(np.arange(shape[0]), np.diff(counts.indptr))
    matrix[rows, counts.indices] = counts.data
    return matrix


def plain_cells(n, groups=1):
    return Cells(
        group=np.arange(n) % groups,
        dead=np.zeros(n, dtype=bool),
        second=np.full(n, -1, dtype=np.intp),
    )


def rna(cells, expression, n_mitochondrial=1, size=1000.0, mitochondrial=0.1, **changes):
    n = cells.group.size
    entries = {
        "expression": np.asarray(expression, dtype=np.float32),
        "n_mitochondrial": n_mitochondrial,
        "size": np.full(n, size),
        "mitochondrial": np.full(n, mitochondrial),
        "modules": (),
        "activity": np.ones((n, 0)),
        "soup": np.zeros(cells.second.size),
        "dispersion": 0.25,
    }
    return Rna(**{**entries, **changes})


# --- the description ------------------------------------------------------------------------------


def test_every_gene_of_the_vocabulary_is_simulated():
    vocabulary = load_yaml(CONFIG / "populations.yaml")
    wanted = {
        gene
        for entry in vocabulary.values()
        for gene in entry.get("rna", [])
        if not gene.startswith("-")
    }
    assert wanted <= set(GENES)


def test_every_population_bears_the_genes_of_the_vocabulary():
    """A gene that names a population is higher there than in the median of all other leaves."""
    vocabulary = load_yaml(CONFIG / "populations.yaml")
    expression = expression_of(STUDY)
    for name in STUDY.reported:
        own = np.array([name in STUDY.lineage_of(leaf) for leaf in STUDY.leaves])
        for gene in vocabulary[name].get("rna", []):
            if gene.startswith("-") or gene == "PTPRC" or name == "leukocytes":
                continue
            level = expression[:, GENES.index(gene)]
            assert np.median(level[own]) > np.median(level[~own]), (name, gene)


def test_levels_are_those_of_the_description():
    th2 = levels(STUDY, "Th2")
    assert th2["PTGDR2"] == pytest.approx(2.5)  # its own
    assert th2["CD40LG"] == pytest.approx(1.5)  # of CD4 T cells
    assert th2["CD3D"] == pytest.approx(14)  # of T cells
    assert th2["MALAT1"] == pytest.approx(250)  # of every cell
    assert th2["CD14"] == pytest.approx(0.02)  # leak


def test_nuclear_and_mitochondrial_shares_sum_to_one():
    expression = expression_of(STUDY)
    n = len(rna_of(STUDY).mitochondria.genes)
    assert n == 13
    assert all(gene.startswith("MT-") for gene in GENES[-n:])
    np.testing.assert_allclose(expression[:, :-n].sum(axis=1), 1)
    np.testing.assert_allclose(expression[:, -n:].sum(axis=1), 1)
    assert expression.min() > 0
    assert len(set(GENES)) == len(GENES)


def test_nameless_genes_drift_apart_along_the_tree():
    expression = np.log(expression_of(STUDY))
    nameless = [i for i, gene in enumerate(GENES) if gene.startswith("GENE")]
    assert len(nameless) == 1000

    def distance(first, second):
        rows = (STUDY.leaves.index(first), STUDY.leaves.index(second))
        return np.std(expression[rows[0], nameless] - expression[rows[1], nameless])

    assert distance("CD4_naive", "Treg") < distance("CD4_naive", "NK_dim")
    assert distance("NK_dim", "CD4_naive") < distance("NK_dim", "neutrophils")


def test_too_many_named_molecules_are_refused():
    study = read_study(
        CONFIG / "simulation" / "demo.yaml", {"rna": {"everywhere": {"MALAT1": 8000}}}
    )
    with pytest.raises(ConfigError, match="so that none are left for the others"):
        expression_of(study)


def test_values_are_those_of_the_nearest_population_around():
    content = dict(zip(STUDY.leaves, inherited(STUDY, {"T_cells": 2, "Th2": 3}), strict=True))
    assert (content["Th2"], content["Th1"], content["NK_dim"]) == (3, 2, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tisue": "pbmc"}, r"rna.tisue is not a known key"),
        ({"programmes": {"Th22": {"IL22": 1}}}, r'rna.programmes: "Th22" is not known'),
        ({"programmes": {"Th2": {"IL4": "high"}}}, r"Th2.IL4 must be a number from 0 to 10000"),
        ({"pools": []}, r"rna.pools must be a list"),
        ({"pools": [1.5]}, r"rna.pools must hold whole numbers, not 1.5"),
        ({"content": {"Th3": 1}}, r'rna.content: "Th3" is not known'),
        ({"everywhere": {"RPL3": 5}}, r'rna.ribosomal: "RPL3" has a level of its own too'),
        ({"proteins": {"markers": {"CD4": "CD44"}}}, r'proteins.markers.CD4: "CD44" is not known'),
        ({"modules": {"stress": {"sample": 1, "cell": 1, "genes": ["HSPX"]}}}, r'"HSPX" is not'),
        ({"visits": ["month_3"]}, r'rna.visits: "month_3" is not known; did you mean "month_4"'),
    ],
)
def test_a_wrong_description_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        read_study(CONFIG / "simulation" / "demo.yaml", {"rna": changes})


def test_a_study_may_say_nothing_about_rna():
    study = read_study(CONFIG / "simulation" / "demo.yaml", {"rna": None})
    assert study.rna is None
    with pytest.raises(ConfigError, match="the study has no section `rna`"):
        rna_of(study)


# --- the truth ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def changes():
    return at_month_4(STUDY)


def at_month_4(study):
    return {
        (row["treatment"], row["population"], row["gene"]): row
        for row in true_gene_changes(study)
        if row["visit"] == "month_4"
    }


def test_planted_changes_are_in_the_truth(changes):
    for gene in ("CXCR4", "GPR183"):
        row = changes["mepolizumab", "Th2", gene]
        assert row["log2_fold_change"] == pytest.approx(-0.5, abs=0.01)
        assert (row["planted"], row["changed"]) == (-0.5, True)
        assert changes["dupilumab", "Th2", gene]["changed"] is False
        assert changes["mepolizumab", "Treg", gene]["changed"] is False
    assert changes["dupilumab", "B_cells", "FCER2"]["log2_fold_change"] == pytest.approx(
        -1, abs=0.02
    )


def test_what_changes_by_composition_alone_is_in_the_truth(changes):
    """Th2 cells multiply by 1.4 and are 2 % of the CD4 T cells."""
    row = changes["mepolizumab", "CD4_T", "PTGDR2"]
    assert row["planted"] == 0
    assert row["log2_fold_change"] > 0.1
    assert ("mepolizumab", "NK_cells", "PTGDR2") not in changes


def test_what_the_preparation_loses_changes_nothing(changes):
    study = read_study(CONFIG / "simulation" / "demo.yaml", {"rna": {"recovery": {"Th2": 0.1}}})
    lost = {key: row["log2_fold_change"] for key, row in at_month_4(study).items()}
    key = ("mepolizumab", "CD4_memory", "GATA3")
    assert changes[key]["log2_fold_change"] > 0.05
    assert lost.get(key, 0) < changes[key]["log2_fold_change"] / 2


def test_a_part_that_changes_differently_has_no_planted_value(changes):
    assert changes["mepolizumab", "CD4_T", "CXCR4"]["planted"] == ""


def test_shifts_add_up_along_the_lineage():
    effects = [
        {"kind": "gene", "populations": "T_cells", "name": "CXCR4", "change": 1.0},
        {"kind": "gene", "populations": "T_cells", "name": "CD69", "change": 0.7},
        {"kind": "gene", "populations": "CD4_T", "name": "CD69", "change": 0.3},
    ]
    study = read_study(
        CONFIG / "simulation" / "demo.yaml", {"treatments": {"mepolizumab": {"effects": effects}}}
    )
    shifts = gene_shifts(study, "mepolizumab", "month_4", State())
    row = shifts[study.leaves.index("Th2")]
    assert row[GENES.index("CXCR4")] == 0.5  # 1.0, and the preset's -0.5
    assert row[GENES.index("CD69")] == 1.0
    assert not gene_shifts(study, "mepolizumab", "baseline", State()).any()
    assert not shifts[study.leaves.index("NK_dim")].any()


def test_lost_eosinophils_change_percentages_of_blood_but_not_of_pbmc():
    def odds(kept):
        rows = true_effects(STUDY, kept)
        return {(r["treatment"], r["population"]): r["log_odds_ratio"] for r in rows}

    blood, pbmc = odds(None), odds(kept_cells(STUDY))
    assert blood["mepolizumab", "monocytes"] > 0.02
    assert abs(pbmc["mepolizumab", "monocytes"]) < 0.02
    assert pbmc["mepolizumab", "Th2"] == pytest.approx(blood["mepolizumab", "Th2"], abs=1e-6)


# --- kernels --------------------------------------------------------------------------------------


def test_every_cell_is_captured_once():
    live, dead = np.array([700, 300, 0]), np.array([20, 0, 5])
    cells = pair_cells(stream(1, "pairs"), live, dead, 0.04)
    np.testing.assert_array_equal(np.bincount(cells.group[~cells.dead], minlength=3), live)
    np.testing.assert_array_equal(np.bincount(cells.group[cells.dead], minlength=3), dead)
    second = cells.second[cells.second >= 0]
    assert cells.second.size + second.size == 1025
    assert sorted(second) == list(range(cells.second.size, 1025))
    assert second.size / cells.second.size == pytest.approx(0.04 * 1.025, rel=0.03)


def test_counts_are_negative_binomial():
    """Mean and variance of a gene against the formula of the description."""
    cells = plain_cells(40_000)
    expression = np.array([[0.01, 0.99, 1.0]])
    counts = dense(draw_rna(stream(2, "nb"), cells, rna(cells, expression)), (40_000, 3))
    mean = 0.01 * 900
    assert counts[:, 0].mean() == pytest.approx(mean, rel=0.02)
    assert counts[:, 0].var() == pytest.approx(mean + 0.25 * mean**2, rel=0.05)
    assert counts[:, 2].mean() == pytest.approx(100, rel=0.02)  # a tenth is mitochondrial


def test_a_doublet_has_the_molecules_of_both_cells():
    cells = Cells(group=np.array([0, 0, 1]), dead=np.zeros(3, dtype=bool), second=np.array([-1, 2]))
    expression = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    entries = rna(cells, expression, size=4000.0, mitochondrial=0.0, dispersion=1e-3)
    counts = dense(draw_rna(stream(3, "doublet"), cells, entries), (2, 3))
    assert counts[0, 0] == pytest.approx(4000, rel=0.2)
    assert counts[0, 1] == 0
    assert counts[1].tolist() == pytest.approx([4000, 4000, 0], rel=0.2)


def test_soup_has_the_profile_of_the_library():
    cells = plain_cells(4000, groups=2)
    expression = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    size = np.where(cells.group == 0, 3000.0, 1000.0)
    entries = rna(cells, expression, size=1.0, soup=np.full(4000, 40.0))
    entries = Rna(**{**vars(entries), "size": size})
    np.testing.assert_allclose(ambient_profile(cells, entries), [0.675, 0.225, 0.1])
    counts = dense(draw_rna(stream(4, "soup"), cells, entries), (4000, 3))
    assert counts[cells.group == 1, 0].mean() == pytest.approx(40 * 0.675, rel=0.03)
    assert counts[cells.group == 0, 1].mean() == pytest.approx(40 * 0.225, rel=0.03)


def test_genes_of_a_module_move_together():
    cells = plain_cells(3000)
    expression = np.array([[0.3, 0.3, 0.4, 1.0]])
    activity = np.exp(0.8 * stream(5, "activity").standard_normal((3000, 1)))
    entries = rna(cells, expression, modules=(np.array([0, 1]),), activity=activity)
    counts = dense(draw_rna(stream(5, "module"), cells, entries), (3000, 4))
    together = np.corrcoef(np.log1p(counts[:, :3]).T)
    assert together[0, 1] > 0.5
    assert abs(together[0, 2]) < 0.1


def test_proteins_are_borne_by_the_share_that_has_them():
    cells = plain_cells(20_000)
    staining = Staining(
        level=np.array([[4.0, 3.0]], dtype=np.float32),
        spread=np.array([[0.1, 0.1]], dtype=np.float32),
        share=np.array([[1.0, 0.3]], dtype=np.float32),
        negative=1.0,
        negative_spread=0.2,
        gain=0.02,
        background=np.array([3.0, 3.0]),
        depth=np.ones(20_000),
    )
    counts = draw_proteins(stream(6, "proteins"), cells, staining)
    assert np.median(counts[:, 0]) == pytest.approx(203, rel=0.03)
    assert (counts[:, 1] > 11).mean() == pytest.approx(0.3, abs=0.02)
    assert np.median(counts[counts[:, 1] <= 11, 1]) == 3


def test_doublets_bear_both_tags():
    cells = Cells(group=np.zeros(3, int), dead=np.zeros(3, dtype=bool), second=np.array([2, -1]))
    counts = draw_hashtags(
        stream(7, "tags"), cells, np.array([0, 0, 1]), np.full(3, 500.0), np.array([5.0, 5.0])
    )
    assert (counts[0] > 300).all()
    assert counts[1, 0] > 300
    assert counts[1, 1] < 30
