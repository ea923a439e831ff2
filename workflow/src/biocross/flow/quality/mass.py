"""Flag what is not a single, whole cell in mass cytometry; randomise integer counts."""

import numpy as np
from numpy.typing import NDArray

from biocross.flow.thresholds import find_valley

MAD_TO_SD = 1.4826
MIN_EVENTS = 50
DECADE = float(np.log(10))  # on an arcsinh scale
MAX_ROUNDS = 30
CORE_SD = 2.0
CORE_MAD = 3.0
HALF_SD = 0.6745  # half of a Gaussian is within this many standard deviations


def are_counts(values: NDArray[np.float32]) -> bool:
    """Tell whether a channel holds integer ion counts.

    Parameters
    ----------
    values
        Raw values of a mass channel, shape (events,).

    Returns
    -------
    bool
        True if every finite value is a whole number, none is negative and some are above 0.
        Randomised, normalised or compensated counts are not whole; zeros alone tell nothing.
    """
    known = values[np.isfinite(values)]
    if known.size == 0 or known.min() < 0 or known.max() <= 0:
        return False
    return bool((known == np.floor(known)).all())


def randomise_counts(
    values: NDArray[np.float32], random: np.random.Generator
) -> NDArray[np.float32]:
    """Spread integer ion counts evenly over the unit below each.

    A count of n becomes a value in (n - 1, n], zeros included, as the software of the CyTOF does
    when it writes FCS: the ceiling gives back the count. It separates cells that would be drawn,
    gated and clustered on top of each other.

    Parameters
    ----------
    values
        Raw values of a mass channel, shape (events,).
    random
        Seeded generator, one per sample.

    Returns
    -------
    ndarray
        Shape (events,); the values as they are if they are no integer counts (`are_counts`), so
        that nothing is randomised twice. The generator advances either way by ``values.size``.

    References
    ----------
    Papadopoulou 2019, Cytometry A 95:1178, compares the ways of randomising; this is the uniform
    one of the manufacturer.
    """
    below = random.random(values.size, dtype=np.float32)
    if not are_counts(values):
        return values
    # Rounding must not reach the count below, or the ceiling would no longer give it back.
    least = np.nextafter(values - 1, np.float32(np.inf), dtype=np.float32)
    return np.asarray(np.maximum(values - below, least), dtype=np.float32)


def flag_event_length(length: NDArray[np.float32], n_mad: float = 4.0) -> NDArray[np.bool_]:
    """Flag ion clouds that are too short or too long for one cell.

    Parameters
    ----------
    length
        Event_length (Cell_length), in pushes, shape (events,).
    n_mad
        Borders, in robust standard deviations from the median, each side by its own.

    Returns
    -------
    ndarray of bool
        True outside of the borders: fused clouds above, fragments below.

    References
    ----------
    Bandura 2009, Anal Chem 81:6813 (the length of an ion cloud).
    """
    return _outside(length, n_mad, smallest=0.5)


def flag_gaussian(parameters: NDArray[np.float32], n_mad: float = 4.0) -> NDArray[np.bool_]:
    """Flag ion clouds whose pulse is not shaped as that of one cell.

    Parameters
    ----------
    parameters
        Any of Center, Offset, Width and Residual of Helios and later instruments, untransformed,
        shape (events, parameters).
    n_mad
        Borders, in robust standard deviations from the median, each side by its own: Residual
        is skewed.

    Returns
    -------
    ndarray of bool
        True where at least one parameter is outside of its borders.

    References
    ----------
    Bagwell 2020, Cytometry A 97:184 (what the Gaussian parameters tell of an event).
    """
    flagged = np.zeros(len(parameters), dtype=bool)
    for column in parameters.T:
        flagged |= _outside(column, n_mad, smallest=0.0)
    return flagged


