"""Whole studies from FCS files: what is claimed where nothing changed, found where something did.

``python tests/validation/whole_studies.py`` runs the studies that are not in the folder yet, and
prints the tables; with ``--write`` they replace their part of docs/validation.md, and the figures
those of docs/figures. Every study has its own seed, patients and files; nothing is shared with the
analysis but the files.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":  # One thread for each process, before numpy.
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import pandas as pd
import yaml
from document import document_table, write_between
from validation.figures import Measured, Power, plot_errors, plot_power
from validation.scenarios import Rate, Tally
from validation.whole_run import ROOT, describe, run_study

from biocross.cohort.vocabulary import load_vocabulary
from biocross.evaluation.findings import FALSE, FOUND, MISSED, RIGHT, WRONG
from biocross.statistics.pairs import read_table
from biocross.statistics.planning import Wishes, plan
from biocross.statistics.planning_defaults import assumed_variation

FOLDER = ROOT / "results" / "validation" / "studies"
BEGIN, END = "<!-- whole studies: begin -->", "<!-- whole studies: end -->"
TABLES = ("findings", "events", "frequencies")
# The large study with the demo's rarities: a file of this size shows no more.
SIZE = {
    "treatments": {"mepolizumab": {"patients": 20}, "dupilumab": {"patients": 20}},
    "batches": ["lot_1", "lot_2", "lot_3", "lot_4"],
    "rna": None,
}
NOTHING = {"treatments": {name: {"presets": []} for name in ("mepolizumab", "dupilumab")}}
FEWER = {"events_per_sample": [900_000, 1_000_000]}


class Kind(NamedTuple):
    """A kind of study: its description, whether clusters are sought, and its first seed."""

    name: str
    study: Mapping[str, Any]
    clusters: bool
    first_seed: int


KINDS = {
    "planted": Kind("changes planted", describe("demo", SIZE), True, 1000),
    "null": Kind("nothing planted", describe("demo", SIZE, NOTHING), False, 3000),
    "rare": Kind(
        "cells as rare as in blood", describe("biocross", {"rna": None}, FEWER), True, 5000
    ),
}
STUDIES = {"planted": 24, "null": 40, "rare": 0}
# Lower ends of the classes of events, and their names.
ABUNDANCE = {20: "20-50", 50: "50-200", 200: "200-1,000", 1000: "over 1,000"}
SIZES = {0.02: "1.02-1.1", 0.0953: "1.1-1.3", 0.262: "1.3-1.7", 0.53: "1.7-3", 1.1: "over 3"}
ASKED = {
    ("gate", "percent_of_parent"): "gates, percent of the parent",
    ("gate", "cells_per_ul"): "gates, cells per µl",
    ("cluster", "percent_of_parent"): "clusters, percent of the parent",
}
TESTED = (FOUND, MISSED, RIGHT, FALSE, WRONG)
VARIABLE_SHARE = 0.2
# Of the events of a file that are living single cells.
LIVING_SHARE = 0.88
ERRORS, POWER = (ROOT / "docs" / "figures" / f"validation_{n}.svg" for n in ("errors", "power"))


def run_one(task: tuple[str, int, Path]) -> Path:
    """Run a study, unless it was run before, and keep what was found."""
    kind, seed, folder = task
    kept = folder / f"{kind}_{seed}"
    if (kept / f"{TABLES[-1]}.tsv").exists():
        return kept
    with tempfile.TemporaryDirectory() as temporary:
        run = run_study(KINDS[kind].study, Path(temporary), seed, KINDS[kind].clusters)
        kept.mkdir(parents=True, exist_ok=True)
        for name in TABLES:
            shutil.copy(run.path("evaluation", f"{name}.tsv"), kept / f"{name}.tsv")
    return kept


def run_all(numbers: Mapping[str, int], folder: Path, jobs: int) -> None:
    """Run the studies that are missing."""
    tasks = [
        (kind, KINDS[kind].first_seed + i, folder) for kind, n in numbers.items() for i in range(n)
    ]
    with ProcessPoolExecutor(jobs) as pool:
        for number, kept in enumerate(pool.map(run_one, tasks), 1):
            print(f"{number} of {len(tasks)}: {kept.name}", file=sys.stderr, flush=True)


def read_studies(kind: str, folder: Path) -> dict[str, list[pd.DataFrame]]:
    """Read the tables of all studies of a kind."""
    kept = sorted(folder.glob(f"{kind}_*"))
    return {name: [read_table(one / f"{name}.tsv") for one in kept] for name in TABLES}


def error_rates(
    planted: Sequence[pd.DataFrame], null: Sequence[pd.DataFrame]
) -> list[tuple[str, str, Rate]]:
    """Answer the demands of the design: what is asked, its limits, and the rate."""
    tally = Tally()
    for findings in planted:
        _tally_findings(tally, findings)
        _tally_claims(tally, findings)
    for findings in null:
        _tally_findings(tally, findings)
        _tally_any_claim(tally, findings)
    rates = tally.rates()
    return [(name, limits, rates[name]) for name, limits in _demands() if name in rates]


def error_rows(errors: Sequence[tuple[str, str, Rate]]) -> Iterator[list[str]]:
    """Write rates beside their limits."""
    for name, limits, rate in errors:
        yield [name, limits, str(rate), f"{rate.n_tests:,}", _verdict(rate, limits)]


class PowerRow(NamedTuple):
    """How often a planted primary change was claimed, and what `plan` predicts."""

    population: str
    treatment: str
    contrast: str
    odds_ratio: float
    pairs: float
    events: float
    power: Power

    def cells(self) -> list[str]:
        """Write the row of a table."""
        return [
            *(self.population, self.treatment, self.contrast, f"{self.odds_ratio:.2f}"),
            *(f"{self.pairs:.1f}", f"{self.events:.0f}", str(self.power.found)),
            *(_three(self.power.family), _three(self.power.single)),
        ]


def power_rows(planted: Sequence[pd.DataFrame]) -> Iterator[PowerRow]:
    """Compare how often planted primary changes were claimed with what `plan` predicts."""
    predicted = _predictions(_primary())
    rows = pd.concat(planted)
    rows = rows[(rows["source"] == "gate") & (rows["family"] == "confirmatory")]
    rows = rows[rows["verdict"].isin([FOUND, MISSED, WRONG])]
    for key, own in rows.groupby(["population", "treatment", "contrast"], sort=False):
        tally = Tally()
        for hit in own["verdict"] == FOUND:
            tally.add("found", hit)
        effect = float(own["true_effect"].iloc[0])
        single, family = predicted(str(key[0]), effect)
        power = Power(str(key[0]), tally.rates()["found"], single, family)
        means = own["n_pairs"].mean(), own["events_median"].median()
        yield PowerRow(*map(str, key), effect, *means, power)


def recall_rows(planted: Sequence[pd.DataFrame]) -> Iterator[list[str]]:
    """Tell how many planted changes were claimed, by their size and the events."""
    rows = pd.concat(planted)
    rows = rows[(rows["source"] == "gate") & (rows["readout"] == "percent_of_parent")]
    rows = rows[rows["verdict"].isin([FOUND, MISSED, WRONG])]
    size = np.abs(np.log(rows["true_effect"]))
    for low, name in SIZES.items():
        own = rows[(size >= low) & (size < _next(SIZES, low))]
        cells = [f"× {name}, or the inverse"]
        for least, _ in ABUNDANCE.items():
            most = _next(ABUNDANCE, least)
            part = own[(own["events_median"] >= least) & (own["events_median"] < most)]
            n = len(part)
            cells.append(f"{_three((part['verdict'] == FOUND).mean())} ({n})" if n else "")
        yield cells


def agreement_rows(events: Sequence[pd.DataFrame]) -> Iterator[list[str]]:
    """Sum the events of all studies, and write the F1 of gates and clusters."""
    sums = pd.concat(events).groupby(["source", "population"], sort=False)
    table = sums[["true", "found", "both"]].sum()
    table["f1"] = 2 * table["both"] / (table["true"] + table["found"])
    every = pd.concat(events)
    missed = every[(every["source"] == "cluster") & (every["found"] == 0)]["population"]
    order = [
        name
        for name in load_vocabulary(ROOT / "config" / "populations.yaml")
        if ("gate", name) in table.index
    ]
    for name in order:
        true = int(table.loc[("gate", name), "true"] / len(events))
        scores = [table["f1"].get((source, name), np.nan) for source in ("gate", "cluster")]
        yield [name, f"{true:,}", *map(_three, scores), str((missed == name).sum())]


def bias_rows(frequencies: Sequence[pd.DataFrame], source: str) -> Iterator[list[str]]:
    """Average the bias of the change of every population over the studies."""
    rows = pd.concat([one.assign(study=i) for i, one in enumerate(frequencies)])
    rows = rows[(rows["source"] == source) & rows["change_bias"].notna() & (rows["n_pairs"] >= 5)]
    for population, own in rows.groupby("population", sort=False):
        cells = [population, f"{own['true_percent'].median():.3g}"]
        cells.append(f"{100 * own['median_error'].median():.1f} %")
        for visit in ("month_4", "month_12"):
            values = own.loc[own["visit"] == visit, "change_bias"]
            se = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
            true = own.loc[own["visit"] == visit, "true_change"].mean()
            cells.append(f"{values.mean():+.4f} ± {1.96 * se:.4f} of {true:+.2f}")
        yield cells


def _tally_findings(tally: Tally, findings: pd.DataFrame) -> None:
    """Count errors of the first kind and intervals that hold the truth."""
    for source, readout in (
        ("gate", "percent_of_parent"),
        ("gate", "cells_per_ul"),
        ("cluster", "percent_of_parent"),
    ):
        rows = findings[(findings["source"] == source) & (findings["readout"] == readout)]
        rows = rows[rows["verdict"].isin(TESTED)]
        null = rows["verdict"].isin([RIGHT, FALSE]).to_numpy()
        low = (rows["p_value"] < 0.05).to_numpy()
        label = ASKED[source, readout]
        tally.add(f"type I error, {label}", low, null)
        covered = (rows["covered"] == "yes").to_numpy()
        tally.add(f"coverage, unchanged, {label}", covered, null)
        tally.add(f"coverage, changed, {label}", covered, ~null)
        if (source, readout) != ("gate", "percent_of_parent"):
            continue
        events = rows["events_median"].to_numpy()
        for least, name in ABUNDANCE.items():
            most = _next(ABUNDANCE, least)
            own = null & (events >= least) & (events < most)
            tally.add(f"type I error, {name} events", low, own)
        tally.add("type I error, most variable fifth", low, null & _most_variable(rows))


def _tally_claims(tally: Tally, findings: pd.DataFrame) -> None:
    """Count the false ones of a study's claims; a study without claims has none."""
    gates = findings[(findings["source"] == "gate") & findings["verdict"].isin(TESTED)]
    confirmatory = gates["family"] == "confirmatory"
    exploratory = ~confirmatory & (gates["readout"] == "percent_of_parent")
    for name, rows in (("confirmatory", gates[confirmatory]), ("exploratory", gates[exploratory])):
        for _, family in rows.groupby("family"):
            claims = family["verdict"].isin([FOUND, FALSE, WRONG])
            false = family["verdict"].isin([FALSE, WRONG])
            tally.add_share(f"FDR, {name} family", false.sum() / max(1, claims.sum()))


