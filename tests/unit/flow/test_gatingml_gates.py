import math
import re
from pathlib import Path

import numpy as np
import pytest

from biocross.cohort.gate_regions import Ellipse, Polygon, Rectangle, Singlets
from biocross.cohort.strategy import Gate, Strategy, ThresholdRule
from biocross.flow.applied_gates import AppliedGate, Range, applied_gates
from biocross.flow.compensation import compensate
from biocross.flow.events import Events
from biocross.flow.fcs import read_fcs
from biocross.flow.gate_borders import FixedBorders
from biocross.flow.gate_tree import Gating
from biocross.flow.gatingml_gates import GateSet, write_gates
from biocross.flow.spillover import Spillover
from biocross.flow.transforms import Transform, apply_transform, transform_exactly
from biocross.simulate.flow.fcs_writer import spillover_keyword

CHANNELS = ("FSC-A", "SSC-A", "BV421-A", "PE-A", "APC/Fire-A")
MARKERS = ("FSC-A", "SSC-A", "CD3", "CD19", "CD4/8")
MATRIX = np.array([[1.0, 0.2, 0.01], [0.05, 1.0, 0.1], [0.0, 0.3, 1.0]])
LOGICLE = Transform("logicle", width=0.7)
SCATTER = {"FSC-A": Transform("linear"), "SSC-A": Transform("linear")}
SCALES = {
    **SCATTER,
    "CD3": LOGICLE,
    "CD19": LOGICLE._replace(width=0.4),
    "CD4/8": Transform("arcsinh", cofactor=150.0),
}
RULES = {
    "FSC-A": ThresholdRule("FSC-A", "FSC-A", "fixed", value=500.0),
    "CD3": ThresholdRule("CD3", "CD3", "valley"),
    "CD3_low": ThresholdRule("CD3_low", "CD3", "valley"),
    "CD19": ThresholdRule("CD19", "CD19", "valley", estimate_on="cells"),
}
BORDERS = {"CD3": 0.55, "CD3_low": 0.4, "CD19": 0.5}
TRIANGLE = Polygon(("CD19", "CD3"), ((0.2, 0.2), (0.9, 0.3), (0.5, 0.9)))
OVAL = Ellipse(("CD3", "CD4/8"), (0.5, 2.0), ((0.02, 0.01), (0.01, 1.5)), 6.0)
GATES = [
    Gate("cells", "root", (("FSC-A", True),)),
    Gate("T_cells", "cells", (("CD3", True), ("CD19", False))),
    Gate("between", "cells", (("CD3_low", True), ("CD3", False))),
    Gate("box", "cells", region=Rectangle(("CD3", "SSC-A"), (0.3, -math.inf), (math.inf, 600.0))),
    Gate("triangle", "cells", region=TRIANGLE),
    Gate("oval", "triangle", region=OVAL),
    Gate("either", "cells", any_of=("T_cells", "triangle")),
    Gate("one", "cells", any_of=("T_cells",)),
    Gate("both", "root", all_of=("box", "oval")),
    Gate("rest", "cells", none_of=("T_cells", "between")),
    Gate("without", "box", none_of=("triangle",)),
    # A population that is called like a marker, and asks for everything at once.
    Gate("CD3", "cells", (("CD3_low", True),), none_of=("oval",), region=TRIANGLE),
]
STRATEGY = Strategy("patient", RULES, {gate.population: gate for gate in GATES})


def raw_events(seed, n=4000):
    rng = np.random.default_rng(seed)
    scatter = rng.integers(300, 900, (n, 2))  # Whole numbers: some lie on the border of 500.
    dyes = np.where(rng.random((n, 3)) < 0.4, rng.lognormal(8.5, 0.8, (n, 3)), 0)
    dyes = (dyes + rng.normal(0, 150, (n, 3))) @ MATRIX
    return np.column_stack([scatter, dyes]).astype(np.float32)


@pytest.fixture
def sample(write_fcs):
    """Write a sample; return its path and its events as we prepare them."""

    def make(name="P1_baseline", seed=1, in_file=True, scales=SCALES):
        keyword = {"SPILLOVER": spillover_keyword(MATRIX, CHANNELS[2:])} if in_file else {}
        path = write_fcs(f"{name}.fcs", raw_events(seed), CHANNELS, **keyword)
        file = read_fcs(path)
        table = Spillover(CHANNELS[2:], MATRIX)
        events = compensate(file.events, file.channels, file.spillover if in_file else table)
        values = {
            marker: apply_transform(events[:, i].copy(), scales[marker])
            for i, marker in enumerate(MARKERS)
        }
        quality = (np.arange(len(events)) % 10 == 0).astype(np.uint8)
        return path, Events(values, quality, {"sample_id": name})

    return make


