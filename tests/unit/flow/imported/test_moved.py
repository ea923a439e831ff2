"""Gates that move between the visits of a patient."""

import math

import pytest

from biocross.errors import ConfigError
from biocross.flow.imported.load import load_gates
from biocross.flow.imported.moved import Application, choose_gates, find_moved_gates

PATIENTS = {"P1": ["P1_V1", "P1_V2", "P1_V3"]}
KEYS = {"P1_V1": "1", "P1_V2": "2", "P1_V3": "3"}


@pytest.fixture
def visits(write_workspace, parts):
    """Read a workspace in which the gate A of each visit is given as a shape."""

    def read(*shapes, scales=None):
        samples = [
            parts["sample"](
                f"{n}.fcs",
                *([parts["population"]("A", drawn)] if drawn else []),
                key=str(n),
                compensation=parts["matrix"](),
                scales=scales,
            )
            for n, drawn in enumerate(shapes, 1)
        ]
        return load_gates(write_workspace(*samples))

    return read


@pytest.fixture
def rectangle(parts):
    return lambda channel, low, high=None: parts["shape"](
        "RectangleGate", parts["axis"](channel, low, high)
    )


def test_equal_gates_are_not_listed(visits, rectangle):
    imported = visits(*[rectangle("Comp-FL1-A", 1000, 90000)] * 3)
    assert find_moved_gates(imported, KEYS, PATIENTS) == []


def test_a_move_far_from_zero_is_measured_in_decades(visits, rectangle):
    """On a biexponential axis 20,000 lies a fifth of a decade above 20,000 / 10^0.2."""
    imported = visits(
        rectangle("Comp-FL1-A", 20000, 90000),
        rectangle("Comp-FL1-A", 20000 / 10**0.2, 90000),
        rectangle("Comp-FL1-A", 20000, 90000),
    )
    (moved,) = find_moved_gates(imported, KEYS, PATIENTS)
    assert (moved.patient_id, moved.gate, moved.first) == ("P1", "A", "P1_V1")
    assert moved.sample_ids == ("P1_V2",)
    assert moved.decades == pytest.approx(0.2, abs=0.01)
    assert math.isnan(moved.share)


@pytest.mark.parametrize(
    ("scale", "attributes"),
    [
        ("logicle", 'transforms:T="262144" transforms:W="0.5" transforms:M="4.5" transforms:A="0"'),
        ("fasinh", 'transforms:T="262144" transforms:M="4.5" transforms:A="0"'),
        ("log", 'transforms:offset="1" transforms:decades="5"'),
    ],
)
def test_decades_are_decades_on_every_logarithmic_scale(
    visits, rectangle, parts, scale, attributes
):
    scales = parts["scaled"](f"<transforms:{scale} {attributes}>", "Comp-FL1-A")
    imported = visits(
        rectangle("Comp-FL1-A", 20000), rectangle("Comp-FL1-A", 40000), None, scales=scales
    )
    (moved,) = find_moved_gates(imported, KEYS, PATIENTS)
    assert moved.decades == pytest.approx(math.log10(2), abs=0.01)


def test_a_move_on_a_linear_axis_is_a_share_of_it(visits, rectangle):
    imported = visits(rectangle("FSC-A", 26214.4), rectangle("FSC-A", 52428.8), None)
    (moved,) = find_moved_gates(imported, KEYS, PATIENTS)
    assert moved.share == pytest.approx(0.1)
    assert math.isnan(moved.decades)


def test_redrawn_gates_say_what_differs(visits, rectangle, parts):
    axes = parts["axis"]("FSC-A"), parts["axis"]("Comp-FL1-A")
    corners = [(1000, 1000), (100000, 1000), (50000, 90000)]
    triangle = parts["shape"]("PolygonGate", *axes, corners=corners)
    square = parts["shape"]("PolygonGate", *axes, corners=[*corners, (20000, 50000)])
    (moved,) = find_moved_gates(visits(triangle, square, triangle), KEYS, PATIENTS)
    assert moved.sample_ids == ("P1_V2",)
    assert "another number of corners" in moved.note
    (moved,) = find_moved_gates(visits(triangle, rectangle("FSC-A", 5), triangle), KEYS, PATIENTS)
    assert moved.note == "polygon in one visit, rectangle in another"
    (moved,) = find_moved_gates(
        visits(rectangle("FSC-A", 5), rectangle("Comp-FL1-A", 5), None), KEYS, PATIENTS
    )
    assert moved.note == "drawn on other channels"
    (moved,) = find_moved_gates(
        visits(rectangle("FSC-A", 5), rectangle("FSC-A", 5, 9), None), KEYS, PATIENTS
    )
    assert "open in one visit" in moved.note


def test_inside_out_and_recombined_gates_are_listed(visits, rectangle, parts, write_workspace):
    turned = rectangle("FSC-A", 5).replace(
        "<gating:RectangleGate ", '<gating:RectangleGate eventsInside="0" '
    )
    (moved,) = find_moved_gates(visits(rectangle("FSC-A", 5), turned, None), KEYS, PATIENTS)
    assert moved.note == "inside in one visit, outside in another"
    below = [parts["population"](name, rectangle("FSC-A", 5)) for name in ("A", "B")]
    samples = [
        parts["sample"](f"{key}.fcs", *below, parts["combination"]("NotNode", "not", of), key=key)
        for key, of in (("1", "A"), ("2", "B"))
    ]
    (moved,) = find_moved_gates(load_gates(write_workspace(*samples)), KEYS, PATIENTS)
    assert (moved.gate, moved.note) == ("not", "combines other gates")


def test_patients_are_not_compared_with_each_other(visits, rectangle):
    imported = visits(rectangle("FSC-A", 5), rectangle("FSC-A", 50000), None)
    apart = {"P1": ["P1_V1"], "P2": ["P1_V2"]}
    assert find_moved_gates(imported, KEYS, apart) == []


def test_as_drawn_gives_every_sample_its_own_gates(visits, rectangle):
    imported = visits(rectangle("FSC-A", 5), rectangle("FSC-A", 6), None)
    assert choose_gates(imported, KEYS, PATIENTS) == [
        Application("P1_V1", "1", "1", "P1_V1"),
        Application("P1_V2", "2", "2", "P1_V2"),
    ]


def test_patient_gives_all_visits_the_gates_of_the_first_that_has_any(visits, rectangle):
    imported = visits(None, rectangle("FSC-A", 6), rectangle("FSC-A", 7))
    assert choose_gates(imported, KEYS, PATIENTS, "patient") == [
        Application(sample, key, "2", "P1_V2") for sample, key in KEYS.items()
    ]
    without_first = {"P1_V2": "2"}
    assert [a.sample_id for a in choose_gates(imported, without_first, PATIENTS, "patient")] == [
        "P1_V2"
    ]


def test_an_unknown_mode_is_refused(visits, rectangle):
    imported = visits(rectangle("FSC-A", 5))
    with pytest.raises(ConfigError, match='"moved" is neither as_drawn nor patient'):
        choose_gates(imported, KEYS, PATIENTS, "moved")


def test_gatingml_has_one_set_of_gates(write_gatingml, parts):
    gate = parts["gatingml_gate"]("A", "RectangleGate", parts["axis"]("FSC-A", 1))
    imported = load_gates(write_gatingml(gate))
    assert find_moved_gates(imported, {}, PATIENTS) == []
    assert [a.sample_id for a in choose_gates(imported, {}, PATIENTS, "patient")] == list(KEYS)
