import pytest

from biocross.cohort.checks import inspect_cohort
from biocross.cohort.config import complete_config


def errors(study, **flow):
    study.config["flow"] = {**study.config.get("flow", {}), **flow}
    return [str(p) for p in inspect_cohort(complete_config(study.config))[1] if p.is_error]


def set_batches(study, batch_of):
    """Give every sample the batch that a function of its patient and visit says."""
    path = study.folder / "samples.tsv"
    head, *lines = path.read_text().splitlines()
    rows = [line.split("\t") for line in lines]
    for row in rows:
        row[5] = batch_of(row[1], row[2])
    path.write_text("\n".join([head, *("\t".join(row) for row in rows)]) + "\n")


def test_the_default_asks_for_nothing_that_a_study_lacks(study):
    assert errors(study) == []


def test_a_misspelt_zoom_is_named(study):
    (error,) = errors(study, clusters={"zoom": ["eosinophil"]})
    assert 'flow.clusters.zoom: "eosinophil" is no population' in error
    assert 'did you mean "eosinophils"?' in error


def test_one_batch_has_nothing_to_align(study):
    set_batches(study, lambda patient, visit: "b1")
    (error,) = errors(study, normalisation="range")
    assert "all samples are of one batch" in error


def test_batches_without_an_anchor_are_listed(study):
    set_batches(study, lambda patient, visit: "b1" if patient == "P1" else "b2")
    (error,) = errors(study, normalisation="anchors")
    assert "no anchor (role anchor) in b1, b2" in error
    assert errors(study, normalisation="range") == []


def test_batches_that_are_visits_must_not_be_aligned(study):
    set_batches(study, lambda patient, visit: f"run_{visit}")
    (error,) = errors(study, normalisation="range")
    assert "no chain of shared batches links the visit month_4" in error


def test_an_unknown_goal_is_named(study):
    set_batches(study, lambda patient, visit: "b1" if patient == "P1" else "b2")
    (error,) = errors(study, normalisation="range", normalisation_goal="b3")
    assert 'flow.normalisation_goal: there is no batch "b3"' in error


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "there is no file"),
        ("map_id\tcluster\tpopulation\nabc\t3\teosinophil\n", 'did you mean "eosinophils"?'),
        ("map_id\tcluster\nabc\t3\n", "population"),
    ],
)
def test_a_fault_of_the_sheet_of_labels_is_named(study, text, said):
    path = study.folder / "labels.tsv"
    if text:
        path.write_text(text)
    study.config["inputs"]["cluster_labels"] = str(path)
    assert said in errors(study)[0]
