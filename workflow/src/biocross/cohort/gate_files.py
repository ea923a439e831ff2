"""Files of gates that were drawn elsewhere: what they need, and what is wrong with them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from biocross.cohort.cross_checks import is_file
from biocross.cohort.design import Cohort
from biocross.cohort.sheets import Problem, caution, read_sheet
from biocross.cohort.vocabulary import load_vocabulary
from biocross.errors import BiocrossError, ConfigError

_OURS = (".yaml", ".yml")


def are_drawn_elsewhere(gating: str | None) -> bool:
    """Return whether a configuration's gates are a GatingML document, a workspace, or the like."""
    return bool(gating) and Path(str(gating)).suffix.casefold() not in _OURS


def gate_file_problems(config: Mapping[str, Any], cohort: Cohort) -> list[Problem]:
    """Check a file of gates against its sheet and the cohort's files.

    Parameters
    ----------
    config
        A complete configuration.
    cohort
        The study.

    Returns
    -------
    list of Problem
        A file that cannot be read, faults of the sheet (errors); samples without gates, gates
        that cannot be used (warnings). Nothing where the gates are ours.
    """
    inputs = config["inputs"]
    if not are_drawn_elsewhere(inputs["gating"]) or not inputs["gate_paths"]:
        return []
    # Imported here: only studies with such a file need it.
    from biocross.flow.imported.gate_paths import read_gate_paths
    from biocross.flow.imported.gating import match_cohort
    from biocross.flow.imported.load import load_gates

    try:
        vocabulary = load_vocabulary(Path(inputs["populations"]))
        gates = load_gates(Path(inputs["gating"]))
    except ConfigError:
        return []  # reported with the vocabulary
    except BiocrossError as error:
        message = str(error).removeprefix(f"{inputs['gating']}: ")
        return [Problem(inputs["gating"], None, message)]
    samples = [s for s in cohort.of_modality("flow") if is_file(Path(inputs["folder"]) / s.path)]
    names = [sample.sample_id for sample in samples]
    matching = match_cohort(gates, names, [Path(inputs["folder"]) / s.path for s in samples])
    problems = read_gate_paths(Path(inputs["gate_paths"]), gates, vocabulary, matching.keys)[1]
    problems += [caution(inputs["gating"], note) for note in gates.notes]
    if gates.form == "flowjo":
        problems += [
            caution(inputs["gating"], f"sample {match.sample_id} has no gates: {match.note}")
            for match in matching.not_in_workspace
        ]
    pruned = {path: why for tree in gates.trees.values() for path, why in tree.pruned.items()}
    problems += [
        caution(inputs["gating"], f'gate "{path}" is left out: {why}')
        for path, why in pruned.items()
    ]
    return problems


def gated_populations(inputs: Mapping[str, Any]) -> list[str]:
    """List the populations that a sheet of gates names; its faults are reported elsewhere."""
    sheet = inputs["gate_paths"]
    if not are_drawn_elsewhere(inputs["gating"]) or not sheet or not is_file(Path(sheet)):
        return []
    rows, _ = read_sheet(Path(sheet), "gate_paths")
    return [str(row.cells["population"]) for row in rows if "population" in row.cells]
