"""Compare the default gating strategy's frequencies with the truth of simulated cohorts.

``python tests/validation/gated_cohorts.py`` prints the tables; with ``--write`` they replace their
part of docs/validation.md. The files of every cohort are taken the whole way (compensation,
transforms, quality flags, borders, gates) twice: with borders that the visits of a patient share,
and with borders of each sample alone. Truth is what was drawn: the live single cells of a file.
"""

import argparse
import contextlib
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
from scipy import stats

from biocross.cohort.checks import load_cohort
from biocross.cohort.config import complete_config
from biocross.flow.gating import estimate_thresholds, gate_patient
from biocross.flow.prepare import prepare_flow_sample
from biocross.flow.settled_thresholds import settle_thresholds
from biocross.flow.signals import Compensation
from biocross.flow.transform_choice import estimate_transforms
from biocross.simulate.flow.cohort import simulate_cohort
from biocross.simulate.sheets import write_sheets
from biocross.simulate.study import merge
from biocross.statistics.pairs import read_table
from biocross.tables import read_rows, write_rows

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "validation.md"
BEGIN, END = "<!-- gated cohorts: begin -->", "<!-- gated cohorts: end -->"
MIN_EVENTS = 50
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
# The demo raises what a small file would not show; these are the sizes of the sources it names.
REAL_SIZES = {
    "populations": {
        "ILC": {"share": 0.0025},
        "Th2": {"share": 0.021},
        "Tc2": {"share": 0.005},
    }
}
# Median error of a frequency, by the class of the true one (its lower end).
CLASSES = {"above 1 %": (0.01, 0.05), "0.02-1 %": (0.0002, 0.15)}
# What the study plants is diluted by cells that are gated falsely, before and after.
PLANTED = ("eosinophils", "ILC2", "Th2", "Tc2")
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
    changes
        Entries that replace those of the demo's description.
    lots_of_visits
        Whether the visits of a patient are stained with different lots, of four; otherwise both
        with one of two.
    seed
        Of the study.
    """

    name: str
    events: int
    patients: int
    changes: Mapping[str, Any]
    lots_of_visits: bool
    seed: int


SCENARIOS = {
    "demo": Scenario("the demo's depth", 20_000, 16, {}, False, 601),
    "deep": Scenario("300,000 events", 300_000, 12, {}, False, 602),
    "lots": Scenario("lots 0.1 apart, a patient in one", 300_000, 6, LOTS_APART, False, 603),
    "drift": Scenario("lots 0.1 apart between visits", 100_000, 24, LOTS_APART, True, 604),
    "pbmc": Scenario("PBMC", 150_000, 6, PBMC, False, 605),
    "real": Scenario("rare cells of real size", 500_000, 6, REAL_SIZES, False, 606),
}


class Prepared(NamedTuple):
    """The prepared events of a cohort, by patient, and the sheets that gating needs."""

    folder: Path
    events: dict[str, list[Path]]
    panel: str
    transforms: Path
    truth: Path


def prepare_cohort(scenario: Scenario, folder: Path) -> Prepared:
    """Simulate a cohort and take its files to prepared events."""
    study = describe(scenario)
    write_sheets(study, folder, seed=scenario.seed)
    sheets = {name: folder / f"{name}.tsv" for name in ("samples", "patients", "clinical", "panel")}
    if scenario.lots_of_visits:
        _change_lots(sheets["samples"])
    simulate_cohort(study, sheets["samples"], sheets["patients"], folder, scenario.seed)
    shared = {name: str(ROOT / "config" / f"{name}.yaml") for name in ("gating", "populations")}
    inputs = {"folder": str(folder), **shared, **{k: str(path) for k, path in sheets.items()}}
    cohort = load_cohort(complete_config({"inputs": inputs, "design": {"levels": list(VISITS)}}))
    panel, transforms, compensation = inputs["panel"], folder / "transforms", Compensation()
    paths = {sample.sample_id: folder / sample.path for sample in cohort.samples}
    estimate_transforms(
        *(list(paths.values()), panel, "conventional", None, None),
        *([compensation] * len(paths), transforms, folder / "transforms.xml"),
    )
    events: dict[str, list[Path]] = {}
    for sample in cohort.samples:
        name = sample.sample_id
        prepared = folder / f"{name}.arrow"
        prepare_flow_sample(
            *(paths[name], panel, transforms, "conventional", compensation, ()),
            *(sample._asdict(), prepared),
            *(folder / f"{name}.{kind}" for kind in ("ledger", "repairs", "warnings", "sanity")),
        )
        paths[name].unlink()
        events.setdefault(sample.patient_id, []).append(prepared)
    return Prepared(folder, events, panel, transforms, folder / "truth_counts.tsv")


def describe(scenario: Scenario) -> dict[str, Any]:
    """Change the demo's study description into that of a scenario, without drop-outs."""
    study = yaml.safe_load((ROOT / "config" / "simulation.yaml").read_text("utf-8"))
    study = merge(study, scenario.changes)
    study["events_per_sample"] = scenario.events
    if scenario.lots_of_visits:
        study["batches"] = [f"lot_{number}" for number in range(1, 5)]
    for arm in study["treatments"].values():
        arm["patients"] = scenario.patients // 2
        arm.pop("without_visit", None)
    return study


