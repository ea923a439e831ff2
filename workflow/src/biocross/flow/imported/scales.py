"""The scales on which gates are drawn: which can be read, and FlowKit's objects for them."""

from collections.abc import Callable, Mapping
from typing import Any
from xml.etree.ElementTree import Element

from biocross.flow.imported.elements import attribute, children, local_name, number
from biocross.flow.imported.model import Scale, UnreadableGateError

# FlowJo draws on 256 bins, and its biexponential is tabulated for that length alone.
_BIEX_LENGTH = 256
_GATINGML_KINDS = {
    "flin": ("linear", "TA"),
    "flog": ("log", "TM"),
    "fasinh": ("arcsinh", "TMA"),
    "hyperlog": ("hyperlog", "TWMA"),
    "logicle": ("logicle", "TWMA"),
    "fratio": ("ratio", "ABC"),
}
_FLOWJO_KINDS = {
    "linear": ("linear", ("minRange", "maxRange")),
    "log": ("flowjo_log", ("offset", "decades")),
    "logicle": ("logicle", ("T", "W", "M", "A")),
    "biex": ("biex", ("maxRange", "pos", "neg", "width")),
    "fasinh": ("arcsinh", ("T", "M", "A")),
}


def read_gatingml_scale(element: Element) -> Scale:
    """Read the transformation that a ``transformation`` element of GatingML 2.0 holds.

    Parameters
    ----------
    element
        The element.

    Returns
    -------
    Scale
        Its kind and parameters.

    Raises
    ------
    UnreadableGateError
        GatingML 2.0 has no such transformation, or its parameters make no scale.

    References
    ----------
    Spidlen 2015, Cytometry A 87:683 (GatingML 2.0), section 6.
    """
    found = [child for child in element if local_name(child) in _GATINGML_KINDS]
    if not found:
        names = ", ".join(filter(None, map(local_name, element))) or "nothing"
        raise UnreadableGateError(f"it is {names}, not a transformation of GatingML 2.0")
    kind, letters = _GATINGML_KINDS[local_name(found[0])]
    parameters = {letter: number(found[0], letter) for letter in letters}
    channels = tuple(attribute(part, "name") or "" for part in children(found[0], "fcs-dimension"))
    if kind == "ratio" and len(channels) != 2:
        raise UnreadableGateError(f"a ratio needs 2 channels, not {len(channels)}")
    return _checked(Scale(kind, parameters, channels if kind == "ratio" else ()))


def read_flowjo_scale(element: Element) -> Scale:
    """Read the scale of one channel from a FlowJo 10 workspace.

    Parameters
    ----------
    element
        A child of ``Transformations``.

    Returns
    -------
    Scale
        Its kind and parameters.

    Raises
    ------
    UnreadableGateError
        FlowJo has not published the scale, or its parameters make none.
    """
    name = local_name(element)
    if name not in _FLOWJO_KINDS:
        raise UnreadableGateError(
            f'it is FlowJo\'s "{name}", which is not published; set the channel to '
            "biexponential, logicle, arcsinh, log or linear in FlowJo"
        )
    kind, names = _FLOWJO_KINDS[name]
    if name == "biex" and (length := number(element, "length", _BIEX_LENGTH)) != _BIEX_LENGTH:
        raise UnreadableGateError(f"FlowJo's biexponential of length {length:g} is not published")
    parameters = {key: number(element, key) for key in names}
    if kind == "linear":
        parameters = {"T": parameters["maxRange"], "A": parameters["minRange"]}
    return _checked(Scale(kind, parameters))


def flowkit_scale(scale: Scale) -> Callable[[Any], Any]:
    """Return FlowKit's function for a scale.

    Parameters
    ----------
    scale
        Any kind but a ratio.

    Returns
    -------
    callable
        Takes values of shape (events, 1), returns their places on the display.
    """
    from flowkit import transforms

    p = scale.parameters
    makers: Mapping[str, Callable[[], Any]] = {
        "linear": lambda: transforms.LinearTransform(p["T"], p["A"]),
        "log": lambda: transforms.LogTransform(p["T"], p["M"]),
        "arcsinh": lambda: transforms.AsinhTransform(p["T"], p["M"], p["A"]),
        "hyperlog": lambda: transforms.HyperlogTransform(p["T"], p["W"], p["M"], p["A"]),
        "logicle": lambda: transforms.LogicleTransform(p["T"], p["W"], p["M"], p["A"]),
        "flowjo_log": lambda: transforms.WSPLogTransform(p["offset"], p["decades"]),
        "biex": lambda: transforms.WSPBiexTransform(p["neg"], p["width"], p["pos"], p["maxRange"]),
    }
    apply: Callable[[Any], Any] = makers[scale.kind]().apply
    return apply


def _checked(scale: Scale) -> Scale:
    """Refuse parameters that make no scale, as the definitions of the scales demand."""
    p = scale.parameters
    wide = {"hyperlog", "logicle"}
    rules = {
        "T must be above 0": scale.kind not in {"log", "arcsinh", *wide} or p["T"] > 0,
        "M must be above 0": scale.kind not in {"log", "arcsinh", *wide} or p["M"] > 0,
        "T + A must not be 0": scale.kind != "linear" or p["T"] + p["A"] != 0,
        "A must be 0 or more": scale.kind != "arcsinh" or 0 <= p["A"] <= p["M"],
        "W must lie in 0 to M / 2": scale.kind not in wide or 0 <= p["W"] <= p["M"] / 2,
        "W must be above 0": scale.kind != "hyperlog" or p["W"] > 0,
        "A must lie in -W to M - 2 W": (
            scale.kind not in wide or -p["W"] <= p["A"] <= p["M"] - 2 * p["W"]
        ),
        "offset and decades must be above 0": (
            scale.kind != "flowjo_log" or min(p["offset"], p["decades"]) > 0
        ),
        "maxRange and pos must be above 0, width below 0": (
            scale.kind != "biex" or (min(p["maxRange"], p["pos"]) > 0 and p["width"] < 0)
        ),
    }
    if broken := [rule for rule, kept in rules.items() if not kept]:
        raise UnreadableGateError(f"its parameters make no {scale.kind} scale: {broken[0]}")
    return scale
