"""Load a cohort, finding every problem of its sheets before anything is computed."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from biocross.cohort.cautions import design_cautions, ungated_caution
from biocross.cohort.cluster_checks import cluster_problems
from biocross.cohort.config import complete_config
from biocross.cohort.cross_checks import (
    comparison_problems,
    compensation_file_problems,
    contrast_problems,
    control_problems,
    duplicates,
    fmo_cautions,
    is_file,
    level_problems,
    link_problems,
    missing_files,
    sample_problems,
    split_controls,
)
from biocross.cohort.design import Cohort, Sample, parse_contrast
from biocross.cohort.drug_checks import drug_problems
from biocross.cohort.frequency_table import Frequency, frequency_samples, read_frequencies
from biocross.cohort.gate_files import are_drawn_elsewhere, gated_populations
from biocross.cohort.libraries import cell_file_problems, library_problems
from biocross.cohort.panel import Channel, read_panel
from biocross.cohort.preparation_checks import preparation_problems
from biocross.cohort.rounding import rounding_cautions
from biocross.cohort.sheets import (
    Problem,
    SheetRow,
    caution,
    counted,
    did_you_mean,
    read_sheet,
)
from biocross.cohort.spelling import clinical_problems, spelling_cautions
from biocross.cohort.strategy import Strategy, load_strategy
from biocross.cohort.vocabulary import Vocabulary, load_vocabulary
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
        One line for every problem of every sheet, with file, row and remedy; warnings stand last
        and are no reason to raise.
    """
    cohort, problems = inspect_cohort(config)
    refuse_errors(problems)
    return cohort


def refuse_errors(problems: Sequence[Problem]) -> None:
    """Raise if any problem is an error.

    Parameters
    ----------
    problems
        What `inspect_cohort` found.

    Raises
    ------
    ConfigError
        One line for every problem, errors first.
    """
    errors, warnings = split_by_severity(problems)
    if errors:
        lines = [f"{counted(len(errors), 'problem')} in the input:", *map(str, errors)]
        if warnings:
            lines += [f"and {counted(len(warnings), 'warning')}:", *map(str, warnings)]
        raise ConfigError("\n  ".join(lines))


