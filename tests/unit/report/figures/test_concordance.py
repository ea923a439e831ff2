"""Ten patients; RNA sees the T cells as flow does, and twice the odds of B cells."""

import numpy as np
import pytest
import yaml

from biocross.cohort.vocabulary import load_vocabulary
from biocross.report.figures import concordance as concordance_figure
from biocross.report.figures.concordance import plot_concordance
from biocross.report.figures.findings import draw_findings, ordered_findings
from biocross.report.figures.gene_changes import (
    MOST_IN_PANEL,
    MOST_OF_POPULATION,
    plot_gene_changes,
    top_genes,
)
from biocross.statistics.concordance import FINDING_COLUMNS, find_concordance
from biocross.statistics.gene_changes import GENE_CHANGE_COLUMNS
from biocross.statistics.paired_changes import find_paired_changes
from biocross.tables import write_rows

COUNTS = (
    *("sample_id", "patient_id", "visit", "treatment", "modality", "source", "population"),
    *("parent", "count", "parent_count", "cells_per_ul", "percent"),
)
VOCABULARY = {
    "live_singlets": {"parent": None, "flow": "x"},
    "leukocytes": {"parent": "live_singlets", "flow": "x"},
    "T_cells": {"parent": "leukocytes", "flow": "x"},
    "B_cells": {"parent": "leukocytes", "flow": "x"},
}


@pytest.fixture
def plot(tmp_path):
    """Write the tables of a study and draw them; returns the clouds by figure."""

    def run(kind=".svg", modalities=("flow", "rna")):
        random = np.random.default_rng(5)
        populations = tmp_path / "populations.yaml"
        populations.write_text(yaml.safe_dump(VOCABULARY, sort_keys=False))
        sheet, counts, pairs = [], [], []
        for number in range(10):
            unit = f"P{number}"
            keys = {"patient_id": unit, "treatment": "drug_a" if number % 2 else "drug_b"}
            pairs.append(keys | {"unit": unit, "baseline": "base", "followup": "late"})
            for level in ("base", "late"):
                logits = {"T_cells": random.normal(0, 0.7), "B_cells": random.normal(-2, 0.7)}
                logits["leukocytes"] = 3.0
                for modality in modalities:
                    name = f"{unit}_{level}_{modality}"
                    who = keys | {"sample_id": name, "visit": level, "modality": modality}
                    sheet.append(who | {"unit": unit, "level": level, "batch": "b"})
                    for population, logit in logits.items():
                        odds = np.exp(logit) * (2 if modality + population == "rnaB_cells" else 1)
                        parent = VOCABULARY[population]["parent"]
                        row = who | {"population": population, "parent": parent}
                        row |= {"source": "gate" if modality == "flow" else "cluster"}
                        count = round(9000 * odds / (1 + odds))
                        row |= {"count": count, "parent_count": 9000, "percent": count / 90}
                        counts.append(row)
        at = {name: tmp_path / f"{name}.tsv" for name in ("counts", "samples", "pairs", "changes")}
        write_rows(at["counts"], COUNTS, counts)
        write_rows(at["samples"], list(sheet[0]), sheet)
        write_rows(at["pairs"], list(pairs[0]), pairs)
        find_paired_changes(
            *(at["counts"], at["samples"], at["pairs"], populations),
            *(("flow", "gate", "percent_of_parent"), 1, at["changes"]),
        )
        out = tmp_path / "concordance.tsv", tmp_path / "findings.tsv"
        find_concordance(
            *(at["counts"], at["samples"], at["pairs"], populations, at["changes"], 1, *out)
        )
        figures = [tmp_path / f"{name}{kind}" for name in ("frequencies", "changes", "findings")]
        plot_concordance(
            *(at["counts"], at["samples"], at["pairs"], populations, *out),
            *([figure] for figure in figures),
        )
        return [figure.read_bytes() for figure in figures]

    return run


@pytest.fixture
def clouds(plot, monkeypatch):
    """Return the panels of both figures, by title."""
    kept = []
    monkeypatch.setattr(
        concordance_figure,
        "draw_clouds",
        lambda found, *_: kept.append({c.title: c for c in found}),
    )
    monkeypatch.setattr(concordance_figure, "draw_findings", lambda *_: None)
    with pytest.raises(FileNotFoundError):  # nothing was drawn
        plot()
    return kept


def test_figures_are_the_same_each_time(plot):
    assert plot() == plot()
    assert all(content.startswith(b"%PDF") for content in plot(".pdf"))


def test_study_of_one_modality_says_so(plot):
    frequencies, changes, findings = plot(modalities=("flow",))
    for figure in (frequencies, changes):
        assert b"no population was measured by both methods" in figure
    assert b"nothing to compare" in findings


def test_share_of_whatever_passed_is_no_finding(plot):
    findings = plot()[2]
    assert b"T cells, drug_a" in findings
    assert b"leukocytes" not in findings


def test_frequencies_are_percentages_by_visit(clouds):
    frequencies, _ = clouds
    assert list(frequencies) == ["T cells", "B cells"]  # leukocytes: of whatever passed
    cloud = frequencies["T cells"]
    assert {visit: values.shape for visit, values in cloud.points.items()} == {
        "base": (2, 10),
        "late": (2, 10),
    }
    flow, rna = cloud.points["base"]
    np.testing.assert_allclose(flow, rna, rtol=1e-9)
    assert 1 < flow.min() < flow.max() < 99
    assert cloud.axes == ("leukocytes", "leukocytes")
    assert "base: rho 1.00" in cloud.subtitle
    assert "ratio 2" in frequencies["B cells"].subtitle
    assert "ratio 1\n" in f"{cloud.subtitle}\n"


