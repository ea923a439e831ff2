import numpy as np
import pytest
from long_tables import LongTables, fill

from biocross.errors import ConfigError
from biocross.report.plan_answer import answer_plan
from biocross.statistics.planning import Wishes
from biocross.tables import read_rows

WISHES = Wishes((1.5, 20.0), (8, 30), 0.15)


@pytest.fixture
def tables(tmp_path):
    tables = LongTables(tmp_path)
    tables.name_primary("pop_1", **{f"pop_{k}": "leukocytes" for k in (0, 2, 3, 4, 5, 6, 7)})
    fill(tables, np.random.default_rng(1), 9)
    return tables


def test_the_answer_is_that_of_the_table(tables, tmp_path):
    answer = answer_plan(WISHES, tmp_path / "plan", tables.results(), tables.populations)
    rows = read_rows(tmp_path / "plan" / "plan_patients.tsv")
    row = next(row for row in rows if (row["population"], row["fold"]) == ("pop_1", "1.5"))
    assert row["primary"] == "yes"
    single, family = (
        f"{row[which]} ({row[f'{which}_low']} to {row[f'{which}_high']})"
        for which in ("patients_80", "patients_80_family")
    )
    expected = f"  × 1.5: {single} patients [{family}]"
    assert expected in answer
    assert "pop 1 (of leukocytes)" in answer
    assert "pop 2 (of leukocytes)" not in answer
    assert any(line.startswith("  × 20: not possible; × 20 of ") for line in answer)
    assert "15 % of the patients without a second visit" in answer[1]
    assert {path.name for path in (tmp_path / "plan").iterdir()} == {
        *("plan.tsv", "plan_patients.tsv", "plan.pdf", "plan.svg", "plan.png")
    }


def test_events_and_family_are_those_asked_for(tables, tmp_path):
    wishes = WISHES._replace(events=1e6, family=9)
    answer = "\n".join(answer_plan(wishes, tmp_path / "p", tables.results(), tables.populations))
    assert "1,000,000 events per sample" in answer
    assert "one of 9 primary tests" in answer


def test_percentages_alone_are_planned_for_as_many_events(tables, tmp_path):
    for row in tables.counts:
        del row["count"], row["parent_count"]
    answer = answer_plan(WISHES, tmp_path / "p", tables.results(), tables.populations)
    assert answer[1].startswith("As many events per sample as then")
    assert any(line.startswith("  × 1.5: ") and "patients [" in line for line in answer)


def test_nothing_is_written_where_something_is_wrong(tables, tmp_path):
    with pytest.raises(ConfigError, match="--fold"):
        answer_plan(WISHES._replace(folds=(1.0,)), tmp_path / "plan")
    with pytest.raises(ConfigError, match="give --results too"):
        answer_plan(WISHES, tmp_path / "plan", source="gate")
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        answer_plan(WISHES, tmp_path / "plan", populations=tmp_path / "nowhere.yaml")
    assert not (tmp_path / "plan").exists()
    (tmp_path / "plan").touch()
    with pytest.raises(ConfigError, match="is a file; name a folder"):
        answer_plan(WISHES, tmp_path / "plan")