def split_by_severity(problems: Sequence[Problem]) -> tuple[list[Problem], list[Problem]]:
    """Return the errors and the warnings among problems, each in their order."""
    errors = [problem for problem in problems if problem.is_error]
    return errors, [problem for problem in problems if not problem.is_error]


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
        What is wrong, in order of the sheets, and what to know; those of severity ``error`` stop
        a run.
    """
    config = complete_config(config)
    inputs, design = config["inputs"], config["design"]
    files, problems = _read_optional(inputs["samples"], "samples")
    samples, controls = split_controls(files)
    patients, patient_problems = read_sheet(Path(inputs["patients"]), "patients")
    clinical, clinical_problems = _read_optional(inputs["clinical"], "clinical")
    vocabulary, vocabulary_problems = _read_vocabulary(Path(inputs["populations"]))
    frequencies, frequency_problems = _read_frequencies(inputs, vocabulary)
    problems += patient_problems + clinical_problems + frequency_problems
    channels, panel_problems = _read_panel(inputs["panel"])
    problems += panel_problems
    problems += vocabulary_problems
    problems += _input_problems(inputs, files)
    readable = not problems
    problems += sample_problems(inputs["samples"], samples, controls)
    problems += control_problems(config, controls, channels)
    problems += library_problems(inputs["samples"], samples)
    problems += preparation_problems(
        inputs["samples"], design, samples, config["flow"]["cytometry"]
    )
    problems += level_problems(inputs, design, samples, patients, frequencies)
    problems += duplicates(inputs["patients"], patients, ("patient_id", "visit"))
    problems += duplicates(inputs["clinical"], clinical, ("patient_id", "visit"))
    problems += link_problems(inputs, samples, patients, clinical, frequencies)
    problems += contrast_problems(design)
    problems += rounding_cautions(inputs["clinical"], clinical)
    problems += _clinical_problems(inputs, design, samples, clinical, frequencies)
    sound = not split_by_severity(problems)[0]
    if any(row.cells.get("modality") == "rna" for row in samples):
        problems += cell_file_problems(config)
    if "simulate" not in config:
        problems += missing_files(inputs, files)
        problems += compensation_file_problems(config)
    problems += _spelling_cautions(inputs, design, samples, patients)
    if not readable:
        return Cohort((), {}, {}, tuple(design["levels"])), problems
    cohort = _cohort(design, samples, controls, patients, clinical, frequencies)
    file = inputs["samples"] or inputs["counts"]
    problems += comparison_problems(file, cohort)
    problems += _covariate_problems(config, cohort)
    problems += _selection_problems(design, cohort, vocabulary)
    problems += cluster_problems(config, cohort, vocabulary)
    strategy, gating_problems = _read_strategy(inputs, vocabulary, channels, controls)
    problems += gating_problems
    gated = strategy.gates if strategy else gated_populations(inputs)
    # A misspelt visit is one error; the pairs that it seems to lack are no news.
    if sound:
        problems += drug_problems(inputs, cohort, vocabulary, channels, strategy)
        problems += design_cautions(file, inputs["patients"], cohort)
        problems += _counted_cautions(config, vocabulary, gated, frequencies)
    return cohort, problems


def _clinical_problems(
    inputs: Mapping[str, Any],
    design: Mapping[str, Any],
    samples: Sequence[SheetRow],
    clinical: Sequence[SheetRow],
    frequencies: Sequence[Frequency],
) -> list[Problem]:
    measured = {row.cells["visit"] for row in samples if "visit" in row.cells}
    measured |= {frequency.sample.visit for frequency in frequencies}
    levels = design["levels"] if design["contrast"] == "visit" else ()
    return clinical_problems(inputs["clinical"], clinical, measured, levels)


def _spelling_cautions(
    inputs: Mapping[str, Any],
    design: Mapping[str, Any],
    samples: Sequence[SheetRow],
    patients: Sequence[SheetRow],
) -> list[Problem]:
    problems = spelling_cautions("design.levels", design["contrast"], design["levels"])
    for file, rows, left_out in (
        (inputs["samples"], samples, ("sample_id", "path", design["contrast"])),
        (inputs["patients"], patients, ("visit",)),
    ):
        for name in dict.fromkeys(name for row in rows for name in row.cells):
            if name not in left_out:
                values = [row.cells[name] for row in rows if name in row.cells]
                problems += spelling_cautions(file, name, values)
    return problems


def _counted_cautions(
    config: Mapping[str, Any],
    vocabulary: Vocabulary,
    gated: Collection[str],
    frequencies: Sequence[Frequency],
) -> list[Problem]:
    """Warn of primary populations that the confirmatory source does not count."""
    inputs, family = config["inputs"], config["statistics"]["confirmatory"]
    primary = [name for name, population in vocabulary.items() if population.primary]
    if family["source"] == "table" and frequencies:
        names = {frequency.population for frequency in frequencies}
        return ungated_caution(inputs["counts"], primary, names)
    if family["source"] == "gate" and family["modality"] == "flow" and gated:
        return ungated_caution(inputs["gating"], primary, gated)
    return []


def _input_problems(inputs: Mapping[str, Any], files: Sequence[SheetRow]) -> list[Problem]:
    """Say which of the files that a study needs the configuration does not name."""
    # What is no library of RNA, a sheet without rows included, is an FCS file.
    only_rna = bool(files) and all(row.cells.get("modality") == "rna" for row in files)
    if not inputs["samples"] and not inputs["counts"]:
        return [Problem("inputs", None, "names neither samples nor counts; give one")]
    return [
        Problem("inputs", None, f"names samples, but no {name}; files cannot be gated without it")
        for name in ("panel", "gating")
        if inputs["samples"] and not inputs[name] and not only_rna
    ]


def _read_strategy(
    inputs: Mapping[str, Any],
    vocabulary: Vocabulary,
    channels: Sequence[Channel],
    controls: Sequence[SheetRow],
) -> tuple[Strategy | None, list[Problem]]:
    """Return the strategy, if it is ours and sound, and what is wrong with the gates."""
    if not inputs["gating"] or not inputs["panel"]:
        return None, []
    if are_drawn_elsewhere(inputs["gating"]):
        return None, _drawn_problems(inputs)
    markers = {channel.marker for channel in channels}
    try:
        strategy = load_strategy(Path(inputs["gating"]), vocabulary, markers)
    except (ConfigError, GatingError) as error:
        return None, _problems_of(inputs["gating"], error)
    by_fmo = {n: rule.marker for n, rule in strategy.thresholds.items() if rule.method == "fmo"}
    problems = fmo_cautions(inputs["gating"], by_fmo, channels, controls)
    if strategy.skipped:
        listed = "; ".join(f"{name} ({reason})" for name, reason in strategy.skipped.items())
        problems.append(caution(inputs["gating"], f"not gated with this panel: {listed}"))
    return strategy, problems


def _drawn_problems(inputs: Mapping[str, Any]) -> list[Problem]:
    """Find a file of gates that is missing, or that lacks its sheet; `check_cohort` reads it."""
    if not is_file(Path(inputs["gating"])):
        return [Problem(inputs["gating"], None, "there is no such file")]
    if not inputs["gate_paths"]:
        message = (
            "needs inputs.gate_paths, the sheet that says which gate is which population; "
            "`biocross gates` proposes one"
        )
        return [Problem(inputs["gating"], None, message)]
    return []


def _covariate_problems(config: Mapping[str, Any], cohort: Cohort) -> list[Problem]:
    columns = {name for cells in cohort.clinical.values() for name in cells}
    if any(sample.hours_to_stain is not None for sample in cohort.samples):
        columns.add("hours_to_stain")
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


def _selection_problems(
    design: Mapping[str, Any], cohort: Cohort, vocabulary: Vocabulary
) -> list[Problem]:
    known = [*vocabulary, *{name for cells in cohort.clinical.values() for name in cells}]
    return [
        Problem(
            "design.selected_on",
            None,
            f'"{name}" is neither a population nor a numeric column of the clinical sheet'
            f"{did_you_mean(name, known)}",
        )
        for name in design["selected_on"]
        if name not in known
    ]


def _cohort(
    design: Mapping[str, Any],
    samples: Sequence[SheetRow],
    controls: Sequence[SheetRow],
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
        controls=tuple(Sample(**row.cells) for row in controls),
    )


def _read_frequencies(
    inputs: Mapping[str, Any], vocabulary: Vocabulary
) -> tuple[list[Frequency], list[Problem]]:
    if not inputs["counts"] or not vocabulary:
        return [], []
    return read_frequencies(Path(inputs["counts"]), vocabulary)


def _read_optional(path: str | None, schema: str) -> tuple[list[SheetRow], list[Problem]]:
    return read_sheet(Path(path), schema) if path else ([], [])


def _read_panel(path: str | None) -> tuple[list[Channel], list[Problem]]:
    return read_panel(Path(path)) if path else ([], [])


def _read_vocabulary(path: Path) -> tuple[Vocabulary, list[Problem]]:
    try:
        return load_vocabulary(path), []
    except ConfigError as error:
        return {}, _problems_of(str(path), error)


def _problems_of(file: str, error: Exception) -> list[Problem]:
    """Turn the lines of an error into one problem each."""
    return [Problem(file, None, line.removeprefix(f"{file}: ")) for line in str(error).splitlines()]
