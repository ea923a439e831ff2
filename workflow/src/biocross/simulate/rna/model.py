"""What the description of a study says about its single-cell RNA."""

from collections.abc import Mapping
from dataclasses import dataclass

DIVERGENT_SHARE = 1 / 3


@dataclass(frozen=True)
class Module:
    """Genes that move together: SDs of the logarithm between samples and between cells."""

    genes: tuple[str, ...]
    sample: float
    cell: float


@dataclass(frozen=True)
class GeneVariation:
    """SDs of the logarithm of a gene's expression, by what varies."""

    patient: float
    batch: float
    library: float
    sample: float
    population: float


@dataclass(frozen=True)
class Molecules:
    """Counts of a cell: median, SD of the logarithm, and what populations have of the median."""

    median: float
    spread: float
    content: Mapping[str, float]
    dispersion: float


@dataclass(frozen=True)
class Mitochondria:
    """Share of a cell's counts from mitochondria (median, SD of the log), and the genes' parts."""

    share: float
    spread: float
    genes: Mapping[str, float]


@dataclass(frozen=True)
class DeadCellRna:
    """Dead cells: share of barcodes, what is left of their counts, and the mitochondrial share."""

    share: tuple[float, float]
    content: tuple[float, float]
    mitochondrial: tuple[float, float]


@dataclass(frozen=True)
class Ambient:
    """Counts of the soup as a share of a median cell's, and the SD of their log between cells."""

    share: tuple[float, float]
    spread: float


@dataclass(frozen=True)
class Hashtags:
    """Names of the tags; counts of stained cells (median, SD of the log), and of all others."""

    names: tuple[str, ...]
    counts: float
    spread: float
    tag_spread: float
    background: float
    unstained: float


@dataclass(frozen=True)
class Proteins:
    """Antibodies by the marker they bind; counts at 4 decades, their spread, and background."""

    libraries: str
    markers: Mapping[str, str]
    counts: float
    spread: float
    background: float


@dataclass(frozen=True)
class Background:
    """Genes without a name: how many, how their levels differ, and how populations diverge."""

    genes: int
    spread: float
    divergence: float
    divergences: Mapping[str, float]


@dataclass(frozen=True)
class Ribosomal:
    """Ribosomal genes: their level together, and the SD of the logarithm between them."""

    genes: tuple[str, ...]
    level: float
    spread: float


@dataclass(frozen=True)
class Transcriptomes:
    """The RNA of a study; see ``config/simulation/transcriptomes.yaml``.

    Levels (`leak`, `everywhere`, `programmes`) are counts per 10,000 of a living cell's nuclear
    genes.
    """

    tissue: str
    patients_per_treatment: int
    cells: tuple[float, float]
    visits: tuple[str, ...]
    batches: tuple[str, ...]
    pools: tuple[int, ...]
    recovery: Mapping[str, float]
    molecules: Molecules
    variation: GeneVariation
    modules: Mapping[str, Module]
    mitochondria: Mitochondria
    dead: DeadCellRna
    doublets_per_thousand: float
    ambient: Ambient
    hashtags: Hashtags
    proteins: Proteins
    background: Background
    ribosomal: Ribosomal
    leak: float
    everywhere: Mapping[str, float]
    programmes: Mapping[str, Mapping[str, float]]

    @property
    def named_genes(self) -> tuple[str, ...]:
        """The genes that are described one by one, but for ribosomal and mitochondrial ones."""
        return tuple(sorted({*self.everywhere, *(g for p in self.programmes.values() for g in p)}))
