import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from biocross.flow.joint_thresholds import JointBorder
from biocross.flow.settled_thresholds import (
    ESTIMATE_COLUMNS,
    SETTLED_COLUMNS,
    estimate_rows,
    settle,
    settle_thresholds,
)
from biocross.tables import read_rows, write_rows

NAN = math.nan
POPULATIONS = Path(__file__).parents[3] / "config" / "populations.yaml"


class Rule(NamedTuple):
    name: str = "CRTH2"
    marker: str = "CRTH2"
    method: str = "valley"


def patient(
    name,
    value=0.5,
    mode=0.2,
    source="valley",
    batches=("a", "a"),
    shared=True,
    rule=None,
):
    """Rows of a patient's visits; a value or a mode may be given per visit."""
    values = value if isinstance(value, tuple) else (value,) * len(batches)
    modes = mode if isinstance(mode, tuple) else (mode,) * len(batches)
    metas = [
        {"patient_id": name, "sample_id": f"{name}_{visit}", "batch": batch}
        for visit, batch in enumerate(batches)
    ]
    joint = JointBorder(values, shared, source, 0.6, NAN, modes, 20_000, "")
    return list(estimate_rows(metas, rule or Rule(), "CD4_T", joint))


def others(number=6, **options):
    """Patients whose borders differ by a little."""
    return [
        row
        for i in range(number)
        for row in patient(f"P{i}", 0.5 + 0.01 * (i - number // 2), **options)
    ]


def settled(rows, scope="patient", per_unit=1.0):
    """By sample."""
    done = settle(rows, {"CRTH2": scope}, {"CRTH2": per_unit})
    assert all(set(row) == set(SETTLED_COLUMNS) for row in done)
    return {row["sample_id"]: row for row in done}


def test_rows_of_an_estimate():
    first, second = patient("P1", (0.5, 0.6), (0.2, 0.3), batches=("a", "b"), shared=False)
    assert tuple(first) == ESTIMATE_COLUMNS
    assert (first["sample_id"], first["value"], first["negative_mode"]) == ("P1_0", 0.5, 0.2)
    assert (second["sample_id"], second["value"], second["batch"]) == ("P1_1", 0.6, "b")
    assert first["samples"] == second["samples"] == "P1_0,P1_1"
    assert (first["threshold"], first["population"], first["method"]) == (
        *("CRTH2", "CD4_T", "valley"),
    )


def test_borders_that_agree_stay():
    rows = others()
    done = settled(rows)
    assert [row["value"] for row in done.values()] == [row["value"] for row in rows]
    assert {row["flag"] for row in done.values()} == {""}
    assert done["P0_0"]["cohort_value"] == pytest.approx(0.495)
    assert done["P0_0"]["distance"] == pytest.approx(-0.025)
    assert done["P5_1"]["distance"] == pytest.approx(0.025)


def test_an_outlier_is_pulled_and_says_so():
    done = settled(others() + patient("X", 0.9))
    for sample in ("X_0", "X_1"):
        row = done[sample]
        assert row["flag"] == "pulled"
        assert row["value"] == pytest.approx(0.5)
        assert row["estimated_value"] == 0.9
        assert row["distance"] == pytest.approx(0.4)
        assert "+0.40 decade from the border of 7 patients" in row["note"]
    assert {done[f"P{i}_0"]["flag"] for i in range(6)} == {""}


@pytest.mark.parametrize(("value", "flag"), [(0.64, ""), (0.66, "pulled"), (0.33, "pulled")])
def test_an_outlier_is_farther_than_the_least_distance(value, flag):
    """Where others agree closely 0.15 decade is what counts."""
    assert settled(others() + patient("X", value))["X_0"]["flag"] == flag


def test_an_outlier_is_farther_than_the_others_differ():
    wide = [row for i in range(8) for row in patient(f"P{i}", 0.3 + 0.1 * i)]
    assert settled(wide + patient("X", 1.3))["X_0"]["flag"] == ""
    assert settled(wide + patient("X", 1.9))["X_0"]["flag"] == "pulled"


def test_the_least_distance_is_in_decades():
    rows = others() + patient("X", 0.7)
    assert settled(rows, per_unit=1.0)["X_0"]["flag"] == "pulled"
    assert settled(rows, per_unit=0.5)["X_0"]["flag"] == ""
    assert settled(rows, per_unit=0.5)["X_0"]["distance"] == pytest.approx(0.1)


def test_on_a_linear_scale_the_logarithm_counts():
    linear = [row for i in range(6) for row in patient(f"P{i}", 50_000.0 + 100 * i, mode=10_000.0)]
    done = settled(linear + patient("X", 55_000.0, mode=10_000.0), per_unit=NAN)
    assert done["X_0"]["flag"] == ""
    assert done["X_0"]["distance"] == pytest.approx(0.041, abs=0.003)
    assert settled(linear + patient("X", 90_000.0, mode=10_000.0), per_unit=NAN)["X_0"]["flag"]


@pytest.mark.parametrize(("number", "flag"), [(3, ""), (4, "pulled")])
def test_five_patients_are_needed_to_pull(number, flag):
    assert settled(others(number) + patient("X", 0.9))["X_0"]["flag"] == flag


def test_a_brighter_batch_is_no_outlier():
    rows = others() + patient("X", 0.9, mode=0.6, batches=("b", "b"))
    assert settled(rows)["X_0"]["flag"] == ""
    assert settled(rows)["X_0"]["distance"] == pytest.approx(0, abs=0.011)


def test_without_modes_the_borders_themselves_are_compared():
    rows = others(mode=NAN) + patient("X", 0.9, mode=NAN)
    row = settled(rows)["X_1"]
    assert row["flag"] == "pulled"
    assert row["value"] == pytest.approx(0.5)


def test_visits_that_differ_move_together():
    rows = others() + patient("X", (0.9, 1.0), (0.2, 0.3), batches=("a", "b"), shared=False)
    done = settled(rows)
    assert done["X_1"]["value"] - done["X_0"]["value"] == pytest.approx(0.1)
    assert done["X_0"]["value"] == pytest.approx(0.5)


def test_too_few_events_take_the_cohorts_border():
    done = settled(others() + patient("X", NAN, (0.2, 0.24), "too_few_events"))
    assert {done[s]["flag"] for s in ("X_0", "X_1")} == {"from_cohort"}
    # Shared: one border, at the cohort's distance from the mean of its negatives.
    assert done["X_0"]["value"] == done["X_1"]["value"] == pytest.approx(0.515)
    assert math.isnan(done["X_0"]["estimated_value"])
    assert "6 patients" in done["X_0"]["note"]


def test_visits_that_share_have_one_cohort_value():
    done = settled(others() + patient("X", 0.5, (0.2, 0.24)))
    assert done["X_0"]["cohort_value"] == done["X_1"]["cohort_value"]


def test_too_few_events_and_batches_that_differ():
    rows = patient("X", NAN, (0.2, 0.5), "too_few_events", ("a", "b"), shared=False)
    done = settled(others() + rows)
    assert done["X_1"]["value"] - done["X_0"]["value"] == pytest.approx(0.3)


def test_without_a_mode_the_border_of_the_batch_is_taken():
    rows = others() + [
        row for i in range(3) for row in patient(f"Q{i}", 0.8, 0.5, batches=("b", "b"))
    ]
    found = settled(rows + patient("X", NAN, NAN, "too_few_events", ("b", "b")))["X_0"]
    assert found["value"] == pytest.approx(0.8)
    assert found["flag"] == "from_cohort"
    elsewhere = settled(rows + patient("X", NAN, NAN, "too_few_events", ("c", "c")))["X_0"]
    assert elsewhere["value"] == pytest.approx(
        np.median([*np.arange(0.47, 0.525, 0.01), *[0.8] * 3])
    )


def test_visits_that_share_get_one_border_whatever_their_batches_have():
    rows = others() + [
        row for i in range(3) for row in patient(f"Q{i}", 0.8, 0.5, batches=("b", "b"))
    ]
    done = settled(rows + patient("X", NAN, NAN, "too_few_events", ("a", "b")))
    assert done["X_0"]["value"] == done["X_1"]["value"]


def test_where_nobody_has_a_border_there_is_none():
    done = settled(
        patient("X", NAN, NAN, "too_few_events") + patient("Y", NAN, 0.2, "too_few_events")
    )
    assert {row["flag"] for row in done.values()} == {"unknown"}
    assert all(math.isnan(row["value"]) for row in done.values())
    assert "no patient has a border" in done["X_0"]["note"]


def test_a_tail_where_most_have_a_valley():
    done = settled(others() + patient("X", 0.42, source="tail"))
    assert done["X_0"]["flag"] == done["X_1"]["flag"] == "no_valley"
    assert done["X_0"]["value"] == pytest.approx(0.495)


def test_a_tail_where_tails_are_usual_or_wanted():
    tails = others(6, source="tail")
    assert settled(tails + patient("X", 0.52, source="tail"))["X_0"]["flag"] == ""
    assert settled(tails + patient("X", 0.52, source="valley"))["X_0"]["flag"] == ""
    wanted = others(rule=Rule(method="tail"), source="tail")
    assert {row["flag"] for row in settled(wanted).values()} == {""}


def test_two_valleys_overrule_nothing():
    assert settled(others(2) + patient("X", 0.42, source="tail"))["X_0"]["flag"] == ""


@pytest.mark.parametrize(("scope", "a", "b"), [("batch", 0.5, 0.8), ("cohort", 0.5, 0.5)])
def test_common_borders(scope, a, b):
    rows = [row for i in range(5) for row in patient(f"P{i}", 0.48 + 0.01 * i)]
    rows += [row for i in range(3) for row in patient(f"Q{i}", 0.79 + 0.01 * i, batches=("b", "b"))]
    rows += patient("X", NAN, NAN, "too_few_events")
    done = settled(rows, scope)
    if scope == "cohort":
        a = b = np.median([0.48, 0.49, 0.5, 0.51, 0.52, 0.79, 0.8, 0.81])
    assert {round(done[f"P{i}_0"]["value"], 9) for i in range(5)} == {round(a, 9)}
    assert {round(done[f"Q{i}_1"]["value"], 9) for i in range(3)} == {round(b, 9)}
    assert done["P0_0"]["flag"] == ""
    assert done["P0_0"]["estimated_value"] == 0.48
    assert (done["X_0"]["flag"], done["X_0"]["value"]) == ("from_cohort", pytest.approx(a))


def test_fixed_borders_are_left_alone():
    rows = others(rule=Rule(method="fixed"), source="fixed")
    rows += patient("X", 0.9, rule=Rule(method="fixed"), source="fixed")
    done = settled(rows)
    assert done["X_0"]["value"] == done["X_0"]["cohort_value"] == 0.9
    assert (done["X_0"]["distance"], done["X_0"]["flag"]) == (0.0, "")


def test_thresholds_are_settled_apart():
    """An outlier of one threshold is none of another; nor of another population."""
    rows = others() + patient("X", 0.9, rule=Rule("CD127", "CD127"))
    done = settle(rows, {}, {"CRTH2": 1.0, "CD127": 1.0})
    assert {row["flag"] for row in done} == {""}
    rows = others() + [{**row, "population": "CD8_T"} for row in patient("X", 0.9)]
    assert {row["flag"] for row in settle(rows, {}, {"CRTH2": 1.0})} == {""}


def test_samples_alone():
    """Scope sample: every sample is a unit of its own."""
    rows = [row for i in range(6) for row in (*patient(f"P{i}", batches=("a",)),)]
    rows += patient("X", 0.5, batches=("a",))
    rows += [
        {**row, "sample_id": "X_1", "samples": "X_1"} for row in patient("X", 0.9, batches=("a",))
    ]
    done = settled(rows, "sample")
    assert (done["X_0"]["flag"], done["X_1"]["flag"]) == ("", "pulled")


@pytest.fixture
def project(tmp_path):
    """Sheets of a small study."""
    (tmp_path / "panel.tsv").write_text("channel\tmarker\tkind\nBV421-A\tCRTH2\tlineage\n")
    (tmp_path / "gating.yaml").write_text(
        "thresholds:\n  CRTH2: {method: valley, scope: patient}\n"
        "gates:\n  leukocytes: {under: root, phenotype: CRTH2+}\n"
    )
    (tmp_path / "transforms.tsv").write_text(
        "marker\ttransform\ttop\tdecades\twidth\tcofactor\tnegative\twidth_basis\n"
        "CRTH2\tarcsinh\t\t\t\t5\t\t\n"
    )
    return tmp_path


def test_the_step_reads_and_writes_tables(project):
    paths = []
    for name, value in (
        ("P0", 2.0),
        ("P1", 2.1),
        ("P2", 2.2),
        ("P3", 2.0),
        ("P4", 2.1),
        ("X", 4.0),
    ):
        paths.append(project / f"{name}.tsv")
        write_rows(paths[-1], ESTIMATE_COLUMNS, patient(name, value, 0.5))
    write_rows(project / "none.tsv", ESTIMATE_COLUMNS, [])
    settle_thresholds(
        [*paths, project / "none.tsv"],
        project / "gating.yaml",
        POPULATIONS,
        project / "panel.tsv",
        project / "transforms.tsv",
        project / "thresholds.tsv",
    )
    rows = read_rows(project / "thresholds.tsv")
    assert tuple(rows[0]) == SETTLED_COLUMNS
    assert len(rows) == 12
    last = rows[-1]
    assert (last["sample_id"], last["flag"], last["shared"]) == ("X_1", "pulled", "yes")
    assert float(last["value"]) == pytest.approx(2.1)
    # arcsinh: a decade is log(10) = 2.3 units.
    assert float(last["distance"]) == pytest.approx(1.9 / math.log(10), abs=0.001)


def test_a_mode_that_another_class_has_taken_pulls_no_good_border():
    """The negatives of one patient were not found: the mode is that of brighter cells."""
    mistaken = patient("P9", value=0.5, mode=0.85)
    done = {
        row["sample_id"]: row
        for row in settle([*others(), *mistaken], {"CRTH2": "patient"}, {"CRTH2": 1.0})
    }
    assert done["P9_0"]["flag"] == ""
    assert done["P9_0"]["value"] == 0.5
    assert math.isnan(done["P9_0"]["negative_mode"])
    assert not math.isnan(done["P0_0"]["negative_mode"])
    away = patient("P9", value=0.95, mode=0.85)
    done = {
        row["sample_id"]: row
        for row in settle([*others(), *away], {"CRTH2": "patient"}, {"CRTH2": 1.0})
    }
    assert done["P9_0"]["flag"] == "pulled"
