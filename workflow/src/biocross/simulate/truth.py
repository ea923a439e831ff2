"""What an analysis of the simulated cohort ought to find."""

import itertools
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from biocross.simulate.arrays import (
    leaf_columns,
    leaf_folds,
    leaf_shifts,
    members_of,
    parents_of,
    tree_of,
)
from biocross.simulate.composition import Floats, cells_per_ul, log_fold_changes, log_odds_ratios
from biocross.simulate.effects import MARKER, State
from biocross.simulate.model import Study
from biocross.simulate.people import (
    VIRTUAL_STATES,
    Attended,
    response_of,
    state_of,
    usual_state,
    virtual_states,
)
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
STATE_COLUMNS = ("patient_id", "treatment", "visit", "resists", "response", "steroid_taper")
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
        Rows of ``effects.tsv``. ``fold_change`` is the geometric mean over patients of the
        change of cells per µl since the first visit, ``log_odds_ratio`` the mean of the change of
        log(cells / other cells of the parent). ``changed`` says whether the latter is at least
        0.02 from 0, ``changed_per_ul`` whether the log of the former is.
    """
    names = study.reported
    members = members_of(study, names)
    parents = members_of(study, parents_of(study, names))
    usual = _virtual_blood(study) * (1.0 if kept is None else kept)
    _, *later = study.visits
    rows: list[dict[str, str | float]] = []
    for treatment in study.treatments:
        for visit in later:
            after = usual * _virtual_folds(study, treatment, visit)
            per_ul = log_fold_changes(usual, after, members).mean(axis=0)
            odds = log_odds_ratios(usual, after, members, parents).mean(axis=0)
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
        Rows of ``markers.tsv``, for the mean response and taper; 0 where nothing was planted.
    """
    state_markers = [channel.marker for channel in study.signals if channel.kind == "state"]
    none = np.zeros(len(study.leaves))
    rows: list[dict[str, str | float]] = []
    for treatment, visit in itertools.product(study.treatments, list(study.visits)[1:]):
        usual = usual_state(study, treatment, visit)
        shifts = leaf_shifts(study, treatment, visit, usual, MARKER)
        for name, marker in itertools.product(study.reported, state_markers):
            looks = {
                (study.populations[leaf].stains.get(marker), float(shift))
                for leaf, shift in zip(study.leaves, shifts.get(marker, none), strict=True)
                if name in study.lineage_of(leaf)
            }
            if len(looks) > 1:
                continue
            shift = next(iter(looks))[1]
            row = {"treatment": treatment, "visit": visit, "population": name, "marker": marker}
            rows.append({**row, "log2_shift": round(shift, 6), "changed": shift != 0})
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
        Rows of ``counts.tsv``.
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


def true_states(
    study: Study, seed: int, visits: Iterable[Attended]
) -> Iterable[dict[str, str | float]]:
    """Tell how patients respond.

    Parameters
    ----------
    study, seed
        The study.
    visits
        The patients' visits.

    Yields
    ------
    dict
        Rows of ``patients.tsv`` in ``truth/``. `response` is in units of the mean one.
    """
    for visit in visits:
        state = state_of(study, seed, visit)
        yield {
            "patient_id": visit.patient_id,
            "treatment": visit.treatment,
            "visit": visit.visit,
            "resists": response_of(study, seed, visit.patient_id)[0],
            "response": state.response,
            "steroid_taper": state.taper,
        }


def _virtual_blood(study: Study) -> Floats:
    """Draw cells per µl of the leaves in many untreated patients, shape (patients, leaves)."""

    def normal(what: str) -> Floats:
        columns = [stream(0, what, name).standard_normal(_PATIENTS) for name in study.populations]
        return np.stack(columns, axis=1)

    cells = cells_per_ul(tree_of(study), normal("virtual usual"), normal("virtual visit"))
    leaves: Floats = cells[:, leaf_columns(study)]
    return leaves


def _virtual_folds(study: Study, treatment: str, visit: str) -> Floats:
    """Compute what a treatment does to patients who respond as the study says.

    Where effects follow the response or a taper, virtual patients have states of their own.
    """
    if not any(effect.follows for effect in study.treatments[treatment].effects):
        return leaf_folds(study, treatment, visit, State())
    states = virtual_states(study, treatment, visit)
    folds = np.array([leaf_folds(study, treatment, visit, state) for state in states])
    return np.tile(folds, (_PATIENTS // VIRTUAL_STATES, 1))