def _tally_any_claim(tally: Tally, findings: pd.DataFrame) -> None:
    """Count families with any claim, of a study in which nothing changed."""
    rows = findings[(findings["source"] == "gate") & findings["verdict"].isin(TESTED)]
    claimed = rows.assign(claimed=rows["q_value"] < 0.05).groupby("family")["claimed"].any()
    confirmatory = claimed.index == "confirmatory"
    tally.add("any confirmatory claim, nothing planted", claimed[confirmatory].to_numpy())
    tally.add(
        "any claim in an exploratory family, nothing planted", claimed[~confirmatory].to_numpy()
    )


def _most_variable(rows: pd.DataFrame) -> np.ndarray:
    """Tell which populations vary most between the visits of a patient, by the description."""
    study = KINDS["planted"].study["populations"]
    within = rows["population"].map(lambda name: study.get(name, {}).get("within", np.nan))
    return np.asarray(within >= within.quantile(1 - VARIABLE_SHARE))


def _demands() -> list[tuple[str, str]]:
    """List what is asked, and the limits that the design sets."""
    kinds = [*ASKED.values()]
    return [
        *((f"type I error, {name} events", ".03-.07") for name in ABUNDANCE.values()),
        ("type I error, most variable fifth", "≤ .08"),
        *((f"type I error, {kind}", ".03-.07") for kind in kinds),
        *((f"coverage, unchanged, {kind}", ".93-.97") for kind in kinds),
        *((f"coverage, changed, {kind}", ".93-.97") for kind in kinds),
        ("FDR, confirmatory family", "≤ .05"),
        ("FDR, exploratory family", "≤ .05"),
        ("any confirmatory claim, nothing planted", "≤ .075"),
        ("any claim in an exploratory family, nothing planted", "≤ .075"),
    ]


