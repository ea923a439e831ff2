"""What is said of the hard studies, in short: small cohorts, or tables alone."""

import pytest
from validation.statements import STATEMENTS
from validation.variants import MASKED, OTHER_GATES, VARIANTS, other_gates, refused, take
from validation.whole_run import STUDIES

from biocross.cohort.checks import inspect_cohort
from biocross.cohort.config import complete_config
from biocross.simulate.description import description_files
from biocross.simulate.sheets import write_sheets
from biocross.simulate.study import read_study

FOLDER = STUDIES / "variants"
# They hold what others share, and are no studies of their own.
SHARED = {"small", "wider_panel"}
SMALL = {
    "events_per_sample": 6000,
    "populations": {"Th2": {"share": 0.12}, "CD4_memory_other": {"share": 0.5}},
    "treatments": {"dupilumab": {"patients": 6}},
}
SMALL_TAPER = {**SMALL, "treatments": {"mepolizumab": {"patients": 6}}}


def problems_of(name, folder, gating=None):
    """List what `check_cohort` warns of before any file is read."""
    write_sheets(FOLDER / f"{name}.yaml", folder, seed=1)
    inputs = {n: str(folder / f"{n}.tsv") for n in ("samples", "patients", "clinical", "panel")}
    inputs |= {"folder": str(folder), "gating": str(gating or "config/gating.yaml")}
    design = {"levels": ["baseline", "month_4"]}
    config = {"inputs": inputs, "design": design, "simulate": {"study": "study.yaml"}}
    return [str(problem) for problem in inspect_cohort(complete_config(config))[1]]


@pytest.fixture(autouse=True)
def in_root(pytestconfig, monkeypatch):
    monkeypatch.chdir(pytestconfig.rootpath)


def test_every_variant_is_a_study_and_has_a_statement():
    names = {path.stem for path in FOLDER.glob("*.yaml")} - SHARED
    assert names == set(VARIANTS)
    for name in sorted(names):
        study = read_study(FOLDER / f"{name}.yaml")
        assert list(study.visits) == ["baseline", "month_4"]


def test_files_of_other_folders_are_named_once():
    files = description_files(FOLDER / "omalizumab.yaml")
    assert len(files) == len(set(files)) == 10
    assert all(path.is_file() and ".." not in path.parts for path in files)


def test_a_masked_epitope_is_refused_before_any_file_is_read(tmp_path):
    assert "benralizumab masks CD125" in refused(tmp_path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("batch_offset", "every pair changes batch (lot_1 to lot_2)"),
        ("informative_dropout", "of 24 pairs incomplete"),
        ("rounded_counts", '"eosinophils_per_ul" comes in steps of 100'),
        ("null", ""),
    ],
)
def test_what_is_said_of_the_sheets(name, said, tmp_path):
    problems = problems_of(name, tmp_path)
    if said:
        assert any(said in problem for problem in problems)
    else:
        assert problems == []


def test_a_dump_without_cd123_is_warned_of_under_omalizumab(tmp_path):
    assert problems_of("omalizumab", tmp_path) == []
    (problem,) = problems_of("omalizumab", tmp_path, other_gates("omalizumab", tmp_path))
    assert "omalizumab lowers FceRI" in problem
    assert "ILC2 (gate ILC)" in problem


def test_what_is_said_of_decay_and_of_a_batch_per_visit(tmp_path):
    """So few events claim no change of Th2 whose gate could be doubted."""
    told = take("tandem_decay", tmp_path, changes=SMALL)
    assert "CCR7 shines into CRTH2 in batch lot_2" in told.caution("tandem")
    verdict = STATEMENTS["batch_offset"](told, told)
    assert verdict.passed, verdict


def test_what_is_said_of_a_taper(tmp_path):
    told = take("steroid_taper", tmp_path, changes=SMALL_TAPER)
    verdict = STATEMENTS["steroid_taper"](told, None)
    assert verdict.passed, verdict


def test_every_other_strategy_belongs_to_a_variant():
    assert set(OTHER_GATES) <= set(VARIANTS)
    assert MASKED in OTHER_GATES
