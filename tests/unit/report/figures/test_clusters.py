import re
from pathlib import Path

import numpy as np
import pytest

from biocross.cohort.vocabulary import load_vocabulary
from biocross.report.figures.agreement import plot_agreement
from biocross.report.figures.cell_maps import MapPanel, draw_cell_maps
from biocross.report.figures.cluster_sizes import cluster_percents
from biocross.report.figures.clusters import cluster_medians, plot_clusters, read_clusters
from biocross.report.figures.outliers import plot_outliers
from biocross.tables import write_rows

POPULATIONS = Path(__file__).parents[4] / "config" / "populations.yaml"


def words_of(svg):
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg.read_text(encoding="utf-8"))


def annotation_row(cluster, population, percent, stable="yes", used="yes"):
    return {"cluster": str(cluster), "population": population, "percent": str(percent)} | {
        **{"stable": stable, "used": used, "map": "main"}
    }


ANNOTATION = [
    annotation_row(1, "T_cells", 20),
    annotation_row(2, "unassigned", 5, stable="no"),
    annotation_row(3, "neutrophils", 60),
    annotation_row(4, "T_cells", 35),
    annotation_row(5, "ILC", 0),
    annotation_row(6, "ILC", 3, used="no"),
]


def expression_row(sample, cluster, marker, value, n_cells=100):
    return {"sample_id": sample, "source": "single_cluster", "population": cluster} | {
        **{"marker": marker, "value": str(value), "n_cells": str(n_cells)}
    }


def test_clusters_stand_in_the_order_of_the_vocabulary_the_larger_first():
    clusters = read_clusters(ANNOTATION, load_vocabulary(POPULATIONS))
    assert [one.title for one in clusters] == [
        *("neutrophils 3", "T cells 4", "T cells 1", "unassigned 2°")
    ]


def test_every_sample_counts_the_same_in_a_median():
    clusters = read_clusters(ANNOTATION, load_vocabulary(POPULATIONS))
    rows = [
        expression_row("a", "cluster_03", "CD3", 0.1),
        expression_row("b", "cluster_03", "CD3", 0.2, 100_000),
        expression_row("c", "cluster_03", "CD3", 0.6),
        expression_row("d", "cluster_03", "CD3", 9.0, n_cells=9),
        expression_row("a", "cluster_04", "CD3", 0.9),
        expression_row("a", "cluster_03", "CD16", 0.8),
        expression_row("a", "cluster_04", "CD16", 0.1),
        expression_row("a", "T_cells", "CD16", 5.0),
    ]
    markers, values = cluster_medians(rows, clusters)
    # CD16 is highest in the first row, CD3 in the second.
    assert markers == ["CD16", "CD3"]
    assert values[:2].tolist() == [[0.8, 0.2], [0.1, 0.9]]
    assert np.isnan(values[2:]).all()


def test_percentages_are_of_all_single_clusters():
    def row(sample, source, population, count):
        keys = ("sample_id", "source", "population", "count")
        return dict(zip(keys, (sample, source, population, count), strict=True))

    rows = [
        row("a", "cluster", "T_cells", "40"),
        row("a", "single_cluster", "live_singlets", "100"),
        row("a", "single_cluster", "cluster_01", "30"),
        row("a", "unstable_single_cluster", "cluster_02", "10"),
        row("b", "single_cluster", "cluster_01", ""),
    ]
    assert cluster_percents(rows) == {"cluster_01": {"a": 75}, "cluster_02": {"a": 25}}


@pytest.fixture
def tables(tmp_path):
    write_rows(tmp_path / "annotation.tsv", list(ANNOTATION[0]), ANNOTATION)
    sheet, counts, expression = [], [], []
    for number in range(3):
        for visit in ("baseline", "month_4"):
            name = f"P{number}_{visit}"
            sheet.append(
                {"sample_id": name, "patient_id": f"P{number}", "treatment": "anti-$IL5"}
                | {"visit": visit, "level": visit, "unit": f"P{number}"}
            )
            for cluster in range(1, 5):
                key = {"sample_id": name, "population": f"cluster_{cluster:02d}"}
                count = 0 if cluster == 2 else 50 * cluster
                counts.append({**key, "source": "single_cluster", "count": count})
                expression.append(expression_row(name, key["population"], "CD3", cluster / 5))
    for name, rows in (("samples", sheet), ("counts", counts), ("expression", expression)):
        write_rows(tmp_path / f"{name}.tsv", list(rows[0]), rows)
    return tmp_path


def draw_clusters(folder):
    names = ("annotation", "counts", "expression", "samples")
    out = {"heat_map_out": [folder / "heat.svg"], "sizes_out": [folder / "sizes.svg"]}
    files = {name: folder / f"{name}.tsv" for name in names}
    plot_clusters(
        **files,
        populations=POPULATIONS,
        levels=["baseline", "month_4"],
        heat_map_out=out["heat_map_out"],
        sizes_out=out["sizes_out"],
    )


