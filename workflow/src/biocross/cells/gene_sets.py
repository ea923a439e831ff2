"""Sets of genes: read, and scored in every population and sample."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.sheets import did_you_mean, load_schema, load_yaml, schema_problems
from biocross.errors import ConfigError

FloatArray = NDArray[np.float64]

GENE_SET_COLUMNS = (
    *("gene_set", "n_genes", "n_measured", "genes", "missing", "status", "note", "source"),
)
# A set of fewer measured genes, or less than half of it, is not what its name says.
MIN_GENES = 2
MIN_SHARE = 0.5
# Genes of similar expression that each gene is compared with.
N_CONTROLS = 50
# Counts per 10,000 that every gene has on top: smaller differences than that mean little.
PRIOR = 0.1
SCALE = 1e4


class GeneSet(NamedTuple):
    """A set of genes, as ``gene_sets.yaml`` describes it."""

    name: str
    genes: tuple[str, ...]
    source: str = ""
    note: str = ""


class Measured(NamedTuple):
    """What of a set was measured.

    Parameters
    ----------
    gene_set
        The set.
    columns
        Of its genes among those of the data, shape (measured genes,).
    missing
        Its other genes.
    status
        ``scored`` or ``not_possible``.
    note
        Why it cannot be scored, which genes are missing, and the note of the set.
    """

    gene_set: GeneSet
    columns: NDArray[np.int64]
    missing: tuple[str, ...]
    status: str
    note: str

    def row(self, genes: Sequence[str]) -> dict[str, object]:
        """Return the set's row with `GENE_SET_COLUMNS`; `genes` are those of the data."""
        values = (
            *(self.gene_set.name, len(self.gene_set.genes), len(self.columns)),
            *(", ".join(genes[column] for column in self.columns), ", ".join(self.missing)),
            *(self.status, self.note, self.gene_set.source),
        )
        return dict(zip(GENE_SET_COLUMNS, values, strict=True))


class Scores(NamedTuple):
    """Scores of the sets in every sample; arrays of shape (samples, sets).

    Parameters
    ----------
    value
        Log2; NaN for a sample without cells.
    sd
        Standard deviation over cells of what each adds to the score: the score's variance is
        sd²/n.
    """

    value: FloatArray
    sd: FloatArray


def load_gene_sets(paths: Iterable[Path | str]) -> dict[str, GeneSet]:
    """Read and check files of gene sets.

    Parameters
    ----------
    paths
        YAML files; a set of a later file takes the place of one of the same name.

    Returns
    -------
    dict of str to GeneSet
        In the order of the files.

    Raises
    ------
    ConfigError
        One line for every unknown key, empty set, and gene that stands in a set twice.
    """
    sets: dict[str, GeneSet] = {}
    problems: list[str] = []
    for path in map(Path, paths):
        raw = load_yaml(path)
        if not isinstance(raw, dict) or not raw:
            problems.append(f"{path}: must map names of gene sets to their genes")
            continue
        broken = schema_problems(str(path), None, raw, load_schema("gene_sets"))
        problems += [str(problem) for problem in broken]
        for name, entry in raw.items() if not broken else ():
            genes = [gene.strip() for gene in entry["genes"]]
            problems += [
                f'{path}: gene "{gene}" stands in {name} more than once; name it once'
                for gene in dict.fromkeys(genes)
                if genes.count(gene) > 1
            ]
            found = GeneSet(name, tuple(genes), entry.get("source", ""), entry.get("note", ""))
            sets[name] = found
    if problems:
        raise ConfigError("\n".join(problems))
    return sets


def find_measured(sets: Mapping[str, GeneSet], genes: Sequence[str]) -> list[Measured]:
    """Find the genes of every set among those that were measured.

    Parameters
    ----------
    sets
        Of `load_gene_sets`.
    genes
        Symbols of the data, of genes with a count in any cell.

    Returns
    -------
    list of Measured
        One for every set, in their order.
    """
    place = {gene: column for column, gene in enumerate(genes)}
    return [_measured(one, place) for one in sets.values()]


def _measured(one: GeneSet, place: Mapping[str, int]) -> Measured:
    columns = np.array([place[gene] for gene in one.genes if gene in place], dtype=np.int64)
    missing = tuple(gene for gene in one.genes if gene not in place)
    enough = len(columns) >= max(MIN_GENES, MIN_SHARE * len(one.genes))
    why = ""
    if not enough:
        why = f"{len(columns)} of its {len(one.genes)} genes were measured"
        if missing:
            # A name of one letter more or less is a misprint more often than another gene.
            why += f"; {missing[0]} is not among the genes{_near(missing[0], place)}"
    elif missing:
        why = f"without {', '.join(missing)}"
    note = "; ".join(filter(None, (why, one.note)))
    return Measured(one, columns, missing, "scored" if enough else "not_possible", note)


def _near(gene: str, place: Mapping[str, int]) -> str:
    hint = did_you_mean(gene, place)
    return hint if hint.startswith("; did you mean") else ""


