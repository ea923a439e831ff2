"""How far a finding rests on its gate, on cells whose borders and changes are known."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biocross.errors import TableError
from biocross.flow.gate_shifts import SHIFTED_COLUMNS, SHIFTS
from biocross.flow.marker_shifts import SHIFT_COLUMNS
from biocross.statistics.gate_sensitivity import (
    SENSITIVITY_COLUMNS,
    gate_warnings,
    measure_gate_sensitivity,
    tipping_shift,
)
from biocross.statistics.paired_changes import find_paired_changes

OTHERS = ("Th1", "Th17", "Treg", "B", "NK", "monocytes", "pDC")
DEPTH = 30_000
LEVELS = ("baseline", "month_4")
CONFIRMATORY = ("flow", "gate", "percent_of_parent")
# Cells above a border at 0 whose number falls by a factor 1.5 with every tenth of a decade.
SMEAR = 0.1 / np.log(1.5)
VOCABULARY = """
leukocytes: {parent: null, flow: x}
lymphocytes: {parent: leukocytes, flow: x}
ILC: {parent: lymphocytes, gated_under: leukocytes, flow: x}
ILC2: {parent: lymphocytes, gated_under: ILC, flow: x, primary: true}
"""


class Cohort:
    """Tables of a study with ILC2 gated by CRTH2; `moved` tells what the cells' modes did."""

    def __init__(self, folder, n=12, real=1.0, border=0.0, spread=0.1, separated=False, seed=1):
        """`real`: factor on the cells at follow-up; `border`: shift of its border, in decades."""
        self.folder = folder
        self.patients = [f"P{i + 1:02}" for i in range(n)]
        self.tables = {name: [] for name in ("counts", "samples", "pairs", "shifts", "moved")}
        rng = np.random.default_rng(seed)
        for patient in self.patients:
            usual = rng.normal(np.log(0.02), 0.3)
            for level in LEVELS:
                later = level != "baseline"
                share = np.exp(usual + rng.normal(0, spread / np.sqrt(2))) * (real if later else 1)
                size = rng.poisson(DEPTH * share * (1 if separated else np.exp(0.5 / SMEAR)))
                place = (
                    rng.normal(1, 0.2, size) if separated else rng.exponential(SMEAR, size) - 0.5
                )
                at = np.array(SHIFTS) + (border if later else 0)
                above = place.size - np.searchsorted(np.sort(place), at, side="left")
                self._sample(patient, level, above, rng)
            self.tables["pairs"].append(
                ["flow", "drug", "month_4 - baseline", *LEVELS[::-1], patient, patient, "yes", ""]
            )
            for threshold, negative in (("CRTH2", -border), ("CD127", 0.03), ("CD3", -0.01)):
                moved = [negative + rng.normal(0, 0.005), negative / 2 + rng.normal(0, 0.01)]
                self._move(patient, threshold, "CD4_T", *moved)
        (folder / "populations.yaml").write_text(
            VOCABULARY + "".join(f"{name}: {{parent: lymphocytes, flow: x}}\n" for name in OTHERS)
        )

    def _sample(self, patient, level, above, rng):
        sample = f"{patient}_{level}"
        at = dict(zip(SHIFTS, above.tolist(), strict=True))
        for shift, count in at.items():
            self.tables["shifts"].append([sample, "ILC2", "CRTH2", shift, count, DEPTH])
        counts = {"ILC2": at[0.0]}
        counts |= {name: rng.binomial(DEPTH, 0.04) for name in OTHERS}
        for name, count in counts.items():
            row = [sample, patient, level, "drug", "flow", "gate", name, "lymphocytes"]
            self.tables["counts"].append([*row, count, DEPTH, None, 100 * count / DEPTH])
        row = [sample, patient, level, "flow", "lot", "drug", patient, level]
        self.tables["samples"].append(row)

    def _move(self, patient, threshold, population, negative, positive):
        row = [patient, patient, "month_4 - baseline", "drug", threshold, threshold, population]
        self.tables["moved"].append([*row, negative, positive, "measured", ""])

    def add_threshold(self, name, slope):
        """Let the gate have one more threshold; events fall by `slope` of them per decade."""
        of_sample = {row[0]: row[4] for row in self.tables["shifts"] if row[3] == 0}
        self.tables["shifts"] += [
            [sample, "ILC2", name, shift, int(count * (1 - slope * shift)), DEPTH]
            for sample, count in of_sample.items()
            for shift in SHIFTS
        ]

    def write(self):
        for name, rows in self.tables.items():
            table = pd.DataFrame(rows, columns=COLUMNS[name])
            table.to_csv(self.folder / f"{name}.tsv", sep="\t", index=False)
        self.paths = {name: self.folder / f"{name}.tsv" for name in ("counts", "samples", "pairs")}
        self.paths["populations"] = self.folder / "populations.yaml"
        self.changes = self.folder / "paired_changes.tsv"

    def find(self, confirmatory=CONFIRMATORY):
        self.write()
        find_paired_changes(
            **self.paths, confirmatory=confirmatory, seed=1, changes_out=self.changes
        )

    def measure(self, confirmatory=CONFIRMATORY, **options):
        self.find(confirmatory)
        out = self.folder / "gate_sensitivity.tsv"
        measure_gate_sensitivity(
            self.changes,
            **self.paths,
            shifts=self.folder / "shifts.tsv",
            marker_shifts=self.folder / "moved.tsv",
            confirmatory=confirmatory,
            sensitivity_out=out,
            **options,
        )
        return pd.read_csv(out, sep="\t", keep_default_na=False, na_values=[""])

    def gate_files(self):
        """Write a strategy whose gate above has two thresholds, and its panel."""
        (self.folder / "gating.yaml").write_text(STRATEGY)
        (self.folder / "panel.tsv").write_text(PANEL)
        return {"strategy": self.folder / "gating.yaml", "panel": self.folder / "panel.tsv"}


