"""GatingML 2.0: names, trees, and one broken gate that costs only its descendants."""

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biocross.errors import GatingError
from biocross.flow.imported.evaluation import evaluate
from biocross.flow.imported.load import load_gates
from biocross.flow.imported.model import ImportedGate, order_gates


@pytest.fixture
def read(write_gatingml):
    return lambda *gates: load_gates(write_gatingml("".join(gates))).tree()


@pytest.fixture
def rectangle(parts):
    def make(key, *axes, parent=None, **more):
        axes = axes or (parts["axis"]("FSC-A", 5),)
        return parts["gatingml_gate"](key, more.pop("kind", "RectangleGate"), *axes, parent=parent)

    return make


def boolean(key, operator, *references):
    inner = "".join(f'<gating:gateReference gating:ref="{key}"/>' for key in references)
    return (
        f'<gating:BooleanGate gating:id="{key}"><gating:{operator}>{inner}</gating:{operator}>'
        "</gating:BooleanGate>"
    )


def test_gates_get_the_path_of_their_parents_in_any_order(read, rectangle):
    tree = read(rectangle("C", parent="B"), rectangle("A"), rectangle("B", parent="A"))
    assert list(tree.gates) == ["A", "A/B", "A/B/C"]
    assert not tree.pruned


BROKEN = {
    "unknown type": ("it", {"kind": "MagicGate"}, "MagicGate is not a gate"),
    "no channel": ("axis", ("", 1), "names no channel"),
    "no number": ("axis", ("FSC-A", "one"), '"min" is "one", which is no number'),
    "infinite": ("axis", ("FSC-A", "inf"), "not finite"),
}


@pytest.mark.parametrize(("where", "value", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_gate_loses_itself_and_its_descendants(
    read, rectangle, parts, where, value, reason
):
    axes = () if where == "it" else (parts["axis"](*value),)
    broken = rectangle("X", *axes, **(value if where == "it" else {}))
    tree = read(broken, rectangle("Y", parent="X"), rectangle("Z"), boolean("W", "not", "Y"))
    assert tree.usable == ("Z",)
    assert reason in tree.pruned["X"]
    assert '"X", cannot be used' in tree.pruned["X/Y"]
    assert '"X/Y", cannot be used' in tree.pruned["W"]


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ({"compensation-ref": "Mine"}, 'compensation "Mine" is not in the file'),
        ({"transformation-ref": "T"}, 'transformation "T" is not in the file'),
        ({"transformation-ref": "Odd"}, "it is wiggle, not a transformation of GatingML"),
        ({"transformation-ref": "Wide"}, "W must lie in 0 to M / 2"),
        ({"compensation-ref": "Flat"}, "2 dyes and 1 detectors"),
    ],
)
def test_what_a_gate_refers_to_must_be_readable(read, rectangle, parts, reference, reason):
    definitions = (
        '<transforms:transformation transforms:id="Odd"><transforms:wiggle/>'
        '</transforms:transformation><transforms:transformation transforms:id="Wide">'
        '<transforms:logicle transforms:T="1000" transforms:W="3" transforms:M="4" '
        'transforms:A="0"/></transforms:transformation>'
        '<transforms:spectrumMatrix transforms:id="Flat"><transforms:fluorochromes>'
        '<data-type:fcs-dimension data-type:name="a"/><data-type:fcs-dimension '
        'data-type:name="b"/></transforms:fluorochromes><transforms:detectors>'
        '<data-type:fcs-dimension data-type:name="a"/></transforms:detectors>'
        "</transforms:spectrumMatrix>"
    )
    tree = read(definitions, rectangle("X", parts["axis"]("FSC-A", 1, **reference)), rectangle("Z"))
    assert tree.usable == ("Z",)
    assert reason in tree.pruned["X"]


def test_a_missing_parent_a_circle_and_a_missing_reference_are_named(read, rectangle):
    tree = read(
        rectangle("A", parent="nowhere"),
        rectangle("B", parent="C"),
        rectangle("C", parent="B"),
        boolean("D", "and", "gone"),
        rectangle("Z"),
    )
    assert tree.usable == ("Z",)
    reasons = " | ".join(tree.pruned.values())
    assert '"nowhere", which is no gate' in reasons
    assert "depends on itself" in reasons
    assert '"gone", is not in the file' in reasons


