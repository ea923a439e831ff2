"""Measure the whole flow path on simulated studies: FCS files in, tested changes out.

``python tests/validation/from_fcs.py`` prints a table; with ``--write`` it replaces its part of
docs/validation.md. Every study has its own seed, patients and files; nothing is shared with the
analysis but the files.
"""

import argparse
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

if __name__ == "__main__":  # One thread for each process, before numpy.
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import yaml
from validation.scenarios import Tally

from biocross.cohort.checks import load_cohort
from biocross.cohort.config import complete_config
from biocross.cohort.overview import check_cohort
from biocross.flow.gating import estimate_thresholds, gate_patient
from biocross.flow.prepare import prepare_flow_sample
from biocross.flow.settled_thresholds import settle_thresholds
from biocross.flow.signals import Compensation
from biocross.flow.summary import summarise_flow
from biocross.flow.transform_choice import estimate_transforms
from biocross.populations import gather_populations
from biocross.simulate.flow.cohort import simulate_cohort
from biocross.simulate.sheets import write_sheets
from biocross.statistics.paired_changes import find_paired_changes, load_changes
from biocross.statistics.pairs import read_table

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "validation.md"
BEGIN, END = "<!-- from FCS: begin -->", "<!-- from FCS: end -->"
NULL = 0.02
# What the intervals of the measured rates must contain (docs/validation.md says why).
TARGETS = {
    "type I error": 0.05,
    "coverage, unchanged populations": 0.95,
    "coverage, changed populations": 0.95,
}


def describe_study(folder: Path, planted: bool) -> Path:
    """Write the demo's study description, with its planted changes or with none."""
    study = yaml.safe_load((ROOT / "config" / "simulation.yaml").read_text("utf-8"))
    if not planted:
        for arm in study["treatments"].values():
            arm.pop("fold_changes", None)
            arm.pop("marker_shifts", None)
    path = folder / "simulation.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    return path


def analyse_study(folder: Path, seed: int, planted: bool) -> tuple[Path, Path]:
    """Simulate one study and take its files the whole way; return its changes and its truth."""
    study = describe_study(folder, planted)
    write_sheets(study, folder, seed=seed)
    shared = {name: str(ROOT / "config" / f"{name}.yaml") for name in ("gating", "populations")}
    sheets = {name: str(folder / f"{name}.tsv") for name in ("samples", "patients", "clinical")}
    panel = str(folder / "panel.tsv")
    inputs = {"folder": str(folder), "panel": panel, **shared, **sheets}
    config = complete_config({"inputs": inputs, "design": {"levels": ["baseline", "month_4"]}})
    simulate_cohort(study, Path(sheets["samples"]), Path(sheets["patients"]), folder, seed)
    cohort = load_cohort(config)
    out = {name: folder / f"{name}.out" for name in ("samples", "pairs", "transforms", "changes")}
    check_cohort(config, out["samples"], out["pairs"])
    paths = {sample.sample_id: folder / sample.path for sample in cohort.samples}
    transforms, compensation = out["transforms"], Compensation()
    estimate_transforms(
        *(list(paths.values()), panel, "conventional", None, None),
        *([compensation] * len(paths), transforms, folder / "transforms.xml"),
    )
    for sample in cohort.samples:
        name = sample.sample_id
        tables = (folder / f"{name}.{kind}" for kind in ("ledger", "repairs", "warnings", "sanity"))
        prepare_flow_sample(
            *(paths[name], panel, transforms, "conventional", compensation, ()),
            *(sample._asdict(), folder / f"{name}.arrow", *tables),
        )
        paths[name].unlink()
    gates = (shared["gating"], shared["populations"], panel, transforms)
    events = {
        patient: [folder / f"{sample.sample_id}.arrow" for sample in samples]
        for patient, samples in cohort.by_patient("flow").items()
    }
    estimates = {patient: folder / f"{patient}.estimates" for patient in events}
    for patient, paths_of_patient in events.items():
        estimate_thresholds(paths_of_patient, *gates, estimates[patient])
    thresholds = folder / "thresholds.all"
    settle_thresholds(list(estimates.values()), *gates, thresholds)
    kinds = ("counts", "expression", "modes", "shifts", "unknown")
    parts = {kind: [folder / f"{patient}.{kind}" for patient in events] for kind in kinds}
    for patient, paths_of_patient in events.items():
        gate_patient(
            *(paths_of_patient, gates[0], thresholds, *gates[1:]),
            *(folder / f"{patient}.{kind}" for kind in (*kinds, "membership")),
        )
    gathered = {kind: folder / f"{kind}.all" for kind in ("counts", "expression")}
    summarise_flow(parts, gathered)
    gather_populations(
        *(
            out["samples"],
            shared["populations"],
            {"gate": gathered["counts"]},
            [gathered["expression"]],
        ),
        *(folder / "counts.long", folder / "expression.long"),
    )
    find_paired_changes(
        *(folder / "counts.long", out["samples"], out["pairs"], shared["populations"]),
        *(("flow", "gate", "percent_of_parent"), 1, out["changes"]),
    )
    return out["changes"], folder / "truth_effects.tsv"


