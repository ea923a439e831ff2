"""The variation that a plan assumes without a pilot: that of the simulated study."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri

from biocross.errors import ConfigError
from biocross.simulate.model import Study
from biocross.simulate.study import read_study
from biocross.statistics.planning import Basis, Variation

FloatArray = NDArray[np.float64]

SHIPPED = Path(__file__).parents[4] / "config"
# The shipped description of blood: sizes, variation and where they are from.
STUDY = SHIPPED / "simulation" / "biocross.yaml"
# What staining and gating add to a visit (logit), as in docs/validation.md.
STAINING_SD = 0.10
EVENTS = 500_000
# Patients that stand for all, spread evenly over the distribution between patients.
_TYPES = 41


def assumed_variation(primary: Collection[str], study: Path = STUDY) -> Basis:
    """Take the variation of every population from the description of a simulated study.

    Parameters
    ----------
    primary
        Names of the primary populations; the confirmatory family is those that the study has.
    study
        The description, a YAML file.

    Returns
    -------
    Basis
        In percent of the parent, for samples of `EVENTS` leukocytes.

    Raises
    ------
    ConfigError
        The description is not there: biocross was installed without its configuration.
    """
    if not study.is_file():
        raise ConfigError(
            f"{study}: there is no such file, and without it no variation to assume; give the "
            "results of a study with --results"
        )
    described = read_study(study)
    variations = tuple(
        _variation(described, name, name in primary)
        for name in described.reported
        if described.populations[name].parent in described.lineage_of(name)[1:]
    )
    return Basis(
        "defaults",
        f"defaults ({study.name}, and {STAINING_SD:g} per visit for staining and gating)",
        "percent_of_parent",
        EVENTS,
        max(1, sum(variation.primary for variation in variations)),
        variations,
    )


def _variation(study: Study, name: str, primary: bool) -> Variation:
    """Variation of the logit of a population's share of its parent."""
    parent = study.populations[name].parent
    share, parent_share = _share(study, name, parent), _share(study, parent)
    within, between = (_logit_sd(study, name, what) for what in ("within", "between"))
    total = np.full(_TYPES, EVENTS * parent_share)
    places = ndtri((np.arange(_TYPES) + 0.5) / _TYPES)
    return Variation(
        population=name,
        parent=parent,
        primary=primary,
        change_sd=float(np.sqrt(2 * (within**2 + STAINING_SD**2))),
        counted=0.0,
        df=np.nan,
        prior_df=0.0,
        share=share,
        counts=total * expit(logit(share) + between * places),
        totals=total,
        note="variation assumed, not measured: it has no range",
    )


def _steps(study: Study, name: str, whole: str | None = None) -> list[str]:
    """Name a population and what it is part of, up to `whole` and without it, or to the root."""
    lineage = study.lineage_of(name)
    return [*lineage[: lineage.index(whole) if whole else len(lineage) - 1]]


def _parts(study: Study, whole: str) -> dict[str, float]:
    """Shares of the parts of a population, which sum to 1."""
    sizes = {key: p.size for key, p in study.populations.items() if p.part_of == whole}
    total = sum(sizes.values())
    return {key: size / total for key, size in sizes.items()}


def _share(study: Study, name: str, whole: str | None = None) -> float:
    """Usual share of a population in a whole that holds it; of all where there is none."""
    share = 1.0
    for step in _steps(study, name, whole):
        share *= _parts(study, study.populations[step].part_of)[step]
    return share


def _logit_sd(study: Study, name: str, what: str) -> float:
    """SD of the logit of a share of the parent, by the delta method.

    The log share of a part moves with its own size, and against the mean of all parts of its
    whole; the steps from the population to its parent add up.
    """
    parent = study.populations[name].parent
    variance = 0.0
    for step in _steps(study, name, parent):
        for part, share in _parts(study, study.populations[step].part_of).items():
            weight = float(part == step) - share
            variance += (weight * getattr(study.populations[part], what)) ** 2
    return float(np.sqrt(variance) / (1 - _share(study, name, parent)))