def test_a_gate_that_is_there_twice_is_noted(write_gatingml, rectangle, parts):
    imported = load_gates(
        write_gatingml(rectangle("A") + rectangle("A", parts["axis"]("FL1-A", 1)))
    )
    assert imported.tree().gates["A"].axes[0].channel == "FSC-A"
    assert "is there twice" in imported.notes[0]


def cytobank(name, file=""):
    return (
        f"<data-type:custom_info><cytobank><name>{name}</name>"
        f"<fcs_file_filename>{file}</fcs_file_filename></cytobank></data-type:custom_info>"
    )


def test_cytobanks_populations_keep_their_names_and_tailored_gates_are_pruned(
    write_gatingml, rectangle
):
    def named(gate, *info):
        head, _, rest = gate.partition(">")
        return f"{head}>{cytobank(*info)}{rest}"

    tree = load_gates(
        write_gatingml(
            named(rectangle("Gate_1"), "T cells")
            + named(boolean("GateSet_1", "and", "Gate_1", "Gate_1"), "T cells")
            + named(rectangle("Gate_2"), "B cells", "a.fcs")
        )
    ).tree()
    assert tree.usable == ("T cells [Gate_1]", "T cells")
    assert 'tailored it to the file "a.fcs"' in tree.pruned["B cells"]


def test_quadrants_are_the_populations_and_share_every_event_once(write_gatingml, parts, fcs):
    divider = (
        '<gating:divider gating:id="{0}" gating:compensation-ref="uncompensated">'
        '<data-type:fcs-dimension data-type:name="{0}"/><gating:value>{1}</gating:value>'
        "</gating:divider>"
    )
    quadrants = "".join(
        f'<gating:Quadrant gating:id="{name}">'
        f'<gating:position gating:divider_ref="FL1-A" gating:location="{x}"/>'
        f'<gating:position gating:divider_ref="FL2-A" gating:location="{y}"/></gating:Quadrant>'
        for name, x, y in (("NN", 0, 0), ("NP", 0, 9e5), ("PN", 9e5, 0), ("PP", 9e5, 9e5))
    )
    path = write_gatingml(
        f'<gating:QuadrantGate gating:id="Q">{divider.format("FL1-A", 900)}'
        f"{divider.format('FL2-A', 2000)}{quadrants}</gating:QuadrantGate>"
        + parts["gatingml_gate"]("below", "RectangleGate", parts["axis"]("FSC-A", 6e4), parent="PP")
    )
    found = evaluate(load_gates(path), "a", fcs).inside
    assert set(found) == {"NN", "NP", "PN", "PP", "PP/below"}
    shared = np.sum([found[name] for name in ("NN", "NP", "PN", "PP")], axis=0)
    assert (shared == 1).all()
    assert 0 < found["PP/below"].sum() < found["PP"].sum()


WHOLE = """
<transforms:transformation transforms:id="R"><transforms:fratio transforms:A="1" transforms:B="0"
 transforms:C="-1"><data-type:fcs-dimension data-type:name="FL1-A"/><data-type:fcs-dimension
 data-type:name="FL2-A"/></transforms:fratio></transforms:transformation>
<transforms:transformation transforms:id="L"><transforms:hyperlog transforms:T="10000"
 transforms:W="1" transforms:M="4.5" transforms:A="0"/></transforms:transformation>
<transforms:spectrumMatrix transforms:id="M"><transforms:fluorochromes><data-type:fcs-dimension
 data-type:name="FITC"/></transforms:fluorochromes><transforms:detectors><data-type:fcs-dimension
 data-type:name="FL1-A"/></transforms:detectors><transforms:spectrum><transforms:coefficient
 transforms:value="1"/></transforms:spectrum></transforms:spectrumMatrix>
<gating:RectangleGate gating:id="A"><gating:dimension gating:compensation-ref="M" gating:min="0.1"
 gating:transformation-ref="L"><data-type:fcs-dimension data-type:name="FITC"/></gating:dimension>
<gating:dimension gating:compensation-ref="FCS" gating:max="9"><data-type:new-dimension
 data-type:transformation-ref="R"/></gating:dimension></gating:RectangleGate>
<gating:EllipsoidGate gating:id="E" gating:parent_id="A"><gating:dimension
 gating:compensation-ref="uncompensated"><data-type:fcs-dimension data-type:name="FL1-A"/>
</gating:dimension><gating:dimension gating:compensation-ref="uncompensated">
<data-type:fcs-dimension data-type:name="FL2-A"/></gating:dimension><gating:mean>
<gating:coordinate data-type:value="900"/><gating:coordinate data-type:value="900"/></gating:mean>
<gating:covarianceMatrix><gating:row><gating:entry data-type:value="1e6"/><gating:entry
 data-type:value="0"/></gating:row><gating:row><gating:entry data-type:value="0"/><gating:entry
 data-type:value="1e6"/></gating:row></gating:covarianceMatrix><gating:distanceSquare
 data-type:value="2"/></gating:EllipsoidGate>
<gating:QuadrantGate gating:id="Q"><gating:divider gating:id="D"
 gating:compensation-ref="uncompensated"><data-type:fcs-dimension data-type:name="FL1-A"/>
<gating:value>900</gating:value></gating:divider><gating:Quadrant gating:id="N"><gating:position
 gating:divider_ref="D" gating:location="5"/></gating:Quadrant></gating:QuadrantGate>
<gating:BooleanGate gating:id="B"><gating:or><gating:gateReference gating:ref="N"/>
<gating:gateReference gating:ref="E" gating:use-as-complement="true"/></gating:or>
</gating:BooleanGate>
"""


