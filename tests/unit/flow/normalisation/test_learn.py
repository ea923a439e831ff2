from pathlib import Path

import numpy as np
import pytest

from biocross.errors import DesignError
from biocross.flow.normalisation.design import BatchSample
from biocross.flow.normalisation.functions import groups_of_columns, moves_of_batch
from biocross.flow.normalisation.learn import (
    learn_clusters,
    learn_from_anchors,
    learn_from_range,
    pool_anchors,
)
from biocross.flow.normalisation.shares import Share, columns_of, spread


def share(values, batch, visit="", patient="", role="sample"):
    values = np.asarray(values, dtype=np.float32)
    values = values[:, None] if values.ndim == 1 else values
    sample = BatchSample(Path("x.arrow"), batch, visit, patient, role)
    return Share(sample, values, frozenset({"CD3"}))


@pytest.mark.parametrize("further", [[], [("B", "V2", 5)]])
def test_range_is_not_led_astray_by_unequal_visits(further):
    """Batches that differ in how many samples of which visit they hold, and in nothing else."""
    plan = [("A", "V0", 9), ("A", "V1", 1), ("B", "V0", 1), ("B", "V1", 9), *further]
    shares = [
        share(np.linspace(0, 1, 200) + int(visit[1]), batch, visit)
        for batch, visit, n in plan
        for _ in range(n)
    ]
    functions = learn_from_range(shares, ["CD3"], "mean")
    np.testing.assert_allclose(functions.source[0], functions.source[1])
    np.testing.assert_allclose(functions.target, functions.source)
    np.testing.assert_allclose(functions.source[0, 0, 0], [0.51, 1.49])


def test_range_of_too_few_events():
    shares = [share(np.ones(100), "A", "V0"), share(np.ones(20), "B", "V0")]
    with pytest.raises(DesignError, match='batch "B" have fewer than 50 usable events of CD3'):
        learn_from_range(shares, ["CD3"], "mean")


def test_donors_are_mixed_alike_in_every_batch():
    sizes = {("A", "x"): 100, ("A", "y"): 50, ("B", "x"): 80, ("B", "y"): 200}
    shares = [
        share(np.full(n, donor == "x"), batch, "", donor, "anchor")
        for (batch, donor), n in sizes.items()
    ]
    pools = pool_anchors(shares)
    assert {batch: (len(v), v.sum()) for batch, v in pools.items()} == {
        "A": (130, 80),
        "B": (130, 80),
    }
    alone = pool_anchors(shares[::2])
    assert {batch: len(values) for batch, values in alone.items()} == {"A": 100, "B": 80}


def test_events_with_missing_values_are_left_out():
    values = np.ones((60, 2), dtype=np.float32)
    values[:5, 1], values[5, 0] = np.nan, np.inf
    assert len(pool_anchors([share(values, "A", role="anchor")])["A"]) == 54


def test_clusters_are_of_cells_not_of_batches():
    """One batch is shifted as far as populations lie apart."""
    random = np.random.default_rng(2)
    pools = {}
    for batch, shift in (("A", 0.0), ("B", 1.5)):
        population = np.repeat(
            [[0.0, 0], [1.5, 0], [0, 1.5], [3, 3]], [2000, 800, 400, 200], axis=0
        )
        values = population + random.normal(0, 0.15, population.shape) + shift
        pools[batch] = values.astype(np.float32)
    markers = ["CD3", "CD4"]
    clusters = learn_clusters(pools, markers, markers, "mean", 4, 0)
    functions = learn_from_anchors(pools, markers, clusters, "mean")
    for values, batch in zip(pools.values(), pools, strict=True):
        moves = moves_of_batch(functions, batch)
        groups = groups_of_columns(functions, moves, columns_of(values, markers))
        assert np.bincount(groups, minlength=5)[1:] == pytest.approx([2000, 800, 400, 200], abs=20)


def test_spread():
    assert spread(np.arange(10), 20).tolist() == list(range(10))
    assert spread(np.arange(10) + 5, 5).tolist() == [5, 7, 9, 11, 13]
