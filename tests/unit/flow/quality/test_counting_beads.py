import numpy as np
import pytest

from biocross.flow.quality.counting_beads import find_counting_beads

TOP = 262144
CELL, BEAD, CLUMP = 0, 1, 2


def tube(channels=12, n_cells=6000, n_beads=600, sd=0.03, n_clumps=30, dim=0, all_positive=False):
    """Cells positive in some channels, a tenth of them dead; beads bright in all; clumps of both.

    Returns shares of the scale of fluorescence and scatter, by channel, and what each event is.
    """
    rng = np.random.default_rng(3)
    positive = rng.random((8, channels)) < 0.4
    positive[:4] |= all_positive
    kind = rng.integers(0, 8, n_cells)
    level = 10 ** (rng.uniform(3.3, 4.7, channels) + rng.normal(0, 0.2, (n_cells, channels)))
    cells = np.where(positive[kind], level, 0) + rng.normal(0, 80, (n_cells, channels))
    cells[: n_cells // 10] += 10 ** rng.normal(3, 0.4, (n_cells // 10, 1))
    centre = np.full(channels, 4.6)
    centre[:dim] = 2.0
    beads = 10 ** (centre + rng.normal(0, sd, (n_beads + n_clumps, channels)))
    stuck = slice(n_beads, n_beads + n_clumps // 2)
    beads[n_beads:] *= 2
    beads[stuck] = beads[stuck] / 2 + cells[: n_clumps // 2]
    cell_scatter = rng.normal([80_000, 40_000], [15_000, 9_000], (n_cells, 2))
    bead_scatter = [40_000, 120_000] * 10 ** rng.normal(0, 0.03, (n_beads + n_clumps, 2))
    bead_scatter[n_beads:] *= 1.9
    what = np.repeat([CELL, BEAD, CLUMP], [n_cells, n_beads, n_clumps])
    order = rng.permutation(what.size)
    colours, scatter = (
        list((np.vstack(parts)[order].clip(-200, TOP) / TOP).astype(np.float32).T)
        for parts in ((cells, beads), (cell_scatter, bead_scatter))
    )
    return colours, scatter, what[order]


@pytest.mark.parametrize(
    ("made", "most_cells"),
    [
        ({}, 0),
        ({"channels": 28, "n_beads": 15, "n_clumps": 0}, 0),
        ({"channels": 28, "n_beads": 20_000}, 0),
        ({"sd": 0.06}, 0),
        ({"channels": 20, "dim": 2}, 0),
        # T cells of a small panel are bright in every channel too, but not alike; some pass for
        # clumps.
        ({"channels": 3, "all_positive": True}, 25),
    ],
    ids=["usual", "few", "mostly beads", "of unequal brightness", "two dim channels", "3 colours"],
)
def test_beads_are_told_from_cells_and_clumps(made, most_cells):
    colours, scatter, what = tube(**made)
    found = find_counting_beads(colours, scatter)
    assert np.count_nonzero(found.beads & (what == BEAD)) >= 0.995 * np.count_nonzero(what == BEAD)
    assert not np.any(found.beads & (what == CLUMP))
    assert not np.any(found.beads & (what == CELL))
    assert np.count_nonzero(found.clumps & (what == CELL)) <= most_cells
    assert np.count_nonzero(found.clumps & (what == CLUMP)) >= 0.9 * np.count_nonzero(what == CLUMP)
    assert found.spread == pytest.approx(made.get("sd", 0.03), rel=0.35)


@pytest.mark.parametrize("channels", [2, 4, 28])
def test_cells_alone_hold_no_beads(channels):
    colours, scatter, _ = tube(channels, n_beads=0, n_clumps=0, all_positive=True)
    found = find_counting_beads(colours, scatter)
    assert not found.beads.any()
    assert not found.clumps.any()
    assert np.isnan(found.spread)


def test_the_order_of_events_decides_nothing():
    colours, scatter, _ = tube()
    order = np.random.default_rng(1).permutation(colours[0].size)
    first = find_counting_beads(colours, scatter)
    again = find_counting_beads([c[order] for c in colours], [s[order] for s in scatter])
    np.testing.assert_array_equal(again.beads, first.beads[order])


def test_a_sample_without_events():
    nothing = np.empty(0, dtype=np.float32)
    assert find_counting_beads([nothing, nothing], []).beads.size == 0
