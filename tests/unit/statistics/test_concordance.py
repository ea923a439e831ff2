"""Twelve patients per treatment; RNA sees what flow sees, with counting noise, or it does not."""

import numpy as np
import pytest
import yaml

from biocross.statistics.concordance import (
    ALL_TREATMENTS,
    Both,
    concordance_row,
    find_concordance,
    judge_both,
)
from biocross.tables import read_rows, write_rows

PATIENTS = 12
VOCABULARY = {
    "leukocytes": {"parent": None, "flow": "x"},
    "T_cells": {"parent": "leukocytes", "flow": "x"},
    "B_cells": {"parent": "leukocytes", "flow": "x"},
}


def both(flow, rna, groups=None):
    groups = np.zeros(len(flow)) if groups is None else groups
    return Both("T_cells", ("leukocytes",) * 2, ("gate", "cluster"), flow, rna, np.asarray(groups))


@pytest.fixture
def study(tmp_path):
    """Frequencies of T cells agree between the modalities, those of B cells do not."""
    random = np.random.default_rng(4)
    (tmp_path / "populations.yaml").write_text(yaml.safe_dump(VOCABULARY))
    sheet, counts, pairs = [], [], []
    for treatment in ("drug_a", "drug_b"):
        for number in range(PATIENTS):
            unit = f"{treatment}{number}"
            pairs.append(
                {"unit": unit, "patient_id": unit, "treatment": treatment}
                | {"baseline": "base", "followup": "late"}
            )
            usual, change = random.normal(0, 0.5), random.normal(0.6, 0.5)
            for level in ("base", "late"):
                shares = {"T_cells": usual + change * (level == "late")}
                for modality, depth in (("flow", 20000), ("rna", 2000)):
                    shares["B_cells"] = random.normal(-1, 0.5)
                    name = f"{unit}_{level}_{modality}"
                    keys = {"patient_id": unit, "treatment": treatment, "modality": modality}
                    sheet.append(
                        keys
                        | {
                            "sample_id": name,
                            "unit": unit,
                            "level": level,
                            "batch": "b",
                            "visit": level,
                        }
                    )
                    for population, logit in shares.items():
                        p = 1 / (1 + np.exp(-logit))
                        counts.append(
                            keys
                            | {"sample_id": name, "visit": level, "population": population}
                            | {"source": "gate" if modality == "flow" else "cluster"}
                            | {"parent": "leukocytes", "count": random.binomial(depth, p)}
                            | {"parent_count": depth, "percent": 100 * p}
                        )
    columns = (
        "sample_id",
        "patient_id",
        "visit",
        "treatment",
        "modality",
        "unit",
        "level",
        "batch",
    )
    write_rows(tmp_path / "samples.tsv", columns, sheet)
    write_rows(
        tmp_path / "pairs.tsv", ("unit", "patient_id", "treatment", "baseline", "followup"), pairs
    )
    write_rows(tmp_path / "counts.tsv", [*counts[0], "cells_per_ul"], counts)
    write_rows(tmp_path / "changes.tsv", CHANGES, [])
    return tmp_path


CHANGES = (
    *("modality", "source", "treatment", "contrast", "population", "parent", "readout", "n_pairs"),
    *("effect", "effect_low", "effect_high", "p_value", "q_value", "status", "note"),
)


def found(study):
    find_concordance(
        *(study / f"{name}.tsv" for name in ("counts", "samples", "pairs")),
        *(study / "populations.yaml", study / "changes.tsv"),
        seed=1,
        concordance_out=study / "concordance.tsv",
        findings_out=study / "findings.tsv",
    )
    return read_rows(study / "concordance.tsv")


def test_frequencies_and_changes_that_agree_are_told_from_those_that_do_not(study):
    rows = {
        (row["aspect"], row["visit"] or row["treatment"], row["population"]): row
        for row in found(study)
    }
    assert set(rows) == {
        (aspect, where, population)
        for aspect, places in (
            ("frequency", ("base", "late")),
            ("change", ("drug_a", "drug_b", ALL_TREATMENTS)),
        )
        for where in places
        for population in ("T_cells", "B_cells")
    }
    agreeing = rows["change", ALL_TREATMENTS, "T_cells"]
    assert int(agreeing["n"]) == 2 * PATIENTS
    assert float(agreeing["rho_low"]) > 0.8
    assert float(agreeing["same_sign"]) > 0.8
    assert float(rows["frequency", "base", "T_cells"]["rho"]) > 0.9
    assert float(rows["frequency", "base", "T_cells"]["ratio"]) == pytest.approx(1, abs=0.1)
    unlike = rows["change", ALL_TREATMENTS, "B_cells"]
    assert float(unlike["rho_low"]) < 0 < float(unlike["rho_high"])


def test_one_modality_gives_empty_tables(study):
    rows = [row for row in read_rows(study / "counts.tsv") if row["modality"] == "flow"]
    write_rows(study / "counts.tsv", [*rows[0]], rows)
    assert found(study) == []
    assert read_rows(study / "findings.tsv") == []


def test_few_patients_have_directions_but_no_correlation():
    row = concordance_row(
        both(np.array([0.2, 0.5, -0.1]), np.array([0.1, 0.9, 0.3])), 1, signs=True
    )
    assert (row["status"], row["n"], row["n_same_sign"]) == ("too_few_pairs", 3, 2)
    assert "rho" not in row


def test_a_difference_between_treatments_is_no_concordance():
    random = np.random.default_rng(4)
    groups = np.repeat(["a", "b"], 10)
    shift = np.where(groups == "a", 0.0, 5.0)
    row = concordance_row(
        both(random.normal(size=20) + shift, random.normal(size=20) + shift, groups), 1
    )
    assert row["rho_low"] < 0 < row["rho_high"]


def test_parents_that_differ_are_said():
    values = np.array([0.2, 0.5, -0.1])
    row = concordance_row(both(values, values)._replace(parents=("leukocytes", "lymphocytes")), 1)
    assert row["note"].startswith("percent of leukocytes in flow, of lymphocytes in RNA")


def change(effect, p, q, status="tested"):
    return {"effect": effect, "p_value": p, "q_value": q, "status": status}


@pytest.mark.parametrize(
    ("flow", "rna", "verdict"),
    [
        (("1.5", ".001", ".01"), ("1.3", ".04", ".2"), "both"),
        (("1.5", ".001", ".01"), ("0.7", ".04", ".2"), "contradicted"),
        (("1.5", ".001", ".01"), ("1.2", ".3", ".5"), "flow only"),
        (("1.1", ".3", ".5"), ("2.0", ".001", ".01"), "rna only"),
        (("1.1", ".3", ".5"), ("1.2", ".03", ".5"), "neither"),
        (("1.5", ".001", ".01"), ("", "", "", "not_measured"), "flow only"),
        (("1.1", ".3", ".5"), ("", "", "", "not_measured"), "not comparable"),
    ],
)
def test_verdicts(flow, rna, verdict):
    assert judge_both(change(*flow), change(*rna), 0.05)[0] == verdict
