import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from biocross import workflow

PACKAGE = Path(workflow.__file__).parent


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the library that the digest looks at, free to be edited."""
    copy = shutil.copytree(PACKAGE, tmp_path / "biocross")
    monkeypatch.setattr(workflow, "_PACKAGE", copy)
    return copy


def digest(module):
    """Digest anew: in a run the sources do not change, so the function remembers."""
    return workflow.code_digest.__wrapped__(module)


def append(path, text="\n# edited\n"):
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def test_digest_is_twelve_hexadecimal_digits_and_repeatable(package):
    first = digest("biocross.flow.gating")
    assert len(first) == 12
    assert int(first, 16) >= 0
    assert digest("biocross.flow.gating") == first


@pytest.mark.parametrize(
    "edited",
    [
        "flow/gating.py",
        "flow/thresholds.py",
        "flow/events.py",
        "cohort/vocabulary.py",
        "cohort/sheets.py",
        "tables.py",
        "errors.py",
    ],
)
def test_digest_follows_imports(package, edited):
    before = digest("biocross.flow.gating")
    append(package / edited)
    assert digest("biocross.flow.gating") != before


@pytest.mark.parametrize("edited", ["flow/fcs.py", "flow/summary.py", "report/page/report.py"])
def test_digest_ignores_modules_that_are_not_imported(package, edited):
    before = digest("biocross.flow.gating")
    append(package / edited)
    assert digest("biocross.flow.gating") == before


def test_digest_sees_the_template_of_the_report(package):
    report, gating = digest("biocross.report.page.report"), digest("biocross.flow.gating")
    append(package / "report" / "page" / "page.html", "<!-- edited -->")
    assert digest("biocross.report.page.report") != report
    assert digest("biocross.flow.gating") == gating


def test_digest_follows_an_import_over_several_lines(package):
    (package / "leaf.py").write_text("ONE = 1\n")
    (package / "user.py").write_text("from biocross import (\n    leaf,\n)\n")
    (package / "lazy.py").write_text("def f():\n    from biocross import leaf\n    return leaf\n")
    (package / "plain.py").write_text("import biocross.leaf as leaf\n")
    names = ["biocross.user", "biocross.lazy", "biocross.plain"]
    before = [digest(name) for name in names]
    append(package / "leaf.py")
    assert all(digest(name) != old for name, old in zip(names, before, strict=True))


def imported_modules(path):
    """The library's modules that a file imports, by its syntax tree."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("biocross"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("biocross"):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            assert not (isinstance(node, ast.ImportFrom) and node.level), "relative import"


def test_digest_finds_every_import_of_the_library():
    paths = sorted(PACKAGE.rglob("*.py"))
    assert len(paths) > 40
    for path in paths:
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        module = ".".join(["biocross", *(part for part in parts if part != "__init__")])
        collected = {}
        workflow._collect(module, collected)
        sources = {name for name in imported_modules(path) if workflow._source_file(name)}
        assert sources <= set(collected), path


@pytest.fixture
def job(tmp_path):
    """Run a body as a script of Snakemake does, with its object and its log."""

    def run(body):
        script = tmp_path / "script.py"
        script.write_text(
            "import os, sys\n"
            "from types import SimpleNamespace\n"
            "from biocross.errors import ConfigError\n"
            "from biocross.workflow import logged\n"
            "snakemake = SimpleNamespace(log=[sys.argv[1]], rule='gate_patient')\n"
            f"with logged(snakemake):\n    {body}\n"
            "os.write(2, b'after\\n')\n"
        )
        log = tmp_path / "logs" / "deep" / "job.log"
        done = subprocess.run(
            [sys.executable, "-X", "faulthandler", script, log],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONWARNINGS": "error"},
        )
        return done, log.read_text(encoding="utf-8")

    return run


def test_a_mistake_of_the_user_is_one_sentence(job):
    done, log = job('raise ConfigError("samples.tsv row 3: patient \\"P\\u00e4\\" is unknown")')
    sentence = 'gate_patient: samples.tsv row 3: patient "Pä" is unknown\n'
    assert log == sentence
    assert done.stderr == sentence
    assert done.stdout == ""
    assert done.returncode == 1


def test_any_other_failure_leaves_its_traceback_in_the_log(job):
    done, log = job("{}['nothing']")
    assert "Traceback (most recent call last)" in log
    assert "KeyError: 'nothing'" in log
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("gate_patient failed; see ")
    assert done.stderr.rstrip().endswith("job.log")


def test_all_output_goes_to_the_log_and_the_terminal_comes_back(job):
    done, log = job(
        "print('python'); sys.stderr.write('error\\n'); sys.stderr.flush(); "
        "os.write(1, b'native out\\n'); os.write(2, b'native err\\n'); os.system('echo child')"
    )
    assert done.returncode == 0
    for line in ("python", "error", "native out", "native err", "child"):
        assert line in log.splitlines()
    assert log.splitlines()[-1].startswith("gate_patient finished in ")
    assert done.stderr == "after\n"


def test_the_log_of_an_earlier_run_is_replaced(job):
    job("print('first run')")
    _, log = job("print('second run')")
    assert "first run" not in log
    assert "second run" in log


def test_code_digest_is_remembered(package):
    workflow.code_digest.cache_clear()
    first = workflow.code_digest("biocross.tables")
    append(package / "tables.py")
    assert workflow.code_digest("biocross.tables") == first
    workflow.code_digest.cache_clear()
    assert workflow.code_digest("biocross.tables") != first
    workflow.code_digest.cache_clear()


SNAKEFILE = """
from biocross.workflow import start_at_once

onstart:
    start_at_once(workflow)
    limit = workflow.scheduler.job_rate_limiter
    print("limit:", limit and limit.max_jobs)

rule all:
    output: "done"
    shell: "touch {output}"
"""


@pytest.mark.workflow
@pytest.mark.parametrize(
    ("arguments", "limit"), [((), "None"), (("--max-jobs-per-timespan", "7/2s"), "7")]
)
def test_local_jobs_are_not_held_back_unless_asked_for(tmp_path, arguments, limit):
    (tmp_path / "Snakefile").write_text(SNAKEFILE, encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert f"limit: {limit}\n" in done.stdout


def test_another_snakemake_is_left_alone():
    workflow.start_at_once(object())


@pytest.mark.parametrize(
    ("flags", "said", "expected"),
    [
        ("fpu avx2 fma sse4_2", None, "Haswell"),
        ("fpu avx2 fma sse4_2", "Zen", "Zen"),
        ("fpu sse4_2", None, None),
        (None, None, None),
    ],
)
def test_kernels_of_matrix_products_are_the_same_where_they_run(
    tmp_path, monkeypatch, flags, said, expected
):
    # Set first, so that it is put back whatever the test leaves.
    monkeypatch.setenv("OPENBLAS_CORETYPE", said or "")
    if said is None:
        monkeypatch.delenv("OPENBLAS_CORETYPE")
    cpu = tmp_path / "cpuinfo"
    if flags is not None:
        cpu.write_text(f"flags\t\t: {flags}\n", encoding="utf-8")
    workflow.settle_kernels(cpu)
    assert os.environ.get("OPENBLAS_CORETYPE") == expected
