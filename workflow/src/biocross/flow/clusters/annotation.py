"""Name clusters by the phenotypes of the vocabulary."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.phenotypes import Sign
from biocross.cohort.vocabulary import Vocabulary
from biocross.flow.clusters.levels import Levels, find_levels
from biocross.flow.clusters.phenotypes import PhenotypeTree, Signs, phenotype_tree

UNASSIGNED = "unassigned"
# Of a cluster's events more than half must bear out every word, and clearly more than for any
# other population.
MIN_SCORE = 0.5
MIN_MARGIN = 0.1
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
        the population; for an unassigned cluster that of the best candidate.
    margin
        By how much the score of the population exceeded that of the next, where that was least.
    runner_up
        That next one; empty where there was none.
    words
        What decided, for people: ``CD3+ .98, CD4+ .95; not Treg: CD25hi .31, CD127lo .84``.
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
    negative and positive cells part (`find_levels`; where they show no border, those of the
    wider population do). The share of a cluster's events on the right side supports a word, the
    least supported word is the score of a population (a fuzzy "and": eleven absent markers do not
    make up for the present one that is missing), and the cluster goes to the part that scores
    best, if it scores well and better than any other part. If not it stays where it is.

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
    judge = _Judge(values, cluster_of_event, markers, zeros or {})
    steps: dict[int, list[_Step]] = {number: [] for number in judge.numbers}
    waiting: list[tuple[str | None, list[int]]] = [(None, judge.numbers)] if judge.numbers else []
    while waiting:
        holder, numbers = waiting.pop(0)
        inside: dict[str, list[int]] = {}
        for number, step in _judge_parts(holder, numbers, tree, judge).items():
            believed = step.score >= min_score and step.margin >= min_margin
            steps[number].append(step._replace(is_taken=believed))
            if believed:
                inside.setdefault(step.population, []).append(number)
        waiting += [(part, of_part) for part, of_part in inside.items() if part in tree.parts]
    annotations = [_annotation(number, steps[number]) for number in judge.numbers]
    borders = [Border(*key, levels) for key, levels in judge.levels.items()]
    return AnnotatedClusters(annotations, borders, tree.skipped)


class _Support(NamedTuple):
    """A word, the share of a cluster's events that bear it out, and its sign."""

    word: str
    share: float
    is_present: bool


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

    def look_at(
        self, path: Sequence[str | None], numbers: Sequence[int], markers: Sequence[str]
    ) -> None:
        """Find the borders of markers among the clusters of a population."""
        samples = [_evenly(self.events[number], EVENTS_PER_CLUSTER) for number in numbers]
        picked = np.concatenate(samples)
        for marker in markers:
            own = self.values[picked, self.column[marker]]
            zero = self.zeros.get(marker, float("nan"))
            above = (self.levels.get((holder, marker)) for holder in reversed(path[:-1]))
            wider = next((levels for levels in above if levels), None)
            found = _settled(find_levels(own, zero), wider)
            self.levels[path[-1], marker] = _with_high(found, self._medians(numbers, marker), zero)

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
) -> dict[int, _Step]:
    """Find the part of a population that suits each of its clusters best."""
    parts = tree.parts[holder]
    asked = dict.fromkeys(s.marker for part in parts for word in tree.words[part] for s in word)
    judge.look_at((None, *tree.path(holder)) if holder else (None,), numbers, tuple(asked))
    supports: dict[int, dict[str, list[_Support]]] = {n: {p: [] for p in parts} for n in numbers}
    for part in parts:
        for signs in tree.words[part]:
            text, is_present = "/".join(map(str, signs)), any(sign.is_present for sign in signs)
            for number, share in zip(numbers, judge.supports(holder, numbers, signs), strict=True):
                supports[number][part].append(_Support(text, float(share), is_present))
    return {number: _best(of_one) for number, of_one in supports.items() if parts}


def _best(supports: Mapping[str, Sequence[_Support]]) -> _Step:
    scores = {part: min(s.share for s in of_part) for part, of_part in supports.items()}
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
    told = [support for support in supports if support.is_present or support is weakest]
    return ", ".join(f"{s.word} {s.share:.2f}".replace(" 0.", " .") for s in told)
