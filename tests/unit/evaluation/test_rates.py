import pandas as pd
import pytest
from scipy.stats import binomtest

from biocross.evaluation.findings import FALSE, FOUND, MISSED, RIGHT, UNTESTED, WRONG
from biocross.evaluation.rates import RATE_COLUMNS, rates_of


def findings(*rows):
    table = pd.DataFrame(rows, columns=["verdict", "p_value", "covered"])
    return table.assign(
        kind="frequency", modality="flow", source="gate", readout="percent_of_parent"
    )


MADE_UP = findings(
    *[(RIGHT, 0.5, "yes")] * 6,
    *[(RIGHT, 0.03, "no")] * 2,
    *[(FALSE, 0.001, "no")] * 2,
    *[(FOUND, 0.001, "yes")] * 5,
    *[(MISSED, 0.2, "yes"), (MISSED, 0.2, "")],
    (WRONG, 0.001, "no"),
    *[(UNTESTED, None, "")] * 4,
)


def test_rates_by_hand():
    table = rates_of(MADE_UP).set_index("question")
    assert table[["hits", "n"]].apply(tuple, axis=1).to_dict() == {
        "unchanged, p < 0.05": (4, 10),
        "changed, found": (5, 8),
        "claims that are false": (3, 8),
        "interval holds the truth, unchanged": (6, 10),
        "interval holds the truth, changed": (6, 7),
        "not tested": (4, 22),
    }
    assert (table["rate"] == table["hits"] / table["n"]).all()
    interval = binomtest(5, 8).proportion_ci(method="wilson")
    assert table.loc["changed, found", ["low", "high"]].tolist() == pytest.approx(
        [interval.low, interval.high], abs=1e-6
    )


def test_what_was_never_asked_has_no_rate():
    table = rates_of(findings((RIGHT, 0.5, "yes"), (RIGHT, 0.01, "yes")))
    assert table["question"].tolist() == [
        "unchanged, p < 0.05",
        "interval holds the truth, unchanged",
        "not tested",
    ]


def test_sources_and_readouts_are_kept_apart():
    clusters = MADE_UP.assign(source="cluster", verdict=UNTESTED)
    cells = MADE_UP.assign(readout="cells_per_ul")
    table = rates_of(pd.concat([MADE_UP, clusters, cells]))
    assert list(table.columns) == [*RATE_COLUMNS]
    untested = table[table["question"] == "not tested"]
    assert untested["source"].tolist() == ["gate", "cluster", "gate"]
    assert untested["hits"].tolist() == [4, 22, 4]
