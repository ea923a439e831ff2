"""Reading what a study says of its visits, treatments, and who is enrolled and stays."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from biocross.cohort.sheets import did_you_mean
from biocross.errors import ConfigError
from biocross.simulate.effects import CELLS, CLINICAL, FOLLOWED, GENE, KINDS, MARKER, Effect
from biocross.simulate.model import (
    MissingFollowUps,
    Response,
    Selection,
    Treatment,
    Visit,
)
from biocross.simulate.sections import Section, as_number, require_known


class Known(NamedTuple):
    """What effects may be on: populations, and names by kind of effect."""

    populations: Collection[str]
    names: Mapping[str, Collection[str]]


def known_things(
    populations: Collection[str],
    markers: Collection[str],
    genes: Collection[str],
    clinical: Collection[str],
) -> Known:
    """Collect what a study has, that effects may be on."""
    return Known(populations, {CELLS: (), MARKER: markers, GENE: genes, CLINICAL: clinical})


def read_visit(entry: Section) -> Visit:
    """Read when a visit takes place."""
    visit = Visit(entry.whole("day"), entry.whole("spread_days", 0))
    entry.finish()
    return visit


def read_treatments(top: Section, visits: Iterable[str], known: Known) -> dict[str, Treatment]:
    """Read the arms of a study, with the effects of their presets and their own.

    Parameters
    ----------
    top
        The description, of which ``treatments`` and ``presets`` are taken.
    visits
        Names of the visits.
    known
        What effects may be on. Rows of the table on what the study does not have are left out; of
        an arm's own effects they are a mistake.

    Returns
    -------
    dict of str to Treatment
        By name.
    """
    presets: dict[str, list[Effect]] = {}
    rows = top.sections_in_list("presets") if "presets" in top.names() else []
    for row in rows:
        name = row.text("treatment")
        presets.setdefault(name, []).extend(_effects(row, name, known, skip=True))
    return {
        name: _treatment(name, entry, visits, presets, known)
        for name, entry in top.sections("treatments").items()
    }


def read_response(entry: Section) -> Response:
    """Read how patients respond."""
    response = Response(
        resistant_share=entry.number("resistant_share", high=1),
        resistant=entry.number("resistant", high=1),
        spread=entry.number("spread", high=0.5),
    )
    entry.finish()
    return response


def read_missing(top: Section) -> MissingFollowUps:
    """Read ``missing_follow_ups``: a chance, or one each for responders and resistant patients."""
    value = top.take("missing_follow_ups", 0)
    where = top.place("missing_follow_ups")
    if not isinstance(value, Mapping):
        chance = as_number(value, where, 0, 0.9)
        return MissingFollowUps(chance, chance)
    entry = Section(value, where)
    missing = MissingFollowUps(
        entry.number("responders", high=0.9), entry.number("resistant", high=0.9)
    )
    entry.finish()
    return missing


def read_selection(top: Section, populations: Iterable[str]) -> Selection | None:
    """Read ``selection``: the population and its least number of cells per µl, or nothing."""
    value = top.take("selection", None)
    if value is None:
        return None
    entry = Section(value, top.place("selection"))
    selection = Selection(entry.choice("population", populations), entry.number("at_least"))
    entry.finish()
    return selection


def _treatment(
    name: str,
    entry: Section,
    visits: Iterable[str],
    presets: Mapping[str, Sequence[Effect]],
    known: Known,
) -> Treatment:
    patients = entry.whole("patients")
    lacking = entry.section("without_visit", {})
    for visit in lacking.names():
        require_known(visit, visits, entry.place("without_visit"))
    own = entry.sections_in_list("effects") if "effects" in entry.names() else []
    effects = [effect for row in own for effect in _effects(row, "", known, skip=False)]
    named = entry.take("presets", None)
    if named is None and name not in presets and not own:
        raise ConfigError(
            f"{entry.place('presets')}: no preset is called {name}{did_you_mean(name, presets)}; "
            "write `presets: []` if nothing shall change"
        )
    for preset in _named_presets(entry, named, [name] if name in presets else []):
        require_known(preset, presets, entry.place("presets"))
        effects += presets[preset]
    treatment = Treatment(
        patients, {visit: lacking.whole(visit) for visit in lacking.names()}, tuple(effects)
    )
    entry.finish()
    return treatment


def _named_presets(entry: Section, named: Any, default: list[str]) -> list[str]:
    if named is None:
        return default
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise ConfigError(f"{entry.place('presets')} must be a list of names, not {named!r}")
    return named


def _effects(row: Section, preset: str, known: Known, skip: bool) -> Iterator[Effect]:
    """Read a row of effects: one for every population that it names."""
    kind = row.choice("kind", KINDS)
    populations = _listed(row.take("populations", ""))
    name = str(row.take("name", "") or "")
    change = _as_given(row, "change", low=1e-6 if kind == CELLS else -100)
    from_day = _as_given(row, "from_day", low=1, default=1)
    follows = str(row.take("follows", "") or "")
    row.take("source", "")
    row.finish()
    if follows:
        require_known(follows, FOLLOWED, row.place("follows"))
    if kind == CLINICAL:
        populations = [""]
    if (kind == CELLS) == bool(name) or not populations:
        raise ConfigError(
            f"{row.place('kind')}: {kind} needs "
            + ("populations and no name" if kind == CELLS else "a name, and its populations")
        )
    for population in populations:
        missing = [
            (value, among, key)
            for value, among, key in (
                (population, known.populations, "populations"),
                (name, known.names[kind], "name"),
            )
            if value and value not in among
        ]
        if missing and skip:
            continue
        for value, among, key in missing:
            require_known(value, among, row.place(key))
        yield Effect(kind, population, name, change, int(from_day), follows, preset)


def _listed(value: Any) -> list[str]:
    names = value if isinstance(value, list) else str(value or "").split(",")
    return [str(name).strip() for name in names if str(name).strip()]


def _as_given(row: Section, key: str, low: float, default: Any = ...) -> float:
    """Take a number that a table gives as text."""
    value = row.take(key, default)
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            value = value or default
    return as_number(value, row.place(key), low)
