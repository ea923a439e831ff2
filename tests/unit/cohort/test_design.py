import pytest

from biocross.cohort.design import (
    META_NAMES,
    UNSTIMULATED,
    Cohort,
    Contrast,
    Sample,
    parse_contrast,
)
from biocross.cohort.propose import order_levels
from biocross.errors import ConfigError


def sample(patient, visit, stimulation="", modality="flow"):
    name = "_".join(part for part in (patient, visit, stimulation, modality) if part)
    return Sample(name, patient, visit, modality, stimulation=stimulation)


def names(samples):
    return [entry.sample_id for entry in samples]


@pytest.fixture
def visits():
    return Cohort(
        samples=(
            sample("P2", "month_12"),
            sample("P1", "month_4"),
            sample("P1", "baseline"),
            sample("P1", "baseline", modality="rna"),
            sample("P2", "baseline"),
        ),
        patients={"P1": {"treatment": "mepolizumab"}, "P2": {"treatment": "dupilumab"}},
        clinical={},
        levels=("baseline", "month_4", "month_12"),
    )


@pytest.fixture
def stimulations():
    return Cohort(
        samples=(
            sample("P1", "baseline", "BCR"),
            sample("P1", "baseline", "none"),
            sample("P1", "month_4", "none"),
            sample("P2", "baseline", "none"),
        ),
        patients={"P1": {"treatment": "a"}, "P2": {"treatment": "a"}},
        clinical={},
        levels=("none", "BCR"),
        contrast_column="stimulation",
    )


@pytest.fixture
def responses():
    """Visits, with stimulated samples beside the unstimulated ones."""
    return Cohort(
        samples=(
            sample("P1", "month_4", "PMA"),
            sample("P1", "month_4", "medium"),
            sample("P1", "baseline", "PMA"),
            sample("P1", "baseline"),
            sample("P2", "baseline", "HDM"),
        ),
        patients={"P1": {"treatment": "a"}, "P2": {"treatment": "a"}},
        clinical={},
        levels=("baseline", "month_4"),
        table_samples=(sample("P2", "baseline", "none"),),
    )


def test_contrasts_of_visits(visits):
    assert visits.contrasts == (
        Contrast("month_4", "baseline"),
        Contrast("month_12", "baseline"),
    )
    assert [str(contrast) for contrast in visits.contrasts] == [
        "month_4 - baseline",
        "month_12 - baseline",
    ]


def test_declared_contrasts_replace_the_default(visits):
    declared = Cohort(
        visits.samples,
        visits.patients,
        {},
        visits.levels,
        declared_contrasts=(parse_contrast("month_12 - month_4"),),
    )
    assert declared.contrasts == (Contrast("month_12", "month_4"),)


def test_contrasts_of_stimulations(stimulations):
    assert [str(contrast) for contrast in stimulations.contrasts] == ["BCR - none"]


def test_units_of_visits_are_patients(visits):
    units = visits.units("flow")
    assert list(units) == ["P1", "P2"]
    assert set(units["P1"]) == {"baseline", "month_4"}
    assert set(units["P2"]) == {"baseline", "month_12"}
    assert units["P2"]["month_12"].sample_id == "P2_month_12_flow"
    assert list(visits.units("rna")) == ["P1"]


def test_units_of_stimulations_are_visits_of_patients(stimulations):
    units = stimulations.units("flow")
    assert list(units) == ["P1 baseline", "P1 month_4", "P2 baseline"]
    assert set(units["P1 baseline"]) == {"none", "BCR"}
    assert set(units["P1 month_4"]) == {"none"}
    assert stimulations.level(stimulations.samples[0]) == "BCR"


def test_samples_of_a_patient_are_in_order_of_the_levels(visits):
    grouped = visits.by_patient("flow")
    assert list(grouped) == ["P1", "P2"]
    assert names(grouped["P1"]) == ["P1_baseline_flow", "P1_month_4_flow"]
    assert names(grouped["P2"]) == ["P2_baseline_flow", "P2_month_12_flow"]


def test_of_modality_keeps_the_order_of_the_sheet(visits):
    assert [entry.patient_id for entry in visits.of_modality("flow")] == ["P2", "P1", "P1", "P2"]


