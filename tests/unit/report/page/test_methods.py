import pytest

from biocross.cohort.config import complete_config
from biocross.report.page.methods import (
    REFERENCES,
    contrasts_of,
    methods_paragraphs,
    references_of,
)

VERSIONS = {"biocross": "0.1.0", "flowio": "1.3.0"}


def methods(samples="samples.tsv", counts=None, gating="gating.yaml", **sections):
    inputs = {"patients": "patients.tsv"}
    if samples:
        inputs |= {"samples": samples, "panel": "panel.tsv", "gating": gating}
    if counts:
        inputs["counts"] = counts
    design = {"levels": ["baseline", "month_4", "month_12"]} | sections.pop("design", {})
    config = complete_config({"inputs": inputs, "design": design, **sections})
    return "\n".join(methods_paragraphs(config, VERSIONS))


def test_files_are_described():
    text = methods()
    assert "read by biocross 0.1.0" in text
    assert "gated by a fixed hierarchy" in text
    assert "state marker" in text
    assert "counted elsewhere" not in text


def test_a_table_is_described_instead_of_files():
    text = methods(samples=None, counts="counts.tsv")
    assert "Frequencies were counted elsewhere" in text
    for word in ("FCS", "gated", "marker", "logicle"):
        assert word not in text


def test_a_table_beside_files_is_described_too():
    text = methods(counts="counts.tsv")
    assert "FCS files were read" in text
    assert "Frequencies were counted elsewhere" in text


@pytest.mark.parametrize(
    ("flow", "expected", "absent"),
    [
        ({"cytometry": "conventional"}, ("spillover matrix", "logicle", "doublets"), ()),
        ({"cytometry": "mass"}, ("arcsinh(x / 5)", "No compensation"), ("doublets", "logicle")),
        ({"cytometry": "spectral", "transform": "arcsinh"}, ("arcsinh(x / 2000)",), ("logicle",)),
        ({"transform": "arcsinh", "cofactor": 400}, ("arcsinh(x / 400)",), ("logicle",)),
        ({"transform": "biex"}, ("FlowJo's biexponential",), ("logicle",)),
        ({"compensation": "controls"}, ("single-stain controls",), ("stored in each file",)),
        ({"compensation": "none"}, ("No compensation",), ("matrix",)),
        ({"skip_quality": ["dead"]}, ("doublets", "PeacoQC"), ("dead cells",)),
    ],
)
def test_cytometry(flow, expected, absent):
    text = methods(flow=flow)
    assert all(words in text for words in expected)
    assert not any(words in text for words in absent)


def test_contrasts_default_to_every_later_level_with_the_first():
    design = {"levels": ["baseline", "month_4", "month_12"], "contrasts": []}
    assert contrasts_of(design) == [("month_4", "baseline"), ("month_12", "baseline")]
    assert "month_4 was compared with baseline, and month_12 was compared with baseline" in (
        methods()
    )


def test_declared_contrasts_are_the_ones_described():
    text = methods(design={"contrasts": ["month_12 - month_4"]})
    assert "month_12 was compared with month_4." in text
    assert "with baseline" not in text


def test_numbers_of_the_configuration():
    statistics = {
        "fdr": 0.1,
        "min_cells": 35,
        "confirmatory": {"source": "cluster", "readout": "cells_per_ul"},
    }
    text = methods(statistics=statistics)
    assert "controlled at 0.1" in text
    assert "at least 35 cells" in text
    assert "(flow, cluster, cells per ul; at least six pairs)" in text


def test_sensitivity_is_described_as_configured():
    text = methods(statistics={"covariates": ["ocs_mg_day"], "relabellings": 250})
    assert "visit and ocs_mg_day, CR2 standard errors" in text
    assert "checked by 250 random swaps" in text
    assert "random swaps" not in methods(statistics={"relabellings": 0})


def test_nothing_is_ascribed():
    text = methods()
    assert "cannot be ascribed" in text
    assert "due to" not in text
    assert len(REFERENCES) >= 5


def test_gates_drawn_elsewhere_are_described():
    text = methods(gating="gates.wsp", flow={"moved_gates": "patient"})
    assert "gated by hand" in text
    assert "the gates drawn for the first" in text
    assert "deepest valley" not in text


def test_what_was_not_measured_is_not_described():
    inputs = {"patients": "patients.tsv", "samples": "samples.tsv"}
    inputs |= {"panel": "panel.tsv", "gating": "gating.yaml"}
    config = complete_config({"inputs": inputs, "design": {"levels": ["a", "b"]}})
    of = {
        what: "\n".join(methods_paragraphs(config, VERSIONS, what))
        for what in (("flow",), ("rna",), ("flow", "rna"))
    }
    assert {what: "PyDESeq2" in text for what, text in of.items()} == {
        ("flow",): False,
        ("rna",): True,
        ("flow", "rna"): True,
    }
    assert {what: "FCS files" in text for what, text in of.items()} == {
        ("flow",): True,
        ("rna",): False,
        ("flow", "rna"): True,
    }
    assert "self-organising map" in of["flow",]
    assert any("Harmony" in line for line in references_of(config, ("rna",)))
    assert not any("Harmony" in line for line in references_of(config, ("flow",)))


def test_rna_alone_is_not_compared_with_flow():
    inputs = {"patients": "patients.tsv", "samples": "samples.tsv"}
    config = complete_config({"inputs": inputs, "design": {"levels": ["a", "b"]}})
    of = {
        what: "\n".join((*methods_paragraphs(config, VERSIONS, what), *references_of(config, what)))
        for what in (("rna",), ("flow", "rna"))
    }
    for words in ("logicle", "FlowSOM", "state marker", "both methods measured"):
        assert words not in of["rna",]
        assert words in of["flow", "rna"]
    assert all("score of a set of genes" in text for text in of.values())
    assert "score of a set of genes" not in methods()


def test_what_cells_per_microlitre_rest_on_is_said():
    config = complete_config(
        {
            "inputs": {
                **{"patients": "patients.tsv", "samples": "samples.tsv"},
                **{"panel": "panel.tsv", "gating": "gating.yaml"},
            },
            "design": {"levels": ["a", "b"]},
        }
    )
    counted, by_beads = (
        "\n".join(methods_paragraphs(config, VERSIONS, with_beads=beads)) for beads in (False, True)
    )
    assert "Cells per microlitre were the share of leukocytes" in counted
    assert "bead" not in counted
    assert "divided by the single beads acquired" in by_beads
    assert "counting beads, bright in all channels and alike" in by_beads


def test_what_patients_were_selected_on_is_told():
    assert "regression to the mean" not in methods()
    text = methods(design={"selected_on": ["eosinophils_per_ul"]})
    assert "enrolled for their eosinophils_per_ul" in text
    assert "regression to the mean" in text
