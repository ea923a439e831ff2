"""Problems of the FCS headers, among those of the sheets."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from biocross.cohort.cross_checks import is_file
from biocross.cohort.design import Cohort
from biocross.cohort.gate_files import gate_file_problems
from biocross.cohort.instruments import compare_headers
from biocross.cohort.panel import read_panel
from biocross.cohort.sheets import Problem


def header_problems(config: Mapping[str, Any], cohort: Cohort) -> list[Problem]:
    """Compare the headers of the FCS files that are there with the panel.

    Parameters
    ----------
    config
        A complete configuration.
    cohort
        The study.

    Returns
    -------
    list of Problem
        Errors and warnings; files that are missing are reported with the sheets.
    """
    inputs = config["inputs"]
    samples = cohort.of_modality("flow")
    if not samples or not inputs["panel"]:
        return []
    panel, panel_problems = read_panel(Path(inputs["panel"]))
    if panel_problems:
        return []
    drawn = gate_file_problems(config, cohort)
    folder = Path(inputs["folder"])
    there = [sample for sample in samples if is_file(folder / sample.path)]
    found = compare_headers(there, panel, folder)[0] if there else []
    return drawn + [
        Problem(problem.file or "the FCS files", None, problem.message, problem.severity)
        for problem in found
    ]
