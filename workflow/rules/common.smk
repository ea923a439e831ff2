# REQUIRED: config (see config/README.md) and the sheets that it names.
# GIVES: COHORT, PROBLEMS (warnings; errors stop here), FLOW_SAMPLES, FLOW_PATIENTS, FLOW_FILES
#        (samples, and the FMO controls and anchors that are read beside them), OUT and the helpers
#        that the other rules use. LIBRARIES of RNA_SAMPLES; CLUSTERS.
import re
from pathlib import Path

from snakemake.exceptions import WorkflowError

from biocross.cohort.checks import inspect_cohort, refuse_errors
from biocross.cohort.config import complete_config
from biocross.cohort.gate_files import are_drawn_elsewhere
from biocross.cohort.libraries import cell_libraries
from biocross.errors import BiocrossError
from biocross.simulate.description import description_files
from biocross.storage import refuse_unwritable
from biocross.workflow import code_digest, start_at_once

try:
    config = complete_config(config, source="the configuration")
    COHORT, PROBLEMS = inspect_cohort(config)
    refuse_errors(PROBLEMS)
    if not workflow.output_settings.dryrun:
        refuse_unwritable(config["results"])
except BiocrossError as error:
    raise WorkflowError(str(error)) from None

OUT = Path(config["results"])
INPUTS = config["inputs"]
FLOW_SAMPLES = {sample.sample_id: sample for sample in COHORT.of_modality("flow")}
FLOW_PATIENTS = COHORT.by_patient("flow")
FMO_CONTROLS = {
    control.sample_id: control for control in COHORT.controls if control.role == "fmo"
}
ANCHORS = {
    control.sample_id: control
    for control in COHORT.controls
    if control.role == "anchor"
}
FLOW_FILES = {**FLOW_SAMPLES, **FMO_CONTROLS, **ANCHORS}
SHEETS = [
    INPUTS[name]
    for name in ("samples", "patients", "clinical", "counts")
    if INPUTS[name]
]
RNA_SAMPLES = {sample.sample_id: sample for sample in COHORT.of_modality("rna")}
LIBRARIES = cell_libraries(list(RNA_SAMPLES.values()))
GATES_DRAWN_ELSEWHERE = are_drawn_elsewhere(INPUTS["gating"])
GATING_SHEETS = [
    INPUTS[name]
    for name in ("panel", "populations", "gating", "gate_paths", "drug_markers")
    # A study of tables alone has no gates that a drug could touch.
    if INPUTS[name] and (FLOW_SAMPLES or name != "drug_markers")
]
# Clusters of the events as measured and, on request, of the normalised ones. Stimulated samples are
# mapped, but the map is made without them.
TRAINING_SAMPLES = [
    name for name, sample in FLOW_SAMPLES.items() if not COHORT.is_stimulated(sample)
]
CLUSTERS = ["clusters"]
if config["flow"]["normalisation"] != "none":
    CLUSTERS.append("normalised_clusters")
# Tables of `prepare_flow_sample` and of `gate_patient`, gathered over samples and patients.
QUALITY_TABLES = ("ledger", "repairs", "warnings", "sanity")
GATING_TABLES = ("counts", "expression", "unknown")
GATING_TABLES += ("stored_counts",) if GATES_DRAWN_ELSEWHERE else ("modes", "shifts")


wildcard_constraints:
    library="[A-Za-z0-9][A-Za-z0-9_.-]*",
    sample="[A-Za-z0-9][A-Za-z0-9_.-]*",
    # Those of the sheet: figures/gating/thresholds.pdf is nobody's.
    patient="|".join(map(re.escape, FLOW_PATIENTS)) or "none",


def fcs_path(sample):
    """Return where a sample's FCS file is."""
    return Path(INPUTS["folder"]) / sample.path


def library_path(library):
    """Return where a library's counts are."""
    return Path(INPUTS["folder"]) / library.path


def log_path(*parts):
    """Return the log of a rule's job."""
    return OUT.joinpath("logs", *parts[:-1], f"{parts[-1]}.log")


def benchmark_path(*parts):
    """Return the file that times a rule's job."""
    return OUT.joinpath("benchmarks", *parts[:-1], f"{parts[-1]}.tsv")


def figure_files(*parts):
    """Return a figure for papers (PDF), pages (SVG) and slides (PNG), and its source (TSV)."""
    folder = OUT.joinpath("figures", *parts[:-1])
    return [folder / f"{parts[-1]}.{form}" for form in ("pdf", "svg", "png", "tsv")]


