"""From named cells to what is tested: counts, sums of RNA, scores of gene sets, proteins."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cells.gene_sets import GENE_SET_COLUMNS, find_measured, load_gene_sets
from biocross.cells.population_expression import EXPRESSION_COLUMNS, expression_rows
from biocross.cells.pseudobulk import Pseudobulk, sum_counts
from biocross.cells.tally import (
    CELLS_COLUMNS,
    COUNT_COLUMNS,
    Tally,
    cells_rows,
    count_rows,
    mixed_populations,
    tally_cells,
)
from biocross.cohort.vocabulary import load_vocabulary
from biocross.intact import open_h5ad, write_h5ad
from biocross.tables import read_rows, write_rows


class Named(NamedTuple):
    """The named cells.

    Parameters
    ----------
    counts
        Sparse matrix, shape (cells, genes); whole numbers only if `is_integer`.
    genes
        Symbols.
    sample_id, population
        Of each cell, shape (cells,).
    proteins, protein_names
        CLR-normalised, NaN where not measured, shape (cells, proteins).
    is_integer
        Whether `counts` are counts; else there are none.
    """

    counts: Any
    genes: list[str]
    sample_id: NDArray[np.object_]
    population: NDArray[np.object_]
    proteins: NDArray[np.float64]
    protein_names: list[str]
    is_integer: bool


def summarise_cells(
    cells: Path | str,
    annotation: Path | str,
    samples: Path | str,
    populations: Path | str,
    gene_sets: Sequence[Path | str],
    counts_out: Path | str,
    expression_out: Path | str,
    pseudobulk_out: Path | str,
    cells_per_population_out: Path | str,
    gene_sets_out: Path | str,
) -> None:
    """Count the cells of every population, sum their RNA, and score sets of genes.

    Parameters
    ----------
    cells, annotation
        ``results/cells/cells.h5ad`` and ``annotation.tsv``, which says what could be told.
    samples
        ``results/cohort/samples.tsv``.
    populations
        ``populations.yaml``.
    gene_sets
        Files of gene sets, the user's own last.
    counts_out
        A row per sample and population, as `flow.clusters.counting` has them; without a count
        where the data cannot tell a population or a sample has no cells.
    expression_out
        Scores of gene sets and medians of proteins per sample and population.
    pseudobulk_out
        AnnData of summed counts: a row per population and sample with cells.
    cells_per_population_out
        A row per sample and population, with `CELLS_COLUMNS`.
    gene_sets_out
        A row per set of genes, with `GENE_SET_COLUMNS`.

    Raises
    ------
    ConfigError
        A file of gene sets or the vocabulary is wrong.
    TableError
        The cells name a sample that the sheet does not know.
    """
    vocabulary = load_vocabulary(Path(populations))
    sets = load_gene_sets(gene_sets)
    told = {row["population"]: row for row in read_rows(annotation)}
    named = read_cells(cells)
    sheet = [row for row in read_rows(samples) if row["modality"] == "rna"]
    tally = tally_cells(named.sample_id, named.population, sheet, told, vocabulary)
    print(f"{len(named.sample_id)} cells, {len(tally.counted)} populations", flush=True)
    write_rows(counts_out, COUNT_COLUMNS, count_rows(tally, vocabulary))
    mixed = mixed_populations(vocabulary)
    tested = [name for name in tally.counted if name not in mixed]
    sums = sum_populations(named, tally, tested)
    rows = cells_rows(tally, tested, sums, told, vocabulary, named.is_integer)
    write_rows(cells_per_population_out, CELLS_COLUMNS, rows)
    _write_pseudobulk(pseudobulk_out, named, tally, tested, sums)
    print("scoring sets of genes and proteins", flush=True)
    expressed = np.asarray(named.counts.sum(axis=0)).ravel() > 0
    measured = find_measured(
        sets, [gene if seen else "" for gene, seen in zip(named.genes, expressed, strict=True)]
    )
    if not named.is_integer:
        why = "the counts are no whole numbers, as if normalised; scores need raw counts"
        measured = [one._replace(status="not_possible", note=why) for one in measured]
    write_rows(gene_sets_out, GENE_SET_COLUMNS, (one.row(named.genes) for one in measured))
    inside = {name: np.isin(named.population, tally.counted[name]) for name in tested}
    ids = [row["sample_id"] for row in tally.samples]
    scored = [one for one in measured if one.status == "scored"]
    write_rows(expression_out, EXPRESSION_COLUMNS, expression_rows(named, ids, inside, scored))


def read_cells(path: Path | str) -> Named:
    """Read of ``cells.h5ad`` what is summed, and leave the rest on the disk.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Named
        The cells.
    """
    from anndata.io import read_elem

    with open_h5ad(path) as file:
        obs = read_elem(file["obs"])
        var = read_elem(file["var"])
        whole = "counts" in file["layers"]
        counts = read_elem(file["layers/counts" if whole else "X"]).tocsr()
        proteins, names = np.empty((len(obs), 0)), list[str]()
        if "proteins_clr" in file["obsm"]:
            proteins = np.asarray(read_elem(file["obsm/proteins_clr"]), dtype=np.float64)
            names = [str(name) for name in read_elem(file["uns/protein_names"])]
    return Named(
        counts,
        [str(gene) for gene in var.index],
        obs["sample_id"].astype(str).to_numpy(dtype=object),
        obs["population"].astype(str).to_numpy(dtype=object),
        proteins,
        names,
        whole,
    )


def sum_populations(named: Named, tally: Tally, tested: Sequence[str]) -> dict[str, Pseudobulk]:
    """Sum the counts of the cells of every population and sample.

    Parameters
    ----------
    named
        The cells; where they have no whole counts, sums are zero.
    tally
        Their samples and populations.
    tested
        Populations.

    Returns
    -------
    dict of str to Pseudobulk
        By population, a row per sample of the sheet.
    """
    place = {row["sample_id"]: position for position, row in enumerate(tally.samples)}
    codes = np.array([place[sample] for sample in named.sample_id], dtype=np.int64)
    # Only the finest populations are summed from cells; the others are sums of these.
    found = {
        finest: _summed(named, np.where(named.population == finest, codes, -1), len(place))
        for finest in dict.fromkeys(one for name in tested for one in tally.counted[name])
    }
    together = {}
    for name in tested:
        parts = [found[finest] for finest in tally.counted[name]]
        together[name] = Pseudobulk(
            np.sum([part.sums for part in parts], axis=0),
            np.sum([part.n_cells for part in parts], axis=0),
        )
    return together


def _summed(named: Named, group: NDArray[np.int64], n_groups: int) -> Pseudobulk:
    cells = np.flatnonzero(group >= 0)
    if named.is_integer:
        return sum_counts(named.counts[cells], group[cells], n_groups)
    n_cells = np.bincount(group[cells], minlength=n_groups).astype(np.int64)
    return Pseudobulk(np.zeros((n_groups, len(named.genes)), dtype=np.int64), n_cells)


def _write_pseudobulk(
    path: Path | str,
    named: Named,
    tally: Tally,
    tested: Sequence[str],
    sums: Mapping[str, Pseudobulk],
) -> None:
    """Write the sums of every population and sample with cells, as AnnData."""
    import anndata as ad
    import pandas as pd

    rows = [
        (name, sample["sample_id"], position)
        for name in tested
        for position, sample in enumerate(tally.samples)
        if sums[name].n_cells[position]
    ]
    obs = pd.DataFrame(
        {
            "sample_id": [sample for _, sample, _ in rows],
            "population": [name for name, _, _ in rows],
            "n_cells": np.array([sums[n].n_cells[p] for n, _, p in rows], dtype=np.int64),
        },
        index=pd.Index([f"{sample}:{name}" for name, sample, _ in rows], dtype=str),
    )
    values = np.zeros((len(rows), len(named.genes)), dtype=np.int64)
    for at, (name, _, position) in enumerate(rows):
        values[at] = sums[name].sums[position]
    summed = ad.AnnData(values, obs, pd.DataFrame(index=pd.Index(named.genes, dtype=str)))
    summed.uns["is_integer"] = named.is_integer
    write_h5ad(path, summed, compression="gzip")
