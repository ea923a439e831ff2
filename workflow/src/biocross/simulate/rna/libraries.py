"""Single-cell libraries of a simulated cohort, and the truth about their cells."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.simulate.arrays import kinds_of
from biocross.simulate.composition import Floats
from biocross.simulate.model import Study
from biocross.simulate.people import blood_of, state_of
from biocross.simulate.rna.arrays import (
    expression_of,
    gene_shifts,
    genes_of,
    inherited,
    rna_of,
)
from biocross.simulate.rna.library_sheets import LibrarySample, read_libraries
from biocross.simulate.rna.library_writer import ANTIBODY, GENE, Features, write_library
from biocross.simulate.rna.transcriptomes import (
    Cells,
    Counts,
    Rna,
    SparseCounts,
    Staining,
    draw_hashtags,
    draw_proteins,
    draw_rna,
    pair_cells,
)
from biocross.simulate.rna.truth import GENE_COLUMNS, kept_cells, true_gene_changes
from biocross.simulate.sheets import require_seed
from biocross.simulate.streams import stream
from biocross.simulate.study import read_study
from biocross.simulate.truth import COUNT_COLUMNS, EFFECT_COLUMNS, true_counts, true_effects
from biocross.tables import write_rows

CELL_COLUMNS = (
    "library",
    "barcode",
    "sample_id",
    "population",
    "fate",
    "second_sample_id",
    "second_population",
)
_BASES = np.frombuffer(b"ACGT", dtype="S1")


class SimulatedLibrary(NamedTuple):
    """A library that was written: live single cells by sample and leaf, and its cells' labels."""

    drawn: dict[str, NDArray[np.int64]]
    labels: list[dict[str, str]]


def simulate_libraries(
    study: Path | Mapping[str, Any],
    samples: Path,
    patients: Path,
    out_dir: Path,
    seed: int,
    overrides: Mapping[str, Any] | None = None,
) -> None:
    """Simulate every single-cell library of a sample sheet, and write down what is true of it.

    A library depends on the study, the seed and its own rows only; without such rows nothing is
    written. The patients' blood is that of `simulate_cohort` with the same seed.

    Parameters
    ----------
    study
        The study's description: a YAML file or its content.
    samples, patients
        The sheets; a library is written at its ``path`` below `out_dir`.
    out_dir
        Receives the libraries (10x HDF5) and, in ``truth/rna/``, the truth: ``counts.tsv`` and
        ``effects.tsv`` as of flow cytometry, ``genes.tsv`` (see `true_gene_changes`) and
        ``cells.tsv``: what every barcode holds, by its deepest population, `fate` being
        ``live``, ``dead`` or ``doublet``.
    seed
        The study's seed, as given to `write_sheets`.
    overrides
        Entries that replace those of the description; see `read_study`.

    Raises
    ------
    ConfigError
        The study or a sheet is wrong; names every wrong row of the sheets.
    """
    plan = read_study(study, overrides)
    require_seed(seed)
    libraries = read_libraries(plan, samples, patients)
    if not libraries:
        return
    drawn: dict[str, NDArray[np.int64]] = {}
    labels: list[dict[str, str]] = []
    for file, members in libraries.items():
        library = simulate_library(plan, members, out_dir / file, seed)
        labels += library.labels
        for sample, counts in library.drawn.items():
            drawn[sample] = drawn.get(sample, 0) + counts
    truth = out_dir / "truth" / "rna"
    write_rows(truth / "cells.tsv", CELL_COLUMNS, labels)
    write_rows(truth / "counts.tsv", COUNT_COLUMNS, true_counts(plan, drawn))
    write_rows(truth / "effects.tsv", EFFECT_COLUMNS, true_effects(plan, kept_cells(plan)))
    write_rows(truth / "genes.tsv", GENE_COLUMNS, true_gene_changes(plan))


def simulate_library(
    study: Study, samples: Sequence[LibrarySample], path: Path, seed: int
) -> SimulatedLibrary:
    """Simulate one library and write it.

    Parameters
    ----------
    study
        The study.
    samples
        The samples in it.
    path
        The file.
    seed
        The study's seed.

    Returns
    -------
    SimulatedLibrary
        What it holds.
    """
    file = samples[0].file
    rng = stream(seed, "rna library", file)
    live, dead = np.stack([_captured(study, sample, seed) for sample in samples], axis=1)
    cells = pair_cells(rng, live.ravel(), dead.ravel(), rna_of(study).doublets_per_thousand)
    counts = draw_rna(rng, cells, _rna(study, samples, cells, rng, seed))
    antibodies = dict(_antibodies(study, samples, cells, rng, seed))
    barcodes = _barcodes(rng, cells.second.size)
    genes = genes_of(rna_of(study))
    names = [*genes, *antibodies]
    features = Features(
        ids=[*(f"SIMG{number:08d}" for number in range(1, len(genes) + 1)), *antibodies],
        names=names,
        types=[GENE] * len(genes) + [ANTIBODY] * len(antibodies),
    )
    if antibodies:
        counts = _side_by_side(counts, np.stack(list(antibodies.values()), axis=1), len(genes))
    write_library(path, counts, barcodes, features, genome="GRCh38")
    return SimulatedLibrary(
        drawn=_live_singles(study, samples, cells),
        labels=list(_labels(study, samples, cells, path.stem, barcodes)),
    )


