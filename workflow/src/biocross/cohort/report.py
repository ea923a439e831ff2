"""The checks of a study without Snakemake, told on the terminal."""

from pathlib import Path

from biocross.cohort.checks import inspect_cohort, split_by_severity
from biocross.cohort.config import complete_config
from biocross.cohort.design import Cohort
from biocross.cohort.header_checks import header_problems
from biocross.cohort.overview import describe_design
from biocross.cohort.sheets import counted, load_yaml
from biocross.errors import BiocrossError, ConfigError


def check(config_path: Path | str) -> int:
    """Check a study and print what is wrong, what to know, and the design in words.

    Parameters
    ----------
    config_path
        The configuration. Paths in it start from the working folder, as in a run.

    Returns
    -------
    int
        1 where an error would stop a run, else 0.
    """
    try:
        raw = load_yaml(Path(config_path))
        if not isinstance(raw, dict):
            raise ConfigError(f"{config_path}: must map keys to values, as config/config.yaml does")
        config = complete_config(raw, source=str(config_path))
        cohort, problems = inspect_cohort(config)
        if "simulate" not in config:
            problems += header_problems(config, cohort)
    except BiocrossError as error:
        print(f"error: {error}")
        return 1
    errors, warnings = split_by_severity(problems)
    for problem in (*errors, *warnings):
        print(f"{problem.severity}: {problem}")
    if cohort.samples or cohort.table_samples:
        print(("\n" if problems else "") + _design_words(cohort))
    print(f"{counted(len(errors), 'error')}, {counted(len(warnings), 'warning')}.")
    return 1 if errors else 0


def _design_words(cohort: Cohort) -> str:
    """Describe the design, or nothing where patients are unknown."""
    samples = (*cohort.samples, *cohort.table_samples)
    if any(sample.patient_id not in cohort.patients for sample in samples):
        return ""
    return describe_design(cohort)
