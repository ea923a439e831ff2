import numpy as np
import pytest
import yaml

from biocross.flow.events import write_events
from biocross.flow.gate_membership import read_membership
from biocross.flow.gating import (
    COUNT_COLUMNS,
    EXPRESSION_COLUMNS,
    SHIFTED_COLUMNS,
    estimate_thresholds,
    fmo_controls,
    gate_patient,
)
from biocross.flow.marker_modes import MODE_COLUMNS
from biocross.flow.settled_thresholds import ESTIMATE_COLUMNS, settle_thresholds
from biocross.flow.transform_table import decades_by_marker
from biocross.flow.transforms import Transform, decades_between
from biocross.tables import read_rows, write_rows

POPULATIONS = {
    "live": {"parent": None},
    "leukocytes": {"parent": "live"},
    "eosinophils": {"parent": "leukocytes", "not_measured_in": ["pbmc"]},
    "lymphocytes": {"parent": "leukocytes"},
    "T_cells": {"parent": "lymphocytes", "gated_under": "leukocytes"},
    "B_cells": {"parent": "lymphocytes", "gated_under": "leukocytes"},
    "CD4_T": {"parent": "T_cells", "primary": True},
    "activated": {"parent": "leukocytes"},
    "resting": {"parent": "eosinophils"},
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


TABLES = ("counts", "expression", "modes", "shifts", "unknown")


@pytest.fixture
def study(tmp_path):
    """Write samples, given as signals by sample, and sheets; return paths by argument."""
    entries = {name: {"flow": "x", **entry} for name, entry in POPULATIONS.items()}
    (tmp_path / "populations.yaml").write_text(yaml.safe_dump(entries, sort_keys=False))
    rows = [f"{marker}-A\t{marker}\tlineage" for marker in MARKERS[:-1]]
    rows += ["HLA-DR-A\tHLA-DR\tstate", "FSC-A\tFSC-A\tscatter"]
    (tmp_path / "panel.tsv").write_text("\n".join(["channel\tmarker\tkind", *rows]) + "\n")
    columns = ("marker", "channel", "transform", "top", "decades", "width", "negative")
    write_rows(
        tmp_path / "transforms.tsv",
        columns,
        [dict(zip(columns, (m, m, "logicle", 262144, 4.5, 0.5, 0), strict=True)) for m in MARKERS],
    )

    def write(samples, thresholds=FIXED, gates=GATES, meta=None, quality=None, **rest):
        paths = []
        for name, values in samples.items():
            size = len(values["CD45"])
            flags = (quality or {}).get(name, np.zeros(size, dtype=np.uint8))
            about = {"sample_id": name, "patient_id": "P1", "tissue": "whole_blood", "batch": "B1"}
            paths.append(tmp_path / f"{name}.arrow")
            write_events(paths[-1], values, flags, about | (meta or {}).get(name, {}))
        content = {"thresholds": thresholds, "gates": gates, **rest}
        (tmp_path / "gating.yaml").write_text(yaml.safe_dump(content))
        return {
            "events": paths,
            "strategy": tmp_path / "gating.yaml",
            **{name: tmp_path / f"{name}.yaml" for name in ("populations",)},
            **{name: tmp_path / f"{name}.tsv" for name in ("panel", "transforms")},
        }

    return write


@pytest.fixture
def gate(study, tmp_path):
    """Gate samples with fixed or given borders; return the tables that this writes, by name."""

    def run(samples, *args, settled=(), **options):
        paths = study(samples, *args, **options)
        write_rows(
            tmp_path / "thresholds.tsv", ("sample_id", "threshold", "population", "value"), settled
        )
        out = {f"{name}_out": tmp_path / "out" / f"{name}.tsv" for name in TABLES}
        out["membership_out"] = tmp_path / "out" / "membership.arrow"
        gate_patient(**paths, thresholds=tmp_path / "thresholds.tsv", **out)
        return {name: read_rows(tmp_path / "out" / f"{name}.tsv") for name in TABLES}

    return run


def by_population(counts, sample, key="count"):
    return {row["population"]: row[key] for row in counts if row["sample_id"] == sample}


def test_exact_counts(gate):
    counts = gate({"V1": columns(BASELINE), "V2": columns(MONTH_4)})["counts"]
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
    counts = gate({"V1": columns(BASELINE)})["counts"]
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
    counts = gate({"V1": columns(BASELINE)}, gates=gates)["counts"]
    assert by_population(counts, "V1", "parent")["T_cells"] == "leukocytes"
    assert by_population(counts, "V1", "parent_count")["T_cells"] == "90"


def test_flagged_events_are_not_counted(gate):
    values = columns(BASELINE)
    flags = np.zeros(101, dtype=np.uint8)
    flags[:50] = np.tile([1, 2], 25)
    kept = {marker: column[50:] for marker, column in values.items()}
    flagged = gate({"V1": values}, quality={"V1": flags})["counts"]
    without = gate({"V1": kept})["counts"]
    assert flagged == without
    assert by_population(flagged, "V1")["live"] == "51"


def test_an_event_on_the_border_is_negative(gate):
    values = {marker: np.full(3, 0.5, dtype=np.float32) for marker in MARKERS}
    values["CD45"] = np.array([0.5, np.nextafter(np.float32(0.5), np.float32(1)), 0.9], dtype="f4")
    counts = gate({"V1": values})["counts"]
    number = by_population(counts, "V1")
    assert number["leukocytes"] == "2"
    assert number["T_cells"] == number["B_cells"] == "0"


def test_a_union_counts_every_event_once_and_only_within_its_parent(gate):
    gates = {**GATES, "lymphocytes": {"any_of": ["T_cells", "activated", "CD4_T"]}}
    counts = gate({"V1": columns(BASELINE)}, gates=gates)["counts"]
    assert by_population(counts, "V1")["lymphocytes"] == str(72 + 13)
    gates = {
        **GATES,
        "activated": {"under": "live", "phenotype": "CD4-"},
        "lymphocytes": {"any_of": ["activated"]},
    }
    counts = gate({"V1": columns(BASELINE)}, gates=gates)["counts"]
    assert by_population(counts, "V1")["activated"] == str(11 + 25 + 13 + 5)
    assert by_population(counts, "V1")["lymphocytes"] == str(25 + 13 + 5)


def test_what_a_tissue_cannot_contain_is_not_measured(gate):
    gates = GATES | {"resting": {"under": "eosinophils", "phenotype": "HLA-DR-"}}
    tables = gate({"V1": columns(BASELINE)}, gates=gates, meta={"V1": {"tissue": "pbmc"}})
    counts = tables["counts"]
    assert by_population(counts, "V1")["eosinophils"] == ""
    assert by_population(counts, "V1", "parent_count")["eosinophils"] == "90"
    assert by_population(counts, "V1")["B_cells"] == "13"
    # Nor what is gated under it, or counted in percent of it.
    assert by_population(counts, "V1")["resting"] == ""
    assert by_population(counts, "V1", "parent_count")["resting"] == ""
    assert "eosinophils" not in {row["population"] for row in tables["expression"]}
    assert {row["population"]: row["reason"] for row in tables["unknown"]} == {
        "eosinophils": "eosinophils are not measured in pbmc",
        "resting": "eosinophils are not measured in pbmc",
    }
    tables = gate({"V1": columns(BASELINE)}, gates=gates)
    assert "eosinophils" in {row["population"] for row in tables["expression"]}
    assert not tables["unknown"]


def test_one_marker_may_have_two_borders(gate):
    thresholds = {**FIXED, "CD4_dim": {"marker": "CD4", "method": "fixed", "value": 0.1}}
    gates = {**GATES, "CD4_T": {"phenotype": "CD4_dim+"}}
    counts = gate({"V1": columns(BASELINE)}, thresholds, gates)["counts"]
    assert by_population(counts, "V1")["CD4_T"] == "72"


VALLEYS = {marker: {"method": "valley", "estimate_on": "root"} for marker in MARKERS}


def settled(samples, value=0.5, **changes):
    return [
        {
            "sample_id": sample,
            "threshold": marker,
            "population": "root",
            "value": changes.get(f"{sample}_{marker}", value),
        }
        for sample in samples
        for marker in MARKERS
    ]


def test_settled_borders_are_applied_to_their_sample(gate):
    samples = {"V1": columns(BASELINE), "V2": columns(BASELINE, shift=0.6)}
    counts = gate(samples, VALLEYS, settled=settled(["V1"]) + settled(["V2"], 1.1))["counts"]
    first, second = by_population(counts, "V1"), by_population(counts, "V2")
    assert first == second
    assert first["CD4_T"] == "47"


def test_a_border_that_is_not_known_gives_no_count_rather_than_zero(gate):
    samples = {"V1": columns(BASELINE), "V2": columns(BASELINE)}
    tables = gate(samples, VALLEYS, settled=settled(samples, V2_CD4=float("nan")))
    assert by_population(tables["counts"], "V1")["CD4_T"] == "47"
    assert by_population(tables["counts"], "V2")["CD4_T"] == ""
    assert by_population(tables["counts"], "V2", "parent_count")["CD4_T"] == "72"
    assert tables["unknown"] == [
        {"sample_id": "V2", "population": "CD4_T", "reason": "no border for CD4 on root"}
    ]
    rows = [row for row in tables["expression"] if row["sample_id"] == "V2"]
    assert "CD4_T" not in {row["population"] for row in rows}
    assert {row["n_positive"] for row in rows if row["marker"] == "CD4"} == {""}
    assert "" not in {row["n_positive"] for row in rows if row["marker"] == "CD3"}
    shifted = [row for row in tables["shifts"] if row["sample_id"] == "V2"]
    assert {row["count"] for row in shifted} == {""}
    assert {row["parent_count"] for row in shifted} == {"72"}


def test_a_parent_that_is_not_known_has_no_count_either(gate):
    tables = gate({"V1": columns(BASELINE)}, VALLEYS, settled=settled(["V1"], V1_CD3=""))
    counts = by_population(tables["counts"], "V1")
    assert (counts["T_cells"], counts["CD4_T"]) == ("", "")
    assert by_population(tables["counts"], "V1", "parent_count")["CD4_T"] == ""


def test_a_sample_without_events_has_zeros(gate):
    tables = gate({"V1": columns(BASELINE), "V2": columns({})}, VALLEYS, settled=settled(["V1"]))
    assert set(by_population(tables["counts"], "V2").values()) == {"0"}
    assert set(by_population(tables["counts"], "V2", "parent_count").values()) == {"0"}
    assert by_population(tables["counts"], "V1")["CD4_T"] == "47"


def test_a_file_that_was_not_read_has_rows_without_counts(gate):
    samples = {"V1": columns(BASELINE), "V2": columns({}), "V3": columns(MONTH_4)}
    tables = gate(samples, meta={"V2": {"excluded": "is not an FCS file"}})
    assert [row["sample_id"] for row in tables["counts"]][::8] == ["V1", "V2", "V3"]
    of_unread = [row for row in tables["counts"] if row["sample_id"] == "V2"]
    assert len(of_unread) == len(GATES)
    assert {(row["count"], row["parent_count"]) for row in of_unread} == {("", "")}
    assert by_population(tables["counts"], "V2", "parent")["CD4_T"] == "T_cells"
    assert by_population(tables["counts"], "V3")["CD4_T"] == "20"
    assert {row["reason"] for row in tables["unknown"]} == {
        "the file was not read: is not an FCS file"
    }
    alone = gate({"V2": columns({})}, meta={"V2": {"excluded": "no"}})
    assert {row["count"] for row in alone["counts"]} == {""}
    assert not alone["expression"]


def test_a_file_without_a_marker_lacks_the_populations_that_need_it(gate):
    lacking = columns(BASELINE)
    del lacking["CD4"]
    tables = gate({"V1": columns(BASELINE), "V2": lacking})
    counts = by_population(tables["counts"], "V2")
    assert counts["CD4_T"] == ""
    assert counts["T_cells"] == "72"
    assert by_population(tables["counts"], "V1")["CD4_T"] == "47"
    assert tables["unknown"] == [
        {"sample_id": "V2", "population": "CD4_T", "reason": "the file has no CD4"}
    ]
    measured = {r["marker"] for r in tables["expression"] if r["sample_id"] == "V2"}
    assert measured == set(MARKERS) - {"CD4"}


def test_expression(gate):
    values = columns(BASELINE, 0.05)
    values["FSC-A"] = values["CD45"]
    tables = gate({"V1": values})
    t_cells = (values["CD45"] > 0.5) & (values["CD3"] > 0.5) & (values["CD19"] <= 0.5)
    rows = {row["marker"]: row for row in tables["expression"] if row["population"] == "T_cells"}
    # Of lineage and state markers, not of scatter.
    assert set(rows) == set(MARKERS)
    for marker, row in rows.items():
        own = values[marker][t_cells].astype(float)
        assert int(row["n_cells"]) == own.size == 72
        assert float(row["value"]) == pytest.approx(np.median(own), rel=1e-6)
        assert float(row["sd"]) == pytest.approx(own.std(ddof=1), rel=1e-6)
        assert int(row["n_positive"]) == (own > 0.5).sum()
    odd = {row["marker"]: row for row in tables["expression"] if row["population"] == "B_cells"}
    b_cells = (values["CD45"] > 0.5) & (values["CD19"] > 0.5)
    assert float(odd["CD4"]["value"]) == pytest.approx(np.median(values["CD4"][b_cells]))


def test_positive_cells_need_a_border_of_the_marker_itself(gate):
    thresholds = dict(FIXED)
    del thresholds["HLA-DR"]
    gates = {name: entry for name, entry in GATES.items() if name != "activated"}
    for more in ({}, {"HLA-DR": {"method": "valley"}}):
        expression = gate({"V1": columns(BASELINE)}, thresholds | more, gates)["expression"]
        positive = {row["marker"]: row["n_positive"] for row in expression}
        assert positive["HLA-DR"] == ""
        assert positive["CD45"] != ""


def test_expression_of_one_cell_and_of_none(gate):
    expression = gate({"V1": columns({"eosinophil": 1, "B": 2})})["expression"]
    rows = {row["population"]: row for row in expression}
    one, none = rows["eosinophils"], rows["T_cells"]
    assert (one["n_cells"], one["sd"]) == ("1", "")
    assert float(one["value"])
    assert (none["n_cells"], none["value"], none["sd"]) == ("0", "", "")


def test_modes_beside_every_border(gate):
    values = columns(dict.fromkeys(CELLS, 4000), 0.05)
    modes = gate({"V1": values})["modes"]
    rows = {(row["threshold"], row["population"]): row for row in modes}
    row = rows["CD4", "T_cells"]
    assert row["border"] == "0.5"
    assert (row["n_negative"], row["n_positive"]) == ("4000", "8000")
    assert float(row["negative_mode"]) == pytest.approx(0.2, abs=0.005)
    assert float(row["positive_mode"]) == pytest.approx(0.8, abs=0.005)
    # Also of more events than a mode needs.
    assert rows["CD3", "leukocytes"]["n_positive"] == "12000"
    assert float(rows["CD3", "leukocytes"]["positive_mode"]) == pytest.approx(0.8, abs=0.005)


def test_shifts_of_the_primary_populations(gate):
    tables = gate({"V1": columns(BASELINE, 0.1), "V2": columns(MONTH_4, 0.1)})
    rows = tables["shifts"]
    assert {row["population"] for row in rows} == {"CD4_T"}
    assert {row["threshold"] for row in rows} == {"CD4"}
    of_first = {float(r["shift"]): int(r["count"]) for r in rows if r["sample_id"] == "V1"}
    assert len(of_first) == 33
    assert str(of_first[0.0]) == by_population(tables["counts"], "V1")["CD4_T"]
    ordered = [of_first[shift] for shift in sorted(of_first)]
    assert ordered == sorted(ordered, reverse=True)
    assert ordered[0] > ordered[-1]


def test_columns(gate):
    tables = gate({"V1": columns(BASELINE)}, VALLEYS, settled=settled(["V1"], V1_CD4=""))
    known = (COUNT_COLUMNS, EXPRESSION_COLUMNS, MODE_COLUMNS, SHIFTED_COLUMNS)
    for name, names in zip(TABLES, known, strict=False):
        assert tuple(tables[name][0]) == names


def test_a_second_run_writes_the_same(gate):
    samples = {"V1": columns(BASELINE, 0.1), "V2": columns(MONTH_4, 0.1, seed=1)}
    assert gate(samples) == gate(samples)


def test_every_kind_of_gate_in_a_file(gate):
    gates = {
        **{name: GATES[name] for name in ("live", "leukocytes")},
        "T_cells": {"rectangle": {"CD3": [0.5, None], "CD19": [None, 0.5]}},
        "B_cells": {
            "polygon": {
                "markers": ["CD3", "CD19"],
                "vertices": [[0, 0.5], [0.5, 0.5], [0.5, 1], [0, 1]],
            }
        },
        "CD4_T": {"quadrant": {"thresholds": ["CD4", "HLA-DR"], "which": "+-"}},
        "eosinophils": {
            "ellipse": {
                "markers": ["Siglec-8", "CD3"],
                "mean": [0.8, 0.2],
                "covariance": [[0.01, 0], [0, 0.01]],
                "distance_square": 1,
            }
        },
        "lymphocytes": {"not": "eosinophils"},
        "activated": {"all_of": ["lymphocytes", "T_cells"], "not": ["CD4_T"]},
    }
    counts = by_population(gate({"V1": columns(BASELINE)}, gates=gates)["counts"], "V1")
    assert counts == {
        **{"live": "101", "leukocytes": "90", "eosinophils": "5", "lymphocytes": "85"},
        **{"T_cells": "72", "B_cells": "13", "CD4_T": "40", "activated": "32"},
    }


def test_decades_of_a_unit(study):
    paths = study({})
    decades = decades_by_marker(paths["transforms"])
    assert set(decades) == set(MARKERS)
    transform = Transform("logicle", top=262144, decades=4.5, width=0.5, negative=0)
    assert decades["CD4"] == decades_between(0, 1, transform)
    assert 4 < decades["CD4"] < 5


def test_fmo_controls_are_known_by_marker_channel_or_alias():
    from biocross.cohort.panel import Channel
    from biocross.flow.events import Events

    panel = [Channel("BV421-A", "CRTH2", "lineage", aliases=("CD294",))]

    def events(**meta):
        return Events({}, np.zeros(0, np.uint8), meta)

    samples = [
        *(events(), events(role="sample"), events(role="single_stain", control_for="CRTH2")),
        *(events(role="fmo", control_for=name) for name in ("CRTH2", "BV421-A", "CD294", "CD4")),
    ]
    found = fmo_controls(samples, panel)
    assert found == {3: "CRTH2", 4: "CRTH2", 5: "CRTH2", 6: "CD4"}


@pytest.fixture
def estimate(study, tmp_path):
    """Estimate borders; return the rows by (threshold, population) and sample."""

    def run(samples, thresholds=VALLEYS, *args, by_stimulation=True, **options):
        paths = study(samples, thresholds, *args, **options)
        out = tmp_path / "estimates.tsv"
        estimate_thresholds(**paths, estimates_out=out, by_stimulation=by_stimulation)
        found = {}
        for row in read_rows(out):
            key = row["threshold"], row["population"]
            found.setdefault(key, {})[row["sample_id"]] = row
        return found

    return run


MANY = {kind: 60 * (number + 2) for kind, number in BASELINE.items()}


def test_visits_share_their_thresholds(estimate, tmp_path):
    samples = {"V1": columns(MANY, 0.05), "V2": columns(MANY, 0.05, seed=1)}
    found = estimate(samples)
    assert {key[0] for key in found} == set(MARKERS)
    assert tuple(read_rows(tmp_path / "estimates.tsv")[0]) == ESTIMATE_COLUMNS
    for rows in found.values():
        first, second = rows["V1"], rows["V2"]
        assert first["value"] == second["value"]
        assert (first["source"], first["patient_id"], first["batch"]) == ("valley", "P1", "B1")
        assert float(first["value"]) == pytest.approx(0.5, abs=0.1)


def test_with_scope_sample_they_do_not(estimate):
    samples = {"V1": columns(MANY, 0.05), "V2": columns(MANY, 0.05, shift=0.6, seed=1)}
    for rows in estimate(samples, scope="sample").values():
        apart = float(rows["V2"]["value"]) - float(rows["V1"]["value"])
        assert apart == pytest.approx(0.6, abs=0.15)


def test_estimate_on_takes_the_events_of_that_population(estimate):
    """CD4 has its valley on T cells: without eosinophils that shine in the gap."""
    values = columns({"CD4_T": 2000, "CD8_T": 2000, "eosinophil": 6000}, 0.03)
    shining = values["Siglec-8"] > 0.5
    values["CD4"][shining] = np.random.default_rng(5).normal(0.5, 0.03, shining.sum())
    borders = {}
    for population in ("root", "T_cells"):
        thresholds = {**FIXED, "CD4": {"method": "valley", "estimate_on": population}}
        row = estimate({"V1": values}, thresholds)["CD4", population]["V1"]
        borders[population] = float(row["value"])
        assert row["n_events"] == ("4000" if population == "T_cells" else "10000")
    assert borders["T_cells"] == pytest.approx(0.5, abs=0.05)
    assert abs(borders["root"] - 0.5) > 0.08


def test_without_estimate_on_a_border_belongs_to_the_gated_population(estimate):
    found = estimate({"V1": columns(MANY, 0.05)}, {**FIXED, "CD4": {"method": "valley"}})
    assert ("CD4", "T_cells") in found
    assert found["CD3", "leukocytes"]["V1"]["source"] == "fixed"
    assert found["CD3", "leukocytes"]["V1"]["value"] == "0.5"


def test_a_border_that_no_gate_uses_is_found_for_the_expression(estimate):
    gates = {name: entry for name, entry in GATES.items() if name != "activated"}
    assert ("HLA-DR", "root") in estimate({"V1": columns(MANY, 0.05)}, VALLEYS, gates)


def test_files_that_were_not_read_and_empty_visits_take_no_part(estimate):
    samples = {"V1": columns(MANY, 0.05), "V2": columns({}), "V3": columns({})}
    found = estimate(samples, meta={"V3": {"excluded": "no FCS"}})
    alone = estimate({"V1": samples["V1"]})
    for key, rows in found.items():
        assert set(rows) == {"V1", "V2"}
        assert rows["V1"]["value"] == alone[key]["V1"]["value"]
        assert rows["V2"]["value"] == rows["V1"]["value"]
    assert estimate({"V3": columns({})}, meta={"V3": {"excluded": "no FCS"}}) == {}


def test_cytokines_and_activation_markers_come_from_the_unstimulated(estimate):
    """HLA-DR is of kind state, CD4 of kind lineage; stimulation moves both by 0.3."""
    samples = {"V1": columns(MANY, 0.04), "V2": columns(MANY, 0.04, shift=0.3, seed=1)}
    meta = {"V2": {"stimulation": "PMA"}}
    found = estimate(samples, meta=meta)
    border = {
        key[0]: {s: float(r["value"]) for s, r in rows.items()} for key, rows in found.items()
    }
    assert border["HLA-DR"]["V1"] == border["HLA-DR"]["V2"]
    assert border["CD4"]["V2"] - border["CD4"]["V1"] == pytest.approx(0.3, abs=0.05)
    assert found["HLA-DR", "root"]["V2"]["note"]
    together = estimate(samples, meta=meta, by_stimulation=False)
    assert together["HLA-DR", "root"]["V2"]["samples"] == "V1,V2"


def test_fmo_controls_set_the_border_of_their_batch(estimate):
    """They are gated up to the population, and have no rows of their own."""
    samples = {
        "V1": columns(MANY, 0.05),
        "F1": columns({"CD8_T": 3000, "B": 500}, 0.05, seed=2),
        "F2": columns({"CD8_T": 3000}, 0.05, shift=0.3, seed=3),
    }
    # Other cells than T cells shine in the control: they must not count.
    samples["F1"]["CD4"][samples["F1"]["CD19"] > 0.5] = 2
    meta = {
        "F1": {"role": "fmo", "control_for": "CD4-A"},
        "F2": {"role": "fmo", "control_for": "CD4", "batch": "B2"},
    }
    thresholds = {**FIXED, "CD4": {"method": "fmo", "estimate_on": "T_cells"}}
    row = estimate(samples, thresholds, meta=meta)["CD4", "T_cells"]
    assert set(row) == {"V1"}
    assert row["V1"]["source"] == "fmo"
    assert float(row["V1"]["value"]) == pytest.approx(0.2 + 3 * 0.05, abs=0.05)
    without = estimate({"V1": samples["V1"]}, thresholds)["CD4", "T_cells"]["V1"]
    assert (without["source"], without["value"]) == ("too_few_events", "")


def test_from_estimates_to_counts(estimate, study, tmp_path):
    samples = {"V1": columns(BASELINE | {"CD4_T": 4000, "B": 800}, 0.05)}
    thresholds = VALLEYS | {
        **{name: FIXED[name] for name in ("CD45", "Siglec-8")},
        "HLA-DR": {"method": "mixture", "estimate_on": "leukocytes"},
        "CD4": {"method": "valley", "estimate_on": "eosinophils"},
    }
    estimate(samples, thresholds)
    paths = study(samples, thresholds)
    inputs = {key: paths[key] for key in ("strategy", "populations", "panel", "transforms")}
    borders = tmp_path / "thresholds.tsv"
    settle_thresholds([tmp_path / "estimates.tsv"], **inputs, thresholds_out=borders)
    out = {f"{name}_out": tmp_path / "out" / f"{name}.tsv" for name in TABLES}
    out["membership_out"] = tmp_path / "out" / "membership.arrow"
    gate_patient(**paths, thresholds=borders, **out)
    counts = by_population(read_rows(out["counts_out"]), "V1")
    values = samples["V1"]
    assert int(counts["B_cells"]) == pytest.approx(800, abs=5)
    assert int(counts["eosinophils"]) == pytest.approx((values["Siglec-8"] > 0.5).sum(), abs=2)
    # Too few eosinophils to find a border of CD4 on.
    assert counts["CD4_T"] == ""
    assert read_rows(out["unknown_out"])[0]["reason"] == "no border for CD4 on eosinophils"


def test_the_membership_of_events_adds_up_to_the_counts(gate, tmp_path):
    samples = {"V1": columns(BASELINE, 0.05), "V2": columns({"CD4_T": 300}, 0.05)}
    counts = gate(samples)["counts"]
    membership = read_membership(tmp_path / "out" / "membership.arrow")
    for row in counts:
        if row["count"] == "":
            assert row["population"] not in membership.known[row["sample_id"]]
            continue
        inside = [row["population"] in names for names in membership.populations]
        found = np.asarray(inside)[membership.combination[row["sample_id"]]].sum()
        assert found == int(row["count"]), row