def _change_lots(samples: Path) -> None:
    """Stain every visit with another of four lots: 1 and 2, 2 and 3, 3 and 4, 4 and 1, 1 and 2."""
    rows = [dict(row) for row in read_rows(samples)]
    patients = list(dict.fromkeys(row["patient_id"] for row in rows))
    for row in rows:
        lot = patients.index(row["patient_id"]) + VISITS.index(row["visit"])
        row["batch"] = f"lot_{lot % 4 + 1}"
    write_rows(samples, list(rows[0]), rows)


def gate_cohort(prepared: Prepared, scope: str) -> pd.DataFrame:
    """Gate with the default strategy, its borders of a scope, and return the counts."""
    folder = prepared.folder / scope
    folder.mkdir(exist_ok=True)
    strategy = yaml.safe_load((ROOT / "config" / "gating.yaml").read_text("utf-8"))
    gating = folder / "gating.yaml"
    gating.write_text(yaml.safe_dump({**strategy, "scope": scope}, sort_keys=False), "utf-8")
    populations = str(ROOT / "config" / "populations.yaml")
    sheets = (populations, prepared.panel, prepared.transforms)
    estimates = {patient: folder / f"{patient}.estimates" for patient in prepared.events}
    for patient, events in prepared.events.items():
        estimate_thresholds(events, gating, *sheets, estimates[patient])
    thresholds = folder / "thresholds.tsv"
    settle_thresholds(list(estimates.values()), gating, *sheets, thresholds)
    counts = []
    for patient, events in prepared.events.items():
        kinds = ("counts", "expression", "modes", "shifts", "unknown", "membership")
        out = [folder / f"{patient}.{kind}" for kind in kinds]
        gate_patient(events, gating, thresholds, *sheets, *out)
        counts.append(read_table(out[0]))
    return pd.concat(counts, ignore_index=True)


