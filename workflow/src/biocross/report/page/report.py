"""The report: one self-contained HTML file that works offline."""

import io
import re
from collections.abc import Mapping, Sequence
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import matplotlib.pyplot as plt
import pandas as pd
import yaml
from markupsafe import Markup

from biocross.cohort.vocabulary import Vocabulary, load_vocabulary
from biocross.report.figures.paired_changes import PANEL_SIZE, Panel, change_panels, draw_panel
from biocross.report.figures.style import STYLE
from biocross.report.page.cluster_sections import cluster_chapter, disagreements
from biocross.report.page.concordance_sections import concordance_chapter
from biocross.report.page.first_screen import answer, marker_findings, other_ways, warnings_first
from biocross.report.page.flow_quality import (
    bare_svg,
    border_warnings,
    flow_warnings,
    inline_svg,
    ledger_rows,
    threshold_rows,
)
from biocross.report.page.flow_sections import FLOW_SECTIONS
from biocross.report.page.methods import contrasts_of, methods_paragraphs, references_of
from biocross.report.page.rna_sections import rna_chapter, rna_warnings
from biocross.report.page.sections import READOUT_WORDS, table_section
from biocross.report.page.statistics_sections import STATISTICS_SECTIONS
from biocross.report.page.steroid_words import steroid_warnings
from biocross.report.sources import is_shown, leading_rows, records
from biocross.report.words import format_effect, format_number, found_by, plain
from biocross.statistics.gate_sensitivity import gate_warnings
from biocross.statistics.paired_changes import load_changes
from biocross.statistics.pairs import read_long_table, read_pair_sheet, read_table
from biocross.tables import read_rows, written_whole

