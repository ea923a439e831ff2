import matplotlib.pyplot as plt
import numpy as np
import pytest
import yaml
from long_tables import LongTables, fill

from biocross.cohort.config import complete_config
from biocross.errors import BiocrossError
from biocross.results import Results
from biocross.statistics.marker_changes import MARKER_CHANGE_COLUMNS
from biocross.tables import write_rows


@pytest.fixture
def run(tmp_path):
    """Return the results folder of a run from a table, with two treatments."""
    tables = LongTables(tmp_path)
    rng = np.random.default_rng(1)
    fill(tables, rng, 4, populations=3)
    fill(tables, rng, 3, populations=3, treatment="dupilumab")
    tables.ask("dupilumab", "007")
    tables.pairs[-1].update(complete="no", missing="month_4")
    tables.add("007", "baseline", {"pop_0": (10, 100)}, treatment="dupilumab")
    changes, paths = tables.changes_file(), tables.write()
    folder = tmp_path / "results"
    for name, source in (
        ("cohort/samples.tsv", paths["samples"]),
        ("cohort/pairs.tsv", paths["pairs"]),
        ("populations/counts.tsv", paths["counts"]),
        ("populations/expression.tsv", paths["markers"]),
        ("statistics/paired_changes.tsv", changes),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(source.read_bytes())
    write_rows(folder / "statistics" / "marker_changes.tsv", MARKER_CHANGE_COLUMNS, [])
    config = {
        "inputs": {"patients": "patients.tsv", "counts": "counts.tsv"},
        "design": {"levels": ["baseline", "month_4"]},
    }
    (folder / "provenance").mkdir()
    (folder / "provenance" / "config.yaml").write_text(yaml.safe_dump(complete_config(config)))
    return folder


def test_folder_without_results_is_refused_with_a_remedy(tmp_path):
    with pytest.raises(BiocrossError, match=r"holds no results; run `snakemake --cores 8` first"):
        Results(tmp_path)


def test_tables_as_frames(run):
    results = Results(run)
    assert len(results.samples) == 15
    assert "007" in set(results.samples["patient_id"])
    assert "007" in set(results.pairs["unit"])
    assert set(results.counts["level"]) == {"baseline", "month_4"}
    assert results.changes["p_value"].dtype == float
    assert set(results.changes["equivalent"].dropna()) <= {True, False}
    assert len(results.marker_changes) == len(results.expression) == 0
    assert results.populations == ["pop_0", "pop_1", "pop_2"]
    assert results.config["statistics"]["fdr"] == 0.05
    assert results.changes is results.changes


@pytest.mark.parametrize("table", ["thresholds", "ledger"])
def test_what_a_study_without_files_lacks_is_said(run, table):
    with pytest.raises(BiocrossError, match=r"this run has no .*tsv; a study without FCS files"):
        getattr(Results(run), table)


def test_short_description(run):
    lines = repr(Results(run)).splitlines()
    assert lines[0] == f"Results of {run}"
    assert lines[1:4] == [
        "dupilumab, month_4 - baseline: 3 pairs",
        "mepolizumab, month_4 - baseline: 4 pairs",
        "3 populations, 15 samples",
    ]


def test_plot_of_one_population(run):
    axes = Results(run).plot_change("pop_1")
    titles = [axis.get_title(loc="left") for axis in axes]
    assert titles == ["pop 1\ndupilumab", "pop 1\nmepolizumab"]
    patients = [
        line for line in axes[1].get_lines() if str(line.get_gid()).startswith("patient:mep_")
    ]
    assert len(patients) == 4
    plt.close("all")


def test_plot_into_axes_that_are_given(run):
    figure, axes = plt.subplots(1, 2)
    assert Results(run).plot_change("pop_2", axes) is axes
    assert axes[0].get_ylabel() == "% of leukocytes"
    plt.close(figure)


def test_unknown_population_has_a_hint(run):
    with pytest.raises(BiocrossError, match=r'no population "pop1"; did you mean "pop_1"\?'):
        Results(run).plot_change("pop1")
