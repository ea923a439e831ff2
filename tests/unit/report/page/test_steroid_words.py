import pytest

from biocross.cohort.drug_checks import NOTE_COLUMNS
from biocross.cohort.overview import PAIR_COLUMNS
from biocross.report.page.steroid_words import steroid_warnings
from biocross.statistics.finding import SPECIFICATION_COLUMNS
from biocross.tables import write_rows

WHO = {"treatment": "mepolizumab", "contrast": "month_4 - baseline"}
NOTE = (
    "CD127 (gate ILC) may fall (oral steroids raise it; their taper lowers it); CRTH2 may fall (x)"
)


@pytest.fixture
def warn(tmp_path):
    def run(doses, holds=""):
        samples, pairs, notes, varied = (tmp_path / name for name in "spnv")
        rows = [
            {"unit": unit, "level": level, "ocs_mg_day": dose}
            for unit, both in doses.items()
            for level, dose in zip(("baseline", "month_4"), both, strict=True)
        ]
        write_rows(samples, ("unit", "level", "ocs_mg_day"), rows)
        asked = {**WHO, "modality": "flow", "baseline": "baseline", "followup": "month_4"}
        write_rows(pairs, PAIR_COLUMNS, ({**asked, "unit": unit} for unit in doses))
        note = {"treatment": "mepolizumab", "population": "ILC2", "general_note": NOTE}
        write_rows(notes, NOTE_COLUMNS, [note])
        row = {**WHO, "population": "ILC2", "aspect": "covariate", "holds": holds}
        write_rows(varied, SPECIFICATION_COLUMNS, [row])
        return steroid_warnings(samples, pairs, notes, varied)

    return run


def test_the_dose_its_markers_and_what_is_lost(warn):
    (sentence,) = warn({"1": (10, 5), "2": (10, 0), "3": (0, 0), "4": (5, "")}, "no")
    assert "fell in 2 and rose in 0 of 3 pairs" in sentence
    assert "CD127 of the gates ILC2" in sentence
    assert "CXCR4" in sentence
    assert "CRTH2" not in sentence  # activation, no steroids
    assert "at an unchanged dose not shown: ILC2 (mepolizumab, month" in sentence


@pytest.mark.parametrize(("holds", "said"), [("yes", "every primary finding"), ("", "compare")])
def test_findings_that_hold_and_runs_without_any(warn, holds, said):
    assert said in warn({"1": (10, 15)}, holds)[0]


def test_an_unchanged_dose_is_no_news(warn):
    assert warn({"1": (10, 10), "2": (0, 0)}) == []
