"""Find counting beads: bright in every fluorescence channel, and all alike."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.flow.evenly import evenly

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Beads are above a three-hundredth of the scale, in nine of ten channels: a dye may be off their
# spectrum.
BRIGHT_DECADES = -2.5
BRIGHT_SHARE = 0.9
MIN_CHANNELS = 2
MIN_BEADS = 10
# One kind of bead varies by 5 to 15 % (0.02 to 0.06 decade), one kind of cell by 30 % and more.
MAX_SPREAD = 0.1
MIN_SPREAD = 0.01
REACH = 4.5
MAD_TO_SD = 1.4826
SEED_EVENTS, FIT_EVENTS = 1500, 20_000
SEED_NEIGHBOURS = 10
MAX_ROUNDS = 50


class CountingBeads(NamedTuple):
    """Which events are counting beads.

    Parameters
    ----------
    beads
        Single beads, shape (events,).
    clumps
        Events at least as bright as beads in every channel but not like one: beads that stick
        together or to a cell, shape (events,).
    spread
        Standard deviation of single beads in the median channel, in decades; NaN where there are
        none.
    """

    beads: Mask
    clumps: Mask
    spread: float


def find_counting_beads(
    fluorescence: Sequence[NDArray[np.float32]],
    scatter: Sequence[NDArray[np.float32]],
) -> CountingBeads:
    """Find the beads that were added to a sample to be counted with its cells.

    Beads bear every dye, cells only some: candidates are the events that are bright in nine of ten
    channels. Among these the densest place, in all channels and scatter at once, is where beads
    lie. From there the cluster grows to 4.5 robust standard deviations in every channel.

    Parameters
    ----------
    fluorescence
        By channel, values as acquired (a bead's compensated values may be anything) divided by the
        top of the channel's scale, shape (events,) each.
    scatter
        Areas of scatter on the same terms.

    Returns
    -------
    CountingBeads
        None where fewer than 10 events are alike, or where the densest ones vary by more than 0.1
        decade, which are cells.
    """
    n = fluorescence[0].size
    bright = _bright(fluorescence)
    nothing = CountingBeads(np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_), np.nan)
    if bright.size < MIN_BEADS:
        return nothing
    columns = [*fluorescence, *scatter]
    chosen = evenly(bright, FIT_EVENTS)
    centre, spread = _densest_cluster(_log_values(columns, chosen))
    values = _log_values(columns, bright)
    alike = (np.abs(values - centre) <= REACH * spread).all(axis=1)
    colours = slice(0, len(fluorescence))
    typical = float(np.median(spread[colours]))
    if np.count_nonzero(alike) < MIN_BEADS or typical > MAX_SPREAD:
        return nothing
    shown = centre[colours] > BRIGHT_DECADES
    low = (centre - REACH * spread)[colours][shown]
    as_bright = (values[:, colours][:, shown] >= low).all(axis=1)
    beads, clumps = nothing.beads, nothing.clumps
    beads[bright[alike]] = True
    clumps[bright[as_bright & ~alike]] = True
    return CountingBeads(beads, clumps, typical)


def _bright(fluorescence: Sequence[NDArray[np.float32]]) -> NDArray[np.intp]:
    """Return the events that are bright in nearly all channels."""
    border = np.float32(10.0**BRIGHT_DECADES)
    n_bright = np.zeros(fluorescence[0].size, dtype=np.int16)
    for column in fluorescence:
        n_bright += column > border
    return np.flatnonzero(n_bright >= np.ceil(BRIGHT_SHARE * len(fluorescence)))


def _log_values(columns: Sequence[NDArray[np.float32]], events: NDArray[np.intp]) -> FloatArray:
    """Return decades below the top of the scale; what is dark lies at the border of darkness."""
    floor = 10.0 ** (BRIGHT_DECADES - 1)
    return np.column_stack([np.log10(np.maximum(column[events], floor)) for column in columns])


def _densest_cluster(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return centre and robust standard deviation of the densest cluster, shape (channels,)."""
    near = _densest_events(values[evenly(np.arange(len(values)), SEED_EVENTS)])
    centre, spread = _moments(near)
    for _ in range(MAX_ROUNDS):
        inside = (np.abs(values - centre) <= REACH * spread).all(axis=1)
        if np.count_nonzero(inside) < MIN_BEADS:
            break
        before, (centre, spread) = (centre, spread), _moments(values[inside])
        if np.allclose(before, (centre, spread), rtol=0, atol=1e-6):
            break
    return centre, spread


def _densest_events(values: FloatArray) -> FloatArray:
    """Return the event whose tenth neighbour is nearest, with these neighbours."""
    centred = values - np.median(values, axis=0)
    length = (centred**2).sum(axis=1)
    distance = length[:, None] + length - 2 * centred @ centred.T
    k = min(SEED_NEIGHBOURS, len(values) - 1)
    tenth = np.partition(distance, k, axis=1)[:, k]
    return values[np.argsort(distance[np.argmin(tenth)], kind="stable")[: k + 1]]


def _moments(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    centre = np.median(values, axis=0)
    spread = MAD_TO_SD * np.median(np.abs(values - centre), axis=0)
    # Of few beads, a channel's own deviation may come out far too small.
    return centre, np.maximum(spread, max(MIN_SPREAD, float(np.median(spread))))
