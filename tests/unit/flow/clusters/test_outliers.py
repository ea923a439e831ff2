import numpy as np
import pytest

from biocross.errors import TableError
from biocross.flow.clusters.outliers import (
    OUTLIER_COLUMNS,
    choose_peers,
    find_outlying_samples,
    outlier_rows,
)
from biocross.flow.clusters.sample_distances import (
    classical_scaling,
    distances_between,
    exchange_ratios,
    log_ratios,
    outlyingness,
    scaled_deviations,
)
from biocross.flow.clusters.sample_profiles import composition, marker_profile
from biocross.tables import read_rows, write_rows

POPULATIONS = 24
MARKERS = ("CD3", "CD4", "CD19", "CD14", "CD56", "CD8")


class Cohort:
    """Two visits of patients under two treatments; the second depletes the first population."""

    def __init__(self, n_patients=12, seed=1, events=20_000, between=0.4):
        rng = np.random.default_rng(seed)
        mean = rng.normal(0, 1.2, POPULATIONS)
        self.sheet, self.counts, self.medians = {}, {}, {}
        level = rng.uniform(0, 1, (len(MARKERS), POPULATIONS))
        for p in range(n_patients):
            own = rng.normal(0, between, POPULATIONS)
            treatment = ("dupilumab", "mepolizumab")[p % 2]
            for visit in ("baseline", "month_4"):
                logs = mean + own + rng.normal(0, 0.15, POPULATIONS)
                logs[0] -= 3.0 * (visit == "month_4" and treatment == "mepolizumab")
                share = np.exp(logs) / np.exp(logs).sum()
                name = f"P{p:02d}_{visit}"
                self.sheet[name] = {
                    **{"sample_id": name, "patient_id": f"P{p:02d}", "visit": visit},
                    **{"treatment": treatment, "batch": "lot_1", "tissue": "whole_blood"},
                }
                self.counts[name] = rng.multinomial(events, share)
                self.medians[name] = level + rng.normal(0, 0.01, level.shape)

    def count_rows(self):
        for sample, counts in self.counts.items():
            total = str(max(int(counts.sum()), 0))
            yield {"sample_id": sample, "population": "all", "parent": "", "count": total}
            for number, count in enumerate(counts):
                text = "" if count < 0 else str(int(count))
                yield {"sample_id": sample, "population": f"k{number}", "parent": "all"} | {
                    "count": text
                }

    def expression_rows(self):
        for sample, table in self.medians.items():
            for m, marker in enumerate(MARKERS):
                for k in range(POPULATIONS):
                    yield {
                        **{"sample_id": sample, "population": f"k{k}", "marker": marker},
                        **{"value": str(table[m, k]), "n_cells": "200"},
                    }

    def rows(self):
        return list(outlier_rows([*self.count_rows()], [*self.expression_rows()], self.sheet))

    def found(self, subject="sample"):
        return {
            (row[f"{subject}_id"], row["aspect"]): row
            for row in self.rows()
            if row["subject"] == subject and row.get("outlier")
        }


def test_a_healthy_cohort_has_no_outliers_although_a_treatment_depletes_a_population():
    found = [Cohort(seed=seed).found() for seed in range(5)]
    assert sum(map(len, found)) == 0


def test_samples_that_lost_populations_are_named_with_what_they_lost():
    cohort = Cohort()
    cohort.counts["P03_month_4"][4:8] //= 40
    found = cohort.found()
    assert set(found) == {("P03_month_4", "composition")}
    why = found["P03_month_4", "composition"]["why"].split(", ")
    assert len(why) == 3
    assert {word.split(" ×")[0] for word in why} <= {"k4", "k5", "k6", "k7"}
    assert all(float(word.split("× ")[1]) < 0.1 for word in why)


def test_a_stain_that_failed_is_named_with_its_marker():
    cohort = Cohort()
    cohort.medians["P05_baseline"][1] -= 0.3
    found = cohort.found()
    assert set(found) == {("P05_baseline", "expression")}
    assert found["P05_baseline", "expression"]["why"].startswith("CD4 −0.3")


