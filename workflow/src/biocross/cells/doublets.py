"""Doublets of one library: Scrublet's score, and a threshold that is not trusted blindly."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Values = NDArray[np.float64]

# Of 10x Genomics' chemistry: 0.8 % doublets for every thousand cells recovered.
RATE_PER_CELL = 0.008 / 1000
MAX_RATE = 0.4
CELLS_TO_JUDGE = 100
N_GENES, N_COMPONENTS = 2000, 30
CELLS_PER_GENE = 3
SIMULATED_PER_CELL, MAX_SIMULATED, MAX_JUDGED = 2, 20_000, 5_000
# The called share may be this many times the expected one, or this part of it.
MOST, LEAST = 3.0, 0.2
# Depth of the valley below the lower mode, and share of the scores on either side of it.
MIN_DEPTH, MIN_MODE = 0.2, 0.05
# Of the density of log-odds.
SMOOTHING, GRID = 0.25, 256
POWER_ROUNDS, OVERSAMPLED, CHUNK = 4, 20, 512


class DoubletScores(NamedTuple):
    """Scores between 0 and 1 of the cells, and of simulated doublets to compare them with."""

    cells: Values
    simulated: Values


class DoubletCall(NamedTuple):
    """Which cells are doublets, above which score, and how that score was chosen."""

    flagged: NDArray[np.bool_]
    threshold: float
    note: str


def expected_rate(n_cells: int) -> float:
    """Return the share of doublets to expect where so many cells were recovered."""
    return min(RATE_PER_CELL * n_cells, MAX_RATE)


def score_doublets(counts: "csr_matrix", rate: float, seed: int) -> DoubletScores:
    """Score cells by how many simulated doublets are among their nearest neighbours.

    Parameters
    ----------
    counts
        Raw counts of at least `CELLS_TO_JUDGE` cells x genes.
    rate
        Expected share of doublets.
    seed
        For the pairs of cells that are added up; the result does not depend on threads.

    Returns
    -------
    DoubletScores
        Of shapes (cells,) and (at most 5,000 of the simulated doublets,).

    References
    ----------
    Wolock 2019, Cell Syst 8:281.
    """
    from threadpoolctl import threadpool_limits

    random = np.random.default_rng(seed)
    with threadpool_limits(1):
        chosen = counts[:, _variable_genes(counts)].astype(np.float32).tocsr()
        n_cells = counts.shape[0]
        n_doublets = min(SIMULATED_PER_CELL * n_cells, MAX_SIMULATED)
        pairs = random.integers(0, n_cells, (2, n_doublets))
        doubled = chosen[pairs[0]] + chosen[pairs[1]]
        target = float(np.median(np.asarray(chosen.sum(axis=1))))
        cells = _logged(chosen, target)
        scale = np.maximum(cells.std(axis=0), 1e-3)
        centre = cells.mean(axis=0)
        axes = _principal_axes((cells - centre) / scale, random)
        turned = axes / scale[:, None]
        simulated = (_logged(doubled, target) - centre) @ turned
        points = np.concatenate([(cells - centre) @ turned, simulated])
        judged = points[: n_cells + min(n_doublets, MAX_JUDGED)]
        near, k = _doublets_nearby(judged, points, n_cells)
    scores = _likelihood(near, k, rate, n_doublets / n_cells)
    return DoubletScores(scores[:n_cells], scores[n_cells:])


def call_doublets(scores: DoubletScores, rate: float) -> DoubletCall:
    """Choose the score above which a cell is a doublet.

    The threshold is Scrublet's, the valley between the two modes of the simulated doublets, where
    it calls between a fifth and three times the expected share. It is looked for on the log-odds:
    where few doublets are expected, the scores themselves are crowded at zero. Where it calls more
    or fewer, the cells of highest score are called, as many as expected. Where simulated doublets
    have one mode, or most cells score like doublets, nobody can tell them, and none is called.

    Parameters
    ----------
    scores
        Of `score_doublets`.
    rate
        Expected share of doublets.

    Returns
    -------
    DoubletCall
        The note says which rule set the threshold, and why.
    """
    valley = find_valley(scores.simulated)
    called = float((scores.cells > valley).mean()) if valley is not None else float("nan")
    if valley is None or called > MAX_RATE:
        none = np.zeros(scores.cells.size, dtype=bool)
        why = "not_possible: simulated doublets do not stand apart from cells"
        return DoubletCall(none, float("nan"), why)
    if LEAST * rate <= called <= MOST * rate:
        note = f"score above {valley:.2f}; {called:.1%} called, {rate:.1%} expected"
        return DoubletCall(scores.cells > valley, valley, note)
    wrong = f"the threshold {valley:.2f} calls {called:.1%} of the cells, {rate:.1%} are expected"
    top = float(np.quantile(scores.cells, 1 - rate))
    return DoubletCall(
        scores.cells > top, top, f"the expected share is called, score above {top:.2f}: {wrong}"
    )


def find_valley(scores: Values) -> float | None:
    """Return the deepest valley between two modes of scores, or None if there is one mode.

    Parameters
    ----------
    scores
        Between 0 and 1, shape (simulated doublets,).

    Returns
    -------
    float or None
        Where the density of the log-odds is lowest relative to the lower of the modes on its two
        sides. It must fall by a fifth, and a twentieth of the scores must lie on either side.
    """
    odds = np.log(scores / (1 - scores))
    # Scores are counts of neighbours: at the top their log-odds stand far apart.
    odds = np.minimum(odds, np.percentile(odds, 75))
    low, high = float(odds.min()) - 3 * SMOOTHING, float(odds.max()) + 3 * SMOOTHING
    counts, edges = np.histogram(odds, GRID, (low, high))
    step = (high - low) / GRID
    reach = int(np.ceil(4 * SMOOTHING / step))
    kernel = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) * step / SMOOTHING))
    density = np.convolve(np.pad(counts, reach).astype(np.float64), kernel, mode="valid")
    below = np.cumsum(counts) / odds.size
    modes = np.minimum(np.maximum.accumulate(density), np.maximum.accumulate(density[::-1])[::-1])
    judged = (below >= MIN_MODE) & (below <= 1 - MIN_MODE)
    depth = np.where(judged, 1 - density / modes, 0)
    deepest = int(depth.argmax())
    if depth[deepest] < MIN_DEPTH:
        return None
    return float(1 / (1 + np.exp(-edges[deepest + 1])))


def _variable_genes(counts: "csr_matrix") -> NDArray[np.intp]:
    """Return genes whose variance is above what genes of their mean have, the 2,000 highest."""
    squared = counts.astype(np.float64)
    mean = np.asarray(squared.mean(axis=0)).ravel()
    squared.data **= 2
    variance = np.asarray(squared.mean(axis=0)).ravel() - mean**2
    detected = np.bincount(counts.indices, minlength=counts.shape[1]) >= CELLS_PER_GENE
    used = np.flatnonzero(detected & (variance > 0))
    x, y = np.log(mean[used]), np.log(variance[used])
    excess = y - np.polyval(np.polyfit(x, y, 2), x) if used.size > CELLS_PER_GENE else y
    order = np.argsort(-excess, kind="stable")[:N_GENES]
    return np.sort(used[order])


def _logged(counts: "csr_matrix", target: float) -> NDArray[np.float32]:
    """Scale cells to one depth and take log(1 + x)."""
    totals = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1)
    dense = counts.toarray()
    dense *= (target / totals).astype(np.float32)[:, None]
    return np.asarray(np.log1p(dense, out=dense), dtype=np.float32)


def _principal_axes(
    values: NDArray[np.float32], random: np.random.Generator
) -> NDArray[np.float32]:
    """Return the leading principal axes, genes x components, by randomised power iteration."""
    n_axes = min(N_COMPONENTS, *(size - 1 for size in values.shape))
    width = min(n_axes + OVERSAMPLED, *values.shape)
    basis = random.standard_normal((values.shape[1], width)).astype(np.float32)
    for _ in range(POWER_ROUNDS):
        basis = np.linalg.qr(values.T @ (values @ basis))[0]
    _, _, axes = np.linalg.svd(values @ basis, full_matrices=False)
    return np.asarray(basis @ axes[:n_axes].T, dtype=np.float32)


def _doublets_nearby(
    judged: NDArray[np.float32], points: NDArray[np.float32], n_cells: int
) -> tuple[Values, int]:
    """Count the simulated doublets among the nearest points of each, itself left out."""
    cells_near = round(0.5 * np.sqrt(n_cells))
    k = min(round(cells_near * len(points) / n_cells), len(points) - 1)
    lengths = np.square(points).sum(axis=1)
    near = np.empty(len(judged))
    for start in range(0, len(judged), CHUNK):
        some = judged[start : start + CHUNK]
        distances = lengths - 2 * (some @ points.T)
        rows = np.arange(len(some))
        distances[rows, start + rows] = np.inf
        nearest = np.argpartition(distances, k - 1, axis=1)[:, :k]
        near[start : start + len(some)] = (nearest >= n_cells).sum(axis=1)
    return near, k


def _likelihood(near: Values, k: int, rate: float, per_cell: float) -> Values:
    """Turn the share of simulated neighbours into the likelihood of being a doublet."""
    q = (near + 1) / (k + 2)
    return np.asarray(q * rate / per_cell / (1 - rate - q * (1 - rate - rate / per_cell)))
