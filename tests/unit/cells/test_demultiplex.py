import numpy as np
import pytest

from biocross.cells.demultiplex import DOUBLET, NEGATIVE, UNCERTAIN, demultiplex
from biocross.cells.hashtags import by_column, by_hashtags, same_tag_share, whole_library


def pool(shares, n=3000, signal=200.0, background=6.0, doublets=0.05, negatives=0.02, seed=0):
    """Hashtag counts of a pool, and the true tag of every cell."""
    random = np.random.default_rng(seed)
    k, rows = len(shares), np.arange(n)
    tag, other = random.choice(k, n, p=shares), random.choice(k, n, p=shares)
    doubled = (random.random(n) < doublets) & (tag != other)
    bare = (random.random(n) < negatives) & ~doubled
    means = background * random.lognormal(0, 0.5, (n, k))
    means[rows, tag] += np.where(bare, 0, signal * random.lognormal(0, 0.5, n))
    means[rows[doubled], other[doubled]] += signal * random.lognormal(0, 0.5, doubled.sum())
    means *= random.lognormal(0, 0.4, n)[:, None]
    truth = np.where(doubled, DOUBLET, np.where(bare, NEGATIVE, tag))
    return random.poisson(means).astype(np.int32), truth


@pytest.mark.parametrize("n_tags", [2, 3, 4, 8])
def test_well_separated_hashtags_are_told(n_tags):
    counts, truth = pool(np.full(n_tags, 1 / n_tags))
    result = demultiplex(counts)
    singlet, called = truth >= 0, result.tag >= 0
    assert (result.tag[called] == truth[called]).mean() > 0.99
    assert (result.tag[singlet] == truth[singlet]).mean() > 0.98
    assert (result.tag[truth == DOUBLET] == DOUBLET).mean() > 0.75
    assert (result.tag[truth == DOUBLET] < 0).mean() > 0.94
    assert (result.tag[truth == NEGATIVE] == NEGATIVE).mean() > 0.6
    assert (result.separation > 4).all()


@pytest.mark.parametrize("shares", [[0.95, 0.05], [0.91, 0.03, 0.03, 0.03]])
def test_a_dominating_hashtag_hides_no_other(shares):
    counts, truth = pool(shares)
    result = demultiplex(counts)
    rare = truth == 1
    assert (result.tag[rare] == 1).mean() > 0.95
    assert (result.tag[truth == 0] == 0).mean() > 0.98


def test_a_hashtag_on_no_cell_gets_none():
    counts, truth = pool([0.4, 0.3, 0.3, 0.0])
    result = demultiplex(counts)
    assert result.found.tolist() == [True, True, True, False]
    assert not (result.tag == 3).any()
    assert (result.tag[truth >= 0] == truth[truth >= 0]).mean() > 0.98


def test_many_unstained_cells_stay_negative():
    counts, truth = pool([0.25] * 4, negatives=0.4)
    result = demultiplex(counts)
    assert (result.tag[truth == NEGATIVE] == NEGATIVE).mean() > 0.9
    assert (result.tag[truth >= 0] == truth[truth >= 0]).mean() > 0.98


@pytest.mark.parametrize("n_tags", [2, 4])
def test_without_separation_nobody_is_assigned(n_tags):
    counts, _ = pool(np.full(n_tags, 1 / n_tags), signal=6.0)
    result = demultiplex(counts)
    assert not result.found.any()
    assert (result.tag == UNCERTAIN).all()


def test_order_of_hashtags_and_cells_does_not_matter():
    counts, _ = pool([0.5, 0.3, 0.2], n=600)
    straight = demultiplex(counts).tag
    turned = demultiplex(counts[::-1, ::-1]).tag[::-1]
    np.testing.assert_array_equal(np.where(turned >= 0, 2 - turned, turned), straight)


def test_an_empty_library_and_a_tiny_one():
    assert demultiplex(np.zeros((0, 3), np.int32)).tag.size == 0
    assert (demultiplex(np.zeros((5, 3), np.int32)).tag == UNCERTAIN).all()
    counts, truth = pool([0.5, 0.5], n=20, doublets=0, negatives=0)
    assert (demultiplex(counts).tag == truth).all()


