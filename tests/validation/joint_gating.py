"""Measure what joint gating of a patient's visits gains: simulated pairs with known shares.

``python tests/validation/joint_gating.py`` prints the table. Every pair is one parent population
at two visits, of which a share is positive for a marker; the share changes between the visits by a
normal log change (SD 0.1) that is known. Three ways to find the border are compared on the same
events: each sample by itself, one border for both visits whatever happens, and `joint_border`.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2] / "workflow" / "src"))

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ttest_1samp

from biocross.cohort.strategy import ThresholdRule
from biocross.flow.joint_thresholds import equal_shares, find_border, joint_border
from biocross.flow.transforms import Transform, decades_between, transform_exactly

TRANSFORM = Transform("logicle", top=262144.0, decades=4.5, width=0.7)
DECADES_PER_UNIT = decades_between(0, 1, TRANSFORM)
WAYS = ("sample", "one", "joint")
CHANGE_SD = 0.1
STUDY = 12
NEGATIVE = (2.0, 0.25)
# Positives: mean and SD in decades. Smeared ones reach into the negatives.
POSITIVE = {"clear": (3.9, 0.2), "smeared": (3.3, 0.4)}
NOISE = 60.0
Values = NDArray[np.float32]


class Scenario(NamedTuple):
    """A kind of pair.

    Parameters
    ----------
    positives
        A key of `POSITIVE`.
    share
        Share of positive events at the first visit.
    drift
        SD of the staining of the two visits, in decades; 0 where they share a batch.
    what
        What drifts: ``all`` light, or the ``positives`` only.
    method
        Of the border.
    n_events
        Median number of events of the parent.
    between
        Change of a class of cells between negatives and positives from visit to visit: its share
        of the parent at the first and at the second.
    same_batch
        Whether visits that drift are said to share a batch all the same.
    """

    positives: str
    share: float
    drift: float = 0.0
    what: str = "all"
    method: str = "valley"
    n_events: int = 20_000
    between: tuple[float, float] = (0.0, 0.0)
    same_batch: bool = False


class Outcome(NamedTuple):
    """Of every way, what became of the pairs; arrays of shape (ways, pairs)."""

    change: NDArray[np.float64]
    share_error: NDArray[np.float64]
    expected: NDArray[np.float64]


def draw_pair(rng: np.random.Generator, scenario: Scenario) -> tuple[list[Values], list[int]]:
    """Draw the marker's values of one patient's parent population at both visits.

    Returns
    -------
    values
        On the logicle scale, positives last.
    n_positive
        Of both visits.
    """
    level, spread = POSITIVE[scenario.positives]
    level += rng.normal(0, 0.1)
    negative = NEGATIVE[0] + rng.normal(0, 0.05)
    share = scenario.share * np.exp([0, rng.normal(0, CHANGE_SD)])
    values, n_positive = [], []
    for visit in range(2):
        n = int(scenario.n_events * np.exp(rng.normal(0, 0.4)))
        drift = rng.normal(0, scenario.drift) if scenario.drift else 0.0
        moves = drift * (scenario.what == "all")
        positive = rng.binomial(n, min(share[visit], 0.95))
        middle = rng.binomial(n, scenario.between[visit])
        decades = np.concatenate(
            [
                rng.normal(negative + moves, NEGATIVE[1], n - positive - middle),
                rng.normal(negative + moves + 0.4, NEGATIVE[1], middle),
                rng.normal(level + drift, spread, positive),
            ]
        )
        light = 10**decades + rng.normal(0, NOISE, n)
        values.append(transform_exactly(light, TRANSFORM).astype(np.float32))
        n_positive.append(positive)
    return values, n_positive


def borders(values: Sequence[Values], scenario: Scenario) -> NDArray[np.float64]:
    """Return the borders of both visits in every way, shape (ways, 2)."""
    rule = ThresholdRule("CRTH2", "CRTH2", scenario.method)
    batches = ["a", "b"] if scenario.drift and not scenario.same_batch else ["a", "a"]
    each = [
        joint_border([column], [batch], rule, DECADES_PER_UNIT).values[0]
        for column, batch in zip(values, batches, strict=True)
    ]
    one = find_border(np.concatenate(equal_shares(values)), scenario.method).value
    return np.array(
        [
            each,
            [one, one],
            joint_border(values, batches, rule, DECADES_PER_UNIT, (), TRANSFORM).values,
        ]
    )


def run(scenario: Scenario, pairs: int, seed: int = 6) -> Outcome:
    """Simulate pairs and measure every way's error of the log change and of the share."""
    rng = np.random.default_rng(seed)
    change, share = np.empty((len(WAYS), pairs)), np.empty((len(WAYS), pairs))
    expected = np.empty(pairs)
    for pair in range(pairs):
        values, n_positive = draw_pair(rng, scenario)
        found = borders(values, scenario)
        sizes = np.array([column.size for column in values])
        true = np.log((np.array(n_positive) + 0.5) / sizes)
        counts = [
            [(column > border).sum() for column, border in zip(values, way, strict=True)]
            for way in found
        ]
        measured = np.log((np.array(counts) + 0.5) / sizes)
        change[:, pair] = measured[:, 1] - measured[:, 0]
        share[:, pair] = (measured - true).mean(axis=1)
        expected[pair] = true[1] - true[0]
    return Outcome(change, share, expected)


