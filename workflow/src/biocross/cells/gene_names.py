"""Names of genes and antibodies, each different and without what does not belong to it."""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Container, Sequence
from typing import Any, NamedTuple

_TOTALSEQ = re.compile(r"[-_ .]total[-_ ]?seq[-_ ]?[abcd]?$", re.IGNORECASE)
_ADT = re.compile(r"^adt[-_ .]|[-_ .]adt$", re.IGNORECASE)
_ENSEMBL = re.compile(r"ENS[A-Z]{0,6}G\d{6,}")
_SYMBOL_AND_ID = re.compile(r"(?P<symbol>.+)[_-](?P<id>ENS[A-Z]{0,6}G\d{6,}(\.\d+)?)")
_VERSION = re.compile(r"(?<=\d)\.\d+$")
_CAPITALISED = re.compile(r"[A-Z][a-z]+[a-z0-9-]*$")


class RenamedGene(NamedTuple):
    """A gene whose name differs from the symbol in the file."""

    gene: str
    gene_id: str
    renamed_to: str


class GeneNames(NamedTuple):
    """Names of genes.

    Parameters
    ----------
    ids
        Ensembl ids without their version, or what the file has instead.
    genes
        Symbols, each different.
    renamed
        Genes that had to be renamed.
    notes
        What was noticed, as sentences.
    """

    ids: list[str]
    genes: list[str]
    renamed: list[RenamedGene]
    notes: list[str]


def name_genes(ids: Sequence[str], symbols: Sequence[str]) -> GeneNames:
    """Give every gene an id and a symbol of its own.

    Of genes with the same symbol the first keeps it, so that markers are found; the others become
    ``SYMBOL_ENSG...``, which says the same in every library, or ``SYMBOL-1`` where the file has no
    id beside the symbol. A gene without a symbol is named by its id. A file that has such names
    already (``CCL5_ENSG00000161570``, though there is no other CCL5) gets its symbols back.

    Parameters
    ----------
    ids
        As in the file; the version of an Ensembl id (``.5``) is taken off.
    symbols
        As in the file.

    Returns
    -------
    GeneNames
        In file order.
    """
    notes = []
    if _mostly(_ENSEMBL.match, symbols) and not _mostly(_ENSEMBL.match, ids):
        ids, symbols = symbols, ids
        if list(ids) != list(symbols):
            notes.append("ids and symbols of genes stood in each other's place and were swapped")
    ids, given = _apart(ids, symbols)
    plain = _without_versions(ids)
    own = dict(zip(ids, plain, strict=True))
    wanted = [
        own.get(symbol, symbol) or identifier
        for symbol, identifier in zip(given, plain, strict=True)
    ]
    genes = unique_names(wanted, plain)
    renamed = [
        RenamedGene(symbol, identifier, gene)
        for symbol, identifier, gene in zip(symbols, plain, genes, strict=True)
        if gene != symbol
    ]
    if _mostly(_ENSEMBL.match, genes):
        notes.append(
            "genes are named by Ensembl ids: markers and gene sets given by symbol are not found"
        )
    if species := _foreign_species(plain, genes):
        notes.append(f"this looks like {species}; the vocabulary's markers are those of humans")
    return GeneNames(plain, genes, renamed, notes)


def _apart(ids: Sequence[str], symbols: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take ``CCL5_ENSG00000161570`` apart, a symbol made different by its id; blank no symbol."""
    plain = set(symbols)
    matches = map(_SYMBOL_AND_ID.fullmatch, symbols)
    both = [match if match and match["symbol"] not in plain else None for match in matches]
    split_ids = [
        match["id"] if match and own == symbol else own
        for own, symbol, match in zip(ids, symbols, both, strict=True)
    ]
    given = [
        match["symbol"] if match else symbol for symbol, match in zip(symbols, both, strict=True)
    ]
    return split_ids, ["" if word.casefold() in ("", "nan", "na") else word for word in given]


def _without_versions(ids: Sequence[str]) -> list[str]:
    """Take the versions off Ensembl ids, except where two would become one."""
    plain = [
        _VERSION.sub("", identifier) if _ENSEMBL.match(identifier) else identifier
        for identifier in ids
    ]
    count = Counter(plain)
    return [
        short if count[short] == 1 else identifier
        for identifier, short in zip(ids, plain, strict=True)
    ]


def _mostly(test: Callable[[str], Any], words: Sequence[str]) -> bool:
    return bool(words) and sum(1 for word in words if test(word)) > len(words) / 2


def _foreign_species(ids: Sequence[str], genes: Sequence[str]) -> str:
    """Name the species that ids or the spelling of symbols speak for, unless it is human."""
    if _mostly(lambda word: word.startswith("ENSMUSG"), ids):
        return "mouse"
    if _mostly(_ENSEMBL.match, ids):
        return "" if _mostly(lambda word: word.startswith("ENSG"), ids) else "an animal"
    if any(gene.startswith("mt-") for gene in genes):
        return "mouse"
    return "mouse or rat" if _mostly(_CAPITALISED.match, genes) else ""


def name_features(names: Sequence[str], ids: Sequence[str]) -> list[str]:
    """Name antibodies by what they bind: ``CD3_TotalSeqB`` and ``ADT-CD3`` are ``CD3``.

    Parameters
    ----------
    names, ids
        As in the file.

    Returns
    -------
    list of str
        Each different.
    """
    short = [_ADT.sub("", _TOTALSEQ.sub("", name)) or name for name in names]
    count = Counter(short)
    plain = [new if count[new] == 1 else old for new, old in zip(short, names, strict=True)]
    return unique_names(plain, ids)


def unique_names(names: Sequence[str], ids: Sequence[str]) -> list[str]:
    """Make names differ: the first keeps its own, the next get their id or a number.

    Parameters
    ----------
    names, ids
        One per feature.

    Returns
    -------
    list of str
        Each different.
    """
    taken = set(names)
    seen: set[str] = set()
    unique = []
    for name, identifier in zip(names, ids, strict=True):
        new = name
        if name in seen:
            new = _untaken(name, identifier, taken)
            taken.add(new)
        seen.add(new)
        unique.append(new)
    return unique


def _untaken(name: str, identifier: str, taken: Container[str]) -> str:
    if identifier not in ("", name) and (wanted := f"{name}_{identifier}") not in taken:
        return wanted
    return next(new for n in itertools.count(1) if (new := f"{name}-{n}") not in taken)
