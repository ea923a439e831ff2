import numpy as np
import pytest

from biocross.errors import ConfigError
from biocross.statistics.kernels.counting_noise import counting_variance
from biocross.statistics.kernels.power import paired_power
from biocross.statistics.planning import (
    LEAST_OWN_SHARE,
    MOST_PATIENTS,
    PATIENTS_COLUMNS,
    PLAN_COLUMNS,
    Basis,
    Variation,
    Wishes,
    check_wishes,
    plan,
    write_plan,
)
from biocross.tables import read_rows

WISHES = Wishes((1.5,), (8, 20), 0.0)


def variation(**changes):
    """A population of 1 % with 400 events in every patient, whose pilot had counting noise."""
    counts, totals = np.full(9, 400.0), np.full(9, 40_000.0)
    usual = Variation(
        population="Th2",
        parent="CD4_T",
        primary=True,
        change_sd=0.4,
        counted=0.03,
        df=15.0,
        prior_df=5.0,
        share=0.01,
        counts=counts,
        totals=totals,
    )
    return usual._replace(**changes)


def prospect(wishes=WISHES, readout="percent_of_parent", family=4, **changes):
    basis = Basis("pilot", "", readout, 100_000.0, family, (variation(**changes),))
    (one,) = plan(basis, wishes)
    return one


def test_power_is_that_of_the_test_with_the_planned_deviation():
    one = prospect()
    noise = 2 * counting_variance(400, 40_000)
    assert one.change_sd[0] ** 2 == pytest.approx(0.4**2 - 0.03 + noise, rel=0.01)
    effect = np.log(1.5 * 0.99 / 0.985)
    assert one.odds_ratio == pytest.approx(np.exp(effect))
    for n in (4, 8, 20):
        df = n - 1 + min(5, n - 1)
        expected = paired_power(effect, one.change_sd[0], n, df)
        assert one.power[0, 0, n] == pytest.approx(float(expected))
    family = paired_power(effect, one.change_sd[0], 20, 24, 0.05 / 4)
    assert one.power[0, 1, 20] == pytest.approx(float(family))


def test_what_is_too_small_to_be_tested_finds_nothing():
    power = prospect(Wishes((3.0,), (8,), 0.0)).power[0]
    assert power[0, 2] == 0
    assert power[0, 3] > 0.1
    assert power[1, 5] == 0
    assert power[1, 6] > 0.3


def test_patients_follow_the_range_of_the_deviation():
    one = prospect()
    value, low, high = one.needed(0.8)[:, 0]
    assert low < value < high
    assert one.power[0, 0, int(value)] >= 0.8 > one.power[0, 0, int(value) - 1]
    assert np.all(one.needed(0.8)[:, 1] >= one.needed(0.8)[:, 0])
    assert np.all(one.needed(0.9) >= one.needed(0.8))


def test_patients_who_do_not_come_back_cost_power():
    complete, lost = prospect(), prospect(WISHES._replace(missing=0.3))
    assert complete.needed(0.8)[0, 0] < lost.needed(0.8)[0, 0]


def test_assumed_variation_has_no_range():
    one = prospect(df=np.nan)
    assert np.isnan(one.needed(0.8)[1:]).all()
    assert np.isfinite(one.needed(0.8)[0]).all()


def test_rare_cells_gain_by_more_events_and_abundant_ones_do_not():
    rare = {"counts": np.full(9, 30.0), "counted": 0.06}
    shallow, deep = (
        prospect(WISHES._replace(events=events), **rare).needed(0.8)[0, 0]
        for events in (100_000.0, 2_000_000.0)
    )
    assert deep < 0.8 * shallow
    many = {"counts": np.full(9, 9_000.0), "counted": 0.001, "share": 0.2}
    shallow, deep = (
        prospect(WISHES._replace(events=events), **many).needed(0.8)[0, 0]
        for events in (100_000.0, 2_000_000.0)
    )
    assert deep == shallow


def test_a_pilot_of_counting_noise_alone_keeps_a_part_of_its_own():
    one = prospect(WISHES._replace(events=1e9), counted=0.5)
    assert one.change_sd[0] == pytest.approx(0.4 * np.sqrt(LEAST_OWN_SHARE), rel=0.01)


def test_too_few_events_say_how_many_are_needed():
    one = prospect(counts=np.full(9, 7.0))
    assert one.status == "too_few_events"
    assert np.isnan(one.power).all()
    # 10.55 events after the change, of 100,000; two digits, rounded up.
    assert one.events_needed == 190_000
    assert "they need 190,000 events per sample" in one.note
    enough = prospect(WISHES._replace(events=one.events_needed), counts=np.full(9, 7.0))
    assert enough.status == "planned"


