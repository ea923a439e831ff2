"""Propose the panel and the gates that the headers of FCS files allow."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from biocross.cohort.markers import channel_kind, find_marker, is_mass_channel, standard_marker
from biocross.flow.headers import FcsHeader

# On the transformed scale: arcsinh with cofactor 5 for mass, else logicle from 0 to 1.
CD45_BORDER = {"mass": 2.0, "conventional": 0.5, "spectral": 0.5}

_MASS_CYTOMETER = re.compile(r"cytof|helios|dvs", re.I)
_SPECTRAL_CYTOMETER = re.compile(r"aurora|northern ?lights|ID7000|SA3800|SP6800|spectr", re.I)
_HEIGHT_OR_WIDTH = re.compile(r"(.*)[-_ ](H|W|Height|Width)", re.I)


class PanelProposal(NamedTuple):
    """A panel with what could not be told.

    Parameters
    ----------
    rows
        Rows of ``panel.tsv``: `channel`, `marker`, `kind`, `aliases`.
    questions
        Row of the sheet, or None, and what the user should decide.
    """

    rows: list[dict[str, str]]
    questions: list[tuple[int | None, str]]

    def markers(self, *kinds: str) -> set[str]:
        """Return the markers of some kinds."""
        return {row["marker"] for row in self.rows if row["kind"] in kinds}


def propose_panel(headers: Mapping[str, FcsHeader]) -> PanelProposal:
    """Propose a panel: that of most files, with a question for every clash.

    Parameters
    ----------
    headers
        By path of the file.

    Returns
    -------
    PanelProposal
        Rows and questions.
    """
    files: dict[tuple[tuple[str, str], ...], list[str]] = defaultdict(list)
    for path, header in headers.items():
        files[tuple(zip(header.channels, header.markers, strict=True))].append(path)
    ordered = sorted(files, key=lambda panel: -len(files[panel]))
    rows = _rows(ordered[0])
    questions = _settle(rows)
    for panel in ordered[1:]:
        aliases, words = _differences(rows, panel)
        for row in rows:
            if alias := aliases.get(row["channel"]):
                row["aliases"] = ", ".join(filter(None, [row["aliases"], alias]))
        if words:
            named = f"{len(files[panel])} of {len(headers)} files ({_some(files[panel])})"
            advice = "make one configuration per panel, or correct the names"
            questions.append((None, f"{named} have another panel: {words}; {advice}"))
    return PanelProposal(rows, questions)


def guess_cytometry(headers: Sequence[FcsHeader]) -> str:
    """Tell mass, spectral and conventional cytometry apart.

    Parameters
    ----------
    headers
        Headers of the cohort.

    Returns
    -------
    str
        ``mass``, ``spectral`` or ``conventional``; what most files are.
    """
    return Counter(_cytometry(header) for header in headers).most_common(1)[0][0]


def propose_gating(panel: PanelProposal, cytometry: str = "conventional") -> dict[str, Any]:
    """Propose a gating strategy of the populations that a panel's markers tell.

    Borders are valleys, but that of CD45: where all cells are leukocytes it has no valley, and a
    border above them would lose every cell.

    Parameters
    ----------
    panel
        The proposed panel.
    cytometry
        Decides the fixed border of CD45.

    Returns
    -------
    dict
        Content of ``gating.yaml``.
    """
    markers = panel.markers("lineage", "viability", "state")
    gates: dict[str, dict[str, Any]] = {"live_singlets": {}, "leukocytes": {}}
    thresholds: dict[str, dict[str, Any]] = {}
    for population, under, needed, optional in _gates(markers):
        signs = (*needed.split(), *(sign for sign in optional.split() if sign[:-1] in markers))
        used = [sign[:-1] for sign in signs]
        if not set(used) <= markers or under not in (*gates, "root"):
            continue
        gates[population] = {"under": under, "phenotype": " ".join(signs)}
        for marker in used:
            thresholds.setdefault(marker, {"method": "valley", "estimate_on": under})
    if "CD45" in thresholds:
        thresholds["CD45"] = {"method": "fixed", "value": CD45_BORDER[cytometry]}
    if {"T_cells", "B_cells", "NK_cells"} <= set(gates):
        gates["lymphocytes"] = {"any_of": ["T_cells", "B_cells", "NK_cells"]}
    return {"scope": "patient", "thresholds": thresholds, "gates": gates}


def _gates(markers: set[str]) -> list[tuple[str, str, str, str]]:
    """List population, what it is gated under, signs it needs, and signs it takes if measured."""
    b_cell = "CD19" if "CD19" in markers else "CD20"
    monocyte = "CD14" if "CD14" in markers else "CD33"
    not_b, not_monocyte = f"{b_cell}-", f"{monocyte}-"
    return [
        ("live_singlets", "root", "viability-", ""),
        ("leukocytes", "live_singlets", "CD45+", ""),
        ("T_cells", "leukocytes", "CD3+", f"{not_b} {not_monocyte}"),
        ("B_cells", "leukocytes", f"{b_cell}+", f"CD3- {not_monocyte}"),
        ("monocytes", "leukocytes", f"{monocyte}+", f"CD3- {not_b}"),
        ("NK_cells", "leukocytes", "CD3- CD56+", f"{not_b} {not_monocyte}"),
        ("eosinophils", "leukocytes", "Siglec-8+ CD3-", ""),
        ("CD4_T", "T_cells", "CD4+", "CD8-"),
        ("CD8_T", "T_cells", "CD8+", "CD4-"),
        ("Th2", "CD4_T", "CRTH2+", ""),
        ("Tc2", "CD8_T", "CRTH2+", ""),
        ("Treg", "CD4_T", "CD25+ CD127-", ""),
    ]


def _cytometry(header: FcsHeader) -> str:
    metals = sum(is_mass_channel(channel) for channel in header.channels)
    if metals >= 3 or _MASS_CYTOMETER.search(header.cytometer):
        return "mass"
    if _SPECTRAL_CYTOMETER.search(header.cytometer) and not _mixes(header):
        return "spectral"
    return "conventional"


def _mixes(header: FcsHeader) -> bool:
    """Return whether the spillover matrix is more than the identity that unmixed files carry."""
    text = header.keywords.get("spillover") or header.keywords.get("spill") or ""
    n = len(header.spillover_channels)
    values = text.split(",")[1 + n :]
    off_diagonal = (value for i, value in enumerate(values) if n and i % (n + 1))
    return any(value.strip(" 0.") for value in off_diagonal)


def _rows(panel: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    channels = {channel for channel, _ in panel}
    rows = []
    for channel, label in panel:
        marker, kind = _marker_and_kind(channel, label)
        stem = _HEIGHT_OR_WIDTH.fullmatch(channel)
        twin = stem and any(f"{stem[1]}{end}" in channels for end in ("-A", "_A", " A", "-Area"))
        if twin and kind != "scatter":
            kind = "unused"
        rows.append({"channel": channel, "marker": marker, "kind": kind, "aliases": ""})
    return rows


def _marker_and_kind(channel: str, label: str) -> tuple[str, str]:
    """Tell a channel by its own name where it says so, else by its label."""
    if (kind := channel_kind(channel)) == "dna":
        return standard_marker(label) or channel, kind
    if kind:
        return channel, kind
    for text in (label, channel):
        marker, kind = find_marker(text)
        if marker:
            return marker, kind or "unknown"
    return channel, "unmarked"


def _settle(rows: list[dict[str, str]]) -> list[tuple[int | None, str]]:
    """Ask about channels without a marker, unknown markers, and markers measured twice."""
    questions: list[tuple[int | None, str]] = []
    used = [row for row in rows if row["kind"] != "unused"]
    counts = Counter(row["marker"] for row in used)
    blank = []
    for number, row in enumerate(rows, 2):
        marker = row["marker"]
        if row["kind"] == "unmarked":
            row["kind"] = "unused"
            blank.append(row["channel"])
        elif row["kind"] != "unused" and counts[marker] > 1:
            row["kind"] = "unused"
            channels = [other["channel"] for other in rows if other["marker"] == marker]
            message = f"{marker} stands on several channels ({', '.join(channels)}); choose one"
            questions.append((number, f"{message}, and give it a kind"))
        elif row["kind"] == "unknown":
            row["kind"] = "state"
            message = f'"{marker}" is no marker of the synonym table; write its usual name, and'
            questions.append((number, f"{message} lineage, state or unused as its kind"))
    if blank:
        message = f"{len(blank)} channels have no marker and are unused: {_some(blank, 8)}"
        questions.append((None, f"{message}; write marker and kind where an antibody was used"))
    return questions


def _differences(
    rows: Sequence[Mapping[str, str]], panel: Sequence[tuple[str, str]]
) -> tuple[dict[str, str], str]:
    """Compare a panel with the rows: other names of channels, and what clashes in words."""
    proposed = {row["channel"]: row["marker"] for row in rows if row["kind"] != "unused"}
    other = {row["channel"]: row["marker"] for row in _rows(panel) if row["kind"] not in _NO_MARKER}
    if sorted(proposed.values()) == sorted(other.values()):
        channel_of = {marker: channel for channel, marker in other.items()}
        renamed = {c: channel_of[m] for c, m in proposed.items() if channel_of[m] != c}
        if not set(renamed.values()) & set(proposed):
            return renamed, ""
    words = [
        f"{channel} is {other[channel]}, not {marker}"
        for channel, marker in proposed.items()
        if channel in other and other[channel] != marker
    ]
    for what, names in (
        ("lacks", set(proposed.values()) - set(other.values())),
        ("adds", set(other.values()) - set(proposed.values())),
    ):
        if names:
            words.append(f"it {what} {_some(sorted(names), 6)}")
    return {}, ", ".join(words)


_NO_MARKER = ("unused", "unmarked")


def _some(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (" ..." if len(names) > most else "")