def in_page(files):
    """Return the forms of figures that the page holds: drawings, pictures, and their numbers."""
    return [
        file
        for file in map(Path, files)
        if OUT / "figures" in file.parents and file.suffix != ".pdf"
    ]


def shown_figure(*parts, question, category, caption=None):
    """Return the files of a figure; `snakemake --report` shows the SVG and its source table."""
    about = {
        "caption": f"../report/{caption or parts[-1]}.rst",
        "category": category,
        "subcategory": "Figures",
    }
    pdf, svg, png, tsv = figure_files(*parts)
    figure, source = (
        {"question": question, "form": form} for form in ("figure", "source table")
    )
    shown = report(svg, **about, labels=figure), report(tsv, **about, labels=source)
    return [pdf, shown[0], png, shown[1]]


def prepared_events():
    """Return the prepared events of a sample, which are kept unless the study says otherwise."""
    events = OUT / "flow" / "events" / "{sample}.arrow"
    return events if config["flow"]["keep_events"] else temp(events)


def events_of(patient):
    """Return the prepared events of all samples of a patient, in order of the visits."""
    return [
        OUT / "flow" / "events" / f"{sample.sample_id}.arrow"
        for sample in FLOW_PATIENTS[patient]
    ]


def events_of_patient(wildcards):
    """Return the prepared events of the patient of a job."""
    return events_of(wildcards.patient)


def memory(megabytes, per_input=0):
    """Return the memory of jobs: it grows with their input, and again at each attempt."""

    def of_job(wildcards, input, attempt):
        # A group of jobs is sent off before the inputs of its later jobs are there to be measured.
        grown = per_input * int(input.size_mb) if per_input else 0
        return attempt * (megabytes + grown)

    return of_job


def minutes(number):
    """Return the time of jobs, in minutes: more at each attempt."""

    def of_job(wildcards, attempt):
        return attempt * number

    return of_job


def memory_by_patient(wildcards, input, attempt, threads):
    """Return the memory of a job that looks at all patients, as many at once as it has threads."""
    of_patient = input.size_mb / max(1, len(FLOW_PATIENTS))
    return threads * attempt * (800 + 6 * int(of_patient))


def clustered_events(wildcards, samples):
    """Return the events of samples, normalised for the clusters that are found on such."""
    scale = wildcards.clusters.removesuffix("clusters")
    return [OUT / "flow" / f"{scale}events" / f"{sample}.arrow" for sample in samples]


def zoom_pools(clusters):
    """Return the events of the maps that look at one population."""
    folder = OUT / "flow" / clusters
    return [
        folder / f"pool.{name}.arrow" for name in config["flow"]["clusters"]["zoom"]
    ]


def with_clusters(**inputs):
    """Return inputs that exist only where clusters are sought."""
    sought = config["flow"]["clusters"]["method"] != "none"
    return inputs if FLOW_SAMPLES and sought else {}


def with_evaluation(**inputs):
    """Return inputs that exist only where the truth is known: of a simulated cohort."""
    known = "simulate" in config and FLOW_SAMPLES and not GATES_DRAWN_ELSEWHERE
    return inputs if known else {}


def fmo_events_of_patient(wildcards):
    """Return the prepared events of the FMO controls of a patient's batches."""
    batches = {sample.batch for sample in FLOW_PATIENTS[wildcards.patient]}
    return [
        OUT / "flow" / "events" / f"{control.sample_id}.arrow"
        for control in FMO_CONTROLS.values()
        if control.batch in batches
    ]


def per_patient(name):
    """Return one file per patient of `gate_patient`."""
    return [
        OUT / "flow" / "gating" / "patients" / f"{p}.{name}.tsv" for p in FLOW_PATIENTS
    ]


def gate_membership(patient):
    """Return the file that tells which gates each event of a patient lies in."""
    return OUT / "flow" / "gating" / "patients" / f"{patient}.membership.arrow"


def per_library(name):
    """Return one table per library of `prepare_library`."""
    return [OUT / "cells" / "libraries" / f"{one}.{name}.tsv" for one in LIBRARIES]


def per_sample(name):
    """Return one file per sample of `prepare_flow_sample`."""
    return [
        OUT / "flow" / "quality" / "samples" / f"{s}.{name}.tsv" for s in FLOW_SAMPLES
    ]


