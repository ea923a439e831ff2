import re

import numpy as np
import pytest
from changed_rows import NAN
from long_tables import LongTables, fill
from matplotlib.figure import Figure

from biocross.cohort.overview import SAMPLE_COLUMNS
from biocross.report.figures.clinic import plot_clinic
from biocross.report.figures.clinical import (
    Changes,
    Panel,
    draw_association,
    draw_response,
    plot_response,
    strongest,
)
from biocross.statistics.clinical import find_clinical_associations
from biocross.statistics.response import find_response
from biocross.tables import read_rows, write_rows

LEVELS = ["baseline", "month_4"]


def association(p, treatment="mepolizumab", status="tested", **more):
    return {
        **{"treatment": treatment, "contrast": "month_4 - baseline", "population": "ILC2"},
        **{"parent": "lymphocytes", "readout": "percent_of_parent", "variable": "feno_ppb"},
        **{"n_pairs": 8, "rho": 0.5, "rho_low": 0.1, "rho_high": 0.8, "p_value": p},
        **{"q_value": min(1.0, 5 * p), "status": status, **more},
    }


def responded(**more):
    return association(0.02) | {
        **{"n_responders": 3, "n_nonresponders": 2, "effect": 1.5, "effect_low": 1.1},
        **{"effect_high": 2.0, **more},
    }


def test_the_strongest_of_every_treatment():
    rows = [association(p / 100, arm) for arm in ("b", "a") for p in range(9, 0, -1)]
    rows.append(association(0.0001, status="refused"))
    found = strongest(rows)
    assert [row["treatment"] for row in found] == ["a"] * 6 + ["b"] * 6
    assert [row["p_value"] for row in found[:6]] == [p / 100 for p in range(1, 7)]


def test_association_is_change_against_change_with_its_numbers():
    changes = Changes(
        ["P1", "P2", "P3"], ["a", "a", "b"], np.array([2.0, NAN, 0.5]), np.array([-10.0, 0.0, 5.0])
    )
    axis = Figure().subplots()
    looks = {"a": ("red", "o"), "b": ("blue", "s")}
    draw_association(axis, Panel(association(0.012), changes), looks)
    points = {line.get_marker(): line for line in axis.get_lines() if line.get_marker() in "os"}
    assert points["o"].get_xdata().tolist() == [-10, 0]
    assert points["s"].get_ydata().tolist() == [0.5]
    title = axis.get_title(loc="left")
    assert "rho 0.50 (0.10 to 0.80)" in title
    assert "8 pairs, p = 0.012, q = 0.06" in title
    assert axis.get_xlabel() == "change of feno ppb"


def test_responders_stand_beside_the_others_with_medians():
    changes = Changes(
        [f"P{n}" for n in range(6)],
        ["a"] * 6,
        np.array([2.0, 3.0, 4.0, 1.0, 0.5, 9.0]),
        np.array([1.0, 1.0, 1.0, 0.0, 0.0, NAN]),
    )
    axis = Figure().subplots()
    draw_response(axis, Panel(responded(), changes))
    medians = [line.get_ydata() for line in axis.get_lines() if line.get_linewidth() == 1.8]
    assert [list(line) for line in medians] == [[3.0, 3.0], [0.75, 0.75]]
    dots = np.concatenate(
        [line.get_ydata() for line in axis.get_lines() if line.get_marker() == "o"]
    )
    assert 9.0 not in dots
    assert "ratio 1.5 (1.1 to 2)" in axis.get_title(loc="left")
    labels = [label.get_text() for label in axis.get_xticklabels()]
    assert labels == ["responders\nn = 3", "non-resp.\nn = 2"]


def test_untested_response_says_why(tmp_path):
    changes = Changes(["P1"], ["a"], np.array([2.0]), np.array([1.0]))
    panel = Panel(responded(status="too_few_pairs"), changes)
    plot_response([panel], tmp_path / "r.svg", tmp_path / "r.tsv")
    assert "too few pairs" in (tmp_path / "r.svg").read_text()
    assert [row["responder"] for row in read_rows(tmp_path / "r.tsv")] == ["yes"]


@pytest.fixture
def run(tmp_path):
    """Return a function that tests a small study with or without a clinic, and draws it."""

    def draw(clinic):
        tables = LongTables(tmp_path)
        tables.name_primary("pop_1")
        names = fill(tables, np.random.default_rng(1), 8, populations=3)
        changes, paths = tables.changes_file(), tables.write()
        columns = [*SAMPLE_COLUMNS, "feno_ppb"] if clinic else SAMPLE_COLUMNS
        for number, row in enumerate(tables.samples):
            row |= {"feno_ppb": 20 + 3 * (number * 7 % 11)} if clinic else {}
        write_rows(paths["samples"], columns, tables.samples)
        patients = [
            {"patient_id": name, "treatment": "mepolizumab"}
            | ({"responder": "yes" if n % 2 else "no"} if clinic else {})
            for n, name in enumerate(names)
        ]
        write_rows(tmp_path / "patients.tsv", list(patients[0]), patients)
        paths = {name: paths[name] for name in ("counts", "samples", "pairs")}
        paths |= {"populations": tables.populations}
        associations, response = tmp_path / "associations_in.tsv", tmp_path / "response_in.tsv"
        find_clinical_associations(**paths, seed=1, associations_out=associations)
        paths |= {"patients": tmp_path / "patients.tsv"}
        find_response(**paths, responder_based_on=[], response_out=response)
        outs = {
            name: [tmp_path / f"{name}.{form}" for form in ("svg", "tsv")]
            for name in ("associations", "response", "eosinophils")
        }
        plot_clinic(
            **paths,
            **{"changes": changes, "associations": associations, "response": response},
            levels=LEVELS,
            declared=("flow", "gate", "percent_of_parent"),
            figures_out=outs,
        )
        return outs

    return draw


def test_figures_from_the_tables_of_a_run(run):
    outs = run(clinic=True)
    rows = read_rows(outs["associations"][1])
    assert {row["variable"] for row in rows} == {"feno_ppb"}
    assert {row["patient"] for row in rows} == {f"mep_P{n:02d}" for n in range(8)}
    rows = read_rows(outs["response"][1])
    assert {row["population"] for row in rows} == {"pop_1"}
    assert [row["responder"] for row in rows].count("yes") == 4
    assert "rho" in outs["associations"][0].read_text()


def test_a_study_without_a_clinic_says_so(run):
    outs = run(clinic=False)
    words = {
        name: " ".join(re.findall(r">([^<>]+)<", o[0].read_text())) for name, o in outs.items()
    }
    assert "takes a clinical sheet" in words["associations"]
    assert "no column responder" in words["response"]
    assert "0 samples with eosinophils" in words["eosinophils"]
    assert all(read_rows(paths[1]) == [] for paths in outs.values())