def test_a_patient_unlike_the_others_at_both_visits_is_named():
    cohort = Cohort(seed=0)
    for visit in ("baseline", "month_4"):
        cohort.counts[f"P04_{visit}"][10:14] //= 40
    assert ("P04", "composition") in cohort.found("patient")


def test_exchanged_samples_are_found_and_no_others():
    cohort = Cohort()
    a, b = "P02_month_4", "P06_month_4"
    cohort.counts[a], cohort.counts[b] = cohort.counts[b], cohort.counts[a]
    said = {key[0]: row["exchanged_with"] for key, row in cohort.found().items()}
    assert said == {
        **{a: b, b: a},
        **{"P02_baseline": "P06_baseline", "P06_baseline": "P02_baseline"},
    }


def test_a_shallow_sample_is_no_outlier():
    cohort = Cohort(between=0.02)
    cohort.counts["P01_baseline"] = np.random.default_rng(3).multinomial(
        100, cohort.counts["P01_baseline"] / cohort.counts["P01_baseline"].sum()
    )
    assert ("P01_baseline", "composition") not in cohort.found()


def test_few_samples_and_samples_without_counts_are_said():
    rows = Cohort(n_patients=2).rows()
    assert {row["status"] for row in rows} == {"not_possible"}
    assert "takes 6" in rows[0]["note"]
    cohort = Cohort()
    cohort.counts["P00_baseline"][:] = -1
    row = next(row for row in cohort.rows() if row["sample_id"] == "P00_baseline")
    assert (row["status"], row.get("outlier")) == ("not_possible", None)


def test_tissues_are_never_compared():
    cohort = Cohort()
    for name, row in cohort.sheet.items():
        if row["patient_id"] in ("P00", "P02"):
            row["tissue"] = "pbmc"
            cohort.counts[name][:6] = 0
    rows = [row for row in cohort.rows() if row["aspect"] == "composition"]
    of_pbmc = {row["status"] for row in rows if row["stratum"] == "pbmc"}
    assert of_pbmc == {"not_possible"}
    assert not any(row.get("outlier") for row in rows)


def test_small_groups_are_compared_with_a_wider_circle_and_it_is_said():
    rows = [{"visit": "v1", "treatment": "a"}] * 6 + [{"visit": "v1", "treatment": "b"}] * 2
    peers, notes = choose_peers(rows)
    assert peers[0].sum() == 6
    assert peers[7].all()
    assert notes[0] == ""
    assert "only 2 samples of v1 under b" in notes[7]


def test_the_order_of_the_samples_does_not_matter():
    cohort = Cohort()
    cohort.counts["P03_month_4"][4:8] //= 40
    counts, expression = [*cohort.count_rows()], [*cohort.expression_rows()]
    one = list(outlier_rows(counts, expression, cohort.sheet))
    other = list(outlier_rows(counts[::-1], expression[::-1], cohort.sheet))

    def distances(rows):
        key = ("subject", "sample_id", "patient_id", "aspect")
        return {tuple(r.get(k) for k in key): r["distance"] for r in rows}

    assert distances(other) == pytest.approx(distances(one))


def test_tables_of_clusters_are_read_with_their_names(tmp_path):
    cohort = Cohort()
    cohort.counts["P03_month_4"][4:8] //= 40
    counts = []
    for row in cohort.count_rows():
        number = row["population"][1:]
        whole = row["population"] == "all"
        name = "live_singlets" if whole else f"cluster_{int(number):02d}"
        for source in ("cluster", "single_cluster") if whole else ("single_cluster",):
            counts.append({**row, "population": name, "source": source})
    write_rows(tmp_path / "counts.tsv", list(counts[0]), counts)
    expression = [{**row, "source": "single_cluster"} for row in cohort.expression_rows()]
    write_rows(tmp_path / "expression.tsv", list(expression[0]), expression)
    write_rows(tmp_path / "samples.tsv", list(cohort.sheet["P00_baseline"]), cohort.sheet.values())
    named = [
        {"cluster": k, "map": "main", "population": "Treg", "stable": "yes", "percent": 4}
        | {"used": "yes"}
        for k in range(POPULATIONS)
    ]
    write_rows(tmp_path / "annotation.tsv", list(named[0]), named)
    arguments = [tmp_path / f"{name}.tsv" for name in ("counts", "expression", "samples", "out")]
    find_outlying_samples(*arguments, annotation=tmp_path / "annotation.tsv")
    rows = read_rows(tmp_path / "out.tsv")
    assert tuple(rows[0]) == OUTLIER_COLUMNS
    far = [row for row in rows if row["outlier"] == "yes" and row["subject"] == "sample"]
    assert [row["sample_id"] for row in far] == ["P03_month_4"]
    assert far[0]["why"].startswith("Treg (")
    write_rows(tmp_path / "samples.tsv", ["sample_id"], [])
    with pytest.raises(TableError, match=r"counts\.tsv row 2: sample .* run check_cohort"):
        find_outlying_samples(*arguments)