def test_one_hashtag_cannot_be_demultiplexed():
    with pytest.raises(ValueError, match="two hashtags"):
        demultiplex(np.zeros((5, 1), np.int32))


NAMES = ["HTO1", "HTO2", "HTO3", "HTO4"]
TAGS = {f"S{i}": f"HTO{i}" for i in range(1, 5)}


def checks(calls):
    return {check: words for check, _, _, words in calls.doubts}


def test_a_good_pool_has_no_doubts():
    counts, truth = pool([0.25] * 4)
    calls = by_hashtags(counts, NAMES, TAGS, rate=0.04)
    assert calls.doubts == []
    first = truth == 0
    assert (calls.sample[first] == "S1").mean() > 0.98
    assert set(calls.call) == {*NAMES, "negative", "doublet", "uncertain"}
    assert (calls.sample[np.isin(calls.call, ["negative", "doublet", "uncertain"])] == "").all()
    assert calls.posterior[calls.call == "doublet"].min() >= 0.8


def test_a_sample_whose_hashtag_no_cell_carries_is_named():
    counts, _ = pool([0.4, 0.3, 0.3, 0.0])
    calls = by_hashtags(counts, NAMES, TAGS, 0.04)
    assert "S4 has no cells" in checks(calls)["hashtag_absent"]


def test_a_hashtag_that_the_sheet_does_not_know_is_named():
    counts, _ = pool([0.25] * 4)
    calls = by_hashtags(counts, NAMES, {"S1": "HTO1", "S2": "HTO2", "S3": "HTO3"}, 0.04)
    assert "carry HTO4, which no sample" in checks(calls)["hashtag_unknown"]
    assert (calls.sample[calls.call == "HTO4"] == "").all()


def test_a_misspelt_hashtag_is_named_with_the_nearest():
    counts, _ = pool([0.25] * 4)
    calls = by_hashtags(counts, NAMES, {**TAGS, "S4": "HT04"}, 0.04)
    said = checks(calls)["hashtag_missing"]
    assert 'S4 has no cells: its hashtag "HT04"' in said
    assert "did you mean" in said


def test_shares_out_of_proportion_are_said():
    dominated = by_hashtags(pool([0.91, 0.03, 0.03, 0.03])[0], NAMES, TAGS, 0.04)
    assert "of the cells carry HTO1" in checks(dominated)["hashtag_dominating"]
    bare = by_hashtags(pool([0.25] * 4, negatives=0.4)[0], NAMES, TAGS, 0.04)
    assert "carry no hashtag" in checks(bare)["hashtag_negative"]
    doubled = by_hashtags(pool([0.25] * 4, doublets=0.4)[0], NAMES, TAGS, 0.04)
    assert "3.0% are expected" in checks(doubled)["hashtag_doublets"]


def test_weak_stains_are_said():
    close = by_hashtags(pool([0.25] * 4, signal=60, background=8)[0], NAMES, TAGS, 0.04)
    assert "is close to its background" in checks(close)["hashtag_close"]
    bad = by_hashtags(pool([0.25] * 4, signal=6)[0], NAMES, TAGS, 0.04)
    assert bad.note.startswith("not_possible")
    assert (bad.sample == "").all()


def test_few_cells_of_a_sample_are_said():
    counts, _ = pool([0.49, 0.49, 0.02], n=400)
    calls = by_hashtags(counts, NAMES[:3], {k: TAGS[k] for k in ("S1", "S2", "S3")}, 0.003)
    assert "few carry HTO3" in checks(calls)["hashtag_few"]


def test_samples_by_a_column_of_the_file():
    calls = by_column(np.array(["a", "b", "a", "x"]), "donor", {"S1": "a", "S2": "b", "S3": "c"})
    assert calls.sample.tolist() == ["S1", "S2", "S1", ""]
    assert "S3" in checks(calls)["hashtag_absent"]


def test_a_library_of_one_sample():
    calls = whole_library("S1", 3)
    assert calls.sample.tolist() == ["S1"] * 3
    assert calls.note.startswith("not_possible")


def test_doublets_of_one_hashtag_do_not_show():
    assert same_tag_share(np.array([0, 0, 1, 1, DOUBLET]), 2) == pytest.approx(0.5)
    assert same_tag_share(np.array([NEGATIVE]), 2) == 1.0
