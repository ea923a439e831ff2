"""Adults before and after BCG revaccination (Gela 2022): MAIT, NKT and GEM did not change.

The table has faults that a user's table may have: `nkt` repeats `cd1b` in most rows, and one adult
has no visit after in most populations.
"""

import csv

import pytest
from long_tables import TableStudy, one

from biocross.errors import ConfigError

pytestmark = pytest.mark.data
PUBLISHED = ("mait", "nkt", "gem")


@pytest.fixture(scope="module")
def frequencies(test_data):
    with (test_data / "gela_bcg" / "data_tidy_freq.csv").open(newline="") as lines:
        return [row for row in csv.DictReader(lines) if row["pop"] != "pop"]


def as_rows(frequencies, visits):
    return [
        {"patient_id": f["pid"], "visit": f["bcg"], "population": f["pop"], "percent": f["freq"]}
        for f in frequencies
        if f["bcg"] in visits
    ]


@pytest.fixture(scope="module")
def adults(frequencies):
    return as_rows(frequencies, ("before", "after"))


@pytest.fixture(scope="module")
def changes(adults, tmp_path_factory):
    patients = {row["patient_id"]: "BCG" for row in adults}
    folder = tmp_path_factory.mktemp("gela")
    return TableStudy(folder, adults, patients, ("before", "after")).changes()


@pytest.mark.parametrize("population", PUBLISHED)
def test_published_populations_are_not_shown_to_change(changes, population):
    row = one(changes, population=population, readout="percent_of_parent")
    assert row["status"] == "tested"
    assert row["q_value"] >= 0.05
    assert row["wilcoxon_p"] >= 0.05
    assert row["effect_low"] < 1 < row["effect_high"]


@pytest.mark.parametrize("population", PUBLISHED)
def test_adult_without_a_second_visit_is_counted(changes, population):
    row = one(changes, population=population, readout="percent_of_parent")
    assert (row["n_pairs"], row["n_incomplete"]) == (24, 1)


def test_column_that_was_copied_is_seen_in_its_numbers(adults):
    """In most rows `nkt` is `cd1b`: the two are one measurement, not two findings."""
    values = {(r["patient_id"], r["visit"], r["population"]): r["percent"] for r in adults}
    pairs = [(values[p, v, "cd1b"], value) for (p, v, name), value in values.items()
             if name == "nkt"]  # fmt: skip
    equal = sum(a == b for a, b in pairs)
    assert equal / len(pairs) > 0.5


def test_zeros_are_read_at_half_the_rounding_unit(changes):
    row = one(changes, population="mait", readout="percent_of_parent")
    assert "percentages without counts (zero read as " in row["note"]


def test_infants_of_the_two_arms_are_other_children(frequencies, tmp_path):
    """Vaccinated against not: nobody was measured in both, and nothing is compared."""
    infants = as_rows(frequencies, ("no bcg", "bcg"))
    patients = {row["patient_id"]: "BCG" for row in infants}
    changes = TableStudy(tmp_path, infants, patients, ("no bcg", "bcg")).changes()
    assert set(changes["status"]) == {"no_pairs"}
    assert set(changes["n_incomplete"]) == {len(patients)} == {75}


def test_rows_given_twice_are_refused_one_by_one(adults, tmp_path):
    twice = [*adults, *adults[:30]]
    patients = {row["patient_id"]: "BCG" for row in adults}
    with pytest.raises(ConfigError) as caught:
        TableStudy(tmp_path, twice, patients, ("before", "after")).changes()
    _, *lines = str(caught.value).splitlines()
    assert len(lines) == 30
    assert f"frequencies.tsv row {len(adults) + 2}: repeats row 2: the same population" in lines[0]
    assert all(line.endswith("keep one of them") for line in lines)