def test_a_count_that_is_no_number_is_named():
    rows = [{"sample_id": "s", "population": "k1", "parent": "", "count": "many"}]
    with pytest.raises(TableError, match='count is "many"'):
        composition(rows, ["s"])


def test_medians_of_parents_and_of_few_cells_are_left_out():
    counts = [{"sample_id": "s", "population": "k1", "parent": "all", "count": "5"}]
    row = {"sample_id": "s", "marker": "CD3", "value": "0.5", "n_cells": "100"}
    rows = [{**row, "population": name} for name in ("all", "k1", "k2")]
    rows[2]["n_cells"] = "29"
    profile = marker_profile(rows, counts, ["s"])
    assert profile.names == [("CD3", "k1")]


def test_log_ratios_are_centred_and_rare_parts_noisy():
    values, noise = log_ratios([[1000, 10, 0], [2000, 20, 1]])
    assert np.allclose(values.mean(axis=1), 0)
    assert (noise[:, 0] < noise[:, 1]).all()
    assert noise[0, 1] == pytest.approx(2 * noise[1, 1], rel=0.05)


def test_deviations_are_in_standard_deviations_of_normal_values():
    rng = np.random.default_rng(1)
    values = rng.normal([0, 5], [1, 3], (400, 2))
    peers = np.ones((400, 400), dtype=bool)
    found = scaled_deviations(values, 0.0, peers, 0.01)
    assert np.allclose(found.from_peers.std(axis=0), 1, atol=0.1)


def test_distances_are_compared_with_the_median_on_a_logarithmic_scale():
    distances = np.exp(np.array([-0.2, -0.1, 0.0, 0.1, 0.2, 2.0, np.nan]))
    far = outlyingness(distances, 0.01)
    assert far[5] > 3.5
    assert np.isnan(far[6])
    assert (np.abs(far[:5]) < 3.5).all()
    assert outlyingness([1.0, 1.0, 1.0, 1.1], 0.15)[3] < 1


def test_classical_scaling_returns_points_of_a_plane_up_to_turns():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(20, 2)) * [3, 1]
    block = np.arange(2)
    between = distances_between(points, block)
    places, share = classical_scaling(between)
    # Distances are means over the features, those on the plane are sums.
    assert np.allclose(np.sqrt(2) * distances_between(places, block), between)
    assert share.sum() == pytest.approx(1)
    assert share[0] > share[1]
    assert (places.max(axis=0) >= -places.min(axis=0)).all()


def test_missing_features_are_left_out_of_a_distance():
    places = np.array([[0.0, 0.0], [3.0, np.nan], [3.0, 3.0]])
    assert np.allclose(distances_between(places, np.arange(2))[0], [0, 3, 3])


def test_an_exchange_has_a_ratio_above_one():
    places = np.array([[0.0], [5.0], [0.2], [5.2], [9.0]])
    patient, visit = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 0])
    between = distances_between(places, np.zeros(1, dtype=int))
    # Second visits of both patients are at 5: as near to one first visit as to the other.
    assert exchange_ratios(between, patient, visit)[0, 2] == pytest.approx(1.0, abs=0.01)
    swapped = distances_between(places[[0, 3, 1, 2, 4]], np.zeros(1, dtype=int))
    ratio = exchange_ratios(swapped, patient, visit)
    assert ratio[0, 2] > 100
    assert (ratio[4] == 0).all()
