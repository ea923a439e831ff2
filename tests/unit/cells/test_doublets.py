import numpy as np
import pytest
from scipy import sparse
from threadpoolctl import threadpool_limits

from biocross.cells.doublets import (
    DoubletScores,
    call_doublets,
    expected_rate,
    find_valley,
    score_doublets,
)

KINDS, GENES = 5, 1500


def library(n_cells, doublets, seed=3):
    """Cells of five kinds, the first ones doublets of two kinds."""
    random = np.random.default_rng(seed)
    base = random.lognormal(-1, 1.5, GENES)
    own = [base * np.where(random.random(GENES) < 0.05, 6.0, 1.0) for _ in range(KINDS)]
    profiles = np.array([profile / profile.sum() for profile in own])
    kind = random.integers(0, KINDS, n_cells)
    size = random.lognormal(np.log(2500), 0.3, n_cells)
    means = size[:, None] * profiles[kind]
    other = (kind[:doublets] + 1) % KINDS
    means[:doublets] += random.lognormal(np.log(2500), 0.3, doublets)[:, None] * profiles[other]
    return sparse.csr_matrix(random.poisson(means).astype(np.int32))


@pytest.fixture(scope="module")
def cells():
    return library(1200, 48)


@pytest.fixture(scope="module")
def scores(cells):
    return score_doublets(cells, 0.04, seed=1)


def test_planted_doublets_are_called(scores):
    call = call_doublets(scores, 0.04)
    assert call.flagged[:48].mean() > 0.9
    assert call.flagged[48:].mean() < 0.01
    assert call.note.startswith("score above")


def test_scores_lie_between_0_and_1(scores):
    every = np.concatenate(scores)
    assert every.min() > 0
    assert every.max() < 1


def test_threads_do_not_change_a_bit(cells, scores):
    with threadpool_limits(2):
        again = score_doublets(cells, 0.04, seed=1)
    np.testing.assert_array_equal(again.cells, scores.cells)
    other = score_doublets(cells, 0.04, seed=2)
    assert not np.array_equal(other.cells, scores.cells)


def test_the_expected_share_is_called_where_the_threshold_calls_too_few(scores):
    call = call_doublets(scores, 0.3)
    assert call.note.startswith("the expected share is called")
    assert 0.2 < call.flagged.mean() <= 0.3
    assert call.flagged[:48].all()


def test_the_expected_share_is_called_where_the_threshold_calls_too_many(scores):
    call = call_doublets(scores, 0.005)
    assert "0.5% are expected" in call.note
    assert 0 < call.flagged.mean() <= 0.005


def test_one_mode_calls_nobody():
    random = np.random.default_rng(0)
    simulated = 1 / (1 + np.exp(-random.normal(0, 0.3, 2000)))
    scores = DoubletScores(1 / (1 + np.exp(-random.normal(-1, 0.3, 1000))), simulated)
    call = call_doublets(scores, 0.05)
    assert call.note.startswith("not_possible")
    assert not call.flagged.any()


def test_where_most_cells_score_like_doublets_none_is_called(scores):
    call = call_doublets(DoubletScores(np.full(100, 0.9), scores.simulated), 0.05)
    assert call.note.startswith("not_possible")
    assert not call.flagged.any()


def test_cells_of_one_kind_have_no_recognisable_doublets():
    random = np.random.default_rng(0)
    profile = random.lognormal(-1, 1.7, 1000)
    size = random.lognormal(8, 0.3, 600)[:, None]
    counts = random.poisson(size * profile / profile.sum()).astype(np.int32)
    call = call_doublets(score_doublets(sparse.csr_matrix(counts), 0.02, 0), 0.02)
    assert not call.flagged.any()
    assert call.note.startswith("not_possible")


def test_valley_lies_between_two_modes():
    random = np.random.default_rng(1)
    odds = np.concatenate([random.normal(-4, 0.4, 4000), random.normal(-1, 0.6, 2000)])
    valley = find_valley(1 / (1 + np.exp(-odds)))
    assert np.log(valley / (1 - valley)) == pytest.approx(-2.7, abs=0.3)
    assert find_valley(1 / (1 + np.exp(-odds[:4000]))) is None
    # A few stray scores are no second mode.
    assert find_valley(1 / (1 + np.exp(-odds[:4100]))) is None


def test_rate_is_8_per_thousand_for_a_thousand_cells():
    assert expected_rate(1000) == pytest.approx(0.008)
    assert expected_rate(10_000) == pytest.approx(0.08)
    assert expected_rate(1_000_000) < 0.5


def test_a_few_low_scores_are_no_mode_either():
    odds = np.append(np.random.default_rng(1).normal(-1, 0.4, 3000), np.full(30, -8.0))
    assert find_valley(1 / (1 + np.exp(-odds))) is None
