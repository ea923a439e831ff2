"""Samples and patients unlike the others: in their composition, or in their markers.

What a visit or a treatment does to all samples makes none of them an outlier: every sample is
compared with those of its own visit and treatment. Two samples that fit each other's patient
better than their own are named too: tubes get exchanged.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocross.errors import TableError
from biocross.flow.clusters.groups import SINGLE, cluster_name, named_clusters
from biocross.flow.clusters.sample_distances import (
    Deviations,
    classical_scaling,
    distance_from_peers,
    distances_between,
    exchange_ratios,
    outlyingness,
    scaled_deviations,
)
from biocross.flow.clusters.sample_profiles import Profile, composition, marker_profile
from biocross.tables import read_rows, write_rows

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Rows = Sequence[Mapping[str, str]]

OUTLIER_COLUMNS = (
    *("subject", "sample_id", "patient_id", "visit", "treatment", "batch", "stratum", "aspect"),
    *("mds_1", "mds_2", "distance", "robust_z", "outlier", "exchanged_with", "why"),
    *("n_compared", "status", "note"),
)
MIN_SAMPLES = 6
MIN_PEERS = 5
OUTLIER_Z = 3.5
# An outlier is at least exp(3.5 x 0.15) = 1.7 times as far out as the median sample.
LEAST_SPREAD = 0.15
EXCHANGE_RATIO = 2.0
FEWEST_FOR_EXCHANGE = 20
REASONS = 3


def find_outlying_samples(
    counts: Path | str,
    expression: Path | str,
    samples: Path | str,
    outliers_out: Path | str,
    annotation: Path | str | None = None,
) -> None:
    """Name samples and patients that are unlike the others.

    Parameters
    ----------
    counts
        ``sample_id, population, parent, count``: of gates, or of clusters. Where a column
        ``source`` tells single clusters from merged ones, the single ones are compared.
    expression
        ``sample_id, population, marker, value, n_cells`` and, if known, ``sd``.
    samples
        ``results/cohort/samples.tsv``.
    outliers_out
        A row per sample and aspect, then one per patient and aspect.
    annotation
        ``annotation.tsv``, which gives the clusters their names.

    Raises
    ------
    TableError
        A sample of a table is not in the sheet, or a count is no number.
    """
    sheet = {row["sample_id"]: row for row in read_rows(samples)}
    named = named_clusters(read_rows(annotation)) if annotation else []
    names = {cluster_name(one.cluster): f"{one.population} ({one.cluster})" for one in named}
    tables = []
    for path in (counts, expression):
        rows = read_rows(path)
        for number, row in enumerate(rows, 2):
            if row["sample_id"] not in sheet:
                raise TableError(
                    f'{path} row {number}: sample "{row["sample_id"]}" is not in {samples}; '
                    "run check_cohort again"
                )
        tables.append(_single_clusters(rows, names))
    write_rows(outliers_out, OUTLIER_COLUMNS, outlier_rows(tables[0], tables[1], sheet))


def _single_clusters(rows: Rows, names: Mapping[str, str]) -> Rows:
    single = [row for row in rows if row.get("source", "").endswith(SINGLE)]
    # In the table of clusters the root stands beside them, once per source.
    leaves = [row for row in single if row["population"] in names] if names else single
    return [
        {**row, "population": names.get(row["population"], row["population"])}
        for row in leaves or rows
    ]


def outlier_rows(
    counts: Rows, expression: Rows, sheet: Mapping[str, Mapping[str, str]]
) -> Iterator[dict[str, Any]]:
    """Compare the samples of every tissue and stimulation with each other.

    Parameters
    ----------
    counts, expression
        Rows as of `find_outlying_samples`, of one source.
    sheet
        By sample, its row of ``results/cohort/samples.tsv``.

    Yields
    ------
    dict
        Rows with `OUTLIER_COLUMNS`.
    """
    strata: dict[str, list[Mapping[str, str]]] = {}
    for sample in dict.fromkeys(row["sample_id"] for row in counts):
        row = sheet[sample]
        stratum = ", ".join(filter(None, [row["tissue"], row.get("stimulation", "")]))
        strata.setdefault(stratum, []).append(row)
    for stratum, members in strata.items():
        names = [row["sample_id"] for row in members]
        for profile in (composition(counts, names), marker_profile(expression, counts, names)):
            for found in _compare(profile, members):
                yield {**found, "stratum": stratum, "aspect": profile.aspect}


def _compare(profile: Profile, every: Sequence[Mapping[str, str]]) -> Iterator[dict[str, Any]]:
    """Yield the rows of one aspect: every sample, then every patient."""
    known = np.asarray((~np.isnan(profile.values)).any(axis=1))
    members = [row for row, knows in zip(every, known, strict=True) if knows]
    possible = len(members) >= MIN_SAMPLES
    for row, knows in zip(every, known, strict=True):
        if not (knows and possible):
            note = (
                f"only {len(members)} samples can be compared; it takes {MIN_SAMPLES}"
                if knows
                else "nothing was measured that half of the samples have"
            )
            yield {**_sample_keys(row), "status": "not_possible", "note": note}
    if not possible:
        return
    profile = profile._replace(values=profile.values[known], noise=profile.noise[known])
    peers, notes = choose_peers(members)
    deviations = scaled_deviations(
        *(profile.values, profile.noise, peers, profile.floor),
        recentre=profile.aspect == "composition",
    )
    places, _ = classical_scaling(distances_between(deviations.places, profile.block))
    exchanged = _exchanges(deviations, profile, members)
    distance, share = distance_from_peers(deviations.from_peers, profile.block, profile.weight)
    far = outlyingness(distance, LEAST_SPREAD)
    for i, row in enumerate(members):
        reasons = _reasons(profile, deviations.from_peers[i], deviations.change[i], share[i])
        yield {
            **_sample_keys(row),
            **_verdict(places[i], distance[i], far[i], reasons, exchanged.get(i)),
            "n_compared": int(peers[i].sum()),
            "note": notes[i],
        }
    yield from _patient_rows(profile, members, deviations, places)


def _patient_rows(
    profile: Profile,
    members: Sequence[Mapping[str, str]],
    deviations: Deviations,
    places: Floats,
) -> Iterator[dict[str, Any]]:
    """Average every patient's visits, and compare the patients that have more than one.

    The mean of two visits is nearer to the centre than a single one: those are not compared.
    """
    patients = list(dict.fromkeys(row["patient_id"] for row in members))
    of_patient = _numbers(members, "patient_id")
    visits = np.bincount(of_patient)
    mean = _means(deviations.from_peers, of_patient)
    change, at = _means(deviations.change, of_patient), _means(places, of_patient)
    mean[visits < 2] = np.nan
    distance, share = distance_from_peers(mean, profile.block, profile.weight)
    n_compared = int(np.isfinite(distance).sum())
    far = outlyingness(distance, LEAST_SPREAD)
    for p, patient in enumerate(patients):
        rows = [row for row, number in zip(members, of_patient, strict=True) if number == p]
        keys = {
            "subject": "patient",
            "patient_id": patient,
            "treatment": " → ".join(dict.fromkeys(row["treatment"] for row in rows)),
            "batch": ", ".join(dict.fromkeys(row["batch"] for row in rows)),
            "n_compared": n_compared,
        }
        if visits[p] < 2 or n_compared < MIN_SAMPLES:
            note = (
                "one sample only: see there"
                if visits[p] < 2
                else f"{n_compared} patients with several samples; it takes {MIN_SAMPLES}"
            )
            yield {**keys, "status": "not_possible", "note": note}
            continue
        reasons = _reasons(profile, mean[p], change[p], share[p])
        yield {**keys, **_verdict(at[p], distance[p], far[p], reasons, None)}


def choose_peers(members: Sequence[Mapping[str, str]]) -> tuple[Bools, list[str]]:
    """Choose whom each sample is compared with: its visit and treatment, if these have enough.

    Parameters
    ----------
    members
        Rows of the sheet.

    Returns
    -------
    peers : ndarray
        Shape (samples, samples), the sample itself included.
    notes : list of str
        Where a wider circle was taken, that it was.
    """
    visit = np.array([row["visit"] for row in members])
    treatment = np.array([row["treatment"] for row in members])
    same_visit = visit[:, np.newaxis] == visit
    both = same_visit & (treatment[:, np.newaxis] == treatment)
    peers, notes = both.copy(), [""] * len(members)
    for i in range(len(members)):
        if both[i].sum() >= MIN_PEERS:
            continue
        wide = same_visit[i].sum() >= MIN_PEERS
        peers[i] = same_visit[i] if wide else True
        notes[i] = (
            f"only {both[i].sum()} samples of {visit[i]} under {treatment[i]}: compared with "
            f"{'all treatments' if wide else 'all visits and treatments'}, so that an effect of "
            "its own treatment may show"
        )
    return peers, notes


def _exchanges(
    deviations: Deviations, profile: Profile, members: Sequence[Mapping[str, str]]
) -> dict[int, tuple[str, str]]:
    """Find samples of one visit that fit each other's patient better: the other, and its patient.

    Simulated, 30 features, variances between and within patients 4 to 1, 6 to 40 patients: .60 to
    .87 of exchanges are found, and no cohort of 360 without one has a false alarm; at 2 to 1 .42
    to .67. With fewer than 20 features exchanges cannot be told from chance.
    """
    if len(profile.names) < FEWEST_FOR_EXCHANGE:
        return {}
    numbers = [_numbers(members, key) for key in ("patient_id", "visit")]
    distances = distances_between(deviations.from_peers, profile.block)
    ratio = exchange_ratios(distances, *numbers)
    best = ratio.argmax(axis=1)
    return {
        i: (members[j]["sample_id"], members[j]["patient_id"])
        for i, j in enumerate(best.tolist())
        if best[j] == i and ratio[i, j] > EXCHANGE_RATIO
    }


def _verdict(
    place: Floats, distance: float, far: float, reasons: str, exchanged: tuple[str, str] | None
) -> dict[str, Any]:
    is_far = bool(far > OUTLIER_Z)
    other = exchanged and (
        f"fits the other visits of {exchanged[1]} better than its own patient's, and "
        f"{exchanged[0]} the reverse: were tubes exchanged, at this visit or another?"
    )
    return {
        "mds_1": float(place[0]),
        "mds_2": float(place[1]),
        "distance": float(distance),
        "robust_z": float(far),
        "outlier": is_far or bool(exchanged),
        "exchanged_with": exchanged[0] if exchanged else "",
        "why": "; ".join(filter(None, [other, reasons if is_far else ""])),
        "status": "measured",
    }


def _reasons(profile: Profile, scaled: Floats, change: Floats, share: Floats) -> str:
    """Write the blocks that put a sample furthest out, such as ``Th2 × 0.21``."""
    words = []
    for block in np.argsort(-share, kind="stable")[:REASONS]:
        features = np.flatnonzero(profile.block == block)
        features = features[~np.isnan(scaled[features])]
        if not features.size:
            continue
        furthest = int(features[np.argmax(np.abs(scaled[features]))])
        name = profile.names[furthest]
        if profile.aspect == "composition":
            words.append(f"{name[0]} × {np.exp(change[furthest]):.2g}")
        else:
            words.append(f"{name[0]} {change[furthest]:+.2f} in {name[1]}".replace("-", "−", 1))
    return ", ".join(words)


def _means(values: Floats, of_patient: Ints) -> Floats:
    """Average over each patient's samples, known values only; shape (patients, ...)."""
    patient = np.arange(int(of_patient.max()) + 1)
    weights = (patient[:, np.newaxis] == of_patient).astype(np.float64)
    known = weights @ ~np.isnan(values)
    return np.where(known > 0, weights @ np.nan_to_num(values) / np.maximum(known, 1), np.nan)


def _sample_keys(row: Mapping[str, str]) -> dict[str, Any]:
    keys = ("sample_id", "patient_id", "visit", "treatment", "batch")
    return {"subject": "sample", **{key: row[key] for key in keys}}


def _numbers(members: Sequence[Mapping[str, str]], key: str) -> Ints:
    names = list(dict.fromkeys(row[key] for row in members))
    return np.array([names.index(row[key]) for row in members], dtype=np.int64)
