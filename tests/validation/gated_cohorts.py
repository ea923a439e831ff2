"""Compare the default gating strategy's frequencies with the truth of simulated cohorts.

``python tests/validation/gated_cohorts.py`` prints the tables; with ``--write`` they replace their
part of docs/validation.md. Every cohort is gated twice: with borders that the visits of a patient
share, and with borders of each sample alone.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":  # One thread, before numpy.
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import pandas as pd
import yaml
from document import document_table, write_between
from scipy import stats
from validation.whole_run import (
    TWO_VISITS,
    Run,
    describe,
    gate,
    gather,
    prepare,
    silence,
    simulate,
)

from biocross.evaluation.frequencies import frequency_errors, summarise_errors
from biocross.statistics.pairs import read_table
from biocross.tables import read_rows, write_rows

MARKS = ("<!-- gated cohorts: begin -->", "<!-- gated cohorts: end -->")
LEAST_EVENTS, LEAST_PAIRS = 50, 4
VISITS = ("baseline", "month_4")
# Lots differ by normal shifts of every channel; those of two lots are SD * sqrt(2) apart.
LOTS_APART = {"staining": {"batch_shift": 0.1 / 2**0.5}}
# Mononuclear cells: granulocytes are what the gradient leaves.
PBMC = {
    "tissue": "pbmc",
    "populations": {
        "neutrophils": {"cells_per_ul": 20},
        "eosinophils": {"cells_per_ul": 3, "limits": [0, 10]},
    },
}
# Median error of a frequency, by the class of the true one (its lower end).
CLASSES = {"above 1 %": (0.01, 0.05), "0.02-1 %": (0.0002, 0.15)}
# What the study plants is diluted by cells that are gated falsely, before and after.
PLANTED = ("eosinophils", "Th2", "Tc2", "ILC2", "ILC2_CD117low", "ILC2_CD117high")
# Gates that add less to a change than this add nothing that matters.
MATTERS = 0.01
SCOPES = ("patient", "sample")


class Scenario(NamedTuple):
    """A cohort to simulate.

    Parameters
    ----------
    name
        What it is, in a few words.
    events
        Per file.
    patients
        In both arms together.
    seed
        Of the study.
    changes
        Of the description.
    lots_of_visits
        Whether the visits of a patient are stained with different lots, of four; otherwise both
        with one of two.
    base
        The description: the demo, or cells as rare as in blood.
    """

    name: str
    events: int
    patients: int
    seed: int
    changes: Mapping[str, Any] = {}
    lots_of_visits: bool = False
    base: str = "demo"


SCENARIOS = {
    "demo": Scenario("the demo's depth", 20_000, 16, 601),
    "deep": Scenario("300,000 events", 300_000, 12, 602),
    "lots": Scenario("lots 0.1 apart, a patient in one", 300_000, 6, 603, LOTS_APART),
    "drift": Scenario("lots 0.1 apart between visits", 100_000, 24, 604, LOTS_APART, True),
    "pbmc": Scenario("PBMC", 150_000, 6, 605, PBMC),
    "real": Scenario("cells as rare as in blood", 1_000_000, 6, 606, base="biocross"),
}


def simulate_cohort(scenario: Scenario, folder: Path) -> Run:
    """Simulate a cohort and take its files to prepared events."""
    arm = {"patients": scenario.patients // 2}
    lots = range(1, 5 if scenario.lots_of_visits else 3)
    size = {
        "treatments": {"mepolizumab": arm, "dupilumab": arm},
        "events_per_sample": scenario.events,
        "batches": [f"lot_{number}" for number in lots],
        "rna": None,
    }
    study = describe(scenario.base, TWO_VISITS, size, scenario.changes)
    edit = _change_lots if scenario.lots_of_visits else None
    run = simulate(study, folder, scenario.seed, edit)
    prepare(run)
    return run


def _change_lots(samples: Path) -> None:
    """Stain every visit with another of four lots: 1 and 2, 2 and 3, 3 and 4, 4 and 1, 1 and 2."""
    rows = read_rows(samples)
    patients = list(dict.fromkeys(row["patient_id"] for row in rows))
    for row in rows:
        lot = patients.index(row["patient_id"]) + VISITS.index(row["visit"])
        row["batch"] = f"lot_{lot % 4 + 1}"
    write_rows(samples, list(rows[0]), rows)


def gate_in_scopes(run: Run) -> dict[str, pd.DataFrame]:
    """Gate with the default strategy, its borders of either scope, and return the counts."""
    strategy = yaml.safe_load(Path(run.inputs["gating"]).read_text("utf-8"))
    counts = {}
    for scope in SCOPES:
        gating = run.path(f"gating_{scope}.yaml")
        gating.write_text(yaml.safe_dump({**strategy, "scope": scope}, sort_keys=False), "utf-8")
        gate(run, gating)
        gather(run, clusters=False)
        counts[scope] = read_table(run.path("counts.tsv"))
    return counts


def count_cohort(scenario: Scenario, folder: Path) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Simulate a cohort; return its counts in both scopes, and the true ones."""
    with silence():
        run = simulate_cohort(scenario, folder)
        return gate_in_scopes(run), true_counts(run)


