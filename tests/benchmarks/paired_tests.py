"""Paired tests beside loops of SciPy and statsmodels; ``paired_tests.py test|calibrate FOLDER``."""

import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import yaml
from harness import alone, beside, fresh, medians, peak_memory

from biocross.cohort.overview import PAIR_COLUMNS, SAMPLE_COLUMNS
from biocross.cohort.vocabulary import load_vocabulary
from biocross.populations import COUNTS_COLUMNS
from biocross.statistics.calibration import calibrate_run
from biocross.statistics.kernels.battery import run_battery
from biocross.statistics.kernels.longitudinal import fit_visits
from biocross.statistics.paired_changes import (
    change_rows,
    find_paired_changes,
    population_pairs,
)

N_POPULATIONS, N_PATIENTS, N_FOLLOW_UPS = 500, 40, 4
RELABELLINGS = 1_000
FLIPS = 9_999
PARENT_EVENTS = 100_000
TARGET_TESTS, TARGET_CALIBRATION = 2, 20
CONFIRMATORY = ("flow", "gate", "percent_of_parent")
RUNS = 3


def simulate(n_populations, seed=1):
    """Draw events of populations at the visits of patients, a tenth of them changed.

    Parameters
    ----------
    n_populations
        From 0.02 to 10 % of their parent.

    Returns
    -------
    ndarray of int
        Shape (patients, visits, populations); visit 0 is baseline.
    """
    random = np.random.default_rng(seed)
    shape = (N_PATIENTS, N_FOLLOW_UPS + 1, n_populations)
    level = np.log(np.geomspace(0.0002, 0.1, n_populations))
    changed = 0.3 * (np.arange(n_populations) % 10 == 0) * (np.arange(shape[1])[:, None] > 0)
    patient = random.normal(0, 0.5, (N_PATIENTS, 1, n_populations))
    noise = random.normal(0, 0.25, shape)
    share = 1 / (1 + np.exp(-(level + changed + patient + noise)))
    return random.binomial(PARENT_EVENTS, share)


def write_study(folder, n_populations=N_POPULATIONS):
    """Write the long table of `simulate`, its sheets and its vocabulary.

    Parameters
    ----------
    folder
        Receives ``counts.tsv``, ``samples.tsv``, ``pairs.tsv`` and ``populations.yaml``.
    n_populations
        How many.
    """
    visits = ["baseline", *(f"month_{4 * n}" for n in range(1, N_FOLLOW_UPS + 1))]
    patients = [f"P{n:02d}" for n in range(N_PATIENTS)]
    names = [f"population_{n}" for n in range(n_populations)]
    count = simulate(n_populations)
    at = pd.MultiIndex.from_product(
        (patients, visits, names), names=("patient_id", "visit", "population")
    )
    same = {"treatment": "mepolizumab", "modality": "flow", "source": "gate"}
    table = pd.DataFrame({"count": count.ravel()}, index=at).reset_index()
    table = table.assign(parent="leukocytes", parent_count=PARENT_EVENTS, cells_per_ul="", **same)
    table["percent"] = 100 * table["count"] / PARENT_EVENTS
    table["sample_id"] = table["patient_id"] + "_" + table["visit"]
    sheet = table[["sample_id", "patient_id", "visit", "modality", "treatment"]].drop_duplicates()
    sheet = sheet.assign(unit=sheet["patient_id"], level=sheet["visit"], batch="lot_1")
    pairs = pd.DataFrame(
        [(visit, patient) for visit in visits[1:] for patient in patients],
        columns=["followup", "patient_id"],
    ).assign(treatment="mepolizumab", modality="flow", baseline="baseline", complete="yes")
    pairs = pairs.assign(contrast=pairs["followup"] + " - baseline", unit=pairs["patient_id"])
    for name, frame, columns in (
        ("counts", table, COUNTS_COLUMNS),
        ("samples", sheet, SAMPLE_COLUMNS),
        ("pairs", pairs, PAIR_COLUMNS),
    ):
        frame.reindex(columns=columns).to_csv(folder / f"{name}.tsv", sep="\t", index=False)
    vocabulary = {"leukocytes": {"parent": None, "flow": ""}}
    vocabulary |= {name: {"parent": "leukocytes", "flow": ""} for name in names}
    vocabulary[names[-1]]["primary"] = True
    text = yaml.safe_dump(vocabulary, sort_keys=False)
    (folder / "populations.yaml").write_text(text, encoding="utf-8")


