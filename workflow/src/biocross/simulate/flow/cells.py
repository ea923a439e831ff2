"""Kernels: events as a cytometer would record them, drawn from arrays that describe the cells.

Matrices hold one row per channel, so that each channel lies together in memory. All sums run in
a fixed order (no matrix product), so that the same seed gives the same bits on any machine load.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float32]
Floats = NDArray[np.float64]
Codes = NDArray[np.intp]
Counts = NDArray[np.int64]

LIVE, DEAD, DOUBLET, DEBRIS, MARGIN, BEAD = range(6)
FATES = ("live", "dead", "doublet", "debris", "margin", "bead")


@dataclass(frozen=True, eq=False)
class Kinds:
    """How events of each kind look; kinds are rows: cells, debris, and beads where there are any.

    Attributes
    ----------
    level, spread, share
        Mean and SD of brightness in decades, and share of cells that have it, shape
        (kinds, signals).
    negative, negative_spread
        Brightness in decades of cells that lack a marker.
    fsc, fsc_cv, ssc, ssc_cv, autofluorescence
        Scatter and autofluorescence, shape (kinds,).
    """

    level: Reals
    spread: Reals
    share: Reals
    negative: float
    negative_spread: float
    fsc: Reals
    fsc_cv: Reals
    ssc: Reals
    ssc_cv: Reals
    autofluorescence: Reals


@dataclass(frozen=True, eq=False)
class DeadCells:
    """What death does: dye (channel, decades, SD), scatter, autofluorescence, sticking."""

    dye: int
    level: float
    spread: float
    fsc_factor: float
    autofluorescence_factor: float
    sticking: float


@dataclass(frozen=True, eq=False)
class Optics:
    """What the cytometer does to light.

    Attributes
    ----------
    spillover
        Share of each dye's light in each detector, 1 on the diagonal, shape (signals, signals).
    autofluorescence
        Autofluorescence seen by each detector, shape (signals,).
    units_per_photoelectron
        Variance per unit of signal: photon noise.
    read_noise
        SD of the electronic noise, in units.
    top
        Largest value that is recorded.
    """

    spillover: Floats
    autofluorescence: Floats
    units_per_photoelectron: float
    read_noise: float
    top: float


@dataclass(frozen=True, eq=False)
class Events:
    """Drawn events: `scatter` (FSC-A, FSC-H, SSC-A) and `signals`, channels × events.

    `code` is the kind of cell (of a doublet, of its first cell); `fate` is a number of `FATES`.
    """

    scatter: Reals
    signals: Reals
    code: Codes
    fate: Codes


@dataclass(frozen=True, eq=False)
class Tube:
    """How many events of what a tube holds.

    Attributes
    ----------
    counts
        Shape (4, kinds): live, dead, doublets by their first and by their second cell (equal
        sums). Debris and beads are in the first row.
    n_cells
        How many of the kinds are cells; debris comes next, then beads.
    stuck
        Kinds of the cells of pairs that stick so closely that they pass as one, shape (2, pairs).
    n_margins
        How many of the debris lie at the ends of forward scatter.
    """

    counts: Counts
    n_cells: int
    stuck: Codes
    n_margins: int


def draw_events(
    rng: np.random.Generator,
    tube: Tube,
    kinds: Kinds,
    dead: DeadCells,
    optics: Optics,
    shift: Floats,
) -> Events:
    """Draw the events of one tube, in the order in which the cells pass the laser.

    Parameters
    ----------
    rng
        The sample's random stream.
    tube, kinds, dead, optics
        What there is to draw.
    shift
        Staining shift of this tube in decades, shape (signals,).

    Returns
    -------
    Events
        As recorded: with spillover, noise and saturation.
    """
    n_live, n_dead, n_doublets = tube.counts[:3].sum(axis=1)
    n_stuck = tube.stuck.shape[1]
    n_pairs = int(n_doublets) + n_stuck
    rows = [np.repeat(np.arange(tube.counts.shape[1]), row) for row in tube.counts]
    second = rng.permutation(rows[3])  # or like would always stick to like
    code = np.concatenate([*rows[:3], tube.stuck[0], second, tube.stuck[1]])
    n = code.size - n_pairs
    is_dead = np.zeros(len(code), dtype=bool)
    is_dead[n_live : n_live + n_dead] = True
    signals = draw_stains(rng, code, kinds, shift)
    background = kinds.autofluorescence[code]
    scatter = draw_scatter(rng, code, kinds)
    _kill(rng, is_dead, dead, signals, background, scatter)

    # The second cells of pairs stand last: add them to the first.
    _join(rng, scatter, n, n_pairs, n_stuck)
    signals[:, n - n_pairs : n] += signals[:, n:]
    background[n - n_pairs : n] += background[n:]
    fate = np.where(is_dead, DEAD, LIVE)[:n]
    fate[n - n_pairs :] = DOUBLET
    fate[code[:n] == tube.n_cells] = DEBRIS
    fate[code[:n] > tube.n_cells] = BEAD
    margin = np.flatnonzero(fate == DEBRIS)[: tube.n_margins]
    fate[margin] = MARGIN
    scatter[:2, margin[::2]] = np.float32(optics.top)
    scatter[:2, margin[1::2]] = 0

    order = rng.permutation(n)
    recorded = record_light(rng, signals[:, order], background[order], optics)
    passed = np.minimum(scatter[:, order], np.float32(optics.top))
    return Events(passed, recorded, code[order], fate[order])


def clog(events: Events, first: int, last: int, dimming: float) -> Events:
    """Let the flow clog: events in a stretch lose brightness, and come back to it.

    Parameters
    ----------
    events
        In the order in which they pass; they are changed in place.
    first, last
        The stretch, as a slice of events.
    dimming
        Decades that are lost in its middle.

    Returns
    -------
    Events
        The same.
    """
    depth = np.sin(np.linspace(0, np.pi, last - first, dtype=np.float32))
    events.signals[:, first:last] *= 10 ** (-np.float32(dimming) * depth)
    return events


def pass_times(
    rng: np.random.Generator, n: int, rate: float, slow: tuple[int, int], slowing: float
) -> Floats:
    """Draw when events pass the laser.

    Parameters
    ----------
    rng
        The sample's random stream.
    n
        Number of events.
    rate
        Events per second.
    slow
        A stretch of events that pass more slowly, first and last.
    slowing
        By what factor.

    Returns
    -------
    numpy.ndarray
        Seconds since the first event, rising, shape (n,).
    """
    gaps = rng.exponential(1 / rate, n)
    gaps[slow[0] : slow[1]] *= slowing
    return np.cumsum(gaps)


def draw_stains(rng: np.random.Generator, code: Codes, kinds: Kinds, shift: Floats) -> Reals:
    """Draw how much dye every cell carries.

    Brightness is log-normal; where only a share of a kind has a marker, the others are negative.

    Parameters
    ----------
    rng
        The sample's random stream.
    code
        Kind of each cell, shape (cells,).
    kinds
        How kinds look.
    shift
        Staining shift in decades, shape (signals,).

    Returns
    -------
    numpy.ndarray
        Light in the dye's own detector, shape (signals, cells).
    """
    n_signals = kinds.level.shape[1]
    stains = rng.standard_normal((n_signals, len(code)), dtype=np.float32)
    for signal in range(n_signals):
        level = kinds.level[code, signal]
        spread = kinds.spread[code, signal]
        if (kinds.share[:, signal] < 1).any():
            lacks = rng.random(len(code), dtype=np.float32) >= kinds.share[code, signal]
            level[lacks] = kinds.negative
            spread[lacks] = kinds.negative_spread
        stains[signal] *= spread
        stains[signal] += level + np.float32(shift[signal])
    return np.power(np.float32(10), stains, out=stains)


def draw_scatter(rng: np.random.Generator, code: Codes, kinds: Kinds) -> Reals:
    """Draw forward scatter (area and height) and side scatter of single cells.

    Parameters
    ----------
    rng
        The sample's random stream.
    code
        Kind of each cell, shape (cells,).
    kinds
        How kinds look.

    Returns
    -------
    numpy.ndarray
        FSC-A, FSC-H and SSC-A, shape (3, cells).
    """
    noise = rng.standard_normal((3, len(code)), dtype=np.float32)
    area = kinds.fsc[code] * np.exp(kinds.fsc_cv[code] * noise[0])
    # Height is about 0.8 of the area, and 3 % noise is what a focused stream shows.
    height = area * (np.float32(0.8) * np.exp(np.float32(0.03) * noise[1]))
    side = kinds.ssc[code] * np.exp(kinds.ssc_cv[code] * noise[2])
    return np.stack([area, height, side])


def record_light(
    rng: np.random.Generator, signals: Reals, background: Reals, optics: Optics
) -> Reals:
    """Turn the light of dyes into what detectors record.

    Parameters
    ----------
    rng
        The sample's random stream.
    signals
        Light of each dye, shape (signals, events).
    background
        Autofluorescence, shape (events,).
    optics
        The cytometer.

    Returns
    -------
    numpy.ndarray
        Recorded values, shape (signals, events). The noise of a detector grows with *all* light
        that falls on it, so that compensation leaves wide negatives (spillover spreading:
        Nguyen 2013, Cytometry A 83:306).
    """
    noise = rng.standard_normal(signals.shape, dtype=np.float32)
    recorded = np.empty_like(signals)
    for detector in range(len(signals)):
        light = background * np.float32(optics.autofluorescence[detector])
        for dye in np.flatnonzero(optics.spillover[:, detector]):
            light += np.float32(optics.spillover[dye, detector]) * signals[dye]
        variance = np.float32(optics.units_per_photoelectron) * light
        variance += np.float32(optics.read_noise**2)
        recorded[detector] = light + np.sqrt(variance) * noise[detector]
    return np.minimum(recorded, np.float32(optics.top), out=recorded)


def _kill(
    rng: np.random.Generator,
    is_dead: NDArray[np.bool_],
    dead: DeadCells,
    signals: Reals,
    background: Reals,
    scatter: Reals,
) -> None:
    """Make cells dead, in place: dye inside, sticky, more autofluorescent and smaller."""
    n_dead = int(is_dead.sum())
    dye = dead.level + dead.spread * rng.standard_normal(n_dead, dtype=np.float32)
    sticking = 10 ** (np.float32(dead.sticking) * rng.random(n_dead, dtype=np.float32))
    signals[:, is_dead] *= sticking
    signals[dead.dye, is_dead] = 10**dye
    background[is_dead] *= np.float32(dead.autofluorescence_factor)
    scatter[:2, is_dead] *= np.float32(dead.fsc_factor)


def _join(rng: np.random.Generator, scatter: Reals, n: int, n_pairs: int, n_stuck: int) -> None:
    """Let two cells pass together, in place: their areas add, their heights only overlap.

    Those that stick closely, the last ones, add in height as well.
    """
    first = slice(n - n_pairs, n)
    second = slice(n, None)
    low = np.minimum(scatter[1, first], scatter[1, second])
    overlap = np.float32(0.7) * rng.random(n_pairs, dtype=np.float32)
    overlap[n_pairs - n_stuck :] = 1
    scatter[1, first] = np.maximum(scatter[1, first], scatter[1, second]) + overlap * low
    scatter[0, first] += scatter[0, second]
    scatter[2, first] += scatter[2, second]
