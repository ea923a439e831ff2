"""Load a cohort, finding every problem of its sheets before anything is computed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from biocross.cohort.config import complete_config
from biocross.cohort.design import Cohort, Sample
from biocross.cohort.panel import read_panel
from biocross.cohort.sheets import Problem, SheetRow, did_you_mean, read_sheet
from biocross.cohort.vocabulary import load_vocabulary
from biocross.errors import ConfigError


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
    samples, problems = read_sheet(Path(inputs["samples"]), "samples")
    patients, patient_problems = read_sheet(Path(inputs["patients"]), "patients")
    clinical, clinical_problems = _read_optional(inputs["clinical"], "clinical")
    problems += patient_problems + clinical_problems
    problems += read_panel(Path(inputs["panel"]))[1]
    problems += _vocabulary_problems(Path(inputs["populations"]))
    if problems:
        return Cohort((), {}, {}, tuple(design["levels"])), problems
    problems += _sample_problems(inputs["samples"], samples, design)
    problems += _duplicates(inputs["patients"], patients, ("patient_id",))
    problems += _link_problems(inputs, samples, patients, clinical)
    if "simulate" not in config:
        problems += _missing_files(inputs, samples)
    cohort = Cohort(
        samples=tuple(Sample(**row.cells) for row in samples),
        patients={row.cells["patient_id"]: row.cells for row in patients},
        clinical={(row.cells["patient_id"], row.cells["visit"]): row.cells for row in clinical},
        levels=tuple(design["levels"]),
        contrast_column=design["contrast"],
    )
    return cohort, problems


def _read_optional(path: str | None, schema: str) -> tuple[list[SheetRow], list[Problem]]:
    return read_sheet(Path(path), schema) if path else ([], [])


def _vocabulary_problems(path: Path) -> list[Problem]:
    try:
        load_vocabulary(path)
    except ConfigError as error:
        return [
            Problem(str(path), None, line.removeprefix(f"{path}: "))
            for line in str(error).splitlines()
        ]
    return []


def _duplicates(file: str, rows: Sequence[SheetRow], keys: tuple[str, ...]) -> list[Problem]:
    problems = []
    first: dict[tuple[Any, ...], int] = {}
    for row in rows:
        key = tuple(row.cells.get(name, "") for name in keys)
        if key in first:
            what = ", ".join(f'{name} "{value}"' for name, value in zip(keys, key, strict=True))
            message = f"{what} is already in row {first[key]}; keep one of them"
            problems.append(Problem(file, row.number, message))
        first.setdefault(key, row.number)
    return problems


def _sample_problems(
    file: str, rows: Sequence[SheetRow], design: Mapping[str, Any]
) -> list[Problem]:
    problems = _duplicates(file, rows, ("sample_id",))
    problems += _duplicates(file, rows, ("patient_id", "visit", "stimulation", "modality"))
    column, levels = design["contrast"], design["levels"]
    for row in rows:
        level = row.cells.get(column)
        if level is None:
            message = f'"{column}" is empty, but the design compares its values'
            problems.append(Problem(file, row.number, message))
        elif level not in levels:
            message = f'{column} "{level}" is not in design.levels{did_you_mean(level, levels)}'
            problems.append(Problem(file, row.number, message))
    present = {row.cells.get(column) for row in rows}
    for level in levels:
        if level not in present:
            message = f'no sample has the {column} "{level}" that design.levels names'
            problems.append(Problem(file, None, message))
    return problems


def _link_problems(
    inputs: Mapping[str, Any],
    samples: Sequence[SheetRow],
    patients: Sequence[SheetRow],
    clinical: Sequence[SheetRow],
) -> list[Problem]:
    known = {row.cells["patient_id"] for row in patients}
    measured = {row.cells["patient_id"] for row in samples}
    problems = []
    for file, rows in ((inputs["samples"], samples), (inputs["clinical"], clinical)):
        for row in rows:
            if (patient := row.cells["patient_id"]) not in known:
                hint = did_you_mean(patient, known)
                message = f'patient "{patient}" is not in {inputs["patients"]}{hint}'
                problems.append(Problem(file, row.number, message))
    for row in patients:
        if (patient := row.cells["patient_id"]) not in measured:
            message = (
                f'patient "{patient}" has no sample in {inputs["samples"]}; '
                "add the samples or remove the patient"
            )
            problems.append(Problem(inputs["patients"], row.number, message))
    return problems


def _missing_files(inputs: Mapping[str, Any], samples: Sequence[SheetRow]) -> list[Problem]:
    problems = []
    folder = Path(inputs["folder"])
    for row in samples:
        path = folder / row.cells["path"]
        if not path.is_file():
            message = f'there is no file "{path}"'
            if path.parent.is_dir():
                message += did_you_mean(path.name, [entry.name for entry in path.parent.iterdir()])
            else:
                message += f'; the folder "{path.parent}" does not exist (see inputs.folder)'
            problems.append(Problem(inputs["samples"], row.number, message))
    return problems