def test_the_whole_vocabulary_of_gatingml_is_applied(write_gatingml, fcs, events):
    found = evaluate(load_gates(write_gatingml(WHOLE)), "a", fcs)
    assert found.pruned == {}
    low = events[:, 1] < 900
    np.testing.assert_array_equal(found.inside["N"], low)
    np.testing.assert_array_equal(found.inside["B"], low | ~found.inside["A/E"])
    distance = np.square(events[:, 1:].astype(float) - 900).sum(axis=1) / 1e6
    np.testing.assert_array_equal(found.inside["A/E"], found.inside["A"] & (distance <= 2))
    assert 0 < found.inside["A/E"].sum() < found.inside["A"].sum() < len(events)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_no_damage_to_a_file_gives_a_traceback(data, write_gatingml, fcs):
    """Attributes that are missing or filled with nonsense, and files that are cut off."""
    path = write_gatingml(WHOLE)
    text = path.read_text("utf-8")
    spans = [m.span() for m in re.finditer(r'[\w:-]+="[^"]*"', text) if "xmlns" not in m[0]]
    for start, end in sorted(
        data.draw(st.lists(st.sampled_from(spans), max_size=3, unique=True)), reverse=True
    ):
        name = text[start:end].partition("=")[0]
        nonsense = data.draw(st.sampled_from(["", "-1", "0", "nan", "1e999", "A", "B", None]))
        text = text[:start] + ("" if nonsense is None else f'{name}="{nonsense}"') + text[end:]
    if data.draw(st.integers(0, 9)) == 0:
        text = text[: data.draw(st.integers(0, len(text)))]
    path.write_text(text, "utf-8")
    try:
        imported = load_gates(path)
    except GatingError:
        return
    found = evaluate(imported, "a", fcs)
    assert set(found.inside) | set(found.pruned) == set(imported.gates)
    assert not set(found.inside) & set(found.pruned)


@given(
    st.lists(st.integers(-1, 11), min_size=12, max_size=12),
    st.lists(st.integers(0, 11), min_size=12, max_size=12),
    st.sets(st.integers(0, 11)),
    st.permutations(range(12)),
)
def test_order_gates_never_loses_a_gate_and_prunes_exactly_what_needs_a_bad_one(
    parents, references, broken, order
):
    """Whatever refers to whatever, in any order of the file."""
    gates = [
        ImportedGate(
            str(n),
            str(n),
            "" if parents[n] < 0 else str(parents[n]),
            "and" if n % 3 == 0 else "rectangle",
            references=((str(references[n]), False),) if n % 3 == 0 else (),
            reason="broken" if n in broken else "",
        )
        for n in order
    ]
    ordered = order_gates(gates)
    assert set(ordered) == {str(n) for n in range(12)}
    place = {path: position for position, path in enumerate(ordered)}
    good: set[str] = set()
    while True:  # the usable gates are the least set that is closed under "needs only usable"
        more = {
            gate.path
            for gate in gates
            if int(gate.path) not in broken
            and {gate.parent, *(path for path, _ in gate.references)} <= {"", *good}
        }
        if more == good:
            break
        good = more
    assert {path for path, gate in ordered.items() if not gate.reason} == good
    for path in good:
        for needed in (ordered[path].parent, *(other for other, _ in ordered[path].references)):
            assert not needed or place[needed] < place[path]
