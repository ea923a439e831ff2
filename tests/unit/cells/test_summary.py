"""Three patients of a mepolizumab study; the third sample of RNA has no cells."""

import time
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import sparse

from biocross.cells.annotation_tables import ANNOTATION_COLUMNS
from biocross.cells.summary import summarise_cells
from biocross.cells.tally import mixed_populations
from biocross.cohort.vocabulary import load_vocabulary
from biocross.errors import TableError
from biocross.statistics.gene_changes import find_gene_changes
from biocross.tables import read_rows, write_rows

POPULATIONS = Path(__file__).parents[3] / "config" / "populations.yaml"
SHEET = ("sample_id", "patient_id", "visit", "treatment", "modality", "tissue", "unit", "level")
# Finest populations and numbers of cells of each sample.
CELLS = {
    "P1_base": {"Th2": 12, "CD4_naive": 30, "CD4_T": 3, "NK_dim": 20, "unassigned": 5},
    "P1_late": {"Th2": 4, "CD4_naive": 25, "NK_dim": 15, "pDC": 2, "leukocytes": 1},
    "P2_base": {},
}
SETS = {"homing": ["CXCR4", "GPR183", "CCR4"], "lost": ["NOTHING", "NEVER", "CXCR4"]}
GENES = [*SETS["homing"], *(f"GENE{i}" for i in range(117))]


class Study:
    """The inputs of a summary, and its outputs by name."""

    def __init__(self, folder):
        self.folder = folder
        self.cells = CELLS
        self.whole = True
        self.countable = dict.fromkeys(load_vocabulary(POPULATIONS), "yes")
        self.countable |= {"ILC2": "no", "monocytes_intermediate": "no"}

    def write(self):
        rng = np.random.default_rng(7)
        obs = pd.DataFrame(
            [
                {"sample_id": sample, "population": population}
                for sample, populations in self.cells.items()
                for population, n in populations.items()
                for _ in range(n)
            ]
        ).astype("category")
        obs.index = [f"cell{i}" for i in range(len(obs))]
        counts = sparse.csr_matrix(rng.poisson(3.0, (len(obs), len(GENES))).astype(np.float32))
        cells = ad.AnnData(counts.log1p(), obs, pd.DataFrame(index=GENES))
        if self.whole:
            cells.layers["counts"] = counts
        proteins = rng.normal(1, 0.2, (len(obs), 2)).astype(np.float32)
        proteins[obs["sample_id"] == "P1_late", 1] = np.nan
        cells.obsm["proteins_clr"] = proteins
        cells.uns["protein_names"] = ["CD69", "CD184"]
        cells.write_h5ad(self.folder / "cells.h5ad")
        sheet = [
            {"sample_id": name, "patient_id": name[:2], "visit": name[3:], "modality": "rna"}
            | {"treatment": "mepolizumab", "tissue": "pbmc", "unit": name[:2], "level": name[3:]}
            for name in CELLS
        ]
        sheet.append({"sample_id": "P1_flow", "modality": "flow", "tissue": "whole_blood"})
        write_rows(self.folder / "samples.tsv", SHEET, sheet)
        told = [
            {"population": name, "countable": says, "note": "RNA cannot tell it"}
            for name, says in self.countable.items()
        ]
        write_rows(self.folder / "annotation.tsv", ANNOTATION_COLUMNS, told)
        sets = {name: {"genes": genes} for name, genes in SETS.items()}
        (self.folder / "sets.yaml").write_text(yaml.safe_dump(sets, sort_keys=False))
        return counts, obs

    def run(self, pseudobulk="pseudobulk.h5ad"):
        at = self.folder
        summarise_cells(
            *(at / "cells.h5ad", at / "annotation.tsv", at / "samples.tsv", POPULATIONS),
            gene_sets=[at / "sets.yaml"],
            counts_out=at / "counts.tsv",
            expression_out=at / "expression.tsv",
            pseudobulk_out=at / pseudobulk,
            cells_per_population_out=at / "cells_per_population.tsv",
            gene_sets_out=at / "gene_sets.tsv",
        )

    def rows(self, table, sample):
        rows = read_rows(self.folder / f"{table}.tsv")
        return {row["population"]: row for row in rows if row["sample_id"] == sample}


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def test_counts_are_hierarchical_and_what_is_unknown_is_empty(study):
    study.write()
    study.run()
    base, late = study.rows("counts", "P1_base"), study.rows("counts", "P1_late")
    at = {name: (row["count"], row["parent"], row["parent_count"]) for name, row in base.items()}
    assert at["live_singlets"] == ("70", "", "70")
    assert at["leukocytes"] == ("65", "live_singlets", "70")
    assert at["lymphocytes"] == ("65", "leukocytes", "65")
    assert at["T_cells"] == ("45", "lymphocytes", "65")
    assert at["CD4_T"] == ("45", "T_cells", "45")
    assert at["CD4_memory"] == ("12", "CD4_T", "45")  # Th2 are gated under it
    assert at["Th2"] == ("12", "CD4_T", "45")
    assert at["NK_dim"] == ("20", "NK_cells", "20")
    assert at["pDC"] == ("0", "dendritic_cells", "0")  # found in the other sample
    assert late["pDC"]["count"] == "2"
    for never in ("B_cells", "ILC2", "monocytes_intermediate", "neutrophils"):
        assert at[never][0] == ""
    assert {row["source"] for row in base.values()} == {"cluster"}
    assert set(base) == set(load_vocabulary(POPULATIONS))


