"""Every piece of the gating cookbook, put into the shipped files and read by the real parser."""

import re
from pathlib import Path

import pytest
import yaml

from biocross.cohort.config import complete_config
from biocross.cohort.panel import load_panel
from biocross.cohort.strategy import load_strategy, own_markers
from biocross.cohort.vocabulary import load_vocabulary

ROOT = Path(__file__).parents[2]
COOKBOOK = (ROOT / "docs" / "gating_cookbook.md").read_text("utf-8")
BLOCK = re.compile(r"^```(yaml|tsv)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Recipe -> what it must gate, and by which markers, so that a piece that is ignored is found.
GATED = {
    "ILC2 with a cocktail of lineage markers in one channel": ("ILC", {"CD127", "Lin", "SSC-A"}),
    "Th2 by CCR4, CXCR3 and CCR6": ("Th2_CCR4", {"CCR4", "CXCR3", "CCR6"}),
    "Tc2": ("Tc2", {"CRTH2"}),
    "A cytokine after stimulation": ("IL5_memory", {"IL-5"}),
    "Lymphocytes by scatter": ("lymphocytes", {"FSC-A", "SSC-A"}),
    "A marker that the drug masks": (
        "eosinophils",
        {"SSC-A", "Siglec-8", "CD14", "CD3", "CD19"},
    ),
}


def recipes():
    """Return the pieces of every recipe by file, and what it adds to the panel."""
    found = {}
    for part in re.split(r"^### ", COOKBOOK, flags=re.MULTILINE)[1:]:
        title, _, text = part.partition("\n")
        pieces = {}
        for kind, block in BLOCK.findall(text):
            name = "panel.tsv" if kind == "tsv" else re.match(r"# ([a-z_]+\.yaml)\n", block)[1]
            assert name not in pieces
            pieces[name] = block
        if pieces:
            found[title] = pieces
    return found


RECIPES = recipes()


def merged(shipped, piece):
    """Return a mapping with a piece's entries in place of those of the same name."""
    both = dict(shipped)
    for key, value in piece.items():
        both[key] = {**both.get(key, {}), **value} if isinstance(value, dict) else value
    return both


def shipped(name):
    return yaml.safe_load((ROOT / "config" / name).read_text("utf-8"))


def strategy_of(pieces, folder):
    """Return the shipped strategy with the pieces of a recipe."""
    rows = pieces.get("panel.tsv", "channel\tmarker\tkind\n").partition("\n")[2]
    panel = (ROOT / "config" / "panel.tsv").read_text("utf-8")
    (folder / "panel.tsv").write_text(panel + rows)
    for name in ("populations.yaml", "gating.yaml"):
        piece = yaml.safe_load(pieces.get(name, "{}"))
        if name == "populations.yaml":
            content = {**shipped(name), **piece}
        else:
            content = merged(shipped(name), piece)
        (folder / name).write_text(yaml.safe_dump(content, sort_keys=False))
    markers = {channel.marker for channel in load_panel(folder / "panel.tsv")}
    vocabulary = load_vocabulary(folder / "populations.yaml")
    return load_strategy(folder / "gating.yaml", vocabulary, markers)


@pytest.mark.parametrize("title", RECIPES)
def test_the_parser_takes_the_recipe(title, tmp_path):
    pieces = RECIPES[title]
    strategy = strategy_of(pieces, tmp_path)
    piece = yaml.safe_load(pieces.get("gating.yaml", "{}"))
    for name in piece.get("gates", {}):
        assert name in strategy.gates or (name == "counting_beads" and strategy.beads)
        assert name not in strategy.skipped
    for name, entry in piece.get("thresholds", {}).items():
        assert strategy.thresholds[name].method == entry["method"]
    if "config.yaml" in pieces:
        complete_config(merged(shipped("config.yaml"), yaml.safe_load(pieces["config.yaml"])))


@pytest.mark.parametrize("title", GATED)
def test_the_recipe_gates_what_it_says(title, tmp_path):
    strategy = strategy_of(RECIPES[title], tmp_path)
    population, markers = GATED[title]
    assert set(own_markers(strategy.gates[population], strategy)) == markers


def test_all_recipes_are_read():
    assert len(RECIPES) > 15
    assert sum("gating.yaml" in pieces for pieces in RECIPES.values()) > 12
    blocks = re.findall(r"^```(?:yaml|tsv)$", COOKBOOK, re.MULTILINE)
    assert sum(map(len, RECIPES.values())) == len(blocks)
