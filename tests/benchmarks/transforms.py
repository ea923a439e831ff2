"""Compensate and transform events in memory, beside FlowKit."""

import numpy as np
from harness import beside, medians
from sample_files import CHANNELS

from biocross.flow.compensation import compensate
from biocross.flow.fcs import read_fcs
from biocross.flow.spillover import Spillover
from biocross.flow.transforms import Transform, apply_transform

LOGICLE_TARGET = 20
LOGICLE_ERROR = 1e-5
LOGICLE = Transform("logicle", top=262144.0, decades=4.5, width=0.5)
BIEX = Transform("biex", top=262144.000029, decades=4.418540, width_basis=-10.0)
# FlowKit draws lines between the 4,096 entries of FlowJo's table.
BIEX_ERROR = 1.0


def measure(sample):
    """Time compensation, logicle and biex of the same events.

    Parameters
    ----------
    sample
        The sample on disk.

    Returns
    -------
    list of Row
        One for each.
    """
    events = read_fcs(sample.fcs).events
    return [_compensation(sample, events), _logicle(events), _biex(events)]


def _compensation(sample, events):
    import flowkit

    spillover = Spillover(CHANNELS[4:], sample.spillover)
    matrix = flowkit.Matrix(sample.spillover, detectors=list(CHANNELS[4:]))
    theirs = flowkit.Sample(sample.fcs)
    np.testing.assert_allclose(
        compensate(events, CHANNELS, spillover), matrix.apply(theirs), rtol=1e-4, atol=0.1
    )
    seconds = medians(
        {
            "biocross": lambda: compensate(events, CHANNELS, spillover),
            "FlowKit": lambda: matrix.apply(theirs),
        }
    )
    what = f"compensate 1 M x 30 ({len(sample.spillover)} detectors)"
    return beside(what, seconds["biocross"], "FlowKit", seconds["FlowKit"])


def _logicle(events):
    import flowkit

    theirs = flowkit.transforms.LogicleTransform(
        LOGICLE.top, LOGICLE.width, LOGICLE.decades, LOGICLE.negative
    )
    seconds = _columns(events, LOGICLE, theirs, LOGICLE_ERROR)
    what = "logicle, 30 M values"
    return beside(what, seconds["biocross"], "FlowKit", seconds["FlowKit"], LOGICLE_TARGET)


def _biex(events):
    import flowkit

    theirs = flowkit.transforms.WSPBiexTransform(
        BIEX.negative, BIEX.width_basis, BIEX.decades, BIEX.top
    )
    seconds = _columns(events, BIEX, theirs, BIEX_ERROR)
    return beside("biex, 30 M values", seconds["biocross"], "FlowKit", seconds["FlowKit"])


def _columns(events, ours, theirs, error):
    """Transform every column by both; each gets the contiguous values of its own precision."""
    single = [np.ascontiguousarray(column, dtype=np.float32) for column in events.T]
    double = [column.astype(np.float64) for column in single]
    for values, exact in zip(single[::5], double[::5], strict=True):
        np.testing.assert_allclose(
            apply_transform(values, ours), theirs.apply(exact), rtol=0, atol=error
        )
    return medians(
        {
            "biocross": lambda: [apply_transform(values, ours) for values in single],
            "FlowKit": lambda: [theirs.apply(values) for values in double],
        },
        repeats=2,
    )