def compensation_matrix():
    """Return the table that all files are compensated with, or nothing."""
    compensation = config["flow"]["compensation"]
    if compensation == "controls":
        return OUT / "flow" / "compensation" / "spillover.tsv"
    return [] if compensation in ("file", "none") else compensation


def with_thresholds(**inputs):
    """Return inputs that exist only where gates are ours, with thresholds for every patient."""
    return inputs if FLOW_SAMPLES and not GATES_DRAWN_ELSEWHERE else {}


def with_drawn_gates(**inputs):
    """Return inputs that exist only where gates were drawn elsewhere."""
    return inputs if FLOW_SAMPLES and GATES_DRAWN_ELSEWHERE else {}


def with_rna(**inputs):
    """Return inputs that exist only where the study has single-cell RNA."""
    return inputs if LIBRARIES else {}


def with_both_modalities(**inputs):
    """Return inputs that exist only where flow cytometry and RNA can be compared."""
    return inputs if LIBRARIES and (FLOW_SAMPLES or INPUTS["counts"]) else {}


def with_files(**inputs):
    """Return inputs that exist only where the study has files, not just a table of frequencies."""
    return inputs if FLOW_SAMPLES else {}


TIME_FIGURES = [
    OUT / "figures" / "flow_quality" / "time" / f"{sample}.svg"
    for sample in FLOW_SAMPLES
]


def per_sample_figures():
    """Return the figure of every sample's acquisition, if asked for."""
    return TIME_FIGURES if config["report"]["sample_figures"] else []


def per_patient_figures():
    """Return the pictures of every patient's gates and of all borders, if asked for."""
    if (
        not FLOW_SAMPLES
        or GATES_DRAWN_ELSEWHERE
        or not config["report"]["sample_figures"]
    ):
        return []
    folder = OUT / "figures" / "gating"
    return [
        *(folder / f"{patient}.pdf" for patient in FLOW_PATIENTS),
        folder / "thresholds.pdf",
    ]


def study_figures():
    """Return the figures that every study has."""
    names = {
        "changes": ("forest", "volcano", "heat_map", "rare_events"),
        "cohort": ("patient_flow", "visit_grid"),
        "clinic": ("associations", "response", "eosinophils"),
    }
    names["changes"] += ("specifications", "calibration")
    each = [figure_files(folder, name) for folder in names for name in names[folder]]
    return [
        *figure_files("paired_changes"),
        *(file for files in each for file in files),
    ]


def quality_figures():
    """Return the figures of what the quality steps of flow cytometry set aside."""
    names = ("overview", "losses_by_visit") if FLOW_SAMPLES else ()
    return [file for name in names for file in figure_files("flow_quality", name)]


def cluster_results():
    """Return what is made of clusters beside the long tables."""
    if not with_clusters(sought=True):
        return []
    names = ("samples", "markers", "sizes", "agreement")
    tables = [OUT / "flow" / name / "agreement_summary.tsv" for name in CLUSTERS]
    figures = [file for name in names for file in figure_files("clusters", name)]
    if config["flow"]["clusters"]["umap_cells"]:
        figures += [OUT / "flow" / "cells.h5ad", *figure_files("clusters", "umap")]
    return [OUT / "flow" / "outliers.tsv", *tables, *figures]


def concordance_figures():
    """Return the figures of flow cytometry against RNA, where a study has both."""
    names = ("frequencies", "changes", "findings")
    both = with_both_modalities(both=True)
    return (
        [file for name in names for file in figure_files("concordance", name)]
        if both
        else []
    )


def rna_results():
    """Return what is made of single-cell RNA beside the long tables."""
    if not LIBRARIES:
        return []
    tables = ("ledger", "loss_changes", "resolutions", "quality_recheck")
    return [
        OUT / "statistics" / "gene_changes.tsv",
        *concordance_figures(),
        *(OUT / "cells" / f"{name}.tsv" for name in tables),
        *rna_figures(),
    ]


def rna_figures():
    """Return the figures of single-cell RNA."""
    names = ("umap", "composition", "integration", "markers", "gene_changes")
    return [file for name in names for file in figure_files("rna", name) if LIBRARIES]


def per_patient_gates():
    """Return the GatingML document of every patient."""
    return (
        []
        if GATES_DRAWN_ELSEWHERE
        else [
            OUT / "flow" / "gating" / "patients" / f"{patient}.gates.xml"
            for patient in FLOW_PATIENTS
        ]
    )