def _verdict(rate: Rate, limits: str) -> str:
    """Judge a rate by the limits: met, within its error, or not."""
    low, high = _ends(limits)
    if low <= rate.value <= high:
        return "pass"
    return "within error" if rate.low <= high and rate.high >= low else "**fail**"


def _ends(limits: str) -> tuple[float, float]:
    if limits.startswith("≤"):
        return 0.0, float(limits[1:])
    low, high = limits.split("-")
    return float(low), float(high)


def _primary() -> list[str]:
    vocabulary = load_vocabulary(ROOT / "config" / "populations.yaml")
    return [name for name, one in vocabulary.items() if one.primary]


def _predictions(primary: Sequence[str]) -> Callable[[str, float], tuple[float, float]]:
    """Return what `plan` says of 20 patients, for a population and an odds ratio.

    The family is that of these studies: every primary population, treatment and follow-up.
    """
    study = KINDS["planted"].study
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.yaml"
        path.write_text(yaml.safe_dump(dict(study), sort_keys=False), encoding="utf-8")
        basis = assumed_variation(primary, path)
    family = len(primary) * len(study["treatments"]) * (len(study["visits"]) - 1)
    events = LIVING_SHARE * float(np.mean(study["events_per_sample"]))

    def predict(population: str, odds_ratio: float) -> tuple[float, float]:
        one = next(v for v in basis.variations if v.population == population)
        fold = odds_ratio / (1 - one.share + one.share * odds_ratio)
        wishes = Wishes((fold,), (20,), study["missing_follow_ups"], events, family)
        prospect = plan(basis._replace(variations=(one,)), wishes)[0]
        if prospect.status != "planned":
            return float("nan"), float("nan")
        return float(prospect.power[0, 0, 20]), float(prospect.power[0, 1, 20])

    return predict


