"""FlowJo workspaces: what is pruned, what is evaluated, and what a broken gate costs."""

import re
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biocross.errors import GatingError
from biocross.flow.imported.evaluation import evaluate
from biocross.flow.imported.load import load_gates

CORNERS = ((100, 100), (60000, 150), (50000, 40000), (120, 30000))


@pytest.fixture
def rectangle(parts):
    """A population in a rectangle on one channel."""

    def make(name, channel="FSC-A", low=None, high=None, *below, **more):
        drawn = parts["shape"](
            "RectangleGate",
            parts["axis"](channel, low, high),
            attributes=more.pop("attributes", ""),
        )
        return parts["population"](name, drawn, *below, **more)

    return make


@pytest.fixture
def polygon(parts):
    def make(name, x="Comp-FL1-A", y="Comp-FL2-A", corners=CORNERS, **more):
        axes = parts["axis"](x), parts["axis"](y)
        return parts["population"](
            name, parts["shape"]("PolygonGate", *axes, corners=corners), **more
        )

    return make


@pytest.fixture
def gated(write_workspace, parts, fcs):
    """Read one sample's gates and apply them."""

    def gate(*gates, **more):
        more.setdefault("compensation", parts["matrix"]())
        imported = load_gates(write_workspace(parts["sample"]("a.fcs", *gates, **more)))
        return imported.tree("1"), evaluate(imported, "a", fcs, own="1")

    return gate


def test_gates_are_nested_and_compensated(gated, rectangle, parts, events):
    _, found = gated(
        rectangle("Cells", "FSC-A", 50000, 70000, rectangle("FL2+", "Comp-FL2-A", 1000))
    )
    fsc = (events[:, 0] >= 50000) & (events[:, 0] < 70000)
    clean = np.linalg.solve(np.array([[1, 0.25], [0, 1]]).T, events[:, 1:].T.astype(float)).T
    np.testing.assert_array_equal(found.inside["Cells"], fsc)
    np.testing.assert_array_equal(found.inside["Cells/FL2+"], fsc & (clean[:, 1] >= 1000))
    assert 0 < found.inside["Cells/FL2+"].sum() < fsc.sum()


def test_an_uncompensated_channel_stays_uncompensated_and_is_noted(gated, rectangle, events):
    """FlowKit would compensate it: it takes the detector's name for the compensated channel."""
    _, found = gated(rectangle("raw", "FL2-A", 1000), rectangle("clean", "Comp-FL2-A", 1000))
    np.testing.assert_array_equal(found.inside["raw"], events[:, 2] >= 1000)
    assert (found.inside["raw"] != found.inside["clean"]).any()
    assert found.notes == {"raw": "drawn on the uncompensated FL2-A"}


def test_events_outside_and_open_borders(gated, rectangle, events):
    _, found = gated(
        rectangle("outside", "FSC-A", 50000, 70000, attributes='eventsInside="0"'),
        rectangle("open", "FSC-A", None, 50000),
    )
    fsc = events[:, 0]
    np.testing.assert_array_equal(found.inside["outside"], (fsc < 50000) | (fsc >= 70000))
    np.testing.assert_array_equal(found.inside["open"], fsc < 50000)


def test_boolean_nodes(gated, rectangle, parts):
    _, found = gated(
        rectangle("A", "FSC-A", 55000),
        rectangle("B", "FSC-A", None, 65000),
        parts["combination"]("AndNode", "both", "A", "B"),
        parts["combination"]("OrNode", "any", "A", "B"),
        parts["combination"]("NotNode", "not A", "A"),
    )
    a, b = found.inside["A"], found.inside["B"]
    np.testing.assert_array_equal(found.inside["both"], a & b)
    np.testing.assert_array_equal(found.inside["any"], a | b)
    np.testing.assert_array_equal(found.inside["not A"], ~a)


def test_any_name_of_a_gate_will_do(gated, rectangle):
    """FlowKit refuses "." and takes "/" for a path."""
    _, found = gated(
        rectangle(".", "FSC-A", 5, None, rectangle("CD4+/CD8-", "FSC-A", 50000)),
        rectangle("root", "FSC-A", 5),
        rectangle("  two   blanks ", "FSC-A", 60000),
        rectangle("root", "FSC-A", 60000),
    )
    assert set(found.inside) == {".", "./CD4+/CD8-", "root", "two blanks", "root (2)"}
    np.testing.assert_array_equal(found.inside["root (2)"], found.inside["two blanks"])


PRUNED = {
    "derived parameter": (
        {"extra": '<DerivedParameters><DerivedParameter name="Ratio"/></DerivedParameters>'},
        ("Ratio", 1),
        "is a derived parameter",
    ),
    "missing channel": ({}, ("FL7-A", 1), 'the FCS file has no channel "FL7-A"'),
    "no number": ({}, ("FSC-A", "x"), 'is "x", which is no number'),
}


