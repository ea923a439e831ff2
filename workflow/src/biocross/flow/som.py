"""Self-organising maps: a few nodes that stand for many events."""

import math
from collections.abc import Iterator, Sequence
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Events of a chunk: with the distances to 100 nodes they stay in the processor's cache.
CHUNK = 2048
# The nodes start from events drawn among this many.
_START_EVENTS = 20_000
# An epoch reads at least so many, where there are.
_EPOCH_EVENTS = 50_000
# The first and the last percentile of a marker's range.
RANGE = (0.1, 99.9)
# Whole numbers up to 2^53 are exact in double precision. An event may lie 2^6 times as far from
# zero as the farthest node, and the distance has a factor of two.
_EXACT_BITS = 53
_BEYOND_BITS = 6
# Multiplications of one matrix product: OpenBLAS spreads larger ones over threads, which for a
# chunk of events costs more than it saves, and much more on a busy machine.
_ONE_THREAD = 250_000


class _Part(NamedTuple):
    """A chunk of events on the lattice, shape (markers, events), and the nearest nodes."""

    place: slice
    events: NDArray[np.float64]
    nearest: NDArray[np.intp]
    closeness: NDArray[np.float64]


class SelfOrganisingMap:
    """A self-organising map, trained on batches of all events.

    In every epoch each event goes to its nearest node, and each node moves to the mean of its
    events and, with less weight, of those of its neighbours on the grid. The weight is
    ``exp(-(d / r)**2 / 2)``, d the larger of the distances in rows and columns; the radius r
    falls geometrically from `start_radius` to `end_radius`, at which neighbours no longer count,
    so that the last epochs are those of k-means. The first half of the epochs, in which the nodes
    only find their region, reads every third event where there are many.

    The nodes start from events far from each other (k-means++), laid on the grid along the two
    principal axes. Rare cells so get nodes before the training, and a small `start_radius` lets
    them keep them: a wide one gathers the nodes where most cells are.

    The result is the same at any number of threads: events and nodes are rounded to a lattice on
    which the sums of matrix products are exact in double precision, in whatever order they are
    made. Its step is a millionth of the largest value.

    Parameters
    ----------
    width, height
        Nodes of the grid; at most 65,535 in all.
    epochs
        How often the nodes move.
    start_radius, end_radius
        Radius of the neighbourhood in the first and in the last epoch, in steps of the grid.
    seed
        Of the events that the nodes start from.

    Attributes
    ----------
    nodes_ : ndarray
        Values of the nodes, shape (nodes, markers), float32.
    grid_ : ndarray
        Row and column of each node, shape (nodes, 2).
    labels_ : ndarray
        The nearest node of each event, shape (events,), uint16.
    sizes_ : ndarray
        Events of each node, shape (nodes,); 0 where there are fewer different events than nodes.
    quantisation_error_ : float
        Mean distance of the events from their nodes.
    n_features_in_ : int
        Number of markers.

    References
    ----------
    Kohonen 2013, Neural Netw 37:52 (batch map); Arthur & Vassilvitskii 2007, SODA:1027
    (k-means++); Van Gassen 2015, Cytometry A 87A:636 (10 x 10 nodes for cytometry).
    """

    def __init__(
        self,
        width: int = 10,
        height: int = 10,
        epochs: int = 15,
        start_radius: float = 1.0,
        end_radius: float = 0.2,
        seed: int = 0,
    ) -> None:
        self.width = width
        self.height = height
        self.epochs = epochs
        self.start_radius = start_radius
        self.end_radius = end_radius
        self.seed = seed

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002
        """Return the parameters by name."""
        return {name: getattr(self, name) for name in signature(type(self)).parameters}

    def set_params(self, **params: Any) -> "SelfOrganisingMap":
        """Set parameters by name and return the map."""
        for name, value in params.items():
            if name not in signature(type(self)).parameters:
                raise ValueError(f"a SelfOrganisingMap has no parameter {name}")
            setattr(self, name, value)
        return self

    def fit(self, X: ArrayLike, y: object = None) -> "SelfOrganisingMap":  # noqa: ARG002
        """Train the map.

        Parameters
        ----------
        X
            Transformed values, shape (events, markers); at least one event.
        y
            Ignored.

        Returns
        -------
        SelfOrganisingMap
            Itself.

        Raises
        ------
        ValueError
            A parameter is out of range, there are no events or markers, or a column holds NaN or
            infinite values (its position is named).
        """
        values = _checked(X)
        self._check_parameters()
        random = np.random.default_rng(self.seed)
        n_nodes = self.width * self.height
        step = _lattice_step(float(np.abs(values).max()), values.shape[1])
        rows, columns = np.divmod(np.arange(n_nodes), self.height)
        self.grid_ = np.column_stack([rows, columns])
        apart = np.abs(self.grid_[:, None] - self.grid_[None]).max(axis=2)
        chosen = random.permutation(len(values))[:_START_EVENTS]
        start = np.rint(values[chosen].astype(np.float64) / step)
        nodes = _laid_out(_spread_apart(start, n_nodes, random), self.height)
        every = max(1, min(3, len(values) // _EPOCH_EVENTS))
        for epoch in range(self.epochs):
            done = epoch / max(self.epochs - 1, 1)
            radius = self.start_radius * (self.end_radius / self.start_radius) ** done
            some = values[epoch % every :: every] if done < 0.5 else values
            sums, sizes = _sums(list(some.T), nodes, step)
            nodes = _moved(nodes, sums, sizes, np.exp(-0.5 * np.square(apart / radius)))
        self.nodes_ = (nodes * step).astype(np.float32)
        self.n_features_in_ = values.shape[1]
        self.labels_, squared = nearest_nodes(values, self.nodes_)
        self.sizes_ = np.bincount(self.labels_, minlength=n_nodes)
        self.quantisation_error_ = float(np.sqrt(squared, dtype=np.float64).mean())
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.uint16]:
        """Return the nearest node of each event, shape (events,); X as in `fit`."""
        if not hasattr(self, "nodes_"):
            raise ValueError("the map is not trained yet; call fit first")
        return nearest_nodes(np.asarray(X), self.nodes_)[0]

    def fit_predict(self, X: ArrayLike, y: object = None) -> NDArray[np.uint16]:  # noqa: ARG002
        """Train the map and return the nearest node of each event."""
        return self.fit(X).labels_

    def _check_parameters(self) -> None:
        if not (self.width >= 1 and self.height >= 1 and self.width * self.height < 2**16):
            raise ValueError(f"a map has 1 to 65,535 nodes, not {self.width} x {self.height}")
        if self.epochs < 1:
            raise ValueError(f"a map needs at least one epoch, not {self.epochs}")
        if not self.start_radius >= self.end_radius > 0:
            raise ValueError(
                f"the radius falls to a value above zero, not from {self.start_radius:g} to "
                f"{self.end_radius:g}"
            )


def marker_ranges(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Measure by what to divide each marker, so that all count alike in a distance.

    The range from the 0.1th to the 99.9th percentile holds the positives of a marker that only
    rare cells carry. A standard deviation does not, and blows up the noise of such a marker.

    Parameters
    ----------
    values
        Transformed values, shape (events, markers).

    Returns
    -------
    ndarray
        Shape (markers,); 1 where a marker is constant.
    """
    low, high = np.percentile(values, RANGE, axis=0)
    return np.where(high > low, high - low, 1).astype(np.float32)


def nearest_nodes(
    values: NDArray[Any], nodes: NDArray[np.floating], chunk: int = CHUNK
) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    """Find the nearest node of every event.

    Parameters
    ----------
    values
        Shape (events, markers).
    nodes
        Shape (nodes, markers), at most 65,535 nodes.
    chunk
        Events read at a time; the result does not depend on it.

    Returns
    -------
    nearest, squared_distance
        Shape (events,) each; the first of several that are equally near.

    Raises
    ------
    ValueError
        A column holds NaN or infinite values, or the numbers of markers differ.
    """
    if values.ndim != 2:
        raise ValueError(f"events are a table of (events, markers), not of shape {values.shape}")
    return nearest_nodes_of_columns(list(values.T), nodes, chunk)


def nearest_nodes_of_columns(
    columns: Sequence[NDArray[Any]], nodes: NDArray[np.floating], chunk: int = CHUNK
) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    """Find the nearest node of every event of a sample that is stored by columns.

    Nothing but the result is as long as the sample. Events are rounded to about a millionth of
    the largest value of the nodes (see `SelfOrganisingMap`); those 64 times as far out as that
    value are taken to lie there.

    Parameters
    ----------
    columns
        One per marker, shape (events,) each.
    nodes, chunk
        As for `nearest_nodes`.

    Returns
    -------
    nearest, squared_distance
        As of `nearest_nodes`.

    Raises
    ------
    ValueError
        As of `nearest_nodes`.
    """
    if len(columns) != nodes.shape[1]:
        raise ValueError(f"the nodes have {nodes.shape[1]} markers, the events {len(columns)}")
    step = _lattice_step(float(np.abs(nodes).max()), nodes.shape[1])
    nearest = np.empty(len(columns[0]), dtype=np.uint16)
    squared = np.empty(len(columns[0]), dtype=np.float32)
    for part in _nearest(columns, np.rint(nodes.astype(np.float64) / step), step, chunk):
        nearest[part.place] = part.nearest
        own = np.einsum("me,me->e", part.events, part.events)
        squared[part.place] = np.maximum(part.closeness + own, 0) * step**2
    return nearest, squared


def _checked(values: ArrayLike) -> NDArray[np.floating]:
    array = np.asarray(values)
    if not np.issubdtype(array.dtype, np.floating):
        array = array.astype(np.float32)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"a map is trained on (events, markers), not on shape {array.shape}")
    for position in range(array.shape[1]):
        _refuse_missing(array[:, position], position)
    return array


def _refuse_missing(column: NDArray[Any], position: int) -> None:
    n_bad = int(np.count_nonzero(~np.isfinite(column)))
    if n_bad:
        raise ValueError(f"column {position} holds {n_bad} values that are NaN or infinite")


def _lattice_step(largest: float, n_markers: int) -> float:
    """Return the power of two to which values are rounded, so that their products sum exactly."""
    carried = math.ceil(math.log2(n_markers + 1)) + 1
    bits = (_EXACT_BITS - _BEYOND_BITS - carried) // 2
    return 2.0 ** (math.frexp(largest)[1] - bits) if largest > 0 else 1.0


def _nearest(
    columns: Sequence[NDArray[Any]], nodes: NDArray[np.float64], step: float, chunk: int
) -> Iterator[_Part]:
    """Go through the events in chunks; `nodes` are whole numbers of steps.

    The closeness is ``|node|**2 - 2 event . node``: the squared distance but for the event's own
    square, which is the same for all nodes. A row of ones puts both terms into one product.
    """
    n_events, n_markers = len(columns[0]), len(columns)
    factors = np.vstack([-2 * nodes.T, np.einsum("nm,nm->n", nodes, nodes)])
    farthest = float(np.abs(nodes).max(initial=1)) * 2**_BEYOND_BITS
    rows = max(1, min(chunk, _ONE_THREAD // factors.size))
    chunk = -(-chunk // rows) * rows
    events = np.ones((n_markers + 1, chunk))
    products = np.empty((chunk // rows, rows, len(nodes)))
    stack = events.reshape(n_markers + 1, -1, rows).transpose(1, 2, 0)
    for start in range(0, n_events, chunk):
        place = slice(start, min(start + chunk, n_events))
        size = place.stop - start
        block = events[:n_markers, :size]
        for row, column in zip(block, columns, strict=True):
            np.multiply(column[place], 1 / step, out=row, dtype=np.float64)
        np.rint(block, out=block)
        np.clip(block, -farthest, farthest, out=block)
        found = np.matmul(stack, factors, out=products).reshape(chunk, -1)[:size]
        nearest = found.argmin(axis=1)
        closeness = found[np.arange(size), nearest]
        # NaN passes through the product; infinity was drawn in and has to be looked for.
        if not np.isfinite(closeness).all() or np.abs(block).max() == farthest:
            for position, column in enumerate(columns):
                _refuse_missing(column[place], position)
        yield _Part(place, block, nearest, closeness)


def _sums(
    columns: Sequence[NDArray[Any]], nodes: NDArray[np.float64], step: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum the events of each node; whole numbers, so that their order does not matter."""
    sums = np.zeros((len(columns), len(nodes)))
    sizes = np.zeros(len(nodes))
    for part in _nearest(columns, nodes, step, CHUNK):
        sizes += np.bincount(part.nearest, minlength=len(nodes))
        for total, row in zip(sums, part.events, strict=True):
            total += np.bincount(part.nearest, row, len(nodes))
    return sums.T, sizes


def _moved(
    nodes: NDArray[np.float64],
    sums: NDArray[np.float64],
    sizes: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Move the nodes to the weighted means; einsum, because BLAS adds in an order of its own."""
    total = np.einsum("ij,j->i", weights, sizes)
    filled = total > 1e-9
    means = np.einsum("ij,jm->im", weights, sums) / np.where(filled, total, 1)[:, None]
    moved: NDArray[np.float64] = np.where(filled[:, None], np.rint(means), nodes)
    return moved


def _spread_apart(
    events: NDArray[np.float64], n_nodes: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """Draw events one by one, each with a probability that is its squared distance (k-means++).

    Where fewer events differ than there are nodes, some are drawn again.
    """
    own = np.einsum("em,em->e", events, events)
    distance = np.full(len(events), np.inf)
    chosen = np.empty(n_nodes, dtype=np.intp)
    place = int(random.integers(len(events)))
    for node in range(n_nodes):
        chosen[node] = place
        np.minimum(distance, own - 2 * (events @ events[place]) + own[place], out=distance)
        total = np.cumsum(distance)
        if total[-1] > 0:
            place = int(np.searchsorted(total, random.random() * total[-1], side="right"))
        else:
            place = int(random.integers(len(events)))
    return events[chosen]


def _laid_out(nodes: NDArray[np.float64], height: int) -> NDArray[np.float64]:
    """Order nodes on the grid: the rows along the first principal axis, within them the second."""
    centred = nodes - nodes.mean(axis=0)
    first = _along_principal_axis(centred)
    length = max(float(np.einsum("n,n->", first, first)), 1e-300)
    without = centred - np.outer(first, np.einsum("n,nm->m", first, centred)) / length
    second = _along_principal_axis(without)
    row = np.empty(len(nodes), dtype=np.intp)
    row[np.argsort(first, kind="stable")] = np.arange(len(nodes)) // height
    return nodes[np.lexsort((second, row))]


def _along_principal_axis(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """Project on the axis of most variance, by power iteration: LAPACK may depend on threads."""
    axis = centred[np.argmax(np.square(centred).sum(axis=1))]
    for _ in range(30):
        length = math.sqrt(float(np.einsum("m,m->", axis, axis)))
        if length == 0:
            break
        axis = np.einsum("nm,n->m", centred, np.einsum("nm,m->n", centred, axis / length))
    length = math.sqrt(float(np.einsum("m,m->", axis, axis))) or 1.0
    along: NDArray[np.float64] = np.einsum("nm,m->n", centred, axis / length)
    return along
