"""The tables of clusters, RNA and concordance that the report tells of, each with a few rows."""

from biocross.cells.annotation_tables import ANNOTATION_COLUMNS as RNA_ANNOTATION_COLUMNS
from biocross.cells.flags import LEDGER_COLUMNS
from biocross.cells.gene_sets import GENE_SET_COLUMNS
from biocross.cells.integration_quality import QUALITY_COLUMNS
from biocross.cells.prepare import WARNING_COLUMNS
from biocross.cells.quality_recheck import RECHECK_COLUMNS
from biocross.cells.summary import CELLS_COLUMNS
from biocross.flow.clusters.agreement import SUMMARY_COLUMNS
from biocross.flow.clusters.naming import ANNOTATION_COLUMNS, POPULATION_COLUMNS
from biocross.flow.clusters.outliers import OUTLIER_COLUMNS
from biocross.flow.clusters.training import NUMBER_COLUMNS
from biocross.flow.normalisation.guard import GUARD_COLUMNS
from biocross.statistics.concordance import CONCORDANCE_COLUMNS, FINDING_COLUMNS
from biocross.statistics.gene_changes import GENE_CHANGE_COLUMNS
from biocross.statistics.quality_loss import LOSS_COLUMNS
from biocross.tables import write_rows

WHO = {"treatment": "mepolizumab", "contrast": "month_4 - baseline"}


def _cluster(number, population, stable=True, name="main", used=True):
    row = {"cluster": number, "map": name, "population": population, "score": 0.9, "margin": 0.8}
    return row | {"percent": 5, "stability": 0.9 if stable else 0.4, "stable": stable, "used": used}


def _number(name, n_clusters, chosen):
    return {"map": name, "n_clusters": n_clusters, "weakest": 0.8 - n_clusters / 100} | {
        "chosen": chosen
    }


def _agreement(population, f1, note=""):
    row = {"population": population, "n_gate": 90, "n_cluster": 95, "n_both": 80, "f1": f1}
    return row | {"status": "disagree" if note else "agree", "note": note}


CLUSTERS = {
    "annotation": (
        ANNOTATION_COLUMNS,
        [
            _cluster(1, "neutrophils"),
            _cluster(2, "CD4_T"),
            _cluster(3, "ILC2", stable=False, name="ILC"),
            _cluster(4, "leukocytes", name="ILC", used=False),
        ],
    ),
    "numbers": (
        NUMBER_COLUMNS,
        [_number("main", 10, True), _number("main", 15, False), _number("ILC", 20, True)],
    ),
    "populations": (
        POPULATION_COLUMNS,
        [
            {"population": "neutrophils", "status": "found", "n_clusters": 1},
            {"population": "ILC2", "status": "found", "n_clusters": 1},
            {"population": "basophils", "status": "no_cluster", "note": "use its gate"},
            {"population": "progenitors", "status": "not_in_panel", "note": "the panel lacks CD34"},
        ],
    ),
    "agreement_summary": (
        SUMMARY_COLUMNS,
        [
            _agreement("neutrophils", 0.95),
            _agreement("ILC2", 0.55, "gates and clusters mean different cells by ILC2"),
            _agreement("pop_2", 0.45, "gates and clusters mean different cells by pop_2"),
        ],
    ),
    "outliers": (
        OUTLIER_COLUMNS,
        [
            {"subject": "sample", "sample_id": "S_odd", "outlier": True, "why": "Th2 × 0.21"},
            {"subject": "sample", "sample_id": "S_usual", "outlier": False},
        ],
    ),
}
GUARD = [
    {
        **{"check": "batch_distance", "marker": "all", "cluster": "all", "held_out": "anchors"},
        **{"before": 0.3, "after": 0.1, "by_chance": 0.02, "verdict": "better"},
    },
    {
        **{"check": "visit_difference", "contrast": "b - a", "marker": "CD25", "cluster": "all"},
        **{"ratio": 0.4, "verdict": "shrunk"},
    },
]


def _ledger(sample, step, before, flagged):
    values = (sample, "L1", step, before, flagged, flagged / max(before, 1), "")
    return dict(zip(LEDGER_COLUMNS, values, strict=True))


def _gene(gene, q, **others):
    row = {**WHO, "modality": "rna", "source": "cluster", "population": "CD4_T", "gene": gene}
    row |= {"n_pairs": 8, "log2_fold": 1.5, "log2_fold_low": 1.0, "log2_fold_high": 2.0}
    return row | {"p_value": q / 2, "q_value": q, "family": "f", "status": "tested"} | others


