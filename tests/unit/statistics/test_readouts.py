import numpy as np
import pytest
from long_tables import LongTables
from scipy import stats

from biocross.cohort.vocabulary import Population
from biocross.statistics.readouts import READOUTS, mean_log_events, readouts, rounding_unit


@pytest.fixture
def tables(tmp_path):
    return LongTables(tmp_path)


def read(tables, vocabulary=None):
    """Return the readouts of the only table of pairs, by name, and its populations."""
    (pairs,) = tables.pair_tables()
    found = {readout.name: readout for readout in readouts(pairs, vocabulary or {})}
    assert tuple(found) == READOUTS
    return found, {name: column for column, name in enumerate(pairs.keys["population"])}


def logit(count, total):
    return np.log((count + 0.5) / (total - count + 0.5))


def test_percent_of_parent_at_the_depth_of_the_shallower_visit(tables):
    tables.add("P1", "baseline", {"A": (40, 1000)})
    tables.add("P1", "month_4", {"A": (6, 250)})
    tables.ask("mepolizumab", "P1")
    found, _ = read(tables)
    readout = found["percent_of_parent"]
    kept = np.arange(41)
    chance = stats.hypergeom(1000, 40, 250).pmf(kept)
    assert readout.change[0, 0] == pytest.approx(logit(6, 250) - chance @ logit(kept, 250))
    assert (readout.baseline[0, 0], readout.followup[0, 0]) == (4.0, 2.4)
    assert (readout.events_baseline[0, 0], readout.events_followup[0, 0]) == (10, 6)
    assert readout.abundance[0] == pytest.approx(np.log(8 + 0.5))
    assert readout.effect_scale == "odds_ratio"


def test_empty_parent_leaves_no_percentage(tables):
    tables.add("P1", "baseline", {"A": (40, 1000)})
    tables.add("P1", "month_4", {"A": (0, 0)})
    tables.ask("mepolizumab", "P1")
    found, _ = read(tables)
    assert np.isnan(found["percent_of_parent"].change).all()


def test_mean_log_events():
    before = np.array([[9.0, np.nan], [3.0, np.nan]])
    after = np.array([[10.0, 1.0], [np.nan, 2.0]])
    assert mean_log_events(before, after)[0] == pytest.approx(np.log(10))
    assert np.isnan(mean_log_events(before, after)[1])


@pytest.mark.parametrize(
    ("percent", "unit"),
    [([3, 40, 0], 1), ([3.1, 40], 0.1), ([0.25, np.nan, 12.1], 0.01), ([1 / 3], 1e-6), ([], 1)],
)
def test_rounding_unit_is_the_last_decimal_of_any(percent, unit):
    assert rounding_unit(np.array(percent, dtype=float)) == pytest.approx(unit)


def test_printed_zero_percent_is_half_of_the_rounding_unit(tables):
    tables.add("P1", "baseline", {"A": {"percent": 2.4}, "B": {"percent": 0.7}})
    tables.add("P1", "month_4", {"A": {"percent": 3.5}, "B": {"percent": 0.0}})
    tables.ask("mepolizumab", "P1")
    found, column = read(tables)
    readout = found["percent_of_parent"]
    assert readout.change[0, column["A"]] == pytest.approx(np.log(3.5 / 96.5) - np.log(2.4 / 97.6))
    assert readout.change[0, column["B"]] == pytest.approx(np.log(0.05 / 100) - np.log(0.7 / 99.3))
    assert np.isnan(readout.events_baseline).all()
    assert readout.caveat.startswith("percentages without counts (zero read as 0.05 %)")
    assert found["composition"].impossible == "composition needs counts"


def test_counts_beside_percentages_do_not_hide_how_these_were_rounded(tables):
    """12 of 97 is 12.371134 %; a printed zero is 0.05 % all the same."""
    tables.add("P1", "baseline", {"A": (12, 97), "B": {"percent": 0.7}})
    tables.add("P1", "month_4", {"A": (10, 97), "B": {"percent": 0.0}})
    tables.ask("mepolizumab", "P1")
    found, column = read(tables)
    change = found["percent_of_parent"].change
    assert change[0, column["B"]] == pytest.approx(np.log(0.05 / 100) - np.log(0.7 / 99.3))
    assert change[0, column["A"]] == pytest.approx(logit(10, 97) - logit(12, 97))


