# REQUIRED: config (see config/README.md) and the sheets that it names.
# GIVES: COHORT, PROBLEMS (warnings; errors stop here), FLOW_SAMPLES, FLOW_PATIENTS, FLOW_FILES
#        (samples and the FMO controls that are gated beside them), OUT and the
#        helpers that the other rules use.
from pathlib import Path

from snakemake.exceptions import WorkflowError

from biocross.cohort.checks import inspect_cohort, refuse_errors
from biocross.cohort.config import complete_config
from biocross.cohort.gate_files import are_drawn_elsewhere
from biocross.errors import BiocrossError
from biocross.workflow import code_digest

try:
    config = complete_config(config, source="the configuration")
    COHORT, PROBLEMS = inspect_cohort(config)
    refuse_errors(PROBLEMS)
except BiocrossError as error:
    raise WorkflowError(str(error)) from None

OUT = Path(config["results"])
INPUTS = config["inputs"]
FLOW_SAMPLES = {sample.sample_id: sample for sample in COHORT.of_modality("flow")}
FLOW_PATIENTS = COHORT.by_patient("flow")
FMO_CONTROLS = {
    control.sample_id: control for control in COHORT.controls if control.role == "fmo"
}
FLOW_FILES = {**FLOW_SAMPLES, **FMO_CONTROLS}
SHEETS = [
    INPUTS[name]
    for name in ("samples", "patients", "clinical", "counts")
    if INPUTS[name]
]
GATES_DRAWN_ELSEWHERE = are_drawn_elsewhere(INPUTS["gating"])
GATING_SHEETS = [
    INPUTS[name]
    for name in ("panel", "populations", "gating", "gate_paths", "drug_markers")
    # A study of tables alone has no gates that a drug could touch.
    if INPUTS[name] and (FLOW_SAMPLES or name != "drug_markers")
]
# Tables of `prepare_flow_sample` and of `gate_patient`, gathered over samples and patients.
QUALITY_TABLES = ("ledger", "repairs", "warnings", "sanity")
GATING_TABLES = ("counts", "expression", "unknown")
GATING_TABLES += ("stored_counts",) if GATES_DRAWN_ELSEWHERE else ("modes", "shifts")


wildcard_constraints:
    sample="[A-Za-z0-9][A-Za-z0-9_.-]*",
    patient="[A-Za-z0-9][A-Za-z0-9_.-]*",


def fcs_path(sample):
    """Return where a sample's FCS file is."""
    return Path(INPUTS["folder"]) / sample.path


def log_path(*parts):
    """Return the log of a rule's job."""
    return OUT.joinpath("logs", *parts[:-1], f"{parts[-1]}.log")


def benchmark_path(*parts):
    """Return the file that times a rule's job."""
    return OUT.joinpath("benchmarks", *parts[:-1], f"{parts[-1]}.tsv")


def events_of_patient(wildcards):
    """Return the prepared events of all samples of a patient, in order of the visits."""
    return [
        OUT / "flow" / "events" / f"{sample.sample_id}.arrow"
        for sample in FLOW_PATIENTS[wildcards.patient]
    ]


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


def with_files(**inputs):
    """Return inputs that exist only where the study has files, not just a table of frequencies."""
    return inputs if FLOW_SAMPLES else {}


def per_sample_figures():
    """Return the figure of every sample's acquisition, if asked for."""
    if not config["report"]["sample_figures"]:
        return []
    folder = OUT / "figures" / "flow_quality" / "time"
    return [folder / f"{sample}.svg" for sample in FLOW_SAMPLES]


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
