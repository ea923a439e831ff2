import numpy as np
import pytest

from biocross.cohort.vocabulary import load_vocabulary
from biocross.evaluation.events import (
    CLUSTER,
    EVENT_COLUMNS,
    GATE,
    LEAST_CELLS,
    Found,
    clustered_events,
    compare_events,
    gated_events,
    passed_events,
    read_all_labels,
)
from biocross.flow.events import write_columns, write_events
from biocross.flow.gate_membership import Membership, write_membership
from biocross.simulate.flow.cells import FATES, LIVE
from biocross.simulate.flow.labels import Labels, labels_path
from biocross.tables import write_rows

DEAD = 1 - LIVE
KINDS = ("Th2", "CD8_naive", "B_naive")
CHAINS = (("T_cells", "CD4_T", "Th2"), ("T_cells", "CD8_T"), ("B_cells",))
# 60 Th2, of which ten are dead, 60 CD8 T cells, 60 B cells, and debris.
KIND = np.repeat(np.array([0, 1, 2, 3], np.uint8), 60)
FATE = np.where(np.arange(240) < 10, DEAD, LIVE).astype(np.uint8)
PASSED = np.ones(240, dtype=bool)


@pytest.fixture
def labels():
    return {"S1": Labels(KIND, FATE, (*KINDS, "debris", "beads"), CHAINS)}


def compared(labels, members, code, passed=PASSED, source=GATE):
    found = [Found("S1", np.asarray(code, np.uint16), members)]
    return compare_events(labels, {"S1": passed}, iter(found), source).set_index("population")


def test_scores_by_hand(labels):
    # Code 1 takes all Th2, dead ones too, and 20 of the CD8 T cells.
    code = np.repeat([1, 2, 3], [80, 100, 60])
    table = compared(labels, {"Th2": [1], "T_cells": [1, 2]}, code)
    th2 = table.loc["Th2"]
    assert (th2["true"], th2["found"], th2["both"]) == (50, 80, 50)
    assert (th2["precision"], th2["recall"]) == (50 / 80, 1)
    assert th2["f1"] == pytest.approx(2 * (50 / 80) / (50 / 80 + 1))
    assert table.loc["T_cells", ["true", "found", "both"]].tolist() == [110, 180, 110]
    assert set(table["source"]) == {GATE}


def test_flagged_events_count_neither_as_true_nor_as_found(labels):
    passed = PASSED.copy()
    passed[60:65] = False
    table = compared(labels, {"T_cells": [1]}, np.repeat([1, 2], 120), passed)
    assert table.loc["T_cells", ["true", "found", "both"]].tolist() == [105, 115, 105]


def test_a_population_without_a_code_was_not_found(labels):
    row = compared(labels, {"B_cells": []}, np.zeros(240)).loc["B_cells"]
    assert (row["true"], row["found"], row["recall"], row["f1"]) == (60, 0, 0, 0)
    assert np.isnan(row["precision"])


def test_what_has_few_cells_or_was_not_sought_is_left_out(labels):
    passed = PASSED.copy()
    passed[: 11 + (60 - LEAST_CELLS - 10)] = False  # one Th2 fewer than needed
    assert list(compared(labels, {"Th2": [1]}, np.ones(240), passed).index) == []
    assert list(compared(labels, {"B_cells": [1]}, np.ones(240)).index) == ["B_cells"]


def test_samples_are_summed(labels):
    both = {"S1": labels["S1"], "S2": labels["S1"]}
    passed = dict.fromkeys(both, PASSED)
    code = np.repeat(np.array([1, 2], np.uint16), 120)
    # In the second sample B cells were not sought.
    found = [
        Found("S1", code, {"T_cells": [1], "B_cells": [2]}),
        Found("S2", code, {"T_cells": [1]}),
    ]
    table = compare_events(both, passed, iter(found), CLUSTER)
    assert list(table.columns) == [*EVENT_COLUMNS]
    assert table.set_index("population")["true"].to_dict() == {"T_cells": 220, "B_cells": 60}


def test_gates_are_read_from_memberships(labels, tmp_path):
    code = np.repeat(np.array([1, 2, 0], np.uint16), [60, 60, 120])
    names = [[], ["T_cells", "Th2"], ["T_cells"]]
    membership = Membership({"S1": code}, names, {"S1": ["T_cells", "Th2", "B_cells"]})
    write_membership(tmp_path / "P1.membership", membership)
    table = compare_events(
        labels, {"S1": PASSED}, gated_events([tmp_path / "P1.membership"]), GATE
    ).set_index("population")
    assert table.loc["T_cells", ["true", "found", "both"]].tolist() == [110, 120, 110]
    assert table.loc["Th2", ["true", "found", "both"]].tolist() == [50, 60, 50]
    assert table.loc["B_cells", "f1"] == 0


def test_clusters_of_one_name_are_merged_with_all_that_lies_within(labels, tmp_path, pytestconfig):
    cluster = np.repeat(np.array([1, 2, 3, 0], np.uint16), 60)
    write_columns(tmp_path / "S1.labels", {"cluster": cluster}, {"sample_id": "S1"})
    names = {"1": "Th2", "2": "CD8_naive", "3": "B_cells"}
    rows = [
        {"cluster": number, "population": name, "stable": "yes", "used": "yes", "map": "main"}
        for number, name in names.items()
    ]
    write_rows(tmp_path / "annotation.tsv", [*rows[0]], rows)
    vocabulary = load_vocabulary(pytestconfig.rootpath / "config" / "populations.yaml")
    found = clustered_events(
        {"S1": tmp_path / "S1.labels"}, tmp_path / "annotation.tsv", vocabulary
    )
    table = compare_events(labels, {"S1": PASSED}, found, CLUSTER).set_index("population")
    assert table.loc["Th2", ["true", "found", "both"]].tolist() == [50, 60, 50]
    assert table.loc["T_cells", ["true", "found", "both"]].tolist() == [110, 120, 110]
    assert table.loc["B_cells", "f1"] == 1


def test_labels_and_quality_are_read_from_the_files_of_a_run(labels, tmp_path):
    path = labels_path(tmp_path, "S1")
    path.parent.mkdir(parents=True)
    meta = {"kinds": [*KINDS, "debris", "beads"], "chains": CHAINS, "fates": FATES}
    write_columns(path, {"kind": KIND, "fate": FATE}, meta)
    (read,) = read_all_labels(tmp_path, ["S1"]).values()
    assert read.of_population("Th2").tolist() == labels["S1"].of_population("Th2").tolist()
    assert read.of_population("Th2").sum() == 50
    quality = np.array([0, 4, 0], dtype=np.uint8)
    write_events(tmp_path / "S1.arrow", {"CD3": np.zeros(3, np.float32)}, quality, {})
    assert passed_events(tmp_path / "S1.arrow").tolist() == [True, False, True]
