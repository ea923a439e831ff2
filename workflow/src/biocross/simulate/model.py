"""What the description of a simulated study holds."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from biocross.simulate.rna.model import Transcriptomes

ROOT = "leukocytes"
SIGNAL_KINDS = ("lineage", "state", "viability")
SCATTER = ("FSC-A", "FSC-H", "SSC-A")
TIME = "Time"


@dataclass(frozen=True)
class Channel:
    """A detector, its marker, and how much autofluorescence it sees (1 is the brightest)."""

    channel: str
    marker: str
    kind: str
    autofluorescence: float


@dataclass(frozen=True)
class Visit:
    """When a visit takes place: days after the first, give or take."""

    day: int
    spread: int


@dataclass(frozen=True)
class MarkerShift:
    """A planted change of a marker's expression, in log2, on some populations."""

    marker: str
    log2: float
    populations: tuple[str, ...]


@dataclass(frozen=True)
class Treatment:
    """An arm of the study and what it changes, by visit."""

    patients: int
    lacking: Mapping[str, int]
    fold_changes: Mapping[str, Mapping[str, float]]
    marker_shifts: Mapping[str, tuple[MarkerShift, ...]]


@dataclass(frozen=True)
class CellType:
    """Light scatter (mean, coefficient of variation) and autofluorescence of a kind of cell."""

    fsc: tuple[float, float]
    ssc: tuple[float, float]
    autofluorescence: float


@dataclass(frozen=True)
class Stain:
    """Brightness in decades: mean and SD of the share of cells that express a marker."""

    level: float
    spread: float
    share: float = 1.0


@dataclass(frozen=True)
class Population:
    """Cells of one kind.

    `size` is in cells per µl right below the leukocytes and a share of `part_of` elsewhere;
    `between` and `within` are SDs of its logarithm between patients and between a patient's
    visits; `limits` bound a patient's usual size. `parent` is the denominator of its percentage.
    """

    part_of: str
    parent: str
    size: float
    limits: tuple[float, float]
    between: float
    within: float
    remainder: bool
    cell_type: str
    stains: Mapping[str, Stain]


@dataclass(frozen=True)
class Debris:
    """Fragments: share of events, scatter and staining."""

    share: tuple[float, float]
    cell_type: str
    stains: Mapping[str, Stain]


@dataclass(frozen=True)
class Dead:
    """Dead cells: share of events, dye, and what death does to scatter, background and sticking."""

    share: tuple[float, float]
    dye: Stain
    fsc_factor: float
    autofluorescence_factor: float
    sticking: float


@dataclass(frozen=True)
class Staining:
    """Brightness of cells that lack a marker, and SDs in decades of shifts of whole samples."""

    negative: Stain
    batch: float
    patient: float
    sample: float


@dataclass(frozen=True)
class Cytometer:
    """The instrument: its names, range, noise, speed and spillover."""

    name: str
    range: float
    units_per_photoelectron: float
    read_noise: float
    events_per_second: float
    time_step: float
    spillover: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class ClinicalVariable:
    """A clinical measurement: median, SDs, course by treatment and visit, rounding and limits.

    On the `log` scale SDs are of the logarithm and a course is a factor; on the `linear` scale
    both are in units. Only a `share` of the patients has it at all; it is 0 in the others.
    """

    scale: str
    median: float
    between: float
    within: float
    share: float
    step: float
    limits: tuple[float, float]
    course: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Patients:
    """How patients look on paper."""

    age: tuple[float, float]
    female_share: float
    eosinophilic_from: float


@dataclass(frozen=True)
class Study:
    """A simulated study; see ``config/simulation.yaml`` for what every entry means."""

    tissue: str
    events: tuple[float, float]
    first_day: datetime.date
    enrolment_days: int
    visits: Mapping[str, Visit]
    batches: tuple[str, ...]
    treatments: Mapping[str, Treatment]
    patients: Patients
    panel: tuple[Channel, ...]
    cell_types: Mapping[str, CellType]
    populations: Mapping[str, Population]
    staining: Staining
    doublets: tuple[float, float]
    dead: Dead
    debris: Debris
    cytometer: Cytometer
    blood_counts: Mapping[str, str]
    analyser_cv: float
    clinical: Mapping[str, ClinicalVariable]
    rna: Transcriptomes | None = None

    @cached_property
    def leaves(self) -> tuple[str, ...]:
        """The populations that have no parts: those that events are drawn from."""
        whole = {population.part_of for population in self.populations.values()}
        return tuple(name for name in self.populations if name not in whole)

    @cached_property
    def reported(self) -> tuple[str, ...]:
        """The populations that have a truth: all but the remainders."""
        return tuple(name for name, p in self.populations.items() if not p.remainder)

    @cached_property
    def signals(self) -> tuple[Channel, ...]:
        """The fluorescence channels, in the panel's order."""
        return tuple(channel for channel in self.panel if channel.kind in SIGNAL_KINDS)

    def lineage_of(self, name: str) -> tuple[str, ...]:
        """List a population and everything it is part of, up to the root."""
        chain = [name]
        while chain[-1] != ROOT:
            chain.append(self.populations[chain[-1]].part_of)
        return tuple(chain)
