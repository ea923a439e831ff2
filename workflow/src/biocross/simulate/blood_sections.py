"""Reading what a study says of populations of cells, and how these look."""

from collections.abc import Iterable, Mapping

from biocross.errors import ConfigError
from biocross.simulate.model import ROOT, CellType, Population
from biocross.simulate.sections import Section, read_stains


def read_cell_type(entry: Section) -> CellType:
    """Read the scatter and the autofluorescence of a kind of cell."""
    cell_type = CellType(
        fsc=(entry.number("fsc", low=1), entry.number("fsc_cv", high=2)),
        ssc=(entry.number("ssc", low=1), entry.number("ssc_cv", high=2)),
        autofluorescence=entry.number("autofluorescence"),
    )
    entry.finish()
    return cell_type


def read_populations(
    entries: Mapping[str, Section], cell_types: Iterable[str], markers: Iterable[str]
) -> dict[str, Population]:
    """Read the populations, wholes before their parts, which have the looks of their whole.

    Parameters
    ----------
    entries
        By name.
    cell_types, markers
        What there is.

    Returns
    -------
    dict of str to Population
        By name.
    """
    populations: dict[str, Population] = {}
    for name, entry in entries.items():
        part_of = entry.choice("part_of", [ROOT, *populations])
        whole = populations.get(part_of)
        populations[name] = Population(
            part_of=part_of,
            parent=entry.choice("parent", [ROOT, *populations], part_of),
            size=entry.number("share" if whole else "cells_per_ul", low=1e-9),
            limits=entry.span("limits", [0.0, float("inf")]),
            between=entry.number("between", high=3),
            within=entry.number("within", high=3),
            remainder=bool(entry.take("remainder", False)),
            cell_type=entry.choice("cell_type", cell_types, whole.cell_type if whole else ...),
            source=str(entry.take("source", "")),
            stains={**(whole.stains if whole else {}), **read_stains(entry, markers)},
        )
        entry.finish()
        _require_ancestor(populations[name], populations, entry.place("parent"))
    _require_remainders(populations, entries)
    return populations


def _require_ancestor(
    population: Population, populations: Mapping[str, Population], where: str
) -> None:
    chain = [population.part_of]
    while chain[-1] != ROOT:
        chain.append(populations[chain[-1]].part_of)
    if population.parent not in chain:
        raise ConfigError(f'{where}: "{population.parent}" must be one of {", ".join(chain)}')


def _require_remainders(
    populations: Mapping[str, Population], entries: Mapping[str, Section]
) -> None:
    for name, population in populations.items():
        if sum(other.part_of == population.part_of for other in populations.values()) == 1:
            raise ConfigError(
                f'{entries[name].place("part_of")}: {name} is all of "{population.part_of}", so '
                "that its percentage cannot change; describe the remainder too"
            )
