"""Names and paths in sheets are data: no shell sees them, and they lead no output elsewhere."""

import csv

import pytest
from table_study import write_study
from tiny_project import Project

from biocross.cohort.provenance import kept_copy

HOSTILE = ("$(touch pwned)", "; touch pwned", "`touch pwned`", "../../escape", "<script>x</script>")


def everything_beside(folder):
    """Return all files of a folder that no run made."""
    made = ("results", ".snakemake", ".cache")
    inside = {path for path in folder.rglob("*") if path.relative_to(folder).parts[0] not in made}
    return inside | set(folder.parent.iterdir())


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of tables whose patients, treatments and populations have hostile names."""
    inner = tmp_path_factory.mktemp("names") / "inner"
    inner.mkdir()
    project = Project(inner)
    folder = project.folder / "config"
    write_study(folder)
    replaced = dict(zip(("001", "002", "mepolizumab", "own_gate", "NK"), HOSTILE, strict=True))
    for name in ("patients.tsv", "frequencies.tsv"):
        lines = [line.split("\t") for line in (folder / name).read_text().splitlines()]
        cells = (("\t".join(replaced.get(cell, cell) for cell in line)) for line in lines)
        (folder / name).write_text("\n".join(cells) + "\n")
    return project


@pytest.mark.workflow
def test_hostile_names_in_tables_are_mere_words(study):
    before = everything_beside(study.folder)
    arguments = ("--configfile", "config/table.yaml")
    study.snakemake("--dry-run", *arguments)
    results = ("statistics/paired_changes.tsv", "figures/paired_changes.svg")
    study.snakemake(*arguments, "--", *(f"results/{name}" for name in results))
    assert everything_beside(study.folder) == before
    assert not list(study.folder.rglob("*pwned*"))
    rows = list(
        csv.DictReader(study.table(*results[0].split("/")).decode().splitlines(), delimiter="\t")
    )
    assert {"$(touch pwned)", "; touch pwned"} & {row["population"] for row in rows} == set()
    assert {row["treatment"] for row in rows} == {"`touch pwned`", "dupilumab"}
    assert {"../../escape", "<script>x</script>"} <= {row["population"] for row in rows}
    assert b"<script>" not in study.table(*results[1].split("/"))


@pytest.mark.workflow
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_of_samples_and_patients_are_refused(fresh_project, name):
    sheet = fresh_project.folder / "config" / "samples.tsv"
    text = sheet.read_text()
    sheet.write_text(text.replace("\tP02\t", f"\t{name}\t").replace("P03_baseline\t", f"{name}\t"))
    before = everything_beside(fresh_project.folder)
    done = fresh_project.snakemake(check=False)
    words = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Traceback" not in words
    assert words.count("(it names files)") >= 2
    assert everything_beside(fresh_project.folder) == before
    assert not (fresh_project.folder / "results").exists()


@pytest.mark.parametrize(
    "path", ["../../escape.tsv", "/etc/escape.tsv", "a/../../../escape.tsv", "~/x.tsv"]
)
def test_copies_of_inputs_stay_in_their_folder(tmp_path, path):
    kept = kept_copy(path, tmp_path / "provenance").resolve()
    assert (tmp_path / "provenance").resolve() in kept.parents