SCENARIOS = [
    *(
        Scenario(positives, share, drift, what)
        for drift, what in ((0, "all"), (0.06, "all"), (0.1, "all"), (0.06, "positives"))
        for positives in POSITIVE
        for share in (0.001, 0.01, 0.1, 0.5)
    ),
    *(
        Scenario("smeared", 0.1, drift, method=method)
        for method in ("mixture", "tail")
        for drift in (0, 0.06)
    ),
    Scenario("smeared", 0.1, n_events=1_000),
    Scenario("smeared", 0.1, 0.06, n_events=1_000),
    Scenario("clear", 0.02, n_events=1_000),
    Scenario("clear", 0.1, between=(0.3, 0.05)),
    Scenario("smeared", 0.1, between=(0.3, 0.05)),
    Scenario("smeared", 0.1, 0.06, between=(0.3, 0.05)),
    Scenario("smeared", 0.01, between=(0.5, 0.1)),
    Scenario("smeared", 0.01, 0.06, between=(0.5, 0.1)),
    Scenario("smeared", 0.1, 0.06, method="valley", same_batch=True),
    Scenario("smeared", 0.01, 0.06, method="valley", same_batch=True),
]


class Summary(NamedTuple):
    """What a scenario's pairs say; arrays of shape (ways,).

    `sd` is the SD of the paired log change, `gating_sd` that of its difference from the true one:
    the part that gating adds. A border that lets many negatives in makes `sd` small by dilution.
    """

    scenario: Scenario
    true_sd: float
    sd: NDArray[np.float64]
    gating_sd: NDArray[np.float64]
    bias: NDArray[np.float64]
    share_error: NDArray[np.float64]
    rejected: NDArray[np.float64]

    def cells(self) -> tuple[str, ...]:
        """Write a row of the table."""
        return (
            *(str(cell) for cell in self.scenario),
            f"{self.true_sd:.3f}",
            *(f"{value:.3f}" for value in self.sd),
            f"{self.sd[2] / self.sd[0]:.2f}",
            *(f"{value:.3f}" for value in self.gating_sd),
            *(f"{value:+.3f}" for value in self.bias),
            *(f"{value:.3f}" for value in self.share_error),
        )


HEADER = (
    *("positives", "share", "drift", "of", "method", "events", "between", "same batch"),
    *("SD true", *(f"SD {way}" for way in WAYS), "joint/sample"),
    *(f"gating SD {way}" for way in WAYS),
    *(f"bias {way}" for way in WAYS),
    *(f"share error {way}" for way in WAYS),
)


def summarise(scenario: Scenario, pairs: int, seed: int = 6) -> Summary:
    """Run a scenario; on average nothing changes in it, so every rejection is an error."""
    outcome = run(scenario, pairs, seed)
    studies = outcome.change[:, : pairs // STUDY * STUDY].reshape(len(WAYS), -1, STUDY)
    return Summary(
        scenario,
        float(outcome.expected.std()),
        outcome.change.std(axis=1),
        (outcome.change - outcome.expected).std(axis=1),
        (outcome.change - outcome.expected).mean(axis=1),
        np.median(np.abs(outcome.share_error), axis=1),
        (ttest_1samp(studies, 0, axis=2).pvalue < 0.05).mean(axis=1),
    )


def conclusions(summaries: Sequence[Summary]) -> Iterator[str]:
    """Yield what the promise is about: studies of all kinds together."""
    steady = [s for s in summaries if s.scenario.between == (0.0, 0.0)]
    for name, chosen in {
        "no drift": [s for s in steady if not s.scenario.drift],
        "drift": [s for s in steady if s.scenario.drift],
    }.items():
        sds = np.array([summary.sd for summary in chosen])
        typical = np.sqrt(np.mean(np.square(sds), axis=0))
        ratios = sds[:, 2] / sds[:, 0]
        rejected = np.mean([summary.rejected for summary in chosen], axis=0)
        ways = ", ".join(f"{way} {sd:.3f}" for way, sd in zip(WAYS, typical, strict=True))
        yield f"{name}: root mean square SD {ways}; joint / sample {typical[2] / typical[0]:.2f}"
        added = np.sqrt(np.mean(np.square([summary.gating_sd for summary in chosen]), axis=0))
        ways = ", ".join(f"{way} {sd:.3f}" for way, sd in zip(WAYS, added, strict=True))
        yield f"{name}: root mean square SD that gating adds {ways}"
        yield f"{name}: joint / sample per scenario {ratios.min():.2f} to {ratios.max():.2f}"
        errors = ", ".join(f"{way} {r:.3f}" for way, r in zip(WAYS, rejected, strict=True))
        yield f"{name}: type I {errors}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=300, help="pairs of a scenario")
    parser.add_argument("--seed", type=int, default=6)
    options = parser.parse_args(arguments)
    print("\t".join(HEADER))
    summaries = []
    for scenario in SCENARIOS:
        summaries.append(summarise(scenario, options.pairs, options.seed))
        print("\t".join(summaries[-1].cells()), flush=True)
    print("\n".join(conclusions(summaries)))


if __name__ == "__main__":
    main()
