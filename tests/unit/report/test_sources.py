import pandas as pd
import pytest

from biocross.report.sources import (
    first_screen,
    is_shown,
    leading_rows,
    may_open,
    single_clusters_aside,
)

ALL_SOURCES = (
    *("gate", "cluster", "table", "single_cluster", "unstable_cluster"),
    *("unstable_single_cluster", "normalised_cluster", "normalised_single_cluster"),
)


def row(source="gate", modality="flow", q=0.5, population="ILC2", **others):
    found = {"modality": modality, "source": source, "treatment": "drug", "contrast": "b - a"}
    found |= {"population": population, "readout": "percent_of_parent", "status": "tested"}
    return found | {"q_value": q, "p_value": q} | others


def test_only_what_reruns_give_again_opens_a_report():
    assert [source for source in ALL_SOURCES if may_open(source)] == ["gate", "cluster", "table"]


@pytest.mark.parametrize("source", ALL_SOURCES)
def test_tables_hold_single_clusters_only_below_the_rate(source):
    single = "single" in source
    assert is_shown(row(source, q=0.2), 0.05) is not single
    assert is_shown(row(source, q=0.01), 0.05)
    assert is_shown(row(source, q=0.01, status="too_few_events"), 0.05) is not single


def test_what_clusters_do_not_resolve_is_told_elsewhere():
    assert not is_shown(row("cluster", status="not_measured"), 0.05)
    assert not is_shown(row("normalised_cluster", status="not_measured"), 0.05)
    assert is_shown(row("gate", status="not_measured"), 0.05)
    assert is_shown(row("cluster", modality="rna", status="not_measured"), 0.05)
    assert is_shown(row("cluster", status="too_few_events"), 0.05)


def test_tables_without_sources_are_shown_whole():
    assert is_shown({"check": "x", "status": "not_measured"}, 0.05)


def test_what_is_left_out_is_counted():
    rows = [row("gate"), *(row("single_cluster", q=q) for q in (0.01, 0.2, 0.3))]
    rows.append(row("unstable_single_cluster", q=0.04))
    rows.append(row("single_cluster", q=float("nan"), status="all_zero"))
    words = single_clusters_aside(pd.DataFrame(rows), 0.05)
    assert "(4 tests)" in words
    assert "the 2 below the false discovery rate are shown here" in words
    assert "none is below" in single_clusters_aside(pd.DataFrame(rows), 0.001)
    assert "one is shown" in single_clusters_aside(pd.DataFrame(rows), 0.02)
    assert single_clusters_aside(pd.DataFrame(rows[:1]), 0.05) == ""
    assert single_clusters_aside(pd.DataFrame({"sample_id": ["S1"]}), 0.05) == ""


def test_figures_show_where_the_study_is_judged():
    table = pd.DataFrame([row(source) for source in ALL_SOURCES] + [row("cluster", "rna")])

    def sources(part):
        return list(part[["modality", "source"]].itertuples(index=False, name=None))

    assert sources(leading_rows(table, ("flow", "gate"))) == [("flow", "gate")]
    assert sources(leading_rows(table, ("rna", "cluster"))) == [("rna", "cluster")]
    rest = table[table["source"] != "gate"]
    found = sources(leading_rows(rest, ("flow", "gate")))
    assert found == [("flow", "cluster"), ("flow", "table"), ("rna", "cluster")]
    single = table[table["source"] == "single_cluster"]
    assert len(leading_rows(single, ("flow", "gate"))) == 1


def test_one_row_per_question():
    rows = [
        row("cluster", q=0.001),
        row("gate", q=0.01),
        row("unstable_cluster", q=1e-9),
        row("cluster", population="Th2"),
        row("cluster", modality="rna"),
        row("gate", readout="cells_per_ul"),
    ]
    table = pd.DataFrame(rows)
    assert first_screen(table, "gate").index.tolist() == [1, 3, 4, 5]
    assert first_screen(table, "cluster").index.tolist() == [0, 3, 4, 5]
    assert first_screen(table.iloc[:0], "gate").empty


def test_markers_are_questions_of_their_own():
    table = pd.DataFrame([row(marker="CD25"), row(marker="CD38"), row("cluster", marker="CD25")])
    assert first_screen(table, "gate").index.tolist() == [0, 1]
