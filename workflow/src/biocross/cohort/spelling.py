"""Spellings that look like one thing written twice, and columns that are not what they seem."""

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from biocross.cohort.sheet_formats import folded
from biocross.cohort.sheets import BLOOD_CELLS, Problem, SheetRow, caution, counted, did_you_mean

# Spelled alike, and yet different drugs.
_DRUGS = frozenset(
    (
        *("mepolizumab", "reslizumab", "benralizumab", "omalizumab", "dupilumab", "tezepelumab"),
        *("tralokinumab", "lebrikizumab", "itepekimab", "astegolimab", "depemokimab"),
    )
)
_SHARES = re.compile(r"percent|pct|share|fraction|%|ratio")


def spelling_cautions(file: str, column: str, values: Iterable[Any]) -> list[Problem]:
    """Find values that differ in upper case, blanks or punctuation only, or by a typing error.

    Parameters
    ----------
    file, column
        Where the values stand.
    values
        Every cell of the column; only text is looked at.

    Returns
    -------
    list of Problem
        One warning per pair of spellings; typing errors are looked for in treatments only.
    """
    count = Counter(value for value in values if isinstance(value, str))
    if len(count) > 200:
        return []  # names of their own, not categories
    problems = []
    for one, other in combinations(count, 2):
        same = bool(folded(one)) and folded(one) == folded(other)
        if not same and not (column == "treatment" and _typing_error(one, other)):
            continue
        (often, n), (rare, m) = sorted(
            ((one, count[one]), (other, count[other])), key=lambda item: -item[1]
        )
        message = (
            f'{column} "{rare}" ({counted(m, "row")}) and "{often}" ({counted(n, "row")}) are read '
            "as two different ones; write them alike if they are the same"
        )
        problems.append(caution(file, message, column))
    return problems


def _typing_error(one: str, other: str) -> bool:
    words, others = (re.findall(r"\w+", text.casefold()) for text in (one, other))
    if len(words) != len(others):
        return False
    differing = [pair for pair in zip(words, others, strict=True) if pair[0] != pair[1]]
    return bool(differing) and all(_nearly(*pair) for pair in differing)


def _nearly(one: str, other: str) -> bool:
    """Whether two words are one with a typing error: long, and not two numbers or two drugs."""
    if min(len(one), len(other)) < 5 or {one, other} <= _DRUGS or _digits(one) != _digits(other):
        return False
    return difflib.SequenceMatcher(None, one, other).ratio() >= 0.85


def clinical_problems(
    file: str, rows: Sequence[SheetRow], measured: Iterable[str], levels: Iterable[str]
) -> list[Problem]:
    """Check visits and blood counts of the clinical sheet.

    Parameters
    ----------
    file, rows
        The sheet.
    measured
        Visits that samples have.
    levels
        Visits of the design.

    Returns
    -------
    list of Problem
        An error for a visit that is a misspelt one; warnings for visits without any sample, and
        for columns that look like blood counts and are not read as such.
    """
    known = {*measured, *levels}
    unknown: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        if (visit := row.cells.get("visit")) is not None and visit not in known:
            unknown[visit].append(row.number)
    problems = []
    for visit, numbers in unknown.items() if known else ():
        if near := [level for level in known if _misspelt(visit, level)]:
            hint = did_you_mean(visit, near)
            message = f'visit "{visit}" is neither in design.levels nor of any sample{hint}'
            problems += [Problem(file, number, message, column="visit") for number in numbers]
        else:
            message = f'visit "{visit}" ({counted(len(numbers), "row")}) is of no sample; not used'
            problems.append(caution(file, message, "visit", numbers[0]))
    columns = dict.fromkeys(name for row in rows for name in row.cells)
    return problems + [
        caution(file, words, name, 1) for name in columns if (words := _blood_count(name, columns))
    ]


def _misspelt(visit: str, level: str) -> bool:
    """Whether one is the other misspelt; month_4 and month_12 are two visits."""
    if folded(visit) == folded(level):
        return True
    alike = difflib.SequenceMatcher(None, visit.casefold(), level.casefold()).ratio()
    return _digits(visit) == _digits(level) and alike >= 0.75


def _blood_count(column: str, columns: Mapping[str, Any]) -> str:
    stem, _, rest = column.casefold().partition("_")
    near = difflib.get_close_matches(stem, BLOOD_CELLS, n=1, cutoff=0.8)
    if not near or column == f"{near[0]}_per_ul" or _SHARES.search(rest):
        return ""
    meant = f"{near[0]}_per_ul"
    if meant in columns:
        return ""
    return (
        f'column "{column}" is not read as a blood count; did you mean "{meant}" (cells per '
        "microlitre)?"
    )


def _digits(text: str) -> list[str]:
    return re.findall(r"\d+", text)
