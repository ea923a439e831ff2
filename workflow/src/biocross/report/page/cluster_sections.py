"""What the report says of clusters: how many, what they are, and what may be doubted."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from biocross.cohort.sheets import counted
from biocross.cohort.vocabulary import Vocabulary
from biocross.flow.clusters.groups import MAIN
from biocross.report.page.chapters import Chapter, open_in_scanpy
from biocross.report.page.pictures import pictures_of
from biocross.report.page.sections import (
    Description,
    Row,
    number,
    table_sections,
    verbatim,
    words,
)
from biocross.report.sources import records
from biocross.report.words import format_number, listed, plain
from biocross.statistics.pairs import read_table

METHODS = {
    "som": "a self-organising map, its nodes joined by consensus",
    "leiden": "Leiden communities of a subsample",
}
CAPTIONS = {
    "markers": (
        "What the clusters are",
        "Median of each marker in each cluster, as a share of the marker's range.",
    ),
    "umap": (
        "Cells of all samples",
        "An equal share of every sample on the plane of UMAP. Distances between far groups mean "
        "nothing, and nothing was tested here.",
    ),
    "sizes": ("How large they are at each visit", "One point per sample, in percent."),
    "agreement": (
        "Do gates and clusters mean the same cells?",
        "F1: twice the shared events over the sum of both; 1 where they are the same cells.",
    ),
    "samples": (
        "Samples beside each other",
        "Samples that lie close to each other are alike (multidimensional scaling).",
    ),
}

# One panel per cluster.
FOLDED = ("sizes",)


def _is_outlier(row: Row) -> bool:
    return str(row["outlier"]) == "yes"


CLUSTER_TABLES: dict[str, Description] = {
    "outliers": Description(
        "Samples unlike the others",
        "Compared with samples of the same visit and treatment, so that what a treatment does to "
        "all makes none an outlier. Look at their quality before anything else.",
        (
            *(verbatim("Sample", "sample_id"), verbatim("Patient", "patient_id")),
            *(words("Visit", "visit"), words("In", "aspect"), number("Robust z", "robust_z")),
            *(verbatim("Perhaps exchanged with", "exchanged_with"), verbatim("Why", "why")),
        ),
        "No sample is unlike the others.",
        _is_outlier,
    ),
    "agreement_summary": Description(
        "Gates and clusters, event by event",
        "Events of all samples. F1 is 1 where gate and clusters hold the same events.",
        (
            *(words("Population", "population"), number("In the gate", "n_gate")),
            *(number("In the clusters", "n_cluster"), number("In both", "n_both")),
            *(number("F1", "f1"), words("Status", "status"), words("Note", "note")),
        ),
        "No population was found by gates and by clusters.",
    ),
    "annotation": Description(
        "Every cluster",
        "Score: how well the phenotype fits (1 is best); margin: by how much better than the next. "
        "Stability: mean Jaccard index over reruns with other seeds and other patients.",
        (
            *(number("Cluster", "cluster"), words("Map", "map"), words("Population", "population")),
            *(number("% of events", "percent"), number("Score", "score")),
            *(number("Margin", "margin"), number("Stability", "stability")),
            *(words("Stable", "stable"), verbatim("Markers", "words"), verbatim("Note", "note")),
        ),
        "There are no clusters.",
    ),
}
# Tables that make sentences only.
CLUSTER_FACTS = ("numbers", "populations", "guard")


def cluster_chapter(
    tables: Mapping[str, Path | str],
    figures: Sequence[Path | str],
    config: Mapping[str, Any],
    report: Path | str,
) -> Chapter | None:
    """Write the chapter on clusters.

    Parameters
    ----------
    tables
        By name, `CLUSTER_TABLES` and `CLUSTER_FACTS` of ``results/flow``, as far as there are
        any; ``cells``, the file of cells; empty where no clusters were sought.
    figures
        Of ``results/figures/clusters``.
    config
        The complete configuration.
    report
        The page, which links to the cells.

    Returns
    -------
    Chapter or None
        None where no clusters were sought.
    """
    if "annotation" not in tables:
        return None
    annotation = read_table(tables["annotation"])
    fdr = config["statistics"]["fdr"]
    known = {name: read_table(tables[name]) for name in CLUSTER_FACTS if name in tables}
    sentences = [_how_many(annotation, known.get("numbers"), config["flow"]["clusters"])]
    sentences += _unstable(annotation)
    sentences += _resolved(known["populations"]) if "populations" in known else []
    if "agreement_summary" in tables:
        sentences += _agreement(read_table(tables["agreement_summary"]))
    sentences += guard_sentences(known.get("guard"))
    sections = table_sections(CLUSTER_TABLES, tables, fdr, CLUSTER_TABLES)
    cells = tables.get("cells")
    return Chapter(
        "clusters",
        "Clusters",
        sentences,
        pictures_of(figures, CAPTIONS, FOLDED),
        sections,
        open_in_scanpy(cells, report, "population") if cells else None,
    )


def disagreements(summary: Path | str | None, vocabulary: Vocabulary) -> list[str]:
    """Say of which primary populations gates and clusters disagree.

    Parameters
    ----------
    summary
        ``agreement_summary.tsv``, or None.
    vocabulary
        Says which populations are primary.

    Returns
    -------
    list of str
        Sentences.
    """
    if summary is None:
        return []
    table = read_table(summary)
    return [
        str(row["note"])
        for row in records(table[table["status"] == "disagree"])
        if row["population"] in vocabulary and vocabulary[row["population"]].primary
    ]


def _how_many(
    annotation: pd.DataFrame, numbers: pd.DataFrame | None, asked: Mapping[str, Any]
) -> str:
    used = annotation[annotation["used"] == "yes"]
    parts = [
        f"{n} on the map of {'all events' if name == MAIN else plain(name) + ' alone'}"
        for name, n in used["map"].value_counts(sort=False).items()
    ]
    found = f"{counted(len(used), 'cluster')} by {METHODS[asked['method']]}: {listed(parts)}."
    if n_unused := len(annotation) - len(used):
        found += f" Not used, because of other cells than their map is for: {n_unused} more."
    if asked["number"]:
        return f"{found} The configuration asks for {asked['number']} on every map."
    if numbers is None or numbers.empty:
        return found
    chosen = numbers[numbers["chosen"] == "yes"]
    weakest = ", ".join(
        f"{row['n_clusters']} on {'all events' if row['map'] == MAIN else plain(row['map'])} "
        f"(weakest cluster {format_number(row['weakest'])})"
        for row in records(chosen)
    )
    return (
        f"{found} Their number is the largest of those tried at which every cluster holds when "
        "nodes are left out (consensus of 0.75 or more), or else that whose weakest cluster holds "
        f"best: {weakest}."
    )


def _unstable(annotation: pd.DataFrame) -> Iterator[str]:
    used = annotation[annotation["used"] == "yes"]
    unstable = used[used["stable"] != "yes"]
    if unstable.empty:
        yield "Other seeds and other patients give every cluster again."
        return
    of = unstable["population"].value_counts(sort=False)
    names = listed(f"{name} ({n})" for name, n in of.items())
    yield (
        f"Unstable are {len(unstable)} of {counted(len(used), 'cluster')}, because other seeds or "
        f"other patients do not give them again: {names}. They are tested in families of their "
        "own and never open the report. A population made mostly of such clusters is marked "
        "“clusters, unstable”; whether it holds the cells of its gate all the same is told below."
    )


def _resolved(populations: pd.DataFrame) -> Iterator[str]:
    of = dict(list(populations.groupby("status", sort=False)))
    if "found" in of:
        yield f"Clusters were found for {listed(of['found']['population'])}."
    if "no_cluster" in of:
        names = listed(of["no_cluster"]["population"])
        yield f"Clusters cannot tell {names} apart; the gates stand for them."
    if "not_in_panel" in of:
        names = "; ".join(
            f"{plain(row['population'])}: {row['note']}" for row in records(of["not_in_panel"])
        )
        yield f"The panel cannot show {names}."


def _agreement(summary: pd.DataFrame) -> Iterator[str]:
    if summary.empty:
        return
    apart = records(summary[summary["status"] == "disagree"])
    named = [f"{row['population']} (F1 {format_number(row['f1'])})" for row in apart]
    rest = f"; they do not in {listed(named)}" if named else ""
    of = f"{len(summary) - len(apart)} of {len(summary)} populations"
    yield f"Gates and clusters mean the same cells in {of}{rest}."


def guard_sentences(guard: pd.DataFrame | None) -> list[str]:
    """Say what normalisation did to batches, and to the difference between visits.

    Parameters
    ----------
    guard
        ``guard.tsv``; None without normalisation.

    Returns
    -------
    list of str
        Sentences.
    """
    if guard is None:
        return []
    from biocross.flow.normalisation.guard import verdict_of

    return [f"{line[:1].upper()}{line[1:]}." for line in verdict_of(records(guard))]
