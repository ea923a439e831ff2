import pytest

from biocross.cohort.phenotypes import Sign, parse_words
from biocross.errors import ConfigError


def test_levels_and_names():
    words = parse_words("CD3- CD14lo CD4+ CD56hi HLA-DR- TCR_Va7.2+")
    assert [word.choices for word in words] == [
        ((Sign("CD3", "-"),),),
        ((Sign("CD14", "lo"),),),
        ((Sign("CD4", "+"),),),
        ((Sign("CD56", "hi"),),),
        ((Sign("HLA-DR", "-"),),),
        ((Sign("TCR_Va7.2", "+"),),),
    ]
    present = [word.choices[0][0].is_present for word in words]
    assert present == [False, False, True, True, False, True]
    assert str(words[3].choices[0][0]) == "CD56hi"
    assert parse_words("") == ()


def test_first_in_the_panel_and_either():
    (word,) = parse_words("CD14+/CD16+>CD33hi")
    assert word.in_panel({"CD14", "CD16", "CD33"}) == (Sign("CD14", "+"), Sign("CD16", "+"))
    assert word.in_panel({"CD16", "CD33"}) == (Sign("CD16", "+"),)
    assert word.in_panel({"CD33"}) == (Sign("CD33", "hi"),)
    assert word.in_panel({"CD3"}) == ()
    assert word.markers == ("CD14", "CD16", "CD33")


def test_optional():
    sure, optional = parse_words("CD3+ TCRgd-?")
    assert not sure.optional
    assert optional.optional
    assert optional.in_panel({"TCRgd"}) == (Sign("TCRgd", "-"),)


@pytest.mark.parametrize("word", ["CD3", "+", "hi", "-", "CD3+/", "CD3+>", "CD3++>CD4", "CD3?"])
def test_words_without_marker_or_level(word):
    with pytest.raises(ConfigError, match="must be a marker followed by -, lo"):
        parse_words(f"CD19- {word}")


@pytest.mark.parametrize("pair", ["CD3- CD3+", "CD3+ CD3-", "CD3hi CD3-", "CD3lo CD3hi"])
def test_contradiction(pair):
    with pytest.raises(ConfigError, match="no cell is both"):
        parse_words(f"CD19- {pair}")


def test_dim_is_no_contradiction():
    assert len(parse_words("CD14+ CD14lo")) == 2
    assert len(parse_words("CD14+/CD16+ CD14-")) == 2
