"""Marker names: what a label of a channel means, by one table of synonyms."""

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from biocross.tables import read_rows

SYNONYMS = Path(__file__).with_name("marker_synonyms.tsv")

_GREEK = str.maketrans({"α": "a", "β": "b", "γ": "g", "δ": "d", "ε": "e", "κ": "k"})
_SCATTER = re.compile(r"([BVUYR]?[FS]SC|FS|SS)([-_ ].*)?|(forward|side)[ _-]?scatter.*", re.I)
_TIME = re.compile(r"(HDR-)?(time|T)", re.I)
# (110:114)Dd, (Nd142)Dd, Nd142Di, 142Nd, but not the D45 of CD45.
_ELEMENT = "Y|Pd|Rh|In|I|Cd|Xe|Cs|Ba|La|Ce|Pr|Nd|Sm|Eu|Gd|Tb|Dy|Ho|Er|Tm|Yb|Lu|Ir|Pt|Pb|Bi|Te|Os"
_ISOTOPE = rf"(?:(?P<n>\d{{2,3}})?(?:{_ELEMENT})(?(n)|\d{{2,3}})|\d{{2,3}}:\d{{2,3}})"
_METAL = re.compile(rf"\(?(?<![A-Za-z0-9]){_ISOTOPE}\)?(?:D[id])?(?![A-Za-z0-9])\)?")
_MASS = re.compile(_METAL.pattern.replace("(?:D[id])?", "D[id]"))
_DNA_METAL = re.compile(r"Ir19[13]|19[13]Ir")
_DYE = re.compile(
    r"(BV|BUV|BB|BYG|RB|RY|AF|AX|FL|eF|e|V|B|G|R|YG|UV|SB|CF|NFR|Q|QD|VG|VB|VR|NR)-?\d{1,3}"
    r"|FITC|PE|APC|PerCP|Cy\d(\.\d)?|ECD|PB|PO|KO|GFP|YFP|mCherry|AmCyan|Pacific|Blue|Orange|Green"
    r"|Texas|TxRed|Red|Yellow|Violet|Alexa|Fluor|eFluor|Qdot|Brilliant|Ultra|Horizon|BD|Spark|NIR"
    r"|Fire|Dazzle|Vio|VioBlue|VioGreen|Vio(Bright|let)?\d*|Super|Bright|eVolve|Nova\w+|StarBright"
    r"|PC[57](\.5)?|Krome|H7|R7|Tandem|IR|UV|Super|cFluor|[AHW]|\d+(\.\d)?",
    re.I,
)
_ENDING = re.compile(r"[-_ ](A|H|W|Area|Height|Width|INT|LOG|LIN|PEAK|TOF)$", re.I)
_DETECTOR = re.compile(r"([A-Z]{1,3}\d{1,3}|FL\s?\d+(\s\w+)*|P\d+)(-[AHW])?", re.I)


class Marker(NamedTuple):
    """One row of the table of synonyms."""

    standard: str
    kind: str


def standard_marker(label: str) -> str:
    """Return the standard name of the marker that a label names.

    Fluorochromes, metals and the endings of area, height and width are left out.

    Parameters
    ----------
    label
        What a cytometer or an operator wrote: ``CD3 BV421-A``, ``BV421-A :: CD3``, ``CD294``.

    Returns
    -------
    str
        The standard name; the cleaned label where the table does not know it; empty where the
        label names only a fluorochrome, a metal or a detector.
    """
    return find_marker(label)[0]


def find_marker(label: str) -> tuple[str, str | None]:
    """Return the standard name of the marker that a label names, and its kind.

    Parameters
    ----------
    label
        What a cytometer or an operator wrote.

    Returns
    -------
    marker : str
        As `standard_marker` returns it.
    kind : str or None
        As in ``panel.tsv``; None where the table does not know the marker. A label that joins
        several markers, such as ``CD14/CD19``, is a dump channel.
    """
    label = " ".join(label.translate(_GREEK).split())
    if found := marker_synonyms().get(_key(label)):
        return found
    bare = _METAL.sub(" ", _ENDING.sub("", label))
    if found := marker_synonyms().get(_key(bare)):
        return found
    if _DETECTOR.fullmatch(label):
        return "", None
    words = re.findall(r"[^\s_|:;,/()\[\]+-]+", bare)
    found_markers = _known_spans(words)
    if len(found_markers) > 1 and {marker.kind for marker in found_markers} == {"lineage"}:
        return "_".join(marker.standard for marker in found_markers), "dump"
    if found_markers:
        return found_markers[0]
    # No marker of the table: what is left once the dyes are gone, as it was written.
    if all(_DYE.fullmatch(word) for word in words):
        return "", None
    kept = [w for w in re.split(r"[\s_|:;,]+", bare) if w and not _is_dye(w)]
    return "_".join(kept).strip("-()/"), None


def channel_kind(channel: str) -> str | None:
    """Return the kind of a channel that carries no marker, told by its name.

    Parameters
    ----------
    channel
        ``$PnN``.

    Returns
    -------
    str or None
        ``scatter``, ``time``, ``event_length``, ``gaussian``, ``dna``, or None for a detector.
    """
    if _SCATTER.fullmatch(channel):
        return "scatter"
    if _TIME.fullmatch(channel):
        return "time"
    if _DNA_METAL.search(channel):
        return "dna"
    found = marker_synonyms().get(_key(channel))
    return found.kind if found and found.kind in ("event_length", "gaussian") else None


def is_mass_channel(channel: str) -> bool:
    """Return whether a channel is named by a metal, as mass cytometers do."""
    return bool(_MASS.search(channel))


@cache
def marker_synonyms() -> dict[str, Marker]:
    """Read the table of synonyms.

    Returns
    -------
    dict of str to Marker
        By every known name, without case and punctuation.
    """
    table: dict[str, Marker] = {}
    for row in read_rows(SYNONYMS):
        marker = Marker(row["standard"], row["kind"])
        for name in (row["standard"], *row["synonyms"].split(",")):
            if name.strip():
                table.setdefault(_key(name), marker)
    return table


def _key(name: str) -> str:
    return "".join(c for c in name.casefold().translate(_GREEK) if c.isalnum())


def _is_dye(word: str) -> bool:
    return all(_DYE.fullmatch(part) for part in re.split(r"[-/()]", word) if part)


def _known_spans(words: list[str]) -> list[Marker]:
    """Find known markers in the words of a label, the longest names first."""
    table, found = marker_synonyms(), []
    spans: list[tuple[int, int]] = []
    for length in range(min(len(words), 4), 0, -1):
        for start in range(len(words) - length + 1):
            marker = table.get(_key("".join(words[start : start + length])))
            span = (start, start + length)
            if marker and all(span[1] <= first or span[0] >= last for first, last in spans):
                spans.append(span)
                found.append((start, marker))
    return list(dict.fromkeys(marker for _, marker in sorted(found)))
