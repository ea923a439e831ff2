"""Write what FlowKit makes of values over the whole range of several scales."""

import csv
from pathlib import Path

import numpy as np
from flowkit import transforms

FOLDER = Path(__file__).parent
# top, decades, width, negative
LOGICLE = [
    (262144.0, 4.5, 0.5, 0.0),
    (262144.0, 4.5, 0.0, 0.0),
    (262144.0, 4.5, 2.25, 0.0),
    (262144.0, 4.5, 1.0, 0.5),
    (262144.0, 4.5, 1.0, -0.5),
    (1024.0, 2.0917600346881504, 0.1, 0.0),
    (4194304.0, 5.7041199826559243, 2.0, 0.0),
    (100.0, 1.0815, 0.3, 0.0),
]
# top, decades, negative, width basis
BIEX = [
    (262144.000029, 4.418540, 0.0, -10.0),
    (262144.000029, 4.418540, 1.0, -7.943282),
    (262144.000029, 4.418540, 0.0, -100.0),
    (262144.0, 4.5, 0.0, -1.0),
    (262144.0, 4.5, 0.5, -1.0),
    (4194304.0, 5.0, 1.0, -1000.0),
    (1000000.0, 4.0, 3.0, -1000.0),
]


def values_for(top):
    sizes = np.geomspace(1e-8, 10, 40) * top
    return np.concatenate([-sizes[::-1], [0.0], sizes, [0.5 * top, top]])


def write(name, columns, rows):
    with (FOLDER / name).open("w", newline="") as out:
        writer = csv.writer(out, delimiter="\t", lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([[format(float(cell), ".17g") for cell in row] for row in rows])


write(
    "logicle.tsv",
    ["top", "decades", "width", "negative", "value", "display"],
    [
        (top, m, w, a, *pair)
        for top, m, w, a in LOGICLE
        for pair in zip(
            values_for(top),
            transforms.LogicleTransform(top, w, m, a).apply(values_for(top)),
            strict=True,
        )
    ],
)
biex = {
    numbers: transforms.WSPBiexTransform(*(numbers[i] for i in (2, 3, 1, 0))) for numbers in BIEX
}
columns = ["top", "decades", "negative", "width_basis"]
write(
    "biex.tsv",
    [*columns, "value", "channel"],
    [
        (*numbers, *pair)
        for numbers, lut in biex.items()
        for pair in zip(values_for(numbers[0]), lut.apply(values_for(numbers[0])), strict=True)
    ],
)
channels = np.linspace(-100, 4200, 44)
write(
    "biex_inverse.tsv",
    [*columns, "channel", "value"],
    [
        (*numbers, *pair)
        for numbers, lut in biex.items()
        for pair in zip(channels, lut.inverse(channels), strict=True)
    ],
)
