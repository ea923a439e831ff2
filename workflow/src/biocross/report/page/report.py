"""The report: one self-contained HTML file that works offline."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import yaml
from markupsafe import Markup

from biocross.cohort.sheets import counted
from biocross.cohort.vocabulary import Vocabulary, load_vocabulary
from biocross.report.page.change_chapters import (
    changes_chapter,
    clinic_chapter,
    sensitivity_chapter,
)
from biocross.report.page.chapters import Chapter
from biocross.report.page.cluster_sections import cluster_chapter, disagreements
from biocross.report.page.concordance_sections import concordance_chapter
from biocross.report.page.explorer import explorer_data
from biocross.report.page.first_screen import (
    answer,
    calibration_cautions,
    confounded_cautions,
    marker_findings,
    other_ways,
    varied_ways,
)
from biocross.report.page.flow_chapters import gates_chapter, quality_chapter
from biocross.report.page.flow_quality import border_warnings, flow_warnings
from biocross.report.page.methods import contrasts_of, methods_paragraphs, references_of
from biocross.report.page.patients import patients_data
from biocross.report.page.primary import headlines, primary_rows
from biocross.report.page.rna_sections import rna_chapter, rna_warnings
from biocross.report.page.sections import READOUT_WORDS, Section
from biocross.report.page.steroid_words import steroid_warnings
from biocross.report.page.study_chapters import (
    cautions_of_design,
    cohort_chapter,
    truth_chapter,
    untested_chapter,
)
from biocross.report.words import listed, plain
from biocross.statistics.gate_sensitivity import gate_warnings
from biocross.statistics.paired_changes import load_changes
from biocross.statistics.pairs import read_long_table, read_pair_sheet, read_table
from biocross.tables import read_rows, written_whole

PARTS = Path(__file__).parent
SCRIPTS = ("shared.js", "tables.js", "explorer.js", "patients.js")
CHAPTERS_WITH_FIGURES = (
    *("cohort", "quality", "gates", "clusters", "changes"),
    *("rna", "concordance", "clinic", "truth"),
)
NO_CAUSE = (
    "Changes were seen during treatment; without a control arm they cannot be ascribed to it."
)
Files = Mapping[str, Path | str]


def write_report(
    statistics: Files,
    counts: Path | str,
    cohort: Files,
    flow: Files,
    versions: Path | str,
    config: Path | str,
    populations: Path | str,
    report_out: Path | str,
    clusters: Files | None = None,
    rna: Files | None = None,
    figures: Mapping[str, Sequence[Path | str]] | None = None,
) -> None:
    """Write the report of a run.

    Parameters
    ----------
    statistics
        The tables of ``results/statistics`` by name, ``paired_changes`` and ``marker_changes``
        among them; and ``drug_notes``.
    counts
        ``counts.tsv``.
    cohort
        ``samples`` and ``pairs`` of ``results/cohort``; ``patients`` and ``problems``, if any.
    flow
        Tables of `FLOW_TABLES` by name; empty without files.
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
        Files of the figures by chapter, `CHAPTERS_WITH_FIGURES`, as far as there are any.
    """
    clusters, rna, figures = clusters or {}, rna or {}, figures or {}
    settings = yaml.safe_load(Path(config).read_text(encoding="utf-8"))
    fdr, drawn = settings["statistics"]["fdr"], figures.get
    table, vocabulary = (
        load_changes(statistics["paired_changes"]),
        load_vocabulary(Path(populations)),
    )
    long_table = read_long_table(counts, cohort["samples"])
    confirmatory = settings["statistics"]["confirmatory"]
    declared = confirmatory["modality"], confirmatory["source"]
    chapters = (
        cohort_chapter(cohort["pairs"], cohort.get("problems"), drawn("cohort", ())),
        quality_chapter(flow, drawn("quality", ()), fdr),
        gates_chapter(flow, drawn("gates", ()), fdr),
        cluster_chapter(clusters, drawn("clusters", ()), settings, report_out),
        changes_chapter(statistics, table, drawn("changes", ()), fdr, declared),
        rna_chapter(rna, drawn("rna", ()), fdr, report_out),
        concordance_chapter(rna, drawn("concordance", ()), fdr),
        clinic_chapter(statistics, drawn("clinic", ()), fdr),
        sensitivity_chapter(statistics, drawn("changes", ()), fdr),
        untested_chapter(table, fdr),
        truth_chapter(drawn("truth", ())),
        Chapter("patients", "A page per patient", [], [], [], tool="patients"),
    )
    context = {
        **_study_part(settings, versions, long_table, cohort),
        **_answer_part(settings, statistics, table, rna),
        **_cautions_part(settings, statistics, table, flow, clusters, rna, vocabulary, cohort),
        "chapters": [chapter for chapter in chapters if chapter],
        "notes": _notes(vocabulary, table),
        "explorer": explorer_data(
            *(table, long_table, read_pair_sheet(cohort["pairs"]), settings["design"], fdr),
            primary=[name for name, population in vocabulary.items() if population.primary],
            declared=declared,
        ),
        "patients": patients_data(
            cohort["samples"],
            cohort.get("patients"),
            flow.get("sample_losses"),
            clusters.get("outliers"),
            "thresholds" in flow and settings["report"]["sample_figures"],
        ),
    }
    with written_whole(report_out) as temporary:
        temporary.write_text(render(context), encoding="utf-8")


def render(context: Mapping[str, Any]) -> str:
    """Fill the template: markup, style, scripts and data in one text."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PARTS), autoescape=True, trim_blocks=True
    )
    environment.filters |= {
        "json": page_json,
        "rows_json": _rows_json,
        "plain": plain,
        "sentence": lambda text: f"{text[:1].upper()}{text[1:]}.",
    }
    return environment.get_template("page.html").render(
        style=Markup((PARTS / "style.css").read_text(encoding="utf-8")),
        script=Markup("\n".join((PARTS / name).read_text(encoding="utf-8") for name in SCRIPTS)),
        **context,
    )


