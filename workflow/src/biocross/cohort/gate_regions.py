"""Regions that a gate can have besides thresholds: what a strategy writes, read and checked.

Coordinates are on the transformed scale, the semantics those of GatingML 2.0.
"""

import itertools
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from biocross.cohort.vocabulary import COUNTING_BEADS
from biocross.errors import GatingError

# A correlation so close to 1 leaves an ellipse without width.
MAX_CORRELATION = 1 - 1e-9


class Rectangle(NamedTuple):
    """Ranges of one marker or more: low <= value < high.

    Parameters
    ----------
    markers
        Names.
    low, high
        One number per marker; -inf and inf are open ends.
    """

    markers: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


class Polygon(NamedTuple):
    """A polygon over two markers; where its border crosses itself, the even-odd rule holds.

    Parameters
    ----------
    markers
        Names of the horizontal and the vertical axis.
    vertices
        Corners in order, the last joined with the first.
    """

    markers: tuple[str, ...]
    vertices: tuple[tuple[float, float], ...]


class Ellipse(NamedTuple):
    """An ellipse or ellipsoid, its border included.

    Parameters
    ----------
    markers
        Names, one per axis.
    mean
        The centre.
    covariance
        Rows of the covariance matrix.
    distance_square
        Square of the Mahalanobis distance at the border.
    """

    markers: tuple[str, ...]
    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    distance_square: float


class Singlets(NamedTuple):
    """Single cells, by the area of a scatter pulse against its height.

    Parameters
    ----------
    markers
        Names of the area and the height, and of the side scatter if it is used.
    n_mad
        Border, in robust standard deviations above the single cells.
    """

    markers: tuple[str, ...]
    n_mad: float = 4.0


Region = Rectangle | Polygon | Ellipse | Singlets
REGION_KEYS = ("rectangle", "polygon", "ellipse", "singlets")


def read_region(entry: Mapping[str, Any]) -> Region | None:
    """Read the region of a gate's entry.

    Parameters
    ----------
    entry
        The gate's entry in ``gating.yaml``, valid by its schema.

    Returns
    -------
    Rectangle, Polygon, Ellipse, Singlets or None
        None where the entry has none.

    Raises
    ------
    GatingError
        Two regions in one gate, or one whose numbers do not make it; the end of a sentence.
    """
    given = [key for key in REGION_KEYS if key in entry]
    quadrant = entry.get("quadrant", {})
    if quadrant and set(quadrant) != {"thresholds", "which"}:
        given.append("quadrant")
    if len(given) > 1:
        raise GatingError(f"has {' and '.join(given)}; keep one, and gate the other under it")
    if not given:
        return None
    if not all(map(math.isfinite, _numbers(entry[given[0]]))):
        raise GatingError(f"has a {given[0]} with a number that is not finite; write plain numbers")
    readers: dict[str, Callable[[Any], Region]] = {
        "rectangle": _rectangle,
        "polygon": _polygon,
        "ellipse": _ellipse,
        "singlets": _singlets,
        "quadrant": _quadrant,
    }
    region = readers[given[0]](entry[given[0]])
    _refuse_repeated(region.markers, given[0])
    return region


def read_bead_gate(entry: Mapping[str, Any], markers: Collection[str]) -> Region:
    """Read the gate of counting beads, which lies among all events, dead-looking ones included.

    Parameters
    ----------
    entry
        Its entry in ``gating.yaml``, valid by its schema.
    markers
        Markers of the panel.

    Returns
    -------
    Rectangle, Polygon or Ellipse
        On the transformed scale.

    Raises
    ------
    GatingError
        It is anything else, or the panel lacks a marker.
    """
    name = f'gate "{COUNTING_BEADS}"'
    try:
        region = read_region(entry)
    except GatingError as error:
        raise GatingError(f"{name} {error}") from None
    if region is None or isinstance(region, Singlets) or len(entry) > 1:
        raise GatingError(
            f"{name} must be a rectangle, a polygon or an ellipse and nothing else: it is applied "
            "to all events, where no border is estimated"
        )
    if lacking := [marker for marker in region.markers if marker not in markers]:
        raise GatingError(f"{name} needs {', '.join(lacking)}, which the panel lacks")
    return region


def _numbers(entry: Any) -> Iterator[float]:
    """Yield every number of an entry, however deep it stands."""
    if isinstance(entry, Mapping):
        entry = list(entry.values())
    if isinstance(entry, list):
        for part in entry:
            yield from _numbers(part)
    elif isinstance(entry, int | float):
        yield float(entry)


