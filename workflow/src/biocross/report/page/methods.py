"""The methods of a run in words, ready to paste, written from its configuration."""

from collections.abc import Collection, Mapping
from typing import Any

from biocross.cells.gene_sets import N_CONTROLS
from biocross.cohort.design import parse_contrast
from biocross.cohort.gate_files import are_drawn_elsewhere
from biocross.flow.flagging import flag_steps
from biocross.flow.transforms import DEFAULT_COFACTOR, default_transform
from biocross.report.page.cluster_methods import (
    cluster_paragraphs,
    further_references,
    rna_paragraphs,
)

LOGICLE_REFERENCE = (
    "Moore WA, Parks DR. Update for the logicle data scale including operational code "
    "implementations. Cytometry A 2012;81A:273."
)
REFERENCES = (
    "Smyth GK. Linear models and empirical Bayes methods for assessing differential expression. "
    "Stat Appl Genet Mol Biol 2004;3:3.",
    "Phipson B, et al. Robust hyperparameter estimation protects against hypervariable genes. "
    "Ann Appl Stat 2016;10:946.",
    "Pratt JW. Remarks on zeros and ties in the Wilcoxon signed rank procedures. "
    "J Am Stat Assoc 1959;54:655.",
    "Pustejovsky JE, Tipton E. Small-sample methods for cluster-robust variance estimation and "
    "hypothesis testing in fixed effects models. J Bus Econ Stat 2018;36:672.",
    "Benjamini Y, Hochberg Y. Controlling the false discovery rate. J R Stat Soc B 1995;57:289.",
)


# Quality steps as a paper would word them.
_STEPS = {
    "nonfinite": "events with a missing value",
    "margin": "events without forward scatter",
    "doublet": "doublets, whose area of forward scatter is too large for its height within their "
    "stratum of side scatter and height (median + 4 robust standard deviations)",
    "dead": "dead cells, above the valley of the viability dye, drawn per stratum of side scatter",
    "flow_rate": "stretches whose flow rate differs from its running median by more than 6 "
    "standard deviations and the factor 1.5",
    "time": "stretches in which a signal leaves its place (isolation tree, and 6 robust standard "
    "deviations, after PeacoQC)",
    "bead_clump": "counting beads that stick together or to a cell",
    "counting_bead": "counting beads, bright in all channels and alike",
    "bead": "calibration beads",
    "event_length": "events of unusual length",
    "gaussian": "events of unusual pulse shape",
    "dna": "events outside of the ellipse of single cells in the two DNA channels",
}


def methods_paragraphs(
    config: Mapping[str, Any],
    versions: Mapping[str, str],
    modalities: Collection[str] = ("flow",),
    with_beads: bool = False,
) -> list[str]:
    """Describe what was done, as the methods section of a paper would.

    Parameters
    ----------
    config
        The complete configuration of the run.
    versions
        Version by package.
    modalities
        What was measured, ``flow``, ``rna`` or both.
    with_beads
        Whether counting beads were added to any sample.

    Returns
    -------
    list of str
        One paragraph each on cytometry, gating, clusters, single-cell RNA, frequencies, markers,
        sensitivity and multiplicity, as far as they were part of the run.
    """
    inputs, statistics, flow = config["inputs"], config["statistics"], config["flow"]
    with_files = inputs["samples"] and "flow" in modalities
    return [
        *(
            [
                _cytometry(flow, versions, with_beads),
                _gating(inputs["gating"], flow["moved_gates"]),
                *cluster_paragraphs(flow),
            ]
            if with_files
            else []
        ),
        *(rna_paragraphs(config, "flow" in modalities) if "rna" in modalities else []),
        *([_imported()] if inputs["counts"] else []),
        _frequencies(config["design"], with_beads),
        *([_markers(statistics, modalities)] if inputs["samples"] else []),
        _sensitivity(statistics),
        _multiplicity(statistics),
    ]