COLUMNS = {
    "counts": [
        *("sample_id", "patient_id", "visit", "treatment", "modality", "source", "population"),
        *("parent", "count", "parent_count", "cells_per_ul", "percent"),
    ],
    "samples": [
        *("sample_id", "patient_id", "visit", "modality", "batch", "treatment", "unit", "level"),
    ],
    "pairs": [
        *("modality", "treatment", "contrast", "followup", "baseline", "unit", "patient_id"),
        *("complete", "missing"),
    ],
    "shifts": list(SHIFTED_COLUMNS),
    "moved": list(SHIFT_COLUMNS),
}
STRATEGY = """
thresholds:
  CRTH2: {method: valley, estimate_on: leukocytes}
  CD127: {method: valley, estimate_on: leukocytes}
  CD3: {method: valley}
gates:
  leukocytes: {phenotype: CD3-}
  lymphocytes: {any_of: [ILC]}
  ILC: {phenotype: CD127+ CD3-}
  ILC2: {phenotype: CRTH2+}
"""
PANEL = "channel\tmarker\tkind\nB1\tCRTH2\tlineage\nB2\tCD127\tlineage\nB3\tCD3\tlineage\n"


def only(table):
    assert len(table) == 1
    return table.iloc[0]


def gates_by(row, name):
    return row[f"gating_marker_shift_{name}"]


@pytest.mark.parametrize("border", [-0.1, 0.1], ids=["lower, x 1.5", "higher, / 1.5"])
def test_a_change_that_is_only_a_border_is_abolished_by_putting_it_back(tmp_path, border):
    """Nothing changed in the patients; their cells lie 0.1 decade nearer to the border."""
    table = Cohort(tmp_path, n=20, border=border).measure()
    row = only(table)
    reported = pd.read_csv(tmp_path / "paired_changes.tsv", sep="\t").query("population == 'ILC2'")
    reported = reported[reported["readout"] == "percent_of_parent"].iloc[0]
    assert row["effect"] == pytest.approx(1.5 ** np.sign(-border), rel=0.06)
    assert row["status"] == "measured"
    assert 0.8 < row["tipping_shift"] / -border < 1.05
    # The numbers fall evenly, so that the limit of the interval tells how far it is from 1.
    nearer = reported["effect_low" if border < 0 else "effect_high"]
    assert row["tipping_shift"] == pytest.approx(np.log(nearer) * SMEAR, abs=0.006)
    assert gates_by(row, "negative") == pytest.approx(-border, abs=0.01)
    assert row["ratio"] == pytest.approx(abs(gates_by(row, "negative") / row["tipping_shift"]))
    (sentence,) = gate_warnings(table.to_dict("records"))
    tipping, negative = f"{row['tipping_shift']:+.2g}", f"{gates_by(row, 'negative'):+.2g}"
    assert sentence.startswith("drug, month_4 - baseline: the change of ILC2 in percent of lympho")
    assert f"a shift of CRTH2 by {tipping} decade at month_4 alone would abolish it" in sentence
    assert f"the negative cells moved by {negative} and the positive" in sentence
    assert "other way" not in sentence


