"""Which differences between cells may be removed: those of batches, never those of interest."""

from collections.abc import Sequence
from typing import NamedTuple

from biocross.cohort.sheets import counted
from biocross.errors import DesignError

# What the study asks about, or what its pairs rest on.
FORBIDDEN = {
    "visit": "the difference between visits is what the study asks about",
    "treatment": "the difference between treatments is what the study asks about",
    "patient_id": "patients are compared with themselves, so their differences do no harm",
    "sample_id": "a sample is a visit of a patient, and visits are what the study compares",
    "library": "libraries are often single visits of a patient",
    "level": "the difference between levels is what the study asks about",
    "stimulation": "the difference between stimulations is what the study asks about",
}


class BatchPlan(NamedTuple):
    """Whether batches are integrated, and why not, or what to know."""

    integrate: bool
    note: str


NOT_ASKED = BatchPlan(False, "not integrated: the configuration asks for none (cells.batch: null)")


def refuse_key(key: str) -> None:
    """Refuse to integrate over anything but a batch.

    Parameters
    ----------
    key
        The column to integrate over.

    Raises
    ------
    DesignError
        It is one of `FORBIDDEN`.
    """
    if key in FORBIDDEN:
        raise DesignError(
            f'cells cannot be integrated over "{key}": {FORBIDDEN[key]}; integrate over batch'
        )


def plan_batches(
    batches: Sequence[str], visits: Sequence[str], patients: Sequence[str]
) -> BatchPlan:
    """Decide whether removing batches would remove visits or patients.

    Parameters
    ----------
    batches, visits, patients
        Of each sample.

    Returns
    -------
    BatchPlan
        Not integrated where there is one batch, where every batch holds a single visit of
        several, and where every batch holds a single patient of several.
    """
    members = {
        batch: [i for i, other in enumerate(batches) if other == batch]
        for batch in dict.fromkeys(batches)
    }
    if len(members) < 2:
        return BatchPlan(False, "all cells are of one batch: there is nothing to integrate")
    of_visits = {b: {visits[i] for i in rows} for b, rows in members.items()}
    of_patients = {b: {patients[i] for i in rows} for b, rows in members.items()}
    # Two batches of the same visit or patient may differ without it; but then the removal still
    # takes a share of what separates the visits.
    if len(set(visits)) > 1 and all(len(found) == 1 for found in of_visits.values()):
        return BatchPlan(
            False,
            "not integrated: every batch holds a single visit, so that removing batches would "
            "remove the change between visits; clusters may follow the batch",
        )
    if len(set(patients)) > 1 and all(len(found) == 1 for found in of_patients.values()):
        return BatchPlan(
            False,
            "not integrated: every batch holds a single patient, so that removing batches would "
            "remove patients; clusters may follow the patient",
        )
    single = [batch for batch, found in of_visits.items() if len(found) == 1]
    if len(set(visits)) > 1 and single:
        note = f"{counted(len(single), 'batch').replace('batchs', 'batches')} of {len(members)}"
        verb = "holds" if len(single) == 1 else "hold"
        return BatchPlan(True, f"{note} {verb} a single visit ({', '.join(single[:5])})")
    return BatchPlan(True, f"integrated over {len(members)} batches, each with several visits")
