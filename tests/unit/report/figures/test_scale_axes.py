import numpy as np
import pytest
from matplotlib.figure import Figure

from biocross.flow.transforms import Transform, transform_exactly
from biocross.report.figures.scale_axes import decorate, scale_ticks

LOGICLE = Transform("logicle", width=1.0)


def test_logicle_has_zero_and_decades_on_both_sides():
    ticks = scale_ticks(LOGICLE, 0.0, 1.0)
    assert ticks.labels == ("−10³", "0", "10³", "10⁴", "10⁵")
    expected = transform_exactly(np.array([-1e3, 0, 1e3, 1e4, 1e5]), LOGICLE)
    np.testing.assert_allclose(ticks.major, expected)


def test_minor_ticks_are_at_two_to_nine_of_every_decade():
    ticks = scale_ticks(LOGICLE, 0.45, 1.0)
    for value in (2e3, 9e3, 2e4, 5e4, 2e5):
        place = transform_exactly(np.array([value]), LOGICLE)
        assert np.abs(ticks.minor - place).min() < 1e-12
    assert not np.isin(ticks.major, ticks.minor).any()


def test_no_tick_lies_beyond_the_ends_of_the_axis():
    for transform, low, high in (
        (LOGICLE, 0.3, 0.8),
        (Transform("arcsinh", cofactor=5.0), -0.5, 7.0),
        (Transform("biex", width_basis=-100.0), 0.0, 4096.0),
        (Transform("linear"), 100.0, 262144.0),
    ):
        ticks = scale_ticks(transform, low, high)
        places = np.concatenate([ticks.major, ticks.minor])
        assert ((places >= low) & (places <= high)).all()
        assert len(ticks.labels) == ticks.major.size >= 2
        assert (np.diff(ticks.major) > 0).all()


def test_labels_nearer_to_zero_than_the_gap_are_left_out():
    arcsinh = Transform("arcsinh", cofactor=5.0)
    assert scale_ticks(arcsinh, -0.5, 7.0).labels == ("0", "10¹", "10²", "10³")
    assert scale_ticks(arcsinh, -0.5, 7.0, 0.3).labels == ("0", "10²", "10³")


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0, 262_144, ("0", "100K", "200K")),
        (0, 1, ("0", "0.5", "1")),
        (-500, 4000, ("0", "2000", "4000")),
        (0, 120_000, ("0", "50K", "100K")),
    ],
)
def test_scatter_has_round_numbers(low, high, labels):
    assert scale_ticks(Transform("linear"), low, high).labels == labels


def test_a_plot_gets_the_ticks_between_its_limits():
    axis = Figure().subplots()
    axis.set_xlim(0.2, 1)
    axis.set_ylim(0, 1000)
    decorate(axis, LOGICLE, "x")
    decorate(axis, Transform("linear"), "y")
    assert [label.get_text() for label in axis.get_xticklabels()] == ["0", "10³", "10⁴", "10⁵"]
    assert axis.get_xticks(minor=True).size > 20
    assert [label.get_text() for label in axis.get_yticklabels()] == ["0", "500", "1000"]
