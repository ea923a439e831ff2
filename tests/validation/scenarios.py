"""What is asked of the simulated studies, cell by cell of each scenario's grid."""

import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from validation.chain import Tested, peer_p_values, pooled_cells_p, q_values, run_chain
from validation.studies import Study, pair_table, simulate_depletion, simulate_table

from biocross.statistics.kernels.moderation import moderated_paired_t
from biocross.statistics.kernels.multiplicity import benjamini_hochberg
from biocross.statistics.kernels.scale import equal_depth_logit, logit_of_counts
from biocross.statistics.paired_changes import MIN_EVENTS

SEED = 20240611
ALPHA = 0.05
N_PRIMARY = 4  # as many as the shipped vocabulary has
NULL_IS_BELOW = 0.02  # |true log effect|

# Events in the median pair; below 20 a p value is shown, but nothing is claimed.
ABUNDANCE = {
    "under 5": (0, 5),
    "5-20": (5, 20),
    "20-50": (20, 50),
    "50-200": (50, 200),
    "200-1,000": (200, 1_000),
    "over 1,000": (1_000, np.inf),
}

BoolArray = NDArray[np.bool_]
Settings = Mapping[str, Any]


class Cell(NamedTuple):
    """One cell of a scenario's grid; its name is its seed."""

    scenario: str
    settings: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, scenario: str, **settings: Any) -> "Cell":
        """Make a cell from its settings by keyword."""
        return cls(scenario, tuple(sorted(settings.items())))

    def options(self) -> dict[str, Any]:
        """Return the settings by keyword."""
        return dict(self.settings)


class Rate(NamedTuple):
    """A measured proportion with its 95 % Monte Carlo interval."""

    value: float
    low: float
    high: float
    n_tests: int
    n_studies: int

    def __str__(self) -> str:
        if not self.n_tests:
            return "-"
        return f"{_three(self.value)} ({_three(self.low)}-{_three(self.high)})"


class Tally:
    """Counts by name; the study is the unit of the Monte Carlo error."""

    def __init__(self) -> None:
        self._counts: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def add(self, name: str, hit: ArrayLike, asked: ArrayLike = True) -> None:
        """Add one study: where `asked`, whether it was a `hit`."""
        asked = np.broadcast_to(asked, np.shape(hit))
        if n := np.count_nonzero(asked):
            self._counts[name].append((np.count_nonzero(np.asarray(hit) & asked), n))

    def add_share(self, name: str, share: float) -> None:
        """Add one study that is itself a proportion, such as the false ones of its claims."""
        self._counts[name].append((share, 1))

    def rates(self) -> dict[str, Rate]:
        """Return every proportion with its interval."""
        return {name: rate_of(counts) for name, counts in self._counts.items()}


def rate_of(counts: ArrayLike) -> Rate:
    """Compute a ratio of sums over studies and its interval.

    Parameters
    ----------
    counts
        Hits and tests of each study, shape (studies, 2).

    Returns
    -------
    Rate
        With the linearised error of a ratio, which tests of one study may share; where none or
        all are hits, the other limit is 3 / tests away.
    """
    hits, tests = np.asarray(counts, dtype=np.float64).T
    n_tests = round(tests.sum())
    value = float(hits.sum() / n_tests)
    half = float(1.96 * np.sqrt(np.sum((hits - value * tests) ** 2)) / n_tests)
    low = value - half if value < 1 else 1 - 3 / n_tests
    high = value + half if value > 0 else 3 / n_tests
    return Rate(value, max(0.0, low), min(1.0, high), n_tests, len(tests))


TallyFamily = Callable[[Tally, str, BoolArray, BoolArray, BoolArray], None]


def run_cells(
    cells: Sequence[Cell], n_studies: Sequence[int], jobs: int = 1
) -> list[dict[str, Rate]]:
    """Simulate and measure every cell.

    Parameters
    ----------
    cells
        Of any scenario.
    n_studies
        By cell.
    jobs
        Processes; the numbers do not depend on them.

    Returns
    -------
    list of dict
        Proportions by name, in the order of the cells.
    """
    if jobs == 1:
        return list(map(run_cell, cells, n_studies))
    with ProcessPoolExecutor(jobs) as pool:
        return list(pool.map(run_cell, cells, n_studies))


def run_cell(cell: Cell, n_studies: int) -> dict[str, Rate]:
    """Simulate and measure one cell; study `i` is the same however many there are."""
    tally, key = Tally(), zlib.crc32(repr(cell).encode())
    for study in range(n_studies):
        seed = np.random.SeedSequence(SEED, spawn_key=(key, study))
        SCENARIOS[cell.scenario](np.random.default_rng(seed), cell.options(), tally)
    return tally.rates()


def measure_tables(rng: np.random.Generator, settings: Settings, tally: Tally) -> None:
    """Type I error, claims in families, coverage, FDR and power of ordinary studies."""
    options = dict(settings)
    peers = options.pop("peers", False)
    study = simulate_table(rng, **options)
    tested = run_chain(pair_table(study))
    q, confirmatory = (a[0] for a in q_values([tested], study.names[:N_PRIMARY]))
    _tally_errors(tally, study, tested)
    _tally_coverage(tally, study, tested)
    tally_family = _tally_changes if settings.get("planted_share") else _tally_any_claim
    null = np.abs(study.log_effect) < NULL_IS_BELOW
    families = {"confirmatory": confirmatory, "exploratory": ~confirmatory & tested.claimable}
    for family, member in families.items():
        if member.any():
            tally_family(tally, family, member & (q < ALPHA), member, null)
    if peers:
        _tally_peers(tally, study, tested, tally_family)


