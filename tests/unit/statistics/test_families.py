import numpy as np
from scipy import stats

from biocross.statistics.families import correct_families, exploratory


def rows_of(**families):
    return [
        {"family": family, "status": "tested", "p_value": p}
        for family, p_values in families.items()
        for p in p_values
    ]


def test_family_is_named_by_what_its_members_share():
    row = {"treatment": "dupilumab", "contrast": "month_4 - baseline", "population": "ILC2"}
    assert exploratory(row, "treatment", "contrast") == "exploratory: dupilumab, month_4 - baseline"


def test_q_values_of_each_family_alone():
    rng = np.random.default_rng(21)
    p_values = {"one": rng.uniform(size=7), "two": rng.uniform(size=3) / 50}
    rows = rows_of(**p_values)
    rng.shuffle(rows)
    families = correct_families(rows)
    assert {name: len(members) for name, members in families.items()} == {"one": 7, "two": 3}
    for name, p in p_values.items():
        expected = dict(zip(p, stats.false_discovery_control(p), strict=True))
        for row in families[name]:
            assert np.isclose(row["q_value"], expected[row["p_value"]])


def test_what_was_not_tested_is_no_test():
    rows = rows_of(one=[0.01, 0.02])
    rows += [
        {"family": "one", "status": "too_few_events", "p_value": 1e-9},
        {"family": "one", "status": "no_pairs"},
    ]
    (members,) = correct_families(rows).values()
    assert len(members) == 2
    assert [row.get("q_value") for row in rows] == [0.02, 0.02, None, None]


def test_nothing_tested():
    assert correct_families([{"family": "one", "status": "no_pairs"}]) == {}
