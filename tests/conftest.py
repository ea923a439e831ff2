"""Fixtures that all tests share."""

import os
from pathlib import Path

import pytest
from small_study import study, write_fcs
from tiny_project import finished_project, fresh_project

__all__ = ["finished_project", "fresh_project", "study", "test_data", "write_fcs"]


@pytest.fixture(scope="session")
def test_data():
    """Folder of the public data sets, or a skip where it is absent."""
    default = Path(__file__).parents[1] / ".." / "shared" / "data"
    folder = Path(os.environ.get("BIOCROSS_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no public test data at {folder}; set BIOCROSS_TEST_DATA")
    return folder
