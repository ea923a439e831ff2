"""Measure whether studies find as much as was planned.

``python tests/validation/planned_power.py`` prints the tables; with ``--write`` they replace the
measured part of docs/validation.md. Studies are simulated as tables of counts and tested by the
whole chain; what is planned comes from `biocross.statistics.planning`, which knows the variation,
or learns it from a pilot.
"""

import argparse
import functools
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":  # One thread for each process, before numpy: the matrices are small.
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from document import DOCUMENT, write_between
from long_tables import LongTables
from numpy.typing import NDArray
from validation.chain import Tested, q_values, run_chain
from validation.scenarios import ALPHA, N_PRIMARY, Rate, Tally
from validation.studies import Study, pair_table, simulate_table
from validation.validate import markdown

from biocross.statistics.pilot import pilot_variation
from biocross.statistics.planning import Basis, Prospect, Variation, Wishes, plan

BEGIN, END = "<!-- planned power: begin -->", "<!-- planned power: end -->"
SEED = 20250209
MISSING = 0.15
N_POPULATIONS = 20
PARENT = (20_000.0, 500_000.0)
# Patients whose counts stand for all.
CROWD = 4_000
FloatArray = NDArray[np.float64]


class Case(NamedTuple):
    """A study to plan: populations of one frequency and one true change, if any.

    `within_sd` None scatters the variation over the populations as the validation does.
    """

    n_patients: int
    fold: float
    events: int = 500
    within_sd: float | None = 0.2
    staining_sd: float = 0.1

    def simulate(self, rng: np.random.Generator, n_patients: int, planted_share: float) -> Study:
        """Draw a study; both visits of a patient are counted to the same depth on average."""
        frequency = self.events / np.sqrt(np.prod(PARENT))
        return simulate_table(
            rng,
            n_patients,
            N_POPULATIONS,
            missing=MISSING,
            within_sd=self.within_sd,
            staining_sd=self.staining_sd,
            planted_share=planted_share,
            odds_ratios=(self.fold,),
            frequencies=(frequency, frequency),
            depth_ratio=1.0,
        )


CASES = [
    *(Case(n, 1.5) for n in (8, 12, 20, 30)),
    *(Case(n, 1.25) for n in (12, 20, 40)),
    *(Case(n, 2.0) for n in (6, 8)),
    *(Case(n, 1.5, staining_sd=0.2) for n in (8, 12, 20)),
    *(Case(n, 1.5, within_sd=0.27, staining_sd=0.2) for n in (12, 20, 30)),
    *(Case(n, 1.5, events=events) for events in (30, 100, 5_000) for n in (12, 20)),
    *(Case(n, 1.5, within_sd=None) for n in (8, 12, 20)),
]


PILOTS = [
    (Case(10, 1.5, events=100), 1.0),
    (Case(10, 1.5, events=100), 10.0),
    (Case(20, 1.5, events=100), 10.0),
    (Case(10, 1.5, within_sd=None), 1.0),
    (Case(20, 1.5, within_sd=None), 1.0),
]
# SDs of a visit from which power is interpolated, where populations differ.
VISIT_SDS = np.geomspace(0.1, 0.5, 12)


class Outcome(NamedTuple):
    """What was planned and what was found of one case, in one test and within the family."""

    planned: tuple[float, float]
    found: Mapping[str, Rate]


@functools.cache
def crowd_of(case: Case) -> Study:
    """Draw the patients whose counts stand for all."""
    return case.simulate(np.random.default_rng(SEED), CROWD, 0.0)


def known_variation(case: Case, visit_sd: float, prior_df: float) -> Variation:
    """Say what a planner who knows everything would know of one population."""
    crowd = crowd_of(case)
    return Variation(
        *("population", "parent", True, float(np.sqrt(2) * visit_sd), 0.0, np.nan, prior_df),
        share=float(np.median(crowd.count[0] / crowd.total[0])),
        counts=crowd.count[0].ravel().astype(np.float64),
        totals=crowd.total[0].ravel().astype(np.float64),
    )


def prospect(case: Case, variation: Variation, deeper: float = 1.0) -> Prospect:
    """Plan a case, counted so many times deeper; the confirmatory family has four populations."""
    share = variation.share
    # The case is an odds ratio; the plan asks for the fold of the percentage that it means.
    fold = case.fold / (1 - share + case.fold * share)
    basis = Basis("case", "", "percent_of_parent", 1.0, N_PRIMARY, (variation,))
    return plan(basis, Wishes((fold,), (case.n_patients,), MISSING, deeper))[0]


def measure(case: Case, n_studies: int) -> Outcome:
    """Simulate studies in which half of the populations change, and compare with the plan."""
    rng = np.random.default_rng([SEED, CASES.index(case)])
    tally, visit_sds, borrowed = Tally(), [], []
    for _ in range(n_studies):
        study = case.simulate(rng, case.n_patients, 0.5)
        tested = run_chain(pair_table(study))
        planted = study.log_effect != 0
        tally_study(tally, tested, planted)
        visit_sds.append(study.visit_sd[planted])
        borrowed.append(tested.test.df - (tested.test.n_pairs - 1))
    prior_df = float(np.nanmean(borrowed))
    prospects = [prospect(case, known_variation(case, sd, prior_df)) for sd in VISIT_SDS]
    power = np.array([one.power[0, :, case.n_patients] for one in prospects])
    sds = np.concatenate(visit_sds)
    planned = tuple(float(np.interp(sds, VISIT_SDS, column).mean()) for column in power.T)
    return Outcome((planned[0], planned[1]), tally.rates())


