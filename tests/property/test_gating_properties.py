"""What holds for the counts of any cells and any borders."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from biocross.cohort.gate_regions import Ellipse, Polygon, Rectangle
from biocross.cohort.strategy import Gate, Strategy, ThresholdRule
from biocross.cohort.vocabulary import Population
from biocross.flow.events import Events
from biocross.flow.gate_borders import EstimatedBorders, FixedBorders
from biocross.flow.gate_shifts import shifted_counts
from biocross.flow.gate_tree import Gating

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
        Gate("both", "live", all_of=("T", "either")),
        Gate("rest", "T", none_of=("either",)),
        Gate("none", "T", any_of=("CD4_T",), none_of=("single",)),
        Gate("box", "T", (("CD8", True),), region=Rectangle(("CD4",), (0.2,), (0.9,))),
        Gate("below", "T", region=Rectangle(("CD4",), (-np.inf,), (0.3,))),
        Gate("above", "T", region=Rectangle(("CD4",), (0.3,), (np.inf,))),
        Gate("corner", "live", region=Polygon(("CD4", "CD8"), ((0, 0), (1, 0), (0, 1)))),
        Gate("round", "live", region=Ellipse(("CD4", "CD8"), (0, 0), ((1, 0.5), (0.5, 1)), 0.5)),
    )
}
CHILDREN = {
    "live": ("T", "notT"),
    "T": ("CD4_T", "CD8_T", "DN_T", "DP_T"),
}
VOCABULARY = {name: Population(name, gate.under, None) for name, gate in GATES.items()}
VOCABULARY["live"] = Population("live", None, None)


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
        samples.append(Events(values, quality, {"sample_id": f"V{number}", "tissue": ""}))
    return samples


def gate_all(samples, thresholds):
    if all(rule.method == "fixed" for rule in thresholds.values()):
        borders = FixedBorders()
    else:
        borders = EstimatedBorders(dict.fromkeys(MARKERS, 4.5), dict.fromkeys(MARKERS, "lineage"))
    return Gating(samples, Strategy("patient", thresholds, GATES), borders)


def counts(samples, thresholds):
    gating = gate_all(samples, thresholds)
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
        # CD4_T, DP_T and CD8_T: all T cells but the double-negative.
        assert number["either"] == number["T"] - number["DN_T"]
        assert number["rest"] == number["DN_T"]
        assert number["both"] == number["either"]
        assert number["none"] == 0
        assert number["below"] + number["above"] == number["T"]


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
    gating = gate_all(samples, fixed(borders))
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


@QUIET
@given(samples=patients(), borders=BORDERS)
def test_intersection_union_and_complement_are_those_of_sets(samples, borders):
    gating = gate_all(samples, fixed(borders))
    for position in range(len(samples)):
        found = {name: set(gating.members(name)[position].tolist()) for name in GATES}
        assert found["either"] == found["CD4_T"] | found["DP_T"] | found["CD8_T"]
        assert found["both"] == found["T"] & found["either"]
        assert found["rest"] == found["T"] - found["either"]


@QUIET
@given(samples=patients(), borders=BORDERS)
def test_shifting_by_nothing_changes_nothing(samples, borders):
    gating = gate_all(samples, fixed(borders))
    order = list(GATES)
    decades = dict.fromkeys(MARKERS, 4.5)
    rows = list(shifted_counts(gating, order, [0.0], decades, VOCABULARY, order))
    assert {row["population"] for row in rows} == {n for n, gate in GATES.items() if gate.signs}
    for row in rows:
        position = int(row["sample_id"][1:])
        assert row["count"] == gating.members(row["population"])[position].size
        parent = VOCABULARY[row["population"]].parent
        assert row["parent_count"] == gating.members(parent)[position].size


@QUIET
@given(samples=patients(), borders=BORDERS, shift=st.floats(-1, 1))
def test_shifted_counts_are_those_of_gating_anew(samples, borders, shift):
    """Of T, whose gate alone uses CD3+ and under which nothing else is counted here."""
    decades = {"CD3": 4.5}
    moved = (borders[0] + shift / 4.5, *borders[1:])
    gating = gate_all(samples, fixed(borders))
    (rows,) = [list(shifted_counts(gating, ["T"], [shift], decades, VOCABULARY, ["live", "T"]))]
    again = gate_all(samples, fixed(moved)).members("T")
    margin = 1e-6
    for row, sample, members in zip(rows, samples, again, strict=True):
        # Rounding of the shift itself may move an event that lies exactly there.
        at_border = np.abs(sample.values["CD3"] - moved[0]) < margin
        assert abs(row["count"] - members.size) <= at_border.sum()