def flag_dna(
    dna1: NDArray[np.float32], dna2: NDArray[np.float32], n_sd: float = 3.5
) -> NDArray[np.bool_]:
    """Flag events outside of the ellipse of cells with one DNA content.

    The ellipse has the centre and covariance of its own core of 2 standard deviations, found by
    repetition from the densest half of the events. Debris lies below it, doublets (arcsinh +
    0.69) above.

    Parameters
    ----------
    dna1, dna2
        Intercalator channels (Ir191, Ir193), arcsinh-transformed, shape (events,).
    n_sd
        Radius of the ellipse in standard deviations; 3.5 holds 99.8 % of a Gaussian population.

    Returns
    -------
    ndarray of bool
        True outside of the ellipse. None of fewer than 50 events, or of equal ones.

    References
    ----------
    Ornatsky 2008, Anal Chem 80:2539 (iridium intercalator); Bagwell 2020, Cytometry A 97:184.
    """
    points = np.column_stack([dna1, dna2]).astype(np.float64)
    nothing = np.zeros(len(points), dtype=bool)
    if len(points) < MIN_EVENTS:
        return nothing
    core = _densest_half(points.sum(axis=1))
    # Cutting a Gaussian at the core's radius lowers its covariance by this factor.
    half_square = CORE_SD**2 / 2
    kept = 1 - np.exp(-half_square)
    consistency = kept / (kept - half_square * np.exp(-half_square))
    for _ in range(MAX_ROUNDS):
        centre = points[core].mean(axis=0)
        covariance = np.cov(points[core].T) * consistency
        if np.linalg.det(covariance) <= 1e-12:
            return nothing
        away = points - centre
        distance = np.einsum("ij,jk,ik->i", away, np.linalg.inv(covariance), away)
        before, core = core, distance <= CORE_SD**2
        if np.array_equal(before, core):
            break
    return np.asarray(distance > n_sd**2)


def flag_beads(beads: NDArray[np.float32], dna: NDArray[np.float32] | None) -> NDArray[np.bool_]:
    """Flag normalisation beads, and cells with a bead on them.

    A bead carries all of its metals, a cell hardly ever: the border is the valley of the lowest
    of an event's bead channels. It counts if the events above it are at least a decade brighter
    than those below and have less DNA (medians).

    Parameters
    ----------
    beads
        Bead channels, such as Ce140, Eu151, Eu153, Ho165, Lu175, arcsinh-transformed, shape
        (events, channels).
    dna
        An intercalator channel, arcsinh-transformed, shape (events,), or None.

    Returns
    -------
    ndarray of bool
        True for beads. None where there is no such valley: no beads were added, or they are
        taken out already.

    References
    ----------
    Finck 2013, Cytometry A 83:483 (bead standards).
    """
    nothing = np.zeros(len(beads), dtype=bool)
    if len(beads) < MIN_EVENTS or beads.shape[1] == 0:
        return nothing
    lowest = beads.min(axis=1)
    found = find_valley(lowest)
    flagged = np.asarray(lowest > found.value)
    if found.source != "valley" or not flagged.any() or flagged.all():
        return nothing
    if np.median(lowest[flagged]) - np.median(lowest[~flagged]) < DECADE:
        return nothing
    if dna is not None and np.median(dna[flagged]) >= np.median(dna[~flagged]):
        return nothing
    return flagged


def _outside(values: NDArray[np.float32], n_mad: float, smallest: float) -> NDArray[np.bool_]:
    """Flag values beyond the median ± robust standard deviations of either half.

    These are of the core within 3 of them, found by repetition from the densest half of the
    values: many doublets would widen the upper side.
    """
    finite = np.isfinite(values)
    if np.count_nonzero(finite) < MIN_EVENTS:
        return np.zeros(values.shape, dtype=bool)
    dense = values[finite & _densest_half(values)].astype(np.float64)
    middle = (dense.max() + dense.min()) / 2
    low = high = max((dense.max() - dense.min()) / 2 / HALF_SD, smallest)
    core = np.zeros(values.shape, dtype=bool)
    for _ in range(MAX_ROUNDS):
        before, core = (
            core,
            (values >= middle - CORE_MAD * low) & (values <= middle + CORE_MAD * high),
        )
        if np.array_equal(before, core):
            break
        known = values[core].astype(np.float64)
        middle = float(np.median(known))
        low, high = (
            max(MAD_TO_SD * float(np.median(np.abs(side - middle))), smallest)
            for side in (known[known <= middle], known[known >= middle])
        )
    # Where half of the values are equal, that side has no spread to judge by.
    lowest = middle - n_mad * low if low > 0 else -np.inf
    highest = middle + n_mad * high if high > 0 else np.inf
    return np.asarray((values < lowest) | (values > highest))


def _densest_half(values: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Choose the shortest interval that holds half of the finite values."""
    ordered = np.sort(values[np.isfinite(values)])
    half = ordered.size // 2
    start = int(np.argmin(ordered[half:] - ordered[: ordered.size - half]))
    return np.asarray((values >= ordered[start]) & (values <= ordered[start + half]))
