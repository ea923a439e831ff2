"""The same tables on any number of cores, and on what looks like another machine."""

import pytest
from killed_runs import tables

pytestmark = [pytest.mark.workflow, pytest.mark.long]

ELSEWHERE = {
    "one_core": (1, {}),
    "eight_cores": (8, {}),
    "another_machine": (
        2,
        {"PYTHONHASHSEED": "11", "LC_ALL": "C", "TZ": "Asia/Kathmandu", "OMP_NUM_THREADS": "3"},
    ),
    # Where it is not installed, C's is used, which is one more.
    "comma_for_decimals": (2, {"LC_ALL": "de_DE.UTF-8", "PYTHONHASHSEED": "0"}),
}


@pytest.mark.parametrize("where", ELSEWHERE)
def test_every_table_is_the_same(finished_project, fresh_project, where):
    cores, environment = ELSEWHERE[where]
    fresh_project.snakemake(cores=cores, environment=environment)
    expected, found = (tables(one.folder / "results") for one in (finished_project, fresh_project))
    assert len(expected) > 100
    assert {name for name in expected if found.get(name) != expected[name]} == set()
    assert set(found) == set(expected)
