"""Which patients stand for the gates of a cohort."""

from biocross.report.figures.gate_examples import draw_examples, examples_of, rank_patients


def border(patient, depth, threshold="CRTH2", **others):
    row = {"patient_id": patient, "threshold": threshold, "method": "valley", "source": "valley"}
    return row | {"depth": str(depth), "flag": ""} | others


def test_patients_are_ranked_by_their_valleys():
    rows = [
        border("P1", 0.5),
        border("P2", 0.9),
        border("P2", 0.7),
        border("P3", 0.99, flag="pulled"),
        border("P4", "", source="tail"),
    ]
    assert rank_patients(rows, {"CRTH2"}) == ["P2", "P1", "P3", "P4"]


def test_only_borders_that_matter_count_unless_none_is_a_valley():
    rows = [
        border("P1", 0.9, "CD3"),
        border("P1", 0.1),
        border("P2", 0.1, "CD3"),
        border("P2", 0.2),
    ]
    assert rank_patients(rows, {"CRTH2"}) == ["P2", "P1"]
    assert rank_patients(rows, set()) == ["P1", "P2"]
    tails = [border("P1", "", "FMO", method="fmo", source="fmo"), *rows]
    assert rank_patients(tails, {"FMO"}) == ["P1", "P2"]
    assert rank_patients([], {"CRTH2"}) == []


def test_three_stand_for_all():
    assert examples_of(["a", "b", "c", "d", "e"]) == {
        "a": "clearest gates",
        "c": "median",
        "e": "least clear gates",
    }
    assert list(examples_of(["a", "b"])) == ["a", "b"]
    assert list(examples_of(["a"])) == ["a"]
    assert examples_of([]) == {}


def test_nothing_to_draw_is_said():
    figure = draw_examples([], {}, {})
    assert [text.get_text() for text in figure.texts] == ["no primary population is gated"]
