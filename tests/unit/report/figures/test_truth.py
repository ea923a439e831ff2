import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from biocross.report.figures.truth import draw_agreement, draw_bias, draw_effects, plot_evaluation

FREQUENCY = {"kind": "frequency", "modality": "flow", "readout": "percent_of_parent"}


@pytest.fixture
def ax():
    return Figure().subplots()


@pytest.fixture
def findings():
    rows = [
        ("gate", 1.0, 1.02, "rightly not claimed"),
        ("gate", 1.0, 0.97, "rightly not claimed"),
        ("gate", 0.15, 0.16, "found"),
        ("gate", 1.5, 1.2, "missed"),
        ("gate", 1.0, 1.4, "false claim"),
        ("cluster", 1.5, 1.4, "found"),
    ]
    table = pd.DataFrame(rows, columns=["source", "true_effect", "effect", "verdict"])
    low, high = 0.8 * table["effect"], 1.25 * table["effect"]
    return table.assign(**FREQUENCY, status="tested", effect_low=low, effect_high=high)


@pytest.fixture
def events():
    return pd.DataFrame(
        {
            "source": ["gate", "gate", "gate", "cluster", "cluster"],
            "population": ["T_cells", "Th2", "ILC2", "T_cells", "Th2"],
            "f1": [0.99, 0.95, 0.98, 0.97, 0.0],
        }
    )


@pytest.fixture
def frequencies():
    rows = [
        *[("gate", name, "month_4", 8, bias) for name, bias in (("Th2", 0.02), ("ILC2", -0.01))],
        ("gate", "Th2", "baseline", np.nan, np.nan),
        ("gate", "eosinophils", "month_4", 8, 0.0),
        ("cluster", "Th2", "month_4", 2, 0.5),
        ("cluster", "T_cells", "month_4", 8, -0.03),
    ]
    columns = ["source", "population", "visit", "n_pairs", "change_bias"]
    return pd.DataFrame(rows, columns=columns).assign(modality="flow", change_bias_se=0.01)


def points(ax):
    """Return what is drawn, by label: the points' places."""
    return {
        container.get_label(): np.transpose(container.lines[0].get_data()).tolist()
        for container in ax.containers
    }


def test_every_verdict_of_gates_has_points_of_its_own(ax, findings):
    draw_effects(ax, findings)
    assert points(ax) == {
        "changed, and found (1)": [[0.15, 0.16]],
        "changed, not claimed (1)": [[1.5, 1.2]],
        "unchanged, not claimed (2)": [[1.0, 1.02], [1.0, 0.97]],
        "unchanged, but claimed (1)": [[1.0, 1.4]],
    }
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert "odds ratio" in ax.get_xlabel()
    assert "odds ratio" in ax.get_ylabel()


def test_intervals_are_those_of_the_table(ax, findings):
    draw_effects(ax, findings[findings["verdict"] == "found"])
    (container,) = ax.containers
    (bar,) = container.lines[2][0].get_segments()
    assert bar[:, 1].tolist() == pytest.approx([0.8 * 0.16, 1.25 * 0.16])


def test_populations_stand_in_order_of_the_table_from_above(ax, events):
    order = draw_agreement(ax, events)
    assert order == ["ILC2", "Th2", "T_cells"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["ILC2", "Th2", "T cells"]
    places = {line.get_label(): np.transpose(line.get_data()).tolist() for line in ax.lines}
    assert places == {
        "gates": [[0.99, 2], [0.95, 1], [0.98, 0]],
        "clusters": [[0.97, 2], [0.0, 1]],
    }


def test_bias_stands_beside_its_population(ax, frequencies):
    draw_bias(ax, frequencies, ["ILC2", "Th2", "T_cells"])
    gates, clusters = (np.transpose(c.lines[0].get_data()).tolist() for c in ax.containers)
    assert gates == [[0.02, 1], [-0.01, 0]]
    # Two pairs tell nothing of a bias.
    assert clusters == [[-0.03, 2]]
    (bar, _) = ax.containers[0].lines[2][0].get_segments()
    assert bar[:, 0].tolist() == pytest.approx([0.02 - 0.0196, 0.02 + 0.0196])


def test_the_figure_is_made_of_what_was_tested(tmp_path, findings, events, frequencies):
    more = [
        findings.head(2).assign(status="too_few_events"),
        findings.head(3).assign(readout="cells_per_ul"),
        findings.head(4).assign(kind="gene"),
        findings.head(5).assign(modality="rna"),
    ]
    tables = {
        "findings": pd.concat([findings, *more]),
        "events": events,
        "frequencies": frequencies,
    }
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.tsv", sep="\t", index=False)
    files = [tmp_path / f"truth.{kind}" for kind in ("svg", "png", "pdf")]
    plot_evaluation(tmp_path, files)
    assert all(file.stat().st_size > 1000 for file in files)
    text = files[0].read_text("utf-8")
    for words in ("unchanged, not claimed (2)", "changed, and found (1)", "T cells", "clusters"):
        assert words in text