def judge_study(task: tuple[int, bool]) -> list[tuple[str, list[bool], list[bool]]]:
    """Analyse one study; return, by what is measured, the hits and where the question is asked."""
    seed, planted = task
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115  the steps tell their progress
    with tempfile.TemporaryDirectory() as folder:
        changes, effects = analyse_study(Path(folder), seed, planted)
        truth = read_table(effects)[["treatment", "population", "log_odds_ratio"]]
        rows = load_changes(changes).merge(truth, on=["treatment", "population"])
    rows = rows[(rows["readout"] == "percent_of_parent") & (rows["status"] == "tested")]
    true = rows["log_odds_ratio"].to_numpy()
    null = np.abs(true) < NULL
    low, high = np.log(rows["effect_low"]), np.log(rows["effect_high"])
    covered = ((low <= true) & (true <= high)).to_numpy()
    claimed = (rows["q_value"] < 0.05).to_numpy()
    confirmatory = (rows["family"] == "confirmatory").to_numpy()
    wrong = null | (np.sign(np.log(rows["effect"].to_numpy())) != np.sign(true))
    families = rows.assign(claimed=claimed).groupby("family")["claimed"].any().to_numpy()
    measured = [
        ("type I error", (rows["p_value"] < 0.05).to_numpy(), null),
        ("coverage, unchanged populations", covered, null),
        ("coverage, changed populations", covered, ~null),
        ("false claims among claims", wrong, claimed),
        ("planted primary changes found", claimed & ~wrong, ~null & confirmatory),
        (
            "a family with any claim, nothing planted",
            families,
            np.full(families.shape, not planted),
        ),
    ]
    return [(name, hit.tolist(), asked.tolist()) for name, hit, asked in measured]


def measure(n_studies: int, jobs: int) -> str:
    """Run the studies, half of them without any planted change, and return the table."""
    tally = Tally()
    tasks = [(1000 + number, number % 2 == 0) for number in range(2 * n_studies)]
    with ProcessPoolExecutor(jobs) as pool:
        for measured in pool.map(judge_study, tasks):
            for name, hit, asked in measured:
                tally.add(name, hit, np.array(asked))
    lines = ["| what | target | measured | tests | studies | |", "|---|---|---|---|---|---|"]
    for name, rate in tally.rates().items():
        target = TARGETS.get(name)
        inside = (
            "" if target is None else "contains" if rate.low <= target <= rate.high else "**no**"
        )
        shown = "" if target is None else f"{target:g}"
        lines.append(
            f"| {name} | {shown} | {rate} | {rate.n_tests} | {rate.n_studies} | {inside} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the table, and write it into the document where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=60, help="of each kind")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    table = measure(arguments.studies, arguments.jobs)
    print(table)
    if arguments.write:
        text = DOCUMENT.read_text(encoding="utf-8")
        start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
        DOCUMENT.write_text(f"{text[:start]}\n{table}\n{text[end:]}", encoding="utf-8")


if __name__ == "__main__":
    main()
