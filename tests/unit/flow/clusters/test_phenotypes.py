import pytest

from biocross.cohort.vocabulary import load_vocabulary
from biocross.flow.clusters.phenotypes import phenotype_tree

LINEAGES = {"CD45", "CD3", "CD19", "CD14", "CD16", "CD56", "HLA-DR", "CD123", "CD127", "CD4", "CD8"}


@pytest.fixture(scope="module")
def shipped(pytestconfig):
    return load_vocabulary(pytestconfig.rootpath / "config" / "populations.yaml")


def _words(tree, population):
    return ["/".join(map(str, word)) for word in tree.words[population]]


def test_unions_are_passed_over(shipped):
    tree = phenotype_tree(shipped, LINEAGES)
    assert tree.parts[None] == ("leukocytes",)
    assert set(tree.parts["leukocytes"]) >= {"T_cells", "B_cells", "NK_cells", "ILC", "monocytes"}
    assert tree.parts["T_cells"] == ("CD4_T", "CD8_T")
    assert tree.path("CD4_T") == ("leukocytes", "T_cells", "CD4_T")


def test_populations_are_told_within_what_they_are_gated_under(shipped):
    tree = phenotype_tree(shipped, LINEAGES | {"CD45RA", "CRTH2", "CXCR3", "CCR6", "CD117"})
    assert tree.path("Th2") == ("leukocytes", "T_cells", "CD4_T", "CD4_memory", "Th2")
    assert tree.path("ILC2_CD117high") == ("leukocytes", "ILC", "ILC2", "ILC2_CD117high")


def test_words_of_the_panel(shipped):
    tree = phenotype_tree(shipped, LINEAGES)
    assert _words(tree, "leukocytes") == ["CD45+"]
    assert _words(tree, "monocytes")[:2] == ["HLA-DR+", "CD14+/CD16+"]
    assert "CD20-" not in _words(tree, "T_cells")
    with_cd20 = phenotype_tree(shipped, LINEAGES - {"CD19"} | {"CD20"})
    assert _words(with_cd20, "B_cells")[0] == "CD20+"
    assert "CD20-" in _words(with_cd20, "T_cells")
    assert set(tree.markers) <= LINEAGES


def test_what_the_panel_cannot_tell_is_reported_with_all_within_it(shipped):
    tree = phenotype_tree(shipped, LINEAGES - {"CD127", "CD8"} | {"CRTH2"})
    assert tree.skipped["ILC"] == "the panel lacks CD127"
    assert tree.skipped["ILC2"] == "ILC, which holds it, cannot be told"
    assert tree.skipped["CD8_T"] == "the panel lacks CD8"
    assert tree.skipped["eosinophils"] == "the panel lacks Siglec-8 or CCR3"
    assert not set(tree.skipped) & set(tree.words)
    assert {part for parts in tree.parts.values() for part in parts} == set(tree.words)


def test_a_population_whose_optional_words_are_all_missing_is_passed_over(shipped):
    tree = phenotype_tree(shipped, LINEAGES - {"CD45"})
    assert "leukocytes" not in tree.words
    assert "leukocytes" not in tree.skipped
    assert "T_cells" in tree.parts[None]


def test_no_phenotype_at_all(shipped):
    bare = {name: entry._replace(phenotype=()) for name, entry in shipped.items()}
    tree = phenotype_tree(bare, LINEAGES)
    assert tree.parts == {None: ()}
    assert tree.words == tree.skipped == {}


def test_a_word_that_the_panel_turns_into_another_one_is_asked_once(shipped):
    def words(name, markers):
        tree = phenotype_tree(shipped, markers)
        return ["/".join(map(str, signs)) for signs in tree.words[name]]

    with_cd19 = words("B_cells", ("CD3", "CD19", "CD20", "HLA-DR"))
    assert with_cd19 == ["CD19+", "CD3-"]
    assert words("B_cells", ("CD3", "CD20", "HLA-DR")) == ["CD20+", "HLA-DR+", "CD3-"]
    without_cd16 = words("dendritic_cells", ("HLA-DR", "CD14", "CD123", "CD3", "CD19"))
    assert without_cd16 == ["HLA-DR+", "CD14-", "CD123+", "CD3-", "CD19-"]
