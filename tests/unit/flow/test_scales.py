import math

import numpy as np
import pytest
from fcs_bytes import make_fcs

from biocross.errors import FcsError
from biocross.flow.headers import read_header
from biocross.flow.scales import Scale, read_scales


@pytest.fixture
def scale_of(tmp_path):
    """Return the scale, time step and terms of the repairs of a channel with some keywords."""

    def read(channel=None, version="3.1", datatype="I", **keywords):
        path = tmp_path / "a.fcs"
        channel = {"N": "PE-A", "B": 16, "R": 1024, **(channel or {})}
        data = bytes(8)
        path.write_bytes(
            make_fcs(data, 1, [channel], version=version, datatype=datatype, **keywords)
        )
        scales, step, repairs = read_scales(path, read_header(path))
        return scales[0], step, [repair.what for repair in repairs]

    return read


def test_a_linear_channel_keeps_its_values(scale_of):
    scale, step, repairs = scale_of({"E": "0,0", "G": "1.0"})
    assert scale == Scale(1024.0)
    assert scale.is_identity
    assert math.isnan(step)
    assert repairs == []


def test_log_amplification(scale_of):
    scale, _, repairs = scale_of({"E": "4,0.1", "G": "8"})
    assert scale.top == pytest.approx(1000)
    np.testing.assert_allclose(scale.apply(np.array([0, 256, 512.0])), [0.1, 1, 10])
    assert repairs == []


def test_a_lowest_value_of_zero_is_read_as_one(scale_of):
    scale, _, _ = scale_of({"E": "4.0,0.0"})
    np.testing.assert_allclose(scale.apply(np.array([0, 256, 1024.0])), [1, 10, 10000])
    assert scale.top == 10000


@pytest.mark.parametrize("text", ["x", "-4,1", "4,-1", "nan,1", "400,1", "4,x"])
def test_an_impossible_amplification_is_taken_as_linear(scale_of, text):
    scale, _, repairs = scale_of({"E": text})
    assert scale.is_identity
    assert repairs == ["log_amplification"]


def test_a_log_amplified_float_is_told(scale_of):
    scale, _, repairs = scale_of({"E": "4,1", "B": 32}, datatype="F")
    assert scale.decades == 4
    assert repairs == ["log_amplification"]


@pytest.mark.parametrize("top", ["", "0", "-1", "x", "inf"])
def test_a_log_amplified_channel_needs_a_range(scale_of, top):
    with pytest.raises(FcsError, match=r'"PE-A" is log amplified, but its range \(\$P1R\)'):
        scale_of({"E": "4,1", "R": top})


def test_gain(scale_of):
    scale, _, repairs = scale_of({"G": "4"})
    assert scale.top == 256
    np.testing.assert_array_equal(scale.apply(np.array([8.0])), [2])
    assert repairs == []


@pytest.mark.parametrize(("text", "told"), [("0", []), ("", []), ("x", ["gain"]), ("-2", ["gain"])])
def test_a_gain_of_no_use(scale_of, text, told):
    scale, _, repairs = scale_of({"G": text})
    assert scale == Scale(1024.0)
    assert repairs == told


@pytest.mark.parametrize("name", ["Time", "TIME", "time"])
def test_time_takes_the_time_step_and_no_gain(scale_of, name):
    scale, step, repairs = scale_of({"N": name, "G": "0.01", "E": "4,1"}, TIMESTEP="0.5")
    assert (scale.top, step) == (512, 0.5)
    np.testing.assert_array_equal(scale.apply(np.array([10.0])), [5])
    assert repairs == []


def test_time_of_another_name(scale_of):
    channel = {"N": "HDR-T", "TYPE": "Time"}
    assert scale_of(channel, version="3.2", TIMESTEP="0.5")[1] == 0.5
    assert math.isnan(scale_of(channel, version="3.1", TIMESTEP="0.5")[1])


@pytest.mark.parametrize(("text", "told"), [("x", ["time_step"]), ("0", ["time_step"]), (" ", [])])
def test_a_time_step_of_no_use(scale_of, text, told):
    scale, step, repairs = scale_of({"N": "Time", "G": "7"}, TIMESTEP=text)
    assert scale == Scale(1024.0)
    assert math.isnan(step)
    assert repairs == told
    assert scale_of(TIMESTEP=text)[2] == []
