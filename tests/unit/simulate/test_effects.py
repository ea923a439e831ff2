import pytest

from biocross.simulate.effects import (
    CELLS,
    CLINICAL,
    RESPONSE,
    STEROID_TAPER,
    Effect,
    State,
    acting,
    share_of,
)


def effect(change, from_day=1, kind=CELLS, population="ILC2", name="", follows="", preset="drug"):
    return Effect(kind, population, name, change, from_day, follows, preset)


def test_an_effect_acts_from_its_day_until_the_next():
    early, late = effect(1.4), effect(1.0, from_day=240)
    assert acting([late, early], CELLS, 0) == ()
    assert acting([late, early], CELLS, 122) == (early,)
    assert acting([late, early], CELLS, 365) == (late,)


def test_only_effects_on_the_same_thing_replace_each_other():
    effects = [
        effect(1.4),
        effect(2.0, population="Th2", from_day=9),
        effect(3.0, preset="other drug", from_day=9),
        effect(4.0, follows=STEROID_TAPER, from_day=9),
    ]
    assert len(acting(effects, CELLS, 10)) == 4
    assert acting(effects, CLINICAL, 10) == ()


def test_as_much_happens_as_the_state_says():
    state = State(response=0.3, taper=0.5)
    shares = {f: share_of(effect(2, follows=f), state) for f in ("", RESPONSE, STEROID_TAPER)}
    assert shares == pytest.approx({"": 1, RESPONSE: 0.3, STEROID_TAPER: 0.5})
