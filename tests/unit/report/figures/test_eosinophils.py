import numpy as np
import pandas as pd
import pytest
from long_tables import LongTables

from biocross.report.figures.eosinophils import bland_altman, eosinophil_table, plot_eosinophils
from biocross.statistics.pairs import read_long_table
from biocross.tables import read_rows

LEVELS = ["baseline", "month_4"]


def measured(tmp_path, n=4, source="gate", parent="leukocytes"):
    """Write samples of which flow cytometry sees 1.1 times the analyser's eosinophils."""
    tables = LongTables(tmp_path)
    for number in range(n):
        for visit in LEVELS:
            percent = 1.0 + number
            cells = {"percent": 1.1 * percent, "parent": parent}
            tables.add(f"P{number}", visit, {"eosinophils": cells}, source=source)
    paths = tables.write()
    sheet = pd.read_csv(paths["samples"], sep="\t", dtype=str, keep_default_na=False)
    sheet["eosinophils_per_ul"] = [str(80.0 * (1 + k // 2)) for k in range(len(sheet))]
    sheet["leukocytes_per_ul"] = "8000"
    return read_long_table(paths["counts"], paths["samples"]), sheet


def test_limits_of_agreement_are_those_of_the_definition():
    first, second = np.array([5.0, 6.0, 8.0, 4.0]), np.array([4.0, 6.5, 7.0, 4.0])
    found = bland_altman(first, second)
    difference = first - second
    assert not found.as_ratio
    assert found.mean == pytest.approx(difference.mean())
    assert found.high - found.mean == pytest.approx(1.96 * difference.std(ddof=1))
    assert found.mean - found.low == pytest.approx(1.96 * difference.std(ddof=1))


def test_wide_ranges_are_compared_as_ratios_and_zeros_never():
    first, second = np.array([0.1, 1.0, 10.0]), np.array([0.2, 2.0, 20.0])
    found = bland_altman(first, second)
    assert found.as_ratio
    assert (found.mean, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
    assert not bland_altman(np.array([0.0, 10.0]), second[:2]).as_ratio


def test_percent_by_both_methods_sample_by_sample(tmp_path):
    table, sheet = measured(tmp_path)
    found = eosinophil_table(table, sheet)
    assert len(found) == 8
    assert found["flow_percent"].to_numpy() == pytest.approx(
        1.1 * found["analyser_percent"].to_numpy()
    )


def test_not_of_leukocytes_or_not_measured_is_nothing(tmp_path):
    assert eosinophil_table(*measured(tmp_path, parent="granulocytes")).empty
    table, sheet = measured(tmp_path)
    assert eosinophil_table(table, sheet.drop(columns="eosinophils_per_ul")).empty
    assert eosinophil_table(table, sheet.assign(leukocytes_per_ul="0")).empty


def test_figure_shows_limits_and_a_marker_per_visit(tmp_path):
    table, sheet = measured(tmp_path)
    plot_eosinophils(eosinophil_table(table, sheet), LEVELS, *outs(tmp_path))
    svg = outs(tmp_path)[0].read_text()
    for words in ("8 samples, 4 patients", "mean: 0.25 points", "95 %: ", "baseline", "month 4"):
        assert words in svg
    assert len(read_rows(outs(tmp_path)[1])) == 8


def test_nothing_measured_is_said_in_words(tmp_path):
    table, sheet = measured(tmp_path, n=1)
    plot_eosinophils(eosinophil_table(table, sheet), LEVELS, *outs(tmp_path))
    assert "too few" in outs(tmp_path)[0].read_text()


def outs(folder):
    return folder / "e.svg", folder / "e.tsv"
