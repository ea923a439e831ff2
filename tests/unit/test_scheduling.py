from pathlib import Path

import pytest
from scheduling import ROOT, place, scope

SEEN = []


@pytest.mark.parametrize("number", range(4))
def test_the_tests_of_a_file_run_in_one_process(number):
    SEEN.append(number)
    assert list(range(number + 1)) == SEEN


def test_whatever_uses_the_finished_project_runs_in_one_process():
    files = [ROOT / "tests" / "notebooks" / "test_notebooks.py"]
    files += [ROOT / "tests" / "workflow" / f"test_{name}.py" for name in ("demo", "files")]
    assert {scope(str(file.relative_to(ROOT))) for file in files} == {"finished_project"}
    assert scope("tests/unit/test_tables.py") == "tests/unit/test_tables.py"


def test_the_slowest_start_first():
    files = [Path(__file__), ROOT / "tests/data/test_palmo.py", ROOT / "tests/workflow/test_rna.py"]
    assert sorted(files, key=place) == files[::-1]
