"""From the description of a study to what its populations express.

Levels of genes without a name are drawn once and for all, from no study's seed: they are part of
the description, as the named genes are.
"""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from biocross.errors import ConfigError
from biocross.simulate.arrays import leaf_shifts
from biocross.simulate.composition import Floats
from biocross.simulate.effects import GENE, State
from biocross.simulate.model import Study
from biocross.simulate.rna.model import DIVERGENT_SHARE, Transcriptomes
from biocross.simulate.streams import stream

_WHOLE = 10_000.0


def rna_of(study: Study) -> Transcriptomes:
    """Return what a study says about RNA; refuse one that says nothing."""
    if study.rna is None:
        raise ConfigError(
            "the study has no section `rna`, but samples.tsv names samples of single-cell RNA; "
            "describe it as in config/simulation/transcriptomes.yaml, or remove these rows"
        )
    return study.rna


def genes_of(rna: Transcriptomes) -> tuple[str, ...]:
    """List the genes: those with a name, those without, and the mitochondrial ones."""
    width = max(4, len(str(rna.background.genes)))
    nameless = [f"GENE{number:0{width}d}" for number in range(1, rna.background.genes + 1)]
    return (*rna.named_genes, *sorted(rna.ribosomal.genes), *nameless, *rna.mitochondria.genes)


def expression_of(study: Study) -> Floats:
    """Compute the shares that genes have of the molecules of every kind of cell.

    Parameters
    ----------
    study
        The study.

    Returns
    -------
    numpy.ndarray
        Shape (leaves, genes), genes as in `genes_of`; the nuclear genes of a leaf sum to 1, and so
        do its mitochondrial genes.

    Raises
    ------
    ConfigError
        The named genes of a population fill a cell alone.
    """
    rna = rna_of(study)
    named = _named_levels(study, rna)
    ribosomal = np.tile(_ribosomal_levels(rna), (len(study.leaves), 1))
    rest = _WHOLE - rna.ribosomal.level - named.sum(axis=1)
    if rest.min() <= 0:
        leaf = study.leaves[int(rest.argmin())]
        raise ConfigError(
            f"rna: the named and the ribosomal genes of {leaf} have {_WHOLE - rest.min():,.0f} of "
            "its 10,000 counts, so that none are left for the others; lower their levels"
        )
    nameless = _nameless_levels(study, rna)
    nameless *= (rest / nameless.sum(axis=1))[:, None]
    weights = np.array(list(rna.mitochondria.genes.values()))
    mitochondrial = np.tile(weights / weights.sum(), (len(study.leaves), 1))
    nuclear = np.concatenate([named, ribosomal, nameless], axis=1) / _WHOLE
    return np.concatenate([nuclear, mitochondrial], axis=1)


def gene_shifts(study: Study, treatment: str, visit: str, state: State) -> Floats:
    """Add up the planted changes of expression.

    Parameters
    ----------
    study
        The study.
    treatment, visit, state
        What changes it, when, and how much of that happens.

    Returns
    -------
    numpy.ndarray
        Log2 fold changes, shape (leaves, genes).
    """
    genes = genes_of(rna_of(study))
    shifts = np.zeros((len(study.leaves), len(genes)))
    for gene, log2 in leaf_shifts(study, treatment, visit, state, GENE).items():
        shifts[:, genes.index(gene)] = log2
    return shifts


def inherited(study: Study, values: Mapping[str, float], default: float = 1.0) -> Floats:
    """Give every leaf the value of the nearest population around it that has one.

    Parameters
    ----------
    study
        The study.
    values
        Values of some populations.
    default
        The value where none has one.

    Returns
    -------
    numpy.ndarray
        Shape (leaves,).
    """
    chains = [study.lineage_of(leaf) for leaf in study.leaves]
    return np.array(
        [next((values[name] for name in chain if name in values), default) for chain in chains]
    )


def _named_levels(study: Study, rna: Transcriptomes) -> Floats:
    genes = rna.named_genes
    rows = []
    for leaf in study.leaves:
        levels = {gene: rna.everywhere.get(gene, rna.leak) for gene in genes}
        for name in reversed(study.lineage_of(leaf)):
            levels |= rna.programmes.get(name, {})
        rows.append([levels[gene] for gene in genes])
    return np.array(rows)


def _ribosomal_levels(rna: Transcriptomes) -> Floats:
    weights = np.exp(rna.ribosomal.spread * _landscape("ribosomal", len(rna.ribosomal.genes)))
    levels: Floats = rna.ribosomal.level * weights / weights.sum()
    return levels


def _nameless_levels(study: Study, rna: Transcriptomes) -> Floats:
    """Let the levels of populations drift apart along the tree, each in a third of the genes."""
    size = rna.background.genes
    base = rna.background.spread * _landscape("level", size)
    rows = []
    for leaf in study.leaves:
        row = base.copy()
        for name in study.lineage_of(leaf):
            spread = rna.background.divergences.get(name, rna.background.divergence)
            row += spread * _drift(name, size)
        rows.append(np.exp(row))
    return np.array(rows)


def _landscape(what: str, size: int) -> Floats:
    return stream(0, "genes", what).standard_normal(size)


@lru_cache(maxsize=256)
def _drift(population: str, size: int) -> NDArray[np.float64]:
    rng = stream(0, "genes", "divergence", population)
    return np.where(rng.random(size) < DIVERGENT_SHARE, rng.standard_normal(size), 0.0)