def gate_set(borders, name="P1_baseline", strategy=STRATEGY, spillover=None):
    used = {
        (rule, on): border for rule, border in borders.items() for on in ("root", "cells", "box")
    }
    channels = dict(zip(MARKERS, CHANNELS, strict=True))
    compensated = frozenset(CHANNELS[2:])
    return GateSet((name,), applied_gates(strategy, used), channels, compensated, spillover)


def flowkit_members(document, path, population):
    """Return FlowKit's answer to which events lie in a gate, by the end of its identifier."""
    import flowkit

    strategy = flowkit.parse_gating_xml(str(document))
    result = strategy.gate_sample(flowkit.Sample(str(path)))
    (found,) = strategy.find_matching_gate_paths(population)
    return result.get_gate_membership(population, found)


def our_members(events, strategy, borders, population):
    gating = Gating([events], strategy, FixedBorders(borders))
    inside = np.zeros(events.quality.size, dtype=bool)
    inside[gating.members(population)[0]] = True
    return inside


@pytest.mark.parametrize("population", [gate.population for gate in GATES])
def test_flowkit_finds_the_same_events(sample, tmp_path, population):
    path, events = sample()
    told = write_gates(tmp_path / "gates.xml", SCALES, [gate_set(BORDERS)])
    assert told == {}
    name = "CD3_2" if population == "CD3" else population
    theirs = flowkit_members(tmp_path / "gates.xml", path, name) & (events.quality == 0)
    ours = our_members(events, STRATEGY, BORDERS, population)
    assert 50 < ours.sum() < 0.98 * (events.quality == 0).sum()
    np.testing.assert_array_equal(theirs, ours)


def test_events_on_a_threshold_are_negative_in_both(sample, tmp_path):
    path, events = sample()
    write_gates(tmp_path / "gates.xml", SCALES, [gate_set(BORDERS)])
    on_border = events.values["FSC-A"] == 500
    assert on_border.sum() > 3
    assert not flowkit_members(tmp_path / "gates.xml", path, "cells")[on_border].any()


def test_matrix_of_a_table_is_written_and_used(sample, tmp_path):
    path, events = sample(in_file=False)
    table = Spillover(CHANNELS[2:], MATRIX)
    write_gates(tmp_path / "gates.xml", SCALES, [gate_set(BORDERS, spillover=table)])
    theirs = flowkit_members(tmp_path / "gates.xml", path, "T_cells") & (events.quality == 0)
    np.testing.assert_array_equal(theirs, our_members(events, STRATEGY, BORDERS, "T_cells"))
    write_gates(tmp_path / "gates.xml", SCALES, [gate_set(BORDERS)])
    without = flowkit_members(tmp_path / "gates.xml", path, "T_cells") & (events.quality == 0)
    assert not np.array_equal(without, theirs)


def test_visits_with_equal_borders_share_their_gates(sample, tmp_path):
    names = ("P1_baseline", "P1_month_4")
    write_gates(tmp_path / "gates.xml", SCALES, [gate_set(BORDERS, name) for name in names])
    assert (tmp_path / "gates.xml").read_text("utf-8").count('id="T_cells"') == 1
    path, events = sample("P1_month_4", seed=2)
    theirs = flowkit_members(tmp_path / "gates.xml", path, "T_cells") & (events.quality == 0)
    np.testing.assert_array_equal(theirs, our_members(events, STRATEGY, BORDERS, "T_cells"))


def test_visits_whose_border_moved_have_gates_of_their_own(sample, tmp_path):
    names, moved = ("P1_baseline", "P1_month_4"), {**BORDERS, "CD3": 0.6}
    sets = [gate_set(b, name) for b, name in zip((BORDERS, moved), names, strict=True)]
    write_gates(tmp_path / "gates.xml", SCALES, sets)
    path, events = sample()
    for name, borders in zip(names, (BORDERS, moved), strict=True):
        theirs = flowkit_members(tmp_path / "gates.xml", path, f"T_cells.{name}")
        ours = our_members(events, STRATEGY, borders, "T_cells")
        np.testing.assert_array_equal(theirs & (events.quality == 0), ours)


