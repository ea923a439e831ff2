"""Take a simulated study the whole way in one process: what the workflow does, step by step.

The steps are the functions that the workflow's scripts call, with the defaults of its
configuration; a test compares the tables with those of a run of Snakemake.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from biocross.cohort.checks import Cohort, load_cohort
from biocross.cohort.config import complete_config
from biocross.cohort.overview import check_cohort
from biocross.evaluation.run import Results, evaluate_run
from biocross.flow.clusters.mapping import map_flow_sample
from biocross.flow.clusters.naming import name_clusters
from biocross.flow.clusters.training import train_flow_map
from biocross.flow.gating import estimate_thresholds, gate_patient
from biocross.flow.prepare import prepare_flow_sample
from biocross.flow.settled_thresholds import settle_thresholds
from biocross.flow.signals import Compensation
from biocross.flow.summary import summarise_flow
from biocross.flow.transform_choice import estimate_transforms
from biocross.populations import gather_populations
from biocross.simulate.description import load_description, merge
from biocross.simulate.flow.cohort import simulate_cohort
from biocross.simulate.sheets import write_sheets
from biocross.statistics.paired_changes import find_paired_changes
from biocross.tables import read_rows, write_rows

ROOT = Path(__file__).parents[2]
STUDIES = ROOT / "config" / "simulation"
# Changes of a description: two visits that nobody misses.
TWO_VISITS = {"visits": {"month_12": None}, "missing_follow_ups": 0}
SHEETS = ("samples", "patients", "clinical")
GATE_PARTS = ("counts", "expression", "modes", "shifts", "unknown")
# Reruns measure the stability of clusters and cost most of the time; the workflow makes ten.
RERUNS = 2


class Run(NamedTuple):
    """A study on its way: its folder, configuration and cohort.

    Files of the steps lie in the folder, by the names of `path`.
    """

    folder: Path
    config: dict[str, Any]
    cohort: Cohort

    @property
    def levels(self) -> list[str]:
        """The visits, the baseline first."""
        return list(self.config["design"]["levels"])

    @property
    def inputs(self) -> dict[str, str]:
        """Sheets and documents."""
        return dict(self.config["inputs"])

    @property
    def patients(self) -> dict[str, list[str]]:
        """Flow samples of every patient."""
        by_patient = self.cohort.by_patient("flow")
        return {name: [one.sample_id for one in own] for name, own in by_patient.items()}

    def path(self, *parts: str) -> Path:
        """Name a file of the run."""
        return self.folder.joinpath("run", *parts)

    def events(self) -> dict[str, Path]:
        """Name the prepared events of every sample."""
        return {
            name: self.path("events", f"{name}.arrow")
            for samples in self.patients.values()
            for name in samples
        }


def describe(base: str, *changes: Mapping[str, Any]) -> dict[str, Any]:
    """Read the description of a study of `STUDIES`, and change it."""
    study = load_description(STUDIES / f"{base}.yaml")
    for change in changes:
        study = merge(study, change)
    return study


def run_study(study: Mapping[str, Any], folder: Path, seed: int, clusters: bool = True) -> Run:
    """Simulate a study, analyse it, and compare what was found with the truth.

    Parameters
    ----------
    study
        Its description.
    folder
        Receives all files; the FCS files are removed when they have been read.
    seed
        Of the study.
    clusters
        Whether clusters are sought beside gates.

    Returns
    -------
    Run
        With ``run/evaluation/`` (see `evaluate_run`), ``run/counts.tsv`` and
        ``run/paired_changes.tsv``.
    """
    with silence():
        run = simulate(study, folder, seed)
        prepare(run)
        gate(run)
        if clusters:
            cluster(run)
        find_changes(run, clusters)
        evaluate(run, clusters)
    return run


def simulate(
    study: Mapping[str, Any],
    folder: Path,
    seed: int,
    edit_samples: Callable[[Path], None] | None = None,
) -> Run:
    """Write the sheets and files of a study; `edit_samples` may change ``samples.tsv`` between."""
    description = folder / "study.yaml"
    description.write_text(yaml.safe_dump(dict(study), sort_keys=False), encoding="utf-8")
    write_sheets(description, folder, seed=seed)
    if edit_samples:
        edit_samples(folder / "samples.tsv")
    simulate_cohort(description, folder / "samples.tsv", folder / "patients.tsv", folder, seed)
    shared = {name: str(ROOT / "config" / f"{name}.yaml") for name in ("gating", "populations")}
    sheets = {name: str(folder / f"{name}.tsv") for name in (*SHEETS, "panel")}
    config = complete_config(
        {
            "inputs": {"folder": str(folder), **shared, **sheets},
            "design": {"levels": [*study["visits"]]},
        }
    )
    return Run(folder, config, load_cohort(config))


def prepare(run: Run) -> None:
    """Read, compensate, transform and flag every file, and remove it."""
    check_cohort(run.config, run.path("samples.tsv"), run.path("pairs.tsv"))
    files = {sample.sample_id: run.folder / sample.path for sample in run.cohort.samples}
    transforms, compensation = run.path("transforms.tsv"), Compensation()
    estimate_transforms(
        *([*files.values()], run.inputs["panel"], "conventional", None, None),
        *([compensation] * len(files), transforms, run.path("transforms.xml")),
    )
    for sample in run.cohort.samples:
        name = sample.sample_id
        kinds = ("ledger", "repairs", "warnings", "sanity")
        prepare_flow_sample(
            *(files[name], run.inputs["panel"], transforms, "conventional", compensation, ()),
            *(sample._asdict(), run.events()[name]),
            *(run.path("quality", f"{name}.{kind}") for kind in kinds),
        )
        files[name].unlink()


def gate(run: Run, gating: Path | None = None) -> None:
    """Gate every patient with the default strategy, or another."""
    sheets = (run.inputs["populations"], run.inputs["panel"], run.path("transforms.tsv"))
    strategy, events = gating or run.inputs["gating"], run.events()
    estimates = {name: run.path("gates", f"{name}.estimates") for name in run.patients}
    for patient, samples in run.patients.items():
        own = [events[name] for name in samples]
        estimate_thresholds(own, strategy, *sheets, estimates[patient])
    thresholds = run.path("thresholds.tsv")
    settle_thresholds([*estimates.values()], strategy, *sheets, thresholds)
    for patient, samples in run.patients.items():
        kinds = (*GATE_PARTS, "membership")
        out = [run.path("gates", f"{patient}.{kind}") for kind in kinds]
        gate_patient([events[name] for name in samples], strategy, thresholds, *sheets, *out)
    parts = {
        kind: [run.path("gates", f"{name}.{kind}") for name in run.patients] for kind in GATE_PARTS
    }
    gathered = {kind: run.path(f"gate_{kind}.tsv") for kind in ("counts", "expression")}
    summarise_flow(parts, gathered)


def cluster(run: Run, n_reruns: int = RERUNS, **changes: Any) -> None:
    """Find, name and count clusters, with the workflow's settings but for some changes."""
    train(run, n_reruns, **changes)
    map_samples(run)