def test_changes_are_ratios_of_odds_by_treatment(clouds):
    _, changes = clouds
    cloud = changes["B cells"]
    assert {name: values.shape for name, values in cloud.points.items()} == {
        "drug_a": (2, 5),
        "drug_b": (2, 5),
    }
    both = np.concatenate([*cloud.points.values()], axis=1)
    np.testing.assert_allclose(both[0], both[1], rtol=0.02)
    assert both.min() > 0
    assert cloud.subtitle.startswith("same direction 10 of 10")


def finding(verdict, population="T_cells", **others):
    numbers = {f"effect_{m}{end}": "" for m in ("flow", "rna") for end in ("", "_low", "_high")}
    row = dict.fromkeys(FINDING_COLUMNS, "") | numbers
    row |= {"treatment": "drug_a", "contrast": "late - base", "population": population}
    return row | {"verdict": verdict, **others}


def test_findings_in_order_and_without_what_cannot_be_compared():
    vocabulary = dict.fromkeys(["T_cells", "B_cells"])
    rows = [
        finding("neither"),
        finding("rna only"),
        finding("not comparable"),
        finding("both", "B_cells"),
        finding("both", "T_cells"),
        finding("contradicted"),
    ]
    found = [(row["verdict"], row["population"]) for row in ordered_findings(rows, vocabulary)]
    assert found == [
        ("both", "T_cells"),
        ("both", "B_cells"),
        ("contradicted", "T_cells"),
        ("rna only", "T_cells"),
        ("neither", "T_cells"),
    ]


def test_findings_show_both_effects_and_say_what_was_not_tested(tmp_path):
    rows = [
        finding("both", effect_flow="2", effect_flow_low="1.5", effect_flow_high="2.6")
        | {"effect_rna": "90", "effect_rna_low": "1.1", "effect_rna_high": "4000"},
        finding("flow only", "B_cells", effect_flow="0.5")
        | {"effect_flow_low": "0.4", "effect_flow_high": "0.7"},
        finding("not comparable"),
    ]
    path = tmp_path / "findings.svg"
    populations = tmp_path / "populations.yaml"
    populations.write_text(yaml.safe_dump(VOCABULARY, sort_keys=False))
    draw_findings(rows, load_vocabulary(populations), path)
    text = path.read_text()
    for said in ("T cells, drug_a", "flow only", "not tested", "not shown: 1", "× 16"):
        assert said in text


def gene(name, population, p, q, fold=1.0, status="tested"):
    row = dict.fromkeys(GENE_CHANGE_COLUMNS, "")
    row |= {"treatment": "drug_a", "contrast": "late - base", "population": population}
    numbers = {"log2_fold": fold, "log2_fold_low": fold - 0.5, "log2_fold_high": fold + 0.5}
    row |= {key: str(value) for key, value in numbers.items()}
    return row | {"gene": name, "p_value": str(p), "q_value": str(q), "status": status}


def test_genes_below_the_rate_come_first_and_no_population_takes_all():
    rows = [gene(f"A{i}", "T_cells", 1e-6 * (i + 1), 0.01, i) for i in range(20)]
    rows += [gene(f"B{i}", "B_cells", 1e-9 + 1e-3 * i, 0.2) for i in range(20)]
    rows += [gene("C", "B_cells", 0.5, 0.01), gene("D", "B_cells", 0.0, 0.0, status="outlier")]
    ((key, chosen),) = top_genes(rows, {"B_cells": 0, "T_cells": 1}, 0.05)
    assert key == ("drug_a", "late - base")
    names = [row["gene"] for row in chosen]
    assert len(names) == 2 * MOST_OF_POPULATION
    assert "C" in names
    assert "D" not in names
    assert [row["population"] for row in chosen] == sorted(row["population"] for row in chosen)
    assert names[-MOST_OF_POPULATION:] == [f"A{i}" for i in range(MOST_OF_POPULATION)]
    many = [gene(f"G{i}", f"population_{i}", 0.1, 0.1) for i in range(50)]
    assert len(dict(top_genes(many, {}, 0.05))[key]) == MOST_IN_PANEL


def test_gene_figure_names_genes_and_treatments(tmp_path):
    populations = tmp_path / "populations.yaml"
    populations.write_text(yaml.safe_dump(VOCABULARY, sort_keys=False))
    changes = tmp_path / "changes.tsv"
    out = tmp_path / "genes.svg"
    rows = [gene("ISG15", "T_cells", 1e-9, 1e-6, 9.0), gene("FCER2", "B_cells", 0.5, 0.9, -1)]
    write_rows(changes, GENE_CHANGE_COLUMNS, rows)
    plot_gene_changes(changes, populations, 0.05, out)
    text = out.read_text()
    for said in ("ISG15", "FCER2", "drug_a: late - base", "T cells", "1e-9"):
        assert said in text
    write_rows(changes, GENE_CHANGE_COLUMNS, [])
    plot_gene_changes(changes, populations, 0.05, out)
    assert "no gene was tested" in out.read_text()
