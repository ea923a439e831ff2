import numpy as np
import pytest

from biocross.errors import ConfigError
from biocross.flow.stain_controls import COLUMNS, Control, estimate_spillover, scatter_columns

CHANNELS = ("FSC-A", "SSC-A", "FITC-A", "PE-A", "APC-A", "Time")
TRUTH = np.array([[1, 0.3, 0.0], [0.02, 1, 0.01], [0.0, 0.05, 1]])


@pytest.fixture
def make(write_fcs):
    """Write a control of cells stained in one dye (0, 1, 2), or in none."""

    def make(name, dye, n_events=4000, bright=2e4):
        random = np.random.default_rng(n_events + (dye or 0))
        stained = random.random(n_events) < 0.6
        light = 200 * random.lognormal(0, 0.3, (n_events, 3))
        if dye is not None:
            light += np.outer(stained * bright * random.lognormal(0, 0.3, n_events), TRUTH[dye])
        scatter = random.normal((6e4, 2e4), (6e3, 3e3), (n_events, 2))
        values = np.column_stack([scatter, random.normal(light, 30), np.arange(n_events)])
        return write_fcs(name, np.minimum(values, 262_144), CHANNELS)

    return make


@pytest.fixture
def controls(make):
    return [
        Control(make("unstained.fcs", None), None),
        Control(make("pe.fcs", 1), "PE-A"),
        Control(make("fitc.fcs", 0), "FITC-A"),
        Control(make("apc.fcs", 2), "APC-A"),
    ]


def fault(*arguments, **keywords):
    with pytest.raises(ConfigError) as caught:
        estimate_spillover(*arguments, **keywords)
    return str(caught.value)


def test_matrix_and_table(controls):
    spillover, rows = estimate_spillover(controls)
    assert spillover.channels == ("FITC-A", "PE-A", "APC-A")
    np.testing.assert_allclose(spillover.matrix, TRUTH, atol=0.004)
    assert [row["control"] for row in rows] == ["pe.fcs", "fitc.fcs", "apc.fcs"]
    assert all(tuple(row) == COLUMNS for row in rows)
    assert {row["note"] for row in rows} == {""}
    assert all(2000 < row["n_positive"] < 2600 and row["n_events"] == 4000 for row in rows)


def test_order_of_controls_does_not_matter(controls):
    matrix = estimate_spillover(controls)[0].matrix
    np.testing.assert_array_equal(estimate_spillover(controls[::-1])[0].matrix, matrix)


def test_detectors_in_the_order_asked_for(controls):
    asked = ["APC-A", "FITC-A", "PE-A"]
    spillover, _ = estimate_spillover(controls, asked, method="residual")
    assert spillover.channels == tuple(asked)
    order = [2, 0, 1]
    np.testing.assert_allclose(spillover.matrix, TRUTH[np.ix_(order, order)], atol=0.004)


def test_missing_control(controls):
    asked = ["FITC-A", "PE-A", "APC-A"]
    assert "no single-stain control for APC-A" in fault(controls[:3], asked)
    spillover, rows = estimate_spillover(controls[:3], asked, allow_missing=True)
    assert spillover.matrix[2].tolist() == [0, 0, 1]
    assert spillover.matrix[0, 1] == pytest.approx(0.3, abs=0.004)
    assert (rows[2]["channel"], rows[2]["note"]) == ("APC-A", "no control: taken not to spill")
    assert tuple(rows[2]) == COLUMNS


def test_files_without_common_scatter_are_not_gated(controls, write_fcs):
    random = np.random.default_rng(4)
    bare = random.normal(200 * random.lognormal(0, 0.3, (3000, 3)), 30)
    unstained = Control(write_fcs("bare.fcs", bare, CHANNELS[2:5]), None)
    spillover, _ = estimate_spillover([unstained, *controls[1:]])
    np.testing.assert_allclose(spillover.matrix, TRUTH, atol=0.004)


def test_off_scale_events_are_left_out_and_said(controls, make):
    bright = Control(make("bright.fcs", 1, bright=2e5), "PE-A")
    spillover, rows = estimate_spillover([controls[0], bright, *controls[2:]])
    np.testing.assert_allclose(spillover.matrix, TRUTH, atol=0.004)
    assert 0.1 < rows[0]["off_scale_share"] < 0.3
    assert "of the stained events are off scale and left out" in rows[0]["note"]


def test_exchanged_controls_are_named(controls):
    unstained, pe, fitc, apc = controls
    text = fault([unstained, pe._replace(channel="FITC-A"), fitc._replace(channel="PE-A"), apc])
    assert f"{pe.path}: " in text
    assert f"shines most in PE-A; was it exchanged with {fitc.path}?" in text
    assert f"shines most in FITC-A; was it exchanged with {pe.path}?" in text


def test_all_faults_at_once(controls, make):
    dim = Control(make("dim.fcs", 0, bright=10), "FITC-A")
    short = Control(make("short.fcs", 2, n_events=150), "APC-A")
    text = fault([controls[0], dim, short, controls[1]])
    assert "dim.fcs: has " in text
    assert "short.fcs: has " in text
    assert "exchanged" not in text
    assert len(text.splitlines()) == 2


def test_faults_of_the_list(controls, tmp_path):
    unstained, pe, *_ = controls
    assert "no single-stain control" in fault([unstained])
    assert "second unstained control" in fault([unstained, *controls])
    assert "is listed for PE-A as" in fault([*controls, pe])
    assert 'has no channel "PE-X"' in fault([unstained, pe._replace(channel="PE-X")])
    assert "not among the channels" in fault(controls, ["FITC-A", "PE-A"])
    assert "there is no such file" in fault([pe, Control(tmp_path / "none.fcs", "FITC-A")])
    with pytest.raises(ValueError, match="method is one of"):
        estimate_spillover(controls, method="mode")


@pytest.mark.parametrize(
    ("channels", "columns"),
    [
        (("Time", "SSC-H", "FSC-H", "FSC-A", "SSC-A", "FSC-W", "PE-A"), [3, 4]),
        (("FS Lin", "SS Lin", "FL1 Log"), [0, 1]),
        (("FS Log", "FS Lin", "SS Log", "SS Lin"), [1, 3]),
        (("FSC-H", "SSC-H", "FL1-H"), [0, 1]),
        (("FSC-A", "SSC-B-A"), [0, 1]),
        (("FSC-A", "PE-A"), []),
        (("FSC-W", "SSC-W"), []),
    ],
)
def test_scatter_columns(channels, columns):
    assert scatter_columns(channels) == columns
