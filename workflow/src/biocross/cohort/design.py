"""The design of a study: who was measured when, and which pairs that makes."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple


class Sample(NamedTuple):
    """One row of ``samples.tsv``."""

    sample_id: str
    patient_id: str
    visit: str
    modality: str
    path: str
    batch: str
    tissue: str
    stimulation: str = ""


class Contrast(NamedTuple):
    """Two levels of the design, compared within patients."""

    followup: str
    baseline: str

    def __str__(self) -> str:
        """Name it as the tables do."""
        return f"{self.followup} - {self.baseline}"


@dataclass(frozen=True)
class Cohort:
    """A checked study.

    Parameters
    ----------
    samples
        In sheet order.
    patients
        Covariates, `treatment` among them, by patient.
    clinical
        Numeric measurements by patient and visit.
    levels
        Values of the contrasted column in order, the baseline first.
    contrast_column
        ``visit`` or ``stimulation``.
    """

    samples: tuple[Sample, ...]
    patients: Mapping[str, Mapping[str, Any]]
    clinical: Mapping[tuple[str, str], Mapping[str, Any]]
    levels: tuple[str, ...]
    contrast_column: str = "visit"

    def level(self, sample: Sample) -> str:
        """Return the level of the contrast at which a sample was taken."""
        return str(getattr(sample, self.contrast_column))

    def treatment(self, patient_id: str) -> str:
        """Return what a patient was given."""
        return str(self.patients[patient_id]["treatment"])

    @cached_property
    def treatments(self) -> tuple[str, ...]:
        """Every treatment, in alphabetical order."""
        return tuple(sorted({str(entry["treatment"]) for entry in self.patients.values()}))

    @cached_property
    def contrasts(self) -> tuple[Contrast, ...]:
        """Every later level against the first."""
        return tuple(Contrast(level, self.levels[0]) for level in self.levels[1:])

    def of_modality(self, modality: str) -> tuple[Sample, ...]:
        """Return the samples of one modality, in sheet order."""
        return tuple(sample for sample in self.samples if sample.modality == modality)

    def by_patient(self, modality: str) -> dict[str, list[Sample]]:
        """Group the samples of one modality by patient, in order of the levels."""
        groups: dict[str, list[Sample]] = defaultdict(list)
        order = {level: position for position, level in enumerate(self.levels)}
        for sample in sorted(
            self.of_modality(modality), key=lambda s: order.get(self.level(s), len(order))
        ):
            groups[sample.patient_id].append(sample)
        return dict(sorted(groups.items()))

    def unit(self, sample: Sample) -> str:
        """Name what a sample is compared within: its patient, or its patient and visit."""
        if self.contrast_column == "visit":
            return sample.patient_id
        return f"{sample.patient_id} {sample.visit}"

    def units(self, modality: str) -> dict[str, dict[str, Sample]]:
        """Return the sets of samples that are compared with one another.

        Parameters
        ----------
        modality
            ``flow`` or ``rna``.

        Returns
        -------
        dict
            By unit, the sample at each level it was measured at.
        """
        sets: dict[str, dict[str, Sample]] = defaultdict(dict)
        for sample in self.of_modality(modality):
            sets[self.unit(sample)][self.level(sample)] = sample
        return dict(sorted(sets.items()))
