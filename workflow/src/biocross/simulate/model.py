"""What the description of a simulated study holds."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from biocross.simulate.effects import Effect
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
class Treatment:
    """An arm of the study: its patients, how many lack which visit, and what is planted."""

    patients: int
    lacking: Mapping[str, int]
    effects: tuple[Effect, ...]


@dataclass(frozen=True)
class Response:
    """How patients respond: 1, or `resistant` in a share of them, each with an SD of `spread`."""

    resistant_share: float
    resistant: float
    spread: float

    @property
    def mean(self) -> float:
        """The mean response."""
        return 1 - self.resistant_share * (1 - self.resistant)


@dataclass(frozen=True)
class MissingFollowUps:
    """The chance that a follow-up does not take place, by whether a patient responds."""

    responders: float
    resistant: float


@dataclass(frozen=True)
class Selection:
    """Who is enrolled: patients with so many cells per µl of a population at the first visit."""

    population: str
    at_least: float


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
    `source` says where size and variation come from.
    """

    part_of: str
    parent: str
    size: float
    limits: tuple[float, float]
    between: float
    within: float
    remainder: bool
    cell_type: str
    source: str
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
class Clogs:
    """Clogs: the share of the files that have one, the share of events in it, and what it does."""

    share_of_files: float
    events: tuple[float, float]
    dimming: float
    slowing: float


@dataclass(frozen=True)
class Beads:
    """Counting beads: how many are added to how much blood, scatter, brightness in all channels."""

    added: float
    blood_ul: float
    cell_type: str
    stain: Stain


@dataclass(frozen=True)
class StuckPairs:
    """Cells of two populations that stick so closely that they look like single ones."""

    populations: tuple[str, str]
    share: float


@dataclass(frozen=True)
class TandemDecay:
    """A dye that came apart in some batches: a share of its light is seen in another detector."""

    dye: str
    detector: str
    share: float
    batches: tuple[str, ...]


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
    """A clinical measurement: median, SDs, rounding and limits.

    On the `log` scale SDs are of the logarithm, on the `linear` scale in units. Only a `share` of
    the patients has it at all; it is 0 in the others.
    """

    scale: str
    median: float
    between: float
    within: float
    share: float
    step: float
    limits: tuple[float, float]


@dataclass(frozen=True)
class BloodCount:
    """A column of the analyser: the population that it counts, and the step that it rounds to."""

    population: str
    step: float


@dataclass(frozen=True)
class Patients:
    """How patients look on paper."""

    age: tuple[float, float]
    female_share: float
    eosinophilic_from: float


@dataclass(frozen=True)
class Study:
    """A simulated study; docs/simulation.md tells what every entry means."""

    tissue: str
    events: tuple[float, float]
    first_day: datetime.date
    enrolment_days: int
    visits: Mapping[str, Visit]
    missing: MissingFollowUps
    selection: Selection | None
    heavy_tails: bool
    batches: tuple[str, ...]
    batches_follow: str
    treatments: Mapping[str, Treatment]
    response: Response
    patients: Patients
    panel: tuple[Channel, ...]
    cell_types: Mapping[str, CellType]
    populations: Mapping[str, Population]
    staining: Staining
    doublets: tuple[float, float]
    dead: Dead
    debris: Debris
    margins: tuple[float, float]
    clogs: Clogs
    beads: Beads | None
    stuck_pairs: StuckPairs | None
    tandem_decay: TandemDecay | None
    cytometer: Cytometer
    blood_counts: Mapping[str, BloodCount]
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
