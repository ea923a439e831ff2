import pytest

from biocross.absolute_counts import cells_per_ul, scale_rows
from biocross.cohort.vocabulary import Population

PARENTS = {
    "live": None,
    "leukocytes": "live",
    "lymphocytes": "leukocytes",
    "T_cells": "lymphocytes",
}
VOCABULARY = {name: Population(name, parent, parent) for name, parent in PARENTS.items()}
COUNTS = {"live": 1200, "leukocytes": 1000, "lymphocytes": 400, "T_cells": 0}
TUBE = {
    "sample_id": "P1_baseline",
    "tissue": "whole_blood",
    "modality": "flow",
    "unit": "P1",
    "beads_added": "50000",
    "blood_volume_ul": "100",
    "beads_counted": "2000",
    "leukocytes_per_ul": "300",
}


def per_ul(name, **sample):
    counted = {population: {"count": str(n)} for population, n in COUNTS.items()}
    return cells_per_ul(name, counted, {**TUBE, **sample}, VOCABULARY)


def scale(**sample):
    sample = {**TUBE, **sample}
    counted = {name: {"count": str(n)} for name, n in COUNTS.items()}
    rows = [
        {
            "sample_id": "P1_baseline",
            "population": name,
            "cells_per_ul": cells_per_ul(name, counted, sample, VOCABULARY),
        }
        for name in COUNTS
    ]
    (row,) = scale_rows([sample], rows)
    return row


def test_beads_scale_every_population_alike():
    """50,000 beads in 100 µl, of which 2,000 were counted: one event is a quarter cell per µl."""
    assert per_ul("leukocytes") == 250
    assert per_ul("live") == 300
    assert per_ul("T_cells") == 0
    assert per_ul("leukocytes", tissue="bal") == 250


@pytest.mark.parametrize("counted", ["0", "", None])
def test_no_beads_no_number(counted):
    """The analyser's count does not step in."""
    assert per_ul("leukocytes", beads_counted=counted) is None
    row = scale(beads_counted=counted)
    assert row["status"] == "not_measured"
    assert "no counting beads were found" in row["note"]


@pytest.mark.parametrize("sample", [{"modality": "rna"}, {"beads_added": ""}])
def test_without_beads_the_analyser_counts(sample):
    assert per_ul("leukocytes", **sample) == 300
    assert scale(**sample)["scaled_by"] == "blood_count"


def test_stimulated_and_enriched_samples_have_none():
    stimulated = {"unit": "", "leukocytes_per_ul": ""}
    assert per_ul("leukocytes", **stimulated) is None
    assert "stimulated" in scale(**stimulated)["note"]
    assert per_ul("leukocytes", enrichment="ILC") is None
    assert "enriched for ILC" in scale(enrichment="ILC")["note"]


def test_what_a_sample_rests_on():
    row = scale()
    assert (row["scaled_by"], row["one_event_per_ul"], row["note"]) == ("beads", 0.25, "")
    assert (row["anchor"], row["anchor_by_beads"]) == ("leukocytes_per_ul", 250)
    assert row["ratio"] == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        ({"beads_counted": "100"}, "100 beads: their number alone makes an error of 10 %"),
        ({"leukocytes_per_ul": "400"}, "the analyser counted 1.60 times as many leukocytes"),
        ({"leukocytes_per_ul": "100"}, "the analyser counted 0.40 times as many leukocytes"),
    ],
)
def test_what_casts_doubt_is_said(sample, expected):
    assert expected in scale(**sample)["note"]


def test_pbmc_are_not_held_against_all_leukocytes():
    row = scale(tissue="pbmc", lymphocytes_per_ul="100")
    assert (row["anchor"], row["ratio"]) == ("lymphocytes_per_ul", 1.0)


def test_a_table_that_gives_cells_per_ul():
    rows = [{"sample_id": "P1_baseline", "population": "T_cells", "cells_per_ul": "900"}]
    (row,) = scale_rows([TUBE], rows, {"P1_baseline"})
    assert (row["scaled_by"], row["status"]) == ("table", "measured")
