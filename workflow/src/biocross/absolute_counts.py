"""Cells per microlitre: by counting beads of the tube, or by the analyser's count of an anchor."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from biocross.cohort.vocabulary import ANCHOR_POPULATIONS, Vocabulary, lies_within

SCALE_COLUMNS = (
    *("sample_id", "patient_id", "visit", "treatment", "modality", "scaled_by", "beads_counted"),
    *("beads_added", "blood_volume_ul", "one_event_per_ul", "anchor", "anchor_by_beads"),
    *("anchor_by_analyser", "ratio", "status", "note"),
)
BY_BEADS, BY_BLOOD_COUNT, BY_TABLE = "beads", "blood_count", "table"
# Fewer have an error of more than 3 % by their number alone.
FEW_BEADS = 1000
# Two ways to count one tube of blood usually agree within a fifth.
MOST_RATIO = 1.5


def cells_per_ul(
    name: str,
    counted: Mapping[str, Mapping[str, str]],
    sample: Mapping[str, str],
    vocabulary: Vocabulary,
) -> float | None:
    """Scale a count to cells per microlitre, by the sample's beads where it has any.

    Parameters
    ----------
    name
        The population.
    counted
        The sample's rows by population, with their ``count``.
    sample
        The sample's row of ``results/cohort/samples.tsv``, blood counts included, and its
        ``beads_counted``.
    vocabulary
        Names the anchor of each population in PBMC.

    Returns
    -------
    float or None
        See `one_event_per_ul` and `scaled_by_blood_count`. A sample with beads is never scaled by
        a blood count; one that was enriched has no cells per microlitre.
    """
    if sample.get("enrichment"):
        return None
    if not has_beads(sample):
        return scaled_by_blood_count(name, counted, sample, vocabulary)
    count, one_event = counted[name]["count"], one_event_per_ul(sample)
    return float(count) * one_event if count and one_event else None


def has_beads(sample: Mapping[str, str]) -> bool:
    """Return whether counting beads scale a sample: of flow cytometry, and compared by itself."""
    flow = sample.get("modality", "flow") == "flow" and sample.get("unit") != ""
    return flow and bool(sample.get("beads_added"))


def one_event_per_ul(sample: Mapping[str, str]) -> float | None:
    """Return how many cells per microlitre of blood one event stands for.

    Parameters
    ----------
    sample
        With ``beads_added`` to the tube, ``blood_volume_ul`` in it, and ``beads_counted``.

    Returns
    -------
    float or None
        Beads added / (beads counted x volume); None where no beads were counted.
    """
    numbers = [sample.get(key) for key in ("beads_added", "beads_counted", "blood_volume_ul")]
    added, found, volume = (float(number or 0) for number in numbers)
    return added / (found * volume) if found and volume else None


def scaled_by_blood_count(
    name: str,
    counted: Mapping[str, Mapping[str, str]],
    sample: Mapping[str, str],
    vocabulary: Vocabulary,
) -> float | None:
    """Scale a count to cells per microlitre of blood by the analyser's count of an anchor.

    Parameters
    ----------
    name, counted, sample, vocabulary
        As of `cells_per_ul`.

    Returns
    -------
    float or None
        count / anchor's count x anchor per microlitre. Whole blood is anchored on leukocytes;
        PBMC on lymphocytes or monocytes, never on leukocytes, because its granulocytes are gone.
        None where the anchor was not measured, or the population does not lie within it.
    """
    blood = sample["tissue"] == "whole_blood"
    # A single cluster is anchored as the population that it is a part of.
    inside = name if name in vocabulary else counted[name].get("parent", "")
    known = vocabulary.get(inside)
    anchor = "leukocytes_per_ul" if blood else known and known.absolute_anchor
    if known is None or anchor is None or sample["tissue"] not in ("whole_blood", "pbmc"):
        return None
    if not blood and anchor == "leukocytes_per_ul":
        return None
    population = ANCHOR_POPULATIONS.get(anchor)
    count, per_ul = counted[name]["count"], sample.get(anchor)
    if population is None or population not in counted or not count or not per_ul:
        return None
    if not lies_within(inside, population, vocabulary):
        return None
    anchor_count = float(counted[population]["count"] or 0)
    return float(count) / anchor_count * float(per_ul) if anchor_count else None


def scale_rows(
    samples: Iterable[Mapping[str, str]],
    rows: Sequence[Mapping[str, Any]],
    given: Collection[str] = (),
) -> list[dict[str, Any]]:
    """Say for every sample what its cells per microlitre rest on.

    Parameters
    ----------
    samples
        Rows of ``results/cohort/samples.tsv``, with ``beads_counted`` where beads were.
    rows
        Of ``results/populations/counts.tsv``.
    given
        Samples whose cells per microlitre a table gave.

    Returns
    -------
    list of dict
        Rows with `SCALE_COLUMNS`: beads against the analyser where both counted, and why a sample
        has no cells per microlitre.
    """
    of_sample: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        of_sample.setdefault(row["sample_id"], []).append(row)
    return [
        _scale_row(sample, of_sample.get(sample["sample_id"], []), sample["sample_id"] in given)
        for sample in samples
    ]


def _scale_row(
    sample: Mapping[str, str], rows: Sequence[Mapping[str, Any]], given: bool
) -> dict[str, Any]:
    known = [row for row in rows if row["cells_per_ul"] not in (None, "")]
    described = {key: sample.get(key) for key in SCALE_COLUMNS}
    if not known:
        return {**described, "status": "not_measured", "note": _why_not(sample, bool(rows))}
    if given:
        return {**described, "scaled_by": BY_TABLE, "status": "measured"}
    if not has_beads(sample):
        return {**described, "scaled_by": BY_BLOOD_COUNT, "status": "measured"}
    found = int(sample["beads_counted"])
    few = f"{found} beads: their number alone makes an error of {100 / found**0.5:.0f} %"
    compared, differ = _against_analyser(sample, known)
    return {
        **described,
        **compared,
        "scaled_by": BY_BEADS,
        "one_event_per_ul": one_event_per_ul(sample),
        "status": "measured",
        "note": "; ".join(filter(None, [few if found < FEW_BEADS else "", differ])),
    }


def _why_not(sample: Mapping[str, str], counted: bool) -> str:
    if sample.get("enrichment"):
        return f"enriched for {sample['enrichment']}: its frequencies are not those of the blood"
    if sample.get("unit") == "":
        return "stimulated: a culture has no cells per microlitre of blood"
    if not counted:
        return "no population was counted"
    if has_beads(sample):
        return (
            "no counting beads were found, although beads_added says that there are some; look "
            "at the file, and draw a gate counting_beads where they are not bright in all channels"
        )
    return "neither counting beads nor a blood count of an anchor"


def _against_analyser(
    sample: Mapping[str, str], rows: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Any], str]:
    """Hold the first anchor that both counted against the analyser's, and say if they differ."""
    for anchor, population in ANCHOR_POPULATIONS.items():
        by_beads = [float(row["cells_per_ul"]) for row in rows if row["population"] == population]
        analyser = float(sample.get(anchor) or 0)
        # PBMC have lost their granulocytes: not all of their leukocytes are there.
        usable = sample["tissue"] == "whole_blood" or population != "leukocytes"
        if not by_beads or not by_beads[0] or not analyser or not usable:
            continue
        ratio = analyser / by_beads[0]
        numbers = {
            "anchor": anchor,
            "anchor_by_beads": by_beads[0],
            "anchor_by_analyser": analyser,
            "ratio": ratio,
        }
        differs = not 1 / MOST_RATIO <= ratio <= MOST_RATIO
        said = f"the analyser counted {ratio:.2f} times as many {population} as the beads say"
        return numbers, said if differs else ""
    return {}, ""
