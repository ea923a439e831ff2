import numpy as np
import pytest
from clustered_cells import write_sheets

from biocross.flow.clusters.agreement import (
    Overlap,
    compare_clusters_with_gates,
    contingency,
    overlap,
    summary_rows,
)
from biocross.flow.clusters.groups import Group
from biocross.flow.events import write_columns
from biocross.flow.gate_membership import Membership, write_membership
from biocross.tables import read_rows, write_rows

GATES = [
    [],
    ["live", "leukocytes"],
    ["live", "leukocytes", "CD4_T"],
    ["live", "leukocytes", "B_cells"],
]
KNOWN = ["live", "leukocytes", "CD4_T", "B_cells"]
# Events of two samples: combination of gates, and cluster.
A = ([2, 2, 2, 1, 1, 0, 2, 3], [1, 1, 2, 1, 3, 2, 0, 2])
B = ([2] * 6 + [3] * 6, [1] * 6 + [2] * 6)
NAMES = {1: "CD4_T", 2: "B_cells", 3: "unassigned"}


@pytest.fixture
def compare(tmp_path):
    """Compare samples, given as gates and clusters; return the three tables."""
    write_sheets(tmp_path)

    def run(samples, least_f1=0.6, known=None):
        labels, memberships = [], []
        for name, (gates, clusters) in samples.items():
            labels.append(tmp_path / f"{name}.labels.arrow")
            column = np.array(clusters, np.uint16)
            write_columns(labels[-1], {"cluster": column}, {"sample_id": name})
            memberships.append(tmp_path / f"{name}.membership.arrow")
            own = {name: np.array(gates, np.uint16)}
            write_membership(
                memberships[-1], Membership(own, GATES, {name: (known or {}).get(name, KNOWN)})
            )
        annotation = [
            {"cluster": n, "map": "main", "population": p, "stable": True, "used": True}
            for n, p in NAMES.items()
        ]
        write_rows(tmp_path / "annotation.tsv", [*annotation[0]], annotation)
        out = {
            f"{name}_out": tmp_path / f"{name}.tsv"
            for name in ("agreement", "summary", "confusion")
        }
        compare_clusters_with_gates(
            labels=labels,
            memberships=memberships,
            annotation=tmp_path / "annotation.tsv",
            populations=tmp_path / "populations.yaml",
            least_f1=least_f1,
            **out,
        )
        return [read_rows(path) for path in out.values()]

    return run


def test_numbers_by_hand(compare):
    found = {row["population"]: row for row in compare({"A": A})[0]}
    # The root is all events by either way. An event that was not mapped counts nowhere.
    assert [*found] == ["leukocytes", "CD4_T", "B_cells"]
    counts = {
        name: [row[f"n_{of}"] for of in ("gate", "cluster", "both")] for name, row in found.items()
    }
    assert counts == {
        "leukocytes": ["6", "6", "5"],
        "CD4_T": ["3", "3", "2"],
        "B_cells": ["1", "3", "1"],
    }
    scores = {
        name: [pytest.approx(float(row[key])) for key in ("precision", "recall", "f1")]
        for name, row in found.items()
    }
    assert scores["CD4_T"] == [2 / 3, 2 / 3, 2 / 3]
    assert scores["B_cells"] == [1 / 3, 1, 0.5]
    assert scores["leukocytes"][2] == 10 / 12


def test_disagreement_is_said(compare):
    summary = {row["population"]: row for row in compare({"A": A, "B": B})[1]}
    b_cells = summary["B_cells"]
    assert [b_cells[f"n_{of}"] for of in ("samples", "gate", "cluster", "both")] == [
        "2",
        "7",
        "9",
        "7",
    ]
    assert float(b_cells["f1"]) == pytest.approx(14 / 16)
    # Sample A has too few B cells for an F1 of its own.
    assert float(b_cells["f1_median"]) == 1
    assert {row["status"] for row in summary.values()} == {"agree"}
    assert {row["note"] for row in summary.values()} == {""}
    strict = {row["population"]: row for row in compare({"A": A, "B": B}, 0.88)[1]}
    assert {name: row["status"] for name, row in strict.items()} == {
        "leukocytes": "agree",
        "CD4_T": "agree",
        "B_cells": "disagree",
    }
    assert "mean different cells by B_cells: 7 in the gate, 9 in the" in strict["B_cells"]["note"]


def test_confusion_by_hand(compare):
    confusion = compare({"A": A})[2]
    found = {(r["gate"], r["cluster"]): (r["population"], r["n"]) for r in confusion}
    assert found == {
        ("none", "2"): ("B_cells", "1"),
        ("leukocytes", "1"): ("CD4_T", "1"),
        ("leukocytes", "3"): ("unassigned", "1"),
        ("CD4_T", "1"): ("CD4_T", "2"),
        ("CD4_T", "2"): ("B_cells", "1"),
        ("B_cells", "2"): ("B_cells", "1"),
    }
    shares = {
        (r["gate"], r["cluster"]): (r["share_of_gate"], r["share_of_cluster"]) for r in confusion
    }
    assert [float(share) for share in shares["CD4_T", "1"]] == pytest.approx([2 / 3, 2 / 3])
    assert [float(share) for share in shares["leukocytes", "3"]] == [0.5, 1]


def test_a_sample_that_is_not_mapped_is_passed_over(compare):
    agreement, summary, _ = compare({"A": A, "B": (B[0], [0] * 12), "C": ([], [])})
    assert {row["sample_id"] for row in agreement} == {"A"}
    assert {row["n_samples"] for row in summary} == {"1"}
    assert compare({"B": (B[0], [0] * 12)}) == [[], [], []]


def test_a_population_that_cannot_be_gated_is_not_compared(compare):
    agreement = compare({"A": A, "B": B}, known={"A": ["live", "CD4_T"]})[0]
    found = [(row["sample_id"], row["population"]) for row in agreement]
    assert found == [("A", "CD4_T"), ("B", "leukocytes"), ("B", "CD4_T"), ("B", "B_cells")]


def test_scores_of_nothing():
    assert np.isnan(
        [Overlap(0, 0, 0).f1, Overlap(3, 0, 0).precision, Overlap(0, 3, 0).recall]
    ).all()
    assert (Overlap(3, 0, 0).f1, Overlap(3, 0, 0).recall, Overlap(0, 3, 0).precision) == (0, 0, 0)


def test_contingency_and_overlap():
    counted = contingency(np.array(A[0], np.uint16), 4, np.array(A[1], np.uint16), 4)
    assert counted.tolist() == [
        [0, 0, 1, 0, 0],
        [0, 1, 0, 1, 0],
        [1, 2, 1, 0, 0],
        [0, 0, 1, 0, 0],
    ]
    group = Group("cluster", "CD4_T", "T_cells", None)
    assert overlap(counted, GATES, group) == Overlap(3, 0, 0)
    assert overlap(counted, GATES, group._replace(clusters=(1, 3))) == Overlap(3, 4, 2)


def test_quartiles_over_samples():
    f1s = [(10, 10, both) for both in (0, 5, 10)] + [(4, 4, 0)]
    found = [(f"S{i}", "NK", Overlap(*one)) for i, one in enumerate(f1s)]
    (row,) = summary_rows(found, ["NK", "B_cells"], 0.5)
    assert [row[key] for key in ("f1_low", "f1_median", "f1_high")] == [0.25, 0.5, 0.75]
    assert row["f1"] == pytest.approx(15 / 34)
    assert row["status"] == "disagree"
    (few,) = summary_rows(found[-1:], ["NK"], 0.5)
    assert np.isnan(few["f1_median"])
