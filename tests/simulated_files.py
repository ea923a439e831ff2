"""Simulated FCS files, read as anyone's would be."""

import flowio
import numpy as np


def read_simulated(path):
    """Read the compensated signals by marker, and everything else by channel."""
    data = flowio.FlowData(str(path))
    values = data.as_array(preprocess=False)
    size, *rest = data.text["spillover"].split(",")
    names, cells = rest[: int(size)], rest[int(size) :]
    columns = [data.pnn_labels.index(name) for name in names]
    matrix = np.array(cells, dtype=float).reshape(int(size), -1)
    values[:, columns] = values[:, columns] @ np.linalg.inv(matrix)
    labels = [s or n for n, s in zip(data.pnn_labels, data.pns_labels, strict=True)]
    return dict(zip(labels, values.T, strict=True))
