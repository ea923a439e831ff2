"""What a run says of itself: statistics, tables of trust and the report, after `whole_run`."""

import html
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from validation.whole_run import Run

from biocross.cohort.instruments import CHANNEL_COLUMNS
from biocross.cohort.overview import check_cohort
from biocross.cohort.provenance import record_provenance
from biocross.flow.marker_shifts import measure_marker_shifts
from biocross.flow.residual_spillover import find_residual_spillover
from biocross.flow.summary import summarise_flow
from biocross.report.figures.quality_overview import plot_quality_overview
from biocross.report.page.report import write_report
from biocross.statistics.calibration import calibrate_run
from biocross.statistics.clinical import find_clinical_associations
from biocross.statistics.gate_sensitivity import measure_gate_sensitivity
from biocross.statistics.marker_changes import find_marker_changes
from biocross.statistics.paired_changes import find_paired_changes
from biocross.statistics.quality_loss import find_quality_losses
from biocross.statistics.specifications import vary_specifications
from biocross.statistics.treatment_differences import find_treatment_differences
from biocross.statistics.visits import find_longitudinal_changes
from biocross.tables import write_rows

RELABELLINGS = 200
FAMILY = ("flow", "gate", "percent_of_parent")
QUALITY, GATING = ("ledger", "repairs", "warnings", "sanity"), ("modes", "shifts")


class Told:
    """The tables and the report of a run that was gated and counted.

    Parameters
    ----------
    run
        Of `whole_run`, after `find_changes`.
    """

    def __init__(self, run: Run) -> None:
        self.run = run

    def table(self, name: str) -> pd.DataFrame:
        """Read a table of the run by its name."""
        return pd.read_csv(self.run.path(f"{name}.tsv"), sep="\t")

    def changes(self, *populations: str, readout: str = FAMILY[2]) -> pd.DataFrame:
        """Return the changes of some populations, or all, in one readout."""
        table = self.table("paired_changes")
        chosen = table[table["readout"] == readout]
        return chosen[chosen["population"].isin(populations)] if populations else chosen

    @cached_property
    def problems(self) -> list[str]:
        """Everything that `check_cohort` warned about."""
        return self.table("problems")["message"].tolist()

    @cached_property
    def page(self) -> str:
        """The text of the report, without its tags."""
        return _text(self.run.path("report.html").read_text(encoding="utf-8"))

    @cached_property
    def cautions(self) -> list[str]:
        """The cautions that open the report."""
        raw = self.run.path("report.html").read_text(encoding="utf-8")
        first = re.findall(r'<p class="caution first">(.*?)</p>', raw)
        listed = re.findall(r'<ul class="cautions">(.*?)</ul>', raw, flags=re.DOTALL)
        others = [item for items in listed for item in re.findall(r"<li>(.*?)</li>", items)]
        return [_text(words).removeprefix("Before anything else. ") for words in (*first, *others)]

    def caution(self, words: str) -> str:
        """Return the first caution with some words; empty where there is none."""
        return next((caution for caution in self.cautions if words in caution), "")


def tell(run: Run) -> Told:
    """Write the statistics and the report of a run.

    Parameters
    ----------
    run
        Gated and counted.

    Returns
    -------
    Told
        What it says.
    """
    cohort = {name: run.path(f"{name}.tsv") for name in ("samples", "pairs")}
    _check(run, cohort)
    _summarise(run, cohort)
    _find(run, cohort)
    _report(run, cohort)
    return Told(run)


def _check(run: Run, cohort: Mapping[str, Path]) -> None:
    kinds = ("problems", "design", "patients", "drug_notes")
    # The files are gone once they are prepared; those of a simulation need not be there.
    simulated = {**run.config, "simulate": {"study": str(run.folder / "study.yaml")}}
    check_cohort(simulated, *cohort.values(), *(run.path(f"{kind}.tsv") for kind in kinds))
    sheets = [run.inputs[name] for name in ("samples", "populations")]
    kinds = ("config.yaml", "versions.tsv", "inputs.tsv")
    record_provenance(run.config, sheets, *(run.path("provenance", kind) for kind in kinds))


