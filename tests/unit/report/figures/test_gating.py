import math
import re

import numpy as np
import pytest

from biocross.cohort.gate_regions import Ellipse, Polygon, Singlets
from biocross.flow.applied_gates import AppliedGate, Range
from biocross.flow.events import Events
from biocross.flow.transforms import Transform
from biocross.report.figures.densities import (
    PIXELS,
    dot_size,
    marker_range,
    pseudocolour,
    to_pixels,
)
from biocross.report.figures.gating import axis_label, plot_gating
from biocross.report.figures.gating_page import percent
from biocross.report.figures.gating_steps import Visit, gating_steps, region_corners
from biocross.report.figures.label_room import LabelRoom, Tile

MARKERS = ("FSC-A", "SSC-A", "CD3", "CD19", "CD14")
TRANSFORMS = {marker: Transform("logicle") for marker in MARKERS}
INF = math.inf


def above(marker, border):
    return Range(marker, border, INF, f"{marker}+")


def below(marker, border):
    return Range(marker, -INF, border, f"{marker}−")


def visit(gates, title="baseline", n=2000, seed=1, drop=(), **meta):
    """Make a visit whose populations are gated one event at a time."""
    rng = np.random.default_rng(seed)
    values = {m: rng.random(n).astype(np.float32) for m in MARKERS if m not in drop}
    members = {"": np.arange(0, n, 2)}
    for gate in gates:
        needed = {r.marker for r in gate.ranges} | {*(gate.region.markers if gate.region else ())}
        if gate.unknown or gate.under not in members or not needed <= set(values):
            continue
        inside = [
            i
            for i in members[gate.under]
            if all(r.low <= values[r.marker][i] < r.high for r in gate.ranges)
        ]
        members[gate.population] = np.array(inside, dtype=np.intp)
    return Visit(title, Events(values, np.arange(n, dtype=np.uint8) % 2, meta), members, gates)


LEUKOCYTES = AppliedGate("leukocytes", "", (above("FSC-A", 0.2),))
T_CELLS = AppliedGate(
    "T_cells", "leukocytes", (below("SSC-A", 0.6), above("CD3", 0.5), below("CD19", 0.5))
)
B_CELLS = AppliedGate(
    "B_cells", "leukocytes", (below("SSC-A", 0.6), above("CD19", 0.5), below("CD3", 0.5))
)
TREE = (LEUKOCYTES, T_CELLS, B_CELLS)


def words_of(svg):
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg.read_text(encoding="utf-8"))


@pytest.fixture
def draw(tmp_path):
    def run(*visits, name="gating.svg"):
        plot_gating(visits, TRANSFORMS, {"CD3": "CD3 PE"}, tmp_path / name, "Patient P1")
        return tmp_path / name

    return run


def test_gates_of_many_markers_are_divided_into_pairs_in_their_order():
    steps = gating_steps([visit(TREE)])
    assert [(s.parent, s.within, s.x, s.y) for s in steps] == [
        ("", "", "FSC-A", ""),
        ("leukocytes", "", "CD3", "SSC-A"),
        ("leukocytes", "SSC-A− CD3+", "CD19", ""),
        ("leukocytes", "", "CD19", "SSC-A"),
        ("leukocytes", "SSC-A− CD19+", "CD3", ""),
    ]


def test_gates_on_the_same_events_and_markers_share_a_plot():
    quadrants = [
        AppliedGate("T_cells", "leukocytes", (above("CD3", 0.5), below("CD19", 0.4))),
        AppliedGate("B_cells", "leukocytes", (above("CD19", 0.4), below("CD3", 0.5))),
    ]
    _, step = gating_steps([visit((LEUKOCYTES, *quadrants))])
    assert [gate.name for gate in step.gates] == ["T_cells", "B_cells"]
    outline = step.gates[1].outlines[0]
    assert (outline.x, outline.y) == ((-INF, 0.5), (0.4, INF))


def test_gates_that_begin_alike_share_their_first_steps():
    longer = T_CELLS._replace(population="Treg", ranges=(*T_CELLS.ranges, above("CD14", 0.5)))
    steps = gating_steps([visit((LEUKOCYTES, T_CELLS, longer))])
    assert [len(step.gates) for step in steps] == [1, 1, 1, 1]
    assert (steps[3].x, steps[3].y, steps[3].within) == ("CD19", "CD14", "SSC-A− CD3+")


