"""Fixtures that all tests share, and how tests are spread over processes."""

import os
from pathlib import Path

import pytest
from small_study import study, write_fcs
from tiny_project import finished_project, fresh_project

__all__ = ["finished_project", "fresh_project", "study", "test_data", "write_fcs"]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from scheduling import ByFile

    return ByFile(config, log)


def pytest_collection_modifyitems(items):
    if "PYTEST_XDIST_WORKER" in os.environ:
        from scheduling import place

        items.sort(key=lambda item: place(item.path))


@pytest.fixture(scope="session")
def test_data():
    """Folder of the public data sets, or a skip where it is absent."""
    default = Path(__file__).parents[1] / ".." / "shared" / "data"
    folder = Path(os.environ.get("BIOCROSS_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no public test data at {folder}; set BIOCROSS_TEST_DATA")
    return folder
