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

LIVE, DEAD, DOUBLET, DEBRIS = range(4)


@dataclass(frozen=True, eq=False)
class Kinds:
    """How cells of each kind look; kinds are rows, the last one is debris.

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

    `code` is the kind of cell (of a doublet, of its first cell); `fate` is one of `LIVE`,
    `DEAD`, `DOUBLET` and `DEBRIS`.
    """

    scatter: Reals
    signals: Reals
    code: Codes
    fate: Codes


def draw_events(
    rng: np.random.Generator,
    counts: Counts,
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
    counts
        Number of events, shape (4, kinds): live, dead, doublets by their first and by their
        second cell (equal sums). Debris is the last kind, in the first row.
    kinds, dead, optics
        What there is to draw.
    shift
        Staining shift of this tube in decades, shape (signals,).

    Returns
    -------
    Events
        As recorded: with spillover, noise and saturation.
    """
    n_live, n_dead, n_doublets = counts[:3].sum(axis=1)
    n = int(n_live + n_dead + n_doublets)
    code = np.concatenate([np.repeat(np.arange(counts.shape[1]), row) for row in counts])
    code[n:] = rng.permutation(code[n:])  # or like would always stick to like
    is_dead = np.zeros(len(code), dtype=bool)
    is_dead[n_live : n_live + n_dead] = True
    signals = draw_stains(rng, code, kinds, shift)
    background = kinds.autofluorescence[code]
    scatter = draw_scatter(rng, code, kinds)
    _kill(rng, is_dead, dead, signals, background, scatter)

    # The doublets' second cells stand last: add them to the first.
    _join(rng, scatter, n, int(n_doublets))
    signals[:, n - n_doublets : n] += signals[:, n:]
    background[n - n_doublets : n] += background[n:]
    fate = np.where(is_dead, DEAD, LIVE)[:n]
    fate[n - n_doublets :] = DOUBLET
    fate[code[:n] == counts.shape[1] - 1] = DEBRIS

    order = rng.permutation(n)
    recorded = record_light(rng, signals[:, order], background[order], optics)
    passed = np.minimum(scatter[:, order], np.float32(optics.top))
    return Events(passed, recorded, code[order], fate[order])


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


def _join(rng: np.random.Generator, scatter: Reals, n: int, n_doublets: int) -> None:
    """Let two cells pass together, in place: their areas add, their heights only overlap."""
    first = slice(n - n_doublets, n)
    second = slice(n, None)
    low = np.minimum(scatter[1, first], scatter[1, second])
    overlap = np.float32(0.7) * rng.random(n_doublets, dtype=np.float32)
    scatter[1, first] = np.maximum(scatter[1, first], scatter[1, second]) + overlap * low
    scatter[0, first] += scatter[0, second]
    scatter[2, first] += scatter[2, second]
