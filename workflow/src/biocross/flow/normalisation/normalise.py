"""Learn to take differences between batches out of prepared events, and do so sample by sample."""

import json
from collections.abc import Sequence
from pathlib import Path

from biocross.cohort.panel import load_panel
from biocross.errors import ConfigError, DesignError
from biocross.flow.events import read_events, write_events
from biocross.flow.normalisation.design import (
    ANCHOR,
    BatchSample,
    check_design,
    check_markers,
    shared_donors,
)
from biocross.flow.normalisation.functions import (
    Functions,
    load_functions,
    normalise_columns,
    save_functions,
)
from biocross.flow.normalisation.guard import (
    GUARD_COLUMNS,
    distance_rows,
    fallback_rows,
    held_pools,
    split_anchors,
    split_samples,
    unjudged_row,
    verdict_of,
)
from biocross.flow.normalisation.learn import (
    learn_clusters,
    learn_from_anchors,
    learn_from_range,
    pool_anchors,
)
from biocross.flow.normalisation.shares import Share, read_shares
from biocross.flow.normalisation.visit_differences import visit_rows
from biocross.tables import write_rows

# What is compared between patients; other signals only tell cells from what is none.
NORMALISED_KINDS = ("lineage", "state")
ROLES = ("sample", ANCHOR)
RANGE_CAUTION = (
    "caution: ranges are aligned without anchors; what differs between the patients of two batches "
    "is removed with what differs between the batches"
)


def train_normalisation(
    events: Sequence[Path | str],
    batches: Sequence[str],
    visits: Sequence[str],
    patients: Sequence[str],
    roles: Sequence[str],
    panel: Path | str,
    method: str,
    goal: str,
    n_clusters: int,
    seed: int,
    functions_out: Path | str,
    guard_out: Path | str,
) -> None:
    """Learn the functions that make batches alike, and judge them on events held out.

    ``anchors``, in the manner of CytoNorm: material measured in every batch (role ``anchor``) is
    clustered, and per cluster, marker and batch 99 quantiles are moved to their mean over batches.
    ``range``, without anchors: the 1st and 99th percentile of the samples of a batch are. This
    also removes what differs between the patients of the batches.

    Parameters
    ----------
    events
        Prepared events.
    batches, visits, patients, roles
        One for each: batch; visit (empty for anchors); patient, or the anchor's donor (empty for
        the only one); role ``sample`` or ``anchor``, others are left out.
    panel
        ``panel.tsv``; its lineage and state markers are normalised, anchors clustered by the
        lineage markers.
    method
        ``anchors`` or ``range``.
    goal
        ``mean``, or the batch that the others shall resemble; its samples stay as they are.
    n_clusters
        Clusters of the anchors' cells; 1 for one function per marker and batch.
    seed
        Of the clustering.
    functions_out
        The functions, an ``.npz`` archive for `normalise_flow_sample`.
    guard_out
        Per marker and cluster, the largest earth mover's distance between two batches on events
        held out, and the paired difference between visits, before and after.

    Raises
    ------
    DesignError
        Visits and batches coincide, there is one batch, a batch has no anchor, or batches do not
        share the markers.
    ConfigError
        The method or the goal is unknown.

    References
    ----------
    Van Gassen et al. 2020, Cytometry A 97:268 (CytoNorm).
    """
    samples = [
        BatchSample(Path(path), batch, visit, patient or "", role)
        for path, batch, visit, patient, role in zip(
            events, batches, visits, patients, roles, strict=True
        )
        if role in ROLES
    ]
    check_design(samples, method, goal)
    signals = {c.marker: c.kind for c in load_panel(Path(panel)) if c.kind in NORMALISED_KINDS}
    if not signals:
        raise ConfigError(f"{panel}: has no lineage or state marker that could be normalised")
    markers = list(signals)
    shares = read_shares([sample for sample in samples if not sample.is_anchor], markers)
    if method == "anchors":
        map_markers = [m for m, kind in signals.items() if kind == "lineage"] or markers
        anchors = _read_anchors(samples, markers)
        functions, rows = _train_on_anchors(anchors, markers, map_markers, goal, n_clusters, seed)
    else:
        print(RANGE_CAUTION)
        functions, rows = _train_on_range(shares, samples, markers, goal, seed)
    rows += visit_rows(functions, shares)
    for sentence in verdict_of(rows):
        print(sentence)
    write_rows(guard_out, GUARD_COLUMNS, rows)
    save_functions(functions_out, functions)


