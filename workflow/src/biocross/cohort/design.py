"""The design of a study: who was measured when, and which pairs that makes."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from biocross.errors import ConfigError

# What the prepared events carry of a sample's row in the sheet.
META_NAMES = (
    *("sample_id", "patient_id", "visit", "batch", "tissue", "stimulation", "role", "control_for"),
    "beads_added",
)
# A sample is unstimulated where its stimulation is empty or one of these words, whatever their
# case, blanks and hyphens. `biocross init` puts the same words first.
UNSTIMULATED = (
    *("none", "unstimulated", "medium", "dmso", "vehicle", "mock", "untreated", "resting", "basal"),
    *("unstim", "nostim", "us", "nil", "media", "control", "ctrl", "reference", "ref"),
)


class Sample(NamedTuple):
    """One row of ``samples.tsv``; a control has no patient."""

    sample_id: str
    patient_id: str = ""
    visit: str = ""
    modality: str = "flow"
    path: str = ""
    batch: str = ""
    tissue: str = ""
    stimulation: str = ""
    role: str = "sample"
    control_for: str = ""
    hashtag: str = ""
    preparation: str = ""
    hours_to_stain: float | None = None
    enrichment: str = ""
    beads_added: float | None = None
    blood_volume_ul: float | None = None

    @property
    def stimulus(self) -> str:
        """What the cells were stimulated with; empty where a word says they were not."""
        word = self.stimulation.casefold().translate(str.maketrans("", "", " _-"))
        return "" if word in UNSTIMULATED else self.stimulation

    @property
    def meta(self) -> tuple[str, ...]:
        """Values of `META_NAMES`, the stimulation being the `stimulus`."""
        beads = "" if self.beads_added is None else f"{self.beads_added:g}"
        told = self._asdict() | {"stimulation": self.stimulus, "beads_added": beads}
        return tuple(told[name] for name in META_NAMES)


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

    Where visits are compared, each patient and visit has one unstimulated sample, and stimulated
    ones beside it: these are gated along, but only their response over the unstimulated sample is
    compared (`biocross.statistics.stimulation`), never their frequencies.

    Parameters
    ----------
    samples
        In sheet order.
    patients
        Covariates, `treatment` among them, by patient.
    treatments_at
        Treatment by patient and visit, where the sheet gives it per visit.
    clinical
        Numeric measurements by patient and visit.
    levels
        Values of the contrasted column in order, the baseline first.
    contrast_column
        ``visit`` or ``stimulation``.
    declared_contrasts
        Pairs of levels that the config names; empty for every later level against the first.
    table_samples
        What was measured elsewhere and comes as a table of frequencies.
    controls
        Files that are no patient's sample: single stains, unstained cells, FMO controls.
    """

    samples: tuple[Sample, ...]
    patients: Mapping[str, Mapping[str, Any]]
    clinical: Mapping[tuple[str, str], Mapping[str, Any]]
    levels: tuple[str, ...]
    contrast_column: str = "visit"
    declared_contrasts: tuple[Contrast, ...] = ()
    treatments_at: Mapping[tuple[str, str], str] = field(default_factory=dict)
    table_samples: tuple[Sample, ...] = ()
    controls: tuple[Sample, ...] = ()

    def level(self, sample: Sample) -> str:
        """Return the level of the contrast at which a sample was taken."""
        return str(getattr(sample, self.contrast_column))

    def is_stimulated(self, sample: Sample) -> bool:
        """Whether a sample stands beside an unstimulated one and is not compared by itself."""
        return self.contrast_column == "visit" and bool(sample.stimulus)

    @property
    def stimulated(self) -> tuple[Sample, ...]:
        """Samples that are not compared by themselves, of files and tables, in sheet order."""
        everything = (*self.samples, *self.table_samples)
        return tuple(sample for sample in everything if self.is_stimulated(sample))

    @property
    def contrasts(self) -> tuple[Contrast, ...]:
        """Pairs of levels that are compared: declared, or every later level against the first."""
        default = tuple(Contrast(level, self.levels[0]) for level in self.levels[1:])
        return self.declared_contrasts or default

    def treatment(self, patient_id: str, visit: str | None = None) -> str:
        """Return what a patient was given, at a visit where the sheet says it per visit."""
        at_visit = self.treatments_at.get((patient_id, visit or ""))
        return at_visit or str(self.patients[patient_id]["treatment"])

    def treatment_of(self, sample: Sample) -> str:
        """Return what the patient was given when a sample was taken."""
        return self.treatment(sample.patient_id, sample.visit)

    def contrast_treatment(self, patient_id: str, contrast: Contrast) -> str:
        """Return the treatment that a contrast is about: the one given at the later visit."""
        visit = contrast.followup if self.contrast_column == "visit" else None
        return self.treatment(patient_id, visit)

    def of_modality(self, modality: str) -> tuple[Sample, ...]:
        """Return the samples of one modality, in sheet order."""
        return tuple(sample for sample in self.samples if sample.modality == modality)

    def by_patient(self, modality: str) -> dict[str, list[Sample]]:
        """Group the samples of one modality by patient, in order of the levels.

        The stimulated samples of a visit follow its unstimulated one.
        """
        groups: dict[str, list[Sample]] = defaultdict(list)
        order = {level: position for position, level in enumerate(self.levels)}
        for sample in sorted(
            self.of_modality(modality),
            key=lambda s: (order.get(self.level(s), len(order)), self.is_stimulated(s)),
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
            By unit, the sample at each level it was measured at, in files or tables. Stimulated
            samples of a study of visits are in no set.
        """
        sets: dict[str, dict[str, Sample]] = defaultdict(dict)
        for sample in (*self.samples, *self.table_samples):
            if sample.modality == modality and not self.is_stimulated(sample):
                sets[self.unit(sample)].setdefault(self.level(sample), sample)
        return dict(sorted(sets.items()))

    def background(self, sample: Sample) -> Sample | None:
        """Return the unstimulated sample of a stimulated one: same patient, visit and origin."""
        origin = self.samples if sample in self.samples else self.table_samples
        wanted = (sample.modality, sample.patient_id, sample.visit)
        partners = (
            other
            for other in origin
            if (other.modality, other.patient_id, other.visit) == wanted and not other.stimulus
        )
        return next(partners, None)


def unlinked(batches_of: Mapping[str, Collection[str]]) -> list[str]:
    """List what no chain of shared batches links with the first.

    Parameters
    ----------
    batches_of
        By visit, or another level of the contrast, the batches that it was measured in.

    Returns
    -------
    list of str
        Levels that share no batch with the first one, nor over others, in their order.
    """
    first, *others = batches_of
    linked, reached = {first}, set(batches_of[first])
    while new := [o for o in others if o not in linked and not reached.isdisjoint(batches_of[o])]:
        linked.update(new)
        reached.update(*(batches_of[level] for level in new))
    return [level for level in others if level not in linked]


def library_paths(path: str) -> list[str]:
    """Split the cell ``path`` of a sample of single-cell RNA, which may lie in several libraries.

    Parameters
    ----------
    path
        Paths with ``;`` between them.

    Returns
    -------
    list of str
        Without blanks around them.
    """
    return [part.strip() for part in path.split(";") if part.strip()]


def parse_contrast(text: str) -> Contrast:
    """Parse ``month_4 - baseline``.

    Parameters
    ----------
    text
        Two levels with `` - `` between them.

    Returns
    -------
    Contrast
        The later level and the one it is compared with.

    Raises
    ------
    ConfigError
        The text is not of that form.
    """
    followup, separator, baseline = text.partition(" - ")
    if not separator or not followup.strip() or not baseline.strip():
        raise ConfigError(f'the contrast "{text}" must read like "month_4 - baseline"')
    return Contrast(followup.strip(), baseline.strip())