def _captured(study: Study, sample: LibrarySample, seed: int) -> NDArray[np.int64]:
    """Draw the sample's cells in a library, live and dead, shape (2, leaves)."""
    rna = rna_of(study)
    rng = stream(seed, "rna cells", sample.sample_id, sample.file)
    blood = blood_of(study, seed, sample)
    cells = blood * kept_cells(study)
    fewest, most = rna.cells
    total = int(rng.integers(int(fewest), int(most) + 1))
    dead = round(total * rng.uniform(*rna.dead.share))
    return np.array([rng.multinomial(n, cells / cells.sum()) for n in (total - dead, dead)])


def _rna(
    study: Study,
    samples: Sequence[LibrarySample],
    cells: Cells,
    rng: np.random.Generator,
    seed: int,
) -> Rna:
    """Arrange what the cells of a library express, and draw their sizes and states."""
    rna = rna_of(study)
    n = cells.group.size
    content = np.tile(inherited(study, rna.molecules.content), len(samples))[cells.group]
    size = rna.molecules.median * content * np.exp(rna.molecules.spread * rng.standard_normal(n))
    share = rna.mitochondria.share * np.exp(rna.mitochondria.spread * rng.standard_normal(n))
    size *= np.where(cells.dead, rng.uniform(*rna.dead.content, n), 1.0)
    share = np.where(cells.dead, rng.uniform(*rna.dead.mitochondrial, n), np.minimum(share, 0.95))
    states = [np.exp(m.cell * rng.standard_normal(n)) for m in rna.modules.values()]
    soup = rng.uniform(*rna.ambient.share) * rna.molecules.median
    drops = np.exp(rna.ambient.spread * rng.standard_normal(cells.second.size))
    base = expression_of(study)
    return Rna(
        expression=np.concatenate(
            [base * np.exp(_gene_effects(study, sample, seed)) for sample in samples]
        ).astype(np.float32),
        n_mitochondrial=len(rna.mitochondria.genes),
        size=size,
        mitochondrial=share,
        modules=_module_columns(study),
        activity=np.stack(states, axis=1) if states else np.ones((n, 0)),
        soup=soup * drops,
        dispersion=rna.molecules.dispersion,
    )


def _gene_effects(study: Study, sample: LibrarySample, seed: int) -> Floats:
    """Add up what moves the genes of a sample, on the log scale, shape (leaves, genes)."""
    rna = rna_of(study)
    size = len(genes_of(rna))
    sources = (
        (rna.variation.patient, "patient", sample.patient_id),
        (rna.variation.batch, "batch", sample.batch),
        (rna.variation.library, "library", sample.file),
        (rna.variation.sample, "sample", sample.sample_id),
    )
    effects: Floats = np.log(2) * gene_shifts(
        study, sample.treatment, sample.visit, state_of(study, seed, sample)
    )
    for sd, what, name in sources:
        effects += sd * stream(seed, "rna genes", what, name).standard_normal(size)
    for row, leaf in enumerate(study.leaves):
        rng = stream(seed, "rna genes", "population", sample.sample_id, leaf)
        effects[row] += rna.variation.population * rng.standard_normal(size)
    for (name, module), columns in zip(rna.modules.items(), _module_columns(study), strict=True):
        activity = stream(seed, "rna module", name, sample.sample_id).standard_normal()
        effects[:, columns] += module.sample * activity
    return effects


def _module_columns(study: Study) -> tuple[NDArray[np.intp], ...]:
    rna = rna_of(study)
    column = {gene: i for i, gene in enumerate(genes_of(rna))}
    return tuple(
        np.array([column[gene] for gene in module.genes], dtype=np.intp)
        for module in rna.modules.values()
    )


def _antibodies(
    study: Study,
    samples: Sequence[LibrarySample],
    cells: Cells,
    rng: np.random.Generator,
    seed: int,
) -> Iterator[tuple[str, Counts]]:
    """Draw the counts of a library's antibodies, proteins first, then hashtags."""
    rna = rna_of(study)
    hashed = any(sample.hashtag for sample in samples)
    if rna.proteins.markers and (hashed or rna.proteins.libraries == "all"):
        counts = draw_proteins(rng, cells, _staining(study, samples, cells, rng, seed))
        yield from zip(rna.proteins.markers, counts.T, strict=True)
    if hashed:
        tags = [sample.hashtag for sample in samples]
        yield from zip(tags, _hashtags(study, len(tags), cells, rng).T, strict=True)


