"""Load a cohort, finding every problem of its sheets before anything is computed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from biocross.cohort.config import complete_config
from biocross.cohort.design import Cohort, Sample, parse_contrast
from biocross.cohort.frequency_table import Frequency, frequency_samples, read_frequencies
from biocross.cohort.panel import read_panel
from biocross.cohort.sheets import Problem, SheetRow, did_you_mean, read_sheet
from biocross.cohort.strategy import load_strategy
from biocross.cohort.vocabulary import load_vocabulary
from biocross.errors import ConfigError, GatingError


def load_cohort(config: Mapping[str, Any]) -> Cohort:
    """Read the sheets that a configuration names and check them against each other.

    Parameters
    ----------
    config
        A complete configuration (see `complete_config`).

    Returns
    -------
    Cohort
        The study.

    Raises
    ------
    ConfigError
        One line for every problem of every sheet, with file, row and remedy.
    """
    cohort, problems = inspect_cohort(config)
    if problems:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''} in the input"
        raise ConfigError("\n  ".join([f"{count}:", *(str(problem) for problem in problems)]))
    return cohort


def inspect_cohort(config: Mapping[str, Any]) -> tuple[Cohort, list[Problem]]:
    """Read the sheets that a configuration names, collecting all problems.

    Parameters
    ----------
    config
        A complete configuration (see `complete_config`).

    Returns
    -------
    cohort : Cohort
        The study as far as it could be read.
    problems : list of Problem
        What is wrong, in order of the sheets.
    """
    config = complete_config(config)
    inputs, design = config["inputs"], config["design"]
    samples, problems = _read_optional(inputs["samples"], "samples")
    patients, patient_problems = read_sheet(Path(inputs["patients"]), "patients")
    clinical, clinical_problems = _read_optional(inputs["clinical"], "clinical")
    frequencies, frequency_problems = _read_frequencies(inputs)
    problems += patient_problems + clinical_problems + frequency_problems
    if inputs["panel"]:
        problems += read_panel(Path(inputs["panel"]))[1]
    problems += _vocabulary_problems(Path(inputs["populations"]))
    problems += _input_problems(inputs)
    readable = not problems
    problems += _sample_problems(inputs["samples"], samples)
    problems += _level_problems(inputs, design, samples, patients, frequencies)
    problems += _duplicates(inputs["patients"], patients, ("patient_id", "visit"))
    problems += _duplicates(inputs["clinical"], clinical, ("patient_id", "visit"))
    problems += _link_problems(inputs, samples, patients, clinical, frequencies)
    problems += _contrast_problems(design)
    if "simulate" not in config:
        problems += _missing_files(inputs, samples)
    if not readable:
        return Cohort((), {}, {}, tuple(design["levels"])), problems
    cohort = _cohort(design, samples, patients, clinical, frequencies)
    problems += _comparison_problems(inputs["samples"] or inputs["counts"], cohort)
    problems += _covariate_problems(config, cohort)
    problems += _gating_problems(inputs)
    return cohort, problems


def _input_problems(inputs: Mapping[str, Any]) -> list[Problem]:
    if not inputs["samples"] and not inputs["counts"]:
        return [Problem("inputs", None, "names neither samples nor counts; give one")]
    return [
        Problem("inputs", None, f"names samples, but no {name}; files cannot be gated without it")
        for name in ("panel", "gating")
        if inputs["samples"] and not inputs[name]
    ]


def _comparison_problems(file: str, cohort: Cohort) -> list[Problem]:
    """Refuse samples that cannot be compared: one patient twice, or pairs of different tissue."""
    seen: dict[tuple[str, str, str], Sample] = {}
    firsts: dict[tuple[str, str], Sample] = {}
    problems = []
    for sample in (*cohort.samples, *cohort.table_samples):
        where = "table" if sample in cohort.table_samples else "file"
        unit = (f"{where} {sample.modality}", cohort.unit(sample))
        first = seen.setdefault((*unit, cohort.level(sample)), sample)
        # Rows that are alike in all keys are reported as duplicates already.
        if first.stimulation != sample.stimulation and cohort.contrast_column == "visit":
            message = (
                f'samples "{first.sample_id}" and "{sample.sample_id}" are of the same patient and '
                f"visit; design.contrast: visit compares one sample per visit (leave the "
                "stimulated ones out, or compare stimulations)"
            )
            problems.append(Problem(file, None, message))
        first = firsts.setdefault(unit, sample)
        if first.tissue != sample.tissue:
            message = (
                f'samples "{first.sample_id}" ({first.tissue}) and "{sample.sample_id}" '
                f"({sample.tissue}) are of one patient but of different tissue; pairs of different "
                "tissue cannot be compared"
            )
            problems.append(Problem(file, None, message))
    visits = {sample.visit for sample in (*cohort.samples, *cohort.table_samples)}
    if cohort.contrast_column == "stimulation" and len(visits) > 1:
        message = (
            f"design.contrast: stimulation compares within one visit, but there are {len(visits)} "
            f"({', '.join(sorted(visits))}); make one configuration per visit"
        )
        problems.append(Problem(file, None, message))
    return problems


def _gating_problems(inputs: Mapping[str, Any]) -> list[Problem]:
    if not inputs["gating"] or not inputs["panel"]:
        return []
    channels, panel_problems = read_panel(Path(inputs["panel"]))
    try:
        vocabulary = load_vocabulary(Path(inputs["populations"]))
        if not panel_problems:
            markers = {channel.marker for channel in channels}
            load_strategy(Path(inputs["gating"]), vocabulary, markers)
    except (ConfigError, GatingError) as error:
        return _problems_of(inputs["gating"], error)
    return []


def _covariate_problems(config: Mapping[str, Any], cohort: Cohort) -> list[Problem]:
    columns = {name for cells in cohort.clinical.values() for name in cells}
    return [
        Problem(
            "statistics.covariates",
            None,
            f'"{name}" is no numeric column of {config["inputs"]["clinical"] or "a clinical sheet"}'
            f"{did_you_mean(name, columns)}",
        )
        for name in config["statistics"]["covariates"]
        if name not in columns
    ]


def _cohort(
    design: Mapping[str, Any],
    samples: Sequence[SheetRow],
    patients: Sequence[SheetRow],
    clinical: Sequence[SheetRow],
    frequencies: Sequence[Frequency],
) -> Cohort:
    per_visit = [row.cells for row in patients if "visit" in row.cells]
    always = {row.cells["patient_id"]: row.cells for row in patients if "visit" not in row.cells}
    return Cohort(
        samples=tuple(Sample(**row.cells) for row in samples),
        patients={**{cells["patient_id"]: cells for cells in per_visit}, **always},
        clinical={(row.cells["patient_id"], row.cells["visit"]): row.cells for row in clinical},
        levels=tuple(design["levels"]),
        contrast_column=design["contrast"],
        declared_contrasts=tuple(
            parse_contrast(text) for text in design["contrasts"] if " - " in text
        ),
        treatments_at={(c["patient_id"], c["visit"]): c["treatment"] for c in per_visit},
        table_samples=frequency_samples(frequencies),
    )


def _read_frequencies(inputs: Mapping[str, Any]) -> tuple[list[Frequency], list[Problem]]:
    if not inputs["counts"]:
        return [], []
    try:
        vocabulary = load_vocabulary(Path(inputs["populations"]))
    except ConfigError:
        return [], []  # reported with the vocabulary itself
    return read_frequencies(Path(inputs["counts"]), vocabulary)


def _contrast_problems(design: Mapping[str, Any]) -> list[Problem]:
    problems = []
    for text in design["contrasts"]:
        try:
            contrast = parse_contrast(text)
        except ConfigError as error:
            problems.append(Problem("design.contrasts", None, str(error)))
            continue
        if contrast.followup == contrast.baseline:
            message = f'the contrast "{text}" compares a level with itself'
            problems.append(Problem("design.contrasts", None, message))
        for level in contrast:
            if level not in design["levels"]:
                hint = did_you_mean(level, design["levels"])
                message = f'"{level}" of the contrast "{text}" is not in design.levels{hint}'
                problems.append(Problem("design.contrasts", None, message))
    return problems


def _read_optional(path: str | None, schema: str) -> tuple[list[SheetRow], list[Problem]]:
    return read_sheet(Path(path), schema) if path else ([], [])


def _vocabulary_problems(path: Path) -> list[Problem]:
    try:
        load_vocabulary(path)
    except ConfigError as error:
        return _problems_of(str(path), error)
    return []


def _problems_of(file: str, error: Exception) -> list[Problem]:
    """Turn the lines of an error into one problem each."""
    return [Problem(file, None, line.removeprefix(f"{file}: ")) for line in str(error).splitlines()]


def _duplicates(file: str, rows: Sequence[SheetRow], keys: tuple[str, ...]) -> list[Problem]:
    problems = []
    first: dict[tuple[Any, ...], int] = {}
    for row in rows:
        key = tuple(row.cells.get(name, "") for name in keys)
        if not key[0]:
            continue
        if key in first:
            named = zip(keys, key, strict=True)
            what = ", ".join(f'{name} "{value}"' for name, value in named if value)
            message = f"{what} is already in row {first[key]}; keep one of them"
            problems.append(Problem(file, row.number, message))
        first.setdefault(key, row.number)
    return problems


def _sample_problems(file: str, rows: Sequence[SheetRow]) -> list[Problem]:
    problems = _duplicates(file, rows, ("sample_id",))
    # A library of single-cell RNA may carry several samples, an FCS file may not.
    flow = [row for row in rows if row.cells.get("modality") == "flow"]
    problems += _duplicates(file, flow, ("path",))
    return problems + _duplicates(file, rows, ("patient_id", "visit", "stimulation", "modality"))


def _level_problems(
    inputs: Mapping[str, Any],
    design: Mapping[str, Any],
    samples: Sequence[SheetRow],
    patients: Sequence[SheetRow],
    frequencies: Sequence[Frequency],
) -> list[Problem]:
    column, levels = design["contrast"], design["levels"]
    problems = []
    for sheet, rows in (("samples", samples), ("patients", patients if column == "visit" else ())):
        for row in rows:
            level = row.cells.get(column)
            if level is not None and level not in levels:
                message = f'{column} "{level}" is not in design.levels{did_you_mean(level, levels)}'
                problems.append(Problem(inputs[sheet], row.number, message))
            if level is None and column == "stimulation":
                message = f'"{column}" is empty, but the design compares its values'
                problems.append(Problem(inputs[sheet], row.number, message))
    in_table = {getattr(frequency.sample, column) for frequency in frequencies}
    for level in sorted(in_table - set(levels)):
        message = f'{column} "{level}" is not in design.levels{did_you_mean(level, levels)}'
        problems.append(Problem(inputs["counts"], None, message))
    present = in_table | {row.cells[column] for row in samples if column in row.cells}
    file = inputs["samples"] or inputs["counts"]
    for level in levels if present else ():
        if level not in present:
            message = f'no sample has the {column} "{level}" that design.levels names'
            problems.append(Problem(file, None, message))
    return problems


def _link_problems(
    inputs: Mapping[str, Any],
    samples: Sequence[SheetRow],
    patients: Sequence[SheetRow],
    clinical: Sequence[SheetRow],
    frequencies: Sequence[Frequency],
) -> list[Problem]:
    known = {row.cells["patient_id"] for row in patients if "patient_id" in row.cells}
    in_table = dict.fromkeys(frequency.sample.patient_id for frequency in frequencies)
    measured = {row.cells.get("patient_id") for row in samples} | set(in_table)
    if not known or not measured - {None}:
        return []  # a sheet could not be read, which is reported already
    named: list[tuple[str, int | None, str]] = [
        (inputs[sheet], row.number, row.cells["patient_id"])
        for sheet, rows in (("samples", samples), ("clinical", clinical))
        for row in rows
        if "patient_id" in row.cells
    ]
    named += [(inputs["counts"], None, patient) for patient in in_table]
    problems = [
        Problem(
            file,
            number,
            f'patient "{patient}" is not in {inputs["patients"]}{did_you_mean(patient, known)}',
        )
        for file, number, patient in named
        if patient not in known
    ]
    where = " or ".join(inputs[name] for name in ("samples", "counts") if inputs[name])
    for row in patients:
        if (patient := row.cells.get("patient_id")) not in measured:
            message = (
                f'patient "{patient}" has no sample in {where}; '
                "add the samples or remove the patient"
            )
            problems.append(Problem(inputs["patients"], row.number, message))
    return problems


def _missing_files(inputs: Mapping[str, Any], samples: Sequence[SheetRow]) -> list[Problem]:
    problems = []
    folder = Path(inputs["folder"])
    for row in samples:
        path = folder / row.cells.get("path", "")
        if "path" in row.cells and not path.is_file():
            message = f'there is no file "{path}"'
            if path.parent.is_dir():
                message += did_you_mean(path.name, [entry.name for entry in path.parent.iterdir()])
            else:
                message += f'; the folder "{path.parent}" does not exist (see inputs.folder)'
            problems.append(Problem(inputs["samples"], row.number, message))
    return problems
