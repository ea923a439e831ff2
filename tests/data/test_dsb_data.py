"""ADT normalisation on the CITE-seq counts of Kotliarov 2020."""

import csv
import gzip
import shutil
import subprocess

import numpy as np
import pytest

from biocross.cells.proteins import centred_log_ratio, isotype_controls

# Seurat 4: NormalizeData(normalization.method = "CLR") applies this along `margin` of the matrix
# proteins x cells.
SEURAT = """
args <- commandArgs(TRUE)
x <- as.matrix(read.csv(gzfile(args[1]), row.names = 1, check.names = FALSE))
clr <- function(v) log1p(v / exp(sum(log1p(v[v > 0]), na.rm = TRUE) / length(v)))
by <- as.integer(args[2])
y <- if (by == 1) t(apply(x, 1, clr)) else apply(x, 2, clr)
write.table(signif(y, 9), args[3], sep = ",", row.names = FALSE, col.names = FALSE)
"""

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def table(test_data):
    return test_data / "dsb" / "cells_citeseq_adt_87x2872.csv.gz"


@pytest.fixture(scope="module")
def dsb(table):
    with gzip.open(table, "rt", newline="") as file:
        rows = list(csv.reader(file))[1:]
    return [row[0] for row in rows], np.array([row[1:] for row in rows], dtype=np.int32).T


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")
@pytest.mark.parametrize(("over", "margin"), [("cells", 1), ("proteins", 2)])
def test_clr_is_what_seurats_formula_gives_in_r(table, dsb, tmp_path, over, margin):
    (tmp_path / "clr.R").write_text(SEURAT)
    call = ["Rscript", tmp_path / "clr.R", table, str(margin), tmp_path / "clr.csv"]
    subprocess.run(call, check=True, capture_output=True)
    expected = np.loadtxt(tmp_path / "clr.csv", delimiter=",").T
    np.testing.assert_allclose(centred_log_ratio(dsb[1], over), expected, rtol=2e-6)


def test_the_four_isotype_controls_are_noticed(dsb):
    assert len(isotype_controls(dsb[0])) == 4


def test_lineage_markers_part_on_the_scale(dsb):
    names, counts = dsb
    values = centred_log_ratio(counts)
    cd3, cd19 = (values[:, names.index(f"{marker}_PROT")] for marker in ("CD3", "CD19"))
    b_cells = cd19 > 1.5
    assert 0.03 < b_cells.mean() < 0.3
    assert np.median(cd3[b_cells]) < np.median(cd3[~b_cells]) - 0.5