def _finding(population, verdict):
    row = {**WHO, "population": population, "effect_flow": 1.5, "effect_flow_low": 1.2}
    row |= {"effect_flow_high": 1.9, "q_flow": 0.01, "effect_rna": 1.4, "verdict": verdict}
    return row


RNA = {
    "ledger": (
        LEDGER_COLUMNS,
        [
            _ledger("S1", "read", 1000, 0),
            _ledger("S1", "unassigned", 1000, 0),
            _ledger("S1", "mitochondrial", 1000, 40),
            _ledger("S1", "doublet", 960, 60),
            _ledger("S2", "read", 0, 0),
        ],
    ),
    "warnings": (
        WARNING_COLUMNS,
        [{"library": "L1", "check": "ambient", "feature": "HBB", "message": "much free RNA"}],
    ),
    "annotation": (
        RNA_ANNOTATION_COLUMNS,
        [
            {"population": "CD4_T", "status": "found", "n_cells": 700, "confidence": 0.8},
            {"population": "Tc2", "status": "not_resolved", "n_candidates": 30},
            {"population": "eosinophils", "status": "not_measured"},
            {"population": "nothing", "status": "no_markers"},
        ],
    ),
    "gene_sets": (
        GENE_SET_COLUMNS,
        [{"gene_set": "type_2_cytokines", "n_genes": 3, "n_measured": 1, "status": "not_possible"}],
    ),
    "cells_per_population": (
        CELLS_COLUMNS,
        [
            {"sample_id": "S1", "population": "CD4_T", "n_cells": 300, "status": "enough"},
            {"sample_id": "S1", "population": "ILC2", "n_cells": 4, "status": "underpowered"},
            {"sample_id": "S2", "population": "ILC2", "n_cells": 3, "status": "underpowered"},
        ],
    ),
    "quality_recheck": (
        RECHECK_COLUMNS,
        [
            {"population": "ILC2", "rescued": 12, "status": "rescued"},
            {"population": "CD4_T", "rescued": 0, "status": "kept"},
            {"population": "mast_cells", "rescued": 0, "status": "lost"},
        ],
    ),
    "integration_quality": (
        QUALITY_COLUMNS,
        [
            {"measure": "mixing", "status": "poorly_mixed", "note": "batches are still apart"},
            {"measure": "purity", "group": "B1", "status": "lost"},
        ],
    ),
    "loss_changes": (
        LOSS_COLUMNS,
        [
            {**WHO, "step": "mitochondrial", "q_value": 0.01, "threat": "more at month 4"},
            {**WHO, "step": "doublet", "q_value": 0.2, "threat": "perhaps"},
        ],
    ),
    "gene_changes": (
        GENE_CHANGE_COLUMNS,
        [
            _gene("IFI6", 0.001),
            _gene("ISG15", 0.01),
            _gene("ACTB", 0.8),
            _gene(
                *("GATA3", float("nan")),
                **{"population": "ILC2", "n_pairs": 2, "status": "too_few_pairs"},
            ),
            {
                **WHO,
                "population": "B_cells",
                "status": "underpowered",
                "note": "1 has it",
            },
        ],
    ),
    "concordance": (
        CONCORDANCE_COLUMNS,
        [
            {
                **{"aspect": "change", **WHO, "population": "CD4_T", "n": 8, "rho": 0.7},
                **{"rho_low": 0.2, "rho_high": 0.9, "p_value": 0.01, "ratio": 1.1},
                **{"n_same_sign": 7, "same_sign": 0.875, "status": "tested"},
            },
            {"aspect": "frequency", "visit": "baseline", "population": "CD4_T", "n": 2},
        ],
    ),
    "combined_findings": (
        FINDING_COLUMNS,
        [_finding("ILC2", "both"), _finding("pop_2", "flow only"), _finding("CD4_T", "neither")],
    ),
}


def cluster_tables(folder, **others):
    """Write the tables of clusters and return their paths by name."""
    return _write(folder / "clusters", CLUSTERS | others)


def rna_tables(folder, **others):
    """Write the tables of RNA and concordance and return their paths by name."""
    return _write(folder / "rna", RNA | others)


def _write(folder, tables):
    folder.mkdir(exist_ok=True)
    paths = {name: folder / f"{name}.tsv" for name in tables}
    for name, (columns, rows) in tables.items():
        write_rows(paths[name], columns, rows)
    return paths


def with_guard():
    """Return the table of a normalisation that helped, and shrank a change."""
    return {"guard": (GUARD_COLUMNS, GUARD)}


def gene_table(rows):
    """Return a table of gene changes."""
    return {"gene_changes": (GENE_CHANGE_COLUMNS, rows)}


gene_row = _gene
