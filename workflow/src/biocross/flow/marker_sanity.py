"""Swapped columns: samples that contradict what is known of blood cells, and what explains it.

Two columns of a panel that were exchanged, in ``panel.tsv`` or at the bench, leave every number
plausible and every population wrong. Where the rules of `marker_rules` are broken, every exchange
of two columns is tried, and those that mend most are named.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.markers import standard_marker
from biocross.cohort.panel import Channel
from biocross.cohort.strategy import parse_phenotype
from biocross.flow.evenly import evenly
from biocross.flow.events import Events
from biocross.flow.marker_rules import RULES, SCATTER, Rule
from biocross.flow.thresholds import find_valley

SANITY_COLUMNS = (
    *("sample_id", "rule", "marker_1", "marker_2", "n_cells", "observed", "expected"),
    *("status", "suspects", "note"),
)
MAX_EVENTS = 20_000
MIN_CELLS = 50
# A shallower valley is a ripple of a smear: whoever lies above it is no population.
MIN_DEPTH = 0.3
# Rarer positives may be doublets and debris alone, as B cells are after rituximab.
MIN_SHARE = 0.004
# Percentile of the positives that shows how bright those are that bear the marker in full.
BRIGHT = 90
MAX_SUSPECTS = 3
# Where only these occur together with those of B cells, both kinds stick together.
OF_T_CELLS = frozenset(("CD2", "CD3", "CD4", "CD5", "CD7", "CD8", "CD127", "TCRab", "TCRgd"))
OF_B_CELLS = frozenset(("CD19", "CD20", "IgD", "IgM"))
STUCK = "T and B cells that stick together"
MANY_RULES = 10
# An exchange that leaves more of the broken rules broken does not explain them.
MAX_LEFT = 0.25

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]
Exchange = tuple[str, str]


class Column(NamedTuple):
    """One marker of a sample.

    Parameters
    ----------
    values
        Transformed values, shape (events,).
    positive
        Events above the valley; None without a clear one.
    bright
        Of those, the events that lie nearer to the bright positives than to the valley: what
        spills over from another dye or sticks to a dead cell is seldom that bright.
    """

    values: Floats
    positive: Bools | None = None
    bright: Bools | None = None


class Verdict(NamedTuple):
    """What one rule says of one sample; `observed` is NaN where it could not be judged."""

    rule: Rule
    observed: float
    n_cells: int

    @property
    def is_judged(self) -> bool:
        """Whether there was something to judge."""
        return not np.isnan(self.observed)

    @property
    def is_broken(self) -> bool:
        """Whether the sample contradicts the rule."""
        return self.rule.is_broken(self.observed)


def call_positives(values: Mapping[str, Floats]) -> dict[str, Column]:
    """Divide each marker's events at the valley of its density.

    Parameters
    ----------
    values
        By standard name of the marker, transformed values, shape (events,) each.

    Returns
    -------
    dict of str to Column
        A smear without a clear valley, or a valley that leaves hardly anyone on one side, has no
        positives: such a marker is not judged.
    """
    return {name: _divide(column) for name, column in values.items()}


def judge_rules(columns: Mapping[str, Column], rules: Iterable[Rule] = RULES) -> list[Verdict]:
    """Ask every rule whose markers are in the panel what it says of a sample.

    Parameters
    ----------
    columns
        Of `call_positives`.
    rules
        What to ask.

    Returns
    -------
    list of Verdict
        In the order of the rules. Dead cells are left out, where the panel shows them, of all
        rules but those about them.
    """
    viability = columns.get("viability")
    live = None if viability is None or viability.positive is None else ~viability.positive
    return [_judge(rule, columns, live) for rule in rules if rule.names <= set(columns)]


def find_exchanges(columns: Mapping[str, Column], fixed: Sequence[str] = ()) -> list[Exchange]:
    """Find the exchange of two columns that mends most of the broken rules.

    Parameters
    ----------
    columns
        Of `call_positives`.
    fixed
        Columns that cannot be mistaken for another, such as scatter.

    Returns
    -------
    list of (str, str)
        The exchanges that leave the fewest rules broken and, of those, keep the most: more than
        one where the panel cannot tell them apart, none where no exchange mends anything.
    """
    before = judge_rules(columns)
    start = best = _score(before)
    found: list[Exchange] = []
    movable = [name for name in columns if name not in fixed]
    for pair in itertools.combinations(movable, 2):
        after = _judge_exchanged(columns, pair, before)
        score = _score(after)
        if score > best or score[0] > MAX_LEFT * start[0] or not _is_evident(before, after):
            continue
        if score < best:
            best, found = score, []
        found.append(pair)
    return found


def sanity_rows(sample: Events, panel: Sequence[Channel]) -> list[dict[str, object]]:
    """Judge one sample by all rules.

    Parameters
    ----------
    sample
        Its prepared events; flagged ones are left out.
    panel
        Which columns are signals.

    Returns
    -------
    list of dict
        Rows with `SANITY_COLUMNS`, one per rule that the panel allows. Broken ones name the
        columns that are likely exchanged, as ``CD3 with CD19``, several joined by `` or ``.
    """
    names = _names_of(panel)
    passing = evenly(np.flatnonzero(sample.quality == 0), MAX_EVENTS)
    values = {name: sample.values[marker][passing] for name, marker in names.items()}
    columns = call_positives(values)
    verdicts = judge_rules(columns)
    exchanges = []
    if any(verdict.is_broken for verdict in verdicts):
        exchanges = find_exchanges(columns, fixed=(SCATTER,))
    suspects = [f"{names[first]} with {names[second]}" for first, second in exchanges]
    if len(suspects) > MAX_SUSPECTS:
        suspects = []
    return [_row(sample.meta["sample_id"], v, " or ".join(suspects), names) for v in verdicts]


def pool_samples(samples: Sequence[Events], name: str = "all samples") -> Events:
    """Pool equal shares of a cohort's passing events, for files too small to judge one by one.

    Parameters
    ----------
    samples
        Prepared events that share their markers and transforms.
    name
        What the pool is called in place of a sample.

    Returns
    -------
    Events
        At most about 20,000 events, evenly spaced in each sample.
    """
    share = MAX_EVENTS // max(len(samples), 1)
    picks = [evenly(np.flatnonzero(sample.quality == 0), share) for sample in samples]
    markers = [m for m in samples[0].values if all(m in sample.values for sample in samples)]
    values = {
        m: np.concatenate([s.values[m][pick] for s, pick in zip(samples, picks, strict=True)])
        for m in markers
    }
    size = sum(pick.size for pick in picks)
    return Events(values, np.zeros(size, dtype=np.uint8), {"sample_id": name})


def sanity_warnings(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """Say which samples contradict the rules, one sentence for all that share a suspicion.

    Parameters
    ----------
    rows
        Of `sanity_rows`, or their table read again.

    Returns
    -------
    list of str
        Sentences that name the samples, what was seen, and what to do; empty where all is well.
    """
    of_sample: dict[str, list[Mapping[str, object]]] = {}
    for row in rows:
        of_sample.setdefault(str(row["sample_id"]), []).append(row)
    groups: dict[tuple[str, bool], dict[str, list[str]]] = {}
    for sample_id, judged in of_sample.items():
        broken = [row for row in judged if row["status"] == "broken"]
        if broken:
            many = sum(row["status"] != "not_judged" for row in judged) >= MANY_RULES
            stuck = all(_joins_t_and_b(row) for row in broken)
            why = STUCK if stuck else str(broken[0]["suspects"] or "")
            group = groups.setdefault((why, many), {})
            group[sample_id] = [str(row["note"]) for row in broken]
    return [
        _warning(suspects, many, group, len(of_sample))
        for (suspects, many), group in groups.items()
    ]


def _warning(suspects: str, many: bool, broken: Mapping[str, Sequence[str]], n_all: int) -> str:
    who = ", ".join(list(broken)[:8]) + (f" and {len(broken) - 8} more" if len(broken) > 8 else "")
    seen = "; ".join(max(broken.values(), key=len)[:3])
    start = f"{len(broken)} of {n_all} samples ({who}): {seen}"
    if suspects == STUCK:
        gates = "gates of T cells must ask for CD19-, those of B cells for CD3-"
        return f"{start}; likely {STUCK}: {gates}"
    if not suspects:
        return (
            f"{start}; no single exchange of two columns explains it: look at the names of the "
            "columns, the compensation and the staining"
        )
    likely = "likely" if many else "possibly (few rules could be judged)"
    where = "panel.tsv" if len(broken) == n_all else "the names of the channels in these files"
    return f"{start}; {likely} exchanged: {suspects}. Compare {where} with the staining protocol"


def _joins_t_and_b(row: Mapping[str, object]) -> bool:
    """Whether a broken rule says that a marker of T cells and one of B cells are apart."""
    both = {standard_marker(str(row[name])) for name in ("marker_1", "marker_2")}
    return bool(both & OF_T_CELLS and both & OF_B_CELLS) and "different cells" in str(row["rule"])


def _names_of(panel: Sequence[Channel]) -> dict[str, str]:
    """Map standard names to the panel's markers; the first of two with one name is taken."""
    names: dict[str, str] = {}
    for channel in panel:
        if channel.kind in ("lineage", "state"):
            names.setdefault(standard_marker(channel.marker) or channel.marker, channel.marker)
        elif channel.kind == "viability":
            names.setdefault("viability", channel.marker)
        elif channel.kind == "scatter" and channel.marker.upper().startswith(SCATTER):
            names.setdefault(SCATTER, channel.marker)
    return names