def test_treatment_per_patient(visits):
    assert visits.treatment("P2") == "dupilumab"
    assert visits.treatment_of(visits.samples[1]) == "mepolizumab"
    assert visits.contrast_treatment("P1", visits.contrasts[0]) == "mepolizumab"


def test_treatment_per_visit_is_that_of_the_later_visit():
    cohort = Cohort(
        samples=(sample("P1", "baseline"), sample("P1", "month_4"), sample("P1", "month_12")),
        patients={"P1": {"treatment": "dupilumab"}},
        clinical={},
        levels=("baseline", "month_4", "month_12"),
        treatments_at={
            ("P1", "baseline"): "none",
            ("P1", "month_4"): "mepolizumab",
            ("P1", "month_12"): "dupilumab",
        },
    )
    treated = [cohort.contrast_treatment("P1", contrast) for contrast in cohort.contrasts]
    assert treated == ["mepolizumab", "dupilumab"]
    assert cohort.treatment_of(cohort.samples[0]) == "none"


def test_samples_of_a_table_make_units(visits):
    cohort = Cohort(
        visits.samples,
        visits.patients,
        {},
        visits.levels,
        table_samples=(sample("P1", "month_12"), sample("P3", "baseline")),
    )
    units = cohort.units("flow")
    assert list(units) == ["P1", "P2", "P3"]
    assert set(units["P1"]) == {"baseline", "month_4", "month_12"}


@pytest.mark.parametrize(
    ("text", "contrast"),
    [
        ("month_4 - baseline", Contrast("month_4", "baseline")),
        (" month-4  -  pre-dose ", Contrast("month-4", "pre-dose")),
    ],
)
def test_parse_contrast(text, contrast):
    assert parse_contrast(text) == contrast


@pytest.mark.parametrize("text", ["", "month_4", "month_4-baseline", " - baseline", "month_4 - "])
def test_broken_contrast(text):
    with pytest.raises(ConfigError, match="must read like"):
        parse_contrast(text)


@pytest.mark.parametrize("word", ["", "none", "DMSO", "Un-Stimulated", "no stim", "NO_STIM"])
def test_words_for_unstimulated(word):
    assert sample("P1", "baseline", word).stimulus == ""


@pytest.mark.parametrize("word", ["PMA", "stim", "DMSO+PMA", "US28", "IL-2", "control_peptide"])
def test_everything_else_is_a_stimulus(word):
    assert sample("P1", "baseline", word).stimulus == word


def test_the_first_steps_know_the_same_words():
    """`biocross init` puts the unstimulated first, so that visits are compared without stimulus."""
    for word in UNSTIMULATED:
        assert order_levels(["AAA", word])[0] == word


def test_events_carry_the_stimulus_and_not_the_word(responses):
    carried = [dict(zip(META_NAMES, s.meta, strict=True)) for s in responses.samples]
    assert [meta["stimulation"] for meta in carried] == ["PMA", "", "PMA", "", "HDM"]
    assert carried[0]["sample_id"] == "P1_month_4_PMA_flow"


def test_stimulated_samples_are_in_no_unit(responses):
    units = responses.units("flow")
    assert {unit: names(at.values()) for unit, at in units.items()} == {
        "P1": ["P1_month_4_medium_flow", "P1_baseline_flow"],
        "P2": ["P2_baseline_none_flow"],
    }
    assert names(responses.stimulated) == [
        "P1_month_4_PMA_flow",
        "P1_baseline_PMA_flow",
        "P2_baseline_HDM_flow",
    ]


def test_where_stimulations_are_compared_none_is_left_out(stimulations):
    assert stimulations.stimulated == ()


def test_samples_of_a_patient_are_gated_together_the_unstimulated_first(responses):
    grouped = responses.by_patient("flow")
    assert names(grouped["P1"]) == [
        "P1_baseline_flow",
        "P1_baseline_PMA_flow",
        "P1_month_4_medium_flow",
        "P1_month_4_PMA_flow",
    ]


def test_background_of_a_stimulated_sample(responses):
    found = [responses.background(s) for s in responses.stimulated]
    assert names(found[:2]) == ["P1_month_4_medium_flow", "P1_baseline_flow"]
    assert found[2] is None, "a file has no background in a table"
