import numpy as np
import pytest
from chapter_tables import rna_tables
from long_tables import LongTables, fill

from biocross.report.page.first_screen import (
    answer,
    calibration_cautions,
    marker_findings,
    other_ways,
    varied_ways,
)
from biocross.statistics.calibration_rows import CALIBRATION_COLUMNS
from biocross.statistics.finding import SPECIFICATION_COLUMNS
from biocross.statistics.marker_changes import MARKER_CHANGE_COLUMNS
from biocross.statistics.pairs import read_table
from biocross.tables import write_rows

ILC2 = ("mepolizumab", "month_4 - baseline", "ILC2")


@pytest.fixture
def changes(tmp_path):
    """ILC2 double, by gates and by clusters of several kinds; gates see Th2 alone."""
    tables = LongTables(tmp_path)
    fill(tables, np.random.default_rng(8), 8, populations=6, depth=20_000)
    tables.name_primary("ILC2", "pop_2")
    doubled = {"pop_1": "ILC2", "pop_3": "Th2"}
    for row in tables.counts:
        if row["population"] in doubled:
            row["population"] = doubled[row["population"]]
            row["count"] = int(row["count"] * (2 if row["visit"] == "month_4" else 1))
    gates = list(tables.counts)
    for source in ("cluster", "unstable_cluster", "single_cluster"):
        tables.counts += [row | {"source": source} for row in gates]
    return tables.changes()


def test_a_confirmed_change_is_told_once(changes):
    found = answer(changes, 0.05, "visit")
    assert [line.split(" rose")[0] for line in found["confirmed"]] == ["ILC2"]
    assert [line.split(" rose")[0] for line in found["exploratory"]] == ["Th2"]
    lines = [*found["confirmed"], *found["exploratory"], *found["no_claim"]]
    assert not any("unstable" in line or "one cluster" in line for line in lines)


def test_a_change_that_clusters_alone_show_is_told(changes):
    gone = (changes["source"] == "gate") & (changes["population"] == "Th2")
    found = answer(changes[~gone], 0.05, "visit")
    assert [line.split(" rose")[0] for line in found["exploratory"]] == ["Th2 (clusters)"]
    gone |= (changes["source"] == "cluster") & (changes["population"] == "Th2")
    assert answer(changes[~gone], 0.05, "visit")["exploratory"] == []


def test_what_others_see_stands_beside_the_finding(changes):
    found = answer(changes, 0.05, "visit", "gate", {ILC2: ["clusters: holds", "RNA: not shown"]})
    (line,) = found["confirmed"]
    assert line.endswith("; clusters: holds; RNA: not shown")
    assert not any("holds" in line for line in found["no_claim"])


def test_where_nothing_could_be_tested_the_answer_says_so(changes):
    assert answer(changes, 0.05, "visit")["untestable"] == []
    few = changes.assign(status="too_few_pairs", n_pairs=2)
    few.loc[few["population"] == "ILC2", ["status", "n_pairs"]] = ["not_measured", 0]
    found = answer(few, 0.05, "visit")
    (line,) = found["untestable"]
    assert line.startswith("mepolizumab, month 4 - baseline: 2 complete pairs, and a test needs 3")
    assert found["n_tested"] == 0
    few.loc[few.index[few["population"] == "Th2"][0], "status"] = "tested"
    assert answer(few, 0.05, "visit")["untestable"] == []


def specification(**others):
    keys = ("treatment", "contrast", "population")
    return dict(zip(keys, ILC2, strict=True)) | {"aspect": "source", "status": "tested"} | others


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"specification": "cluster", "holds": True}, ["clusters: holds"]),
        ({"specification": "cluster", "holds": False}, ["clusters: not shown"]),
        ({"specification": "unstable_cluster", "holds": True}, ["clusters, unstable: holds"]),
        ({"specification": "cluster", "status": "not_measured"}, ["clusters: not resolved"]),
        (
            {"specification": "cluster", "status": "too_few_events", "holds": True},
            ["clusters: too few events"],
        ),
        ({"specification": "cluster", "p_value": 0.36}, ["clusters: p = 0.36"]),
        ({"specification": "other source", "status": "not_applicable"}, None),
        ({"specification": "cluster", "aspect": "test", "holds": True}, None),
    ],
)
def test_words_on_other_sources(tmp_path, row, words):
    path = tmp_path / "specifications.tsv"
    write_rows(path, SPECIFICATION_COLUMNS, [specification(**row)])
    assert other_ways(path, None, "flow").get(ILC2) == words


