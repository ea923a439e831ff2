"""Names that people give to clusters: ``cluster_labels.tsv``."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from biocross.cohort.sheets import Problem, SheetRow, caution, counted, read_sheet
from biocross.cohort.vocabulary import Vocabulary, population_problems
from biocross.errors import ConfigError
from biocross.flow.clusters.annotation import Annotation


def read_cluster_labels(
    path: Path, map_id: str, clusters: Mapping[int, str], vocabulary: Vocabulary
) -> tuple[dict[int, str], list[Problem]]:
    """Read the names that people gave to the clusters of a map.

    Parameters
    ----------
    path
        The sheet: ``map_id``, ``cluster``, ``population``, and optionally ``map`` and ``note``.
    map_id
        Fingerprint of the map in use.
    clusters
        By number of a cluster, its map (``main`` or ``zoom``).
    vocabulary
        Known populations.

    Returns
    -------
    labels : dict of int to str
        Population by cluster, or ``unassigned``.
    cautions : list of Problem
        Clusters that the map does not have.

    Raises
    ------
    ConfigError
        One line for every unknown population, cluster named twice, row of another map, and
        violation of the schema.
    """
    rows, problems = read_sheet(path, "cluster_labels")
    if not problems:
        problems = [*_stale(path, rows, map_id), *_wrong(path, rows, map_id, clusters, vocabulary)]
    if errors := [str(problem) for problem in problems if problem.is_error]:
        raise ConfigError("\n".join(errors))
    labels = {
        row.cells["cluster"]: row.cells["population"]
        for row in rows
        if row.cells["cluster"] in clusters
    }
    return labels, problems


def apply_labels(annotations: Sequence[Annotation], labels: Mapping[int, str]) -> list[Annotation]:
    """Let the names that people gave win over those by phenotype.

    Parameters
    ----------
    annotations
        Names by phenotype.
    labels
        Population by cluster (`read_cluster_labels`).

    Returns
    -------
    list of Annotation
        Score and margin of a name from the sheet are NaN; its runner-up is the name by phenotype.
    """
    return [
        given._replace(
            population=labels[given.cluster],
            score=float("nan"),
            margin=float("nan"),
            runner_up=given.population,
            given_by="sheet",
        )
        if given.cluster in labels
        else given
        for given in annotations
    ]


def _stale(path: Path, rows: Sequence[SheetRow], map_id: str) -> list[Problem]:
    """Refuse the rows of other maps, once for each."""
    others: dict[str, list[int]] = {}
    for row in rows:
        if row.cells["map_id"] != map_id:
            others.setdefault(row.cells["map_id"], []).append(row.number)
    return [
        Problem(
            str(path),
            numbers[0],
            f'{counted(len(numbers), "row")} of map "{other}", but the map in use is "{map_id}", '
            "whose clusters have other numbers; look them up in annotation.tsv and write its "
            "map_id, or delete the sheet",
            column="map_id",
        )
        for other, numbers in others.items()
    ]


def _wrong(
    path: Path,
    rows: Sequence[SheetRow],
    map_id: str,
    clusters: Mapping[int, str],
    vocabulary: Vocabulary,
) -> list[Problem]:
    problems: list[Problem] = []
    seen: dict[int, int] = {}
    for row in rows:
        cluster = row.cells["cluster"]
        problems += population_problems(str(path), row, vocabulary)
        if row.cells["map_id"] != map_id:
            continue
        if cluster in seen:
            message = f"cluster {cluster} is already in row {seen[cluster]}; keep one of them"
            problems.append(Problem(str(path), row.number, message, column="cluster"))
        seen.setdefault(cluster, row.number)
        if cluster not in clusters:
            message = f"the map has no cluster {cluster}; this row is not used"
            problems.append(caution(str(path), message, "cluster", row.number))
        elif row.cells.get("map", clusters[cluster]) != clusters[cluster]:
            message = f"cluster {cluster} belongs to the map {clusters[cluster]}; correct the row"
            problems.append(Problem(str(path), row.number, message, column="map"))
    return problems
