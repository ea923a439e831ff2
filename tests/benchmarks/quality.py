"""Time the quality steps of a conventional sample; none of the peers has them in Python."""

import numpy as np
from harness import alone, medians

from biocross.flow.fcs import read_fcs
from biocross.flow.quality.flow_rate import flag_flow_rate
from biocross.flow.quality.scatter import flag_doublets
from biocross.flow.quality.time import flag_time_anomalies
from biocross.flow.quality.viability import flag_dead
from biocross.flow.transforms import Transform, apply_transform

N_CHANNELS = 25


def measure(sample):
    """Time each step on the events of the sample.

    Parameters
    ----------
    sample
        The sample on disk.

    Returns
    -------
    list of Row
        Without peer or target.
    """
    file = read_fcs(sample.fcs)
    column = dict(zip(file.channels, np.asarray(file.events.T), strict=True))
    logicle = Transform("logicle")
    signals = [apply_transform(values, logicle) for values in file.events.T[4 : 4 + N_CHANNELS]]
    area, height, side = (column[name] for name in ("FSC-A", "FSC-H", "SSC-A"))
    seconds = medians(
        {
            f"time quality, 1 M x {N_CHANNELS}": lambda: flag_time_anomalies(signals),
            "doublets, 1 M": lambda: flag_doublets(area, height, side),
            "dead cells, 1 M": lambda: flag_dead(signals[0], side),
            "flow rate, 1 M": lambda: flag_flow_rate(column["Time"]),
        },
    )
    return [alone(what, value) for what, value in seconds.items()]