def true_counts(run: Run) -> pd.DataFrame:
    """Read how many live single cells were drawn."""
    return read_table(run.folder / "truth" / "flow" / "counts.tsv")


def errors_of(counts: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Set frequencies beside the true ones, where a file holds `LEAST_EVENTS` true cells."""
    return frequency_errors(counts, truth[truth["count"] >= LEAST_EVENTS])


def changes_of(errors: pd.DataFrame) -> pd.DataFrame:
    """Return every patient's true change of a population, and the error of the measured one."""
    first, second = (errors[errors["visit"] == visit] for visit in VISITS)
    both = second.merge(first, on=["population", "patient_id"], suffixes=("", "_first"))
    return both[["population", "patient_id"]].assign(
        error=both["error"] - both["error_first"], true=both["logit"] - both["logit_first"]
    )


class Judged(NamedTuple):
    """What a cohort says of its populations, one row for each; changes are of log odds.

    `errors`: class of the true frequency and median error. `bias`: of the error of the change,
    number of pairs, mean, standard error, two-sided p, and the mean true change. `spread`: SD of
    that error in either way, their ratio, the ratio of the SDs of the measured change itself, and
    the p that the two errors vary alike.
    """

    errors: pd.DataFrame
    bias: pd.DataFrame
    spread: pd.DataFrame


def judge(errors: Mapping[str, pd.DataFrame]) -> Judged:
    """Judge the first of two ways to count a cohort, and compare its spread with the other's.

    Parameters
    ----------
    errors
        Of `errors_of`, by way.

    Returns
    -------
    Judged
        Its `spread` has a column for each way.
    """
    first = next(iter(errors.values()))
    of_one = first.groupby("population", sort=False)
    classes = of_one.agg(share=("share", "median"), error=("relative", "median"))
    classes["class"] = [
        next((name for name, (low, _) in CLASSES.items() if share >= low), "rarer")
        for share in classes["share"]
    ]
    return Judged(classes, _bias(first), _spread(errors))


def _bias(errors: pd.DataFrame) -> pd.DataFrame:
    rows = summarise_errors(errors, VISITS).set_index("population")
    rows = rows[(rows["visit"] == VISITS[1]) & (rows["n_pairs"] >= LEAST_PAIRS)]
    names = {"n_pairs": "pairs", "change_bias": "mean", "change_bias_se": "se"}
    bias = rows.rename(columns={**names, "true_change": "true"})[[*names.values(), "true"]]
    p = 2 * stats.t.sf((bias["mean"] / bias["se"]).abs().astype(float), bias["pairs"] - 1)
    return bias.assign(p=p)


def _spread(errors: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    ways = [*errors]
    one, other = (changes_of(table) for table in errors.values())
    both = one.merge(other, on=["population", "patient_id"], suffixes=("", "_other"))
    rows = {
        population: _compare_spread(own, ways)
        for population, own in both.groupby("population", sort=False)
        if len(own) >= LEAST_PAIRS
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def _compare_spread(both: pd.DataFrame, ways: Sequence[str]) -> dict[str, float]:
    """Compare the SDs of two errors of the same changes (Pitman 1939, Biometrika 31:9)."""
    one, other, true = (both[name].to_numpy() for name in ("error", "error_other", "true"))
    return {
        **{way: error.std(ddof=1) for way, error in zip(ways, (one, other), strict=True)},
        "ratio": one.std() / other.std() if other.std() else 1.0,
        "change": (true + one).std() / (true + other).std(),
        "p": 1.0 if np.allclose(one, other) else stats.pearsonr(one + other, one - other).pvalue,
    }


def measure(scenario: Scenario) -> Judged:
    """Simulate a cohort, gate it in both scopes, and judge it."""
    with tempfile.TemporaryDirectory() as name:
        counts, truth = count_cohort(scenario, Path(name))
    return judge({scope: errors_of(table, truth) for scope, table in counts.items()})


def error_rows(scenario: Scenario, judged: Judged) -> Iterator[list[str]]:
    """Write the errors of a cohort's frequencies, a row for each class."""
    for name, (_, target) in CLASSES.items():
        rows = judged.errors[judged.errors["class"] == name].sort_values("error", ascending=False)
        if rows.empty:
            continue
        worst = ", ".join(f"{row.Index} {row.error:.1%}" for row in rows.head(3).itertuples())
        missed = ", ".join(rows.index[rows["error"] > target]) or "none"
        yield [
            *(scenario.name, name, str(len(rows)), f"{rows['error'].median():.1%}", worst),
            *(f"{target:.0%}", missed),
        ]


def bias_rows(scenario: Scenario, judged: Judged) -> Iterator[list[str]]:
    """Write the bias between visits: of all populations together, and of those that changed."""
    planted = judged.bias.index.isin(PLANTED)
    other = judged.bias[~planted]
    worst = other.loc[(other["mean"].abs() / other["se"]).idxmax()]
    changed = "; ".join(
        f"{row.Index} {row.mean:+.3f} ± {row.se:.3f} of {row.true:+.2f}"
        for row in judged.bias[planted].itertuples()
    )
    yield [
        *(scenario.name, str(len(other)), f"{other['mean'].mean():+.4f}"),
        *(
            f"{other['mean'].abs().max():.3f}",
            f"{worst.name} {worst['mean']:+.3f} ± {worst['se']:.3f}",
        ),
        *(str((other["p"] < 0.05).sum()), changed),
    ]


def spread_rows(scenario: Scenario, judged: Judged) -> Iterator[list[str]]:
    """Write what gating adds to the changes, with borders of the patient and of the sample."""
    table = judged.spread
    joint, own = (np.sqrt(np.mean(np.square(table[scope]))) for scope in SCOPES)
    matters = table[table[list(SCOPES)].max(axis=1) > MATTERS]
    real, change = matters[matters["p"] < 0.05], table["change"]
    larger, smaller = (
        ", ".join(f"{row.Index} {row.ratio:.2f}" for row in rows.itertuples()) or "none"
        for rows in (real[real["ratio"] > 1], real[real["ratio"] < 1])
    )
    typical = (table[SCOPES[0]] / table[SCOPES[1]]).median()
    yield [
        *(scenario.name, f"{joint:.3f}", f"{own:.3f}", f"{joint / own:.2f}", f"{typical:.2f}"),
        f"{change.median():.2f} ({change.min():.2f}-{change.max():.2f})",
        *(smaller, larger),
    ]


TABLES = {
    error_rows: (
        *("cohort", "true frequency", "populations", "median error", "largest errors", "target"),
        "missed",
    ),
    bias_rows: (
        *("cohort", "populations that nothing was planted in", "mean bias", "largest"),
        *("farthest from 0 by its error", "p < .05", "planted: bias of the true change"),
    ),
    spread_rows: (
        *("cohort", "SD, patient's borders", "SD, sample's borders", "ratio"),
        *("typical population's", "ratio of the SDs of the whole change"),
        *("smaller (p < .05)", "larger (p < .05)"),
    ),
}


def describe_all(judged: Mapping[str, Judged]) -> str:
    """Write the tables of all cohorts."""
    return "\n\n".join(
        document_table(
            header, [row for key, one in judged.items() for row in rows_of(SCENARIOS[key], one)]
        )
        for rows_of, header in TABLES.items()
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, and write them into the document where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args(arguments)
    tables = describe_all({key: measure(SCENARIOS[key]) for key in options.cohorts})
    print(tables)
    if options.write:
        write_between(MARKS, tables)


if __name__ == "__main__":
    main()