def _rectangle(entry: Mapping[str, Sequence[float | None]]) -> Rectangle:
    low, high = [], []
    for marker, (start, end) in entry.items():
        low.append(-math.inf if start is None else float(start))
        high.append(math.inf if end is None else float(end))
        if start is None and end is None:
            raise GatingError(f"leaves {marker} open at both ends; give a number or leave it out")
        if low[-1] >= high[-1]:
            raise GatingError(f"has an empty range of {marker}: [{start:g}, {end:g}] must rise")
    return Rectangle(tuple(map(str, entry)), tuple(low), tuple(high))


def _polygon(entry: Mapping[str, Any]) -> Polygon:
    vertices = tuple((float(x), float(y)) for x, y in entry["vertices"])
    if len(set(vertices)) < 3:
        raise GatingError(
            f"has a polygon of {len(set(vertices))} different corners; it needs three or more"
        )
    if _is_flat(vertices):
        raise GatingError("has a polygon whose corners lie on one line; it holds no event")
    return Polygon(tuple(entry["markers"]), vertices)


def _is_flat(vertices: Sequence[tuple[float, float]]) -> bool:
    """Whether all corners lie on one line; a bow tie, whose signed area is 0, does not."""
    (x0, y0), *others = vertices
    return all(
        (x1 - x0) * (y2 - y0) == (x2 - x0) * (y1 - y0)
        for (x1, y1), (x2, y2) in itertools.combinations(others, 2)
    )


def _ellipse(entry: Mapping[str, Any]) -> Ellipse:
    size = len(entry["markers"])
    if len(entry["mean"]) != size:
        raise GatingError(f"has an ellipse of {size} markers whose mean has {len(entry['mean'])}")
    rows = tuple(tuple(float(number) for number in row) for row in entry["covariance"])
    if len(rows) != size or any(len(row) != size for row in rows):
        raise GatingError(
            f"has an ellipse of {size} markers whose covariance is not {size} rows of {size} "
            "numbers"
        )
    if any(rows[i][j] != rows[j][i] for i, j in itertools.combinations(range(size), 2)):
        raise GatingError("has a covariance that is not symmetric; a covariance must be")
    if not _is_positive_definite(rows):
        raise GatingError(
            "has a covariance that is singular or negative, so that its ellipse has no width; "
            "variances must be above 0, and a covariance smaller than both its variances allow"
        )
    mean = tuple(float(number) for number in entry["mean"])
    return Ellipse(tuple(entry["markers"]), mean, rows, float(entry["distance_square"]))


def _is_positive_definite(rows: Sequence[Sequence[float]]) -> bool:
    """Try a Cholesky factorisation of the correlation matrix."""
    variances = [row[i] for i, row in enumerate(rows)]
    if min(variances) <= 0:
        return False
    size = len(rows)
    factor = [[0.0] * size for _ in range(size)]
    for i in range(size):
        for j in range(i + 1):
            correlation = rows[i][j] / math.sqrt(variances[i] * variances[j])
            rest = correlation - sum(factor[i][k] * factor[j][k] for k in range(j))
            if i == j and rest <= 1 - MAX_CORRELATION:
                return False
            factor[i][j] = math.sqrt(rest) if i == j else rest / factor[j][j]
    return True


def _singlets(entry: Mapping[str, Any]) -> Singlets:
    names = tuple(entry[key] for key in ("area", "height", "side") if key in entry)
    return Singlets(names, float(entry.get("n_mad", 4.0)))


def _quadrant(entry: Mapping[str, Any]) -> Rectangle:
    if "thresholds" in entry:
        raise GatingError("has a quadrant with thresholds and markers; keep one of them")
    if "at" not in entry and "markers" not in entry:
        raise GatingError("has a quadrant that names nothing; give thresholds, or markers and at")
    if "at" not in entry or "markers" not in entry:
        missing = "markers" if "at" in entry else "at"
        raise GatingError(
            f'has a quadrant without "{missing}"; give markers and the values (at) that divide them'
        )
    low = [float(at) if sign == "+" else -math.inf for at, sign in _sides(entry)]
    high = [math.inf if sign == "+" else float(at) for at, sign in _sides(entry)]
    return Rectangle(tuple(entry["markers"]), tuple(low), tuple(high))


def _sides(entry: Mapping[str, Any]) -> list[tuple[float, str]]:
    return list(zip(entry["at"], entry["which"], strict=True))


def _refuse_repeated(markers: Sequence[str], kind: str) -> None:
    repeated = [name for name in markers if list(markers).count(name) > 1]
    if repeated:
        raise GatingError(f'has a {kind} that uses "{repeated[0]}" twice; its axes must differ')
