import numpy as np
import pytest

from biocross.cohort.gate_regions import Rectangle
from biocross.cohort.strategy import ROOT, Gate, Strategy, ThresholdRule
from biocross.cohort.vocabulary import Population
from biocross.flow.events import Events
from biocross.flow.gate_borders import FixedBorders
from biocross.flow.gate_shifts import SHIFTS, SPECIFICATION_SHIFTS, TIPPING_SHIFTS, shifted_counts
from biocross.flow.gate_tree import Gating

DECADES = {"A": 4.5, "B": 4.0, "C": float("nan"), "D": 2.0}
PARENTS = {"all": None, "lymph": "all", "T": "lymph", "sub": "T", "shape": "T", "eos": "all"}
VOCABULARY = {
    name: Population(name, parent, parent, not_measured_in=("pbmc",) if name == "eos" else ())
    for name, parent in PARENTS.items()
}
GATES = (
    Gate("all", ROOT),
    Gate("T", "all", (("A", True), ("B", False))),
    Gate("other", "all", (("A", False),)),
    Gate("lymph", "all", any_of=("T", "eos")),
    Gate("eos", "all", (("D", True), ("C", True))),
    Gate("sub", "T", (("D", True), ("D_high", False), ("C", True)), none_of=("eos",)),
    Gate("shape", "T", region=Rectangle(("A",), (0.0,), (1.0,))),
)
OTHER = VOCABULARY | {"other": Population("other", None, None)}
ORDER = list(PARENTS)


def sample(name, seed, tissue="whole_blood", size=3000):
    random = np.random.default_rng(seed)
    values = {marker: random.normal(0.5, 0.15, size).astype("f4") for marker in "ABCD"}
    return Events(values, np.zeros(size, np.uint8), {"sample_id": name, "tissue": tissue})


SAMPLES = (sample("V1", 1), sample("V2", 2, "pbmc"), sample("V3", 3, size=0))
BORDERS = {"A": 0.45, "B": 0.55, "C": 0.3, "D": 0.5, "D_high": 0.8}


def gate(borders, samples=SAMPLES):
    rules = {name: ThresholdRule(name, name.split("_")[0], "valley") for name in BORDERS}
    gates = {one.population: one for one in GATES}
    return Gating(samples, Strategy("patient", rules, gates), FixedBorders(borders))


@pytest.fixture(scope="module")
def rows():
    found = shifted_counts(gate(BORDERS), ORDER, SHIFTS, DECADES, VOCABULARY, ORDER)
    return {
        (r["sample_id"], r["population"], r["threshold"], r["shift"]): (
            r["count"],
            r["parent_count"],
        )
        for r in found
    }


def thresholds_of(rows, population):
    return {key[2] for key in rows if key[1] == population}


def test_the_shifts():
    assert set(SPECIFICATION_SHIFTS) == {-0.1, -0.05, 0.05, 0.1}
    assert TIPPING_SHIFTS[0] == -0.3
    assert TIPPING_SHIFTS[-1] == 0.3
    assert len(TIPPING_SHIFTS) == 31
    assert set(SPECIFICATION_SHIFTS) | set(TIPPING_SHIFTS) == set(SHIFTS)
    assert list(SHIFTS) == sorted(SHIFTS)


def test_one_threshold_at_a_time_and_all(rows):
    assert thresholds_of(rows, "T") == {"A", "B", "all"}
    # C is on a linear scale: it has no decades and stays.
    assert thresholds_of(rows, "sub") == {"D", "D_high", "all"}
    assert thresholds_of(rows, "eos") == {"D"}
    for population in ("all", "lymph", "shape"):
        assert thresholds_of(rows, population) == set()


@pytest.mark.parametrize(
    ("population", "parent", "threshold", "moved"),
    [
        ("T", "lymph", "A", ["A"]),
        ("T", "lymph", "B", ["B"]),
        ("T", "lymph", "all", ["A", "B"]),
        ("sub", "T", "D", ["D"]),
        ("sub", "T", "D_high", ["D_high"]),
        ("sub", "T", "all", ["D", "D_high"]),
        ("eos", "all", "D", ["D"]),
    ],
)
@pytest.mark.parametrize("shift", [-0.3, -0.1, -0.05, 0, 0.02, 0.3])
def test_counts_are_those_of_gating_with_shifted_borders(
    rows, population, parent, threshold, moved, shift
):
    """Only the population's own gate moves: what else uses the threshold stays as it was."""
    borders = dict(BORDERS)
    for name in moved:
        borders[name] += shift / DECADES[name.split("_")[0]]
    plain, shifted = gate(BORDERS), gate(borders)
    own = shifted.select(plain.strategy.gates[population]) if population in ("T", "eos") else None
    if own is None:
        # Gated under, and without, populations as they were.
        gates = plain.strategy.gates
        inside = Gating(SAMPLES, plain.strategy, FixedBorders(BORDERS))
        inside.borders_used = {(n, "T"): (borders[n],) * 3 for n, _ in gates[population].signs}
        own = inside.select(gates[population])
    parents = plain.replaced(population, own).members(parent)
    for position, name in enumerate(("V1", "V2", "V3")):
        unknown = name == "V2" and population == "eos"
        count, total = rows[name, population, threshold, shift]
        assert count == (None if unknown else own[position].size)
        assert total == parents[position].size


def test_without_a_shift_the_counts_are_those_of_the_gating(rows):
    gating = gate(BORDERS)
    for (name, population, _, shift), (count, _) in rows.items():
        if shift == 0 and count is not None:
            position = ("V1", "V2", "V3").index(name)
            assert count == gating.members(population)[position].size


def test_a_parent_that_holds_the_population_moves_with_it(rows):
    lower, higher = rows["V1", "T", "A", -0.3], rows["V1", "T", "A", 0.3]
    assert lower[0] > higher[0]
    assert lower[1] > higher[1]
    assert lower[0] <= lower[1]


def test_events_on_the_border_stay_negative():
    values = {marker: np.full(4, 0.5, "f4") for marker in "ABCD"}
    one = Events(values, np.zeros(4, np.uint8), {"sample_id": "V", "tissue": ""})
    gating = gate(dict.fromkeys(BORDERS, 0.5) | {"C": 0.1, "D": 0.5}, [one])
    found = list(shifted_counts(gating, ["eos"], [-0.02, 0.0, 0.02], DECADES, VOCABULARY, ORDER))
    assert [row["count"] for row in found] == [4, 0, 0]
    found = shifted_counts(gating, ["other"], [-0.02, 0.0, 0.02], DECADES, OTHER, ["other"])
    assert [row["count"] for row in found] == [0, 4, 4]


def test_what_is_unknown_has_no_shifted_count():
    borders = BORDERS | {"D_high": float("nan")}
    found = list(shifted_counts(gate(borders), ["sub"], [0.1], DECADES, VOCABULARY, ORDER))
    of = {(row["sample_id"], row["threshold"]): row["count"] for row in found}
    assert of["V1", "D"] is None
    assert of["V1", "D_high"] is None
    assert of["V3", "D"] == 0
    one = sample("V1", 1)
    del one.values["D"]
    found = list(shifted_counts(gate(BORDERS, [one]), ["sub"], [0.1], DECADES, VOCABULARY, ORDER))
    assert {row["count"] for row in found} == {None}
    assert all(row["parent_count"] for row in found)
