"""The configuration: schema defaults filled in, unknown keys refused, paths expanded."""

import copy
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import yaml

from biocross.cohort.sheets import load_schema, schema_problems
from biocross.errors import ConfigError

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def complete_config(config: Mapping[str, Any], source: str = "config") -> dict[str, Any]:
    """Check a configuration and fill in every default of its schema.

    Parameters
    ----------
    config
        What the user wrote.
    source
        Name of the file, for messages.

    Returns
    -------
    dict
        A complete copy; the given mapping is left as it is.

    Raises
    ------
    ConfigError
        One line for every violation of the schema.
    """
    schema = load_schema("config")
    complete: dict[str, Any] = _read_words(copy.deepcopy(dict(config)), schema)
    problems = schema_problems(source, None, complete, schema)
    if problems:
        raise ConfigError("\n".join(str(problem) for problem in problems))
    _fill(complete, schema)
    complete["inputs"]["folder"] = expand_variables(complete["inputs"]["folder"])
    return complete


def expand_variables(text: str) -> str:
    """Replace ``${NAME:-default}`` by an environment variable, as a shell does.

    Parameters
    ----------
    text
        Text with any number of variables.

    Returns
    -------
    str
        The text with each variable replaced by its value, or its default where it is unset.

    Raises
    ------
    ConfigError
        A variable without default is not set.
    """

    def value(match: re.Match[str]) -> str:
        name, default = match.groups()
        found = os.environ.get(name) or default
        if found is None:
            raise ConfigError(f"inputs.folder: the environment variable {name} is not set")
        return found

    return _VARIABLE.sub(value, text)


def _read_words(value: Any, rule: Mapping[str, Any]) -> Any:
    """Read numbers, ``true``, ``false`` and ``null`` that arrive as text.

    Snakemake hands on ``--config "flow={keep_events: false}"`` as ``{"keep_events": "false"}``.
    Text stays text where the schema has text.
    """
    if isinstance(value, dict):
        rules = rule.get("properties", {})
        return {key: _read_words(one, rules.get(key, {})) for key, one in value.items()}
    if isinstance(value, list):
        return [_read_words(one, rule.get("items", {})) for one in value]
    if isinstance(value, str) and "string" not in rule.get("type", "string"):
        with suppress(yaml.YAMLError):
            read = yaml.safe_load(value)
            return read if isinstance(read, int | float | None) else value
    return value


def _fill(mapping: dict[str, Any], schema: Mapping[str, Any]) -> None:
    for key, rule in schema.get("properties", {}).items():
        if key not in mapping and "default" in rule:
            mapping[key] = copy.deepcopy(rule["default"])
        if isinstance(mapping.get(key), dict):
            _fill(mapping[key], rule)
