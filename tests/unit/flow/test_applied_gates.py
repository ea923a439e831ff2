import math

from biocross.cohort.gate_regions import Polygon, Rectangle
from biocross.cohort.strategy import Gate, Strategy, ThresholdRule
from biocross.flow.applied_gates import applied_gates, sample_borders

RULES = {
    "CD3": ThresholdRule("CD3", "CD3", "valley", estimate_on="leukocytes"),
    "CD3_low": ThresholdRule("CD3_low", "CD3", "fixed", value=0.25),
    "CD19": ThresholdRule("CD19", "CD19", "valley"),
}


def apply(*gates, **borders):
    strategy = Strategy("patient", RULES, {gate.population: gate for gate in gates})
    keys = {("CD3", "leukocytes"): borders.get("CD3", 0.5), ("CD19", "leukocytes"): 0.4}
    return {gate.population: gate for gate in applied_gates(strategy, keys)}


def test_thresholds_become_half_open_ranges_beyond_the_border():
    (gate,) = apply(Gate("T_cells", "leukocytes", (("CD3", True), ("CD19", False)))).values()
    positive, negative = gate.ranges
    assert (positive.low, positive.high) == (math.nextafter(0.5, 1), math.inf)
    assert (negative.low, negative.high) == (-math.inf, math.nextafter(0.4, 1))
    assert (positive.words, negative.words) == ("CD3+", "CD19−")


def test_two_thresholds_of_a_marker_and_a_rectangle_become_one_range():
    box = Rectangle(("CD3",), (0.1,), (0.45,))
    gate = apply(Gate("T", "root", (("CD3_low", True), ("CD3", False)), region=box))["T"]
    (own,) = gate.ranges
    assert (own.low, own.high) == (math.nextafter(0.25, 1), 0.45)
    assert (gate.under, gate.region) == ("", None)


def test_other_regions_and_populations_stay():
    corners = Polygon(("CD3", "CD19"), ((0, 0), (1, 0), (0, 1)))
    gate = apply(Gate("T", "root", any_of=("B",), none_of=("C",), region=corners))["T"]
    assert (gate.region, gate.any_of, gate.none_of) == (corners, ("B",), ("C",))
    assert gate.parts == ("B", "C")


def test_unknown_border_is_said_and_a_fixed_one_needs_no_row():
    gates = apply(
        Gate("T", "leukocytes", (("CD3", True),)),
        Gate("dim", "leukocytes", (("CD3_low", True),)),
        CD3=math.nan,
    )
    assert gates["T"].unknown == "no border for CD3 on leukocytes"
    assert gates["T"].ranges == ()
    assert gates["dim"].unknown == ""


def test_gates_stand_behind_those_they_need():
    gates = apply(
        Gate("union", "root", any_of=("B", "T")),
        Gate("T", "leukocytes"),
        Gate("leukocytes", "root"),
        Gate("B", "leukocytes"),
    )
    order = list(gates)
    assert set(order) == {"union", "T", "leukocytes", "B"}
    assert order.index("leukocytes") < min(order.index("T"), order.index("B"))
    assert order[-1] == "union"


def test_borders_of_a_sample_are_taken_from_the_table():
    rows = [
        {"sample_id": "a", "threshold": "CD3", "population": "T", "value": "0.5"},
        {"sample_id": "a", "threshold": "CD4", "population": "T", "value": ""},
        {"sample_id": "b", "threshold": "CD3", "population": "T", "value": "0.6"},
    ]
    found = sample_borders(rows, "a")
    assert found["CD3", "T"] == 0.5
    assert math.isnan(found["CD4", "T"])
    assert len(found) == 2