TEMPLATE = "page.html"


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
    clusters: Mapping[str, Path | str] | None = None,
    rna: Mapping[str, Path | str] | None = None,
    figures: Mapping[str, Sequence[Path | str]] | None = None,
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
    clusters
        As `cluster_chapter` takes them; None where no clusters were sought.
    rna
        As `rna_chapter` and `concordance_chapter` take them; None for a study without RNA.
    figures
        Files of the figures of the chapters ``cluster``, ``rna`` and ``concordance``.
    """
    clusters, rna, figures = clusters or {}, rna or {}, figures or {}
    settings = yaml.safe_load(Path(config).read_text(encoding="utf-8"))
    fdr = settings["statistics"]["fdr"]
    table = load_changes(statistics["paired_changes"])
    long_table, vocabulary = read_long_table(counts, samples), load_vocabulary(Path(populations))
    chapters = (
        cluster_chapter(clusters, figures.get("cluster", ()), settings, report_out),
        rna_chapter(rna, figures.get("rna", ()), fdr, report_out),
        concordance_chapter(rna, figures.get("concordance", ()), fdr),
    )
    context = {
        **_settings_part(
            settings, versions, sorted(set(long_table["modality"])), _with_beads(samples)
        ),
        **_first_screen_part(settings, statistics, table, rna),
        **_plots_part(settings, table, long_table, pairs),
        **_flow_part(flow, fdr),
        "warnings": [
            *_all_warnings(statistics, table, flow, clusters, rna, vocabulary, fdr),
            *steroid_warnings(
                samples, pairs, statistics.get("drug_notes"), statistics.get("specifications")
            ),
            *_selection_warnings(settings["design"]),
        ],
        "cohort": cohort_rows(read_table(pairs)),
        "sections": [
            table_section(name, path, fdr, STATISTICS_SECTIONS)
            for name, path in statistics.items()
            if name in STATISTICS_SECTIONS
        ],
        "chapters": [chapter for chapter in chapters if chapter],
        "untested": untested(table, fdr),
        "notes": _notes(vocabulary, table),
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True
    )
    html = environment.get_template(TEMPLATE).render(context)
    with written_whole(report_out) as temporary:
        temporary.write_text(html, encoding="utf-8")


def _settings_part(
    settings: Mapping[str, Any],
    versions: Path | str,
    modalities: Sequence[str],
    with_beads: bool,
) -> dict[str, Any]:
    """Return what follows from the configuration: the question, methods, references, versions."""
    confirmatory = settings["statistics"]["confirmatory"]
    by_name = dict(read_table(versions)[["name", "version"]].to_numpy().tolist())
    return {
        "title": settings["report"]["title"],
        "design": settings["design"],
        "fdr": settings["statistics"]["fdr"],
        "contrasts": contrasts_of(settings["design"]),
        "declared": ", ".join(
            plain(confirmatory[part]) for part in ("modality", "source", "readout")
        ),
        "methods": methods_paragraphs(settings, by_name, modalities, with_beads),
        "references": references_of(settings, modalities),
        "versions": by_name,
    }


def _selection_warnings(design: Mapping[str, Any]) -> list[str]:
    """Return the reminder that what patients were selected on drifts back."""
    if not design["selected_on"]:
        return []
    selected = " and ".join(plain(name) for name in design["selected_on"])
    return [
        f"patients were selected on {selected}: extreme values drift back without any treatment "
        "(regression to the mean), and only a control arm tells how much of a change that is"
    ]


def _with_beads(samples: Path | str) -> bool:
    """Return whether counting beads were added to any sample."""
    sheet = read_table(samples)
    return "beads_added" in sheet and bool(sheet["beads_added"].notna().any())


def _first_screen_part(
    settings: Mapping[str, Any],
    statistics: Mapping[str, Path | str],
    table: pd.DataFrame,
    rna: Mapping[str, Path | str],
) -> dict[str, Any]:
    """Return the answer in words, on populations and on markers."""
    fdr, contrast = settings["statistics"]["fdr"], settings["design"]["contrast"]
    confirmatory = settings["statistics"]["confirmatory"]
    source, combined = confirmatory["source"], rna.get("combined_findings")
    beside = other_ways(statistics.get("specifications"), combined, confirmatory["modality"])
    markers = read_table(statistics["marker_changes"])
    return {
        "answer": answer(table, fdr, contrast, source, beside),
        "marker_findings": marker_findings(markers, fdr, contrast, source),
    }


def _all_warnings(
    statistics: Mapping[str, Path | str],
    table: pd.DataFrame,
    flow: Mapping[str, Path | str],
    clusters: Mapping[str, Path | str],
    rna: Mapping[str, Path | str],
    vocabulary: Vocabulary,
    fdr: float,
) -> list[str]:
    """Return what casts doubt on the findings."""
    path = statistics.get("gate_sensitivity")
    sensitivity = read_rows(path) if path else []
    return [
        *warnings_first(table, statistics.get("calibration")),
        *flow_warnings(flow, fdr),
        *gate_warnings(sensitivity),
        *border_warnings(flow, sensitivity),
        *rna_warnings(rna.get("loss_changes"), fdr),
        *disagreements(clusters.get("agreement_summary"), vocabulary),
    ]


def _plots_part(
    settings: Mapping[str, Any],
    table: pd.DataFrame,
    long_table: pd.DataFrame,
    pairs: Path | str,
) -> dict[str, Any]:
    """Return the paired plots, and a sentence on whose populations have one."""
    confirmatory = settings["statistics"]["confirmatory"]
    drawn = leading_rows(table, (confirmatory["modality"], confirmatory["source"]))
    panels = change_panels(drawn, long_table, read_pair_sheet(pairs), settings["design"]["levels"])
    fdr = settings["statistics"]["fdr"]
    return {
        "drawn": _what_is_drawn(drawn, table),
        "plots": [draw_plot(panel, fdr) for panel in panels],
    }


def _flow_part(flow: Mapping[str, Path | str], fdr: float) -> dict[str, Any]:
    """Return the chapter on quality and gates; nothing in it without files."""
    return {
        "flow_sections": [
            table_section(name, flow[name], fdr, FLOW_SECTIONS)
            for name in FLOW_SECTIONS
            if name in flow
        ],
        "ledger": ledger_rows(read_table(flow["ledger"])) if flow else [],
        "thresholds": threshold_rows(read_table(flow["thresholds"]))
        if "thresholds" in flow
        else [],
        "quality_overview": inline_svg(flow["quality_overview"]) if flow else "",
    }


def cohort_rows(pairs: pd.DataFrame) -> list[dict[str, Any]]:
    """Count complete pairs per modality, treatment and contrast, naming who misses what."""
    rows = []
    keys = ["modality", "treatment", "contrast"]
    for (modality, treatment, contrast), part in pairs.groupby(keys, sort=True):
        missing = part[part["complete"] == "no"]
        rows.append(
            {
                "modality": "RNA" if modality == "rna" else "flow cytometry",
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


def _what_is_drawn(drawn: pd.DataFrame, table: pd.DataFrame) -> str:
    """Say whose populations have a plot where some have none."""
    keys = ["modality", "source"]
    shown, known = (part[keys].drop_duplicates() for part in (drawn, table))
    if len(shown) == len(known):
        return ""
    return f"As found by: {', '.join(dict.fromkeys(found_by(row) for row in records(shown)))}."


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


def untested(table: pd.DataFrame, fdr: float = 0.05) -> list[dict[str, Any]]:
    """List what could not be tested and why, equal reasons together.

    Parameters
    ----------
    table
        Of `load_changes`.
    fdr
        False discovery rate of a claim, by which rows are shown or not.

    Returns
    -------
    list of dict
        ``treatment, contrast, found_by, readout, populations, why``.
    """
    rows = []
    open_questions = table[table["status"] != "tested"]
    shown = [is_shown(row, fdr) for row in records(open_questions)]
    keys = ["treatment", "contrast", "modality", "source", "readout", "status", "note"]
    for key, part in open_questions[shown].groupby(keys, sort=True, dropna=False):
        treatment, contrast, modality, source, readout, _, note = key
        rows.append(
            {
                "treatment": treatment,
                "contrast": contrast,
                "found_by": found_by({"modality": modality, "source": source}),
                "readout": READOUT_WORDS[str(readout)],
                "populations": ", ".join(plain(name) for name in part["population"]),
                "why": note,
            }
        )
    return rows


def _notes(vocabulary: Vocabulary, table: pd.DataFrame) -> list[tuple[str, str]]:
    shown = dict.fromkeys(table["population"])
    return [
        (plain(name), vocabulary[name].note)
        for name in shown
        if name in vocabulary and vocabulary[name].note
    ]
