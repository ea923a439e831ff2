import subprocess
import sys

import pandas as pd
import pytest
from long_tables import LongTables
from run_folder import run_folder, two_treatments

import biocross
from biocross.errors import BiocrossError
from biocross.results import Results
from biocross.results.tables import Table, Tables, declared_tables
from biocross.tables import write_rows


@pytest.fixture
def run(tmp_path):
    return two_treatments(tmp_path)[1]


def test_opening_needs_no_heavy_package_before_results_are_asked_for():
    code = "import sys, biocross; print([m for m in sys.modules if m in sys.argv[1:]])"
    heavy = ["numpy", "pandas", "matplotlib", "anndata", "scipy", "yaml"]
    done = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_results_need_no_reader_of_cells():
    code = "import sys, biocross.results; print([m for m in sys.modules if m in sys.argv[1:]])"
    heavy = ["anndata", "scanpy", "h5py", "flowkit"]
    done = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_folder_without_results_is_refused_with_a_remedy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BiocrossError, match=r"holds no results; run `snakemake --cores 8` first"):
        biocross.open_results(tmp_path)


def test_folder_beside_results_has_a_hint(run):
    with pytest.raises(BiocrossError, match=r'holds no results; did you mean ".*results"\?'):
        biocross.open_results(run.parent)


def test_tables_as_frames(run):
    results = Results(run)
    assert len(results.samples) == 15
    assert "007" in set(results.samples["patient_id"])
    assert set(results.counts["level"]) == {"baseline", "month_4"}
    assert results.changes["p_value"].dtype == float
    assert set(results.changes["equivalent"].dropna()) <= {True, False}
    assert len(results.marker_changes) == len(results.expression) == 0
    assert results.populations == ["pop_0", "pop_1", "pop_2"]
    assert results.config["statistics"]["fdr"] == results.fdr == 0.05
    assert results.treatments == ["dupilumab", "mepolizumab"]


def test_tables_are_read_once(run):
    results = Results(run)
    assert results.changes is results.changes


def test_yes_and_no_are_truth_values_where_no_study_has_its_own(run):
    write_rows(
        run / "cohort" / "patients.tsv",
        ("patient_id", "responder"),
        [{"patient_id": "007", "responder": "yes"}],
    )
    results = Results(run)
    assert results.pairs["complete"].tolist() == [True] * 7 + [False]
    assert results.patients["responder"].tolist() == ["yes"]


def test_what_a_study_lacks_is_said_and_why(run):
    results = Results(run)
    with pytest.raises(BiocrossError, match=r"no ledger: there is no .*it is made only of FCS"):
        results.ledger
    with pytest.raises(BiocrossError, match=r"no gene_changes.*only of single-cell RNA"):
        results.gene_changes
    with pytest.raises(BiocrossError, match=r"no rna_cells.*cells.h5ad.*only of single-cell RNA"):
        results.rna_cells
    with pytest.raises(BiocrossError, match=r"no treatment_differences.*run was not finished"):
        results.treatment_differences


def test_one_may_ask_before_looking(run):
    results = Results(run)
    assert results.has("changes")
    assert not results.has("marker_changes"), "a table without rows"
    assert not results.has("ledger")
    assert not results.has("flow_cells")
    with pytest.raises(BiocrossError, match=r'no table or cells "chang"; did you mean "changes"'):
        results.has("chang")


def test_list_of_tables_says_what_is_there(run):
    tables = Results(run).tables
    assert tables.loc["results.changes", "there"]
    assert not tables.loc["results.gene_changes", "there"]
    assert tables.loc["results.gene_changes", "why_not"] == "needs single-cell RNA"
    assert all(tables.loc[tables["there"], "why_not"] == "")


def test_every_table_is_described_and_fits_the_width_that_jupyter_shows():
    declared = declared_tables(Tables)
    assert len(declared) > 40
    widest = pd.get_option("display.max_colwidth")
    assert [name for name, table in declared.items() if len(table.about) > widest] == []
    assert "paired_changes.tsv" in str(Tables.changes.__doc__)
    assert isinstance(Tables.changes, Table)


def test_cells_are_read_when_asked_for(run):
    import anndata
    import numpy as np

    (run / "cells").mkdir()
    anndata.AnnData(np.ones((3, 2), dtype=np.float32)).write_h5ad(run / "cells" / "cells.h5ad")
    results = Results(run)
    assert results.has("rna_cells")
    assert results.rna_cells.shape == (3, 2)
    assert results.rna_cells is results.rna_cells


def test_short_description(run):
    lines = repr(Results(run)).splitlines()
    assert lines[0] == f"Results of {run}: A study of <few>"
    assert lines[1:4] == [
        "8 patients, 15 samples (flow); visits: baseline, month_4",
        "mepolizumab, month_4 - baseline: 4 pairs of flow",
        "dupilumab, month_4 - baseline: 3 pairs of flow",
    ]
    assert "- No confirmatory question could be asked: see results.changes, column note." in lines
    assert any(line.startswith("  results.compare(...)") for line in lines)


def test_description_in_jupyter_is_escaped(run):
    html = Results(run)._repr_html_()
    assert "<h4>A study of &lt;few&gt;</h4>" in html
    assert "mepolizumab, month_4 - baseline: 4 pairs of flow" in html
    assert "<code>results.plot_forest()</code>" in html


def claimed_run(folder):
    """A population that doubles in every one of eight patients."""
    tables = LongTables(folder)
    tables.name_primary("ILC2")
    for number, count in enumerate([100, 130, 90, 110, 120, 95, 105, 115]):
        for visit, factor in (("baseline", 1), ("month_4", 2)):
            noise = 3 * number if visit == "month_4" else 0
            tables.add(f"P{number}", visit, {"ILC2": (count * factor + noise, 10_000)})
    tables.ask("mepolizumab", *(f"P{number}" for number in range(8)))
    return run_folder(tables)


def test_findings_stand_in_the_description(tmp_path):
    results = Results(claimed_run(tmp_path))
    assert results.primary == ["ILC2"]
    text = repr(results)
    assert "- ILC2 rose from 1.07 to 2.29 % of leukocytes during mepolizumab" in text
    assert "ILC2 rose" in repr(results["ILC2"])
    assert 'results["ILC2"]' in text


def test_a_run_that_kept_no_inputs_still_opens(tmp_path):
    folder = claimed_run(tmp_path)
    for kept in (folder / "provenance" / "sheets").iterdir():
        kept.unlink()
    results = Results(folder)
    assert results.primary == ["ILC2"]
    assert "ILC2 rose" in repr(results)
    with pytest.raises(BiocrossError, match=r"no copy of inputs.populations.*an older version"):
        results.compare()


def test_one_population(run):
    population = Results(run)["pop_1"]
    assert set(population.counts["population"]) == {"pop_1"}
    assert len(population.changes) == 6
    lines = repr(population).splitlines()
    assert lines[0] == "pop 1"
    assert lines[1].startswith("- pop 1 during dupilumab (month 4 against baseline): ")


def test_names_complete_and_wrong_ones_have_a_hint(run):
    results = Results(run)
    assert results._ipython_key_completions_() == list(results) == ["pop_0", "pop_1", "pop_2"]
    assert {"changes", "plot_change", "compare", "counts"} <= set(dir(results))
    assert "pop_1" in results
    with pytest.raises(BiocrossError, match=r'no population "pop1"; did you mean "pop_1"\?'):
        results["pop1"]
    with pytest.raises(AttributeError, match=r'results have no "chnges"; did you mean "changes"\?'):
        results.chnges
    assert not hasattr(results, "_repr_png_")
