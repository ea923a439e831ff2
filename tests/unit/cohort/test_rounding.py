import pytest

from biocross.cohort.rounding import coarse_step, rounding_cautions
from biocross.cohort.sheets import SheetRow


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ([100, 200, 0, 300, 100, 400, 200], 100),
        ([110, 230, 40, 90, 300, 150, 0], 0),  # steps of ten, of which nobody minds
        ([6100, 5200, 7300, 6600, 5900, 8000], 0),
        ([100, 200, 300], 0),  # chance
        ([100.5, 200, 300, 100, 200, 400], 0),
        ([0, 0, 0, 0, 0, 0, 0], 0),
    ],
)
def test_steps_that_are_a_tenth_of_the_median_or_more(values, step):
    assert coarse_step(values) == step


def test_the_column_is_named_with_its_zeros():
    counts = [100, 200, 0, 300, 100, 400, 200]
    rows = [
        SheetRow(number, {"eosinophils_per_ul": value, "act_score": 10, "leukocytes_per_ul": 5003})
        for number, value in enumerate(counts, 2)
    ]
    (problem,) = rounding_cautions("clinical.tsv", rows)
    assert not problem.is_error
    assert '"eosinophils_per_ul" comes in steps of 100' in problem.message
    assert "1 of 7 are 0, which may be up to 50" in problem.message
