from pathlib import Path

import pytest
import yaml

from biocross.cohort.vocabulary import load_vocabulary
from biocross.errors import ConfigError
from biocross.simulate.study import merge, read_study

STUDY = Path(__file__).parents[3] / "config" / "simulation.yaml"


def test_demo_study_is_read_whole():
    study = read_study(STUDY)
    assert list(study.visits) == ["baseline", "month_4"]
    assert [arm.patients for arm in study.treatments.values()] == [8, 8]
    assert len(study.signals) == 29
    assert len(study.leaves) == 35
    assert not {"CD4_memory_other", "CD8_central_memory", "T_cells_other"} & set(study.reported)
    assert study.populations["ILC2"].part_of == "ILC"
    assert study.populations["ILC2"].parent == "lymphocytes"
    above = ("CD4_memory", "CD4_T", "T_cells", "lymphocytes", "leukocytes")
    assert study.lineage_of("Th2") == ("Th2", *above)
    assert study.populations["Th2"].parent == "CD4_T"


def test_names_and_parents_are_those_of_the_vocabulary():
    """Whatever has a truth is a population that the analysis can count, of the same parent."""
    study = read_study(STUDY)
    vocabulary = load_vocabulary(STUDY.parent / "populations.yaml")
    parents = {name: study.populations[name].parent for name in study.reported}
    assert parents == {name: vocabulary[name].parent for name in study.reported}


def test_parts_inherit_the_looks_of_their_whole():
    th2 = read_study(STUDY).populations["Th2"]
    assert th2.cell_type == "lymphocyte"
    assert th2.stains["CD3"].level == 4.2
    assert th2.stains["CXCR4"].level == 3.3  # its own, not that of T cells


def test_ilc2_are_planted_near_0_3_percent_of_leukocytes():
    populations = read_study(STUDY).populations
    leukocytes = sum(p.size for p in populations.values() if p.part_of == "leukocytes")
    ilc2 = 2000 * populations["ILC"].size * populations["ILC2"].size
    assert 0.0025 < ilc2 / leukocytes < 0.0035


def test_overrides_replace_entries_and_leave_the_rest():
    changes = {"events_per_sample": 2000, "treatments": {"mepolizumab": {"patients": 2}}}
    study = read_study(STUDY, changes)
    assert study.events == (2000, 2000)
    assert study.treatments["mepolizumab"].patients == 2
    assert study.treatments["mepolizumab"].fold_changes["month_4"]["eosinophils"] == 0.15
    assert study.treatments["dupilumab"].patients == 8


def test_merge_leaves_its_input_alone():
    base = {"a": {"b": 1, "c": 2}}
    assert merge(base, {"a": {"b": 3}}) == {"a": {"b": 3, "c": 2}}
    assert base == {"a": {"b": 1, "c": 2}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evnts_per_sample": 9}, r'evnts_per_sample is not a known key.*"events_per_sample"'),
        ({"events_per_sample": [9000, 8000]}, "runs from 9000 down to 8000; swap them"),
        ({"tissue": 3}, "tissue must be a text, not 3"),
        ({"doublets": 0.9}, "doublets must be a number from 0 to 0.5, not 0.9"),
        ({"batches": []}, "batches must be a list of names"),
        ({"first_day": "soon"}, "first_day must be a date"),
        ({"visits": {"month_4": {"day": -1}}}, "visits.month_4.day must be a whole number from 0"),
        (
            {"treatments": {"dupilumab": {"fold_changes": {"month_4": {"ICL2": 2}}}}},
            r'"ICL2" is not known; did you mean "ILC2"\?',
        ),
        (
            {"treatments": {"dupilumab": {"fold_changes": {"month_12": {"ILC2": 2}}}}},
            r'"month_12" is not known; did you mean "month_4"\?',
        ),
        (
            {"populations": {"Th2": {"parent": "monocytes"}}},
            r'populations.Th2.parent: "monocytes" must be one of CD4_memory, CD4_T, T_cells',
        ),
        ({"populations": {"Th2": {"part_of": "ILC"}}}, r'Th2.part_of: "ILC" is not known'),
        ({"populations": {"Th2": {"markers": {"CRTH2": 3}}}}, r"must be \[decades, spread\]"),
        ({"cytometer": {"spillover": {"PE-A": {"PE-Cy6-A": 0.1}}}}, '"PE-Cy6-A" is not known'),
        ({"treatments": {"dupilumab": {"marker_shifts": {"month_4": 2}}}}, "must be a list, not 2"),
        ({"cytometer": 5}, "cytometer must be a mapping of names to values, not 5"),
        (
            {"populations": {"NK_extra": {"part_of": "B_cells", "share": 1, "between": 0}}},
            "NK_extra.within is missing",
        ),
        (
            {"populations": {"B": {"part_of": "gd_T", "share": 1, "between": 0, "within": 0}}},
            'B is all of "gd_T".*describe the remainder too',
        ),
        ({"panel": [{"channel": "PE-A", "kind": "state"}]}, 'lacks a channel: "FSC-A"'),
        ({"clinical": {"feno_ppb": {"scale": "root"}}}, 'feno_ppb.scale: "root" is not known'),
    ],
)
def test_a_mistake_is_named_with_its_place(changes, message):
    with pytest.raises(ConfigError, match=message):
        read_study(STUDY, changes)


@pytest.mark.parametrize("key", ["visits", "treatments"])
def test_an_empty_study_is_refused(key):
    content = yaml.safe_load(STUDY.read_text("utf-8"))
    if key == "visits":
        content["treatments"] = {"none": {"patients": 1}}
    content["clinical"] = {}
    with pytest.raises(ConfigError, match=f"{key} is empty; describe at least one"):
        read_study({**content, key: {}})


def test_a_missing_entry_is_named(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text("tissue: whole_blood\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"tiny.yaml: cell_types is missing; please fill it in"):
        read_study(path)
