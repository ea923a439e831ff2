"""What holds for the counts of any cells and any borders."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from biocross.cohort.strategy import Gate, Strategy, ThresholdRule
from biocross.flow.events import Events
from biocross.flow.gating import Gating

QUIET = settings(deadline=None, max_examples=40)
MARKERS = ("CD3", "CD4", "CD8")
GATES = {
    gate.population: gate
    for gate in (
        Gate("live", "root"),
        Gate("T", "live", (("CD3", True),)),
        Gate("notT", "live", (("CD3", False),)),
        Gate("CD4_T", "T", (("CD4", True), ("CD8", False))),
        Gate("CD8_T", "T", (("CD4", False), ("CD8", True))),
        Gate("DN_T", "T", (("CD4", False), ("CD8", False))),
        Gate("DP_T", "T", (("CD4", True), ("CD8", True))),
        Gate("single", "T", any_of=("CD4_T", "CD8_T", "CD4_T")),
        Gate("either", "T", any_of=("CD4_T", "DP_T", "single")),
    )
}
CHILDREN = {
    "live": ("T", "notT"),
    "T": ("CD4_T", "CD8_T", "DN_T", "DP_T"),
}


def fixed(borders):
    return {
        marker: ThresholdRule(marker, marker, "fixed", value=border)
        for marker, border in zip(MARKERS, borders, strict=True)
    }


def valleys(estimate_on):
    return {marker: ThresholdRule(marker, marker, "valley", estimate_on) for marker in MARKERS}


@st.composite
def patients(draw, min_samples=1):
    """One to three visits of any number of cells, some of them flagged."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = draw(st.lists(st.integers(0, 400), min_size=min_samples, max_size=3))
    spread = draw(st.sampled_from([0.0, 0.1, 0.5]))
    samples = []
    for number, size in enumerate(sizes):
        signal = random.integers(0, 2, (len(MARKERS), size)) + random.normal(
            0, spread, (len(MARKERS), size)
        )
        quality = (random.random(size) < 0.1).astype(np.uint8)
        values = dict(zip(MARKERS, signal.astype(np.float32), strict=True))
        samples.append(Events(values, quality, {"sample_id": f"V{number}"}))
    return samples


def counts(samples, thresholds):
    gating = Gating(samples, Strategy("patient", thresholds, GATES))
    return {
        sample.meta["sample_id"]: {name: gating.members(name)[i].size for name in GATES}
        for i, sample in enumerate(samples)
    }


BORDERS = st.tuples(*[st.floats(-1, 2, width=32)] * 3)


@QUIET
@given(samples=patients(), borders=BORDERS)
def test_disjoint_children_add_up_to_their_parent(samples, borders):
    for number in counts(samples, fixed(borders)).values():
        for parent, children in CHILDREN.items():
            assert sum(number[child] for child in children) == number[parent]
        assert number["single"] == number["CD4_T"] + number["CD8_T"]
        assert number["either"] == number["T"] - number["DN_T"]


@QUIET
@given(samples=patients(), estimate_on=st.sampled_from([None, "root", "live"]))
def test_fractions_of_disjoint_children_sum_to_at_most_one(samples, estimate_on):
    """Also where borders are estimated, and where too few events let none be found."""
    for number in counts(samples, valleys(estimate_on)).values():
        for parent, children in CHILDREN.items():
            assert sum(number[child] for child in children) <= number[parent]


@QUIET
@given(samples=patients(), borders=BORDERS)
def test_a_gate_is_part_of_what_it_is_gated_under(samples, borders):
    gating = Gating(samples, Strategy("patient", fixed(borders), GATES))
    for name, gate in GATES.items():
        for inside, parents, sample in zip(
            gating.members(name), gating.members(gate.under), samples, strict=True
        ):
            assert np.isin(inside, parents).all()
            assert (np.diff(inside) > 0).all()
            assert (sample.quality[inside] == 0).all()


@QUIET
@given(samples=patients(min_samples=2), borders=BORDERS)
def test_with_fixed_borders_a_visit_does_not_depend_on_the_others(samples, borders):
    together = counts(samples, fixed(borders))
    for sample in samples:
        alone = counts([sample], fixed(borders))
        assert alone[sample.meta["sample_id"]] == together[sample.meta["sample_id"]]


@QUIET
@given(samples=patients(min_samples=2), data=st.data())
def test_order_of_the_visits_does_not_change_the_counts(samples, data):
    order = data.draw(st.permutations(samples))
    thresholds = valleys("live")
    assert counts(order, thresholds) == counts(samples, thresholds)


@QUIET
@given(samples=patients(), borders=BORDERS, seed=st.integers(0, 1000))
def test_order_of_the_events_does_not_change_the_counts(samples, borders, seed):
    random = np.random.default_rng(seed)
    shuffled = []
    for sample in samples:
        order = random.permutation(sample.quality.size)
        values = {marker: column[order] for marker, column in sample.values.items()}
        shuffled.append(Events(values, sample.quality[order], sample.meta))
    assert counts(shuffled, fixed(borders)) == counts(samples, fixed(borders))


@QUIET
@given(samples=patients(), borders=BORDERS, raise_by=st.floats(0, 1, width=32))
def test_a_higher_border_lets_fewer_cells_pass(samples, borders, raise_by):
    higher = (float(np.float32(borders[0] + raise_by)), *borders[1:])
    before, after = counts(samples, fixed(borders)), counts(samples, fixed(higher))
    assert all(after[name]["T"] <= before[name]["T"] for name in before)
