import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import stats

from biocross.statistics.kernels.multiplicity import benjamini_hochberg

P_OR_MISSING = st.floats(0, 1) | st.just(np.nan)
FAMILIES = npst.arrays(np.float64, st.integers(1, 40), elements=P_OR_MISSING)


@given(npst.arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 1)))
def test_equals_scipy_where_all_were_tested(p):
    np.testing.assert_allclose(benjamini_hochberg(p), stats.false_discovery_control(p), rtol=1e-12)


@given(FAMILIES)
def test_missing_tests_stay_missing_and_do_not_count(p):
    q = benjamini_hochberg(p)
    tested = ~np.isnan(p)
    np.testing.assert_array_equal(np.isnan(q), ~tested)
    np.testing.assert_array_equal(q[tested], benjamini_hochberg(p[tested]))


@given(FAMILIES)
def test_q_is_a_probability_never_below_p_and_in_the_order_of_p(p):
    p = p[~np.isnan(p)]
    q = benjamini_hochberg(p)
    assert (q >= p).all()
    assert (q <= 1).all()
    assert (np.diff(q[np.argsort(p)]) >= 0).all()


def test_worked_example():
    q = benjamini_hochberg([0.04, np.nan, 0.01, 0.03, 0.9])
    np.testing.assert_allclose(q, [0.16 / 3, np.nan, 0.04, 0.16 / 3, 0.9])


def test_rows_of_a_stack_are_families_of_their_own():
    p = np.random.default_rng(3).random((6, 25)) ** 2
    p[1, :20], p[2] = np.nan, np.nan
    np.testing.assert_array_equal(benjamini_hochberg(p), [benjamini_hochberg(row) for row in p])
    assert benjamini_hochberg([]).shape == (0,)


@pytest.mark.parametrize("p", [[-0.1, 0.5], [0.2, 1.5]])
def test_impossible_p_values_are_refused(p):
    with pytest.raises(ValueError, match="between 0 and 1"):
        benjamini_hochberg(p)
