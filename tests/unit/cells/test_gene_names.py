"""Names of genes and antibodies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biocross.cells.gene_names import name_features, name_genes, unique_names

A, B, C = "ENSG00000000001", "ENSG00000000002", "ENSG00000000003"


def test_the_first_of_two_keeps_its_symbol():
    found = name_genes([A, B, C], ["TBCE", "CD3E", "TBCE"])
    assert found.genes == ["TBCE", "CD3E", f"TBCE_{C}"]
    assert found.renamed == [("TBCE", C, f"TBCE_{C}")]
    assert found.ids == [A, B, C]
    assert found.notes == []


def test_number_where_there_is_no_id():
    symbols = ["TBCE", "TBCE-1", "TBCE", "TBCE"]
    assert name_genes(symbols, symbols).genes == ["TBCE", "TBCE-1", "TBCE-2", "TBCE-3"]


def test_new_name_is_never_one_that_another_gene_has():
    names = unique_names(["X", "X", f"X_{B}"], [A, B, C])
    assert names == ["X", "X-1", f"X_{B}"]
    assert len(set(unique_names(["X"] * 4, [A, A, A, A]))) == 4


@given(st.lists(st.tuples(*[st.sampled_from(["X", "X-1", "X_X", "X_X-1", ""])] * 2)))
def test_names_always_differ(pairs):
    names = [name for name, _ in pairs]
    unique = unique_names(names, [identifier for _, identifier in pairs])
    assert len(set(unique)) == len(pairs)
    for name in set(names):
        assert unique[names.index(name)] == name


def test_versions_of_ids_are_taken_off():
    found = name_genes([f"{A}.5", f"{B}.12", "MYGENE.1"], ["CD3E", "CD4", "MYGENE.1"])
    assert found.ids == [A, B, "MYGENE.1"]
    assert found.genes == ["CD3E", "CD4", "MYGENE.1"]


def test_versions_that_tell_two_genes_apart_stay():
    assert name_genes([f"{A}.5", f"{A}.6", C], ["x", "y", "z"]).ids == [f"{A}.5", f"{A}.6", C]


def test_symbol_made_different_by_its_id_is_given_back():
    """Kang's matrix has CCL5_ENSG00000161570 and no other CCL5: the marker would not be found."""
    symbols = [f"CCL5_{A}", f"CD79A_{B}", "CD79A"]
    found = name_genes(symbols, symbols)
    assert found.genes == ["CCL5", f"CD79A_{B}", "CD79A"]
    assert found.ids[0] == A
    assert found.renamed == [(f"CCL5_{A}", A, "CCL5")]


@pytest.mark.parametrize("nothing", ["", "NaN", "NA"])
def test_gene_without_symbol_is_named_by_its_id(nothing):
    found = name_genes([A, B, C], ["CD3E", nothing, "CD4"])
    assert found.genes == ["CD3E", B, "CD4"]


def test_genes_known_by_ids_only():
    found = name_genes([f"{A}.5", B], [f"{A}.5", B])
    assert found.genes == [A, B]
    assert any("named by Ensembl ids" in note for note in found.notes)


def test_swapped_columns():
    found = name_genes(["CD3E", "CD4"], [A, B])
    assert (found.ids, found.genes) == ([A, B], ["CD3E", "CD4"])
    assert any("swapped" in note for note in found.notes)


@pytest.mark.parametrize(
    ("ids", "symbols", "species"),
    [
        (["ENSMUSG00000000001", "ENSMUSG00000000002"], ["Cd3e", "Cd4"], "mouse"),
        (["1", "2"], ["mt-Nd1", "Cd4"], "mouse"),
        (["1", "2"], ["Pwwp4b", "Gpr17"], "mouse or rat"),
        (["ENSRNOG00000000001", "ENSRNOG00000000002"], ["Cd3e", "Cd4"], "an animal"),
    ],
)
def test_other_species_are_noticed(ids, symbols, species):
    assert any(f"looks like {species};" in note for note in name_genes(ids, symbols).notes)


def test_humans_are_not_taken_for_mice():
    human = ["C1orf112", "CD3E", "IL7R", "MT-ND1", "HLA-DRA"]
    assert name_genes(human, human).notes == []
    assert name_genes([A, B], ["CD3E", "CD4"]).notes == []


def test_antibodies_are_named_by_what_they_bind():
    names = ["CD3_TotalSeqB", "ADT-CD4", "CD8a TotalSeq-C", "IgG1_control_TotalSeqB", "HLA-DR"]
    assert name_features(names, names) == ["CD3", "CD4", "CD8a", "IgG1_control", "HLA-DR"]


def test_antibodies_keep_what_tells_them_apart():
    names = ["CD3_TotalSeqB", "CD3_TotalSeqC", "CD4"]
    assert name_features(names, names) == names
