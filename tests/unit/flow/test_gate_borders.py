from typing import NamedTuple

import numpy as np
import pytest

from biocross.cohort.strategy import ThresholdRule
from biocross.flow.events import Events
from biocross.flow.gate_borders import EstimatedBorders, FixedBorders, SettledBorders

NAN = float("nan")
RULE = ThresholdRule("CD4", "CD4", "valley")
STATE = ThresholdRule("IL-4", "IL-4", "valley")
KINDS = {"CD4": "lineage", "IL-4": "state"}


class Joint(NamedTuple):
    """The fields of `JointBorder`."""

    values: tuple
    shared: bool = True
    source: str = "valley"
    depth: float = 0.5
    separation: float = NAN
    negative_modes: tuple = ()
    n_events: int = 0
    note: str = ""


def sample(value, **meta):
    """Ten events whose CD4 is `value` and whose IL-4 is ten times that."""
    values = {"CD4": np.full(10, value, "f4"), "IL-4": np.full(10, 10 * value, "f4")}
    meta = {"sample_id": f"S{value}", "batch": "B1", "visit": "baseline"} | meta
    return Events(values, np.zeros(10, np.uint8), meta)


class Estimator:
    """Put the border of every sample at the mean of its own values; note what was asked."""

    def __init__(self):
        self.calls = []

    def __call__(self, values, batches, rule, decades_per_unit, fmo, transform=None):
        self.calls.append((values, batches, rule, decades_per_unit, fmo))
        borders = tuple(float(column.mean()) if column.size else NAN for column in values)
        return Joint(borders, negative_modes=borders, n_events=sum(c.size for c in values))


@pytest.fixture
def run():
    """Return borders, calls and the object, for samples that give half of their events."""

    def estimate(samples, rule=RULE, controls=None, **options):
        estimator = Estimator()
        borders = EstimatedBorders({"CD4": 4.5}, KINDS, controls, estimator=estimator, **options)
        members = [np.arange(0, one.quality.size, 2) for one in samples]
        return borders.border(rule, "T_cells", members, samples), estimator.calls, borders

    return estimate


def test_fixed_borders():
    rule = ThresholdRule("CD4", "CD4", "fixed", value=0.5)
    samples = [sample(1), sample(2)]
    assert FixedBorders().border(rule, "T", [], samples) == [0.5, 0.5]
    assert FixedBorders({"CD4": 0.7}).border(rule, "T", [], samples) == [0.7, 0.7]
    assert np.isnan(FixedBorders().border(RULE, "T", [], samples)).all()


def test_settled_borders_are_those_of_sample_threshold_and_population():
    rows = [
        {"sample_id": "S1", "threshold": "CD4", "population": "T", "value": "0.5", "flag": ""},
        {"sample_id": "S2", "threshold": "CD4", "population": "T", "value": 0.75},
        {"sample_id": "S1", "threshold": "CD4", "population": "B", "value": ""},
    ]
    settled = SettledBorders(rows)
    samples = [sample(1), sample(2)]
    assert settled.border(RULE, "T", [], samples) == [0.5, 0.75]
    assert np.isnan(settled.border(RULE, "B", [], samples)).all()
    fixed = ThresholdRule("CD8", "CD8", "fixed", value=0.4)
    assert settled.border(fixed, "T", [], samples) == [0.4, 0.4]


def test_visits_are_estimated_together(run):
    samples = [sample(1), sample(2, batch="B2", visit="month_4")]
    found, calls, borders = run(samples)
    assert found == [1, 2]
    ((values, batches, rule, decades, fmo),) = calls
    assert [column.tolist() for column in values] == [[1] * 5, [2] * 5]
    assert (batches, rule, decades, fmo) == (["B1", "B2"], RULE, 4.5, [None, None])
    ((estimate,),) = borders.estimates.values()
    assert list(borders.estimates) == [("CD4", "T_cells")]
    assert (estimate.rule, estimate.population, estimate.samples) == (RULE, "T_cells", (0, 1))
    assert estimate.joint.values == (1, 2)


