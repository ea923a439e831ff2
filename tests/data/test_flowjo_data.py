"""FlowJo 10 workspaces: every gate equals FlowKit's own reading of it, event by event."""

import warnings

import numpy as np
import pytest

from biocross.flow.headers import read_header
from biocross.flow.imported.counts import compare_counts
from biocross.flow.imported.evaluation import evaluate
from biocross.flow.imported.load import load_gates
from biocross.flow.imported.matching import CohortFile, match_samples

pytestmark = pytest.mark.data
LINE, DIAMOND = "flowkit/simple_line_example", "flowkit/simple_diamond_example"
WORKSPACES = {
    "lymphocytes": ("flowsom_68983/gating.wsp", "flowsom_68983/68983.fcs", 15),
    "quadrants": (
        f"{DIAMOND}/simple_diamond_example_quad_gate.wsp",
        f"{DIAMOND}/test_data_diamond_01.fcs",
        4,
    ),
    "arcsinh": (
        f"{DIAMOND}/test_data_diamond_asinh_rect.wsp",
        f"{DIAMOND}/test_data_diamond_01.fcs",
        1,
    ),
    "arcsinh 2": (
        f"{DIAMOND}/test_data_diamond_asinh_rect2.wsp",
        f"{DIAMOND}/test_data_diamond_01.fcs",
        1,
    ),
    "biexponential": (
        f"{DIAMOND}/test_data_diamond_biex_rect.wsp",
        f"{DIAMOND}/test_data_diamond_01.fcs",
        1,
    ),
    "polygon": (
        f"{LINE}/simple_poly_and_rect.wsp",
        f"{LINE}/data_set_simple_line_100.fcs",
        2,
    ),
    "polygon of 50": (
        f"{LINE}/simple_poly_and_rect_v2_poly50.wsp",
        f"{LINE}/data_set_simple_line_100.fcs",
        2,
    ),
    "ellipse": (
        f"{LINE}/single_ellipse_51_events.wsp",
        f"{LINE}/data_set_simple_line_100.fcs",
        1,
    ),
}


def cohort_file(path, sample_id="s"):
    header = read_header(path)
    return CohortFile(sample_id, str(path), header.file_name, header.n_events)


def applied(workspace, fcs):
    imported = load_gates(workspace)
    matching = match_samples(imported.samples, [cohort_file(fcs)])
    own = matching.keys["s"]
    found = evaluate(imported, "s", fcs, own=own)
    rows = compare_counts(found, imported.tree(own), {})
    return found, {row["gate"]: row for row in rows}


def flowkits(workspace, fcs):
    """Return FlowKit's memberships by its normal route."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import flowkit

        loaded = flowkit.Workspace(str(workspace), fcs_samples=str(fcs), filename_as_id=True)
        loaded.analyze_samples(use_mp=False)
    (sample,) = loaded.get_sample_ids()
    return {
        "/".join((*path[1:], name)): loaded.get_gate_membership(sample, name, path)
        for name, path in loaded.get_gate_ids(sample)
    }


@pytest.mark.parametrize(("workspace", "fcs", "n_gates"), WORKSPACES.values(), ids=WORKSPACES)
def test_every_gate_equals_flowkits(test_data, workspace, fcs, n_gates):
    found, _ = applied(test_data / workspace, test_data / fcs)
    theirs = flowkits(test_data / workspace, test_data / fcs)
    assert set(found.inside) == set(theirs)
    assert len(theirs) == n_gates
    assert found.pruned == {}
    for gate, inside in theirs.items():
        np.testing.assert_array_equal(found.inside[gate], inside, err_msg=gate)


def test_the_quadrants_of_the_diamond_are_exact(test_data):
    workspace, fcs, _ = WORKSPACES["quadrants"]
    _, rows = applied(test_data / workspace, test_data / fcs)
    assert [row["count"] for row in rows.values()] == [49671, 50596, 50330, 49403]
    assert all(row["difference"] == 0 for row in rows.values())


def test_differences_from_flowjos_counts_are_small_and_explained(test_data):
    """FlowJo decides the first polygon on a grid: 13 events, which its descendants inherit."""
    workspace, fcs, _ = WORKSPACES["lymphocytes"]
    _, rows = applied(test_data / workspace, test_data / fcs)
    assert rows["Lymphocytes"]["difference"] == 13
    assert sum(row["difference"] == 0 for row in rows.values()) == 6
    assert max(abs(row["difference"]) for row in rows.values()) == 13
    assert all("grid" in row["note"] for row in rows.values() if row["difference"])


def test_stored_counts_of_a_workspace_that_was_never_counted_are_ignored(test_data):
    workspace, fcs, _ = WORKSPACES["polygon of 50"]
    _, rows = applied(test_data / workspace, test_data / fcs)
    assert rows["poly1"]["count"] == 50
    assert {row["stored_count"] for row in rows.values()} == {None}


EIGHT_COLOURS = {
    "8_color_ICS.wsp": [14] * 3,
    "8_color_ICS_simple.wsp": [4] * 3,
    "8_color_ICS_with_ellipse.wsp": [15] * 3,
    "8_color_ICS_boolean_gate_testing.wsp": [20] * 3,
    "8_color_ICS_dot_gate_name.wsp": [14] * 3,
    "8_color_ICS_sample_without_gates.wsp": [4, 0, 4],
    "reused_quad_gate_with_child.wsp": [13],
}


@pytest.mark.parametrize(("name", "n_gates"), EIGHT_COLOURS.items())
def test_workspaces_whose_files_are_missing_are_read_and_listed(test_data, name, n_gates):
    imported = load_gates(test_data / "flowkit" / "8_color_data_set" / name)
    assert [len(tree.usable) for tree in imported.trees.values()] == n_gates
    assert not any(tree.pruned for tree in imported.trees.values())
    fcs = test_data / "flowsom_68983" / "68983.fcs"
    matching = match_samples(imported.samples, [cohort_file(fcs)])
    assert matching.keys == {}
    assert len(matching.not_in_cohort) == len(n_gates)
    assert len(matching.not_in_workspace) == 1


def test_a_file_of_another_panel_keeps_the_gates_it_can(test_data):
    """The gates on scatter apply to any file; those on dyes name the channel it lacks."""
    imported = load_gates(
        test_data / "flowkit" / "8_color_data_set" / "reused_quad_gate_with_child.wsp"
    )
    fcs = test_data / "flowsom_68983" / "68983.fcs"
    found = evaluate(imported, "s", fcs, own=imported.samples[0].key)
    assert found.inside == {}
    assert 'no channel "CD3 APC-H7 FLR-A"' in found.pruned["good cells"]
    assert len(found.pruned) == 13