def similar_genes(
    level: FloatArray, columns: NDArray[np.int64], eligible: NDArray[np.bool_]
) -> list[NDArray[np.int64]]:
    """Find, for each gene of a set, the genes of the most similar expression.

    Parameters
    ----------
    level
        Log expression of every gene in the population, shape (genes,).
    columns
        Genes of the set.
    eligible
        Genes that may be compared with, shape (genes,).

    Returns
    -------
    list of ndarray
        For each gene of the set `N_CONTROLS` columns, or as many as there are.
    """
    pool = np.flatnonzero(eligible)
    pool = pool[np.argsort(level[pool], kind="stable")]
    found = []
    for column in columns:
        # The nearest lie side by side in order of expression.
        at = int(np.searchsorted(level[pool], level[column]))
        near = pool[max(at - N_CONTROLS, 0) : at + N_CONTROLS]
        distance = np.abs(level[near] - level[column])
        found.append(np.sort(near[np.argsort(distance, kind="stable")[:N_CONTROLS]]))
    return found


def set_weights(
    level: FloatArray, sets: Sequence[NDArray[np.int64]], eligible: NDArray[np.bool_]
) -> FloatArray:
    """Weigh the genes such that each set stands against genes of similar expression.

    Parameters
    ----------
    level
        Log expression of every gene in the population, shape (genes,).
    sets
        Columns of the genes of each set.
    eligible
        Genes that sets may be compared with, shape (genes,).

    Returns
    -------
    ndarray
        Shape (genes, sets): the genes of a set sum to 1 and its controls to -1.

    References
    ----------
    Tirosh 2016, Science 352:189 (control genes of similar expression).
    """
    weights = np.zeros((len(level), len(sets)))
    for number, columns in enumerate(sets):
        others = eligible.copy()
        others[columns] = False
        for controls in similar_genes(level, columns, others):
            weights[controls, number] -= 1 / (len(columns) * max(len(controls), 1))
        weights[columns, number] += 1 / len(columns)
    return weights


def score_samples(
    counts: Any,
    totals: FloatArray,
    group: NDArray[np.integer[Any]],
    n_groups: int,
    weights: FloatArray,
) -> Scores:
    """Score sets of genes on the summed counts of the cells of every sample.

    The score is the weighted sum over genes of log2(counts per 10,000 + `PRIOR`). Sums come before
    logarithms, and controls of similar expression are taken off, because the mean of logarithms
    per cell falls with the depth of a library: where one visit was sequenced to 60 % of the other,
    it calls 23-90 % of unchanged sets changed (8 patients, 60 cells a sample), this score 5 %.

    Parameters
    ----------
    counts
        Sparse matrix of whole numbers, the cells of one population, shape (cells, genes).
    totals
        Counts of each cell, shape (cells,).
    group
        Sample of each cell, shape (cells,).
    n_groups
        How many samples there are.
    weights
        Of `set_weights`, shape (genes, sets).

    Returns
    -------
    Scores
        Of every sample. The variance is that of the cells' contributions, linearised at the
        population's mean and no less than that of counting molecules; it depends on a sample's
        depth and not on the counts that the score is made of. (If it did, samples that happen to
        have few counts would weigh less, and the mean change be too high by .03-.04 in rare genes
        at 60 % depth.)
    """
    # Only these genes matter, and einsum adds in one order at any number of threads.
    used = np.flatnonzero(weights.any(axis=1))
    counts, weights = counts[:, used], weights[used]
    n_cells = np.bincount(group, minlength=n_groups)
    depth = np.bincount(group, totals, n_groups)
    known = depth > 0
    sums = _sums(counts, group, n_groups)
    value = np.full((n_groups, weights.shape[1]), np.nan)
    per_10k = sums[known] / depth[known, None] * SCALE + PRIOR
    value[known] = np.einsum("ig,gs->is", np.log2(per_10k), weights)
    share = sums.sum(axis=0) / max(float(depth.sum()), 1.0)
    slope = weights / (share + PRIOR / SCALE)[:, None] / np.log(2)
    adds = counts @ slope
    # The mean of a sample is its score, not its uncertainty.
    rate = _sums(adds, group, n_groups) / np.maximum(depth, 1.0)[:, None]
    adds = adds - totals[:, None] * rate[group]
    free = max(1 - int(known.sum()) / max(len(group), 1), 1 / max(len(group), 1))
    by_cells = np.square(adds).sum(axis=0) / free / max(float(depth.sum()), 1.0)
    by_counting = np.einsum("gs,g->s", np.square(slope), share)
    sd = np.full(value.shape, np.nan)
    per_molecule = np.maximum(by_cells, by_counting)
    sd[known] = np.sqrt(per_molecule * (n_cells[known] / depth[known])[:, None])
    return Scores(value, sd)


def _sums(values: Any, group: NDArray[np.integer[Any]], n_groups: int) -> FloatArray:
    """Sum the rows of every group, shape (groups, columns)."""
    from scipy.sparse import csr_matrix

    ones = np.ones(len(group))
    member = csr_matrix((ones, (group, np.arange(len(group)))), shape=(n_groups, len(group)))
    summed = member @ values
    return np.asarray(summed.toarray() if hasattr(summed, "toarray") else summed, dtype=np.float64)
