"""From hashtag calls to the samples of a library, with what casts doubt on the calls."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cells.demultiplex import (
    DOUBLET,
    MIN_SEPARATION,
    NEGATIVE,
    UNCERTAIN,
    Demultiplexed,
    demultiplex,
)
from biocross.cohort.sheets import counted, did_you_mean

CALL_NAMES = {NEGATIVE: "negative", DOUBLET: "doublet", UNCERTAIN: "uncertain"}
GOOD_SEPARATION = 4.0
FEW_CELLS = 20
MANY_NEGATIVE, MANY_UNCERTAIN, DOMINATING = 0.20, 0.10, 0.80
# Share of the singlets from which a tag that the sheet does not know is more than stray cells.
STRAY_SHARE, STRAY_CELLS = 0.01, 10
EXPECTED_TO_JUDGE = 20

Doubt = tuple[str, str, float | None, str]


class SampleCalls(NamedTuple):
    """Which sample each cell is of.

    Parameters
    ----------
    sample
        Sample of each cell, empty where none is known, shape (cells,).
    call
        Hashtag of each cell, or ``negative``, ``doublet``, ``uncertain``; empty without hashtags.
    posterior
        Chance of the call, 1 where nothing had to be told apart, shape (cells,).
    doubts
        What casts doubt on the calls: check, hashtag, value, sentence.
    note
        How the samples were told apart, for the ledger.
    """

    sample: NDArray[np.str_]
    call: NDArray[np.str_]
    posterior: NDArray[np.float64]
    doubts: list[Doubt]
    note: str


def whole_library(sample: str, n_cells: int) -> SampleCalls:
    """Give all cells of a library to its one sample."""
    return SampleCalls(
        np.full(n_cells, sample),
        np.full(n_cells, ""),
        np.ones(n_cells),
        [],
        "not_possible: the library is of one sample",
    )


def by_column(values: NDArray[np.generic], column: str, tags: Mapping[str, str]) -> SampleCalls:
    """Take the samples from a column that the file has about its cells.

    Parameters
    ----------
    values
        The column, shape (cells,).
    column
        Its name, for the sentences.
    tags
        Value of the column by sample.

    Returns
    -------
    SampleCalls
        Cells of other values have no sample.
    """
    call = values.astype(str)
    sample = _sample_of(call, tags)
    present = set(call)
    doubts: list[Doubt] = [
        (
            "hashtag_absent",
            tag,
            0.0,
            f'no cell has the value "{tag}" in column {column}, so {owner} has none'
            f"{did_you_mean(tag, present)}",
        )
        for owner, tag in tags.items()
        if tag not in present
    ]
    return SampleCalls(sample, call, np.ones(call.size), doubts, f"by column {column} of the file")


def by_hashtags(
    counts: NDArray[np.int32], names: Sequence[str], tags: Mapping[str, str], rate: float
) -> SampleCalls:
    """Tell the samples of a pooled library by their hashtags, and judge how well that went.

    Parameters
    ----------
    counts
        Shape (cells, hashtags).
    names
        Of the hashtags.
    tags
        Hashtag by sample, as in the sheet.
    rate
        Expected share of doublets.

    Returns
    -------
    SampleCalls
        Negative and uncertain cells, doublets, and cells of a hashtag that the sheet does not know
        have no sample.
    """
    result = demultiplex(counts)
    call = np.array([*names, *CALL_NAMES.values()])[
        np.where(result.tag >= 0, result.tag, len(names) + _places(result.tag))
    ]
    certain = np.where(
        result.tag == DOUBLET,
        result.posterior[:, 2],
        np.where(result.tag == NEGATIVE, result.posterior[:, 0], result.posterior[:, 1]),
    )
    doubts = [
        *_missing_tags(names, tags),
        *_judge_tags(result, names, tags),
        *_judge_shares(result, names, rate),
    ]
    note = f"{counted(int((result.tag >= 0).sum()), 'cell')} with one hashtag, by HashSolo's model"
    if not result.found.any():
        note = "not_possible: no hashtag stands apart from its background"
    return SampleCalls(_sample_of(call, tags), call, certain, doubts, note)


def _places(tag: NDArray[np.intp]) -> NDArray[np.intp]:
    order = list(CALL_NAMES)
    return np.select([tag == code for code in order], range(len(order)), 0).astype(np.intp)


def _sample_of(call: NDArray[np.str_], tags: Mapping[str, str]) -> NDArray[np.str_]:
    sample = np.full(call.size, "", dtype=f"<U{max(map(len, tags), default=1)}")
    for owner, tag in tags.items():
        sample[call == tag] = owner
    return sample


def _missing_tags(names: Sequence[str], tags: Mapping[str, str]) -> list[Doubt]:
    return [
        (
            "hashtag_missing",
            tag,
            None,
            f'{owner} has no cells: its hashtag "{tag}" is not in the library'
            f"{did_you_mean(tag, names)}",
        )
        for owner, tag in tags.items()
        if tag not in names
    ]


def _judge_tags(
    result: Demultiplexed, names: Sequence[str], tags: Mapping[str, str]
) -> list[Doubt]:
    """Say which hashtags cannot be told from their background, are missing or unknown."""
    owner = {tag: sample for sample, tag in tags.items()}
    singlets = np.array([(result.tag == place).sum() for place in range(len(names))])
    stray = max(STRAY_CELLS, STRAY_SHARE * singlets.sum())
    doubts: list[Doubt] = []
    for tag, cells, apart in zip(names, singlets, result.separation, strict=True):
        is_found = apart >= MIN_SEPARATION
        if tag in owner and not (is_found and cells):
            said = f"no cell carries {tag}, so {owner[tag]} has no cells; was the tag stained?"
            if not is_found:
                said = f"{tag} does not stand apart from its background (separation {apart:.1f}, "
                said += f"{MIN_SEPARATION:.0f} is needed), so {owner[tag]} has no cells; was the "
                said += "tag stained and sequenced?"
            doubts.append(("hashtag_absent", tag, float(apart), said))
        elif tag in owner and cells < FEW_CELLS:
            said = f"{owner[tag]} has {counted(int(cells), 'cell')}: few carry {tag}"
            doubts.append(("hashtag_few", tag, float(cells), said))
        if tag in owner and is_found and apart < GOOD_SEPARATION:
            said = f"{tag} is close to its background (separation {apart:.1f}, below "
            said += f"{GOOD_SEPARATION:.0f}): some cells of {owner[tag]} are of other samples"
            doubts.append(("hashtag_close", tag, float(apart), said))
        if tag not in owner and is_found and cells >= stray:
            said = f"{counted(int(cells), 'cell')} carry {tag}, which no sample of this library "
            said += "has in samples.tsv; they stay without a sample"
            doubts.append(("hashtag_unknown", tag, float(cells), said))
    dominant = int(singlets.argmax()) if singlets.size else 0
    share = singlets[dominant] / singlets.sum() if singlets.sum() else 0.0
    if len(tags) > 1 and share > DOMINATING:
        said = f"{share:.0%} of the cells carry {names[dominant]}; were equal numbers pooled?"
        doubts.append(("hashtag_dominating", names[dominant], float(share), said))
    return doubts


def _judge_shares(result: Demultiplexed, names: Sequence[str], rate: float) -> list[Doubt]:
    """Say where there are too many cells without a call, or an unlikely number of doublets."""
    n_cells = result.tag.size
    if not n_cells or not result.found.any():
        return []
    doubts: list[Doubt] = []
    negative, uncertain = (float((result.tag == code).mean()) for code in (NEGATIVE, UNCERTAIN))
    if negative > MANY_NEGATIVE:
        said = f"{negative:.0%} of the cells carry no hashtag; they are lost to every sample"
        doubts.append(("hashtag_negative", "", negative, said))
    if uncertain > MANY_UNCERTAIN:
        said = f"{uncertain:.0%} of the cells cannot be given to one hashtag with a chance of 80 %"
        doubts.append(("hashtag_uncertain", "", uncertain, said))
    across = 1 - same_tag_share(result.tag, len(names))
    doublets, expected = float((result.tag == DOUBLET).mean()), rate * across
    judged = max(doublets, expected) * n_cells >= EXPECTED_TO_JUDGE
    if judged and not expected / 5 <= doublets <= 3 * expected:
        said = f"{doublets:.1%} of the cells carry two hashtags, {expected:.1%} are expected"
        doubts.append(("hashtag_doublets", "", doublets, said))
    return doubts


def same_tag_share(tag: NDArray[np.intp], n_tags: int) -> float:
    """Return the share of doublets whose two cells carry the same hashtag, so that none shows.

    Parameters
    ----------
    tag
        Calls, shape (cells,).
    n_tags
        Number of hashtags.

    Returns
    -------
    float
        Sum of the squared shares of the hashtags among singlets; 1 where there are none.
    """
    singlets = np.bincount(tag[tag >= 0], minlength=n_tags)
    total = singlets.sum()
    return float(np.square(singlets / total).sum()) if total else 1.0
