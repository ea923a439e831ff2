"""Put every event of a sample into its cluster, count the clusters, and measure them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from biocross.cohort.panel import load_panel
from biocross.cohort.vocabulary import load_vocabulary
from biocross.flow.clusters.counting import (
    COUNT_COLUMNS,
    EXPRESSION_COLUMNS,
    count_rows,
    expression_rows,
)
from biocross.flow.clusters.flow_map import look_closer, main_clusters, read_maps
from biocross.flow.clusters.groups import (
    Group,
    named_clusters,
    population_groups,
    single_groups,
)
from biocross.flow.events import read_events, write_columns
from biocross.tables import read_rows, write_rows


def map_flow_sample(
    events: Path | str,
    maps: Path | str,
    annotation: Path | str,
    found: Path | str,
    panel: Path | str,
    populations: Path | str,
    source_prefix: str,
    labels_out: Path | str,
    counts_out: Path | str,
    expression_out: Path | str,
) -> None:
    """Map one sample.

    Parameters
    ----------
    events
        Its prepared events.
    maps
        Of `train_flow_map`.
    annotation, found
        ``annotation.tsv`` and ``populations.tsv`` of `name_clusters`.
    panel, populations
        ``panel.tsv`` and ``populations.yaml``.
    source_prefix
        Before the source of every row; empty for events as measured.
    labels_out
        Column ``cluster``, shape (events,); 0 where an event is in none, and throughout a sample
        that has no map.
    counts_out
        A row per population and per cluster of the map of all events; without counts where the
        sample has no map.
    expression_out
        Median and standard deviation of every lineage and state marker on each of them.
    """
    vocabulary = load_vocabulary(Path(populations))
    named = named_clusters(read_rows(annotation))
    sought = {
        row["population"]: row["stable"] == "yes"
        for row in read_rows(found)
        if row["status"] != "not_in_panel"
    }
    merged = [
        group._replace(source=source_prefix + group.source)
        for group in population_groups(named, sought, vocabulary)
    ]
    # One by one, the clusters of the map of all events, with all the events that this map gives
    # them: those that look closer split rare kinds finely, only to be merged by name.
    first = [one for one in named if not one.zoomed]
    single = [
        group._replace(source=source_prefix + group.source)
        for group in single_groups(first, vocabulary)
    ]
    parents = {group.population: group for group in merged}
    single_parents = {g.population: g for g in population_groups(first, {}, vocabulary)}
    sample, cohort_maps = read_events(events), read_maps(maps)
    name = sample.meta["sample_id"]
    missing = [marker for marker in cohort_maps.main.markers if marker not in sample.values]
    if missing or "excluded" in sample.meta:
        why = f"it lacks {', '.join(missing)}" if missing else "its file was not read"
        print(f"{name} is not mapped: {why}")
        nothing = np.zeros(sample.quality.size, dtype=np.uint16)
        write_columns(labels_out, {"cluster": nothing}, {"sample_id": name})
        groups: list[Group] = [*merged, *single]
        unknown = count_rows(name, None, groups, parents | single_parents)
        write_rows(counts_out, COUNT_COLUMNS, unknown)
        write_rows(expression_out, EXPRESSION_COLUMNS, [])
        return
    zoomed = [one.cluster for one in named if one.zoomed]
    own = main_clusters(cohort_maps, sample.values, sample.quality)
    cluster = look_closer(cohort_maps.zooms, sample.values, own, zoomed)
    markers = [c.marker for c in load_panel(Path(panel)) if c.kind in ("lineage", "state")]
    write_columns(labels_out, {"cluster": cluster}, {"sample_id": name})
    counted = [
        *count_rows(name, cluster, merged, parents),
        *count_rows(name, own, single, single_parents),
    ]
    write_rows(counts_out, COUNT_COLUMNS, counted)
    measured = [
        *expression_rows(name, cluster, sample.values, merged, markers),
        *expression_rows(name, own, sample.values, single, markers),
    ]
    write_rows(expression_out, EXPRESSION_COLUMNS, measured)


def summarise_clusters(
    counts: Sequence[Path | str],
    expression: Sequence[Path | str],
    counts_out: Path | str,
    expression_out: Path | str,
) -> None:
    """Put the tables of all samples one below the other.

    Parameters
    ----------
    counts, expression
        Of `map_flow_sample`, by sample.
    counts_out, expression_out
        The cohort's tables.
    """
    write_rows(counts_out, COUNT_COLUMNS, (row for path in counts for row in read_rows(path)))
    rows = (row for path in expression for row in read_rows(path))
    write_rows(expression_out, EXPRESSION_COLUMNS, rows)