def test_a_population_that_falls_is_judged_by_what_it_had():
    assert prospect(Wishes((0.1,), (8,), 0.0), counts=np.full(9, 25.0)).status == "planned"


def test_what_cannot_grow_so_much_is_not_possible():
    assert prospect(share=0.7).status == "not_possible"
    assert "× 1.5 of 70 % is more than all of CD4_T" in prospect(share=0.7).note
    # Cells per µl have no such limit.
    assert prospect(readout="cells_per_ul", share=np.nan).status == "planned"


def test_cells_per_ul_are_planned_by_their_fold():
    one = prospect(readout="cells_per_ul", share=np.nan)
    assert np.isnan(one.odds_ratio)
    expected = paired_power(np.log(1.5), one.change_sd[0], 20, 24)
    assert one.power[0, 0, 20] == pytest.approx(float(expected))


def test_what_is_not_known_is_said():
    one = prospect(change_sd=np.nan, note="no variation to learn from in the pilot")
    assert (one.status, one.note) == ("not_known", "no variation to learn from in the pilot")


def test_percentages_without_counts_are_planned_as_they_were():
    one = prospect(WISHES._replace(events=1e7), counts=np.empty(0), totals=np.empty(0), counted=0.0)
    assert one.status == "planned"
    assert np.isnan(one.events_median)
    assert one.change_sd[0] == pytest.approx(0.4)


def test_tables_have_a_row_for_every_question(tmp_path):
    variations = (variation(), variation(population="ILC2", counts=np.full(9, 2.0)))
    basis = Basis("pilot", "", "percent_of_parent", 100_000.0, 4, variations)
    wishes = Wishes((1.5, 2.0), (8, 20, 30), 0.1)
    prospects = plan(basis, wishes)
    write_plan(prospects, basis, wishes, tmp_path / "plan.tsv", tmp_path / "patients.tsv")
    rows, patients = (read_rows(tmp_path / name) for name in ("plan.tsv", "patients.tsv"))
    assert (tuple(rows[0]), tuple(patients[0])) == (PLAN_COLUMNS, PATIENTS_COLUMNS)
    assert (len(rows), len(patients)) == (12, 4)
    first = rows[1]
    assert (first["n_patients"], first["n_pairs"], first["status"]) == ("20", "18", "planned")
    assert float(first["power"]) == pytest.approx(prospects[0].power[0, 0, 20])
    assert float(first["power_family"]) == pytest.approx(prospects[0].power[0, 1, 20])
    assert int(patients[0]["patients_80"]) == prospects[0].needed(0.8)[0, 0]
    assert int(patients[0]["patients_90_family_high"]) == prospects[0].needed(0.9)[2, 1]
    assert {row["status"] for row in rows if row["population"] == "ILC2"} == {"too_few_events"}
    assert patients[2]["patients_80"] == ""
    assert float(patients[2]["events_needed"]) > 100_000


def test_hopeless_changes_say_that_they_are(tmp_path):
    basis = Basis("pilot", "", "percent_of_parent", 1e5, 4, (variation(change_sd=2.0),))
    wishes = Wishes((1.05,), (8,), 0.0)
    write_plan(plan(basis, wishes), basis, wishes, tmp_path / "plan.tsv", tmp_path / "p.tsv")
    (row,) = read_rows(tmp_path / "p.tsv")
    assert row["patients_80"] == ""
    assert f"empty: above {MOST_PATIENTS}" in row["note"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"folds": (1.5, 1.0)}, "--fold 1: must be above 0 and not 1"),
        ({"folds": (-2.0,)}, "--fold -2: must be above 0"),
        ({"folds": (np.inf,)}, "--fold inf: must be"),
        ({"folds": (np.nan,)}, "--fold nan: must be"),
        ({"patients": (2,)}, "--patients 2: must be from 3"),
        ({"patients": (5000,)}, "--patients 5000: must be from 3"),
        ({"missing": 1.0}, "--missing 1: is the share"),
        ({"missing": -0.1}, "--missing -0.1: is the share"),
        ({"missing": np.nan}, "--missing nan: is the share"),
        ({"events": 0.0}, "--events 0: must be at least 1"),
        ({"family": 0}, "--family 0: must be at least 1"),
    ],
)
def test_what_cannot_be_planned_is_refused(changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        check_wishes(WISHES._replace(**changes))


def test_what_can_be_planned_is_not_refused():
    check_wishes(Wishes((0.5, 1.25), (3, MOST_PATIENTS), 0.0, 1e6, 1))
