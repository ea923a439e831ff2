"""Gates that were drawn elsewhere: a GatingML document instead of gating.yaml."""

import shutil

import pytest
import yaml

from biocross.tables import read_rows, write_rows

pytestmark = pytest.mark.workflow
MAPPED = ("leukocytes", "T_cells", "CD4_T", "CD8_T", "B_cells", "monocytes", "eosinophils")


@pytest.fixture
def drawn(fresh_project, finished_project):
    """Return a study whose gates are those that another run exported for one patient."""
    results, config = finished_project.folder / "results", fresh_project.folder / "config"
    shutil.copytree(results / "simulated", fresh_project.folder / "fcs")
    settings = yaml.safe_load(fresh_project.configuration_without_simulation())
    shutil.copy(results / "flow/gating/patients/P01.gates.xml", config / "gates.xml")
    settings["inputs"] |= {"folder": "fcs", "clinical": "fcs/clinical.tsv"}
    settings["inputs"] |= {"gating": "config/gates.xml", "gate_paths": "config/gate_paths.tsv"}
    settings["statistics"]["relabellings"] = 0
    (config / "config.yaml").write_text(yaml.safe_dump(settings))
    fresh_project.exported = results
    return fresh_project


def paths_of(document):
    """Return the path of every gate of a GatingML document by its name."""
    from biocross.flow.imported.load import load_gates

    gates = load_gates(document).gates
    return {path.split("/")[-1]: path for path in gates}


def test_exported_gates_count_what_was_counted(drawn):
    sheet = drawn.folder / "config" / "gate_paths.tsv"
    paths = paths_of(drawn.folder / "config" / "gates.xml")
    rows = [{"gate": paths[name], "population": name} for name in MAPPED]
    write_rows(sheet, ("gate", "population"), rows)
    output = drawn.snakemake()
    assert "Traceback" not in output.stdout + output.stderr
    results = drawn.folder / "results"

    def counts(folder):
        return {
            (row["sample_id"], row["population"]): row["count"]
            for row in read_rows(folder / "populations" / "counts.tsv")
            if row["population"] in MAPPED and row["sample_id"].startswith("P01")
        }

    assert counts(results) == counts(drawn.exported)
    assert len(counts(results)) == 2 * len(MAPPED)
    stored = read_rows(results / "flow" / "gating" / "stored_counts.tsv")
    assert {row["stored_count"] for row in stored} == {""}
    tested = read_rows(results / "statistics" / "paired_changes.tsv")
    assert {row["population"] for row in tested} >= {"CD4_T", "eosinophils"}
    assert (results / "report.html").exists()
    assert not (results / "flow" / "gating" / "thresholds.tsv").exists()


def test_a_file_of_gates_needs_its_sheet(drawn):
    config = drawn.folder / "config" / "config.yaml"
    config.write_text(
        config.read_text().replace("gate_paths: config/gate_paths.tsv", "gate_paths: null")
    )
    done = drawn.snakemake(check=False)
    assert done.returncode != 0
    assert "config/gates.xml: needs inputs.gate_paths" in done.stdout + done.stderr


def test_a_misspelt_gate_is_named_before_anything_is_computed(drawn):
    sheet = drawn.folder / "config" / "gate_paths.tsv"
    sheet.write_text("gate\tpopulation\nT_celsl\tT_cells\n")
    done = drawn.snakemake(check=False)
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Traceback" not in output
    assert "config/gate_paths.tsv row 2: " in output
    assert "T_celsl" in output
    assert not (drawn.folder / "results" / "flow" / "counts.tsv").exists()
