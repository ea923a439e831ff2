"""Which libraries of single-cell RNA a study has, and which samples each carries."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from biocross.cohort.cross_checks import is_file
from biocross.cohort.design import Sample, library_paths
from biocross.cohort.sheets import Problem, SheetRow

_ENDINGS = re.compile(r"(\.h5ad|\.h5|\.mtx(\.gz)?)$")
_COMMON = ("filtered_feature_bc_matrix", "raw_feature_bc_matrix", "outs", "matrix")


class CellLibrary(NamedTuple):
    """One file or folder of counts.

    Parameters
    ----------
    name
        Unique in the study; it names files.
    path
        Where it is, relative to ``inputs.folder``.
    samples
        Names of the samples it carries.
    hashtags
        What marks the cells of each of them; empty where there is one sample.
    batch, tissue
        Of its samples.
    """

    name: str
    path: str
    samples: tuple[str, ...]
    hashtags: tuple[str, ...]
    batch: str
    tissue: str


def cell_libraries(samples: Sequence[Sample]) -> dict[str, CellLibrary]:
    """Gather the libraries that samples name.

    Parameters
    ----------
    samples
        Of the modality ``rna``.

    Returns
    -------
    dict of str to CellLibrary
        By name, in order of the sheet. A name is the file's or folder's, with as much of its
        folders before it as makes it unique.
    """
    carried: dict[str, list[Sample]] = {}
    for sample in samples:
        for path in library_paths(sample.path):
            carried.setdefault(path, []).append(sample)
    names = _names([*carried])
    return {
        names[path]: CellLibrary(
            names[path],
            path,
            tuple(sample.sample_id for sample in own),
            tuple(sample.hashtag for sample in own),
            own[0].batch,
            own[0].tissue,
        )
        for path, own in carried.items()
    }


def _names(paths: Sequence[str]) -> dict[str, str]:
    parts = {path: _telling_parts(path) for path in paths}
    depth = 1
    while True:
        names = {path: "_".join(part[-depth:]) for path, part in parts.items()}
        if len(set(names.values())) == len(names) or depth > max(map(len, parts.values())):
            break
        depth += 1
    # Paths that differ in nothing but their ending.
    seen: dict[str, int] = {}
    for path, name in names.items():
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            names[path] = f"{name}_{seen[name]}"
    return names


def _telling_parts(path: str) -> list[str]:
    """Split a path into words that may name files, without those that every library has."""
    parts = _ENDINGS.sub("", path.rstrip("/")).split("/")
    telling = [part for part in parts if part not in (*_COMMON, "", ".", "..")] or parts
    return [re.sub(r"[^A-Za-z0-9_.-]", "_", part).lstrip("_.-") or "library" for part in telling]


def library_problems(file: str, rows: Sequence[SheetRow]) -> list[Problem]:
    """Find samples of a shared library that nothing tells apart, and hashtags out of place.

    Parameters
    ----------
    file
        The sheet of samples.
    rows
        Its rows.

    Returns
    -------
    list of Problem
        Errors, each at its row.
    """
    problems = []
    carried: dict[str, list[SheetRow]] = {}
    for row in rows:
        if row.cells.get("modality") == "rna":
            for path in library_paths(str(row.cells.get("path", ""))):
                carried.setdefault(path, []).append(row)
        elif "hashtag" in row.cells:
            message = "hashtag is for single-cell libraries that carry several samples; empty it"
            problems.append(Problem(file, row.number, message, column="hashtag"))
    for path, own in carried.items():
        tags: dict[str, int] = {}
        for row in own if len(own) > 1 else ():
            tag = row.cells.get("hashtag")
            if tag is None:
                message = (
                    f'{len(own)} samples share the library "{path}": say in the column hashtag '
                    "which cells are this one's (the name of its HTO; of an .h5ad, the value of "
                    "the column that cells.sample_column names)"
                )
                problems.append(Problem(file, row.number, message, column="hashtag"))
            elif tag in tags:
                message = f'hashtag "{tag}" of library "{path}" is already in row {tags[tag]}'
                problems.append(Problem(file, row.number, message, column="hashtag"))
            else:
                tags[str(tag)] = row.number
    return problems


def cell_file_problems(config: Mapping[str, Any]) -> list[Problem]:
    """Find files of the section ``cells`` that are not there."""
    problems: list[Problem] = []
    cells = config["cells"]
    named = [("gene_sets", path) for path in cells["gene_sets"]]
    named += [(key, cells[key]) for key in ("reference", "celltypist_model")]
    for key, path in named:
        if path is not None and not is_file(Path(path)):
            problems.append(Problem(f"cells.{key}", None, f'there is no file "{path}"'))
    return problems
