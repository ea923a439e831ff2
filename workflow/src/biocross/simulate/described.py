"""Tables of docs/simulation.md: the blood of a simulated study, and what treatments change."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from biocross.simulate.arrays import tree_of
from biocross.simulate.composition import cells_per_ul
from biocross.simulate.description import load_description
from biocross.simulate.effects import CELLS, CLINICAL
from biocross.simulate.model import ROOT
from biocross.simulate.study import read_study
from biocross.tables import written_whole

_EFFECTS = ("treatment", "what changes", "in", "by", "from day", "follows", "source")
_POPULATIONS = ("population", "parent", "cells/µl", "%", "between", "within", "source")


def population_table(description: Mapping[str, Any]) -> list[str]:
    """Set out the populations of a study, as a patient whose every size is the usual one has them.

    Parameters
    ----------
    description
        What `load_description` returns.

    Returns
    -------
    list of str
        Lines of a Markdown table: cells per µl, percent of the parent, SDs of the logarithm of
        the size between patients and between visits, and where these come from.
    """
    study = read_study(description)
    middle = np.zeros((1, len(study.populations)))
    cells = dict(
        zip(study.populations, cells_per_ul(tree_of(study), middle, middle)[0], strict=True)
    )
    cells[ROOT] = sum(cells[name] for name, p in study.populations.items() if p.part_of == ROOT)
    rows = []
    for name in study.reported:
        own = study.populations[name]
        percent = 100 * cells[name] / cells[own.parent]
        sizes = (
            f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in (cells[name], percent)
        )
        spreads = (f"{own.between:g}", f"{own.within:g}")
        rows.append((name, own.parent, *sizes, *spreads, own.source))
    return _table(_POPULATIONS, rows)


def effect_table(description: Mapping[str, Any]) -> list[str]:
    """Set out what the presets of a study change.

    Parameters
    ----------
    description
        What `load_description` returns.

    Returns
    -------
    list of str
        Lines of a Markdown table, one per row of ``treatments.tsv``.
    """
    rows = []
    for row in description["presets"]:
        what = {CELLS: "cells/µl", CLINICAL: row["name"]}.get(
            row["kind"], f"{row['kind']} {row['name']}"
        )
        by = _change(row, description["clinical"])
        what_else = (row["populations"], by, row["from_day"], row["follows"].replace("_", " "))
        rows.append((row["treatment"], what, *what_else, row["source"]))
    return _table(_EFFECTS, rows)


def write_tables(study: Path, document: Path) -> None:
    """Replace the tables of a document by those of a study.

    Parameters
    ----------
    study
        The description.
    document
        Markdown with a pair of comments around each table, such as
        ``<!-- populations: begin -->`` and ``<!-- populations: end -->``.
    """
    description = load_description(study)
    text = document.read_text(encoding="utf-8")
    tables = {
        "populations": population_table(description),
        "effects": effect_table(description),
    }
    for name, lines in tables.items():
        begin, end = (f"<!-- {name}: {place} -->" for place in ("begin", "end"))
        before, rest = text.split(begin)
        text = "\n".join([before + begin, *lines, end + rest.split(end)[1]])
    with written_whole(document) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _change(row: Mapping[str, str], clinical: Mapping[str, Mapping[str, Any]]) -> str:
    if row["kind"] == CLINICAL and clinical[row["name"]]["scale"] == "linear":
        return f"{float(row['change']):+g}"
    factor = row["kind"] in (CELLS, CLINICAL)
    return f"× {row['change']}" if factor else f"{float(row['change']):+g} log2"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    ruler = ["---"] * len(header)
    return [f"| {' | '.join(row)} |" for row in (header, ruler, *rows)]
