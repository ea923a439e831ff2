import numpy as np
import pytest
import yaml

from biocross.flow.events import write_events
from biocross.flow.gating import gate_patient
from biocross.tables import read_rows

POPULATIONS = {
    "live": {"parent": None},
    "leukocytes": {"parent": "live"},
    "eosinophils": {"parent": "leukocytes", "not_measured_in": ["pbmc"]},
    "lymphocytes": {"parent": "leukocytes"},
    "T_cells": {"parent": "lymphocytes", "gated_under": "leukocytes"},
    "B_cells": {"parent": "lymphocytes", "gated_under": "leukocytes"},
    "CD4_T": {"parent": "T_cells"},
    "activated": {"parent": "leukocytes"},
}
MARKERS = ("CD45", "CD3", "CD19", "CD4", "Siglec-8", "HLA-DR")
# Markers that are positive, by kind of cell.
CELLS = {
    "debris": (),
    "CD4_T": ("CD45", "CD3", "CD4"),
    "CD8_T": ("CD45", "CD3"),
    "activated_T": ("CD45", "CD3", "CD4", "HLA-DR"),
    "B": ("CD45", "CD19", "HLA-DR"),
    "eosinophil": ("CD45", "Siglec-8"),
}
FIXED = {marker: {"method": "fixed", "value": 0.5} for marker in MARKERS}
GATES = {
    "live": {},
    "leukocytes": {"phenotype": "CD45+"},
    "eosinophils": {"phenotype": "Siglec-8+ CD3-"},
    "T_cells": {"phenotype": "CD3+ CD19-"},
    "B_cells": {"phenotype": "CD3- CD19+"},
    "lymphocytes": {"any_of": ["T_cells", "B_cells"]},
    "CD4_T": {"phenotype": "CD4+"},
    "activated": {"phenotype": "HLA-DR+"},
}
BASELINE = {"debris": 11, "CD4_T": 40, "CD8_T": 25, "activated_T": 7, "B": 13, "eosinophil": 5}
MONTH_4 = {"debris": 3, "CD4_T": 20, "CD8_T": 31, "activated_T": 0, "B": 9, "eosinophil": 0}


def columns(cells, spread=0.0, shift=0.0, seed=0):
    """Signals of so many cells of each kind: 0.2 where negative, 0.8 where positive."""
    random = np.random.default_rng(seed)
    kinds = [kind for kind, number in cells.items() for _ in range(number)]
    order = random.permutation(len(kinds))
    values = {
        marker: np.array([0.8 if marker in CELLS[kind] else 0.2 for kind in kinds])[order]
        for marker in MARKERS
    }
    return {
        marker: (column + shift + random.normal(0, spread, column.size)).astype(np.float32)
        for marker, column in values.items()
    }


@pytest.fixture
def gate(tmp_path):
    """Gate samples, given as signals by sample, and return the tables that this writes."""
    (tmp_path / "populations.yaml").write_text(
        yaml.safe_dump(
            {name: {"flow": "x", **e} for name, e in POPULATIONS.items()}, sort_keys=False
        )
    )
    rows = [f"{marker}-A\t{marker}\tlineage" for marker in MARKERS[:-1]]
    rows += ["HLA-DR-A\tHLA-DR\tstate"]
    (tmp_path / "panel.tsv").write_text("\n".join(["channel\tmarker\tkind", *rows]) + "\n")

    def run(
        samples, thresholds=FIXED, gates=GATES, scope="patient", tissue="whole_blood", quality=None
    ):
        paths = []
        for name, values in samples.items():
            size = len(values["CD45"])
            flags = (quality or {}).get(name, np.zeros(size, dtype=np.uint8))
            meta = {"sample_id": name, "patient_id": "P1", "tissue": tissue}
            paths.append(tmp_path / f"{name}.arrow")
            write_events(paths[-1], values, flags, meta)
        strategy = tmp_path / "gating.yaml"
        strategy.write_text(
            yaml.safe_dump({"scope": scope, "thresholds": thresholds, "gates": gates})
        )
        out = [tmp_path / "out" / f"{name}.tsv" for name in ("thresholds", "counts", "expression")]
        gate_patient(paths, strategy, tmp_path / "populations.yaml", tmp_path / "panel.tsv", *out)
        return [read_rows(path) for path in out]

    return run


def by_population(counts, sample, key="count"):
    return {row["population"]: row[key] for row in counts if row["sample_id"] == sample}


