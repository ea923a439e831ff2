"""The methods of clustering, normalisation and single-cell RNA, from the configuration."""

from collections.abc import Collection, Mapping
from typing import Any

from biocross.cells.demultiplex import MIN_POSTERIOR
from biocross.cells.normalise import TARGET_COUNTS
from biocross.cells.pseudobulk import MIN_CELLS, MIN_COUNTS
from biocross.cells.quality import MITO_LIMIT, MITO_MADS, N_MADS, TOP_GENES
from biocross.cohort.vocabulary import UNASSIGNED
from biocross.flow.clusters.annotation import MIN_MARGIN, MIN_SCORE
from biocross.flow.clusters.consensus import HOLDS, N_RESAMPLES, SHARE
from biocross.flow.clusters.leiden import MOST_EVENTS, N_NEIGHBOURS
from biocross.flow.clusters.stability import STABLE
from biocross.statistics.gene_changes import MIN_MEDIAN_COUNT

CLUSTER_REFERENCES = (
    "Van Gassen S, et al. FlowSOM: using self-organizing maps for visualization and "
    "interpretation of cytometry data. Cytometry A 2015;87A:636.",
    "Monti S, et al. Consensus clustering. Mach Learn 2003;52:91.",
)
LEIDEN_REFERENCE = (
    "Traag VA, Waltman L, van Eck NJ. From Louvain to Leiden: guaranteeing well-connected "
    "communities. Sci Rep 2019;9:5233."
)
CYTONORM_REFERENCE = (
    "Van Gassen S, et al. CytoNorm: a normalization algorithm for cytometry data. "
    "Cytometry A 2020;97:268."
)
RNA_REFERENCES = (
    "Germain PL, Sonrel A, Robinson MD. pipeComp, a general framework for the evaluation of "
    "computational pipelines. Genome Biol 2020;21:227.",
    "Wolock SL, Lopez R, Klein AM. Scrublet: computational identification of cell doublets. "
    "Cell Syst 2019;8:281.",
    "Bernstein NJ, et al. Solo: doublet identification in single-cell RNA-seq. "
    "Cell Syst 2020;11:95.",
    "Wolf FA, Angerer P, Theis FJ. SCANPY: large-scale single-cell gene expression data analysis. "
    "Genome Biol 2018;19:15.",
    "Korsunsky I, et al. Fast, sensitive and accurate integration of single-cell data with "
    "Harmony. Nat Methods 2019;16:1289.",
    LEIDEN_REFERENCE,
    "Love MI, Huber W, Anders S. Moderated estimation of fold change and dispersion for RNA-seq "
    "data with DESeq2. Genome Biol 2014;15:550.",
    "Muzellec B, et al. PyDESeq2: a python package for bulk RNA-seq differential expression "
    "analysis. Bioinformatics 2023;39:btad547.",
)


def cluster_paragraphs(flow: Mapping[str, Any]) -> list[str]:
    """Describe clusters, their names, their agreement with the gates, and normalisation.

    Parameters
    ----------
    flow
        The configuration's section ``flow``.

    Returns
    -------
    list of str
        Paragraphs; none where no clusters were sought.
    """
    asked = flow["clusters"]
    if asked["method"] == "none":
        return []
    return [
        f"{_clustered(asked)} {_named(asked)}",
        *([_normalised(flow)] if flow["normalisation"] != "none" else []),
    ]


def _clustered(asked: Mapping[str, Any]) -> str:
    drawn = (
        f"Clusters were found on the lineage markers of at most {asked['events_per_sample']:,} "
        "events of every sample, an equal share of each"
    )
    if asked["method"] == "leiden":
        how = (
            f": Leiden communities of at most {MOST_EVENTS:,} of them among {N_NEIGHBOURS} nearest "
            "neighbours."
        )
    else:
        number = (
            f"{asked['number']} clusters each"
            if asked["number"]
            else "the largest number of clusters that all held (consensus of at least "
            f"{HOLDS:g}, or the best there was)"
        )
        how = (
            f", by self-organising maps of {asked['grid']} × {asked['grid']} nodes, which were "
            f"joined by consensus of {N_RESAMPLES} resamples of {100 * SHARE:.0f} % of the nodes "
            f"to {number}."
        )
    zoom = (
        f" Maps of their own had the events that bear and lack the lineage markers of "
        f"{', '.join(name.replace('_', ' ') for name in asked['zoom'])}."
        if asked["zoom"]
        else ""
    )
    return (
        f"{drawn}{how}{zoom} Every cluster was sought again in {asked['reruns']} reruns with "
        "other seeds and as many with resampled patients; below a mean Jaccard index of "
        f"{STABLE:g} it is called unstable, and tested in families of its own."
    )


