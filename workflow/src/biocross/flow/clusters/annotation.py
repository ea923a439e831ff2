"""Name clusters by the phenotypes of the vocabulary."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.phenotypes import Sign
from biocross.cohort.vocabulary import UNASSIGNED, Vocabulary
from biocross.flow.clusters.levels import Levels, find_levels_of_clusters
from biocross.flow.clusters.phenotypes import PhenotypeTree, Signs, phenotype_tree

# Of a cluster's events more than half must bear out every word, and clearly more than for any
# other population.
MIN_SCORE = 0.5
MIN_MARGIN = 0.1
# Of a cluster's events as many must surely bear some marker of a population that is to be believed
# against a doubtful border.
SURE_SCORE = 2 / 3
# Clusters with less of a marker than this share of what the brightest bear of most markers do not
# show where it begins: noise reaches up to a quarter.
MIN_REACH = 0.4
# Every cluster gives as many events to the search for borders, so that rare cells show.
EVENTS_PER_CLUSTER = 2_000

Reals = NDArray[np.float32]
Shares = NDArray[np.float64]


class Annotation(NamedTuple):
    """The name of a cluster.

    Parameters
    ----------
    cluster
        Its number.
    population
        The deepest population whose phenotype it has, or `UNASSIGNED`.
    score
        Share of its events that bear out the word it bears out least, of all words on the way to
        the population (events against the one word in doubt count half); for an unassigned
        cluster that of the best candidate.
    margin
        By how much the score of the population exceeded that of the next, where that was least.
    runner_up
        That next one; empty where there was none.
    words
        What decided, for people: ``CD3+ .98, CD4+ .95; not Treg: CD25hi .31, CD127lo .84``, and
        which word was not believed: ``CD3+ .98, CD33- .20 (in doubt)``.
    given_by
        ``phenotype``, or ``sheet`` where `config/cluster_labels.tsv` names it.
    """

    cluster: int
    population: str
    score: float
    margin: float
    runner_up: str = ""
    words: str = ""
    given_by: str = "phenotype"


class Border(NamedTuple):
    """A marker's borders among the cells of a population (None for all cells)."""

    population: str | None
    marker: str
    levels: Levels


class AnnotatedClusters(NamedTuple):
    """The names of all clusters, the borders they rest on, and what the panel cannot tell."""

    annotations: list[Annotation]
    borders: list[Border]
    skipped: dict[str, str]


def annotate_clusters(
    values: Reals,
    cluster_of_event: NDArray[np.integer],
    markers: Sequence[str],
    vocabulary: Vocabulary,
    zeros: Mapping[str, float] | None = None,
    min_score: float = MIN_SCORE,
    min_margin: float = MIN_MARGIN,
) -> AnnotatedClusters:
    """Name every cluster by the deepest population whose phenotype its cells have.

    From the top of the vocabulary downwards: the clusters of a population show where its markers'
    negative and positive cells part (`find_levels_of_clusters`; where they show no border, those
    of the wider population do). The share of a cluster's events on the right side supports a
    word, the least supported word is the score of a population (a fuzzy "and": eleven absent
    markers do not make up for the present one that is missing), and the cluster goes to the part
    that scores best, if it scores well and better than any other part. If not, one marker that
    should be absent is given the benefit of the doubt where its border is itself doubtful
    (`Levels.is_doubtful`) and the cluster surely bears what it should: events on the wrong side
    then count half. If no part scores well even so, the cluster stays where it is.

    Parameters
    ----------
    values
        Transformed values of pooled events, shape (events, markers); NaN where a sample lacks the
        marker.
    cluster_of_event
        Number of each event's cluster, shape (events,); 0 is none.
    markers
        Names of the columns of `values`.
    vocabulary
        The populations and their phenotypes.
    zeros
        By marker, the transformed value of no light. It tells cells that are all positive from
        cells that are all negative; a marker without it counts as negative where nothing divides.
    min_score, min_margin
        What a population must score, and by how much more than its rivals.

    Returns
    -------
    AnnotatedClusters
        Annotations in the order of the clusters' numbers.

    Raises
    ------
    ValueError
        The shapes of the arguments do not go together.
    """
    if values.shape != (cluster_of_event.size, len(markers)):
        raise ValueError(
            f"values have shape {values.shape}, for {cluster_of_event.size} events and "
            f"{len(markers)} markers"
        )
    tree = phenotype_tree(vocabulary, markers)
    judge = _Judge(values, cluster_of_event, markers, zeros or {}, tree.markers)
    steps: dict[int, list[_Step]] = {number: [] for number in judge.numbers}
    waiting: list[tuple[str | None, list[int]]] = [(None, judge.numbers)] if judge.numbers else []
    while waiting:
        holder, numbers = waiting.pop(0)
        inside: dict[str, list[int]] = {}
        for number, of_parts in _judge_parts(holder, numbers, tree, judge).items():
            step = _decide(of_parts, min_score, min_margin)
            steps[number].append(step)
            if step.is_taken:
                inside.setdefault(step.population, []).append(number)
        waiting += [(part, of_part) for part, of_part in inside.items() if part in tree.parts]
    annotations = [_annotation(number, steps[number]) for number in judge.numbers]
    borders = [Border(*key, levels) for key, levels in judge.levels.items()]
    return AnnotatedClusters(annotations, borders, tree.skipped)


