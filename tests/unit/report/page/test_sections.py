import pandas as pd
import pytest

from biocross.report.page.sections import table_section
from biocross.report.page.statistics_sections import STATISTICS_SECTIONS
from biocross.statistics.clinical import ASSOCIATION_COLUMNS
from biocross.statistics.finding import SPECIFICATION_COLUMNS
from biocross.statistics.paired_changes import CHANGE_COLUMNS
from biocross.tables import write_rows

WITH_SOURCES = (
    *("paired_changes", "marker_changes", "treatment_differences", "longitudinal", "response"),
    *("clinical_associations", "calibration"),
)


def change(source, q, population="ILC2", **others):
    row = {"modality": "flow", "source": source, "treatment": "drug", "contrast": "b - a"}
    row |= {"population": population, "readout": "percent_of_parent", "n_pairs": 8}
    row |= {"effect": 1.5, "effect_low": 1.1, "effect_high": 2.0, "effect_scale": "odds_ratio"}
    row |= {"family": "exploratory: x", "p_value": q, "q_value": q, "status": "tested"}
    return row | others


def association(source, p, **others):
    row = {"modality": "flow", "source": source, "readout": "percent_of_parent"}
    row |= {"rho": 0.5, "rho_low": 0.1, "rho_high": 0.8, "p_value": p, "q_value": 0.9}
    return row | {"family": "exploratory: x", "status": "tested"} | others


def section(name, columns, rows, tmp_path):
    path = tmp_path / f"{name}.tsv"
    write_rows(path, columns, rows)
    return table_section(name, path, 0.05, STATISTICS_SECTIONS)


@pytest.mark.parametrize("name", WITH_SOURCES)
def test_tables_say_what_found_the_cells(name):
    assert "Found by" in [column.heading for column in STATISTICS_SECTIONS[name].columns]


def test_single_clusters_do_not_drown_the_others(tmp_path):
    rows = [change("gate", 0.5), change("cluster", 0.4), change("unstable_cluster", 0.3)]
    rows += [change("single_cluster", 0.9, f"cluster_{i:02d}") for i in range(50)]
    rows += [change("unstable_single_cluster", 0.01, "cluster_77")]
    shown = section("paired_changes", CHANGE_COLUMNS, rows, tmp_path)
    found = [cells[4] for cells, _ in shown.rows]
    assert found == ["clusters, unstable", "clusters", "gate", "one cluster, unstable"]
    assert "(51 tests)" in shown.aside
    assert [called for _, called in shown.rows] == [False, False, False, True]


def test_rna_is_called_so(tmp_path):
    rows = [change("cluster", 0.5, modality="rna")]
    shown = section("paired_changes", CHANGE_COLUMNS, rows, tmp_path)
    assert shown.rows[0][0][4] == "RNA"
    assert shown.aside == ""


def test_of_many_clinical_tests_those_with_small_p_are_shown(tmp_path):
    rows = [association("gate", (i + 0.5) / 100) for i in range(100)]
    rows += [association("gate", None, q_value=None, status="refused")]
    rows += [association("single_cluster", 0.001)]
    shown = section("clinical_associations", ASSOCIATION_COLUMNS, rows, tmp_path)
    assert len(shown.rows) == 5
    assert "5 of 100 tests have p below 0.05; by chance alone 5 would" in shown.aside
    few = section("clinical_associations", ASSOCIATION_COLUMNS, rows[50:60], tmp_path)
    assert few.rows == []
    assert few.empty == ""
    assert "0 of 10 tests" in few.aside
    none = section("clinical_associations", ASSOCIATION_COLUMNS, [], tmp_path)
    assert (none.empty, none.aside) == (STATISTICS_SECTIONS["clinical_associations"].empty, "")


def test_other_sources_of_a_finding_are_words(tmp_path):
    row = {"aspect": "source", "specification": "unstable_cluster", "status": "tested"}
    rows = [row, row | {"aspect": "test", "specification": "plain_t"}]
    shown = section("specifications", SPECIFICATION_COLUMNS, rows, tmp_path)
    assert [cells[4] for cells, _ in shown.rows] == ["clusters, unstable", "plain t"]


def test_calibration_of_single_clusters_stays_in_the_file():
    described = STATISTICS_SECTIONS["calibration"]
    assert described.shown({"scope": "class"})
    assert not described.shown({"scope": "population"})
    assert pd.notna(described.title)