def measure_confirmatory_family(rng: np.random.Generator, settings: Settings, tally: Tally) -> None:
    """Any claim in the confirmatory family of two treatments with two follow-ups each."""
    tables = []
    for treatment in ("drug_a", "drug_b"):
        study = simulate_table(rng, n_followups=2, **settings)
        tables += [run_chain(pair_table(study, visit, treatment)) for visit in (1, 2)]
    q, confirmatory = q_values(tables, study.names[:N_PRIMARY])
    if confirmatory.any():
        tally.add("any claim", (q < ALPHA)[confirmatory].any())


def measure_depth(rng: np.random.Generator, settings: Settings, tally: Tally) -> None:
    """Type I error with and without equal depth, all populations equally rare."""
    study = simulate_table(rng, **settings)
    pairs = pair_table(study)
    tested = run_chain(pairs)
    own_depth = [
        logit_of_counts(side["count"], side["parent_count"])
        for side in (pairs.followup, pairs.baseline)
    ]
    naive = moderated_paired_t(own_depth[0] - own_depth[1], tested.readout.abundance).p
    for name, p in (("equal depth", tested.test.p), ("own depth", naive)):
        tally.add(name, p < ALPHA, ~np.isnan(p))


def measure_depletion(rng: np.random.Generator, settings: Settings, tally: Tally) -> None:
    """Share of the unchanged leaves that are called changed when the eosinophils fall."""
    study = simulate_depletion(rng, **settings)
    composition = run_chain(pair_table(study), "composition")
    pairs, claimable = composition.pairs, composition.claimable
    x = [side["count"][:, :-1] for side in (pairs.baseline, pairs.followup)]
    leukocytes = [counts.sum(axis=1, keepdims=True) for counts in x]
    logit_0, logit_1 = equal_depth_logit(x[0], leukocytes[0], x[1], leukocytes[1])
    clr = [np.log(counts + 0.5) for counts in x]
    clr = [values - values.mean(axis=1, keepdims=True) for values in clr]
    unchanged = (study.log_effect == 0)[:-1] & claimable[:-1]
    abundance = composition.readout.abundance[:-1]
    found = {
        "composition": composition.test.p[:-1],
        "plain CLR": moderated_paired_t(clr[1] - clr[0], abundance).p,
        "percent of leukocytes": moderated_paired_t(logit_1 - logit_0, abundance).p,
    }
    for name, p in found.items():
        tally.add(name, p < ALPHA, unchanged)
    tally.add("eosinophils found", composition.test.p[study.names.index("eosinophils")] < ALPHA)
    tally.add("reference_uncertain", bool(composition.readout.caveat))


def measure_abolished(rng: np.random.Generator, settings: Settings, tally: Tally) -> None:
    """Whether populations that all but vanish are tested and found."""
    study = simulate_table(rng, **settings)
    tested = run_chain(pair_table(study))
    q, _ = q_values([tested], study.names[:N_PRIMARY])
    planted = study.log_effect != 0
    tally.add("tested", tested.claimable, planted)
    tally.add("found", q[0] < ALPHA, planted)


def _tally_errors(tally: Tally, study: Study, tested: Tested) -> None:
    called, known = tested.test.p < ALPHA, ~np.isnan(tested.test.p)
    pooled = pooled_cells_p(tested.pairs) < ALPHA
    null = (np.abs(study.log_effect) < NULL_IS_BELOW) & known
    tally.add("type I", called, null & tested.claimable)
    for name, (low, high) in ABUNDANCE.items():
        inside = null & (tested.events >= low) & (tested.events < high)
        tally.add(f"type I, {name} events", called, inside)
        tally.add(f"pooled cells, {name} events", pooled, inside)
    variable = study.visit_sd >= np.quantile(study.visit_sd, 0.8)
    tally.add("type I, most variable fifth", called, null & tested.claimable & variable)


def _tally_coverage(tally: Tally, study: Study, tested: Tested) -> None:
    test, truth = tested.test, study.log_effect
    covered = (test.low <= truth) & (truth <= test.high)
    adequate = tested.claimable & (tested.least_events >= MIN_EVENTS)
    tally.add("coverage", covered, adequate & (truth == 0))
    tally.add("coverage, changed", covered, adequate & (truth != 0))
    tally.add("power, uncorrected", test.p < ALPHA, tested.claimable & (truth != 0))


def _tally_any_claim(
    tally: Tally, family: str, claimed: BoolArray, member: BoolArray, null: BoolArray
) -> None:
    tally.add(f"any claim, {family}", bool(claimed.any()))


def _tally_changes(
    tally: Tally, family: str, claimed: BoolArray, member: BoolArray, null: BoolArray
) -> None:
    tally.add_share(f"FDR, {family}", (claimed & null).sum() / max(claimed.sum(), 1))
    tally.add(f"power, {family}", claimed, member & ~null)


def _tally_peers(tally: Tally, study: Study, tested: Tested, tally_family: TallyFamily) -> None:
    variable = study.visit_sd >= np.quantile(study.visit_sd, 0.8)
    null = np.abs(study.log_effect) < NULL_IS_BELOW
    for name, p in peer_p_values(tested).items():
        known = ~np.isnan(p)
        tally.add(f"type I, {name}", p < ALPHA, known & null)
        tally.add(f"type I of the most variable fifth, {name}", p < ALPHA, known & null & variable)
        tally_family(tally, name, benjamini_hochberg(p) < ALPHA, known, null)


def _three(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


SCENARIOS: dict[str, Callable[[np.random.Generator, Settings, Tally], None]] = {
    "null": measure_tables,
    "planted": measure_tables,
    "power": measure_tables,
    "demanded power": measure_tables,
    "correlated": measure_tables,
    "extreme variances": measure_tables,
    "confirmatory": measure_confirmatory_family,
    "depth": measure_depth,
    "depletion": measure_depletion,
    "abolished": measure_abolished,
}
