"""Joint borders: order is irrelevant, a common shift moves all, and visits of a pair move alike."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biocross.flow.joint_thresholds import JointBorder, joint_border
from biocross.flow.settled_thresholds import estimate_rows, settle

UNEVENTFUL = settings(deadline=None, max_examples=30)
SEEDS = st.integers(0, 2**32 - 1)
SHARES = st.sampled_from([0.0, 0.02, 0.1, 0.5, 0.9])
METHODS = st.sampled_from(["valley", "mixture", "tail"])


class Rule(NamedTuple):
    method: str
    value: float | None = None
    between: tuple[float, float] | None = None
    name: str = "CD4"
    marker: str = "CD4"


def visits(seed, shares, shifts, number=3000):
    random = np.random.default_rng(seed)
    return [
        np.where(
            random.random(number) < share,
            random.normal(0.7, 0.06, number),
            random.normal(0.2, 0.05, number),
        ).astype(np.float32)
        + np.float32(shift)
        for share, shift in zip(shares, shifts, strict=True)
    ]


@UNEVENTFUL
@given(
    seed=SEEDS, shares=st.tuples(SHARES, SHARES), method=METHODS, drift=st.sampled_from([0, 0.2])
)
def test_order_of_samples_is_irrelevant(seed, shares, method, drift):
    values = visits(seed, shares, (0, drift))
    rule = Rule(method)
    found = joint_border(values, ["a", "b"], rule, 1.0)
    turned = joint_border(values[::-1], ["b", "a"], rule, 1.0)
    np.testing.assert_allclose(turned.values[::-1], found.values, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(turned.negative_modes[::-1], found.negative_modes, atol=1e-6)
    assert turned.source == found.source


@UNEVENTFUL
@given(seed=SEEDS, shares=st.tuples(SHARES, SHARES), method=METHODS, shift=st.floats(-3, 3))
def test_a_shift_of_all_moves_every_border(seed, shares, method, shift):
    values = visits(seed, shares, (0, 0.1))
    rule = Rule(method)
    found = joint_border(values, ["a", "b"], rule, 1.0)
    moved = joint_border([v + np.float32(shift) for v in values], ["a", "b"], rule, 1.0)
    assert moved.source == found.source
    np.testing.assert_allclose(np.subtract(moved.values, shift), found.values, atol=0.02)


@UNEVENTFUL
@given(seed=SEEDS, shares=st.tuples(SHARES, SHARES), number=st.integers(0, 3000))
def test_samples_that_share_have_one_border(seed, shares, number):
    values = visits(seed, shares, (0, 0))
    values[1] = values[1][:number]
    found = joint_border(values, ["a", "a"], Rule("valley"), 1.0)
    assert len(found.values) == len(found.negative_modes) == 2
    assert np.isfinite(found.values).all()
    if found.shared:
        assert found.values[0] == found.values[1]


@UNEVENTFUL
@given(
    values=st.lists(
        st.lists(
            st.floats(-1e5, 1e5, width=32) | st.sampled_from([0.0, 1.0, np.nan]), max_size=120
        ),
        min_size=1,
        max_size=3,
    ),
    method=METHODS,
    per_unit=st.sampled_from([1.0, 4.5, np.nan]),
)
def test_any_values_have_a_border_or_none(values, method, per_unit):
    columns = [np.array(column, dtype=np.float32) for column in values]
    found = joint_border(columns, ["a", "b", "a"][: len(columns)], Rule(method), per_unit)
    known = np.isfinite(found.values)
    assert known.all() or not known.any()
    assert known.any() == (found.source != "too_few_events")


ESTIMATES = st.lists(
    st.tuples(
        st.floats(0, 1), st.floats(0, 0.3), st.sampled_from(["valley", "tail", "too_few_events"])
    ),
    min_size=1,
    max_size=9,
)


def estimate_of(estimates, shift=0.0):
    for i, (offset, mode, source) in enumerate(estimates):
        value = np.nan if source == "too_few_events" else offset + mode + shift
        joint = JointBorder(
            (value, value + 0.1),
            False,
            source,
            0.5,
            np.nan,
            (mode + shift, mode + shift + 0.1),
            9,
            "",
        )
        metas = [
            {"patient_id": f"P{i}", "sample_id": f"P{i}_{visit}", "batch": "ab"[visit]}
            for visit in range(2)
        ]
        yield from estimate_rows(metas, Rule("valley"), "T_cells", joint)


@UNEVENTFUL
@given(estimates=ESTIMATES)
def test_the_samples_of_a_patient_move_together(estimates):
    rows = settle(estimate_of(estimates), {}, {"CD4": 1.0})
    for first, second in zip(rows[::2], rows[1::2], strict=True):
        assert first["flag"] == second["flag"]
        if np.isfinite(first["value"]):
            assert second["value"] - first["value"] == pytest.approx(0.1)


@UNEVENTFUL
@given(estimates=ESTIMATES, seed=SEEDS)
def test_order_of_patients_is_irrelevant(estimates, seed):
    rows = list(estimate_of(estimates))
    turned = np.random.default_rng(seed).permutation(len(rows))
    # Visits of a patient stay in one group whatever the order of the rows.
    expected = settle(rows, {}, {"CD4": 1.0})
    found = settle([rows[i] for i in turned], {}, {"CD4": 1.0})
    for position, row in zip(turned, found, strict=True):
        assert row["flag"] == expected[position]["flag"]
        assert row["value"] == pytest.approx(expected[position]["value"], nan_ok=True)


@UNEVENTFUL
@given(estimates=ESTIMATES, shift=st.floats(-2, 2))
def test_a_brighter_cohort_is_settled_alike(estimates, shift):
    plain = settle(estimate_of(estimates), {}, {"CD4": 1.0})
    moved = settle(estimate_of(estimates, shift), {}, {"CD4": 1.0})
    for before, after in zip(plain, moved, strict=True):
        assert after["value"] - shift == pytest.approx(before["value"], abs=1e-6, nan_ok=True)
        # A distance that is a hair beyond the limit may fall to its other side by rounding.
        if abs(abs(before["distance"]) - 0.15) > 1e-6:
            assert after["source"] == before["source"]


@UNEVENTFUL
@given(estimates=ESTIMATES)
def test_settled_again_nothing_moves_back(estimates):
    """Borders that were pulled lie where the cohort's is, so that no one is flagged anew."""
    rows = settle(estimate_of(estimates), {}, {"CD4": 1.0})
    for row in rows:
        if row["flag"] in ("pulled", "no_valley", "from_cohort"):
            assert row["value"] == pytest.approx(row["cohort_value"], abs=1e-9)
