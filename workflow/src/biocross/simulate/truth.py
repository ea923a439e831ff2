"""What an analysis of the simulated cohort ought to find."""

import itertools
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from biocross.simulate.arrays import (
    leaf_columns,
    leaf_folds,
    marker_shift,
    members_of,
    parents_of,
    tree_of,
)
from biocross.simulate.composition import Floats, cells_per_ul, log_fold_changes, log_odds_ratios
from biocross.simulate.model import Study
from biocross.simulate.streams import stream

EFFECT_COLUMNS = (
    "treatment",
    "visit",
    "population",
    "parent",
    "fold_change",
    "log_odds_ratio",
    "changed",
    "changed_per_ul",
)
MARKER_COLUMNS = ("treatment", "visit", "population", "marker", "log2_shift", "changed")
COUNT_COLUMNS = ("sample_id", "population", "parent", "count", "parent_count")
# A true log effect below this is no change.
NULL = 0.02
_PATIENTS = 20_000


def true_effects(study: Study, kept: Floats | None = None) -> list[dict[str, str | float]]:
    """Compute the expected change of every population, by treatment and visit.

    Leaves change as planted. What that does to a percentage depends on the patient's other
    cells, so the expectation is taken over many patients that differ as the study says; it
    depends on no seed.

    Parameters
    ----------
    study
        The study.
    kept
        Share of each leaf that the preparation of the sample keeps, shape (leaves,); all of the
        blood where it is not given. Percentages are of what is kept.

    Returns
    -------
    list of dict
        Rows of ``truth_effects.tsv``. ``fold_change`` is the geometric mean over patients of the
        change of cells per µl since the first visit, ``log_odds_ratio`` the mean of the change of
        log(cells / other cells of the parent). ``changed`` says whether the latter is at least
        0.02 from 0, ``changed_per_ul`` whether the log of the former is.
    """
    names = study.reported
    members = members_of(study, names)
    parents = members_of(study, parents_of(study, names))
    usual = _virtual_blood(study) * (1.0 if kept is None else kept)
    first, *later = study.visits
    rows: list[dict[str, str | float]] = []
    for treatment in study.treatments:
        before = usual * leaf_folds(study, treatment, first)
        for visit in later:
            after = usual * leaf_folds(study, treatment, visit)
            per_ul = log_fold_changes(before, after, members).mean(axis=0)
            odds = log_odds_ratios(before, after, members, parents).mean(axis=0)
            rows += [
                {
                    "treatment": treatment,
                    "visit": visit,
                    "population": name,
                    "parent": study.populations[name].parent,
                    "fold_change": round(float(np.exp(log_fold)), 6),
                    "log_odds_ratio": round(float(log_odds), 6) + 0.0,
                    "changed": bool(abs(log_odds) >= NULL),
                    "changed_per_ul": bool(abs(log_fold) >= NULL),
                }
                for name, log_fold, log_odds in zip(names, per_ul, odds, strict=True)
            ]
    return rows


def true_marker_shifts(study: Study) -> list[dict[str, str | float]]:
    """List the planted change of every state marker on every population of like cells.

    The cells of a population are alike if all its parts bear the marker alike and change alike;
    that of others would change with their composition too.

    Parameters
    ----------
    study
        The study.

    Returns
    -------
    list of dict
        Rows of ``truth_markers.tsv``; 0 where nothing was planted.
    """
    state = [channel.marker for channel in study.signals if channel.kind == "state"]
    rows: list[dict[str, str | float]] = []
    for treatment in study.treatments:
        for visit in list(study.visits)[1:]:
            for name, marker in itertools.product(study.reported, state):
                looks = {
                    (
                        study.populations[leaf].stains.get(marker),
                        marker_shift(study, treatment, visit, leaf, marker),
                    )
                    for leaf in study.leaves
                    if name in study.lineage_of(leaf)
                }
                if len(looks) > 1:
                    continue
                shift = next(iter(looks))[1]
                rows.append(
                    {
                        "treatment": treatment,
                        "visit": visit,
                        "population": name,
                        "marker": marker,
                        "log2_shift": shift,
                        "changed": shift != 0,
                    }
                )
    return rows


def true_counts(
    study: Study, drawn: Mapping[str, NDArray[np.int64]]
) -> Iterable[dict[str, str | float]]:
    """Sum the live single cells that were drawn, by sample and population.

    Parameters
    ----------
    study
        The study.
    drawn
        Live single cells of every leaf, by sample.

    Yields
    ------
    dict
        Rows of ``truth_counts.tsv``.
    """
    names = study.reported
    parents = parents_of(study, names)
    own, whole = members_of(study, names), members_of(study, parents)
    for sample, counts in drawn.items():
        for i, name in enumerate(names):
            yield {
                "sample_id": sample,
                "population": name,
                "parent": parents[i],
                "count": int(counts[own[i]].sum()),
                "parent_count": int(counts[whole[i]].sum()),
            }


def _virtual_blood(study: Study) -> Floats:
    """Draw cells per µl of the leaves in many untreated patients, shape (patients, leaves)."""

    def normal(what: str) -> Floats:
        columns = [stream(0, what, name).standard_normal(_PATIENTS) for name in study.populations]
        return np.stack(columns, axis=1)

    cells = cells_per_ul(tree_of(study), normal("virtual usual"), normal("virtual visit"))
    leaves: Floats = cells[:, leaf_columns(study)]
    return leaves
