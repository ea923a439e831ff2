"""Write the checked cohort as tables that every later step reads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from biocross.cohort.checks import load_cohort
from biocross.cohort.design import Cohort, Sample
from biocross.tables import write_rows

SAMPLE_COLUMNS = (
    *("sample_id", "patient_id", "visit", "modality", "batch", "tissue", "stimulation"),
    *("treatment", "unit", "level"),
)
PAIR_COLUMNS = (
    *("modality", "treatment", "contrast", "followup", "baseline", "unit", "patient_id"),
    *("complete", "missing"),
)


def check_cohort(config: Mapping[str, Any], samples_out: Path | str, pairs_out: Path | str) -> None:
    """Check all sheets and write what they say about samples and pairs.

    Parameters
    ----------
    config
        The run's configuration.
    samples_out
        Every sample with its treatment, its unit of comparison, its level of the contrast, and
        the numeric columns of the clinical sheet.
    pairs_out
        Every pair that the contrasts ask for, complete or not.

    Raises
    ------
    ConfigError
        One line for every problem of every sheet.
    """
    cohort = load_cohort(config)
    clinical = sorted({key for row in cohort.clinical.values() for key in row})
    extra = [key for key in clinical if key not in (*SAMPLE_COLUMNS, "draw_time")]
    write_rows(
        samples_out,
        (*SAMPLE_COLUMNS, *extra),
        (_sample_row(cohort, sample, extra) for sample in (*cohort.samples, *cohort.table_samples)),
    )
    write_rows(pairs_out, PAIR_COLUMNS, _pair_rows(cohort))


def _sample_row(cohort: Cohort, sample: Sample, extra: list[str]) -> dict[str, Any]:
    clinical = cohort.clinical.get((sample.patient_id, sample.visit), {})
    return {
        **{key: value for key, value in sample._asdict().items() if key in SAMPLE_COLUMNS},
        "treatment": cohort.treatment_of(sample),
        "unit": cohort.unit(sample),
        "level": cohort.level(sample),
        **{key: clinical.get(key) for key in extra},
    }


def _pair_rows(cohort: Cohort) -> list[dict[str, Any]]:
    rows = []
    for modality in sorted({s.modality for s in (*cohort.samples, *cohort.table_samples)}):
        for contrast in cohort.contrasts:
            for unit, at_level in cohort.units(modality).items():
                missing = [level for level in contrast if level not in at_level]
                patient = next(iter(at_level.values())).patient_id
                rows.append(
                    {
                        "modality": modality,
                        "treatment": cohort.contrast_treatment(patient, contrast),
                        "contrast": str(contrast),
                        "followup": contrast.followup,
                        "baseline": contrast.baseline,
                        "unit": unit,
                        "patient_id": patient,
                        "complete": not missing,
                        "missing": ", ".join(reversed(missing)),
                    }
                )
    return rows