def _next(classes: Mapping[Any, str], low: float) -> float:
    """Return where the class above the one that begins here begins."""
    return min((other for other in classes if other > low), default=np.inf)


def _three(value: float) -> str:
    if not np.isfinite(value):
        return ""
    return f"{value:.3f}".removeprefix("0") if value < 1 else "1.000"


def document(folder: Path) -> str:
    """Write all tables."""
    planted, null = (read_studies(kind, folder) for kind in ("planted", "null"))
    n = {kind: len(studies["findings"]) for kind, studies in (("planted", planted), ("null", null))}
    header = (
        f"{n['planted']} studies with changes and {n['null']} without, of 20 patients per "
        "treatment, three visits, 15 % of the follow-ups missing, 20,000-24,000 events a file."
    )
    errors = error_rates(planted["findings"], null["findings"])
    powers = [*power_rows(planted["findings"])]
    plot_errors([Measured(name, rate, *_ends(limits)) for name, limits, rate in errors], ERRORS)
    plot_power([row.power for row in powers], POWER)
    parts = [
        header,
        "#### What the design demands",
        document_table(
            ("demand", "limits", "measured", "tests", "verdict"),
            [*error_rows(errors)],
        ),
        "#### Power of the primary populations, and what `biocross plan` predicts",
        document_table(
            (
                *("population", "treatment", "contrast", "odds ratio", "pairs", "events"),
                *("claimed", "planned, in the family", "planned, one test"),
            ),
            [row.cells() for row in powers],
        ),
        "#### Planted changes that were claimed, by size and events of the rarer visit",
        document_table(
            ("odds ratio", *(f"{name} events" for name in ABUNDANCE.values())),
            [*recall_rows(planted["findings"])],
        ),
        "#### Cells found, event by event",
        document_table(
            (
                "population",
                "true cells a study",
                "F1, gates",
                "F1, clusters",
                "studies without a cluster",
            ),
            [*agreement_rows(planted["events"])],
        ),
        "#### Frequencies: error, and bias of the change (log odds), gates",
        document_table(
            ("population", "true %", "median error", "month 4: bias of true change", "month 12"),
            [*bias_rows(planted["frequencies"], "gate")],
        ),
    ]
    return "\n\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, print the tables, and write them where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    for kind, n in STUDIES.items():
        parser.add_argument(f"--{kind}", type=int, default=n, help=KINDS[kind].name)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="keeps what was run")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args(arguments)
    run_all({kind: getattr(options, kind) for kind in KINDS}, options.folder, options.jobs)
    tables = document(options.folder)
    print(tables)
    if options.write:
        write_between((BEGIN, END), tables)


if __name__ == "__main__":
    main()
