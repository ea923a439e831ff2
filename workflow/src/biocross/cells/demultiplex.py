"""Tell which hashtag, and so which sample, each cell of a pooled library carries."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

NEGATIVE, DOUBLET, UNCERTAIN = -1, -2, -3
# Chances of no, one and two hashtags before the counts are seen, of the method's authors.
PRIORS = (0.01, 0.80, 0.19)
MIN_POSTERIOR = 0.8
# Signal and background of a tag lean on those of all tags as if these were so many more cells.
PRIOR_CELLS = 5.0
MIN_SD = 0.25
# Closer than this, one call in fourteen would be wrong.
MIN_SEPARATION = 3.0
IMPOSSIBLE = -1e6
# The published chances count as this part of the cells beside the shares found.
PRIOR_WEIGHT = 0.05
ROUNDS, TOLERANCE = 100, 1e-4


class TagFit(NamedTuple):
    """Signal and background of every hashtag, log(1 + count), each of shape (hashtags,)."""

    signal: Values
    signal_sd: Values
    background: Values
    background_sd: Values

    @property
    def separation(self) -> Values:
        """Distance of signal and background, in units of their common spread (Ashman's D)."""
        spread = np.sqrt((np.square(self.signal_sd) + np.square(self.background_sd)) / 2)
        return np.asarray((self.signal - self.background) / spread)


class Demultiplexed(NamedTuple):
    """Whose each cell is.

    Parameters
    ----------
    tag
        Column of the cell's hashtag; `NEGATIVE`, `DOUBLET` or `UNCERTAIN`, shape (cells,).
    posterior
        Chances of no, one and two hashtags, shape (cells, 3).
    fit
        Signal and background of the hashtags that stand apart; NaN where the signal was given up.
    separation
        Of every hashtag, shape (hashtags,); of one given up, what it was then.
    """

    tag: NDArray[np.intp]
    posterior: Values
    fit: TagFit
    separation: Values

    @property
    def found(self) -> NDArray[np.bool_]:
        """Which hashtags stand apart from their background, shape (hashtags,)."""
        return ~np.isnan(self.fit.signal)


def demultiplex(
    counts: NDArray[np.int32],
    priors: tuple[float, float, float] = PRIORS,
    min_posterior: float = MIN_POSTERIOR,
) -> Demultiplexed:
    """Assign cells to hashtags with the model of HashSolo.

    A cell is negative, a singlet or a doublet: none, the first or both of its two likeliest
    hashtags come from the log-normal signal of that tag, the others from its background. As
    published, signal and background of a tag lean on those of all tags. Unlike in the published
    programme,

    - the fit is repeated with the posterior chances as weights until it stands still, so that two
      hashtags are enough, and the shares of the three kinds follow the cells;
    - the signals of all tags spread alike;
    - a hashtag whose signal does not stand apart from its background by 3 standard deviations is
      taken to be on no cell.

    Parameters
    ----------
    counts
        Shape (cells, hashtags), two hashtags at least.
    priors
        Chances of negative, singlet and doublet.
    min_posterior
        Chance that a call must have.

    Returns
    -------
    Demultiplexed
        A call of lower chance is `UNCERTAIN`.

    Raises
    ------
    ValueError
        Fewer than two hashtags.

    References
    ----------
    Bernstein 2020, Cell Syst 11:95.
    """
    n_cells, n_tags = counts.shape
    if n_tags < 2:
        raise ValueError("demultiplexing needs two hashtags")
    logs = np.log1p(counts.astype(np.float64))
    separation = np.full(n_tags, np.nan)
    used = np.ones(n_tags, dtype=bool)
    start = _split(logs) if n_cells else logs
    while used.any() and n_cells:
        fit, shares = _fitted(logs, start * used, np.array(priors), used)
        separation[used] = fit.separation[used]
        weakest = int(np.argmin(np.where(used, separation, np.inf)))
        if separation[weakest] >= MIN_SEPARATION:
            break
        used[weakest] = False
    if not (used.any() and n_cells):
        return _nobody(n_cells, separation)
    order, posterior = _posterior(logs, fit, shares)
    best = posterior.argmax(axis=1)
    tag = np.choose(best, [np.full(n_cells, NEGATIVE), order[:, 0], np.full(n_cells, DOUBLET)])
    tag = np.where(posterior.max(axis=1) < min_posterior, UNCERTAIN, tag)
    return Demultiplexed(tag.astype(np.intp), posterior, fit, separation)


def _nobody(n_cells: int, separation: Values) -> Demultiplexed:
    """Call every cell uncertain, because no hashtag stands apart from its background."""
    nothing = np.full(separation.size, np.nan)
    tag = np.full(n_cells, UNCERTAIN, dtype=np.intp)
    fit = TagFit(nothing, nothing, nothing, nothing)
    return Demultiplexed(tag, np.full((n_cells, 3), np.nan), fit, separation)


def _split(values: Values) -> Values:
    """Guess which counts are signal: the higher of two groups, by 2-means.

    Counts of all tags are split at one border, so that a tag without cells gets none.
    """
    border = float(np.percentile(values, [1, 99]).mean())
    for _ in range(ROUNDS):
        high = values > border
        if high.all() or not high.any():
            break
        border, before = float(values[high].mean() + values[~high].mean()) / 2, border
        if border == before:
            break
    return (values > border).astype(np.float64)


def _fitted(
    logs: Values, chance: Values, priors: Values, used: NDArray[np.bool_]
) -> tuple[TagFit, Values]:
    """Repeat the fit until the chances stand still; return the shares of the three kinds too."""
    tags = chance.sum(axis=1)
    shares = _shares(np.column_stack([tags < 1, tags == 1, tags > 1]), priors)
    for _ in range(ROUNDS):
        fit = _fit_tags(logs, chance, used)
        order, posterior = _posterior(logs, fit, shares)
        updated = _signal_chances(order, posterior, logs.shape[1])
        change = np.abs(updated - chance).max()
        chance, shares = updated, _shares(posterior, priors)
        if change < TOLERANCE:
            break
    return fit, shares


def _shares(posterior: Values | NDArray[np.bool_], priors: Values) -> Values:
    """Return the shares of negatives, singlets and doublets, leaning on the priors."""
    weight = PRIOR_WEIGHT * len(posterior)
    return np.asarray((posterior.sum(axis=0) + weight * priors) / (len(posterior) + weight))


def _fit_tags(logs: Values, chance: Values, used: NDArray[np.bool_]) -> TagFit:
    """Return means and SDs of signal and background, shrunk towards those of all tags.

    Signals of all tags spread alike. Without that, a tag that no cell carries would make the
    background of the negatives its signal.
    """
    background, background_sd = _weighted(logs, 1 - chance)
    lift, _ = _weighted(logs - background, chance)
    squares = (chance * np.square(logs - background - lift)).sum()
    spread = max(float(np.sqrt(squares / max(chance.sum(), 1e-12))), MIN_SD)
    signal = np.where(used, background + lift, np.nan)
    return TagFit(signal, np.full(lift.size, spread), background, background_sd)


def _weighted(logs: Values, weights: Values) -> tuple[Values, Values]:
    mass = weights.sum(axis=0)
    overall = (weights * logs).sum() / max(mass.sum(), 1e-12)
    spread = (weights * np.square(logs - overall)).sum() / max(mass.sum(), 1e-12)
    mean = ((weights * logs).sum(axis=0) + PRIOR_CELLS * overall) / (mass + PRIOR_CELLS)
    squares = (weights * np.square(logs - mean)).sum(axis=0)
    variance = (squares + PRIOR_CELLS * spread) / (mass + PRIOR_CELLS)
    return mean, np.maximum(np.sqrt(variance), MIN_SD)


def _posterior(logs: Values, fit: TagFit, shares: Values) -> tuple[NDArray[np.intp], Values]:
    """Return each cell's two likeliest tags, and its chances of none, one and two."""
    ratio = _log_ratio(logs, fit)
    order = np.argsort(-ratio, axis=1, kind="stable")[:, :2]
    first, second = np.take_along_axis(ratio, order, axis=1).T
    terms = np.column_stack([np.zeros(len(logs)), first, first + second]) + np.log(shares)
    weights = np.exp(terms - terms.max(axis=1, keepdims=True))
    return order, weights / weights.sum(axis=1, keepdims=True)


def _log_ratio(logs: Values, fit: TagFit) -> Values:
    """Return the log-likelihood of signal over that of background; of tags given up, minus much."""
    signal = _log_normal(logs, fit.signal, fit.signal_sd)
    ratio = signal - _log_normal(logs, fit.background, fit.background_sd)
    return np.where(np.isnan(ratio), IMPOSSIBLE, ratio)


def _signal_chances(order: NDArray[np.intp], posterior: Values, n_tags: int) -> Values:
    chances = np.zeros((len(order), n_tags))
    rows = np.arange(len(order))
    chances[rows, order[:, 0]] = posterior[:, 1] + posterior[:, 2]
    chances[rows, order[:, 1]] = posterior[:, 2]
    return chances


def _log_normal(values: Values, mean: Values, sd: Values) -> Values:
    return np.asarray(-0.5 * np.square((values - mean) / sd) - np.log(sd))
