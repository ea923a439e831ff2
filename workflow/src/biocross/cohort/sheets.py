"""Sheets and their schemas: read, checked cell by cell, with every problem named."""

import difflib
import math
import re
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from biocross.cohort.sheet_formats import read_raw_sheet
from biocross.errors import ConfigError, TableError

SCHEMAS = Path(__file__).parents[3] / "schemas"
# Columns that mean something to us without being named by a schema.
BLOOD_CELLS = ("eosinophils", "basophils", "neutrophils", "lymphocytes", "monocytes", "leukocytes")
USUAL_COLUMNS = {
    "clinical": (
        *(f"{cells}_per_ul" for cells in BLOOD_CELLS),
        *("day", "days_since_dose", "feno_ppb", "ige_iu_ml", "fev1_percent", "act_score"),
        *("exacerbations_12m", "ocs_mg_day"),
    )
}
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")


class Problem(NamedTuple):
    """One thing that is wrong with the input, and what to do about it.

    Parameters
    ----------
    file, row, column
        Where it stands, as far as it stands somewhere.
    message
        What is wrong and how to mend it.
    severity
        ``error`` stops the run; ``warning`` is something to know before believing its results.
    """

    file: str
    row: int | None
    message: str
    severity: str = "error"
    column: str = ""

    @property
    def is_error(self) -> bool:
        """Whether it stops the run."""
        return self.severity == "error"

    def __str__(self) -> str:
        """Say it as a sentence."""
        place = self.file if self.row is None else f"{self.file} row {self.row}"
        return f"{place}: {self.message}"


class SheetRow(NamedTuple):
    """A row of a sheet: its number in the file and its typed, non-empty cells."""

    number: int
    cells: dict[str, Any]


def caution(file: str, message: str, column: str = "", row: int | None = None) -> Problem:
    """Make a problem that does not stop a run."""
    return Problem(file, row, message, "warning", column)


def counted(n: int, noun: str) -> str:
    """Write a number with its noun."""
    return f"{n} {noun}" + ("" if n == 1 else "s")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Suggest the nearest known word, as the end of a sentence.

    Parameters
    ----------
    word
        What was written.
    known
        What could have been meant.

    Returns
    -------
    str
        ``; did you mean "P7"?``, or ``; known are: ...`` where nothing is near; empty where
        nothing is known.
    """
    known = sorted(set(known))
    if not known:
        return ""
    folded = {candidate.casefold(): candidate for candidate in known}
    if near := difflib.get_close_matches(str(word).casefold(), folded, n=1, cutoff=0.6):
        return f'; did you mean "{folded[near[0]]}"?'
    return f"; known are: {', '.join(known[:12])}" + (" ..." if len(known) > 12 else "")


@cache
def load_schema(name: str) -> dict[str, Any]:
    """Load one of the JSON Schemas in ``workflow/schemas``.

    Parameters
    ----------
    name
        Its name without ending, such as ``samples``.

    Returns
    -------
    dict
        The schema.
    """
    schema: dict[str, Any] = yaml.safe_load((SCHEMAS / f"{name}.schema.yaml").read_text("utf-8"))
    return schema


# A thousand times what a vocabulary of populations holds.
_MOST_YAML_VALUES = 1_000_000


class _OneOfEachLoader(yaml.SafeLoader):
    """Refuse a key that stands twice in one mapping, of which YAML would take the last."""

    def get_single_node(self) -> Any:
        node = super().get_single_node()
        _count_values(node, {})
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        first: dict[Any, int] = {}
        for key_node, _ in node.value:
            key, line = key_node.value, key_node.start_mark.line + 1
            if isinstance(key, str) and key in first:
                raise yaml.YAMLError(f'"{key}" in line {line} is already in line {first[key]}')
            if isinstance(key, str):
                first[key] = line
        return super().construct_mapping(node, deep)


def _count_values(node: Any, known: dict[int, int | None]) -> int:
    """Count the values of a YAML node with its aliases written out, of which few make many."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in known:
        known[id(node)] = None
        children = [
            child
            for each in node.value
            for child in (each if isinstance(node, yaml.MappingNode) else (each,))
        ]
        known[id(node)] = 1 + sum(_count_values(child, known) for child in children)
    count = known[id(node)]
    if count is None or count > _MOST_YAML_VALUES:
        raise yaml.YAMLError(
            f"its aliases (*name) make it repeat itself, to more than {_MOST_YAML_VALUES:,} values"
        )
    return count


