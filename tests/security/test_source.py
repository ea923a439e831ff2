"""No input is ever run: nothing is unpickled or evaluated, and no shell is built."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path for folder in ("src", "scripts") for path in (ROOT / "workflow" / folder).rglob("*.py")
)
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "subprocess", "pty"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
# Of modules that have safe uses too; Parallel of joblib, for one, reads no file.
CALLS = {
    "joblib.load",
    "os.system",
    "os.popen",
    "pd.eval",
    "pd.read_pickle",
    "yaml.full_load",
    "yaml.unsafe_load",
}
# PDF pages are drawn, files of gates are parsed once it is known that they declare no entities.
XML_PARSERS = {"flow/imported/refusals.py"}


def dangers(text):
    """Return what a source does that could run its input."""
    tree = ast.parse(text)
    found = []
    safe = {
        one.name
        for one in tree.body
        if isinstance(one, ast.ClassDef) and "yaml.SafeLoader" in map(ast.unparse, one.bases)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [name.name for name in node.names] + [getattr(node, "module", None) or ""]
            found += [name for name in names if name.split(".")[0] in MODULES]
        elif isinstance(node, ast.Call):
            found += _danger_of(node, safe)
    return found


def _danger_of(call, safe):
    name = ast.unparse(call.func)
    words = {word.arg: ast.unparse(word.value) for word in call.keywords}
    if name in BUILTINS | CALLS or words.get("shell", "False") != "False":
        return [name]
    if name in ("np.load", "numpy.load") and words.get("allow_pickle") != "False":
        return [name]
    if name == "yaml.load":
        loader = words.get("Loader") or ast.unparse(call.args[1])
        return [] if loader in safe else [name]
    return []


def test_there_are_files_to_look_at():
    assert len(FILES) > 300


def test_no_input_is_unpickled_or_evaluated():
    assert {str(f): d for f in FILES if (d := dangers(f.read_text(encoding="utf-8")))} == {}


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from subprocess import run",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text, yaml.FullLoader)",
        "class A(yaml.Loader): pass\nyaml.load(text, A)",
        "joblib.load(path)",
        "pd.read_pickle(path)",
        "eval(text)",
        "run('rm', shell=True)",
    ],
)
def test_each_danger_is_seen(text):
    assert dangers(text)


def test_xml_is_parsed_in_one_place():
    parsing = ("parse(", "fromstring(", "iterparse(", "minidom", "lxml")
    library = ROOT / "workflow" / "src" / "biocross"
    using = {
        str(path.relative_to(library))
        for path in library.rglob("*.py")
        if "xml" in (text := path.read_text(encoding="utf-8"))
        and any(f" {word}" in text for word in parsing)
    }
    assert using == XML_PARSERS


def test_no_rule_runs_a_shell():
    rules = [ROOT / "workflow" / "Snakefile", *(ROOT / "workflow" / "rules").glob("*.smk")]
    assert not [path for path in rules if "shell" in path.read_text(encoding="utf-8")]
