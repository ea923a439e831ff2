import pytest
from clustered_cells import VOCABULARY

from biocross.cohort.vocabulary import UNASSIGNED, Population
from biocross.flow.clusters.groups import (
    Named,
    cluster_name,
    named_clusters,
    population_groups,
    single_groups,
)


@pytest.fixture(scope="module")
def vocabulary():
    return {
        name: Population(name, entry["parent"], entry.get("gated_under", entry["parent"]))
        for name, entry in VOCABULARY.items()
    }


NAMED = [
    Named(1, "CD4_T", stable=True),
    Named(2, "T_cells", stable=True),
    Named(3, "CD4_T", stable=False),
    Named(4, UNASSIGNED, stable=True),
    Named(12, "ILC2", stable=False, zoomed=True),
]


def by_population(groups):
    return {group.population: group for group in groups}


def test_clusters_merge_into_all_that_holds_them(vocabulary):
    groups = population_groups(NAMED, {}, vocabulary)
    found = {g.population: (g.parent, g.clusters) for g in groups}
    assert found == {
        "live": ("", (1, 2, 3, 4, 12)),
        "leukocytes": ("live", (1, 2, 3, 12)),
        "lymphocytes": ("leukocytes", (1, 2, 3, 12)),
        "T_cells": ("lymphocytes", (1, 2, 3)),
        "CD4_T": ("T_cells", (1, 3)),
        "ILC": ("lymphocytes", (12,)),
        "ILC2": ("ILC", (12,)),
    }
    # In order of the vocabulary.
    assert [*found] == [name for name in VOCABULARY if name in found]


def test_a_population_without_cluster_is_unknown_not_zero(vocabulary):
    sought = {"B_cells": False, "CD4_T": True, "ILC3": False}
    found = by_population(population_groups(NAMED, sought, vocabulary))
    assert found["B_cells"].clusters is None
    assert found["B_cells"].source == "cluster"
    assert (found["ILC3"].parent, found["ILC3"].clusters) == ("ILC", None)
    assert "NK" not in found


def test_the_parent_is_one_that_has_clusters(vocabulary):
    found = by_population(
        population_groups([Named(4, UNASSIGNED, True)], {"CD4_T": True}, vocabulary)
    )
    assert found["CD4_T"].parent == "live"


def test_unstable_populations_have_a_source_of_their_own(vocabulary):
    sought = {"CD4_T": False, "T_cells": True, "ILC2": False}
    sources = {g.population: g.source for g in population_groups(NAMED, sought, vocabulary)}
    unstable = {name for name, source in sources.items() if source == "unstable_cluster"}
    assert unstable == {"CD4_T", "ILC2"}
    assert {*sources.values()} == {"cluster", "unstable_cluster"}


def test_single_clusters(vocabulary):
    found = [tuple(group) for group in single_groups(NAMED, vocabulary)]
    assert found == [
        ("single_cluster", "cluster_01", "T_cells", (1,)),
        ("single_cluster", "cluster_02", "lymphocytes", (2,)),
        ("unstable_single_cluster", "cluster_03", "T_cells", (3,)),
        ("single_cluster", "cluster_04", "live", (4,)),
        ("unstable_single_cluster", "cluster_12", "ILC", (12,)),
    ]
    # Every denominator is counted.
    counted = {group.population for group in population_groups(NAMED, {}, vocabulary)}
    assert {parent for _, _, parent, _ in found} <= counted


def test_a_cluster_of_the_root_is_a_share_of_it(vocabulary):
    (group,) = single_groups([Named(1, "live", stable=True)], vocabulary)
    assert (group.parent, group.clusters) == ("live", (1,))


def test_names_of_clusters():
    assert [cluster_name(n) for n in (3, 42, 120)] == ["cluster_03", "cluster_42", "cluster_120"]


def test_rows_of_the_annotation():
    rows = [
        {"cluster": "3", "map": "main", "population": "NK", "stable": "yes", "used": "yes"},
        {"cluster": "5", "map": "ILC", "population": "NK", "stable": "no", "used": "no"},
        {"cluster": "4", "map": "ILC", "population": "ILC2", "stable": "no", "used": "yes"},
    ]
    assert named_clusters(rows) == [
        Named(3, "NK", stable=True, zoomed=False),
        Named(4, "ILC2", stable=False, zoomed=True),
    ]