def test_scope_sample_estimates_each_alone(run):
    found, calls, borders = run([sample(1), sample(2)], RULE._replace(scope="sample"))
    assert found == [1, 2]
    assert [len(values) for values, *_ in calls] == [1, 1]
    assert [one.samples for one in borders.estimates["CD4", "T_cells"]] == [(0,), (1,)]


def test_a_scale_without_decades_is_told(run):
    _, calls, _ = run([sample(1)], STATE)
    assert np.isnan(calls[0][3])


def test_a_file_without_the_marker_has_no_values(run):
    samples = [sample(1), sample(2)]
    del samples[1].values["CD4"]
    found, calls, _ = run(samples)
    assert [column.size for column in calls[0][0]] == [5, 0]
    assert found[0] == 1
    assert np.isnan(found[1])


def visits():
    return [
        sample(1),
        sample(2, stimulation="PMA"),
        sample(3, visit="month_4"),
        sample(4, visit="month_4", stimulation="PMA"),
        sample(5, visit="month_12", stimulation="PMA"),
    ]


def test_surface_markers_are_estimated_per_stimulation(run):
    found, calls, borders = run(visits())
    assert found == [1, 2, 3, 4, 5]
    assert [[c[0] for c in values] for values, *_ in calls] == [[1, 3], [2, 4, 5]]
    assert [one.samples for one in borders.estimates["CD4", "T_cells"]] == [(0, 2), (1, 3, 4)]


def test_cytokines_take_the_border_of_the_unstimulated(run):
    found, calls, borders = run(visits(), STATE)
    # The last has no unstimulated sample of its visit: the mean of the others.
    assert found == [10, 10, 30, 30, 20]
    assert [[c[0] for c in values] for values, *_ in calls] == [[10, 30]]
    ((estimate,),) = borders.estimates.values()
    assert estimate.samples == (0, 2, 1, 3, 4)
    assert estimate.joint.values == (10, 30, 10, 30, 20)
    assert estimate.joint.negative_modes[:2] == (10, 30)
    assert np.isnan(estimate.joint.negative_modes[2:]).all()
    assert "stimulated samples take the border of the unstimulated" in estimate.joint.note


def test_cytokines_without_unstimulated_samples_have_no_border(run):
    found, calls, borders = run([sample(2, stimulation="PMA")], STATE)
    assert np.isnan(found).all()
    assert not calls
    assert borders.estimates["IL-4", "T_cells"] == []
    fixed = STATE._replace(method="fixed", value=3.0)
    found, _, _ = run([sample(2, stimulation="PMA")], fixed)
    assert not np.isnan(found).any()


def test_cytokines_of_scope_sample_follow_their_visit(run):
    found, _, _ = run(visits(), STATE._replace(scope="sample"))
    assert found[:4] == [10, 10, 30, 30]
    assert np.isnan(found[4])


@pytest.mark.parametrize("rule", [RULE, STATE])
def test_a_study_of_stimulation_keeps_the_pair_together(run, rule):
    _, calls, _ = run(visits(), rule, by_stimulation=False)
    assert [len(values) for values, *_ in calls] == [5]


def test_controls_are_not_measured_but_serve_their_batch(run):
    samples = [
        *(sample(1), sample(2, visit="month_4"), sample(3, batch="B2", visit="month_12")),
        *(sample(7), sample(8), sample(9, batch="B3")),
    ]
    found, calls, _ = run(samples, controls={3: "CD4", 4: "CD8", 5: "CD4"})
    ((values, _, _, _, fmo),) = calls
    assert [column[0] for column in values] == [1, 2, 3]
    assert fmo[0].tolist() == [7] * 5
    # One array for all samples of a batch: its events count once.
    assert fmo[0] is fmo[1]
    assert fmo[2] is None
    # Controls are gated along: with the mean border of their batch, or of all.
    assert found == [1, 2, 3, 1.5, 1.5, 2]


def test_several_controls_of_a_batch_are_pooled(run):
    samples = [sample(1), sample(7), sample(8)]
    _, calls, _ = run(samples, controls={1: "CD4", 2: "CD4"})
    assert calls[0][4][0].tolist() == [7] * 5 + [8] * 5
