import numpy as np
import pytest

from biocross.simulate.composition import (
    Tree,
    cells_per_ul,
    log_fold_changes,
    log_odds_ratios,
    usual_sizes,
)


def tree(between=0.3, within=0.1):
    # 0 and 1 below the root; 2 and 3 are parts of 1, 4 and 5 of 3.
    return Tree(
        part_of=np.array([-1, -1, 1, 1, 3, 3]),
        size=np.array([4000.0, 2000.0, 0.7, 0.1, 0.5, 0.5]),
        lower=np.zeros(6),
        upper=np.full(6, np.inf),
        between=np.full(6, between),
        within=np.full(6, within),
    )


def test_parts_sum_to_their_whole_in_every_sample():
    rng = np.random.default_rng(0)
    cells = cells_per_ul(tree(), rng.standard_normal((50, 6)), rng.standard_normal((50, 6)))
    np.testing.assert_allclose(cells[:, 2] + cells[:, 3], cells[:, 1])
    np.testing.assert_allclose(cells[:, 4] + cells[:, 5], cells[:, 3])
    assert cells[:, 0].std() > 100


def test_without_variation_sizes_are_as_described():
    cells = cells_per_ul(tree(0, 0), np.ones((1, 6)), np.ones((1, 6)))
    np.testing.assert_allclose(cells[0], [4000, 2000, 1750, 250, 125, 125])


def test_sds_of_the_logarithm_are_as_described():
    rng = np.random.default_rng(1)
    z, no = rng.standard_normal((20_000, 6)), np.zeros((20_000, 6))
    assert np.log(cells_per_ul(tree(), z, no)[:, 0]).std() == pytest.approx(0.3, rel=0.03)
    assert np.log(cells_per_ul(tree(), no, z)[:, 0]).std() == pytest.approx(0.1, rel=0.03)


def test_limits_bound_the_usual_size():
    bounded = tree()
    bounded.upper[0], bounded.lower[0] = 4100, 3900
    sizes = usual_sizes(bounded, np.array([[9.0] * 6, [-9.0] * 6]))
    np.testing.assert_allclose(sizes[:, 0], [4100, 3900])


def test_a_loss_raises_the_odds_of_the_others_and_leaves_their_numbers():
    before = np.array([[4000.0, 1000.0, 5000.0]])
    after = before * [1, 0.15, 1]
    members = np.eye(3, dtype=bool)
    everything = np.ones((3, 3), dtype=bool)
    odds = log_odds_ratios(before, after, members, everything)[0]
    # 4000 of 10,000 become 4000 of 9,150.
    assert odds[0] == pytest.approx(np.log(4000 / 5150) - np.log(4000 / 6000))
    assert odds[1] == pytest.approx(np.log(0.15))
    assert odds[2] == pytest.approx(np.log(5000 / 4150) - np.log(5000 / 5000))
    folds = log_fold_changes(before, after, members)[0]
    np.testing.assert_allclose(folds, [0, np.log(0.15), 0], atol=1e-12)


def test_a_whole_changes_by_what_its_parts_change():
    before = np.array([[60.0, 40.0]])
    folds = log_fold_changes(before, before * [1.5, 1], np.array([[True, True]]))
    assert folds[0, 0] == pytest.approx(np.log(1.3))