def _read_anchors(samples: Sequence[BatchSample], markers: Sequence[str]) -> list[Share]:
    donors = shared_donors(samples)
    batches = {sample.batch for sample in samples if not sample.is_anchor}
    anchors = [s for s in samples if s.is_anchor and s.patient in donors and s.batch in batches]
    shares = read_shares(anchors, markers)
    # Anchors that gave no events are no anchors.
    _refuse_lost_batches(shares, batches, "anchors")
    shared_donors([s.sample for s in shares] + [s for s in samples if not s.is_anchor])
    check_markers(_markers_by_batch(shares), markers, every_sample=True)
    return shares


def _train_on_anchors(
    anchors: Sequence[Share],
    markers: Sequence[str],
    map_markers: Sequence[str],
    goal: str,
    n_clusters: int,
    seed: int,
) -> tuple[Functions, list[dict[str, object]]]:
    pools = pool_anchors(anchors)
    clusters = learn_clusters(pools, markers, map_markers, goal, n_clusters, seed)
    functions = learn_from_anchors(pools, markers, clusters, goal)
    rows: list[dict[str, object]] = []
    for split in split_anchors(anchors):
        # The clusters are kept: their numbers shall mean the same cells.
        try:
            learned = learn_from_anchors(pool_anchors(split.learned), markers, clusters, goal)
        except DesignError as error:
            rows.append(unjudged_row(split.held_out, str(error)))
        else:
            rows += distance_rows(learned, held_pools(learned, split), split.held_out, seed)
    return functions, rows + fallback_rows(functions)


def _train_on_range(
    shares: Sequence[Share],
    samples: Sequence[BatchSample],
    markers: Sequence[str],
    goal: str,
    seed: int,
) -> tuple[Functions, list[dict[str, object]]]:
    batches = {sample.batch for sample in samples if not sample.is_anchor}
    _refuse_lost_batches(shares, batches, "samples")
    check_markers(_markers_by_batch(shares), markers, every_sample=False)
    functions = learn_from_range(shares, markers, goal)
    split = split_samples(shares)
    try:
        learned = learn_from_range(split.learned, markers, goal)
    except DesignError as error:
        return functions, [unjudged_row(split.held_out, str(error))]
    return functions, distance_rows(learned, held_pools(learned, split), split.held_out, seed)


def _refuse_lost_batches(shares: Sequence[Share], batches: set[str], what: str) -> None:
    if lost := sorted(batches - {share.sample.batch for share in shares}):
        raise DesignError(
            f"normalisation: the {what} of batch {', '.join(lost)} have no passing events; see "
            "results/flow/quality/ledger.tsv for why, or leave normalisation out"
        )


def _markers_by_batch(shares: Sequence[Share]) -> dict[str, list[frozenset[str]]]:
    found: dict[str, list[frozenset[str]]] = {}
    for share in shares:
        found.setdefault(share.sample.batch, []).append(share.markers)
    return found


def normalise_flow_sample(
    events: Path | str, functions: Path | str, batch: str, events_out: Path | str
) -> None:
    """Apply the functions of a sample's batch to its prepared events.

    Parameters
    ----------
    events
        Prepared events.
    functions
        Of `train_normalisation`.
    batch
        The sample's batch.
    events_out
        The same events, flags and metadata, the markers moved; ``normalisation`` among the
        metadata says how.

    Raises
    ------
    ConfigError
        The functions were learned without this batch.
    """
    prepared = read_events(events)
    learned = load_functions(functions)
    values, _ = normalise_columns(learned, batch, prepared.values)
    moved = [marker for marker in learned.markers if marker in prepared.values]
    how = {"method": learned.method, "goal": learned.goal, "batch": batch, "markers": moved}
    meta = {**prepared.meta, "normalisation": json.dumps(how)}
    write_events(events_out, values, prepared.quality, meta)
