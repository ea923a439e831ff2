"""Whatever a user may set or find must be explained where users look for it."""

import ast
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "workflow" / "schemas"
LIBRARY = ROOT / "workflow" / "src" / "biocross"
CODE = re.compile(r"`([^`\n]+)`")
BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r'"([a-z_]+\.(?:tsv|h5ad|arrow|npz|html))"')
LINK = re.compile(r"\]\(([^)#:]*)(?:#([^)]*))?\)")
DOCUMENTS = [
    ROOT / name
    for name in (
        *("README.md", "CHANGELOG.md", "config/README.md", "config/demo.md", "results/README.md"),
        *(f"docs/{name}.md" for name in ("methods", "clusters", "single_cell", "simulation")),
        "docs/planning.md",
    )
]
# Columns of sheets, which are explained elsewhere, and those that are never written.
NO_RESULTS = {
    *("SHEET_COLUMNS", "NAME_COLUMNS", "TEXT_COLUMNS", "USUAL_COLUMNS", "BACKGROUND_COLUMNS"),
    "cohort/start.py",
    "simulate",
}


def schema(name):
    return yaml.safe_load((SCHEMAS / f"{name}.schema.yaml").read_text("utf-8"))


def keys(part, path=()):
    """Yield the dotted name and the rule of every key of the configuration."""
    for name, rule in part["properties"].items():
        if "properties" in rule:
            yield from keys(rule, (*path, name))
        else:
            yield ".".join((*path, name)), rule


def rows_of_keys():
    """Return the cells of the table of keys, by each key that a row explains."""
    rows = {}
    for line in (ROOT / "config" / "README.md").read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 3:
            for key in CODE.findall(cells[0]):
                rows[key] = cells
    return rows


def written(default):
    """Write a default as the table of keys does."""
    if isinstance(default, list):
        return ", ".join(map(written, default))
    return str(default).lower() if isinstance(default, bool) else str(default)


def explained(document):
    """Return every word that stands in a document as code, tables of columns included."""
    text = BLOCK.sub("", (ROOT / document).read_text("utf-8"))
    return {word for code in CODE.findall(text) for word in re.findall(r"[\w.]+", code)}


def written_columns():
    """Yield module, constant and columns of every table whose columns are named in the library."""
    for path in sorted(LIBRARY.rglob("*.py")):
        module = path.relative_to(LIBRARY)
        if {str(module), module.parts[0]} & NO_RESULTS:
            continue
        for node in ast.parse(path.read_text("utf-8")).body:
            if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
                continue
            name = node.targets[0].id
            if name.endswith("_COLUMNS") and name not in NO_RESULTS and not name.startswith("_"):
                parts = (each for each in ast.walk(node.value) if isinstance(each, ast.Constant))
                yield module, name, {each.value for each in parts if isinstance(each.value, str)}


def anchors(document):
    """Return the names that headings of a document are linked by."""
    text = document.read_text("utf-8")
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in titles)
    return {title.replace(" ", "-") for title in plain}


def test_every_key_of_the_configuration_is_explained():
    rows, missing = rows_of_keys(), []
    for key, _ in keys(schema("config")):
        section, _, name = key.rpartition(".")
        # A section that is small enough is explained in one row.
        if key not in rows and f"`{name}`" not in " ".join(rows.get(section, ())):
            missing.append(key)
    assert not missing


def test_defaults_are_those_of_the_schema():
    rows, compared, wrong = rows_of_keys(), 0, {}
    for key, rule in keys(schema("config")):
        # What follows from the study is said in words, or has no default.
        if rule.get("default") in (None, []) or key not in rows:
            continue
        compared += 1
        if rows[key][1].strip("`") != written(rule["default"]):
            wrong[key] = rows[key][1]
    assert compared > 30
    assert not wrong


@pytest.mark.parametrize(
    "sheet",
    ["samples", "panel", "patients", "populations", "cluster_labels", "gene_sets", "gate_paths"],
)
def test_every_column_of_a_sheet_is_explained(sheet):
    part = schema(sheet)
    properties = part.get("properties") or part["additionalProperties"]["properties"]
    assert set(properties) <= explained("config/README.md")


def test_every_column_of_a_result_is_explained():
    known = explained("results/README.md")
    tables = list(written_columns())
    assert len(tables) > 30
    missing = {f"{module}: {name}": sorted(words - known) for module, name, words in tables}
    assert not {place: words for place, words in missing.items() if words}


def test_every_file_of_a_rule_is_explained():
    text = (ROOT / "results" / "README.md").read_text("utf-8")
    rules = sorted((ROOT / "workflow" / "rules").glob("*.smk"))
    found = {name for path in rules for name in FILE.findall(path.read_text("utf-8"))}
    assert len(found) > 30
    assert not {name for name in found if name not in text}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document):
    broken = []
    for target, place in LINK.findall(document.read_text("utf-8")):
        path = document.parent / target if target else document
        if not path.exists() or (place and place not in anchors(path)):
            broken.append(f"{target}#{place}")
    assert not broken
