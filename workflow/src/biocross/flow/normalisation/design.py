"""Whether a study's design lets differences between batches be taken out at all."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from biocross.cohort.design import unlinked
from biocross.cohort.sheets import did_you_mean
from biocross.errors import ConfigError, DesignError

ANCHOR = "anchor"
METHODS = ("anchors", "range")
MEAN = "mean"


class BatchSample(NamedTuple):
    """A sample as normalisation sees it.

    Parameters
    ----------
    events
        Its prepared events.
    batch
        Samples stained and measured together.
    visit
        Of a patient's sample; empty for an anchor.
    patient
        Whose cells they are; for an anchor the donor, empty where there is but one.
    role
        ``sample`` or ``anchor``.
    """

    events: Path
    batch: str
    visit: str
    patient: str
    role: str

    @property
    def is_anchor(self) -> bool:
        """Whether it is the same material in every batch."""
        return self.role == ANCHOR


def check_design(samples: Sequence[BatchSample], method: str, goal: str) -> None:
    """Refuse designs of which normalisation would make a wrong result.

    Parameters
    ----------
    samples
        Patients' samples and anchors.
    method
        ``anchors`` or ``range``.
    goal
        ``mean``, or the batch that the others shall resemble.

    Raises
    ------
    ConfigError
        The method or the goal is unknown.
    DesignError
        There is one batch; visits and batches coincide; or a batch has no anchor.
    """
    if method not in METHODS:
        raise ConfigError(f'normalisation: "{method}" is no method{did_you_mean(method, METHODS)}')
    patients = [sample for sample in samples if not sample.is_anchor]
    batches = sorted({sample.batch for sample in patients})
    if len(batches) < 2:
        found = f'all are of batch "{batches[0]}"' if batches else "there are none"
        raise DesignError(
            f"normalisation needs patients' samples of two batches or more, but {found}; leave "
            "normalisation out, or correct the batches in samples.tsv"
        )
    if goal != MEAN and goal not in batches:
        hint = did_you_mean(goal, [*batches, MEAN])
        raise ConfigError(f'normalisation: there is no batch "{goal}" to resemble{hint}')
    _refuse_confounded(patients)
    if method == "anchors":
        _refuse_without_anchors(batches, [sample for sample in samples if sample.is_anchor])


def _refuse_confounded(patients: Sequence[BatchSample]) -> None:
    """Refuse visits that no chain of shared batches links."""
    batches_of: dict[str, set[str]] = {}
    for sample in patients:
        batches_of.setdefault(sample.visit, set()).add(sample.batch)
    if apart := unlinked(batches_of):
        linked = [visit for visit in batches_of if visit not in apart]
        reached, beyond = (
            set().union(*(batches_of[visit] for visit in visits)) for visits in (linked, apart)
        )
        raise DesignError(
            f"normalisation: visits and batches coincide: {_named('visit', linked)} was measured "
            f"in {_named('batch', reached)} alone, {_named('visit', apart)} in "
            f"{_named('batch', beyond)}. What differs between them may be the treatment, and would "
            "be removed; leave normalisation out"
        )


def _refuse_without_anchors(batches: Iterable[str], anchors: Sequence[BatchSample]) -> None:
    with_anchor = {sample.batch for sample in anchors}
    if wanting := [batch for batch in batches if batch not in with_anchor]:
        raise DesignError(
            f"normalisation: there is no anchor in {_named('batch', wanting)}; give samples.tsv "
            "the row of an anchor (role anchor) for each, or choose the method range"
        )


def shared_donors(samples: Sequence[BatchSample]) -> list[str]:
    """Find the donors whose anchors were measured in every batch.

    Parameters
    ----------
    samples
        Patients' samples and anchors.

    Returns
    -------
    list of str
        In order of names.

    Raises
    ------
    DesignError
        No donor is in all the batches.
    """
    batches_of: dict[str, set[str]] = {}
    for sample in samples:
        if sample.is_anchor:
            batches_of.setdefault(sample.patient, set()).add(sample.batch)
    batches = {sample.batch for sample in samples if not sample.is_anchor}
    shared = sorted(donor for donor, found in batches_of.items() if batches <= found)
    if not shared:
        raise DesignError(
            "normalisation: no anchor was measured in every batch ("
            + "; ".join(
                f"{donor or 'unnamed'}: {', '.join(sorted(found))}"
                for donor, found in sorted(batches_of.items())
            )
            + "); batches can only be compared by the same cells. Give the anchors of one donor "
            "the same patient_id, or choose the method range"
        )
    return shared


def check_markers(
    present: Mapping[str, Sequence[frozenset[str]]], markers: Sequence[str], every_sample: bool
) -> None:
    """Refuse markers that a batch does not share with the others.

    Parameters
    ----------
    present
        By batch, the markers of each of the samples that its function is learned from.
    markers
        Those to be normalised.
    every_sample
        Whether each of the samples must have them (anchors) or one of a batch is enough.

    Raises
    ------
    DesignError
        Names the markers and the batches.
    """
    combine = frozenset.intersection if every_sample else frozenset.union
    lacking: dict[str, list[str]] = {}
    for batch, sets in present.items():
        for marker in markers:
            if marker not in combine(*sets):
                lacking.setdefault(marker, []).append(batch)
    if lacking:
        listed = "; ".join(f"{m} (not in {_named('batch', b)})" for m, b in lacking.items())
        what = "the anchors" if every_sample else "the samples"
        raise DesignError(
            f"normalisation: {what} of the batches do not share their markers: {listed}. Give the "
            "channels the same marker in panel.tsv, or call them unused"
        )


def _named(noun: str, names: Iterable[str]) -> str:
    listed = sorted(names)
    plural = {"batch": "batches"}.get(noun, noun + "s")
    return f"{noun if len(listed) == 1 else plural} {', '.join(listed)}"