def _divide(values: Floats) -> Column:
    border = find_valley(values)
    if border.source != "valley" or border.depth < MIN_DEPTH:
        return Column(values)
    positive = values > border.value
    if not MIN_SHARE <= positive.mean() <= 1 - MIN_SHARE:
        return Column(values)
    return Column(
        values, positive, values > (border.value + np.percentile(values[positive], BRIGHT)) / 2
    )


def _judge(rule: Rule, columns: Mapping[str, Column], live: Bools | None) -> Verdict:
    unknown = Verdict(rule, float("nan"), 0)
    if any(columns[name].positive is None for name in rule.divided):
        return unknown
    alive = None if "viability" in rule.names else live
    cells = _select(rule.cells, columns, alive)
    if rule.others:
        others = _select(rule.others, columns, alive)
        if min(cells.sum(), others.sum()) < MIN_CELLS:
            return unknown
        above = [
            _auc(columns[name].values[cells], columns[name].values[others]) for name in rule.markers
        ]
        observed = above[0] if rule.kind == "larger" else above[1] - above[0]
        return Verdict(rule, observed, int(cells.sum()))
    # What must be absent has to be plainly there before the rule is broken; what must be there is
    # looked for above the plain border.
    at = "positive" if rule.kind == "on" else "bright"
    bearing = [getattr(columns[name], at) & cells for name in rule.markers]
    if rule.kind == "apart":
        n_cells = min(int(positive.sum()) for positive in bearing)
        seen = int((bearing[0] & bearing[1]).sum())
    else:
        n_cells = int(cells.sum())
        seen = int(np.logical_or.reduce(bearing).sum())
    return Verdict(rule, seen / n_cells, n_cells) if n_cells >= MIN_CELLS else unknown


