"""How the report shows the tables of flow cytometry: what was read, set aside, and looks odd."""

from biocross.flow.losses import step_words
from biocross.report.page.sections import (
    EFFECT,
    MEDIANS,
    PAIRS,
    STATUS,
    WHO,
    Column,
    Description,
    P,
    Q,
    number,
    verbatim,
    words,
)

# Shown in this order.
FLOW_SECTIONS: dict[str, Description] = {
    "moved_gates": Description(
        "Gates that moved between visits",
        "Gates that are not the same in all visits of a patient, as they were drawn. A moved gate "
        "invents a change; `flow.moved_gates: patient` applies one set to all visits.",
        (
            *(verbatim("Patient", "patient_id"), verbatim("Gate", "gate")),
            *(verbatim("Samples", "samples"), verbatim("First drawn for", "first")),
            *(number("Decades", "decades"), number("Share of axis", "share")),
            verbatim("Note", "note"),
        ),
        "Every gate is the same in all visits of a patient.",
    ),
    "stored_counts": Description(
        "Our counts beside those of FlowJo",
        "Counts of all events, flagged ones included, where they differ from the counts that the "
        "workspace stores.",
        (
            *(verbatim("Sample", "sample_id"), verbatim("Gate", "gate")),
            *(number("Ours", "count"), number("FlowJo's", "stored_count")),
            *(number("Difference", "difference"), verbatim("Note", "note")),
        ),
        "Every stored count equals ours, or none is stored.",
        lambda row: bool(abs(row["difference"]) > 0),
    ),
    "loss_changes": Description(
        "Did one visit lose more events than the other?",
        "Share of the events that reached a quality step and were set aside by it, in percent. A "
        "difference of a point or more threatens the comparison of the visits.",
        (
            *(*WHO, Column("Step", lambda row: step_words(str(row["step"]))), PAIRS),
            *(*MEDIANS, EFFECT, P, Q, words("Threat", "threat"), *STATUS),
        ),
        "No step set anything aside.",
    ),
    "marker_shift_summary": Description(
        "Did the markers of the gates move?",
        "Typical shift of the negative and of the positive cells between visits, in decades of "
        "the display (95 % interval). A shift of 0.2 decades changes a rare population by about "
        "a quarter. Shown are shifts of 0.05 decades or more whose interval excludes 0.",
        (
            *(*WHO, words("Marker", "marker"), words("On", "population"), words("Side", "side")),
            *(PAIRS, number("Median", "median_shift"), number("From", "low"), number("To", "high")),
        ),
        "No marker moved by 0.05 decades or more.",
        lambda row: row["flagged"] == "yes",
    ),
    "sanity": Description(
        "Markers that contradict each other",
        "Rules of blood cells that a sample breaks, and columns whose exchange would mend most.",
        (
            *(verbatim("Sample", "sample_id"), verbatim("Rule", "rule")),
            *(number("Observed", "observed"), verbatim("Expected", "expected")),
            *(verbatim("Perhaps exchanged", "suspects"), verbatim("Note", "note")),
        ),
        "Every rule that could be judged was kept.",
        lambda row: row["status"] == "broken",
    ),
    "residual_spillover": Description(
        "Light that compensation leaves in one batch",
        "Share of a dye's light that stays in another detector after compensation, in cells that "
        "are bright for the dye, where batches differ by .01 or more. Tandem dyes fall apart.",
        (
            *(verbatim("Dye", "dye"), verbatim("Detector", "detector")),
            *(verbatim("Batch", "batch"), number("Light", "light")),
            *(verbatim("Against", "reference_batch"), number("Its light", "reference_light")),
            verbatim("Note", "note"),
        ),
        "Batches do not differ, or there is one only.",
    ),
    "warnings": Description(
        "Doubtful values",
        "Compensation that looks odd, or was perhaps done before; channels of which more than 1 % "
        "of the events are at the top of the scale (kept, but their medians are too low).",
        (
            *(verbatim("Sample", "sample_id"), words("Check", "check")),
            *(verbatim("Marker", "marker"), verbatim("What", "message")),
        ),
        "Nothing odd was seen.",
    ),
    "repairs": Description(
        "Repairs to files",
        "What had to be repaired to read a file.",
        (
            *(verbatim("Sample", "sample_id"), verbatim("File", "file")),
            *(words("Repair", "repair"), verbatim("Note", "note")),
        ),
        "No file had to be repaired.",
    ),
    "channels": Description(
        "Channels of every batch",
        "From the headers of the files: in how many each channel was found, and under which names.",
        (
            *(words("Marker", "marker"), words("Kind", "kind"), words("Batch", "batch")),
            *(number("Files with", "files_with"), number("Files without", "files_without")),
            *(verbatim("Channel", "names"), verbatim("Label", "labels")),
            *(number("Range from", "range_min"), number("Range to", "range_max")),
        ),
        "There are no files.",
    ),
}
# Those that belong to the gates; the others to the quality of the samples.
GATE_SECTIONS = ("moved_gates", "stored_counts", "marker_shift_summary")
