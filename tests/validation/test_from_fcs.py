"""One whole study from FCS files: what was planted is found, with the right sign and size."""

import numpy as np
import pytest
from validation.from_fcs import analyse_study

from biocross.statistics.paired_changes import load_changes
from biocross.statistics.pairs import read_table


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    changes, effects = analyse_study(tmp_path_factory.mktemp("study"), seed=1, planted=True)
    truth = read_table(effects)[["treatment", "population", "log_odds_ratio"]]
    merged = load_changes(changes).merge(truth, on=["treatment", "population"])
    percent = merged[merged["readout"] == "percent_of_parent"]
    return percent.set_index(["treatment", "population"])


@pytest.mark.parametrize(
    ("treatment", "population"),
    [("mepolizumab", "eosinophils"), ("mepolizumab", "ILC2"), ("dupilumab", "ILC2")],
)
def test_planted_changes_are_found(rows, treatment, population):
    row = rows.loc[(treatment, population)]
    assert row["family"] == "confirmatory"
    assert row["q_value"] < 0.05
    assert np.sign(np.log(row["effect"])) == np.sign(row["log_odds_ratio"])
    assert 0.5 < np.log(row["effect"]) / row["log_odds_ratio"] < 2


def test_unchanged_populations_are_not_called_more_often_than_they_may(rows):
    null = rows[(rows["log_odds_ratio"].abs() < 0.02) & (rows["status"] == "tested")]
    assert len(null) > 15
    assert not (null["q_value"] < 0.05).any()
    called = int((null["p_value"] < 0.05).sum())
    assert called <= 4  # of about 20: the binomial chance of more is .003