def test_cells_per_ul_at_zero_is_half_the_resolution_of_the_sample(tables):
    """One event is 5 cells/µl in the first sample, 2 in the second, where B has none."""
    for visit, scale, b in (("baseline", 5.0, 10), ("month_4", 2.0, 0)):
        counts = {"A": 30, "B": b, "C": 40}
        sample = {
            name: {"count": n, "parent_count": 1000, "cells_per_ul": n * scale}
            for name, n in counts.items()
        }
        tables.add("P1", visit, sample)
    tables.ask("mepolizumab", "P1")
    found, column = read(tables)
    readout = found["cells_per_ul"]
    assert readout.change[0, column["B"]] == pytest.approx(np.log(1.0 / 50))
    assert readout.change[0, column["A"]] == pytest.approx(np.log(2 / 5))
    assert readout.followup[0, column["B"]] == 0
    assert readout.effect_scale == "fold_change"


def test_cells_per_ul_without_blood_counts(tables):
    for visit in ("baseline", "month_4"):
        tables.add("P1", visit, {"A": (30, 1000)})
    tables.ask("mepolizumab", "P1")
    found, _ = read(tables)
    assert np.isnan(found["cells_per_ul"].change).all()


def composed(tables, rng, scale, patients=8, total=20_000):
    """Add patients whose 14 populations share all leukocytes; the first is scaled at month 4."""
    weight = np.array([0.25, *np.linspace(0.02, 0.1, 13)])
    for number in range(patients):
        own = weight * np.exp(rng.normal(0, 0.3, 14))
        for visit, factor in (("baseline", 1.0), ("month_4", scale)):
            cells = own * np.exp(rng.normal(0, 0.05, 14))
            cells[0] *= factor
            counts = rng.multinomial(total, cells / cells.sum())
            sample = {f"pop_{k}": (int(n), total) for k, n in enumerate(counts)}
            sample["leukocytes"] = {"parent": "live", "count": total, "parent_count": total + 500}
            tables.add(f"P{number}", visit, sample)
    tables.ask("mepolizumab", *(f"P{number}" for number in range(patients)))


def test_composition_tells_who_moved_when_eosinophils_vanish(tables):
    """Eosinophils fall by 85 %: every other percentage rises, although no other cell did."""
    composed(tables, np.random.default_rng(3), 0.15)
    found, column = read(tables)
    others = [column[f"pop_{k}"] for k in range(1, 14)]
    effect = {name: np.exp(readout.change.mean(axis=0)) for name, readout in found.items()}
    assert np.all(np.abs(np.log(effect["composition"][others])) < 0.06)
    assert effect["composition"][column["pop_0"]] == pytest.approx(0.15, rel=0.1)
    assert np.median(effect["percent_of_parent"][others]) > 1.25
    assert not found["composition"].caveat


def test_composition_reads_disjoint_leaves_only(tables):
    composed(tables, np.random.default_rng(4), 1.0)
    found, column = read(tables)
    composition = found["composition"]
    assert np.isnan(composition.change[:, column["leukocytes"]]).all()
    leaves = [column[f"pop_{k}"] for k in range(14)]
    # The leukocytes have no remainder here, so that the leaves are all.
    np.testing.assert_allclose(composition.baseline[:, leaves].sum(axis=1), 100)
    assert composition.effect_scale == "fold_change"


