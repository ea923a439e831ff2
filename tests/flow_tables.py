"""The tables of flow cytometry that the report shows, each with a row or two."""

from biocross.cohort.instruments import CHANNEL_COLUMNS
from biocross.flow.flagging import LEDGER_COLUMNS
from biocross.flow.imported.counts import STORED_COUNTS_COLUMNS
from biocross.flow.imported.gating import MOVED_COLUMNS
from biocross.flow.marker_sanity import SANITY_COLUMNS
from biocross.flow.marker_shifts import SUMMARY_COLUMNS
from biocross.flow.prepare import REPAIR_COLUMNS, WARNING_COLUMNS
from biocross.flow.residual_spillover import RESIDUAL_COLUMNS
from biocross.report.page.flow_quality import FLOW_TABLES
from biocross.statistics.quality_loss import LOSS_COLUMNS, SAMPLE_LOSS_COLUMNS
from biocross.tables import write_rows

WHO = {"treatment": "mepolizumab", "contrast": "b - a"}
LOSS = {**WHO, "step": "doublet", "n_pairs": 8, "effect": 2, "effect_low": 1.5, "effect_high": 3}
ROWS = {
    "ledger": (
        LEDGER_COLUMNS,
        [
            dict(zip(LEDGER_COLUMNS, ("S1", "read", 9, 0, 0, ""), strict=True)),
            dict(zip(LEDGER_COLUMNS, ("S1", "doublet", 9, 1, 0.11, "by SSC-A"), strict=True)),
            dict(zip(LEDGER_COLUMNS, ("S2", "read", 0, 0, 0, "excluded: cut off"), strict=True)),
        ],
    ),
    "sample_losses": (
        SAMPLE_LOSS_COLUMNS,
        [{"sample_id": "S1", "events": 9, "lost_percent": 11.1, "outlying": False}],
    ),
    "thresholds": (
        ("patient_id", "threshold", "marker", "population", "source", "value", "depth", "flag"),
        [
            {"threshold": "CD3_pos", "marker": "CD3", "population": "all_cells", **found}
            for found in (
                {"patient_id": "P1", "source": "valley", "value": 0.4, "depth": 0.5},
                {"patient_id": "P2", "source": "valley", "value": 0.5, "depth": 0.7},
                {"patient_id": "P3", "source": "tail", "value": 0.9, "flag": "no_valley"},
            )
        ],
    ),
    "moved_gates": (MOVED_COLUMNS, [{"patient_id": "P1", "gate": "CD4", "decades": 0.2}]),
    "stored_counts": (
        STORED_COUNTS_COLUMNS,
        [
            {"sample_id": "S1", "gate": "CD4", "count": 9, "stored_count": 8, "difference": 1},
            {"sample_id": "S1", "gate": "CD8", "count": 9, "stored_count": 9, "difference": 0},
        ],
    ),
    "loss_changes": (
        LOSS_COLUMNS,
        [
            {**LOSS, "q_value": 0.01, "threat": "doublets: more were lost", "status": "tested"},
            {**LOSS, "q_value": 0.2, "threat": "an exploratory loss", "status": "tested"},
        ],
    ),
    "marker_shift_summary": (
        SUMMARY_COLUMNS,
        [{**WHO, "marker": "CRTH2", "population": "CD4_T", "side": "negative", "flagged": True}],
    ),
    "sanity": (
        SANITY_COLUMNS,
        [
            {
                **{"sample_id": "S1", "rule": "CD3 and CD19 on different cells"},
                **{"observed": 0.5, "status": "broken", "suspects": "CD3 with CD19", "note": "."},
            }
        ],
    ),
    "residual_spillover": (
        RESIDUAL_COLUMNS,
        [{"dye": "CCR7", "detector": "CRTH2", "flagged": True, "note": "CCR7 shines into CRTH2"}],
    ),
    "warnings": (WARNING_COLUMNS, [{"sample_id": "S1", "marker": "CD3", "value": 0.02}]),
    "repairs": (REPAIR_COLUMNS, [{"sample_id": "S1", "file": "a.fcs", "repair": "bit_width"}]),
    "channels": (CHANNEL_COLUMNS, [{"marker": "CD3", "kind": "lineage", "names": "PE-A"}]),
}


def flow_tables(folder):
    """Write one of each and return their paths by name."""
    paths = {name: folder / f"{name}.tsv" for name in FLOW_TABLES}
    for name, (columns, rows) in ROWS.items():
        write_rows(paths[name], columns, rows)
    return paths
