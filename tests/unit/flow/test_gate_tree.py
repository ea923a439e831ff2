import numpy as np
import pytest
from benchmarks.gating_benchmark import compare

from biocross.cohort.gate_regions import Ellipse, Polygon, Rectangle, Singlets
from biocross.cohort.strategy import ROOT, Gate, Strategy, ThresholdRule
from biocross.flow.events import Events
from biocross.flow.gate_borders import FixedBorders
from biocross.flow.gate_tree import Gating

INF = float("inf")
MARKERS = ("A", "B", "C", "FSC-A", "FSC-H")


def sample(name="S", size=2000, seed=0, without=()):
    random = np.random.default_rng(seed)
    values = {m: random.random(size).astype("f4") for m in MARKERS if m not in without}
    quality = (random.random(size) < 0.1).astype(np.uint8)
    return Events(values, quality, {"sample_id": name, "tissue": "whole_blood"})


def rules():
    return {name: ThresholdRule(name, name, "fixed", value=0.5) for name in "ABC"}


def gate_all(gates, samples=None, borders=None, thresholds=None):
    strategy = Strategy("patient", thresholds or rules(), {gate.population: gate for gate in gates})
    return Gating(samples or [sample()], strategy, borders or FixedBorders())


def expected(mask, one=None):
    one = one or sample()
    return np.flatnonzero(mask & (one.quality == 0)).tolist()


S = sample()
A, B, C = (S.values[marker].astype(float) for marker in "ABC")
T = Gate("T", ROOT, (("A", True),))
OTHERS = (Gate("P", ROOT, (("B", True),)), Gate("Q", ROOT, (("C", True),)))


@pytest.mark.parametrize(
    ("gate", "mask"),
    [
        (Gate("G", ROOT), A >= 0),
        (Gate("G", "T", (("B", False), ("C", True))), (A > 0.5) & (B <= 0.5) & (C > 0.5)),
        (Gate("G", "T", any_of=("P", "Q")), (A > 0.5) & ((B > 0.5) | (C > 0.5))),
        (Gate("G", "T", all_of=("P", "Q")), (A > 0.5) & (B > 0.5) & (C > 0.5)),
        (Gate("G", "T", none_of=("P", "Q")), (A > 0.5) & ~((B > 0.5) | (C > 0.5))),
        (
            Gate("G", "T", any_of=("P", "Q"), none_of=("Q",)),
            (A > 0.5) & (B > 0.5) & (C <= 0.5),
        ),
        (
            Gate("G", "T", (("C", False),), region=Rectangle(("B",), (0.2,), (0.6,))),
            (A > 0.5) & (C <= 0.5) & (B >= 0.2) & (B < 0.6),
        ),
        (
            Gate(
                "G", "T", (("C", True),), none_of=("P",), region=Rectangle(("C",), (-INF,), (0.9,))
            ),
            (A > 0.5) & (C > 0.5) & (C < 0.9) & (B <= 0.5),
        ),
        (
            Gate("G", "T", region=Polygon(("B", "C"), ((0, 0), (1, 0), (0, 1)))),
            (A > 0.5) & (B + C < 1),
        ),
        (
            Gate("G", "T", region=Ellipse(("B", "C"), (0.5, 0.5), ((1, 0), (0, 1)), 0.09)),
            (A > 0.5) & (np.hypot(B - 0.5, C - 0.5) <= 0.3),
        ),
    ],
)
def test_every_kind_of_gate(gate, mask):
    gating = gate_all([T, *OTHERS, gate])
    assert gating.members("G")[0].tolist() == expected(mask)
    assert gating.reasons("G") == [""]


def test_singlets_are_judged_among_all_events_of_the_parent():
    """The other conditions of a gate do not change who is a doublet."""
    random = np.random.default_rng(3)
    size = 3000
    height = random.normal(60_000, 5_000, size)
    area = height * random.normal(1, 0.03, size) * np.where(np.arange(size) % 9, 1, 1.7)
    values = {"FSC-A": area.astype("f4"), "FSC-H": height.astype("f4"), "A": random.random(size)}
    one = Events(values, np.zeros(size, np.uint8), {"sample_id": "S", "tissue": ""})
    region = Singlets(("FSC-A", "FSC-H"))
    gating = gate_all(
        [Gate("G", ROOT, region=region), Gate("H", ROOT, (("A", True),), region=region), T], [one]
    )
    single, both = gating.members("G")[0], gating.members("H")[0]
    assert not np.isin(np.arange(0, size, 9), single).any()
    assert both.tolist() == np.intersect1d(single, gating.members("T")[0]).tolist()


