from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import sparse

from biocross.cohort.vocabulary import load_vocabulary
from biocross.report.figures.rna import draw_integration, ordered_samples, plot_rna
from biocross.report.figures.rna_markers import MarkerDots, draw_marker_dots, marker_dots
from biocross.tables import write_rows

POPULATIONS = Path(__file__).parents[4] / "config" / "populations.yaml"
SHEET = ("sample_id", "patient_id", "level", "treatment", "modality")
GENES = ["CD3D", "CD3E", "MS4A1", "CD79A", "TCL1A", "LILRA4", "PTPRC"]
QUALITY = ("measure", "group", "n_cells", "before", "after", "status", "note")


def sheet_rows():
    return [
        dict(zip(SHEET, (f"{who}_{level}", who, level, drug, modality), strict=True))
        for who, drug in (("P2", "mepolizumab"), ("P1", "mepolizumab"), ("P3", "dupilumab"))
        for level in ("late", "base")
        for modality in ("rna",)
    ]


@pytest.fixture
def drawn(monkeypatch):
    """Keep the figures that are saved."""
    kept = []

    def keep(figure, *paths, source, columns):
        kept.append(figure)
        figure.source = [{name: row.get(name) for name in columns} for row in source]

    for module in ("rna", "rna_markers"):
        monkeypatch.setattr(f"biocross.report.figures.{module}.save_figure", keep)
    return kept


def words_of(figure):
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def write_cells(folder):
    rng = np.random.default_rng(1)
    names = np.repeat(["T_cells", "B_naive", "unassigned"], [60, 35, 5])
    sample = np.array(["P1_base", "P1_late", "P3_base"])[rng.integers(0, 3, 100)]
    obs = pd.DataFrame({"population": names, "sample_id": sample})
    obs["visit"] = obs["sample_id"].str[3:]
    obs["patient_id"] = obs["sample_id"].str[:2]
    obs["batch"] = "run_1"
    obs.index = [f"c{i}" for i in range(100)]
    values = sparse.csr_matrix(rng.poisson(0.5, (100, len(GENES))).astype(np.float32))
    cells = ad.AnnData(values, obs.astype("category"), pd.DataFrame(index=GENES))
    cells.obsm["X_umap"] = rng.normal(size=(100, 2)).astype(np.float32)
    cells.write_h5ad(folder / "cells.h5ad")
    return obs


def test_all_figures_are_written_twice_the_same(tmp_path):
    write_cells(tmp_path)
    write_rows(tmp_path / "samples.tsv", SHEET, sheet_rows())
    write_rows(tmp_path / "quality.tsv", QUALITY, [])
    names = ("maps", "composition", "integration", "markers")

    def run(kind):
        outputs = [[tmp_path / f"{name}{kind}"] for name in names]
        plot_rna(
            *(tmp_path / "cells.h5ad", tmp_path / "quality.tsv", tmp_path / "samples.tsv"),
            *(POPULATIONS, ["base", "late"], *outputs),
        )
        return [path.read_bytes() for (path,) in outputs]

    assert run(".svg") == run(".svg")
    assert all(content.startswith(b"%PDF") for content in run(".pdf"))


def test_composition_counts_every_cell_and_keeps_empty_samples(tmp_path, drawn):
    from biocross.report.figures.rna import draw_composition

    obs = write_cells(tmp_path)
    draw_composition(obs, sheet_rows(), load_vocabulary(POPULATIONS), ["base", "late"])
    words = words_of(drawn[0])
    counts = obs["sample_id"].value_counts()
    for n in counts:
        assert str(n) in words
    assert words.count("no cells") == 3
    (axis,) = drawn[0].axes
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert labels == [f"{who}  {level}" for who in ("P3", "P1", "P2") for level in ("base", "late")]
    # P1 at baseline is the third line: its bars end at 100 %.
    line = axis.get_yticks()[2]
    bars = [bar for bar in axis.patches if abs(bar.get_y() + bar.get_height() / 2 - line) < 0.01]
    assert sum(bar.get_width() for bar in bars) == pytest.approx(100)
    share = (obs.loc[obs["sample_id"] == "P1_base", "population"] == "T_cells").mean()
    assert max(bar.get_width() for bar in bars) == pytest.approx(100 * share)


