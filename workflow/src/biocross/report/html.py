"""The report: one self-contained HTML file that works offline."""

import io
import re
from collections.abc import Mapping
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import matplotlib.pyplot as plt
import pandas as pd
import yaml
from markupsafe import Markup

from biocross.cohort.vocabulary import load_vocabulary
from biocross.report.figures import PANEL_SIZE, Panel, change_panels, draw_panel, records
from biocross.report.flow_quality import (
    FLOW_SECTIONS,
    bare_svg,
    flow_warnings,
    inline_svg,
    ledger_rows,
    threshold_rows,
)
from biocross.report.methods import REFERENCES, contrasts_of, methods_paragraphs
from biocross.report.sections import READOUT_WORDS, table_section
from biocross.report.style import STYLE
from biocross.report.words import (
    finding,
    format_effect,
    format_number,
    no_finding,
    plain,
)
from biocross.statistics.families import CONFIRMATORY
from biocross.statistics.gate_sensitivity import gate_warnings
from biocross.statistics.paired_changes import load_changes
from biocross.statistics.pairs import read_long_table, read_pair_sheet, read_table
from biocross.tables import read_rows, written_whole

TEMPLATE = "report_template.html"


class Plot(NamedTuple):
    """A paired plot as the template needs it."""

    svg: Markup
    description: str
    search: str


def write_report(
    statistics: Mapping[str, Path | str],
    counts: Path | str,
    samples: Path | str,
    pairs: Path | str,
    flow: Mapping[str, Path | str],
    versions: Path | str,
    config: Path | str,
    populations: Path | str,
    report_out: Path | str,
) -> None:
    """Write the report of a run.

    Parameters
    ----------
    statistics
        The tables of ``results/statistics`` by name, ``paired_changes`` and ``marker_changes``
        among them.
    counts, samples, pairs
        ``counts.tsv``, and ``samples.tsv`` and ``pairs.tsv`` of ``results/cohort``.
    flow
        Tables of `FLOW_TABLES` and the figure ``quality_overview`` by name; empty without files.
    versions, config
        Of ``results/provenance``.
    populations
        ``populations.yaml``, for the notes on each population.
    report_out
        The HTML file.
    """
    settings = yaml.safe_load(Path(config).read_text(encoding="utf-8"))
    design, fdr = settings["design"], settings["statistics"]["fdr"]
    table = load_changes(statistics["paired_changes"])
    marker_table = read_table(statistics["marker_changes"])
    confirmatory = settings["statistics"]["confirmatory"]
    versions_by_name = dict(read_table(versions)[["name", "version"]].to_numpy().tolist())
    panels = change_panels(
        table, read_long_table(counts, samples), read_pair_sheet(pairs), design["levels"]
    )
    context = {
        "title": settings["report"]["title"],
        "design": design,
        "fdr": fdr,
        "contrasts": contrasts_of(design),
        "declared": ", ".join(
            plain(confirmatory[part]) for part in ("modality", "source", "readout")
        ),
        "answer": answer(table, fdr, design["contrast"]),
        "warnings": [
            *warnings_first(table, statistics.get("calibration")),
            *flow_warnings(flow, fdr),
            *_gate_threats(statistics.get("gate_sensitivity")),
        ],
        "marker_findings": marker_findings(marker_table, fdr, design["contrast"]),
        "cohort": cohort_rows(read_table(pairs)),
        "plots": [draw_plot(panel, fdr) for panel in panels],
        "sections": [table_section(name, path, fdr) for name, path in statistics.items()],
        "flow_sections": [
            table_section(name, flow[name], fdr) for name in FLOW_SECTIONS if name in flow
        ],
        "untested": untested(table),
        "ledger": ledger_rows(read_table(flow["ledger"])) if flow else [],
        "thresholds": threshold_rows(read_table(flow["thresholds"]))
        if "thresholds" in flow
        else [],
        "quality_overview": inline_svg(flow["quality_overview"]) if flow else "",
        "notes": _notes(Path(populations), table),
        "methods": methods_paragraphs(settings, versions_by_name),
        "references": REFERENCES,
        "versions": versions_by_name,
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True
    )
    html = environment.get_template(TEMPLATE).render(context)
    with written_whole(report_out) as temporary:
        temporary.write_text(html, encoding="utf-8")


def answer(table: pd.DataFrame, fdr: float, contrast_column: str) -> dict[str, Any]:
    """Sort the tested changes into what opens the report.

    Parameters
    ----------
    table
        Of `load_changes`.
    fdr
        False discovery rate of a claim.
    contrast_column
        ``visit`` or ``stimulation``.

    Returns
    -------
    dict
        Sentences: ``confirmed``; ``no_claim`` (the other primary populations);
        ``exploratory`` (in percent of parent, strongest first); and ``n_confirmatory``.
    """
    tested = table[table["status"] == "tested"]
    confirmatory = tested[tested["family"] == CONFIRMATORY].sort_values("p_value")
    claims = confirmatory[confirmatory["q_value"] < fdr]
    exploratory = tested[
        (tested["family"] != CONFIRMATORY)
        & (tested["readout"] == "percent_of_parent")
        & (tested["q_value"] < fdr)
    ].sort_values("p_value")
    rest = table[(table["family"] == CONFIRMATORY) & ~(table["q_value"] < fdr)]
    return {
        "confirmed": [finding(row, contrast_column) for row in records(claims)],
        "no_claim": [no_finding(row, contrast_column) for row in records(rest)],
        "exploratory": [finding(row, contrast_column) for row in records(exploratory)],
        "n_confirmatory": len(confirmatory),
    }