def measure():
    """Time the tests beside loops, and the two rules as processes of their own.

    Returns
    -------
    list of Row
        Of 500 populations, 40 patients and 4 contrasts.
    """
    size = f"{N_POPULATIONS} populations x {N_FOLLOW_UPS} contrasts x {N_PATIENTS} patients"
    changes, samples = changes_and_samples(N_POPULATIONS)
    check_equal(changes, samples)
    paired = medians({"ours": lambda: test_changes(changes), "scipy": lambda: loop(changes)}, 1)
    visits = medians({"ours": lambda: fit(samples), "statsmodels": lambda: loop_visits(samples)}, 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_study(folder)
        rows = medians({"ours": lambda: all_rows(folder)})["ours"]
        rules = {
            step: median(fresh("paired_tests.py", step, folder)[1][1] for _ in range(RUNS))
            for step in ("test", "calibrate")
        }
    model = f"visits within patients, {N_POPULATIONS} populations, robust errors"
    calibrated = f"calibrate_run, {size}, {RELABELLINGS:,} relabellings: of the processor"
    return [
        beside(f"paired tests, {size}", paired["ours"], "SciPy, a loop", paired["scipy"]),
        beside(model, visits["ours"], "statsmodels, a loop", visits["statsmodels"]),
        alone(f"paired tests, {size}, two readouts and their rows", rows, TARGET_TESTS),
        alone(f"find_paired_changes, {size}: of the processor", rules["test"]),
        alone(calibrated, rules["calibrate"], TARGET_CALIBRATION),
    ]


def changes_and_samples(n_populations):
    """Take logits of `simulate`: changes by contrast, and all samples of all visits.

    Returns
    -------
    changes, samples
        Shapes (contrasts, patients, populations) and (patients, visits, populations).
    """
    count = simulate(n_populations)
    logits = np.log((count + 0.5) / (PARENT_EVENTS - count + 0.5))
    return (logits[:, 1:] - logits[:, :1]).swapaxes(0, 1), logits


def test_changes(changes):
    """Run every test that a row of ``paired_changes.tsv`` holds."""
    return [run_battery(one, one.mean(axis=0), 1) for one in changes]


def loop(changes):
    """Run three of these tests as one does with SciPy, and correct p values by contrast.

    Returns
    -------
    list of ndarray
        By contrast, shape (3, populations): p of t, signed ranks and sign flips.
    """
    from scipy import stats

    found = []
    for one in changes:
        t = [stats.ttest_1samp(column, 0).pvalue for column in one.T]
        ranks = [stats.wilcoxon(column).pvalue for column in one.T]
        flips = [_flip(column) for column in one.T]
        stats.false_discovery_control(t)
        found.append(np.array([t, ranks, flips]))
    return found


def _flip(column):
    from scipy import stats

    return stats.permutation_test(
        (column,),
        lambda values, axis: values.mean(axis=axis),
        permutation_type="samples",
        n_resamples=FLIPS,
        vectorized=True,
        rng=1,
    ).pvalue


def fit(samples):
    """Estimate the changes of all visits within patients."""
    n_patients, n_visits, n_populations = samples.shape
    patient = np.repeat(np.arange(n_patients), n_visits)
    visit = np.tile(np.arange(n_visits), n_patients)
    return fit_visits(samples.reshape(-1, n_populations), patient, visit)


def loop_visits(samples):
    """Fit the same model with statsmodels, population by population.

    Returns
    -------
    ndarray
        Estimates, shape (visits after baseline, populations).
    """
    from statsmodels.api import OLS

    n_patients, n_visits, n_populations = samples.shape
    patient = np.repeat(np.arange(n_patients), n_visits)
    visit = np.tile(np.arange(n_visits), n_patients)
    design = np.column_stack(
        [visit[:, None] == np.arange(1, n_visits), patient[:, None] == np.arange(n_patients)]
    ).astype(float)
    fits = (
        OLS(values, design).fit(cov_type="cluster", cov_kwds={"groups": patient})
        for values in samples.reshape(-1, n_populations).T
    )
    return np.column_stack([_estimates(one, n_visits - 1) for one in fits])


def _estimates(fitted, n_follow_ups):
    # The table that one would read; p values and intervals are computed when asked for.
    _ = fitted.bse, fitted.pvalues, fitted.conf_int()
    return fitted.params[:n_follow_ups]


def check_equal(changes, samples):
    """Make sure that what is timed gives the same: exact tests, and the estimates of visits."""
    # Where sizes are tied or zero, SciPy falls back on the normal distribution, and ours does not.
    untied = [np.unique(np.abs([*column, 0])).size > N_PATIENTS for column in changes[0].T]
    few = changes[:1, :, np.flatnonzero(untied)[:20]]
    ours, theirs = test_changes(few)[0], loop(few)[0]
    np.testing.assert_allclose(ours.wilcoxon_p, theirs[1], rtol=1e-9)
    # Both draw 10,000 flips; SciPy doubles the smaller tail, ours counts both.
    np.testing.assert_allclose(ours.signflip_p, theirs[2], atol=0.05)
    some = samples[:, :, :20]
    np.testing.assert_allclose(fit(some).visits.estimate, loop_visits(some), rtol=1e-9)


def all_rows(folder):
    """Arrange and test the pairs, and make the rows of ``paired_changes.tsv``."""
    vocabulary = load_vocabulary(folder / "populations.yaml")
    tables = population_pairs(*_sheets(folder))
    return [row for table in tables for row in change_rows(table, vocabulary, 1)]


def run_tests(folder):
    """Do what ``workflow/scripts/find_paired_changes.py`` does."""
    find_paired_changes(
        *_sheets(folder),
        folder / "populations.yaml",
        CONFIRMATORY,
        seed=1,
        changes_out=folder / "paired_changes.tsv",
    )


def run_calibration(folder):
    """Do what ``workflow/scripts/calibrate_run.py`` does."""
    calibrate_run(
        *_sheets(folder),
        folder / "populations.yaml",
        folder / "paired_changes.tsv",
        CONFIRMATORY,
        relabellings=RELABELLINGS,
        fdr=0.05,
        seed=1,
        calibration_out=folder / "calibration.tsv",
    )


def _sheets(folder):
    return [folder / f"{name}.tsv" for name in ("counts", "samples", "pairs")]


if __name__ == "__main__":
    {"test": run_tests, "calibrate": run_calibration}[sys.argv[1]](Path(sys.argv[2]))
    print(json.dumps([peak_memory(), time.process_time()]))
