"""Walk down the vocabulary with every cell: at each branch the best-supported population."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cells.marker_scores import (
    Markers,
    contrast_weights,
    plain_protein,
    positions,
    weighted_level,
)

ROOT = "leukocytes"
UNASSIGNED = "unassigned"
# Least score of a population that RNA resolves, and of one that it does not, or only in part or by
# a set of genes: there a wrong claim is worse than none.
LEAST_SCORE = 0.2
LEAST_SCORE_DOUBTFUL = 0.5
# Least lead over the runner-up, as a share of the best score.
LEAST_CONFIDENCE = 0.15
# An absent marker does no harm below the first level (ambient RNA), and forbids the population
# above the second.
VETO = (0.2, 0.6)
ROUNDS = 3
# Each marker that the vocabulary names brings this much doubt, dispelled by the weight of those
# measured: all of them bring 80 % of their mean level, one good one of four 50 %, and one that
# other populations have too (weight .1) 9 %.
DOUBT = 0.25
FULL_SCORE = 1 / (1 + DOUBT)
# A cell is not forbidden a population whose veto leaves more than this of the score.
LEAST_VETO_FACTOR = 0.25


class Evidence(NamedTuple):
    """Levels of genes and proteins, 0 to 1.

    Parameters
    ----------
    genes
        Shape (cells, genes).
    gene_columns
        Column by symbol.
    proteins
        Shape (cells, proteins); NaN where a protein does not divide the cells.
    protein_columns
        Column by name as `plain_protein` writes it.
    """

    genes: NDArray[np.float64]
    gene_columns: Mapping[str, int]
    proteins: NDArray[np.float64]
    protein_columns: Mapping[str, int]

    def of(self, cells: NDArray[np.bool_]) -> "Evidence":
        """Keep some of the cells."""
        return self._replace(genes=self.genes[cells], proteins=self.proteins[cells])


class Decision(NamedTuple):
    """What the cells are, by one branch of the vocabulary.

    Parameters
    ----------
    codes
        Position of the population among the candidates; -1 for undecided, shape (cells,).
    confidence
        Lead of the best over the runner-up as a share of the best score, 0 to 1, shape (cells,).
    scores
        Shape (cells, candidates).
    allowed
        Candidates that no absent marker forbids, shape (cells, candidates).
    spoken_for
        Whether markers speak for any candidate, be it for two alike, shape (cells,).
    """

    codes: NDArray[np.int64]
    confidence: NDArray[np.float64]
    scores: NDArray[np.float64]
    allowed: NDArray[np.bool_]
    spoken_for: NDArray[np.bool_]


def children(name: str, markers: Mapping[str, Markers]) -> list[str]:
    """List what is told apart within a population, in the order of the vocabulary."""
    return [child.name for child in markers.values() if child.gated_under == name]


def has_evidence(markers: Markers, evidence: Evidence) -> bool:
    """Whether a marker of the population, present on it, was measured."""
    return bool(
        len(positions(markers.present, evidence.gene_columns)) or _own_proteins(markers, evidence)
    )


def is_resolved(markers: Markers, evidence: Evidence) -> bool:
    """Whether the data can count a population: by RNA, or by surface proteins where RNA cannot."""
    if markers.resolves != "no":
        return True
    return len(_own_proteins(markers, evidence)) > 0 and all(
        plain_protein(name) in evidence.protein_columns for name in markers.proteins_present
    )


def stand_ins(name: str, markers: Mapping[str, Markers], evidence: Evidence) -> list[str]:
    """Name the populations whose markers speak for a population.

    Parameters
    ----------
    name
        The population.
    markers
        The vocabulary.
    evidence
        What was measured.

    Returns
    -------
    list of str
        The population itself where a marker of its own was measured; else those of its children,
        or of theirs, that have more than half of their markers (dendritic cells are pDC or cDC2).
    """
    if has_evidence(markers[name], evidence):
        return [name]
    return [
        child
        for below in children(name, markers)
        for child in stand_ins(below, markers, evidence)
        if 2 * _n_measured(markers[child], evidence) > _n_named(markers[child])
    ]


def decide(
    candidates: Sequence[str], markers: Mapping[str, Markers], evidence: Evidence
) -> Decision:
    """Choose among the populations of one branch, cell by cell.

    A marker that other candidates express as strongly loses its weight (LYZ is on dendritic cells
    as on monocytes, CD16 on NK cells as on neutrophils), be it a gene or a protein,
    in `ROUNDS` rounds of scoring and weighing; an absent marker vetoes.

    Parameters
    ----------
    candidates
        Populations that exclude each other, each with a stand-in, or a remainder.
    markers
        The vocabulary.
    evidence
        Levels of the cells of this branch.

    Returns
    -------
    Decision
        Undecided where no score is large enough or two are alike.
    """
    speakers = [
        (code, name)
        for code, candidate in enumerate(candidates)
        for name in (
            [candidate]
            if is_remainder(markers[candidate])
            else stand_ins(candidate, markers, evidence)
        )
    ]
    sides = np.array([code for code, _ in speakers])
    rivals = sides[:, None] != sides[None, :]
    levels = np.hstack([evidence.genes, evidence.proteins])
    columns = [_columns(markers[name], evidence) for _, name in speakers]
    weights = [np.ones(len(part)) for part in columns]
    vetoes = [_veto(markers, name, candidates[code], evidence) for code, name in speakers]
    least = np.array([_least_score(markers[candidates[code]]) for code in sides])
    mildest = [
        np.max([veto for side, veto in zip(sides, vetoes, strict=True) if side == code], axis=0)
        for code in range(len(candidates))
    ]
    allowed = np.column_stack(mildest) > LEAST_VETO_FACTOR
    spoken_for_once = np.zeros(len(evidence.genes), dtype=bool)
    for _ in range(ROUNDS):
        scores = _scores(speakers, markers, evidence, levels, columns, weights, vetoes)
        # Below its least a score still counts as a rival, but half.
        scores[scores < least] *= 0.5
        best = scores.argmax(axis=1)
        # The members of a union do not compete with each other.
        joined = np.column_stack(
            [scores[:, sides == code].max(axis=1) for code in range(len(candidates))]
        )
        confidence = _lead(joined)
        spoken_for = scores.max(axis=1) >= least[best]
        spoken_for_once |= spoken_for
        sure = (confidence >= LEAST_CONFIDENCE) & spoken_for
        codes = np.where(sure, best, -1)
        weights = contrast_weights(levels, codes, columns, rivals, weights)
    chosen = np.where(sure, sides[best], -1)
    certain = np.where(sure, confidence, 0.0)
    return Decision(chosen, certain, joined, allowed, spoken_for_once)


def is_remainder(markers: Markers) -> bool:
    """Whether a population is what its siblings leave over: the vocabulary names no marker."""
    return markers.resolves == "module" and not markers.present and not markers.proteins_present


def _least_score(markers: Markers) -> float:
    doubtful = markers.resolves not in ("yes", "union") and not is_remainder(markers)
    return LEAST_SCORE_DOUBTFUL if doubtful else LEAST_SCORE


def _scores(
    speakers: Sequence[tuple[int, str]],
    markers: Mapping[str, Markers],
    evidence: Evidence,
    levels: NDArray[np.float64],
    columns: Sequence[NDArray[np.int64]],
    weights: Sequence[NDArray[np.float64]],
    vetoes: Sequence[NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Score every speaker; a remainder gets what the best of the others leaves of a full score."""
    scores = np.column_stack(
        [
            _score(markers[name], evidence, levels, part, weight) * veto
            for (_, name), part, weight, veto in zip(
                speakers, columns, weights, vetoes, strict=True
            )
        ]
    )
    remainders = [is_remainder(markers[name]) for _, name in speakers]
    if any(remainders) and not all(remainders):
        others = scores[:, np.logical_not(remainders)].max(axis=1)
        scores[:, remainders] = np.maximum(FULL_SCORE - others, 0)[:, None]
    return scores