def test_exact_counts(gate):
    _, counts, _ = gate({"V1": columns(BASELINE), "V2": columns(MONTH_4)})
    assert by_population(counts, "V1") == {
        "live": "101",
        "leukocytes": "90",
        "eosinophils": "5",
        "lymphocytes": "85",
        "T_cells": "72",
        "B_cells": "13",
        "CD4_T": "47",
        "activated": "20",
    }
    assert by_population(counts, "V2") == {
        "live": "63",
        "leukocytes": "60",
        "eosinophils": "0",
        "lymphocytes": "60",
        "T_cells": "51",
        "B_cells": "9",
        "CD4_T": "20",
        "activated": "9",
    }
    assert [row["sample_id"] for row in counts] == ["V1"] * 8 + ["V2"] * 8


def test_denominators_are_those_of_the_vocabulary(gate):
    _, counts, _ = gate({"V1": columns(BASELINE)})
    assert by_population(counts, "V1", "parent") == {
        "live": "",
        "leukocytes": "live",
        "eosinophils": "leukocytes",
        "lymphocytes": "leukocytes",
        "T_cells": "lymphocytes",
        "B_cells": "lymphocytes",
        "CD4_T": "T_cells",
        "activated": "leukocytes",
    }
    number, parents = by_population(counts, "V1"), by_population(counts, "V1", "parent")
    denominators = by_population(counts, "V1", "parent_count")
    assert denominators.pop("live") == "101"
    assert denominators == {name: number[parents[name]] for name in denominators}


def test_a_parent_that_is_not_counted_is_skipped(gate):
    gates = {name: entry for name, entry in GATES.items() if name != "lymphocytes"}
    _, counts, _ = gate({"V1": columns(BASELINE)}, gates=gates)
    assert by_population(counts, "V1", "parent")["T_cells"] == "leukocytes"
    assert by_population(counts, "V1", "parent_count")["T_cells"] == "90"


def test_flagged_events_are_not_counted(gate):
    values = columns(BASELINE)
    flags = np.zeros(101, dtype=np.uint8)
    flags[:50] = np.tile([1, 2], 25)
    kept = {marker: column[50:] for marker, column in values.items()}
    _, flagged, _ = gate({"V1": values}, quality={"V1": flags})
    _, without, _ = gate({"V1": kept})
    assert flagged == without
    assert by_population(flagged, "V1")["live"] == "51"


def test_an_event_on_the_border_is_negative(gate):
    values = {marker: np.full(3, 0.5, dtype=np.float32) for marker in MARKERS}
    values["CD45"] = np.array([0.5, np.nextafter(np.float32(0.5), np.float32(1)), 0.9], dtype="f4")
    _, counts, _ = gate({"V1": values})
    number = by_population(counts, "V1")
    assert number["leukocytes"] == "2"
    assert number["T_cells"] == number["B_cells"] == "0"


def test_a_union_counts_every_event_once_and_only_within_its_parent(gate):
    gates = {**GATES, "lymphocytes": {"any_of": ["T_cells", "activated", "CD4_T"]}}
    _, counts, _ = gate({"V1": columns(BASELINE)}, gates=gates)
    assert by_population(counts, "V1")["lymphocytes"] == str(72 + 13)
    gates = {
        **GATES,
        "activated": {"under": "live", "phenotype": "CD4-"},
        "lymphocytes": {"any_of": ["activated"]},
    }
    _, counts, _ = gate({"V1": columns(BASELINE)}, gates=gates)
    assert by_population(counts, "V1")["activated"] == str(11 + 25 + 13 + 5)
    assert by_population(counts, "V1")["lymphocytes"] == str(25 + 13 + 5)


def test_what_a_tissue_cannot_contain_is_not_measured(gate):
    _, counts, expression = gate({"V1": columns(BASELINE)}, tissue="pbmc")
    assert by_population(counts, "V1")["eosinophils"] == ""
    assert by_population(counts, "V1", "parent_count")["eosinophils"] == "90"
    assert by_population(counts, "V1")["B_cells"] == "13"
    assert "eosinophils" not in {row["population"] for row in expression}
    _, _, expression = gate({"V1": columns(BASELINE)}, tissue="whole_blood")
    assert "eosinophils" in {row["population"] for row in expression}


VALLEYS = {marker: {"method": "valley", "estimate_on": "root"} for marker in MARKERS}
MANY = {kind: 60 * (number + 2) for kind, number in BASELINE.items()}


