import numpy as np
import pytest

from biocross.flow.marker_modes import MODE_COLUMNS, mode_rows
from biocross.flow.marker_shifts import measure_marker_shifts, shift_rows, summarise_shifts
from biocross.flow.transforms import Transform, apply_transform
from biocross.tables import read_rows, write_rows

LOGICLE = Transform("logicle", 262144.0, 4.5, 0.6)
ARCSINH = Transform("arcsinh", cofactor=5.0)
PAIR = {
    **{"modality": "flow", "treatment": "mepolizumab", "contrast": "month_4 - baseline"},
    **{"followup": "month_4", "baseline": "baseline", "complete": "yes"},
}


def cells(decades, shift, seed, transform=LOGICLE, n=4000, sd=0.12):
    """Half of the cells lack the marker; the others lie so many decades above 1."""
    random = np.random.default_rng(seed)
    bright = 10 ** random.normal(decades + shift, sd, n // 2)
    values = np.concatenate([random.normal(0, 60, n // 2), bright])
    return apply_transform(values.astype(np.float32), transform)


def study(shift, patients=8, transform=LOGICLE, decades=4.2, n=4000):
    """Modes, samples and pairs of patients whose positives move by `shift` decades."""
    border = 0.55 if transform is LOGICLE else 4.0
    modes, samples, pairs = [], [], []
    for number in range(patients):
        patient = f"P{number}"
        pairs.append({**PAIR, "patient_id": patient, "unit": patient})
        for level, moved in (("baseline", 0.0), ("month_4", shift)):
            sample_id = f"{patient}_{level}"
            samples.append(
                {"sample_id": sample_id, "unit": patient, "level": level, "modality": "flow"}
            )
            values = cells(decades, moved, 2 * number + (level == "month_4"), transform, n)
            modes += mode_rows(
                sample_id, [("CD3", "CD3", "leukocytes", border)], {"leukocytes": {"CD3": values}}
            )
    return modes, samples, pairs, {"CD3": transform}


@pytest.mark.parametrize("shift", [-0.2, 0.1, 0.2])
@pytest.mark.parametrize("transform", [LOGICLE, ARCSINH], ids=["logicle", "arcsinh"])
def test_planted_shifts_are_found_within_a_fiftieth_of_a_decade(shift, transform):
    rows = shift_rows(*study(shift, transform=transform))
    assert len(rows) == 8
    for row in rows:
        assert row["positive_shift"] == pytest.approx(shift, abs=0.02)
        assert row["status"] == "measured"
        if transform is LOGICLE:
            assert row["negative_shift"] == pytest.approx(0, abs=0.04)


def test_the_summary_flags_what_moved_and_only_that():
    summary = {row["side"]: row for row in summarise_shifts(shift_rows(*study(0.1)))}
    assert summary["positive"]["flagged"]
    assert summary["positive"]["low"] < 0.1 < summary["positive"]["high"]
    assert summary["positive"]["median_shift"] == pytest.approx(0.1, abs=0.01)
    assert not summary["negative"]["flagged"]


def test_a_sure_but_tiny_shift_is_not_flagged():
    (_, row) = summarise_shifts(shift_rows(*study(0.03, n=40_000)))
    assert row["low"] > 0
    assert not row["flagged"]


def test_five_pairs_have_no_interval_and_no_flag():
    (_, row) = summarise_shifts(shift_rows(*study(0.3, patients=5)))
    assert row["n_pairs"] == 5
    assert row["low"] is None
    assert not row["flagged"]
    assert "too few pairs" in row["note"]


def test_too_few_events_on_one_side_are_said():
    modes, samples, pairs, transforms = study(0.1, patients=1)
    modes[1] = {**modes[1], "positive_mode": float("nan"), "n_positive": 12}
    (row,) = shift_rows(modes, samples, pairs, transforms)
    assert row["status"] == "partly_measured"
    assert "too few positive events" in row["note"]
    assert np.isnan(row["positive_shift"])
    assert not np.isnan(row["negative_shift"])
    (_, side) = summarise_shifts([row])
    assert (side["n_pairs"], side["flagged"]) == (0, False)


def test_a_linear_scale_has_no_decades():
    modes, samples, pairs, _ = study(0.1, patients=1)
    (row,) = shift_rows(modes, samples, pairs, {"CD3": Transform("linear")})
    assert row["status"] == "not_measured"
    assert "no decades" in row["note"]


def test_incomplete_pairs_and_other_modalities_are_left_out():
    modes, samples, pairs, transforms = study(0.1, patients=3)
    pairs[0] = {**pairs[0], "complete": "no"}
    pairs[1] = {**pairs[1], "modality": "rna"}
    rows = shift_rows(modes, samples, pairs, transforms)
    assert [row["patient_id"] for row in rows] == ["P2"]


def test_tables_in_and_out(tmp_path):
    """Written and read again, the tables give the rows that they were made of."""
    modes, samples, pairs, _ = study(0.1)
    files = {name: tmp_path / f"{name}.tsv" for name in ("modes", "samples", "pairs", "transforms")}
    write_rows(files["modes"], MODE_COLUMNS, modes)
    write_rows(files["samples"], tuple(samples[0]), samples)
    write_rows(files["pairs"], tuple(pairs[0]), pairs)
    row = {"marker": "CD3", "transform": LOGICLE.kind, **LOGICLE._asdict()}
    del row["kind"]
    write_rows(files["transforms"], tuple(row), [row])
    measure_marker_shifts(*files.values(), tmp_path / "shifts.tsv", tmp_path / "summary.tsv")
    found = read_rows(tmp_path / "shifts.tsv")
    assert [row["patient_id"] for row in found] == [f"P{n}" for n in range(8)]
    assert float(found[0]["positive_shift"]) == pytest.approx(0.1, abs=0.02)
    summary = {row["side"]: row for row in read_rows(tmp_path / "summary.tsv")}
    assert summary["positive"]["flagged"] == "yes"
    assert summary["negative"]["flagged"] == "no"
