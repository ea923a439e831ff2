from pathlib import Path

import numpy as np
import pytest
import yaml

from biocross.cohort.vocabulary import load_vocabulary
from biocross.errors import ConfigError
from biocross.simulate.arrays import leaf_folds
from biocross.simulate.description import description_files, load_description, merge
from biocross.simulate.effects import State
from biocross.simulate.study import read_study

RISE = {"kind": "cells", "populations": "ILC2", "change": 2}
STUDY = Path(__file__).parents[3] / "config" / "simulation" / "demo.yaml"


def test_demo_study_is_read_whole():
    study = read_study(STUDY)
    assert list(study.visits) == ["baseline", "month_4", "month_12"]
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
    vocabulary = load_vocabulary(STUDY.parents[1] / "populations.yaml")
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
    assert study.treatments["mepolizumab"].effects[0].change == 0.15
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
            {"treatments": {"dupilumab": {"effects": [{**RISE, "populations": "ICL2"}]}}},
            r'effects\[0\].populations: "ICL2" is not known; did you mean "ILC2"\?',
        ),
        (
            {"treatments": {"dupilumab": {"effects": [{**RISE, "name": "CXCR4"}]}}},
            r"effects\[0\].kind: cells needs populations and no name",
        ),
        (
            {
                "treatments": {
                    "dupilumab": {"effects": [{**RISE, "kind": "marker", "name": "CXR4"}]}
                }
            },
            r'effects\[0\].name: "CXR4" is not known; did you mean "CXCR4"\?',
        ),
        (
            {"treatments": {"dupilumap": {"patients": 3}}},
            'no preset is called dupilumap; did you mean "dupilumab"',
        ),
        (
            {"treatments": {"dupilumab": {"without_visit": {"month_3": 2}}}},
            r'"month_3" is not known; did you mean "month_4"\?',
        ),
        (
            {"populations": {"Th2": {"parent": "monocytes"}}},
            r'populations.Th2.parent: "monocytes" must be one of CD4_memory, CD4_T, T_cells',
        ),
        ({"populations": {"Th2": {"part_of": "ILC"}}}, r'Th2.part_of: "ILC" is not known'),
        ({"populations": {"Th2": {"markers": {"CRTH2": 3}}}}, r"must be \[decades, spread\]"),
        ({"cytometer": {"spillover": {"PE-A": {"PE-Cy6-A": 0.1}}}}, '"PE-Cy6-A" is not known'),
        ({"treatments": {"dupilumab": {"effects": 2}}}, "must be a list, not 2"),
        ({"missing_follow_ups": 1.5}, "missing_follow_ups must be a number from 0 to 0.9"),
        ({"stuck_pairs": {"populations": ["T_cells"], "share": 0.1}}, "must name two populations"),
        ({"tails": "fat"}, 'tails: "fat" is not known'),
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


def test_none_removes_an_entry():
    assert merge({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}) == {"a": {"c": 2}}
    assert list(read_study(STUDY, {"visits": {"month_12": None}}).visits) == ["baseline", "month_4"]


def test_a_study_builds_on_the_files_that_it_extends(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("extends: [whole.yaml]\nbatches: [one]\n", encoding="utf-8")
    whole = yaml.safe_dump(load_description(STUDY), sort_keys=False)
    (tmp_path / "whole.yaml").write_text(whole, encoding="utf-8")
    assert read_study(own).batches == ("one",)
    assert read_study(own).populations == read_study(STUDY).populations
    assert description_files(own) == [own, tmp_path / "whole.yaml"]


@pytest.mark.parametrize(
    "text",
    [
        "extends: [a.yaml, b.yaml] # not c.yaml\npresets: t.tsv # not u.tsv\n",
        "extends:\n- a.yaml\n- 'b.yaml'\npresets: t.tsv\nbatches: [c.yaml]\n",
        "extends:\n  [a.yaml,\n   b.yaml]\npresets: 't.tsv'\n",
    ],
)
def test_files_are_found_however_they_are_listed(tmp_path, text):
    (tmp_path / "own.yaml").write_text(text, encoding="utf-8")
    names = [path.name for path in description_files(tmp_path / "own.yaml")]
    assert names == ["own.yaml", "a.yaml", "b.yaml", "t.tsv"]


def test_all_files_of_the_demo_are_found():
    names = {path.name for path in description_files(STUDY)}
    parts = {"blood", "cytometer", "clinic", "transcriptomes", "biocross", "demo"}
    assert names == {f"{part}.yaml" for part in parts} | {"treatments.tsv"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: [own.yaml]", "own.yaml: extends itself"),
        ("extends: [no.yaml]", "own.yaml: extends no.yaml: there is no such file"),
        ("extends: 3", "own.yaml: extends must be a list of files, not 3"),
        ("presets: no.tsv", "own.yaml: presets: no.tsv: there is no such file"),
        ("- 1", "own.yaml must be a mapping"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, text, message):
    own = tmp_path / "own.yaml"
    own.write_text(text + "\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_description(own)


def test_presets_leave_out_what_the_study_does_not_have():
    """The panel has no FceRI, which omalizumab lowers; basophils fall all the same."""
    study = read_study(STUDY, {"treatments": {"omalizumab": {"patients": 2}}})
    effects = study.treatments["omalizumab"].effects
    assert {effect.population for effect in effects} >= {"eosinophils", "basophils"}
    assert "FceRI" not in {effect.name for effect in effects}


def test_a_combination_has_the_effects_of_both():
    both = {"patients": 2, "presets": ["mepolizumab", "omalizumab"]}
    study = read_study(STUDY, {"treatments": {"both": both}})
    state = State()
    alone = [
        leaf_folds(read_study(STUDY, {"treatments": {"omalizumab": {"patients": 1}}}), arm, *at)
        for arm, at in (("mepolizumab", ("month_4", state)), ("omalizumab", ("month_4", state)))
    ]
    np.testing.assert_allclose(leaf_folds(study, "both", "month_4", state), alone[0] * alone[1])


def test_the_large_study_is_that_of_the_mission():
    study = read_study(STUDY.with_name("biocross.yaml"))
    assert sum(arm.patients for arm in study.treatments.values()) == 40
    assert (study.missing.responders, len(study.batches), len(study.visits)) == (0.15, 4, 3)
    ilc2 = study.populations["ILC"].size * 0.4
    assert 0.0002 < ilc2 < 0.0005


@pytest.mark.parametrize("key", ["visits", "treatments"])
def test_an_empty_study_is_refused(key):
    content = load_description(STUDY)
    content["rna"] = None
    with pytest.raises(ConfigError, match=f"{key} is empty; describe at least one"):
        read_study({**content, key: {}})


def test_a_missing_entry_is_named(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text("tissue: whole_blood\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"tiny.yaml: cell_types is missing; please fill it in"):
        read_study(path)
