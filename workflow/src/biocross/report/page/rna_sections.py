"""What the report says of single-cell RNA: cells, their names, and the genes that changed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from biocross.cohort.sheets import counted
from biocross.flow.losses import READ, STEP_WORDS
from biocross.report.page.chapters import Chapter, open_in_scanpy
from biocross.report.page.flow_sections import FLOW_SECTIONS
from biocross.report.page.pictures import pictures_of
from biocross.report.page.sections import (
    WHO,
    Column,
    Description,
    P,
    Q,
    Row,
    Section,
    number,
    table_section,
    verbatim,
    words,
)
from biocross.report.sources import records
from biocross.report.words import format_number, listed, plain
from biocross.statistics.pairs import read_table

CELL_STEPS = {
    "unassigned": "cells of no sample",
    "hashtag_doublet": "cells of two samples",
    "counts": "unusual number of counts",
    "genes": "unusual number of genes",
    "top_genes": "RNA of few genes",
    "mitochondrial": "much mitochondrial RNA",
}
CAPTIONS = {
    "umap": (
        "Cells of all libraries",
        "On the plane of UMAP, integrated where batches were. Visits, batches and patients should "
        "mix within a kind of cell; distances and areas are no measurements.",
    ),
    "composition": (
        "What the samples are made of",
        "A patient's visits below each other, with the number of cells that passed.",
    ),
    "markers": (
        "What the populations express",
        "Size: share of cells with counts; colour: mean, from lowest to highest population.",
    ),
    "integration": (
        "Did integration mix the batches?",
        "0 is apart, 1 as mixed as by chance; below, whether each batch kept its own clusters.",
    ),
    "gene_changes": (
        "Strongest changes of genes",
        "Filled: below the false discovery rate. Open: not shown to change.",
    ),
}
# The strongest are in the page, all in the table.
MOST_GENES = 200


def interval(heading: str, name: str) -> Column:
    """Describe a column of an estimate with its interval."""

    def cell(row: Row) -> str:
        value, low, high = (format_number(row[name + end]) for end in ("", "_low", "_high"))
        return value if low == "–" else f"{value} ({low} to {high})"

    return Column(f"{heading} (95 % CI)", cell)


def step_of_cells(step: object) -> str:
    """Write a quality step of cells in plain words."""
    return CELL_STEPS.get(str(step), STEP_WORDS.get(str(step), plain(step)))


def _loss_table() -> Description:
    """Describe the losses of cells as those of events, with the steps of cells."""
    of_events = FLOW_SECTIONS["loss_changes"]
    step = Column("Step", lambda row: step_of_cells(row["step"]))
    columns = (step if column.heading == "Step" else column for column in of_events.columns)
    return of_events._replace(
        title="Did one visit lose more cells than the other?",
        intro=of_events.intro.replace("events", "cells"),
        columns=tuple(columns),
    )


RNA_TABLES: dict[str, Description] = {
    "gene_changes": Description(
        "Genes that changed",
        "Sums over the cells of a population, patient by patient. log2: +1 is twice as much at the "
        "later visit.",
        (
            *(*WHO, words("Population", "population"), verbatim("Gene", "gene")),
            *(number("Pairs", "n_pairs"), number("Mean count", "mean_count")),
            *(interval("log2 change", "log2_fold"), P, Q),
        ),
        "No gene is below the false discovery rate.",
    ),
    "annotation": Description(
        "Populations in RNA",
        "Cells: those of finer populations included. Candidates: cells that may be of a population "
        "that RNA cannot count. Confidence: mean lead over the next best name, 0 to 1.",
        (
            *(words("Population", "population"), words("Status", "status")),
            *(number("Cells", "n_cells"), number("Candidates", "n_candidates")),
            *(number("Confidence", "confidence"), verbatim("Not measured", "markers_missing")),
            verbatim("Note", "note"),
        ),
        "No population was sought.",
        lambda row: row["status"] != "no_markers",
    ),
    "warnings": Description(
        "Doubtful libraries",
        "What a library's quality steps found odd.",
        (
            *(verbatim("Library", "library"), words("Check", "check")),
            *(verbatim("Feature", "feature"), verbatim("What", "message")),
        ),
        "Nothing odd was seen.",
    ),
    "loss_changes": _loss_table(),
    "gene_sets": Description(
        "Sets of genes",
        "Their scores are tested with the markers.",
        (
            *(words("Set", "gene_set"), number("Genes", "n_genes")),
            *(number("Measured", "n_measured"), words("Status", "status")),
            *(verbatim("Missing", "missing"), verbatim("Note", "note")),
        ),
        "No sets of genes were scored.",
    ),
}


def rna_chapter(
    tables: Mapping[str, Path | str],
    figures: Sequence[Path | str],
    fdr: float,
    report: Path | str,
) -> Chapter | None:
    """Write the chapter on single-cell RNA.

    Parameters
    ----------
    tables
        By name, as far as there are any: `RNA_TABLES` and those of `SENTENCES`, and ``cells``, the
        file of cells.
    figures
        Of ``results/figures/rna``.
    fdr
        False discovery rate of a claim.
    report
        The page, which links to the cells.

    Returns
    -------
    Chapter or None
        None for a study without RNA.
    """
    known = {name: read_table(tables[name]) for name in tables if name != "cells"}
    if not known.keys() & {*RNA_TABLES, *SENTENCES}:
        return None
    sentences: list[str] = []
    for name, tell in SENTENCES.items():
        if name in known:
            sentences += tell(known[name])
    if "gene_changes" in known:
        sentences += gene_sentences(known["gene_changes"], fdr)
    sections = [
        _strongest(tables[name], fdr)
        if name == "gene_changes"
        else table_section(name, tables[name], fdr, RNA_TABLES)
        for name in RNA_TABLES
        if name in tables
    ]
    cells = tables.get("cells")
    return Chapter(
        "rna",
        "Single-cell RNA",
        sentences,
        pictures_of(figures, CAPTIONS),
        [section._replace(name=f"rna_{section.name}") for section in sections],
        open_in_scanpy(cells, report, "population") if cells else None,
    )


def rna_warnings(losses: Path | str | None, fdr: float) -> list[str]:
    """Say where the visits of RNA lost different shares of their cells.

    Parameters
    ----------
    losses
        ``loss_changes.tsv`` of ``results/cells``, or None.
    fdr
        Losses are named below this q value.

    Returns
    -------
    list of str
        Sentences.
    """
    if losses is None:
        return []
    table = read_table(losses)
    table = table[table["threat"].notna() & (table["q_value"] < fdr)]
    return [
        f"RNA, {row['treatment']}, {plain(row['contrast'])}: {row['threat']}"
        for row in records(table)
    ]


def _losses(ledger: pd.DataFrame) -> Iterator[str]:
    n_read = int(ledger.loc[ledger["step"] == READ, "events_before"].sum())
    steps = ledger[ledger["step"] != READ]
    flagged = steps.groupby("step", sort=False)["flagged"].sum()
    most = [f"{step_of_cells(step)} ({int(n):,})" for step, n in flagged.items() if n]
    aside = f"; set aside: {listed(most)}" if most else ""
    yield f"{n_read - int(flagged.sum()):,} of {n_read:,} cells passed the quality steps{aside}."
    if excluded := sorted(set(ledger.loc[ledger["events_before"] == 0, "sample_id"].dropna())):
        yield f"No cells were read for {listed(excluded)}."


def _rechecked(recheck: pd.DataFrame) -> Iterator[str]:
    rescued = recheck[recheck["rescued"] > 0].groupby("population", sort=False)["rescued"].sum()
    if len(rescued):
        names = listed(f"{name} ({int(n):,})" for name, n in rescued.items())
        yield f"Judged among their own kind, cells with little RNA passed after all: {names}."
    if lost := list(dict.fromkeys(recheck.loc[recheck["status"] == "lost", "population"])):
        yield f"Quality steps took more cells of {listed(lost)} than of others."


def _integrated(quality: pd.DataFrame) -> Iterator[str]:
    for row in records(quality[quality["status"] == "poorly_mixed"]):
        yield f"Integration: {row['note']}."
    if n := int((quality["status"] == "lost").sum()):
        yield f"Integration merged {counted(n, 'cluster')} of single batches with others."


def _named(annotation: pd.DataFrame) -> Iterator[str]:
    of = dict(list(annotation.groupby("status", sort=False)["population"]))
    if "found" in of:
        yield f"Populations found in RNA: {listed(of['found'])}."
    if "not_resolved" in of:
        yield (
            f"RNA cannot tell {listed(of['not_resolved'])}; where flow cytometry measured them, "
            "its numbers stand alone."
        )
    if "not_measured" in of:
        yield f"The tissue's preparation removed {listed(of['not_measured'])}: not counted."


def _underpowered(cells: pd.DataFrame) -> Iterator[str]:
    few = cells.loc[cells["status"] == "underpowered", "population"].value_counts()
    if few.empty:
        return
    names = ", ".join(f"{plain(name)} ({counted(n, 'sample')})" for name, n in few.items())
    yield (
        f"Too few cells to test genes in some samples of {names}. Such pairs are left out; see "
        "cells_per_population.tsv."
    )


SENTENCES: dict[str, Callable[[pd.DataFrame], Iterator[str]]] = {
    "ledger": _losses,
    "quality_recheck": _rechecked,
    "integration_quality": _integrated,
    "annotation": _named,
    "cells_per_population": _underpowered,
}


def gene_sentences(changes: pd.DataFrame, fdr: float) -> Iterator[str]:
    """Say how many genes were tested, what was found, and where nothing could be.

    Parameters
    ----------
    changes
        ``gene_changes.tsv``.
    fdr
        False discovery rate of a claim.

    Yields
    ------
    str
        Sentences.
    """
    tested = changes[changes["status"] == "tested"]
    if len(tested):
        n_below = int((tested["q_value"] < fdr).sum())
        places = tested.groupby(["treatment", "contrast", "population"], sort=False).ngroups
        yield (
            f"Genes were tested {len(tested):,} times, in {counted(places, 'combination')} of "
            f"population, treatment and contrast; below the false discovery rate of {fdr:g}, which "
            f"is controlled within each combination, are {n_below:,}."
        )
    few = changes[changes["status"] == "too_few_pairs"]
    if len(few):
        names = listed(dict.fromkeys(few["population"]))
        treatments = listed(dict.fromkeys(few["treatment"]))
        yield (
            f"With fewer than three pairs nothing is claimed about the genes of {names} "
            f"({treatments}); their fold changes are in gene_changes.tsv."
        )
    rest = changes[~changes["status"].isin(["tested", "too_few_pairs", "outlier"])]
    for note, part in rest.groupby("note", sort=False):
        yield f"Genes of {listed(dict.fromkeys(part['population']))} were not tested: {note}."


def _strongest(path: Path | str, fdr: float) -> Section:
    """Show the genes below the false discovery rate, the strongest of each only."""
    section = table_section("gene_changes", path, fdr, RNA_TABLES)
    called = [row for row in section.rows if row[1]]
    left = len(called) - MOST_GENES
    aside = f"The {MOST_GENES} with the smallest q values; {left:,} more are in the table." * (
        left > 0
    )
    return section._replace(rows=called[:MOST_GENES], aside=aside)
