"""What an analysis of the simulated libraries ought to find."""

import numpy as np

from biocross.simulate.arrays import leaf_columns, leaf_folds, members_of, tree_of
from biocross.simulate.composition import Floats, cells_per_ul
from biocross.simulate.effects import State
from biocross.simulate.model import Study
from biocross.simulate.people import usual_state
from biocross.simulate.rna.arrays import (
    expression_of,
    gene_shifts,
    genes_of,
    inherited,
    rna_of,
)

GENE_COLUMNS = (
    "treatment",
    "visit",
    "population",
    "gene",
    "log2_fold_change",
    "planted",
    "changed",
)
# A true log2 fold change below this is no change.
NULL_LOG2 = 0.05


def true_gene_changes(study: Study) -> list[dict[str, str | float]]:
    """Compute the expected change of genes in the cells of a population taken together.

    Two things change what a population expresses: what is planted on its genes, and its
    composition: where Th2 cells multiply, the CD4 T cells have more PTGDR2. The expectation is
    that of a patient with the usual blood and response, without any other variation; it depends
    on no seed.

    Parameters
    ----------
    study
        The study.

    Returns
    -------
    list of dict
        Rows of ``genes.tsv``: the genes whose ``log2_fold_change`` (of their share of the
        population's molecules, since the first visit) is at least 0.05 from 0, for which
        ``changed`` is true, and every gene with a planted change anywhere in the study. No other
        gene changes. ``planted`` is the planted log2 change where all parts of the population
        have the same one, and empty elsewhere.
    """
    genes = genes_of(rna_of(study))
    first, *later = study.visits
    members = members_of(study, study.reported)
    planted_anywhere = np.zeros(len(genes), dtype=bool)
    usual_states = {
        (treatment, visit): usual_state(study, treatment, visit)
        for treatment in study.treatments
        for visit in later
    }
    for contrast, usual in usual_states.items():
        planted_anywhere |= (gene_shifts(study, *contrast, usual) != 0).any(axis=0)
    rows: list[dict[str, str | float]] = []
    for (treatment, visit), usual in usual_states.items():
        before = _expected_shares(study, treatment, first, usual)
        change = np.log2(_expected_shares(study, treatment, visit, usual) / before)
        shifts = gene_shifts(study, treatment, visit, usual)
        for i, population in enumerate(study.reported):
            own = shifts[members[i]]
            for gene in np.flatnonzero((np.abs(change[i]) >= NULL_LOG2) | planted_anywhere):
                alike = bool((own[:, gene] == own[0, gene]).all())
                rows.append(
                    {
                        "treatment": treatment,
                        "visit": visit,
                        "population": population,
                        "gene": genes[gene],
                        "log2_fold_change": round(float(change[i, gene]), 6) + 0.0,
                        "planted": float(own[0, gene]) if alike else "",
                        "changed": bool(abs(change[i, gene]) >= NULL_LOG2),
                    }
                )
    return rows


def kept_cells(study: Study) -> Floats:
    """Tell what share of each leaf the preparation keeps, shape (leaves,)."""
    return inherited(study, rna_of(study).recovery)


def _expected_shares(study: Study, treatment: str, visit: str, state: State) -> Floats:
    """Compute the genes' shares of the molecules of populations, shape (populations, genes)."""
    middle = np.zeros((1, len(study.populations)))
    cells = cells_per_ul(tree_of(study), middle, middle)[0, leaf_columns(study)]
    cells = cells * leaf_folds(study, treatment, visit, state) * kept_cells(study)
    molecules = cells * inherited(study, rna_of(study).molecules.content)
    expression = expression_of(study) * 2 ** gene_shifts(study, treatment, visit, state)
    sums = np.array(
        [
            (expression[own] * molecules[own, None]).sum(axis=0)
            for own in members_of(study, study.reported)
        ]
    )
    shares: Floats = sums / sums.sum(axis=1, keepdims=True)
    return shares