def train(run: Run, n_reruns: int = RERUNS, **changes: Any) -> None:
    """Make the maps and name their clusters; see `cluster`."""
    settings = {**run.config["flow"]["clusters"], **changes}
    names = ("method", "grid", "number", "zoom", "zoom_grid", "zoom_number", "events_per_sample")
    transforms, populations = run.path("transforms.tsv"), run.inputs["populations"]
    pools = [run.path("clusters", f"pool_{name}.arrow") for name in ("main", *settings["zoom"])]
    maps, annotation, found = _maps(run)
    kinds = ("clusters", "numbers", "reruns")
    clusters, numbers, reruns = (run.path("clusters", f"{name}.tsv") for name in kinds)
    train_flow_map(
        *([*run.events().values()], run.inputs["panel"], transforms, populations),
        *([settings[name] for name in names]),
        *(settings["seed"], maps, pools[0], pools[1:], clusters, numbers, reruns, n_reruns),
    )
    name_clusters(
        *(maps, pools, clusters, reruns, transforms, populations, None, annotation, found)
    )


def map_samples(run: Run) -> None:
    """Put every event into its cluster, and count."""
    maps, annotation, found = _maps(run)
    counts: list[dict[str, str]] = []
    for name, path in run.events().items():
        out = [
            run.path("clusters", f"{name}.{kind}") for kind in ("labels", "counts", "expression")
        ]
        map_flow_sample(
            *(path, maps, annotation, found, run.inputs["panel"]),
            *(run.inputs["populations"], "", *out),
        )
        counts += read_rows(out[1])
    write_rows(run.path("cluster_counts.tsv"), [*counts[0]], counts)


def _maps(run: Run) -> list[Path]:
    names = ("map.arrow", "annotation.tsv", "populations.tsv")
    return [run.path("clusters", name) for name in names]


def find_changes(run: Run, clusters: bool) -> None:
    """Gather the long tables, and test the changes of frequencies."""
    gather(run, clusters)
    find_paired_changes(
        *(run.path("counts.tsv"), run.path("samples.tsv"), run.path("pairs.tsv")),
        *(run.inputs["populations"], ("flow", "gate", "percent_of_parent"), 1),
        run.path("paired_changes.tsv"),
    )


def gather(run: Run, clusters: bool) -> None:
    """Write the long tables of what was counted."""
    counts = {"gate": run.path("gate_counts.tsv")}
    if clusters:
        counts["cluster"] = run.path("cluster_counts.tsv")
    gather_populations(
        *(run.path("samples.tsv"), run.inputs["populations"]),
        *(counts, [run.path("gate_expression.tsv")]),
        *(run.path("counts.tsv"), run.path("expression.tsv")),
    )


def evaluate(run: Run, clusters: bool) -> None:
    """Compare what was found with the truth."""
    with_clusters = {
        "cluster_labels": {name: run.path("clusters", f"{name}.labels") for name in run.events()},
        "annotation": run.path("clusters", "annotation.tsv"),
    }
    results = Results(
        counts=run.path("counts.tsv"),
        paired_changes=run.path("paired_changes.tsv"),
        events=run.events(),
        memberships=[run.path("gates", f"{name}.membership") for name in run.patients],
        **(with_clusters if clusters else {}),
    )
    evaluate_run(
        *(results, run.folder, Path(run.inputs["populations"])),
        *(run.levels, run.config["statistics"]["fdr"], run.path("evaluation")),
    )


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Send what the steps print to nowhere."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
        yield