def errors_of(counts: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Set measured frequencies beside the true ones.

    Returns
    -------
    DataFrame
        Per sample and population the true frequency (share of the parent), and the error of the
        measured one, of its logarithm and relative; files with 50 true events or more.
    """
    both = truth.merge(counts, on=["sample_id", "population"], suffixes=("_true", ""))
    both = both[(both["count_true"] >= MIN_EVENTS) & both["count"].notna()]
    share = both["count_true"] / both["parent_count_true"]
    measured = both["count"].clip(lower=0.5) / both["parent_count"]
    parts = both["sample_id"].str.split("_", n=1, expand=True)
    return pd.DataFrame(
        {
            "population": both["population"],
            "patient": parts[0],
            "visit": parts[1],
            "share": share,
            "error": np.log(measured / share),
            "relative": np.abs(measured / share - 1),
        }
    ).reset_index(drop=True)


def changes_of(errors: pd.DataFrame) -> pd.DataFrame:
    """Return every patient's true log change of a population, and the error of the measured one."""
    both = errors.assign(true=np.log(errors["share"]))
    wide = both.pivot_table(
        index=["population", "patient"], columns="visit", values=["error", "true"], sort=False
    )
    if not all(("error", visit) in wide.columns for visit in VISITS):
        return pd.DataFrame(columns=["population", "patient", "error", "true"])
    first, second = (wide.xs(visit, axis=1, level="visit") for visit in VISITS)
    return (second - first).dropna().reset_index()


class Judged(NamedTuple):
    """What a cohort says of its populations, one row for each.

    `errors`: class of the true frequency and median error. `bias`: of the error of the log change,
    number of pairs, mean, standard error, two-sided p, and the mean true change. `spread`: SD of
    that error with borders of the patient and of the sample, their ratio, the ratio of the SDs of
    the measured change itself, and the p that the two errors vary alike.
    """

    errors: pd.DataFrame
    bias: pd.DataFrame
    spread: pd.DataFrame


def judge(by_scope: Mapping[str, pd.DataFrame]) -> Judged:
    """Judge a cohort that was gated in both scopes."""
    joint = by_scope["patient"].groupby("population", sort=False)
    errors = joint.agg(share=("share", "median"), error=("relative", "median"))
    errors["class"] = [
        next((name for name, (low, _) in CLASSES.items() if share >= low), "rarer")
        for share in errors["share"]
    ]
    changes = {scope: changes_of(table) for scope, table in by_scope.items()}
    bias, spread = {}, {}
    for population, of_one in changes["patient"].groupby("population", sort=False):
        error = of_one["error"].to_numpy()
        if error.size < 4:
            continue
        bias[population] = {
            "pairs": error.size,
            "mean": error.mean(),
            "se": error.std(ddof=1) / error.size**0.5,
            "p": stats.ttest_1samp(error, 0).pvalue,
            "true": of_one["true"].mean(),
        }
        both = of_one.merge(changes["sample"], on=["population", "patient"], suffixes=("", "_own"))
        spread[population] = _compare_spread(both)
    return Judged(errors, *(pd.DataFrame.from_dict(t, orient="index") for t in (bias, spread)))


def _compare_spread(both: pd.DataFrame) -> dict[str, float]:
    """Compare the SDs of two errors of the same changes (Pitman 1939, Biometrika 31:9)."""
    joint, own, true = (both[name].to_numpy() for name in ("error", "error_own", "true"))
    same = np.allclose(joint, own) or len(joint) < 4
    return {
        "patient": joint.std(ddof=1),
        "sample": own.std(ddof=1),
        "ratio": joint.std(ddof=1) / own.std(ddof=1) if own.std() else 1.0,
        "change": (true + joint).std() / (true + own).std(),
        "p": 1.0 if same else stats.pearsonr(joint + own, joint - own).pvalue,
    }


def measure(scenario: Scenario) -> Judged:
    """Simulate a cohort, gate it in both scopes, and judge it."""
    with tempfile.TemporaryDirectory() as name:
        counts, truth = count_cohort(scenario, Path(name))
    return judge({scope: errors_of(table, truth) for scope, table in counts.items()})


def count_cohort(scenario: Scenario, folder: Path) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Simulate a cohort; return its counts in both scopes, and the true ones."""
    with _silence():
        prepared = prepare_cohort(scenario, folder)
        counts = {scope: gate_cohort(prepared, scope) for scope in SCOPES}
    return counts, read_table(prepared.truth)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
        yield


def error_rows(scenario: Scenario, judged: Judged) -> Iterator[str]:
    """Write the errors of a cohort's frequencies, a row for each class."""
    for name, (_, target) in CLASSES.items():
        rows = judged.errors[judged.errors["class"] == name].sort_values("error", ascending=False)
        if rows.empty:
            continue
        worst = ", ".join(f"{row.Index} {row.error:.1%}" for row in rows.head(3).itertuples())
        missed = ", ".join(rows.index[rows["error"] > target]) or "none"
        yield (
            f"| {scenario.name} | {name} | {len(rows)} | {rows['error'].median():.1%} | {worst} "
            f"| {target:.0%} | {missed} |"
        )


def bias_rows(scenario: Scenario, judged: Judged) -> Iterator[str]:
    """Write the bias between visits: of all populations together, and of those that changed."""
    planted = judged.bias.index.isin(PLANTED)
    other = judged.bias[~planted]
    worst = other.loc[(other["mean"].abs() / other["se"]).idxmax()]
    farthest = f"{worst.name} {worst['mean']:+.3f} ± {worst['se']:.3f}"
    changed = "; ".join(
        f"{row.Index} {row.mean:+.3f} ± {row.se:.3f} of {row.true:+.2f}"
        for row in judged.bias[planted].itertuples()
    )
    yield (
        f"| {scenario.name} | {len(other)} | {other['mean'].mean():+.4f} "
        f"| {other['mean'].abs().max():.3f} | {farthest} | {(other['p'] < 0.05).sum()} "
        f"| {changed} |"
    )


def spread_rows(scenario: Scenario, judged: Judged) -> Iterator[str]:
    """Write what gating adds to the changes, with borders of the patient and of the sample."""
    table = judged.spread
    joint, own = (np.sqrt(np.mean(np.square(table[scope]))) for scope in SCOPES)
    matters = table[table[list(SCOPES)].max(axis=1) > MATTERS]
    real, change = matters[matters["p"] < 0.05], table["change"]
    larger, smaller = (
        ", ".join(f"{row.Index} {row.ratio:.2f}" for row in rows.itertuples()) or "none"
        for rows in (real[real["ratio"] > 1], real[real["ratio"] < 1])
    )
    yield (
        f"| {scenario.name} | {joint:.3f} | {own:.3f} | {joint / own:.2f} "
        f"| {change.median():.2f} ({change.min():.2f}-{change.max():.2f}) | {smaller} | {larger} |"
    )


TABLES = {
    error_rows: (
        *("cohort", "true frequency", "populations", "median error", "largest errors", "target"),
        "missed",
    ),
    bias_rows: (
        *("cohort", "populations that nothing was planted in", "mean bias", "largest"),
        *("farthest from 0 by its error", "p < .05", "planted: bias of the true log change"),
    ),
    spread_rows: (
        *("cohort", "SD, patient's borders", "SD, sample's borders", "ratio"),
        *("ratio of the SDs of the whole change", "smaller (p < .05)", "larger (p < .05)"),
    ),
}


def describe_all(judged: Mapping[str, Judged]) -> str:
    """Write the tables of all cohorts."""
    parts = []
    for rows_of, header in TABLES.items():
        rows = [row for key, one in judged.items() for row in rows_of(SCENARIOS[key], one)]
        parts.append("\n".join([f"| {' | '.join(header)} |", "|---" * len(header) + "|", *rows]))
    return "\n\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, and write them into the document where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args(arguments)
    tables = describe_all({key: measure(SCENARIOS[key]) for key in options.cohorts})
    print(tables)
    if options.write:
        text = DOCUMENT.read_text(encoding="utf-8")
        start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
        DOCUMENT.write_text(f"{text[:start]}\n{tables}\n{text[end:]}", encoding="utf-8")


if __name__ == "__main__":
    main()
