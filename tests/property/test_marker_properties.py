"""Invariants of the modes beside a border, their shifts, and the search for swapped columns."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biocross.cohort.panel import Channel
from biocross.flow.events import Events
from biocross.flow.marker_modes import find_mode, mode_rows
from biocross.flow.marker_sanity import sanity_rows, sanity_warnings

MARKERS = ("CD3", "CD4", "CD8", "CD14", "CD19", "CD56", "CD16", "CD45")
PANEL = [Channel(f"{marker}-A", marker, "lineage") for marker in MARKERS]
seeds = st.integers(0, 2**32 - 1)


@given(seed=seeds, n=st.integers(50, 2000), factor=st.floats(0.1, 10), move=st.floats(-5, 5))
def test_the_mode_moves_and_scales_with_the_values(seed, n, factor, move):
    values = np.random.default_rng(seed).gamma(3, 0.1, n)
    mode = find_mode(values)
    assert values.min() <= mode <= values.max()
    assert find_mode(factor * values + move) == pytest.approx(
        factor * mode + move, abs=1e-3 * factor
    )


@given(seed=seeds, n=st.integers(50, 500))
def test_the_mode_forgets_the_order(seed, n):
    random = np.random.default_rng(seed)
    values = random.normal(0.5, 0.1, n)
    assert find_mode(random.permutation(values)) == pytest.approx(find_mode(values), abs=1e-9)


@given(
    values=st.lists(st.floats(-1, 2, width=32), max_size=200),
    border=st.floats(-1, 2, width=32),
)
def test_every_event_lies_on_one_side(values, border):
    column = np.array(values, dtype=np.float32)
    (row,) = mode_rows("S", [("CD3", "CD3", "root", border)], {"root": {"CD3": column}})
    assert row["n_negative"] + row["n_positive"] == len(values)
    for side, inside in (("negative", column <= border), ("positive", column > border)):
        mode = row[f"{side}_mode"]
        assert np.isnan(mode) == (inside.sum() < 50)
        if not np.isnan(mode):
            assert column[inside].min() - 1e-5 <= mode <= column[inside].max() + 1e-5


@settings(max_examples=25)
@given(seed=seeds, n=st.integers(0, 3000), kinds=st.integers(1, 6))
def test_whatever_the_events_are_the_answer_is_a_table(seed, n, kinds):
    """Random cells break rules, but never the search, and each broken rule has its sentence."""
    random = np.random.default_rng(seed)
    levels = random.choice([0.2, 0.8], (kinds, len(MARKERS)))
    events = levels[random.integers(0, kinds, n)] + random.normal(0, 0.05, (n, len(MARKERS)))
    values = dict(zip(MARKERS, events.T.astype(np.float32), strict=True))
    rows = sanity_rows(Events(values, np.zeros(n, dtype=np.uint8), {"sample_id": "S"}), PANEL)
    broken = [row for row in rows if row["status"] == "broken"]
    assert all(row["note"] for row in broken)
    assert len(sanity_warnings(rows)) == bool(broken)
    for row in rows:
        assert (row["status"] == "not_judged") == np.isnan(row["observed"])