def _select(phenotype: str, columns: Mapping[str, Column], live: Bools | None) -> Bools:
    size = next(iter(columns.values())).values.size
    cells = np.ones(size, dtype=bool) if live is None else live.copy()
    for name, sign in parse_phenotype(phenotype):
        positive = columns[name].positive
        cells &= positive if sign else ~positive  # type: ignore[operator]
    return cells


def _auc(values: Floats, others: Floats) -> float:
    """Return the share of pairs in which the first value is the larger, ties by half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return float(below.mean() / (2 * ordered.size))


def _judge_exchanged(
    columns: Mapping[str, Column], pair: Exchange, before: Sequence[Verdict]
) -> list[Verdict]:
    """Judge a sample with two columns exchanged; rules about neither stay as they were."""
    first, second = pair
    exchanged = {**columns, first: columns[second], second: columns[first]}
    touched = [v.rule for v in before if "viability" in pair or v.rule.names & set(pair)]
    again = {verdict.rule: verdict for verdict in judge_rules(exchanged, touched)}
    return [again.get(verdict.rule, verdict) for verdict in before]


def _is_evident(before: Sequence[Verdict], after: Sequence[Verdict]) -> bool:
    """Tell whether an exchange mends a rule, or leaves so many kept that it need not.

    A broken rule also disappears where it can no longer be judged, as the cells that it is about
    are too few under another name; in a small panel nearly any exchange does that.
    """
    kept = [verdict.is_judged and not verdict.is_broken for verdict in after]
    mended = any(b.is_broken and k for b, k in zip(before, kept, strict=True))
    return mended or sum(kept) >= MANY_RULES


def _score(verdicts: Sequence[Verdict]) -> tuple[int, int]:
    """Count the broken rules, then (negated) the kept ones: smaller is better."""
    broken = sum(verdict.is_broken for verdict in verdicts)
    return broken, broken - sum(verdict.is_judged for verdict in verdicts)


def _row(
    sample_id: str, verdict: Verdict, suspects: str, names: Mapping[str, str]
) -> dict[str, object]:
    rule, broken = verdict.rule, verdict.is_broken
    second = rule.markers[1] if len(rule.markers) > 1 else rule.cells.split()[0].rstrip("+-")
    return {
        "sample_id": sample_id,
        "rule": rule.name,
        "marker_1": names[rule.markers[0]],
        "marker_2": names[second],
        "n_cells": verdict.n_cells,
        "observed": verdict.observed,
        "expected": rule.expected,
        "status": "broken" if broken else "kept" if verdict.is_judged else "not_judged",
        "suspects": suspects if broken else "",
        "note": _sentence(verdict) if broken else "",
    }


def _sentence(verdict: Verdict) -> str:
    rule, share = verdict.rule, f"{100 * verdict.observed:.0f} %"
    match rule.kind:
        case "apart":
            within = f" among {rule.cells} cells" if rule.cells else ""
            rarer = f"the rarer of {rule.markers[0]}+ and {rule.markers[1]}+ cells{within}"
            return f"{share} of {rarer} bear both markers ({rule.expected} expected)"
        case "brighter":
            return f"{rule.cells} cells bear more {rule.markers[1]} than {rule.markers[0]}"
        case "larger":
            return f"{rule.others} cells have as much {rule.markers[0]} as {rule.cells} cells"
    bear = " or ".join(rule.markers)
    return f"{share} of {rule.cells} cells bear {bear} ({rule.expected} expected)"
