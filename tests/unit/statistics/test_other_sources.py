from types import SimpleNamespace

import pytest

from biocross.statistics.finding import Finding
from biocross.statistics.other_sources import by_other_sources, rows_by_question


def change(source, effect="1.5", p="0.01", parent="CD4_T", population="Th2", **rest):
    row = {
        **{"modality": "flow", "source": source, "treatment": "drug", "contrast": "b - a"},
        **{"population": population, "parent": parent, "readout": "percent_of_parent"},
        **{"n_pairs": "8", "effect": effect, "effect_low": "1.2", "effect_high": "1.9"},
        **{"effect_scale": "odds_ratio", "p_value": p, "q_value": "0.02"},
        **{"status": "tested", "note": "", "family": "confirmatory"},
    }
    return row | rest


def varied(*rows):
    finding = Finding(SimpleNamespace(fdr=0.05), rows[0], None, None, 0)
    return list(by_other_sources(finding, rows_by_question(rows)))


def test_the_same_population_in_clusters_stands_beside_its_gate():
    (row,) = varied(change("gate"), change("cluster", effect="1.3", p="0.04"))
    assert (row["aspect"], row["specification"], row["source"]) == ("source", "cluster", "gate")
    assert row["effect"] == pytest.approx(1.3)
    assert row["holds"] is True
    assert row["n_pairs"] == 8


@pytest.mark.parametrize(("effect", "p"), [("0.7", "0.01"), ("1.4", "0.2")])
def test_another_direction_or_no_change_does_not_hold(effect, p):
    (row,) = varied(change("gate"), change("unstable_cluster", effect=effect, p=p))
    assert row["holds"] is False


def test_another_parent_is_said():
    (row,) = varied(change("gate"), change("cluster", parent="T_cells"))
    assert row["note"] == "in percent of T_cells"


def test_what_the_other_could_not_test_has_its_reason():
    blank = dict.fromkeys(("effect", "effect_low", "effect_high", "p_value"), "")
    other = change("cluster", **blank, status="not_measured", note="no cluster")
    (row,) = varied(change("gate"), other)
    assert (row["status"], row["note"]) == ("not_measured", "no cluster")
    assert "holds" not in row


def test_other_populations_and_no_other_way_are_no_comparison():
    (row,) = varied(change("gate"), change("cluster", population="Th1"))
    assert (row["status"], row["note"]) == ("not_applicable", "Th2 was found in one way only")
