import pandas as pd
import pytest
from changed_rows import changed
from matplotlib.figure import Figure

from biocross.report.figures.panels import by_panel, fold_axis, measured, shown_rows


def test_primary_populations_first_of_the_declared_source_only():
    rows = [
        changed("A"),
        changed("B", family="confirmatory"),
        changed("C", source="cluster"),
        changed("D", readout="cells_per_ul"),
    ]
    shown = shown_rows(pd.DataFrame(rows), ("flow", "gate"))
    assert [row["population"] for row in shown] == ["B", "A"]


def test_panels_by_treatment_then_by_visit_in_order():
    rows = [
        changed("A", treatment=arm, contrast=f"{visit} - baseline")
        for arm in ("z", "a")
        for visit in ("month_4", "month_12")
    ]
    assert [(arm, contrast[:8]) for arm, contrast in by_panel(rows)] == [
        ("a", "month_4 "),
        ("a", "month_12"),
        ("z", "month_4 "),
        ("z", "month_12"),
    ]


def test_a_line_names_what_was_counted():
    assert measured(changed("CD4_T")) == "CD4 T, % of lymphocytes"
    assert measured(changed("CD4_T", parent=float("nan"))) == "CD4 T, %"
    assert measured(changed("CD4_T", readout="cells_per_ul")) == "CD4 T, cells/µl"
    assert measured(changed("CD4_T", source="cluster")).startswith("CD4 T (clusters)")


@pytest.mark.parametrize("reach", [1.3, 1.9, 2.5, 6, 40, 600])
def test_an_axis_of_ratios_always_has_three_numbers_or_more(reach):
    axis = Figure().subplots()
    fold_axis(axis, reach)
    ticks = axis.get_xticks()
    assert 3 <= len(ticks) <= 9
    assert 1.0 in ticks
    assert min(ticks) * max(ticks) == pytest.approx(1)
    labels = [axis.xaxis.get_major_formatter()(tick, 0) for tick in ticks]
    assert len(set(labels)) == len(labels)
