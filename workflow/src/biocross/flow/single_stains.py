"""The spill of one fluorochrome, from a control stained with it alone."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.flow.thresholds import find_valley

Events = NDArray[np.float32]
Mask = NDArray[np.bool_]

MIN_POSITIVE = 200
MIN_NEGATIVE = 100
MIN_STAIN_INDEX = 3.0
METHODS = ("median", "residual")
# Within the top hundredth of the scale (one step of a 10-bit logarithmic scale) is off scale.
_OFF_SCALE = 0.99
# Of unstained events, those above this share of the others may pass for stained.
_UNSTAINED_TOP = 0.995
# Where no valley separates them, stained events must outnumber by this factor the unstained ones
# that lie as high.
_ABOVE_CHANCE = 4.0
# Brightest events this many times as far out as the unstained ones betray another stain.
_SHINES = 2.0
# A valley that leaves fewer of the stained events above it cuts off a tail, not the negatives.
_BRIGHT_SHARE = 0.2
# 95 % of a population that is normal in both scatters lies in an ellipse of this squared radius.
_ELLIPSE = 5.99
_ROUNDS = 8
_REFINEMENTS = 5
_ARCSINH_DECADES = 2000.0


class Stain(NamedTuple):
    """What one control tells of its fluorochrome.

    Parameters
    ----------
    row
        Spill into every detector, shape (detectors,); 1 in its own. NaN where it is unknown.
    error
        How far each coefficient may be off, shape (detectors,): half of its 95 % interval from
        counting noise, or the distance of the two methods if that is more.
    n_positive, n_negative
        Events compared.
    off_scale
        Share of the stained events left out because a detector was at the top of its scale.
    stain_index
        Stain index: distance of positives and negatives / 2 robust standard deviations of the
        negatives, in the own detector.
    brightest
        Detector in which stained or, where none are found, the brightest events differ most from
        the unstained.
    problem
        Why the row cannot be used: ``too_few_positive``, ``too_few_negative``, ``off_scale``,
        ``no_valley`` (neither unstained events nor a valley tell negatives from positives),
        ``too_dim``, ``not_brightest``, or empty.
    negatives
        ``unstained``, or ``control`` where the negatives are the control's own.
    """

    row: NDArray[np.float64]
    error: NDArray[np.float64]
    n_positive: int
    n_negative: int
    off_scale: float
    stain_index: float
    brightest: int
    problem: str
    negatives: str


def estimate_spill(
    events: Events,
    scatter: Events,
    primary: int,
    tops: NDArray[np.float64],
    unstained: tuple[Events, Events] | None = None,
    method: str = "median",
) -> Stain:
    """Estimate the spill of one fluorochrome from a control stained with it alone.

    Stained events are found in their own detector, above the unstained events and above the
    valley between negatives and positives. A robust ellipse around their scatter is the gate for
    stained and unstained events alike, so that both have the same autofluorescence.

    Parameters
    ----------
    events
        Raw linear values of the control, shape (events, detectors).
    scatter
        Forward and side scatter of the control, shape (events, 2); with no columns, nothing is
        gated.
    primary
        Column of the fluorochrome's own detector.
    tops
        Top of each detector's scale, shape (detectors,).
    unstained
        Events and scatter of unstained cells or beads; None, or too few of them within the gate,
        takes the negatives of the control itself.
    method
        ``median``: the distance of the medians of stained and unstained events in a detector
        over that in the own detector. ``residual``: the coefficient that leaves no distance
        between their medians once it is taken out event by event. The first is the usual
        definition; the second is free of its bias where the stain is dim and autofluorescence
        skewed.

    Returns
    -------
    Stain
        The coefficients and how they came about.

    References
    ----------
    Bagwell & Adams 1993, Ann N Y Acad Sci 677:167; Hahne et al. 2009, BMC Bioinformatics 10:106
    (medians, as flowCore); Roca et al. 2021, Nat Commun 12:2890 (robust estimates on gated
    events).
    """
    events, scatter = _finite(events, scatter)
    own, top = events[:, primary], float(tops[primary])
    if unstained is not None:
        unstained = _finite(*unstained)
    bare = None if unstained is None else unstained[0][:, primary]
    gate = fit_ellipse(scatter[own > _borders(own, bare, top)[1]])
    inside = gate.contains(scatter)
    origin, negative = "control", events[:0]
    if unstained is not None and (kept := gate.contains(unstained[1])).sum() >= MIN_NEGATIVE:
        origin, negative = "unstained", unstained[0][kept]
    low, high = _borders(own[inside], negative[:, primary] if len(negative) else None, top)
    if origin == "control":
        negative = events[inside & (own <= low)]
    stained = inside & (own > high)
    scaled = stained & (events < _OFF_SCALE * tops).all(axis=1)
    result = _nothing(events, negative, primary, origin)._replace(
        n_positive=int(scaled.sum()),
        off_scale=float((stained & ~scaled).sum() / max(int(stained.sum()), 1)),
    )
    chance = (1.0 - _UNSTAINED_TOP) * inside.sum() if low == high else 0.0
    if not np.isfinite(high):
        return result._replace(problem="no_valley")
    if scaled.sum() < MIN_POSITIVE or stained.sum() < _ABOVE_CHANCE * chance:
        off_scale = result.off_scale > 0.5
        return result._replace(problem="off_scale" if off_scale else "too_few_positive")
    if len(negative) < MIN_NEGATIVE:
        return result._replace(problem="too_few_negative")
    return _compare(events[scaled], negative, primary, method, result)


def _finite(events: Events, scatter: Events) -> tuple[Events, Events]:
    keep = np.isfinite(events).all(axis=1) & np.isfinite(scatter).all(axis=1)
    return events[keep], scatter[keep]


def _nothing(events: Events, negative: Events, primary: int, origin: str) -> Stain:
    """Return a result without coefficients, but with the detector in which the control shines."""
    unknown = np.full(events.shape[1], np.nan)
    brightest = primary
    if origin == "unstained" and len(events):
        top = np.quantile(negative, 0.98, axis=0)
        shine = np.quantile(events, 0.98, axis=0) - top
        shine[shine < _SHINES * (top - np.median(negative, axis=0))] = 0.0
        brightest = int(shine.argmax()) if shine.max() > 0 else primary
    return Stain(unknown, unknown, 0, len(negative), 0.0, np.nan, brightest, "", origin)


def _borders(own: Events, bare: Events | None, top: float) -> tuple[float, float]:
    """Return the border below which events are negative, and that above which stained."""
    if own.size == 0:
        return np.inf, np.inf
    step = (top if np.isfinite(top) else float(own.max())) / _ARCSINH_DECADES
    step = max(step, 1e-6)
    # Events piled up at the top of the scale are no population of their own.
    on_scale = own[own < _OFF_SCALE * top]
    valley = find_valley(np.arcsinh(on_scale / step).astype(np.float32))
    border = float(np.sinh(valley.value) * step) if valley.source == "valley" else np.nan
    if bare is None or bare.size == 0:
        # Equal borders mean that stained events are told by chance alone; a valley is better.
        return (np.nextafter(border, -np.inf), border) if border > -np.inf else (-np.inf, np.inf)
    dim = float(np.quantile(bare, _UNSTAINED_TOP))
    above = own > dim
    if border > dim and np.sum(own > border) >= _BRIGHT_SHARE * above.sum():
        return dim, border
    return dim, dim


class Ellipse(NamedTuple):
    """A gate in forward and side scatter.

    Parameters
    ----------
    centre
        Shape (2,).
    precision
        Inverse of the covariance, shape (2, 2).
    """

    centre: NDArray[np.float64]
    precision: NDArray[np.float64]

    def contains(self, scatter: Events) -> Mask:
        """Return which events, shape (events, 2), lie in the ellipse."""
        if self.centre.size == 0:
            return np.ones(len(scatter), dtype=np.bool_)
        away = scatter - self.centre
        squared = np.einsum("ij,jk,ik->i", away, self.precision, away)
        return np.asarray(squared <= _ELLIPSE)


def fit_ellipse(scatter: Events) -> Ellipse:
    """Fit an ellipse around the main population of some events, by reweighted covariance.

    Parameters
    ----------
    scatter
        Shape (events, 2), or (events, 0).

    Returns
    -------
    Ellipse
        Around 95 % of a normal population, and up to 99 % of it where a quarter of the events
        lie elsewhere; without scatter or with fewer than 50 events, one
        that holds every event.

    References
    ----------
    Rousseeuw & Van Driessen 1999, Technometrics 41:212 (concentration steps).
    """
    everything = Ellipse(np.empty(0), np.empty((0, 0)))
    if scatter.shape[1] != 2 or len(scatter) < 50:
        return everything
    values = scatter.astype(np.float64)
    centre = np.median(values, axis=0)
    spread = 1.4826 * np.median(np.abs(values - centre), axis=0)
    if (spread <= 0).any():
        return everything
    squared = np.square((values - centre) / spread).sum(axis=1)
    for _ in range(_ROUNDS):
        # The nearer half; its covariance is that of the whole, shrunk by a factor that the
        # median of the squared distances (1.39 for two normal variables) gives back.
        core = values[squared <= np.median(squared)]
        centre, covariance = core.mean(axis=0), np.cov(core.T)
        if not np.linalg.det(covariance) > 0:
            return everything
        precision = np.linalg.inv(covariance)
        away = values - centre
        squared = np.einsum("ij,jk,ik->i", away, precision, away)
    return Ellipse(centre, precision * 1.386 / float(np.median(squared)))


def _compare(stained: Events, negative: Events, primary: int, method: str, result: Stain) -> Stain:
    """Fill in the coefficients from stained and negative events."""
    shift = np.median(stained, axis=0).astype(float) - np.median(negative, axis=0)
    low, high = np.percentile(negative[:, primary], [15.87, 84.13])
    by_median = shift / shift[primary]
    by_residual = by_median
    for _ in range(_REFINEMENTS):
        left = stained - np.outer(stained[:, primary], by_residual)
        base = negative - np.outer(negative[:, primary], by_residual)
        step = (np.median(left, axis=0) - np.median(base, axis=0)) / shift[primary]
        step[primary] = 0.0
        by_residual = by_residual + step
    # Standard error of a difference of medians of normal values.
    variances = 1.57 * (_variance(left) / len(stained) + _variance(base) / len(negative))
    noise = 1.96 * np.sqrt(variances) / shift[primary]
    noise[primary] = 0.0
    index = float(shift[primary] / max(high - low, 1e-9))
    brightest = int(shift.argmax())
    problem = "not_brightest" if brightest != primary else ""
    if index < MIN_STAIN_INDEX:
        problem = "too_dim"
    return result._replace(
        row=by_median if method == "median" else by_residual,
        error=np.maximum(noise, np.abs(by_median - by_residual)),
        stain_index=index,
        brightest=brightest,
        problem=problem,
    )


def _variance(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return robust variances of the columns."""
    low, high = np.percentile(values, [15.87, 84.13], axis=0)
    return np.asarray(np.square((high - low) / 2), dtype=np.float64)
