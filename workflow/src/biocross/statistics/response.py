"""Did populations change differently in responders? Compares them with the non-responders."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.sheets import did_you_mean
from biocross.cohort.vocabulary import Vocabulary, load_vocabulary
from biocross.errors import ConfigError
from biocross.statistics.clinical import counted_population
from biocross.statistics.families import correct_families, exploratory
from biocross.statistics.kernels.moderation import (
    MIN_PAIRS,
    PairedTest,
    WelchTest,
    moderated_paired_t,
    welch_difference,
)
from biocross.statistics.paired_changes import batch_caveat, judge, population_pairs
from biocross.statistics.pairs import PairTable, Question, read_pair_sheet
from biocross.statistics.readouts import Readout, readouts
from biocross.tables import read_rows, write_rows

RESPONSE_COLUMNS = (
    *("modality", "source", "treatment", "contrast", "population", "parent", "readout", "variable"),
    *("n_responders", "n_nonresponders", "effect_responders", "effect_nonresponders"),
    *("effect", "effect_low", "effect_high", "effect_scale", "statistic", "df"),
    *("p_value", "q_value", "family", "status", "note"),
)
FAMILY_PARTS = ("treatment", "contrast", "variable", "modality", "source", "readout")
VARIABLE = "responder"
SPELLINGS = {
    **dict.fromkeys(("yes", "true", "1", "responder"), True),
    **dict.fromkeys(("no", "false", "0", "non-responder"), False),
}
GROUP_NAMES = {True: "responders", False: "non-responders"}
USES_THESE_CELLS = "warning: the responder definition uses these cells"
# What a table of pairs cannot answer for anyone, before its pairs are divided.
UNDIVIDED = ("no_pairs", "enriched", "not_possible", "not_applicable", "not_measured")


class PatientResponse(NamedTuple):
    """What one row of ``patients.tsv`` says about response.

    Parameters
    ----------
    patient_id, visit, treatment
        As in the sheet; the visit is empty where the row is about all of them.
    responds
        None where the cell is empty.
    """

    patient_id: str
    visit: str
    treatment: str
    responds: bool | None


class _Group(NamedTuple):
    """Responders or non-responders; `complete` has the shape (their pairs, populations)."""

    name: str
    pairs: PairTable
    complete: NDArray[np.bool_]
    readout: Readout
    test: PairedTest


def find_response(
    counts: Path | str,
    samples: Path | str,
    pairs: Path | str,
    populations: Path | str,
    patients: Path | str,
    responder_based_on: Sequence[str],
    response_out: Path | str,
) -> None:
    """Compare the change of every population between responders and non-responders.

    Parameters
    ----------
    counts
        ``results/populations/counts.tsv``.
    samples, pairs
        ``results/cohort/samples.tsv`` and ``results/cohort/pairs.tsv``.
    populations
        ``populations.yaml``.
    patients
        ``patients.tsv``; without a column ``responder`` only the header is written.
    responder_based_on
        Populations or clinical columns that define response; rows about the same cells warn.
    response_out
        One row per modality, source, treatment, contrast, population and readout.

    Raises
    ------
    ConfigError
        One line for every value of ``responder`` that cannot be read, or for every name in
        `responder_based_on` that is neither a population nor a column.
    """
    vocabulary = load_vocabulary(Path(populations))
    responses = read_responses(patients)
    rows: list[dict[str, Any]] = []
    if responses is not None:
        defining = _defining_cells(responder_based_on, vocabulary, (counts, samples, patients))
        patient_of = _patients_of_units(pairs)
        for table in population_pairs(counts, samples, pairs):
            names = [patient_of[unit] for unit in table.units]
            responds = [responds_to(responses, name, table.question) for name in names]
            rows += response_rows(table, names, responds, vocabulary, defining)
    correct_families(rows)
    write_rows(response_out, RESPONSE_COLUMNS, rows)


def read_responses(patients: Path | str) -> list[PatientResponse] | None:
    """Read who responded.

    Parameters
    ----------
    patients
        ``patients.tsv``; ``responder`` is yes or no, true or false, 1 or 0, responder or
        non-responder, in any case, or empty where it is unknown.

    Returns
    -------
    list of PatientResponse or None
        In file order; None without a column ``responder``.

    Raises
    ------
    ConfigError
        One line for every other value.
    """
    cells = read_rows(patients)
    if not cells or VARIABLE not in cells[0]:
        return None
    problems, found = [], []
    for number, row in enumerate(cells, 2):
        word = row[VARIABLE]
        if word and word.casefold() not in SPELLINGS:
            problems.append(
                f'{patients} row {number}: {VARIABLE} "{word}" cannot be read; write yes or no '
                "(or true or false, 1 or 0, responder or non-responder), or leave it empty"
            )
        visit, responds = row.get("visit", ""), SPELLINGS.get(word.casefold())
        found.append(PatientResponse(row["patient_id"], visit, row["treatment"], responds))
    if problems:
        raise ConfigError("\n".join(problems))
    return found


def responds_to(
    responses: Sequence[PatientResponse], patient_id: str, question: Question
) -> bool | None:
    """Say whether a patient responded to the treatment that a contrast is about.

    Parameters
    ----------
    responses
        Of `read_responses`.
    patient_id
        The patient.
    question
        Its follow-up visit and treatment.

    Returns
    -------
    bool or None
        What the sheet says at the follow-up visit, otherwise about this treatment or about all
        visits; None where it says nothing, or says both.
    """
    rows = [row for row in responses if row.patient_id == patient_id and row.responds is not None]
    said = {row.responds for row in rows if row.visit == question.followup}
    said = said or {
        row.responds for row in rows if not row.visit or row.treatment == question.treatment
    }
    return said.pop() if len(said) == 1 else None


def response_rows(
    pairs: PairTable,
    patients: Sequence[str],
    responds: Sequence[bool | None],
    vocabulary: Vocabulary,
    defining: Collection[str],
) -> Iterator[dict[str, Any]]:
    """Compare one table of pairs between responders and non-responders in every readout.

    Parameters
    ----------
    pairs
        Of `population_pairs`.
    patients, responds
        Patient of each pair, and whether that patient responded; None where unknown.
    vocabulary
        Says which population lies within which.
    defining
        Names, in lower case, of the populations that define response.

    Yields
    ------
    dict
        Rows of ``response.tsv``, ``q_value`` still open.
    """
    members = {flag: np.array([r is flag for r in responds], dtype=bool) for flag in GROUP_NAMES}
    parts = {flag: _of_pairs(pairs, rows) for flag, rows in members.items()}
    own = {flag: readouts(part, vocabulary) for flag, part in parts.items()}
    repeated = ""
    if len(set(patients)) < len(patients):
        repeated = "patients have several pairs each; response is compared with one per patient"
    unknown = sum(r is None for r in responds)
    left_out = f"{unknown} pairs of unknown response left out" if unknown else ""
    for whole in readouts(pairs, vocabulary):
        groups = [
            _group(GROUP_NAMES[flag], parts[flag], whole, members[flag], next(own[flag]))
            for flag in GROUP_NAMES
        ]
        welch = welch_difference(groups[0].test, groups[1].test)
        for column, name in enumerate(pairs.keys["population"]):
            row = _row(pairs, whole, groups, welch, column, repeated)
            warning = USES_THESE_CELLS if name.casefold() in defining else ""
            notes = [row["note"], warning, left_out]
            yield row | {"note": "; ".join(filter(None, notes))}


def _patients_of_units(pairs: Path | str) -> dict[str, str]:
    sheet = read_pair_sheet(pairs)
    return dict(zip(sheet["unit"], sheet["patient_id"], strict=True))


def _defining_cells(
    based_on: Sequence[str], vocabulary: Vocabulary, tables: Sequence[Path | str]
) -> set[str]:
    """Populations, in lower case, whose cells define response; blood counts name theirs."""
    counts, *sheets = tables
    cells = {*vocabulary, *(row["population"] for row in read_rows(counts))}
    columns = {name for sheet in sheets for row in read_rows(sheet)[:1] for name in row}
    folded = {name.casefold() for name in cells}
    problems, defining = [], set()
    for name in based_on:
        counted = counted_population(name)
        if not (name in cells or name in columns or counted in folded):
            hint = did_you_mean(name, cells | columns)
            problems.append(
                f'statistics.responder_based_on: "{name}" is neither a population nor a column of '
                f"the clinical sheet{hint}"
            )
        defining |= {name.casefold(), counted} & folded
    if problems:
        raise ConfigError("\n".join(problems))
    return defining


def _of_pairs(pairs: PairTable, rows: NDArray[np.bool_]) -> PairTable:
    kept = np.flatnonzero(rows)
    return pairs._replace(
        units=tuple(pairs.units[row] for row in kept),
        baseline={name: values[kept] for name, values in pairs.baseline.items()},
        followup={name: values[kept] for name, values in pairs.followup.items()},
        batches=tuple(pairs.batches[row] for row in kept),
    )


def _group(
    name: str, part: PairTable, whole: Readout, rows: NDArray[np.bool_], own: Readout
) -> _Group:
    """Test one group on its own variances.

    Its composition stands against its own median: where eosinophils fall in responders alone, a
    common reference would move all other populations of the responders. Percentages keep the
    rounding unit of the whole table.
    """
    if own.name != "composition":
        own = own._replace(change=whole.change[rows])
    complete = ~np.isnan(whole.change[rows])
    return _Group(name, part, complete, own, moderated_paired_t(own.change, own.abundance))


def _row(
    pairs: PairTable,
    whole: Readout,
    groups: Sequence[_Group],
    welch: WelchTest,
    column: int,
    repeated: str,
) -> dict[str, Any]:
    n_pairs = [int(group.complete[:, column].sum()) for group in groups]
    status, note = _judge(pairs, whole, groups, column)
    if repeated and status not in UNDIVIDED:
        status, note = "not_possible", repeated
    caveats = (
        [whole.caveat, batch_caveat(pairs.batches)]
        if status in ("tested", "too_few_events")
        else []
    )
    row: dict[str, Any] = {
        **pairs.question.columns(),
        **{name: str(pairs.keys[name].iloc[column]) for name in pairs.keys.columns},
        "readout": whole.name,
        "variable": VARIABLE,
        "n_responders": n_pairs[0],
        "n_nonresponders": n_pairs[1],
        "effect_scale": whole.effect_scale,
        "status": status,
        "note": "; ".join(dict.fromkeys(filter(None, [note, *caveats]))),
    }
    row["family"] = exploratory(row | {"kind": "response"}, "kind", *FAMILY_PARTS)
    if repeated:
        return row
    row |= {
        "effect_responders": float(np.exp(groups[0].test.estimate[column])),
        "effect_nonresponders": float(np.exp(groups[1].test.estimate[column])),
        "effect": float(np.exp(welch.estimate[column])),
    }
    if np.isfinite(welch.p[column]):
        row |= {
            "effect_low": float(np.exp(welch.low[column])),
            "effect_high": float(np.exp(welch.high[column])),
            "statistic": float(welch.t[column]),
            "df": float(welch.df[column]),
            "p_value": float(welch.p[column]),
        }
    return row


def _judge(
    pairs: PairTable, whole: Readout, groups: Sequence[_Group], column: int
) -> tuple[str, str]:
    """Say whether two groups could be compared and, in words, why not."""
    complete = ~np.isnan(whole.change[:, column])
    events = [e[complete, column] for e in (whole.events_baseline, whole.events_followup)]
    status, note = judge(pairs, whole, events[0], events[1], testable=True)
    if status in UNDIVIDED:
        return status, note
    n_pairs = [int(group.complete[:, column].sum()) for group in groups]
    if min(n_pairs) < MIN_PAIRS:
        counted = " and ".join(
            f"{n} of {group.name}" for n, group in zip(n_pairs, groups, strict=True)
        )
        return "too_few_pairs", f"pairs: {counted}; each group needs {MIN_PAIRS}"
    for group in groups:
        kept, readout = group.complete[:, column], group.readout
        before, after = readout.events_baseline[kept, column], readout.events_followup[kept, column]
        testable = bool(np.isfinite(group.test.p[column]))
        status, note = judge(group.pairs, readout, before, after, testable)
        if status != "tested":
            return status, f"{group.name}: {note}"
    return "tested", ""
