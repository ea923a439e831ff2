"""The section ``rna`` of a study's description, read and checked."""

from collections.abc import Collection, Iterable
from itertools import chain

from biocross.errors import ConfigError
from biocross.simulate.rna.model import (
    Ambient,
    Background,
    DeadCellRna,
    GeneVariation,
    Hashtags,
    Mitochondria,
    Module,
    Molecules,
    Proteins,
    Ribosomal,
    Transcriptomes,
)
from biocross.simulate.sections import Section, require_known


def read_transcriptomes(
    entry: Section,
    visits: Collection[str],
    populations: Iterable[str],
    markers: Iterable[str],
) -> Transcriptomes:
    """Read and check what a study says about RNA.

    Parameters
    ----------
    entry
        The section.
    visits, populations, markers
        The names that the rest of the description knows.

    Returns
    -------
    Transcriptomes
        The section's content.

    Raises
    ------
    ConfigError
        An entry is missing, unknown, out of range or names something that does not exist.
    """
    everywhere = _numbers(entry.section("everywhere"), high=1e4)
    programmes = {
        name: _numbers(programme, high=1e4)
        for name, programme in entry.sections("programmes").items()
    }
    ribosomal = _ribosomal(entry.section("ribosomal"))
    for name in programmes:
        require_known(name, populations, entry.place("programmes"))
    named = set(chain(everywhere, *programmes.values()))
    if twice := sorted(named.intersection(ribosomal.genes)):
        raise ConfigError(f'{entry.place("ribosomal")}: "{twice[0]}" has a level of its own too')
    result = Transcriptomes(
        tissue=entry.text("tissue"),
        patients_per_treatment=entry.whole("patients_per_treatment", low=1),
        cells=entry.span("cells_per_sample", low=20, high=50_000),
        visits=_visits(entry, visits),
        batches=entry.texts("batches"),
        pools=_pools(entry),
        recovery=_known_numbers(entry, "recovery", populations, high=1),
        molecules=_molecules(entry, populations),
        variation=_variation(entry.section("variation")),
        modules={
            name: _module(module, sorted(named))
            for name, module in entry.sections("modules").items()
        },
        mitochondria=_mitochondria(entry.section("mitochondrial")),
        dead=_dead(entry.section("dead_cells")),
        doublets_per_thousand=entry.number("doublets_per_thousand", high=0.1),
        ambient=_ambient(entry.section("ambient")),
        hashtags=_hashtags(entry.section("hashtags")),
        proteins=_proteins(entry.section("proteins"), markers),
        background=_background(entry.section("background"), populations),
        ribosomal=ribosomal,
        leak=entry.number("leak", high=10),
        everywhere=everywhere,
        programmes=programmes,
    )
    entry.finish()
    return result


def _numbers(entry: Section, *, low: float = 0.0, high: float = float("inf")) -> dict[str, float]:
    return {name: entry.number(name, low=low, high=high) for name in entry.names()}


def _known_numbers(
    entry: Section, key: str, known: Iterable[str], *, high: float = float("inf")
) -> dict[str, float]:
    numbers = _numbers(entry.section(key, {}), high=high)
    for name in numbers:
        require_known(name, known, entry.place(key))
    return numbers


def _pools(entry: Section) -> tuple[int, ...]:
    pools = entry.take("pools")
    if not isinstance(pools, list) or not pools:
        raise ConfigError(f"{entry.place('pools')} must be a list, not {pools!r}")
    for size in pools:
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise ConfigError(f"{entry.place('pools')} must hold whole numbers, not {size!r}")
    return tuple(pools)


def _visits(entry: Section, visits: Collection[str]) -> tuple[str, ...]:
    """Read at which visits libraries are made: all, unless some are named."""
    return entry.texts("visits", visits) if "visits" in entry.names() else tuple(visits)


def _molecules(entry: Section, populations: Iterable[str]) -> Molecules:
    size = entry.section("molecules")
    molecules = Molecules(
        median=size.number("median", low=50),
        spread=size.number("spread", high=2),
        content=_known_numbers(entry, "content", populations, high=100),
        dispersion=entry.number("dispersion", low=1e-3, high=10),
    )
    size.finish()
    return molecules


def _variation(entry: Section) -> GeneVariation:
    names = ("patient", "batch", "library", "sample", "population")
    variation = GeneVariation(**{name: entry.number(name, high=2) for name in names})
    entry.finish()
    return variation


def _module(entry: Section, genes: Iterable[str]) -> Module:
    module = Module(
        genes=entry.texts("genes", genes),
        sample=entry.number("sample", high=3),
        cell=entry.number("cell", high=3),
    )
    entry.finish()
    return module


def _mitochondria(entry: Section) -> Mitochondria:
    mitochondria = Mitochondria(
        share=entry.number("share", high=0.5),
        spread=entry.number("spread", high=2),
        genes=_numbers(entry.section("genes"), low=1e-9),
    )
    entry.finish()
    return mitochondria


def _dead(entry: Section) -> DeadCellRna:
    dead = DeadCellRna(
        share=entry.span("share", high=0.9),
        content=entry.span("content", high=1),
        mitochondrial=entry.span("mitochondrial", high=0.95),
    )
    entry.finish()
    return dead


def _ambient(entry: Section) -> Ambient:
    ambient = Ambient(entry.span("share", high=1), entry.number("spread", high=2))
    entry.finish()
    return ambient


def _hashtags(entry: Section) -> Hashtags:
    hashtags = Hashtags(
        names=entry.texts("names"),
        counts=entry.number("counts"),
        spread=entry.number("spread", high=2),
        tag_spread=entry.number("tag_spread", high=2),
        background=entry.number("background"),
        unstained=entry.number("unstained", high=1),
    )
    entry.finish()
    return hashtags


def _proteins(entry: Section, markers: Iterable[str]) -> Proteins:
    bound = entry.section("markers")
    proteins = Proteins(
        libraries=entry.choice("libraries", ("all", "hashed")),
        markers={name: bound.choice(name, markers) for name in bound.names()},
        counts=entry.number("counts"),
        spread=entry.number("spread", high=2),
        background=entry.number("background"),
    )
    entry.finish()
    return proteins


def _background(entry: Section, populations: Iterable[str]) -> Background:
    background = Background(
        genes=entry.whole("genes", low=1),
        spread=entry.number("spread", high=5),
        divergence=entry.number("divergence", high=5),
        divergences=_known_numbers(entry, "divergences", populations, high=5),
    )
    entry.finish()
    return background


def _ribosomal(entry: Section) -> Ribosomal:
    ribosomal = Ribosomal(
        genes=entry.texts("genes"),
        level=entry.number("level", high=1e4),
        spread=entry.number("spread", high=5),
    )
    entry.finish()
    return ribosomal