@pytest.mark.parametrize(("more", "drawn", "reason"), PRUNED.values(), ids=PRUNED)
def test_a_gate_that_cannot_be_applied_loses_only_its_descendants(
    gated, rectangle, parts, more, drawn, reason
):
    _, found = gated(
        rectangle("good", "FSC-A", 5, None, rectangle("also good", "FSC-A", 50000)),
        rectangle("bad", *drawn, None, rectangle("below", "FSC-A", 5)),
        parts["combination"]("OrNode", "either", "good", "bad/below"),
        **more,
    )
    assert set(found.inside) == {"good", "good/also good"}
    assert reason in found.pruned["bad"]
    assert set(found.pruned) == {"bad", "bad/below", "either"}
    assert '"bad", cannot be used' in found.pruned["bad/below"]


def test_plugins_unknown_shapes_and_empty_gates_are_pruned_by_name(gated, rectangle, parts):
    _, found = gated(
        rectangle("good", "FSC-A", 5),
        parts["population"]("FlowSOM", "", rectangle("c1", "FSC-A", 5), tag="ExternalPopNode"),
        parts["population"]("curly", parts["shape"]("CurlyQuad", parts["axis"]("FSC-A", 5))),
        parts["population"]("hollow", ""),
    )
    assert set(found.inside) == {"good"}
    assert "made by a plugin of FlowJo (ExternalPopNode)" in found.pruned["FlowSOM"]
    assert "cannot be used" in found.pruned["FlowSOM/c1"]
    assert "FlowJo's CurlyQuad cannot be read" in found.pruned["curly"]
    assert "no shape" in found.pruned["hollow"]


@pytest.mark.parametrize(
    ("scale", "reason"),
    [
        ("<transforms:miltenyi>", 'FlowJo\'s "miltenyi", which is not published'),
        (
            '<transforms:biex length="4096" maxRange="1" neg="0" width="-10" pos="4">',
            "biexponential of length 4096",
        ),
        (
            '<transforms:biex length="256" maxRange="262144" neg="0" width="10" pos="4">',
            "width below 0",
        ),
        ('<transforms:logicle T="262144" W="0.5" A="0">', 'it lacks "M"'),
        ('<transforms:log offset="0" decades="4">', "offset and decades must be above 0"),
    ],
)
def test_an_unreadable_scale_costs_the_gates_on_its_channel(
    gated, rectangle, polygon, parts, scale, reason
):
    """FlowKit builds every scale of a sample, and one it does not know fails the workspace."""
    scales = parts["scaled"](scale, "FL1-A") + parts["scaled"](parts["BIEX"], "Comp-FL2-A")
    _, found = gated(polygon("bad", x="FL1-A"), rectangle("good", "Comp-FL2-A", 100), scales=scales)
    assert set(found.inside) == {"good"}
    assert reason in found.pruned["bad"]


@pytest.mark.parametrize(
    ("compensation", "reason"),
    [
        ({"attributes": 'spectral="1"'}, "it is spectral; gate files unmixed"),
        ({"values": ((1, 1), (1, 1))}, "is singular: two dyes spill alike"),
        ({"names": ("FL1-A", "FL9-A")}, 'no channel "FL9-A"'),
    ],
)
def test_an_unusable_matrix_costs_the_compensated_gates(
    gated, rectangle, parts, compensation, reason
):
    _, found = gated(
        rectangle("bad", "Comp-FL1-A", 100),
        rectangle("good", "FSC-A", 100),
        compensation=parts["matrix"](**compensation),
    )
    assert set(found.inside) == {"good"}
    assert reason in found.pruned["bad"]


def test_each_sample_has_its_own_gates_and_may_have_none(
    write_workspace, parts, rectangle, fcs, events
):
    imported = load_gates(
        write_workspace(
            parts["sample"]("a.fcs", rectangle("A", "FSC-A", 50000), key="1"),
            parts["sample"]("b.fcs", rectangle("A", "FSC-A", 60000), key="2"),
            parts["sample"]("c.fcs", key="3"),
        )
    )
    counts = [
        {p: int(v.sum()) for p, v in evaluate(imported, "x", fcs, own=key).inside.items()}
        for key in "123"
    ]
    at_least = [int((events[:, 0] >= low).sum()) for low in (50000, 60000)]
    assert counts == [{"A": at_least[0]}, {"A": at_least[1]}, {}]
    assert imported.notes == ('sample "c.fcs" has no gates in the workspace',)


