"""Quartiles of columns, against NumPy column by column."""

import numpy as np
import pytest

from biocross.statistics.kernels.quartiles import column_quartiles


@pytest.mark.parametrize("rows", [1, 2, 3, 8, 41])
def test_quartiles_are_those_of_numpy(rows):
    random = np.random.default_rng(rows)
    values = random.lognormal(size=(rows, 7))
    values[random.random(values.shape) < 0.3] = np.nan
    values[:, 0] = np.nan
    found = column_quartiles(values)
    assert np.isnan(found[:, 0]).all()
    for column in range(1, 7):
        known = values[~np.isnan(values[:, column]), column]
        expected = np.quantile(known, [0.25, 0.5, 0.75]) if known.size else [np.nan] * 3
        np.testing.assert_allclose(found[:, column], expected, rtol=1e-12)


def test_no_rows():
    assert column_quartiles(np.empty((0, 2))).shape == (3, 2)
    assert np.isnan(column_quartiles(np.empty((0, 2)))).all()
