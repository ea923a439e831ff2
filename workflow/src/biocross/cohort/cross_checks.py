"""Checks between the rows of sheets: duplicates, misspelt names, levels, links and files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from biocross.cohort.design import UNSTIMULATED, Cohort, Sample, library_paths, parse_contrast
from biocross.cohort.frequency_table import Frequency
from biocross.cohort.panel import Channel
from biocross.cohort.sheets import Problem, SheetRow, caution, counted, did_you_mean
from biocross.errors import ConfigError

# Nearest file names are looked up for so many missing files: among 500 each takes a while.
MOST_HINTS = 20
# What flow.compensation may say, besides the path of a matrix.
COMPENSATIONS = ("file", "controls", "none")


def duplicates(file: str, rows: Sequence[SheetRow], keys: tuple[str, ...]) -> list[Problem]:
    """Find rows that repeat the keys of an earlier one; the first key must be filled in."""
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
            problems.append(Problem(file, row.number, message, column=keys[0]))
        first.setdefault(key, row.number)
    return problems


def split_controls(rows: Sequence[SheetRow]) -> tuple[list[SheetRow], list[SheetRow]]:
    """Part patients' samples from controls, which are no one's visit."""
    controls = [row for row in rows if row.cells.get("role", "sample") != "sample"]
    return [row for row in rows if row not in controls], controls


def sample_problems(
    file: str, rows: Sequence[SheetRow], controls: Sequence[SheetRow] = ()
) -> list[Problem]:
    """Find samples, files and measurements that are given twice."""
    everything = [*rows, *controls]
    problems = duplicates(file, everything, ("sample_id",))
    # A library of single-cell RNA may carry several samples, an FCS file may not.
    flow = [row for row in everything if row.cells.get("modality") == "flow"]
    problems += duplicates(file, flow, ("path",))
    return problems + duplicates(file, rows, ("patient_id", "visit", "stimulation", "modality"))


def fmo_cautions(
    file: str, markers: Mapping[str, str], panel: Sequence[Channel], controls: Sequence[SheetRow]
) -> list[Problem]:
    """Warn of borders that are to be drawn by FMO controls, where none leaves their marker out.

    Parameters
    ----------
    file
        The gating strategy.
    markers
        Of the thresholds that are found by FMO controls, the marker.
    panel
        Channels of ``panel.tsv``.
    controls
        Rows of the sheet of samples that are controls.
    """
    marker_of = {name: c.marker for c in panel for name in (c.channel, c.marker, *c.aliases)}
    left_out = {
        marker_of.get(str(row.cells.get("control_for")))
        for row in controls
        if row.cells.get("role") == "fmo"
    }
    wanting = [name for name, marker in markers.items() if marker not in left_out]
    if not wanting:
        return []
    message = (
        f"the borders {', '.join(wanting)} are drawn by FMO controls, but the sheet of samples has "
        "none for them (role fmo, control_for): their populations will have no count"
    )
    return [caution(file, message)]


def control_problems(
    config: Mapping[str, Any], controls: Sequence[SheetRow], panel: Sequence[Channel]
) -> list[Problem]:
    """Find controls of unknown channels, and a compensation that lacks its controls."""
    file, problems = config["inputs"]["samples"], []
    known = {name for c in panel for name in (c.channel, c.marker, *c.aliases)}
    for row in controls:
        stain = row.cells.get("control_for")
        if stain is not None and known and stain not in known:
            message = (
                f'control_for "{stain}" is no channel of the panel{did_you_mean(stain, known)}'
            )
            problems.append(Problem(file, row.number, message, column="control_for"))
    stains = [row for row in controls if row.cells.get("role") == "single_stain"]
    if config["flow"]["compensation"] == "controls" and len(stains) < 2:
        message = (
            "asks for single stains, but "
            f"{file or 'the sheet of samples'} has {counted(len(stains), 'row')} of the role "
            "single_stain; add the controls, or choose another compensation"
        )
        problems.append(Problem("flow.compensation", None, message))
    return problems


def compensation_file_problems(config: Mapping[str, Any]) -> list[Problem]:
    """Find a compensation matrix that is not there."""
    path = config["flow"]["compensation"]
    if path in COMPENSATIONS or is_file(Path(path)):
        return []
    message = f'there is no file "{path}"; give file, controls, none, or the path of a CSV matrix'
    return [Problem("flow.compensation", None, message)]


def level_problems(
    inputs: Mapping[str, Any],
    design: Mapping[str, Any],
    samples: Sequence[SheetRow],
    patients: Sequence[SheetRow],
    frequencies: Sequence[Frequency],
) -> list[Problem]:
    """Find visits or stimulations that the design does not name, and those that nobody has."""
    column, levels = design["contrast"], design["levels"]
    problems = []
    for sheet, rows in (("samples", samples), ("patients", patients if column == "visit" else ())):
        for row in rows:
            level = row.cells.get(column)
            if level is not None and level not in levels:
                message = f'{column} "{level}" is not in design.levels{did_you_mean(level, levels)}'
                problems.append(Problem(inputs[sheet], row.number, message, column=column))
            if level is None and column == "stimulation":
                message = f'"{column}" is empty, but the design compares its values'
                problems.append(Problem(inputs[sheet], row.number, message, column=column))
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


def link_problems(
    inputs: Mapping[str, Any],
    samples: Sequence[SheetRow],
    patients: Sequence[SheetRow],
    clinical: Sequence[SheetRow],
    frequencies: Sequence[Frequency],
) -> list[Problem]:
    """Find patients that are in one sheet only."""
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
    hints = {name: did_you_mean(name, known) for *_, name in named if name not in known}
    problems = [
        Problem(
            file,
            number,
            f'patient "{patient}" is not in {inputs["patients"]}{hints[patient]}',
            column="patient_id",
        )
        for file, number, patient in named
        if patient in hints
    ]
    where = " or ".join(inputs[name] for name in ("samples", "counts") if inputs[name])
    for row in patients:
        if (patient := row.cells.get("patient_id")) not in measured:
            message = (
                f'patient "{patient}" has no sample in {where}; '
                "add the samples or remove the patient"
            )
            problems.append(Problem(inputs["patients"], row.number, message, column="patient_id"))
    return problems


def missing_files(inputs: Mapping[str, Any], samples: Sequence[SheetRow]) -> list[Problem]:
    """Find files that samples name and the folder lacks, with the nearest name."""
    problems: list[Problem] = []
    folder = Path(inputs["folder"])
    named = [
        (row, folder / path)
        for row in samples
        for path in _paths(row)
        if not _is_there(row, folder / path)
    ]
    for row, path in named:
        message = f'there is no file "{path}"'
        if not _is_folder(path.parent):
            message += f'; the folder "{path.parent}" does not exist (see inputs.folder)'
        elif len(problems) < MOST_HINTS:
            message += did_you_mean(path.name, _names_in(path.parent))
        problems.append(Problem(inputs["samples"], row.number, message, column="path"))
    return problems


def _paths(row: SheetRow) -> list[str]:
    path = str(row.cells.get("path", ""))
    return library_paths(path) if _is_rna(row) else [path]


def _is_rna(row: SheetRow) -> bool:
    return row.cells.get("modality") == "rna"


def _is_there(row: SheetRow, path: Path) -> bool:
    return "path" not in row.cells or is_file(path) or (_is_rna(row) and _is_folder(path))


def is_file(path: Path) -> bool:
    """Whether there is such a file; a name that cannot be one is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long, or a folder that may not be entered
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def comparison_problems(file: str, cohort: Cohort) -> list[Problem]:
    """Refuse samples that cannot be compared: one patient twice, or pairs of different tissue."""
    seen: dict[tuple[str, str, str, str], Sample] = {}
    firsts: dict[tuple[str, str], Sample] = {}
    problems = []
    for sample in (*cohort.samples, *cohort.table_samples):
        where = "table" if sample in cohort.table_samples else "file"
        unit = (f"{where} {sample.modality}", cohort.unit(sample))
        first = seen.setdefault((*unit, cohort.level(sample), sample.stimulus), sample)
        # Rows that are alike in all keys are reported as duplicates already.
        if first.stimulation != sample.stimulation and cohort.contrast_column == "visit":
            message = (
                f"samples {_named(first)} and {_named(sample)} are both the unstimulated sample of "
                "one patient and visit; keep the one that the stimulated ones are compared with"
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
    return [*problems, *_stimulation_problems(file, cohort)]


def _named(sample: Sample) -> str:
    return f'"{sample.sample_id}" ({sample.stimulation or "no stimulation"})'


def _stimulation_problems(file: str, cohort: Cohort) -> list[Problem]:
    """Refuse visits of stimulated samples alone, and stimulations compared at several visits."""
    everything = (*cohort.samples, *cohort.table_samples)
    visits = {sample.visit for sample in everything}
    if cohort.contrast_column == "stimulation" and len(visits) > 1:
        message = (
            f"design.contrast: stimulation compares within one visit, but there are {len(visits)} "
            f"({', '.join(sorted(visits))}), and visits of one patient are not independent; make "
            "one configuration per visit, or compare visits (design.contrast: visit), which "
            "compares the responses to the stimulation too"
        )
        return [Problem(file, None, message)]
    problems = []
    for modality in sorted({sample.modality for sample in cohort.stimulated}):
        if not cohort.units(modality):
            stimuli = dict.fromkeys(s.stimulus for s in cohort.stimulated if s.modality == modality)
            message = (
                f"every sample of {modality} is stimulated ({', '.join(stimuli)}); "
                "design.contrast: visit compares unstimulated samples, whose stimulation is empty "
                f"or a word such as {', '.join(UNSTIMULATED[:4])}; add them, or leave the "
                "stimulation empty where all samples were treated alike and shall be compared as "
                "they are"
            )
            problems.append(Problem(file, None, message, column="stimulation"))
    return problems


def contrast_problems(design: Mapping[str, Any]) -> list[Problem]:
    """Check that declared contrasts name two different levels of the design."""
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


def _names_in(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except OSError:
        return []
