import numpy as np
import pytest
from clustered_cells import (
    LINEAGE,
    MAIN_KINDS,
    ZOOM_KINDS,
    Clustering,
    draw,
    map_of_kinds,
    write_sample,
)

from biocross.flow.clusters.counting import COUNT_COLUMNS, EXPRESSION_COLUMNS
from biocross.flow.clusters.mapping import summarise_clusters
from biocross.flow.events import read_columns
from biocross.tables import read_rows

CELLS = {kind: 20 + 7 * i for i, kind in enumerate(MAIN_KINDS)}
MAIN = dict(zip(MAIN_KINDS, range(1, 9), strict=True))
ZOOM = dict(zip(ZOOM_KINDS, range(9, 12), strict=True))
# ILC are taken from the first map; what else lacks lineage markers is not.
CLUSTER_OF = {**MAIN, "ILC2": ZOOM["ILC2"], "ILC3": ZOOM["ILC3"]}


@pytest.fixture(scope="module")
def clustering(tmp_path_factory):
    found = Clustering(tmp_path_factory.mktemp("clusters"))
    # Half of the NK cells do not come back as such; of the map of the ILC nothing is known.
    reruns = [("main", "seeds", 0, n, n, 50 if n == MAIN["NK"] else 100) for n in MAIN.values()]
    reruns.append(("main", "seeds", 0, MAIN["NK"], MAIN["null"], 50))
    found.train_by_hand(reruns=reruns, stability={MAIN["NK"]: 0.2})
    found.name()
    return found


@pytest.fixture
def sample(clustering):
    """Write a sample of drawn cells, changed at will; return its path and the true kinds."""

    def write(name, cells=CELLS, without=(), change=None, quality=None, **meta):
        values, kinds = draw(cells, seed=7)
        if change:
            change(values)
        kept = {marker: column for marker, column in values.items() if marker not in without}
        return write_sample(clustering.path(f"{name}.arrow"), kept, quality, **meta), kinds

    return write


def labels_of(clustering, path):
    columns, meta = read_columns(clustering.path(f"{path.stem}.labels.arrow"))
    assert meta == {"sample_id": path.stem}
    assert columns["cluster"].dtype == np.uint16
    return columns["cluster"]


def counts_by_name(rows):
    return {row["population"]: (row["count"], row["parent_count"]) for row in rows}


def test_every_event_goes_to_its_cluster(clustering, sample):
    path, kinds = sample("A")
    clustering.map(path)
    assert labels_of(clustering, path).tolist() == [CLUSTER_OF[kind] for kind in kinds.tolist()]


def test_counts_are_those_of_the_kinds(clustering, sample):
    path, _ = sample("B")
    rows, _ = clustering.map(path)
    found = counts_by_name(rows)
    n = {**CELLS, "all": sum(CELLS.values())}
    n["T"], n["ILC"] = n["CD4_T"] + n["CD8_T"], n["ILC2"] + n["ILC3"]
    n["lymphocytes"] = n["T"] + n["B_cells"] + n["NK"] + n["ILC"]
    n["leukocytes"] = n["all"] - n["debris"]
    expected = {
        "live": ("all", "all"),
        "leukocytes": ("leukocytes", "all"),
        "lymphocytes": ("lymphocytes", "leukocytes"),
        "T_cells": ("T", "lymphocytes"),
        "CD8_T": ("CD8_T", "T"),
        "NK": ("NK", "lymphocytes"),
        "ILC": ("ILC", "lymphocytes"),
        "ILC2": ("ILC2", "ILC"),
        "cluster_01": ("debris", "all"),
        "cluster_02": ("CD4_T", "T"),
        "cluster_06": ("null", "all"),
    }
    assert {name: found[name] for name in expected} == {
        name: (str(n[own]), str(n[parent])) for name, (own, parent) in expected.items()
    } | {"cluster_06": (str(n["null"]), str(n["all"]))}
    # The panel can tell monocytes, but no cluster is of their kind.
    assert found["monocytes"] == ("", str(n["leukocytes"]))
    assert not {"gd_T", "cluster_09", "cluster_11"} & set(found)
    # One by one the clusters of the map of all events keep what the map of the ILC looks at.
    assert found["cluster_07"][0] == str(n["ILC2"])
    assert found["cluster_08"][0] == str(n["ILC3"])


def test_what_is_unstable_has_a_source_of_its_own(clustering, sample):
    for rows in clustering.map(sample("M")[0]):
        source = {row["population"]: row["source"] for row in rows}
        assert source["cluster_05"] == "unstable_single_cluster"
        assert source["cluster_04"] == source["cluster_07"] == "single_cluster"
        assert source["NK"] == source["ILC"] == source["ILC2"] == "unstable_cluster"
        assert source["T_cells"] == source["live"] == source["leukocytes"] == "cluster"


def test_a_population_that_a_sample_lacks_counts_zero(clustering, sample):
    path, _ = sample("C", {**CELLS, "B_cells": 0})
    rows, expression = clustering.map(path)
    found = counts_by_name(rows)
    assert found["B_cells"][0] == found["cluster_04"][0] == "0"
    own = [row for row in expression if row["population"] == "B_cells"]
    assert {row["n_cells"] for row in own} == {"0"}
    assert {row["value"] for row in own} == {""}


