"""Reading XML by local names, and numbers that must be numbers."""

import math
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from biocross.flow.imported.model import UnreadableGateError


def local_name(element: Element) -> str:
    """Return an element's name without its namespace; empty for a comment."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def attribute(element: Element, name: str) -> str | None:
    """Return an attribute by its name without namespace."""
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] == name:
            return value
    return None


def children(element: Element, *names: str) -> list[Element]:
    """Return the direct children of these local names."""
    return [child for child in element if local_name(child) in names]


def descendants(element: Element, name: str) -> list[Element]:
    """Return the elements of a local name at any depth below an element."""
    return [found for found in element.iter() if local_name(found) == name and found is not element]


def child(element: Element, name: str) -> Element | None:
    """Return the first direct child of a local name."""
    return next(iter(children(element, name)), None)


def number(element: Element | None, name: str, default: float | None = None) -> float:
    """Return an attribute as a finite number.

    Parameters
    ----------
    element
        The element.
    name
        The attribute without namespace.
    default
        Taken where the attribute is absent; None if it must be there.

    Returns
    -------
    float
        Its value.

    Raises
    ------
    UnreadableGateError
        It is absent or no finite number.
    """
    text = None if element is None else attribute(element, name)
    if text is None and default is not None:
        return default
    if text is None:
        raise UnreadableGateError(f'it lacks "{name}"')
    return finite(text, name)


def finite(text: str, name: str) -> float:
    """Return text as a finite number, or raise UnreadableGateError."""
    try:
        value = float(text)
    except ValueError:
        raise UnreadableGateError(f'its "{name}" is "{text}", which is no number') from None
    if not math.isfinite(value):
        raise UnreadableGateError(f'its "{name}" is "{text}", which is not finite')
    return value


def whole_number(text: str | None) -> int | None:
    """Return a count that is written in digits; None for anything else, -1 included."""
    digits = (text or "").strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else None


def vertices(element: Element | None) -> NDArray[np.float64]:
    """Return the corners that the ``vertex`` children of an element give.

    Parameters
    ----------
    element
        A polygon, or the foci or edge of an ellipse.

    Returns
    -------
    ndarray
        Shape (corners, 2).

    Raises
    ------
    UnreadableGateError
        A corner has not two coordinates, or the element is missing.
    """
    if element is None:
        raise UnreadableGateError("its corners are missing")
    corners = [
        [number(coordinate, "value") for coordinate in children(vertex, "coordinate")]
        for vertex in children(element, "vertex")
    ]
    if any(len(corner) != 2 for corner in corners):
        raise UnreadableGateError("one of its corners has not two coordinates")
    return np.array(corners, dtype=np.float64).reshape(-1, 2)


def polygon_corners(element: Element, n_axes: int) -> NDArray[np.float64]:
    """Return the corners of a polygon gate, which needs two axes and three corners."""
    corners = vertices(element)
    if n_axes != 2 or len(corners) < 3:
        raise UnreadableGateError(
            f"a polygon needs 2 channels and 3 corners; it has {n_axes} and {len(corners)}"
        )
    return corners