def test_sample_without_cells_has_no_counts_rather_than_zeros(study):
    study.write()
    study.run()
    counts = study.rows("counts", "P2_base")
    assert {row["count"] for row in counts.values()} == {""}
    assert {row["parent_count"] for row in counts.values()} == {""}
    said = study.rows("cells_per_population", "P2_base")["Th2"]
    assert (said["status"], said["n_cells"]) == ("none", "")
    assert said["note"] == "no cell of this sample passed quality"
    assert not study.rows("counts", "P1_flow")


def test_what_annotation_cannot_count_is_not_counted_even_where_cells_have_the_name(study):
    study.countable["Th2"] = "no"
    study.write()
    study.run()
    base = study.rows("counts", "P1_base")
    assert base["Th2"]["count"] == ""
    assert base["CD4_memory"]["count"] == "12"
    assert study.rows("cells_per_population", "P1_base")["Th2"]["note"] == "RNA cannot tell it"


def test_cells_per_population_say_what_is_enough(study):
    study.write()
    study.run()
    base = study.rows("cells_per_population", "P1_base")
    late = study.rows("cells_per_population", "P1_late")
    assert (base["Th2"]["status"], base["Th2"]["n_cells"]) == ("enough", "12")
    assert (late["Th2"]["status"], late["Th2"]["n_cells"]) == ("underpowered", "4")
    assert "fewer than 10 cells" in late["Th2"]["note"]
    assert (base["pDC"]["status"], base["pDC"]["n_cells"]) == ("none", "0")
    assert (base["lymphocytes"]["status"], base["lymphocytes"]["n_cells"]) == (
        *("not_possible", "65"),
    )
    assert base["neutrophils"]["note"] == "not measured in pbmc"
    assert "no cell of the whole cohort" in base["B_cells"]["note"]
    assert (base["Th2"]["patient_id"], base["Th2"]["visit"]) == ("P1", "base")


def test_sums_are_those_of_the_cells_of_a_population_and_its_parts(study):
    counts, obs = study.write()
    study.run()
    summed = ad.read_h5ad(study.folder / "pseudobulk.h5ad")
    assert bool(summed.uns["is_integer"])
    names = {(s, p): i for i, (s, p) in enumerate(summed.obs[["sample_id", "population"]].values)}
    mixed = {"live_singlets", "leukocytes", "lymphocytes"}
    assert not mixed & {population for _, population in names}
    inside = (obs["sample_id"] == "P1_base") & obs["population"].isin(["CD4_T", "CD4_naive", "Th2"])
    expected = np.asarray(counts[inside.to_numpy()].sum(axis=0)).ravel()
    row = names["P1_base", "CD4_T"]
    np.testing.assert_array_equal(summed.X[row], expected)
    assert summed.obs["n_cells"].iloc[row] == 45
    assert ("P1_base", "pDC") not in names  # no cells, no row