def test_markers_on_the_populations(clustering, sample):
    path, kinds = sample("D")
    _, rows = clustering.map(path)
    values, _ = draw(CELLS, seed=7)
    found = {(row["population"], row["marker"]): row for row in rows}
    # Lineage and state markers, not scatter.
    assert {row["marker"] for row in rows} == {*LINEAGE, "HLA-DR"}
    for population, kind, marker in (
        ("B_cells", "B_cells", "HLA-DR"),
        ("cluster_07", "ILC2", "CRTH2"),
        ("CD4_T", "CD4_T", "CD8"),
    ):
        cells = values[marker][kinds == kind]
        row = found[population, marker]
        assert float(row["value"]) == pytest.approx(np.median(cells), rel=1e-6)
        assert float(row["sd"]) == pytest.approx(cells.std(ddof=1), rel=1e-5)
        assert (row["n_cells"], row["n_positive"]) == (str(cells.size), "")
    assert not any(row["population"] == "monocytes" for row in rows)


def test_flagged_events_and_values_that_are_no_number(clustering, sample):
    def spoil(values):
        values["CD3"][:10] = np.nan
        values["CD4"][10:20] = np.inf
        values["HLA-DR"][:100] = np.nan

    flags = np.zeros(sum(CELLS.values()), np.uint8)
    flags[20:30] = 4
    path, kinds = sample("E", change=spoil, quality=flags)
    rows, expression = clustering.map(path)
    expected = [CLUSTER_OF[kind] for kind in kinds.tolist()]
    assert labels_of(clustering, path).tolist() == [0] * 30 + expected[30:]
    assert counts_by_name(rows)["live"] == (str(kinds.size - 30), str(kinds.size - 30))
    found = {(row["population"], row["marker"]): row for row in expression}
    # An event may lack what is no axis.
    assert int(found["live", "HLA-DR"]["n_cells"]) == kinds.size - 100
    assert int(found["live", "CD3"]["n_cells"]) == kinds.size - 30


def test_a_sample_without_an_axis_is_not_mapped(clustering, sample, capsys):
    path, kinds = sample("F", without=("CD4", "CD56"))
    rows, expression = clustering.map(path)
    assert "F is not mapped: it lacks CD4, CD56" in capsys.readouterr().out
    assert {(row["count"], row["parent_count"]) for row in rows} == {("", "")}
    assert "T_cells" in counts_by_name(rows)
    assert expression == []
    # As many as events, so that they can be looked up.
    assert labels_of(clustering, path).tolist() == [0] * kinds.size


def test_a_sample_without_a_marker_that_is_no_axis(clustering, sample):
    path, kinds = sample("G", without=("HLA-DR", "FSC-A"))
    rows, expression = clustering.map(path)
    assert counts_by_name(rows)["live"][0] == str(kinds.size)
    assert "HLA-DR" not in {row["marker"] for row in expression}


def test_a_file_that_was_not_read(clustering, sample, capsys):
    empty = dict.fromkeys(CELLS, 0)
    path, _ = sample("H", empty, excluded="the file is cut off")
    rows, expression = clustering.map(path)
    assert "H is not mapped: its file was not read" in capsys.readouterr().out
    assert {row["count"] for row in rows} == {""}
    assert expression == []
    assert labels_of(clustering, path).size == 0


@pytest.mark.parametrize("n", [10, 0])
def test_few_events(clustering, sample, n):
    path, _ = sample(f"few{n}", {"NK": n})
    rows, expression = clustering.map(path)
    found = counts_by_name(rows)
    assert found["NK"] == found["lymphocytes"] == (str(n), str(n))
    assert found["CD4_T"] == ("0", "0")
    assert {row["n_cells"] for row in expression} == {str(n), "0"}


def test_the_prefix_of_the_source(clustering, sample):
    path, _ = sample("I")
    plain, prefixed = clustering.map(path), clustering.map(path, "normalised_")
    for one, other in zip(plain, prefixed, strict=True):
        assert [f"normalised_{row['source']}" for row in one] == [row["source"] for row in other]
        assert [{**row, "source": ""} for row in one] == [{**row, "source": ""} for row in other]


def test_tables_of_all_samples(clustering, sample):
    paths = [sample(name)[0] for name in ("J", "K")]
    tables = [clustering.map(path) for path in paths]
    out = [clustering.path(f"all.{name}.tsv") for name in ("counts", "expression")]
    summarise_clusters(
        *(
            [clustering.path(f"{path.stem}.{name}.tsv") for path in paths]
            for name in ("counts", "expression")
        ),
        *out,
    )
    for place, columns in enumerate((COUNT_COLUMNS, EXPRESSION_COLUMNS)):
        rows = read_rows(out[place])
        assert tuple(rows[0]) == columns
        assert rows == [row for table in tables for row in table[place]]


def test_without_a_zoom(clustering, sample, tmp_path):
    from biocross.flow.clusters.flow_map import Maps

    other = Clustering(tmp_path)
    other.train_by_hand(Maps(map_of_kinds(MAIN_KINDS, LINEAGE)))
    other.name()
    path, kinds = sample("L")
    other.map(path)
    assert labels_of(other, path).tolist() == [MAIN[kind] for kind in kinds.tolist()]
