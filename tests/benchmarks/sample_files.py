"""Make the sample that is measured: blood cells of a 30-colour panel, with all that is flagged."""

from typing import NamedTuple

import numpy as np

from biocross.simulate.flow.fcs_writer import spillover_keyword, write_fcs
from biocross.tables import write_rows

MARKERS = (
    *("viability", "CD45", "CD3", "CD4", "CD8", "CD19", "CD14", "CD16", "CD56", "CD127", "CD25"),
    *("CRTH2", "CD45RA", "CCR7", "CCR6", "CXCR3", "CCR4", "HLA-DR", "CD38", "CD27", "CD161"),
    *("CD117", "CD123", "CD11c", "ICOS", "PD-1"),
)
SCATTER = ("FSC-A", "FSC-H", "SSC-A")
CHANNELS = ("Time", *SCATTER, *(f"Dye {n}-A" for n in range(1, len(MARKERS) + 1)))
# Kind of cell: share, height of forward scatter, side scatter, markers that it carries.
KINDS = (
    (0.25, 60_000, 15_000, "CD45 CD3 CD4 CD127 CD27 CCR7 CD45RA"),
    (0.15, 60_000, 15_000, "CD45 CD3 CD8 CD27 CD127 CD161"),
    (0.02, 60_000, 15_000, "CD45 CD3 CD4 CD127 CRTH2 CCR4"),
    (0.07, 60_000, 15_000, "CD45 CD19 HLA-DR CD27 CCR6 CD45RA"),
    (0.06, 62_000, 17_000, "CD45 CD56 CD16 CD38 CD161"),
    (0.1, 90_000, 40_000, "CD45 CD14 HLA-DR CD11c CD38 CD4"),
    (0.31, 80_000, 90_000, "CD45 CD16 CD11c"),
    (0.04, 75_000, 160_000, "CD45 CRTH2 CD123"),
)
DOUBLETS, DEAD = 0.06, 0.08


class Sample(NamedTuple):
    """A sample on disk.

    Parameters
    ----------
    fcs, panel
        The file and its ``panel.tsv``.
    spillover
        Share of each dye (row) in each detector (column).
    """

    fcs: str
    panel: str
    spillover: np.ndarray


def write_sample(folder, n_events, seed=1):
    """Write an FCS file of single-precision values and its panel.

    Parameters
    ----------
    folder
        Receives both.
    n_events
        Number of events.
    seed
        Of the random numbers.

    Returns
    -------
    Sample
        Where they are.
    """
    random = np.random.default_rng(seed)
    spillover = _spillover(random)
    events = np.empty((n_events, len(CHANNELS)), dtype=np.float32)
    events[:, 0] = np.sort(random.uniform(0, 60_000, n_events)).round()
    kind = random.choice(len(KINDS), n_events, p=[share for share, *_ in KINDS])
    events[:, 1:4] = _scatter(random, kind).T
    true = np.column_stack([_signal(random, kind, marker) for marker in MARKERS])
    events[:, 4:] = true @ spillover.astype(np.float32)
    fcs, panel = folder / "sample.fcs", folder / "panel.tsv"
    keywords = {
        "SPILLOVER": spillover_keyword(spillover, CHANNELS[4:]),
        "TIMESTEP": "0.01",
        "CYT": "simulated",
    }
    write_fcs(fcs, events, CHANNELS, ("", *SCATTER, *MARKERS), keywords)
    write_rows(panel, ("channel", "marker", "kind"), _panel_rows())
    return Sample(str(fcs), str(panel), spillover)


def _spillover(random):
    """Let every dye spill into its neighbours."""
    n = len(MARKERS)
    distance = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    spill = np.where(distance <= 3, random.uniform(0.005, 0.15, (n, n)), 0.0)
    np.fill_diagonal(spill, 1.0)
    return spill.round(4)


def _scatter(random, kind):
    """Draw area and height of forward scatter and area of side scatter, shape (3, events)."""
    heights, sides = (np.array([row[column] for row in KINDS], float) for column in (1, 2))
    height = heights[kind] * random.lognormal(0, 0.12, kind.size)
    side = sides[kind] * random.lognormal(0, 0.2, kind.size)
    area = 1.1 * height * random.lognormal(0, 0.03, kind.size)
    doublet = random.random(kind.size) < DOUBLETS
    area[doublet] *= random.uniform(1.5, 2.0, np.count_nonzero(doublet))
    return np.array([area, height, side])


def _signal(random, kind, marker):
    """Draw negative cells around zero and positive ones two decades and more above."""
    carried = np.array([marker in row[3].split() for row in KINDS])[kind]
    if marker == "viability":
        carried = random.random(kind.size) < DEAD
    bright = random.lognormal(np.log(8_000), 0.4, kind.size)
    return (np.where(carried, bright, 0) + random.normal(0, 80, kind.size)).astype(np.float32)


def _panel_rows():
    kinds = {"viability": "viability", "ICOS": "state", "PD-1": "state", "CD38": "state"}
    rows = [("Time", "Time", "time"), *((name, name, "scatter") for name in SCATTER)]
    rows += [
        (channel, marker, kinds.get(marker, "lineage"))
        for channel, marker in zip(CHANNELS[4:], MARKERS, strict=True)
    ]
    return [dict(zip(("channel", "marker", "kind"), row, strict=True)) for row in rows]
