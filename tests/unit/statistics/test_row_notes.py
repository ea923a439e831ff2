import pytest

from biocross.cohort.checks import inspect_cohort
from biocross.statistics.row_notes import add_selection_notes

CHANGED = {"note": "", "n_pairs": 6, "source": "gate"}


def test_only_what_was_selected_on_is_noted():
    rows = [
        {**CHANGED, "population": "eosinophils", "note": "small"},
        {**CHANGED, "population": "eosinophils", "n_pairs": 0},
        {**CHANGED, "population": "ILC2"},
    ]
    add_selection_notes(rows, ["eosinophils_per_ul"])
    first, *others = [row["note"] for row in rows]
    assert first.startswith("small; patients were enrolled for their eosinophils")
    assert "regression to the mean" in first
    assert others == ["", ""]


@pytest.mark.parametrize("wrong", ["eosinophil", "eosinophils_per_ul"])
def test_what_nobody_measured_cannot_have_selected(study, wrong):
    """The clinical sheet of the study has leukocytes only."""
    config = {**study.config, "design": {**study.config["design"], "selected_on": [wrong]}}
    found = [problem for problem in inspect_cohort(config)[1] if problem.is_error]
    assert [problem.file for problem in found] == ["design.selected_on"]
    assert f'"{wrong}" is neither a population nor' in found[0].message