def test_ranges_on_a_biexponential_scale_are_written_in_data_units(sample, tmp_path):
    scales = {**SCALES, "CD3": Transform("biex", width_basis=-100.0)}
    borders = {**BORDERS, "CD3": 2000.0, "CD3_low": 1200.0}
    path, events = sample(scales=scales)
    told = write_gates(tmp_path / "gates.xml", scales, [gate_set(borders)])
    for population in ("T_cells", "between"):
        theirs = flowkit_members(tmp_path / "gates.xml", path, population)
        ours = our_members(events, STRATEGY, borders, population)
        assert ours.any()
        np.testing.assert_array_equal(theirs & (events.quality == 0), ours)
    assert "biexponential scale" in told["triangle"]
    assert told["oval"] == "triangle, which it needs, is not"
    assert told["either"] == "triangle, which it needs, is not"


def test_what_is_not_known_is_left_out_with_what_rests_on_it(tmp_path):
    told = write_gates(tmp_path / "g.xml", SCALES, [gate_set({**BORDERS, "CD19": math.nan})])
    assert told["T_cells"] == "no border for CD19 on cells"
    assert set(told) == {"T_cells", "either", "one", "rest"}
    comments = re.findall("<!--(.*?)-->", (tmp_path / "g.xml").read_text("utf-8"))
    assert any("T_cells is not in this file: no border for CD19 on cells" in c for c in comments)


def test_single_cells_are_passed_over_and_said(tmp_path):
    gates = (
        AppliedGate("singlets", region=Singlets(("FSC-A", "FSC-H"))),
        AppliedGate("T_cells", "singlets", (Range("CD3", 0.5),)),
        AppliedGate("not_single", none_of=("singlets",)),
    )
    told = write_gates(tmp_path / "g.xml", SCALES, [GateSet(("a",), gates, {"CD3": "BV421-A"})])
    text = (tmp_path / "g.xml").read_text("utf-8")
    assert "its doublets are not removed here" in told["singlets"]
    assert told["not_single"] == "it combines singlets, which is not expressed"
    assert 'id="T_cells"' in text
    assert "parent_id" not in text


def test_a_marker_without_channel_is_named(tmp_path):
    one = gate_set(BORDERS)._replace(channels={"FSC-A": "FSC-A", "CD3": "BV421-A"})
    told = write_gates(tmp_path / "g.xml", SCALES, [one])
    assert told["T_cells"] == "the files have no channel for CD19"
    assert "between" not in told


def test_document_keeps_the_standard_and_its_bytes(tmp_path):
    import flowkit
    from lxml import etree

    table = Spillover(CHANNELS[2:], MATRIX)
    moved = gate_set({**BORDERS, "CD3": 0.6}, "b", spillover=table)
    for name in ("one.xml", "two.xml"):
        write_gates(tmp_path / name, SCALES, [gate_set(BORDERS), moved])
    rules = Path(flowkit.__file__).parent / "_resources" / "Gating-ML.v2.0.xsd"
    etree.XMLSchema(etree.parse(str(rules))).assertValid(etree.parse(str(tmp_path / "one.xml")))
    assert (tmp_path / "one.xml").read_bytes() == (tmp_path / "two.xml").read_bytes()


def test_our_own_reader_reads_it_back(sample, tmp_path):
    from biocross.flow.imported.evaluation import evaluate
    from biocross.flow.imported.load import load_gates

    path, events = sample()
    write_gates(tmp_path / "gates.xml", SCALES, [gate_set(BORDERS)])
    read = evaluate(load_gates(tmp_path / "gates.xml"), "P1_baseline", path)
    assert read.pruned == {}
    ours = our_members(events, STRATEGY, BORDERS, "oval")
    np.testing.assert_array_equal(read.inside["cells/triangle/oval"] & (events.quality == 0), ours)


def test_differences_lie_within_the_rounding_of_float32(sample):
    """Say why two programs can differ by an event: how far our values are from exact ones."""
    path, events = sample()
    file = read_fcs(path)
    exact = file.events[:, 2:].astype(np.float64) @ np.linalg.inv(MATRIX)
    for i, marker in enumerate(MARKERS[2:]):
        length = 10.0 if marker == "CD4/8" else 1.0
        apart = events.values[marker] - transform_exactly(exact[:, i], SCALES[marker])
        assert np.abs(apart).max() < 5e-6 * length