def load_yaml(path: Path) -> Any:
    """Read a YAML file, turning a syntax error into a sentence with its line.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Any
        Its content.

    Raises
    ------
    ConfigError
        The file is missing, is not text, or is not YAML.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8-sig"), _OneOfEachLoader)
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text ({error})") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not valid YAML: {' '.join(str(error).split())}") from None


def schema_problems(
    file: str, row: int | None, value: Any, schema: Mapping[str, Any]
) -> list[Problem]:
    """Validate a value and word every violation for the user.

    Parameters
    ----------
    file, row
        Where the value stands.
    value
        A mapping: the row of a sheet, or a whole YAML file.
    schema
        A JSON Schema (draft 2020-12); a property's ``errorMessage`` replaces our own words.

    Returns
    -------
    list of Problem
        Empty where the value is valid.
    """
    errors = sorted(
        _validator_class()(schema).iter_errors(value), key=lambda e: list(map(str, e.path))
    )
    return list(
        dict.fromkeys(
            Problem(file, row, _worded(error), column="" if row is None else _column(error))
            for error in errors
        )
    )


def _column(error: Any) -> str:
    """Name the column that an error of a row is about, where it is about one."""
    if error.absolute_path:
        return str(error.absolute_path[0])
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        return missing[0] if len(missing) == 1 else ""
    return ""


@cache
def _validator_class() -> Any:
    """Import jsonschema without its checker of international resource identifiers.

    That checker compiles a grammar when it is imported, at 1.2 s of CPU in every job; our schemas
    have no such format.
    """
    checker = "rfc3987_syntax"
    hidden = checker not in sys.modules
    if hidden:
        sys.modules[checker] = None  # type: ignore[assignment]
    try:
        from jsonschema import Draft202012Validator
    finally:
        if hidden:
            del sys.modules[checker]
    return Draft202012Validator


def read_sheet(path: Path, schema_name: str) -> tuple[list[SheetRow], list[Problem]]:
    """Read a sheet and check every row against its schema.

    Parameters
    ----------
    path
        A text table or an Excel workbook (see `read_raw_sheet`).
    schema_name
        The schema of one row.

    Returns
    -------
    rows : list of SheetRow
        The rows that are not blank, numbers converted, empty cells left out.
    problems : list of Problem
        Everything that is wrong with them.
    """
    schema = load_schema(schema_name)
    try:
        raw = read_raw_sheet(path, (*schema["properties"], *USUAL_COLUMNS.get(schema_name, ())))
    except TableError as error:
        return [], [_placed(str(path), str(error))]
    if len(raw.columns) == 1 and raw.columns[0] not in schema["properties"]:
        message = (
            "its cells are not separated by tabs, semicolons or commas; export it as tab-separated "
            "text"
        )
        return [], [Problem(str(path), 1, message)]
    rows = [
        SheetRow(number, _typed_cells(cells, schema, raw.decimal_comma))
        for number, cells in enumerate(raw.rows, 2)
        if any(cells.values())
    ]
    if not rows:
        return [], [Problem(str(path), None, "has no rows below its column names")]
    problems = _unknown_columns(path, raw.columns, schema)
    known = {**schema, "additionalProperties": True} if problems else dict(schema)
    # Columns that only some rows need, such as the patient of a sample, stand in the `else` branch.
    usual = schema.get("else", {"required": []})
    required = [*schema["required"], *usual["required"]]
    missing = [column for column in required if column not in raw.columns]
    known["required"] = [column for column in schema["required"] if column not in missing]
    known["else"] = {"required": [name for name in usual["required"] if name not in missing]}
    problems += [
        Problem(str(path), 1, f'column "{column}" is missing', column=column) for column in missing
    ]
    validator = _validator_class()(known)
    for row in rows:
        if not validator.is_valid(row.cells):
            problems += schema_problems(str(path), row.number, row.cells, known)
    return rows, problems


def _unknown_columns(
    path: Path, columns: Iterable[str], schema: Mapping[str, Any]
) -> list[Problem]:
    """Name an unknown column once, not once per row."""
    if schema.get("additionalProperties") is not False:
        return []
    known = schema["properties"]
    return [
        Problem(
            str(path),
            1,
            f'unknown column "{column}"{did_you_mean(column, known)}',
            column=column,
        )
        for column in columns
        if column not in known
    ]


def _placed(file: str, sentence: str) -> Problem:
    """Take the row out of an error such as ``sheet.tsv row 3: has 8 cells``."""
    rest = sentence.removeprefix(file)
    if match := re.match(r" row (\d+): ", rest):
        return Problem(file, int(match[1]), rest[match.end() :])
    return Problem(file, None, rest.lstrip(": "))


def _typed_cells(
    cells: Mapping[str, str], schema: Mapping[str, Any], decimal_comma: bool
) -> dict[str, Any]:
    return {key: _typed(value, schema, key, decimal_comma) for key, value in cells.items() if value}


def _typed(value: str, schema: Mapping[str, Any], key: str, decimal_comma: bool) -> Any:
    """Convert a cell to the type its schema asks for, or leave it for the schema to refuse."""
    extra = schema.get("additionalProperties")
    rule = schema["properties"].get(key, extra if isinstance(extra, dict) else {})
    types = rule.get("type", "string")
    if "number" not in types and "integer" not in types:
        return value
    text = value.replace(",", ".") if decimal_comma and _DECIMAL_COMMA.fullmatch(value) else value
    try:
        number = float(text)
    except ValueError:
        return value
    if "_" in value:  # Python takes 1_000 for a number, nobody else does
        return value
    if not math.isfinite(number):
        return value
    return int(number) if "integer" in types and number.is_integer() else number


def _worded(error: Any) -> str:
    where = ".".join(str(part) for part in error.absolute_path)
    subject = f'"{where}"' if where else "this row"
    if message := error.schema.get("errorMessage"):
        return f"{subject} is {error.instance!r}: {message}"
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        unknown = [key for key in error.instance if key not in known]
        inside = f' in "{where}"' if where else ""
        return "; ".join(
            f'unknown key "{key}"{inside}{did_you_mean(key, known)}' for key in unknown
        )
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        inside = f' in "{where}"' if where else ""
        names = ", ".join(f'"{key}"' for key in missing)
        if len(missing) > 1:
            return f"{names} are missing{inside}; please fill them in"
        return f"{names} is missing{inside}; please fill it in"
    if error.validator == "enum":
        choices = [str(choice) for choice in error.validator_value]
        return f'{subject} is "{error.instance}"{did_you_mean(str(error.instance), choices)}'
    if error.validator == "type":
        if error.validator_value == "number":
            point = ""
            if _DECIMAL_COMMA.fullmatch(str(error.instance)):
                point = " (with a decimal point, without commas)"
            return (
                f'{subject} is "{error.instance}", but must be a number{point}, or empty if unknown'
            )
        return f'{subject} is "{error.instance}", but must be of type {error.validator_value}'
    return f"{subject}: {error.message}"
