"""Five files of flowCore's `compdata`, and the matrices that flowCore computed from them.

`compref` and `compref1` are its medians. `compref2` assigns FL3 and FL4 the wrong way round on
purpose. `compref3` and `compref4` are its modes after a scatter gate: for the dim and smeared FL3
control they are off by up to 0.43 from its own medians, and no method can equal both.
"""

import csv

import numpy as np
import pytest

from biocross.errors import ConfigError
from biocross.flow.spillover_tables import read_spillover
from biocross.flow.stain_controls import Control, estimate_spillover

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def folder(test_data):
    return test_data / "single_stains"


@pytest.fixture(scope="module")
def controls(folder):
    with (folder / "comp_match").open(newline="") as lines:
        return [
            Control(folder / row["filename"], None)
            if row["channel"] == "unstained"
            else Control(folder / row["filename"], row["channel"])
            for row in csv.DictReader(lines)
        ]


@pytest.mark.parametrize("name", ["compref", "compref1"])
def test_equals_the_reference(folder, controls, name):
    spillover, rows = estimate_spillover(controls)
    reference = read_spillover(folder / name)
    assert spillover.channels == reference.channels
    np.testing.assert_allclose(spillover.matrix, reference.matrix, atol=0.01)
    assert all(row["n_positive"] > 6000 for row in rows)


@pytest.mark.parametrize("name", ["compref3", "compref4"])
def test_bright_controls_equal_the_modes_too(folder, controls, name):
    spillover, _ = estimate_spillover(controls)
    bright = [0, 1, 3]
    reference = read_spillover(folder / name).matrix[bright]
    np.testing.assert_allclose(spillover.matrix[bright], reference, atol=0.01)


def test_dim_control_is_said_to_be_uncertain(controls):
    """The methods differ in FL3 into FL4: .23 by medians, .20 event by event."""
    by_median, rows = estimate_spillover(controls)
    by_residual, _ = estimate_spillover(controls, method="residual")
    differing = np.argwhere(np.abs(by_median.matrix - by_residual.matrix) > 0.01)
    assert differing.tolist() == [[2, 1], [2, 3]]
    noted = {row["channel"]: row["note"] for row in rows}
    assert "spill into FL4-H is known to ± 0.03 only" in noted.pop("FL3-H")
    assert set(noted.values()) == {""}


def test_exchange_that_made_compref2_is_recognised(controls):
    exchanged = {"FL3-H": "FL4-H", "FL4-H": "FL3-H"}
    listed = [
        control._replace(channel=exchanged.get(str(control.channel), control.channel))
        for control in controls
    ]
    with pytest.raises(ConfigError, match=r"060909\.005.*shines most in FL3-H; was it exchanged"):
        estimate_spillover(listed)
