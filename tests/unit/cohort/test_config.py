import copy

import pytest
import yaml

from biocross.cohort.config import complete_config, expand_variables
from biocross.cohort.sheets import SCHEMAS, _validator_class, load_schema
from biocross.errors import ConfigError

MINIMAL = {
    "inputs": {
        "samples": "samples.tsv",
        "patients": "patients.tsv",
        "panel": "panel.tsv",
        "gating": "gating.yaml",
    },
    "design": {"levels": ["baseline", "month_4"]},
}


def defaults(schema, path=()):
    """Every default value of a schema, by the dotted name of its key."""
    found = {}
    for key, rule in schema.get("properties", {}).items():
        if "properties" in rule:
            found |= defaults(rule, (*path, key))
        elif "default" in rule:
            found[".".join((*path, key))] = rule["default"]
    return found


def leaves(config, path=()):
    """Every value of a configuration, by the dotted name of its key."""
    found = {}
    for key, value in config.items():
        if isinstance(value, dict):
            found |= leaves(value, (*path, key))
        else:
            found[".".join((*path, key))] = value
    return found


@pytest.fixture
def shipped(pytestconfig):
    return yaml.safe_load((pytestconfig.rootpath / "config" / "config.yaml").read_text("utf-8"))


def refusal(config):
    with pytest.raises(ConfigError) as caught:
        complete_config(config, source="config.yaml")
    return str(caught.value).splitlines()


def test_defaults_are_filled_in_at_every_depth():
    complete = leaves(complete_config(MINIMAL))
    expected = defaults(load_schema("config"))
    expected = {key: value for key, value in expected.items() if not key.startswith("simulate.")}
    assert len(expected) > 15
    assert {key: complete[key] for key in expected if key not in leaves(MINIMAL)} == {
        key: value for key, value in expected.items() if key not in leaves(MINIMAL)
    }
    assert leaves(MINIMAL).items() <= complete.items()


def test_a_study_is_not_simulated_unless_asked_for():
    assert "simulate" not in complete_config(MINIMAL)
    asked = complete_config({**MINIMAL, "simulate": {"study": "study.yaml"}})
    assert asked["simulate"] == {"study": "study.yaml", "seed": 1}


def test_the_given_configuration_is_left_as_it_is():
    given = copy.deepcopy(MINIMAL)
    complete = complete_config(given)
    complete["design"]["levels"].append("month_12")
    complete["flow"]["cytometry"] = "mass"
    assert given == MINIMAL
    assert complete_config(given)["flow"]["cytometry"] == "conventional"


def test_completing_twice_changes_nothing():
    once = complete_config(MINIMAL)
    assert complete_config(once) == once


def test_the_shipped_configuration_repeats_the_defaults(shipped):
    """It documents the keys: where it departs from a default, that is meant."""
    complete = leaves(complete_config(shipped))
    expected = defaults(load_schema("config"))
    departs = {key for key, value in leaves(shipped).items() if expected.get(key, value) != value}
    assert departs == {
        "flow.clusters.reruns",
        "flow.clusters.umap_cells",
        "inputs.folder",
        "inputs.samples",
        "inputs.clinical",
        "inputs.panel",
        "inputs.gating",
        "report.title",
    }
    filled = {key for key in complete if key not in leaves(shipped)}
    assert all(complete[key] == expected[key] for key in filled)


def test_every_default_is_valid_itself():
    for path in SCHEMAS.glob("*.schema.yaml"):
        schema = load_schema(path.name.removesuffix(".schema.yaml"))
        stack = [schema]
        while stack:
            rule = stack.pop()
            stack += list(rule.get("properties", {}).values())
            if "default" in rule:
                assert not list(validator(rule).iter_errors(rule["default"])), rule


def validator(schema):
    return _validator_class()(schema)


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.schema.yaml")), ids=lambda p: p.stem)
def test_schemas_are_schemas_and_explain_every_key(path):
    schema = load_schema(path.name.removesuffix(".schema.yaml"))
    type(validator(schema)).check_schema(schema)
    assert "additionalProperties" in schema
    stack = [schema]
    while stack:
        rule = stack.pop()
        for key, inner in rule.get("properties", {}).items():
            assert "description" in inner or "properties" in inner, key
            stack.append(inner)


