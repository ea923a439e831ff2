"""From the description of a study to the arrays that the kernels take."""

import math

import numpy as np
from numpy.typing import NDArray

from biocross.simulate.composition import Bools, Floats, Tree
from biocross.simulate.effects import CELLS, MARKER, Effect, State, acting, share_of
from biocross.simulate.flow.cells import DeadCells, Kinds, Optics
from biocross.simulate.model import Debris, Population, Stain, Study

LeafShifts = dict[str, NDArray[np.float64]]


def tree_of(study: Study) -> Tree:
    """Arrange the sizes of a study's populations.

    Parameters
    ----------
    study
        The study.

    Returns
    -------
    Tree
        In the order of ``study.populations``.
    """
    index = {name: i for i, name in enumerate(study.populations)}
    rows = study.populations.values()
    return Tree(
        part_of=np.array([index.get(row.part_of, -1) for row in rows], dtype=np.intp),
        size=np.array([row.size for row in rows]),
        lower=np.array([row.limits[0] for row in rows]),
        upper=np.array([row.limits[1] for row in rows]),
        between=np.array([row.between for row in rows]),
        within=np.array([row.within for row in rows]),
    )


def leaf_columns(study: Study) -> NDArray[np.intp]:
    """Find the columns of the leaves among a study's populations."""
    leaves = set(study.leaves)
    return np.array([i for i, name in enumerate(study.populations) if name in leaves])


def members_of(study: Study, names: tuple[str, ...]) -> Bools:
    """Tell which leaf belongs to which population.

    Parameters
    ----------
    study
        The study.
    names
        Populations, the root among them if wanted.

    Returns
    -------
    numpy.ndarray
        Shape (names, leaves).
    """
    lineages = [study.lineage_of(leaf) for leaf in study.leaves]
    return np.array([[name in lineage for lineage in lineages] for name in names])


def parents_of(study: Study, names: tuple[str, ...]) -> tuple[str, ...]:
    """Name the denominator of each population."""
    return tuple(study.populations[name].parent for name in names)


def leaf_folds(study: Study, treatment: str, visit: str, state: State) -> Floats:
    """Compute the planted fold change of each leaf's cells per µl.

    Parameters
    ----------
    study
        The study.
    treatment, visit
        What changes them, and when.
    state
        How much of that happens.

    Returns
    -------
    numpy.ndarray
        Product over the leaf and all that it is part of, shape (leaves,).
    """
    planted: dict[str, float] = {}
    for effect in _acting(study, treatment, visit, CELLS):
        change = math.log(effect.change) * share_of(effect, state)
        planted[effect.population] = planted.get(effect.population, 0.0) + change
    sums = [sum(planted.get(name, 0.0) for name in study.lineage_of(leaf)) for leaf in study.leaves]
    folds: Floats = np.exp(np.array(sums))
    return folds


def leaf_shifts(study: Study, treatment: str, visit: str, state: State, kind: str) -> LeafShifts:
    """Add up the planted shifts of markers or of genes.

    Parameters
    ----------
    study
        The study.
    treatment, visit
        What shifts them, and when.
    state
        How much of that happens.
    kind
        `MARKER` or `GENE`.

    Returns
    -------
    dict of str to ndarray
        By the marker's or the gene's name, log2, shape (leaves,).
    """
    shifts: LeafShifts = {}
    for effect in _acting(study, treatment, visit, kind):
        own = members_of(study, (effect.population,))[0]
        so_far = shifts.setdefault(effect.name, np.zeros(len(study.leaves)))
        so_far += own * effect.change * share_of(effect, state)
    return shifts


def kinds_of(study: Study, treatment: str, visit: str, state: State) -> Kinds:
    """Arrange how the events of a sample look: the leaves in order, debris, and beads last.

    Parameters
    ----------
    study
        The study.
    treatment, visit, state
        Which decide the shifts of markers.

    Returns
    -------
    Kinds
        Arrays over kinds and signals.
    """
    rows: list[Population | Debris] = [study.populations[leaf] for leaf in study.leaves]
    rows.append(study.debris)
    looks = [study.cell_types[row.cell_type] for row in rows]
    stains = [
        [row.stains.get(channel.marker, study.staining.negative) for channel in study.signals]
        for row in rows
    ]
    if study.beads:
        looks.append(study.cell_types[study.beads.cell_type])
        stains.append([study.beads.stain] * len(study.signals))
    level = _field(stains, "level")
    for marker, log2 in leaf_shifts(study, treatment, visit, state, MARKER).items():
        column = [channel.marker for channel in study.signals].index(marker)
        level[: len(study.leaves), column] += np.float32(math.log10(2)) * log2.astype(np.float32)
    return Kinds(
        level=level,
        spread=_field(stains, "spread"),
        share=_field(stains, "share"),
        negative=study.staining.negative.level,
        negative_spread=study.staining.negative.spread,
        fsc=np.array([look.fsc[0] for look in looks], dtype=np.float32),
        fsc_cv=np.array([look.fsc[1] for look in looks], dtype=np.float32),
        ssc=np.array([look.ssc[0] for look in looks], dtype=np.float32),
        ssc_cv=np.array([look.ssc[1] for look in looks], dtype=np.float32),
        autofluorescence=np.array([look.autofluorescence for look in looks], dtype=np.float32),
    )


def dead_cells_of(study: Study) -> DeadCells:
    """Arrange what death does to a cell."""
    kinds = [channel.kind for channel in study.signals]
    return DeadCells(
        dye=kinds.index("viability"),
        level=study.dead.dye.level,
        spread=study.dead.dye.spread,
        fsc_factor=study.dead.fsc_factor,
        autofluorescence_factor=study.dead.autofluorescence_factor,
        sticking=study.dead.sticking,
    )


def optics_of(study: Study, batch: str | None = None) -> Optics:
    """Arrange the cytometer's optics, in the order of the study's signals.

    Parameters
    ----------
    study
        The study.
    batch
        Whose dyes are used, of which one may have come apart; without it, those that the
        spillover was measured with.

    Returns
    -------
    Optics
        Spillover, noise and range.
    """
    names = [channel.channel for channel in study.signals]
    spillover = np.eye(len(names))
    for dye, row in study.cytometer.spillover.items():
        for detector, share in row.items():
            spillover[names.index(dye), names.index(detector)] = share
    decay = study.tandem_decay
    if decay and batch in decay.batches:
        spillover[names.index(decay.dye), names.index(decay.detector)] += decay.share
    return Optics(
        spillover=spillover,
        autofluorescence=np.array([channel.autofluorescence for channel in study.signals]),
        units_per_photoelectron=study.cytometer.units_per_photoelectron,
        read_noise=study.cytometer.read_noise,
        # Like FACSDiva, whose largest value is one below $PnR.
        top=study.cytometer.range - 1,
    )


def _acting(study: Study, treatment: str, visit: str, kind: str) -> tuple[Effect, ...]:
    day = study.visits[visit].day
    return acting(study.treatments[treatment].effects, kind, day)


def _field(stains: list[list[Stain]], field: str) -> NDArray[np.float32]:
    return np.array([[getattr(s, field) for s in row] for row in stains], dtype=np.float32)
