import numpy as np
import pytest
from long_tables import LongTables, fill

from biocross.errors import ConfigError
from biocross.statistics.kernels.counting_noise import counting_variance
from biocross.statistics.kernels.moderation import moderated_paired_t
from biocross.statistics.pilot import pilot_variation
from biocross.statistics.planning import Wishes, plan
from biocross.statistics.readouts import readouts
from biocross.tables import read_rows, write_rows


@pytest.fixture
def tables(tmp_path):
    tables = LongTables(tmp_path)
    tables.name_primary("pop_1", "pop_3", **{f"pop_{k}": "leukocytes" for k in (0, 2, 4, 5, 6, 7)})
    return tables


def test_the_variation_is_that_of_the_tests(tables):
    fill(tables, np.random.default_rng(1), 9)
    basis = pilot_variation(tables.results(), {"pop_1", "pop_3"})
    (pairs,) = tables.pair_tables()
    read = next(iter(readouts(pairs, {})))
    test = moderated_paired_t(read.change, read.abundance)
    counts = pairs.baseline["count"], pairs.followup["count"]
    totals = pairs.baseline["parent_count"], pairs.followup["parent_count"]
    noise = sum(counting_variance(x, n) for x, n in zip(counts, totals, strict=True))
    found = basis.variations
    assert [one.population for one in found] == [*pairs.keys["population"]]
    np.testing.assert_allclose([one.change_sd for one in found], np.sqrt(test.s2_post), rtol=1e-6)
    np.testing.assert_allclose([one.df for one in found], test.df, rtol=1e-9)
    np.testing.assert_allclose([one.prior_df for one in found], test.df - 8, rtol=1e-9)
    np.testing.assert_allclose([one.counted for one in found], noise.mean(axis=0))
    np.testing.assert_array_equal(found[1].counts, counts[0][:, 1])
    share = np.median(pairs.baseline["percent"], axis=0) / 100
    np.testing.assert_allclose([one.share for one in found], share)
    assert {one.population for one in found if one.primary} == {"pop_1", "pop_3"}
    assert (basis.name, basis.readout, basis.family) == ("pilot", "percent_of_parent", 2)
    assert basis.events == np.median(totals[0][:, 0])
    assert "9 pairs of mepolizumab (month_4 - baseline)" in basis.words


def test_treatments_are_pooled(tables):
    rng = np.random.default_rng(2)
    fill(tables, rng, 6)
    fill(tables, rng, 12, treatment="dupilumab", noise=0.4)
    results = tables.results()
    basis = pilot_variation(results, {"pop_1", "pop_3"})
    rows = [
        row
        for row in read_rows(results / "statistics" / "paired_changes.tsv")
        if (row["population"], row["readout"]) == ("pop_1", "percent_of_parent")
    ]
    pooled = next(one for one in basis.variations if one.population == "pop_1")
    assert len(rows) == 2
    assert pooled.df == pytest.approx(sum(float(row["df"]) for row in rows))
    assert 0.2 * np.sqrt(2) < pooled.change_sd < 0.4 * np.sqrt(2) * 1.1
    assert len(pooled.counts) == 18
    assert basis.family == 4


def test_contrasts_of_the_same_patients_count_once(tables):
    rng = np.random.default_rng(3)
    names = fill(tables, rng, 8)
    once = pilot_variation(tables.results(), ()).variations[0]
    for name in names:
        tables.add(name, "month_12", {f"pop_{k}": (900 + 7 * k, 20_000) for k in range(8)})
    tables.ask("mepolizumab", *names, followup="month_12")
    twice = pilot_variation(tables.results(), ()).variations[0]
    assert twice.df < 1.5 * once.df
    assert len(twice.counts) == 8


def test_cells_per_ul_have_a_variation_of_their_own(tables):
    rng = np.random.default_rng(4)
    fill(tables, rng, 8)
    for row in tables.counts:
        row["cells_per_ul"] = row["count"] / 20_000 * 6_000 * np.exp(rng.normal(0, 0.5))
    results = tables.results()
    cells = pilot_variation(results, (), readout="cells_per_ul")
    percent = pilot_variation(results, ())
    assert cells.readout == "cells_per_ul"
    assert cells.variations[0].change_sd > 1.3 * percent.variations[0].change_sd


def test_percentages_without_counts_are_a_pilot_too(tables):
    rng = np.random.default_rng(5)
    fill(tables, rng, 8)
    for row in tables.counts:
        row["percent"] = round(row["percent"], 2)
        del row["count"], row["parent_count"]
    one = pilot_variation(tables.results(), ()).variations[0]
    assert one.counts.size == 0
    assert (one.counted, one.note) == (0, "percentages without counts: for as many events as then")
    assert one.change_sd > 0.2


def test_a_population_without_variation_is_said_to_be_unknown(tables):
    fill(tables, np.random.default_rng(6), 2)
    basis = pilot_variation(tables.results(), {"pop_1"})
    assert all("no variation to learn from" in one.note for one in basis.variations)
    assert {one.status for one in plan(basis, Wishes((1.5,), (8,), 0.1))} == {"not_known"}
    assert basis.family == 1


def test_the_folder_must_hold_results(tmp_path, tables):
    with pytest.raises(ConfigError, match="nowhere: there is no such folder"):
        pilot_variation(tmp_path / "nowhere", ())
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"paired_changes\.tsv: there is no such file"):
        pilot_variation(tmp_path / "empty", ())
    fill(tables, np.random.default_rng(7), 6)
    results = tables.results()
    (results / "cohort" / "pairs.tsv").unlink()
    with pytest.raises(ConfigError, match=r"pairs\.tsv: there is no such file"):
        pilot_variation(results, ())


def test_what_the_results_do_not_hold_is_refused(tables):
    fill(tables, np.random.default_rng(8), 6)
    results = tables.results()
    with pytest.raises(ConfigError, match=r"holds no row of flow, cluster, .* sources gate"):
        pilot_variation(results, (), source="cluster")
    with pytest.raises(ConfigError, match="--readout composition"):
        pilot_variation(results, (), readout="composition")
    changes = results / "statistics" / "paired_changes.tsv"
    write_rows(changes, ("treatment", "effect_is_bound", "equivalent"), [])
    with pytest.raises(ConfigError, match="lacks the column"):
        pilot_variation(results, ())
    changes.write_text("")
    with pytest.raises(ConfigError, match="cannot be read as a table of changes"):
        pilot_variation(results, ())


def test_the_declared_source_leads(tables):
    rng = np.random.default_rng(9)
    fill(tables, rng, 6)
    gates = [*tables.counts]
    for row in gates:
        tables.counts.append({**row, "source": "cluster"})
    results = tables.results()
    kept = results / "provenance" / "config.yaml"
    kept.parent.mkdir()
    declared = "{modality: flow, source: cluster, readout: cells_per_ul}"
    kept.write_text(f"statistics: {{confirmatory: {declared}}}")
    assert "flow, cluster, cells_per_ul" in pilot_variation(results, ()).words
    assert "flow, gate, percent" in pilot_variation(results, (), "gate", "percent_of_parent").words