def test_a_real_change_of_cells_far_from_the_border_needs_a_larger_shift(tmp_path):
    """Cells 1 decade (SD 0.2) above the border: no border within 0.3 of it takes them away."""
    table = Cohort(tmp_path, real=1.5, separated=True).measure()
    row = only(table)
    assert row["effect"] == pytest.approx(1.5, rel=0.1)
    assert row["status"] == "beyond"
    assert np.isnan(row["tipping_shift"])
    assert np.isnan(row["ratio"])
    assert row["note"].startswith("no shift of CRTH2 by -0.3 to +0.3 decade at month_4 alone")
    assert gate_warnings(table.to_dict("records")) == []


def test_a_real_change_of_a_smear_is_told_by_cells_that_did_not_move(tmp_path):
    """Counts cannot tell it from a border that moved, so its tipping shift is as small."""
    table = Cohort(tmp_path, real=1.5, n=20).measure()
    row = only(table)
    assert 0.08 < row["tipping_shift"] < 0.11
    assert row["ratio"] < 0.15
    assert gate_warnings(table.to_dict("records")) == []


def test_cells_that_moved_the_other_way_are_said_to(tmp_path):
    cohort = Cohort(tmp_path, real=1.8, border=0.02)
    table = cohort.measure()
    row = only(table)
    assert row["tipping_shift"] > 0
    assert gates_by(row, "negative") < 0
    assert "other way" not in row["note"]  # less than half as far as matters
    cohort.tables["moved"] = [[*r[:7], -0.09, 0.02, *r[9:]] for r in cohort.tables["moved"]]
    (sentence,) = gate_warnings(cohort.measure().to_dict("records"))
    assert sentence.endswith("moved by +0.02; they moved the other way")


def test_the_tipping_shift_is_where_a_new_analysis_loses_the_finding(tmp_path):
    """Only the follow-up is shifted, through equal depth and moderation like the original."""
    cohort = Cohort(tmp_path, border=-0.1)
    tipping = only(cohort.measure())["tipping_shift"]
    counts = {(row[0], row[3]): row[4] for row in cohort.tables["shifts"]}
    p_values = {}
    for shift in SHIFTS:
        for row in cohort.tables["counts"]:
            if row[6] == "ILC2":
                row[8] = counts[row[0], shift if row[2] == "month_4" else 0.0]
        cohort.find()
        found = pd.read_csv(cohort.changes, sep="\t")
        p_values[shift] = found.query("family == 'confirmatory'").iloc[0]["p_value"]
    stands = {shift: p < 0.05 for shift, p in p_values.items()}
    below = max(shift for shift in SHIFTS if shift < tipping)
    above = min(shift for shift in SHIFTS if shift >= tipping)
    assert stands[below]
    assert not stands[above]
    assert all(stands[shift] for shift in SHIFTS if abs(shift) <= below)


def test_a_row_that_claims_nothing_has_no_tipping_shift(tmp_path):
    row = only(Cohort(tmp_path).measure())
    assert row["status"] == "not_claimed"
    assert np.isnan(row["tipping_shift"])
    assert row["n_pairs_negative"] == 12
    assert "no change is claimed at q < 0.05; the negative cells moved by" in row["note"]


def test_the_false_discovery_rate_decides_what_is_claimed(tmp_path):
    assert only(Cohort(tmp_path, border=-0.1).measure(fdr=1e-30))["status"] == "not_claimed"


def test_a_claim_above_0_05_has_nothing_to_lose(tmp_path):
    cohort = Cohort(tmp_path)
    p_value = only(cohort.measure())["p_value"]
    assert 0.05 < p_value < 0.999
    row = only(cohort.measure(fdr=0.9999))
    assert row["status"] == "not_applicable"
    assert row["note"].startswith("p is not below 0.05 before any shift")
    assert np.isnan(row["tipping_shift"])


