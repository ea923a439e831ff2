import numpy as np
import pytest

from biocross.cohort.vocabulary import Population
from biocross.errors import ConfigError
from biocross.flow.clusters.annotation import Annotation
from biocross.flow.clusters.label_sheet import apply_labels, read_cluster_labels

VOCABULARY = {name: Population(name, None, None) for name in ("T_cells", "ILC2", "B_cells")}
CLUSTERS = {1: "main", 2: "main", 3: "zoom"}


@pytest.fixture
def read(tmp_path):
    def run(*rows, header="map_id cluster population note"):
        path = tmp_path / "cluster_labels.tsv"
        cells = (
            [c.replace("_", " ") if c.startswith("my") else c for c in r.split()] for r in rows
        )
        lines = ["\t".join(header.split()), *("\t".join(row) for row in cells)]
        path.write_text("\n".join(lines) + "\n")
        return read_cluster_labels(path, "m1", CLUSTERS, VOCABULARY)

    return run


@pytest.fixture
def errors(read, tmp_path):
    def run(*rows, **kwargs):
        with pytest.raises(ConfigError) as caught:
            read(*rows, **kwargs)
        start = f"{tmp_path / 'cluster_labels.tsv'} "
        return [line.removeprefix(start) for line in str(caught.value).splitlines()]

    return run


def test_labels(read):
    labels, problems = read("m1 1 T_cells my_reason", "m1 3 unassigned")
    assert labels == {1: "T_cells", 3: "unassigned"}
    assert problems == []


def test_unknown_population(errors):
    assert errors("m1 1 ILC_2") == [
        'row 2: "ILC_2" is no population of the vocabulary; did you mean "ILC2"?'
    ]


def test_unknown_cluster_is_a_caution(read):
    labels, problems = read("m1 1 T_cells", "m1 9 ILC2")
    assert labels == {1: "T_cells"}
    (problem,) = problems
    assert not problem.is_error
    assert problem.row == 3
    assert problem.message == "the map has no cluster 9; this row is not used"


def test_another_map_is_refused_once(errors):
    (sentence,) = errors("m1 1 T_cells", "m0 1 B_cells", "m0 2 B_cells")
    assert sentence.startswith('row 3: 2 rows of map "m0", but the map in use is "m1"')
    assert "write its map_id" in sentence


def test_cluster_twice_and_wrong_map(errors):
    rows = ("m1 1 main T_cells", "m1 1 main ILC2", "m1 3 main ILC2")
    assert errors(*rows, header="map_id cluster map population") == [
        "row 3: cluster 1 is already in row 2; keep one of them",
        "row 4: cluster 3 belongs to the map zoom; correct the row",
    ]


@pytest.mark.parametrize("cluster", ["0", "1.5", "one", "-1"])
def test_cluster_is_a_number(errors, cluster):
    assert '"cluster" is' in errors(f"m1 {cluster} T_cells")[0]


def test_map_id_is_needed(errors):
    assert errors("1 T_cells", header="cluster population") == ['row 1: column "map_id" is missing']


def test_sheet_wins_over_phenotype():
    given = [
        Annotation(1, "T_cells", 0.9, 0.8, "NK_cells", "CD3+ .90"),
        Annotation(2, "ILC", 0.6, 0.5),
    ]
    first, second = apply_labels(given, {2: "ILC2"})
    assert first == given[0]
    assert (second.population, second.given_by, second.runner_up) == ("ILC2", "sheet", "ILC")
    assert np.isnan([second.score, second.margin]).all()