def warnings_first(table: pd.DataFrame, calibration: Path | str | None) -> list[str]:
    """Say what casts doubt on the whole run: batch that goes with the visit, inflated error rate.

    Parameters
    ----------
    table
        Of `load_changes`.
    calibration
        ``calibration.tsv``, or None.

    Returns
    -------
    list of str
        Sentences; empty where nothing is known against the run.
    """
    confounded = table[table["note"].fillna("").str.contains("confounded_with_batch")]
    warnings = [
        f"{treatment}, {plain(contrast)}: every pair changes batch with the visit, so a shift "
        "between batches would look like a change of the cells; no analysis can tell them apart"
        for treatment, contrast in confounded[["treatment", "contrast"]]
        .drop_duplicates()
        .itertuples(index=False)
    ]
    rates = read_table(calibration) if calibration else pd.DataFrame()
    for row in records(rates):
        if row["verdict"] == "inflated" and row["scope"] == "class":
            warnings.append(
                f"{row['treatment']}, {plain(row['contrast'])}, {plain(row['readout'])}: with "
                f"visits swapped at random {100 * row['rate']:.0f} % instead of 5 % of the "
                f"populations with {row['what']} fall below 0.05; trust their p values less"
            )
    return warnings


def _gate_threats(sensitivity: Path | str | None) -> list[str]:
    return gate_warnings(read_rows(sensitivity)) if sensitivity else []


def marker_findings(table: pd.DataFrame, fdr: float, contrast_column: str) -> list[str]:
    """Word the marker changes below the false discovery rate, strongest first."""
    claims = table[(table["status"] == "tested") & (table["q_value"] < fdr)]
    return [finding(row, contrast_column) for row in records(claims.sort_values("p_value"))]


def cohort_rows(pairs: pd.DataFrame) -> list[dict[str, Any]]:
    """Count complete pairs per treatment and contrast, naming who misses what."""
    rows = []
    for (treatment, contrast), part in pairs.groupby(["treatment", "contrast"], sort=True):
        missing = part[part["complete"] == "no"]
        rows.append(
            {
                "treatment": treatment,
                "contrast": contrast,
                "complete": int((part["complete"] == "yes").sum()),
                "incomplete": len(missing),
                "who": "; ".join(
                    f"{row['unit']} lacks {row['missing']}" for row in records(missing)
                ),
            }
        )
    return rows


def draw_plot(panel: Panel, fdr: float) -> Plot:
    """Draw a paired plot as inline SVG, each patient's line carrying its name and values."""
    with plt.rc_context({**STYLE, "svg.hashsalt": f"{panel.population}{panel.treatment}"}):
        figure, axis = plt.subplots(figsize=(PANEL_SIZE[0], PANEL_SIZE[1] + 0.4))
        figure.subplots_adjust(left=0.24, right=0.97, top=0.86, bottom=0.29)
        draw_panel(axis, panel, fdr)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
        plt.close(figure)
    svg = bare_svg(buffer.getvalue())
    notes = "; ".join(
        format_effect(row) if row["status"] == "tested" else str(row["note"])
        for row in records(panel.changes)
    )
    name = f"{panel.title}, {panel.treatment}"
    return Plot(
        Markup(_with_tooltips(svg, panel)),
        f"{name}: percent of {panel.parent}, one line per patient. {notes}",
        plain(name).casefold(),
    )


def _with_tooltips(svg: str, panel: Panel) -> str:
    def title(match: re.Match[str]) -> str:
        unit = unescape(match.group(2))
        values = panel.percent.loc[[unit]].to_numpy(dtype=float)[0]
        words = " → ".join(f"{format_number(float(value))} %" for value in values)
        return f'<g class="patient"><title>{Markup.escape(unit)}: {words}</title>'

    return re.sub(r"<g id=([\"'])patient:(.+?)\1>", title, svg)


def untested(table: pd.DataFrame) -> list[dict[str, Any]]:
    """List what could not be tested and why, equal reasons together."""
    rows = []
    open_questions = table[table["status"] != "tested"]
    keys = ["treatment", "contrast", "readout", "status", "note"]
    for (treatment, contrast, readout, _, note), part in open_questions.groupby(keys, sort=True):
        names = ", ".join(plain(name) for name in part["population"])
        rows.append(
            {
                "treatment": treatment,
                "contrast": contrast,
                "readout": READOUT_WORDS[str(readout)],
                "populations": names,
                "why": note,
            }
        )
    return rows


def _notes(populations: Path, table: pd.DataFrame) -> list[tuple[str, str]]:
    vocabulary = load_vocabulary(populations)
    shown = dict.fromkeys(table["population"])
    return [
        (plain(name), vocabulary[name].note)
        for name in shown
        if name in vocabulary and vocabulary[name].note
    ]
