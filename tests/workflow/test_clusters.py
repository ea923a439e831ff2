"""Clusters on a tiny cohort: in the long tables, beside the gates, and on normalised events."""

import pytest

from biocross.tables import read_rows

pytestmark = pytest.mark.workflow


def rows(project, *parts):
    return read_rows(project.folder.joinpath("results", *parts))


def test_clusters_stand_beside_the_gates_in_every_statistic(finished_project):
    counts = rows(finished_project, "populations", "counts.tsv")
    by_source = {}
    for row in counts:
        by_source.setdefault(row["source"], set()).add(row["population"])
    assert {"gate", "cluster"} < set(by_source)
    assert any(source.endswith("single_cluster") for source in by_source)
    assert {"T_cells", "neutrophils", "eosinophils"} <= by_source["cluster"]
    changes = rows(finished_project, "statistics", "paired_changes.tsv")
    tested = {r["source"] for r in changes if r["status"] in ("tested", "too_few_pairs")}
    assert {"gate", "cluster"} <= tested
    assert {r["family"].split(":")[0] for r in changes if r["source"] != "gate"} == {"exploratory"}


def test_clusters_and_gates_agree_on_the_lineages(finished_project):
    agreement = {
        row["population"]: row
        for row in rows(finished_project, "flow", "clusters", "agreement_summary.tsv")
    }
    for population in ("T_cells", "neutrophils", "eosinophils", "B_cells", "monocytes"):
        assert float(agreement[population]["f1"]) > 0.95, population


def test_every_passing_event_is_in_one_cluster(finished_project):
    ledger = rows(finished_project, "flow", "quality", "ledger.tsv")
    passing = {}
    for row in ledger:
        passing[row["sample_id"]] = int(row["events_before"]) - int(row["flagged"] or 0)
    counts = rows(finished_project, "flow", "clusters", "counts.tsv")
    root = {row["sample_id"]: int(row["count"]) for row in counts if not row["parent"]}
    single = dict.fromkeys(root, 0)
    for row in counts:
        if row["source"].endswith("single_cluster"):
            single[row["sample_id"]] += int(row["count"])
    assert single == root
    assert root == passing


def test_no_clusters_on_request(finished_project):
    planned = finished_project.planned_rules("--config", "flow={clusters: {method: none}}")
    assert not {"train_flow_map", "map_flow_sample", "embed_flow_cells"} & set(planned)


def test_normalised_clusters_stand_beside_the_others(finished_project, tmp_path):
    project = finished_project.copied_to(tmp_path / "project")
    settings = project.folder / "config" / "config.yaml"
    text = settings.read_text()
    settings.write_text(text.replace("  clusters:\n", "  normalisation: range\n  clusters:\n"))
    project.snakemake("results/populations/counts.tsv")
    sources = {row["source"] for row in rows(project, "populations", "counts.tsv")}
    assert {"cluster", "normalised_cluster"} <= sources
    guard = rows(project, "flow", "normalisation", "guard.tsv")
    assert {"batch_distance", "visit_difference"} <= {row["check"] for row in guard}