def test_every_threshold_has_a_row_but_not_all_of_them_together(tmp_path):
    cohort = Cohort(tmp_path, border=-0.1)
    cohort.add_threshold("all", 1)
    cohort.add_threshold("CD117", 0.2)
    table = cohort.measure().set_index("threshold")
    assert table.index.tolist() == ["CRTH2", "CD117"]
    # The counts without a shift are the same, a shift of CD117 changes hardly any.
    assert table["status"].tolist() == ["measured", "beyond"]
    assert table.loc["CD117", "note"].endswith("how far the cells moved is not known")
    assert table.loc["CD117", "n_pairs_negative"] == 0


def test_observed_shifts_are_medians_of_the_pairs_that_have_them(tmp_path):
    cohort = Cohort(tmp_path, border=-0.1)
    mine = [row for row in cohort.tables["moved"] if row[4] == "CRTH2"]
    for row, negative in zip(mine, [None, *np.linspace(0, 0.2, 11)], strict=True):
        row[7:9] = [negative, None]
    cohort.tables["moved"] += [
        [*row[:2], "month_12 - baseline", *row[3:7], 9, 9, "", ""] for row in mine
    ]
    cohort.tables["moved"] += [[*row[:3], "other drug", *row[4:7], 9, 9, "", ""] for row in mine]
    row = only(cohort.measure())
    assert gates_by(row, "negative") == pytest.approx(0.1)
    assert row["n_pairs_negative"] == 11
    assert np.isnan(gates_by(row, "positive"))
    assert row["n_pairs_positive"] == 0
    assert "the positive" not in row["note"]
    assert row["ratio"] == pytest.approx(0.1 / row["tipping_shift"])


def test_the_side_that_moved_further_counts(tmp_path):
    cohort = Cohort(tmp_path, border=-0.1)
    cohort.tables["moved"] = [[*row[:7], 0.01, -0.04, *row[9:]] for row in cohort.tables["moved"]]
    row = only(cohort.measure())
    assert row["ratio"] == pytest.approx(0.04 / row["tipping_shift"])


@pytest.mark.parametrize(
    ("populations", "measured_on"),
    [
        (["CD4_T"], "CD4_T"),
        (["CD4_T", "ILC"], "ILC"),
        (["leukocytes", "ILC"], "ILC"),
        (["CD4_T", "leukocytes"], "leukocytes"),
        (["root", "CD4_T"], "root"),
        (["CD4_T", "CD8_T"], np.nan),
    ],
)
def test_the_shift_is_that_of_the_cells_nearest_to_the_gate(tmp_path, populations, measured_on):
    cohort = Cohort(tmp_path, border=-0.1)
    cohort.tables["moved"] = []
    for place, population in enumerate(populations):
        for patient in cohort.patients:
            cohort._move(patient, "CRTH2", population, place + 1, 0)
    row = only(cohort.measure())
    if isinstance(measured_on, str):
        assert row["measured_on"] == measured_on
        assert gates_by(row, "negative") == populations.index(measured_on) + 1
    else:
        assert np.isnan(row["ratio"])


def test_the_strategy_tells_the_population_and_the_gate_above(tmp_path):
    """CD127 gates ILC and moved by 0.03 on leukocytes; CD3 moved less."""
    cohort = Cohort(tmp_path, border=-0.1)
    without = only(cohort.measure())
    assert np.isnan(without["gating_marker_shift_negative_parent"])
    for row in list(cohort.tables["moved"]):
        cohort._move(row[0], row[4], "leukocytes", row[7] / 2, row[8] / 2)
        cohort._move(row[0], row[4], "ILC", 5, 5)
    row = only(cohort.measure(**cohort.gate_files()))
    assert row["measured_on"] == "leukocytes"
    assert gates_by(row, "negative") == pytest.approx(0.05, abs=0.005)
    assert row["threshold_parent"] == "CD127"
    assert row["gating_marker_shift_negative_parent"] == pytest.approx(0.015, abs=0.003)
    assert row["gating_marker_shift_positive_parent"] == pytest.approx(0.0075, abs=0.005)
    assert row["n_pairs_negative_parent"] == 12


def test_pairs_without_shifted_counts_are_left_out_and_said(tmp_path):
    cohort = Cohort(tmp_path, border=-0.1)
    lost = ("P01_baseline", "P02_month_4")
    for row in cohort.tables["shifts"]:
        if row[0] in lost:
            row[4:] = [None, None]
    row = only(cohort.measure())
    assert row["status"] == "measured"
    assert "2 pairs without shifted counts left out" in row["note"]