def test_composition_does_not_count_a_container_twice(tables):
    """ILC2 are gated under ILC and counted in percent of lymphocytes: the ILC hold them."""
    composed(tables, np.random.default_rng(5), 1.0)
    for row in tables.counts:
        if row["population"] == "pop_12":
            row["population"] = "ILC"
        if row["population"] == "pop_13":
            row["population"] = "ILC2"
            ilc2 = row["count"]
    ilc = {row["sample_id"]: row for row in tables.counts if row["population"] == "ILC"}
    for row in tables.counts:
        if row["population"] == "ILC2":
            ilc[row["sample_id"]]["count"] += row["count"]
            ilc2 = row["count"] / row["parent_count"]
    vocabulary = {
        "live": Population("live", None, None),
        "leukocytes": Population("leukocytes", "live", "live"),
        "ILC": Population("ILC", "leukocytes", "leukocytes"),
        "ILC2": Population("ILC2", "leukocytes", "ILC"),
    }
    found, column = read(tables, vocabulary)
    composition = found["composition"]
    assert np.isnan(composition.change[:, column["ILC"]]).all()
    leaves = [number for name, number in column.items() if name not in ("ILC", "leukocytes")]
    assert np.isfinite(composition.change[:, leaves]).all()
    last = composition.followup[-1]
    assert last[column["ILC2"]] == pytest.approx(100 * ilc2)
    ilc_alone = 100 - last[leaves].sum()
    assert 0 < ilc_alone < 15
    # Without the vocabulary the parent decides, and ILC are counted on top of the ILC2.
    twice, _ = read(tables)
    assert np.isfinite(twice["composition"].change[:, column["ILC"]]).all()


def test_composition_needs_twelve_parts(tables):
    for number in range(6):
        for visit in ("baseline", "month_4"):
            tables.add(f"P{number}", visit, {f"pop_{k}": (50 + number, 1000) for k in range(5)})
    tables.ask("mepolizumab", *(f"P{number}" for number in range(6)))
    found, _ = read(tables)
    assert found["composition"].impossible.startswith("Only 5 disjoint populations have 20 or")
    assert np.isnan(found["composition"].change).all()


def test_composition_says_when_many_parts_move(tables):
    composed(tables, np.random.default_rng(6), 1.0)
    for row in tables.counts:
        if row["visit"] == "month_4" and row["population"] in {f"pop_{k}" for k in range(1, 7)}:
            row["count"] *= 3
    found, _ = read(tables)
    assert found["composition"].caveat.startswith("reference_uncertain")


def test_composition_of_a_population_whose_parent_vanishes(tables):
    """The parent's zero depth at month 4 takes the percentage, not the composition."""
    composed(tables, np.random.default_rng(7), 1.0)
    for row in list(tables.counts):
        if row["population"] == "pop_13":
            row["count"] = row["count"] if row["visit"] == "baseline" else 0
            part = {"count": row["count"] // 2, "parent_count": row["count"], "parent": "pop_13"}
            tables.counts.append({**row, "population": "part", **part})
    found, column = read(tables)
    assert np.isnan(found["percent_of_parent"].change[:, column["part"]]).all()
    assert np.all(found["composition"].change[:, column["part"]] < -2)
    assert np.isfinite(found["composition"].abundance).all()


def test_composition_where_one_sample_lacks_a_population(tables):
    composed(tables, np.random.default_rng(8), 1.0)
    for row in tables.counts:
        if row["population"] == "pop_5" and row["patient_id"] == "P0":
            row.update(count=None, percent=None)
    found, column = read(tables)
    change = found["composition"].change
    assert np.isnan(change[0, column["pop_5"]])
    assert np.isfinite(change[1:, column["pop_5"]]).all()
    assert np.isfinite(found["composition"].baseline[0, column["pop_4"]])


def test_parents_that_go_in_a_circle_are_not_composed(tables):
    composed(tables, np.random.default_rng(9), 1.0)
    for row in tables.counts:
        if row["population"] == "pop_5":
            row["parent"] = "pop_5"
    found, _ = read(tables)
    assert "descend from themselves" in found["composition"].impossible


def test_no_pairs_at_all(tables):
    tables.add("P1", "baseline", {"A": (1, 10)})
    tables.ask("mepolizumab", "P1")
    found, _ = read(tables)
    assert all(readout.change.shape == (0, 1) for readout in found.values())
