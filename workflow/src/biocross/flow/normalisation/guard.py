"""Judge a normalisation by how alike batches are in events that it did not learn from."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.flow.normalisation.earth_movers import largest_distance
from biocross.flow.normalisation.functions import Functions, normalise_columns
from biocross.flow.normalisation.learn import Pools, pool_anchors, pool_visits
from biocross.flow.normalisation.quantiles import ALL_EVENTS, MIN_EVENTS
from biocross.flow.normalisation.shares import Share, Values, columns_of, matrix_of, spread

GUARD_COLUMNS = (
    *("check", "contrast", "marker", "cluster", "held_out", "n"),
    *("before", "after", "ratio", "by_chance", "verdict", "note"),
)
ALL = "all"
# Of a batch: distances are to be as sure as is of use, not more.
HELD_EVENTS = 5000


class Split(NamedTuple):
    """Events to learn from, and others of the same kind to judge by.

    Parameters
    ----------
    held_out
        What is held out, in words.
    learned, held
        Shares of samples.
    """

    held_out: str
    learned: list[Share]
    held: list[Share]


def split_anchors(shares: Sequence[Share]) -> list[Split]:
    """Hold out one donor's anchors after the other; of a single donor every second event.

    Parameters
    ----------
    shares
        Of anchors whose donors are in every batch.
    """
    donors = sorted({share.sample.patient for share in shares})
    if len(donors) == 1:
        return [_split_events(shares)]
    return [
        Split(
            f"anchor {donor or 'without a name'}",
            [share for share in shares if share.sample.patient != donor],
            [share for share in shares if share.sample.patient == donor],
        )
        for donor in donors
    ]


def split_samples(shares: Sequence[Share]) -> Split:
    """Hold out half of the patients of every batch, or of the events where one has but one.

    Parameters
    ----------
    shares
        Of patients' samples.
    """
    of_batch: dict[str, set[str]] = {}
    for share in shares:
        of_batch.setdefault(share.sample.batch, set()).add(share.sample.patient)
    if min(map(len, of_batch.values())) < 2:
        return _split_events(shares)
    held = {(batch, p) for batch, found in of_batch.items() for p in sorted(found)[1::2]}
    sides: tuple[list[Share], list[Share]] = ([], [])
    for share in shares:
        sides[(share.sample.batch, share.sample.patient) in held].append(share)
    return Split("half of the patients", *sides)


def _split_events(shares: Sequence[Share]) -> Split:
    learned, held = (
        [share._replace(values=share.values[start::2]) for share in shares] for start in (0, 1)
    )
    return Split("half of the events", learned, held)


def held_pools(functions: Functions, split: Split) -> dict[str, Values]:
    """Put the events held out together by batch, as those that were learned from.

    Parameters
    ----------
    functions
        Learned from the others.
    split
        Whose held out events.
    """
    if functions.method == "anchors":
        return pool_anchors(split.held)
    pools = pool_visits(split.held)
    return {batch: np.concatenate(list(visits.values())) for batch, visits in pools.items()}


def distance_rows(
    functions: Functions, pools: Pools, held_out: str, seed: int
) -> list[dict[str, object]]:
    """Measure how far batches are apart before and after, per marker and cluster.

    Parameters
    ----------
    functions
        Learned without these events.
    pools
        By batch the events held out, shape (events, markers).
    held_out
        What they are, in words.
    seed
        Of dealing events to batches at random.

    Returns
    -------
    list of dict
        Rows with `GUARD_COLUMNS`. The first is the mean over markers. ``by_chance`` is the distance
        that batches of these sizes have where their events are dealt at random.
    """
    before, after, groups = {}, {}, {}
    for batch, values in pools.items():
        chosen = values[spread(np.arange(len(values)), HELD_EVENTS)]
        columns, groups[batch] = normalise_columns(
            functions, batch, columns_of(chosen, functions.markers)
        )
        before[batch], after[batch] = chosen, matrix_of(columns, functions.markers)
    random = np.random.default_rng(seed)
    rows = []
    for group in range(functions.source.shape[1]):
        members = _members(groups, group)
        if len(members) < 2:
            continue
        sizes = [int(chosen.sum()) for chosen in members.values()]
        for place, marker in enumerate(functions.markers):
            sets = [
                [matrix[batch][chosen, place] for batch, chosen in members.items()]
                for matrix in (before, after)
            ]
            if not all(np.isfinite(values).all() for values in sets[0]):
                continue
            dealt = np.split(random.permutation(np.concatenate(sets[1])), np.cumsum(sizes)[:-1])
            found = (largest_distance(sets[0]), largest_distance(sets[1]), largest_distance(dealt))
            rows.append(_distance_row(marker, group, held_out, min(sizes), found))
    return [_mean_row(rows), *rows] if rows else []


def _members(groups: Mapping[str, NDArray[np.uint16]], group: int) -> dict[str, NDArray[np.bool_]]:
    """Mark the events of a cluster in the batches that have enough of it."""
    marked = {
        batch: np.full(found.size, True) if group == ALL_EVENTS else found == group
        for batch, found in groups.items()
    }
    return {batch: chosen for batch, chosen in marked.items() if chosen.sum() >= MIN_EVENTS}


def _distance_row(
    marker: str, group: int, held_out: str, n: int, found: tuple[float, float, float]
) -> dict[str, object]:
    before, after, by_chance = found
    return {
        "check": "batch_distance",
        "marker": marker,
        "cluster": ALL if group == ALL_EVENTS else str(group),
        "held_out": held_out,
        "n": n,
        "before": before,
        "after": after,
        "ratio": after / before if before else float("nan"),
        "by_chance": by_chance,
        "verdict": "better" if after < before else "no_better",
        "note": "no more than chance before" if before <= by_chance else "",
    }


def _mean_row(rows: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """Average over all markers and clusters (of no clusters: all events)."""
    clusters = [row for row in rows if row["cluster"] != ALL] or rows
    before, after, by_chance = (
        float(np.mean([float(str(row[name])) for row in clusters]))
        for name in ("before", "after", "by_chance")
    )
    n = min(int(str(row["n"])) for row in clusters)
    row = _distance_row(ALL, ALL_EVENTS, str(rows[0]["held_out"]), n, (before, after, by_chance))
    return row | {"note": "mean over markers and clusters"}


def fallback_rows(functions: Functions) -> list[dict[str, object]]:
    """Name the clusters in which batches had too few events for functions of their own.

    Parameters
    ----------
    functions
        Of all batches.

    Returns
    -------
    list of dict
        Rows with `GUARD_COLUMNS`, one per such cluster.
    """
    rows: list[dict[str, object]] = []
    for group in range(ALL_EVENTS + 1, functions.source.shape[1]):
        wanting = [
            batch
            for batch, source in zip(functions.batches, functions.source, strict=True)
            if np.array_equal(source[group], source[ALL_EVENTS], equal_nan=True)
        ]
        if wanting:
            words = f"fewer than {MIN_EVENTS} events of anchors: function of all events in"
            note = f"{words} {', '.join(wanting)}"
            rows.append({"check": "fallback", "marker": ALL, "cluster": str(group), "note": note})
    return rows


def unjudged_row(held_out: str, why: str) -> dict[str, object]:
    """Say that there are too few events to hold some out.

    Parameters
    ----------
    held_out
        What should have been.
    why
        What went wrong without it.
    """
    return {
        **{"check": "batch_distance", "marker": ALL, "cluster": ALL, "held_out": held_out},
        **{"verdict": "not_judged", "note": f"too few events without {held_out}: {why}"},
    }


def verdict_of(rows: Sequence[Mapping[str, object]]) -> Iterator[str]:
    """Say in sentences what the rows of the guard come to.

    Parameters
    ----------
    rows
        With `GUARD_COLUMNS`.

    Yields
    ------
    str
        One sentence per held out set, cluster without functions, and change that shrank.
    """
    for row in rows:
        marker, cluster = row["marker"], row["cluster"]
        if row["check"] == "fallback":
            yield f"cluster {cluster}: {row['note']}"
        elif row["verdict"] == "not_judged":
            yield f"warning: the normalisation is not judged, {row['note']}"
        elif row["check"] == "batch_distance" and marker == ALL:
            better = "nearer" if row["verdict"] == "better" else "NOT nearer"
            yield (
                f"normalisation brings batches {better}: mean earth mover's distance on "
                f"{row['held_out']} {row['before']:.3f} before, {row['after']:.3f} after, "
                f"{row['by_chance']:.3f} by chance"
            )
        elif row["verdict"] == "shrunk":
            where = "all events" if cluster == ALL else f"cluster {cluster}"
            yield (
                f"warning: the difference {row['contrast']} of {marker} in {where} shrinks to "
                f"{row['ratio']:.0%}: normalisation may be removing it"
            )
