"""Whatever a user may set or find must be explained where users look for it."""

import ast
import re
from pathlib import Path

import pytest
import snakemake
import yaml

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "workflow" / "schemas"
LIBRARY = ROOT / "workflow" / "src" / "biocross"
CODE = re.compile(r"`([^`\n]+)`")
BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r'"([a-z_]+\.(?:tsv|h5ad|arrow|npz|html))"')
LINK = re.compile(r"\]\(([^)#:]*)(?:#([^)]*))?\)")
# Whatever a reader may open; not what came with the data of a test.
DOCUMENTS = sorted(
    path
    for folder in (".", "config", "docs", "results", "tests", "notebooks")
    for path in (ROOT / folder).glob("*.md" if folder in (".", "results") else "**/*.md")
)
# Letters of the code's own that a message must have, and their least share; the rest are names.
LEAST_LETTERS, LEAST_SHARE = 14, 0.2
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


def library_templates():
    """Return the fixed parts, in order, of every sentence that the library can write."""
    found = set()
    for path in LIBRARY.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = tuple(v.value for v in node.values if isinstance(v, ast.Constant))
                found.add(tuple(str(part).replace("`", "") for part in parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add((node.value.replace("`", ""),))
    return {parts for parts in found if letters(parts) >= LEAST_LETTERS}


def letters(parts):
    return sum(len(part.strip()) for part in parts)


def stands_in(parts, message):
    """Whether all fixed parts of a sentence stand in a message, one after the other."""
    place = 0
    for part in parts:
        place = message.find(part, place)
        if place < 0:
            return False
        place += len(part)
    return True


def quoted_messages():
    """Return the messages that the page on troubles explains, but for those of Snakemake."""
    text = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    ours = text.partition("## Snakemake itself")[0]
    rows = (line.split(" | ")[0] for line in ours.splitlines() if line.startswith("| `"))
    return [CODE.search(cell)[1] for cell in rows]


def test_the_troubles_explained_are_those_of_the_code():
    templates, messages = library_templates(), quoted_messages()
    assert len(messages) > 40
    invented = [
        message
        for message in messages
        if not any(
            letters(parts) >= LEAST_SHARE * len(message) and stands_in(parts, message)
            for parts in templates
        )
    ]
    assert not invented


def test_snakemake_still_says_so():
    text = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    rows = text.partition("## Snakemake itself")[2].splitlines()
    said = [CODE.search(row)[1] for row in rows if row.startswith("| `")][:3]
    folder = Path(snakemake.__file__).parent
    sources = " ".join(
        (folder / f"{name}.py").read_text() for name in ("exceptions", "common/__init__")
    )
    assert len(said) == 3
    assert not [words for words in said if words not in sources]