def test_same_cells_same_bytes(study):
    study.write()
    study.run("one.h5ad")
    first = (study.folder / "expression.tsv").read_bytes()
    time.sleep(1.1)  # times in a file would have a resolution of one second
    study.run("two.h5ad")
    assert (study.folder / "one.h5ad").read_bytes() == (study.folder / "two.h5ad").read_bytes()
    assert (study.folder / "expression.tsv").read_bytes() == first


def test_scores_and_proteins(study):
    _, obs = study.write()
    study.run()
    rows = read_rows(study.folder / "expression.tsv")
    markers = {row["marker"] for row in rows}
    assert markers == {"homing", "CD69", "CD184"}
    assert not {"leukocytes", "live_singlets"} & {row["population"] for row in rows}
    of = {(row["sample_id"], row["population"], row["marker"]): row for row in rows}
    score = of["P1_base", "CD4_T", "homing"]
    assert abs(float(score["value"])) < 0.5
    assert (score["n_cells"], score["n_positive"], score["source"]) == ("45", "", "cluster")
    cells = ad.read_h5ad(study.folder / "cells.h5ad")
    inside = ((obs["sample_id"] == "P1_base") & (obs["population"] == "NK_dim")).to_numpy()
    expected = np.median(cells.obsm["proteins_clr"][inside, 0])
    assert float(of["P1_base", "NK_dim", "CD69"]["value"]) == pytest.approx(expected)
    assert ("P1_late", "NK_dim", "CD184") not in of  # not stained there
    sets = {row["gene_set"]: row for row in read_rows(study.folder / "gene_sets.tsv")}
    assert sets["homing"]["status"] == "scored"
    assert (sets["lost"]["status"], sets["lost"]["n_measured"]) == ("not_possible", "1")


def test_values_that_are_no_counts_are_neither_summed_nor_scored(study):
    study.whole = False
    study.write()
    study.run()
    summed = ad.read_h5ad(study.folder / "pseudobulk.h5ad")
    assert not bool(summed.uns["is_integer"])
    assert not summed.X.any()
    markers = {row["marker"] for row in read_rows(study.folder / "expression.tsv")}
    assert markers == {"CD69", "CD184"}
    note = read_rows(study.folder / "gene_sets.tsv")[0]["note"]
    assert "raw counts" in note
    assert study.rows("counts", "P1_base")["Th2"]["count"] == "12"


def test_cells_of_a_sample_outside_the_sheet_are_refused(study):
    study.cells = CELLS | {"P9_base": {"Th2": 3}}
    study.write()
    with pytest.raises(TableError, match="P9_base"):
        study.run()


def test_gene_changes_read_the_sums(study):
    study.write()
    study.run()
    keys = {"modality": "rna", "treatment": "mepolizumab", "baseline": "base", "followup": "late"}
    write_rows(study.folder / "pairs.tsv", [*keys, "unit"], [keys | {"unit": "P1"}])
    out = study.folder / "gene_changes.tsv"
    inputs = (study.folder / name for name in ("pseudobulk.h5ad", "samples.tsv", "pairs.tsv"))
    find_gene_changes(*inputs, n_threads=1, changes_out=out)
    rows = {row["population"]: row for row in read_rows(out)}
    assert rows["CD4_naive"]["status"] == "underpowered"
    assert rows["CD4_naive"]["n_pairs"] == "1"
    assert rows["Th2"]["n_pairs"] == "0"


def test_mixed_populations_hold_several_lineages():
    assert mixed_populations(load_vocabulary(POPULATIONS)) == {
        *("live_singlets", "leukocytes", "lymphocytes"),
    }
