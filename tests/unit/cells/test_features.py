"""Genes, antibodies and hashtags of a matrix, and its genomes."""

import numpy as np
import pytest
from cells_files import GENES, example_counts
from scipy import sparse

from biocross.cells.features import FeatureMatrix, select_genome, sort_features
from biocross.errors import LibraryError

ADT = "Antibody Capture"


def sorted_names(names, types, hashtags=()):
    kinds = sort_features("a.h5", [f"id{i}" for i in range(len(names))], names, types, hashtags)
    return [[names[i] for i in kinds[part]] for part in range(3)], kinds


@pytest.mark.parametrize(
    "tag",
    [
        *("HTO_A", "HTO-1", "HTO1", "hto_3", "Hashtag1", "Hashtag_10", "anti-human Hashtag 3"),
        *("TotalSeqB_Hashtag_1", "HashTag-C0251", "CMO301", "SampleTag02_hs", "TotalSeq-C0252"),
        *("Human_HTO_4", "hash1", "MULTI-seq3", "totalseqA0260"),
    ],
)
def test_hashtags_by_their_names(tag):
    (genes, proteins, tags), _ = sorted_names(["CD3E", "CD3", tag], [GENES, ADT, ADT])
    assert (genes, proteins, tags) == (["CD3E"], ["CD3"], [tag])


@pytest.mark.parametrize(
    "protein",
    ["CD3_TotalSeqB", "CD163", "TotalSeqC0034", "Rhoto", "CD275_TotalSeq-C0250", "ICMOS", "HTOL1"],
)
def test_antibodies_that_are_no_hashtags(protein):
    (_, proteins, tags), _ = sorted_names(["CD3E", protein], [GENES, ADT])
    assert (proteins, tags) == ([protein], [])


@pytest.mark.parametrize("kind", ["Custom", "Multiplexing Capture"])
def test_hashtags_by_their_type(kind):
    (_, proteins, tags), _ = sorted_names(["CD3E", "B1"], [GENES, kind])
    assert (proteins, tags) == ([], ["B1"])


def test_hashtags_that_the_sheet_names():
    names, types = ["CD3E", "tag_left", "CD3", "Right-1"], [GENES, GENES, ADT, ADT]
    (genes, proteins, tags), kinds = sorted_names(names, types, ["tag_left", "RIGHT_1"])
    assert (genes, proteins, tags) == (["CD3E"], ["CD3"], ["tag_left", "Right-1"])
    assert kinds.hashtag_names == ["tag_left", "RIGHT_1"]


def test_hashtag_by_its_id():
    _, kinds = sorted_names(["CD3E", "Left"], [GENES, ADT], ["id1"])
    assert kinds.hashtag_names == ["id1"]


def test_unknown_hashtag_is_refused():
    with pytest.raises(LibraryError, match=r'no feature is named "HTO_9".*did you mean "HTO_1"'):
        sorted_names(["CD3E", "HTO_1"], [GENES, ADT], ["HTO_9"])


def test_hashtag_of_two_features_is_refused():
    with pytest.raises(LibraryError, match=r"2 features are named.*give its id"):
        sorted_names(["CD3E", "T", "T"], [GENES, ADT, ADT], ["T"])


def test_other_types_are_set_aside():
    (genes, proteins, tags), kinds = sorted_names(
        ["CD3E", "guide1", "guide2", "chr1:1-2"],
        [GENES, "CRISPR Guide Capture", "CRISPR Guide Capture", "Peaks"],
    )
    assert (genes, proteins, tags) == (["CD3E"], [], [])
    assert kinds.notes == [
        '2 features of type "CRISPR Guide Capture" set aside',
        '1 feature of type "Peaks" set aside',
    ]


def barnyard(genomes=("GRCh38", "GRCh38", "mm10", "mm10", ""), stated=True):
    ids = ["GRCh38_ENSG00000000001", "GRCh38_ENSG00000000002"]
    ids += ["mm10___ENSMUSG00000000001", "mm10___Custom", "CD3"]
    names = ["GRCh38_CD3E", "GRCh38_CD4", "mm10___Cd4", "mm10___Custom", "CD3"]
    counts = example_counts(6, 5)
    matrix = FeatureMatrix(
        sparse.csr_matrix(counts),
        np.array(list("abcdef")),
        ids,
        names,
        [GENES] * 4 + [ADT],
        list(genomes) if stated else [""] * 5,
        {},
        [],
    )
    return matrix, counts


@pytest.mark.parametrize("stated", [True, False])
def test_genes_of_the_chosen_genome_and_antibodies_stay(stated):
    matrix, counts = barnyard(stated=stated)
    human = select_genome("a", matrix, "GRCh38")
    assert np.array_equal(human.counts.toarray(), counts[:, [0, 1, 4]])
    assert human.names == ["CD3E", "CD4", "CD3"]
    assert human.ids == ["ENSG00000000001", "ENSG00000000002", "CD3"]
    assert human.notes == ["2 genes of genome mm10 left out"]
    assert select_genome("a", matrix, "mm10").names == ["Cd4", "Custom", "CD3"]


def test_antibodies_stay_whatever_genome_they_state():
    matrix, _ = barnyard(genomes=("GRCh38", "GRCh38", "mm10", "mm10", "GRCh38"))
    assert select_genome("a", matrix, "mm10").names == ["Cd4", "Custom", "CD3"]


@pytest.mark.parametrize("stated", [True, False])
def test_genome_must_be_chosen_and_known(stated):
    matrix, _ = barnyard(stated=stated)
    with pytest.raises(LibraryError, match="holds the genomes GRCh38, mm10; set"):
        select_genome("a", matrix, None)
    with pytest.raises(LibraryError, match='no genome "GRCh37"; did you mean "GRCh38"'):
        select_genome("a", matrix, "GRCh37")


def test_file_without_genomes_takes_any():
    matrix, counts = barnyard(stated=False)
    ids = [f"ENSG{i:011d}" for i in range(4)] + ["CD3"]
    plain = matrix._replace(ids=ids, names=["CD3E", "CD4", "IL4", "IL5", "CD3"])
    assert select_genome("a", plain, None).notes == []
    found = select_genome("a", plain, "GRCh38")
    assert np.array_equal(found.counts.toarray(), counts)
    assert "states no genome" in found.notes[0]


def test_symbols_with_ids_are_not_taken_for_genomes():
    matrix, _ = barnyard(stated=False)
    genes = ("CCL5", "CD4", "IL4", "IL5", "IL13")
    ids = [f"{gene}_ENSG0000000000{i}" for i, gene in enumerate(genes)]
    plain = matrix._replace(ids=ids, names=ids, types=[GENES] * 5)
    assert select_genome("a", plain, None).names == ids