def page_json(data: Any) -> Markup:
    """Write data so that no text in it can end the element that holds it."""
    return _inert(json.dumps(data, ensure_ascii=False, separators=(",", ":")))


def _rows_json(section: Section) -> Markup:
    rows = [[cells, int(called)] for cells, called in section.rows]
    return page_json({"columns": section.columns, "rows": rows})


def _inert(text: str) -> Markup:
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _study_part(
    settings: Mapping[str, Any],
    versions: Path | str,
    long_table: pd.DataFrame,
    cohort: Files,
) -> dict[str, Any]:
    """Return what follows from the configuration: the question, methods, references, versions."""
    confirmatory, design = settings["statistics"]["confirmatory"], settings["design"]
    by_name = dict(read_table(versions)[["name", "version"]].to_numpy().tolist())
    modalities = sorted(set(long_table["modality"]))
    samples = read_table(cohort["samples"])
    with_beads = "beads_added" in samples and bool(samples["beads_added"].notna().any())
    by_visit = design["contrast"] == "visit"
    within = "patients" if by_visit else "patients, by stimulation"
    compared = listed(f"{after} with {before}" for after, before in contrasts_of(design))
    who = counted(samples["patient_id"].nunique(), "patient")
    return {
        "title": settings["report"]["title"],
        "study": f"{who}, {counted(len(samples), 'sample')}. Compared within {within}: "
        f"{compared}. False discovery rate {settings['statistics']['fdr']}.",
        "fdr": settings["statistics"]["fdr"],
        "cause": "treatment" if by_visit else "stimulation",
        "no_cause": NO_CAUSE if by_visit else "",
        "declared": ", ".join(
            plain(confirmatory[part]) for part in ("modality", "source", "readout")
        ),
        "declared_words": READOUT_WORDS[confirmatory["readout"]],
        "effect_words": "Odds ratio"
        if confirmatory["readout"] == "percent_of_parent"
        else "Fold change",
        "methods": methods_paragraphs(settings, by_name, modalities, with_beads),
        "references": references_of(settings, modalities),
        "versions": by_name,
    }


def _answer_part(
    settings: Mapping[str, Any], statistics: Files, table: pd.DataFrame, rna: Files
) -> dict[str, Any]:
    """Return the answer in words, on populations and on markers."""
    fdr, contrast = settings["statistics"]["fdr"], settings["design"]["contrast"]
    confirmatory = settings["statistics"]["confirmatory"]
    source, combined = confirmatory["source"], rna.get("combined_findings")
    beside = other_ways(statistics.get("specifications"), combined, confirmatory["modality"])
    varied = varied_ways(statistics.get("specifications"))
    seen = {key: [*beside.get(key, ()), *varied.get(key, ())] for key in {*beside, *varied}}
    primary = primary_rows(table, fdr, seen)
    return {
        "answer": answer(table, fdr, contrast, source, beside),
        "primary": primary,
        "headlines": headlines(primary),
        "marker_findings": marker_findings(
            read_table(statistics["marker_changes"]), fdr, contrast, source
        ),
    }


def _cautions_part(
    settings: Mapping[str, Any],
    statistics: Files,
    table: pd.DataFrame,
    flow: Files,
    clusters: Files,
    rna: Files,
    vocabulary: Vocabulary,
    cohort: Files,
) -> dict[str, Any]:
    """Return what casts doubt on the findings: before the answer, and after it."""
    fdr, path = settings["statistics"]["fdr"], statistics.get("gate_sensitivity")
    sensitivity = read_rows(path) if path else []
    return {
        "first_cautions": confounded_cautions(table),
        "cautions": [
            *flow_warnings(flow, fdr),
            *gate_warnings(sensitivity),
            *border_warnings(flow, sensitivity),
            *rna_warnings(rna.get("loss_changes"), fdr),
            *disagreements(clusters.get("agreement_summary"), vocabulary),
            *steroid_warnings(
                *(cohort["samples"], cohort["pairs"]),
                *(statistics.get("drug_notes"), statistics.get("specifications")),
            ),
            *calibration_cautions(statistics.get("calibration")),
            *cautions_of_design(settings["design"]),
        ],
    }


def _notes(vocabulary: Vocabulary, table: pd.DataFrame) -> list[tuple[str, str]]:
    shown = dict.fromkeys(table["population"])
    return [
        (plain(name), vocabulary[name].note)
        for name in shown
        if name in vocabulary and vocabulary[name].note
    ]
