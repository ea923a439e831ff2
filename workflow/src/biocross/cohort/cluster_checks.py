"""Whether clusters and normalisation can be had as the configuration asks for them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from biocross.cohort.cross_checks import is_file
from biocross.cohort.design import Cohort, unlinked
from biocross.cohort.sheets import Problem, did_you_mean, read_sheet
from biocross.cohort.vocabulary import Vocabulary, population_problems

DEFAULT_ZOOM = ("ILC", "CD4_T", "CD8_T")


def cluster_problems(
    config: Mapping[str, Any], cohort: Cohort, vocabulary: Vocabulary
) -> list[Problem]:
    """Find faults of what is asked of clusters: names, and batches that cannot be aligned.

    Parameters
    ----------
    config
        A complete configuration.
    cohort
        The study.
    vocabulary
        Known populations.

    Returns
    -------
    list of Problem
        Errors, because each of these would stop the run later.
    """
    if not cohort.of_modality("flow"):
        return []
    problems = _label_problems(config["inputs"]["cluster_labels"], vocabulary)
    for zoom in config["flow"]["clusters"]["zoom"]:
        # The default is for vocabularies that have them.
        if zoom not in vocabulary and zoom not in DEFAULT_ZOOM:
            hint = did_you_mean(zoom, vocabulary)
            message = f'"{zoom}" is no population of {config["inputs"]["populations"]}{hint}'
            problems.append(Problem("flow.clusters.zoom", None, message))
    return problems + _batch_problems(config["flow"], cohort)


def _label_problems(sheet: str | None, vocabulary: Vocabulary) -> list[Problem]:
    if sheet is None:
        return []
    if not is_file(Path(sheet)):
        message = f'there is no file "{sheet}"; cluster_labels may be left out'
        return [Problem("inputs.cluster_labels", None, message)]
    rows, problems = read_sheet(Path(sheet), "cluster_labels")
    return problems + [
        problem for row in rows for problem in population_problems(sheet, row, vocabulary)
    ]


def _batch_problems(flow: Mapping[str, Any], cohort: Cohort) -> list[Problem]:
    """Find batches that normalisation cannot align, or must not."""
    if flow["normalisation"] == "none":
        return []
    samples = cohort.of_modality("flow")
    batches = sorted({sample.batch for sample in samples})
    where = "flow.normalisation"
    if len(batches) < 2:
        return [Problem(where, None, "all samples are of one batch: there is nothing to align")]
    problems = []
    goal = flow["normalisation_goal"]
    if goal is not None and goal not in batches:
        hint = did_you_mean(goal, batches)
        problems.append(Problem(f"{where}_goal", None, f'there is no batch "{goal}"{hint}'))
    if flow["normalisation"] == "anchors":
        anchored = {control.batch for control in cohort.controls if control.role == "anchor"}
        if without := [batch for batch in batches if batch not in anchored]:
            message = (
                f"the sheet of samples has no anchor (role anchor) in {', '.join(without)}; add "
                'one per batch, or choose "range" or "none"'
            )
            problems.append(Problem(where, None, message))
    if apart := _unlinked_levels(cohort):
        message = (
            f"no chain of shared batches links the {cohort.contrast_column} {', '.join(apart)} "
            "with the others, so that aligning the batches would take the change away with them; "
            "leave normalisation out"
        )
        problems.append(Problem(where, None, message))
    return problems


def _unlinked_levels(cohort: Cohort) -> list[str]:
    batches_of: dict[str, set[str]] = {}
    for sample in cohort.of_modality("flow"):
        batches_of.setdefault(cohort.level(sample), set()).add(sample.batch)
    return unlinked(batches_of)
