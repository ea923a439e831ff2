"""The document on the simulation says what the files and the code say."""

import ast
import re
from pathlib import Path

import pytest

from biocross.simulate.described import effect_table, population_table, write_tables
from biocross.simulate.description import load_description
from biocross.simulate.study import read_study

ROOT = Path(__file__).parents[3]
STUDY = ROOT / "config" / "simulation" / "biocross.yaml"
VARIANTS = sorted((STUDY.parent / "variants").glob("*.yaml"))
DOCUMENT = ROOT / "docs" / "simulation.md"
SECTIONS = ROOT / "workflow" / "src" / "biocross" / "simulate"
# Methods of `Section`, and functions with a section before the key.
TAKING = {"take", "number", "span", "whole", "text", "texts", "choice"}
TAKING |= {"section", "sections", "sections_in_list"}
TAKING_FROM = {"_as_given", "_known_numbers"}


@pytest.fixture(scope="module")
def description():
    return load_description(STUDY)


def keys_taken():
    """Return every key that the description's readers ask for by name."""
    keys = set()
    for path in (*SECTIONS.rglob("*sections.py"), SECTIONS / "study.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            if isinstance(node.func, ast.Attribute) and node.func.attr in TAKING:
                named = node.args[0]
            elif isinstance(node.func, ast.Name) and node.func.id in TAKING_FROM:
                named = node.args[1]
            else:
                continue
            parts = (part for part in ast.walk(named) if isinstance(part, ast.Constant))
            keys |= {part.value for part in parts if isinstance(part.value, str)}
    return keys


def test_the_tables_of_the_document_are_those_of_the_files(tmp_path):
    """If not: write_tables(config/simulation/biocross.yaml, docs/simulation.md)."""
    copy = tmp_path / "simulation.md"
    copy.write_bytes(DOCUMENT.read_bytes())
    write_tables(STUDY, copy)
    assert copy.read_text("utf-8") == DOCUMENT.read_text("utf-8")


def test_every_key_of_a_description_is_explained():
    text = DOCUMENT.read_text("utf-8")
    explained = {word for code in re.findall(r"`([^`\n]+)`", text) for word in code.split(":")}
    explained |= {
        word for code in re.findall(r"\{([^}]+)\}", text) for word in re.findall(r"\w+", code)
    }
    keys = keys_taken()
    assert {"spread_days", "tag_spread", "blood_ul", "responders", "from_day", "recovery"} <= keys
    assert not sorted(keys - explained)


def test_sizes_of_populations_are_those_of_the_blood(description):
    rows = {line.split(" | ")[0]: line for line in population_table(description)}
    assert rows["| eosinophils"].startswith(
        "| eosinophils | leukocytes | 260 | 3.84 | 0.85 | 0.2 |"
    )
    # 2,000 lymphocytes, of which ILC are 0.0009 of parts that sum to 0.9759, and ILC2 0.4 of these.
    assert "| ILC2 | lymphocytes | 0.738 | 0.0369 |" in rows["| ILC2"]
    assert len(rows) == 2 + len(read_study(description).reported)


def test_every_population_and_effect_has_a_source(description):
    for line in (*population_table(description), *effect_table(description)):
        assert not line.endswith("|  |"), line


def test_changes_are_in_their_units(description):
    lines = effect_table(description)
    found = [
        next(line for line in lines if all(word in line for word in words))
        for words in (
            ("mepolizumab", "eosinophils", "0.15"),
            ("mepolizumab", "marker CXCR4"),
            ("dupilumab", "fev1_percent"),
            ("dupilumab", "feno_ppb"),
        )
    ]
    assert [line.split(" | ")[3] for line in found] == ["× 0.15", "-0.5 log2", "+8", "× 0.6"]
    assert len(lines) == 2 + len(description["presets"])


@pytest.mark.parametrize("path", VARIANTS, ids=lambda path: path.stem)
def test_every_variant_is_sound_and_named(path):
    assert f"`{path.name}`" in DOCUMENT.read_text("utf-8")
    if path.stem == "wider_panel":  # what others extend
        return
    study = read_study(path)
    assert len(study.visits) == 2
    assert sum(arm.patients for arm in study.treatments.values()) >= 12
