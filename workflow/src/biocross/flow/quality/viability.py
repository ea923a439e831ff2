"""Flag dead cells by a viability dye."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.flow.quality.strata import merge_bins, side_bins
from biocross.flow.thresholds import find_valley

# One decade on a logicle scale of 4.5 decades.
LOGICLE_DECADE = 1 / 4.5
# Dead cells are ten and more times as bright as living ones; autofluorescence differs by less.
MIN_SEPARATION = 0.75
# Living cells that are a hundred times brighter than nothing are probably not living.
IMPLAUSIBLE = 2.0
SIDE_WIDTH = 0.25  # of log SSC: strata of about 25 %
MIN_STRATUM = 300
REACH = 0.4
NONE_FOUND = "no dead cells could be told apart"


class DeadCells(NamedTuple):
    """Which events are dead cells.

    Parameters
    ----------
    flagged
        True for dead cells, shape (events,).
    stratum
        Stratum of side scatter of each event, from low to high, shape (events,).
    borders
        Border of each stratum on the transformed scale, shape (strata,); infinite where no dead
        cells could be told apart.
    note
        What is doubtful, in words; empty if nothing is.
    """

    flagged: NDArray[np.bool_]
    stratum: NDArray[np.intp]
    borders: NDArray[np.float64]
    note: str


def flag_dead(
    dye: NDArray[np.float32],
    ssc: NDArray[np.float32] | None = None,
    decade: float = LOGICLE_DECADE,
    zero: float | None = None,
) -> DeadCells:
    """Flag the cells that a viability dye has entered.

    Dead cells are sought in the half of the events with less side scatter, where no eosinophils
    are: these are so autofluorescent that a valley would part them, alive, from the others. The
    valley there counts if the cells above it are at least 0.75 decades brighter than those below
    (medians). Each stratum of side scatter then has its own border, at the same fraction of the
    way from its living cells to the dead ones; its living cells are as bright as the brightest
    kind that stands out in the strata within 40 % of its side scatter.

    Parameters
    ----------
    dye
        Transformed values of the viability channel, shape (events,); cisplatin (Pt195) and
        rhodium (Rh103) of mass cytometry are such channels.
    ssc
        Raw SSC-A, shape (events,); None (mass cytometry has none) makes one stratum.
    decade
        Size of a decade on the transformed scale: 1 / M for logicle, 2.303 for arcsinh.
    zero
        Where 0 is on the transformed scale. With it the note says if the cells taken for living
        are as bright as dead ones: a sample in which all are dead has no valley either.

    Returns
    -------
    DeadCells
        Nothing is flagged, and the note says so, if there is no such valley.

    References
    ----------
    Perfetto 2006, J Immunol Methods 313:199 (amine dyes); Fienberg 2012, Cytometry A 81:467
    (cisplatin).
    """
    values = np.asarray(dye, dtype=np.float64)
    stratum, centres = _side_strata(ssc, values.size)
    low = values if ssc is None or values.size == 0 else values[ssc <= np.median(ssc)]
    border = _living_border(low, MIN_SEPARATION * decade)
    borders = np.full(centres.size, np.inf)
    if np.isfinite(border):
        living, dead = np.median(low[low <= border]), float(np.median(low[low > border]))
        share = float((border - living) / (dead - living))
        borders = _stratum_borders(values, stratum, centres, border, dead, share)
    flagged = values > borders[stratum]
    return DeadCells(flagged, stratum, borders, _note(values, flagged, decade, zero))


def _living_border(values: NDArray[np.float64], separation: float) -> float:
    """Find the valley below which cells live; infinite where there is none to be believed."""
    found = find_valley(values.astype(np.float32))
    above = values > found.value
    if found.source != "valley" or not above.any() or above.all():
        return float("inf")
    apart = np.median(values[above]) - np.median(values[~above])
    return found.value if apart >= separation else float("inf")


def _stratum_borders(
    values: NDArray[np.float64],
    stratum: NDArray[np.intp],
    centres: NDArray[np.float64],
    border: float,
    dead: float,
    share: float,
) -> NDArray[np.float64]:
    """Put the border of each stratum at a share of the way from living to dead cells."""
    living = np.full(centres.size, -np.inf)
    for number, part in enumerate(_split(values, stratum)):
        # Halfway to the dead cells, so that the living ones of a bright stratum are not cut.
        kept = part[part <= (border + dead) / 2]
        if kept.size:
            living[number] = np.median(kept)
    near = np.abs(centres[:, None] - centres) <= REACH
    brightest = np.where(near, living, -np.inf).max(axis=1)
    usual = (border - share * dead) / (1 - share)
    brightest = np.where(np.isfinite(brightest), brightest, usual)
    return np.asarray(brightest + share * (dead - brightest))


def _side_strata(
    ssc: NDArray[np.float32] | None, size: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Number the strata of side scatter, of about 25 % and at least 300 events, from below.

    Returns the stratum of each event, and the mean log SSC of each stratum.
    """
    if ssc is None or size == 0:
        return np.zeros(size, dtype=np.intp), np.zeros(1)
    bins = side_bins(ssc, SIDE_WIDTH)
    counts = np.bincount(bins)
    numbers = merge_bins(counts, MIN_STRATUM)
    weights = np.bincount(numbers, counts * np.arange(counts.size))
    return numbers[bins], SIDE_WIDTH * weights / np.bincount(numbers, counts)


def _split(values: NDArray[np.float64], stratum: NDArray[np.intp]) -> list[NDArray[np.float64]]:
    """List the values of each stratum."""
    order = np.argsort(stratum, kind="stable")
    return np.split(values[order], np.cumsum(np.bincount(stratum))[:-1])


def _note(
    values: NDArray[np.float64],
    flagged: NDArray[np.bool_],
    decade: float,
    zero: float | None,
) -> str:
    notes = [] if flagged.any() else [NONE_FOUND]
    living = values[~flagged]
    if zero is not None and living.size and np.median(living) > zero + IMPLAUSIBLE * decade:
        notes.append(
            "the cells taken for living are as bright as dead ones usually are; "
            "compare with an unstained sample"
        )
    return "; ".join(notes)