def test_words_on_the_other_method(tmp_path):
    path = rna_tables(tmp_path)["combined_findings"]
    said = other_ways(None, path, "flow")
    assert said == {ILC2: ["RNA: holds"], (*ILC2[:2], "pop_2"): ["RNA: not shown"]}
    # "flow only" is no failure of flow where RNA is what was declared.
    assert other_ways(None, path, "rna") == {ILC2: ["flow: holds"]}
    assert other_ways(None, None, "flow") == {}


def test_other_analyses_of_the_same_cells_in_short(tmp_path):
    path = tmp_path / "specifications.tsv"
    rows = [
        specification(aspect="test", specification="plain_t", holds=True),
        specification(aspect="test", specification="wilcoxon", holds=True),
        specification(aspect="readout", specification="cells_per_ul", holds=False),
        specification(aspect="readout", specification="composition", holds=True),
        specification(aspect="leave_one_out", specification="P1", holds=True),
        specification(aspect="covariate", specification="change of ocs_mg_day", holds=False),
        specification(aspect="dropout", specification="delta 1", holds=False),
        specification(aspect="gate", specification="CRTH2 +0.1", status="not_measured"),
    ]
    write_rows(path, SPECIFICATION_COLUMNS, rows)
    assert varied_ways(path) == {
        ILC2: [
            "tests, patients varied: holds",
            "readouts varied: not shown in 1 of 2",
            "unchanged ocs mg day: not shown",
        ]
    }
    assert varied_ways(None) == {}


def test_inflation_is_said_once_and_of_what_may_open_the_report(tmp_path):
    path = tmp_path / "calibration.tsv"
    row = {"scope": "class", "verdict": "inflated", "rate": 0.12, "treatment": "drug"}
    row |= {"contrast": "b - a", "readout": "composition", "what": "20 to 100 events"}
    sources = ("gate", "cluster", "single_cluster", "unstable_cluster")
    write_rows(path, CALIBRATION_COLUMNS, [row | {"source": source} for source in sources])
    (line,) = calibration_cautions(path)
    assert "with visits swapped at random 5 % of the populations should fall below 0.05" in line
    assert "drug, b - a: 12 % of those with 20 to 100 events (composition), 12 % of" in line
    assert line.count("composition") == 2
    assert "composition, clusters" in line
    write_rows(path, CALIBRATION_COLUMNS, [row | {"source": "gate", "verdict": "ok"}])
    assert calibration_cautions(path) == calibration_cautions(None) == []


def test_markers_are_told_once_and_strongest_first(tmp_path):
    path = tmp_path / "marker_changes.tsv"
    row = dict(zip(("treatment", "contrast", "population"), ILC2, strict=True))
    row |= {"modality": "flow", "readout": "median", "effect": 0.2, "effect_scale": "logicle"}
    row |= {"status": "tested", "n_pairs": 8}
    rows = [
        row | {"source": "gate", "marker": "CD25", "p_value": 0.004, "q_value": 0.01},
        row | {"source": "cluster", "marker": "CD25", "p_value": 0.001, "q_value": 0.01},
        row | {"source": "cluster", "marker": "CXCR4", "p_value": 0.002, "q_value": 0.01},
        row | {"source": "single_cluster", "marker": "CD38", "p_value": 1e-9, "q_value": 1e-9},
        row | {"source": "gate", "marker": "CD69", "p_value": 0.2, "q_value": 0.6},
    ]
    write_rows(path, MARKER_CHANGE_COLUMNS, rows)
    lines = marker_findings(read_table(path), 0.05, "visit")
    assert [line.split(" rose")[0] for line in lines] == [
        "CXCR4 in ILC2 (clusters)",
        "CD25 in ILC2",
    ]