class _Support(NamedTuple):
    """A word, its sign, and the share of a cluster's events that bear it out.

    `sure`: of a word that asks for presence the same share, above the border of bright cells where
    the other cannot be trusted. `is_doubtful`: it asks for absence, by a border that cannot be
    trusted. `excused`: events against it count half.
    """

    word: str
    share: float
    is_present: bool
    sure: float = 0.0
    is_doubtful: bool = False
    excused: bool = False

    @property
    def counted(self) -> float:
        """The share, with what speaks against an excused word halved."""
        return (1 + self.share) / 2 if self.excused else self.share

    def __str__(self) -> str:
        share = f"{self.share:.2f}".removeprefix("0")
        return f"{self.word} {share}{' (in doubt)' if self.excused else ''}"


class _Step(NamedTuple):
    """The part of a population that suits a cluster best, and whether the cluster goes there."""

    population: str
    score: float
    margin: float
    runner_up: str
    supports: tuple[_Support, ...]
    is_taken: bool = False


class _Judge:
    """The share of every cluster's events that bear out a sign, among the cells of a population."""

    def __init__(
        self,
        values: Reals,
        cluster_of_event: NDArray[np.integer],
        markers: Sequence[str],
        zeros: Mapping[str, float],
        asked: Sequence[str],
    ) -> None:
        order = np.argsort(cluster_of_event, kind="stable")
        numbers, starts = np.unique(cluster_of_event[order], return_index=True)
        bounds = [*starts.tolist(), order.size]
        self.events = {
            int(number): order[bounds[i] : bounds[i + 1]]
            for i, number in enumerate(numbers)
            if number > 0
        }
        self.numbers = list(self.events)
        self.values, self.zeros = values, zeros
        self.column = {marker: i for i, marker in enumerate(markers)}
        self.levels: dict[tuple[str | None, str], Levels] = {}
        brightest = (self._medians(self.numbers, m) - zeros[m] for m in asked if m in zeros)
        reaches = [float(medians.max()) for medians in brightest if medians.size]
        self.least = MIN_REACH * float(np.median(reaches)) if reaches else -np.inf

    def look_at(
        self, path: Sequence[str | None], numbers: Sequence[int], markers: Sequence[str]
    ) -> None:
        """Find the borders of markers among the clusters of a population."""
        samples = [_evenly(self.events[number], EVENTS_PER_CLUSTER) for number in numbers]
        for marker in markers:
            own = [self.values[events, self.column[marker]] for events in samples]
            zero = self.zeros.get(marker, float("nan"))
            above = (self.levels.get((holder, marker)) for holder in reversed(path[:-1]))
            wider = next((levels for levels in above if levels), None)
            # Without a zero nothing can be said of the least.
            least = np.nan_to_num(zero + self.least, nan=-np.inf)
            found = _settled(find_levels_of_clusters(own, zero, float(least)), wider)
            self.levels[path[-1], marker] = _with_high(found, self._medians(numbers, marker), zero)

    def is_doubtful(self, holder: str | None, sign: Sign) -> bool:
        """Tell whether a sign rests on a border between negative and positive of doubtful worth."""
        return sign.level in ("-", "+") and self.levels[holder, sign.marker].is_doubtful

    def sure(self, holder: str | None, numbers: Sequence[int], signs: Signs) -> Shares:
        """Return the share of each cluster's events that surely bear any of the markers."""
        sure = [s._replace(level="hi") if self.is_doubtful(holder, s) else s for s in signs]
        return self.supports(holder, numbers, tuple(sign for sign in sure if sign.is_present))

    def supports(self, holder: str | None, numbers: Sequence[int], signs: Signs) -> Shares:
        """Return the share of each cluster's events for which any of the signs holds."""
        return np.array([self._support(holder, self.events[n], signs) for n in numbers])

    def _support(self, holder: str | None, events: NDArray[np.intp], signs: Signs) -> float:
        holds = np.zeros(events.size, dtype=bool)
        known = np.zeros(events.size, dtype=bool)
        for sign in signs:
            values = self.values[events, self.column[sign.marker]]
            known |= np.isfinite(values)
            holds |= _holds(values, sign, self.levels[holder, sign.marker])
        return float(holds.sum() / known.sum()) if known.any() else 0.0

    def _medians(self, numbers: Sequence[int], marker: str) -> Shares:
        column = self.values[:, self.column[marker]]
        medians = [column[self.events[number]] for number in numbers]
        return np.array([np.median(v[np.isfinite(v)]) for v in medians if np.isfinite(v).any()])