def tally_study(tally: Tally, tested: Tested, planted: NDArray[np.bool_]) -> None:
    """Count which of the planted changes were found, one by one and as primary ones."""
    confirmed = tested.claimable & (tested.test.n_pairs >= 6)
    tally.add("one test", tested.claimable & (tested.test.p < ALPHA), planted)
    tally.add("corrected", confirmed & (tested.test.p < ALPHA / N_PRIMARY), planted)
    names = [*tested.pairs.keys["population"]]
    for first in range(0, N_POPULATIONS, N_PRIMARY):
        primary = names[first : first + N_PRIMARY]
        q, _ = q_values([tested], primary)
        members = planted & np.isin(names, primary)
        tally.add("claimed", confirmed & (q[0] < ALPHA), members)


def results_of(study: Study, folder: Path) -> Path:
    """Write a study where a run leaves its tables."""
    tables = LongTables(folder)
    tables.name_primary(*study.names)
    visits = ("baseline", "month_4")
    patients = [f"P{number:02d}" for number in range(study.attended.shape[1])]
    for at, visit in enumerate(visits):
        for number in np.flatnonzero(study.attended[at]):
            rows = zip(study.names, study.parents, strict=True)
            sample = {
                name: {
                    "parent": parent,
                    "count": int(study.count[at, number, column]),
                    "parent_count": int(study.total[at, number, column]),
                }
                for column, (name, parent) in enumerate(rows)
            }
            tables.add(patients[number], visit, sample)
    tables.ask("mepolizumab", *patients)
    return tables.results()


def measure_pilot(case: Case, deeper: float, n_pilots: int) -> tuple[Rate, FloatArray]:
    """Plan from pilots without any change, and compare with the number that is really needed.

    Returns
    -------
    covered
        How often the range of patients holds that number.
    ratio
        Planned over needed patients, 10th, 50th and 90th percentile.
    """
    rng = np.random.default_rng([SEED, case.n_patients, round(deeper), case.events])
    planned, visit_sds, borrowed = [], [], []
    for _ in range(n_pilots):
        study = case.simulate(rng, case.n_patients, 0.0)
        visit_sds.append(study.visit_sd)
        with tempfile.TemporaryDirectory() as folder:
            variations = pilot_variation(results_of(study, Path(folder)), ()).variations
        borrowed += [variation.prior_df for variation in variations]
        ends = [prospect(case, variation, deeper).needed(0.8)[:, 0] for variation in variations]
        planned.append(np.array(ends))
    needed = [
        prospect(case, known_variation(case, sd, float(np.mean(borrowed))), deeper)
        for sd in VISIT_SDS
    ]
    patients = [one.needed(0.8)[0, 0] for one in needed]
    tally, ratios = Tally(), []
    for sds, found in zip(visit_sds, planned, strict=True):
        truth = np.round(np.interp(sds, VISIT_SDS, patients))
        tally.add("covered", (found[:, 1] <= truth) & (truth <= found[:, 2]))
        ratios.append(found[:, 0] / truth)
    return tally.rates()["covered"], np.percentile(np.concatenate(ratios), [10, 50, 90])


def power_table(cases: Sequence[Case], outcomes: Sequence[Outcome]) -> Iterator[Sequence[str]]:
    """Yield planned and found power, case by case."""
    yield (
        *("SD of a visit", "events", "odds ratio", "patients"),
        *("planned, one test", "found, p < .05", f"planned, one of {N_PRIMARY}"),
        *(f"found, p < .05 / {N_PRIMARY}", "claimed, q < .05"),
    )
    for case, outcome in zip(cases, outcomes, strict=True):
        sd = "scattered"
        if case.within_sd:
            sd = f"{np.hypot(case.within_sd, case.staining_sd):.2f}"
        single, family = (f"{value:.3f}".removeprefix("0") for value in outcome.planned)
        found = (str(outcome.found[name]) for name in ("one test", "corrected", "claimed"))
        first, second, third = found
        yield (
            *(sd, f"{case.events:,}", f"{case.fold:g}", str(case.n_patients)),
            *(single, first, family, second, third),
        )


def pilot_table(results: Sequence[tuple[Rate, FloatArray]]) -> Iterator[Sequence[str]]:
    """Yield what plans from pilots are worth."""
    yield (
        *("SD of a visit", "pilot", "events of the pilot", "planned for"),
        *("range holds the number needed", "planned over needed: median (10-90 %)"),
    )
    for (case, deeper), (covered, (low, middle, high)) in zip(PILOTS, results, strict=True):
        sd = f"{np.hypot(case.within_sd, case.staining_sd):.2f}" if case.within_sd else "scattered"
        yield (
            *(sd, f"{case.n_patients} patients", f"{case.events:,}"),
            *(f"{case.events * deeper:,.0f} events", str(covered)),
            f"{middle:.2f} ({low:.2f}-{high:.2f})",
        )


def report(studies: int, pilots: int, jobs: int) -> Iterator[str]:
    """Yield the measured part of the section, line by line."""
    with ProcessPoolExecutor(jobs) as pool:
        outcomes = [*pool.map(measure, CASES, [studies] * len(CASES))]
        cases, deeper = zip(*PILOTS, strict=True)
        results = [*pool.map(measure_pilot, cases, deeper, [pilots] * len(PILOTS))]
    yield from markdown(power_table(CASES, outcomes))
    yield ""
    yield from markdown(pilot_table(results))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=300, help="studies of a case")
    parser.add_argument("--pilots", type=int, default=40, help="pilots of a case")
    parser.add_argument("--jobs", type=int, default=2, help="processes; no number depends on them")
    parser.add_argument("--write", action="store_true", help=f"update {DOCUMENT.name}")
    options = parser.parse_args(arguments)
    text = "\n".join(report(options.studies, options.pilots, options.jobs))
    print(text)
    if options.write:
        write_between((BEGIN, END), text, DOCUMENT)


if __name__ == "__main__":
    main()