def test_visits_share_their_thresholds(gate):
    samples = {"V1": columns(MANY, 0.05), "V2": columns(MANY, 0.05, shift=0.1, seed=1)}
    thresholds, _, _ = gate(samples, VALLEYS)
    assert {row["samples"] for row in thresholds} == {"V1,V2"}
    assert sorted(row["threshold"] for row in thresholds) == sorted(MARKERS)
    for row in thresholds:
        assert row["source"] == "valley"
        assert row["patient_id"] == "P1"
        assert row["estimate_on"] == "root"
        assert float(row["value"]) == pytest.approx(0.55, abs=0.08)
        assert 0 < float(row["depth"]) <= 1


def test_scope_sample_gives_each_visit_its_own(gate):
    """A visit that is stained brighter keeps its counts, but borders differ between visits."""
    samples = {"V1": columns(MANY, 0.05), "V2": columns(MANY, 0.05, shift=0.6, seed=1)}
    thresholds, counts, _ = gate(samples, VALLEYS, scope="sample")
    assert {row["samples"] for row in thresholds} == {"V1", "V2"}
    border = {(row["samples"], row["threshold"]): float(row["value"]) for row in thresholds}
    for marker in MARKERS:
        assert border["V2", marker] - border["V1", marker] == pytest.approx(0.6, abs=0.15)
    first, second = by_population(counts, "V1"), by_population(counts, "V2")
    for name, number in first.items():
        assert int(second[name]) == pytest.approx(int(number), rel=0.02), name


def test_one_visit_is_gated_alike_in_both_scopes(gate):
    samples = {"V1": columns(MANY, 0.05)}
    patient, sample = gate(samples, VALLEYS), gate(samples, VALLEYS, scope="sample")
    assert patient == sample


def test_visits_of_unequal_size_weigh_the_same(gate):
    """The border is that of as many events from each visit, whatever their sizes."""
    large = {"CD8_T": 12_000, "B": 12_000}
    small = {"CD8_T": 500, "B": 500}
    thresholds = {"CD3": {"method": "valley", "estimate_on": "root"}}
    gates = {"live": {}, "T_cells": {"under": "live", "phenotype": "CD3+"}}

    def border(first, second):
        samples = {
            "V1": columns(first, 0.08, seed=1),
            "V2": columns(second, 0.08, shift=0.15, seed=2),
        }
        (row,) = gate(samples, thresholds, gates)[0]
        return float(row["value"]), int(row["n_events"])

    equal, n_equal = border(small, small)
    assert n_equal == 2000
    alone = [
        float(gate({"V": columns(large, 0.08, shift=s, seed=1)}, thresholds, gates)[0][0]["value"])
        for s in (0, 0.15)
    ]
    for first, second in ((large, small), (small, large)):
        value, n_events = border(first, second)
        assert n_events == 2000
        assert value == pytest.approx(equal, abs=0.04)
        assert abs(value - sum(alone) / 2) < abs(alone[1] - alone[0]) / 2


def test_few_events_are_all_used(gate):
    samples = {"V1": columns({"CD8_T": 300, "B": 100}, 0.05), "V2": columns({"B": 60}, 0.05)}
    thresholds, _, _ = gate(samples, VALLEYS)
    assert {row["n_events"] for row in thresholds} == {"460"}


def test_an_empty_visit_does_not_spoil_the_other(gate):
    samples = {"V1": columns(MANY, 0.05), "V2": columns({})}
    thresholds, counts, _ = gate(samples, VALLEYS)
    assert {row["source"] for row in thresholds} == {"valley"}
    assert set(by_population(counts, "V2").values()) == {"0"}
    assert by_population(counts, "V1") == by_population(
        gate({"V1": samples["V1"]}, VALLEYS)[1], "V1"
    )


def test_estimate_on_takes_the_events_of_that_population(gate):
    """CD4 has its valley on T cells: without eosinophils that shine in the gap."""
    values = columns({"CD4_T": 2000, "CD8_T": 2000, "eosinophil": 6000}, 0.03)
    shining = values["Siglec-8"] > 0.5
    random = np.random.default_rng(5)
    values["CD4"][shining] = random.normal(0.5, 0.03, shining.sum())
    found = {}
    for population in ("root", "T_cells"):
        thresholds = {**FIXED, "CD4": {"method": "valley", "estimate_on": population}}
        rows, counts, _ = gate({"V1": values}, thresholds)
        (row,) = (row for row in rows if row["threshold"] == "CD4")
        assert row["estimate_on"] == population
        found[population] = float(row["value"])
        if population == "T_cells":
            assert row["n_events"] == "4000"
            assert by_population(counts, "V1")["CD4_T"] == "2000"
    assert found["T_cells"] == pytest.approx(0.5, abs=0.05)
    assert abs(found["root"] - 0.5) > 0.08