@pytest.mark.parametrize(
    ("section", "key", "value", "sentence"),
    [
        ("statistics", "fdrr", 0.1, 'unknown key "fdrr" in "statistics"; did you mean "fdr"?'),
        ("inputs", "sample", "x", 'unknown key "sample" in "inputs"; did you mean "samples"?'),
        ("flow", "cytometry", "Mass", '"flow.cytometry" is "Mass"; did you mean "mass"?'),
        ("flow", "cofactor", 0, '"flow.cofactor": 0 is less than or equal to the minimum of 0'),
        ("statistics", "fdr", "5 %", '"statistics.fdr" is "5 %", but must be a number'),
        ("statistics", "seed", 1.5, '"statistics.seed" is "1.5", but must be of type integer'),
        ("design", "levels", ["baseline"], '"design.levels": '),
        (
            "design",
            "levels",
            "baseline",
            '"design.levels" is "baseline", but must be of type array',
        ),
    ],
)
def test_wrong_value(section, key, value, sentence):
    config = copy.deepcopy(MINIMAL)
    config.setdefault(section, {})[key] = value
    (line,) = refusal(config)
    assert line.startswith(f"config.yaml: {sentence}")


def test_numbers_and_yes_or_no_may_arrive_as_text():
    # As Snakemake hands on `--config "flow={keep_events: false, clusters: {number: 20}}"`.
    typed = {
        "flow": {"keep_events": "false", "clusters": {"number": "null", "grid": "20"}},
        "cells": {"resolutions": ["0.6", "1"]},
        "report": {"title": "2024"},
    }
    complete = complete_config({**MINIMAL, **typed})
    assert complete["flow"]["keep_events"] is False
    assert complete["flow"]["clusters"]["number"] is None
    assert complete["flow"]["clusters"]["grid"] == 20
    assert complete["cells"]["resolutions"] == [0.6, 1]
    assert complete["report"]["title"] == "2024"
    for text in ("[1]", "{", "many", "2020-01-01"):
        (line,) = refusal({**MINIMAL, "statistics": {"seed": text}})
        assert line == f'config.yaml: "statistics.seed" is "{text}", but must be of type integer'


def test_unknown_section():
    assert refusal({**MINIMAL, "statistic": {}}) == [
        'config.yaml: unknown key "statistic"; did you mean "statistics"?'
    ]


def test_missing_sections_and_sheets():
    assert refusal({}) == ['config.yaml: "inputs", "design" are missing; please fill them in']
    assert refusal({**MINIMAL, "inputs": {}}) == [
        'config.yaml: "patients" is missing in "inputs"; please fill it in'
    ]


def test_all_problems_at_once():
    config = {**MINIMAL, "design": {"contrast": "patient"}, "results": 3, "flow": None}
    lines = refusal(config)
    assert len(lines) == 4
    assert all(line.startswith("config.yaml: ") for line in lines)


@pytest.mark.parametrize(
    ("text", "environment", "expanded"),
    [
        ("data/fcs", {}, "data/fcs"),
        ("${BIOCROSS_X:-/default}/fcs", {}, "/default/fcs"),
        ("${BIOCROSS_X:-/default}/fcs", {"BIOCROSS_X": "/mine"}, "/mine/fcs"),
        ("${BIOCROSS_X:-/default}/fcs", {"BIOCROSS_X": ""}, "/default/fcs"),
        ("${BIOCROSS_X}/fcs", {"BIOCROSS_X": "/mine"}, "/mine/fcs"),
        ("a${BIOCROSS_X:-}b", {}, "ab"),
        (
            "${BIOCROSS_X:-../a b}/${BIOCROSS_Y}",
            {"BIOCROSS_Y": "y"},
            "../a b/y",
        ),
        ("$BIOCROSS_X/{sample}", {"BIOCROSS_X": "x"}, "$BIOCROSS_X/{sample}"),
    ],
)
def test_expand_variables(monkeypatch, text, environment, expanded):
    for name in ("BIOCROSS_X", "BIOCROSS_Y"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert expand_variables(text) == expanded


@pytest.mark.parametrize("value", [None, ""])
def test_variable_without_value_and_default(monkeypatch, value):
    if value is None:
        monkeypatch.delenv("BIOCROSS_X", raising=False)
    else:
        monkeypatch.setenv("BIOCROSS_X", value)
    with pytest.raises(ConfigError, match=r"inputs\.folder: the environment variable BIOCROSS_X"):
        expand_variables("${BIOCROSS_X}/fcs")


def test_the_folder_of_the_files_is_expanded(monkeypatch):
    monkeypatch.setenv("BIOCROSS_X", "/mine")
    config = copy.deepcopy(MINIMAL)
    config["inputs"]["folder"] = "${BIOCROSS_X:-.}/fcs"
    assert complete_config(config)["inputs"]["folder"] == "/mine/fcs"