def _named(asked: Mapping[str, Any]) -> str:
    return (
        "Clusters were named by how well their events fit the marker phenotypes of the "
        f"populations (score of at least {MIN_SCORE:g}, and {MIN_MARGIN:g} ahead of the next), "
        f"else called {UNASSIGNED}. The clusters of a population were merged, counted in every "
        "event of every sample, and tested as the gates were, and each cluster by itself. Gates "
        "and clusters were compared event by event; an F1 score below "
        f"{asked['least_agreement']:g} is reported."
    )


def _normalised(flow: Mapping[str, Any]) -> str:
    goal = flow["normalisation_goal"]
    aim = f"batch {goal}" if goal else "the mean of all batches"
    how = {
        "anchors": "Quantiles of anchor samples, measured in every batch, were aligned with "
        f"{aim} in {flow['normalisation_clusters']} clusters of cells",
        "range": f"The 1st and 99th percentile of every batch's samples were aligned with {aim}",
    }[flow["normalisation"]]
    return (
        f"{how}. The gain was judged on events held out, by earth mover's distance. Clusters of "
        "the events as measured and of the normalised ones are both reported."
    )


def rna_paragraphs(config: Mapping[str, Any], with_flow: bool) -> list[str]:
    """Describe single-cell RNA from libraries to gene changes.

    Parameters
    ----------
    config
        The complete configuration.
    with_flow
        Whether the study has flow cytometry, too.

    Returns
    -------
    list of str
        Paragraphs on quality, on populations, and on genes.
    """
    return [_quality(), _populations(config["cells"]), _genes(with_flow)]


def _quality() -> str:
    return (
        "Single-cell RNA was judged library by library. Set aside were cells more than "
        f"{N_MADS:g} median absolute deviations from the median in the logarithm of counts or "
        f"genes or in the share of the {TOP_GENES} strongest genes, cells with more than "
        f"{MITO_LIMIT:g} % mitochondrial RNA or {MITO_MADS:g} deviations above the median, and "
        "doublets by Scrublet's score. Hashed libraries were split by HashSolo's model (posterior "
        f"of at least {MIN_POSTERIOR:g}). Surface proteins were normalised by centred log ratios."
    )


def _populations(cells: Mapping[str, Any]) -> str:
    kept = cells["excluded_genes"]
    without = f" without {', '.join(kept)}" if kept else ""
    reference = " Cells without a name took that of a reference." if cells["reference"] else ""
    enriched = ", ".join(name.replace("_", " ") for name in cells["enriched"])
    told = f" Libraries were enriched for {enriched}, which was counted." if enriched else ""
    return (
        f"Counts were scaled to {TARGET_COUNTS:,.0f} per cell and logged. The embedding rests on "
        f"the {cells['n_genes']:,} most variable genes of all libraries{without}, "
        f"{cells['n_components']} principal components and {cells['n_neighbours']} nearest "
        f"neighbours; {_integrated(cells['batch'])}. Leiden clusters were sought at resolutions "
        f"{', '.join(f'{value:g}' for value in cells['resolutions'])}, and the finest taken that "
        "came again. Cells were named from lineages to finer populations by the markers of the "
        "vocabulary, averaged over neighbours, with markers that rule a lineage out; a second "
        f"embedding resolved T and innate lymphoid cells.{reference} What RNA cannot tell was not "
        f"counted.{told} Counts of cells were tested as those of flow cytometry."
    )


def _integrated(batch: str | None) -> str:
    if batch is None:
        return "batches were not integrated"
    return f"Harmony corrected it for {batch.replace('_', ' ')}, never for visit or patient"


def _genes(with_flow: bool) -> str:
    compared = (
        " Where both methods measured a population, frequencies and changes were compared patient "
        "by patient by Spearman's correlation, with bootstrap intervals."
    )
    return (
        "For changes of genes the counts of each population were summed per sample (at least "
        f"{MIN_CELLS} cells and {MIN_COUNTS:,} counts at both visits; genes with a median of "
        f"{MIN_MEDIAN_COUNT} counts) and fitted by PyDESeq2 with the design ~ patient + visit; "
        "fold changes are not shrunken, and below three pairs nothing is claimed. False discovery "
        "rates are controlled within population, treatment and contrast."
    ) + (compared if with_flow else "")


def further_references(config: Mapping[str, Any], modalities: Collection[str]) -> tuple[str, ...]:
    """Return the references of the paragraphs here.

    Parameters
    ----------
    config
        The complete configuration.
    modalities
        What was measured, ``flow``, ``rna`` or both.

    Returns
    -------
    tuple of str
        Each once.
    """
    flow = config["flow"]
    by = flow["clusters"]["method"]
    found: list[str] = []
    if "flow" in modalities and config["inputs"]["samples"] and by != "none":
        found += [LEIDEN_REFERENCE] if by == "leiden" else CLUSTER_REFERENCES
        found += [CYTONORM_REFERENCE] if flow["normalisation"] == "anchors" else []
    found += RNA_REFERENCES if "rna" in modalities else ()
    return tuple(dict.fromkeys(found))
