"""The first screen's table of primary populations, and its headline."""

import numpy as np
import pandas as pd
import pytest

from biocross.report.page.primary import (
    EQUIVALENT,
    NOT_SHOWN,
    closing_words,
    headlines,
    primary_rows,
)
from biocross.statistics.families import CONFIRMATORY


def change(population, effect=2.0, q_value=0.01, **others):
    row = {
        **{"treatment": "drug", "contrast": "month_4 - baseline", "population": population},
        **{"source": "gate", "parent": "CD4_T", "readout": "percent_of_parent", "n_pairs": 8},
        **{"effect": effect, "effect_low": effect / 1.5, "effect_high": effect * 1.5},
        **{"baseline_median": 1.234, "followup_median": 2.0, "p_value": q_value / 2},
        **{"q_value": q_value, "family": CONFIRMATORY, "status": "tested", "note": np.nan},
        **{"equivalent": False, "detectable_fold": 1.4, "effect_scale": "odds_ratio"},
    }
    return row | others


def rows_of(*rows, beside=None):
    return primary_rows(pd.DataFrame(list(rows)), 0.05, beside or {})


def test_claims_come_first_within_each_treatment():
    rows = rows_of(
        change("Treg", q_value=0.8),
        change("Th2", q_value=0.03),
        change("ILC2", q_value=0.001),
        change("Th2", q_value=0.9, treatment="another"),
        change("gone", family="exploratory: flow"),
    )
    assert [(row.treatment, row.population) for row in rows] == [
        ("another", "Th2"),
        ("drug", "ILC2"),
        ("drug", "Th2"),
        ("drug", "Treg"),
    ]
    assert [row.claimed for row in rows] == [False, True, True, False]


def test_words_of_a_row():
    (row,) = rows_of(
        change("ILC2"), beside={("drug", "month_4 - baseline", "ILC2"): ["RNA: holds"]}
    )
    assert (row.verdict, row.medians, row.unit) == ("rose", "1.23 → 2", "% of CD4 T")
    assert (row.effect, row.pairs, row.q_value) == ("× 2 (1.33 to 3)", "8", "0.01")
    assert row.contrast == "month 4 against baseline"
    assert row.detectable == ""
    assert [tuple(seen) for seen in row.beside] == [("RNA: holds", "for")]


@pytest.mark.parametrize(
    ("words", "stands"),
    [
        ("RNA: not shown", "against"),
        ("RNA: the other way", "against"),
        ("clusters, unstable: p = 0.3", "open"),
    ],
)
def test_what_stands_against_a_finding(words, stands):
    (row,) = rows_of(change("A"), beside={("drug", "month_4 - baseline", "A"): [words]})
    assert row.beside[0].stands == stands


def test_medians_that_went_the_other_way_are_explained():
    odd, plain_row = rows_of(
        change("A", followup_median=1.0, note="few pairs"), change("B", followup_median=2.0)
    )
    assert odd.verdict == "rose"
    assert odd.note.startswith("few pairs; medians went the other way")
    assert plain_row.note == ""


def test_what_is_not_claimed_is_not_called_unchanged():
    shown, same, fell, untested = rows_of(
        change("A", q_value=0.2),
        change("B", q_value=0.3, equivalent=True),
        change("C", q_value=0.4, effect=0.5),
        change("D", q_value=np.nan, status="too_few_events", note="7 events"),
    )
    assert (shown.verdict, same.verdict, fell.verdict) == (NOT_SHOWN, EQUIVALENT, NOT_SHOWN)
    assert shown.detectable == "× 1.4"
    assert (untested.verdict, untested.effect, untested.bar) == ("not tested", "", None)
    assert untested.note == "7 events"


def test_bars_share_one_axis_and_are_cut_off_where_they_leave_it():
    low, high = rows_of(change("A", effect=0.02), change("B", effect=2.0))
    assert low.bar.low == low.bar.high == low.bar.middle == 0
    assert low.bar.cut_low
    assert not high.bar.cut_high
    assert 50 < high.bar.low < high.bar.middle < high.bar.high <= 100
    # Twice as much lies as far to the right as half lies to the left.
    half, twice = rows_of(change("A", effect=0.5), change("B", effect=2.0))
    assert half.bar.middle + twice.bar.middle == pytest.approx(100, abs=0.2)


def test_a_headline_names_visits_only_where_they_differ():
    late = {"contrast": "month_12 - baseline"}
    rows = rows_of(
        change("ILC2"),
        change("ILC2", **late),
        change("Th2", **late),
        change("Th2", q_value=0.3),
        change("eosinophils", effect=0.1),
        change("Treg", q_value=0.5),
        change("Tc2", q_value=0.4, equivalent=True),
        change("B", q_value=np.nan, status="too_few_events", note="few"),
        change("Treg", q_value=0.6, treatment="placebo"),
    )
    assert headlines(rows) == {
        "drug": "ILC2 and Th2 (month 12) rose; eosinophils fell. Equivalent to no change: Tc2. "
        "Not shown to change: Treg. Not tested: B.",
        "placebo": "No primary population was shown to change. Not shown to change: Treg.",
    }


def test_no_family_no_rows():
    table = pd.DataFrame([change("A", family="exploratory: flow")])
    assert primary_rows(table, 0.05, {}) == []
    assert headlines([]) == {}


def test_closing_words_name_findings_and_report(tmp_path):
    path = tmp_path / "paired_changes.tsv"
    rows = [change("ILC2"), change("Th2", q_value=0.4), change("B", family="exploratory: flow")]
    table = pd.DataFrame([row | {"effect_is_bound": "no", "equivalent": "no"} for row in rows])
    table.to_csv(path, sep="\t", index=False)
    assert closing_words(path, "results/report.html", 0.05).splitlines() == [
        "During drug: ILC2 rose. Not shown to change: Th2.",
        "What speaks for and against it: results/report.html (open it in a browser).",
    ]
    table.iloc[2:].to_csv(path, sep="\t", index=False)
    assert closing_words(path, "r", 0.05).startswith(
        "No primary population could be judged; 1 exploratory change below"
    )