def _summarise(run: Run, cohort: Mapping[str, Path]) -> None:
    """Gather what samples and patients have each, and what follows from it."""
    parts: dict[str, list[Path | str]] = {
        kind: [run.path("gates", f"{patient}.{kind}") for patient in run.patients]
        for kind in GATING
    }
    parts |= {
        kind: [run.path("quality", f"{sample}.{kind}") for sample in run.events()]
        for kind in QUALITY
    }
    summarise_flow(parts, {kind: run.path(f"{kind}.tsv") for kind in parts})
    find_quality_losses(
        *(run.path("ledger.tsv"), *cohort.values()),
        *(run.path("loss_changes.tsv"), run.path("sample_losses.tsv")),
    )
    find_residual_spillover(
        *([*run.events().values()], run.inputs["panel"], run.path("transforms.tsv")),
        run.path("residual_spillover.tsv"),
    )
    measure_marker_shifts(
        *(run.path("modes.tsv"), *cohort.values(), run.path("transforms.tsv")),
        *(run.path("marker_shifts.tsv"), run.path("marker_shift_summary.tsv")),
    )


def _find(run: Run, cohort: Mapping[str, Path]) -> None:
    out = {name: run.path(f"{name}.tsv") for name in _STATISTICS}
    counts, populations = run.path("counts.tsv"), run.inputs["populations"]
    pairs = (counts, *cohort.values(), populations)
    changes = out["paired_changes"]
    settings = run.config["statistics"]
    seed, fdr = settings["seed"], settings["fdr"]
    selected = run.config["design"]["selected_on"]
    notes = run.path("drug_notes.tsv")
    find_paired_changes(*pairs, FAMILY, seed, changes, drug_notes=notes, selected_on=selected)
    find_marker_changes(
        *(run.path("expression.tsv"), *cohort.values(), run.inputs["panel"]),
        *(run.path("transforms.tsv"), settings["min_cells"], seed, out["marker_changes"]),
        populations=populations,
    )
    find_treatment_differences(*pairs, out["treatment_differences"])
    find_longitudinal_changes(
        counts, cohort["samples"], run.levels, settings["covariates"], out["longitudinal"]
    )
    find_clinical_associations(*pairs, seed, out["clinical_associations"])
    measure_gate_sensitivity(
        *(changes, *pairs, run.path("shifts.tsv"), run.path("marker_shifts.tsv")),
        *(FAMILY, out["gate_sensitivity"]),
        fdr=fdr,
        strategy=run.inputs["gating"],
        panel=run.inputs["panel"],
    )
    shifts = run.path("shifts.tsv")
    vary_specifications(*pairs, changes, FAMILY, seed, out["specifications"], fdr, shifts)
    calibrate_run(*pairs, changes, FAMILY, RELABELLINGS, fdr, seed, out["calibration"])


def _report(run: Run, cohort: Mapping[str, Path]) -> None:
    ledger, overview = run.path("ledger.tsv"), run.path("overview.svg")
    plot_quality_overview(ledger, cohort["samples"], overview, levels=run.levels)
    write_rows(run.path("channels.tsv"), CHANNEL_COLUMNS, ())
    flow: dict[str, Any] = {name: run.path(f"{name}.tsv") for name in _FLOW}
    write_report(
        statistics={name: run.path(f"{name}.tsv") for name in (*_STATISTICS, "drug_notes")},
        counts=run.path("counts.tsv"),
        cohort=cohort,
        flow=flow,
        versions=run.path("provenance", "versions.tsv"),
        config=run.path("provenance", "config.yaml"),
        populations=run.inputs["populations"],
        report_out=run.path("report.html"),
    )


_STATISTICS = (
    *("paired_changes", "marker_changes", "treatment_differences", "longitudinal"),
    *("clinical_associations", "gate_sensitivity", "specifications", "calibration"),
)
_FLOW = (
    *(*QUALITY, "thresholds", "loss_changes", "marker_shift_summary"),
    *("residual_spillover", "channels"),
)


def _text(page: str) -> str:
    bare = re.sub(r"<(style|script|svg).*?</\1>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", bare))).strip()
