"""What the features of a single-cell matrix are: genes, antibodies, hashtags, and their names."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from biocross.cells.gene_names import unique_names
from biocross.cohort.sheet_formats import folded
from biocross.cohort.sheets import counted, did_you_mean
from biocross.errors import LibraryError

GENES = "Gene Expression"
ANTIBODIES = "Antibody Capture"
_HASHTAG_TYPES = frozenset({"Custom", "Multiplexing Capture"})
# HTO_A, Hashtag-3, TotalSeqB_Hashtag_1, CMO301, SampleTag02; and BioLegend's 0251-0260.
_HASHTAG = re.compile(
    r"(?<![a-z])(hto|hash([-_ ]?tag)?|sample[-_ ]?tag|cmo|multi[-_ ]?seq)(?![a-z])"
    r"|total[-_ ]?seq[-_ ]?[abc][-_ ]?0(25[1-9]|260)(?!\d)",
    re.IGNORECASE,
)
_MOST_GENOMES = 4
_OF_GENOME = re.compile(r"(?P<genome>[A-Za-z][A-Za-z0-9.\-]*)_+(?=ENS[A-Z]{0,6}G\d{6,})")


class FeatureMatrix(NamedTuple):
    """A matrix as a file holds it, with one row per barcode.

    Parameters
    ----------
    counts
        Shape (barcodes, features).
    barcodes
        Text or bytes, shape (barcodes,).
    ids, names, types, genomes
        One per feature; types are Cell Ranger's, a genome that is not stated is empty.
    cell_metadata
        Arrays of shape (barcodes,).
    notes
        What was noticed, as sentences.
    """

    counts: sparse.csr_matrix
    barcodes: NDArray[Any]
    ids: list[str]
    names: list[str]
    types: list[str]
    genomes: list[str]
    cell_metadata: dict[str, NDArray[Any]]
    notes: list[str]


class FeatureKinds(NamedTuple):
    """Columns of a matrix by what they measure.

    Parameters
    ----------
    genes, proteins, hashtags
        Columns, as indices.
    hashtag_names
        Names of the hashtags, as the sheet spells them where it does.
    notes
        What was set aside, as sentences.
    """

    genes: NDArray[np.intp]
    proteins: NDArray[np.intp]
    hashtags: NDArray[np.intp]
    hashtag_names: list[str]
    notes: list[str]


def sort_features(
    where: str,
    ids: Sequence[str],
    names: Sequence[str],
    types: Sequence[str],
    hashtags: Sequence[str] = (),
) -> FeatureKinds:
    """Tell genes, antibodies and hashtags apart.

    A hashtag is a feature that the sheet names, one of type ``Custom`` or ``Multiplexing
    Capture``, or an antibody whose name or id says so (HTO, hashtag, CMO, sample tag, TotalSeq
    0251-0260). Other types, such as guides of CRISPR or peaks of ATAC, are set aside.

    Parameters
    ----------
    where
        The file, for messages.
    ids, names, types
        One per feature.
    hashtags
        Names or ids of hashtags from the sheet; upper case and punctuation may differ.

    Returns
    -------
    FeatureKinds
        In file order.

    Raises
    ------
    LibraryError
        The file has no feature of the name of a hashtag.
    """
    given = _named_hashtags(where, ids, names, types, hashtags)
    columns: dict[str, list[int]] = {"genes": [], "proteins": [], "hashtags": []}
    aside: Counter[str] = Counter()
    for column, (identifier, name, kind) in enumerate(zip(ids, names, types, strict=True)):
        if column in given or kind in _HASHTAG_TYPES:
            columns["hashtags"].append(column)
        elif kind == ANTIBODIES:
            tag = _HASHTAG.search(name) or _HASHTAG.search(identifier)
            columns["hashtags" if tag else "proteins"].append(column)
        elif kind == GENES:
            columns["genes"].append(column)
        else:
            aside[kind] += 1
    notes = [f'{counted(n, "feature")} of type "{kind}" set aside' for kind, n in aside.items()]
    found = columns["hashtags"]
    spelled = unique_names([given.get(i, names[i]) for i in found], [ids[i] for i in found])
    genes, proteins, tags = (np.array(each, dtype=np.intp) for each in columns.values())
    return FeatureKinds(genes, proteins, tags, spelled, notes)


def _named_hashtags(
    where: str,
    ids: Sequence[str],
    names: Sequence[str],
    types: Sequence[str],
    hashtags: Sequence[str],
) -> dict[int, str]:
    """Return the columns of the sheet's hashtags, with the sheet's names."""
    given: dict[int, str] = {}
    pairs = list(zip(ids, names, strict=True))
    spelled_alike: list[set[str]] = []
    for tag in hashtags:
        alike = [column for column, pair in enumerate(pairs) if tag in pair]
        if not alike:
            spelled_alike = spelled_alike or [set(map(folded, pair)) for pair in pairs]
            alike = [i for i, pair in enumerate(spelled_alike) if folded(tag) in pair]
        if len(alike) != 1:
            known = [name for name, kind in zip(names, types, strict=True) if kind != GENES]
            what = f"{len(alike)} features are" if alike else "no feature is"
            remedy = "; give its id instead" if alike else did_you_mean(tag, known)
            raise LibraryError(f'{where}: {what} named "{tag}", a hashtag of samples.tsv{remedy}')
        given[alike[0]] = tag
    return given


def select_genome(where: str, matrix: FeatureMatrix, genome: str | None) -> FeatureMatrix:
    """Keep the genes of one genome; antibodies and hashtags stay.

    Where the file does not state genomes, they are read from ids such as ``GRCh38_ENSG00000...``.
    The genome's name is taken off ids and names.

    Parameters
    ----------
    where
        The file, for messages.
    matrix
        All features.
    genome
        Its name; needed where there are several.

    Returns
    -------
    FeatureMatrix
        With a note of what was left out.

    Raises
    ------
    LibraryError
        There are several genomes and none is chosen, or the one chosen is not among them.
    """
    is_gene = [kind == GENES for kind in matrix.types]
    genomes = matrix.genomes if any(matrix.genomes) else _genomes_of_ids(matrix.ids, is_gene)
    present = list(dict.fromkeys(g for g, gene in zip(genomes, is_gene, strict=True) if gene and g))
    chosen = choose_genome(where, present, genome)
    if not chosen:
        unstated = (
            [f'the file states no genome, so "{genome}" was not looked for'] if genome else []
        )
        return matrix._replace(notes=[*matrix.notes, *unstated])
    keep = [
        column for column, gene in enumerate(is_gene) if not gene or genomes[column] in (chosen, "")
    ]
    kept, notes = matrix, list(matrix.notes)
    if len(keep) < len(genomes):
        left = ", ".join(sorted(set(present) - {chosen}))
        notes.append(f"{counted(len(genomes) - len(keep), 'gene')} of genome {left} left out")
        kept = matrix._replace(counts=matrix.counts[:, keep])
    prefix = re.compile(rf"{re.escape(chosen)}_+(?=.)")
    ids, names = (
        [prefix.sub("", own[i], count=1) if own[i].startswith(chosen) else own[i] for i in keep]
        for own in (matrix.ids, matrix.names)
    )
    types = [matrix.types[i] for i in keep]
    return kept._replace(
        ids=ids, names=names, types=types, genomes=[genomes[i] for i in keep], notes=notes
    )


def _genomes_of_ids(ids: Sequence[str], is_gene: Sequence[bool]) -> list[str]:
    """Read genomes from ids, if every second gene at least has one and they are few."""
    matches = [
        _OF_GENOME.match(own) if gene else None for own, gene in zip(ids, is_gene, strict=True)
    ]
    stated = Counter(match["genome"] for match in matches if match)
    if len(stated) > _MOST_GENOMES or stated.total() * 2 < sum(is_gene):
        return [""] * len(ids)
    starts = {f"{genome}_": genome for genome in stated}
    return [
        next((g for start, g in starts.items() if gene and own.startswith(start)), "")
        for own, gene in zip(ids, is_gene, strict=True)
    ]


def choose_genome(where: str, present: Sequence[str], genome: str | None) -> str:
    """Say which of a file's genomes is meant.

    Parameters
    ----------
    where
        The file, for messages.
    present
        Genomes of the file.
    genome
        The one that was named, if any.

    Returns
    -------
    str
        Empty where the file states none.

    Raises
    ------
    LibraryError
        There are several genomes and none is named, or the one named is not among them.
    """
    if genome and present and genome not in present:
        raise LibraryError(
            f'{where}: holds no genome "{genome}"{did_you_mean(genome, present)}'
            f" (cells.genome of the configuration; the file holds {', '.join(present)})"
        )
    if len(present) > 1 and not genome:
        raise LibraryError(
            f"{where}: holds the genomes {', '.join(present)}; set cells.genome in the "
            "configuration to the one to analyse"
        )
    return (genome or present[0]) if present else ""
