"""Write the checked cohort as tables that every later step reads."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from biocross.cohort.cautions import (
    EXPLORATORY_BELOW,
    FEWEST_PAIRS,
    PairGroup,
    batch_words,
    pair_groups,
)
from biocross.cohort.checks import inspect_cohort, refuse_errors, split_by_severity
from biocross.cohort.config import complete_config
from biocross.cohort.design import Cohort, Sample
from biocross.cohort.drug_checks import write_drug_notes
from biocross.cohort.header_checks import header_problems
from biocross.cohort.sheets import Problem, counted, read_sheet
from biocross.tables import write_rows, written_whole

SAMPLE_COLUMNS = (
    *("sample_id", "patient_id", "visit", "modality", "batch", "tissue", "stimulation"),
    *("preparation", "hours_to_stain", "enrichment", "beads_added", "blood_volume_ul"),
    *("treatment", "unit", "level"),
)
PAIR_COLUMNS = (
    *("modality", "treatment", "contrast", "followup", "baseline", "unit", "patient_id"),
    *("complete", "missing"),
)
PROBLEM_COLUMNS = ("severity", "file", "row", "column", "message")


def check_cohort(
    config: Mapping[str, Any],
    samples_out: Path | str,
    pairs_out: Path | str,
    problems_out: Path | str | None = None,
    design_out: Path | str | None = None,
    patients_out: Path | str | None = None,
    drug_notes_out: Path | str | None = None,
    with_headers: bool = False,
) -> None:
    """Check all sheets and file headers, and write what they say about samples, pairs, design.

    Parameters
    ----------
    config
        The run's configuration.
    samples_out
        Every sample with its treatment, its unit of comparison, its level of the contrast, and
        the numeric columns of the clinical sheet. Unit, level and clinical columns are empty for
        the stimulated samples of a study of visits, which are not compared by themselves.
    pairs_out
        Every pair that the contrasts ask for, complete or not.
    problems_out
        Every error and warning with its place; written also where an error stops the run.
    design_out
        The design in words, as Markdown.
    patients_out
        The sheet of patients in one form, whatever it was exported as.
    drug_notes_out
        What the treatments do to the markers of the gates.
    with_headers
        Whether the headers of the FCS files are checked too.

    Raises
    ------
    ConfigError
        One line for every problem of every sheet and file.
    """
    cohort, problems = inspect_cohort(config)
    if with_headers:
        problems += header_problems(complete_config(config), cohort)
    if problems_out:
        write_rows(problems_out, PROBLEM_COLUMNS, problem_rows(problems))
    refuse_errors(problems)
    for problem in problems:
        print(f"warning: {problem}")
    clinical = sorted({key for row in cohort.clinical.values() for key in row})
    extra = [key for key in clinical if key not in (*SAMPLE_COLUMNS, "draw_time")]
    write_rows(
        samples_out,
        (*SAMPLE_COLUMNS, *extra),
        (_sample_row(cohort, sample, extra) for sample in (*cohort.samples, *cohort.table_samples)),
    )
    write_rows(pairs_out, PAIR_COLUMNS, _pair_rows(cohort))
    if design_out:
        with written_whole(design_out) as temporary:
            temporary.write_text(describe_design(cohort), encoding="utf-8")
    if drug_notes_out:
        write_drug_notes(complete_config(config), cohort, drug_notes_out)
    if patients_out:
        _write_patients(complete_config(config)["inputs"]["patients"], patients_out)


def problem_rows(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """Return problems as rows of a table, errors first.

    Parameters
    ----------
    problems
        What `inspect_cohort` found.

    Returns
    -------
    list of dict
        Rows with `PROBLEM_COLUMNS`.
    """
    errors, warnings = split_by_severity(problems)
    return [problem._asdict() for problem in (*errors, *warnings)]


def describe_design(cohort: Cohort) -> str:
    """Say in words who was measured when, and which pairs that makes.

    Parameters
    ----------
    cohort
        A checked study.

    Returns
    -------
    str
        Markdown that also reads well on a terminal.
    """
    samples = (*cohort.samples, *cohort.table_samples)
    patients = {sample.patient_id for sample in samples}
    modalities = Counter(sample.modality for sample in samples)
    given = ", ".join(f"{n} of {name}" for name, n in sorted(modalities.items()))
    column = cohort.contrast_column
    lines = [
        "# The design of this study",
        "",
        f"{counted(len(patients), 'patient')} and {counted(len(samples), 'sample')} ({given}); "
        f"{column}s in order: {', '.join(cohort.levels)}.",
        "",
        f"Compared within patients: {', '.join(map(str, cohort.contrasts))}.",
    ]
    groups = pair_groups(cohort)
    for heading, items in (
        ("Pairs", [_pairs_words(group, column) for group in groups]),
        ("Incomplete pairs", [_missing_words(group) for group in groups if group.missing]),
        ("Stimulated samples", _stimulation_lines(cohort)),
        ("Batches", _batch_lines(cohort, groups)),
    ):
        if items:
            lines += ["", f"## {heading}", "", *(f"- {item}" for item in items)]
    return "\n".join(lines) + "\n"


def _pairs_words(group: PairGroup, column: str) -> str:
    place = f"{group.treatment}, {group.modality}, {group.contrast}"
    n, everyone = len(group.pairs), len(group.pairs) + len(group.missing)
    whole = f"{n} of {counted(everyone, 'patient')} with both {column}s"
    if n < FEWEST_PAIRS:
        return f"{place}: {whole}; too few to be tested"
    return f"{place}: {whole}" + ("; exploratory only" if n < EXPLORATORY_BELOW else "")


def _missing_words(group: PairGroup) -> str:
    who = "; ".join(f"{unit} lacks {' and '.join(what)}" for unit, what in group.missing.items())
    return f"{group.treatment}, {group.modality}, {group.contrast}: {who}"


def _stimulation_lines(cohort: Cohort) -> list[str]:
    samples: Counter[tuple[str, str]] = Counter()
    visits: dict[tuple[str, str], dict[str, set[str]]] = {}
    for sample in cohort.stimulated:
        key = (sample.modality, sample.stimulus)
        samples[key] += 1
        known = visits.setdefault(key, {})
        if cohort.background(sample):
            known.setdefault(sample.patient_id, set()).add(sample.visit)
    lines = []
    for key, n in sorted(samples.items()):
        known = visits[key]
        beside = sum(map(len, known.values()))
        both = [
            f"{contrast} in {counted(sum(at >= set(contrast) for at in known.values()), 'patient')}"
            for contrast in cohort.contrasts
        ]
        lines.append(
            f"{', '.join(key)}: {counted(n, 'sample')}, {beside} beside an unstimulated one; "
            f"responses compared: {', '.join(both)}"
        )
    return lines


def _batch_lines(cohort: Cohort, groups: Sequence[PairGroup]) -> list[str]:
    batches: dict[str, Counter[str]] = {}
    for sample in cohort.samples:
        if sample.batch and not cohort.is_stimulated(sample):
            batches.setdefault(sample.batch, Counter())[cohort.level(sample)] += 1
    lines = [
        f"{batch}: {', '.join(f'{level} {count[level]}' for level in cohort.levels)}"
        for batch, count in sorted(batches.items())
    ]
    changing = [words for group in groups if (words := batch_words(group))]
    return lines + (changing or ["no pair changes batch"] if lines else [])


def _write_patients(sheet: str, patients_out: Path | str) -> None:
    rows, _ = read_sheet(Path(sheet), "patients")
    columns = tuple(dict.fromkeys(("patient_id", *(key for row in rows for key in row.cells))))
    write_rows(patients_out, columns, (row.cells for row in rows))


def _sample_row(cohort: Cohort, sample: Sample, extra: list[str]) -> dict[str, Any]:
    row = {
        **{key: value for key, value in sample._asdict().items() if key in SAMPLE_COLUMNS},
        "treatment": cohort.treatment_of(sample),
    }
    if cohort.is_stimulated(sample):
        return row  # no unit, no level, and no blood count: a culture has no cells per microlitre
    clinical = cohort.clinical.get((sample.patient_id, sample.visit), {})
    return {
        **row,
        "unit": cohort.unit(sample),
        "level": cohort.level(sample),
        **{key: clinical.get(key) for key in extra},
    }


def _pair_rows(cohort: Cohort) -> list[dict[str, Any]]:
    rows = []
    for modality in sorted({s.modality for s in (*cohort.samples, *cohort.table_samples)}):
        for contrast in cohort.contrasts:
            for unit, at_level in cohort.units(modality).items():
                missing = [level for level in contrast if level not in at_level]
                patient = next(iter(at_level.values())).patient_id
                rows.append(
                    {
                        "modality": modality,
                        "treatment": cohort.contrast_treatment(patient, contrast),
                        "contrast": str(contrast),
                        "followup": contrast.followup,
                        "baseline": contrast.baseline,
                        "unit": unit,
                        "patient_id": patient,
                        "complete": not missing,
                        "missing": ", ".join(reversed(missing)),
                    }
                )
    return rows
