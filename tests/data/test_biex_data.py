"""FlowJo's own look-up table, exported: the parameters stand in the name of the file."""

import csv
import re

import numpy as np
import pytest

from biocross.flow.transforms import Transform, apply_transform, invert_transform

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def exported(test_data):
    (path,) = (test_data / "flowkit" / "flowjo_xforms").glob("*.csv")
    named = re.fullmatch(r"tr_biex_l256_w(.*)_n(.*)_m(.*)_r(.*)", path.stem)
    width_basis, negative, positive, top = map(float, named.groups())
    with path.open(newline="") as lines:
        _, *rows = csv.reader(lines)
    transform = Transform("biex", top, positive, negative=negative, width_basis=width_basis)
    return transform, np.array(rows, dtype=float).T


def test_channels_are_where_flowjo_has_them(exported):
    transform, (channels, values) = exported
    np.testing.assert_array_equal(channels, np.arange(4096))
    # The table gives six digits.
    np.testing.assert_allclose(invert_transform(channels, transform), values, rtol=6e-6, atol=6e-6)


def test_values_get_flowjo_s_channels(exported):
    transform, (channels, values) = exported
    displayed = apply_transform(values.astype(np.float32), transform)
    np.testing.assert_allclose(displayed, channels, rtol=0, atol=0.005)
