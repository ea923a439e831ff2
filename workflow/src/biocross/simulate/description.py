"""Reading the files that describe a study, and putting them together."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from biocross.cohort.sheets import load_yaml
from biocross.errors import ConfigError
from biocross.tables import read_rows

# The value of a key of the top level, on its line and on those that continue it.
_VALUE = re.compile(r"^(extends|presets):(.*(?:\n[ \t\]-].*)*)", re.MULTILINE)
_COMMENT = re.compile(r"#.*")
_FILE = re.compile(r"[^\s,'\"\[\]]+\.(?:ya?ml|tsv)\b")


def load_description(path: Path) -> dict[str, Any]:
    """Read the description of a study, with all files that it builds on.

    ``extends`` names files, seen from this one's folder, whose entries this one completes or
    replaces; later ones replace those of earlier ones. ``presets`` names the table of what
    treatments change.

    Parameters
    ----------
    path
        A YAML file.

    Returns
    -------
    dict
        One mapping without ``extends``, its ``presets`` a list of rows. It can be written as a YAML
        file that needs no other.

    Raises
    ------
    ConfigError
        A file is missing, is no mapping, or extends itself.
    """
    return _load(path, ())


def description_files(path: Path) -> list[Path]:
    """List the files that a study is described in, itself first, without parsing them.

    Parameters
    ----------
    path
        A YAML file; what does not exist is listed all the same.

    Returns
    -------
    list of Path
        Each once.
    """
    found = [path]
    for one in found:
        text = one.read_text(encoding="utf-8") if one.suffix != ".tsv" and one.is_file() else ""
        values = dict(_VALUE.findall(text))
        named = _FILE.findall(_COMMENT.sub("", values.get("extends", "")))
        named += _FILE.findall(_COMMENT.sub("", values.get("presets", "").partition("\n")[0]))
        found += [file for name in named if (file := _beside(one, name)) not in found]
    return list(dict.fromkeys(found))


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Replace entries of a mapping, mapping by mapping.

    Parameters
    ----------
    base
        The mapping; it is left as it is.
    changes
        New entries; None removes one.

    Returns
    -------
    dict
        The merged mapping.
    """
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        if value is None:
            merged.pop(key, None)
        elif isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(old, value)
        else:
            merged[key] = value
    return merged


def _load(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    if path in above:
        raise ConfigError(f"{path.name}: extends itself; take it out of `extends`")
    if not path.is_file():
        named = f"{above[-1].name}: extends " if above else ""
        raise ConfigError(f"{named}{path.name}: there is no such file; mend the name")
    content = load_yaml(path)
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path.name} must be a mapping of names to values")
    own = dict(content)
    extended = own.pop("extends", [])
    if not isinstance(extended, list) or not all(isinstance(name, str) for name in extended):
        raise ConfigError(f"{path.name}: extends must be a list of files, not {extended!r}")
    if isinstance(own.get("presets"), str):
        own["presets"] = _preset_rows(path, own["presets"])
    result: dict[str, Any] = {}
    for name in extended:
        result = merge(result, _load(_beside(path, name), (*above, path)))
    return merge(result, own)


def _beside(path: Path, name: str) -> Path:
    """Return a file that another names, without steps up and down: a circle must be seen."""
    return Path(os.path.normpath(path.parent / name))


def _preset_rows(path: Path, name: str) -> list[dict[str, str]]:
    table = path.parent / name
    if not table.is_file():
        raise ConfigError(f"{path.name}: presets: {name}: there is no such file; mend the name")
    return read_rows(table)