def _evenly(events: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    return events[:: -(-events.size // most)]


def _settled(own: Levels, wider: Levels | None) -> Levels:
    """Take the borders that the cells show, and else those of the wider population."""
    if wider is None or not wider.is_clear or own.is_clear:
        return own
    return wider._replace(high=own.high) if own.source == "bright" else wider


def _with_high(levels: Levels, medians: Shares, zero: float) -> Levels:
    """Where no valley parts bright from dim cells, put the border halfway to the brightest."""
    if not np.isnan(levels.high) or medians.size == 0:
        return levels
    start = levels.low if np.isfinite(levels.low) else zero
    return levels._replace(high=float(max(start, (start + medians.max()) / 2)))


def _holds(values: Reals, sign: Sign, levels: Levels) -> NDArray[np.bool_]:
    # Comparisons with NaN are false: an event without the marker bears nothing out.
    border = levels.high if sign.level in ("lo", "hi") else levels.low
    return values > border if sign.is_present else values <= border


def _judge_parts(
    holder: str | None, numbers: list[int], tree: PhenotypeTree, judge: _Judge
) -> dict[int, dict[str, list[_Support]]]:
    """Ask of each cluster of a population how well its cells bear out the words of every part."""
    parts = tree.parts[holder]
    asked = dict.fromkeys(s.marker for part in parts for word in tree.words[part] for s in word)
    judge.look_at((None, *tree.path(holder)) if holder else (None,), numbers, tuple(asked))
    supports: dict[int, dict[str, list[_Support]]] = {n: {p: [] for p in parts} for n in numbers}
    for part in parts:
        for signs in tree.words[part]:
            for number, support in zip(numbers, _ask(signs, holder, numbers, judge), strict=True):
                supports[number][part].append(support)
    return supports if parts else {}


def _ask(signs: Signs, holder: str | None, numbers: list[int], judge: _Judge) -> Iterator[_Support]:
    """Ask of each cluster how well its cells bear out a word."""
    text, is_present = "/".join(map(str, signs)), any(sign.is_present for sign in signs)
    doubtful = not is_present and all(judge.is_doubtful(holder, sign) for sign in signs)
    shares = judge.supports(holder, numbers, signs)
    sure = judge.sure(holder, numbers, signs) if is_present else np.zeros_like(shares)
    for share, for_sure in zip(shares.tolist(), sure.tolist(), strict=True):
        yield _Support(text, share, is_present, for_sure, doubtful)


def _decide(
    supports: Mapping[str, Sequence[_Support]], min_score: float, min_margin: float
) -> _Step:
    """Find the part that suits a cluster best, by all words, or else with one in doubt."""
    strict = _best(supports)
    excused = {part: _excuse_one(of_part) for part, of_part in supports.items()}
    for step in (strict, _best(excused)):
        if step.score >= min_score and step.margin >= min_margin:
            return step._replace(is_taken=True)
    return strict


def _excuse_one(supports: Sequence[_Support]) -> Sequence[_Support]:
    """Count half what speaks against a population by the one word whose border is in doubt."""
    against = [support for support in supports if support.share < MIN_SCORE]
    is_sure = any(support.sure >= SURE_SCORE for support in supports)
    if not is_sure or len(against) != 1 or not against[0].is_doubtful:
        return supports
    excused = against[0]._replace(excused=True)
    return [excused if support is against[0] else support for support in supports]


def _best(supports: Mapping[str, Sequence[_Support]]) -> _Step:
    scores = {part: min(s.counted for s in of_part) for part, of_part in supports.items()}
    # Stable: of equals the first in the vocabulary.
    first, *others = sorted(scores, key=lambda part: -scores[part])
    second = others[0] if others else ""
    margin = scores[first] - scores.get(second, 0.0)
    return _Step(first, scores[first], margin, second, tuple(supports[first]))


def _annotation(number: int, steps: Sequence[_Step]) -> Annotation:
    taken = [step for step in steps if step.is_taken]
    refused = [f"not {s.population}: {_text([s])}" for s in steps if not s.is_taken]
    if not taken:
        best = steps[0] if steps else _Step("", 0.0, 0.0, "", ())
        words = "; ".join(refused)
        return Annotation(number, UNASSIGNED, best.score, best.margin, best.population, words)
    nearest = min(taken, key=lambda step: step.margin)
    return Annotation(
        number,
        taken[-1].population,
        min(step.score for step in taken),
        nearest.margin,
        nearest.runner_up,
        "; ".join([_text(taken), *refused]),
    )


def _text(steps: Sequence[_Step]) -> str:
    """Write the words that ask for presence, and of the others the one that holds least."""
    supports = [support for step in steps for support in step.supports]
    absent = [support for support in supports if not support.is_present]
    weakest = min(absent, key=lambda support: support.share, default=None)
    told = [s for s in supports if s.is_present or s is weakest or s.excused]
    return ", ".join(map(str, told))
