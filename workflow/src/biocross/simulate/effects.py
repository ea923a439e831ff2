"""What treatments change, and how much of it happens in a patient at a visit."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CELLS, MARKER, GENE, CLINICAL = KINDS = ("cells", "marker", "gene", "clinical")
RESPONSE, STEROID_TAPER = FOLLOWED = ("response", "steroid_taper")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Effect:
    """One planted change, from a day of the treatment until another of the same thing replaces it.

    `change` is a factor of the cells per µl (and of clinical values on the log scale), log2 of the
    expression of a marker or gene, and in units of other clinical values. `preset` is the row's
    treatment in the table of presets; effects of several presets add up.
    """

    kind: str
    population: str
    name: str
    change: float
    from_day: int
    follows: str
    preset: str


@dataclass(frozen=True)
class State:
    """How much of the effects happens: `response` in units of the mean one, `taper` of the dose."""

    response: float = 1.0
    taper: float = 0.0


def acting(effects: Iterable[Effect], kind: str, day: int) -> tuple[Effect, ...]:
    """Choose the effects of a kind that act on a day.

    Parameters
    ----------
    effects
        Of a treatment.
    kind
        One of `KINDS`.
    day
        After the first visit.

    Returns
    -------
    tuple of Effect
        The latest of each preset, population and name.
    """
    latest: dict[tuple[str, str, str, str], Effect] = {}
    for effect in sorted(effects, key=lambda one: one.from_day):
        if effect.kind == kind and effect.from_day <= day:
            latest[effect.preset, effect.population, effect.name, effect.follows] = effect
    return tuple(latest.values())


def share_of(effect: Effect, state: State) -> float:
    """Tell how much of an effect, on its log scale, happens in a state."""
    if effect.follows == RESPONSE:
        return state.response
    return state.taper if effect.follows == STEROID_TAPER else 1.0
