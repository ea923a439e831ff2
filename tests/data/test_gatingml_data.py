"""GatingML 2.0: the gates of the standard's reference set, event by event."""

import csv

import numpy as np
import pytest

from biocross.errors import GatingError
from biocross.flow.imported.evaluation import evaluate
from biocross.flow.imported.load import load_gates

pytestmark = pytest.mark.data
# The reference names one gate otherwise than its file does.
OTHER_NAMES = {"ParRectangle1": "ParQuadRect"}


@pytest.fixture(scope="module")
def reference(test_data):
    return test_data / "flowkit" / "gate_ref"


@pytest.fixture(scope="module")
def truth(reference):
    return {
        path.stem.removeprefix("Results_"): np.loadtxt(path).astype(bool)
        for path in (reference / "truth").glob("*.txt")
    }


def test_every_gate_of_every_file_equals_its_truth(reference, truth):
    reached, compared = set(), 0
    for path in sorted((reference / "gml").glob("*.xml")):
        found = evaluate(load_gates(path), "data1", reference / "data1.fcs")
        assert found.pruned == {}, path.name
        for gate, inside in found.inside.items():
            name = gate.rpartition("/")[2]
            name = OTHER_NAMES.get(name, name)
            if name == "myEllipse2":  # the one gate without a truth vector
                continue
            np.testing.assert_array_equal(inside, truth[name], err_msg=f"{path.name}: {gate}")
            reached.add(name)
            compared += 1
    assert reached == set(truth)
    assert len(reached) == 51
    assert compared == 133


def test_the_truth_has_the_counts_of_its_table(reference, truth):
    with (reference / "truth_counts.csv").open() as lines:
        table = {row["gate"]: int(row["n_in_gate"]) for row in csv.DictReader(lines)}
    assert {name: int(inside.sum()) for name, inside in truth.items()} == table


def test_gates_of_eight_colours_are_read_without_their_files(test_data):
    imported = load_gates(test_data / "flowkit" / "8_color_data_set" / "8_color_ICS.xml")
    assert len(imported.tree().usable) == 6


def test_facsdiva_is_refused_by_name(test_data):
    with pytest.raises(GatingError, match="FACSDiva"):
        load_gates(test_data / "diva" / "PE_2.xml")