def _lead(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lead of the best score over the second, as a share of the best.

    A single candidate competes with what it leaves of a full score.
    """
    if scores.shape[1] == 1:
        best = scores[:, 0]
        second = np.minimum(FULL_SCORE - best, best)
    else:
        ordered = np.sort(scores, axis=1)
        best, second = ordered[:, -1], ordered[:, -2]
    return np.asarray((best - second) / np.maximum(best, 1e-12))


def _columns(markers: Markers, evidence: Evidence) -> NDArray[np.int64]:
    """Find a population's markers among the levels of genes and, behind them, of proteins."""
    genes = positions(markers.present, evidence.gene_columns)
    proteins = np.array(_own_proteins(markers, evidence), dtype=np.int64)
    if _is_told_by_proteins(markers, evidence):
        genes = genes[:0]
    return np.concatenate([genes, evidence.genes.shape[1] + proteins])


def _score(
    markers: Markers,
    evidence: Evidence,
    levels: NDArray[np.float64],
    columns: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Weighted level of genes and proteins; of proteins alone where RNA cannot tell.

    The proteins of a population together count as much as its genes: they are fewer, but a
    protein is seen on every cell that has it.
    """
    if _is_told_by_proteins(markers, evidence):
        return weighted_level(levels, columns, weights)
    are_proteins = columns >= evidence.genes.shape[1]
    n_proteins = int(are_proteins.sum())
    n_genes = len(columns) - n_proteins
    if n_genes and n_proteins:
        weights = weights * np.where(are_proteins, n_genes / n_proteins, 1.0)
    doubt = DOUBT * (len(markers.present) + (n_genes or 1) * (n_proteins > 0))
    level = weighted_level(levels, columns, weights)
    return np.asarray(np.nan_to_num(level) * weights.sum() / max(weights.sum() + doubt, DOUBT))


def _is_told_by_proteins(markers: Markers, evidence: Evidence) -> bool:
    """Whether a population that RNA cannot tell is told by its proteins, all of them measured."""
    return markers.resolves == "no" and is_resolved(markers, evidence)


def _veto(
    markers: Mapping[str, Markers], name: str, candidate: str, evidence: Evidence
) -> NDArray[np.float64]:
    """Factor from 1 to 0 by the markers that must be absent from a population or its union."""
    factor = np.ones(len(evidence.genes))
    low, high = VETO
    for each in dict.fromkeys((name, candidate)):
        genes = positions(markers[each].absent, evidence.gene_columns)
        names = [plain_protein(protein) for protein in markers[each].proteins_absent]
        proteins = positions(names, evidence.protein_columns)
        for level in (
            weighted_level(evidence.genes, genes, np.ones(len(genes))),
            _highest(evidence.proteins, proteins),
        ):
            if not np.isnan(level).all():
                factor = factor * np.clip((high - level) / (high - low), 0, 1)
    return factor


def _highest(levels: NDArray[np.float64], columns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Highest level among proteins: any one of a dump channel's forbids."""
    known = [column for column in columns if not np.isnan(levels[:, column]).any()]
    if not known:
        return np.full(len(levels), np.nan)
    highest: NDArray[np.float64] = levels[:, known].max(axis=1)
    return highest


def _n_measured(markers: Markers, evidence: Evidence) -> int:
    genes = positions(markers.present, evidence.gene_columns)
    return len(genes) + len(_own_proteins(markers, evidence))


def _n_named(markers: Markers) -> int:
    return len(markers.present)


def _own_proteins(markers: Markers, evidence: Evidence) -> list[int]:
    names = [plain_protein(name) for name in markers.proteins_present]
    found = positions(names, evidence.protein_columns)
    return [int(c) for c in found if not np.isnan(evidence.proteins[:, c]).any()]