def test_steps_end_in_the_events_of_the_population():
    one = visit(TREE)
    steps = gating_steps([one])
    shown = {gate.name: gate.outlines[0] for step in steps for gate in step.gates if gate.name}
    assert set(shown) == {gate.population for gate in TREE}
    for name, outline in shown.items():
        np.testing.assert_array_equal(outline.inside, one.members[name])
    assert shown["leukocytes"].whole is None
    assert shown["T_cells"].whole == one.members["leukocytes"].size


def test_every_step_narrows_the_events_of_the_next():
    one = visit(TREE)
    steps = gating_steps([one])
    np.testing.assert_array_equal(steps[2].events[0], steps[1].gates[0].outlines[0].inside)
    assert 0 < steps[2].events[0].size < steps[1].events[0].size


def test_regions_are_drawn_with_their_corners():
    polygon = Polygon(("CD3", "CD19"), ((0.1, 0.1), (0.9, 0.2), (0.5, 0.9)))
    oval = Ellipse(("CD3", "SSC-A"), (0.5, 0.4), ((0.02, 0.01), (0.01, 0.03)), 2.0)
    gates = (AppliedGate("T_cells", region=polygon), AppliedGate("oval", region=oval))
    first, second = gating_steps([visit(gates)])
    assert first.gates[0].outlines[0].corners.tolist() == [list(v) for v in polygon.vertices]
    corners = second.gates[0].outlines[0].corners
    assert (second.x, second.y) == ("CD3", "SSC-A")
    away = corners - np.array([0.5, 0.4])
    inverse = np.linalg.inv(np.array(oval.covariance))
    np.testing.assert_allclose(np.einsum("ij,jk,ik->i", away, inverse, away), 2.0)
    assert len(region_corners(oval)) == len(corners)


def test_what_was_not_gated_in_a_visit_is_no_outline():
    moved = T_CELLS._replace(ranges=(), unknown="no border for CD3 on leukocytes")
    steps = gating_steps([visit(TREE), visit((LEUKOCYTES, moved, B_CELLS))])
    step = steps[1]
    assert step.gates[0].outlines[0] is not None
    assert step.gates[0].outlines[1] is None
    assert step.events[1] is not None


def test_figure_says_percent_count_visit_and_markers(draw):
    visits = visit(TREE), visit(TREE, "month 4", seed=2)
    texts = words_of(draw(*visits))
    assert {"Patient P1", "leukocytes", "baseline", "month 4", "CD3 PE", "CD19"} <= set(texts)
    for one in visits:
        cells = {name: members.size for name, members in one.members.items()}
        assert f"{cells['']:,} events" in texts
        assert f"{percent(cells['leukocytes'], cells[''])}  {cells['leukocytes']:,}" in texts
        assert f"{percent(cells['T_cells'], cells['leukocytes'])} of parent" in texts


def test_figure_survives_empty_missing_excluded_and_unknown(draw):
    nobody = AppliedGate("nobody", "leukocytes", (above("CD14", 2.0),))
    child = AppliedGate("child", "nobody", (above("CD3", 0.5), above("CD14", 0.5)))
    unknown = AppliedGate("lost", "leukocytes", unknown="no border for CD4 on leukocytes")
    union = AppliedGate("either", "leukocytes", any_of=("T_cells", "B_cells"))
    gates = (*TREE, nobody, child, unknown, union)
    texts = words_of(
        draw(
            visit(gates),
            visit(gates, "month 4", drop=("CD14",)),
            visit(gates, "month 8", n=0, excluded="the file is cut off"),
        )
    )
    assert {"no events", "no CD14", "in this file", "excluded"} <= set(texts)
    assert "baseline: lost unknown: no border for CD4 on leukocytes" in texts
    assert not any("month 8: lost" in text for text in texts)
    assert any(text.startswith("either (T cells or B cells): baseline:") for text in texts)


def test_singlets_show_the_others_in_grey():
    gates = (
        AppliedGate("singlets", region=Singlets(("FSC-A", "SSC-A"))),
        AppliedGate("T_cells", "singlets", (above("CD3", 0.5),)),
    )
    first = gating_steps([visit(gates)])[0]
    assert (first.x, first.y) == ("FSC-A", "SSC-A")
    assert not first.gates[0].outlines[0].is_drawn
    assert 0 < first.gates[0].outlines[0].inside.size <= first.events[0].size