def test_heat_map_and_sizes_name_every_cluster(tables):
    draw_clusters(tables)
    titles = {"neutrophils 3", "T cells 4", "T cells 1", "unassigned 2°"}
    assert titles | {"CD3"} <= set(words_of(tables / "heat.svg"))
    assert titles <= set(words_of(tables / "sizes.svg"))
    assert any("anti-$IL5 (n = 3)" in text for text in words_of(tables / "sizes.svg"))


def test_figures_of_no_clusters_say_so(tables):
    write_rows(tables / "annotation.tsv", list(ANNOTATION[0]), [])
    draw_clusters(tables)
    assert "no clusters" in words_of(tables / "heat.svg")


def test_figures_are_the_same_again(tables):
    draw_clusters(tables)
    first = (tables / "heat.svg").read_bytes(), (tables / "sizes.svg").read_bytes()
    draw_clusters(tables)
    assert ((tables / "heat.svg").read_bytes(), (tables / "sizes.svg").read_bytes()) == first


def test_agreement_names_populations_in_order_with_their_cells(tmp_path):
    rows = [
        {"population": name, "f1": f1, "f1_median": f1, "f1_low": f1, "f1_high": f1}
        | {"n_gate": 1200, "n_cluster": 34}
        for name, f1 in (("ILC2", 0.3), ("neutrophils", 0.99), ("pDC", ""))
    ]
    write_rows(tmp_path / "summary.tsv", list(rows[0]), rows)
    plot_agreement(tmp_path / "summary.tsv", POPULATIONS, 0.7, tmp_path / "figure.svg")
    words = words_of(tmp_path / "figure.svg")
    assert words.index("neutrophils") < words.index("ILC2")
    assert "pDC" not in words
    assert words.count("1,200") == 2
    # Vermillion for what is below the border: its bar and its point.
    assert "d55e00" in (tmp_path / "figure.svg").read_text().lower()


def outlier(sample, aspect, x, y, outlier="no", **more):
    patient, visit = sample.split("_", 1)
    return {
        **{"subject": "sample", "sample_id": sample, "patient_id": patient, "visit": visit},
        **{"treatment": "dupilumab", "batch": "lot_1", "stratum": "pbmc", "aspect": aspect},
        **{"mds_1": x, "mds_2": y, "outlier": outlier, "status": "measured", "note": "", **more},
    }


def test_outliers_are_counted_and_named_and_others_are_not(tmp_path):
    rows = [
        outlier("P1_baseline", "composition", 0, 0),
        outlier("P1_month_4", "composition", 3, 1, "yes"),
        outlier("P2_baseline", "composition", 0.5, -1),
        outlier("P1_baseline", "expression", "", "", status="not_possible", note="only 3 samples"),
    ]
    write_rows(tmp_path / "outliers.tsv", list(rows[0]), rows)
    plot_outliers(tmp_path / "outliers.tsv", ["baseline", "month_4"], tmp_path / "figure.svg")
    words = words_of(tmp_path / "figure.svg")
    assert "Composition: 1 outlier among 3 samples" in words
    assert "P1_month_4" in words
    assert "P2_baseline" not in words
    assert "only 3 samples" in words


def test_names_stand_on_the_map_and_never_on_each_other(tmp_path):
    rng = np.random.default_rng(1)
    middles = np.array([[0, 0], [8, 0], [0, 8], [0, 0]])
    names = np.repeat(["neutrophils", "B_cells", "T_cells", "NK_cells"], 200)
    places = np.repeat(middles, 200, axis=0) + rng.normal(0, 0.3, (800, 2))
    # Two kinds of cells at the same place would take the same place for their names.
    places[600:] = places[:200]
    colours = dict.fromkeys(names, "#0072B2")
    visits = np.tile(["baseline", "month_4"], 400)
    panels = [
        MapPanel("Population", [*names], colours, on_map=True),
        MapPanel("Visit", [*visits], {"baseline": "#0072B2", "month_4": "#D55E00"}),
        MapPanel(
            "Patient", [f"P{i % 9}" for i in range(800)], {f"P{i}": "#000000" for i in range(9)}
        ),
    ]
    draw_cell_maps(places, panels, "of 2 samples", tmp_path / "map.svg")
    words = words_of(tmp_path / "map.svg")
    assert {"neutrophils", "B cells", "T cells", "NK cells", "baseline", "month 4"} <= set(words)
    assert any(text.startswith("9, a colour each") for text in words)
    assert "P3" not in words
    svg = (tmp_path / "map.svg").read_text(encoding="utf-8")
    place = r'x="([-\d.]+)" y="([-\d.]+)"[^>]*>'
    labels = [
        tuple(map(float, re.search(place + name, svg).groups()))
        for name in ("neutrophils", "B cells", "T cells", "NK cells")
    ]
    apart = [
        max(abs(a[0] - b[0]) / 20, abs(a[1] - b[1]) / 5)
        for i, a in enumerate(labels)
        for b in labels[:i]
    ]
    assert min(apart) > 1


def test_a_map_of_no_cells_says_so(tmp_path):
    panels = [MapPanel("Population", [], {}, on_map=True)]
    draw_cell_maps(np.zeros((0, 2)), panels, "of 0 samples", tmp_path / "map.svg")
    assert "no cells" in words_of(tmp_path / "map.svg")
