"""What a chapter says besides figures and tables."""

from biocross.report.page.chapters import open_in_scanpy


def test_how_to_open_the_cells(tmp_path):
    file = open_in_scanpy("results/flow/cells.h5ad", "results/report.html", "population")
    assert file.href == "flow/cells.h5ad"
    assert file.lines.split("\n") == [
        'cells = scanpy.read_h5ad("results/flow/cells.h5ad")',
        'scanpy.pl.umap(cells, color="population")',
    ]
