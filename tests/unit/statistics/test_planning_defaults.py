from types import SimpleNamespace

import numpy as np
import pytest

from biocross.errors import ConfigError
from biocross.simulate.model import ROOT
from biocross.statistics import planning_defaults
from biocross.statistics.planning import Wishes, plan
from biocross.statistics.planning_defaults import EVENTS, STAINING_SD, assumed_variation

# Name, part of, parent, size, SD within and between.
BLOOD = (
    ("granulocytes", ROOT, ROOT, 4_000, 0.16, 0.3),
    ("lymphocytes", ROOT, ROOT, 2_000, 0.14, 0.25),
    ("CD4", "lymphocytes", "lymphocytes", 0.6, 0.05, 0.1),
    ("CD8", "lymphocytes", "lymphocytes", 0.4, 0.2, 0.2),
    ("memory", "CD4", "CD4", 0.5, 0.1, 0.2),
    ("naive", "CD4", "CD4", 0.5, 0.15, 0.2),
    ("Th2", "memory", "CD4", 0.04, 0.2, 0.4),
    ("others", "memory", "CD4", 0.96, 0.05, 0.1),
)


@pytest.fixture
def study(monkeypatch, tmp_path):
    """A study of a few populations, in place of the shipped one."""
    names = ("part_of", "parent", "size", "within", "between")
    populations = {
        name: SimpleNamespace(**dict(zip(names, entry, strict=True))) for name, *entry in BLOOD
    }

    def lineage_of(name):
        return (name,) if name == ROOT else (name, *lineage_of(populations[name].part_of))

    described = SimpleNamespace(
        populations=populations, reported=tuple(populations)[:-1], lineage_of=lineage_of
    )
    monkeypatch.setattr(planning_defaults, "read_study", lambda _: described)
    path = tmp_path / "study.yaml"
    path.touch()
    return path


def shares(rng, which, n=40_000):
    """Draw the share of each population in its parent, its sizes varying by SDs of one kind."""
    cells = {ROOT: np.ones(n)}
    sizes = {name: size * np.exp(rng.normal(0, sds[which], n)) for name, _, _, size, *sds in BLOOD}
    for name, whole, *_ in BLOOD:
        parts = sum(sizes[other] for other, place, *_ in BLOOD if place == whole)
        cells[name] = cells[whole] * sizes[name] / parts
    return {name: cells[name] / cells[parent] for name, _, parent, *_ in BLOOD}


def test_variation_adds_up_along_the_wholes(study):
    drawn = shares(np.random.default_rng(1), 0)
    for one in assumed_variation((), study).variations:
        share = drawn[one.population]
        visit = np.log(share / (1 - share)).std()
        expected = np.sqrt(2 * (visit**2 + STAINING_SD**2))
        assert one.change_sd == pytest.approx(expected, rel=0.03), one.population
        assert one.share == pytest.approx(np.median(share), rel=0.02)


def test_patients_differ_as_described(study):
    drawn = shares(np.random.default_rng(2), 1)
    for one in assumed_variation((), study).variations:
        share = one.counts / one.totals
        expected = np.log(drawn[one.population] / (1 - drawn[one.population])).std()
        assert np.log(share / (1 - share)).std() == pytest.approx(expected, rel=0.06)
    lymphocytes = next(v for v in assumed_variation((), study).variations if v.population == "CD4")
    np.testing.assert_allclose(lymphocytes.totals, EVENTS / 3)


def test_primary_populations_make_the_family(study):
    basis = assumed_variation({"Th2", "CD8", "ILC2"}, study)
    assert basis.family == 2
    assert {one.population for one in basis.variations if one.primary} == {"Th2", "CD8"}
    assert "others" not in {one.population for one in basis.variations}


def test_without_the_shipped_study_a_pilot_is_asked_for(tmp_path):
    with pytest.raises(ConfigError, match="--results"):
        assumed_variation((), tmp_path / "study.yaml")


def test_the_shipped_study_can_be_planned_with():
    basis = assumed_variation({"ILC2", "Th2", "Tc2", "eosinophils"})
    assert basis.family == 4
    prospects = plan(basis, Wishes((1.5,), (20,), 0.15))
    found = {one.variation.population: one for one in prospects if one.variation.primary}
    # A rise by half takes some ten patients, not three and not a hundred.
    assert all(6 <= one.needed(0.8)[0, 0] <= 30 for one in found.values())
