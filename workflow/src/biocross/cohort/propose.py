"""Guess patients, visits and stimulations from the names of files."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations, product
from typing import NamedTuple

_UNITS = {"day": 1, "week": 7, "month": 30, "year": 365}
_UNIT_WORDS = {
    **dict.fromkeys(("day", "days", "d"), "day"),
    **dict.fromkeys(("week", "weeks", "wk", "w"), "week"),
    **dict.fromkeys(("month", "months", "mon", "mo", "m"), "month"),
    **dict.fromkeys(("year", "years", "yr", "y"), "year"),
}
_FIRST = "baseline|base|bl|screening|screen|pre|before|predose|pretreatment|pretx|enrolment|start"
_LATER = "post|after|followup|follow|fu|postdose|posttreatment|posttx|eot|end"
_NUMBERED = "visit|vis|v|timepoint|tp|time|t"
_VISIT = re.compile(
    rf"(?:{_FIRST})|(?:{_LATER})_?\d*|(?:{_NUMBERED}|{'|'.join(_UNIT_WORDS)})_?\d+"
    rf"|\d+_?(?:{'|'.join(_UNIT_WORDS)})",
    re.I,
)
_UNSTIMULATED = (
    "unstim|unstimulated|us|ref|reference|media|medium|ctrl|control|resting|basal|nil|mock|vehicle"
    "|dmso|untreated|nostim|none"
)
_STIMULATION = re.compile(
    rf"(?:{_UNSTIMULATED}|stim|stimulated|bcrxl|bcr|pma|pmaiono|pma_?ionomycin|iono|ionomycin|lps"
    r"|seb|pha|cd3cd28|acd3cd28|r848|cpg|polyic|ifn[abg]?|il\d+|gmcsf|bcg|ppd|hdm|tslp|peptide)\d*",
    re.I,
)
_PATIENT_WORDS = (
    "patient|pat|pt|p|donor|don|d|subject|subj|sub|s|id|pid|ptid|ptlg|case|hc|hd|participant"
    "|volunteer|vol"
)
_PATIENT = re.compile(rf"(?:{_PATIENT_WORDS})_?\d+|[a-z]{{2,8}}_?\d{{2,7}}|\d{{2,7}}", re.I)
_NUMBERED_WORD = re.compile(
    rf"{_PATIENT_WORDS}|{_NUMBERED}|{'|'.join(_UNIT_WORDS)}|stim|sample|{_LATER}", re.I
)
_DATE = re.compile(r"(?:19|20)\d{2}[01]\d[0-3]\d")
_WELL = re.compile(r"[A-H](?:0?[1-9]|1[0-2])")
_GLUED = re.compile(r"(.*\d)([A-Za-z]+\d*)|([A-Za-z]*[a-z]\d*)([A-Z][a-z]+\d*)")
# Columns of names beyond these make no difference, but many hypotheses.
_MOST_COLUMNS = 8


class NameGuess(NamedTuple):
    """Who was measured when, as the names of the files tell.

    Parameters
    ----------
    patients, visits, stimulations, groups
        One per file; empty text where the names say nothing.
    confidence
        ``high``, ``medium``, ``low`` or ``none``.
    reason
        How it was guessed, in words.
    """

    patients: tuple[str, ...]
    visits: tuple[str, ...]
    stimulations: tuple[str, ...]
    groups: tuple[str, ...]
    confidence: str
    reason: str

    @property
    def paired(self) -> float:
        """Share of the patients with more than one file."""
        files = Counter(self.patients)
        return sum(count > 1 for count in files.values()) / max(len(files), 1)


Column = tuple[str, ...]


def guess_names(names: Sequence[str], dates: Sequence[str] = ()) -> NameGuess:
    """Guess patient, visit and stimulation of every file from the names of all.

    The words of the names are compared by position; of all ways to read them, that one is taken
    which tells every file apart, knows most words, and leaves most patients with pairs.

    Parameters
    ----------
    names
        Folders and name of each file without ending; they differ.
    dates
        Acquisition dates as ``2024-05-31``, empty where unknown; they order a patient's files
        whose names have no word for a visit.

    Returns
    -------
    NameGuess
        The best guess; one patient per file where nothing can be guessed.
    """
    best: tuple[tuple[float, ...], NameGuess] | None = None
    for weak in (False, True):
        for split in (_words, _coarse_words, _letters_and_digits):
            rows = [split(name) for name in names]
            if len({len(row) for row in rows}) > 1:
                guesses = _by_words(rows)
            else:
                guesses = _by_position(rows, dates if weak else (), weak)
            for score, guess in guesses:
                if best is None or score > best[0]:
                    best = score, guess
        if best is not None and best[1].paired >= 0.5:
            return best[1]
    if best is not None and best[1].paired > 0:
        return best[1]
    return _one_patient_per_file(names, best[1] if best else None)


def clean_id(text: str) -> str:
    """Turn any text into a name that may stand in a sheet and name a file."""
    text = re.sub(r"(?<=\w)\+", "pos", text)
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text).strip("_.-") or "unnamed"


def order_levels(levels: Sequence[str]) -> list[str]:
    """Order visits by time, or stimulations with the unstimulated first.

    Parameters
    ----------
    levels
        Names of visits or of stimulations, repeated or not.

    Returns
    -------
    list of str
        Each once.
    """
    return sorted(dict.fromkeys(levels), key=lambda level: (_rank(level), level.casefold()))


def _rank(level: str) -> tuple[int, float]:
    digits = re.search(r"\d+", level)
    number = float(digits[0]) if digits else 0.0
    letters = re.sub(r"[\d_]", "", level).casefold()
    if re.fullmatch(f"{_FIRST}|{_UNSTIMULATED}", letters):
        return 0, number
    if letters in _UNIT_WORDS:
        return 1, number * _UNITS[_UNIT_WORDS[letters]]
    return (3 if re.fullmatch(_LATER, letters) else 2), number


def _words(name: str, separators: str = r"[\s_\-./\\,;()]+") -> list[str]:
    """Split a name into words; a word and its number, such as ``month 4``, stay one."""
    name = re.sub(r"\b((?:19|20)\d{2})[-_.]([01]\d)[-_.]([0-3]\d)(?!\d)", r"\1\2\3", name)
    merged: list[str] = []
    for word in (word for word in re.split(separators, name) if word):
        last = merged[-1] if merged else ""
        numbered = word.isdigit() and len(word) < 5 and _NUMBERED_WORD.fullmatch(last)
        unit = last.isdigit() and len(last) < 4 and len(word) > 1
        if numbered or (unit and word.casefold() in _UNIT_WORDS):
            merged[-1] = f"{last}_{word}"
        else:
            merged += _unglued(word)
    return merged


def _coarse_words(name: str) -> list[str]:
    return _words(name, r"[\s_/\\]+")


def _letters_and_digits(name: str) -> list[str]:
    words = re.split(r"[\s_\-./\\,;()]+", name)
    parts = ([w] if _WELL.fullmatch(w) else re.findall(r"\d+|[^\d]+", w) for w in words)
    return [part for of_word in parts for part in of_word]


def _unglued(word: str) -> list[str]:
    """Split ``P01V1`` and ``P01baseline`` where a visit or a stimulation follows."""
    if _VISIT.fullmatch(word) or _STIMULATION.fullmatch(word):
        return [word]
    match = _GLUED.fullmatch(word)
    if match:
        first, second = (part for part in match.groups() if part is not None)
        if _VISIT.fullmatch(second) or _STIMULATION.fullmatch(second):
            return [first, second]
    return [word]


def _by_position(
    rows: Sequence[Sequence[str]], dates: Sequence[str], weak: bool
) -> Iterator[tuple[tuple[float, ...], NameGuess]]:
    """Read every column of words as patient, visit, stimulation, or nothing."""
    columns = _columns(rows)
    days = [column for column in columns if _all_match(_DATE, column)]
    columns = [column for column in columns if column not in days]
    visits = [column for column in columns if _all_match(_VISIT, column)]
    stimulations = [c for c in columns if _all_match(_STIMULATION, c) and c not in visits]
    constant = tuple("" for _ in rows)
    varying = [column for column in columns if len(set(column)) > 1][:_MOST_COLUMNS]
    if weak:
        ordinary = (c for c in varying if c not in visits and c not in stimulations)
        visits = [c for c in ordinary if 1 < len(set(c)) <= 4 and not _all_match(_WELL, c)]
        visits += [day for day in (*days, tuple(dates)) if day and all(day) and _told(day)]
    for visit, stimulation in product((constant, *visits), (constant, *stimulations)):
        rest = [c for c in varying if c not in (visit, stimulation)]
        sets = [(), *((c,) for c in rest), *combinations(rest, 2), tuple(rest)]
        for patient_columns in dict.fromkeys(sets):
            patients = tuple(map("_".join, zip(*patient_columns, strict=True))) or constant
            others = [c for c in rest if c not in patient_columns]
            scored = _scored(patients, visit, stimulation, others, weak, len(patient_columns))
            if scored:
                yield scored


def _by_words(
    rows: Sequence[Sequence[str]],
) -> Iterator[tuple[tuple[float, ...], NameGuess]]:
    """Read names of different lengths: known words are visits, what differs is the patient."""
    in_all = set.intersection(*map(set, rows))
    patients, visits, stimulations = [], [], []
    for row in rows:
        named = [w for w in row if _PATIENT.fullmatch(w) and not w.isdigit()]
        stimulation = [w for w in row if _STIMULATION.fullmatch(w)][:1]
        visit = [w for w in row if _VISIT.fullmatch(w) and w not in named[:1]][:1]
        rest = [w for w in row if w not in (*visit, *stimulation) and w not in in_all]
        patients.append("_".join(named[:1] or rest))
        visits.append("".join(visit))
        stimulations.append("".join(stimulation))
    told = sum(bool(v or s) for v, s in zip(visits, stimulations, strict=True))
    if any(visits) and not any(re.fullmatch(_FIRST, visit, re.I) for visit in visits):
        visits = [visit or "baseline" for visit in visits]
    if 2 * told >= len(rows):
        scored = _scored(tuple(patients), tuple(visits), tuple(stimulations), [], False, 1)
        if scored:
            score, guess = scored
            yield score, guess._replace(confidence="medium")


def _columns(rows: Sequence[Sequence[str]]) -> list[Column]:
    """Return the words by position, one of those that tell the files apart alike."""
    kept: dict[tuple[int, ...], Column] = {}
    for column in zip(*rows, strict=True):
        spelled: dict[str, str] = {}
        one = tuple(spelled.setdefault(re.sub("_", "", w).casefold(), w) for w in column)
        numbers = {word: number for number, word in enumerate(dict.fromkeys(one))}
        partition = tuple(numbers[word] for word in one)
        if partition not in kept or _knowledge(one) > _knowledge(kept[partition]):
            kept[partition] = one
    return list(kept.values())


def _knowledge(column: Column) -> int:
    known = (_VISIT, _STIMULATION, _PATIENT)
    return max((3 - i for i, pattern in enumerate(known) if _all_match(pattern, column)), default=0)


def _all_match(pattern: re.Pattern[str], column: Column) -> bool:
    return all(pattern.fullmatch(word) for word in set(column))


def _scored(
    patients: Column,
    visits: Column,
    stimulations: Column,
    others: Sequence[Column],
    weak: bool,
    n_columns: int,
) -> tuple[tuple[float, ...], NameGuess] | None:
    """Judge one reading; None if it does not tell the files apart."""
    by_date = weak and all(re.fullmatch(r"\d{4}-?\d\d-?\d\d", visit) for visit in visits)
    patients = tuple(clean_id(patient) if patient else "" for patient in patients)
    keys = set(zip(patients, visits, stimulations, strict=True))
    if len(keys) < len(patients) or (not all(patients) and len(set(patients)) > 1):
        return None
    if weak and _all_match(_WELL, patients):
        return None
    if by_date:
        visits = _ranked(patients, visits)
    files, levels = Counter(patients), set(zip(visits, stimulations, strict=True))
    paired = sum(count > 1 for count in files.values()) / len(files)
    complete = len(patients) / (len(files) * len(levels))
    if weak and (paired < 0.8 or len(files) < 2 or (complete < 0.8 and not by_date)):
        return None
    named = len(files) > 1 and _all_match(_PATIENT, patients)
    known = named + (_told(visits) and not weak) + _told(stimulations)
    told = any(visits) + any(stimulations)
    guess = NameGuess(
        patients=tuple(patient or "patient_1" for patient in patients),
        visits=visits,
        stimulations=stimulations,
        groups=_group(patients, others),
        confidence=_confidence(weak, paired, named, complete),
        reason=_reason(visits, stimulations, weak, by_date, files),
    )
    score = (paired >= 0.5, known, len(files) > 1, paired, complete, -n_columns, told)
    return score, guess


def _told(column: Column) -> bool:
    return len(set(column)) > 1


def _confidence(weak: bool, paired: float, named: bool, complete: float) -> str:
    if weak:
        return "low"
    return "high" if paired >= 0.9 and named and complete >= 0.9 else "medium"


def _ranked(patients: Column, dates: Column) -> Column:
    """Number the dates of each patient."""
    own: dict[str, set[str]] = defaultdict(set)
    for patient, date in zip(patients, dates, strict=True):
        own[patient].add(date)
    return tuple(
        f"visit_{sorted(own[patient]).index(date) + 1}"
        for patient, date in zip(patients, dates, strict=True)
    )


def _group(patients: Column, others: Sequence[Column]) -> Column:
    """Find a word that every patient keeps and several share, such as healthy or diseased."""
    for column in others:
        of_patient = dict(zip(patients, column, strict=True))
        kept = all(of_patient[p] == word for p, word in zip(patients, column, strict=True))
        if kept and len(set(column)) * 2 <= len(of_patient):
            return column
    return tuple("" for _ in patients)


def _reason(
    visits: Column, stimulations: Column, weak: bool, by_date: bool, files: Counter[str]
) -> str:
    told = []
    for what, column in (("visit", visits), ("stimulation", stimulations)):
        if words := [f'"{word}"' for word in order_levels(column) if word]:
            told.append(f"{what} from the words {', '.join(words[:6])}")
    if by_date:
        told = ["visits numbered by the dates of each patient"]
    elif weak:
        told.append("words that are no known visits, but give every patient the same set")
    several = sum(count > 1 for count in files.values())
    told.append(f"{several} of {len(files)} patients have more than one file")
    return "; ".join(told)


def _one_patient_per_file(names: Sequence[str], guess: NameGuess | None) -> NameGuess:
    nothing = tuple("" for _ in names)
    last = [clean_id(re.split(r"[/\\]", name)[-1]) for name in names]
    whole = [clean_id(name) for name in names]
    numbered = [f"{name}_{number}" for number, name in enumerate(last, 1)]
    unique = (ids for ids in (last, whole, numbered) if len(set(ids)) == len(ids))
    return NameGuess(
        patients=tuple(next(unique, numbered)),
        visits=guess.visits if guess else nothing,
        stimulations=guess.stimulations if guess else nothing,
        groups=nothing,
        confidence="none",
        reason="the names have no words that tell patients from visits; one patient per file",
    )