def test_samples_in_order_of_arm_patient_and_visit():
    rows = [*sheet_rows(), {**sheet_rows()[0], "modality": "flow", "sample_id": "x"}]
    order = [row["sample_id"] for row in ordered_samples(rows, ["base", "late"])]
    expected = [f"{who}_{level}" for who in ("P3", "P1", "P2") for level in ("base", "late")]
    assert order == expected


def test_integration_marks_what_was_lost(drawn):
    rows = [
        ("mixing", "all cells", "90", "0.3", "0.9", "measured", "integrated over 2 batches"),
        ("mixing", "cluster 1", "9", "", "", "one_batch", ""),
        ("purity", "run_1", "45", "0.9", "0.2", "lost", ""),
    ]
    draw_integration([dict(zip(QUALITY, row, strict=True)) for row in rows])
    words = words_of(drawn[0])
    assert "one batch" in words
    assert "integrated over 2 batches" in words
    mixing, purity = (axis for axis in drawn[0].axes if isinstance(axis, Axes))
    colours = {line.get_color() for line in purity.get_lines()}
    assert "#D55E00" in colours
    assert "#D55E00" not in {line.get_color() for line in mixing.get_lines()}


def test_integration_of_one_batch(drawn):
    draw_integration([])
    assert words_of(drawn[0]).count("one batch: nothing to integrate") == 2


def test_dots_hold_shares_and_relative_means():
    names = pd.Series(["T_cells"] * 10 + ["B_naive"] * 10 + ["pDC"] * 4 + ["unassigned"] * 9)
    values = np.zeros((33, len(GENES)))
    values[:10, 0] = 2.0
    values[:5, 1] = 1.0
    values[10:20, 2] = 3.0
    values[10:12, 4] = 1.0
    dots = marker_dots(sparse.csr_matrix(values), GENES, names, POPULATIONS)
    assert dots.populations == ["B_naive", "T_cells"]  # pDC: fewer than 5 cells
    assert dots.n_cells.tolist() == [10, 10]
    assert dots.genes == ["MS4A1", "CD79A", "TCL1A", "CD3D", "CD3E"]  # not what all leukocytes have
    share = dict(zip(dots.genes, dots.share[1], strict=True))
    assert (share["CD3D"], share["CD3E"], share["MS4A1"]) == pytest.approx((1.0, 0.5, 0.0))
    mean = dict(zip(dots.genes, dots.mean.T, strict=True))
    assert mean["CD3D"].tolist() == [0.0, 1.0]
    assert mean["CD79A"].tolist() == [0.0, 0.0]


def test_dots_of_nothing_say_so(drawn):
    empty = MarkerDots([], np.array([], dtype=np.int64), [], np.empty((0, 0)), np.empty((0, 0)))
    draw_marker_dots(empty, load_vocabulary(POPULATIONS))
    assert "no named cells, or no marker among the genes" in words_of(drawn[0])
    names = pd.Series(["unassigned"] * 6)
    dots = marker_dots(sparse.csr_matrix(np.ones((6, len(GENES)))), GENES, names, POPULATIONS)
    assert dots.populations == []


def test_area_of_a_dot_is_its_share(drawn):
    dots = MarkerDots(
        *(["T_cells"], np.array([8]), ["CD3D", "CD3E"]),
        *(np.array([[1.0, 0.25]]), np.array([[1.0, 0.0]])),
    )
    draw_marker_dots(dots, load_vocabulary(POPULATIONS))
    assert isinstance(drawn[0], Figure)
    sizes = drawn[0].axes[0].collections[0].get_sizes()
    assert max(sizes) == pytest.approx(4 * min(sizes))
