"""Write a study's transforms as Gating-ML 2.0, which other programs read.

A document is made by `gatingml_document`, filled by one function per kind of content, and
written by `write_gatingml`.
"""

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np

from biocross.flow.transforms import Transform, transform_exactly
from biocross.tables import written_whole

STANDARD = "http://www.isac-net.org/std/Gating-ML/v2.0/"
NAMESPACES = {
    "gating": f"{STANDARD}gating",
    "transforms": f"{STANDARD}transformations",
    "data-type": f"{STANDARD}datatypes",
}


def write_gatingml(path: Path | str, transforms: Mapping[str, Transform]) -> None:
    """Write transforms as a Gating-ML 2.0 file.

    Parameters
    ----------
    path
        The file; written whole or not at all.
    transforms
        By marker.
    """
    document = gatingml_document()
    add_transforms(document, transforms)
    save_document(path, document)


def save_document(path: Path | str, document: ET.Element) -> None:
    """Write a Gating-ML document, whole or not at all."""
    ET.indent(document, "    ")
    with written_whole(path) as temporary:
        ET.ElementTree(document).write(temporary, encoding="utf-8", xml_declaration=True)


def add_comment(document: ET.Element, text: str) -> None:
    """Add a comment for human readers; XML allows no two hyphens in a row in it."""
    document.append(ET.Comment(f" {re.sub(r'-(?=-)', '- ', text)} "))


def gatingml_document() -> ET.Element:
    """Return the root of a Gating-ML document with nothing in it."""
    for prefix, address in NAMESPACES.items():
        ET.register_namespace(prefix, address)
    return ET.Element(qualified("gating", "Gating-ML"))


def add_transforms(document: ET.Element, transforms: Mapping[str, Transform]) -> None:
    """Add one transformation per marker to a Gating-ML document.

    Gates refer to them by the identifiers of `gatingml_ids`. Values are those of
    `transform_exactly`: logicle as it stands; ``arcsinh(x / c)`` as ``fasinh`` with
    T = c sinh(1), M = 1 / ln 10 and A = 0; linear as ``flin`` with T = 1 and A = 0, which leaves
    values as they are. FlowJo's biexponential is not in the standard: a comment says so.

    Parameters
    ----------
    document
        Of `gatingml_document`.
    transforms
        By marker.

    References
    ----------
    Spidlen 2015, Cytometry A 87A:683 (Gating-ML 2.0), section 6.
    """
    identifiers = gatingml_ids(transforms)
    for marker, transform in transforms.items():
        if transform.kind == "biex":
            add_comment(document, _biex_comment(marker, transform))
            continue
        name, parameters = _standard_form(transform)
        wrapper = ET.SubElement(document, qualified("transforms", "transformation"))
        wrapper.set(qualified("transforms", "id"), identifiers[marker])
        element = ET.SubElement(wrapper, qualified("transforms", name))
        for key, value in parameters.items():
            element.set(qualified("transforms", key), repr(float(value)))


def gatingml_ids(markers: Iterable[str], used: Collection[str] = ()) -> dict[str, str]:
    """Give every marker or gate an identifier that XML allows and nothing else in the file has.

    Parameters
    ----------
    markers
        Their names.
    used
        Identifiers that the file has already.

    Returns
    -------
    dict
        Name to identifier: the name itself where it is letters, digits, ``_``, ``-`` and
        ``.`` and starts with a letter; else with ``_`` for what is not allowed, and a number
        where two would be equal.
    """
    markers = list(markers)
    wanted = {marker: re.sub(r"[^\w.-]", "_", marker, flags=re.ASCII) for marker in markers}
    wanted = {
        marker: name if re.match(r"[A-Za-z_]", name) else f"_{name}"
        for marker, name in wanted.items()
    }
    # Markers that need no change keep their name.
    taken = {name for marker, name in wanted.items() if marker == name} | set(used)
    for marker, name in wanted.items():
        if marker != name or name in used:
            number = 1
            while wanted[marker] in taken:
                number += 1
                wanted[marker] = f"{name}_{number}"
            taken.add(wanted[marker])
    return wanted


def qualified(prefix: str, name: str) -> str:
    """Return the name of an element or attribute of one of the standard's three namespaces."""
    return f"{{{NAMESPACES[prefix]}}}{name}"


def _standard_form(transform: Transform) -> tuple[str, dict[str, float]]:
    """Return the standard's element and its parameters."""
    transform_exactly(np.empty(0), transform)  # refuses numbers that make no scale
    if transform.kind == "logicle":
        return "logicle", {
            "T": transform.top,
            "W": transform.width,
            "M": transform.decades,
            "A": transform.negative,
        }
    if transform.kind == "arcsinh":
        # fasinh is (arcsinh(x sinh(M ln 10) / T) + A ln 10) / ((M + A) ln 10).
        return "fasinh", {
            "T": transform.cofactor * math.sinh(1),
            "M": 1 / math.log(10),
            "A": 0.0,
        }
    return "flin", {"T": 1.0, "A": 0.0}


def _biex_comment(marker: str, transform: Transform) -> str:
    return (
        f"{marker}: FlowJo biexponential, which Gating-ML cannot express: maximum range "
        f"{transform.top!r}, positive decades {transform.decades!r}, negative decades "
        f"{transform.negative!r}, width basis {transform.width_basis!r}"
    )
