"""Recognise files of gates by their content, and name the ones that cannot be read."""

import re
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, XMLParser, parse

from biocross.errors import GatingError
from biocross.flow.imported.elements import attribute, local_name
from biocross.safe_xml import declares_entities

_GATINGML = re.compile(r"\{https?://www\.isac-net\.org/std/Gating-ML/v([\d.]+)/gating\}Gating-ML")
_EXPORT = (
    "export the gates as GatingML 2.0 (.xml) if that program can, or gate in FlowJo 10 and save "
    "the workspace (.wsp)"
)
_COUNTS = "or export the counts of its populations and give them as `inputs.counts`"
_FLOWJO_10 = "open it in FlowJo 10 and save it as a workspace (.wsp)"
# What each ending means, where the ending alone decides.
_ENDINGS = {
    ".wspt": (
        "is a FlowJo template, whose gates belong to no samples; apply it to the samples in "
        "FlowJo 10 and save the workspace (.wsp)"
    ),
    ".jo": f"is a workspace of FlowJo 9 for Macintosh; {_FLOWJO_10}",
    ".acs": (
        "is an archive (ACS) of files and workspace; unpack it, or save the workspace alone "
        "(.wsp) from FlowJo 10, and GatingML 2.0 (.xml) from Cytobank"
    ),
    ".fey": f"is a layout of FCS Express; {_EXPORT}, {_COUNTS}",
    ".analysis": f"is an analysis of Kaluza; {_EXPORT}, {_COUNTS}",
    ".omiq": f"is a file of OMIQ; {_EXPORT}, {_COUNTS}",
    ".yaml": "is YAML; a gating strategy of our own is named as `inputs.gating`, ending in .yaml",
}
_ENDINGS[".yml"] = _ENDINGS[".yaml"]
# Words in the first bytes of a file, or the name of its XML root.
_CONTENT = (
    (re.compile(r"kaluza", re.I), f"is a file of Kaluza; {_EXPORT}, {_COUNTS}"),
    (
        re.compile(r"fcs\s?express|de\s?novo software", re.I),
        f"is a layout of FCS Express; {_EXPORT}, {_COUNTS}",
    ),
    (re.compile(r"omiq", re.I), f"is a file of OMIQ; {_EXPORT}, {_COUNTS}"),
)
_HEAD = 4096


def open_gates(path: Path) -> tuple[str, Element]:
    """Open a file of gates.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    form : str
        ``gatingml`` (version 2.0) or ``flowjo`` (version 10).
    root : Element
        The root of its document.

    Raises
    ------
    GatingError
        It is missing, broken, or of a program or version whose gates cannot be read; the sentence
        says what to export instead.
    """
    head = _read_head(path)
    if refusal := _ENDINGS.get(path.suffix.lower()):
        raise GatingError(f"{path}: {refusal}")
    _refuse_content(path, head)
    with path.open("rb") as stream:
        if declares_entities(stream):
            raise GatingError(
                f"{path}: declares XML entities, by which a short file can become a huge one; "
                "no program that gates needs them: save or export it again"
            )
    try:
        root = parse(path, XMLParser()).getroot()
    except (ParseError, LookupError, ValueError) as error:
        raise GatingError(f"{path}: is broken XML ({error}); save or export it again") from None
    return _form(path, root, head), root


def _read_head(path: Path) -> str:
    try:
        with path.open("rb") as handle:
            head = handle.read(_HEAD)
    except FileNotFoundError:
        raise GatingError(f"{path}: there is no such file") from None
    except OSError as error:
        raise GatingError(f"{path}: cannot be opened ({error.strerror})") from None
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1"
    return head.decode(encoding, errors="replace").removeprefix("\ufeff").removeprefix("ï»¿")


def _refuse_content(path: Path, head: str) -> None:
    """Refuse what is no XML, by what it is."""
    text = head.lstrip()
    if text.startswith("<"):
        return
    if not text.strip("\0"):
        reason = "is empty; export it again"
    elif text.startswith("FCS"):
        reason = "is an FCS file, which holds events and no gates; name the file of gates"
    elif text.startswith("PK"):
        reason = f"is a zip archive ({_maker(head)}); {_EXPORT}"
    elif text.startswith("bplist"):
        reason = f"is a workspace of FlowJo 9 for Macintosh; {_FLOWJO_10}"
    elif text.startswith(("{", "[")):
        reason = f"is JSON, as OMIQ and others export; {_EXPORT}, {_COUNTS}"
    else:
        reason = next(
            (words for pattern, words in _CONTENT if pattern.search(head)),
            f"is no XML, so neither GatingML nor a FlowJo workspace; {_EXPORT}",
        )
    raise GatingError(f"{path}: {reason}")


def _maker(head: str) -> str:
    return "of Kaluza" if re.search("kaluza", head, re.I) else "such as ACS or Kaluza write"


def _form(path: Path, root: Element, head: str) -> str:
    name = local_name(root)
    if match := _GATINGML.fullmatch(root.tag):
        if match[1] == "2.0":
            return "gatingml"
        raise GatingError(
            f"{path}: is GatingML {match[1]}, an older standard; export it as GatingML 2.0"
        )
    if name == "Workspace":
        _refuse_old_flowjo(path, root)
        return "flowjo"
    if name == "bdfacs":
        raise GatingError(
            f"{path}: is an experiment of BD FACSDiva, whose gates only FACSDiva can apply; open "
            "the FCS files and this XML in FlowJo 10 and save the workspace (.wsp), "
            f"{_COUNTS}"
        )
    if name == "plist":
        raise GatingError(f"{path}: is a workspace of FlowJo 9 for Macintosh; {_FLOWJO_10}")
    for pattern, words in _CONTENT:
        if pattern.search(name) or pattern.search(head):
            raise GatingError(f"{path}: {words}")
    raise GatingError(
        f'{path}: is XML whose root is "{name}": neither GatingML 2.0 nor a FlowJo 10 workspace; '
        f"{_EXPORT}"
    )


def _refuse_old_flowjo(path: Path, root: Element) -> None:
    version = attribute(root, "flowJoVersion") or ""
    major = re.match(r"v?(\d+)", version)
    if major is None or int(major[1]) < 10:
        written = f"FlowJo {version}" if version else "FlowJo 9 or older"
        raise GatingError(f"{path}: is a workspace of {written}; {_FLOWJO_10}")