def references_of(config: Mapping[str, Any], modalities: Collection[str]) -> tuple[str, ...]:
    """Return the references that the methods of a run rest on.

    Parameters
    ----------
    config
        The complete configuration of the run.
    modalities
        As for `methods_paragraphs`.

    Returns
    -------
    tuple of str
        In the order of the paragraphs, the statistics first.
    """
    return (
        *([LOGICLE_REFERENCE] if "flow" in modalities else []),
        *REFERENCES,
        *further_references(config, modalities),
    )


def contrasts_of(design: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the pairs of levels that are compared, the later one first.

    Parameters
    ----------
    design
        The configuration's section ``design``.

    Returns
    -------
    list of tuple of str
        The declared contrasts, or every later level with the first.
    """
    first, *later = design["levels"]
    declared = [parse_contrast(text) for text in design["contrasts"]]
    return [(pair.followup, pair.baseline) for pair in declared] or [
        (level, first) for level in later
    ]


def _cytometry(flow: Mapping[str, Any], versions: Mapping[str, str], with_beads: bool) -> str:
    kind = flow["cytometry"]
    transform = flow["transform"] or default_transform(kind)
    cofactor = flow["cofactor"] or DEFAULT_COFACTOR[kind]
    scale = {
        "arcsinh": f"arcsinh(x / {cofactor:g})",
        "logicle": "logicle, with one set of parameters per channel for the whole cohort, the "
        "linear width taken from the 5th percentile of the negative values",
        "biex": "FlowJo's biexponential, with one set of parameters per channel",
    }[transform]
    return (
        f"FCS files were read by biocross {versions['biocross']}. {_compensated(flow)} "
        f"Signal channels were transformed by {scale}. {_set_aside(flow, with_beads)}"
    )


def _compensated(flow: Mapping[str, Any]) -> str:
    asked, kind = flow["compensation"], flow["cytometry"]
    if asked == "controls":
        return "Events were compensated with a matrix computed from single-stain controls."
    if asked not in ("file", "none"):
        return "Events were compensated with one matrix for all files."
    if asked == "none" or kind == "mass":
        return "No compensation was applied."
    if kind == "spectral":
        return "Unmixed events were used as stored; no compensation was applied."
    return "Events were compensated with the spillover matrix stored in each file."


def _set_aside(flow: Mapping[str, Any], with_beads: bool) -> str:
    steps = flag_steps(flow["cytometry"], with_beads)
    done = [step for step in steps if step not in flow["skip_quality"]]
    words = [_STEPS[step] for step in done]
    return f"Set aside, in this order and where the channels allow, were {'; '.join(words)}."


def _imported() -> str:
    return "Frequencies were counted elsewhere and read from a table."


def _gating(gating: str | None, moved_gates: str) -> str:
    if are_drawn_elsewhere(gating):
        whose = {
            "as_drawn": "each sample by the gates drawn for it",
            "patient": "all visits of a patient by the gates drawn for the first",
        }[moved_gates]
        return (
            "Populations were gated by hand, and the gates read from a GatingML document or a "
            f"FlowJo workspace: {whose}. Events that a quality step had set aside were not counted."
        )
    return (
        "Populations were gated by a fixed hierarchy. Borders between negative and positive cells "
        "were estimated once per patient on an equal share of events of all visits: in the deepest "
        "valley of the smoothed density, between the components of a Gaussian mixture, at the "
        "upper tail of the negative cells or by an FMO control, as the strategy says for each "
        "marker. Visits of one batch whose negative cells lay within 0.05 decade shared one "
        "border, so that no border moved between them; otherwise each visit's border followed its "
        "own negative cells. Borders were then compared over the cohort: one without enough "
        "events, without a valley where most patients had one, or more than 4 robust standard "
        "deviations and 0.15 decade away was moved to the cohort's, alike for all visits of the "
        "patient, and flagged."
    )


def _frequencies(design: Mapping[str, Any], with_beads: bool) -> str:
    compared = ", and ".join(
        f"{followup} was compared with {baseline}" for followup, baseline in contrasts_of(design)
    )
    selected = (
        f"Patients had been enrolled for their {' and '.join(design['selected_on'])} at baseline, "
        "whose changes hold regression to the mean. "
        if design["selected_on"]
        else ""
    )
    return (
        f"The patient was the unit of analysis. For each patient, {compared}. {selected}"
        "The frequency of a population was its number of events divided by that of its biological "
        "parent, on the logit scale with half an event added; both visits of a pair were evaluated "
        "at the depth of the shallower one by hypergeometric thinning. "
        f"{_absolute(with_beads)}"
        "Cells per microlitre were compared on "
        "the log scale, and the disjoint leaves of the tree of populations by centred log ratios "
        "against the median change of the parts. Changes were tested by a paired t test whose "
        "variance was moderated across populations with a trend in abundance, the "
        "prior weighing no more than the pairs themselves; with fewer than six populations, or "
        "for an outlying variance, by the plain paired t test. Beside it stand the exact Wilcoxon "
        "signed-rank test (Pratt's zeros), a sign-flip test of whole patients with its maximum-T "
        "correction, and the Hodges-Lehmann estimate. Effects are given with 95 % confidence "
        "intervals. Populations with fewer than 20 events in the median pair make no claim."
    )


def _absolute(with_beads: bool) -> str:
    beads = (
        "In samples with counting beads, cells per microlitre were the number of events times the "
        "beads added to the tube, divided by the single beads acquired and the volume of blood in "
        "the tube; beads and cells acquired in stretches that were set aside did not count. "
    )
    rest = "In the others they" if with_beads else "Cells per microlitre"
    return (beads if with_beads else "") + (
        f"{rest} were the share of leukocytes (of PBMC, of lymphocytes or monocytes) times the "
        "analyser's count of these. "
    )


def _markers(statistics: Mapping[str, Any], modalities: Collection[str]) -> str:
    levels = {
        "flow": "The level of a state marker in a population was the median of its transformed "
        f"values in samples with at least {statistics['min_cells']} cells. ",
        "rna": "The score of a set of genes was the mean over its genes of log2 of a population's "
        f"summed counts over those of {N_CONTROLS} genes of similar expression. ",
    }
    return (
        "".join(sentence for modality, sentence in levels.items() if modality in modalities)
        + "Changes were tested by a paired t test with weights 1 / (tau² + v0 + v1), v being the "
        "sampling variance of a level and tau² the estimated variance of the true change between "
        "patients."
    )


def _sensitivity(statistics: Mapping[str, Any]) -> str:
    covariates = ", ".join(statistics["covariates"])
    adjusted = f" and {covariates}" if covariates else ""
    relabellings = statistics["relabellings"]
    calibrated = (
        f" The error rate of the run was checked by {relabellings:,} random swaps of patients' "
        "visits."
        if relabellings
        else ""
    )
    return (
        f"All visits together were modelled with patients as fixed effects, visit{adjusted}, CR2 "
        "standard errors and Satterthwaite degrees of freedom. Differences between treatments, and "
        "between responders and others, were tested by Welch's test on separately moderated arms; "
        "clinical associations by Spearman's correlation of change with change within treatment, "
        "permuted within treatment. Each primary finding was varied in readout and test, by "
        "leaving out each patient, by batch and oral steroids, and by delta adjustment of "
        f"dropouts.{calibrated}"
    )


def _multiplicity(statistics: Mapping[str, Any]) -> str:
    chosen = statistics["confirmatory"]
    return (
        f"False discovery rates were controlled at {statistics['fdr']:g} by Benjamini and "
        "Hochberg's method within families: one confirmatory family of the primary populations "
        f"over all treatments and visits ({chosen['modality']}, {chosen['source']}, "
        f"{chosen['readout'].replace('_', ' ')}; at least six pairs), and exploratory families "
        "within treatment, contrast, source and readout. Changes are reported as seen during "
        "treatment; without a control arm they cannot be ascribed to it."
    )