class Counting(FixedBorders):
    """Note how often, and on how many events, each border is asked for."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def border(self, rule, population, members, samples):
        self.asked.append((rule.name, population, sum(map(len, members))))
        return super().border(rule, population, members, samples)


def test_every_border_is_asked_for_once_and_on_its_population():
    borders = Counting()
    thresholds = rules() | {"C": ThresholdRule("C", "C", "valley", "T", value=0.5)}
    gates = [
        T,
        Gate("G", "T", (("B", True), ("C", True))),
        Gate("H", "T", (("B", False), ("C", True))),
        Gate("I", "G", (("C", False),)),
    ]
    gating = gate_all(gates, borders=borders, thresholds=thresholds)
    for name in ("I", "H", "G", "I"):
        gating.members(name)
    n_root, n_t = gating.members(ROOT)[0].size, gating.members("T")[0].size
    assert sorted(borders.asked) == [("A", ROOT, n_root), ("B", "T", n_t), ("C", "T", n_t)]
    assert gating.borders_used["C", "T"] == (0.5,)


def test_borders_may_differ_between_samples():
    class Own(FixedBorders):
        def border(self, rule, population, members, samples):
            return [0.2, 0.8]

    samples = [sample("S1"), sample("S2")]
    gating = gate_all([T], samples, Own())
    for found, one, border in zip(gating.members("T"), samples, (0.2, 0.8), strict=True):
        assert found.tolist() == expected(one.values["A"] > border, one)


def test_a_missing_marker_makes_a_population_unknown_in_that_sample_alone():
    samples = [sample("S1"), sample("S2", without=("B",))]
    gates = [
        *(T, *OTHERS),
        Gate("G", "T", (("B", True),)),
        Gate("H", "G", (("C", True),)),
        Gate("I", "T", any_of=("G", "Q")),
        Gate("J", "T", none_of=("G",)),
        Gate("K", "T", region=Rectangle(("B", "C"), (0, 0), (1, 1))),
    ]
    gating = gate_all(gates, samples)
    for name in "GHIJK":
        assert gating.reasons(name) == ["", "the file has no B"]
        assert gating.members(name)[0].size
        assert not gating.members(name)[1].size
    assert gating.reasons("T") == ["", ""]
    assert gating.members("T")[1].size


def test_an_unknown_border_makes_unknown_what_it_would_divide():
    class Unknown(FixedBorders):
        def border(self, rule, population, members, samples):
            return [0.5 if rule.name == "A" else float("nan")] * len(samples)

    samples = [sample("S1"), sample("S2", size=0)]
    gates = [T, Gate("G", "T", (("B", False),)), Gate("H", "G", (("A", True),))]
    gating = gate_all(gates, samples, Unknown())
    for name in "GH":
        # Where there is nothing to divide there is nothing on either side: zero is known.
        assert gating.reasons(name) == ["no border for B on T", ""]
        assert [found.size for found in gating.members(name)] == [0, 0]
    # Neither above nor below.
    for positive in (True, False):
        assert not gating.select(Gate("G", "T", (("B", positive),)))[0].size


def test_own_borders_of_a_marker():
    thresholds = {
        "A": ThresholdRule("A", "A", "fixed", value=0.4),
        "B": ThresholdRule("B", "B", "valley", "T", value=0.6),
        "C": ThresholdRule("C", "C", "valley", value=0.7),
    }
    gating = gate_all([T], [sample("S1"), sample("S2")], thresholds=thresholds)
    assert gating.own_borders("A") == (0.4, 0.4)
    assert gating.own_borders("B") == (0.6, 0.6)
    assert gating.own_borders("C") is None
    assert gating.own_borders("FSC-A") is None


def test_replacing_a_population_changes_what_rests_on_it():
    gates = [
        *(T, *OTHERS),
        Gate("G", "T", (("B", True),)),
        Gate("H", ROOT, any_of=("G", "Q")),
        Gate("I", "P", none_of=("G",)),
    ]
    gating = gate_all(gates)
    before = {name: gating.members(name)[0].tolist() for name in gating.strategy.gates}
    fewer = gating.members("G")[0][::2]
    other = gating.replaced("G", [fewer])
    assert other.members("G")[0].tolist() == fewer.tolist()
    q, p = set(before["Q"]), set(before["P"])
    assert set(other.members("H")[0].tolist()) == q | set(fewer.tolist())
    assert set(other.members("I")[0].tolist()) == p - set(fewer.tolist())
    assert [other.members(name)[0].tolist() for name in "TPQ"] == [before[n] for n in "TPQ"]
    assert {name: gating.members(name)[0].tolist() for name in before} == before
    assert gating.rests_on("H", "G")
    assert not gating.rests_on("T", "G")


def test_counts_of_a_tree_are_those_of_flowkit():
    """With thresholds and with rectangles; some events lie on the borders."""
    assert set(compare(20_000)) == {"thresholds", "rectangles", "flowkit"}
