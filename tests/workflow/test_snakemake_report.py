"""`snakemake --report`: every figure and its source table, with caption, category and labels."""

import json
import re
import zipfile

import pytest

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def shown(finished_project):
    """Return what the report shows by the path of the result, and the paths by category."""
    finished_project.snakemake("--report", "report.zip")
    with zipfile.ZipFile(finished_project.folder / "report.zip") as archive:
        (page,) = [name for name in archive.namelist() if name.endswith("report.html")]
        text = archive.read(page).decode()
        kept = {name.removeprefix("report/") for name in archive.namelist()}
    found = {
        name: json.loads(re.search(rf"\b{name} = (\{{.*\}})\s*;?\s*\n", text)[1])
        for name in ("results", "categories")
    }
    return found["results"], found["categories"], kept


def figures(folder):
    return {
        f"results/figures/{path.relative_to(folder)}"
        for path in folder.rglob("*.svg")
        if path.parent.name not in ("time", "gating")
    }


def test_every_figure_and_its_source_table_are_shown(shown, finished_project):
    results, _, kept = shown
    drawn = figures(finished_project.folder / "results" / "figures")
    assert len(drawn) > 15
    for figure in drawn:
        for path, form in ((figure, "figure"), (figure[:-3] + "tsv", "source table")):
            labels = results[path]["labels"]
            assert labels["form"] == form
            assert labels["question"].endswith("?")
            assert len(results[path]["caption"]) > 60
            assert results[path]["data_uri"] in kept


def test_every_result_has_a_category_and_labels(shown):
    results, categories, _ = shown
    listed = [path for parts in categories.values() for paths in parts.values() for path in paths]
    assert sorted(listed) == sorted(results)
    assert {part for parts in categories.values() for part in parts} <= {"Figures", "Tables"}
    assert {"Changes", "Cohort", "Clinic", "Flow cytometry"} <= set(categories)
    assert not [path for path, row in results.items() if not row["labels"]]


def test_every_figure_has_all_its_formats(finished_project):
    folder = finished_project.folder / "results"
    for figure in figures(folder / "figures"):
        for form in ("pdf", "png", "tsv"):
            path = finished_project.folder / f"{figure[:-3]}{form}"
            assert path.stat().st_size > 0, path