def test_gates_of_another_visit_use_this_samples_compensation(
    write_workspace, parts, rectangle, fcs, events
):
    imported = load_gates(
        write_workspace(
            parts["sample"](
                "a.fcs", rectangle("A", "Comp-FL2-A", 900), compensation=parts["matrix"]()
            ),
            parts["sample"](
                "b.fcs",
                rectangle("A", "Comp-FL2-A", 5),
                key="2",
                compensation=parts["matrix"](values=((1, 0), (0, 1))),
            ),
        )
    )
    found = evaluate(imported, "b", fcs, own="2", gates_of="1")
    np.testing.assert_array_equal(found.inside["A"], events[:, 2] >= 900)


def test_polygons_and_ellipses_follow_flowkit(gated, polygon, parts, write_workspace, fcs):
    """Corners are given in data units, ellipses on FlowJo's display of 256 bins."""
    flowkit = _flowkit()
    foci = "".join(
        f'<gating:vertex><gating:coordinate data-type:value="{x}"/>'
        f'<gating:coordinate data-type:value="{y}"/></gating:vertex>'
        for x, y in ((90, 110), (150, 160))
    )
    edge = "".join(
        f'<gating:vertex><gating:coordinate data-type:value="{x}"/>'
        f'<gating:coordinate data-type:value="{y}"/></gating:vertex>'
        for x, y in ((74.6, 97.2), (165.4, 172.8), (98.0, 161.4), (142.0, 108.6))
    )
    axes = "".join(parts["axis"](name) for name in ("Comp-FL1-A", "Comp-FL2-A"))
    ellipse = (
        f"<gating:EllipsoidGate>{axes}<gating:foci>{foci}</gating:foci>"
        f"<gating:edge>{edge}</gating:edge></gating:EllipsoidGate>"
    )
    _, found = gated(polygon("P"), parts["population"]("E", ellipse))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        workspace = flowkit.Workspace(
            str(fcs.with_name("study.wsp")),
            fcs_samples=[flowkit.Sample(str(fcs), sample_id="a.fcs")],
        )
        workspace.analyze_samples(use_mp=False)
    for name in "PE":
        theirs = workspace.get_gate_membership("a.fcs", name)
        np.testing.assert_array_equal(found.inside[name], theirs)
        assert 0 < theirs.sum() < len(theirs)


def _flowkit():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import flowkit
    return flowkit


def test_a_file_of_another_panel_survives(gated, rectangle, write_fcs, write_workspace, parts):
    imported = load_gates(write_workspace(parts["sample"]("a.fcs", rectangle("A", "FSC-A", 1))))
    other = write_fcs("b.fcs", np.ones((5, 2)), ("Height", "FSC-H"))
    found = evaluate(imported, "b", other, own="1")
    assert found.inside == {}
    assert 'no channel "FSC-A"; did you mean "FSC-H"?' in found.pruned["A"]


def test_values_that_are_no_numbers_are_in_no_gate(write_workspace, parts, rectangle, write_fcs):
    values = np.array([[1, 1, 1], [np.nan, 1, 1], [9, 1, 1]])
    fcs = write_fcs("nan.fcs", values, ("FSC-A", "FL1-A", "FL2-A"))
    imported = load_gates(
        write_workspace(
            parts["sample"](
                "nan.fcs",
                rectangle("in", "FSC-A", 5),
                rectangle("out", "FSC-A", 5, attributes='eventsInside="0"'),
            )
        )
    )
    found = evaluate(imported, "nan", fcs, own="1").inside
    assert found["in"].tolist() == [False, False, True]
    assert found["out"].tolist() == [True, False, False]


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_no_damage_to_a_workspace_gives_a_traceback(
    data, write_workspace, parts, rectangle, polygon, fcs
):
    """Attributes and elements that are missing, renamed or filled with nonsense."""
    path = write_workspace(
        parts["sample"](
            "a.fcs",
            rectangle("A", "Comp-FL1-A", 5, 9000, polygon("P"), count=3),
            parts["combination"]("NotNode", "N", "A"),
            compensation=parts["matrix"](),
            fil="a.fcs",
            tot=2000,
        )
    )
    text = path.read_text("utf-8")
    spans = [m.span() for m in re.finditer(r'[\w:-]+="[^"]*"', text) if "xmlns" not in m[0]]
    for start, end in sorted(
        data.draw(st.lists(st.sampled_from(spans), max_size=3, unique=True)), reverse=True
    ):
        name = text[start:end].partition("=")[0]
        nonsense = data.draw(st.sampled_from(["", "-1", "nan", "1e999", "Comp-", "x/y", None]))
        text = text[:start] + ("" if nonsense is None else f'{name}="{nonsense}"') + text[end:]
    if data.draw(st.booleans()):
        text = text[: data.draw(st.integers(0, len(text)))]
    path.write_text(text, "utf-8")
    try:
        imported = load_gates(path)
    except GatingError:
        return
    for sample in imported.samples:
        found = evaluate(imported, "a", fcs, own=sample.key)
        assert set(found.inside) | set(found.pruned) == set(imported.tree(sample.key).gates)
        assert not set(found.inside) & set(found.pruned)
