"""How many events of what a tube holds."""

import numpy as np
from numpy.typing import NDArray

from biocross.simulate.arrays import members_of
from biocross.simulate.flow.cells import Tube
from biocross.simulate.model import Study


def fill_tube(study: Study, rng: np.random.Generator, blood: NDArray[np.float64]) -> Tube:
    """Divide the events of a tube.

    Parameters
    ----------
    study
        The study.
    rng
        The sample's random stream.
    blood
        Cells per µl of the leaves, shape (leaves,).

    Returns
    -------
    Tube
        Its live, dead and doubled cells by kind, debris, beads, and pairs that stick.
    """
    fewest, most = study.events
    total = int(rng.integers(int(fewest), int(most) + 1))
    parts = (study.debris.share, study.dead.share, study.doublets, study.margins)
    debris, dead, doublets, margins = (round(total * rng.uniform(*part)) for part in parts)
    stuck = round(total * study.stuck_pairs.share) if study.stuck_pairs else 0
    beads = _beads(study, rng, total - debris - margins, float(blood.sum()))
    live = max(total - debris - margins - dead - doublets - stuck - beads, 0)
    share = blood / blood.sum()
    counts = np.zeros((4, blood.size + 1 + (study.beads is not None)), dtype=np.int64)
    cells = counts[:, : blood.size]
    cells[:] = [rng.multinomial(n, share) for n in (live, dead, doublets, doublets)]
    counts[0, blood.size] = debris + margins
    if study.beads:
        counts[0, -1] = beads
    return Tube(counts, blood.size, _stuck(study, rng, blood, stuck), margins)


def _beads(study: Study, rng: np.random.Generator, events: int, cells_per_ul: float) -> int:
    """Draw how many of the events are beads: as many to the cells as in the tube."""
    if not study.beads:
        return 0
    to_cells = study.beads.added / (cells_per_ul * study.beads.blood_ul)
    return int(rng.binomial(events, to_cells / (1 + to_cells)))


def _stuck(
    study: Study, rng: np.random.Generator, blood: NDArray[np.float64], n: int
) -> NDArray[np.intp]:
    """Draw the kinds of cells that stick to one another, shape (2, pairs)."""
    if not study.stuck_pairs:
        return np.zeros((2, 0), dtype=np.intp)
    members = members_of(study, study.stuck_pairs.populations) * blood
    sides = [rng.choice(blood.size, n, p=own / own.sum()) for own in members]
    return np.array(sides, dtype=np.intp)