@pytest.mark.parametrize("cell", ["count", "parent_count"])
def test_counts_of_another_gating_are_an_error(tmp_path, cell):
    cohort = Cohort(tmp_path)
    column = list(SHIFTED_COLUMNS).index(cell)
    for row in cohort.tables["shifts"]:
        if row[0] == "P03_month_4" and row[3] == 0:
            row[column] += 1
    with pytest.raises(TableError, match=f"the {cell} of ILC2 in P03 at a shift of 0 is not that"):
        cohort.measure()


def test_shifts_without_zero_are_an_error(tmp_path):
    cohort = Cohort(tmp_path)
    cohort.tables["shifts"] = [row for row in cohort.tables["shifts"] if row[3] != 0]
    with pytest.raises(TableError, match="ILC2 has no counts at a shift of 0"):
        cohort.measure()


def test_a_population_without_shifts_says_why(tmp_path):
    cohort = Cohort(tmp_path, border=-0.1)
    cohort.tables["shifts"] = []
    row = only(cohort.measure())
    assert row["status"] == "not_applicable"
    assert "was not counted with shifted thresholds" in row["note"]
    assert np.isnan(row["tipping_shift"])
    assert row["effect"] > 1.3


@pytest.mark.parametrize(
    ("confirmatory", "words"),
    [
        (("flow", "cluster", "percent_of_parent"), "nothing but a gate has thresholds"),
        (("flow", "gate", "cells_per_ul"), "cells_per_ul cannot be read from shifted counts"),
    ],
)
def test_other_sources_and_readouts_are_not_applicable(tmp_path, confirmatory, words):
    cohort = Cohort(tmp_path, border=-0.1)
    for row in cohort.tables["counts"]:
        row[5] = confirmatory[1]
        row[10] = row[8] / 10
    row = only(cohort.measure(confirmatory))
    assert row["status"] == "not_applicable"
    assert words in row["note"]


def test_no_confirmatory_family_gives_a_header(tmp_path):
    table = Cohort(tmp_path, n=5, border=-0.1).measure()
    assert table.empty
    assert tuple(table.columns) == SENSITIVITY_COLUMNS


def test_the_order_of_rows_does_not_matter(tmp_path):
    cohort = Cohort(tmp_path, border=-0.1)
    cohort.add_threshold("CD117", 1)
    cohort.measure()
    first = (tmp_path / "gate_sensitivity.tsv").read_bytes()
    for name in ("counts", "samples", "pairs", "moved"):
        cohort.tables[name].reverse()
    cohort.tables["shifts"].sort(key=lambda row: (row[3], row[2] != "CRTH2", row[0]))
    cohort.measure()
    assert (tmp_path / "gate_sensitivity.tsv").read_bytes() == first


GRID = np.array([-0.2, -0.1, 0.0, 0.1, 0.2])


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ([2, 2, 1, 0.5, -0.5], 0.15),
        ([2, 2, 1, 0.5, 0], 0.2),
        ([-3, 1, 1, 0.5, -0.5], -0.125),
        ([1, -1, 1, -3, 1], 0.025),
        ([1, -3, 1, -1, 1], -0.025),
        ([1, 1, 1, np.nan, 1], 0.1),
        ([1, 1, 1, 1, 1], np.nan),
        ([1, 1, 0, 1, 1], 0),
        ([1, 1, np.nan, 1, 1], 0),
    ],
    ids=[
        *("upwards", "touched", "downwards nearer", "lost and found again", "the nearer of two"),
        *("untestable", "never", "before any", "untestable before any"),
    ],
)
def test_tipping_shift_by_hand(limit, expected):
    assert tipping_shift(GRID, np.array(limit, dtype=float)) == pytest.approx(expected, nan_ok=True)


limits = st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=5, max_size=5)


@given(limits)
def test_tipping_shift_mirrors_and_ignores_the_unit(limit):
    height = np.array(limit)
    found = tipping_shift(GRID, height)
    assert tipping_shift(GRID, 7 * height) == pytest.approx(found, nan_ok=True)
    mirrored = tipping_shift(GRID, height[::-1])
    assert abs(mirrored) == pytest.approx(abs(found), nan_ok=True)
    if not np.isnan(found):
        assert np.interp(found, GRID, height) <= 1e-12
        nearer = np.abs(GRID) < abs(found) - 1e-12
        assert (height[nearer] > 0).all()
