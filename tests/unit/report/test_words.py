import math

import numpy as np
import pandas as pd
import pytest

from biocross.report.words import (
    during,
    finding,
    format_effect,
    format_number,
    format_p,
    found_by,
    no_finding,
    plain,
    source_words,
    subject,
)

CAUSAL = ("due to", "because", "caused", "effect of", "led to", "thanks to")


def change(**others):
    row = {
        "treatment": "mepolizumab",
        "contrast": "month_4 - baseline",
        "population": "ILC2",
        "parent": "CD4_T_cells",
        "readout": "percent_of_parent",
        "n_pairs": 20,
        "baseline_median": 0.0123,
        "followup_median": 0.0246,
        "effect": 1.62,
        "effect_low": 1.21,
        "effect_high": 2.17,
        "effect_scale": "odds_ratio",
        "effect_is_bound": False,
        "q_value": 0.0123,
        "detectable_fold": 1.456,
        "detectable_fold_low": 1.2,
        "detectable_fold_high": 1.9,
        "equivalent": False,
        "status": "tested",
        "note": "",
    }
    return row | others


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1.00"),
        (0.5, "0.50"),
        (0.1, "0.10"),
        (0.0432, "0.043"),
        (0.000123, "0.00012"),
        (0.0001, "0.0001"),
        (0.0000432, "4e-5"),
        (3.2e-12, "3e-12"),
        (math.nan, "–"),
        (None, "–"),
    ],
)
def test_format_p(value, text):
    assert format_p(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.01234, "0.0123"),
        (12.345, "12.3"),
        (999.4, "999"),
        (999.7, "1,000"),
        (-999.7, "-1,000"),
        (1234.5, "1,234"),
        (1234567, "1,234,567"),
        (0, "0"),
        (math.nan, "–"),
        (math.inf, "–"),
        (None, "–"),
    ],
)
def test_format_number(value, text):
    assert format_number(value) == text


def test_odds_and_fold_changes_have_their_interval():
    assert format_effect(change()) == "odds × 1.62 (1.21 to 2.17)"
    fold = format_effect(change(effect_scale="fold_change", readout="composition"))
    assert fold == "× 1.62 (1.21 to 2.17)"


def test_marker_effects_name_their_scale():
    row = change(effect=-0.2, effect_low=-0.3, effect_high=-0.1, effect_scale="arcsinh(x/5)")
    del row["effect_is_bound"]
    assert format_effect(row) == "-0.2 (-0.3 to -0.1) arcsinh(x/5)"


def test_only_what_is_known_to_be_a_bound_is_called_so():
    assert format_effect(change(effect_is_bound=True)).endswith("2.17, a bound)")
    for unknown in (np.nan, None, pd.NA, False, ""):
        assert "bound" not in format_effect(change(effect_is_bound=unknown))


def test_plain_words():
    assert plain("CD4_T_cells") == "CD4 T cells"
    assert plain(4) == "4"


def test_during_a_treatment_or_with_a_stimulation():
    assert during(change(), "visit") == "during mepolizumab (month 4 against baseline)"
    row = change(contrast="BCR_XL - Ref", treatment="none")
    assert during(row, "stimulation") == "with BCR XL against Ref (none)"


@pytest.mark.parametrize(
    ("row", "verb"),
    [
        (change(), "rose"),
        (change(effect=0.62, followup_median=0.01), "fell"),
        (change(effect_scale="fold_change", effect=1.001), "rose"),
        (change(effect_scale="arcsinh(x/5)", effect=0.62), "rose"),
        (change(effect_scale="arcsinh(x/5)", effect=-0.1), "fell"),
        (change(effect_scale="logicle", effect=1.2), "rose"),
    ],
)
def test_direction(row, verb):
    assert finding(row, "visit").startswith(f"ILC2 {verb} ")


def test_finding_in_full():
    assert finding(change(), "visit") == (
        "ILC2 rose from 0.0123 to 0.0246 % of CD4 T cells during mepolizumab (month 4 against "
        "baseline): odds × 1.62 (1.21 to 2.17), 20 pairs, q = 0.012"
    )


def test_medians_that_go_the_other_way_are_no_riddle():
    words = finding(change(followup_median=0.0111), "visit")
    assert words.startswith(
        "ILC2 rose within patients, though medians went from 0.0123 to 0.0111 % of CD4 T cells "
        "during mepolizumab"
    )
    assert "though" not in finding(change(followup_median=0.0123), "visit")
    beside = finding(change(followup_median=0.0111, readout="composition"), "visit")
    assert beside.startswith("ILC2 rose beside the other populations during mepolizumab")


def test_units_of_the_other_readouts():
    per_ul = change(readout="cells_per_ul", effect_scale="fold_change")
    assert "to 0.0246 cells/µl during" in finding(per_ul, "visit")
    assert "CD4 T cells" not in finding(change(readout="composition"), "visit")


def test_marker_findings():
    row = change(marker="CD25", readout="median", effect=0.1, effect_scale="logicle")
    assert finding(row, "visit").startswith("CD25 in ILC2 rose from 0.0123 to 0.0246 during")
    row = change(marker="CD25", readout="percent_positive", effect=1.5)
    assert "CD25 in ILC2 rose from 0.0123 to 0.0246 % positive cells" in finding(row, "visit")


def test_no_finding():
    words = no_finding(change(q_value=0.4), "visit")
    assert "not shown to change" in words
    assert "a change of × 1.46 (1.2 to 1.9) would have been found with 80 % power" in words
    assert "equivalent within × 0.8 to 1.25" in no_finding(change(equivalent=True), "visit")
    row = change(status="too_few_events", note="3 events in the median pair")
    assert no_finding(row, "visit") == (
        "ILC2 during mepolizumab (month 4 against baseline): not tested; "
        "3 events in the median pair"
    )


@pytest.mark.parametrize("word", [*CAUSAL, "unchanged"])
def test_words_never_ascribe(word):
    for row in (change(), change(equivalent=True), change(status="no_pairs", note="none")):
        for contrast in ("visit", "stimulation"):
            assert word not in finding(row, contrast)
            assert word not in no_finding(row, contrast)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("gate", "gate"),
        ("table", "table"),
        ("cluster", "clusters"),
        ("single_cluster", "one cluster"),
        ("unstable_cluster", "clusters, unstable"),
        ("unstable_single_cluster", "one cluster, unstable"),
        ("normalised_cluster", "clusters, normalised"),
        ("normalised_unstable_single_cluster", "one cluster, normalised, unstable"),
    ],
)
def test_sources_in_words(source, words):
    assert source_words(source) == words
    assert found_by({"modality": "flow", "source": source}) == words


def test_clusters_of_rna_are_called_rna():
    assert found_by({"modality": "rna", "source": "cluster"}) == "RNA"
    assert found_by({"modality": "rna", "source": "table"}) == "RNA, table"
    assert found_by({"population": "ILC2"}) == ""


def test_sentences_name_what_found_the_cells():
    assert subject(change(modality="flow", source="gate")) == "ILC2"
    assert subject(change(modality="flow", source="table")) == "ILC2"
    row = change(modality="rna", source="cluster")
    assert finding(row, "visit").startswith("ILC2 (RNA) rose from")
    assert no_finding(row, "visit").startswith("ILC2 (RNA) during")
    marker = row | {"marker": "type_2_cytokines", "readout": "median", "effect_scale": "score"}
    assert finding(marker, "visit").startswith("type 2 cytokines in ILC2 (RNA) rose")