def _staining(
    study: Study,
    samples: Sequence[LibrarySample],
    cells: Cells,
    rng: np.random.Generator,
    seed: int,
) -> Staining:
    """Let cells bear the proteins that they show to the cytometer."""
    proteins = rna_of(study).proteins
    signals = [channel.marker for channel in study.signals]
    columns = [signals.index(marker) for marker in proteins.markers.values()]
    leaves = len(study.leaves)
    kinds = [
        kinds_of(study, sample.treatment, sample.visit, state_of(study, seed, sample))
        for sample in samples
    ]
    # Lots of antibodies differ as those of the cytometer do.
    lot = [
        stream(seed, "rna staining", samples[0].batch, name).standard_normal()
        for name in proteins.markers
    ]
    n = cells.group.size
    sticking = np.where(cells.dead, rng.uniform(0, study.dead.sticking, n), 0.0)
    level = np.concatenate([kind.level[:leaves, columns] for kind in kinds])
    return Staining(
        level=level + np.float32(study.staining.batch) * np.array(lot, dtype=np.float32),
        spread=np.concatenate([kind.spread[:leaves, columns] for kind in kinds]),
        share=np.concatenate([kind.share[:leaves, columns] for kind in kinds]),
        negative=study.staining.negative.level,
        negative_spread=study.staining.negative.spread,
        gain=proteins.counts / 10**4,
        background=proteins.background * np.exp(0.5 * rng.standard_normal(len(columns))),
        depth=10**sticking * np.exp(proteins.spread * rng.standard_normal(n)),
    )


def _hashtags(study: Study, n_tags: int, cells: Cells, rng: np.random.Generator) -> Counts:
    hashtags = rna_of(study).hashtags
    tag = cells.group // len(study.leaves)
    strength = hashtags.counts * np.exp(hashtags.tag_spread * rng.standard_normal(n_tags))
    bound = strength[tag] * np.exp(hashtags.spread * rng.standard_normal(tag.size))
    bound *= rng.random(tag.size) >= hashtags.unstained
    background = hashtags.background * np.exp(hashtags.tag_spread * rng.standard_normal(n_tags))
    return draw_hashtags(rng, cells, tag, bound, background)


def _side_by_side(rna: SparseCounts, dense: Counts, n_genes: int) -> SparseCounts:
    """Append features to the right of a sparse matrix."""
    row, column = np.nonzero(dense)
    added = np.bincount(row, minlength=len(dense))
    indptr = rna.indptr + np.concatenate([[0], np.cumsum(added)])
    is_new = np.zeros(indptr[-1], dtype=bool)
    ends = indptr[1:]
    # The new features of a row are the last of its entries.
    within = np.arange(row.size) - np.repeat(np.cumsum(added) - added, added)
    is_new[np.repeat(ends - added, added) + within] = True
    data = np.empty(indptr[-1], dtype=np.int32)
    indices = np.empty(indptr[-1], dtype=np.int64)
    data[is_new], data[~is_new] = dense[row, column], rna.data
    indices[is_new], indices[~is_new] = column + n_genes, rna.indices
    return SparseCounts(data, indices, indptr)


def _barcodes(rng: np.random.Generator, n: int) -> list[str]:
    """Draw different barcodes of 16 bases, sorted as Cell Ranger sorts them."""
    found: set[str] = set()
    while len(found) < n:
        letters = _BASES[rng.integers(0, 4, (n - len(found), 16))]
        found.update(row.tobytes().decode() for row in letters)
    return [f"{barcode}-1" for barcode in sorted(found)]


def _live_singles(
    study: Study, samples: Sequence[LibrarySample], cells: Cells
) -> dict[str, NDArray[np.int64]]:
    barcodes = cells.second.size
    single = (cells.second < 0) & ~cells.dead[:barcodes]
    counts = np.bincount(
        cells.group[:barcodes][single], minlength=len(samples) * len(study.leaves)
    ).reshape(len(samples), -1)
    return {sample.sample_id: row for sample, row in zip(samples, counts, strict=True)}


def _labels(
    study: Study,
    samples: Sequence[LibrarySample],
    cells: Cells,
    library: str,
    barcodes: Sequence[str],
) -> Iterator[dict[str, str]]:
    names = [(sample.sample_id, leaf) for sample in samples for leaf in study.leaves]
    for i, (barcode, second) in enumerate(zip(barcodes, cells.second.tolist(), strict=True)):
        sample, population = names[cells.group[i]]
        row = {"library": library, "barcode": barcode}
        row |= {"sample_id": sample, "population": population}
        row["fate"] = "dead" if cells.dead[i] else "live"
        if second >= 0:
            row["fate"] = "doublet"
            row["second_sample_id"], row["second_population"] = names[cells.group[second]]
        yield row
