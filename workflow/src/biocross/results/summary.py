"""What a run says about itself in Jupyter: its study, its findings, and what to call next."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from biocross.report.sources import is_below, records
from biocross.report.words import finding
from biocross.statistics.families import CONFIRMATORY

if TYPE_CHECKING:
    from biocross.results.study import Results

MOST_FINDINGS = 8
NEXT = (
    ("results.tables", "every table, what it is about, and which this study lacks"),
    ("results.plot_forest()", "all changes with their intervals"),
    ('results["{population}"]', "one population: its numbers and plots"),
    ("results.compare(...)", "another test, another contrast, without a patient"),
)


def study_lines(results: Results) -> list[str]:
    """Say who was measured, and how many pairs that makes.

    Parameters
    ----------
    results
        The run.

    Returns
    -------
    list of str
        The cohort, then one line per treatment and contrast.
    """
    samples, pairs = results.samples, results.pairs
    levels = ", ".join(results.levels)
    lines = [
        f"{samples['patient_id'].nunique()} patients, {len(samples)} samples "
        f"({', '.join(sorted(set(samples['modality'])))}); "
        f"{results.config['design']['contrast']}s: {levels}"
    ]
    complete = pairs[pairs["complete"].astype(bool)]
    for treatment, contrast in pairs[["treatment", "contrast"]].drop_duplicates().to_numpy():
        own = complete[(complete["treatment"] == treatment) & (complete["contrast"] == contrast)]
        counted = own["modality"].value_counts().sort_index().to_dict()
        said = ", ".join(f"{n} pairs of {modality}" for modality, n in counted.items())
        lines.append(f"{treatment}, {contrast}: {said or 'no pairs'}")
    return lines


def headline(results: Results) -> list[str]:
    """Write the confirmed findings as sentences.

    Parameters
    ----------
    results
        The run.

    Returns
    -------
    list of str
        The surest first; a sentence says so where there is none.
    """
    changes = results.changes
    asked = changes[changes["family"] == CONFIRMATORY].sort_values("q_value", kind="stable")
    claimed = [row for row in records(asked) if is_below(row, results.fdr)]
    if not len(asked):
        return ["No confirmatory question could be asked: see results.changes, column note."]
    if not claimed:
        return [
            f"None of {len(asked)} confirmatory questions shows a change (q < {results.fdr:g})."
        ]
    column = results.config["design"]["contrast"]
    lines = [finding({**row, "note": ""}, column) for row in claimed[:MOST_FINDINGS]]
    if more := len(claimed) - len(lines):
        lines.append(f"and {more} more: results.changes")
    return lines


def as_text(results: Results) -> str:
    """Describe a run in plain text.

    Parameters
    ----------
    results
        The run.

    Returns
    -------
    str
        Several lines.
    """
    return "\n".join(
        [
            f"Results of {results.folder}: {results.config['report']['title']}",
            *study_lines(results),
            "",
            f"Confirmed changes (q < {results.fdr:g}):",
            *(f"- {line}" for line in headline(results)),
            "",
            "Next:",
            *(f"  {call:<25} {what}" for call, what in _calls(results)),
        ]
    )


def as_html(results: Results) -> str:
    """Describe a run for Jupyter.

    Parameters
    ----------
    results
        The run.

    Returns
    -------
    str
        An HTML fragment without styles of its own.
    """
    cohort, *groups = (escape(line) for line in study_lines(results))
    calls = "".join(
        f"<tr><td style='text-align:left'><code>{escape(call)}</code></td>"
        f"<td style='text-align:left'>{escape(what)}</td></tr>"
        for call, what in _calls(results)
    )
    return (
        f"<h4>{escape(str(results.config['report']['title']))}</h4>"
        f"<p><code>{escape(str(results.folder))}</code>: {cohort}</p>"
        f"{_list(groups)}"
        f"<p><b>Confirmed changes</b> (q &lt; {results.fdr:g})</p>"
        f"{_list(escape(line) for line in headline(results))}"
        f"<p><b>Next</b></p><table>{calls}</table>"
    )


def _calls(results: Results) -> list[tuple[str, str]]:
    primary = results.primary or results.populations or ["ILC2"]
    return [(call.format(population=primary[-1]), what) for call, what in NEXT]


def _list(items: Any) -> str:
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"
