import numpy as np
import pytest

from biocross.statistics.kernels.counting_noise import (
    counting_variance,
    expected_events,
    odds_ratio_of_fold,
)
from biocross.statistics.kernels.scale import logit_of_counts


@pytest.mark.parametrize(("share", "total"), [(0.001, 20_000), (0.4, 200), (0.97, 5_000)])
def test_counting_alone_varies_the_logit_as_much(share, total):
    counts = np.random.default_rng(1).binomial(total, share, 40_000)
    seen = logit_of_counts(counts, total).var()
    assert counting_variance(share * total, total) == pytest.approx(seen, rel=0.06)


def test_missing_counts_have_no_noise():
    assert np.isnan(counting_variance(np.nan, 100))


def test_a_fold_of_a_large_population_is_a_larger_ratio_of_odds():
    assert odds_ratio_of_fold(1.5, 0.4) == pytest.approx(2.25)
    assert odds_ratio_of_fold(1.5, 1e-5) == pytest.approx(1.5, rel=1e-4)
    assert odds_ratio_of_fold(0.5, 0.4) == pytest.approx((0.2 / 0.8) / (0.4 / 0.6))


@pytest.mark.parametrize(("fold", "share"), [(1.5, 0.7), (2, 0.5), (1.5, 0), (1.5, 1), (2, np.nan)])
def test_a_population_cannot_outgrow_its_parent(fold, share):
    assert np.isnan(odds_ratio_of_fold(fold, share))


def test_events_follow_the_odds():
    after = expected_events([40, 0, 10, 0], [100, 100, 10, 0], 2.25)
    np.testing.assert_allclose(after, [60, 0, 10, 0])