def test_without_estimate_on_a_border_belongs_to_the_gated_population(gate):
    thresholds = {**FIXED, "CD4": {"method": "valley"}}
    rows, _, _ = gate({"V1": columns(MANY, 0.05)}, thresholds)
    assert ("CD4", "T_cells") in {(row["threshold"], row["estimate_on"]) for row in rows}


def test_one_marker_may_have_two_borders(gate):
    thresholds = {**FIXED, "CD4_dim": {"marker": "CD4", "method": "fixed", "value": 0.1}}
    gates = {**GATES, "CD4_T": {"phenotype": "CD4_dim+"}}
    rows, counts, _ = gate({"V1": columns(BASELINE)}, thresholds, gates)
    assert by_population(counts, "V1")["CD4_T"] == "72"
    (row,) = (row for row in rows if row["threshold"] == "CD4_dim")
    assert (row["marker"], row["source"], row["value"]) == ("CD4", "fixed", "0.1")


def test_expression(gate):
    values = columns(BASELINE, 0.05)
    _, _, expression = gate({"V1": values})
    t_cells = (values["CD45"] > 0.5) & (values["CD3"] > 0.5) & (values["CD19"] <= 0.5)
    rows = {row["marker"]: row for row in expression if row["population"] == "T_cells"}
    assert set(rows) == set(MARKERS)
    for marker, row in rows.items():
        own = values[marker][t_cells].astype(float)
        assert int(row["n_cells"]) == own.size == 72
        assert float(row["value"]) == pytest.approx(np.median(own), rel=1e-6)
        assert float(row["sd"]) == pytest.approx(own.std(ddof=1), rel=1e-6)
        assert int(row["n_positive"]) == (own > 0.5).sum()


def test_positive_cells_need_a_border(gate):
    """Neither a marker without a border nor one whose border was not found has 0 positive."""
    thresholds = {**FIXED, "HLA-DR": {"method": "valley", "estimate_on": "eosinophils"}}
    gates = {name: entry for name, entry in GATES.items() if name != "activated"}
    samples = {"V1": columns(BASELINE)}
    found = gate(samples, thresholds, gates)
    assert {row["source"] for row in found[0] if row["threshold"] == "HLA-DR"} == {"too_few_events"}
    del thresholds["HLA-DR"]
    for expression in (found[2], gate(samples, thresholds, gates)[2]):
        positive = {row["marker"]: row["n_positive"] for row in expression}
        assert positive["HLA-DR"] == ""
        assert positive["CD45"] != ""


def test_expression_of_one_cell_and_of_none(gate):
    _, _, expression = gate({"V1": columns({"eosinophil": 1, "B": 2})})
    rows = {row["population"]: row for row in expression}
    one, none = rows["eosinophils"], rows["T_cells"]
    assert (one["n_cells"], one["sd"]) == ("1", "")
    assert float(one["value"])
    assert (none["n_cells"], none["value"], none["sd"]) == ("0", "", "")


def test_a_second_run_writes_the_same(gate):
    samples = {"V1": columns(MANY, 0.05), "V2": columns(MANY, 0.05, seed=1)}
    assert gate(samples, VALLEYS) == gate(samples, VALLEYS)


def test_a_border_that_was_not_found_gives_no_count_rather_than_zero(gate):
    """Too few T cells to find a border of CD4: CD4 T cells are not known, not absent."""
    thresholds = {**FIXED, "CD4": {"method": "valley", "estimate_on": "T_cells"}}
    found, counts, expression = gate({"V1": columns({"CD4_T": 10, "B": 300})}, thresholds)
    (border,) = (row for row in found if row["threshold"] == "CD4")
    assert border["source"] == "too_few_events"
    count = by_population(counts, "V1")
    assert count["T_cells"] == "10"
    assert count["CD4_T"] == ""
    assert "CD4_T" not in {row["population"] for row in expression}