def test_pages_are_a4_and_the_same_every_time(draw):
    gates = tuple(
        AppliedGate(f"p{i}", "", (above("CD3", 0.1 + i / 20), below("CD19", 0.5), above("CD14", 0)))
        for i in range(12)
    )
    visits = [visit(gates, title) for title in ("baseline", "month 4")]
    content = draw(*visits, name="a.pdf").read_bytes()
    assert content.count(b"/Type /Page ") == 2
    assert set(re.findall(rb"/MediaBox \[ ([\d. ]+) \]", content)) == {b"0 0 595 842"}
    assert draw(*visits, name="b.pdf").read_bytes() == content
    assert draw(*visits).read_bytes() == draw(*visits, name="again.svg").read_bytes()


@pytest.mark.parametrize(
    ("marker", "channel", "label"),
    [
        ("CD3", "PerCP-Cy5-5-A", "CD3 PerCP-Cy5-5"),
        ("CD3", "Comp-BV421-A", "CD3 BV421"),
        ("CD3", "FJComp-BV421-A", "CD3 BV421"),
        ("CD45", "CD45(In115)Dd", "CD45 In115"),
        ("CD45", "In115Di", "CD45 In115"),
        ("FSC-A", "FSC-A", "FSC-A"),
        ("CD3", "CD3", "CD3"),
    ],
)
def test_axes_name_marker_and_fluorochrome(marker, channel, label):
    assert axis_label(marker, channel) == label


@pytest.mark.parametrize(
    ("count", "whole", "said"),
    [
        (0, 10, "0 %"),
        (10, 10, "100 %"),
        (0, 0, "–"),
        (99_999, 100_000, "99.9 %"),
        (1, 3, "33.3 %"),
        (9, 1000, "0.90 %"),
        (1, 30_000, "0.0033 %"),
    ],
)
def test_percent_is_100_only_for_all(count, whole, said):
    assert percent(count, whole) == said


def test_every_event_has_a_pixel_and_the_dense_ones_another_colour():
    rng = np.random.default_rng(3)
    x = to_pixels(np.append(rng.normal(0.3, 0.02, 5000), 0.9).astype(np.float32), 0, 1)
    y = to_pixels(np.append(rng.normal(0.3, 0.02, 5000), 0.9).astype(np.float32), 0, 1)
    image = pseudocolour(x, y)
    assert (image[y, x, 3] == 255).all()
    drawn = np.unique(y * PIXELS + x).size
    assert (image[..., 3] > 0).sum() == drawn
    assert image[y[-1], x[-1], :3].sum() < image[y[0], x[0], :3].astype(int).sum()
    assert not pseudocolour(x[:0], y[:0]).any()


def test_events_beyond_the_axis_stand_on_its_edge():
    values = np.array([-5, 0, 0.5, 1, 5, np.nan], dtype=np.float32)
    assert to_pixels(values, 0, 1, 10).tolist() == [0, 0, 5, 9, 9, 0]


def test_dots_grow_where_events_are_few():
    sizes = [dot_size(n) for n in (10, 10_000, 1_000_000)]
    assert sizes == sorted(sizes, reverse=True)
    one = np.array([50])
    drawn = [(pseudocolour(one, one, size)[..., 3] > 0).sum() for size in sizes]
    assert drawn == [5, 4, 1]


def test_axes_hold_events_of_all_visits_and_every_border():
    low, high = marker_range([np.zeros(10, np.float32), np.ones(10, np.float32)], [1.5, INF])
    assert low < 0
    assert high > 1.5
    low, high = marker_range([np.empty(0, np.float32)])
    assert low < high


def test_labels_go_where_no_events_are_and_not_on_each_other():
    busy = np.zeros((PIXELS, PIXELS), dtype=np.float32)
    busy[:, : PIXELS // 2] = 1
    room = LabelRoom(busy, [(0.0, 1.0, 0.0, 1.0)], Tile(100, 200, 110))
    lines = ["T cells", "12.3 %  1,234"]
    (x1, y1, ground), (x2, y2, _) = (room.take(lines, (0.0, 1.0, 0.0, 1.0)) for _ in range(2))
    assert min(corner[0] for corner in ground) >= 100 + 55
    height = ground[2][1] - ground[0][1]
    width = ground[1][0] - ground[0][0]
    assert abs(y1 - y2) >= 0.95 * height or abs(x1 - x2) >= 0.95 * width
