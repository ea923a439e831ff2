"""The workflow on a tiny cohort: complete, idempotent, incremental, the same at any core count."""

import csv
import json
import re
import shutil

import pytest

pytestmark = pytest.mark.workflow

TABLES = (
    ("populations", "counts.tsv"),
    ("populations", "expression.tsv"),
    ("statistics", "paired_changes.tsv"),
    ("statistics", "marker_changes.tsv"),
    ("flow", "gating", "thresholds.tsv"),
    ("flow", "quality", "ledger.tsv"),
)


def rows(project, *parts):
    text = project.table(*parts).decode()
    return list(csv.DictReader(text.splitlines(), delimiter="\t"))


def test_every_question_has_a_row_with_a_status(finished_project):
    counts = rows(finished_project, "populations", "counts.tsv")
    changes = rows(finished_project, "statistics", "paired_changes.tsv")
    asked = {
        (row["treatment"], row["population"], readout)
        for row in counts
        if row["parent"]
        for readout in ("percent_of_parent", "cells_per_ul")
    }
    answered = {(row["treatment"], row["population"], row["readout"]) for row in changes}
    assert asked <= answered
    assert all(row["status"] for row in changes)
    assert all(row["note"] for row in changes if row["status"] != "tested")


def test_contract_columns_of_paired_changes(finished_project):
    header = finished_project.table("statistics", "paired_changes.tsv").decode().split("\n")[0]
    expected = (
        "modality source treatment contrast population parent readout n_pairs n_incomplete "
        "events_median baseline_median followup_median zeros_baseline zeros_followup effect "
        "effect_low effect_high effect_scale effect_is_bound statistic df p_value q_value family "
        "wilcoxon_p signflip_p signflip_fwer_p hodges_lehmann rank_biserial detectable_fold "
        "detectable_fold_family equivalent agreement status note"
    )
    assert header.split("\t")[: len(expected.split())] == expected.split()


def test_missing_follow_up_is_counted_not_hidden(finished_project):
    changes = rows(finished_project, "statistics", "paired_changes.tsv")
    pairs = {
        row["treatment"]: (row["n_pairs"], row["n_incomplete"])
        for row in changes
        if row["population"] == "T_cells" and row["readout"] == "percent_of_parent"
    }
    assert pairs == {"mepolizumab": ("3", "0"), "dupilumab": ("2", "1")}


def test_two_pairs_get_a_reason(finished_project):
    changes = rows(finished_project, "statistics", "paired_changes.tsv")
    few = [
        row
        for row in changes
        if (row["treatment"], row["population"]) == ("dupilumab", "T_cells")
        and row["readout"] != "composition"
        and row["source"] == "gate"
    ]
    assert len(few) == 2
    assert {row["status"] for row in few} == {"too_few_pairs"}
    assert not any(row["p_value"] for row in few)


def test_report_is_one_self_contained_file(finished_project):
    html = finished_project.table("report.html").decode()
    # The name of a kind of drawing looks like an address; nothing is fetched from it.
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "")
    assert "<link" not in html
    counts = rows(finished_project, "populations", "counts.tsv")
    populations = {row["population"] for row in counts if row["source"] == "gate"}
    data = re.search(r'id="explorer-data">(.*?)</script>', html, re.DOTALL)[1]
    gated = [series for series in json.loads(data)["series"] if series["how"] == "gate"]
    # Every gated population can be drawn, but for that without a parent.
    assert {series["name"] for series in gated} == populations - {"live_singlets"}
    assert "P06 lacks month_4" in html


def test_pictures_and_gates_of_a_patient_can_be_asked_for_by_name(finished_project):
    pictures = ("gating/P01.pdf", "gating/thresholds.pdf", "flow_quality/time/P01_baseline.svg")
    finished_project.snakemake(*(f"results/figures/{name}" for name in pictures))
    for name in pictures:
        assert len(finished_project.table("figures", *name.split("/"))) > 5000
    gates = finished_project.table("flow", "gating", "patients", "P01.gates.xml")
    assert b"CD4_T" in gates


def test_second_run_does_nothing(finished_project):
    assert finished_project.planned_rules() == {}


def test_changed_gate_reruns_gating_not_reading(finished_project):
    gating = finished_project.folder / "config" / "gating.yaml"
    before = gating.read_text()
    gating.write_text(before.replace("[15000, 60000]", "[15000, 61000]"))
    try:
        planned = finished_project.planned_rules()
    finally:
        gating.write_text(before)
    assert planned["gate_patient"] == 6
    assert {"summarise_flow", "find_paired_changes", "write_report"} <= set(planned)
    assert not {"prepare_flow_sample", "estimate_transforms", "simulate_cohort"} & set(planned)


def test_changed_library_module_reruns_the_steps_it_touches(finished_project):
    source = finished_project.folder / "workflow" / "src"
    original = source.resolve()
    source.unlink()
    shutil.copytree(original, source)
    module = source / "biocross" / "flow" / "gate_tree.py"
    module.write_text(module.read_text() + "\n# edited\n")
    try:
        planned = finished_project.planned_rules()
    finally:
        shutil.rmtree(source)
        source.symlink_to(original)
    assert planned["gate_patient"] == 6
    assert "prepare_flow_sample" not in planned


def test_one_core_and_another_environment_give_identical_tables(finished_project, fresh_project):
    elsewhere = {"PYTHONHASHSEED": "7", "LC_ALL": "C", "TZ": "Pacific/Auckland"}
    tables = ("/".join(["results", *parts]) for parts in TABLES)
    let_go = ("--config", "flow={keep_events: false}")
    fresh_project.snakemake(*tables, *let_go, cores=1, environment=elsewhere)
    for parts in TABLES:
        assert fresh_project.table(*parts) == finished_project.table(*parts), parts
    for project, kept in ((finished_project, 11), (fresh_project, 0)):
        assert len([*project.folder.glob("results/flow/events/*.arrow")]) == kept


def test_demo_settings_do_not_leak_into_another_configuration(finished_project):
    config = finished_project.folder / "config"
    own = finished_project.configuration_without_simulation()
    (config / "own.yaml").write_text(own.replace("results/simulated", "nowhere"))
    done = finished_project.snakemake("--configfile", "config/own.yaml", "-n", check=False)
    assert done.returncode != 0
    assert 'there is no file "nowhere/P01_baseline.fcs"' in done.stdout + done.stderr
